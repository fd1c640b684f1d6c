"""Whether the objects of one release mean each other: names, labels and ports that another one points at."""

from collections.abc import Iterator
from typing import Any

from tests.helm.pod_templates import TEMPLATES, Pod, find_pods
from tests.helm.rendering import NAMESPACE

Document = dict[str, Any]
LABELS = (
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
)


def broken(documents: list[Document]) -> Iterator[str]:
    """What points at nothing, `WHO: what`."""
    yield from _labels(documents)
    yield from _twice(documents)
    for document in documents:
        who = f"{document['kind']}/{document['metadata']['name']}"
        for what in _points_at(document, documents):
            yield f"{who}: {what}"
    for pod in find_pods(documents):
        for what in _pod(pod, documents):
            yield f"{pod}: {what}"


def find(documents: list[Document], kind: str, name: str) -> Document | None:
    for document in documents:
        if document["kind"] == kind and document["metadata"]["name"] == name:
            return document
    return None


def _labels(documents: list[Document]) -> Iterator[str]:
    for document in documents:
        labels = document["metadata"].get("labels") or {}
        for name in LABELS:
            if not labels.get(name):
                yield f"{document['kind']}/{document['metadata']['name']}: no label {name}"


def _twice(documents: list[Document]) -> Iterator[str]:
    seen: set[tuple[str, str]] = set()
    for document in documents:
        key = (document["kind"], document["metadata"]["name"])
        if key in seen:
            yield f"{key[0]}/{key[1]}: twice"
        seen.add(key)


def pod_labels(documents: list[Document]) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    """Name, labels and specification of each kind of pod."""
    for document in documents:
        if path := TEMPLATES.get(document["kind"]):
            holder = document
            for part in path[:-1]:
                holder = holder[part]
            spec = holder[path[-1]]
            # KServe's predictor is specification and labels in one.
            labels = (
                spec.get("labels")
                if document["kind"] == "InferenceService"
                else holder.get("metadata", {}).get("labels")
            )
            yield document["metadata"]["name"], labels or {}, spec


def _selected(documents: list[Document], selector: dict[str, str]) -> list[dict[str, Any]]:
    return [spec for _, labels, spec in pod_labels(documents) if selector.items() <= labels.items()]


def _ports(spec: dict[str, Any]) -> set[str | int]:
    every = [*(spec.get("initContainers") or []), *spec["containers"]]
    ports = [port for container in every for port in container.get("ports") or []]
    return {port["containerPort"] for port in ports} | {port["name"] for port in ports if "name" in port}


def _points_at(document: Document, documents: list[Document]) -> Iterator[str]:
    kind, spec = document["kind"], document.get("spec") or {}
    if kind == "Service":
        selected = _selected(documents, spec["selector"])
        if len(selected) != 1:
            yield f"its selector fits {len(selected)} kinds of pods"
        for port in spec.get("ports") or []:
            for pod in selected:
                if port.get("targetPort", port["port"]) not in _ports(pod):
                    yield f"port {port.get('targetPort')} is none of the pod's"
    elif kind in ("Deployment", "StatefulSet", "DaemonSet"):
        if len(_selected(documents, spec["selector"]["matchLabels"])) != 1:
            yield "its selector fits not just its own pods"
        if kind == "StatefulSet" and not find(documents, "Service", spec["serviceName"]):
            yield f"no Service {spec['serviceName']}"
    elif kind == "PodDisruptionBudget":
        if len(_selected(documents, spec["selector"]["matchLabels"])) != 1:
            yield "its selector fits not one kind of pods"
    elif kind == "HorizontalPodAutoscaler":
        target = spec["scaleTargetRef"]
        scaled = find(documents, target["kind"], target["name"])
        if scaled is None:
            yield f"no {target['kind']} {target['name']}"
        elif "replicas" in scaled["spec"]:
            yield "the replicas that it sets are set by the other one as well"
    elif kind == "NetworkPolicy":
        if document["metadata"]["namespace"] != NAMESPACE:
            if not all(rule.get("from") and all(rule["from"]) for rule in spec.get("ingress") or []):
                yield "it lets everybody in"
        elif not any(_selected(documents, selector) for selector in _meant(spec)):
            yield "it is about no pod of ours"
    elif kind in ("ServiceMonitor", "PodMonitor"):
        yield from _monitored(document, documents)
    elif kind in ("Ingress", "HTTPRoute"):
        yield from _routed(spec, documents)


def _meant(policy: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Whom a NetworkPolicy selects, and whom it lets in: the model servers' own lets in the gateway."""
    yield policy["podSelector"].get("matchLabels") or {}
    for rule in policy.get("ingress") or []:
        for peer in rule.get("from") or []:
            if labels := (peer.get("podSelector") or {}).get("matchLabels"):
                yield labels


def _monitored(document: Document, documents: list[Document]) -> Iterator[str]:
    labels = document["spec"]["selector"]["matchLabels"]
    if document["kind"] == "PodMonitor":
        fitting = [set(_ports(spec)) for spec in _selected(documents, labels)]
        endpoints = document["spec"]["podMetricsEndpoints"]
    else:
        services = [d for d in documents if d["kind"] == "Service"]
        fitting = [
            {port["name"] for port in service["spec"].get("ports") or []}
            for service in services
            if labels.items() <= service["metadata"]["labels"].items()
        ]
        endpoints = document["spec"]["endpoints"]
    if not fitting:
        yield "it selects nothing"
    for endpoint in endpoints:
        if not any(endpoint.get("port", endpoint.get("portNumber")) in ports for ports in fitting):
            yield f"no port {endpoint.get('port', endpoint.get('portNumber'))}"


def _routed(spec: dict[str, Any], documents: list[Document]) -> Iterator[str]:
    wanted: list[tuple[str, Any]] = []
    for rule in spec.get("rules") or []:
        for path in (rule.get("http") or {}).get("paths") or []:
            service = path["backend"]["service"]
            wanted.append((service["name"], service["port"].get("name", service["port"].get("number"))))
        # One with a namespace is somebody else's.
        refs = [backend for backend in rule.get("backendRefs") or [] if "namespace" not in backend]
        wanted += [(backend["name"], backend["port"]) for backend in refs]
    for name, port in wanted:
        service = find(documents, "Service", name)
        ports = (service or {"spec": {"ports": []}})["spec"]["ports"]
        if port not in {value for entry in ports for value in (entry["port"], entry.get("name"))}:
            yield f"no port {port} of a Service {name}"


def _pod(pod: Pod, documents: list[Document]) -> Iterator[str]:
    """Its probes ask at ports it has. Configuration and account are this release's own or the user's; ours must be there."""
    ports = _ports(pod.spec)
    for container in pod.containers:
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            for action in ("httpGet", "tcpSocket", "grpc"):
                port = ((container.get(probe) or {}).get(action) or {}).get("port")
                if port is not None and port not in ports:
                    yield f"{container['name']} {probe} asks at port {port}, which it does not name"
    ours = {d["metadata"]["name"] for d in documents}
    prefix = min((name for name in ours), key=len)
    named = [(volume.get("configMap") or {}).get("name") for volume in pod.volumes]
    for name in filter(None, named):
        if name.startswith(prefix) and not find(documents, "ConfigMap", name):
            yield f"no ConfigMap {name}"
    account = pod.spec.get("serviceAccountName")
    if account and account.startswith(prefix) and not find(documents, "ServiceAccount", account):
        yield f"no ServiceAccount {account}"
