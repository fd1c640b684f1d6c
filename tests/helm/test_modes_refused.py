"""What sidecar and attach cannot do is refused, with the way out in the words; each over a case that renders."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.rendering import CASES, render_values

SIDECAR, GATEWAY, ISTIO = "sidecar-vllm", "attach-envoy-gateway", "attach-istio"
PROBE = {"health": "/health"}


def pod(**more: Any) -> dict[str, Any]:
    return {"sidecar": {"pod": more}}


def connection(upstream: str = "http://127.0.0.1:8000", **more: Any) -> dict[str, Any]:
    return {"config": {"connections": [{"name": "chat", "upstream": upstream, **more}]}}


def container(**more: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "vllm", "image": "vllm:1", **more}])


@pytest.mark.parametrize(
    ("case", "values", "words"),
    [
        # Ways around the sidecars.
        (SIDECAR, connection("http://10.0.0.1:8000", probe=PROBE), "must be on loopback"),
        (SIDECAR, connection("http://vllm:8000", probe=PROBE), "must be on loopback"),
        (SIDECAR, connection("http://127.0.0.1.example.org:80", probe=PROBE), "must be on loopback"),
        (SIDECAR, container(args=["--host", "0.0.0.0"]), "Bind it to 127.0.0.1"),
        (SIDECAR, container(env=[{"name": "OLLAMA_HOST", "value": "0.0.0.0:11434"}]), "Bind it to 127.0.0.1"),
        (SIDECAR, container(args=["--host", "[::]"]), "Bind it to 127.0.0.1"),
        (SIDECAR, container(ports=[{"containerPort": 8000}]), "announces port 8000"),
        (SIDECAR, pod(hostNetwork=True), "is that of the node"),
        (SIDECAR, pod(shareProcessNamespace=True), "sees the processes"),
        # Pods that would not say when they are ready, or end too early.
        (SIDECAR, connection(), "config.connections[0].probe.health is the path"),
        (SIDECAR, pod(terminationGracePeriodSeconds=30), "less than the 90 s"),
        (SIDECAR, pod(containers=[]), "sidecar.pod.containers is the pod"),
        ("sidecar-kserve-triton", {"secrets": {"tls": {"existingSecret": "tls"}}}, "let its gateway end TLS"),
        # Holds that the gateway would cut.
        (GATEWAY, {"attach": {"timeouts": {"streamIdle": "15m"}}}, "before the longest hold ends"),
        (ISTIO, {"config": {"envoy": {"max_hold": "20m"}}}, "before the longest hold ends"),
        # Locks that are promised and are none.
        (GATEWAY, {"attach": {"routes": {"enabled": False}}}, "the routes must follow the service's choice"),
        (
            GATEWAY,
            {**connection("http://vllm:8000"), "attach": {"routes": {"enabled": False}}},
            "Say so in attach.accept: [request-lock]",
        ),
        (GATEWAY, {"attach": {"clientTrafficPolicy": False}}, "a client opens the request lock"),
        (GATEWAY, {"attach": {"responseLock": False}}, "Say so in attach.accept: [response-lock]"),
        (ISTIO, {"attach": {"responseLock": False}}, "Say so in attach.accept: [response-lock]"),
        # Routes to what a gateway does not know.
        (GATEWAY, connection("http://10.1.2.3:8000"), "must be a Service"),
        (GATEWAY, connection("http://models.example.org:8000"), "must be a Service"),
        # Who is attached to, and who may call.
        (GATEWAY, {"attach": {"gateway": {"name": ""}}}, "attach.gateway.name is the Gateway"),
        (GATEWAY, {"attach": {"authority": {"name": ""}}}, "whose authority signed the service's certificate"),
        (GATEWAY, {"attach": {"clients": []}}, "vouches for many that are no gateway"),
        (GATEWAY, {"secrets": {"tls": {"existingSecret": ""}}}, "the service needs a certificate"),
        (GATEWAY, {"secrets": {"tls": {"clientAuthority": ""}}}, "the gateway's client certificate"),
        (ISTIO, {"attach": {"istio": {"selector": None}}}, "changes every proxy of its namespace"),
        (ISTIO, {"attach": {"istio": {"gateways": []}}}, "the Gateways of the VirtualService"),
        (ISTIO, {"attach": {"istio": {"context": "SIDECAR_INBOUND"}}}, "exactly one connection"),
        (GATEWAY, {"config": {"identity": {"spiffe": {"trust_domains": ["a.b"]}}}}, "here the gateway ends TLS"),
        # Nets with a hole.
        (GATEWAY, {"networkPolicy": {"models": []}}, "everybody could reach it, past the gateway"),
        (GATEWAY, {"networkPolicy": {"clients": [{"podSelector": {}}]}}, "these are the gateway's proxies"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path: Path, case: str, values: dict[str, Any], words: str) -> None:
    overlay = tmp_path / "values.yaml"
    overlay.write_text(yaml.safe_dump(values), "utf-8")
    rendered = render_values(CASES / f"{case}.in.yaml", overlay)
    assert rendered.refused, "it renders"
    assert words in rendered.text


@pytest.mark.parametrize(
    ("case", "values"),
    [
        (
            GATEWAY,
            {**connection("http://vllm:8000"), "attach": {"routes": {"enabled": False}, "accept": ["request-lock"]}},
        ),
        (GATEWAY, {"attach": {"responseLock": False, "accept": ["response-lock"]}}),
        (ISTIO, {**connection("http://vllm:8000"), "attach": {"istio": {"context": "SIDECAR_INBOUND"}}}),
        (SIDECAR, {"sidecar": {"kind": ""}}),
        (SIDECAR, pod(terminationGracePeriodSeconds=300)),
    ],
)
def test_what_is_accepted_in_so_many_words_renders(tmp_path: Path, case: str, values: dict[str, Any]) -> None:
    overlay = tmp_path / "values.yaml"
    overlay.write_text(yaml.safe_dump(values), "utf-8")
    rendered = render_values(CASES / f"{case}.in.yaml", overlay)
    assert not rendered.refused, rendered.text
