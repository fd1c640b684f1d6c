"""`extproc identity explain`: whom a token names by this configuration, or everything for which it is refused.

Exit codes: 0 it is accepted; 1 it is refused; 2 usage, configuration, or keys that cannot be had.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from extproc.cli.config import EXIT_FINDING, EXIT_INPUT, config_file_option, settings_or_exit

if TYPE_CHECKING:
    from extproc.core.binding import Binding, Vouched
    from extproc.core.identity import UnverifiedToken
    from extproc.core.policy import Policy
    from extproc.core.principal import Principal
    from extproc.edge.settings import Settings


@click.group("identity")
def command() -> None:
    """Show whom a token names."""


@command.command("explain")
@click.option("--token-file", type=click.Path(dir_okay=False, path_type=Path), help="The token, in a file.")
@click.option("--token-stdin", is_flag=True, help="Read the token from standard input. [else env: EXTPROC_TOKEN]")
@click.option("--json", "as_machine", is_flag=True, help="For machines.")
@config_file_option
def explain(*, token_file: Path | None, token_stdin: bool, as_machine: bool, config: Path) -> None:
    """Verify a token as the service does, and print the principal that policies and records see.

    A refused token is compared with the configuration, and everything that does not fit is told: what a client is not.
    The policy is read, too: what its masking finds is not printed, and names nobody.
    """
    from extproc.cli.person import read_token  # noqa: PLC0415
    from extproc.cli.policy_files import policy_or_exit  # noqa: PLC0415
    from extproc.core.doubts import find_doubts  # noqa: PLC0415
    from extproc.core.principal import names_card_data, with_masked_words  # noqa: PLC0415
    from extproc.core.reasons import REFUSALS, ExchangeError, Reason, Unavailable  # noqa: PLC0415

    token = read_token(token_file, from_stdin=token_stdin)
    settings = settings_or_exit(config)
    policy = policy_or_exit(settings.policy_file)
    mask = _masker(settings, policy)
    try:
        vouched = asyncio.run(_vouch(settings, token))
    except ExchangeError as error:
        doubts = find_doubts(token.compact, settings.issuers, time.time())
        if isinstance(error, Unavailable) and not doubts:
            click.echo(REFUSALS[error.reason].sentence, err=True)
            sys.exit(EXIT_INPUT)
        last = "its signature does not hold under a key that the issuer publishes"
        _refuse(error.reason.value, [mask(doubt) for doubt in doubts or (last,)], as_machine=as_machine)
    if names_card_data(vouched.principal, mask):
        said = (
            "its subject, its tenant or a group holds what the policy's masking finds: it would stand in every record"
        )
        _refuse(Reason.TOKEN_CARD_DATA.value, [said], as_machine=as_machine)
    _accept(with_masked_words(vouched.principal, mask), vouched.binding, policy.known.groups, as_machine=as_machine)


def _masker(settings: "Settings", policy: "Policy") -> Callable[[str], str]:
    """As the service masks what a token says."""
    from extproc.core.masking.scanner import Scanner  # noqa: PLC0415
    from extproc.edge.settings_file import read_mask_keys  # noqa: PLC0415

    key = next(iter(read_mask_keys(settings)), None)
    try:
        return Scanner(policy.masking, settings.limits.max_scan_steps, key).masker().mask_text
    except ValueError as error:  # tokens without a key
        click.echo(f"the policy's masking cannot be used: {error}", err=True)
        sys.exit(EXIT_INPUT)


async def _vouch(settings: "Settings", token: "UnverifiedToken") -> "Vouched":
    import httpx  # noqa: PLC0415 - it takes longer to import than the rest

    from extproc.cli.person import IDENTITY_SECONDS  # noqa: PLC0415
    from extproc.edge.authenticator import Authenticator  # noqa: PLC0415
    from extproc.edge.direct import DIRECT  # noqa: PLC0415

    async with httpx.AsyncClient(timeout=IDENTITY_SECONDS, mounts=DIRECT) as client:
        authenticator = Authenticator(settings.issuers, client)
        fetching = asyncio.create_task(authenticator.run())
        try:
            return await authenticator.vouch(token)
        finally:
            fetching.cancel()
            await asyncio.wait([fetching])


def _moment(unix: int) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if unix else "not said"


def _refuse(code: str, doubts: list[str], *, as_machine: bool) -> NoReturn:
    from extproc.core.printable import printable_line  # noqa: PLC0415

    if as_machine:
        click.echo(json.dumps({"accepted": False, "code": code, "reasons": doubts}, indent=2))
    else:
        click.echo(f"refused: {code}")
        for doubt in doubts:
            click.echo(f"- {printable_line(doubt)}")
    sys.exit(EXIT_FINDING)


def _accept(
    principal: "Principal", binding: "Binding", aliases: Mapping[str, tuple[str, ...]], *, as_machine: bool
) -> None:
    """`aliases` are the policy's names for groups. For machines times stay Unix seconds, 0 where none is said."""
    from extproc.core.printable import printable_line  # noqa: PLC0415

    held = [alias for alias, names in aliases.items() if not set(principal.groups).isdisjoint(names)]
    shown: dict[str, Any] = {"uid": principal.uid, **asdict(principal)}
    for name in ("spiffe_id", "certificate_subject", "confirmation"):  # of a request, and there is none
        del shown[name]
    bound = [
        name
        for name, thumbprint in (("a DPoP proof", binding.jkt), ("its client certificate", binding.x5t))
        if thumbprint
    ]
    if as_machine:
        document = {"accepted": True, "principal": shown, "groups_in_policy": held if aliases else None, "wants": bound}
        click.echo(json.dumps(document, indent=2))
        return
    shown |= {name: _moment(shown[name]) for name in ("authenticated_at", "expires_at")}
    if aliases:
        shown["groups in policy"] = held or "none that `known.groups` names"
    for name, value in shown.items():
        text = ", ".join(value) if isinstance(value, tuple | list) else str(value)
        click.echo(f"{name:<18}{printable_line(text)}".rstrip())
    if bound:
        click.echo(f"Each request must also show {' and '.join(bound)}.")
