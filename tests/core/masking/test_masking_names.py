"""Names behind labels, where one label stands in another or in a name: a cut changes nothing of what is masked."""

from collections.abc import Callable

import pytest

from extproc.core.masking.masker import Masker

NAMES: dict[str, str] = {
    # A name that ends in the label of the next one.
    'cardholder:J Dcardholder:J D"': 'cardholder:[CARDHOLDER]:[CARDHOLDER]"',
    "cardholder|J Dcardholder:J D": "cardholder|[CARDHOLDER]:[CARDHOLDER]",
    "Card owner: DOE/JANE Cardholder = Jane Doe": "Card owner: [CARDHOLDER] Cardholder = [CARDHOLDER]",
    # A label that begins in another one, once and so often that a stream has forgotten where the first one began.
    "name on card holder: Jane Doe": "name on card holder: [CARDHOLDER]",
    "card holder name on card: Jane Doe": "card holder name on card: [CARDHOLDER]",
    "name on card holder " * 6 + "name on card holder: J D": "name on card holder " * 6
    + "name on card holder: [CARDHOLDER]",
}


@pytest.mark.parametrize(("text", "expected"), NAMES.items(), ids=lambda text: ascii(text)[:40])
def test_every_label_announces_its_name(
    text: str, expected: str, label: Callable[[], Masker], cuts: Callable[[str], list[list[str]]]
) -> None:
    assert label().mask_text(text) == label().mask_json(text) == expected
    for chunks in cuts(text):
        for channel in (label().channel(), label().json_channel()):
            assert "".join(map(channel.feed, chunks)) + channel.finish() == expected, chunks
