"""`extproc policy explain`: why a request gets the answer that it gets."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from extproc.cli.audit_where import config_option, fail, find_where, json_option, no_such_exchange, store_option

if TYPE_CHECKING:
    from extproc.core.policy import DecisionInput, Policy, ResponseCounts
    from extproc.core.record import Record

OPERATIONS = (
    "chat", "text_completion", "embeddings", "responses", "messages", "generate", "model_list", "model_admin",
    "tokenize", "unknown",
)  # fmt: skip
_NEEDED = "give one of --exchange, --case and --subject: what is to be explained"


def _counts(_: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    """`NAME=N`, several times."""
    counts: dict[str, int] = {}
    for value in values:
        name, _sign, number = value.rpartition("=")
        if not name or not number.isdecimal():
            raise click.BadParameter(f"{value!a} is not of the form NAME=NUMBER", param=option)
        counts[name] = int(number)
    return counts


def _moment(_: click.Context, option: click.Parameter, value: str) -> float:
    if not value:
        return time.time()
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!a} is not an ISO 8601 time", param=option) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


@click.command("explain")
@click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[POLICY]")
@config_option
@store_option
@click.option("--exchange", default="", help="A recorded exchange's id.")
@click.option("--case", "case_name", default="", help="The name of one of the policy's cases.")
@click.option(
    "--cases", "more", metavar="FILE", multiple=True, type=click.Path(path_type=Path), help="A file of further cases."
)
@click.option("--subject", default="", help="A request from these options: who asks.")
@click.option("--issuer", default="https://issuer.test", show_default=True)
@click.option("--group", "groups", multiple=True, help="As the identity provider names it; repeat it for several.")
@click.option("--kind", default="person", type=click.Choice(["person", "service"]), show_default=True)
@click.option("--mfa", is_flag=True, help="Signed in with several factors.")
@click.option("--signed-in", "signed_in", default=0, type=click.IntRange(0), help="So many seconds ago; 0: not said.")
@click.option("--connection", default="default", show_default=True)
@click.option("--operation", default="chat", type=click.Choice(OPERATIONS), show_default=True)
@click.option("--model", default="")
@click.option("--stream", is_flag=True)
@click.option("--max-tokens", default=0, type=click.IntRange(0))
@click.option("--messages", default=0, type=click.IntRange(0))
@click.option("--tool", "tools", multiple=True, help="A tool's name; repeat it for several.")
@click.option("--body-bytes", default=0, type=click.IntRange(0))
@click.option("--finding", "findings", multiple=True, callback=_counts, help="KIND=NUMBER, such as `pan=2`.")
@click.option("--budget", "budgets", multiple=True, callback=_counts, help="NAME=NUMBER counted so far.")
@click.option("--source", default="unknown", help="The address that it comes from.")
@click.option("--now", "now_unix", default="", callback=_moment, help="An ISO 8601 time (UTC). [default: now]")
@json_option
def command(
    *,
    file: Path | None,
    config: Path | None,
    store: Path | None,
    exchange: str,
    case_name: str,
    more: tuple[Path, ...],
    subject: str,
    as_json: bool,
    **request: object,
) -> None:
    """Say of each rule of POLICY whether it holds, and of one that does not, what in it does not.

    Without POLICY it is the one that --config names. What is explained is a recorded exchange, one of the policy's
    cases, or a request from options. Exits 0 when it is explained, 2 when it cannot
    be, or not everything could be read.
    """
    from extproc.cli.audit_view import print_problems  # noqa: PLC0415
    from extproc.cli.policy_explain_view import print_explanation  # noqa: PLC0415
    from extproc.core.policy_explain import explain  # noqa: PLC0415

    if sum(map(bool, (exchange, case_name, subject))) != 1:
        raise click.UsageError(_NEEDED)
    if more and not case_name:
        raise click.UsageError("--cases is a file to find --case in; name the case")
    policy = _policy(file, config)
    record: Record | None = None
    counts: ResponseCounts | None = None
    problems: list[str] = []
    if exchange:
        record, problems = _find(exchange, config, store)
        given, counts = _recorded(record)
    elif case_name:
        given, counts = _case(policy, case_name, more)
    else:
        given = _request(policy, subject, request)
    print_explanation(policy, given, explain(policy, given, counts), record, as_json=as_json)
    print_problems(problems)


def _policy(file: Path | None, config: Path | None) -> Policy:
    from extproc.cli.config import settings_or_exit  # noqa: PLC0415
    from extproc.cli.policy_files import policy_or_exit  # noqa: PLC0415

    if file is not None:
        return policy_or_exit(file)
    if config is None:
        raise click.UsageError("name the policy, or give --config (or EXTPROC_CONFIG)")
    return policy_or_exit(settings_or_exit(config).policy_file)


def _find(exchange_id: str, config: Path | None, store: Path | None) -> tuple[Record, list[str]]:
    """What it ended with, and what of the log could not be read. Recorded as a read, before it is looked for."""
    from extproc.audit.reading.exchanges import collect_exchange  # noqa: PLC0415
    from extproc.audit.reading.reader import Reader, span_of_exchange  # noqa: PLC0415
    from extproc.cli.audit_view import print_problems  # noqa: PLC0415
    from extproc.cli.audit_where import store_failures  # noqa: PLC0415

    where = find_where(config, store)
    where.record_read("policy.explain", {"exchange": exchange_id[:128]})
    span = span_of_exchange(exchange_id)
    with store_failures():
        reader = Reader(where.look_at_evidence(span), span)
        found = collect_exchange(reader, exchange_id)
    if found is None:
        print_problems(reader.problems)
        no_such_exchange(exchange_id)
    return found.decided, reader.problems


def _recorded(record: Record) -> tuple[DecisionInput, ResponseCounts | None]:
    from extproc.core.reasons import Malformed  # noqa: PLC0415
    from extproc.core.recorded import decision_input, response_counts  # noqa: PLC0415

    if record.policy is None or not record.policy.effect:
        fail(f"no policy was asked: it was refused before ({record.status_detail or record.status})")
    try:
        return decision_input(record), response_counts(record)
    except Malformed:
        fail(
            "its record does not say all that the decision looked at: an earlier version wrote it, or it has many tools"
        )


def _case(policy: Policy, name: str, more: tuple[Path, ...]) -> tuple[DecisionInput, ResponseCounts | None]:
    from extproc.cli.policy_files import cases_or_exit  # noqa: PLC0415
    from extproc.core.document import quoted  # noqa: PLC0415
    from extproc.core.policy_case import build_case  # noqa: PLC0415
    from extproc.core.policy_case_text import shown  # noqa: PLC0415
    from extproc.core.policy_cases import CaseRunner  # noqa: PLC0415
    from extproc.core.schema import nearest  # noqa: PLC0415

    cases = [*map(build_case, policy.tests), *(case for file in more for case in cases_or_exit(file, policy))]
    case = next((case for case in cases if case.name == name), None)
    if case is None:
        hint = nearest(name, [shown(case.name) for case in cases]) if cases else "name a file of cases with --cases"
        fail(f"there is no case {quoted(shown(name))}" + (f" ({hint})" if hint else ""))
    (result,) = CaseRunner(policy).run([case])
    if result.outcome.given is None:
        fail(f"the policy is not asked: the request is refused before ({result.outcome.refused})")
    return result.outcome.given, case.response


def _check_names(option: str, given: dict[str, int], known: Iterable[str]) -> None:
    """A name that the policy does not have would explain another request than was meant."""
    from extproc.core.schema import nearest  # noqa: PLC0415

    names = sorted(known)
    for name in given:
        if name not in names:
            hint = nearest(name, names) if names else "it has none"
            raise click.BadParameter(f"the policy knows no {name!a} ({hint})", param_hint=option)


def _request(policy: Policy, subject: str, request: dict[str, object]) -> DecisionInput:
    from typing import Any  # noqa: PLC0415

    from extproc.core.policy import DecisionInput, Facts, Operation  # noqa: PLC0415
    from extproc.core.policy.compiler import finding_kinds  # noqa: PLC0415
    from extproc.core.principal import Principal  # noqa: PLC0415

    asked: dict[str, Any] = request
    _check_names("--finding", asked["findings"], finding_kinds((policy.masking, *policy.masking_profiles.values())))
    _check_names("--budget", asked["budgets"], {budget.name for budget in policy.budgets})
    now, ago = asked["now_unix"], asked["signed_in"]
    return DecisionInput(
        principal=Principal(
            issuer=asked["issuer"],
            subject=subject,
            name="",
            groups=asked["groups"],
            kind=asked["kind"],
            mfa=asked["mfa"],
            authenticated_at=int(now) - ago if ago else 0,
        ),
        connection=asked["connection"],
        operation=Operation(asked["operation"]),
        facts=Facts(
            model=asked["model"],
            stream=asked["stream"],
            max_tokens=asked["max_tokens"],
            messages=asked["messages"],
            tools=len(asked["tools"]),
            tool_names=asked["tools"],
            body_bytes=asked["body_bytes"],
        ),
        findings=asked["findings"],
        now_unix=now,
        source_address=asked["source"],
        budgets=asked["budgets"],
    )
