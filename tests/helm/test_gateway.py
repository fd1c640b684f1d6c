"""The gateway's pod and what it is told: a configuration that the service takes, a policy that reloads, room to end."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from extproc.cli.policy_test import test_command as policy_test
from extproc.edge.settings import Settings
from extproc.edge.settings_file import build_unread
from tests.helm.pod_templates import Pod, find_pods
from tests.helm.rendering import CASES, CHART, expects_refusal, names, render, render_values

RENDERED = [name for name in names() if not expects_refusal(name)]
Document = dict[str, Any]


def settings_in(documents: list[Document]) -> Iterator[Settings]:
    for each in documents:
        if each["kind"] == "ConfigMap" and "config.yaml" in each["data"]:
            yield build_unread(each["data"]["config.yaml"].encode(), Path("/etc/extproc/config"))


def gateway(documents: list[Document]) -> tuple[Pod, Document]:
    """Its pod, and the annotations that make it start anew."""
    (owner,) = (
        each
        for each in documents
        if each["kind"] in ("Deployment", "StatefulSet")
        and each["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway"
    )
    (pod,) = find_pods([owner])
    return pod, owner["spec"]["template"]["metadata"]["annotations"]


def changed(tmp_path: Path, **values: Any) -> list[Document]:
    more = tmp_path / "more.yaml"
    more.write_text(yaml.safe_dump(values))
    return render_values(CASES / "gateway.in.yaml", more).documents


def container(pod: Pod, name: str) -> dict[str, Any]:
    (found,) = (each for each in pod.containers if each["name"] == name)
    return dict(found)


@pytest.mark.parametrize("name", RENDERED)
def test_the_service_takes_every_rendered_configuration(name: str) -> None:
    assert all(settings.workers for settings in settings_in(render(name).documents))


def test_large_numbers_stay_numbers() -> None:
    (settings,) = settings_in(render("gateway-stateful").documents)
    assert settings.limits.max_scan_steps == 3_000_000


def test_expressions_are_readable_in_the_cluster() -> None:
    (policy,) = (
        each["data"]["policy.yaml"]
        for each in render("gateway-scaled").documents
        if each["kind"] == "ConfigMap" and "policy.yaml" in each["data"]
    )
    assert "request.findings.pan > 10 && request.findings.pan < 1000000" in policy
    assert "Too many <cards>." in policy


def test_a_policy_starts_no_pod_anew_and_a_configuration_does(tmp_path: Path) -> None:
    _, before = gateway(render("gateway").documents)
    _, policy = gateway(changed(tmp_path, policy={"document": {"name": "another"}}))
    _, config = gateway(changed(tmp_path, config={"limits": {"max_header": "32KiB"}}))
    assert before == policy != config


def test_a_pod_has_time_to_end(tmp_path: Path) -> None:
    """Envoy hears of the end last: after whatever is drained, and before the kubelet loses patience."""
    pod, _ = gateway(changed(tmp_path, config={"drain": "2m"}))
    envoy = container(pod, "envoy")["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 120 + 5 < envoy < pod.spec["terminationGracePeriodSeconds"]
    (settings,) = settings_in(changed(tmp_path, config={"drain": "2m"}))
    assert settings.envoy.ends_with_service


def test_the_spool_has_room_on_its_volume_and_in_its_container() -> None:
    pod, _ = gateway(render("gateway").documents)
    (spool,) = (volume for volume in pod.volumes if volume["name"] == "spool")
    assert spool["emptyDir"]["sizeLimit"] == "1280Mi"
    assert container(pod, "extproc")["resources"]["limits"]["ephemeral-storage"] == "1536Mi"


def test_no_way_around_the_gateway() -> None:
    """The model server's pods let in the gateway's, at the port that it asks, and nobody else."""
    (policy,) = (
        each
        for each in render("gateway").documents
        if each["kind"] == "NetworkPolicy" and each["metadata"]["name"].endswith("-model-0")
    )
    assert policy["metadata"]["namespace"] == "models"
    (rule,) = policy["spec"]["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "gateway"
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "inference"}
    assert rule["ports"] == [{"port": 8000, "protocol": "TCP"}]


def test_a_digest_wins_over_a_tag(tmp_path: Path) -> None:
    digest = "sha256:" + "5" * 64
    pod, _ = gateway(changed(tmp_path, image={"tag": "1.2", "digest": digest}))
    assert container(pod, "extproc")["image"] == f"extproc@{digest}"


def test_the_example_of_the_page_is_taken_and_its_policy_holds() -> None:
    rendered = render_values(CHART / "examples" / "gateway.yaml")
    (settings,) = settings_in(rendered.documents)
    assert settings.deployment == "inference"
    ran = CliRunner().invoke(policy_test, ["--manifests", "-"], input=rendered.text)
    assert (ran.exit_code, ran.output) == (0, "2 cases: 2 passed, 0 failed\n")


@pytest.mark.parametrize("case", ["gateway", "gateway-stateful", "sidecar-vllm", "attach-istio"])
def test_notes_name_what_was_installed(case: str, tmp_path: Path) -> None:
    """`helm template` prints no notes, so that they are rendered as the text of an object."""
    chart = tmp_path / "extproc"
    shutil.copytree(CHART, chart)
    (chart / "templates" / "notes.yaml").write_text(
        'notes: {{ include (print $.Template.BasePath "/NOTES.txt") . | toJson }}\nkind: Notes\n'
    )
    documents = render_values(CASES / f"{case}.in.yaml", chart=chart).documents
    (notes,) = (each["notes"] for each in documents if each["kind"] == "Notes")
    assert [line for line in notes.splitlines() if line[:2] in ("1.", "2.", "3.")][2:]
    assert ("this one denies every request" in notes) is ("nobody-yet" in str(documents))
    named = {each["metadata"]["name"] for each in documents if "metadata" in each}
    for kind, name in re.findall(r"(deployment|statefulset|service|configmap)/?([a-z][a-z0-9-]+)", notes):
        assert name in named, f"{kind} {name}"


def test_events_bring_a_token_for_one_container_and_a_right_of_one_verb() -> None:
    documents = render("gateway-events").documents
    pod, _ = gateway(documents)
    (token,) = (volume["name"] for volume in pod.spec["volumes"] if "projected" in volume)
    assert [spec["name"] for spec in pod.containers if token in [m["name"] for m in spec["volumeMounts"]]] == [
        "extproc"
    ]
    (role,) = (each for each in documents if each["kind"] == "Role")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]
    without = render("gateway").documents
    assert [each for each in without if each["kind"] in ("Role", "RoleBinding")] == []
    assert [volume for volume in gateway(without)[0].spec["volumes"] if "projected" in volume] == []
