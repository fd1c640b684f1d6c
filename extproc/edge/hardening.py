"""Process hygiene that PCI DSS 3.3.1.x testing asks for: no memory of an exchange reaches a disk by accident."""

import ctypes
import os
import resource

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
