"""The service as a process of its own: what starts it also ends it."""

from pathlib import Path

import psutil
import pytest

from extproc.edge.settings_file import load_settings
from extproc.local import service_process
from extproc.local.guard import Wanted, write_config
from extproc.local.ports import free_port


def test_a_start_that_is_interrupted_leaves_no_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by what is no failure of a part: whoever waits for it is stopped."""
    config = write_config(Wanted(tmp_path, "http://127.0.0.1:9", workers=1), "http://127.0.0.1:9", free_port())
    before = set(psutil.Process().children())
    seen: list[psutil.Process] = []

    def interrupted(*_: object) -> None:
        seen.extend(set(psutil.Process().children()) - before)
        raise KeyboardInterrupt

    monkeypatch.setattr(service_process, "_wait_serving", interrupted)
    with pytest.raises(KeyboardInterrupt):
        service_process.start_service(config, load_settings(config), tmp_path / "service.log")
    assert len(seen) == 1
    assert not seen[0].is_running()
