"""`extproc console` as a process of its own beside the service: its configuration on one machine, and its start."""

import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import yaml

from extproc.local.ports import free_port, is_free
from extproc.local.service_process import READY_SECONDS, NotStarted, RunningService, start_command

CLIENT_ID: Final = "extproc-console"
ROLES: Final = {
    "reader": ["readers"],
    "approver": ["approvers"],
    "auditor": ["auditors"],
    "admin": ["admins"],
}
"""By the groups of the people whom the development login offers. An analyst has none, and sees their own requests."""
_SEGMENT_INTERVAL: Final = "2s"
"""What happened is in the console's sessions so soon."""


def console_url(port: int) -> str:
    """Browsers send cookies that are for TLS only to addresses of their own machine, too."""
    return f"http://127.0.0.1:{port}"


def console_sections(port: int, issuer_url: str) -> dict[str, dict[str, Any]]:
    """Of `config.yaml`: the console at `port`, whose people log in at the development issuer."""
    url = console_url(port)
    return {
        "console": {
            "url": url,
            "address": "127.0.0.1",
            "port": port,
            "keys": "console-keys",
            "oidc": {"issuer": issuer_url, "client_id": CLIENT_ID},
            "roles": {role: list(groups) for role, groups in ROLES.items()},
        },
        "approvals": {"url": f"{url}/approvals/{{id}}"},
        "audit": {"segment_interval": _SEGMENT_INTERVAL},
    }


def port_of_console(config: Path) -> int:
    """Where the console was the last time, if it can be there again, so that links stay good; else a free port."""
    try:
        port = yaml.safe_load(config.read_text("utf-8"))["console"]["port"]
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError):
        return free_port()
    return port if isinstance(port, int) and 0 < port < 65536 and is_free(port) else free_port()


class StartingConsole:
    """`extproc console` in a process of its own, which may not answer yet."""

    def __init__(self, config: Path, url: str, log: Path) -> None:
        self.running = start_command("console", config, log)
        self._url = url

    def wait_ready(self) -> RunningService:
        """Once it lets people in. Raises `NotStarted`, and it is stopped then."""
        deadline = time.monotonic() + READY_SECONDS
        process, log = self.running.process, self.running.log
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise NotStarted(f"the console ended with status {process.returncode}; its log is {log}")
            try:
                if httpx.get(f"{self._url}/healthz", timeout=2.0, trust_env=False).status_code == httpx.codes.OK:
                    return self.running
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        self.running.stop(5.0)
        address = urlsplit(self._url).netloc
        raise NotStarted(f"the console did not answer at {address} within {READY_SECONDS:.0f} s; its log is {log}")
