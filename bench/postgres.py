"""A PostgreSQL server of its own for a measurement, with the durability that it has by default."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from extproc.local.ports import free_port

ROOT = Path(__file__).parents[1]


@contextmanager
def postgres_address() -> Iterator[str]:
    """Its address; it ends with the block. PostgreSQL does not run as root: then the account `postgres` owns it."""
    subprocess.run([ROOT / "tests" / "servers" / "install_postgres.sh"], check=True, timeout=300)
    sys.path.append(str(ROOT / ".servers" / "postgres" / "driver"))
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))
    programs = programs or Path(str(shutil.which("initdb"))).parent
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="extproc-bench-pg-") as name:
        folder = Path(name)
        if user:
            shutil.chown(folder, user)

        def run(program: str, *arguments: str) -> None:
            command = [programs / program, "-D", folder / "data", *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, user=user, cwd=folder, timeout=60)

        run("initdb", "-U", "app", "--auth=trust", "-E", "UTF8", "--locale=C")
        port = free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://app@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-w", "-m", "fast", "stop")
