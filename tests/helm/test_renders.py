"""What the chart renders: as it was reviewed, taken by every cluster it is for, and hardened.

helm starts twice a case, to render and to lint; every test of this file looks at the same render.
"""

from functools import cache

import pytest
import yaml

from tests.helm.hardened import RULES
from tests.helm.kinds import complaints
from tests.helm.links import broken
from tests.helm.pod_templates import Pod, find_pods
from tests.helm.rendering import CASES, expected, expects_refusal, lint, names, render
from tests.helm.restricted import CONTROLS

RENDERED = [name for name in names() if not expects_refusal(name)]


class Strict(yaml.CSafeLoader):
    """A key that stands twice in a mapping is an error, as it is for the API server's strict field validation."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys = [self.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key stands twice at {node.start_mark}"
        return super().construct_mapping(node, deep)


@pytest.mark.parametrize("name", names())
def test_a_case_comes_out_as_it_was_reviewed(name: str) -> None:
    """`make chart` writes it anew; the difference is what a reviewer reads."""
    rendered = render(name)
    assert rendered.refused is expects_refusal(name), rendered.text
    assert rendered.text == expected(name).read_text("utf-8")


def test_no_expectation_is_left_without_its_case() -> None:
    beside = {path.name for path in CASES.iterdir() if not path.name.endswith(".in.yaml")}
    assert beside == {expected(name).name for name in names()}


@pytest.mark.parametrize("name", RENDERED)
def test_lint_has_nothing_to_say(name: str) -> None:
    assert lint(name) == ""


@pytest.mark.parametrize("name", RENDERED)
def test_every_cluster_takes_the_objects(name: str) -> None:
    rendered = render(name)
    list(yaml.load_all(rendered.text, Strict))
    assert [complaint for document in rendered.documents for complaint in complaints(document)] == []


@pytest.mark.parametrize("name", RENDERED)
def test_the_objects_mean_each_other(name: str) -> None:
    assert list(broken(render(name).documents)) == []


@pytest.mark.parametrize("control", CONTROLS)
def test_pods_are_restricted(control: str) -> None:
    """The Pod Security Standard, one control after the other, over every pod of every case."""
    assert _breaches(CONTROLS[control]) == []


@pytest.mark.parametrize("rule", RULES)
def test_pods_are_hardened(rule: str) -> None:
    assert _breaches(RULES[rule]) == []


def _breaches(control: object) -> list[str]:
    assert callable(control)
    return [f"{name}: {pod}: {breach}" for name, pod in _pods() for breach in control(pod)]


@cache
def _pods() -> list[tuple[str, Pod]]:
    """Of every case, parsed once."""
    pods = [(name, pod) for name in RENDERED for pod in find_pods(render(name).documents)]
    assert pods
    return pods
