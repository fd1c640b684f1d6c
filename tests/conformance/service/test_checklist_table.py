"""CHECKLIST.md names what it says: every point is there, every test exists, and every numbered test is listed."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| (\d+) \| (.+) \| (.+) \|$", (TESTS / "conformance" / "CHECKLIST.md").read_text("utf-8"), re.MULTILINE
)
POINTS = 33


def defined() -> set[str]:
    """Every test function under tests/."""
    names: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                names.add(node.name)
    return names


def test_the_checklist_has_every_point_once() -> None:
    assert [int(number) for number, _, _ in ROWS] == list(range(1, POINTS + 1))


def test_every_test_that_the_checklist_names_exists() -> None:
    known = defined()
    for number, _, tests in ROWS:
        named = re.findall(r"`(test_\w+)`", tests)
        assert named, f"point {number} names no test"
        assert not set(named) - known, f"point {number}"


def test_every_numbered_test_stands_at_its_point() -> None:
    listed = {int(number): set(re.findall(r"`(test_\w+)`", tests)) for number, _, tests in ROWS}
    for name in defined():
        if match := re.match(r"test_(\d\d)_", name):
            assert name in listed[int(match[1])], name
