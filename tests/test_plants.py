"""Planted bugs: each promise's test must turn red when the code that keeps the promise is broken.

Every plant changes one place in a copy of the package and runs the named test against the copy. A plant whose text is no
longer found fails too: it moves with the code.

`make test` looks for the places of all of them and carries out one in 24, another one for each commit; `make plants`, and
`-k`, carry out all that are asked for.
"""

import hashlib
import os
import queue
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path

import pytest

from tests.planting.copies import ROOT, Ran, Warm, compile_by_digest, make_copy, planted, start_warm
from tests.plants.plant import Plant

PLANTS: tuple[Plant, ...] = tuple(
    plant
    for path in sorted((ROOT / "tests" / "plants").glob("*.py"))
    if path.stem != "plant"
    for plant in import_module(f"tests.plants.{path.stem}").PLANTS
)
"""Those of every file of `plants/`: a new area is a new file there."""

BY_NAME = {plant.name: plant for plant in PLANTS}
SOUND = "without a plant"
COPIES = 3
SHARES = 24


def share_of(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()) % SHARES


def share_of_commit() -> int:
    """Which share is the turn of the commit that is checked out; the first where there is no repository."""
    said = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return int(said.strip() or "0", 16) % SHARES


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "planting" not in metafunc.fixturenames:
        return
    every = metafunc.config.option.keyword or os.environ.get("PLANTS") == "all"
    turn = share_of_commit()
    metafunc.parametrize("name", [*(name for name in BY_NAME if every or share_of(name) == turn), SOUND])


class Planting:
    """What became of each plant, by its name. As many run at a time as there are copies."""

    def __init__(self, warm: Warm, folder: Path, names: list[str]) -> None:
        self._warm = warm
        self._copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for at in range(COPIES):
            self._copies.put(make_copy(folder / str(at)))
        self._pool = ThreadPoolExecutor(COPIES)
        self._running = {name: self._pool.submit(self._run_planted, BY_NAME[name]) for name in names}

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def ran(self, name: str) -> Ran:
        return self._running[name].result()

    def run_sound(self) -> list[Ran]:
        """The tests that killed plants, in copies without one; shared out, so that no run is without a test."""
        ended = [running.result() for running in self._running.values() if running.exception() is None]
        tests = sorted({test for ran in ended for test in ran.failed})
        shares = [tests[at::COPIES] for at in range(min(COPIES, len(tests)))]
        return list(self._pool.map(self._run, shares))

    def _run_planted(self, plant: Plant) -> Ran:
        with self._copy() as copy, planted(copy, plant):
            return self._warm.run(copy, [plant.test], 110)

    def _run(self, tests: list[str]) -> Ran:
        with self._copy() as copy:
            return self._warm.run(copy, tests, 500)

    @contextmanager
    def _copy(self) -> Iterator[Path]:
        copy = self._copies.get()
        try:
            yield copy
        finally:
            self._copies.put(copy)


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with start_warm() as warm:
        yield warm


@pytest.fixture(scope="module")
def planting(
    request: pytest.FixtureRequest, warm: Warm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planting]:
    asked = [item.callspec.params["name"] for item in request.session.items if "planting" in item.fixturenames]
    names = [name for name in asked if name in BY_NAME]
    with closing(Planting(warm, tmp_path_factory.mktemp("planted"), names)) as planting:
        yield planting


def test_a_plant_is_known_by_its_name() -> None:
    assert len(BY_NAME) == len(PLANTS)


def test_every_plant_finds_its_place_once() -> None:
    texts = {plant.file: plant.path(ROOT).read_text("utf-8") for plant in PLANTS}
    assert [plant.name for plant in PLANTS if texts[plant.file].count(plant.old) != 1] == []


def test_every_plant_has_its_turn() -> None:
    shares = [sum(share_of(name) == turn for name in BY_NAME) for turn in range(SHARES)]
    assert sum(shares) == len(BY_NAME)
    assert min(shares) > len(BY_NAME) // (SHARES * 2)


@pytest.mark.timeout(600)  # they wait for each other
def test_a_planted_bug_is_killed(planting: Planting, name: str) -> None:
    """And without it the tests that killed it pass in the same copies: red means the plant."""
    if name == SOUND:
        shares = planting.run_sound()
        assert shares
        assert all(ran.sound for ran in shares), "".join(ran.output[-2000:] for ran in shares)
        return
    ran = planting.ran(name)
    assert ran.killed, f"exit code {ran.code}: {ran.output[-2000:]}"


SUMS = "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return 2 * a\n"
TESTS = f"""
import sys
import pytest
from extproc.sums import add

@pytest.fixture
def three():
    assert add(1, 2) == 3
    return 3

def test_add():
    assert add(1, 2) == 3

def test_with_setup(three):
    assert three == 3

def test_with_code_from_elsewhere():
    sys.path.insert(0, {str(ROOT)!r})
    import bench
"""


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    """A copy of a small package."""
    for folder in ("extproc", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "extproc" / "sums.py").write_text(SUMS)
    (tmp_path / "tests" / "test_sums.py").write_text(TESTS)
    for name in ("conftest.py", "grpc_at_home.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    compile_by_digest(tmp_path)
    return tmp_path


def plant_in_sums(old: str, new: str, test: str) -> Plant:
    return Plant("sums", "sums.py", old, new, f"tests/test_sums.py::{test}")


def test_a_plant_is_killed_by_a_test_that_fails(warm: Warm, sums: Path) -> None:
    plant = plant_in_sums("a + b", "a - b", "test_add")
    assert warm.run(sums, [plant.test], 60).sound
    with planted(sums, plant):
        assert warm.run(sums, [plant.test], 60).killed
    assert warm.run(sums, [plant.test], 60).sound


SURVIVORS: dict[str, tuple[Plant, float]] = {
    "its test passes": (plant_in_sums("2 * a", "3 * a", "test_add"), 60),
    "its test cannot be collected": (plant_in_sums("a + b", "a +", "test_add"), 60),
    "its test cannot be set up": (plant_in_sums("a + b", "a - b", "test_with_setup"), 60),
    "its test is not there": (plant_in_sums("a + b", "a - b", "test_nothing"), 60),
    "its test does not end": (plant_in_sums("    return a + b", "    while True: pass", "test_add"), 2),
    "its test breaks the process": (
        plant_in_sums("    return a", "    import os; os.abort()\n    return a", "test_add"),
        60,
    ),
    "other code is tested": (plant_in_sums("2 * a", "3 * a", "test_with_code_from_elsewhere"), 60),
}


@pytest.mark.parametrize("case", SURVIVORS)
def test_a_plant_is_not_killed_where(warm: Warm, sums: Path, case: str) -> None:
    plant, seconds = SURVIVORS[case]
    with planted(sums, plant):
        ran = warm.run(sums, [plant.test], seconds)
    assert not ran.killed, ran.output
    assert ran.sound is (case == "its test passes"), ran.output


def test_a_plant_whose_place_has_moved_is_an_error(sums: Path) -> None:
    with pytest.raises(AssertionError, match="moved"), planted(sums, plant_in_sums("a * b", "a", "test_add")):
        pass
