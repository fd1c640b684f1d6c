"""A configuration with several problems: every command says all of them, with their places, and ends with 2."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from extproc.cli.main import main

BAD = """\
apiVersion: extproc/v1
kind: Config
deployment: "UPPER CASE/AND MORE"
run_directory: run
workers: 0
drain: soon
connections:
  - name: model
    upstream: ftp://127.0.0.1
identity:
  issuers: []
policy: policy.yaml
digest_key: digest.key
approvals: {database: "sqlite:///a.db"}
audit: {spool: spool, keys: keys, store: {directory: store}}
no_such_key: 1
"""


@pytest.mark.parametrize(
    "command",
    [
        ("serve",), ("envoy", "config"), ("audit", "list"), ("audit", "verify"), ("approvals", "list"),
        ("approvals", "grant", "apr-1", "--reason", "x"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_command_says_all_problems_with_their_places(tmp_path: Path, command: tuple[str, ...]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(BAD, "utf-8")
    result = CliRunner().invoke(main, [*command, "--config", str(path)], env={"EXTPROC_TOKEN": "a.b.c"})
    assert result.exit_code == 2, result.output
    for named in ("workers", "drain", "upstream", "issuers", "no_such_key"):
        assert re.search(rf"^{re.escape(str(path))}:\d+:\d+: .*{named}", result.output, re.MULTILINE), named
    count = re.search(r"^(\d+) problem", result.output, re.MULTILINE)
    assert count is not None
    assert int(count[1]) >= 5
