"""The model server's own credential must not come back in its answer, whole or cut in two."""

from extproc.core.forwarding import MIN_CREDENTIAL_BYTES
from extproc.core.trust import Secret


class CredentialWatch:
    """Looks at what would leave, in order. What an SSE stream spreads over events does not stand there in one piece."""

    def __init__(self, credential: Secret | None) -> None:
        self._secret = credential.value.encode() if credential else b""
        self._seen = b""

    def passes(self, out: bytes) -> bool:
        """Whether `out`, behind what passed before it, does not complete the credential."""
        if len(self._secret) < MIN_CREDENTIAL_BYTES:
            return True
        seen = self._seen + out
        self._seen = seen[1 - len(self._secret) :]
        return self._secret not in seen
