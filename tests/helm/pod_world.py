"""A rendered pod in the world of the conformance tests: an issuer, a model server under the test's thumb, and clients.

All of them are in the pod's network. What the pod writes is looked at through its volumes.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from click.testing import CliRunner

from extproc.cli.main import main
from extproc.edge.settings import Settings
from extproc.edge.settings_file import load_settings
from extproc.local.guard import AUDIENCE, Guard
from extproc.local.issuer import RunningIssuer, start_issuer
from tests.conformance.service.conftest import POLICY, Upstream, World, run_upstream
from tests.helm.backends import CREDENTIALS, REGION, S3_PORT, bucket_server
from tests.helm.container import Container
from tests.helm.network import Network
from tests.helm.pod import RunningPod
from tests.helm.rendering import CASES, render_values

MODEL_PORT, ISSUER_PORT = 8000, 8001
STORE = "/var/lib/extproc/store"
BUCKET = "extproc-audit"
VALUES: dict[str, Any] = {
    "config": {
        "deployment": "pod",
        "drain": "5s",
        "connections": [
            {
                "name": "chat",
                "upstream": f"http://127.0.0.1:{MODEL_PORT}",
                "credential_file": "/etc/extproc/secrets/credentials/chat.key",
            }
        ],
        "identity": {
            "issuers": [
                {
                    "issuer": f"http://127.0.0.1:{ISSUER_PORT}",
                    "discovery": True,
                    "audiences": [AUDIENCE],
                    "algorithms": ["ES256", "RS256", "EdDSA"],
                }
            ]
        },
    },
    "policy": {"document": yaml.safe_load(POLICY)},
    "secrets": {"credentials": {"existingSecret": "credentials"}},
    "migrations": {"enabled": False},
    "gateway": {
        "workers": 1,
        "extraVolumes": [{"name": "store", "emptyDir": {"sizeLimit": "256Mi"}}],
        "extraVolumeMounts": [{"name": "store", "mountPath": STORE}],
    },
}
"""Over `gateway.in.yaml`: what is outside of the pod stands on loopback, and a folder for the bucket."""


@dataclass(frozen=True, slots=True)
class PodGuard:
    """What the conformance tests ask of a guard, of a pod. Paths are those of the volumes."""

    url: str
    settings: Settings
    config: Path
    issuer: RunningIssuer
    issuer_directory: Path
    pod: RunningPod


SIDECAR_VALUES: dict[str, Any] = {
    "config": {
        **VALUES["config"],
        "connections": [{**VALUES["config"]["connections"][0], "probe": {"health": "/health", "metrics": "/metrics"}}],
        "audit": {"store": {"s3": {"bucket": BUCKET, "region": REGION, "endpoint_url": f"http://127.0.0.1:{S3_PORT}"}}},
    },
    "policy": VALUES["policy"],
    "migrations": {"enabled": False},
    "secrets": {
        "digestKey": {"existingSecret": "guard-digest"},
        "auditKeys": {"existingSecret": "guard-audit-keys"},
        "database": {"existingSecret": "guard-database"},
        "credentials": {"existingSecret": "credentials"},
    },
    "sidecar": {"extraEnv": [{"name": name, "value": value} for name, value in CREDENTIALS.items()]},
}
"""Over `sidecar-vllm.in.yaml`."""


@contextmanager
def pod_world() -> Iterator[World]:
    """The gateway's pod, ready. Whoever uses it has entered its network: `world.guard.pod.network`."""
    values = yaml.safe_load((CASES / "gateway.in.yaml").read_text("utf-8"))
    values["config"]["audit"]["store"] = {"directory": STORE}
    with ExitStack() as stack:
        yield _start(stack, Network(), STORE, values, VALUES)


@contextmanager
def sidecar_world(model: list[str]) -> Iterator[World]:
    """A model server's pod with both sidecars, ready. The model server is the test's own, in the pod's network; its
    container runs the command `model`."""
    values = yaml.safe_load((CASES / "sidecar-vllm.in.yaml").read_text("utf-8"))
    values["sidecar"]["pod"]["containers"][0] |= {"command": model, "args": []}
    network = Network()
    with bucket_server(network, BUCKET), ExitStack() as stack:
        yield _start(stack, network, "/run/extproc", values, SIDECAR_VALUES)


