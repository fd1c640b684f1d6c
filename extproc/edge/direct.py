"""Loopback is reached directly, whatever proxy the environment names: none serves it, and none may see its tokens."""

from typing import Final

DIRECT: Final = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}
"""For `httpx`: `mounts=DIRECT`."""
