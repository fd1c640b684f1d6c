"""Planted bugs: each promise's test must turn red when the code that keeps the promise is broken.

Every plant changes one place in a copy of the package and runs the named test against the copy. A plant whose text is no
longer found fails too: it moves with the code.
"""

import os
import queue
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.plants.plant import Plant

ROOT = Path(__file__).parents[1]
PLANTS: tuple[Plant, ...] = tuple(
    plant
    for path in sorted((ROOT / "tests" / "plants").glob("*.py"))
    if path.stem != "plant"
    for plant in import_module(f"tests.plants.{path.stem}").PLANTS
)
"""Those of every file of `plants/`: a new area is a new file there."""

SOUND = "without a plant"
"""The copy itself is sound, so that red means the plant."""
Run = Callable[[str], subprocess.CompletedProcess[str]]


def make_copy(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "extproc", folder / "extproc", ignore=ignored)
    for part in ("core", "edge", "audit"):
        shutil.copytree(ROOT / "tests" / part, folder / "tests" / part, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file in ("conftest.py", "test_app.py"):
        shutil.copy(ROOT / "tests" / file, folder / "tests")
    return folder


def run_tests(copy: Path, tests: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Temporary folders of its own: pytest sweeps the shared ones, and fails where another run sweeps them as well."""
    with TemporaryDirectory(prefix="planted-", ignore_cleanup_errors=True) as base:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
        return subprocess.run(
            [*command, f"--basetemp={base}/t", *tests],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def run_planted(copy: Path, plant: Plant) -> subprocess.CompletedProcess[str]:
    path = copy / "extproc" / plant.file
    text = path.read_text("utf-8")
    path.write_text(text.replace(plant.old, plant.new), "utf-8")
    try:
        return run_tests(copy, [plant.test], 110)
    finally:
        path.write_text(text, "utf-8")


@pytest.fixture(scope="module")
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """What became of a plant, by its name. Two run at a time, each in a copy of its own."""
    copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for at in range(2):
        copies.put(make_copy(tmp_path_factory.mktemp(f"planted{at}")))

    def run(name: str) -> subprocess.CompletedProcess[str]:
        copy = copies.get()
        try:
            plant = next((plant for plant in PLANTS if plant.name == name), None)
            tests = sorted({plant.test for plant in PLANTS})
            return run_planted(copy, plant) if plant else run_tests(copy, tests, 300)
        finally:
            copies.put(copy)

    names = [item.callspec.params["name"] for item in request.session.items if item.path == request.path]
    with ThreadPoolExecutor(2) as pool:
        running = {name: pool.submit(run, name) for name in names}
        yield lambda name: running[name].result()
        pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(600)  # they wait for each other
@pytest.mark.parametrize("name", [SOUND, *(plant.name for plant in PLANTS)])
def test_a_planted_bug_is_killed(outcome: Run, name: str) -> None:
    plant = next((plant for plant in PLANTS if plant.name == name), None)
    if plant is not None:
        text = (ROOT / "extproc" / plant.file).read_text("utf-8")
        assert text.count(plant.old) == 1, "the plant's place has moved"
    result = outcome(name)
    assert result.returncode == (1 if plant else 0), result.stdout[-2000:]
    assert plant is None or "FAILED" in result.stdout, result.stdout[-2000:]
