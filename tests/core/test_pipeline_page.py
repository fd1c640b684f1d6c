"""What the page about a policy's tools lets a pipeline install."""

import re
from pathlib import Path

import yaml
from packaging.requirements import Requirement

import extproc

PAGE = Path(extproc.__file__).parent / "core" / "POLICY.md"


def test_the_pipeline_installs_one_commit_of_a_repository_and_nothing_by_a_name_of_the_index() -> None:
    (workflow,) = re.findall(r"```yaml\n(# \.github/workflows.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    steps = [step.get("run", "") for step in yaml.safe_load(workflow)["jobs"]["policy"]["steps"]]
    (install,) = (line for line in steps if "pip" in line)
    (requirement,) = re.fullmatch(r'python -m pip install --quiet "(.+)"', install).groups()  # type: ignore[union-attr]
    url = Requirement(requirement).url
    assert url is not None
    assert re.fullmatch(r"git\+https://git\.example\.com/.+@[0-9a-f]{40}", url)
