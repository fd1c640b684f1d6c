"""Copies of the package and its tests, in which bugs are planted and tests run."""

import compileall
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from tempfile import TemporaryDirectory

from tests.plants.plant import Plant

ROOT = Path(__file__).parents[2]
WARM = Path(__file__).with_name("warm.py")
PARTS = (
    "helm",
    "image",
    "monitoring",
    "approvals",
    "core",
    "edge",
    "audit",
    "console",
    "live",
    "servers",
    "conftest.py",
    "grpc_at_home.py",
    "test_app.py",
)
"""Of `tests/`, what is copied."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a run: pytest's exit code, None where it did not end by itself; what it printed; which tests failed."""

    code: int | None
    output: str
    failed: tuple[str, ...]

    @property
    def killed(self) -> bool:
        """A test ran and failed. What could not be collected, set up or ended proves nothing."""
        return self.code == 1 and bool(self.failed)

    @property
    def sound(self) -> bool:
        return self.code == 0


def compile_by_digest(copy: Path) -> None:
    """Compiled code is taken by the digest of its source from now on. By time and size a plant could hide behind it."""
    compiled = compileall.compile_dir(copy / "extproc", quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    assert compiled, "the package does not compile"


def make_copy(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "extproc", folder / "extproc", ignore=ignored)
    for part in ("helm", "envoy"):
        shutil.copytree(ROOT / part, folder / part)
    for part in PARTS:
        source, target = ROOT / "tests" / part, folder / "tests" / part
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(source, target, ignore=ignored) if source.is_dir() else shutil.copy(source, target)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    (folder / ".servers").symlink_to(ROOT / ".servers")
    compile_by_digest(folder)
    return folder


@contextmanager
def planted(copy: Path, plant: Plant) -> Iterator[None]:
    path = plant.path(copy)
    text = path.read_text("utf-8")
    assert text.count(plant.old) == 1, "the plant's place has moved"
    path.write_text(text.replace(plant.old, plant.new), "utf-8")
    try:
        yield
    finally:
        path.write_text(text, "utf-8")


class Warm:
    """A process that runs tests in copies (`warm.py`), several at a time."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "runs"
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "PYTHON"))}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WARM), str(self._socket)],
            cwd=folder,
            env={**environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n"

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate()

    def run(self, copy: Path, tests: list[str], seconds: float) -> Ran:
        """Temporary folders of its own: pytest sweeps the shared ones, and fails where another run sweeps them as well."""
        with (
            TemporaryDirectory(prefix="planted-", ignore_cleanup_errors=True) as folder,
            socket.socket(socket.AF_UNIX) as connection,
        ):
            log, failed = Path(folder, "log"), Path(folder, "failed")
            log.touch()
            failed.touch()
            job = {"copy": str(copy.resolve()), "tests": tests, "folder": folder, "seconds": seconds}
            connection.connect(str(self._socket))
            connection.sendall(json.dumps(job).encode() + b"\n")
            answer = connection.makefile().readline()
            assert answer, "the warm process has gone"
            names = tuple(failed.read_text("utf-8").splitlines())
            return Ran(json.loads(answer)["code"], log.read_text("utf-8", "replace"), names)


@contextmanager
def start_warm() -> Iterator[Warm]:
    with TemporaryDirectory(prefix="warm-") as folder, closing(Warm(Path(folder))) as warm:
        yield warm