@contextmanager
def entered(world: Any) -> Iterator[Any]:
    """Connections of a test are made in the pod's network; its model server answers as at first, before and afterwards."""
    world.upstream.answer = None
    with world.guard.pod.network.entered():
        yield world
    world.upstream.answer = None


def silent_probes(pod: RunningPod, count: int) -> list[tuple[str, str]]:
    """The probes that are not answered, of the `count` that there are: container and kind."""
    probes = [(spec["name"], kind) for spec in pod.pod.serving for kind in spec if kind.endswith("Probe")]
    assert len(probes) == count
    return [probe for probe in probes if not pod.probe(*probe)]


def status_of(container: Container) -> dict[str, str]:
    """What the kernel says of its first process."""
    text = container.run(["cat", "/proc/1/status"]).stdout
    return dict(re.findall(r"^(\w+):\s+(.*)$", text, re.MULTILINE))


def _start(stack: ExitStack, network: Network, data: str, *values: dict[str, Any]) -> World:
    """`data` is a folder of the pod in which the approval store may be."""
    folder = Path(tempfile.mkdtemp(prefix="pod-"))  # the user of the pod has to get through to it
    stack.callback(shutil.rmtree, folder)
    folder.chmod(0o755)
    stack.callback(network.close)
    upstream, issuer = _start_outside(stack, network, folder)
    files = [folder / f"values-{number}.yaml" for number in range(len(values))]
    for path, each in zip(files, values, strict=True):
        path.write_text(yaml.safe_dump(each))
    digest_key = os.urandom(32)
    secrets = {
        "guard-digest": {"digest.key": digest_key},
        "guard-audit-keys": audit_keys(folder, digest_key),
        "guard-database": {"url": f"sqlite:///{data}/approvals.db".encode()},
        "credentials": {"chat.key": b"model-key-of-ours"},
    }
    documents = render_values(*files).documents
    pod = RunningPod(documents, "Deployment/guard-extproc", folder / "pod", secrets=secrets, network=network)
    pod.start()
    stack.callback(pod.kill)
    config = _config_of_host(pod, data)
    guard = PodGuard("http://127.0.0.1:8080", load_settings(config), config, issuer, folder / "issuer", pod)
    return World(cast("Guard", guard), upstream, folder)


def _start_outside(stack: ExitStack, network: Network, folder: Path) -> tuple[Upstream, RunningIssuer]:
    (folder / "issuer").mkdir()
    with network.entered():
        issuer = start_issuer(folder / "issuer", ISSUER_PORT, audience=AUDIENCE)
        stack.callback(issuer.stop)
        upstream, server = run_upstream(MODEL_PORT)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return upstream, issuer


def audit_keys(folder: Path, digest_key: bytes) -> dict[str, bytes]:
    """As the chart's README has them made."""
    (folder / "digest.key").write_bytes(digest_key)
    command = ["audit", "make-keys", str(folder / "keys"), "--digest-key", str(folder / "digest.key")]
    ran = CliRunner().invoke(main, command)
    assert ran.exit_code == 0, ran.output
    return {path.name: path.read_bytes() for path in (folder / "keys").iterdir() if path.name != "lock"}


def _config_of_host(pod: RunningPod, data: str) -> Path:
    """The rendered config.yaml with the volumes' own paths: commands of a test read what the pod reads."""
    mounts = {mount["mountPath"]: mount["name"] for mount in pod.spec("extproc")["volumeMounts"]}
    document = yaml.safe_load((pod.volumes.path(mounts["/etc/extproc/config"]) / "config.yaml").read_text("utf-8"))

    def outside(value: Any) -> Any:
        match value:
            case dict():
                return {key: outside(each) for key, each in value.items()}
            case list():
                return [outside(each) for each in value]
            case str():
                for target in sorted(mounts, key=len, reverse=True):
                    if value == target or value.startswith(f"{target}/"):
                        return f"{pod.volumes.path(mounts[target])}{value.removeprefix(target)}"
        return value

    document = outside(document)
    document["audit"]["keys"] = str(pod.folder.parent / "keys")  # a command of root's is not in the pod's group
    document["approvals"] = {"database": f"sqlite:///{pod.volumes.path(mounts[data])}/approvals.db"}
    path = pod.folder / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    return path
