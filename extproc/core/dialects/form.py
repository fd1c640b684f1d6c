"""A form as a request (files, transcriptions, image edits): its fields judged and masked, its files by policy.

A file that is UTF-8 text is masked as what it is: JSON, JSON lines (a batch), text. Any other file is media: refused,
or let through and counted.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from extproc.core.dialects.facts import COUNTS, check_spelling, read_facts
from extproc.core.dialects.fields import STRIPPED
from extproc.core.dialects.inspectable import refuse_uninspectable
from extproc.core.dialects.masked import MaskedRequest
from extproc.core.dialects.masker import Masker
from extproc.core.dialects.multipart import Part, parse_multipart, write_multipart
from extproc.core.dialects.strict_json import parse_json
from extproc.core.masking.settings import Media
from extproc.core.policy import Facts, Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits
from extproc.core.trust import Masked

_PIECES = "timestamp_granularities[]"
"""Asks for a transcription's words one by one; `include[]` asks for its tokens."""
_STRIPPED = frozenset({*STRIPPED, _PIECES, "include[]"})
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

        Raises `Malformed(BODY_NOT_INSPECTABLE)` for a finding in the model's or a field's name.
        """
        if masker.mask_text(self.facts.model) != self.facts.model:
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)
        parts = [self._mask_part(part, masker) for part in self.parts]
        if not self.stripped and all(new is old for new, old in zip(parts, self.parts, strict=True)):
            return MaskedRequest(Masked(self.body), changed=False, stripped=())
        body = write_multipart(self.content_type, parts)
        return MaskedRequest(Masked(body), changed=True, stripped=self.stripped)

    def _mask_part(self, part: Part, masker: Masker) -> Part:
        if masker.mask_text(part.name) != part.name:
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)
        if part.filename is None:
            value = part.content.decode()
            shown = _mask_json(value, masker) if _is_json(value) else str(masker.mask_value(value, part.name))
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

    Raises `Malformed` with BODY_TYPE_UNSUPPORTED, BODY_MALFORMED or BODY_NOT_INSPECTABLE (a file, unless the policy
    lets media through; token ids and vectors).
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
    """The requests of a batch may carry no more than others may."""
    for line in text.split("\n"):
        document = _object_of(line, limits) if _is_json(line) else None
        if document is not None:
            body = document.get("body")
            refuse_uninspectable(Operation.UNKNOWN, body if isinstance(body, dict) else document, media)


def _object_of(line: str, limits: Limits) -> dict[str, object] | None:
    try:
        document = parse_json(line.encode(), limits.max_json_depth, Reason.BODY_MALFORMED)
    except Malformed:
        return None
    return document if isinstance(document, dict) else None


def _mask_file(text: str, masker: Masker) -> str:
    lines = text.split("\n")
    if all(_is_json(line) for line in lines if line.strip()):
        return "\n".join(_mask_json(line, masker) for line in lines)
    return _mask_json(text, masker) if _is_json(text) else masker.mask_text(text)


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] in {"{", "["}


def _mask_json(text: str, masker: Masker) -> str:
    return str(masker.mask_value(text, "arguments"))


def _text_of(content: bytes) -> str | None:
    """The content when it is text: UTF-8 without a NUL."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
