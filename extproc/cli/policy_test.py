"""`extproc policy test`, `coverage`. Exit codes: 0 as it should be, 1 a case fails or is missing, 2 wrong input."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click

from extproc.cli.config import EXIT_FINDING, EXIT_INPUT
from extproc.cli.policy_files import print_problems, print_unreadable, read_file
from extproc.cli.policy_manifests import manifests_option, manifests_or_exit
from extproc.core.document import DocumentInvalid
from extproc.core.policy import Policy
from extproc.core.policy_case import Case, build_case
from extproc.core.policy_case_document import is_case_document, parse_cases
from extproc.core.policy_case_text import shown
from extproc.core.policy_cases import CaseResult, CaseRunner
from extproc.core.policy_coverage import coverage
from extproc.core.policy_document import parse_policy

_files = click.argument("files", metavar="[FILE...]", nargs=-1, type=click.Path(path_type=Path))
_cases = click.option(
    "--cases", "more", metavar="FILE", multiple=True, type=click.Path(path_type=Path), help="A file of further cases."
)


@dataclass(frozen=True, slots=True)
class _Suite:
    """A policy with the cases that are to hold for it, each with the file that it stands in."""

    file: Path
    policy: Policy
    cases: tuple[tuple[Path, Case], ...]

    def run(self) -> list[tuple[Path, CaseResult]]:
        results = CaseRunner(self.policy).run(case for _, case in self.cases)
        return [(file, result) for (file, _), result in zip(self.cases, results, strict=True)]


@click.command("test")
@_files
@_cases
@manifests_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def test_command(files: tuple[Path, ...], more: tuple[Path, ...], manifests: IO[bytes] | None, as_json: bool) -> None:
    """Run the cases of policies, and those of files of kind PolicyTests, which hold for each of the policies.

    Prints FAIL - FILE - CASE with what differs, and a tally. Exits 0 when all hold, 1 when some fail, 2 when a file
    cannot be read or has problems, or has no case.
    """
    suites = _suites_or_exit(files, more) if files or more or manifests is None else []
    for each in manifests_or_exit(manifests).policies if manifests is not None else ():
        suites += _suites_of(each.data, [each.policy], each.cases)
    runs = [(suite, suite.run()) for suite in suites]
    without = [suite.file for suite in suites if not suite.cases]
    total = sum(len(results) for _, results in runs)
    failed = sum(not result.passed for _, results in runs for _, result in results)
    if as_json:
        click.echo(json.dumps(_report(runs, total, failed), indent=2, ensure_ascii=False))
    else:
        for _, results in runs:
            for line in _failures(results):
                click.echo(line)
        click.echo(f"{total} case{'' if total == 1 else 's'}: {total - failed} passed, {failed} failed")
    for file in without:
        click.echo(f"{file}: there is no case to run; add `tests:` to the policy, or `--cases FILE`", err=True)
    raise SystemExit(EXIT_INPUT if without else EXIT_FINDING if failed else 0)


@click.command("coverage")
@_files
@_cases
def coverage_command(files: tuple[Path, ...], more: tuple[Path, ...]) -> None:
    """Say which rules, response rules and steps of budgets no case reaches that holds.

    Exits 0 when all are reached and all cases hold, 1 when not, 2 when a file cannot be read or has problems.
    """
    missed = 0
    for suite in _suites_or_exit(files, more):
        results = [result for _, result in suite.run()]
        passed = [result for result in results if result.passed]
        if failed := len(results) - len(passed):
            click.echo(f"{suite.file}: {_cases_are(failed)} failing, and not counted; `extproc policy test` says why")
        parts = coverage(suite.policy, passed)
        for part in parts:
            if not part.reaching:
                click.echo(f"{suite.file}: {part.part} is reached by no case")
            elif not part.determining:
                click.echo(f"{suite.file}: {part.part} is reached, and determines the outcome of no case")
        reached = sum(part.reaching > 0 for part in parts)
        missed += len(parts) - reached + failed
        click.echo(f"{suite.file}: {reached} of {len(parts)} reached by {len(passed)} cases")
    raise SystemExit(EXIT_FINDING if missed else 0)


def _cases_are(count: int) -> str:
    return "1 case is" if count == 1 else f"{count} cases are"


def _suites_or_exit(files: tuple[Path, ...], more: tuple[Path, ...]) -> list[_Suite]:
    """Prints every problem of all files, and ends with 2 where there is one."""
    data = {file: _data_or_exit(file) for file in (*files, *more)}
    beside = [file for file in data if file in more or is_case_document(data[file])]
    policies = [file for file in data if file not in beside]
    if not policies:
        click.echo("no policy is given; name the file of the policy that the cases are for", err=True)
        raise SystemExit(EXIT_INPUT)
    return _suites_of(data, policies, beside)


def _suites_of(data: dict[Path, bytes], policies: Sequence[Path], beside: Sequence[Path]) -> list[_Suite]:
    """Each of the policies with its own cases and those beside it."""
    suites, failed = [], False
    for file in policies:
        try:
            policy = parse_policy(data[file])
        except DocumentInvalid as invalid:
            print_problems(file, invalid.problems, err=True)
            failed = True
            continue
        cases = [(file, build_case(raw)) for raw in policy.tests]
        for other in beside:
            try:
                cases += ((other, case) for case in parse_cases(data[other], policy))
            except DocumentInvalid as invalid:
                print_problems(other, invalid.problems, err=True)
                failed = True
        suites.append(_Suite(file, policy, tuple(cases)))
    if failed:
        raise SystemExit(EXIT_INPUT)
    return suites


def _data_or_exit(file: Path) -> bytes:
    try:
        return read_file(file)
    except OSError as error:
        print_unreadable(file, error)
        raise SystemExit(EXIT_INPUT) from None


def _failures(results: list[tuple[Path, CaseResult]]) -> Iterator[str]:
    for file, result in results:
        if not result.passed:
            yield f"FAIL - {file}:{result.case.line} - {shown(result.case.name)}"
            for difference in result.differences:
                yield f"  {difference.key}: expected {difference.expected}"
                yield f"  {' ' * len(difference.key)}  actual   {difference.actual}"


def _report(runs: list[tuple[_Suite, list[tuple[Path, CaseResult]]]], total: int, failed: int) -> dict[str, Any]:
    return {
        "policies": [
            {
                "file": str(suite.file),
                "digest": suite.policy.digest,
                "cases": [
                    {
                        "name": shown(result.case.name),
                        "file": str(file),
                        "line": result.case.line,
                        "passed": result.passed,
                        "differences": [
                            {"key": each.key, "expected": each.expected, "actual": each.actual}
                            for each in result.differences
                        ],
                    }
                    for file, result in results
                ],
            }
            for suite, results in runs
        ],
        "passed": total - failed,
        "failed": failed,
    }
