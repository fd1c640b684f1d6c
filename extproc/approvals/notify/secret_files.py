"""The files of channels: a URL, a secret, a password; one line each, read anew for each message. Nothing is quoted."""

import base64
import os
from pathlib import Path

from extproc.core.issuer import is_trustworthy_url
from extproc.core.trust import Secret

MAX_BYTES = 4096
"""Beyond it is some other file."""
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
"""Standard Webhooks: "between 24 bytes (192 bits) and 64 bytes (512 bits)"."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - what the secrets begin with


class SecretUnfit(Exception):
    """A file that does not hold what it should. Its text is ours, and holds nothing of the file."""


def read_line(path: Path) -> Secret:
    """The one line of printable ASCII in a file, without its end. Raises `SecretUnfit`."""
    try:
        # A named pipe would wait for its writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            data = file.read(MAX_BYTES + 1) or b""
    except OSError as error:
        raise SecretUnfit(f"the file cannot be read: {(error.strerror or 'unknown error').lower()}") from None
    line = data.removesuffix(b"\n").removesuffix(b"\r")
    if not line:
        raise SecretUnfit("the file is empty")
    if len(data) > MAX_BYTES or line != line.strip() or not all(0x20 <= byte < 0x7F for byte in line):
        raise SecretUnfit("the file holds more than one line of printable ASCII")
    return Secret(line.decode("ascii"))


def read_url(path: Path) -> Secret:
    """A URL that a request may go to. Raises `SecretUnfit`."""
    url = read_line(path)
    if not is_receiver(url.value):
        raise SecretUnfit("the file holds no URL that is https, or http on this machine, without user and fragment")
    return url


def is_receiver(url: str) -> bool:
    """What is sent there reaches only its owner."""
    return is_trustworthy_url(url) and all(0x20 < ord(character) < 0x7F for character in url)


def read_signing_secret(path: Path) -> Secret:
    """`whsec_` and 24 to 64 bytes in base64. Raises `SecretUnfit`."""
    secret = read_line(path)
    encoded = secret.value.removeprefix(SECRET_PREFIX)
    try:
        size = len(base64.b64decode(encoded, validate=True))
    except ValueError:
        size = 0
    if encoded == secret.value or not MIN_SECRET_BYTES <= size <= MAX_SECRET_BYTES:
        raise SecretUnfit(f"the file holds no `whsec_` with {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64")
    return secret
