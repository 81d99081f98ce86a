"""Brings objects of a versioned bucket back as they were at a time: a month, a verdict, a model.

    python infra/restore.py --as-of 2026-11-20T12:00:00+00:00 s3://BUCKET/store/cleaned/2023-11.parquet ...
    python infra/restore.py --as-of ... --apply s3://BUCKET/store/models/tuned-0123456789ab/

Without `--apply` it only says what it would do. An address names one object, or with a slash at its end everything
below it. What was not there at that time is deleted; in a versioned bucket that, too, can be taken back. Credentials,
region and endpoint are as in every AWS tool.
"""

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def changes(client: Any, bucket: str, prefix: str, as_of: datetime) -> Iterator[tuple[str, str | None]]:
    """Each key that is not now as it was, and the version it had; None: it was not there.

    Args:
        client: of S3.
        bucket: that keeps versions.
        prefix: of the keys; one that does not end with a slash is a whole key.
        as_of: the time.
    """
    known: dict[str, list[dict[str, Any]]] = {}
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for there, kind in ((True, "Versions"), (False, "DeleteMarkers")):
            for entry in page.get(kind, []):
                if prefix.endswith("/") or entry["Key"] == prefix:
                    known.setdefault(entry["Key"], []).append({**entry, "there": there})
    for key, entries in sorted(known.items()):
        now = next(e for e in entries if e["IsLatest"])
        # The newest comes first, also of several in one second.
        before = next((e for e in entries if e["LastModified"] <= as_of), None)
        if before is None or not before["there"]:
            if now["there"]:
                yield key, None
        elif not now["there"] or before["ETag"] != now["ETag"]:
            yield key, before["VersionId"]


def restore(client: Any, bucket: str, key: str, version: str | None) -> None:
    """Make a version of a key, or its absence, the newest again. Its contents, and so its ETag, are the same."""
    if version is None:
        client.delete_object(Bucket=bucket, Key=key)
    else:
        client.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": key, "VersionId": version})


def main(arguments: list[str] | None = None) -> int:
    """Say, and with `--apply` do, what brings the objects back."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--as-of", required=True, type=datetime.fromisoformat, help="ISO 8601; without a zone: UTC")
    parser.add_argument("--apply", action="store_true", help="do it")
    parser.add_argument("address", nargs="+", help="s3://BUCKET/KEY, or s3://BUCKET/PREFIX/")
    given = parser.parse_args(arguments)
    as_of = given.as_of if given.as_of.tzinfo else given.as_of.replace(tzinfo=UTC)
    client = boto3.client("s3")
    count = 0
    for address in given.address:
        parts = urlsplit(address)
        key = parts.path.lstrip("/")
        if parts.scheme != "s3" or not parts.netloc or not key:
            parser.error(f"{address}: write s3://BUCKET/KEY, or s3://BUCKET/PREFIX/")
        try:
            if client.get_bucket_versioning(Bucket=parts.netloc).get("Status") != "Enabled":
                raise SystemExit(f"error: the bucket {parts.netloc} keeps no versions: restore it from a backup")
            for name, version in changes(client, parts.netloc, key, as_of):
                print(f"s3://{parts.netloc}/{name}: {f'version {version}' if version else 'deleted'}")
                count += 1
                if given.apply:
                    restore(client, parts.netloc, name, version)
        except (BotoCoreError, ClientError) as error:
            raise SystemExit(f"error: {address}: {error}") from error
    print(f"{count} objects {'restored' if given.apply else 'would be restored: --apply does it'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
