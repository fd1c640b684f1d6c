"""People with tokens of an issuer, at a terminal beside a deployment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from extproc.cli.main import main
from extproc.local.issuer import AUDIENCE, RunningIssuer, mint_token
from tests.audit.configured import write_config


@dataclass(frozen=True)
class Place:
    folder: Path
    issuer: str
    issuer_folder: Path

    def audit(self, *arguments: str, token: str = "") -> Result:
        environment = {"EXTPROC_CONFIG": str(self.folder / "config.yaml"), "EXTPROC_TOKEN": token}
        result = CliRunner().invoke(main, ["audit", *arguments], env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert not token or token not in result.output
        return result

    def token(self, subject: str, *groups: str) -> str:
        return mint_token(
            self.issuer_folder,
            subject=subject,
            groups=groups or ("privacy",),
            name=subject.title(),
            audience=AUDIENCE,
            issuer=self.issuer,
            ttl_seconds=600,
        )

    def every_byte(self) -> bytes:
        return b"\n".join(path.read_bytes() for path in self.folder.rglob("*") if path.is_file())


def make_place(folder: Path, issuer: tuple[Path, RunningIssuer], **audit: Any) -> Place:
    """A configuration for the deployment in `folder`, with more of its `audit` section."""
    issuer_folder, running = issuer
    trusted = {"issuer": running.url, "audiences": [AUDIENCE], "algorithms": ["ES256"]}
    write_config(folder, issuer=trusted, audit=audit)
    return Place(folder, running.url, issuer_folder)
