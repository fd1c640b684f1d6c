"""The pods beside the data path as processes: the Job that migrates, the console, the anchor.

As rendered: arguments, environment, files with their modes, user 65532 without privileges, nothing writable but volumes.
Behind them a real PostgreSQL and an S3 server.
"""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from extproc.approvals.database import read_revision
from extproc.approvals.revisions import NEWEST
from extproc.cli.main import main
from tests.console.live import server_keys
from tests.helm.backends import CREDENTIALS, REGION, bucket_server, database, s3_client
from tests.helm.network import Network
from tests.helm.pod import RunningPod
from tests.helm.rendering import CASES, render_values
from tests.helm.volumes import Secrets

CONSOLE, ANCHOR = "Deployment/guard-extproc-console", "CronJob/guard-extproc-anchor"
MIGRATIONS = "Job/guard-extproc-migrations"
HOST = {"host": "console.example.org"}


def tls_secret() -> dict[str, bytes]:
    keys = server_keys()
    key = keys.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"tls.crt": keys.certificate.public_bytes(Encoding.PEM), "tls.key": key}


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
        return RunningPod(self.documents, workload, self.folder / name, secrets=self.secrets, network=self.network)

    def objects(self, prefix: str, bucket: str = "extproc-audit") -> list[str]:
        with self.network.entered():
            return [
                each["Key"] for each in s3_client().list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
            ]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """After the Job has run once: hooks come first."""
    folder, network = tmp_path_factory.mktemp("cluster"), Network()
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(network.close)
        url = stack.enter_context(bucket_server(network, "extproc-audit", "extproc-anchor"))
        address = stack.enter_context(database(network))
        digest_key = os.urandom(32)
        keys = audit_keys(folder, digest_key)
        secrets: Secrets = {
            "extproc-digest-key": {"digest.key": digest_key},
            "extproc-audit-keys": keys,
            "extproc-database": {"url": address.encode() + b"\n"},
            "extproc-console": {"oidc.secret": b"secret-of-the-client", "slack.url": b"https://hooks.slack.example/x"},
            "extproc-console-keys": {"session.key": os.urandom(32)},
            "extproc-console-tls": tls_secret(),
            "extproc-anchor": {"anchor.key": os.urandom(32)},
        }
        store = {"s3": {"bucket": "extproc-audit", "region": REGION, "endpoint_url": url}}
        environment = [{"name": name, "value": value} for name, value in CREDENTIALS.items()]
        changed = {
            "config": {"audit": {"store": store, "segment_interval": "2s"}},
            "secrets": {"anchor": {"existingSecret": "extproc-anchor"}},
            "console": {"extraEnv": environment},
            "anchor": {
                "enabled": True,
                "name": "anchor.example.org/prod",
                "publicKey": {"pem": keys["deployment.pub"].decode()},
                "copies": {"bucket": "extproc-anchor", "region": REGION, "endpointUrl": url},
                "extraEnv": environment,
            },
        }
        (folder / "values.yaml").write_text(yaml.safe_dump(changed))
        documents = render_values(CASES / "console-ingress.in.yaml", folder / "values.yaml").documents
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


@pytest.fixture(scope="module")
def console(cluster: Cluster) -> Iterator[RunningPod]:
    pod = cluster.pod(CONSOLE, "console")
    pod.start()
    yield pod
    pod.kill()


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
