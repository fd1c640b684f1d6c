"""What is written in escapes, markup and other digits is read and masked, in whole texts and in streams alike."""

import random
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

import pytest

from extproc.core.masking.masker import Masker
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings

SCANNER = Scanner(MaskingSettings())
SEEN = {
    # escapes
    "4111%201111%201111%201111": "[PAN]",
    "%34%31%31%31111111111111": "[PAN]",
    "%EF%BC%94111111111111111": "[PAN]",
    "4111%C2%A01111%E2%80%911111-1111": "[PAN]",
    "&#52;&#x31;11 1111 1111 1111": "[PAN]",
    "4111&nbsp;1111&nbsp;1111&nbsp;1111": "[PAN]",
    "4111&ndash;1111&ndash;1111&ndash;1111": "[PAN]",
    r"\u0034111111111111111": "[PAN]",
    r"\\u0034\x31111111 11111111": "[PAN]",
    r"4111\n1111\n1111\n1111": "[PAN]",
    r"4111\-1111\-1111\-1111": "[PAN]",
    "cvv%3A%20123": "cvv%3A%20[CVV]",
    "security%20code: 123": "security%20code: [CVV]",
    "3%20digits%20on%20the%20back%3A%20123": "3%20digits%20on%20the%20back%3A%20[CVV]",
    "expiry%20date%20is%2012/28": "expiry%20date%20is%20[EXPIRY]",
    "card%20number 1234567812345678": "card%20number [PAN]",
    "card &amp; pin%20is%201234": "card &amp; pin%20is%20[PIN]",
    "a%3bpan 6240008631401147": "a%3bpan [PAN]",
    "&quot;pan&quot;:6240008631401147": "&quot;pan&quot;:[PAN]",
    "c&#118;v 123, %63vc 123, c\\u0076v 123": "c&#118;v [CVV], %63vc [CVV], c\\u0076v [CVV]",
    "4111&sup1;11111111111": "[PAN]",
    "4111 1111 1111 1111 exp 12/28<td>123": "[PAN] exp [EXPIRY]<td>[CVV]",
    "4111 1111 1111 1111 valid thru 12/28</b> 123": "[PAN] valid thru [EXPIRY]</b> [CVV]",
    "4111<br>1111<br>1111<br>1111": "[PAN]",
    "<tr><td>4111</td><td>111111</td></tr><tr><td>1111</td></tr>": "<tr><td>4111</td><td>111111</td></tr><tr><td>1111</td></tr>",
    '4<b>1</b>1"1"111111<!-- x -->11111"1': "[PAN]",
    "63<!-- x -->04<!-- x -->00<!-- x -->00<!-- x -->00<!-- x -->00<!-- x -->00<!-- x -->00<!-- x -->003622": (
        "[PAN]<!-- x -->003622"
    ),
    "cvv: &#49;23": "cvv: [CVV]",
    "cvv%3A" + " " * 14 + "123": "cvv%3A" + " " * 14 + "[CVV]",
    "card number%3A 6240008631401147": "card number%3A [PAN]",
    r"4111111111111111\ncard number 1234567812345678": r"[PAN]\ncard number [PAN]",
    "%3B4111111111111111%3D28122010000": "%3B[TRACK]",
    # markup
    "4111<span></span>1111<span></span>1111<span></span>1111": "[PAN]",
    '<b>4111</b> <span class="n">1111</span> <i>1111</i> 1111': "<b>[PAN]",
    "<td>4111</td><td>1111</td><td>1111</td><td>1111</td>": "<td>[PAN]</td>",
    "4111<!-- -->1111<!-- -->1111<!-- -->1111": "[PAN]",
    "**4111** 1111 1111 1111": "**[PAN]",
    "`4111` `1111` `1111` `1111`": "`[PAN]`",
    "4111~~ ~~1111 11111111": "[PAN]",
    "CVV: <b>123</b>": "CVV: <b>[CVV]</b>",
    "| 4111 | 1111 | 1111 | 1111 |": "| [PAN] |",
    "|4222|2222|2222|2|": "|[PAN]|",
    "4111 1111 **1111** 1111, **123**": "[PAN], **[CVV]**",
    # lists
    "4111,1111,1111,1111": "[PAN]",
    "4111; 1111; 1111; 1111": "[PAN]",
    "4111:1111:1111:1111": "[PAN]",
    "3782,822463,10005": "[PAN]",
    "4111,1111;1111,1111": "[PAN]",
    "[4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]": "[[PAN]]",
    '["4111","1111","1111","1111"]': '["[PAN]"]',
    "41, 11, 11, 11, 11, 11, 11, 11": "[PAN]",
    # digits that are not decimal ones, and letters in the place of digits
    "\u2074\u00b9\u00b9\u00b9 1111 1111 1111": "[PAN]",
    "\u2463\u2460\u2460\u2460 1111 1111 1111": "[PAN]",
    "4\ufe0f\u20e31\ufe0f\u20e31\ufe0f\u20e31\ufe0f\u20e3 1111 1111 1111": "[PAN]",
    "4\u03361\u03361\u03361\u0336 1111 1111 1111": "[PAN]",
    "4l11 1111 1111 1111": "[PAN]",
    'cc5718"9"5S411111': "cc[PAN]",
    # digits of other scripts, in lists and markup
    "\uff14\uff19\uff12\uff19, \uff13\uff11\uff18\uff17, \uff16\uff15\uff14\uff13, \uff12\uff11\uff10\uff15": "[PAN]",
    "\uff14\uff11\uff11\uff11<b>\uff11111</b>\uff11111<i>1111": "[PAN]",
    "\uff14111111111111111</td><td>12/28</td><td>123": "[PAN]</td><td>[EXPIRY]</td><td>[CVV]",
    "620550000000000000`\u0664": "[PAN]",
    "5018, 9781, 9\u200b848, 4616": "[PAN]",
    "9704;2542;452\xad1;2207": "[PAN]",
    # words for digits beside digits and underscores
    "four_nine_two_nine_three_one_eight_seven_six_five_four_three_two_one_zero_five": "[PAN]",
    "60072294quatre8five9deux340": "[PAN]",
    "un 1 \u017fept, s\u0130x 4111 1111 1111 1111": "un 1 \u017fept, s\u0130x [PAN]",
    # tags in words
    "CVV<sub>2</sub>: 205": "CVV<sub>2</sub>: [CVV]",
    "CV<b>V</b>: 205, exp<b>iry</b> date 12/28": "CV<b>V</b>: 205, exp<b>iry</b> date 12/28",
    "41\u200b11\u200b11\u200b11\u200b11\u200b11\u200bl1\u200b11": "[PAN]",
    "4111 1111 1111 lIl1": "[PAN]",
    "41l1111111111111": "[PAN]",
    "4OO0 O000 0000 0002": "[PAN]",
    # words
    "four" + " one" * 15: "[PAN]",
    "Four, One, " + "One, " * 13 + "ONE": "[PAN]",
    "cuatro" + " uno" * 15 + ".": "[PAN].",
    "quatre" + " un" * 15: "[PAN]",
    "4 one 1 " + "one 1 " * 6 + "one": "[PAN]",
    # what the text itself says is found as well
    "100%4111111111111111": "100%[PAN]",
    "&amp;4111111111111111": "&amp;[PAN]",
    "4111111111111111Old": "[PAN]Old",
}
UNSEEN = [
    "7777,7777,4111,1111,1111,1111",
    "someone one of the two phones, zero tones",
    "four" + " tone" * 15,
    "1111,2222,3333,4111,1111,1111,1111",
    "4111,1111,1111,1111,2222,3333",
    "411,111,111,111,111,1",
    "41111111,11111111",
    "411111******1111",
    "4.111,1.111,1.111,1.111",
    "4OOO OOOO OOOO OOO2",
    "4OO0 0OO0 0OO0 0OO2",
    "4111,1111,1111,1111,5555,5555,5555,4444",
    "4111 1111 1111 Solo",
    "a * b ** 4 < 5 & 6% of 100%, \\n\\t 7 | 8",
    "4111 < 1111 > 1111 1111",
]
PIECES = [
    *("&#52;", "%34", "\\u0034", "\u2074", "O", "l", "%20", "&nbsp;", "**", "`", "<b>", "</td><td>", "\\n", ", ", "|"),
    *(
        "&",
        "&#5",
        "%",
        "%3",
        "%E2",
        "\\",
        "\\u00",
        "<",
        "<b",
        "*",
        " ",
        "cvv ",
        "12/28",
        "123",
        "4111",
        "[PAN]",
        "\u0301",
    ),
]
FILLERS = [
    "x",
    "the quick ",
    "12 ",
    "1,",
    "2026, ",
    "4111, ",
    "\n",
    "<td>12</td>",
    "a&b ",
    "%20",
    "4",
    "411 ",
    "o 1 l ",
]


