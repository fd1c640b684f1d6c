"""The rules that come with the profiles: what each finds, in texts and in streams, and what it leaves alone."""

import random
import re
import string

import pytest

from extproc.core.masking.checks import CHECKS, POLICY_CHECKS
from extproc.core.masking.effort import Effort
from extproc.core.masking.rule_catalogue import AS_OF, CATALOGUES, rules_of
from extproc.core.masking.rule_data import DATA, IBAN_LENGTHS
from extproc.core.masking.rules import RuleSet
from extproc.core.masking.settings import MaskingSettings, Style
from extproc.core.masking.styles import masks_of
from extproc.core.masking.walk import Found

STEPS = 10**9
RULES = {profile: RuleSet.of(rules, {("pan", Style.TRUNCATE)}) for profile, rules in CATALOGUES.items()}
_rng = random.Random(20261127)
ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits
URL = ALNUM + "-_"
HEX = "0123456789abcdef"


def made(alphabet: str, size: int) -> str:
    """Characters that nobody has as a secret; the first is a letter or digit."""
    return _rng.choice([c for c in alphabet if c.isalnum()]) + "".join(_rng.choice(alphabet) for _ in range(size - 1))


def iban(country: str, body: str) -> str:
    """With the right check digits (ISO 13616)."""
    number = int("".join(str(int(c, 36)) for c in f"{body}{country}00"))
    return f"{country}{98 - number % 97:02d}{body}"


def fours(text: str, sep: str = " ") -> str:
    return sep.join(text[at : at + 4] for at in range(0, len(text), 4))


DE = iban("DE", "370400440532013000")
GB = iban("GB", "WEST12345698765432")
JWT = "ey" + "JhbGciOiJIUzI1NiJ9." + made(URL, 60) + "." + made(URL, 43)
PEM_BODY = "\n".join(made(ALNUM + "+/", 64) for _ in range(6)) + "\n" + made(ALNUM, 20) + "=="
BEGIN, END = "-----BEGIN {}PRIVATE KEY-----", "-----END {}PRIVATE KEY-----"
KEY_40 = made(ALNUM + "/+", 39) + "x"

# text in which `«` and `»` stand around what is masked -> its kind
FOUND: dict[str, dict[str, str]] = {
    "pci-pii": {
        f"to «{DE}» today": "iban",
        f"IBAN:«{fours(DE)}»": "iban",
        f"«{fours(GB, '-')}».": "iban",
        f"«{fours(DE, chr(0xA0))}» and": "iban",
        f"pay «{fours(iban('MT', 'MALT011000012345MTLCAST001S'))}» or": "iban",
        f"«{iban('NO', '86011117947')}»": "iban",
        f"(«{iban('CI', 'A12345678901234567890123')}»)": "iban",
        "write to «jane.doe+spam@mail.example.co.uk», please": "email",
        "<«a@b.org»>": "email",
        "«josé.núñez@exämple.com»": "email",
        "mailto:«x_1%y@sub-domain.example»?subject=a": "email",
        "call «+49 151 23456789» now": "phone",
        "«+1 (415) 555-2671»": "phone",
        "«+1.415.555.2671»": "phone",
        "«+44-20-7946-0958», ask": "phone",
        "«(415) 555-2671»": "phone",
        "or «415-555-2671»": "phone",
        "phone: «030/1234567»": "phone",
        "Tel. «0151 2345 6789»": "phone",
        "mobile_number=«01512345678»": "phone",
        "id «219-45-6789».": "ssn",
        "SSN «219456789»": "ssn",
        "us_ssn: «219 45 6789»": "ssn",
        "Social-Security number is «219.45.6789»": "ssn",
        "passport no. «C01X00T47»": "passport",
        "passportNumber: «AB1234567»": "passport",
        "Reisepass «123456789»": "passport",
        "n° de passeport «AB 1234567»": "passport",
        "tax id «12-3456789»": "tax_id",
        "Steuernummer «12/345/67890»": "tax_id",
        "taxId=«86095742719»": "tax_id",
        "CPF: «123.456.789-09»": "tax_id",
        "national insurance «QQ 12 34 56 C»": "tax_id",
        "VAT «DE123456789»": "tax_id",
        "codice fiscale «RSSMRA85T10A562S»": "tax_id",
        "NIF «X1234567L»": "tax_id",
    },
    "secrets": {
        f"a «{BEGIN.format('RSA ')}\n{PEM_BODY}\n»{END.format('RSA ')} b": "private_key",
        f"a «{BEGIN.format('')}\\n{PEM_BODY[:64]}\\n{PEM_BODY[65:129]}\\n»{END.format('')}": "private_key",
        f"«{BEGIN.format('EC ')}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B\n\n{PEM_BODY}\n»-": "private_key",
        f"«{BEGIN.format('OPENSSH ')}{PEM_BODY[:64]}»": "private_key",
        f"cookie «{JWT}»; path": "jwt",
        f"key «{'AKI' + 'A'}{made(UPPER, 16)}» here": "aws_access_key",
        f"«{'ASI' + 'A'}{made(UPPER, 16)}»": "aws_access_key",
        f"the aws secret access key is «{KEY_40}»": "aws_secret_key",
        f"x «{'gh' + 'p_'}{made(ALNUM, 36)}»": "github_token",
        f"«{'github_' + 'pat_'}{made(ALNUM, 22)}_{made(ALNUM, 59)}»": "github_token",
        f"«{'glpa' + 't-'}{made(URL, 20)}»": "gitlab_token",
        f"«{'xox' + 'b-'}{made(string.digits, 12)}-{made(ALNUM, 24)}»": "slack_token",
        f"https://«hooks.slack.com/services/T{made(UPPER, 8)}/B{made(UPPER, 8)}/{made(ALNUM, 24)}»": "slack_webhook",
        f"«{'sk_' + 'live_'}{made(ALNUM, 24)}»": "stripe_key",
        f"«{'rk_' + 'live_'}{made(ALNUM, 99)}»": "stripe_key",
        f"«{'AIz' + 'a'}{made(URL, 35)}»": "google_api_key",
        f"«{'GOCSP' + 'X-'}{made(URL, 28)}»": "google_oauth",
        f"use «{'sk' + '-'}{made(ALNUM, 48)}»": "openai_key",
        f"use «{'sk' + '-proj-'}{made(URL, 120)}»": "openai_key",
        f"«{'sk' + '-ant-'}api03-{made(URL, 95)}»": "anthropic_key",
        f"«{'h' + 'f_'}{made(string.ascii_letters, 34)}»": "huggingface_token",
        f"«{'np' + 'm_'}{made(ALNUM, 36)}»": "npm_token",
        f"«{'pyp' + 'i-'}AgE{made(URL, 150)}»": "pypi_token",
        f"«{'do' + 'p_v1_'}{made(HEX, 64)}»": "digitalocean_token",
        f"«{'S' + 'K'}{made(HEX, 32)}»": "twilio_key",
        f"«{'S' + 'G.'}{made(ALNUM, 22)}.{made(ALNUM, 43)}»": "sendgrid_key",
        f"AccountKey=«{made(ALNUM + '+/', 86)}==»;": "azure_key",
        "postgres://app:«pa55-w0rd»@db.internal/x": "url_password",
        f"Authorization: Bearer «{made(ALNUM, 30)}»": "authorization",
        'password = "«correct-horse»"': "secret",
        "DB_PASSWORD=«hunter22!»\n": "secret",
        '{"api_key": "«abcdefgh»"}': "secret",
        "client_secret: «a1b2c3d4e5»": "secret",
        "secret-key-prod => '«opensesame»'": "secret",
    },
}

