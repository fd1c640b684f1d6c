"""The table of issuer identification numbers is well formed, so that a slip in it is not found by a card that leaves."""

import datetime as dt

import pytest

from extproc.core.masking.iin import AS_OF, BRANDS, GROUPINGS, MAX_IIN_DIGITS, MAX_PAN_DIGITS, MIN_PAN_DIGITS, Brand


def test_the_table_says_as_of_when_it_holds() -> None:
    assert dt.date(2026, 1, 1) <= dt.date.fromisoformat(AS_OF) <= dt.datetime.now(dt.UTC).date()


def test_every_brand_has_prefixes_and_lengths_that_a_card_can_have() -> None:
    assert len({brand.name for brand in BRANDS}) == len(BRANDS) > 25
    for brand in BRANDS:
        assert brand.prefixes, brand.name
        assert all(prefix.isdecimal() and len(prefix) <= MAX_IIN_DIGITS for prefix in brand.prefixes), brand.name
        assert brand.lengths == tuple(sorted(set(brand.lengths))), brand.name
        assert MIN_PAN_DIGITS <= brand.lengths[0] <= brand.lengths[-1] <= MAX_PAN_DIGITS, brand.name
        assert {sum(form) for form in brand.groupings} <= set(brand.lengths), brand.name
        assert set(brand.groupings) <= GROUPINGS, brand.name


@pytest.mark.parametrize("text", ["622126-62925", "55-51", "51-5", "4-40"])
def test_a_range_that_holds_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text} is no range"):
        Brand.of({"name": "x", "prefixes": [text], "lengths": [16], "tier": "strong"})
