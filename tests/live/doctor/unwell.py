"""Looking at what the doctor says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from extproc.live.check import Check, State

POLICY = """
apiVersion: extproc/v1
kind: Policy
name: conformance
masking: {profile: pci-strict, styles: {pan: label}}
rules:
  - name: analysts
    effect: allow
    match: {groups: [analysts]}
"""


def unwell(checks: Iterator[Check]) -> dict[str, Check]:
    """What is not as it should be, by name. Whatever fails says how it is mended."""
    found = {each.name: each for each in checks if each.state in (State.FAIL, State.WARN)}
    assert all(each.mend for each in found.values()), found
    return found


@contextmanager
def mode(path: Path, wanted: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(wanted)
    try:
        yield
    finally:
        path.chmod(before)
