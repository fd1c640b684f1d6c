"""`extproc policy fmt` and `schema`."""

import difflib
import json
import os
import shutil
from pathlib import Path

import click

from extproc.cli.config import EXIT_FINDING, EXIT_INPUT
from extproc.cli.policy_files import print_problems, print_unreadable, read_file
from extproc.core.schema import load_schema
from extproc.core.yaml_format import FormatRefused, format_document


@click.command("fmt")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; show what would change.")
def fmt_command(files: tuple[Path, ...], check: bool) -> None:
    """Write policies and their tests in their canonical form; comments are kept.

    The form means the same, or the file is left as it is. Exits 0 when all have it (with --check: had it), 1 when
    --check finds one that has not, 2 when a file cannot be read, written or formatted.
    """
    codes = [_format(file, check=check) for file in files]
    raise SystemExit(max(codes))


def _format(file: Path, *, check: bool) -> int:
    try:
        data = read_file(file)
        text = format_document(data)
        if text.encode() == data:
            return 0
        if check:
            _print_change(file, data.decode("utf-8-sig"), text)
            return EXIT_FINDING
        _replace(file, text.encode())
    except OSError as error:
        print_unreadable(file, error)
        return EXIT_INPUT
    except FormatRefused as refused:
        print_problems(file, refused.problems, err=True)
        return EXIT_INPUT
    click.echo(f"{file}: formatted")
    return 0


def _print_change(file: Path, before: str, after: str) -> None:
    changed = difflib.unified_diff(
        before.splitlines(), after.splitlines(), str(file), f"{file} (formatted)", lineterm=""
    )
    click.echo("\n".join(changed) or f"{file}: line ends would change")


def _replace(file: Path, data: bytes) -> None:
    """At once, so that whoever watches the file never sees a part of it."""
    target = file.resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_bytes(data)
        shutil.copymode(target, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


@click.command("schema")
@click.argument("name", type=click.Choice(["policy", "tests", "config"]), default="policy")
def schema_command(name: str) -> None:
    """Print the JSON Schema of policies, of files of cases, or of config.yaml, for editors and other tools."""
    click.echo(json.dumps(load_schema(name), indent=2, ensure_ascii=False))
