"""What is fuzzed: each target takes any bytes and returns, or raises `AssertionError` that names the broken promise.

No message holds input. The first bytes choose a style or an operation and how the rest is cut; the rest is what comes
from outside. In texts the byte `\\x01` stands for the check digit of the number before it, so that mutated numbers stay
cards.
"""

import contextlib
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from extproc.core.dialects.content_type import Form, find_form
from extproc.core.dialects.request import parse_request
from extproc.core.dialects.response import open_response
from extproc.core.dialects.strict_json import parse_json
from extproc.core.masking.aliases import MaskKey
from extproc.core.masking.channel import Channel, WholeChannel
from extproc.core.masking.effort import MAX_STEPS, Effort
from extproc.core.masking.encoded import encoded_runs
from extproc.core.masking.json_channel import JsonChannel
from extproc.core.masking.masker import Masker
from extproc.core.masking.reader import MAX_TOKEN
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingRule, MaskingSettings, Style
from extproc.core.masking.tape import MAX_HELD
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits
from extproc.core.trust import Secret

KEY = MaskKey("k1", Secret("0" * 64))
SCANNERS = tuple(Scanner(MaskingSettings(request_styles={"pan": style}), key=KEY) for style in Style)
RULES = (
    MaskingRule("order", "ORD-[0-9]{8}"),
    MaskingRule("tail", "tail-[0-9a-z]{6,}"),
    MaskingRule("account", "K[0-9]{6,16}", context=("account",)),
)
RULED = tuple(
    Scanner(MaskingSettings(catalogues=catalogues, rules=rules, request_styles=styles), key=KEY)
    for catalogues, rules, styles in (
        (("pci-pii",), (), {}),
        (("secrets",), (), {}),
        ((), RULES, {"order": Style.TOKEN}),
        (("pci-pii", "secrets"), RULES, {"pan": Style.NUMBERED, "email": Style.TOKEN}),
    )
)
OPERATIONS = tuple(Operation)
LIMITS = Limits(max_body_bytes=4096, max_event_bytes=512, max_response_bytes=4096, max_channels=16, max_json_depth=8)
MASK = re.compile(r"\[[A-Z]+(?:_[A-Za-z0-9_]+)?\]|(?<!\d)\d{6}\*{4,9}\d{4}(?!\d)")
"""What stands in the place of a find. It is shorter, and brings nearer what is judged by what stands around it."""

Whole = TypeVar("Whole", str, bytes)
_NUMBER_TO_CHECK = re.compile("([0-9][0-9 \\-.]*)\x01")


def _check_digit(number: str) -> str:
    """The digit that makes the mod 10 sum of `number` with it a multiple of ten."""
    digits = [int(char) * (2 - place % 2) for place, char in enumerate(reversed(re.sub("[^0-9]", "", number)))]
    return str(-sum(value - 9 * (value > 9) for value in digits) % 10)


def text_of(data: bytes) -> str:
    """Any bytes as text, with check digits for marks; what is not UTF-8 becomes lone surrogates, which JSON can hold."""
    text = data.decode("utf-8", "surrogateescape")
    return _NUMBER_TO_CHECK.sub(lambda match: match[1] + _check_digit(match[1]), text)


def _pieces(whole: Whole, seed: int) -> Iterator[Whole]:
    """The whole in pieces; an even seed cuts off single characters only, an odd one cuts anywhere."""
    rng = random.Random(seed)
    longest = rng.choice((1, 2, 5, 17, 80)) if seed % 2 else 1
    at = 0
    while at < len(whole):
        size = rng.randint(0, longest) if seed % 2 else 1
        yield whole[at : at + size]
        at += size


_Outcome = tuple[str, Reason | None]


def _streamed(channel: Channel | WholeChannel | JsonChannel, pieces: Iterator[str]) -> _Outcome:
    out: list[str] = []

    def run() -> str:
        out.extend(channel.feed(piece) for piece in pieces)
        out.append(channel.finish())
        return "".join(out)

    return _outcome(run)


def _outcome(run: Callable[[], str]) -> _Outcome:
    """What comes out, or why it was refused."""
    try:
        return run(), None
    except Malformed as refused:
        check_silence(refused)
        return "", refused.reason


def check_silence(refused: Malformed) -> None:
    """A refusal says its reason and nothing of what was refused, and neither does what it was raised from."""
    link: BaseException | None = refused
    while link is not None:
        assert isinstance(link, Malformed), "a refusal drags another exception along"
        assert str(link) in {link.reason.value, str(link.reason)}, "a refusal says more than its reason"
        link = link.__cause__ or link.__context__


def scanner_of(choice: int) -> Scanner:
    """One of cards alone below 128, one with rules from there on."""
    scanners = SCANNERS if choice < 128 else RULED
    return scanners[choice % len(scanners)]


