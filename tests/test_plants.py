"""Planted bugs: each promise's test must turn red when the code that keeps the promise is broken.

Every plant changes one place in a copy of the package and runs the named test against the copy. A plant whose text is no
longer found fails too: it moves with the code.
"""

import os
import queue
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISES = "tests/core/exchange/test_promises.py::"
PATHS = "tests/core/exchange/test_exchange_paths.py::"
CHAIN = "tests/audit/test_audit_chain.py::"
CANDIDATES = "tests/core/masking/test_masking_candidates.py::"
CORPUS = "tests/core/masking/test_masking_corpus.py::test_a_known_text_is_masked_as_written_here"
SPLITS = "tests/core/masking/test_masking_splits.py"
JSON = "tests/core/masking/test_masking_json.py::"
VIEW = "tests/core/masking/test_masking_view.py::"
TOGETHER = "tests/core/masking/test_masking_together.py::"
SPLIT = "tests/core/masking/test_masking_split.py::"
RULES = "tests/core/masking/test_rules_stream.py::test_a_stream_finds_what_the_whole_text_has"
REFUSED = "tests/core/masking/test_rules_refused.py"
FORM = "tests/core/dialects/test_dialect_form.py"
FAMILIES = "tests/core/dialects/test_stream_families.py"
MEDIA = "tests/core/dialects/test_dialect_media.py"
EDGE = "tests/edge/session/test_one_way_out.py::"
WIRE = "tests/edge/session/test_wire_answers.py::"
RECORDING = "tests/edge/session/test_recording.py::"
HOLDING = "tests/edge/session/test_holding.py::"
SUPERVISOR = "tests/edge/test_supervisor.py::"
IDENTITY = "tests/core/test_identity.py::"
AUTHENTICATOR = "tests/edge/identity/test_authenticator.py::"
KEY_SETS = "tests/edge/identity/test_jwks.py::"
LOGS = "tests/edge/telemetry/test_logs.py::"
SPANS = "tests/edge/telemetry/test_spans.py::"
JOURNAL = "tests/audit/test_audit_journal.py::"
ADOPT = "tests/audit/test_audit_adopt.py::"
APP = "tests/test_app.py::"


@dataclass(frozen=True)
class Plant:
    name: str
    file: str
    old: str
    new: str
    test: str


