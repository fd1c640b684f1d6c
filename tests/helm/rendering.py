"""`helm` over the chart in this repository: what it renders for the values of a case, and what it refuses.

A case is `cases/NAME.in.yaml`, values of the chart. Beside it stands what comes of them: `NAME.out.yaml`, the objects, or
`NAME.fails.txt`, the words with which helm refuses. `make chart` writes both again; whether a case is to be refused, the
file that is there says.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "extproc"
CASES = ROOT / "tests" / "helm" / "cases"
HELM = Path(sys.executable).with_name("helm")

RELEASE = "guard"
NAMESPACE = "inference"
KUBE_VERSION = "1.33.0"
API_VERSIONS = (
    "cert-manager.io/v1", "gateway.envoyproxy.io/v1alpha1", "gateway.networking.k8s.io/v1", "monitoring.coreos.com/v1",
    "networking.istio.io/v1alpha3", "serving.kserve.io/v1beta1",
)  # fmt: skip
"""What the cluster of the cases has, always the same: a render depends on nothing but chart and values."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What helm said to a case: `text` are the objects where it rendered, the refusal where it did not."""

    refused: bool
    text: str

    @property
    def documents(self) -> list[Document]:
        assert not self.refused, self.text
        return [document for document in yaml.load_all(self.text, yaml.CSafeLoader) if document]


def names() -> list[str]:
    return sorted(path.name.removesuffix(".in.yaml") for path in CASES.glob("*.in.yaml"))


def expects_refusal(name: str) -> bool:
    return (CASES / f"{name}.fails.txt").exists()


def expected(name: str) -> Path:
    return CASES / (f"{name}.fails.txt" if expects_refusal(name) else f"{name}.out.yaml")


@cache
def render(name: str) -> Rendered:
    """One start of helm a case and process."""
    return render_values(CASES / f"{name}.in.yaml")


def render_values(*values: Path, chart: Path = CHART) -> Rendered:
    options = ["--namespace", NAMESPACE, "--kube-version", KUBE_VERSION]
    for version in API_VERSIONS:
        options += ["--api-versions", version]
    for path in values:
        options += ["--values", str(path)]
    ran = run_helm("template", RELEASE, str(chart), *options)
    return Rendered(ran.returncode != 0, ran.stdout if ran.returncode == 0 else without_place(ran.stderr))


def lint(name: str) -> str:
    """What `helm lint --strict` has to say; nothing where it is content."""
    ran = run_helm("lint", "--strict", "--quiet", "--kube-version", KUBE_VERSION, "--values", str(CASES / f"{name}.in.yaml"), str(CHART))  # fmt: skip
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


def run_helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False, timeout=60)


def without_place(refusal: str) -> str:
    """Without where in a template a refusal was raised: it says nothing to whoever wrote the values."""
    lines = [line for line in refusal.splitlines() if line.strip() and not line.startswith("Use --debug")]
    return re.sub(r"execution error at \([^)]*\): ", "", "\n".join(lines)) + "\n"


def main() -> None:
    for name in names():
        rendered = render(name)
        if rendered.refused is not expects_refusal(name):
            sys.exit(f"{name}: {rendered.text if rendered.refused else 'renders, and was to be refused'}")
        expected(name).write_text(rendered.text, "utf-8")


if __name__ == "__main__":
    main()
