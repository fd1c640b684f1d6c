"""A configuration as a deployment has one, in the folder of its log."""

from pathlib import Path
from typing import Any

import yaml

ISSUER = "https://idp"


def write_config(
    folder: Path,
    *,
    issuer: dict[str, Any] | None = None,
    policy: str = "{}",
    audit: dict[str, Any] | None = None,
    **more: Any,
) -> Path:
    """`config.yaml` with its digest key and its policy. `issuer`, `audit` and `more` add to what every test needs."""
    trusted = {"issuer": ISSUER, "audiences": ["extproc"], "algorithms": ["RS256"], "discovery": True}
    document = {
        "apiVersion": "extproc/v1",
        "kind": "Config",
        "deployment": "test",
        "run_directory": "run",
        "connections": [{"name": "model", "upstream": "http://127.0.0.1:9"}],
        "identity": {"issuers": [trusted | (issuer or {})]},
        "policy": "policy.yaml",
        "digest_key": "digest.key",
        "approvals": {"database": "sqlite:///approvals.db"},
        "audit": {"spool": "spool", "keys": "keys", "store": {"directory": "store"}} | (audit or {}),
        **more,
    }
    write_key(folder / "digest.key", 1)
    (folder / "policy.yaml").write_text(policy)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def write_key(path: Path, number: int) -> None:
    """32 bytes that are the same each time, and others for each number."""
    path.write_bytes(bytes([number]) * 32)
    path.chmod(0o600)
