"""Planted bugs: where the texts and the names around numbers are masked."""

from tests.plants.plant import Plant

CORPUS = "tests/core/masking/test_masking_corpus.py::test_a_known_text_is_masked_as_written_here"
SPLITS = "tests/core/masking/test_masking_splits.py"
NASTY = SPLITS + "::test_nasty_texts_survive_every_cut"
JSON = "tests/core/masking/test_masking_json.py::"
NAMES = "tests/core/masking/test_masking_names.py"
KEYS = "tests/core/masking/test_masking_keys.py"
VIEW = "tests/core/masking/test_masking_view.py::"
TOGETHER = "tests/core/masking/test_masking_together.py::"
SPLIT = "tests/core/masking/test_masking_split.py::"
TOGETHER_WITH_RULES = "tests/core/masking/test_rules_and_cards.py"
STYLES = "tests/core/masking/test_masking_styles.py::"
RULES = "tests/core/masking/test_rules_stream.py::test_a_stream_finds_what_the_whole_text_has"
REFUSED = "tests/core/masking/test_rules_refused.py"


PLANTS = (
    Plant(
        "a rule names the card data that it holds",
        "core/masking/merge.py",
        "    named = _unnamed_over_cards(found)\n",
        "    named = found\n",
        TOGETHER_WITH_RULES,
    ),
    Plant(
        "a rule's find is given out before the cards in it are known",
        "core/masking/tape.py",
        "decided = min(decided, ruled, *open_finds)",
        "decided = min(decided, ruled)",
        TOGETHER_WITH_RULES,
    ),
    Plant(
        "a name goes by while its label waits for it",
        "core/masking/tape.py",
        "if self._names.awake or names_may_follow(before, text):",
        "if names_may_follow(before, text):",
        NASTY + "[numbered-'Cardholder: Jane Doe, exp 12/28']",
    ),
    Plant(
        "a key says nothing to rules",
        "core/masking/json_channel.py",
        'self._said = said_by(self._key, said) if self._detectors.ruled else ""',
        'self._said = ""',
        JSON + "test_keys_say_what_rules_look_for",
    ),
    Plant(
        "what begins in a track is a card of its own",
        "core/masking/merge.py",
        "if one.end > covered and not (after == Kind.TRACK and one.start < covered):",
        "if one.end > covered:",
        NASTY + "[numbered-'5;121110123456=2812i57000000 00000002']",
    ),
    Plant(
        "tokens and truncated PANs stand side by side",
        "core/masking_document.py",
        "    _check_correlation(report)\n",
        "",
        "tests/core/test_policy_masking.py::test_styles_that_are_refused",
    ),
    Plant(
        "a token is of the last four digits",
        "core/masking/aliases.py",
        "canonical(kind, value)):",
        "canonical(kind, value)[-4:]):",
        STYLES + "test_a_token_is_a_keyed_hash_of_the_whole_pan",
    ),
    Plant(
        "p1: an escape that is cut is read by its pieces",
        "core/masking/reader.py",
        "if not final and self._is_begun(text, at):",
        "if False:",
        VIEW + "test_it_is_masked_in_every_cut",
    ),
    Plant(
        "p1: what is undecided in the view is released all the same",
        "core/masking/tape.py",
        "decided = min(decided, self._view.take(text, waiting, final))",
        "self._view.take(text, waiting, final)",
        VIEW + "test_it_is_masked_in_every_cut",
    ),
    Plant(
        "p1: what is undecided by the rules is released all the same",
        "core/masking/tape.py",
        "decided = min(decided, ruled, *open_finds)",
        "decided = min(decided, *open_finds, decided)",
        TOGETHER + "test_every_cut_gives_the_masked_whole",
    ),
    Plant(
        "p1: a card in what a rule swallows is masked once more",
        "core/masking/merge.py",
        "going_on = {one.start: one for one in found if one.rest and one.kind not in LABELS}",
        "going_on: dict[int, Found] = {}",
        TOGETHER + "test_every_cut_gives_the_masked_whole",
    ),
    Plant(
        "p1: the view sleeps while what it read still counts",
        "core/masking/tape.py",
        "self._reader.since > LEFT_WINDOW and",
        "self._reader.since > 8 and",
        VIEW + "test_it_is_masked_in_every_cut",
    ),
    Plant(
        "the heads of a table are a name",
        "core/masking/names.py",
        "in _NO_NAMES:",
        "in ():",
        CORPUS,
    ),
    Plant(
        "a surname that is a word is no name",
        "core/masking/names.py",
        "if index != 1 and word",
        "if word",
        CORPUS,
    ),
    Plant(
        "a name in a stream takes the label of the next one with it",
        "core/masking/names.py",
        "keep = max(0, len(self._text) - LONGEST)",
        "keep = max((one.end - self._base for one in found), default=0)",
        NAMES,
    ),
    Plant(
        "a label hides the one that begins in it",
        "core/masking/names.py",
        "_find_label(text, label.start() + 1)",
        "_find_label(text, label.end())",
        NAMES,
    ),
    Plant(
        "a label says nothing",
        "core/masking/keys.py",
        "    if rule is not KeyRule.NONE or not label:",
        "    if rule is not KeyRule.NONE or label:",
        KEYS,
    ),
    Plant(
        "a label holds for what comes after its object",
        "core/masking/json_channel.py",
        "                    self._labels.pop()\n",
        "                    self._labels.pop(0)\n",
        KEYS,
    ),
    Plant(
        "p1: what neighbours say together is not asked",
        "core/masking/masker.py",
        'split = mask_split(masked.values(), "", self._detectors, self._masks)',
        "split: dict[int, object] = {}",
        SPLIT + "test_a_number_split_over_neighbours_is_masked_once",
    ),
    Plant(
        "p1: a match of a rule that may go on is released",
        "core/masking/rule.py",
        "held = size if final else self._held_from(view, at, effort)",
        "held = size",
        RULES,
    ),
    Plant(
        "p1: a rule without a bound is taken",
        "core/masking/rule.py",
        "    for one in unbounded(cut):\n",
        "    for one in ():\n",
        REFUSED,
    ),
    Plant(
        "p1: base64 in a tool's arguments is not read",
        "core/masking/masker.py",
        "        if may_be_encoded(masked):\n",
        "        if False:\n",
        "tests/core/masking/test_masking_view.py::test_base64_and_hex_are_read_in_whole_texts",
    ),
    Plant(
        "p1: a card behind another that covers its beginning takes the gap between them",
        "core/masking/merge.py",
        " if after in LABELS else covered",
        " if False else covered",
        "tests/core/masking/test_masking_splits.py::test_every_cut_gives_the_masked_whole",
    ),
    Plant(
        "p1: a string without an end is read again from each of its quotes",
        "core/masking/masker.py",
        r"|\\.?)*+",
        r"|\\.)*+",
        "tests/core/masking/test_masking_view.py::test_a_string_without_an_end_is_read_once",
    ),
    Plant(
        "p1: a value that goes whole is masked as text in a stream",
        "core/masking/masker.py",
        "            return WholeChannel(rule.whole, self._masks)\n",
        "            pass\n",
        "tests/core/dialects/test_dialect_evasions.py::"
        "test_a_key_that_says_what_its_value_is_hides_all_of_it_in_a_stream_too",
    ),
    Plant(
        "p1: a value that goes whole is masked as text in tool arguments",
        "core/masking/json_channel.py",
        "if not self._key_next and self._rule.whole is not None:",
        "if False:",
        JSON + "test_json_text_is_masked_as_written_here",
    ),
)
