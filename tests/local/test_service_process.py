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


def test_a_service_that_ends_without_keys_says_its_status_and_where_it_says_why(tmp_path: Path) -> None:
    """The console, which opens the same keys, is started when they are there. No wait for keys, planted by hand,
    turns this red."""
    config = write_config(Wanted(tmp_path, "http://127.0.0.1:9", workers=1), "http://127.0.0.1:9", free_port())
    settings = load_settings(config)
    config.write_text("no configuration\n", "utf-8")
    starting = service_process.StartingService(config, settings, tmp_path / "service.log")
    with pytest.raises(
        service_process.NotStarted, match=r"the service ended with status 2; its log is .*/service\.log"
    ):
        starting.wait_keys()
    assert "config.yaml:" in (tmp_path / "service.log").read_text("utf-8")
