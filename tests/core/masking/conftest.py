"""What the masking tests share: scanners, streams and a corpus of texts that broke other maskers."""

import random
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from extproc.core.masking.aliases import MaskKey
from extproc.core.masking.masker import Masker
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings, Style
from extproc.core.trust import Secret

KEY = MaskKey("k1", Secret("0" * 64))
SCANNERS = {style: Scanner(MaskingSettings(request_styles={"pan": style}), key=KEY) for style in Style}

# text -> text masked with labels, under `pci-strict`
MASKED: dict[str, str] = {
    # splits, boundaries and neighbours
    "41" + "11 11" + "11-1111" + "-1111": "[PAN]",
    "my card 4111 1111 1111 1111, thanks": "my card [PAN], thanks",
    "2026 4111 1111 1111 1111": "2026 [PAN]",
    "5 4 3 2 1 4111-1111-1111-1111": "5 4 3 2 1 [PAN]",
    "4111111111111111=2Q12": "[PAN]=2Q12",
    "5;121110123456=2812i57000000 00000002": "5;[TRACK] 00000002",
    "999|5236104053731902": "999|[PAN]",
    "id 1234567890123456784111111111111111987654": "id 1234567890123456784111111111111111987654",
    "04111111111111111": "04111111111111111",
    "x4111111111111111": "x[PAN]",
    "_4111111111111111_": "_[PAN]_",
    "card4111111111111111exp": "card[PAN]exp",
    "4111111111111111 and more": "[PAN] and more",
    "4111111111111111e4111111111111111": "[PAN]e[PAN]",
    "4111111111111111e12 of 4111111111111111E-5.": "4111111111111111e12 of 4111111111111111E-5.",
    "41111111111111112": "41111111111111112",
    "end 4222222222222": "end [PAN]",
    "4111111111111111 4242424242424242": "[PAN] [PAN]",
    "4111 1111 1111 1111\n5555 5555 5555 4444\n3782 822463 10005": "[PAN]\n[PAN]\n[PAN]",
    "4111 1111 1111 1111 5555 5555 5555 4444 3782 822463 10005": "[PAN] [PAN] [PAN]",
    # two PANs share digits: nothing of either stays
    "4008 4111 1111 1111 1111": "[PAN] [PAN]",
    "41111111111111114242424242424242": "41111111111111114242424242424242",
    # layouts
    "62498 01294 63533 5596": "62498 01294 63533 5596",
    "card number 62498 01294 63533 5596": "card number [PAN]",
    "41111 11111 11111 1": "[PAN]",
    "4222 2222 22222": "[PAN]",
    "2026 4222 2222 22222": "2026 [PAN]",
    "4222 2222 22222 51515": "4222 2222 22222 51515",
    "4222 2222 22222 4222 2222 22222": "[PAN] [PAN]",
    "620550-0000000000004": "[PAN]",
    "4111.1111.1111.1111": "[PAN]",
    "4111/1111/1111/1111": "[PAN]",
    "4111_1111_1111_1111": "[PAN]",
    "4111 - 1111 - 1111 - 1111": "[PAN]",
    "4111  1111  1111  1111": "[PAN]",
    "4111\t1111\t1111\t1111": "[PAN]",
    "4111\n1111\n1111\n1111": "[PAN]",
    "4111 1111-1111 1111": "[PAN]",
    "4111\u00a01111\u202f1111\u20091111": "[PAN]",
    "4111\u20131111\u20131111\u20131111": "[PAN]",
    "4111\u20111111\u20111111\u20111111": "[PAN]",
    "4111\u200b1111\u200b1111\u200b1111": "[PAN]",
    "41\u200b11111\u2060111111\ufeff111": "[PAN]",
    "41 11 11 11 11 11 11 11": "[PAN]",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1": "[PAN]",
    "4\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1": "[PAN]",
    "\uff14\uff11\uff11\uff11 1111 1111 1111": "[PAN]",
    "\u0664\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661": "[PAN]",
    "\U0001d7d2111111111111111": "[PAN]",
    "**4111111111111111**": "**[PAN]**",
    "`4111 1111 1111 1111`": "`[PAN]`",
    "3782 822463 10005": "[PAN]",
    "3782-822463-10005.": "[PAN].",
    "3056 930902 5904": "[PAN]",
    "https://shop.example/pay/4111111111111111/x": "https://shop.example/pay/[PAN]/x",
    # context waives Luhn and IIN
    "card number 1234-5678-1234-5678": "card number [PAN]",
    "Credit Card: 4111 1111 1111 1112": "Credit Card: [PAN]",
    "PAN=6240008631401147": "PAN=[PAN]",
    "the card number is 6240008631401147.": "the card number is [PAN].",
    "order 6240008631401147": "order 6240008631401147",
    "order 1234-5678-1234-5678": "order 1234-5678-1234-5678",
    # security codes
    "cvv: 123": "cvv: [CVV]",
    "CVV2 1234.": "CVV2 [CVV].",
    'the "security code" is 123, ok': 'the "security code" is [CVV], ok',
    "cvc\n123": "cvc\n[CVV]",
    "| CVV | 123 |": "| CVV | [CVV] |",
    '"cvv": "123"': '"cvv": "[CVV]"',
    "**CVC:** 987": "**CVC:** [CVV]",
    "CID 1234": "CID [CVV]",
    "3 digits on the back: 123": "3 digits on the back: [CVV]",
    "card verification value 123": "card verification value [CVV]",
    "cvv is required": "cvv is required",
    "CVV 12345": "CVV 12345",
    "CVV 12": "CVV 12",
    "decide 123": "decide 123",
    "CVE-2024-1234": "CVE-2024-1234",
    "cvv" + " " * 23 + "123": "cvv" + " " * 23 + "[CVV]",
    "cvv" + " " * 24 + "123": "cvv" + " " * 24 + "[CVV]",
    "cvv" + " " * 25 + "123": "cvv" + " " * 25 + "123",
    "4111 1111 1111 1111 12/28 123": "[PAN] [EXPIRY] [CVV]",
    "4111111111111111|12|28|123": "[PAN]|[EXPIRY]|[CVV]",
    "4111111111111111|12|2028|123": "[PAN]|[EXPIRY]|[CVV]",
    "4111111111111111,1228,123": "[PAN],[EXPIRY],[CVV]",
    "4111 1111 1111 1111\n03/2015\n123\n": "[PAN]\n[EXPIRY]\n[CVV]\n",
    "4111111111111111 exp 12/28 123": "[PAN] exp [EXPIRY] [CVV]",
    "4111111111111111 123": "[PAN] [CVV]",
    "378282246310005 1234": "[PAN] [CVV]",
    "4111111111111111 2026": "[PAN] 2026",
    "4111111111111111 123.45": "[PAN] 123.45",
    "PAN6240008635544 378,2": "PAN[PAN] 378,2",
    "4111111111111111 was charged 123": "[PAN] was charged 123",
    "[PAN] was charged 123": "[PAN] was charged 123",
    "card 4111 1111 1111 1111, cvv 123, exp 12/28": "card [PAN], cvv [CVV], exp [EXPIRY]",
    "expires 12/28": "expires 12/28",
    # names behind a label
    "Cardholder: Jane Doe, exp 12/28": "Cardholder: [CARDHOLDER], exp [EXPIRY]",
    "name on the card = JANE A. DOE; cvv 123": "name on the card = [CARDHOLDER]; cvv [CVV]",
    "**Cardholder Name:** Ludwig van Beethoven and friends": "**Cardholder Name:** [CARDHOLDER] and friends",
    "| Cardholder | Jane Doe |": "| Cardholder | [CARDHOLDER] |",
    "| Card owner: | Jane Doe |": "| Card owner: | [CARDHOLDER] |",
    "'cardholder': 'Dr. Jane Doe', 'x': 1": "'cardholder': '[CARDHOLDER]', 'x': 1",
    "card_holder_name=Jane O'Neil-Smith\n": "card_holder_name=[CARDHOLDER]\n",
    "Name on card: DOE/JANE MR": "Name on card: [CARDHOLDER]",
    "Cardholder: Jos\u00e9 \u00c1lvarez. He paid": "Cardholder: [CARDHOLDER]. He paid",
    "card owner: Two Three, 4111 1111 1111 1111, card-holder: One Two 34": (
        "card owner: [CARDHOLDER], [PAN], card-holder: [CARDHOLDER] 34"
    ),
    "Cardholder: 4111 1111 1111 1111": "Cardholder: [PAN]",
    # expiries and PINs
    "Card: 4111111111111111\nCVV: 123\nExpiry: 12/29\n": "Card: [PAN]\nCVV: [CVV]\nExpiry: [EXPIRY]\n",
    "4111111111111111|123|12/29": "[PAN]|[CVV]|[EXPIRY]",
    "4111111111111111|123|12|29|Jane": "[PAN]|[CVV]|[EXPIRY]|Jane",
    "4111111111111111,123,12/29": "[PAN],[CVV],[EXPIRY]",
    "4111111111111111,12/29,123,10115 Berlin": "[PAN],[EXPIRY],[CVV],10115 Berlin",
    "4111111111111111, 123,45 EUR": "[PAN], 123,45 EUR",
    "4111111111111111:12:29:123": "[PAN]:[EXPIRY]:[CVV]",
    "PAN=5555555555554444;EXP=1229;CVV=123": "PAN=[PAN];EXP=[EXPIRY];CVV=[CVV]",
    "my card (cvv 123) expires on 12/2029": "my card (cvv [CVV]) expires on [EXPIRY]",
    "4111111111111111 12/28/2026": "[PAN] 12/28/[CVV]",
    "4111111111111111 12/28.": "[PAN] [EXPIRY].",
    "4111111111111111, exp. date: 12-2028 ok": "[PAN], exp. date: [EXPIRY] ok",
    "4111111111111111 2028-12": "[PAN] [EXPIRY]",
    "4111111111111111 2028-12-01": "[PAN] 2028-12-01",
    "4111111111111111, 10,25 EUR": "[PAN], 10,25 EUR",
    "4111111111111111 12.25 EUR": "[PAN] 12.25 EUR",
    "4111111111111111 1200": "[PAN] 1200",
    '"4111111111111111","12","2028","1234"': '"[PAN]","[EXPIRY]","[CVV]"',
    "9792000000000003 1-40 00 00 00 00 00 6": "[PAN] [EXPIRY] [PAN]",
    "valid thru 12/28": "valid thru [EXPIRY]",
    "GOOD THRU: 12 / 2028, thanks": "GOOD THRU: [EXPIRY], thanks",
    "expiry date is 2028-12": "expiry date is [EXPIRY]",
    "expiry date is 2028-12-31": "expiry date is 2028-12-31",
    "card expiry 1228": "card expiry [EXPIRY]",
    "exp month 12, exp year 2028": "exp month [EXPIRY], exp year [EXPIRY]",
    "exp_year=28": "exp_year=[EXPIRY]",
    "my debit card PIN is 1234": "my debit card PIN is [PIN]",
    "card pin: 123456789012": "card pin: [PIN]",
    "card pin 123": "card pin 123",
    "card pin 411111*****": "card pin [PIN]*****",
    "card pin 1234567890123": "card pin 1234567890123",
    "PIN code 560001": "PIN code 560001",
    "the ATM took it; the pin was 4321.": "the ATM took it; the pin was [PIN].",
    "spin 1234 cards": "spin 1234 cards",
    # tracks
    "%B4111111111111111^DOE/JOHN Q^28122011234567890?": "%B[TRACK]?",
    "%B3782 822463 10005^DOE/JOHN^2812201000?;378282246310005=2812201000?": "%B[TRACK]?;[TRACK]?",
    ";4111111111111111=28122011234567890?": ";[TRACK]?",
    "4111111111111111=28122011234567890": "[TRACK]",
    "4111111111111111^" + "A" * 26 + "^28122011234567890?": "[TRACK]?",
    "4111111111111111^" + "A" * 13 + "/" + "B" * 13: "[TRACK]",
    "4111111111111111^" + "A" * 24 + "/" + "B" * 24 + "C": "[TRACK]C",
    ";1234567890123456=28122011234567890?": ";[TRACK]?",
    "no. 5;1234567890123456=28122011234567890?": "no. 5;[TRACK]?",
    "%b1234567890123456^doe/john^2812201?": "%b[TRACK]?",
    "4111111111111111D28122011234567890F": "[TRACK]",
    "4111111111111111d28122011234567890ffff": "[TRACK]",
    "57134761739001010010D22122011143878089F and": "5713[TRACK] and",
    "9F1E0857114761739001010119D2212201114387": "9F1E0857114761739001010119D2212201114387",
    "4111111111111111^DOE/JOHN": "[TRACK]",
    "4111111111111111^^": "[PAN]^^",
    "4111111111111111^DOE/JOHN^=": "[TRACK]",
    "4111111111111111=1": "[PAN]=1",
    "4111111111111111=2813": "[PAN]=2813",
    "4111111111111111D2813201": "[PAN]D2813201",
    "4111111111111111Dear": "[PAN]Dear",
    "4111111111111111D281220": "[PAN]D281220",
    "4008 4111 1111 1111 1111^DOE/J^2812201?": "[PAN] [TRACK]?",
    "4111111111111111=2812201 4111111111111111": "[TRACK] [PAN]",
    "4111111111111111=2812201 123": "[TRACK] 123",
}