CLEAN: dict[str, tuple[str, ...]] = {
    "pci-pii": (
        DE[:-1] + str((int(DE[-1]) + 1) % 10),
        "DE89 3704 0044 0532 0130",
        "XX" + DE[2:],
        f"x{DE}",
        f"{DE}1",
        "user@localhost",
        "+1.000000 and +352364.6 and 1e+12345",
        "@property and a@b",
        "in 2026 it was 15 % of 1,234,567",
        "2026-11-27 10:15:30 and 192.168.100.200",
        "000-45-6789 666-45-6789 900-45-6789 219-00-6789 219-45-0000 078-05-1120",
        "1219-45-6789",
        "ssn 219-45-67890",
        "classname 219456789",
        "order 219456789 and 030/1234567",
        "C01X00T47",
        "testing 123456789 in meetings",
        "ticket 12-3456789",
        "passport " + "-" * 64 + " 123456789",
        "The quick brown fox jumps over the lazy dog. It is at home, in bed, or no more.",
    ),
    "secrets": (
        "-----BEGIN CERTIFICATE-----\n" + PEM_BODY,
        "-----BEGIN PUBLIC KEY-----\n" + PEM_BODY,
        BEGIN.format("RSA ") + "\n...\n" + END.format("RSA "),
        "eyJhbGciOiJIUzI1NiJ9 alone",
        "AKI" + "A" + "SHORT",
        "TASK-" + made(ALNUM, 40),
        "risk-" + made(string.ascii_lowercase, 30),
        "a ghp_short and npm_package_name",
        "sha1 " + made(HEX, 40),
        "SK" + made(HEX, 31),
        "password: required",
        "the password is stored by settings.DB_NAME",
        "password = getpass.getpass()",
        "password = os.environ",
        "secret: [SECRET]",
        "api_key = [AWS_ACCESS_KEY]",
        "https://example.com:8443/path?x=1",
        "https://example.com/a@b",
        "Authorization: Bearer [AUTHORIZATION]",
        "The secretary general: 12345678 people.",
    ),
}


def spans(rules: RuleSet, text: str) -> list[tuple[int, int, str]]:
    return [(one.start, one.end, str(one.kind)) for one in rules.find(text, Effort(STEPS))]


