"""A request body: what the policy judges of it, what is taken out of it, and its masked form."""

from dataclasses import dataclass, field

from extproc.core.dialects.content_type import Form, find_form
from extproc.core.dialects.facts import check_spelling, read_facts
from extproc.core.dialects.form import FormRequest, parse_form
from extproc.core.dialects.inspectable import refuse_uninspectable, strip_uninspectable
from extproc.core.dialects.leaves import mask_document
from extproc.core.dialects.masked import MaskedRequest
from extproc.core.dialects.masker import Masker
from extproc.core.dialects.media import seal_media
from extproc.core.dialects.multipart import is_multipart
from extproc.core.dialects.strict_json import encode_json, holds_too_many_values, parse_json
from extproc.core.masking.settings import Media
from extproc.core.policy import Facts, Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits
from extproc.core.trust import Masked

_PROMPTED = frozenset(
    {
        Operation.CHAT,
        Operation.TEXT_COMPLETION,
        Operation.EMBEDDINGS,
        Operation.RESPONSES,
        Operation.MESSAGES,
        Operation.GENERATE,
        Operation.TOKENIZE,
    }
)
"""Operations that mean nothing without a body."""
_JSON_ONLY = _PROMPTED | {Operation.MODEL_ADMIN, Operation.MODEL_LIST}
"""Operations without meaning for a body that is not a JSON object, whatever its content type says."""
_BEFORE_JSON = b"\xef\xbb\xbf \t\r\n"
_FORMS = frozenset({Operation.GENERATE, Operation.UNKNOWN})
"""Operations that may come as a form."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request body that can be judged. `facts.model` is what the client sent: record it once `mask` has passed."""

    operation: Operation
    facts: Facts
    stripped: tuple[str, ...]
    document: dict[str, object] | None = field(repr=False)
    """Without the stripped fields; None for a body that is not JSON."""
    body: bytes = field(repr=False)
    not_inspected: dict[str, int] = field(default_factory=dict)
    """Pieces of media that the policy lets through, by kind. Their bytes are sealed in the document."""

    def mask(self, masker: Masker) -> MaskedRequest:
        """Everything masked but `model`; a model name with a finding raises `Malformed(BODY_NOT_INSPECTABLE)`."""
        if self.document is None:
            return self._mask_text(masker)
        # A masked name would ask for another model than the one the policy judged.
        if masker.mask_text(self.facts.model) != self.facts.model:
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)
        masked = mask_document(self.document, masker, keep=("model",))
        if masked is self.document and not self.stripped:
            return MaskedRequest(Masked(self.body), changed=False, stripped=())
        return MaskedRequest(Masked(encode_json(masked)), changed=True, stripped=self.stripped)

    def _mask_text(self, masker: Masker) -> MaskedRequest:
        text = self.body.decode()
        masked = masker.mask_text(text)
        if masked is text:
            return MaskedRequest(Masked(self.body), changed=False, stripped=())
        return MaskedRequest(Masked(masked.encode()), changed=True, stripped=())


def needs_body(operation: Operation) -> bool:
    """Whether a request without a body has no meaning that could be judged."""
    return operation in _PROMPTED


def parse_request(
    operation: Operation, content_type: str, body: bytes, limits: Limits, media: Media = Media.DENY
) -> ParsedRequest | FormRequest:
    """The request behind a whole body. `media` is what the policy says of images, sound and files.

    Raises `Malformed` with BODY_TOO_LARGE, BODY_TYPE_UNSUPPORTED, BODY_MALFORMED (not strict JSON, not an object, a
    field the policy judges of the wrong type) or BODY_NOT_INSPECTABLE (token ids, vectors; media unless let through).
    """
    if len(body) > limits.max_body_bytes:
        raise Malformed(Reason.BODY_TOO_LARGE)
    if operation in _FORMS and body and is_multipart(content_type):
        return parse_form(operation, content_type, body, limits, media)
    form = find_form(content_type)
    if form is Form.TEXT and operation not in _JSON_ONLY and body.lstrip(_BEFORE_JSON).startswith(b"{"):
        form = Form.JSON  # to a server that does not look at the type
    if operation not in _JSON_ONLY and (not body or form is Form.TEXT):
        text = _text_of(body)
        if text is None:
            raise Malformed(Reason.BODY_MALFORMED)
        facts = Facts(prompt_characters=len(text), body_bytes=len(body))
        return ParsedRequest(operation, facts, (), None, body)
    if form not in {Form.JSON, Form.NONE}:
        raise Malformed(Reason.BODY_TYPE_UNSUPPORTED)
    if holds_too_many_values(body, limits.max_scan_steps):
        raise Malformed(Reason.BODY_TOO_COSTLY)
    document = parse_json(body, limits.max_json_depth, Reason.BODY_MALFORMED)
    if not isinstance(document, dict):
        raise Malformed(Reason.BODY_MALFORMED)
    check_spelling(document)
    refuse_uninspectable(operation, document, media)
    stripped = strip_uninspectable(document)
    not_inspected = seal_media(document)
    facts = read_facts(operation, document, len(body))
    return ParsedRequest(operation, facts, stripped, document, body, not_inspected)


def _text_of(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
