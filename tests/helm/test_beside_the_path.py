"""Console, anchor, migrations and test: who holds what, and what a hook finds when it runs.

How they run is in `test_console_pods.py`; that they look as reviewed, in `test_renders.py`.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.helm.pod_templates import TEMPLATES, Pod, find_pods
from tests.helm.rendering import render

CASES = ("console-ingress", "console-route", "anchor", "anchor-pem", "migrations-off")
Document = dict[str, Any]


def pod_of(case: str, component: str) -> Pod:
    (pod,) = (pod for pod in find_pods(render(case).documents) if pod.name == f"guard-extproc{component}")
    return pod


def secrets_of(pod: Pod) -> set[str]:
    return {volume["secret"]["secretName"] for volume in pod.volumes if "secret" in volume}


def config_of(case: str, name: str) -> Document:
    (found,) = (
        each
        for each in render(case).documents
        if each["kind"] == "ConfigMap" and each["metadata"]["name"] == f"guard-extproc-{name}"
    )
    return dict(yaml.safe_load(found["data"].get("config.yaml") or found["data"]["anchor.yaml"]))


def test_each_part_holds_its_own_secrets_alone() -> None:
    assert secrets_of(pod_of("console-ingress", "-console")) == {
        "extproc-audit-keys",
        "extproc-console",
        "extproc-console-keys",
        "extproc-console-tls",
        "extproc-database",
        "extproc-digest-key",
    }
    assert secrets_of(pod_of("anchor", "-anchor")) == {"extproc-anchor"}
    assert secrets_of(pod_of("anchor", "-migrations")) == {"extproc-database"}
    assert secrets_of(pod_of("anchor", "-test")) == set()
    assert not secrets_of(pod_of("console-ingress", "")) & {"extproc-console", "extproc-console-keys"}


def test_no_configuration_names_a_file_that_is_another_parts() -> None:
    gateway, console = config_of("console-ingress", "config"), config_of("console-ingress", "console")
    assert "console" not in gateway
    assert "notify" not in gateway["approvals"]
    assert "credential_file" not in json.dumps(console["connections"])
    assert "tls" not in console["listener"]
    assert console["approvals"]["notify"][0]["url_file"] == "/etc/extproc/secrets/console/slack.url"


def test_people_are_led_to_the_console_by_its_name() -> None:
    assert config_of("console-ingress", "console")["console"]["url"] == "https://console.example.org"
    for name in ("config", "console"):
        assert config_of("console-ingress", name)["approvals"]["url"] == "https://console.example.org/approvals/{id}"


def test_every_file_of_the_consoles_configuration_is_mounted() -> None:
    for case in ("console-ingress", "console-route"):
        mounts = [mount["mountPath"] for mount in pod_of(case, "-console").containers[0]["volumeMounts"]]
        for path in _paths(config_of(case, "console")):
            assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), path


def _paths(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _paths(each)
    elif isinstance(value, str) and value.startswith("/"):
        yield value


@pytest.mark.parametrize("case", ["anchor", "anchor-pem"])
def test_the_anchor_has_one_key_of_each_source_and_its_own_identity(case: str) -> None:
    pod = pod_of(case, "-anchor")
    sources = {volume["name"]: volume.get("secret") or volume.get("configMap") for volume in pod.volumes}
    assert [item["path"] for item in sources["anchor"]["items"]] == ["anchor.key"]
    assert [item["path"] for item in sources["public"]["items"]] == ["deployment.pub"]
    gateway = pod_of(case, "")
    assert pod.spec["serviceAccountName"] != gateway.spec["serviceAccountName"]
    assert config_of("anchor", "anchor")["copies"] == {"s3": {"bucket": "extproc-anchor", "region": "eu-west-1"}}


def test_one_anchor_at_a_time_and_none_that_repeats_itself() -> None:
    (job,) = (each["spec"] for each in render("anchor").documents if each["kind"] == "CronJob")
    assert (job["concurrencyPolicy"], job["jobTemplate"]["spec"]["backoffLimit"]) == ("Forbid", 0)


@pytest.mark.parametrize("case", CASES)
def test_what_a_hook_needs_is_there_before_it(case: str) -> None:
    """Of this chart: hooks of the same event with a smaller weight. Secrets are there already; nothing else is."""
    documents = render(case).documents
    hooks = {(each["kind"], each["metadata"]["name"]): each for each in documents if _events(each)}
    for (kind, name), hook in hooks.items():
        if kind not in TEMPLATES:
            continue
        needs = set(_needs(next(find_pods([hook]))))
        for need in needs:
            before = hooks.get(need)
            assert before is not None, f"{kind}/{name} needs {need}, which no hook makes"
            assert _events(before) >= _events(hook)
            assert _weight(before) < _weight(hook), f"{need} comes no earlier than {kind}/{name}"


def _events(document: Document) -> set[str]:
    return set(filter(None, (document["metadata"].get("annotations") or {}).get("helm.sh/hook", "").split(",")))


def _weight(document: Document) -> int:
    return int(document["metadata"]["annotations"].get("helm.sh/hook-weight", "0"))


def _needs(pod: Pod) -> Iterator[tuple[str, str]]:
    yield "ServiceAccount", pod.spec["serviceAccountName"]
    for volume in pod.volumes:
        if (source := volume.get("configMap")) and not source["name"].startswith("internal-"):
            yield "ConfigMap", source["name"]


def test_the_database_waits_for_the_job_alone() -> None:
    """With the Job nobody else migrates, and without it whoever starts first does."""
    assert config_of("anchor", "config")["approvals"]["migrate"] == "manual"
    assert config_of("migrations-off", "config")["approvals"]["migrate"] == "automatic"
    assert not [pod for pod in find_pods(render("migrations-off").documents) if pod.kind in {"Job", "Pod"}]
