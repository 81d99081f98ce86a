"""Which processes are alive."""

import socket
import subprocess
import sys
import time

import psutil
import pytest

from housing_assets.core.processes import is_alive, is_known_dead, this_process


def test_this_process_is_alive():
    host, _, pid = this_process().rpartition(":")
    assert is_alive(int(pid))
    assert not is_known_dead(f"{host}:{pid}")


def test_a_process_that_was_killed_is_dead_before_its_parent_asks_for_it():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert is_alive(process.pid)
        process.kill()
        until = time.monotonic() + 10
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < until
        assert is_known_dead(f"{socket.gethostname()}:{process.pid}")
    finally:
        process.communicate()
    assert not is_alive(process.pid)


def test_a_process_that_may_not_be_looked_at_is_alive(monkeypatch):
    def refuse(process):
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "status", refuse)
    assert is_alive(psutil.Process().pid)


@pytest.mark.parametrize("named", ["elsewhere:1", "elsewhere:4194303", "", "no pid"])
def test_of_another_machine_nobody_can_tell(named):
    assert not is_known_dead(named)
