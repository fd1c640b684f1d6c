"""The Compose file's services as processes: its own command lines and files, with folders and ports moved.

What differs from containers: the user, no read-only root, no dropped capabilities (the pods' tests have those), and
PostgreSQL is started by the test.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from extproc.edge.bootstrap_check import envoy_binary
from extproc.local.ports import free_port
from tests.approvals.postgres_server import DRIVER

ROOT = Path(__file__).parents[2]
FILE = ROOT / "helm" / "image" / "compose" / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
PORTS = ("8000", "8080", "8090", "8099", "5433", "9465", "9469", "9470", "9901", "9902")
_WAIT_SECONDS = 90.0


def load_compose(environment: dict[str, str]) -> dict[str, Any]:
    """With its variables in place, `${NAME:-default}`."""
    text = re.sub(
        r"\$\{([A-Z_]+):-([^}]*)\}", lambda found: environment.get(found[1]) or found[2], FILE.read_text("utf-8")
    )
    return dict(yaml.safe_load(text))


class Laptop:
    """What the services have between them: a folder in place of the root, and free ports."""

    def __init__(self, model_port: int) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="laptop-"))
        self.root.chmod(0o755)
        self.services: dict[str, Any] = load_compose({})["services"]
        self.ports = {port: free_port() for port in PORTS} | {"8000": model_port}
        self.started: list[subprocess.Popen[bytes]] = []
        for mount in {mount for service in self.services.values() for mount in service.get("volumes", ())}:
            self._mount(*mount.split(":")[:2])

    def _mount(self, source: str, target: str) -> None:
        place = self.root / target.lstrip("/")
        if not source.startswith("."):
            place.mkdir(parents=True, exist_ok=True)
            if source == "run":  # the volume's own options
                place.chmod(0o700)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(self.moved((FILE.parent / source).read_text("utf-8")), "utf-8")

    def moved(self, text: str) -> str:
        """Paths below the folder, ports to free ones."""
        for port, other in self.ports.items():
            text = re.sub(rf"\b{port}\b", str(other), text)
        return re.sub(r"(?<![\w/.])/(etc/extproc|run/extproc|var/lib|setup\.py)", rf"{self.root}/\1", text)

    def command(self, name: str) -> list[str]:
        """As the container's: the entrypoint is the image's where the service has none."""
        service = self.services[name]
        program, *rest = [*service.get("entrypoint", ["extproc"]), *service["command"]]
        known = {
            "extproc": [sys.executable, "-P", "-m", "extproc"],
            "python": [sys.executable, "-P"],
            "envoy": [str(envoy_binary())],
        }
        return [*known[program], *(self.moved(part) for part in rest)]

    def environment(self, name: str) -> dict[str, str]:
        told = {str(key): str(value) for key, value in self.services[name].get("environment", {}).items()}
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{DRIVER}",
            "EXTPROC_CONFIG": str(self.root / "etc/extproc/config/config.yaml"),
            **{key: value for key, value in told.items() if value},
        }

    def run(self, name: str) -> str:
        """To its end, which must be a good one."""
        done = subprocess.run(
            self.command(name), env=self.environment(name), capture_output=True, text=True, check=False, timeout=60,
            cwd=self.root,
        )  # fmt: skip
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, name: str) -> None:
        """And wait until its health check is content."""
        with (self.root / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(name), env=self.environment(name), stdout=log, stderr=log, cwd=self.root
            )
        self.started.append(process)
        check = self.services[name].get("healthcheck", {}).get("test")
        probe = [sys.executable, *self.moved("\0".join(check)).split("\0")[2:]] if check else None
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            assert process.poll() is None, self.log(name)
            if probe is None:
                if self._envoy_is_ready():
                    return
            elif subprocess.run(probe, capture_output=True, check=False, cwd=self.root).returncode == 0:
                return
            assert time.monotonic() < until, f"{name} is not healthy: {self.log(name)}"
            time.sleep(0.5)

    def _envoy_is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['9902']}/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def log(self, name: str) -> str:
        return (self.root / f"{name}.log").read_text("utf-8", "replace")[-3000:]

    def stop(self) -> list[int]:
        """The last first; their exit codes in that order."""
        codes = []
        for process in reversed(self.started):
            process.terminate()
            try:
                codes.append(process.wait(40))
            except subprocess.TimeoutExpired:
                process.kill()
                codes.append(process.wait())
        shutil.rmtree(self.root)
        return codes
