"""A real PostgreSQL server for tests and measurements, without durability."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
DRIVER = ROOT / ".servers" / "postgres" / "driver"


class PostgresServer:
    """A server of our own. PostgreSQL does not run as root: then the account `postgres` owns it."""

    def __init__(self, folder: Path) -> None:
        binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))
        self._binaries = binaries or Path(str(shutil.which("initdb"))).parent
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder = folder
        if self._user:
            shutil.chown(folder, self._user)
        self._data = folder / "data"
        initdb = [self._binaries / "initdb", "-D", self._data, "-U", "app", "--auth=trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(
            [*initdb, "--locale=C"], check=True, stdout=subprocess.DEVNULL, user=self._user, cwd=folder, timeout=60
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        settings = {
            "port": self._port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self._folder,
            "fsync": "off",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        self._server = subprocess.Popen(
            [self._binaries / "postgres", "-D", self._data, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            cwd=self._folder,
        )
        _wait_for_port(self._port)

    def stop(self) -> None:
        """Whoever is connected is cut off."""
        self._server.send_signal(signal.SIGINT)
        self._server.wait(30)


@contextmanager
def started_postgres() -> Iterator[PostgresServer]:
    """A server for as long as the block runs, with the driver to import."""
    subprocess.run([ROOT / "tests" / "servers" / "install_postgres.sh"], check=True, timeout=300)
    sys.path.append(str(DRIVER))
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = PostgresServer(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    import psycopg

    while True:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=app dbname=postgres").close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
