"""A publisher's server on this machine: it gives the files of a folder, and fails as a test wants."""

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import write_sample


@dataclass
class Publisher:
    """What is published, and how the server answers.

    Attributes:
        folder: that it publishes.
        url: of the folder.
        clock: Last-Modified of the newest file, in seconds since 1970.
        statuses: of the next answers to GET, instead of the file.
        retry_after: seconds that go with each of them; empty: none.
        cut_off: how many further answers to GET end in the middle of the file.
        answers: GETs so far.
    """

    folder: Path
    url: str = ""
    clock: float = 1_700_000_000
    statuses: list[int] = field(default_factory=list)
    retry_after: str = ""
    cut_off: int = 0
    answers: int = 0

    def publish(self, spec: SampleSpec, vintage: int = 1) -> None:
        """Write `zillow.csv` and `redfin.csv` of a vintage, in place of those before."""
        for layout in ("zillow", "redfin"):
            file = self.folder / f"{layout}.csv"
            write_sample(spec, file, layout=layout, vintage=vintage)
            self.touch(file)

    def touch(self, file: Path) -> None:
        """Make a file the newest one."""
        self.clock += 3_600
        os.utime(file, (self.clock, self.clock))

    def addresses(self) -> dict[str, str]:
        """Variables with which the words zillow and redfin stand for these files."""
        return {f"HOUSING_{name.upper()}_URL": f"{self.url}/{name}.csv" for name in ("zillow", "redfin")}


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, publisher: Publisher, *args: object) -> None:
        self.publisher = publisher
        super().__init__(*args, directory=str(publisher.folder))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.publisher.answers += 1
        if self.publisher.statuses:
            self.send_response(self.publisher.statuses.pop(0))
            if self.publisher.retry_after:
                self.send_header("Retry-After", self.publisher.retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()

    def copyfile(self, source, outputfile) -> None:  # type: ignore[override]
        if self.publisher.cut_off:
            self.publisher.cut_off -= 1
            content = source.read()
            outputfile.write(content[: len(content) // 2])
        else:
            super().copyfile(source, outputfile)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def publishing(folder: Path) -> Iterator[Publisher]:
    """A server over a folder, which is made."""
    folder.mkdir()
    publisher = Publisher(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, publisher))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    publisher.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield publisher
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
