"""Bytes by key, in a folder or in S3: the two places a store can be.

Both write a key whole or not at all, so that a reader never sees half a file. What a key means is not
known here: see `housing_assets.store.layout`.
"""

import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from housing_assets.core.errors import StoreError
from housing_assets.store.s3 import S3Blobs
from housing_assets.store.stamps import Stamp, file_stamp


class Blobs(Protocol):
    """Whole files by key. Keys use `/` and are relative to `uri`."""

    uri: str

    def read(self, key: str) -> bytes:
        """The bytes of `key`; FileNotFoundError if there is none, StoreError if it cannot be read."""
        ...

    def read_all(self, keys: Iterable[str]) -> dict[str, bytes]:
        """The bytes of many small files by key, without those that are not there; StoreError as of `read`."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Put `data` at `key` in one step, in place of what was there."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Put `data` at `key` unless something is there: True for one of those who try at once, else False."""
        ...

    def open(self, key: str) -> io.BufferedReader:
        """The bytes of `key` as a file to seek in, where memory should not hold them all; errors as of `read`."""
        ...

    def writing(self, key: str) -> AbstractContextManager[BinaryIO]:
        """A file that becomes `key` on leaving, in one step; what was there stays if the block fails."""
        ...

    def keys(self, prefix: str) -> list[str]:
        """Every key that starts with `prefix`, sorted."""
        ...

    def stamps(self, prefix: str) -> dict[str, str]:
        """The `Stamp` of every key that starts with `prefix`: tells one content from another, in any place."""
        ...

    def delete(self, key: str) -> None:
        """Remove `key`; nothing happens if there is none."""
        ...


def open_blobs(uri: str) -> Blobs:
    """The place a store URI names: `s3://bucket/prefix`, a folder, or `file://folder`.

    Raises:
        StoreError: the URI has another scheme or no bucket.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        if not parts.netloc:
            raise StoreError(f"HOUSING_STORE_URI={uri!r} has no bucket: write s3://bucket/prefix")
        return S3Blobs(parts.netloc, parts.path.strip("/"))
    if parts.scheme not in ("", "file"):
        raise StoreError(f"HOUSING_STORE_URI={uri!r}: use a folder or s3://bucket/prefix")
    return FolderBlobs(Path(unquote(parts.path) if parts.scheme else uri))


class FolderBlobs:
    """Files of a local folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.uri = str(self.root)
        self._stamps: dict[Path, tuple[tuple[int, int], Stamp]] = {}

    def read(self, key: str) -> bytes:
        """See `Blobs.read`."""
        with self._explained(key, "read"):
            return (self.root / key).read_bytes()

    def read_all(self, keys: Iterable[str]) -> dict[str, bytes]:
        """See `Blobs.read_all`."""
        found: dict[str, bytes] = {}
        for key in keys:
            with suppress(FileNotFoundError):
                found[key] = self.read(key)
        return found

    def open(self, key: str) -> io.BufferedReader:
        """See `Blobs.open`. A file that is replaced meanwhile is read to its end as it was."""
        with self._explained(key, "read"):
            return (self.root / key).open("rb")

    def write(self, key: str, data: bytes) -> None:
        """See `Blobs.write`."""
        with self.writing(key) as file:
            file.write(data)

    def create(self, key: str, data: bytes) -> bool:
        """See `Blobs.create`: what was written aside is linked to its name, which fails where that is taken."""
        path = self.root / key
        with self._explained(key, "written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", suffix=".part", dir=path.parent) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).chmod(0o644)
                try:
                    path.hardlink_to(file.name)
                except FileExistsError:
                    return False
        return True

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        """See `Blobs.writing`: written aside, flushed to disk, then moved in."""
        path = self.root / key
        with self._explained(key, "written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                Path(aside).chmod(0o644)
                Path(aside).replace(path)
            except BaseException:
                Path(aside).unlink(missing_ok=True)
                raise

    def keys(self, prefix: str) -> list[str]:
        """See `Blobs.keys`. Files still being written aside are no keys."""
        return sorted(key for key, _ in self._files(prefix))

    def stamps(self, prefix: str) -> dict[str, str]:
        """See `Blobs.stamps`."""
        return {key: stamp for key, path in self._files(prefix) if (stamp := self._stamp(path))}

    def _stamp(self, path: Path) -> Stamp | None:
        """The stamp of a file; remembered for as long as its size and time of change stay the same."""
        try:
            status = path.stat()
            version = (status.st_size, status.st_mtime_ns)
            cached = self._stamps.get(path)
            if cached is None or cached[0] != version:
                cached = (version, file_stamp(path))
                self._stamps[path] = cached
        except FileNotFoundError:  # deleted meanwhile
            return None
        return cached[1]

    def _files(self, prefix: str) -> Iterator[tuple[str, Path]]:
        folder, _, begins = prefix.rpartition("/")
        top, cut = str(self.root / folder.strip("/")), len(str(self.root / "_")) - 1
        for path, folders, names in os.walk(top, followlinks=True):  # a folder may be a link to a larger disk
            if path == top:  # only what begins so is walked: the rest of a store may be thousands of files
                folders[:] = [name for name in folders if name.startswith(begins)]
            for name in names:
                if not name.endswith(".part") and (path != top or name.startswith(begins)):
                    yield f"{path}/{name}"[cut:], Path(path, name)

    def delete(self, key: str) -> None:
        """See `Blobs.delete`."""
        with self._explained(key, "deleted"):
            (self.root / key).unlink(missing_ok=True)

    @contextmanager
    def _explained(self, key: str, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, FileNotFoundError) and done == "read":
                raise
            raise StoreError(
                f"{self.root / key} cannot be {done}: {error.strerror or error}. "
                "Check the folder's permissions and free space, or set HOUSING_STORE_URI to another place"
            ) from error
