"""Has Envoy lead to the model servers of another configuration, and waits until it does."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from extproc.edge import discovery_files
from extproc.edge.envoy_admin import EnvoyAdmin, Followed
from extproc.edge.hardening import PARENT_VARIABLE
from extproc.edge.settings import Settings

WRITE_SECONDS: Final = 60.0
"""Envoy's classes take 0.7 s of CPU to load: a bound for a machine that is busy otherwise."""
TAKEN_SECONDS: Final = 10.0
"""Until an Envoy that answers must have what was written; it takes milliseconds."""
UNSEEN_SECONDS: Final = 1.0
"""What an Envoy is given that nobody can ask."""
_POLL_SECONDS: Final = 0.1

_log = logging.getLogger(__name__)


class EnvoyDirections:
    """Writes Envoy's routes and clusters in a process of its own: a supervisor would keep 20 MiB of classes."""

    def __init__(self, settings: Settings, config: Path) -> None:
        self._settings = settings
        self._config = config

    @property
    def wanted(self) -> bool:
        """Whether an Envoy reads them: who renders its bootstrap writes the first ones."""
        return discovery_files.folder(self._settings).exists()

    def direct(self, new: Path, old: Path, version: str) -> str:
        """Lead to the model servers of the configurations in both files. What went wrong; empty: Envoy has it."""
        if not self.wanted:
            return ""
        if failure := self._write(["--as-read", str(new), "--also", str(old)]):
            return failure
        failure = self._await(version)
        if failure:  # an Envoy that starts anew shall find what it can take
            self._write(["--as-read", str(old), "--also", str(old)])
        return failure

    def catch_up(self, current: Path, version: str) -> str:
        """At start: what was written for another configuration is written for the `current` one."""
        if not self.wanted or discovery_files.read_version(self._settings) == version:
            return ""
        return self._write(["--as-read", str(current), "--also", str(current)])

    def _write(self, options: list[str]) -> str:
        command = [sys.executable, "-m", "extproc", "envoy", "discovery", "--config", str(self._config), *options]
        try:
            # It ends with us: our successor's is not to be overwritten by what we wanted.
            env = {**os.environ, PARENT_VARIABLE: str(os.getpid())}
            ran = subprocess.run(command, capture_output=True, timeout=WRITE_SECONDS, check=False, env=env)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"envoy's routes cannot be written ({type(error).__name__})"
        if ran.returncode != 0:
            last = ran.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            return f"envoy's routes cannot be written: {last[:500]}"
        return ""

    def _await(self, version: str) -> str:
        envoy = self._settings.envoy
        if not envoy.admin_port and not envoy.status_port:
            time.sleep(UNSEEN_SECONDS)
            return ""
        until = time.monotonic() + TAKEN_SECONDS
        wanted, followed = frozenset({version}), None
        while time.monotonic() < until:
            followed = EnvoyAdmin(self._settings).followed()
            if followed == Followed(wanted, warming=0):
                return ""
            time.sleep(_POLL_SECONDS)
        if followed is None:  # it is away, and reads what is written when it comes back
            return ""
        if followed.versions == wanted:  # a name that nobody resolves is no reason to keep who is believed
            _log.warning("envoy finds no address of a model server", extra={"clusters": followed.warming})
            return ""
        return "envoy does not take its new routes; its log and its metric `update_rejected` say why"
