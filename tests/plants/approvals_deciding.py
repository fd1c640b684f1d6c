"""Planted bugs: who decides, in which order it is recorded, and what the JSON API and the gRPC service give away."""

from tests.plants.plant import Plant

DECISIONS = "approvals/decisions.py"
TESTS = "tests/approvals/test_decisions.py::"
API = "tests/console/test_api.py::"
GRPC = "tests/console/test_grpc.py::"

PLANTS = (
    Plant(
        "the API says a parameter's name that may be the number of a card",
        "console/api_asked.py",
        'return name if _NAME.fullmatch(name) else ""',
        "return name",
        API + "test_a_wrong_field_of_a_body_is_named_and_never_what_it_said",
    ),
    Plant(
        "the API does not name a field that is missing",
        "console/api_asked.py",
        "        if name not in said and field.required:\n            return name\n",
        "        if name not in said and field.required:\n            continue\n",
        API + "test_a_field_that_a_body_lacks_is_named",
    ),
    Plant(
        "the API names no field of a body that is wrong",
        "console/api_asked.py",
        "field.type if name in said else Any, strict",
        "Any, strict",
        API + "test_a_wrong_field_of_a_body_is_named_and_never_what_it_said",
    ),
    Plant(
        "the API does not name the field that a rule refuses",
        "console/api.py",
        'field=_AT_FAULT.get(refused.code, "")',
        'field=""',
        API + "test_a_field_that_the_rules_refuse_is_named",
    ),
    Plant(
        "whoever is one too many of a group counts for one who is missing",
        "core/approval/deciding.py",
        "max(0, min(len(approval.grants), approval.quorum - len(missing_groups(approval))))",
        "len(approval.grants)",
        "tests/core/test_approval_votes.py::test_whoever_is_one_too_many_of_a_group_is_not_counted_for_another",
    ),
    Plant(
        "the API takes any word for an effect",
        "console/api_sessions.py",
        "    effect: Effect | UnsetType = UNSET\n",
        '    effect: str = ""\n',
        API + "test_a_wrong_parameter_is_named_and_never_what_it_said",
    ),
    Plant(
        "a program decides",
        "core/approval/deciding.py",
        'if decider.kind != "person":',
        "if not decider.kind:",
        TESTS + "test_an_attempt_without_the_right_is_recorded_and_changes_nothing",
    ),
    Plant(
        "a decision is stored without its record",
        DECISIONS,
        '            record(after, Outcome.SUCCEEDED, "", **_counted(code, after))\n',
        "",
        TESTS + "test_the_record_is_durable_before_the_state_changes",
    ),
    Plant(
        "an attempt without the right leaves no record",
        DECISIONS,
        "                record(tried or approval, status, refused.code.value)\n",
        "",
        TESTS + "test_an_attempt_without_the_right_is_recorded_and_changes_nothing",
    ),
    Plant(
        "a vote that another has overtaken is lost",
        DECISIONS,
        "MAX_OVERTAKEN: Final = 8",
        "MAX_OVERTAKEN: Final = 1",
        TESTS + "test_two_who_vote_at_once_both_count",
    ),
    Plant(
        "a decision counts for whatever is there",
        DECISIONS,
        "seen=verdict.seen,",
        'seen=__import__("extproc.core.approval").core.approval.shown_digest(approval),',
        TESTS + "test_what_was_not_shown_is_not_decided",
    ),
    Plant(
        "anybody withdraws anybody's request",
        DECISIONS,
        "if asking.person.uid != approval.requester_uid:",
        "if not asking.person.uid:",
        TESTS + "test_only_the_requester_withdraws",
    ),
    Plant(
        "a masked request is read without a record",
        DECISIONS,
        "        self._write([_record(EventCode.AUDIT_READ, approval, asking, "
        "Outcome.SUCCEEDED, detail, reasoned=False)])\n",
        "",
        TESTS + "test_a_masked_request_is_shown_once_its_reading_is_recorded",
    ),
    Plant(
        "the API shows a masked request to readers",
        "console/api_approvals.py",
        "    if query.include:\n        await require(parts, caller, Role.APPROVER)\n",
        "    if query.include:\n        await require(parts, caller, Role.READER)\n",
        API + "test_the_masked_request_is_for_approvers_and_recorded_first",
    ),
    Plant(
        "who has no role sees everybody's approvals",
        "console/api_approvals.py",
        "        query = replace(query, requester_uid=person.uid)\n",
        "        pass\n",
        API + "test_a_requester_sees_their_own_and_nobody_elses",
    ),
    Plant(
        "a requester is told who voted",
        "console/api_approvals.py",
        "    if not caller.roles:\n        return own_approval_shape(approval)\n",
        "",
        API + "test_a_requester_sees_their_own_and_nobody_elses",
    ),
    Plant(
        "the API takes any body for JSON",
        "console/api_asked.py",
        'if data and [each.partition(";")[0].strip().lower() for each in media] != ["application/json"]:',
        "if data and not media:",
        API + "test_bodies_that_are_not_read",
    ),
    Plant(
        "the API reads bodies of any size",
        "console/api_asked.py",
        "if len(body) > MAX_BODY_BYTES:",
        "if not body:",
        API + "test_bodies_that_are_not_read",
    ),
    Plant(
        "the API takes parameters twice",
        "console/api_asked.py",
        " or (name in said and name not in several)",
        "",
        API + "test_queries_that_are_not_understood",
    ),
    Plant(
        "steps without the right to them lock nobody out",
        "console/callers.py",
        "if code in WITHOUT_RIGHT and ",
        "if not code and ",
        API + "test_who_tries_their_own_request_again_and_again_is_locked_out",
    ),
    Plant(
        "the API masks no reason",
        "console/api_approvals.py",
        'Verdict(body.verdict == "grant", mask_reason(body.reason), body.seen)',
        'Verdict(body.verdict == "grant", body.reason, body.seen)',
        API + "test_a_card_number_in_a_reason_is_masked_before_anything",
    ),
    Plant(
        "a refusal is not in the document",
        "console/api_openapi.py",
        "**_problems((*_ANYWHERE, *each.refusals)),",
        "**_problems(_ANYWHERE),",
        API + "test_the_document_is_openapi_and_every_answer_is_in_it",
    ),
    Plant(
        "an unset verdict refuses",
        "console/grpc_service.py",
        "if request.verdict not in {pb.GRANT, pb.REFUSE}:",
        "if request.verdict > 2:",
        GRPC + "test_what_is_refused_has_a_status_and_a_code",
    ),
    Plant(
        "gRPC says what went wrong",
        "console/grpc_service.py",
        '            _log.error("gRPC failed", extra={"operation": operation, "failure": type(error).__name__})\n',
        "            raise\n",
        GRPC + "test_what_goes_wrong_says_nothing_of_what_it_met",
    ),
    Plant(
        "who has no role watches everybody",
        "console/grpc_service.py",
        "elif caller.roles or is_own(approval, caller.person):",
        "elif approval:",
        GRPC + "test_who_has_no_role_watches_their_own",
    ),
    Plant(
        "anybody watches as often as they like",
        "console/grpc_service.py",
        "MAX_WATCHES: Final = 8",
        "MAX_WATCHES: Final = 800",
        GRPC + "test_nobody_watches_more_often_than_is_useful",
    ),
)