def marked(text: str) -> tuple[str, int, int]:
    start, end = text.index("«"), text.index("»") - 1
    return text.replace("«", "").replace("»", ""), start, end


def pairs() -> list[object]:
    return [
        pytest.param(profile, text, kind, id=f"{kind}-{index}")
        for profile, texts in FOUND.items()
        for index, (text, kind) in enumerate(texts.items())
    ]


@pytest.mark.parametrize(("profile", "text", "kind"), pairs())
def test_a_profile_finds_what_it_names(profile: str, text: str, kind: str) -> None:
    text, start, end = marked(text)
    found = spans(RULES[profile], text)
    assert (start, end, kind) in found, found
    assert {one[2] for one in found} == {kind}


@pytest.mark.parametrize(("profile", "text", "kind"), pairs())
def test_a_stream_of_characters_finds_the_same(profile: str, text: str, kind: str) -> None:
    text, start, end = marked(text)
    for size in (1, 3, 7, 64):
        tape = RULES[profile].tape("", Effort(STEPS))
        found: list[Found] = []
        for at in range(0, len(text), size):
            assert tape.take(text[at : at + size], found, final=False) <= at + size
        assert tape.take("", found, final=True) == len(text)
        assert {str(one.kind) for one in found} == {kind}
        assert {at for one in found for at in range(one.start, one.end)} == set(range(start, end))
        assert [one.rest for one in found] == [False] + [True] * (len(found) - 1)


@pytest.mark.parametrize(
    ("profile", "text"), [pytest.param(p, t, id=ascii(t[:30])) for p, texts in CLEAN.items() for t in texts]
)
def test_a_profile_leaves_alone(profile: str, text: str) -> None:
    assert spans(RULES[profile], text) == []


@pytest.mark.parametrize("country", sorted(IBAN_LENGTHS))
def test_ibans_of_every_country(country: str) -> None:
    right = iban(country, made(string.digits, IBAN_LENGTHS[country] - 4))
    assert spans(RULES["pci-pii"], right) == [(0, len(right), "iban")]
    written = fours(right)
    assert spans(RULES["pci-pii"], f"to {written} now") == [(3, 3 + len(written), "iban")]
    wrong = right[:-1] + str((int(right[-1]) + 1) % 10)
    assert spans(RULES["pci-pii"], wrong) == []
    longer = iban(country, made(string.digits, IBAN_LENGTHS[country] - 3))
    assert spans(RULES["pci-pii"], longer) == []


def test_masks_are_left_alone() -> None:
    """Of every kind, also behind the names of secrets."""
    kinds = {rule.kind for rules in RULES.values() for rule in rules.rules}
    masks = masks_of(kinds, {(kind, style) for kind in ("pan", *kinds) for style in Style if style != Style.TRUNCATE})
    for rules in RULES.values():
        for mask in (*masks, "[PAN_12]", "411111******1111", "411111*********1111"):
            for before in ("", "password = ", "tel ", "tax id ", "passport ", "ssn ", "aws secret "):
                assert spans(rules, before + mask) == [], (before, mask)


def test_the_data_file_says_where_it_comes_from() -> None:
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", AS_OF)
    assert DATA["sources"]
    assert set(CATALOGUES) == {"pci-pii", "secrets"}
    assert all(rule.check in CHECKS for rules in CATALOGUES.values() for rule in rules if rule.check)
    assert set(POLICY_CHECKS) <= set(CHECKS)
    names = [rule.name for rules in CATALOGUES.values() for rule in rules]
    assert len(set(names)) == len(names)


def test_only_addresses_hold_words() -> None:
    assert [rule.name for rules in RULES.values() for rule in rules.rules if rule.lag.number] == ["email"]


def test_the_rules_of_a_policy() -> None:
    settings = MaskingSettings(catalogues=("secrets",), rules=CATALOGUES["pci-pii"][:1])
    assert rules_of(settings) == (*CATALOGUES["secrets"], CATALOGUES["pci-pii"][0])
    assert rules_of(MaskingSettings()) == ()


CHECKED = {
    "luhn": ((b"4111 1111 1111 1111", b"18", b"79927398713"), (b"4111111111111112", b"5", b"")),
    "mod97": ((DE.encode(), b"5493001KJTIIGC8Y1R12"), (DE[:-2].encode(), b"12345", b"")),
    "iban": (
        (DE.encode(), fours(GB).encode()),
        (b"DE1", iban("DE", "12345").encode(), b"XX" + DE[2:].encode(), b"5493001KJTIIGC8Y1R12"),
    ),
    "ssn": ((b"219-45-6789", b"899456789"), (b"000456789", b"666456789", b"900456789", b"111111111", b"2194567")),
    "mixed": ((b"abc1", b"a!b"), (b"settings.value", b"a-b_c", b"https://x")),
}


@pytest.mark.parametrize("name", CHECKS)
def test_checks(name: str) -> None:
    right, wrong = CHECKED[name]
    assert all(map(CHECKS[name], right))
    assert not any(map(CHECKS[name], wrong))
