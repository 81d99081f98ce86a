"""Processes of this machine: which one has a run or trial, and whether it is alive."""

import os
import socket

import psutil


def this_process() -> str:
    """The name of this process among all machines: `HOST:PID`."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_alive(pid: int) -> bool:
    """Does a process of this machine run?

    One that was killed stays a zombie until its parent asks for it, and is not alive; one that may not be looked at is.
    """
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False


def is_known_dead(process: str) -> bool:
    """Is `HOST:PID` a process of this machine that runs no more? Of another machine nobody can tell."""
    host, _, pid = process.rpartition(":")
    return host == socket.gethostname() and pid.isdigit() and not is_alive(int(pid))
