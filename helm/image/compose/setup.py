"""Run once by the Compose file: makes each secret that is missing and gives the volumes to the user of the others."""

import argparse
import os
import secrets
from pathlib import Path

USER = 65532
DATABASE = "postgresql+psycopg://extproc:{password}@127.0.0.1:5433/extproc"


def main() -> None:
    """A second run changes nothing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--secrets", type=Path, required=True)
    parser.add_argument("--own", type=Path, nargs="*", default=[])
    wanted = parser.parse_args()
    password = _keep(wanted.secrets / "database" / "password", secrets.token_hex(24))
    _keep(wanted.secrets / "database" / "url", DATABASE.format(password=password))
    _keep(wanted.secrets / "digest-key" / "digest.key", secrets.token_hex(32))
    _keep(wanted.secrets / "mask-keys" / "mask.key", secrets.token_hex(32))
    for folder in (wanted.secrets, *wanted.own):
        folder.chmod(0o700)
        _own(folder)


def _keep(path: Path, text: str) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _own(path.parent)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text("ascii")
    with os.fdopen(file, "w", encoding="ascii") as new:
        new.write(text)
    _own(path)
    return text


def _own(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, USER, USER)


if __name__ == "__main__":
    main()
