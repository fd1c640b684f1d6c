"""What sidecar and attach promise of what they render. What becomes of it in real processes, tests/conformance/service shows
(test_pod_end.py, test_attached.py)."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from extproc.core.document_reader import parse_document
from extproc.core.schema import check_schema
from extproc.core.units import parse_duration
from extproc.edge.bootstrap_filters import REQUEST_ATTRIBUTES, RESPONSE_ATTRIBUTES
from extproc.edge.settings_checks import check_settings
from tests.helm.kinds import complaints
from tests.helm.pod_templates import Pod, find_pods
from tests.helm.rendering import CHART, NAMESPACE, ROOT, names, render, run_helm

SIDECARS = [name for name in names() if name.startswith("sidecar-")]
ATTACHED = ["attach-envoy-gateway", "attach-istio"]
GATE = (ROOT / "extproc" / "edge" / "gate.lua").read_text("utf-8")
LOCK = (CHART / "files" / "response-lock.lua").read_text("utf-8")


def pod_of(name: str) -> Pod:
    (pod,) = (pod for pod in find_pods(render(name).documents) if pod.kind not in ("Job", "CronJob") and not pod.hook)
    return pod


def object_of(name: str, kind: str) -> dict[str, Any]:
    (found,) = (document for document in render(name).documents if document["kind"] == kind)
    return found


def config_of(name: str) -> dict[str, Any]:
    """The data plane's config.yaml."""
    config: dict[str, Any] = json.loads(
        next(
            document["data"]["config.yaml"]
            for document in render(name).documents
            if document["kind"] == "ConfigMap" and document["metadata"]["name"] == "guard-extproc-config"
        )
    )
    return config


@pytest.mark.parametrize("name", [*SIDECARS, *ATTACHED])
def test_the_service_takes_the_rendered_configuration(name: str) -> None:
    report = parse_document(json.dumps(config_of(name)).encode())
    check_schema(report, "config")
    check_settings(report, Path("/etc/extproc/config"))
    assert list(report.problems) == []


# -- sidecar -------------------------------------------------------------------------------------------------------------


def test_there_is_an_example_for_every_model_server() -> None:
    assert {name.removeprefix("sidecar-") for name in SIDECARS} == {
        "vllm",
        "llama-cpp",
        "ollama",
        "tgi",
        "kserve-triton",
    }


@pytest.mark.parametrize("name", SIDECARS)
def test_they_start_in_order_and_stay(name: str) -> None:
    """The model server starts when both are ready, and ends before them."""
    containers = pod_of(name).spec["initContainers"]
    said = [(container["name"], container.get("restartPolicy")) for container in containers]
    assert said == [("extproc-bootstrap", None), ("extproc", "Always"), ("extproc-envoy", "Always")]
    assert all("startupProbe" in container for container in containers[1:])


@pytest.mark.parametrize("name", SIDECARS)
def test_the_model_server_is_on_loopback_and_asked_through_envoy(name: str) -> None:
    (model,) = pod_of(name).spec["containers"]
    (connection,) = config_of(name)["connections"]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", connection["upstream"])
    said = json.dumps([model.get("args"), model.get("env")])
    assert "127.0.0.1" in said
    assert connection["upstream"].rpartition(":")[2] in said
    assert "ports" not in model
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert model[probe]["httpGet"] == {"path": "/model/chat/health", "port": 9902}
    assert connection["probe"]["health"].startswith("/")


@pytest.mark.parametrize("name", SIDECARS)
def test_the_model_server_sees_no_file_of_ours(name: str) -> None:
    (model,) = pod_of(name).spec["containers"]
    assert not [mount for mount in model["volumeMounts"] if mount["name"].startswith("extproc-")]
    assert model["securityContext"]["runAsUser"] != 65532


