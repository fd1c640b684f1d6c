"""A rule sees every name by which a server may know a tool, and every limit that a server may read."""

from typing import Any

import pytest

from extproc.core.dialects.facts import check_spelling, read_facts
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason


@pytest.mark.parametrize(
    ("tool", "names"),
    [
        ({"type": "function", "function": {"name": "pay"}}, ("pay",)),
        ({"name": "pay"}, ("pay",)),
        ({"type": "custom", "name": "pay"}, ("pay",)),
        ({"type": "web_search"}, ("web_search",)),
        ({"type": "function", "name": "shell", "function": {"name": "safe"}}, ("safe", "shell")),
        ({"type": "web_search", "name": "safe"}, ("safe", "web_search")),
        ({"type": "function"}, ("function",)),
        ({"type": "custom", "custom": {"name": "shell"}}, ("shell",)),
        (
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "shell"}]},
            ("n", "namespace", "shell"),
        ),
    ],
)
def test_a_tool_has_every_name_that_some_server_reads(tool: dict[str, Any], names: tuple[str, ...]) -> None:
    document = {"model": "m", "messages": [], "tools": [tool]}
    assert read_facts(Operation.CHAT, document, 1).tool_names == names


@pytest.mark.parametrize(
    "tool",
    ["shell", {"name": 5}, {"type": ["function"]}, {"function": {"name": {}}}, {"name": "a", "tools": {"name": "b"}}],
    ids=["text", "n", "t", "f", "inner"],
)
def test_a_tool_whose_name_cannot_be_told_is_refused(tool: object) -> None:
    with pytest.raises(Malformed) as refused:
        read_facts(Operation.CHAT, {"model": "m", "messages": [], "tools": [tool]}, 1)
    assert refused.value.reason is Reason.BODY_MALFORMED


@pytest.mark.parametrize("key", ["tools", "functions"])
@pytest.mark.parametrize(
    "tool",
    [
        {"function": {"name": "safe"}, "FUNCTION": {"name": "shell"}},
        {"name": "a", "Name": "b"},
        {"function": {"NAME": "b"}},
        {"name": "a", "tools": [{"Name": "b"}]},
    ],
    ids=["function", "name", "inner", "of-a-namespace"],
)
def test_a_tool_written_another_way_is_refused(key: str, tool: object) -> None:
    """Servers in Go read keys whatever their case, and the last one counts."""
    with pytest.raises(Malformed):
        check_spelling({"model": "m", "messages": [], key: [tool]})


@pytest.mark.parametrize("key", ["sampling_params", "parameters", "options"])
def test_limits_in_a_list_are_refused(key: str) -> None:
    """SGLang takes one object for each text of a batch."""
    with pytest.raises(Malformed):
        read_facts(Operation.GENERATE, {"text": ["a"], key: [{"max_new_tokens": 100_000, "n": 50}]}, 1)


@pytest.mark.parametrize(
    "body", [{"lora_path": "payroll"}, {"parameters": {"adapter_id": "payroll"}}], ids=["top", "inner"]
)
def test_an_adapter_is_the_model_that_is_asked(body: dict[str, Any]) -> None:
    """SGLang's and TGI's: it answers in the model's place, whatever the model's name."""
    assert read_facts(Operation.GENERATE, body, 1).model == "payroll"
    assert read_facts(Operation.GENERATE, {"model": "payroll", **body}, 1).model == "payroll"
    with pytest.raises(Malformed):
        read_facts(Operation.GENERATE, {"model": "base", **body}, 1)


def test_adapters_without_a_name_are_refused() -> None:
    """llama.cpp's numbers: no rule could tell them apart."""
    with pytest.raises(Malformed):
        read_facts(Operation.GENERATE, {"prompt": "p", "lora": [{"id": 0, "scale": 1.0}]}, 1)


@pytest.mark.parametrize(("names", "characters"), [(1025, 1), (1, 257), (200, 200)], ids=["many", "long", "together"])
def test_names_that_would_cost_too_much_are_refused(names: int, characters: int) -> None:
    tools = [{"name": "n" * characters}] * names
    with pytest.raises(Malformed) as refused:
        read_facts(Operation.CHAT, {"model": "m", "messages": [], "tools": tools}, 1)
    assert refused.value.reason is Reason.BODY_TOO_COSTLY


def test_limits_within_nested_objects_are_seen() -> None:
    """SGLang's for Vertex AI."""
    document = {"instances": [{"text": "a"}], "parameters": {"sampling_params": {"max_new_tokens": 100_000}}}
    assert read_facts(Operation.GENERATE, document, 1).max_tokens == 100_000


@pytest.mark.parametrize("name", [" payroll", "payroll ", "\u00a0payroll"], ids=["before", "behind", "odd"])
def test_a_model_with_blanks_around_its_name_is_refused(name: str) -> None:
    """To some servers it is the one without."""
    with pytest.raises(Malformed):
        read_facts(Operation.CHAT, {"model": name, "messages": []}, 1)
