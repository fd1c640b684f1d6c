"""Planted bugs: the streams and documents of answers."""

from tests.plants.plant import Plant

DISGUISE = "tests/core/dialects/test_dialect_disguise.py"
ENDS = "tests/core/dialects/test_framing_ends.py::"
CHAT_STREAM = "tests/core/dialects/test_dialect_chat_stream.py::"
SSE = "tests/core/dialects/test_dialect_sse.py::"
EVASIONS = "tests/core/dialects/test_dialect_evasions.py::"
OTHER_STREAMS = "tests/core/dialects/test_dialect_other_streams.py::"
FLOOD = "tests/core/dialects/test_flood_memory.py::"
FAMILIES = "tests/core/dialects/test_stream_families.py"
WHOLES = "tests/core/dialects/test_stream_wholes.py"


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
        FLOOD + "test_ten_thousand_texts_are_refused_within_little_memory[a choice each]",
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
        "p1: what OpenAI's client joins in a delta is said once",
        "core/dialects/slots.py",
        " and not (carried and _is_joined(value)):",
        ":",
        WHOLES,
    ),
    Plant(
        "p5: the shapes of events of any size are kept",
        "core/dialects/stream.py",
        " and len(frame.raw) <= _MAX_LEARNED_BYTES:",
        ":",
        WHOLES,
    ),
    Plant(
        "p1: text that an event begins is another text than its deltas",
        "core/dialects/families.py",
        'if kind == "content_block_start":',
        "if False:",
        FAMILIES,
    ),
    Plant(
        "events under the name of plain text pass",
        "core/dialects/response.py",
        "TextAnswer(masker) if needs_body(operation) and status < 400 else TextBody(masker)",
        "TextBody(masker)",
        DISGUISE,
    ),
    Plant(
        "a text in UTF-16 is plain text",
        "core/dialects/response.py",
        '_NO_TEXT = re.compile("[\\0',
        '_NO_TEXT = re.compile("[',
        DISGUISE,
    ),
)
