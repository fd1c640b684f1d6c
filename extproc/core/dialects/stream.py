"""A streamed answer, event by event: what is decided goes on, in order, and nothing else."""

from collections import deque
from dataclasses import dataclass, field

from extproc.core.dialects.carried import CarriedTexts
from extproc.core.dialects.content_type import Form
from extproc.core.dialects.errors import ndjson_farewell, sse_farewell, stream_error
from extproc.core.dialects.familiar import Surroundings
from extproc.core.dialects.families import begins_early, family_ended_by, repeats_itself
from extproc.core.dialects.framing import Frame, Framing
from extproc.core.dialects.leaves import Path, announced_rule, envelope_of, mask_envelope, put
from extproc.core.dialects.masker import Masker
from extproc.core.dialects.ndjson import NdjsonFraming
from extproc.core.dialects.observed import IN_RESPONSE, Observed
from extproc.core.dialects.slots import EventParts, Slot, said_characters, take_apart
from extproc.core.dialects.sse import SseFraming
from extproc.core.dialects.strict_json import encode_json, parse_json, parse_string_body
from extproc.core.dialects.template import Template, learn_template
from extproc.core.dialects.waiting import SharedText
from extproc.core.masking.keys import KeyRule
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits
from extproc.core.trust import Masked

_DONE = b"[DONE]"
_MAX_TEMPLATES = 8
_MAX_LEARNED_BYTES = 4096
"""Larger events are not remembered: their white space alone may be as large as they are."""
_ENDED_FOR_EACH_CHANNEL = 16
"""Texts that are over cost their name only."""
_EVENT_OVERHEAD_BYTES = 1024
"""Counted for each event that waits, beside its bytes: small events must not cost more memory than large ones."""


@dataclass(slots=True)
class _Waiting:
    """An event on its way out. It leaves when no string of it is `open` and everything before it has left."""

    frame: Frame
    document: dict[str, object] | None = field(repr=False)
    changed: bool
    open: int = 0


