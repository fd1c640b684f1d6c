"""`extproc envoy config --unchecked`: where no Envoy is at hand, as in the image of the service."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from extproc.cli.envoy import command
from extproc.edge.bootstrap import render_following
from extproc.edge.settings_file import load_settings


def test_config_is_rendered_without_an_envoy_where_that_is_asked_for(
    folder: Path, put: Callable[[dict[str, Any]], Path], minimal: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTPROC_ENVOY", str(folder / "none"))
    minimal["run_directory"] = "run"
    config_file, output = put(minimal), folder / "out.yaml"
    arguments = ["config", "--config", str(config_file), "--output", str(output)]
    refused = CliRunner().invoke(command, arguments)
    assert (refused.exit_code, output.exists()) == (1, False)
    assert "`--unchecked` renders without one" in refused.stderr
    done = CliRunner().invoke(command, [*arguments, "--unchecked"])
    assert (done.exit_code, done.output) == (0, "")
    secret = (folder / "run" / "gate").read_text().strip()
    assert output.read_text() == render_following(load_settings(config_file), secret)
