"""The chart's rule files as documents, and promtool."""

import functools
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "extproc"
FILES = sorted((CHART / "rules").glob("*.yaml"))
PROMTOOL = ROOT / ".servers" / "prometheus" / "promtool"
PROMETHEUS = ROOT / ".servers" / "prometheus" / "prometheus"


@functools.cache
def all_rules() -> list[dict[str, Any]]:
    """Every rule of every file, recorded ones too."""
    documents = [yaml.safe_load(path.read_text("utf-8")) for path in FILES]
    return [rule for document in documents for group in document["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in all_rules() if "alert" in rule}


def promtool(*arguments: str, stdin: str = "") -> str:
    """What it says; `AssertionError` where it does not end with 0."""
    ran = subprocess.run([str(PROMTOOL), *arguments], input=stdin, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-4000:]
    return ran.stdout + ran.stderr
