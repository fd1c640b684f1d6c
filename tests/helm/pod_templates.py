"""The pods in rendered objects, whatever makes them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TEMPLATES = {
    "Pod": ("spec",),
    "Deployment": ("spec", "template", "spec"),
    "StatefulSet": ("spec", "template", "spec"),
    "DaemonSet": ("spec", "template", "spec"),
    "ReplicaSet": ("spec", "template", "spec"),
    "Job": ("spec", "template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    "InferenceService": ("spec", "predictor"),
}
ENDING = {"Job", "CronJob"}
"""Kinds whose pods end by themselves: nobody sends them traffic, so nothing probes them."""


@dataclass(frozen=True, slots=True)
class Pod:
    """The specification of a pod, and which object it is from."""

    kind: str
    name: str
    spec: dict[str, Any]
    hook: bool = False
    """Run by helm, not by a controller."""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def containers(self) -> list[dict[str, Any]]:
        """All of them: also those that run before."""
        every = ("initContainers", "containers", "ephemeralContainers")
        return [container for part in every for container in self.spec.get(part) or []]

    @property
    def serving(self) -> list[dict[str, Any]]:
        """Those that run as long as the pod: native sidecars among them."""
        sidecars = [c for c in self.spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"]
        return [*sidecars, *self.spec["containers"]]

    @property
    def volumes(self) -> list[dict[str, Any]]:
        return self.spec.get("volumes") or []


def find_pods(documents: list[dict[str, Any]]) -> Iterator[Pod]:
    for document in documents:
        if path := TEMPLATES.get(document["kind"]):
            spec = document
            for part in path:
                spec = spec[part]
            metadata = document["metadata"]
            yield Pod(document["kind"], metadata["name"], spec, "helm.sh/hook" in (metadata.get("annotations") or {}))
