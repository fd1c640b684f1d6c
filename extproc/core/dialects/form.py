"""A form as a request (files, transcriptions, image edits): its fields judged and masked, its files by policy.

A file that is UTF-8 text is masked as what it is: JSON, JSON lines (a batch), text. Any other file is media: refused,
or let through and counted.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from extproc.core.dialects.facts import COUNTS, check_spelling, read_facts
from extproc.core.dialects.fields import STRIPPED
from extproc.core.dialects.inspectable import refuse_uninspectable
from extproc.core.dialects.masked import MaskedRequest
from extproc.core.dialects.masker import Masker
from extproc.core.dialects.multipart import Part, parse_multipart, write_multipart
from extproc.core.dialects.strict_json import encode_json, parse_json
from extproc.core.masking.json_channel import MAX_DEPTH
from extproc.core.masking.settings import Media
from extproc.core.policy import Facts, Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits
from extproc.core.trust import Masked

_PIECES = "timestamp_granularities[]"
"""Asks for a transcription's words one by one; `include[]` asks for its tokens."""
_STRIPPED = frozenset({*STRIPPED, _PIECES, "include[]"})
_JSON = re.compile("[\\s\ufeff]*(?=[{\\[])")
_LINE_END = re.compile("\r\n|\n|\r")
_LENIENT = json.JSONDecoder(parse_int=len, parse_float=len, strict=False)
"""Reads doubled keys, NaN and raw control characters too."""
_OBJECT_STEPS = 15
"""What an object of a file costs: of these, a file of nothing else has millions."""
_BRACKETS = re.compile(r"[\[\]]+")
_MAX_KEYS = 8
"""No card is described deeper than this, and the masker looks no deeper than some dozens."""
_KINDS = {"image": "image", "audio": "audio", "video": "video"}


@dataclass(frozen=True, slots=True)
class FormRequest:
    """A form that can be judged. `not_inspected` counts its files that no masker can look into, by kind."""

    operation: Operation
    facts: Facts
    stripped: tuple[str, ...]
    not_inspected: dict[str, int]
    parts: list[Part] = field(repr=False)
    """Without the stripped fields."""
    content_type: str
    body: bytes = field(repr=False)

    def mask(self, masker: Masker) -> MaskedRequest:
        """Everything masked but the files that nobody can look into.

        Raises `Malformed`: BODY_MALFORMED for a finding in the boundary, which the body says again between its parts,
        BODY_NOT_INSPECTABLE for one in the model's or a field's name or in a part's type.
        """
        if masker.mask_text(self.content_type) != self.content_type:
            raise Malformed(Reason.BODY_MALFORMED)
        if masker.mask_text(self.facts.model) != self.facts.model:
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)
        parts = [self._mask_part(part, masker) for part in self.parts]
        if not self.stripped and all(new is old for new, old in zip(parts, self.parts, strict=True)):
            return MaskedRequest(Masked(self.body), changed=False, stripped=())
        body = write_multipart(self.content_type, parts)
        return MaskedRequest(Masked(body), changed=True, stripped=self.stripped)

    def _mask_part(self, part: Part, masker: Masker) -> Part:
        if any(masker.mask_text(text) != text for text in (part.name, part.content_type)):
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)
        if part.filename is None:
            value = part.content.decode()
            shown = _mask_json(value, masker) if _is_json(value) else mask_field(part.name, value, masker)
            return part if shown == value else replace(part, content=shown.encode())
        filename = masker.mask_text(part.filename)
        if filename == part.filename and (plain := unquote(filename)) != masker.mask_text(plain):
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)
        text = _text_of(part.content)
        masked = text if text is None else _mask_file(text, masker)
        if filename == part.filename and masked == text:
            return part
        return replace(part, filename=filename, content=part.content if masked is None else masked.encode())


def parse_form(operation: Operation, content_type: str, body: bytes, limits: Limits, media: Media) -> FormRequest:
    """The form behind a whole body.

    Raises `Malformed` with BODY_TYPE_UNSUPPORTED, BODY_MALFORMED, BODY_TOO_COSTLY (a batch of too many objects) or
    BODY_NOT_INSPECTABLE (a file, unless the policy lets media through; token ids and vectors).
    """
    parts = parse_multipart(content_type, body)
    fields = [part for part in parts if part.filename is None]
    document = _judged(fields)
    check_spelling(document)
    refuse_uninspectable(operation, document, media)
    unreadable: Counter[str] = Counter()
    for part in parts:
        text = _text_of(part.content)
        if part.filename is not None and text is not None:
            _refuse_lines(text, limits, media)
        elif part.filename is not None:
            unreadable[_KINDS.get(part.content_type.partition("/")[0].lower(), "file")] += 1
    if unreadable and media is not Media.OPAQUE:
        raise Malformed(Reason.BODY_NOT_INSPECTABLE)
    stripped = tuple(part.name for part in fields if part.name in _STRIPPED)
    kept = [part for part in parts if part.filename is not None or part.name not in _STRIPPED]
    facts = read_facts(operation, document, len(body))
    return FormRequest(operation, facts, stripped, dict(unreadable), kept, content_type, body)


