"""The image as `helm/image/Dockerfile` makes it, on stand-ins for its base images: built once, mounted, looked into."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STAND_INS = ROOT / ".servers" / "image"
DOCKERFILE = ROOT / "helm" / "image" / "Dockerfile"
EPOCH = 1_700_000_000
NAME = "localhost/extproc:check"
USER = 65532


def pip_configuration() -> dict[str, str]:
    """What this machine's pip is told: files and environment, as one."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    pairs = [line.split("=", 1) for line in told.splitlines() if "=" in line]
    found = {name.split(".", 1)[1]: value.strip("'\"") for name, value in pairs if not name.startswith(":env:")}
    return found | {name[6:]: value.strip("'\"") for name, value in pairs if name.startswith(":env:")}


def local_paths(configuration: dict[str, str]) -> list[Path]:
    """Files and folders of this machine that the configuration names: the build must see them, and only it."""
    words = " ".join(configuration.values()).split()
    files = {Path(word) for word in words if word.startswith("/")}
    # The pages of an index link to files beside it.
    indexes = {Path(word.removeprefix("file://")).parent for word in words if word.startswith("file:///")}
    return sorted(path for path in files | indexes if path.exists())


@dataclass(frozen=True)
class Image:
    """A built image: its configuration and the folder at which its root is mounted read-only."""

    root: Path
    document: dict[str, Any]
    seconds: float

    @property
    def config(self) -> dict[str, Any]:
        return dict(self.document["OCIv1"]["config"])

    def run(self, *arguments: str, entrypoint: list[str] | None = None) -> "subprocess.CompletedProcess[str]":
        """As a container would: the image's entrypoint and environment, its user, nothing writable, no network."""
        command = [*(self.config["Entrypoint"] if entrypoint is None else entrypoint), *arguments]
        environment = dict(pair.split("=", 1) for pair in self.config["Env"])
        places = [self.root / place.lstrip("/") / command[0] for place in environment["PATH"].split(":")]
        program = next((place for place in places if place.exists() or place.is_symlink()), self.root / command[0])
        user = self.config["User"]
        return subprocess.run(
            [*_tool("unshare"), "--net", *_tool("chroot"), f"--userspec={user}", "--groups=", str(self.root),
             f"/{program.relative_to(self.root)}", *command[1:]],
            env=environment, capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip


def _tool(name: str) -> list[str]:
    return [str(shutil.which(name))]


class Buildah:
    """buildah with a storage of its own, that is removed with its folder."""

    def __init__(self, folder: Path) -> None:
        self._storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]

    def __call__(self, *arguments: str) -> str:
        command = ["buildah", *self._storage, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=clean_environment())
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip()

    def import_root(self, tar: Path, name: str) -> None:
        container = self("from", "scratch")
        self("add", container, str(tar), "/")
        self("commit", "--quiet", "--rm", container, name)


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}


def build(buildah: Buildah, folder: Path, *, name: str = NAME) -> None:
    """The real Dockerfile. The network is the machine's, as is pip's configuration; nothing is pulled."""
    configuration = pip_configuration()
    secret = folder / "pip.conf"
    secret.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in configuration.items()))
    volumes = [f"--volume={path}:{path}:ro" for path in local_paths(configuration)]
    buildah(
        "bud", "--isolation=chroot", "--pull-never", "--network=host", "--layers=false", "--quiet",
        f"--secret=id=pip,src={secret}", *volumes, f"--timestamp={EPOCH}",
        "--build-arg=BUILD_IMAGE=localhost/build", "--build-arg=PYTHON_IMAGE=localhost/python",
        f"--build-arg=SOURCE_DATE_EPOCH={EPOCH}", "--build-arg=VERSION=0.0.0+check",
        f"--ignorefile={DOCKERFILE}.dockerignore", f"--file={DOCKERFILE}", f"--tag={name}", ".",
    )  # fmt: skip


def inspect(buildah: Buildah, name: str) -> dict[str, Any]:
    return dict(json.loads(buildah("inspect", "--type", "image", name)))
