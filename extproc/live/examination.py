"""All questions to an installation, group by group: each is asked whatever came of the others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from extproc.edge.settings import Settings
from extproc.live.approval_checks import check_approvals
from extproc.live.check import Check, failed
from extproc.live.clock_checks import check_clock
from extproc.live.console_checks import check_console
from extproc.live.envoy_checks import check_envoy
from extproc.live.identity_checks import check_issuers
from extproc.live.key_checks import check_files, check_keys
from extproc.live.model_checks import check_models
from extproc.live.policy_checks import check_policy
from extproc.live.store_checks import check_spool, check_store
from extproc.live.telemetry_checks import check_telemetry
from extproc.live.worker_checks import check_workers


@dataclass(frozen=True, slots=True)
class Terms:
    """What the asker allows. `inspect` asks the store to break its rules, and is None where it must not."""

    envoy_admin: str = ""
    outside: bool = False
    inspect: Callable[[], Iterator[Check]] | None = None


def examine(settings: Settings, terms: Terms) -> Iterator[Check]:
    """One check after the other, as each is known."""
    if terms.outside:
        yield from check_models(settings, outside=True)
        return
    groups: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
        ("policy", lambda: check_policy(settings)),
        ("workers", lambda: check_workers(settings)),
        ("envoy", lambda: check_envoy(settings, terms.envoy_admin)),
        ("model servers", lambda: check_models(settings, outside=False)),
        ("issuers", lambda: check_issuers(settings)),
        ("keys", lambda: check_keys(settings)),
        ("secrets", lambda: iter((check_files(settings),))),
        ("clock", lambda: check_clock(settings)),
        ("spool", lambda: check_spool(settings)),
        ("store", lambda: check_store(settings, terms.inspect)),
        ("approvals", lambda: check_approvals(settings)),
        ("telemetry", lambda: check_telemetry(settings)),
        ("console", lambda: check_console(settings)),
    )
    for name, ask in groups:
        try:
            yield from ask()
        except Exception as error:  # noqa: BLE001 - a boundary: one question that breaks must not hide the others
            yield failed(name, f"the question itself broke ({type(error).__name__})", "that is a fault of extproc's")
