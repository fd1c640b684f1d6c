"""Which changes of values replace pods: none that the service takes over while it serves."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.rendering import CASES, render_values

Values = dict[str, Any]
WORKLOADS = ["gateway", "gateway-stateful", "sidecar-vllm", "attach-envoy-gateway", "attach-istio"]


def rendered(name: str, folder: Path, **config: Any) -> tuple[list[Values], str]:
    """The pod templates of Deployments and StatefulSets of a case with other `config`, and the text of its config.yaml."""
    values = yaml.safe_load((CASES / f"{name}.in.yaml").read_text("utf-8"))
    values["config"] |= config
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    documents = render_values(path).documents
    pods = [each["spec"]["template"] for each in documents if each["kind"] in ("Deployment", "StatefulSet")]
    configs = [each for each in documents if each["kind"] == "ConfigMap" and "config.yaml" in each["data"]]
    (text,) = (each["data"]["config.yaml"] for each in configs if "console" not in each["metadata"]["name"])
    return pods, text


@pytest.mark.parametrize("name", WORKLOADS)
def test_model_servers_and_issuers_are_taken_over_by_the_pods_that_run(name: str, tmp_path: Path) -> None:
    config = yaml.safe_load((CASES / f"{name}.in.yaml").read_text("utf-8"))["config"]
    pods, text = rendered(name, tmp_path)
    connections = [{**config["connections"][0], "models": ["other-*"]}, *config["connections"][1:]]
    issuers = [{**config["identity"]["issuers"][0], "audiences": ["others"]}]
    other_pods, other_text = rendered(name, tmp_path, connections=connections, identity={"issuers": issuers})
    assert other_text != text
    assert other_pods == pods != []


@pytest.mark.parametrize("name", WORKLOADS)
def test_any_other_change_replaces_the_pods(name: str, tmp_path: Path) -> None:
    pods, text = rendered(name, tmp_path)
    other_pods, other_text = rendered(name, tmp_path, limits={"max_body": "1MiB"})
    assert other_text != text
    assert len(other_pods) == len(pods)
    assert all(one != other for one, other in zip(pods, other_pods, strict=True))
