"""Random policies and inputs for properties of what decides: few names, so that they often meet."""

from datetime import date

from hypothesis import strategies as st

from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy import (
    AtLeast,
    Budget,
    BudgetCount,
    BudgetScope,
    BudgetStep,
    DecisionInput,
    Effect,
    Facts,
    HoldTerms,
    Match,
    Operation,
    Policy,
    Require,
    ResponseCounts,
    ResponseRule,
    Rule,
    StepAction,
    TimeSpan,
)
from extproc.core.policy.compiler import REQUEST_VARIABLES, RESPONSE_VARIABLES, ConditionCompiler, finding_kinds
from extproc.core.principal import Principal

_KINDS = finding_kinds((MaskingSettings(),))
_REQUESTS = ConditionCompiler(_KINDS, {"bad": ("shell", "sql")}, REQUEST_VARIABLES)
_RESPONSES = ConditionCompiler(_KINDS, {"bad": ("shell", "sql")}, RESPONSE_VARIABLES)
_WHENS = tuple(
    _REQUESTS.compile(source)
    for source in (
        "request.max_tokens > 4096",
        "request.tool_names.exists(name, name in lists.bad)",
        "principal.mfa || request.findings.pan > 0",
        "request.max_tokens / request.tools > 100",
        'principal.groups.exists(name, name == "staff") && !request.stream',
        "principal.auth_age > 3600",
        'now.getHours("UTC") < 12',
        'request.source_address != "unknown"',
    )
)
_CUTS = tuple(
    _RESPONSES.compile(source)
    for source in (
        "response.findings.pan >= 2",
        "response.events > 4 && request.max_tokens > 10",
        "response.characters / response.tokens > 1",
        'approval.state == "granted"',
    )
)
HOLD = HoldTerms(approver_groups=("boss",), wait_seconds=30.0, expire_seconds=3600.0, detach=False)


def _some(values: list[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.just(()) | st.lists(st.sampled_from(values), min_size=1, max_size=2).map(tuple)


spans = st.builds(
    TimeSpan,
    days=st.sampled_from([(0, 1, 2), (2, 3, 4)]),
    start=st.sampled_from([0, 600, 1200]),
    end=st.sampled_from([300, 900, 1440]),
    zone=st.just("UTC"),
)
matches = st.builds(
    Match,
    groups=_some(["analysts", "staff", "jobs"]),
    subjects=_some(["ann", "https://idp|bo|x", "x"]),
    models=_some(["llama-*", "*-7b", "llama-3-8b", "Llama-3-8B"]),
    any_case=st.booleans(),
    operations=st.just(()) | st.lists(st.sampled_from(Operation), min_size=1, max_size=3).map(tuple),
    connections=_some(["small", "l*"]),
    at_least=st.builds(
        AtLeast,
        max_tokens=st.none() | st.sampled_from([16, 4500]),
        messages=st.none() | st.sampled_from([2, 9]),
        tools=st.none() | st.sampled_from([1, 2]),
        findings=st.none() | st.sampled_from([1, 2]),
        body_bytes=st.none() | st.just(200),
    ),
    kinds=_some(["service", "person"]),
    times=st.just(()) | spans.map(lambda span: (span,)),
)
requires = st.builds(Require, mfa=st.booleans(), max_auth_age_seconds=st.sampled_from([0.0, 600.0, 86400.0]))
shadowed = st.none() | st.none() | st.just(date(2030, 1, 1))


@st.composite
def rules(draw: st.DrawFn, number: int) -> Rule:
    effect = draw(st.sampled_from(Effect))
    return Rule(
        name=f"r{number}",
        effect=effect,
        match=draw(st.just(Match()) | matches),
        text="",
        hold=HOLD if effect is Effect.HOLD else None,
        when=draw(st.none() | st.sampled_from(_WHENS)),
        require=draw(st.none() | requires) if effect is Effect.ALLOW else None,
        shadow_until=draw(shadowed),
    )


@st.composite
def budgets(draw: st.DrawFn, number: int) -> Budget:
    actions = draw(st.sampled_from([(StepAction.LOG,), (StepAction.HOLD, StepAction.DENY), tuple(StepAction)]))
    steps = tuple(
        BudgetStep(10 * (at + 1), action, "", HOLD if action is StepAction.HOLD else None)
        for at, action in enumerate(actions)
    )
    return Budget(f"b{number}", draw(matches), BudgetCount.EXCHANGES, BudgetScope.PERSON, 3600.0, steps)


@st.composite
def response_rules(draw: st.DrawFn, number: int) -> ResponseRule:
    return ResponseRule(
        f"c{number}", draw(st.just(Match()) | matches), draw(st.sampled_from(_CUTS)), "", shadow_until=draw(shadowed)
    )


@st.composite
def policies(draw: st.DrawFn, *, most_budgets: int = 2, most_response_rules: int = 2) -> Policy:
    return Policy(
        digest="sha256:" + "0" * 64,
        name="random",
        rules=tuple(draw(rules(number)) for number in range(draw(st.integers(0, 6)))),
        masking=MaskingSettings(),
        lists={"bad": ("shell", "sql")},
        response_rules=tuple(draw(response_rules(n)) for n in range(draw(st.integers(0, most_response_rules)))),
        budgets=tuple(draw(budgets(number)) for number in range(draw(st.integers(0, most_budgets)))),
        compiler=_REQUESTS,
        response_compiler=_RESPONSES,
    )


principals = st.builds(
    Principal,
    issuer=st.just("https://idp"),
    subject=st.sampled_from(["ann", "bo|x", "x"]),
    name=st.just(""),
    groups=_some(["analysts", "staff", "jobs"]),
    kind=st.sampled_from(["person", "service"]),
    mfa=st.booleans(),
    authenticated_at=st.sampled_from([0, 1_795_600_000, 1_795_603_000]),
)
inputs = st.builds(
    DecisionInput,
    principal=principals,
    connection=st.sampled_from(["small", "large"]),
    operation=st.sampled_from(Operation),
    facts=st.builds(
        Facts,
        model=st.sampled_from(["", "llama-3-8b", "mistral-7b"]),
        stream=st.booleans(),
        max_tokens=st.sampled_from([0, 16, 4500, 5000]),
        messages=st.sampled_from([0, 2, 9]),
        tools=st.sampled_from([0, 1, 2]),
        body_bytes=st.sampled_from([10, 300]),
        tool_names=_some(["shell", "search"]),
    ),
    findings=st.just({}) | st.just({"pan": 2, "expiry": 1}),
    now_unix=st.integers(1_795_600_000, 1_796_200_000).map(float),
    source_address=st.sampled_from(["unknown", "192.0.2.7:4711"]),
    budgets=st.just({})
    | st.fixed_dictionaries({"b0": st.sampled_from([0, 10, 20, 99]), "b1": st.sampled_from([9, 30])}),
)
counts = st.builds(
    ResponseCounts,
    events=st.sampled_from([0, 5]),
    characters=st.sampled_from([0, 40]),
    tokens=st.sampled_from([0, 10]),
    findings=st.just({}) | st.just({"pan": 3}),
)
