"""Which files a source URI names, and how they come to be local.

What belongs here: paths, folders, S3, and the fingerprint of contents. What does not: what is inside a
file (`rows`) and what a panel is (`panel`).
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

SUFFIXES = (".csv", ".csv.gz", ".parquet")
_KINDS = "a CSV (.csv, .csv.gz) or Parquet (.parquet) file"
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
        name: its name without the folder.
        size: in bytes.
        location: local path, or S3 key.
        etag: what S3 says its content is; empty for a local file.
    """

    name: str
    size: int
    location: str = ""
    etag: str = ""


def list_files(uri: str) -> tuple[list[SourceFile], list[str]]:
    """The data files of a source, sorted by name, and notes on what was passed over.

    Raises:
        SourceError: there is no such file, folder or object, it cannot be reached, or it holds no data file.
    """
    found = _list_s3(uri) if uri.startswith("s3://") else _list_local(uri)
    files = sorted((f for f in found if f.name.lower().endswith(SUFFIXES)), key=lambda f: f.name)
    if not files:
        raise SourceError(f"{uri}: holds no data file: put {_KINDS} there")
    others = sorted(f.name for f in found if f not in files and not f.name.startswith("."))
    notes = [f"ignored the file {name}: not {_KINDS}" for name in others]
    return files, notes


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


def _list_local(uri: str) -> list[SourceFile]:
    parts = urlsplit(uri)
    if "://" in uri and parts.scheme != "file":
        raise SourceError(f"{uri}: cannot read {parts.scheme}://: use a local path or s3://bucket/key")
    path = Path(unquote(parts.path) if parts.scheme == "file" else uri).expanduser()
    try:
        if path.is_dir():
            return [SourceFile(p.name, p.stat().st_size, str(p)) for p in path.iterdir() if p.is_file()]
        if not path.exists():
            raise SourceError(f"{uri}: no such file or folder: check the path of the source")
        if not path.name.lower().endswith(SUFFIXES):
            raise SourceError(f"{uri}: not {_KINDS}: convert or rename it")
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
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        return [
            SourceFile(Path(entry["Key"]).name, entry["Size"], entry["Key"], entry["ETag"])
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
