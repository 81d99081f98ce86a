"""Which files a source URI names, and how they come to be local.

What belongs here: paths, folders, S3, and the fingerprint of contents. What does not: what is inside a
file (`content`) and what a panel is (`panel`).
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from housing_assets.core.errors import SourceError
from housing_assets.core.source.notes import Notes

_FORMATS = (".csv", ".tsv", ".tsv000", ".txt")
_PACKED = ("", ".gz", ".zip", ".zst")
SUFFIXES = (*(kind + packed for kind in _FORMATS for packed in _PACKED), ".zip", ".parquet")
_KINDS = "a CSV (.csv, .tsv, .txt, also .gz, .zip, .zst) or Parquet (.parquet) file"
_DOCUMENTS = ("readme", "license", "licence")
_CONNECT_SECONDS = 5
_READ_SECONDS = 60
_MISSING = frozenset({"404", "NoSuchBucket", "NoSuchKey", "NotFound"})
_REFUSED = frozenset(
    {
        "401",
        "403",
        "AccessDenied",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "InvalidToken",
    }
)


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    Attributes:
        name: its path below the folder or prefix that was asked for; the bare name of a single file.
        size: in bytes.
        location: local path, or S3 key.
        etag: what S3 says its content is; empty for a local file.
    """

    name: str
    size: int
    location: str = ""
    etag: str = ""


def list_files(uri: str) -> tuple[list[SourceFile], Notes]:
    """The data files of a source, sorted by name, and notes on what was passed over.

    A folder or prefix is read with the folders below it. A single file is taken whatever its name. Files and folders
    that begin with a dot or an underscore do not count.

    Raises:
        SourceError: there is no such file, folder or object, it cannot be reached, or it holds no data file.
    """
    listed = _list_s3(uri) if uri.startswith("s3://") else _list_local(uri)
    listed = [f for f in listed if not any(part.startswith((".", "_")) for part in f.name.split("/")[:-1])]
    files = sorted((f for f in listed if _is_data(f.name)), key=lambda f: f.name)
    if _names_one(uri, listed):
        files = listed
    if not files:
        raise SourceError(f"{uri}: holds no data file: put {_KINDS} there")
    notes = Notes()
    for name in sorted(f.name for f in listed if f not in files and not Path(f.name).name.startswith((".", "_"))):
        notes.add(f"ignored the file {name}: not {_KINDS}")
    return files, notes


def _is_data(name: str) -> bool:
    plain = Path(name).name.lower()
    return plain.endswith(SUFFIXES) and not plain.startswith((".", "_", *_DOCUMENTS))


def _names_one(uri: str, listed: list[SourceFile]) -> bool:
    """True if the URI is that of the one file which was listed."""
    if len(listed) != 1:
        return False
    if uri.startswith("s3://"):
        return _split_s3(uri)[1] == listed[0].location
    return _local_path(uri) == Path(listed[0].location)


@contextmanager
def local_paths(
    uri: str, files: list[SourceFile], progress: Callable[[str], None] | None = None
) -> Iterator[list[Path]]:
    """Paths of `files` on this machine; those of S3 are downloaded, and removed on leaving.

    Raises:
        SourceError: an object cannot be downloaded.
    """
    if not uri.startswith("s3://"):
        yield [Path(f.location) for f in files]
        return
    with tempfile.TemporaryDirectory(prefix="housing-source-") as folder:
        paths = []
        bucket, _ = _split_s3(uri)
        with _s3_errors(uri):
            client = _s3_client()
            for file in files:
                if progress:
                    progress(f"downloading {file.name} ({file.size / 1e6:.1f} MB)")
                path = Path(folder) / file.name
                path.parent.mkdir(parents=True, exist_ok=True)
                client.download_file(bucket, file.location, str(path))
                paths.append(path)
        yield paths


def fingerprint(uri: str) -> str:
    """Digest of the contents of a source, made without parsing or downloading them.

    Local files count with name, size and bytes; S3 objects with name, size and ETag.

    Raises:
        SourceError: the source cannot be found or read.
    """
    return fingerprint_of(uri, list_files(uri)[0])


