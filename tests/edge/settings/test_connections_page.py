"""The configuration on `CONNECTIONS.md` is a whole one, and sends requests where the page's table says."""

import re
from pathlib import Path

import pytest
import yaml

import extproc.core
from extproc.core.connections import find_candidates
from extproc.core.reasons import Malformed
from extproc.core.snapshot import Connection
from extproc.edge.bootstrap import render_bootstrap
from extproc.edge.settings import Settings
from extproc.edge.settings_file import load_settings

PAGE = (Path(extproc.core.__file__).parent / "CONNECTIONS.md").read_text("utf-8")
(EXAMPLE,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
ROWS = [[cell.strip(" `") for cell in row.split("|")] for row in re.findall(r"^\| (`\S+/.*) \|$", PAGE, re.MULTILINE)]
DESCRIBED = {"hosts", "path_prefix", "models", *re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)}


@pytest.fixture
def settings(folder: Path) -> Settings:
    """As the real loader takes it; the credentials are those that it names."""
    for name in ("vllm-a", "partner"):
        (folder / "secrets" / f"{name}.key").write_text(f"{name}-key\n")
    path = folder / "config.yaml"
    path.write_text(EXAMPLE, "utf-8")
    return load_settings(path)


def test_the_example_is_a_configuration_that_envoy_can_be_given(settings: Settings) -> None:
    rendered = render_bootstrap(settings, "g" * 40)
    assert all(
        connection.upstream.removeprefix("http://").split(":")[0] in rendered for connection in settings.connections
    )


def test_the_example_shows_every_key_that_the_page_describes() -> None:
    assert len(DESCRIBED) == 9
    assert {key for connection in yaml.safe_load(EXAMPLE)["connections"] for key in connection} >= DESCRIBED


def served(connections: tuple[Connection, ...], where: str, model: str) -> list[str]:
    """The rest of a row: connection, path and model at the server."""
    host, slash, path = where.partition("/")
    try:
        candidates = find_candidates(connections, host.encode(), slash + path)
        connection = candidates.of_model(model)
        if connection.only_mapped and model not in connection.model_map:
            return ["404", "", ""]
    except Malformed:
        return ["404", "", ""]
    return [connection.name, candidates.path, connection.model_map.get(model, model)]


def test_the_table_says_where_requests_go(settings: Settings) -> None:
    connections = tuple(each.served(None) for each in settings.connections)
    assert len(ROWS) == 7
    assert {row[2] for row in ROWS} == {each.name for each in connections} | {"404"}
    for where, model, *rest in ROWS:
        assert served(connections, where, model) == rest, where
