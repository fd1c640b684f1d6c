"""The controls themselves: each finds what it is for in a pod that is otherwise sound."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.helm.hardened import RULES
from tests.helm.kinds import complaints
from tests.helm.links import broken
from tests.helm.pod_templates import Pod
from tests.helm.restricted import CONTROLS

SOUND: dict[str, Any] = {
    "serviceAccountName": "guard",
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "terminationGracePeriodSeconds": 60,
    "securityContext": {
        "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
    },
    "containers": [
        {
            "name": "main",
            "image": "registry.example/extproc:1.0",
            "imagePullPolicy": "IfNotPresent",
            "ports": [{"name": "http", "containerPort": 8080}],
            "securityContext": {
                "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True, "privileged": False,
            },
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
            "livenessProbe": {"httpGet": {"path": "/livez", "port": "http"}},
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}},
            "volumeMounts": [{"name": "keys", "mountPath": "/etc/keys", "readOnly": True}, {"name": "tmp", "mountPath": "/tmp"}],
        }
    ],
    "volumes": [
        {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 0o440}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
    ],
}  # fmt: skip


def at(spec: Any, path: str) -> Any:
    for part in path.split("."):
        spec = spec[int(part) if part.isdigit() else part]
    return spec


def put(path: str, value: Any) -> Callable[[Any], None]:
    def change(spec: Any) -> None:
        above, _, last = path.rpartition(".")
        holder = at(spec, above) if above else spec
        holder[int(last) if last.isdigit() else last] = value

    return change


def drop(path: str) -> Callable[[Any], None]:
    def change(spec: Any) -> None:
        above, _, last = path.rpartition(".")
        del (at(spec, above) if above else spec)[last]

    return change


MAIN = "containers.0"
CONTEXT = f"{MAIN}.securityContext"
BREACHES: list[tuple[str, Callable[[Any], None]]] = [
    ("HostProcess", put("securityContext.windowsOptions", {"hostProcess": True})),
    ("Host Namespaces", put("hostNetwork", True)),
    ("Host Namespaces", put("hostPID", True)),
    ("Host Namespaces", put("hostIPC", True)),
    ("Privileged Containers", put(f"{CONTEXT}.privileged", True)),
    ("Capabilities", put(f"{CONTEXT}.capabilities", {"drop": ["NET_RAW"]})),
    ("Capabilities", put(f"{CONTEXT}.capabilities.add", ["NET_ADMIN"])),
    ("HostPath Volumes", put("volumes.1", {"name": "tmp", "hostPath": {"path": "/tmp"}})),
    ("Host Ports", put(f"{MAIN}.ports.0.hostPort", 8080)),
    ("Host Probes / Lifecycle Hooks", put(f"{MAIN}.livenessProbe.httpGet.host", "127.0.0.1")),
    ("Host Probes / Lifecycle Hooks", put(f"{MAIN}.lifecycle", {"preStop": {"tcpSocket": {"host": "h", "port": 1}}})),
    ("AppArmor", put(f"{CONTEXT}.appArmorProfile", {"type": "Unconfined"})),
    ("SELinux", put(f"{CONTEXT}.seLinuxOptions", {"type": "spc_t"})),
    ("SELinux", put("securityContext.seLinuxOptions", {"user": "system_u"})),
    ("/proc Mount Type", put(f"{CONTEXT}.procMount", "Unmasked")),
    ("Seccomp", drop("securityContext.seccompProfile")),
    ("Seccomp", put(f"{CONTEXT}.seccompProfile", {"type": "Unconfined"})),
    ("Sysctls", put("securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}])),
    ("Volume Types", put("volumes.1", {"name": "tmp", "nfs": {"server": "s", "path": "/"}})),
    ("Privilege Escalation", drop(f"{CONTEXT}.allowPrivilegeEscalation")),
    ("Running as Non-root", put("securityContext.runAsNonRoot", False)),
    ("Running as Non-root", put(f"{CONTEXT}.runAsNonRoot", False)),
    ("Running as Non-root user", put(f"{CONTEXT}.runAsUser", 0)),
    ("resources", drop(f"{MAIN}.resources.limits.memory")),
    ("resources", drop(f"{MAIN}.resources.requests")),
    ("read-only root", put(f"{CONTEXT}.readOnlyRootFilesystem", False)),
    ("privileged is denied", drop(f"{CONTEXT}.privileged")),
    ("user and group", put(f"{CONTEXT}.runAsUser", 1000)),
    ("user and group", drop("securityContext.fsGroup")),
    ("no token of the API server", put("automountServiceAccountToken", True)),
    ("no token of the API server", drop("automountServiceAccountToken")),
    ("a service account of its own", drop("serviceAccountName")),
    ("no service links", drop("enableServiceLinks")),
    ("image", put(f"{MAIN}.image", "registry.example:5000/extproc")),
    ("image", put(f"{MAIN}.image", "extproc:latest")),
    ("image", drop(f"{MAIN}.imagePullPolicy")),
    ("probes", drop(f"{MAIN}.readinessProbe")),
    ("secrets are files", put(f"{MAIN}.env", [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}])),
    ("secrets are files", put(f"{MAIN}.envFrom", [{"secretRef": {"name": "a"}}])),
    ("modes of secrets", put("volumes.0.secret.defaultMode", 0o444)),
    ("bounded scratch", put("volumes.1.emptyDir", {})),
    ("mounts", put(f"{MAIN}.volumeMounts.0.readOnly", False)),
    ("mounts", put(f"{MAIN}.volumeMounts.0.subPath", "digest.key")),
    ("mounts", put(f"{MAIN}.volumeMounts.1.name", "scratch")),
    ("time to end", drop("terminationGracePeriodSeconds")),
]  # fmt: skip
ALL = CONTROLS | RULES


def found(change: Callable[[Any], None] | None, name: str) -> list[str]:
    spec = copy.deepcopy(SOUND)
    if change:
        change(spec)
    return list(ALL[name](Pod("Deployment", "guard", spec)))


@pytest.mark.parametrize("name", ALL)
def test_a_sound_pod_breaks_nothing(name: str) -> None:
    assert found(None, name) == []


@pytest.mark.parametrize("at", range(len(BREACHES)), ids=lambda at: f"{BREACHES[at][0]} {at}")
def test_a_control_finds_what_it_is_for(at: int) -> None:
    name, change = BREACHES[at]
    assert found(change, name) != []


def test_every_control_has_a_breach() -> None:
    assert {name for name, _ in BREACHES} == set(ALL)


def service(**more: Any) -> dict[str, Any]:
    spec = {"selector": {"app": "guard"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}], **more}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "guard", "labels": {}}, "spec": spec}


def deployment() -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": "guard"}},
        "spec": {**copy.deepcopy(SOUND), "serviceAccountName": "theirs"},
    }
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "guard"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "guard"}, "spec": spec}


def test_kinds_are_closed() -> None:
    """A field that nobody knows, at any depth, and a kind that nobody knows, are found."""
    assert complaints(deployment()) == []
    for path in (
        "spec.replica",
        "spec.template.spec.containers.0.port",
        "spec.template.spec.securityContext.runAsuser",
    ):
        document = deployment()
        put(path, 1)(document)
        assert complaints(document), path
    assert complaints({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.extProc.0.failOpen", "no"),
        ("spec.extProc.0.failopen", False),
        ("spec.extProc.0.processingMode.request.body", "FullDuplex"),
        ("spec.targetRefs.0.kinds", "Gateway"),
        ("metadata.label", {}),
    ],
)
def test_custom_kinds_are_closed(path: str, value: Any) -> None:
    document = {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyExtensionPolicy",
        "metadata": {"name": "guard", "labels": {"a": "b"}},
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "chat"}],
            "extProc": [
                {
                    "backendRefs": [{"name": "guard", "port": 9002}],
                    "failOpen": False,
                    "processingMode": {
                        "request": {"body": "FullDuplexStreamed"},
                        "response": {"body": "FullDuplexStreamed"},
                    },
                }
            ],
        },
    }
    assert complaints(document) == []
    put(path, value)(document)
    assert complaints(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [("spec.selector", {"app": "other"}), ("spec.ports.0.targetPort", "https"), ("spec.ports.0.targetPort", 81)],
)
def test_a_service_that_reaches_no_pod_is_found(path: str, value: Any) -> None:
    assert [said for said in broken([service(), deployment()]) if "label" not in said] == []
    lost = service()
    put(path, value)(lost)
    assert [said for said in broken([lost, deployment()]) if "label" not in said]