PLANTS = (
    Plant(
        "p1: the end of the answer is not flushed through the masker",
        "core/answer.py",
        "rest = self.filter.finish()\n            if rest:",
        "rest = _NOTHING\n            if rest:",
        PROMISES + "test_p1_an_end_inside_a_match_is_decided_there",
    ),
    Plant(
        "p1: an escape that is cut is read by its pieces",
        "core/masking/reader.py",
        "if not final and self._is_begun(text, at):",
        "if False:",
        VIEW + "test_it_is_masked_in_every_cut",
    ),
    Plant(
        "p1: what is undecided in the view is released all the same",
        "core/masking/tape.py",
        "decided = min(decided, self._view.take(text, waiting, final))",
        "self._view.take(text, waiting, final)",
        VIEW + "test_it_is_masked_in_every_cut",
    ),
    Plant(
        "p1: what is undecided by the rules is released all the same",
        "core/masking/tape.py",
        "decided = min(decided, self._rules.take(text, waiting, final))",
        "self._rules.take(text, waiting, final)",
        TOGETHER + "test_every_cut_gives_the_masked_whole",
    ),
    Plant(
        "p1: a card in what a rule swallows is masked once more",
        "core/masking/tape.py",
        "going_on = {one.start: one for one in found if one.rest and one.kind not in LABELS}",
        "going_on: dict[int, Found] = {}",
        TOGETHER + "test_every_cut_gives_the_masked_whole",
    ),
    Plant(
        "p1: the view sleeps while what it read still counts",
        "core/masking/tape.py",
        "self._reader.since > LEFT_WINDOW and",
        "self._reader.since > 8 and",
        VIEW + "test_it_is_masked_in_every_cut",
    ),
    Plant(
        "p1: a list that goes by is not read",
        "core/masking/tape.py",
        "gap_before(self._walk.tail(MAX_GAP + 1)) == OUTSIDE",
        "True",
        VIEW + "test_it_stays",
    ),
    Plant(
        "p1: a whole text is read from the middle of a number on",
        "core/masking/detectors.py",
        "start = _quiet_before(text, first - VIEW_REACH, floor)",
        "start = max(floor, first - VIEW_REACH)",
        VIEW + "test_a_number_is_not_read_from_its_middle_on",
    ),
    Plant(
        "p1: letters make a card of any digits",
        "core/masking/pan.py",
        "        if _too_many_letters(run, count, lens):\n            continue\n",
        "",
        VIEW + "test_it_stays",
    ),
    Plant(
        "p1: base64 is not read",
        "core/masking/detectors.py",
        "encoded = self._encoded(text, effort)",
        "encoded: list[Found] = []",
        VIEW + "test_base64_and_hex_are_read_in_whole_texts",
    ),
    Plant(
        "p1: what neighbours say together is not asked",
        "core/masking/masker.py",
        'split = mask_split(masked.values(), "", self._detectors, self._masks)',
        "split: dict[int, object] = {}",
        SPLIT + "test_a_number_split_over_neighbours_is_masked_once",
    ),
    Plant(
        "p1: the longest name on a track is not waited for",
        "core/masking/track.py",
        "end - at <= _MAX_NAME + 1:",
        "end - at <= _MAX_NAME:",
        SPLITS + "::test_nasty_texts_survive_every_cut",
    ),
    Plant(
        "p1: a match of a rule that may go on is released",
        "core/masking/rule.py",
        "held = size if final else self._held_from(view, at, effort)",
        "held = size",
        RULES,
    ),
    Plant(
        "p1: a rule without a bound is taken",
        "core/masking/rule.py",
        "    for one in unbounded(cut):\n",
        "    for one in ():\n",
        REFUSED,
    ),
    Plant(
        "p1: the pieces of TGI are texts of their own",
        "core/dialects/families.py",
        'names = _INDEXES[1:] if isinstance(document.get("token"), dict) else _INDEXES',
        "names = _INDEXES",
        FAMILIES,
    ),
    Plant(
        "p1: text that an event begins is another text than its deltas",
        "core/dialects/families.py",
        'if kind == "content_block_start":',
        "if False:",
        FAMILIES,
    ),
    Plant(
        "p1: media are let through unasked",
        "core/dialects/media.py",
        "            if isinstance(kind, str):\n                yield kind, item\n",
        "",
        MEDIA,
    ),
    Plant(
        "p1: the name of a file of a form is not masked",
        "core/dialects/form.py",
        "filename = masker.mask_text(part.filename)",
        "filename = part.filename",
        FORM,
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
        "core/judgement.py",
        "masked, stripped, changed = request.body, request.stripped, request.changed",
        "masked, stripped, changed = Masked(body), request.stripped, request.changed",
        PROMISES + "test_p1_nothing_unmasked_leaves",
    ),
    Plant(
        "p1: a buffered body goes on as it came",
        "edge/wire.py",
        "            common.body_mutation.body = action.body\n",
        "            pass\n",
        WIRE + "test_a_buffered_body_that_was_masked_replaces_what_came_and_is_counted",
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
        "core/exchange.py",
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
        "p2: what is not durable counts as stored",
        "edge/recording.py",
        "self._feed(events.Stored(ticket, at) if durable else events.StoreFailed(at, ticket))",
        "self._feed(events.Stored(ticket, at))",
        RECORDING + "test_what_turns_out_not_to_be_durable_has_failed",
    ),
    Plant(
        "p2: an end is stored behind content that was not",
        "edge/recording.py",
        "        self._failing = True\n        self._feed",
        "        self._feed",
        RECORDING + "test_no_end_is_stored_behind_what_was_not",
    ),
    Plant(
        "p2: the journal acknowledges before it commits",
        "audit/journal.py",
        "            payloads = self._payloads(batch)\n            if payloads:",
        "            payloads = self._payloads(batch)\n            self._release(batch.waiting, durable=True)\n            if payloads:",
        JOURNAL + "TestPromise2DurableBeforeDone::test_no_done_before_fdatasync_returns",
    ),
    Plant(
        "p2: the journal acknowledges a commit that failed",
        "audit/journal.py",
        "self._release([*batch.waiting, *self._queue.fail()], durable=False)",
        "self._release([*batch.waiting, *self._queue.fail()], durable=True)",
        JOURNAL + "TestRefusing::test_a_failed_sync_fails_everything_that_waits_and_everything_after",
    ),
    Plant(
        "p2: an exchange that breaks is not recorded",
        "edge/session.py",
        "self._services.journal.append_record(action.record)",
        "pass",
        EDGE + "test_what_breaks_is_recorded_and_its_log_line_says_nothing_of_it",
    ),
    Plant(
        "p2: a journal that takes nothing new is not asked",
        "edge/session.py",
        "accepting=self._services.journal.accepting(),",
        "accepting=True,",
        EDGE + "test_a_journal_that_takes_no_new_exchange_has_them_refused",
    ),
    Plant(
        "p2: what a killed worker left is not adopted at the end",
        "edge/supervisor.py",
        "        shipping.join()\n        self._adopt()\n",
        "        shipping.join()\n",
        SUPERVISOR + "test_the_journal_of_a_worker_that_had_to_be_killed_is_adopted_before_the_last_shipping",
    ),
    Plant(
        "p2: a policy is in force before its record",
        "app.py",
        "            before = in_force.get().policy.digest\n",
        "            before = in_force.get().policy.digest\n            in_force.put(policy)\n",
        APP + "test_a_new_policy_is_recorded_before_it_is_in_force",
    ),
    Plant(
        "p4: a journal that nobody adopted is taken away with its epoch",
        "audit/shipper.py",
        "if not segments(directory, JOURNAL) and not",
        "if not",
        ADOPT + "test_a_journal_that_nobody_has_adopted_yet_is_not_taken_away",
    ),
    Plant(
        "p4: the chain between records is not looked at",
        "audit/verify_epoch.py",
        "if mark.seq != seq or mark.prev != prev or",
        "if mark.seq != seq or",
        CHAIN + "test_p4_records_are_chained",
    ),
    Plant(
        "p4: the numbers of records are not looked at",
        "audit/verify_epoch.py",
        "if mark.seq != seq or mark.prev != prev or",
        "if mark.prev != prev or",
        CHAIN + "test_p4_records_are_numbered",
    ),
    Plant(
        "p4: records may follow the end",
        "audit/verify_epoch.py",
        "if self._ended is not None and mark.event_code is not EventCode.LOG_ADOPT and not _closes(mark):",
        "if False:",
        CHAIN + "test_p4_nothing_follows_the_end",
    ),
    Plant(
        "p4: a transcript is not held against its closing record",
        "audit/verify_epoch.py",
        "if known != mark.content_digest and self._trusted:",
        "if False:",
        CHAIN + "test_p4_a_transcript_is_the_one_its_closing_record_bound",
    ),
    Plant(
        "p4: a record may name another epoch",
        "audit/verify_epoch.py",
        "if mark.seq != seq or mark.prev != prev or mark.origin != str(self.epoch.origin):",
        "if mark.seq != seq or mark.prev != prev:",
        CHAIN + "test_p4_a_record_names_its_own_epoch",
    ),
    Plant(
        "p4: evidence without a manifest is passed over",
        "audit/verify_epoch.py",
        'raise _Broken(Name.TRUNCATED if self._is_old() else Name.OPEN, "the last segment has no manifest")',
        "return",
        CHAIN + "test_p4_evidence_behind_the_end_needs_a_manifest_too",
    ),
    Plant(
        "p4: an epoch without an end is only open, however old",
        "audit/verify_epoch.py",
        "        return not -300_000 <= age_ms <= self._young_ms",
        "        return False",
        CHAIN + "test_p4_a_last_manifest_that_was_taken_away_is_found",
    ),
    Plant(
        "p2: what could not be stored has no end",
        "core/exchange.py",
        "return (end, *self._abort(Reason.AUDIT_UNAVAILABLE))",
        "return self._abort(Reason.AUDIT_UNAVAILABLE)",
        PROMISES + "test_p2_an_exchange_that_could_not_be_stored_is_ended_in_the_log",
    ),
    Plant(
        "p3: a write that failed ends with OK",
        "edge/session.py",
        "            self._failed = True  # also after the last message",
        "            pass  # also after the last message",
        EDGE + "test_a_write_that_did_not_succeed_never_ends_ok",
    ),
    Plant(
        "p2: a grant is claimed whose use cannot be recorded",
        "edge/session.py",
        "case ClaimGrant() if not services.journal.accepting():",
        "case ClaimGrant() if False:",
        EDGE + "test_a_grant_is_not_claimed_while_its_use_cannot_be_recorded",
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
        "            case ((Phase.OVER | Phase.REFUSING), GrantClaimed()):",
        "            case ((Phase.REFUSING), GrantClaimed()):",
        PATHS + "test_a_grant_that_was_used_for_an_exchange_that_had_ended_is_recorded",
    ),
    Plant(
        "p1: the search leaves out groups of three and more",
        "core/masking/candidate.py",
        "(_ONE_GROUP, _PRINTED, _ONES, _PAIRS, _LOOSE)",
        "(_ONE_GROUP, _PRINTED, _ONES, _PAIRS)",
        CANDIDATES + "test_the_search_finds_what_a_walk_finds",
    ),
    Plant(
        "p1: a code beside a card of the piece before is passed over",
        "core/masking/walk.py",
        "self.near = trace.beside_end",
        "self.near = 0",
        CANDIDATES + "test_a_code_beside_a_card_of_the_piece_before_is_found",
    ),
    Plant(
        "p1: a row of numbers ends anywhere",
        "core/masking/neighbours.py",
        "neighbours_before(text, start, spacings, like, masked_end) >= NEIGHBOURS_OF_PRINTED[0]",
        "neighbours_before(text, start, spacings, like, masked_end) >= 1",
        CANDIDATES + "test_the_search_finds_what_a_walk_finds_in_long_lists",
    ),
    Plant(
        "p1: what a search leaves out is not looked at for sentinels",
        "core/masking/candidate.py",
        "{apart}|{sentinel})",
        "{apart})",
        CORPUS,
    ),
    Plant(
        "p1: a track is judged before it has ended",
        "core/masking/track.py",
        "return WAIT if end == len(text) and end - at < MAX_TRACK and not final else end",
        "return end",
        SPLITS,
    ),
    Plant(
        "p1: an expiry is judged before it has ended",
        "core/masking/short.py",
        "if not final and (date is None or len(text) - date.end() <= 1) and begun.match(text, first):",
        "if not final and date is None and begun.match(text, first):",
        SPLITS,
    ),
    Plant(
        "p1: a PIN is looked for where a card was just named, and nowhere else",
        "core/masking/context.py",
        "near = max(0, start - WORD_WINDOW)",
        "near = max(0, start - 10)",
        CORPUS,
    ),
    Plant(
        "p1: a value that goes whole is masked as text in a stream",
        "core/masking/masker.py",
        "            return WholeChannel(rule.whole, self._masks)\n",
        "            pass\n",
        "tests/core/dialects/test_dialect_evasions.py::"
        "test_a_key_that_says_what_its_value_is_hides_all_of_it_in_a_stream_too",
    ),
    Plant(
        "p1: a value that goes whole is masked as text in tool arguments",
        "core/masking/json_channel.py",
        "if not self._key_next and self._rule.whole is not None:",
        "if False:",
        JSON + "test_json_text_is_masked_as_written_here",
    ),
    Plant(
        "p3: judging costs nothing",
        "core/masking/effort.py",
        "        if self._left < 0:\n            raise Malformed(Reason.BODY_TOO_COSTLY)\n",
        "",
        "tests/core/masking/test_masking_cost.py::test_what_costs_too_much_is_refused_without_a_word_of_it",
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
        "ApprovalsFailed()):\n                return self._refuse(Reason.APPROVALS_UNAVAILABLE, event.at)",
        "ApprovalsFailed()):\n                return self._intend(event.at)",
        PROMISES + "test_p3_what_cannot_be_judged_is_refused",
    ),
    Plant(
        "p3: a grant for another request counts",
        "core/hold.py",
        "return bound == (judgement.request_digest, requester_uid, decision.rule, decision.policy_digest)",
        "return bound[1:] == (requester_uid, decision.rule, decision.policy_digest)",
        PATHS + "test_a_grant_for_something_else_is_no_grant",
    ),
    Plant(
        "p3: a stranger's ticket withdraws the approval",
        "core/hold.py",
        "return self.opened_here and not self.terms.detach",
        "return not self.terms.detach",
        PATHS + "test_a_strangers_ticket_is_refused_and_not_withdrawn",
    ),
    Plant(
        "p3: the clean way out is taken although the exchange is not over",
        "edge/session.py",
        "if self._exchange is not None and self._exchange.over and not self._failed:\n            return",
        "if self._exchange is not None:\n            return",
        EDGE + "test_an_early_end_is_never_ok",
    ),
    Plant(
        "p3: an exception in a session ends it with OK",
        "edge/session.py",
        "        await self._context.abort(grpc.StatusCode.INTERNAL, INTERNAL_SENTENCE)",
        "        return",
        EDGE + "test_an_injected_exception_is_never_ok",
    ),
    Plant(
        "p3: any processing mode is served",
        "edge/wire.py",
        "    if config.response_body_mode != _Mode.FULL_DUPLEX_STREAMED:\n        raise Malformed(Reason.MODES_UNSAFE)\n",
        "",
        EDGE + "test_a_mode_that_cannot_keep_the_promises_is_aborted",
    ),
    Plant(
        "p3: an expired token passes",
        "core/identity.py",
        'if _seconds(payload.get("exp")) <= now_unix - issuer.leeway_seconds:',
        "if False:",
        IDENTITY + "test_times_end_exactly_at_the_leeway",
    ),
    Plant(
        "p3: a token for another audience passes",
        "core/identity.py",
        '"verify_aud": True',
        '"verify_aud": False',
        IDENTITY + "test_a_signed_token_with_wrong_claims_is_invalid",
    ),
    Plant(
        "p3: an algorithm that is not configured verifies",
        "core/identity.py",
        "if key.algorithm_name not in issuer.algorithms:  # 2",
        "if False:  # 2",
        IDENTITY + "test_a_key_outside_the_configuration_verifies_nothing",
    ),
    Plant(
        "p3: a remembered token outlives its expiry",
        "edge/authenticator.py",
        "self._clock() < found.principal.expires_at and found.keys",
        "found.keys",
        AUTHENTICATOR + "test_a_cached_token_ends_when_it_expires",
    ),
    Plant(
        "p3: a remembered token outlives its key",
        "edge/authenticator.py",
        "found.keys.key_set is found.key_set and ",
        "",
        AUTHENTICATOR + "test_a_withdrawn_key_ends_the_tokens_it_signed_though_they_are_cached",
    ),
    Plant(
        "p3: a private key that was published verifies tokens",
        "edge/jwks.py",
        'if "d" in jwk or "k" in jwk or',
        "if",
        KEY_SETS + "test_a_private_key_that_was_published_is_passed_over",
    ),
    Plant(
        "p3: a refusal opens the request lock",
        "edge/wire.py",
        "_fill_metadata(message.dynamic_metadata, labels, DENY)",
        "_fill_metadata(message.dynamic_metadata, labels, ALLOW)",
        WIRE + "test_an_immediate_answer_opens_neither_lock",
    ),
    Plant(
        "p3: a grant that another took counts",
        "edge/holding.py",
        "events.GrantClaimed(at) if won else events.GrantLost(at)",
        "events.GrantClaimed(at)",
        HOLDING + "test_a_grant_is_claimed_for_the_request_and_its_requester",
    ),
    Plant(
        "p3: an approval that came too late stays open",
        "edge/holding.py",
        "        if self._withdraw_opened:\n            await self._withdraw(approval.approval_id)\n            return\n",
        "",
        HOLDING + "test_an_approval_that_arrives_too_late_is_withdrawn",
    ),
    Plant(
        "p3: what was queued goes out although the session broke",
        "edge/session.py",
        "        self._outgoing.clear()\n        if not self._broken",
        "        if not self._broken",
        EDGE + "test_what_was_queued_when_it_broke_is_not_written",
    ),
    Plant(
        "p3: a dead worker is not started again",
        "edge/supervisor.py",
        "        if now >= child.start_at:\n",
        "        if False:\n",
        SUPERVISOR + "test_a_dead_worker_is_started_again_and_ever_later_while_it_dies_at_once",
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
        "core/exchange.py",
        "stored = self._storing.content(Direction.TO_CLIENT, out, event.at)\n        self._answer.queue(",
        "stored = self._storing.content(Direction.TO_CLIENT, Masked(event.data), event.at)\n        self._answer.queue(",
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
        "p5: the log says what an exception says",
        "edge/logs.py",
        '"type": f"{kind.__module__}.{kind.__qualname__}",',
        '"type": f"{kind.__module__}.{kind.__qualname__}: {current}",',
        LOGS + "test_an_exception_is_logged_by_types_and_places_only",
    ),
    Plant(
        "p5: the log of a broken session says what broke it",
        "edge/session.py",
        '_log.error("session failed", extra={"failure": type(error).__name__})',
        '_log.error("session failed", extra={"failure": str(error)})',
        EDGE + "test_what_breaks_is_recorded_and_its_log_line_says_nothing_of_it",
    ),
    Plant(
        "p5: a span says what the model server calls its end",
        "edge/spans.py",
        "[plain_name(reason) for reason in reasons]",
        "list(reasons)",
        SPANS + "test_no_content_can_appear_in_a_span",
    ),
    Plant(
        "p5: a trace id may be an account number",
        "edge/session.py",
        '"" if names_a_number(found, snapshot.scanner.masker()) else found',
        "found",
        EDGE + "test_a_traceparent_that_names_an_account_is_no_traceparent",
    ),
)