def send(masker: Masker, chunks: list[str]) -> str:
    channel = masker.channel()
    return "".join([channel.feed(chunk) for chunk in chunks]) + channel.finish()


@pytest.mark.parametrize("text", SEEN)
def test_it_is_masked_in_every_cut(text: str, cuts: Callable[[str], list[list[str]]]) -> None:
    assert SCANNER.masker().mask_text(text) == SEEN[text]
    for chunks in cuts(text):
        assert send(SCANNER.masker(), chunks) == SEEN[text], chunks


@pytest.mark.parametrize("text", UNSEEN)
def test_it_stays(text: str, cuts: Callable[[str], list[list[str]]]) -> None:
    assert SCANNER.masker().mask_text(text) == text
    for chunks in cuts(text):
        assert send(SCANNER.masker(), chunks) == text, chunks


@pytest.mark.parametrize("text", SEEN)
def test_it_is_masked_far_inside_of_a_text(text: str) -> None:
    """Whole texts are read only where they are unlike their view."""
    around = "prose of no interest, 12 of it " * 60
    masked = SCANNER.masker().mask_text(f"{around}{text} {around}{text}")
    assert masked == f"{around}{SEEN[text]} {around}{SEEN[text]}"


@pytest.mark.parametrize("between", range(600, 660))
def test_a_number_is_not_read_from_its_middle_on(between: int) -> None:
    text = f"order 1{4111111111111111}{'x' * between}%41"
    assert SCANNER.masker().mask_text(text) == text


