"""Folders of keys that are given to a process to read, as Kubernetes mounts a Secret.

It can write nothing there, so nothing is made, replaced or locked. A file is a symbolic link into the folder's version,
belongs to somebody else, and is readable to the process by its group: what would be a mistake in a folder of its own.
"""

import os
from pathlib import Path


def is_given(directory: Path) -> bool:
    """Whether the folder is there, and not ours to write."""
    return directory.is_dir() and not os.access(directory, os.W_OK)


def forbidden_bits(directory: Path) -> int:
    """Of the mode of a secret in it. To others it is never readable."""
    return 0o037 if is_given(directory) else 0o077


def said_mode(directory: Path) -> str:
    """What the mode must be, in words."""
    return "0440 or 0400" if is_given(directory) else "0600"
