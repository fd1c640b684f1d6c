"""What `make bench-detect` counts, and how it judges it. The peers are not here: they have an environment of their own."""

import io
import re
import stat
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench.detect import corpus, speed, tables
from bench.detect.cards import make_cards
from bench.detect.explained import LIST, Explanation, Masked, explain, read_explanations
from bench.detect.goals import Goal, verdict
from bench.detect.layouts import LAYOUTS
from bench.detect.negatives import NEGATIVES, Negative, samples
from bench.detect.precision import measure_negatives, measure_real_text
from bench.detect.recall import measure_recall
from bench.detect.run import precision_goals, recall_goals
from bench.detect.speed import deltas, prose, table
from bench.detect.tools import OURS, PEERS, Tool, ours, peer, version_of
from extproc.core.masking.settings import Kind

PAN = "4111111111111111"
PLAIN = [layout for layout in LAYOUTS if layout.name in {"plain", "spaces"}]


@pytest.fixture
def blind() -> Tool:
    return Tool("blind", "1", lambda text: [])


@pytest.fixture
def greedy() -> Tool:
    """Takes every text for a card."""
    return Tool("greedy", "1", lambda text: [(0, len(text))])


def test_recall_counts_by_brand_length_and_layout_and_the_weak_tier_apart(blind: Tool, greedy: Tool) -> None:
    found = measure_recall(make_cards(1), [ours(), blind, greedy], PLAIN)
    for recall in (found.brand, found.length, found.layout, found.weak):
        for row in recall.asked:
            assert recall.share(row, "greedy") == 100.0
            assert recall.share(row, "blind") == 0.0
    assert found.brand.asked.total() == found.length.asked.total() == found.layout.asked.total()
    assert set(found.weak.asked) == {"maestro-range, in printed groups", "maestro-range, otherwise"}
    assert "maestro-range" not in found.brand.asked
    assert [found.layout.share(layout.name, OURS) for layout in PLAIN] == [100.0, 100.0]
    goals = recall_goals(found)
    assert [goal.measure for goal in goals] == [
        "found, plain",
        "found, spaces",
        "found, maestro-range, in printed groups",
    ]


def test_negatives_count_samples_in_which_anything_is_masked(blind: Tool, greedy: Tool) -> None:
    kinds = [Negative("sure", lambda rng: PAN, 0.5), Negative("any", lambda rng: "x", None)]
    sure, other = measure_negatives(kinds, 4, [ours(), blind, greedy])
    assert sure.masked == {OURS: 4, "blind": 0, "greedy": 4}
    assert sure.percent(OURS) == 100.0
    assert other.masked[OURS] == 0
    real = measure_real_text([], [], [])
    by_name = {goal.measure: goal for goal in precision_goals([sure, other], real)}
    assert not by_name["masked, sure"].met
    assert by_name["masked, sure"].goal == 50.0
    assert "masked, any" not in by_name
    assert not by_name["real text"].met