def fuzz_scanner(data: bytes) -> None:
    """Any cut gives the masked whole, finds are in order, and masking twice keeps the masks."""
    scanner, seed, text = scanner_of(sum(data[:1])), sum(data[1:2]), text_of(data[2:])
    at = 0
    for one in scanner.find(text):
        assert at <= one.start < one.end <= len(text), "finds overlap or lie outside"
        at = one.end
    whole, cut = scanner.masker(), scanner.masker()
    expected = whole.mask_text(text)
    streamed = _streamed(cut.channel(), _pieces(text, seed))
    if not encoded_runs(text, Effort(MAX_STEPS)):  # only a whole text is read for them
        assert streamed == (expected, None), "a cut changes what is masked"
        assert cut.findings == whole.findings, "a cut changes what is counted"
    assert cut.held_characters_max <= MAX_HELD * MAX_TOKEN, "too much is held"
    assert _keeps_masks(expected, scanner.masker().mask_text(expected)), "masking twice changes a mask"


def fuzz_json(data: bytes) -> None:
    """JSON stays JSON, any cut gives the masked whole, and masking twice keeps the masks."""
    scanner, seed, text = SCANNERS[sum(data[:1]) % len(SCANNERS)], sum(data[1:2]), text_of(data[2:])
    whole, cut = scanner.masker(), scanner.masker()
    expected = _outcome(lambda: whole.mask_json(text))
    streamed = _streamed(cut.json_channel(), _pieces(text, seed))
    masked, refused = expected
    encoded = bool(encoded_runs(text, Effort(MAX_STEPS)))  # only a whole text is read for them
    assert streamed == expected or encoded, "a cut changes what is masked"
    if refused is not None:
        return
    assert cut.findings == whole.findings or encoded, "a cut changes what is counted"
    assert not _parses(text) or _parses(masked), "masked JSON does not parse"
    assert _keeps_masks(masked, scanner.masker().mask_json(masked)), "masking twice changes a mask"


def _keeps_masks(once: str, twice: str) -> bool:
    again = iter(MASK.findall(twice))
    return all(mask in again for mask in MASK.findall(once))


def _parses(text: str) -> bool:
    try:
        json.loads(text, parse_int=len, parse_float=len)
    except (ValueError, RecursionError):
        return False
    return True


def _parted(data: bytes) -> tuple[Operation, int, str, bytes]:
    """Operation, seed of the cuts, content type up to the first line feed, body."""
    content_type, _, body = data[2:].partition(b"\n")
    body = text_of(body).encode("utf-8", "surrogateescape")
    return OPERATIONS[sum(data[:1]) % len(OPERATIONS)], sum(data[1:2]), content_type.decode("latin-1"), body


def fuzz_request(data: bytes) -> None:
    """A request is judged or refused with a reason; what was masked can be judged again, and keeps its masks."""
    operation, _, content_type, body = _parted(data)
    try:
        masked = parse_request(operation, content_type, body, LIMITS).mask(_masker())
    except Malformed as refused:
        check_silence(refused)
        return
    assert masked.changed or masked.body == body, "an unchanged request is another"
    again = parse_request(operation, content_type, bytes(masked.body), Limits()).mask(_masker())
    assert _keeps_masks(masked.body.decode(), again.body.decode()), "masking twice changes a mask"


def _masker() -> Masker:
    return SCANNERS[0].masker()


def fuzz_response(data: bytes) -> None:
    """A response is masked or refused with a reason, the same for every cut; a JSON answer stays JSON."""
    operation, seed, content_type, body = _parted(data)
    status = 200 if seed & 2 else 400
    whole, refused = _answered(operation, status, content_type, iter((body,)))
    cut, cut_refused = _answered(operation, status, content_type, _pieces(body, seed))
    if Reason.RESPONSE_TOO_LARGE in {refused, cut_refused}:
        return  # a cut CRLF makes one event more, which counts
    assert refused == cut_refused, "a cut changes whether a response is refused"
    if find_form(content_type) is Form.SSE:
        whole, cut = _events(whole), _events(cut)
    # How much was released before a refusal depends on the cut, but not what it says.
    begun = refused is not None and (cut.startswith(whole) or whole.startswith(cut))
    assert cut == whole or begun, "a cut changes what is masked"
    if refused is None and whole != body and content_type == "application/json":
        parse_json(whole, LIMITS.max_json_depth, Reason.RESPONSE_MALFORMED)


def _events(stream: bytes) -> bytes:
    """The stream with one kind of line end and without empty events: a cut CRLF leaves a blank line, which is none."""
    return re.sub(rb"\n{2,}", b"\n\n", re.sub(rb"\r\n?", b"\n", stream)).strip(b"\n")


def _answered(
    operation: Operation, status: int, content_type: str, pieces: Iterator[bytes]
) -> tuple[bytes, Reason | None]:
    """What was released, and why the rest was refused."""
    out = bytearray()
    answer = None
    reason = None
    try:
        answer = open_response(operation, status, content_type, _masker(), LIMITS)
        for piece in pieces:
            out += answer.feed(piece)
        out += answer.finish()
    except Malformed as refused:
        check_silence(refused)
        reason = refused.reason
    if answer is not None:
        with contextlib.suppress(Malformed):
            answer.cut("The answer was cut.", "cut", "exchange-1")
    return bytes(out), reason


TARGETS: dict[str, Callable[[bytes], None]] = {
    "scanner": fuzz_scanner,
    "json": fuzz_json,
    "request": fuzz_request,
    "response": fuzz_response,
}
