"""What pods reach, inside of their network: a bucket, a database."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3

from tests.approvals.postgres_server import started_postgres
from tests.helm.network import Network

S3_PORT = 9000
REGION = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def s3_client() -> Any:
    """To be used by a thread that has entered the network."""
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{S3_PORT}", region_name=REGION, **keys)


@contextmanager
def bucket_server(network: Network, *buckets: str) -> Iterator[str]:
    """Moto's S3 with buckets that lock objects; its URL."""
    url = f"http://127.0.0.1:{S3_PORT}"
    with network.entered():
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(S3_PORT)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait(server, f"{url}/moto-api/data.json")
            for bucket in buckets:
                where = {"LocationConstraint": REGION}
                s3_client().create_bucket(
                    Bucket=bucket, ObjectLockEnabledForBucket=True, CreateBucketConfiguration=where
                )
            yield url
        finally:
            server.terminate()
            server.wait(10)


@contextmanager
def database(network: Network) -> Iterator[str]:
    """PostgreSQL; the URL of an empty database."""
    with network.entered(), started_postgres() as server:
        yield f"postgresql+psycopg://app@{server.address}/postgres"


def _wait(server: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert server.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not answer"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.05)
