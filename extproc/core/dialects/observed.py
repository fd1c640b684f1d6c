"""What a response says of itself, for the record: usage, finish reasons, ids. Never content."""

import re
from collections.abc import Iterable

from extproc.core.dialects.masker import Masker
from extproc.core.reasons import Malformed, Reason

_FINISH_REASON = re.compile(r"[A-Za-z_.-]{1,32}\Z")
_MAX_FINISH_REASONS = 16
_MAX_NAME_CHARACTERS = 256
_MAX_TOKENS = 10**9
_INPUT_TOKENS = ("prompt_tokens", "input_tokens", "prompt_eval_count")
_OUTPUT_TOKENS = ("completion_tokens", "output_tokens", "eval_count")


class Observed:
    """Read from documents as they pass; the last word of the server counts."""

    streamed = False
    """Its events come one after the other, and what one of them reports may not be all."""

    def __init__(self, masker: Masker) -> None:
        self.input_tokens = 0
        self.output_tokens = 0
        self.finish_reasons: tuple[str, ...] = ()
        self.response_model = ""
        self.response_id = ""
        self.events = 0
        self.characters = 0
        self._masker = masker

    def observe(self, document: object) -> None:
        """Read one event or a whole answer."""
        self.events += 1
        if not isinstance(document, dict):
            return
        if not self.response_id:
            self.response_id = self._name(document.get("id"))
        if not self.response_model:
            self.response_model = self._name(document.get("model"))
        # Anthropic's `message_start` and OpenAI Responses' lifecycle events wrap the answer.
        for part in (document, document.get("message"), document.get("response"), document.get("delta")):
            if isinstance(part, dict):
                self._read(part)
        choices = document.get("choices")
        if isinstance(choices, list):
            self._finish(choice.get("finish_reason") for choice in choices if isinstance(choice, dict))

    def _read(self, part: dict[str, object]) -> None:
        usage = part.get("usage")
        counts = usage if isinstance(usage, dict) else part
        self.input_tokens = _count(counts, _INPUT_TOKENS) or self.input_tokens
        self.output_tokens = _count(counts, _OUTPUT_TOKENS) or self.output_tokens
        self._finish((part.get("stop_reason"), part.get("done_reason")))

    def _finish(self, values: Iterable[object]) -> None:
        for value in values:
            # A stop string may stand here (vLLM's `stop_reason`), and a stop string may be anything.
            if (
                isinstance(value, str)
                and _FINISH_REASON.match(value)
                and len(self.finish_reasons) < _MAX_FINISH_REASONS
            ):
                self.finish_reasons = (*self.finish_reasons, value)

    def _name(self, value: object) -> str:
        if not isinstance(value, str) or len(value) > _MAX_NAME_CHARACTERS:
            return ""
        return self._masker.mask_text(value)


def _count(counts: dict[str, object], names: tuple[str, ...]) -> int:
    for name in names:
        value = counts.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOKENS:
            return value
    return 0


_RESPONSE_REASONS = {
    Reason.BODY_MALFORMED: Reason.RESPONSE_MALFORMED,
    Reason.BODY_TOO_COSTLY: Reason.RESPONSE_TOO_COSTLY,
}


class _InResponse:
    """The masker does not know its direction: what it cannot read inside this block is a malformed response."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Malformed) and error.reason in _RESPONSE_REASONS:
            raise Malformed(_RESPONSE_REASONS[error.reason]) from None


IN_RESPONSE = _InResponse()
