"""Tells Kubernetes what becomes of the policy, as Events of this pod (`kubectl describe pod`), where that is permitted.

The pod's ServiceAccount needs `create` on `events` in its namespace. Without that, and outside a cluster, nothing is
told, and the log says so once. An alert is made of the audit record, the metric and the log.
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx

from extproc.edge.bounded_file import read_bounded
from extproc.edge.direct import DIRECT

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts `token`, `namespace` and `ca.crt`; the token is replaced there before it expires."""
MAX_MESSAGE: Final = 1024
"""Bytes of an Event's message (Kubernetes, `validateV1EventSeries`)."""
_MAX_WAITING = 16
_TIMEOUT_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Notice:
    """`reason` is one word in upper camel case; `message` holds no payload."""

    reason: str
    message: str
    warning: bool


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the API server is and who we are there. The token is read anew for each call."""

    url: str
    namespace: str
    pod: str
    pod_uid: str
    folder: Path
    tls: ssl.SSLContext = field(repr=False)

    @classmethod
    def around(cls, environment: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> "Cluster | None":
        """The cluster that this process runs in; None outside of one, or without a ServiceAccount token."""
        host, port = (environment.get(f"KUBERNETES_SERVICE_{each}", "") for each in ("HOST", "PORT"))
        pod = environment.get("POD_NAME") or environment.get("HOSTNAME", "")
        if not host or not pod:
            return None
        try:
            namespace = read_bounded(folder / "namespace").decode("ascii").strip()
            tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
            read_bounded(folder / "token")
        except (OSError, ValueError):
            return None
        address = f"[{host}]" if ":" in host else host
        return cls(f"https://{address}:{port or '443'}", namespace, pod, environment.get("POD_UID", ""), folder, tls)


class KubernetesEvents:
    """`tell` never waits and never fails; `run` sends what was told, in order."""

    def __init__(self, cluster: Cluster | None) -> None:
        """Without a cluster nothing is sent."""
        self._cluster = cluster
        self._waiting: asyncio.Queue[Notice] = asyncio.Queue(_MAX_WAITING)
        self._complained = False

    def tell(self, notice: Notice) -> None:
        """One too many is dropped: an API server that does not answer must not fill the memory."""
        if self._cluster is not None and not self._waiting.full():
            self._waiting.put_nowait(notice)

    async def run(self) -> None:
        """Until cancelled."""
        if self._cluster is None:
            return
        async with httpx.AsyncClient(
            verify=self._cluster.tls, timeout=_TIMEOUT_SECONDS, follow_redirects=False, mounts=DIRECT, trust_env=False
        ) as client:
            while True:
                await self._send(client, self._cluster, await self._waiting.get())

    async def _send(self, client: httpx.AsyncClient, cluster: Cluster, notice: Notice) -> None:
        try:
            token = read_bounded(cluster.folder / "token").decode("ascii").strip()
            answer = await client.post(
                f"{cluster.url}/api/v1/namespaces/{cluster.namespace}/events",
                json=_event(cluster, notice, datetime.now(UTC)),
                headers={"authorization": f"Bearer {token}"},
            )
            failure = "" if answer.is_success else f"status {answer.status_code}"
        except (httpx.HTTPError, OSError, ValueError) as error:
            failure = type(error).__name__
        if failure and not self._complained:
            self._complained = True
            _log.warning("Kubernetes takes no Events from this pod; they are left out", extra={"failure": failure})


def _event(cluster: Cluster, notice: Notice, now: datetime) -> dict[str, Any]:
    """A core/v1 Event."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    pod = {"apiVersion": "v1", "kind": "Pod", "namespace": cluster.namespace, "name": cluster.pod}
    if cluster.pod_uid:
        pod["uid"] = cluster.pod_uid
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{cluster.pod}.extproc-", "namespace": cluster.namespace},
        "involvedObject": pod,
        "reason": notice.reason,
        "message": notice.message.encode()[:MAX_MESSAGE].decode("utf-8", "ignore"),
        "type": "Warning" if notice.warning else "Normal",
        "count": 1,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "source": {"component": "extproc"},
        "reportingComponent": "extproc",
        "reportingInstance": cluster.pod,
    }
