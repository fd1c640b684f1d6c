"""A real disk that is full: new exchanges are refused, refusals and the failure are recorded, and room ends it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from extproc.core.reasons import Reason
from tests.audit.faults import ROOT
from tests.audit.full_disk import FULL_SECONDS

MOUNT = 'mount -t tmpfs -o size=1m,mode=700 spool "$1/spool" && exec "$2" -m tests.audit.full_disk "$1" "$3"'
NAMESPACES = (["unshare", "--user", "--map-root-user", "--mount"], ["unshare", "--mount"])
"""As anybody, where that is allowed; else as root."""


def namespace() -> list[str]:
    for found in NAMESPACES:
        probe = [*found, "mount", "-t", "tmpfs", "probe", "/mnt"]
        if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
            return found
    raise AssertionError("no small disk can be mounted: allow user namespaces, or run as root with CAP_SYS_ADMIN")


def run(folder: Path, how: str) -> dict[str, Any]:
    """The story of `full_disk`, told by itself."""
    (folder / "spool").mkdir()
    command = [*namespace(), "sh", "-c", MOUNT, "sh", str(folder), sys.executable, how]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert told.returncode == 0, told.stderr
    story: dict[str, Any] = json.loads(told.stdout)
    return story


def the(story: dict[str, Any], code: str) -> dict[str, Any]:
    (found,) = [record for record in story["records"] if record["code"] == code]
    return dict(found)


def test_a_full_disk_refuses_says_so_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    story = run(tmp_path, "filled")
    assert (story["before"], story["end"], story["denial"], story["after"]) == (True, True, True, True)
    assert (story["accepting"], story["request"]) == (False, Reason.AUDIT_UNAVAILABLE.value)
    assert story["failing"] == ["audit_spool"]
    assert "second" in [record["exchange"] for record in story["records"] if record["code"] == "request.refuse"]
    failure, pause = the(story, "control.failure"), the(story, "log.pause")
    assert (failure["control"], failure["cause"], pause["cause"]) == ("audit_spool", "disk_full", "disk_full")
    codes = [record["code"] for record in story["records"]]
    assert codes.index("control.failure") < codes.index("log.pause") < codes.index("log.resume")
    for code, duration in (("control.restored", "failed_ms"), ("log.resume", "paused_ms")):
        milliseconds = the(story, code)[duration]
        assert FULL_SECONDS * 500 < milliseconds <= story["seconds"] * 1000 + 500, "as long as the disk was full"
    assert [record["exchange"] for record in story["records"] if record["code"] == "inference.request"] == [
        "first",
        "third",
    ], "what was refused is not there as if it had been let on"
    assert story["verify"] == 0


def test_a_disk_with_room_tells_nothing_of_the_kind(tmp_path: Path) -> None:
    story = run(tmp_path, "with room")
    assert (story["accepting"], story["request"], story["failing"]) == (True, "taken", [])
    codes = {record["code"] for record in story["records"]}
    assert not codes & {"control.failure", "log.pause", "log.resume", "control.restored"}
    assert story["verify"] == 0
