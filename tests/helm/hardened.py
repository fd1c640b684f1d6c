"""What we ask of a pod beyond `restricted` (DESIGN §5.9), rule by rule. Each yields what breaks it."""

import re
from collections.abc import Iterator
from typing import Any

from tests.helm.pod_templates import ENDING, Pod
from tests.helm.restricted import Control, effective, security

UID = 65532
SECRET_MODE = 0o440
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
OPEN_TO_SECRETS: dict[str, str] = {}
"""Environment variables that may come from a Secret, and why."""


def resources(pod: Pod) -> Iterator[str]:
    """CPU and memory are asked for, memory is bounded. CPU is not: a limit there is latency for no safety."""
    for container in pod.containers:
        said = container.get("resources") or {}
        asked, bounded = said.get("requests") or {}, said.get("limits") or {}
        for name, there in (
            ("requests.cpu", asked.get("cpu")),
            ("requests.memory", asked.get("memory")),
            ("limits.memory", bounded.get("memory")),
        ):
            if not there:
                yield f"{container['name']} {name}"


def read_only_root(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        if security(container).get("readOnlyRootFilesystem") is not True:
            yield container["name"]


def not_privileged(pod: Pod) -> Iterator[str]:
    """Said, not only left out: some admission controllers ask for the word."""
    for container in pod.containers:
        if security(container).get("privileged") is not False:
            yield container["name"]


def user_and_group(pod: Pod) -> Iterator[str]:
    """One user and group for all containers: they share a socket and a spool. A model server in the same pod has another."""
    guarded = any(container["name"] == "extproc" for container in pod.spec.get("initContainers") or [])
    guests = {container["name"] for container in pod.spec["containers"]} if guarded else set()
    for field in ("runAsUser", "runAsGroup"):
        for name, said in effective(pod, field):
            if (said == UID) is (name in guests):
                yield f"{name} {field}"
    if (pod.spec.get("securityContext") or {}).get("fsGroup") != UID:
        yield "fsGroup"


def no_token(pod: Pod) -> Iterator[str]:
    """Nothing of ours talks to the API server. Identities of a cloud come as projected volumes of their own."""
    if pod.spec.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken"


def own_service_account(pod: Pod) -> Iterator[str]:
    if pod.spec.get("serviceAccountName", "default") == "default":
        yield "serviceAccountName"


def no_service_links(pod: Pod) -> Iterator[str]:
    """Environment variables of other people's Services would change what OTEL_* and EXTPROC_* mean."""
    if pod.spec.get("enableServiceLinks") is not False:
        yield "enableServiceLinks"


def image(pod: Pod) -> Iterator[str]:
    """A tag that does not move, or a digest; and whether it is pulled is said."""
    for container in pod.containers:
        name = container["image"]
        tag = name.rpartition("/")[2].partition("@")[0].partition(":")[2]
        if not DIGEST.search(name) and tag in ("", "latest"):
            yield f"{container['name']} {name}"
        if "imagePullPolicy" not in container:
            yield f"{container['name']} imagePullPolicy"


def probes(pod: Pod) -> Iterator[str]:
    """Whatever runs as long as the pod is asked whether it lives and whether it is ready."""
    if pod.kind in ENDING or pod.hook:
        return
    for container in pod.serving:
        for probe in ("livenessProbe", "readinessProbe"):
            if probe not in container:
                yield f"{container['name']} {probe}"


def secrets_are_files(pod: Pod) -> Iterator[str]:
    """An environment is read by every child, by crash reports and in /proc; a file has a mode."""
    for container in pod.containers:
        for entry in container.get("env") or []:
            if "secretKeyRef" in (entry.get("valueFrom") or {}) and entry["name"] not in OPEN_TO_SECRETS:
                yield f"{container['name']} {entry['name']}"
        for source in container.get("envFrom") or []:
            if "secretRef" in source:
                yield f"{container['name']} envFrom"


def secret_modes(pod: Pod) -> Iterator[str]:
    """Readable by user and group: the files are root's, and our group's through fsGroup."""
    for volume in pod.volumes:
        secret = volume.get("secret")
        if secret and (
            secret.get("defaultMode") != SECRET_MODE or any("mode" in item for item in secret.get("items") or [])
        ):
            yield volume["name"]
        for source in (volume.get("projected") or {}).get("sources") or []:
            if "secret" in source and volume["projected"].get("defaultMode") != SECRET_MODE:
                yield volume["name"]


def bounded_scratch(pod: Pod) -> Iterator[str]:
    """An emptyDir without a limit fills the node, and one in memory the container's own limit."""
    for volume in pod.volumes:
        if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit"):
            yield volume["name"]


def mounts(pod: Pod) -> Iterator[str]:
    """Each mount has its volume, and each volume a mount. Configuration, policy and secrets are mounted read-only, whole."""
    volumes: dict[str, dict[str, Any]] = {volume["name"]: volume for volume in pod.volumes}
    claimed = set(volumes)
    for container in pod.containers:
        for mount in container.get("volumeMounts") or []:
            if mount["name"] not in volumes:
                if pod.kind != "StatefulSet":
                    yield f"{container['name']} mounts {mount['name']}, which is not there"
                continue
            claimed.discard(mount["name"])
            if {"configMap", "secret", "projected"} & set(volumes[mount["name"]]):
                if mount.get("readOnly") is not True:
                    yield f"{container['name']} may write to {mount['mountPath']}"
                if "subPath" in mount or "subPathExpr" in mount:
                    yield f"{container['name']} {mount['mountPath']} would not be reloaded"
    for name in sorted(claimed):
        yield f"{name} is mounted nowhere"


def grace(pod: Pod) -> Iterator[str]:
    if pod.kind not in ENDING and not pod.hook and "terminationGracePeriodSeconds" not in pod.spec:
        yield "terminationGracePeriodSeconds"


RULES: dict[str, Control] = {
    "resources": resources,
    "read-only root": read_only_root,
    "privileged is denied": not_privileged,
    "user and group": user_and_group,
    "no token of the API server": no_token,
    "a service account of its own": own_service_account,
    "no service links": no_service_links,
    "image": image,
    "probes": probes,
    "secrets are files": secrets_are_files,
    "modes of secrets": secret_modes,
    "bounded scratch": bounded_scratch,
    "mounts": mounts,
    "time to end": grace,
}
