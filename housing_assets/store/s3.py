"""Objects of an S3 bucket as blobs."""

import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO, cast

from housing_assets.core.errors import StoreError
from housing_assets.store.stamps import SHA256, Stamp

_CALLS = 8
"""Objects that are read, or whose stamps are asked for, at a time."""
_RANGE_BYTES = 1 << 20
"""Least that is read of an object at a time: a call to S3 costs as much as this takes to arrive."""


class S3Blobs:
    """Objects under a prefix of an S3 bucket. An object appears whole when its upload is complete."""

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket, self.prefix = bucket, prefix
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._client: Any = None
        self._stamps: dict[str, Stamp] = {}

    @property
    def client(self) -> Any:
        """The boto3 client, made at first use: endpoint, region and credentials as in every AWS tool."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            config = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard"}, max_pool_connections=16)
            # boto3 itself reads AWS_DEFAULT_REGION alone.
            region = os.environ.get("AWS_REGION") or None
            self._client = boto3.Session(region_name=region).client("s3", config=config)
        return self._client

    def read(self, key: str) -> bytes:
        """See `Blobs.read`."""
        with self._explained(key, "read"):
            return self.client.get_object(Bucket=self.bucket, Key=self._full(key))["Body"].read()

    def read_all(self, keys: Iterable[str]) -> dict[str, bytes]:
        """See `Blobs.read_all`."""

        def read(key: str) -> bytes | None:
            try:
                return self.read(key)
            except FileNotFoundError:
                return None

        wanted = list(keys)
        with ThreadPoolExecutor(_CALLS, thread_name_prefix="read") as pool:
            return {key: data for key, data in zip(wanted, pool.map(read, wanted), strict=True) if data is not None}

    def write(self, key: str, data: bytes) -> None:
        """See `Blobs.write`."""
        with self._explained(key, "written"):
            metadata = {SHA256: hashlib.sha256(data).hexdigest()}
            self.client.put_object(Bucket=self.bucket, Key=self._full(key), Body=data, Metadata=metadata)

    def create(self, key: str, data: bytes) -> bool:
        """See `Blobs.create`: a conditional write; a service that knows none replaces what is there."""
        from botocore.exceptions import ClientError

        metadata = {SHA256: hashlib.sha256(data).hexdigest()}
        with self._explained(key, "written"):
            try:
                self.client.put_object(
                    Bucket=self.bucket, Key=self._full(key), Body=data, Metadata=metadata, IfNoneMatch="*"
                )
            except ClientError as error:
                # 409: another conditional write of the same key is under way.
                if error.response.get("Error", {}).get("Code") in ("PreconditionFailed", "ConditionalRequestConflict"):
                    return False
                raise
        return True

    def open(self, key: str) -> io.BufferedReader:
        """See `Blobs.open`: read in ranges, as they are asked for, of the object as it is now."""
        with self._explained(key, "read"):
            head = self.client.head_object(Bucket=self.bucket, Key=self._full(key))
        return io.BufferedReader(_S3Ranges(self, key, head["ContentLength"], head["ETag"]), _RANGE_BYTES)

    @contextmanager
    def writing(self, key: str) -> Iterator[BinaryIO]:
        """See `Blobs.writing`: on this machine first, then uploaded in parts, of which none shows before the last."""
        with tempfile.TemporaryFile(prefix="housing-upload-") as file:
            yield cast(BinaryIO, file)
            file.seek(0)
            arguments = {"Metadata": {SHA256: hashlib.file_digest(file, "sha256").hexdigest()}}
            file.seek(0)
            with self._explained(key, "written"):
                self.client.upload_fileobj(file, self.bucket, self._full(key), ExtraArgs=arguments)

    def read_range(self, key: str, start: int, end: int, etag: str) -> bytes:
        """Bytes `start` to `end`, excluded, of `key`; StoreError if its content is no longer that of `etag`."""
        with self._explained(key, "read"):
            conditions = {"Range": f"bytes={start}-{end - 1}", "IfMatch": etag}
            return self.client.get_object(Bucket=self.bucket, Key=self._full(key), **conditions)["Body"].read()

    def keys(self, prefix: str) -> list[str]:
        """See `Blobs.keys`."""
        return sorted(self._etags(prefix))

    def stamps(self, prefix: str) -> dict[str, str]:
        """See `Blobs.stamps`: kept with the object as it is written, remembered for as long as its ETag is the same.

        The ETag itself is another after a copy: of more than 8 MB it is that of the parts, of an encrypted one no MD5.
        """
        etags = self._etags(prefix)
        found = {key: kept for key, etag in etags.items() if (kept := self._stamps.get(key)) and kept.etag == etag}
        if unknown := [key for key in etags if key not in found]:
            with ThreadPoolExecutor(_CALLS, thread_name_prefix="stamps") as pool:
                fetched = zip(unknown, pool.map(self._stamp, unknown), strict=True)
                found |= {key: stamp for key, stamp in fetched if stamp}
        return {key: found[key] for key in etags if key in found}

    def _stamp(self, key: str) -> Stamp | None:
        """The stamp of one object, asked of S3; None if it was deleted meanwhile."""
        try:
            with self._explained(key, "read"):
                head = self.client.head_object(Bucket=self.bucket, Key=self._full(key))
            sha256 = head.get("Metadata", {}).get(SHA256)
            if not sha256:  # written by another tool: its content has to be read, once
                with io.BufferedReader(_S3Ranges(self, key, head["ContentLength"], head["ETag"]), _RANGE_BYTES) as file:
                    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return None
        self._stamps[key] = stamp = Stamp(sha256, partial(str, head["ETag"]))
        return stamp

    def _etags(self, prefix: str) -> dict[str, str]:
        with self._explained(prefix, "listed"):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._full(prefix))
            cut = len(self._full(""))
            return {item["Key"][cut:]: item["ETag"] for page in pages for item in page.get("Contents", [])}

    def delete(self, key: str) -> None:
        """See `Blobs.delete`."""
        with self._explained(key, "deleted"):
            self.client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    @contextmanager
    def _explained(self, key: str, done: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        where = f"s3://{self.bucket}/{self._full(key)}"
        try:
            yield
        except NoCredentialsError as error:
            raise StoreError(
                f"{where} cannot be {done}: no AWS credentials. "
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role"
            ) from error
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in ("NoSuchKey", "404") and done == "read":
                raise FileNotFoundError(where) from error
            remedy = {
                "NoSuchBucket": "Create the bucket, or set HOUSING_STORE_URI to one that exists",
                "AccessDenied": "Give these credentials the right to it",
                "PreconditionFailed": "It was replaced while it was read: try again",
                "403": "Give these credentials the right to it",
                "InvalidAccessKeyId": "Check AWS_ACCESS_KEY_ID",
                "SignatureDoesNotMatch": "Check AWS_SECRET_ACCESS_KEY",
            }.get(code, "See the service's message")
            raise StoreError(f"{where} cannot be {done}: {error}. {remedy}") from error
        except BotoCoreError as error:
            raise StoreError(
                f"{where} cannot be {done}: {error}. Check AWS_ENDPOINT_URL, AWS_REGION and the network"
            ) from error


class _S3Ranges(io.RawIOBase):
    """One object as a file to seek in."""

    def __init__(self, blobs: S3Blobs, key: str, size: int, etag: str) -> None:
        self._blobs, self._key, self._size, self._etag, self._at = blobs, key, size, etag, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        data = self._blobs.read_range(self._key, self._at, end, self._etag)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
