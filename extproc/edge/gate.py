"""What Envoy's two locks ask of the service, and the secret that opens the second one.

Request lock (RBAC): the dynamic metadata `NAMESPACE`/`DECISION` must be `ALLOW` when the request goes on. Response lock
(Lua): every answer to a response-headers message carries `GATE_HEADER` with the gate secret, and Envoy strips it. An
immediate response must not carry it: it needs no marker, and one sent in answer to response headers goes to the client
past all other filters, so nothing would strip it.
"""

import os
import re
import secrets
from pathlib import Path

NAMESPACE = "extproc"
"""The one namespace of dynamic metadata that Envoy accepts from the service. Every value is a string."""
DECISION = "decision"
ALLOW = "allow"
DENY = "deny"
ANSWER = "answer"
JUDGED = "judged"
"""What opens a foreign gateway's response lock: it has no gate secret, and metadata no model server can write."""
EXCHANGE_ID = "exchange_id"
EFFECT = "effect"
RULE = "rule"
POLICY = "policy"
OPERATION = "operation"
CONNECTION = "connection"

GATE_HEADER = "x-extproc-gate"
ORIGIN_HEADER = "x-extproc-origin"
"""Written and stripped by Envoy itself: where a response comes from. Neither header passes in from a client."""

GATE_FILE = "gate"
_GATE = re.compile(r"[A-Za-z0-9_-]{32,128}")
"""Safe inside a Lua string and a header value, and too long to guess."""


def read_or_create_gate(run_directory: Path) -> str:
    """The gate secret of this run directory: one value for Envoy and all workers, whoever asks first, mode 0600.

    Raises `PermissionError` when others may read the file, `ValueError` when it holds no gate secret.
    """
    path = run_directory / GATE_FILE
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        raise PermissionError("the gate file is readable by others: its mode must be 0600")
    return parse_gate(path.read_text("ascii").strip())


def parse_gate(text: str) -> str:
    """`text` itself; raises `ValueError` (without it) unless it can be a gate secret."""
    if _GATE.fullmatch(text) is None:
        raise ValueError("the gate secret must be 32 to 128 letters, digits, `-` or `_`")
    return text


def _create(path: Path) -> None:
    """A whole file appears under its name or none: of several workers that start at once, one wins and all read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{GATE_FILE}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