# texts in which nothing is masked
CLEAN: tuple[str, ...] = (
    "at 1700000000123 and 1700000000123456 and 1700000000123456789",
    "IMEI 490154203237518, ICCID 8944500102198304826",
    "0.5309136012499991 2.3500000000000001E-3",
    "loss 0.4111111111111111 and 12.4111111111111111",
    "550e8400-e29b-41d4-a716-446655440000",
    "12345678-8123-4123-8123-411111111111",
    "trace 42424242-4242-4242-8abc-0123456789ab",
    "sha1 4242424242424242abcdef0123456789abcdef01",
    "row 2311 4242 4242 4242 4242 1234 5678 9012",
    "row 4242 4242 4242 4242 1234 5678 9012 2311",
    "a 41234567-1234-4123-8123-412345678906 b",
    "8000 8080 8888 9999, 1998-2026, 127.0.0.1:8080",
    "ISBN 978-3-16-148410-0, EAN 4006381333931",
    "call +4915112345678 or +49 151 1234 5678",
    "snowflake 175928847299117063",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "ZTQxMTExMTExMTExMTExMTExMTEx",
    "3.14159265358979323846264338327950288419716939937510",
    "account 123456789012",
    "2026-07-02 12:34:56.789 INFO took 4.21 ms",
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
    "10 20 30 40 50 60 70 80 90 100",
    "a=1;1234567890=2812201, ;123456789012345678901=2812201",
    "%B12^DOE/JOHN^2812201? x^2 + y^2 = 28122011",
    "card pin 411111******1111, exp date 122028******1111",
    "411111******1111 and [PAN] and [PAN_12] and [CVV]",
    # letters are digits in a PAN only
    "cvv 14I1",
    "cvv 14I1, card pin 1l34, exp date 12/2I, 1\u0664I1",
    '{"cvv":1\u0664I1',
    ';0000000001604440790^e"x[PAN]^e',
    "Cardholder Name: The name of it; cardholder: please Enter; cardholder agreement: See Below; cardholder Jane Doe",
    "the cardholder is Jane Doe: Jane",
    "expires 12/28, this offer expires 12/29; the panel expires 12/28",
    "c-.2848-.7497-.2848-1.0345 0l-1.6845 1.6845-.0024.0024-.4625",
    "in 1946 1943 2002 1930 1907 and on ports 4547 45771 16979 43245",
    "in 2222 we sold 5 or 6 of 45, up 15 % from 2026",
    "visit 65 people, 4 of 5; 37 of 60",
)


