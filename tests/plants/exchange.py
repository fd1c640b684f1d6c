"""Planted bugs: what an exchange promises."""

from tests.plants.plant import Plant

PROMISES = "tests/core/exchange/test_promises.py::"
PATHS = "tests/core/exchange/test_exchange_paths.py::"
MASKING_POLICY = "tests/core/exchange/test_masking_policy.py::"
FAULTS = "tests/edge/session/test_scanner_faults.py::"
NO_TIMER = "tests/core/exchange/test_no_timer.py"


PLANTS = (
    Plant(
        "a deadline ends a running answer",
        "core/exchange.py",
        "            case _, (DeadlinePassed() | BudgetsRead() | BudgetsFailed() | Shipped()):\n                return ()  # likewise\n",
        '            case Phase.RESPONDING, DeadlinePassed():\n                return self._respond_body(ResponseBody(b"", True, event.at))\n',
        NO_TIMER,
    ),
    Plant(
        "what the scanner cannot read goes on as it came",
        "core/answer.py",
        "        out = Masked(self.filter.feed(data)) if data else _NOTHING\n",
        "        try:\n            out = Masked(self.filter.feed(data)) if data else _NOTHING\n        except RuntimeError:\n            out = Masked(data)\n",
        FAULTS + "test_a_scanner_that_breaks_ends_the_exchange_and_tells_nothing[Channel-feed-True-plain]",
    ),
    Plant(
        "a token is the same for every tenant",
        "core/judging.py",
        "scanner.aliases(principal.tenant)",
        "scanner.aliases()",
        MASKING_POLICY + "test_tokens_are_those_of_the_callers_tenant",
    ),
    Plant(
        "an answer numbers on its own",
        "core/answer.py",
        "scanner.masker(Side.RESPONSE, aliases)",
        "scanner.masker(Side.RESPONSE)",
        MASKING_POLICY + "test_one_exchange_numbers_both_sides_together",
    ),
    Plant(
        "p1: the end of the answer is not flushed through the masker",
        "core/answer.py",
        "rest = self.filter.finish()\n            if rest:",
        "rest = _NOTHING\n            if rest:",
        PROMISES + "test_p1_an_end_inside_a_match_is_decided_there",
    ),
    Plant(
        "p5: finish reasons are masked by the mask that broke",
        "core/ledger.py",
        " if answer and reason is not Reason.INTERNAL else ()",
        " if answer else ()",
        FAULTS + "test_a_scanner_that_breaks_ends_the_exchange_and_tells_nothing[Masker-mask_text-True-streamed]",
    ),
    Plant(
        "p1: the answer goes on as it came",
        "core/answer.py",
        "out = Masked(self.filter.feed(data)) if data else _NOTHING",
        "out = Masked(data)",
        PROMISES + "test_p1_nothing_unmasked_leaves",
    ),
    Plant(
        "p1: the prompt goes on as it came",
        "core/inspection.py",
        "masked, stripped, changed = form.body, form.stripped, form.changed",
        "masked, stripped, changed = Masked(body), form.stripped, form.changed",
        PROMISES + "test_p1_nothing_unmasked_leaves",
    ),
    Plant(
        "p2: the request is forwarded with its intent record, not after it",
        "core/exchange.py",
        "        return (*used, intent, *content)",
        "        return (*used, intent, *content, *self._go_on(at))",
        PROMISES + "test_p2_nothing_leaves_unrecorded",
    ),
    Plant(
        "p2: any durable ticket forwards the request",
        "core/exchange.py",
        "case Phase.RECORDING, Stored() if event.ticket >= self._storing.ticket:",
        "case Phase.RECORDING, Stored():",
        PROMISES + "test_p2_nothing_leaves_unrecorded",
    ),
    Plant(
        "p2: response bytes do not wait for their ticket",
        "core/outbox.py",
        "while self._waiting and self._waiting[0][0] <= ticket:",
        "while self._waiting:",
        PROMISES + "test_p2_nothing_leaves_unrecorded",
    ),
    Plant(
        "p2: the last byte does not wait for the closing record",
        "core/responding.py",
        "        end = self._storing.end(at, Outcome.CUT if reason else Outcome.COMPLETED, reason)\n"
        "        self._answer.queue(self._storing.ticket, last, end_of_stream=True)\n",
        "        self._answer.queue(self._storing.ticket, last, end_of_stream=True)\n"
        "        end = self._storing.end(at, Outcome.CUT if reason else Outcome.COMPLETED, reason)\n",
        PROMISES + "test_p2_nothing_leaves_unrecorded",
    ),
    Plant(
        "p2: a refusal is answered with its record, not after it",
        "core/exchange.py",
        "        return (SetDeadline(None), *withdrawn, stored)\n\n    def _answer_refusal",
        "        return (SetDeadline(None), *withdrawn, stored, *self._answer_refusal(at))\n\n    def _answer_refusal",
        PROMISES + "test_p2_no_refusal_leaves_unrecorded",
    ),
    Plant(
        "p2: an unknown ticket is refused without a record",
        "core/exchange.py",
        "case Phase.HELD, ApprovalMissing():\n                return self._refuse(Reason.APPROVAL_UNKNOWN, event.at)",
        "case Phase.HELD, ApprovalMissing():\n"
        "                self._refuse(Reason.APPROVAL_UNKNOWN, event.at)\n"
        "                return self._answer_refusal(event.at)",
        PROMISES + "test_p2_no_refusal_leaves_unrecorded",
    ),
    Plant(
        "p2: what could not be stored has no end",
        "core/exchange.py",
        "return (end, *self._abort(Reason.AUDIT_UNAVAILABLE))",
        "return self._abort(Reason.AUDIT_UNAVAILABLE)",
        PROMISES + "test_p2_an_exchange_that_could_not_be_stored_is_ended_in_the_log",
    ),
    Plant(
        "p1: a header's name announces nothing",
        "core/forwarding.py",
        'masker.mask_value(text, name.removeprefix("x-"))',
        "masker.mask_text(text)",
        PATHS + "test_a_header_whose_name_announces_card_data_is_masked",
    ),
    Plant(
        "p2: a grant is used up without a record",
        "core/exchange.py",
        "            case ((Phase.RESPONDING | Phase.CLOSING | Phase.REFUSING | Phase.OVER), GrantClaimed()):",
        "            case ((Phase.RESPONDING | Phase.CLOSING | Phase.REFUSING), GrantClaimed()):",
        PATHS + "test_a_grant_that_was_used_for_an_exchange_that_had_ended_is_recorded",
    ),
    Plant(
        "p3: a record that cannot be stored is ignored",
        "core/exchange.py",
        "case _, StoreFailed():\n                return self._store_failed(event)",
        "case _, StoreFailed():\n                return self._go_on(event.at) if self.phase is Phase.RECORDING else ()",
        PROMISES + "test_p3_what_cannot_be_judged_is_refused",
    ),
    Plant(
        "p3: a lost grant goes on",
        "core/exchange.py",
        "case Phase.CLAIMING, GrantLost():\n                return self._refuse(Reason.APPROVAL_USED, event.at)",
        "case Phase.CLAIMING, GrantLost():\n                return self._intend(event.at)",
        PROMISES + "test_p3_what_cannot_be_judged_is_refused",
    ),
    Plant(
        "p3: an approval store that is down grants",
        "core/exchange.py",
        "                self._holding.answered()\n                return self._refuse(Reason.APPROVALS_UNAVAILABLE, event.at)",
        "                return self._intend(event.at)",
        PROMISES + "test_p3_what_cannot_be_judged_is_refused",
    ),
    Plant(
        "p3: a grant for another request counts",
        "core/hold.py",
        "        return approval.request_digest == judgement.request_digest\n",
        "        return True\n",
        PATHS + "test_a_grant_for_something_else_is_no_grant",
    ),
    Plant(
        "p3: a stranger's ticket withdraws the approval",
        "core/hold.py",
        "return self.opened_here and not (self.terms.detach or self._idempotency or self.emergency)",
        "return not (self.terms.detach or self._idempotency or self.emergency)",
        PATHS + "test_a_strangers_ticket_is_refused_and_not_withdrawn",
    ),
    Plant(
        "p5: the record keeps the request's path",
        "core/incoming.py",
        'ledger.protocol = f"HTTP {method}"',
        "ledger.protocol = f\"HTTP {method} {headers.text(':path')}\"",
        PROMISES + "test_p5_no_url_in_records",
    ),
    Plant(
        "p5: the transcript is what arrived",
        "core/responding.py",
        "stored = self._storing.answered(out, event.at)\n        self._answer.queue(",
        "stored = self._storing.answered(Masked(event.data), event.at)\n        self._answer.queue(",
        PROMISES + "test_p5_no_account_data_in_records_or_reprs",
    ),
    Plant(
        "p5: a forwarded request prints its body",
        "core/actions.py",
        "    mutation: HeaderMutation\n    body: Masked | None = field(repr=False)\n    changed: bool",
        "    mutation: HeaderMutation\n    body: Masked | None\n    changed: bool",
        PROMISES + "test_p5_no_account_data_in_records_or_reprs",
    ),
    Plant(
        "a stop is answered where nobody asks",
        "core/exchange.py",
        "        if self.phase is Phase.FORWARDED or (self.phase",
        "        if (self.phase",
        PATHS + "test_a_stop_while_the_model_has_not_answered_ends_it_without_an_answer_of_ours",
    ),
    Plant(
        "a stop while the body arrives is answered where nobody asks",
        "core/exchange.py",
        " or (self.phase is Phase.BODY and reason is Reason.DRAINING):",
        ":",
        PATHS + "test_a_stop_while_the_body_arrives_is_recorded",
    ),
    Plant(
        "what never went on is recorded as the end of an inference",
        "core/exchange.py",
        "        if self.phase in BEFORE_FORWARD and self.phase not in INTENDING:\n            return self._storing.refusal(",
        "        if False:\n            return self._storing.refusal(",
        PATHS + "test_a_stop_while_the_body_arrives_is_recorded",
    ),
)
