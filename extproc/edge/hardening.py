"""Process hygiene that PCI DSS 3.3.1.x testing asks for: no memory of an exchange reaches a disk by accident."""

import ctypes
import os
import resource
import signal

PARENT_VARIABLE = "EXTPROC_PARENT"
"""The environment variable with the id of the process that this one ends with: whoever starts it sets it."""
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """No core file and no ptrace by the same user. Raises `OSError` when the kernel refuses."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_DUMPABLE was refused")
    os.environ.pop("PYTHONFAULTHANDLER", None)


def die_with_parent(number: int) -> None:
    """Ask the kernel for signal `number` when the parent process ends, however it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_PDEATHSIG was refused")


def end_with_parent() -> bool:
    """From now on SIGTERM comes when the process ends that `PARENT_VARIABLE` names, if it names one.

    False: it ended before we could ask.
    """
    parent = os.environ.pop(PARENT_VARIABLE, "")
    if not parent.isdecimal():
        return True
    die_with_parent(signal.SIGTERM)
    return os.getppid() == int(parent)