class EventStream(Observed):
    """A `ResponseFilter` over SSE or NDJSON: each text of the answer has a masking channel of its own.

    An event in which nothing changed goes on as the bytes it came in.
    """

    streamed = True

    def __init__(self, form: Form, operation: Operation, masker: Masker, limits: Limits) -> None:
        super().__init__(masker)
        self._form = form
        self._operation = operation
        self._framing = _framing_of(form, masker, limits)
        self._masker = masker
        self._limits = limits
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._carried = CarriedTexts(masker, limits.max_channels)
        self._shared: dict[Path, SharedText] = {}
        self._idle: dict[Path, None] = {}
        self._ended: set[Path] = set()
        self._done = False
        self._surroundings = Surroundings(masker)
        self._templates: deque[Template] = deque(maxlen=_MAX_TEMPLATES)
        self._template_credit = 2 * _MAX_TEMPLATES

    def feed(self, data: bytes) -> Masked:
        """What may go on now; `data` itself when all of it may. Raises `Malformed`."""
        whole = not self._framing.pending
        output: list[bytes] = []
        with IN_RESPONSE:
            for frame in self._framing.feed(data):
                before = len(output)
                self._accept(frame, output)
                whole = whole and len(output) == before + 1 and output[before] is frame.raw
        if whole and not self._framing.pending:
            return Masked(data)
        return Masked(b"".join(output))

    def finish(self) -> Masked:
        """Everything still held. Raises `Malformed` when the stream ends inside an event."""
        output: list[bytes] = []
        with IN_RESPONSE:
            for frame in self._framing.finish():
                self._accept(frame, output)
            self._end_texts()
            self._release(output)
        return Masked(b"".join(output))

    def cut(self, sentence: str, code: str, exchange_id: str) -> Masked:
        """The error event and the end of the stream. What is held is not released."""
        if self._form is not Form.SSE:
            return Masked(ndjson_farewell(sentence, code, exchange_id))
        return Masked(sse_farewell(self._operation, stream_error(sentence, code, exchange_id)))

    def _accept(self, frame: Frame, output: list[bytes]) -> None:
        payload = frame.payload
        if payload is None:
            self._push(_Waiting(frame, None, changed=False))
        elif frame.clean and not self._queue and self._follows_template(frame, payload, output):
            return
        elif payload.strip() == _DONE:
            self._end_texts()
            self._done = True
            self._push(_Waiting(frame, None, changed=False))
        else:
            self._inspect(frame, payload)
        self._release(output)

    def _follows_template(self, frame: Frame, payload: bytes, output: list[bytes]) -> bool:
        for template in self._templates:
            inner = template.inner(payload)
            if inner is None:
                continue
            text = parse_string_body(inner)
            if text is None:
                return False
            self.events += 1
            self.characters += len(text)
            self._template_credit = 2 * _MAX_TEMPLATES
            masked = template.channel.feed(text)
            output.append(frame.raw if masked == text else self._framing.wrap(frame.head, template.fill(masked)))
            return True
        return False

    def _inspect(self, frame: Frame, payload: bytes) -> None:
        document = parse_json(payload, self._limits.max_json_depth, Reason.RESPONSE_MALFORMED)
        # Clients stop reading at `[DONE]`; what a server says afterwards has no meaning that could be judged.
        if self._done or not isinstance(document, dict):
            raise Malformed(Reason.RESPONSE_MALFORMED)
        if repeats_itself(document):
            raise Malformed(Reason.RESPONSE_TYPE_UNSUPPORTED)
        if begins_early(document):
            raise Malformed(Reason.RESPONSE_MALFORMED)
        self.observe(document)
        renamed = mask_envelope(document, self._masker)
        parts = take_apart(document)
        self.characters += said_characters(document, parts.slots)
        self._carried.check_names(parts.names)
        familiar = self._surroundings.knows(parts.rest)
        masked = parts.rest if familiar else self._surroundings.mask(parts.rest)
        waiting = _Waiting(frame, document, changed=renamed)
        if parts.dropped or masked is not parts.rest:
            envelope = {key: document[key] for key in envelope_of(document)}
            waiting = _Waiting(frame, {**masked, **envelope, **parts.clocks}, changed=True)
        elif familiar and not renamed and frame.clean and len(frame.raw) <= _MAX_LEARNED_BYTES:
            self._learn(payload, document, parts)
        slots = parts.slots_in(masked)
        self._feed_carried(waiting, document, slots, parts.ended)
        if (family := family_ended_by(document)) is not None:
            self._end_family(family)
        self._push(waiting)
        for slot in slots:
            if not slot.carried:
                self._feed_shared(waiting, slot)

    def _learn(self, payload: bytes, document: dict[str, object], parts: EventParts) -> None:
        slot = parts.slots[0] if len(parts.slots) == 1 else None
        if slot and slot.carried and not slot.alone and not parts.ended and self._template_credit > 0:
            if self._carried.is_over(slot):
                return
            # A stream whose events differ elsewhere each time is not worth the second parse.
            self._template_credit -= 1
            channel = self._carried.channel(slot)
            template = learn_template(payload, document, slot, channel, self._limits.max_json_depth)
            if template is not None:
                self._templates.appendleft(template)

    def _feed_carried(
        self, waiting: _Waiting, document: dict[str, object], all_slots: list[Slot], choices_ended: list[int]
    ) -> None:
        if "choices" in document:
            self._carried.remember_envelope(document)
        slots = [slot for slot in all_slots if slot.carried and not self._carried.is_over(slot)]
        texts = [self._carried.channel(slot).feed(slot.text) for slot in slots]
        # After an error no text goes on.
        ended = self._carried.choices() if document.get("error") else choices_ended
        if ended:
            self._templates.clear()
            last = {slot.text_id: at for at, slot in enumerate(slots)}
            for text_id, tail in self._carried.end(ended):
                if text_id in last:
                    texts[last[text_id]] += tail
                else:
                    self._push(_made(self._carried.event(text_id, tail)))
        for slot, text in zip(slots, texts, strict=True):
            _answer(waiting, slot, text)

    def _shared_text(self, slot: Slot, rule: KeyRule) -> SharedText:
        if slot.text and slot.text_id in self._ended:
            raise Malformed(Reason.RESPONSE_MALFORMED)
        self._idle.pop(slot.text_id, None)
        shared = self._shared.get(slot.text_id)
        if shared is None:
            self._make_room()
            channel = self._masker.json_channel() if slot.is_json else self._masker.channel(rule)
            shared = self._shared[slot.text_id] = SharedText(channel)
        return shared

    def _make_room(self) -> None:
        if len(self._shared) + len(self._carried) < self._limits.max_channels:
            return
        text_id = next(iter(self._idle), None)
        if text_id is None:
            raise Malformed(Reason.RESPONSE_TOO_LARGE)
        del self._idle[text_id]
        self._end(text_id)

    def _end_family(self, family: Path) -> None:
        """Decide what waits for more of the family's texts. Those that nothing waits for stay while there is room."""
        for text_id in [id_ for id_ in self._shared if id_[: len(family)] == family]:
            if self._shared[text_id].waits:
                self._end(text_id)
            else:
                self._idle[text_id] = None

    def _end(self, text_id: Path) -> None:
        self._shared.pop(text_id).finish()
        # What comes after the end could have changed what was decided there: it is refused.
        self._ended.add(text_id)
        if len(self._ended) > _ENDED_FOR_EACH_CHANNEL * self._limits.max_channels:
            raise Malformed(Reason.RESPONSE_TOO_LARGE)

    def _feed_shared(self, waiting: _Waiting, slot: Slot) -> None:
        rule = announced_rule(slot.path)
        shared = self._shared_text(slot, rule)

        def resolve(text: str) -> None:
            # The text is decided; what remains is what its key alone gives away.
            announced = rule is not KeyRule.NONE and not slot.is_json
            _answer(waiting, slot, self._masker.mask_announced(text, rule) if announced else text)
            waiting.open -= 1

        waiting.open += 1
        shared.add(slot.text, resolve)

    def _end_choices(self) -> None:
        self._templates.clear()
        for text_id, tail in self._carried.end(self._carried.choices()):
            self._push(_made(self._carried.event(text_id, tail)))

    def _end_texts(self) -> None:
        self._end_choices()
        for shared in self._shared.values():
            shared.finish()
        self._shared.clear()
        self._idle.clear()

    def _push(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        self._queued_bytes += len(waiting.frame.raw) + _EVENT_OVERHEAD_BYTES

    def _release(self, output: list[bytes]) -> None:
        while self._queue and not self._queue[0].open:
            waiting = self._queue.popleft()
            self._queued_bytes -= len(waiting.frame.raw) + _EVENT_OVERHEAD_BYTES
            output.append(self._bytes_of(waiting))
        if self._queued_bytes > self._limits.max_response_bytes:
            raise Malformed(Reason.RESPONSE_TOO_LARGE)

    def _bytes_of(self, waiting: _Waiting) -> bytes:
        frame = waiting.frame
        if frame.clean and not waiting.changed:
            return frame.raw
        if waiting.document is not None:
            return self._framing.wrap(frame.head, encode_json(waiting.document))
        return self._framing.wrap(frame.head, _DONE) if frame.payload else self._framing.blank(frame.head)


def _framing_of(form: Form, masker: Masker, limits: Limits) -> Framing:
    if form is Form.SSE:
        return SseFraming(masker, limits.max_event_bytes)
    return NdjsonFraming(limits.max_event_bytes)


def _made(event: dict[str, object]) -> _Waiting:
    return _Waiting(Frame(b"", None, b"", clean=False), event, changed=True)


def _answer(waiting: _Waiting, slot: Slot, value: object) -> None:
    if waiting.changed or value != slot.text:
        waiting.changed = True
        put(waiting.document, slot.path, value)