for case in tomllib.loads(Path(__file__).with_name("realistic.toml").read_text("utf-8"))["case"]:
    if case["masked"] == case["text"]:
        CLEAN = (*CLEAN, case["text"])
    else:
        MASKED[case["text"]] = case["masked"]


@pytest.fixture(params=[Style.NUMBERED, Style.TRUNCATE, Style.TOKEN], ids=str)
def scanner(request: pytest.FixtureRequest) -> Scanner:
    return SCANNERS[request.param]


@pytest.fixture
def label() -> Callable[[], Masker]:
    """Makes a masker that writes labels."""
    return SCANNERS[Style.LABEL].masker


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    """Every text of the corpus."""
    return [*MASKED, *CLEAN]


@pytest.fixture(scope="session")
def stream() -> Callable[[Masker, Iterable[str]], str]:
    """Sends chunks through a new channel of a masker."""

    def send(masker: Masker, chunks: Iterable[str]) -> str:
        channel = masker.channel()
        return "".join([channel.feed(chunk) for chunk in chunks]) + channel.finish()

    return send


@pytest.fixture(scope="session")
def cuts() -> Callable[[str], list[list[str]]]:
    """All cuts of a text into two parts, into characters, and many into three and more."""

    def of(text: str) -> list[list[str]]:
        rng = random.Random(len(text))
        found = [[text[:i], text[i:]] for i in range(len(text) + 1)] + [list(text)]
        for parts in (3, 3, 3, 3, 5, 8) * 3:
            at = sorted(rng.randrange(len(text) + 1) for _ in range(parts - 1))
            found.append([text[i:j] for i, j in zip([0, *at], [*at, len(text)], strict=True)])
        return found

    return of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "nasty" in metafunc.fixturenames:
        metafunc.parametrize("nasty", [*MASKED, *CLEAN], ids=lambda text: ascii(text[:40]))
    if "clean" in metafunc.fixturenames:
        metafunc.parametrize("clean", CLEAN, ids=lambda text: ascii(text[:40]))
    if "masked_pair" in metafunc.fixturenames:
        metafunc.parametrize("masked_pair", MASKED.items(), ids=lambda pair: ascii(pair[0][:40]))