def fingerprint_of(uri: str, files: list[SourceFile]) -> str:
    """`fingerprint` of files that are already listed.

    Raises:
        SourceError: a file cannot be read.
    """
    total = hashlib.sha256()
    for file in files:
        content = file.etag
        if not content:
            try:
                with Path(file.location).open("rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
            except OSError as error:
                raise SourceError(f"{uri}: cannot read {file.name}: {error.strerror}") from error
        total.update(f"{file.name}\0{file.size}\0{content}\n".encode())
    return total.hexdigest()


def _local_path(uri: str) -> Path:
    parts = urlsplit(uri)
    if "://" in uri and parts.scheme != "file":
        raise SourceError(f"{uri}: cannot read {parts.scheme}://: use a local path or s3://bucket/key")
    return Path(unquote(parts.path) if parts.scheme == "file" else uri).expanduser()


def _list_local(uri: str) -> list[SourceFile]:
    path = _local_path(uri)
    try:
        if path.is_dir():
            return [
                SourceFile(p.relative_to(path).as_posix(), p.stat().st_size, str(p))
                for p in path.rglob("*")
                if p.is_file()
            ]
        if not path.exists():
            raise SourceError(f"{uri}: no such file or folder: check the path of the source")
        return [SourceFile(path.name, path.stat().st_size, str(path))]
    except OSError as error:
        raise SourceError(f"{uri}: cannot be read: {error.strerror}: check its permissions") from error


def _split_s3(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise SourceError(f"{uri}: names no bucket: write s3://bucket/key or s3://bucket/prefix/")
    return bucket, key


def _s3_client() -> Any:
    import boto3
    from botocore.config import Config

    # A session of its own: the default one is not safe between threads and remembers old credentials.
    # boto3 itself reads AWS_DEFAULT_REGION alone.
    return boto3.Session(region_name=os.environ.get("AWS_REGION") or None).client(
        "s3",
        config=Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"mode": "standard", "max_attempts": 3},
        ),
    )


def _list_s3(uri: str) -> list[SourceFile]:
    bucket, key = _split_s3(uri)
    with _s3_errors(uri):
        client = _s3_client()
        if key.lower().endswith(SUFFIXES):
            try:
                head = client.head_object(Bucket=bucket, Key=key)
            except client.exceptions.ClientError as error:
                if _code(error) in _MISSING:  # a HEAD does not say which of the two is missing
                    client.head_bucket(Bucket=bucket)
                    raise SourceError(f"{uri}: no such object: check the key, {key}") from error
                raise
            return [SourceFile(Path(key).name, head["ContentLength"], key, head["ETag"])]
        prefix = key if key.endswith("/") or not key else key + "/"
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [
            SourceFile(entry["Key"].removeprefix(prefix), entry["Size"], entry["Key"], entry["ETag"])
            for page in pages
            for entry in page.get("Contents", [])
            if not entry["Key"].endswith("/")
        ]


def _code(error: Any) -> str:
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def _s3_errors(uri: str) -> Iterator[None]:
    """Turn what boto3 raises into a SourceError that says what to do."""
    from boto3.exceptions import Boto3Error
    from botocore import exceptions as aws

    try:
        yield
    except (aws.NoCredentialsError, aws.PartialCredentialsError) as error:
        raise SourceError(
            f"{uri}: no S3 credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        ) from error
    except (aws.ConnectionError, aws.HTTPClientError) as error:
        raise SourceError(
            f"{uri}: the S3 endpoint cannot be reached ({error}): check AWS_ENDPOINT_URL and the network"
        ) from error
    except aws.ClientError as error:
        code = _code(error)
        if code in _MISSING:
            raise SourceError(f"{uri}: no such bucket or object: check the name and AWS_ENDPOINT_URL") from error
        if code in _REFUSED:
            raise SourceError(
                f"{uri}: S3 refuses access ({code}): check the credentials and their right to read it"
            ) from error
        raise SourceError(f"{uri}: S3 answers with an error ({error}): try again, or check the URI") from error
    except (aws.BotoCoreError, Boto3Error) as error:
        raise SourceError(f"{uri}: S3 cannot be used ({error}): check the AWS settings") from error
