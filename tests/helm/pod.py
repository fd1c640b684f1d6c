"""A rendered pod that runs: its init containers and containers as processes, started, probed and ended as a kubelet does.

The volumes are folders at the paths of the pod, everything else is read-only, and the network is the pod's own: model
servers, issuers and clients of a test are threads that have `entered` it.
"""

import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.helm.container import ENTRYPOINTS, HOSTS, IMAGE_ENVIRONMENT, Container, Mount, Security, Start
from tests.helm.network import Network
from tests.helm.pod_templates import find_pods
from tests.helm.rendering import NAMESPACE
from tests.helm.volumes import Secrets, Volumes

Document = dict[str, Any]
START_SECONDS = 60.0
FIELDS = {
    "metadata.namespace": NAMESPACE,
    "spec.nodeName": "node-1",
    "status.podIP": "127.0.0.1",
    "status.hostIP": "127.0.0.1",
    "metadata.uid": "00000000-0000-4000-8000-000000000001",
}


class PodFailed(Exception):
    """A container ended, or is not ready in time. The text is what it wrote last."""


class RunningPod:
    """The pod of `KIND/NAME` among rendered objects. `secrets` are those of the cluster, `hosts` names beside localhost."""

    def __init__(
        self,
        documents: list[Document],
        workload: str,
        folder: Path,
        *,
        secrets: Secrets,
        network: Network,
        hosts: str = "",
    ) -> None:
        (self.pod,) = [pod for pod in find_pods(documents) if str(pod) == workload]
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.folder = folder
        self.documents = documents
        self.network = network
        self.volumes = Volumes(folder / "volumes", self.pod.spec, documents, secrets)
        self.containers: dict[str, Container] = {}
        self._hosts = HOSTS + hosts
        self._fields = {**FIELDS, "metadata.name": f"{self.pod.name}-0"}
        for claim in self._claims(documents):
            self.volumes.claim(claim)

    def _claims(self, documents: list[Document]) -> list[str]:
        for document in documents:
            if (document["kind"], document["metadata"]["name"]) == (self.pod.kind, self.pod.name):
                templates: list[Document] = document["spec"].get("volumeClaimTemplates") or []
                return [claim["metadata"]["name"] for claim in templates]
        return []

    # start

    def start(self) -> None:
        """Returns when all containers are ready. Raises `PodFailed`; what was started is ended then."""
        try:
            for spec in self.pod.spec.get("initContainers") or []:
                container = self._start(spec)
                if spec.get("restartPolicy") == "Always":
                    self._wait_started(spec)
                else:
                    self._wait_done(container)
            for spec in self.pod.spec["containers"]:
                self._start(spec)
            for spec in self.pod.serving:
                self._wait_started(spec)
                self.wait_probe(spec["name"], "readinessProbe")
        except BaseException:
            self.kill()
            raise

    def run_to_end(self, seconds: float = START_SECONDS) -> dict[str, int]:
        """For pods that end by themselves: the exit code of each container."""
        for spec in self.pod.spec.get("initContainers") or []:
            self._wait_done(self._start(spec))
        started = [self._start(spec) for spec in self.pod.spec["containers"]]
        return {container.name: container.wait(seconds) for container in started}

    def _wait_done(self, container: Container) -> None:
        if container.wait(START_SECONDS) != 0:
            raise PodFailed(f"{container.name}: {self.log(container.name)}")

    def spec(self, name: str) -> Document:
        return next(spec for spec in self.pod.containers if spec["name"] == name)

    def _start(self, spec: Document) -> Container:
        image = spec["image"].partition("@")[0].rpartition("/")[2].partition(":")[0]
        command = [*(spec.get("command") or ENTRYPOINTS[image]), *spec.get("args", [])]
        environment = self._environment(spec)
        command = [_expanded(word, environment) for word in command]
        mounts = [
            Mount(self.volumes.path(mount["name"]), mount["mountPath"], bool(mount.get("readOnly")))
            for mount in spec.get("volumeMounts") or []
        ]
        security = Security.of(self.pod.spec, spec)
        with self.network.entered():
            start = Start(command, IMAGE_ENVIRONMENT | environment, mounts, security, self._hosts)
            container = Container(spec["name"], start, self.folder)
        self.containers[spec["name"]] = container
        return container

    def _environment(self, spec: Document) -> dict[str, str]:
        environment: dict[str, str] = {}
        for entry in spec.get("env") or []:
            match entry:
                case {"value": str(value)}:
                    environment[entry["name"]] = _expanded(value, environment)
                case {"valueFrom": {"fieldRef": {"fieldPath": str(field)}}}:
                    environment[entry["name"]] = self._fields[field]
                case {"name": _, **nothing} if not nothing:
                    environment[entry["name"]] = ""
                case _:
                    raise AssertionError(f"an environment variable of a kind that is not played here: {entry['name']}")
        return environment

    # probes

    def probe(self, name: str, probe: str) -> bool:
        """What the kubelet would be told; the probe is the rendered one."""
        spec = self.spec(name)
        action = spec[probe]
        match action:
            case {"httpGet": dict(get)}:
                port = self._port(spec, get["port"])
                scheme = get.get("scheme", "HTTP").lower()
                try:
                    with self.network.entered():
                        answer = httpx.get(
                            f"{scheme}://127.0.0.1:{port}{get.get('path', '/')}",
                            timeout=action.get("timeoutSeconds", 1),
                            verify=False,
                        )
                except httpx.HTTPError:
                    return False
                return 200 <= answer.status_code < 400
            case {"tcpSocket": {"port": port}}:
                try:
                    with self.network.entered():
                        socket.create_connection(("127.0.0.1", self._port(spec, port)), timeout=1).close()
                except OSError:
                    return False
                return True
            case {"exec": {"command": list(command)}}:
                return self.containers[name].run(command).returncode == 0
        raise AssertionError(f"a probe of a kind that is not played here: {name} {probe}")

    @staticmethod
    def _port(spec: Document, port: str | int) -> int:
        if isinstance(port, int):
            return port
        return next(int(each["containerPort"]) for each in spec["ports"] if each["name"] == port)

    def wait_probe(self, name: str, probe: str, *, said: bool = True, seconds: float = START_SECONDS) -> None:
        """More often than the kubelet would ask."""
        if probe not in self.spec(name):
            return
        deadline = time.monotonic() + seconds
        while self.probe(name, probe) is not said:
            if self.containers[name].poll() is not None:
                raise PodFailed(f"{name} ended: {self.log(name)}")
            if time.monotonic() > deadline:
                raise PodFailed(f"{name}: {probe} is not {said} after {seconds:g} s: {self.log(name)}")
            time.sleep(0.05)

    def _wait_started(self, spec: Document) -> None:
        self.wait_probe(spec["name"], "startupProbe")

    def log(self, name: str) -> str:
        return self.containers[name].log.read_text("utf-8", "replace")[-4000:]

    # end

    def stop(self) -> dict[str, int]:
        """Hooks and SIGTERM as the kubelet sends them, side by side, SIGKILL when the time is over; the exit codes.

        Native sidecars get their SIGTERM, the last first, when the containers have ended; all hooks run at once.
        """
        deadline = time.monotonic() + self.pod.spec.get("terminationGracePeriodSeconds", 30)
        sidecars = [c["name"] for c in self.pod.spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"]
        mains = [spec["name"] for spec in self.pod.spec["containers"]]
        with ThreadPoolExecutor(len(mains) + len(sidecars)) as each:
            hooks = {name: each.submit(self._hook, name, deadline) for name in (*mains, *sidecars)}
            waits = [threading.Thread(target=self._end, args=(name, hooks[name], deadline)) for name in mains]
            for wait in waits:
                wait.start()
            for wait in waits:
                wait.join()
            for name in reversed(sidecars):
                self._end(name, hooks[name], deadline)
        return {name: self.containers[name].wait(1) for name in (*mains, *sidecars)}

    def _hook(self, name: str, deadline: float) -> None:
        container = self.containers[name]
        match (self.spec(name).get("lifecycle") or {}).get("preStop"):
            case {"sleep": {"seconds": seconds}}:
                until = min(time.monotonic() + seconds, deadline)
                while time.monotonic() < until and container.poll() is None:
                    time.sleep(0.02)
            case {"exec": {"command": list(command)}}:
                container.run(command, max(1.0, deadline - time.monotonic()))
            case None:
                return
            case _:
                raise AssertionError(f"a hook of a kind that is not played here: {name}")

    def _end(self, name: str, hook: Any, deadline: float) -> None:
        hook.result()
        container = self.containers[name]
        container.terminate()
        while container.poll() is None:
            if time.monotonic() > deadline:
                container.kill()
            time.sleep(0.02)

    def kill(self) -> None:
        for container in self.containers.values():
            container.kill()


def _expanded(text: str, environment: dict[str, str]) -> str:
    """`$(NAME)` of a variable that is known before; `$$` is a dollar sign."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return environment.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)", value, text)
