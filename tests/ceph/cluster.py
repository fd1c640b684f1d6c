"""The smallest Ceph that speaks S3: one monitor, one object store in memory, one gateway, cephx on, all on loopback.

Needs Debian's `ceph-mon`, `ceph-osd` and `radosgw` (`make test-ceph` installs them).
"""

import contextlib
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from extproc.local.ports import free_port

ACCESS_KEY, SECRET_KEY = "audit-writer", "audit-writer-secret-key"
CONF = """
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{mon_port}/0]
public addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
pid file =
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd crush chooseleaf type = 0
mon allow pool size one = true
[mon]
mon data = {folder}/mon
[osd]
osd data = {folder}/osd
keyring = {folder}/osd/keyring
osd objectstore = memstore
memstore device bytes = 1073741824
[client.rgw.a]
keyring = {folder}/rgw.keyring
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{rgw_port}
"""


@dataclass
class Cluster:
    """`url` speaks S3 once `start` has returned."""

    folder: Path
    mon_port: int = field(default_factory=free_port)
    rgw_port: int = field(default_factory=free_port)
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rgw_port}"

    @property
    def conf(self) -> Path:
        return self.folder / "ceph.conf"

    def start(self) -> None:
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        (self.folder / "osd").mkdir()
        (self.folder / "rgw").mkdir()
        text = CONF.format(fsid=fsid, folder=self.folder, mon_port=self.mon_port, rgw_port=self.rgw_port)
        self.conf.write_text(text)
        self._start_monitor(fsid)
        self.run("ceph", "osd", "new", osd)
        caps = ("mon", "allow profile osd", "osd", "allow *")
        self.run("ceph", "auth", "get-or-create", "osd.0", *caps, "-o", str(self.folder / "osd" / "keyring"))
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.begin("ceph-osd", "-f", "-i", "0")
        caps = ("mon", "allow rwx", "osd", "allow rwx")
        self.run("ceph", "auth", "get-or-create", "client.rgw.a", *caps, "-o", str(self.folder / "rgw.keyring"))
        self.begin("radosgw", "-f", "-n", "client.rgw.a")
        self._wait()
        keys = ("--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY)
        self.run("radosgw-admin", "user", "create", "--uid", "audit", "--display-name", "audit", *keys)

    def _start_monitor(self, fsid: str) -> None:
        keyring, monmap = str(self.folder / "keyring"), str(self.folder / "monmap")
        self.run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        caps = [word for what in ("mon", "osd", "mgr") for word in ("--cap", what, "allow *")]
        self.run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *caps)
        address = f"[v2:127.0.0.1:{self.mon_port}/0]"
        self.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, monmap)
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
        self.begin("ceph-mon", "-f", "-i", "a")

    def run(self, *command: str) -> None:
        """Raises CalledProcessError."""
        program, *rest = command
        tool = program in ("ceph-authtool", "monmaptool")
        where = [] if tool else ["-c", str(self.conf)]
        subprocess.run([program, *where, *rest], check=True, capture_output=True, timeout=120)

    def begin(self, *command: str) -> None:
        program, *rest = command
        with (self.folder / f"{program}.out").open("wb") as output:
            self.processes.append(
                subprocess.Popen([program, "-c", str(self.conf), *rest], stdout=output, stderr=output)
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + 120
        while True:
            assert all(process.poll() is None for process in self.processes), "a part of the cluster ended"
            assert time.monotonic() < deadline, "the gateway does not answer"
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url, timeout=2):
                return
            time.sleep(0.2)

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(15)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    made = Cluster(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