SOUND = "without a plant"
"""The copy itself is sound, so that red means the plant."""
Run = Callable[[str], subprocess.CompletedProcess[str]]


def make_copy(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "extproc", folder / "extproc", ignore=ignored)
    for part in ("core", "edge", "audit"):
        shutil.copytree(ROOT / "tests" / part, folder / "tests" / part, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file in ("conftest.py", "test_app.py"):
        shutil.copy(ROOT / "tests" / file, folder / "tests")
    return folder


def run_tests(copy: Path, tests: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def run_planted(copy: Path, plant: Plant) -> subprocess.CompletedProcess[str]:
    path = copy / "extproc" / plant.file
    text = path.read_text("utf-8")
    path.write_text(text.replace(plant.old, plant.new), "utf-8")
    try:
        return run_tests(copy, [plant.test], 110)
    finally:
        path.write_text(text, "utf-8")


@pytest.fixture(scope="module")
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """What became of a plant, by its name. Two run at a time, each in a copy of its own."""
    copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for at in range(2):
        copies.put(make_copy(tmp_path_factory.mktemp(f"planted{at}")))

    def run(name: str) -> subprocess.CompletedProcess[str]:
        copy = copies.get()
        try:
            plant = next((plant for plant in PLANTS if plant.name == name), None)
            tests = sorted({plant.test for plant in PLANTS})
            return run_planted(copy, plant) if plant else run_tests(copy, tests, 300)
        finally:
            copies.put(copy)

    names = [item.callspec.params["name"] for item in request.session.items if item.path == request.path]
    with ThreadPoolExecutor(2) as pool:
        running = {name: pool.submit(run, name) for name in names}
        yield lambda name: running[name].result()
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", [SOUND, *(plant.name for plant in PLANTS)])
def test_a_planted_bug_is_killed(outcome: Run, name: str) -> None:
    plant = next((plant for plant in PLANTS if plant.name == name), None)
    if plant is not None:
        text = (ROOT / "extproc" / plant.file).read_text("utf-8")
        assert text.count(plant.old) == 1, "the plant's place has moved"
    result = outcome(name)
    assert result.returncode == (1 if plant else 0), result.stdout[-2000:]
    assert plant is None or "FAILED" in result.stdout, result.stdout[-2000:]