def mask_field(name: str, value: str, masker: Masker) -> str:
    """A field's value, masked as it stands in the document that the name spells: `card[cvv]`, `cvv[]`, `cards[0][cvv]`.

    Of a name that goes deeper than `_MAX_KEYS`, the innermost keys count.
    """
    keys = [key for key in _BRACKETS.split(name) if key and not key.isdecimal()][-_MAX_KEYS:] or [name]
    document: object = value
    for key in reversed(keys):
        document = {key: document}
    masked = masker.mask_value(document)
    while isinstance(masked, dict):
        (masked,) = masked.values()
    return str(masked)


def _judged(fields: list[Part]) -> dict[str, object]:
    """The fields as the document of which they are the form. One that is given twice is refused: servers disagree."""
    document: dict[str, object] = {}
    for part in fields:
        text = _text_of(part.content)
        if text is None or (part.name in document and not part.name.endswith("[]")):
            raise Malformed(Reason.BODY_MALFORMED)
        document[part.name] = _value(part.name, text)
    return document


def _value(name: str, text: str) -> object:
    if name == "stream":
        return {"true": True, "false": False}.get(text, text)
    if name in COUNTS and text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    return text


def _refuse_lines(text: str, limits: Limits, media: Media) -> None:
    """The requests of a batch may carry no more than others may, and each has one meaning."""
    steps = 0
    for line in _LINE_END.split(text):
        for document in _objects_of(line, limits):
            steps += _OBJECT_STEPS
            if steps > limits.max_scan_steps:
                raise Malformed(Reason.BODY_TOO_COSTLY)
            body = document.get("body")
            if isinstance(body, dict):
                check_spelling(body)
            refuse_uninspectable(Operation.UNKNOWN, body if isinstance(body, dict) else document, media)


def _objects_of(line: str, limits: Limits) -> Iterator[dict[str, object]]:
    """The objects that a line begins with. Raises `Malformed(BODY_MALFORMED)` for one that parsers read differently."""
    end = 0
    while (begin := _JSON.match(line, end)) and line[begin.end()] == "{":
        end = _end_of_value(line, begin.end())
        if end == 0:
            return
        document = parse_json(line[begin.end() : end].encode(), limits.max_json_depth, Reason.BODY_MALFORMED)
        if isinstance(document, dict):
            yield document


def _end_of_value(line: str, start: int) -> int:
    """Where the value ends that a lenient parser reads; 0 if it reads none."""
    try:
        return _LENIENT.raw_decode(line, start)[1]
    except RecursionError:
        return len(line)
    except ValueError:
        return 0


def _mask_file(text: str, masker: Masker) -> str:
    lines = text.split("\n")
    if all(_is_json(line) for line in lines if line.strip()):
        return "\n".join(_mask_json(line, masker) for line in lines)
    return _mask_json(text, masker) if _is_json(text) else masker.mask_text(text)


def _is_json(text: str) -> bool:
    return _JSON.match(text) is not None


def _mask_json(text: str, masker: Masker) -> str:
    """What begins like JSON, masked as the document would be, and written as it was where that says it all.

    Parsers pass over a byte order mark.
    """
    begin = _JSON.match(text)
    at = begin.end() if begin else 0
    body = text[at:]
    # JSON inside a string stays JSON only where the string is known as such, in the document.
    if '\\"' not in body or _document_of(body) is None:
        body = str(masker.mask_value(body, "arguments"))
    document = _document_of(body)
    masked = masker.mask_value(document)
    return text[:at] + (body if masked is document else encode_json(masked).decode())


def _document_of(text: str) -> object:
    """The document that `text` is; None where it is more than one, or none."""
    try:
        return parse_json(text.encode(), MAX_DEPTH, Reason.BODY_MALFORMED)
    except Malformed:
        return None


def _text_of(content: bytes) -> str | None:
    """The content when it is text: UTF-8 without a NUL."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
