"""The pods beside the data path as processes: the Job that migrates, the console, the anchor.

As rendered: arguments, environment, files with their modes, user 65532 without privileges, nothing writable but volumes.
Behind them a real PostgreSQL and an S3 server.
"""

import base64
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import psutil
import pytest
import yaml
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from extproc.approvals.database import read_revision
from extproc.approvals.revisions import NEWEST
from extproc.cli.main import main
from tests.edge.authority import Authority
from tests.helm.backends import CREDENTIALS, REGION, bucket_server, database, s3_client, service
from tests.helm.network import Network
from tests.helm.pod import RunningPod
from tests.helm.rendering import CASES, NAMESPACE, render_values
from tests.helm.volumes import Secrets

# Three pods and their neighbours start one after the other.
pytestmark = pytest.mark.timeout(300)

CONSOLE, ANCHOR = "Deployment/guard-extproc-console", "CronJob/guard-extproc-anchor"
GATEWAY, TEST, MIGRATIONS = "Deployment/guard-extproc", "Pod/guard-extproc-test", "Job/guard-extproc-migrations"
HOST = {"host": "console.example.org"}
HOSTS = """\
127.0.0.2 guard-extproc.inference.svc
127.0.0.3 guard-extproc-console.inference.svc
127.0.0.1 guard-extproc-test.inference.svc
"""


def tls_secret(authority: Authority, name: str) -> dict[str, bytes]:
    certificate, key = authority.issue(name, dns=name)
    return {"tls.crt": certificate.read_bytes(), "tls.key": key.read_bytes()}


def cluster_issuer() -> tuple[bytes, bytes]:
    """What `kubectl get --raw /openid/v1/jwks` prints, and a token of the test's ServiceAccount for our audience."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "cluster", "alg": "RS256", "use": "sig"}
    now = int(time.time())
    claims = {
        "iss": "https://kubernetes.default.svc.cluster.local",
        "aud": ["extproc"],
        "sub": "system:serviceaccount:inference:guard-extproc-test",
        "iat": now,
        "nbf": now,
        "exp": now + 600,
        "kubernetes.io": {"namespace": NAMESPACE, "serviceaccount": {"name": "guard-extproc-test", "uid": "1"}},
    }
    return json.dumps({"keys": [jwk]}).encode(), jwt.encode(claims, key, "RS256", {"kid": "cluster"}).encode()


def audit_keys(folder: Path, digest_key: bytes) -> dict[str, bytes]:
    """As the README has them made."""
    (folder / "digest.key").write_bytes(digest_key)
    ran = CliRunner().invoke(
        main, ["audit", "make-keys", str(folder / "keys"), "--digest-key", str(folder / "digest.key")]
    )
    assert ran.exit_code == 0, ran.output
    return {path.name: path.read_bytes() for path in (folder / "keys").iterdir() if path.name != "lock"}


@dataclass
class Cluster:
    folder: Path
    network: Network
    secrets: Secrets
    documents: list[Any]
    database: str

    def pod(self, workload: str, name: str) -> RunningPod:
        folder, network = self.folder / name, self.network
        return RunningPod(self.documents, workload, folder, secrets=self.secrets, network=network, hosts=HOSTS)

    def objects(self, prefix: str, bucket: str = "extproc-audit") -> list[str]:
        with self.network.entered():
            return [
                each["Key"] for each in s3_client().list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
            ]


def values(url: str, public_key: bytes) -> dict[str, Any]:
    """Over the example for `helm test`: where bucket and model server are, and an anchor."""
    environment = [{"name": name, "value": value} for name, value in CREDENTIALS.items()]
    bucket = {"bucket": "extproc-audit", "region": REGION, "endpoint_url": url}
    return {
        "config": {"deployment": "prod", "audit": {"store": {"s3": bucket}, "segment_interval": "2s"}},
        "secrets": {"anchor": {"existingSecret": "extproc-anchor"}},
        "gateway": {"workers": 1, "extraEnv": environment},
        "console": {"extraEnv": environment},
        "anchor": {
            "enabled": True,
            "name": "anchor.example.org/prod",
            "publicKey": {"pem": public_key.decode()},
            "copies": {"bucket": "extproc-anchor", "region": REGION, "endpointUrl": url},
            "extraEnv": environment,
        },
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """After the Job has run once: hooks come first."""
    folder, network = tmp_path_factory.mktemp("cluster"), Network()
    folder.chmod(0o755)
    authority = Authority(folder)
    with ExitStack() as stack:
        stack.callback(network.close)
        url = stack.enter_context(bucket_server(network, "extproc-audit", "extproc-anchor"))
        address = stack.enter_context(database(network))
        digest_key, (jwks, token) = os.urandom(32), cluster_issuer()
        keys = audit_keys(folder, digest_key)
        secrets: Secrets = {
            "extproc-digest-key": {"digest.key": digest_key},
            "extproc-audit-keys": keys,
            "extproc-database": {"url": address.encode() + b"\n"},
            "extproc-issuers": {"cluster.jwks.json": jwks},
            "extproc-console": {"oidc.secret": b"secret-of-the-client"},
            "extproc-console-keys": {"session.key": os.urandom(32)},
            "extproc-anchor": {"anchor.key": os.urandom(32)},
            "guard-extproc-tls": tls_secret(authority, "guard-extproc.inference.svc"),
            "guard-extproc-console-tls": tls_secret(authority, "console.example.org"),
            "token for extproc": {"token": token},
        }
        (folder / "values.yaml").write_text(yaml.safe_dump(values(url, keys["deployment.pub"])))
        documents = render_values(CASES / "helm-test.in.yaml", folder / "values.yaml").documents
        data = {"ca.crt": authority.path.read_text()}
        documents.append({"kind": "ConfigMap", "metadata": {"name": "internal-ca"}, "data": data})
        cluster = Cluster(folder, network, secrets, documents, address)
        job = cluster.pod(MIGRATIONS, "migrations")
        assert job.run_to_end() == {"migrate": 0}, job.log("migrate")
        yield cluster


def test_the_job_brings_an_empty_database_to_this_version_and_may_run_again(cluster: Cluster) -> None:
    with cluster.network.entered():
        assert read_revision(cluster.database) == NEWEST
    job = cluster.pod(MIGRATIONS, "migrations-again")
    assert job.run_to_end() == {"migrate": 0}
    assert job.log("migrate") == f"revision {NEWEST}, the newest\n"


@contextmanager
def running(pod: RunningPod) -> Iterator[RunningPod]:
    """Nothing of it is left behind."""
    pod.start()
    commands = [psutil.Process(container.pid) for container in pod.containers.values() if container.poll() is None]
    assert commands
    yield pod
    pod.kill()
    assert psutil.wait_procs(commands, 10)[1] == []


@pytest.fixture(scope="module")
def gateway(cluster: Cluster) -> Iterator[RunningPod]:
    with running(cluster.pod(GATEWAY, "gateway")) as pod:
        yield pod


@pytest.fixture(scope="module")
def console(cluster: Cluster) -> Iterator[RunningPod]:
    with running(cluster.pod(CONSOLE, "console")) as pod:
        yield pod


def get(console: RunningPod, path: str, **headers: str) -> httpx.Response:
    with console.network.entered():
        return httpx.get(f"https://127.0.0.1:8090{path}", headers={**HOST, **headers}, verify=False, timeout=10)


def test_the_console_serves_its_host_by_tls_as_a_user_without_privileges(console: RunningPod) -> None:
    assert get(console, "/").status_code in {200, 303}
    assert get(console, "/", host="10.0.0.1:8090").status_code == 421
    assert console.probe("console", "livenessProbe")
    status = console.containers["console"].run(["python3", "-c", "print(open('/proc/1/status').read())"]).stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (fields["Uid"].split()[0], fields["CapEff"].strip("0"), fields["NoNewPrivs"]) == ("65532", "", "1")


def test_a_refused_token_is_recorded(console: RunningPod) -> None:
    """By the audit keys and the spool as they are mounted; without a record it would be 503."""
    token = base64.urlsafe_b64encode(b'{"alg": "none"}').decode().rstrip("=")
    assert get(console, "/api/v1/sessions", authorization=f"Bearer {token}.e30.").status_code == 401
    assert "secret-of-the-client" not in console.log("console")


def test_helm_test_finds_the_number_masked_recorded_and_traced(
    cluster: Cluster, gateway: RunningPod, console: RunningPod
) -> None:
    """The rendered pod, with its ServiceAccount's token, through Services that lead to the ports of the pods."""
    assert gateway.pod.spec["containers"]
    with service(cluster.network, "127.0.0.2", 443, 8443), service(cluster.network, "127.0.0.3", 443, 8090):
        pod = cluster.pod(TEST, "test")
        assert pod.run_to_end(120) == {"probe": 0}, pod.log("probe")
    assert pod.log("probe").splitlines()[-1] == "15 OK, 0 FAIL, 0 not asked"


