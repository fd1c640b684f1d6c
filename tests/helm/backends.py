"""What pods reach, inside of their network: a bucket, a database, each other by Services."""

import contextlib
import socket
import subprocess
import sys
import threading
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


@contextmanager
def service(network: Network, address: str, port: int, target: int) -> Iterator[None]:
    """A Service: what connects there is connected to `target` of a pod."""
    relays: list[threading.Thread] = []
    with network.entered(), socket.create_server((address, port)) as listening:
        accepting = threading.Thread(target=_accept, args=(network, listening, target, relays))
        accepting.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *relays):
                thread.join(10)


def _accept(network: Network, listening: socket.socket, target: int, relays: list[threading.Thread]) -> None:
    with network.entered(), contextlib.suppress(OSError):
        while True:
            client, _ = listening.accept()
            relays.append(threading.Thread(target=_relay, args=(network, client, target), daemon=True))
            relays[-1].start()


def _relay(network: Network, client: socket.socket, target: int) -> None:
    """Until both ends have said all."""
    to = ("127.0.0.1", target)
    with network.entered(), client, contextlib.suppress(OSError), socket.create_connection(to, timeout=60) as pod:
        back = threading.Thread(target=_pump, args=(pod, client))
        back.start()
        _pump(client, pod)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
