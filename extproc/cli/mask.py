"""`extproc mask`: the engine of the service as a filter, for trying a policy's rules on texts.

Exit codes: 0 done, 1 with `--check` when something is masked, 2 wrong input, or the reader of the output went away.
"""

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

import click

from extproc.cli.mask_input import STDIN, Input, Unusable
from extproc.cli.mask_report import Places, Report
from extproc.cli.policy_files import policy_or_exit
from extproc.core.masking.aliases import MaskKey
from extproc.core.masking.explain import Explainer
from extproc.core.masking.noted import NotedMasker, NotedScanner, NotedText, Piece
from extproc.core.masking.noted_json import NotJson, mask_documents
from extproc.core.masking.settings import MaskingSettings, Side
from extproc.core.printable import printable_line
from extproc.core.reasons import Malformed
from extproc.core.trust import Secret

_FINDING = 1
_WRONG_INPUT = 2
_IN_MEMORY = 8 * 1024 * 1024
"""Masked bytes kept in memory before a temporary file takes them."""
_STEPS = 2**62
"""The service's bound on what a body may cost protects other exchanges; here are none."""


@click.command(name="mask")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--policy", type=click.Path(path_type=Path), help="The policy whose `masking` applies.")
@click.option("--json/--text", "as_json", default=None, help="What the inputs are; by default as their names end.")
@click.option(
    "--direction",
    type=click.Choice([side.value for side in Side]),
    default=Side.REQUEST.value,
    show_default=True,
    help="Whose styles apply.",
)
@click.option("--explain", is_flag=True, help="Say why, also of numbers that could be a card and stay.")
@click.option("--check", is_flag=True, help="Give out no text; exit with 1 when something would be masked.")
@click.option("--report", "form", type=click.Choice(["text", "json"]), default="text", help="Lines, or JSON lines.")
@click.option("--report-to", type=click.Path(path_type=Path), help="Write the report there, not to standard error.")
def command(
    *,
    files: tuple[Path, ...],
    policy: Path | None,
    direction: str,
    as_json: bool | None,
    explain: bool,
    check: bool,
    form: str,
    report_to: Path | None,
) -> None:
    """Mask files, or standard input, to standard output, and report what was where: kinds and places, no values.

    FILE may be `-`. JSON (`--json`, or a name that ends in .json, .jsonl or .ndjson) is masked as the service masks
    bodies: keys count, and it stays JSON. Each file is a text of its own. No file is changed, and nothing is given
    out before all inputs have been read to their end. What the service finds in whole bodies only (base64, hex, numbers
    split over neighbouring values) is not found here. Tokens (the style `token`) are made with a key of this run.
    """
    settings = policy_or_exit(policy).masking if policy else MaskingSettings()
    paths = files or (STDIN,)
    _check_paths(paths, report_to)
    scanner = NotedScanner(settings, _STEPS, MaskKey("k0", Secret(secrets.token_hex())))
    work = _Work(scanner.masker(Side(direction)), Explainer(scanner) if explain else None)
    # What may reach the disk is masked.
    with _spool() as text, _spool() as lines:
        report = Report(lambda line: lines.write(line.encode()), as_json=form == "json")
        try:
            for source in _inputs(paths, settings):
                for piece in work.mask(source, report, as_json=source.seems_json if as_json is None else as_json):
                    if not check:
                        text.write(piece.encode())
        except Unusable as error:
            _fail(str(error))
        except OSError as error:
            _fail(f"the masked text cannot be kept: {(error.strerror or 'unknown error').lower()}")
        report.finish(len(paths))
        if report_to is not None:
            _write_report(lines, report_to)
        whole = _give_out(text)
        if report_to is None:
            lines.seek(0)
            shutil.copyfileobj(lines, sys.stderr.buffer)
    sys.exit(_WRONG_INPUT if not whole else _FINDING if check and report.finds_something else 0)


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)


def _check_paths(paths: tuple[Path, ...], report_to: Path | None) -> None:
    if paths.count(STDIN) > 1:
        raise click.UsageError("standard input can be read once")
    if report_to is None or not report_to.is_file():
        return
    if any(path != STDIN and path.exists() and path.samefile(report_to) for path in paths):
        raise click.UsageError("the report would overwrite an input")


def _inputs(paths: tuple[Path, ...], settings: MaskingSettings) -> Iterator[Input]:
    names = NotedScanner(MaskingSettings(profile=settings.profile), _STEPS)
    for path in paths:
        name = "stdin" if path == STDIN else printable_line(names.masker().mask_text(str(path)))
        yield Input(path, name)


@dataclass(frozen=True, slots=True)
class _Work:
    """What all inputs share: one masker, so that equal PANs have equal numbers."""

    masker: NotedMasker
    explainer: Explainer | None

    def mask(self, source: Input, report: Report, *, as_json: bool) -> Iterator[str]:
        """The masked text of one input, in pieces; its notes go to the report. Raises `Unusable`."""
        try:
            yield from self._json(source, report) if as_json else self._text(source, report)
        except Malformed:
            raise Unusable(f"{source.name}: nested too deeply") from None

    def _text(self, source: Input, report: Report) -> Iterator[str]:
        noted = NotedText(self.masker, self.explainer)
        places = Places()
        for piece in source.read_pieces():
            places.feed(piece, noted.noted_to)
            yield self._reported(noted.feed(piece), source, report, places)
        yield self._reported(noted.finish(), source, report, places)

    def _json(self, source: Input, report: Report) -> Iterator[str]:
        text = source.read_text()
        places = Places()
        places.feed(text, 0)
        try:
            for piece in mask_documents(text, self.masker, self.explainer):
                yield self._reported(piece, source, report, places)
        except NotJson as error:
            line, column = places.find(error.offset)
            raise Unusable(f"{source.name}:{line}:{column}: not JSON") from None

    @staticmethod
    def _reported(piece: Piece, source: Input, report: Report, places: Places) -> str:
        report.add(source.name, piece.notes, places)
        return piece.text


def _give_out(text: IO[bytes]) -> bool:
    """Copies to standard output; false when its reader has gone away."""
    text.seek(0)
    output = sys.stdout.buffer
    try:
        shutil.copyfileobj(text, output)
        output.flush()
    except BrokenPipeError:
        # What is left in the buffer would fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    except OSError as error:
        _fail(f"the output cannot be written: {(error.strerror or 'unknown error').lower()}")
    return True


def _write_report(lines: IO[bytes], report_to: Path) -> None:
    lines.seek(0)
    try:
        with report_to.open("wb") as opened:
            shutil.copyfileobj(lines, opened)
    except OSError as error:
        _fail(f"the report (`--report-to`) cannot be written: {(error.strerror or 'unknown error').lower()}")


def _fail(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    raise SystemExit(_WRONG_INPUT)
