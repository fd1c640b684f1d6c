"""The pack's folder: there with both files whole, or not there."""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from extproc.audit.files import sync_directory, write_new


class FolderTaken(Exception):
    """The folder is there and holds something, or its parent is missing."""


def check_folder(folder: Path) -> None:
    """Raise `FolderTaken` unless a pack can be put there."""
    if not folder.absolute().parent.is_dir():
        raise FolderTaken(f"{folder.absolute().parent} is no folder")
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise FolderTaken(f"{folder} is there already; a pack is never written over another")


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Durably, for the owner's eyes only. Raises `FolderTaken` or OSError, and then leaves nothing behind."""
    check_folder(folder)
    folder = folder.absolute()
    made = folder.with_name(f".{folder.name}-{os.urandom(8).hex()}")
    made.mkdir(mode=0o700)
    try:
        for name, data in files.items():
            write_new(made / name, data, mode=0o600)
        os.rename(made, folder)
    except BaseException:
        with contextlib.suppress(OSError):
            shutil.rmtree(made)
        raise
    sync_directory(folder.parent)
