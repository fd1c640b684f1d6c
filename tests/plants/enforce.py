"""Planted bugs: what a decision obliges is done."""

from tests.plants.plant import Plant

TOOLS = "tests/core/dialects/test_tool_names.py::"
CLAMP = "tests/core/dialects/test_clamp.py::"
OBLIGED = "tests/core/exchange/test_obligations.py::"
RETENTION = "tests/audit/test_audit_obliged_retention.py::"
RULES = "tests/core/exchange/test_response_rules.py::"

PLANTS = (
    Plant(
        "a tool has only the first of its names",
        "core/dialects/facts.py",
        "for each in said if each)",
        "for each in said[:1] if each)",
        TOOLS + "test_a_tool_has_every_name_that_some_server_reads",
    ),
    Plant(
        "a tool written another way goes on",
        "core/dialects/facts.py",
        "            _check_keys(tool, _JUDGED_IN_TOOLS)\n",
        "",
        TOOLS + "test_a_tool_written_another_way_is_refused",
    ),
    Plant(
        "limits in a list are not seen",
        "core/dialects/facts.py",
        "raise Malformed(Reason.BODY_MALFORMED)  # limits",
        "pass  # limits",
        TOOLS + "test_limits_in_a_list_are_refused",
    ),
    Plant(
        "a limit of nothing is let through",
        "core/dialects/clamp.py",
        "0 < value <= most else 0",
        "value <= most else 0",
        CLAMP + "test_a_limit_that_is_none_or_too_large_becomes_the_obliged_one",
    ),
    Plant(
        "a limit under another name is passed by",
        "core/dialects/clamp.py",
        "dict.fromkeys((*given, *own))",
        "dict.fromkeys(own)",
        CLAMP + "test_every_name_of_a_limit_is_held_wherever_it_stands",
    ),
    Plant(
        "where no limit is known the request goes on",
        "core/dialects/clamp.py",
        "if not own or any(",
        "if any(",
        CLAMP + "test_where_no_limit_is_known_the_request_is_refused",
    ),
    Plant(
        "a limited request is written anew",
        "core/dialects/clamp.py",
        "Masked(text.encode()) if fields else body",
        "Masked(__import__('json').dumps(__import__('json').loads(text)).encode()) if fields else body",
        CLAMP + "test_every_other_byte_stays_as_it_came",
    ),
    Plant(
        "an obliged profile masks the answer no more",
        "core/exchange.py",
        "self._answer.mask_by(sent.scanner, sent.aliases)",
        "self._answer.mask_by(self._snapshot.scanner, sent.aliases)",
        OBLIGED + "test_an_obliged_profile_masks_both_ways",
    ),
    Plant(
        "what is approved is not what is sent",
        "core/judgement.py",
        '            sent.opaque or sent.body or Masked(b""),',
        '            sent.opaque or inspected.body or Masked(b""),',
        OBLIGED + "test_what_is_approved_is_what_is_sent",
    ),
    Plant(
        "an obliged profile that is not there leaves the other",
        "core/obliging.py",
        "        raise Malformed(Reason.POLICY_UNAVAILABLE)",
        "        return inspected",
        OBLIGED + "test_an_obliged_profile_that_is_not_there_is_refused",
    ),
    Plant(
        "a limit on what has no body is passed by",
        "core/obliging.py",
        "    if obligations.max_tokens:\n        body, clamped",
        "    if obligations.max_tokens and sent.body:\n        body, clamped",
        OBLIGED + "test_an_obliged_limit_without_a_body_is_refused",
    ),
    Plant(
        "a weak sign-in is just denied",
        "core/exchange.py",
        "case Effect.DENY if decision.step_up is not None:",
        "case Effect.DENY if decision.rule is None:",
        OBLIGED + "test_a_weak_sign_in_is_told_how_to_be_stronger",
    ),
    Plant(
        "names of tools are kept as they came",
        "core/inspection.py",
        "tool_names=tuple(map(masker.mask_text, facts.tool_names))",
        "tool_names=facts.tool_names",
        OBLIGED + "test_tools_are_seen_by_name_and_masked",
    ),
    Plant(
        "what makes a response rule hold is released",
        "core/exchange.py",
        "        if self._answer.watch is not None:\n            self._answer.judge(out, event.at)\n",
        "        if self._answer.watch is not None and not event.data:\n            self._answer.judge(out, event.at)\n",
        RULES + "test_a_stream_is_cut_at_the_event_that_is_too_much",
    ),
    Plant(
        "a response rule is not asked where trailers end the answer",
        "core/exchange.py",
        "        self._answer.judge(last, at)\n",
        "",
        RULES + "test_trailers_end_what_a_rule_may_still_cut",
    ),
    Plant(
        "a count on the other side is taken for a plain one",
        "core/response_rules.py",
        "whole or len(counted) > len(plain)",
        "whole",
        RULES + "test_what_a_condition_reads",
    ),
    Plant(
        "a count past its number changes nothing",
        "core/response_rules.py",
        "return bisect_left(numbers, value) + bisect_right(numbers, value)",
        "return bisect_right(numbers, value)",
        RULES + "test_rules_are_looked_at_when_they_could_say_something_new",
    ),
    Plant(
        "a rule in shadow is forgotten with the next look",
        "core/response_rules.py",
        "dict.fromkeys((*before.shadow, *verdict.shadow))",
        "verdict.shadow",
        RULES + "test_a_rule_in_shadow_is_recorded_and_cuts_nothing",
    ),
    Plant(
        "the original of a withheld piece is kept",
        "core/answer.py",
        "        self._original = None  # of what is not released\n",
        "",
        RULES + "test_the_original_of_what_is_withheld_is_not_kept",
    ),
    Plant(
        "rules do not see the approval",
        "core/exchange.py",
        "replace(self._judgement.given, approval=self._approval)",
        "self._judgement.given",
        RULES + "test_a_grant_is_known_to_the_rules",
    ),
    Plant(
        "a request goes on though the store has not its intent",
        "core/exchange.py",
        "self._judgement.decision.obligations.durability != Durability.STORE",
        "self._judgement.decision.obligations.durability",
        OBLIGED + "test_durable_in_the_store_before_it_goes_on",
    ),
    Plant(
        "a store that is late is waited for for ever",
        "core/exchange.py",
        "            case Phase.SHIPPING, DeadlinePassed():\n                return self._refuse(Reason.AUDIT_UNAVAILABLE, event.at)\n",
        "",
        OBLIGED + "test_a_store_that_does_not_answer_in_time_is_a_refusal",
    ),
    Plant(
        "a sealed segment counts as shipped",
        "audit/log/journal.py",
        "for part in (JOURNAL, Part.MANIFEST))",
        "for part in (JOURNAL,))",
        "tests/audit/test_audit_seal_soon.py::test_a_segment_in_the_spool_is_not_shipped",
    ),
    Plant(
        "obliged retention is for ever",
        "audit/retention/obliged.py",
        "record.time_ms + obliged_days(record) * _DAY_MS < now_ms",
        "record.time_ms + obliged_days(record) * _DAY_MS < 0",
        RETENTION + "test_enforced_its_key_goes_and_no_other",
    ),
    Plant(
        "a transcript goes before its record",
        "audit/retention/over_age.py",
        "        self._record_each(EventCode.ADMIN_SHRED, found)\n        try:\n",
        "        for early in found.obliged:\n            find_keys(self._look(), early).destroy()\n"
        "        self._record_each(EventCode.ADMIN_SHRED, found)\n        try:\n",
        RETENTION + "test_without_its_record_no_key_goes",
    ),
    Plant(
        "a transcript goes while its exchange runs",
        "audit/retention/obliged.py",
        "return ended and any(",
        "return any(",
        RETENTION + "test_what_has_outlived_its_days_is_counted_and_left",
    ),
)