@pytest.mark.parametrize("name", SIDECARS)
def test_streams_have_the_time_to_end(name: str) -> None:
    spec = pod_of(name).spec
    (model,) = spec["containers"]
    drain = parse_duration(config_of(name).get("drain", "30s"))
    hook = model["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert hook >= 5 + drain, "5 s until nobody sends anything new"
    assert spec["terminationGracePeriodSeconds"] >= hook + 30
    service, envoy = spec["initContainers"][1:]
    assert service["lifecycle"]["preStop"]["exec"]["command"] == ["extproc", "drain", "--after", "5s"]
    assert "lifecycle" not in envoy, "it ends when the model server has"


def test_the_services_port_is_envoys() -> None:
    (port,) = object_of("sidecar-vllm", "Service")["spec"]["ports"]
    assert (port["targetPort"], port["port"]) == (8080, 80)


def test_kserves_predictor_is_a_pod_and_announces_no_port() -> None:
    """KServe's Service then leads to 8080."""
    inference = object_of("sidecar-kserve-triton", "InferenceService")
    assert inference["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "RawDeployment"
    spec = {
        k: v for k, v in inference["spec"]["predictor"].items() if k not in ("minReplicas", "labels", "annotations")
    }
    assert complaints({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}) == []
    assert spec["containers"][0]["name"] == "kserve-container"
    assert {"--grpc-address=127.0.0.1", "--metrics-address=127.0.0.1"} <= set(spec["containers"][0]["args"])


def test_another_chart_includes_the_sidecars(tmp_path: Path) -> None:
    """As SIDECAR.md says: this chart as a dependency, and its templates with `.Subcharts.extproc`."""
    (tmp_path / "templates").mkdir()
    shutil.copytree(CHART, tmp_path / "charts" / "extproc", ignore=shutil.ignore_patterns("examples", "image"))
    page = (CHART / "SIDECAR.md").read_text("utf-8")
    (template,) = re.findall(r"```yaml title=templates/model.yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "templates" / "model.yaml").write_text(template, "utf-8")
    (tmp_path / "Chart.yaml").write_text("{apiVersion: v2, name: own, version: 1.0.0}")
    values = yaml.safe_load((CHART / "examples" / "sidecar-vllm.yaml").read_text("utf-8"))
    values["sidecar"] = {"kind": ""}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({"extproc": values}), "utf-8")
    ran = run_helm("template", "guard", str(tmp_path), "--namespace", NAMESPACE, "--kube-version", "1.33.0")
    assert ran.returncode == 0, ran.stderr
    documents = [document for document in yaml.safe_load_all(ran.stdout) if document]
    assert [complaint for document in documents for complaint in complaints(document)] == []
    spec = next(d for d in documents if d["kind"] == "Deployment")["spec"]["template"]["spec"]
    ours = pod_of("sidecar-vllm").spec
    assert spec["initContainers"] == ours["initContainers"]
    assert [v for v in ours["volumes"] if v["name"].startswith("extproc-")] == spec["volumes"]
    (model,) = spec["containers"]
    for key in ("lifecycle", "startupProbe", "readinessProbe", "livenessProbe"):
        assert model[key] == ours["containers"][0][key]
    assert spec["terminationGracePeriodSeconds"] == ours["terminationGracePeriodSeconds"]
    assert {"guard-extproc-config", "guard-extproc-policy"} <= {d["metadata"]["name"] for d in documents}


# -- attach --------------------------------------------------------------------------------------------------------------


def function(name: str, text: str) -> str:
    (found,) = re.findall(rf"^(?:local )?function {name}\(.*?^end$", text, re.DOTALL | re.MULTILINE)
    return str(found)


def test_the_response_lock_withholds_as_our_own_does() -> None:
    assert function("withhold", LOCK) == function("withhold", GATE)
    policy = object_of("attach-envoy-gateway", "EnvoyExtensionPolicy")
    assert policy["spec"]["lua"][0]["inline"].rstrip() == LOCK.rstrip()
    patches = object_of("attach-istio", "EnvoyFilter")["spec"]["configPatches"]
    (lock,) = (p for p in patches if p["patch"]["value"].get("name") == "extproc.response-lock")
    source = lock["patch"]["value"]["typed_config"]["default_source_code"]["inline_string"]
    assert source.rstrip() == LOCK.rstrip()


def test_the_service_is_told_what_our_own_envoy_tells_it() -> None:
    (processor,) = object_of("attach-envoy-gateway", "EnvoyExtensionPolicy")["spec"]["extProc"]
    for direction, attributes in (("request", REQUEST_ATTRIBUTES), ("response", RESPONSE_ATTRIBUTES)):
        mode = processor["processingMode"][direction]
        assert mode == {"attributes": attributes, "body": "FullDuplexStreamed"}
        # Envoy Gateway takes these prefixes only.
        allowed = ("connection.", "source.", "destination.", "request.", "response.", "upstream.", "xds.route_")
        assert all(name.startswith(allowed) for name in attributes)
    assert processor["failOpen"] is False
    patches = object_of("attach-istio", "EnvoyFilter")["spec"]["configPatches"]
    (filtered,) = (p["patch"]["value"]["typed_config"] for p in patches if "ext_proc" in p["patch"]["value"]["name"])
    assert filtered["request_attributes"] == REQUEST_ATTRIBUTES
    assert filtered["response_attributes"] == RESPONSE_ATTRIBUTES
    assert filtered["failure_mode_allow"] is False


def test_istios_filters_stand_in_the_order_of_the_locks() -> None:
    """Each goes before the router: responses pass them from the last to the first."""
    patches = object_of("attach-istio", "EnvoyFilter")["spec"]["configPatches"]
    filters = [p["patch"]["value"]["name"] for p in patches if p["applyTo"] == "HTTP_FILTER"]
    assert filters == ["extproc.response-lock", "envoy.filters.http.ext_proc", "extproc.request-lock"]


def test_the_policy_is_on_the_whole_gateway() -> None:
    """A route that is left out would be a way around."""
    (target,) = object_of("attach-envoy-gateway", "EnvoyExtensionPolicy")["spec"]["targetRefs"]
    assert target == {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}


def test_every_route_to_a_model_server_demands_the_services_choice() -> None:
    rules = object_of("attach-envoy-gateway", "HTTPRoute")["spec"]["rules"]
    for rule in rules:
        (match,) = rule["matches"]
        assert ("backendRefs" in rule) is ("headers" in match)
    wanted = [rule["matches"][0]["headers"] for rule in rules if "backendRefs" in rule]
    assert wanted == [[{"name": "x-extproc-connection", "value": name}] for name in ("model", "small")]
    early = object_of("attach-envoy-gateway", "ClientTrafficPolicy")["spec"]["headers"]["earlyRequestHeaders"]
    assert "x-extproc-connection" in early["remove"]
    rules = object_of("attach-istio", "VirtualService")["spec"]["http"]
    for rule in rules:
        assert ("route" in rule) is ("x-extproc-connection" in rule.get("match", [{}])[0].get("headers", {}))


@pytest.mark.parametrize("name", ATTACHED)
def test_the_service_has_no_envoy_of_its_own_and_asks_for_a_certificate(name: str) -> None:
    assert [container["name"] for container in pod_of(name).containers] == ["extproc"]
    config = config_of(name)
    assert config["listener"]["address"] == "127.0.0.1"
    tls = config["ext_proc"]["tls"]
    assert tls["client_ca"] == "/etc/extproc/secrets/tls/ca.crt"
    assert tls["clients"]