def test_no_kind_of_negative_is_there_twice_and_samples_are_the_same_each_time() -> None:
    assert len({negative.name for negative in NEGATIVES}) == len(NEGATIVES)
    for negative in NEGATIVES:
        assert samples(negative, 3) == samples(negative, 3)
        assert len(set(samples(negative, 20))) > 10


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Packages as they are installed."""
    for name, content in {
        "a/one.py": f"x = '{PAN}'\n",
        "a/two.py": "y = 1\n",
        "a/data.csv": f"1,2\n{PAN},3\n",
        "a/lib.so": PAN,
        "site-packages/three.py": PAN,
        "b/broken.txt": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "b/broken.txt").write_bytes(b"\xff" + PAN.encode())
    return tmp_path


def test_texts_are_read_in_order_and_nothing_but_texts(files: Path) -> None:
    texts = list(corpus.installed_texts("peers", files))
    assert [text.path for text in texts] == ["a/data.csv", "a/one.py", "a/two.py", "b/broken.txt"]
    assert texts[-1].content == "\ufffd" + PAN
    assert PAN not in repr(texts)


def test_what_is_explained_as_a_card_is_nobodys_false_mask(files: Path, greedy: Tool) -> None:
    card = Explanation("peers", "a/*.csv", Kind.PAN, "a test card", card=True)
    chance = Explanation("peers", "a/one.py", Kind.PAN, "chance", card=False, offset=5)
    result = measure_real_text(corpus.installed_texts("peers", files), [greedy], [card, chance])
    assert [(one.path, one.offset, one.kind) for one in result.unexplained] == [("b/broken.txt", 1, Kind.PAN)]
    assert {one.path for one, _ in result.explained} == {"a/data.csv", "a/one.py"}
    assert result.false["peers", OURS] == 2
    assert result.false["peers", "greedy"] == 3
    assert result.per_megabyte("peers", OURS) == pytest.approx(2 / result.megabytes["peers"])
    out = io.StringIO()
    console = Console(file=out, width=160)
    console.print(tables.places_table(result), tables.real_text_table(result, [OURS, "greedy"]))
    assert "UNEXPLAINED" in out.getvalue()
    assert "card: a test card" in out.getvalue()
    assert not re.search(r"\d{7}", out.getvalue())


def test_a_text_that_costs_too_much_is_named_and_judged_all_the_same() -> None:
    text = corpus.Text("made", "much.txt", "4111 1111 1111 1112, " * 100 + PAN)
    few, enough = (measure_real_text([text], [], [], max_steps) for max_steps in (1_000, 100_000))
    assert (few.too_costly, enough.too_costly) == ([text], [])
    assert len(few.unexplained) == 1


@pytest.mark.parametrize(
    ("change", "covered"),
    [
        ({}, True),
        ({"source": "npm"}, False),
        ({"path": "b.py"}, False),
        ({"kind": Kind.TRACK}, False),
        ({"offset": 8}, False),
    ],
)
def test_an_explanation_covers_one_place_only(change: dict, covered: bool) -> None:
    place = {"source": "peers", "path": "a.py", "offset": 7, "end": 23, "kind": Kind.PAN} | change
    explanation = Explanation("peers", "a.py", Kind.PAN, "chance", card=False, offset=7)
    assert (explain(Masked(**place), [explanation]) is explanation) is covered


def test_every_explanation_says_why() -> None:
    explanations = read_explanations()
    assert LIST.is_file()
    assert all(len(each.reason) > 10 for each in explanations)
    assert len({(each.source, each.path, each.offset, each.kind) for each in explanations}) == len(explanations)


@pytest.mark.parametrize("row", ["path = 'x'", "kind = 'nothing'\nsource = 'a'\npath = 'b'\nreason = 'c'\ncard = true"])
def test_an_explanation_without_a_reason_is_refused(row: str, tmp_path: Path) -> None:
    (tmp_path / "list.toml").write_text(f"[[explained]]\n{row}\n")
    with pytest.raises((KeyError, ValueError, TypeError)):
        read_explanations(tmp_path / "list.toml")


def test_goals_are_judged_in_their_direction() -> None:
    least, most = Goal("speed", "MB/s", 21.0, 20.0, True), Goal("time", "us", 2.1, 2.0, False)
    assert (least.met, most.met) == (True, False)
    assert verdict([least]) == 0
    assert verdict([least, most]) == 1
    assert verdict([]) == 2
    assert most.as_row()[-1] == "MISSED"


def test_the_made_texts_are_as_long_as_they_say_and_hold_no_card() -> None:
    texts = list(corpus.made_texts())
    assert sum(len(text.content) for text in texts) > 3_000_000
    assert [text.path for text in texts] == [text.path for text in corpus.made_texts()]


def test_texts_for_speed_are_what_they_are_called() -> None:
    assert len(prose(5000)) >= 5000
    assert sum(char.isdigit() for char in table(5000)) > 2500
    pieces = deltas(prose(20_000), 10_000)
    assert "".join(pieces) == prose(20_000)
    assert 0.02 < sum(any(char.isdigit() for char in piece) for piece in pieces) / len(pieces) < 0.06


def test_growth_is_how_many_times_as_long_twice_the_text_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "seconds", lambda run: run())
    assert speed.growth(len, "4 ", 4_000) == 2
    assert speed.growth(lambda text: len(text) ** 2, "4 ", 4_000) == 4


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment of a peer that takes every five digits for a card."""
    stub = 'import json, re, sys\nprint(json.dumps("ready"), flush=True)\n'
    stub += "for line in sys.stdin:\n"
    stub += '    print(json.dumps([m.span() for m in re.finditer("[0-9]{5}", json.loads(line))]), flush=True)\n'
    (tmp_path / "stub.py").write_text(stub)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/stub.py "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    return tmp_path


def test_a_peer_is_asked_in_its_own_interpreter(environment: Path) -> None:
    with peer("presidio", environment) as tool:
        assert tool.find("a 12345\n\u2028 \ud83d 54321") == [(2, 7), (12, 17)]
        assert tool.find("") == []
    assert version_of(PEERS["presidio"], environment) == "unknown"


def test_a_peer_that_does_not_start_is_told(environment: Path) -> None:
    (environment / "stub.py").write_text("raise SystemExit(1)\n")
    with pytest.raises(RuntimeError, match="litellm did not start"), peer("litellm", environment):
        raise AssertionError("it was asked")


def test_ours_answers_with_spans_of_the_text() -> None:
    text = f"no. {PAN}, then 9"
    assert ours().find(text) == [(4, 20)]
