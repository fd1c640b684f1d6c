"""A record says all that a decision looked at: what is read back from a stored line is what was given."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.audit.records.line import encode_record, line_head, parse_record
from extproc.core.identity import Principal
from extproc.core.ledger import Ledger
from extproc.core.policy import (
    ApprovalFacts,
    Decision,
    DecisionInput,
    Effect,
    Facts,
    Obligations,
    Operation,
    ResponseCounts,
    ResponseVerdict,
    ShadowResult,
    StepUp,
)
from extproc.core.reasons import Malformed
from extproc.core.record import EventCode, Outcome, Record
from extproc.core.recorded import MAX_TOOL_NAMES, decision_input, response_counts

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)
texts = st.lists(words, max_size=3).map(tuple)
numbers = st.integers(0, 2**40)
counts = st.dictionaries(words, numbers, max_size=3)
seconds = st.floats(0, 1e9)
principals = st.builds(
    Principal,
    issuer=words.filter(lambda text: "|" not in text),
    subject=words,
    name=words,
    groups=texts,
    tenant=words,
    token_id=words,
    client=words,
    methods=texts,
    context_class=words,
    authenticated_at=st.integers(0, 2**32),
    kind=st.sampled_from(["person", "service"]),
    mfa=st.booleans(),
    spiffe_id=words,
    certificate_subject=words,
    confirmation=words,
)
facts = st.builds(
    Facts,
    **{field.name: numbers for field in dataclasses.fields(Facts) if field.type is int},
    model=words,
    stream=st.booleans(),
    tool_names=texts,
)
inputs = st.builds(
    DecisionInput,
    principal=principals,
    connection=words,
    operation=st.sampled_from(Operation),
    facts=facts,
    findings=counts,
    now_unix=st.integers(1, 2**42).map(lambda milliseconds: milliseconds / 1000),
    source_address=st.sampled_from(["unknown", "192.0.2.7:4711", "[2001:db8::7]:1", "pipe"]),
    budgets=counts,
    approval=st.just(ApprovalFacts())
    | st.builds(ApprovalFacts, state=words.filter(bool), approvers=numbers, age_seconds=seconds),
)
decisions = st.builds(
    Decision,
    effect=st.sampled_from(Effect),
    rule=words,
    text=words,
    policy_digest=words,
    hold=st.none(),
    determining=texts,
    shadow=st.lists(
        st.builds(ShadowResult, rule=words, effect=st.sampled_from(Effect), would_change=st.booleans()), max_size=2
    ).map(tuple),
    obligations=st.builds(Obligations, masking=words, max_tokens=numbers, retention_days=numbers, durability=words),
    step_up=st.none() | st.builds(StepUp, rule=words, mfa=st.booleans(), max_age_seconds=seconds),
    logging=texts,
    errors=texts,
)
responses = st.builds(
    ResponseCounts, events=numbers, bytes=numbers, characters=numbers, tokens=numbers, seconds=seconds, findings=counts
)


def recorded(decision: Decision, looked_at: DecisionInput, counted: ResponseCounts | None = None) -> Record:
    """As the exchange's ledger makes it, written and read."""
    ledger = Ledger("x", "", looked_at.now_unix, 0.0)
    ledger.seen(looked_at.principal, lambda text: text)
    ledger.source, ledger.connection, ledger.protocol = looked_at.source_address, looked_at.connection, "HTTP POST"
    ledger.operation = looked_at.operation
    ledger.judged(decision, looked_at)
    if counted is not None:
        ledger.findings_response = dict(counted.findings)
        ledger.response_judged(ResponseVerdict(cut=True, rule="r"), counted, looked_at.approval)
    record = ledger.record(EventCode.INFERENCE_END, 1.0, Outcome.COMPLETED)
    return parse_record(line_head("d/w/e", 1, "0" * 64, "", 0) + encode_record(record)[1:])


@given(decisions, inputs)
def test_what_a_decision_looked_at_is_read_back_from_its_record(decision: Decision, looked_at: DecisionInput) -> None:
    assert decision_input(recorded(decision, looked_at)) == looked_at


@given(decisions, inputs, responses)
def test_all_that_came_of_it_is_in_the_record(
    decision: Decision, looked_at: DecisionInput, counted: ResponseCounts
) -> None:
    record = recorded(decision, looked_at, counted)
    assert record.policy is not None
    assert record.decision is not None
    assert (record.policy.effect, record.policy.rule) == (decision.effect, decision.rule)
    kept = record.decision
    assert (kept.determining, kept.errors, kept.logging) == (decision.determining, decision.errors, decision.logging)
    assert [(each.rule, each.effect, each.would_change) for each in kept.shadow] == [
        (each.rule, each.effect, each.would_change) for each in decision.shadow
    ]
    assert (kept.step_up is None) == (decision.step_up is None)
    asked = kept.obligations
    wanted = decision.obligations
    assert (asked is None) == (wanted == Obligations())
    if asked is not None:
        assert (asked.masking, asked.max_tokens, asked.retention_days, asked.durability) == (
            wanted.masking,
            wanted.max_tokens,
            wanted.retention_days,
            wanted.durability,
        )
    assert response_counts(record) == counted
    assert decision_input(record).approval == looked_at.approval
    assert kept.response is not None
    assert kept.response.rule == "r"


NOBODY = Decision(Effect.DENY, "r", "", "sha256:0", None)
SOMEBODY = Principal(issuer="https://idp", subject="ann", name="", groups=())


@pytest.mark.parametrize("names", [("t",) * (MAX_TOOL_NAMES + 1), ("t" * 65,)], ids=["many", "long"])
def test_more_tools_than_are_kept_cannot_be_decided_again(names: tuple[str, ...]) -> None:
    looked_at = DecisionInput(SOMEBODY, "c", Operation.CHAT, Facts(tools=len(names), tool_names=names), {}, 1.0, "u")
    record = recorded(NOBODY, looked_at)
    assert record.decision is not None
    assert len(record.decision.facts.tool_names) + record.decision.facts.tool_names_left_out == len(names)
    with pytest.raises(Malformed):
        decision_input(record)


def test_a_record_without_a_decision_cannot_be_decided_again() -> None:
    ledger = Ledger("x", "", 1.0, 0.0)
    with pytest.raises(Malformed):
        decision_input(ledger.record(EventCode.AUTH_FAIL, 0.0, Outcome.REFUSED))