ENCODED = ["4111111111111111", "4111 1111 1111 1111", '{"pan":"4111111111111111","cvv":"123"}', "my cvv is 123 ok"]


@pytest.mark.parametrize("said", ENCODED)
@pytest.mark.parametrize("around", ["it is {}, ok", "\u00e9 {}\u00e9", "key={};"])
def test_base64_and_hex_are_read_in_whole_texts(said: str, around: str) -> None:
    kind = "[CVV]" if said.startswith("my") else "[PAN]"
    data = said.encode()
    for run in (
        b64encode(data),
        urlsafe_b64encode(data).rstrip(b"="),
        data.hex().encode(),
        b"0x" + data.hex().encode(),
    ):
        masker = SCANNER.masker()
        assert masker.mask_text(around.format(run.decode())) == around.format(kind)
        assert sum(masker.findings.values()) == 1
        for shape in ('{"a": "%s"}', '{"%s": [1, "%s"]}', '{"a": "\\"%s', "%s"):
            text = shape.replace("%s", around.format(run.decode()))
            assert SCANNER.masker().mask_json(text) == shape.replace("%s", around.format(kind))


@pytest.mark.parametrize(
    "run",
    [
        b64encode(b"order 4111111111111112").decode(),
        b64encode(b"4111111111111111\x00\xff").decode(),
        b64encode(b"x" * 3100 + b"4111111111111111").decode(),
        "test_masking_twice_changes_nothing",
        "8f14e45fceea167a5a36dedd4bea2543",
        "-" * 60,
    ],
)
def test_other_runs_stay(run: str) -> None:
    assert SCANNER.masker().mask_text(f"see {run}.") == f"see {run}."


def test_the_view_is_put_to_sleep_where_the_text_is_its_own() -> None:
    masker = SCANNER.masker()
    tape = masker._detectors.tape("", masker._masks.effort)
    tape.take("4111%20", [], final=False)
    assert tape._view is not None
    for _ in range(60):
        tape.take("plain ", [], final=False)
    assert tape._view is None


def card(rng: random.Random) -> str:
    number = rng.choice(["4111111111111111", "378282246310005", "5555555555554444", "4111111111111112"])
    sizes = rng.choice([[4, 4, 4, 4], [4, 6, 5], [1] * 16, [2] * 8, [16]])
    gap = rng.choice(["", " ", "-", ",", ", ", *PIECES])
    groups = [number[sum(sizes[:at]) : sum(sizes[: at + 1])] for at in range(len(sizes))]
    written = gap.join(group for group in groups if group)
    if rng.random() < 0.5:
        return written
    forms = ("{}", "{}", "{}", "{}", "&#4{:c};", "%3{}", "\\u003{}")
    return "".join(
        rng.choice(forms).replace("4{:c}", str(ord(c))).format(c) if c.isascii() and c.isdigit() else c for c in written
    )


def text_of(rng: random.Random) -> str:
    parts = []
    for _ in range(rng.randint(1, 8)):
        filler = rng.choice(FILLERS)
        length = rng.choice([1, 3, 40, 100, 130, 300, 700, 1300, 2700])
        kind = rng.random()
        parts.append(
            card(rng) if kind < 0.4 else (filler * length)[:length] if kind < 0.7 else rng.choice(PIECES + FILLERS)
        )
    return "".join(parts)


@pytest.mark.parametrize("seed", range(150))
def test_long_texts_are_masked_as_their_streams_are(seed: int) -> None:
    """Read in parts when whole, and with the view put to sleep and woken again when streamed."""
    rng = random.Random(seed)
    text = text_of(rng)
    whole = SCANNER.masker()
    expected = whole.mask_text(text)
    for most in (2, 9, 40, 5000):
        chunks, at = [], 0
        while at < len(text):
            chunks.append(text[at : at + rng.randint(1, most)])
            at += len(chunks[-1])
        streamed = SCANNER.masker()
        assert send(streamed, chunks) == expected
        assert streamed.findings == whole.findings


def test_a_string_without_an_end_is_read_once() -> None:
    run = b64encode(b"4111111111111111").decode()
    begun = time.process_time()
    for end in ("\\", ""):
        masked = SCANNER.masker().mask_json('"' + run + '"{"k":"' + '\\"' * 20_000 + end)
        assert masked.startswith('"[PAN]"')
    assert time.process_time() - begun < 2
