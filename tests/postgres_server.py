"""A PostgreSQL server of a test's own."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from platform_fixtures import free_port

INITDB = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
PASSWORD = "s3cret"


@contextmanager
def postgres_server() -> Iterator[str]:
    """The address of the server's database `postgres`, on loopback. It asks for a password."""
    if INITDB is None:
        pytest.skip("this machine has no PostgreSQL (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="housing-postgres-"))
    # It refuses to run as root.
    other = []
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        other = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    port, data = free_port(), folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "cwd": folder}
    (folder / "password").write_text(PASSWORD)
    ask = ["--auth=scram-sha-256", "--pwfile", folder / "password"]
    subprocess.run([*other, INITDB, "-D", data, "-U", "dagster", *ask, "--no-sync"], check=True, **quiet)
    options = ["-p", str(port), "-h", "127.0.0.1", "-k", folder, "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*other, INITDB.with_name("postgres"), "-D", data, *options], stderr=log, **quiet)
    try:
        ready = [INITDB.with_name("pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
        for _ in range(600):
            if subprocess.run(ready, check=False).returncode == 0:
                break
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"postgresql+psycopg2://dagster:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