def test_the_console_ends_as_it_is_told_and_its_log_is_in_the_bucket(cluster: Cluster, console: RunningPod) -> None:
    assert console.stop() == {"console": 0}, console.log("console")
    origins = [key for key in cluster.objects("v1/registry/prod/") if "/console/" in key]
    assert origins
    assert [key for key in cluster.objects("v1/evidence/prod/") if key.endswith(".manifest.json")]


def test_the_anchor_remembers_what_is_there_and_goes_on_from_it(cluster: Cluster) -> None:
    """The console's log is there: it has ended."""
    pod = cluster.pod(ANCHOR, "anchor")
    said = []
    for _ in range(2):
        assert pod.run_to_end() == {"anchor": 0}, pod.log("anchor")
        said.append(json.loads(pod.log("anchor").splitlines()[-1]))
    assert said[0]["epochs"] >= 1
    assert (said[0]["moved"] > 0, said[1]["moved"], said[1]["state"]) == (True, 0, "complete")
    assert cluster.objects("v1/anchor/", "extproc-anchor")


def test_the_anchor_sees_no_private_key_and_no_password(cluster: Cluster) -> None:
    pod = cluster.pod(ANCHOR, "anchor-looked-at")
    seen = b"".join(path.read_bytes() for path in pod.folder.rglob("*") if path.is_file())
    hidden = {
        *cluster.secrets["extproc-audit-keys"].values(),
        *cluster.secrets["extproc-database"].values(),
        *cluster.secrets["extproc-console-keys"].values(),
    } - {cluster.secrets["extproc-audit-keys"]["deployment.pub"]}
    assert not [secret for secret in hidden if secret in seen]
    assert cluster.secrets["extproc-audit-keys"]["deployment.pub"] in seen
