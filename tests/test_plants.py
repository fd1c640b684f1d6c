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
from tempfile import TemporaryDirectory

import pytest

ROOT = Path(__file__).parents[1]
PROMISES = "tests/core/exchange/test_promises.py::"
PATHS = "tests/core/exchange/test_exchange_paths.py::"
CHAIN = "tests/audit/test_audit_chain.py::"
CANDIDATES = "tests/core/masking/test_masking_candidates.py::"
CORPUS = "tests/core/masking/test_masking_corpus.py::test_a_known_text_is_masked_as_written_here"
CLEAN = "tests/core/masking/test_masking_corpus.py::test_a_clean_text_comes_back_as_the_same_object"
SPLITS = "tests/core/masking/test_masking_splits.py"
JSON = "tests/core/masking/test_masking_json.py::"
COST = "tests/core/masking/test_masking_cost.py::test_rows_behind_cards_are_judged_or_refused_in_time"
NAMES = "tests/core/masking/test_masking_names.py"
KEYS = "tests/core/masking/test_masking_keys.py"
VIEW = "tests/core/masking/test_masking_view.py::"
TOGETHER = "tests/core/masking/test_masking_together.py::"
SPLIT = "tests/core/masking/test_masking_split.py::"
TOGETHER_WITH_RULES = "tests/core/masking/test_rules_and_cards.py"
STYLES = "tests/core/masking/test_masking_styles.py::"
MASKING_POLICY = "tests/core/exchange/test_masking_policy.py::"
RULES = "tests/core/masking/test_rules_stream.py::test_a_stream_finds_what_the_whole_text_has"
REFUSED = "tests/core/masking/test_rules_refused.py"
FORM = "tests/core/dialects/test_dialect_form.py"
DISGUISE = "tests/core/dialects/test_dialect_disguise.py"
ENDS = "tests/core/dialects/test_framing_ends.py::"
CHAT_STREAM = "tests/core/dialects/test_dialect_chat_stream.py::"
SSE = "tests/core/dialects/test_dialect_sse.py::"
EVASIONS = "tests/core/dialects/test_dialect_evasions.py::"
OTHER_STREAMS = "tests/core/dialects/test_dialect_other_streams.py::"
FLOOD = "tests/core/dialects/test_flood_memory.py::"
FAULTS = "tests/edge/session/test_scanner_faults.py::"
NO_TIMER = "tests/core/exchange/test_no_timer.py"
FAMILIES = "tests/core/dialects/test_stream_families.py"
MEDIA = "tests/core/dialects/test_dialect_media.py"
WHOLES = "tests/core/dialects/test_stream_wholes.py"
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
        "a held tail is lost where its choice ends",
        "core/dialects/carried.py",
        "        return [(text_id, tail) for text_id, tail in tails if tail]",
        "        return [(text_id, tail) for text_id, tail in tails if not tail]",
        CHAT_STREAM + "test_held_text_comes_out_before_the_finish_reason",
    ),
    Plant(
        "a finished choice goes on",
        "core/dialects/carried.py",
        "        if over and slot.text:",
        "        if over and not slot.text_id:",
        EVASIONS + "test_a_finished_choice_is_not_opened_again",
    ),
    Plant(
        "a held tail ends in another tool call",
        "core/dialects/carried.py",
        'part = [{"index": step, **part} if',
        'part = [{"index": 0, **part} if',
        ENDS + "test_arguments_that_are_cut_off_end_in_their_own_tool_call",
    ),
    Plant(
        "all texts share a channel",
        "core/dialects/carried.py",
        "        channel = self._channels.get(slot.text_id)",
        "        channel = next(iter(self._channels.values()), None)",
        CHAT_STREAM + "test_halves_of_a_card_number_in_different_choices_do_not_join",
    ),
    Plant(
        "texts of a stream are not counted",
        "core/dialects/carried.py",
        "if len(self._channels) + len(self._ended) >= self._max_channels:",
        "if len(self._channels) < 0:",
        FLOOD + "test_ten_thousand_texts_are_refused_within_little_memory",
    ),
    Plant(
        "an event leaves while a text of it is open",
        "core/dialects/waiting.py",
        "self._settle(self._channel.feed(text), self._channel.held)",
        "self._settle(self._channel.feed(text), 0)",
        FAMILIES,
    ),
    Plant(
        "a mask stands in a later event than its number",
        "core/dialects/waiting.py",
        "            self._pieces[0].decided += output",
        "            self._pieces[-1].decided += output",
        OTHER_STREAMS + "test_a_mask_stands_in_the_event_where_the_number_began",
    ),
    Plant(
        "a CRLF is two ends of a line",
        "core/dialects/sse.py",
        'rb"(?>\\r\\n|\\n|\\r)(?>\\r\\n|\\n|\\r)"',
        'rb"(?:\\r\\n|\\n|\\r)(?:\\r\\n|\\n|\\r)"',
        ENDS + "test_the_end_of_a_line_is_not_the_end_of_an_event",
    ),
    Plant(
        "the end of an event is not looked for where it was cut",
        "core/dialects/sse.py",
        "_LONGEST_END = 4",
        "_LONGEST_END = 0",
        SSE + "test_events_are_the_same_for_every_cut",
    ),
    Plant(
        "an event that is cut off goes on as it came",
        "core/dialects/sse.py",
        '[frame._replace(clean=False) if raw.strip(b"\\r\\n") else frame]',
        "[frame]",
        ENDS + "test_what_the_end_cuts_off_is_completed",
    ),
    Plant(
        "a comment is not looked at",
        "core/dialects/sse.py",
        "clean = clean and _COMMENT.match(value) is not None",
        "clean = clean and len(value) < 256",
        SSE + "test_what_stands_beside_the_data_is_harmless_or_left_out",
    ),
    Plant(
        "a line that is cut off goes on as it came",
        "core/dialects/ndjson.py",
        "self._frame(bytes(self._buffer))._replace(clean=False)",
        "self._frame(bytes(self._buffer))",
        ENDS + "test_what_the_end_cuts_off_is_completed",
    ),
    Plant(
        "the shape of an event is learned without a proof",
        "core/dialects/template.py",
        "    return template if proved else None",
        "    return template",
        CHAT_STREAM + "test_a_shape_is_learned_only_where_its_string_is_proved",
    ),
    Plant(
        "the beginning and the end of a shape overlap",
        "core/dialects/template.py",
        "            if end >= len(self.prefix):\n                return payload[len(self.prefix) : end]",
        "            return payload[len(self.prefix) : end]",
        ENDS + "test_an_event_that_only_resembles_a_known_one_is_refused",
    ),
    Plant(
        "an event keeps the probe of its shape",
        "core/dialects/template.py",
        "    put(document, slot.path, slot.text)\n",
        "",
        ENDS + "test_an_event_is_the_same_after_its_shape_was_learned",
    ),
    Plant(
        "a deadline ends a running answer",
        "core/exchange.py",
        "            case _, DeadlinePassed():\n                return ()  # likewise\n",
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
        "a rule names the card data that it holds",
        "core/masking/merge.py",
        "    named = _unnamed_over_cards(found)\n",
        "    named = found\n",
        TOGETHER_WITH_RULES,
    ),
    Plant(
        "a rule's find is given out before the cards in it are known",
        "core/masking/tape.py",
        "decided = min(decided, ruled, *open_finds)",
        "decided = min(decided, ruled)",
        TOGETHER_WITH_RULES,
    ),
    Plant(
        "a name goes by while its label waits for it",
        "core/masking/tape.py",
        "if self._names.awake or names_may_follow(before, text):",
        "if names_may_follow(before, text):",
        SPLITS,
    ),
    Plant(
        "a key says nothing to rules",
        "core/masking/json_channel.py",
        'self._said = said_by(self._key, said) if self._detectors.ruled else ""',
        'self._said = ""',
        JSON + "test_keys_say_what_rules_look_for",
    ),
    Plant(
        "what begins in a track is a card of its own",
        "core/masking/merge.py",
        "if one.end > covered and not (after == Kind.TRACK and one.start < covered):",
        "if one.end > covered:",
        SPLITS,
    ),
    Plant(
        "a long group behind a short one is not looked at",
        "core/masking/alphabet.py",
        "|[0-9]{{4,6}}{_GAP_ASCII}[0-9]{{12}}",
        "",
        CORPUS,
    ),
    Plant(
        "letters between characters that do not show are not looked at",
        "core/masking/spots.py",
        "_VEILED.encode(), ",
        "",
        "tests/core/masking/test_masking_view.py",
    ),
    Plant(
        "a token is the same for every tenant",
        "core/exchange.py",
        "self._snapshot.scanner.aliases(principal.tenant)",
        "self._snapshot.scanner.aliases()",
        MASKING_POLICY + "test_tokens_are_those_of_the_callers_tenant",
    ),
    Plant(
        "an answer numbers on its own",
        "core/answer.py",
        "self._snapshot.scanner.masker(Side.RESPONSE, aliases)",
        "self._snapshot.scanner.masker(Side.RESPONSE)",
        MASKING_POLICY + "test_one_exchange_numbers_both_sides_together",
    ),
    Plant(
        "tokens and truncated PANs stand side by side",
        "core/masking_document.py",
        "    _check_correlation(report)\n",
        "",
        "tests/core/test_policy_masking.py::test_styles_that_are_refused",
    ),
    Plant(
        "a token is of the last four digits",
        "core/masking/aliases.py",
        "canonical(kind, value)):",
        "canonical(kind, value)[-4:]):",
        STYLES + "test_a_token_is_a_keyed_hash_of_the_whole_pan",
    ),
    Plant(
        "letters are digits in a security code",
        "core/masking/walk.py",
        "short is not None and not _has_letters(text, first, short[1])",
        "short is not None",
        SPLITS,
    ),
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
        "decided = min(decided, ruled, *open_finds)",
        "decided = min(decided, *open_finds, decided)",
        TOGETHER + "test_every_cut_gives_the_masked_whole",
    ),
    Plant(
        "p1: a card in what a rule swallows is masked once more",
        "core/masking/merge.py",
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
        "p1: a whole text is read from the middle of a number on",
        "core/masking/detectors.py",
        "start = _quiet_before(text, first - VIEW_REACH, floor)",
        "start = max(floor, first - VIEW_REACH)",
        VIEW + "test_a_number_is_not_read_from_its_middle_on",
    ),
    Plant(
        "p1: letters make a card of any digits",
        "core/masking/pan.py",
        "if _too_many_letters(run, count, lens) or ",
        "if ",
        VIEW + "test_it_stays",
    ),
    Plant(
        "a code in a list is an amount",
        "core/masking/short.py",
        " and text[end] != text[first - 1]:",
        ":",
        CORPUS,
    ),
    Plant(
        "a month behind a code is no month",
        "core/masking/short.py",
        "shapes += [_listed(one) for one in before if one.strip(NO_GAP)]",
        "shapes += [_listed(one) for one in before if one.strip(NO_GAP) and one in besides]",
        CORPUS,
    ),
    Plant(
        "elements of XML that say what they hold are taken for markup",
        "core/masking/context.py",
        "if named is not None and named[1]",
        "if named is not None and False and named[1]",
        CORPUS,
    ),
    Plant(
        "a mask announces what stands behind it",
        "core/masking/context.py",
        'if window.startswith("]", len(rest)) and _in_mask(rest):',
        "if False:",
        CLEAN,
    ),
    Plant(
        "a row of a table is a card",
        "core/masking/pan.py",
        " or stands_in_row(text, start, gaps):",
        ":",
        CLEAN,
    ),
    Plant(
        "the heads of a table are a name",
        "core/masking/names.py",
        "in _NO_NAMES:",
        "in ():",
        CORPUS,
    ),
    Plant(
        "a sum beside a card is its code",
        "core/masking/short.py",
        "if _match_money(text, end):",
        "if False:",
        CORPUS,
    ),
    Plant(
        "the next card is a fraction",
        "core/masking/short.py",
        "<= _LONGEST_FRACTION:",
        "<= 99:",
        CORPUS,
    ),
    Plant(
        "a code sent to a phone is a card's",
        "core/masking/short.py",
        " and (besides or not self._words.means_other(text, first, count))",
        "",
        CLEAN,
    ),
    Plant(
        "what markup hides beside a card is not looked at in a whole text",
        "core/masking/detectors.py",
        "sorted(spots + _beside_spots(text, found))",
        "sorted(spots)",
        CORPUS,
    ),
    Plant(
        "what stands beside a card in an array stays",
        "core/masking/adjacent.py",
        "if one.kind in _BESIDE]",
        "if not one.kind]",
        KEYS,
    ),
    Plant(
        "an amount behind a card in an array is its code",
        "core/masking/adjacent.py",
        "if dated or isinstance(values[held[0]], str):",
        "if held:",
        KEYS,
    ),
    Plant(
        "rows behind cards cost nothing",
        "core/masking/adjacent.py",
        "masks.effort.spend(ROW_STEPS)",
        "masks.effort.spend(0)",
        COST,
    ),
    Plant(
        "p3: stretches of numbers are found without end",
        "core/masking/context.py",
        "islice(self._gate.finditer(encoded), most)",
        "self._gate.finditer(encoded)",
        "tests/core/masking/test_masking_cost.py::test_what_cannot_be_paid_for_is_not_looked_for",
    ),
    Plant(
        "p3: what stands around a number in groups is read for nothing",
        "core/masking/pan.py",
        "effort.spend(GROUPED_STEPS)",
        "effort.spend(0)",
        "tests/core/masking/test_masking_cost.py::test_a_number_in_groups_pays_for_what_is_read_around_it",
    ),
    Plant(
        "a surname that is a word is no name",
        "core/masking/names.py",
        "if index != 1 and word",
        "if word",
        CORPUS,
    ),
    Plant(
        "a name in a stream takes the label of the next one with it",
        "core/masking/names.py",
        "keep = max(0, len(self._text) - LONGEST)",
        "keep = max((one.end - self._base for one in found), default=0)",
        NAMES,
    ),
    Plant(
        "a label hides the one that begins in it",
        "core/masking/names.py",
        "_find_label(text, label.start() + 1)",
        "_find_label(text, label.end())",
        NAMES,
    ),
    Plant(
        "anything on the back is a code",
        "core/masking/context.py",
        " and _speaks_of_digits(rest)",
        "",
        CLEAN,
    ),
    Plant(
        "an escaped date in markup is not looked at in a whole text",
        "core/masking/spots.py",
        "[A-Za-z{_FILL[1:]}{{0,24}}",
        "[A-Za-z .:]{{0,24}}",
        CORPUS,
    ),
    Plant(
        "a digit behind a tag hides the code behind it",
        "core/masking/candidate.py",
        "(?<![^A-Za-z>]\\d[^A-Za-z>]",
        "(?<![^A-Za-z]\\d[^A-Za-z]",
        CORPUS,
    ),
    Plant(
        "a label says nothing",
        "core/masking/keys.py",
        "    if rule is not KeyRule.NONE or not label:",
        "    if rule is not KeyRule.NONE or label:",
        KEYS,
    ),
    Plant(
        "a label holds for what comes after its object",
        "core/masking/json_channel.py",
        "                    self._labels.pop()\n",
        "                    self._labels.pop(0)\n",
        KEYS,
    ),
    Plant(
        "four ports are a card",
        "core/masking/pan.py",
        " or is_row_of_numbers(lens):",
        ":",
        CORPUS,
    ),
    Plant(
        "a number beside like ones is a card",
        "core/masking/pan.py",
        "        if are_like_numbers(lens):\n",
        "        if not lens:\n",
        CORPUS,
    ),
    Plant(
        "p1: base64 is not read",
        "core/masking/detectors.py",
        "encoded = self.encoded(text, effort)",
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
        'return () if isinstance(document.get("token"), dict) or _is_ollama(document) else ("index",)',
        'return () if _is_ollama(document) else ("index",)',
        FAMILIES,
    ),
    Plant(
        "p1: the lines of a file are one text",
        "core/dialects/response.py",
        "        case Form.JSON_LINES if operation is Operation.UNKNOWN:\n",
        "        case Form.JSON_LINES if False:\n",
        WHOLES,
    ),
    Plant(
        "p1: whole calls and citations continue one another",
        "core/dialects/slots.py",
        "        if key in WHOLE and not (carried and _is_joined(value)):\n",
        "        if False:\n",
        WHOLES,
    ),
    Plant(
        "p1: strings of unknown meaning are not looked at alone",
        "core/dialects/slots.py",
        "        return value if alone else None\n",
        "        return None\n",
        WHOLES,
    ),
    Plant(
        "p1: known surroundings are known in any order",
        "core/dialects/familiar.py",
        "        self._asked = encode_json(rest)\n",
        "        self._asked = encode_json(dict(sorted((k, len(str(v))) for k, v in rest.items())))\n",
        WHOLES,
    ),
    Plant(
        "p1: line ends of Unicode are written as they are",
        "core/dialects/strict_json.py",
        "    if not data.isascii():\n",
        "    if False:\n",
        WHOLES,
    ),
    Plant(
        "p1: pictures in answers pass",
        "core/dialects/leaves.py",
        "    if key in PICTURES:\n",
        "    if False:\n",
        WHOLES,
    ),
    Plant(
        "p3: Anthropic's client sees a cut stream as a finished one",
        "core/dialects/errors.py",
        "    if operation is Operation.MESSAGES:\n        return b",
        "    if False:\n        return b",
        WHOLES,
    ),
    Plant(
        "p1: any field with a number parts the texts of a stream",
        "core/dialects/families.py",
        '    return ("output_index", "summary_index") if "summary" in kind else ("output_index", "content_index")\n',
        '    return ("output_index", "summary_index", "content_index")\n',
        FAMILIES,
    ),
    Plant(
        "p1: text in an announcement is masked apart from its deltas",
        "core/dialects/stream.py",
        "        if begins_early(document):\n",
        "        if False:\n",
        FAMILIES,
    ),
    Plant(
        "p1: a block whose room was given away begins anew",
        "core/dialects/stream.py",
        "        self._ended.add(text_id)\n",
        "        self._ended.add(())\n",
        FAMILIES,
    ),
    Plant(
        "p1: a tool's name goes on with digits",
        "core/dialects/carried.py",
        "(_go_on(known, name) or ",
        "(",
        "tests/core/dialects/test_dialect_chat_stream.py::test_a_tool_name_arrives_whole_and_is_masked",
    ),
    Plant(
        "p1: whatever stands for an event's time is passed over",
        "core/dialects/slots.py",
        "isinstance(value, str) and _TIMESTAMP.match(value) is not None",
        "isinstance(value, str)",
        WHOLES,
    ),
    Plant(
        "p1: only words speak of a card before an expiry",
        "core/masking/context.py",
        " or _has_card(text, near, start))",
        ")",
        "tests/core/masking/test_masking_corpus.py",
    ),
    Plant(
        "p1: base64 in a tool's arguments is not read",
        "core/masking/masker.py",
        "        if may_be_encoded(masked):\n",
        "        if False:\n",
        "tests/core/masking/test_masking_view.py",
    ),
    Plant(
        "p1: the lines of a batch are masked as texts only",
        "core/dialects/form.py",
        "    document = _document_of(body)\n",
        "    document = None\n",
        FORM,
    ),
    Plant(
        "p1: an escaped line end behind CVC2 is not read in whole texts",
        "core/masking/spots.py",
        "(?i:cv[vcnp][12]|cav2)",
        "(?i:cav2)",
        "tests/core/masking/test_masking_corpus.py",
    ),
    Plant(
        "p5: a failure that cannot be recorded ends with what was raised",
        "edge/session.py",
        "        except Exception as error:  # noqa: BLE001 - whoever called is at a boundary already: the stream must end\n",
        "        except Unavailable as error:\n",
        "tests/edge/session/test_scanner_faults.py",
    ),
    Plant(
        "p5: finish reasons are masked by the mask that broke",
        "core/ledger.py",
        " if answer and reason is not Reason.INTERNAL else ()",
        " if answer else ()",
        "tests/edge/session/test_scanner_faults.py",
    ),
    Plant(
        "p1: a card behind another that covers its beginning takes the gap between them",
        "core/masking/merge.py",
        " if after in LABELS else covered",
        " if False else covered",
        "tests/core/masking/test_masking_splits.py::test_every_cut_gives_the_masked_whole",
    ),
    Plant(
        "p1: a truncated card with a digit behind it is a PIN",
        "core/masking/run.py",
        '_TRUNCATED_REST = re.compile(r"\\*{4,9}\\d{4}")',
        '_TRUNCATED_REST = re.compile(r"\\*{4,9}\\d{4}(?!\\d)")',
        "tests/core/masking/test_masking_corpus.py",
    ),
    Plant(
        "p1: what OpenAI's client joins in a delta is said once",
        "core/dialects/slots.py",
        " and not (carried and _is_joined(value)):",
        ":",
        WHOLES,
    ),
    Plant(
        "p1: a string without an end is read again from each of its quotes",
        "core/masking/masker.py",
        r"|\\.?)*+",
        r"|\\.)*+",
        "tests/core/masking/test_masking_view.py::test_a_string_without_an_end_is_read_once",
    ),
    Plant(
        "p5: the shapes of events of any size are kept",
        "core/dialects/stream.py",
        " and len(frame.raw) <= _MAX_LEARNED_BYTES:",
        ":",
        WHOLES,
    ),
    Plant(
        "p1: media that a message names are none",
        "core/dialects/media.py",
        "(said and bool(value)) or ",
        "",
        MEDIA,
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
        "near = max(0, start - WORD_WINDOW)\n        return PIN_WORDS",
        "near = max(0, start - 10)\n        return PIN_WORDS",
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
    Plant(
        "a form's boundary may be a card number",
        "core/dialects/form.py",
        "if masker.mask_text(self.content_type) != self.content_type:",
        "if not self.content_type:",
        FORM,
    ),
    Plant(
        "the type of a form's part may be a card number",
        "core/dialects/form.py",
        "for text in (part.name, part.content_type)",
        "for text in (part.name,)",
        FORM,
    ),
    Plant(
        "a name in brackets announces nothing",
        "core/dialects/form.py",
        "[key for key in _BRACKETS.split(name) if key and not key.isdecimal()][-_MAX_KEYS:] or [name]",
        "[name]",
        FORM,
    ),
    Plant(
        "a name in brackets announces with its last pair alone",
        "core/dialects/form.py",
        "[key for key in _BRACKETS.split(name) if key and not key.isdecimal()][-_MAX_KEYS:] or [name]",
        '[name.rstrip("]").rpartition("[")[2]]',
        FORM,
    ),
    Plant(
        "events under the name of plain text pass",
        "core/dialects/response.py",
        "TextAnswer(masker) if needs_body(operation) and status < 400 else TextBody(masker)",
        "TextBody(masker)",
        DISGUISE,
    ),
    Plant(
        "a text that may yet become events leaves at once",
        "core/dialects/disguise.py",
        "            if undecided:\n                return",
        "            if not visible:\n                return",
        DISGUISE,
    ),
    Plant(
        "events behind a line that means nothing pass",
        "core/dialects/disguise.py",
        "        if _FURTHER.search(seen):\n",
        "        if _FURTHER.search(text):\n",
        DISGUISE,
    ),
    Plant(
        "a text in UTF-16 is plain text",
        "core/dialects/response.py",
        '_NO_TEXT = re.compile("[\\0',
        '_NO_TEXT = re.compile("[',
        DISGUISE,
    ),
    Plant(
        "a doubled key in a batch hides what a request carries",
        "core/dialects/form.py",
        "document = parse_json(line[begin.end() : end].encode(), limits.max_json_depth, Reason.BODY_MALFORMED)",
        "document = json.loads(line[begin.end() : end])",
        FORM,
    ),
    Plant(
        "NaN in a batch hides what a request carries",
        "core/dialects/form.py",
        "_LENIENT = json.JSONDecoder(parse_int=len,",
        "_LENIENT = json.JSONDecoder(parse_constant=int, parse_int=len,",
        FORM,
    ),
    Plant(
        "a file with a byte order mark is no JSON",
        "core/dialects/form.py",
        '_JSON = re.compile("[\\\\s\\ufeff]*',
        '_JSON = re.compile("[\\\\s]*',
        FORM,
    ),
    Plant(
        "a message's keys may be spelled in any case",
        "core/dialects/facts.py",
        "        _check_keys(part, _JUDGED_IN_MESSAGES)\n",
        "        pass\n",
        MEDIA,
    ),
    Plant(
        "a batch's requests may spell their keys in any case",
        "core/dialects/form.py",
        "                check_spelling(body)\n",
        "                pass\n",
        FORM,
    ),
    Plant(
        "media without a type pass outside of messages",
        "core/dialects/media.py",
        "    below = [(document.get(key), False) for key in MEDIA_PLACES]\n",
        "    below: list[tuple[object, bool]] = []\n",
        MEDIA,
    ),
    Plant(
        "TensorFlow Serving's bytes are no media",
        "core/dialects/fields.py",
        '    "b64": "file",\n',
        "",
        MEDIA,
    ),
    Plant(
        "a document that names a picture is text",
        "core/dialects/media.py",
        'source.get("media_type", "text/plain") == "text/plain"',
        "True",
        MEDIA,
    ),
    Plant(
        "a document in text is media",
        "core/dialects/media.py",
        "if kind in MEDIA_TYPES and not _is_text_document(kind, part):",
        "if kind in MEDIA_TYPES:",
        MEDIA,
    ),
    Plant(
        "a batch may hold any number of objects",
        "core/dialects/form.py",
        "            steps += _OBJECT_STEPS\n",
        "",
        FORM,
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
    """Temporary folders of its own: pytest sweeps the shared ones, and fails where another run sweeps them as well."""
    with TemporaryDirectory(prefix="planted-", ignore_cleanup_errors=True) as base:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
        return subprocess.run(
            [*command, f"--basetemp={base}/t", *tests],
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


@pytest.mark.timeout(600)  # they wait for each other
@pytest.mark.parametrize("name", [SOUND, *(plant.name for plant in PLANTS)])
def test_a_planted_bug_is_killed(outcome: Run, name: str) -> None:
    plant = next((plant for plant in PLANTS if plant.name == name), None)
    if plant is not None:
        text = (ROOT / "extproc" / plant.file).read_text("utf-8")
        assert text.count(plant.old) == 1, "the plant's place has moved"
    result = outcome(name)
    assert result.returncode == (1 if plant else 0), result.stdout[-2000:]
    assert plant is None or "FAILED" in result.stdout, result.stdout[-2000:]
