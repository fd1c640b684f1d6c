"""`extproc policy check` and `test` over rendered Kubernetes objects."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from extproc.cli.policy import command

POLICY = """apiVersion: extproc/v1
kind: Policy
name: rendered
rules:
  - name: staff
    effect: allow
    match: {groups: [staff]}
  - name: bulk
    effect: hold
    match: {at_least: {max_tokens: 2000}}
    hold: {approvers: [leads], wait: 60s, expire: 1h}
"""
CASES = """apiVersion: extproc/v1
kind: PolicyTests
tests:
  - name: staff may ask
    now: 2026-11-28T10:00:00Z
    principal: {subject: anna, groups: [staff]}
    request: {path: /v1/chat/completions, body: {model: m, messages: [{role: user, content: Hello}]}}
    expect: {effect: EFFECT}
"""
CONFIG = """apiVersion: extproc/v1
kind: Config
deployment: eu
run_directory: /run/extproc
listener: {address: 0.0.0.0, port: 8080}
connections: [{name: model, upstream: "http://model:8000", credential_file: /etc/extproc/secrets/credentials/key}]
identity:
  issuers:
    - {issuer: "https://issuer.example", jwks_file: /etc/extproc/secrets/issuers/jwks, audiences: [a], algorithms: [ES256]}
policy: /etc/extproc/policy/policy.yaml
digest_key: /etc/extproc/secrets/digest-key/digest.key
approvals: {database_file: /etc/extproc/secrets/database/url}
envoy: {max_hold: 300s}
audit: {spool: /var/lib/extproc/spool, keys: /etc/extproc/secrets/audit-keys, store: {directory: /var/lib/extproc/store}}
"""


def config_map(name: str, **data: str) -> dict[str, object]:
    keys = {key.replace("__", ".").replace("_", "-"): value for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": keys}


def run(what: str, *objects: object) -> tuple[int, str]:
    result = CliRunner().invoke(command, [what, "--manifests", "-"], input=yaml.safe_dump_all(objects))
    return result.exit_code, result.output


SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "guard"}}


def test_a_policy_in_a_rendered_config_map_is_checked() -> None:
    code, output = run("check", SERVICE, None, config_map("guard-policy", policy__yaml=POLICY))
    assert code == 0
    first, tally = output.splitlines()
    assert first.startswith("ConfigMap/guard-policy/policy.yaml: policy rendered, sha256:")
    assert tally == "1 checked: 1 clean, 0 with problems, 0 unreadable"


def test_a_bad_policy_is_told_with_its_line_in_the_policy() -> None:
    code, output = run("check", config_map("guard-policy", policy__yaml=POLICY.replace("effect: hold", "effect: held")))
    assert code == 1
    assert output.startswith("ConfigMap/guard-policy/policy.yaml:9:13: rules[1].effect: ")


def test_a_policy_is_held_against_the_settings_beside_it() -> None:
    """A hold that is longer than the deployment's longest would refuse to start in the cluster."""
    policy, config = config_map("p", policy__yaml=POLICY), config_map("c", config__yaml=CONFIG)
    assert run("check", policy, config)[0] == 0
    code, output = run("check", policy, config_map("c", config__yaml=CONFIG.replace("300s", "30s")))
    assert code == 1
    assert "ConfigMap/p/policy.yaml:11:" in output


CONSOLE = """
console:
  url: https://console.example.org
  port: 8090
  keys: /var/lib/extproc/console-keys
  oidc: {issuer: "https://issuer.example", client_id: console}
  roles: {reader: [staff]}
"""


def test_a_policy_is_held_against_the_services_settings_not_the_consoles() -> None:
    policy, console = config_map("p", policy__yaml=POLICY), config_map("o", config__yaml=CONFIG + CONSOLE)
    short = CONFIG.replace("300s", "30s")
    assert run("check", policy, console, config_map("c", config__yaml=CONFIG))[0] == 0
    assert run("check", policy, console, config_map("c", config__yaml=short))[0] == 1
    assert run("check", policy, config_map("o", config__yaml=short + CONSOLE))[0] == 1


def test_wrong_settings_beside_a_policy_are_told() -> None:
    config = config_map("c", config__yaml=CONFIG.replace("deployment: eu", "deployments: eu"))
    code, output = run("check", config_map("p", policy__yaml=POLICY), config)
    assert code == 2
    assert "ConfigMap/c/config.yaml:3:" in output


@pytest.mark.parametrize(("effect", "code"), [("allow", 0), ("deny", 1)])
def test_cases_in_the_same_config_map_are_run(effect: str, code: int) -> None:
    cases = CASES.replace("EFFECT", effect)
    exit_code, output = run("test", config_map("guard-policy", policy__yaml=POLICY, staff__test__yaml=cases))
    assert exit_code == code
    assert output.splitlines()[-1] == f"1 case: {1 - code} passed, {code} failed"
    assert ("FAIL - ConfigMap/guard-policy/staff.test.yaml:4 - staff may ask" in output) is bool(code)


def test_cases_hold_for_the_policy_of_their_own_config_map_only() -> None:
    other = POLICY.replace("groups: [staff]", "groups: [other]")
    maps = (
        config_map("a", policy__yaml=POLICY, s__test__yaml=CASES.replace("EFFECT", "allow")),
        config_map("b", policy__yaml=other, s__test__yaml=CASES.replace("EFFECT", "deny")),
    )
    code, output = run("test", {"apiVersion": "v1", "kind": "List", "items": list(maps)})
    assert code == 0, output
    assert output == "2 cases: 2 passed, 0 failed\n"


def test_a_policy_without_a_case_exits_2() -> None:
    code, output = run("test", config_map("guard-policy", policy__yaml=POLICY))
    assert code == 2
    assert "ConfigMap/guard-policy/policy.yaml: there is no case to run" in output


@pytest.mark.parametrize("what", ["check", "test"])
def test_objects_without_a_policy_exit_2(what: str) -> None:
    code, output = run(what, SERVICE, config_map("c", other__yaml="a"))
    assert code == 2
    assert "no ConfigMap in it has a `policy.yaml`" in output


@pytest.mark.parametrize(("text", "said"), [("a: [\n", "is not YAML"), ("a: b: c\nsecret", ":1: is not YAML")])
def test_what_is_no_yaml_exits_2_and_is_not_quoted(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "rendered.yaml"
    file.write_text(text)
    result = CliRunner().invoke(command, ["check", "--manifests", str(file)])
    assert result.exit_code == 2
    assert said in result.output
    assert "secret" not in result.output
