"""`python -m bench.detect.run`: recall, precision and speed beside the peers; tables, and `bench/out/detect.json`.

Exits with 1 when a goal is missed. `make bench-detect` installs the peers first.
"""

import json
import sys
import sysconfig
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.detect import corpus, tables
from bench.detect.cards import SEED, make_cards
from bench.detect.explained import read_explanations
from bench.detect.goals import Goal, verdict
from bench.detect.negatives import NEGATIVES
from bench.detect.precision import FalseShare, RealText, measure_negatives, measure_real_text
from bench.detect.recall import Recall, RecallTables, measure_recall
from bench.detect.speed import measure_speed
from bench.detect.tools import ENVIRONMENT, OURS, PEERS, ours, peer, site_packages
from bench.measure import machine_facts
from extproc.core.masking.iin import AS_OF

CARDS_EACH = 4
SAMPLES_EACH = 2000
LEAST_MEGABYTES = 20.0
OUT = Path(__file__).parents[1] / "out" / "detect.json"


def recall_goals(found: RecallTables) -> list[Goal]:
    """All of it: in every layout, and of the weak tier what is in its printed groups."""
    goals = [Goal(f"found, {row}", "%", found.layout.share(row, OURS), 100.0, True) for row in found.layout.asked]
    weak = [row for row in found.weak.asked if row.endswith("in printed groups")]
    return goals + [Goal(f"found, {row}", "%", found.weak.share(row, OURS), 100.0, True) for row in weak]


def precision_goals(shares: list[FalseShare], real: RealText) -> list[Goal]:
    goals = [
        Goal(f"masked, {share.negative.name}", "%", share.percent(OURS), 100 * share.negative.most, False)
        for share in shares
        if share.negative.most is not None
    ]
    return [
        *goals,
        Goal("masked in real text, unexplained", "places", len(real.unexplained), 0, False),
        Goal("real text", "MB", sum(real.megabytes.values()), LEAST_MEGABYTES, True),
    ]


def _counts(recall: Recall, names: list[str]) -> dict[str, Any]:
    return {row: {"cards": asked, **{n: recall.found[row, n] for n in names}} for row, asked in recall.asked.items()}


def write_report(
    found: RecallTables, shares: list[FalseShare], real: RealText, goals: list[Goal], facts: dict[str, Any]
) -> None:
    names = [OURS, *PEERS]
    OUT.parent.mkdir(exist_ok=True)
    parts = {"brand": found.brand, "length": found.length, "layout": found.layout, "weak": found.weak}
    places = [{**_place(one), "explained": None} for one in real.unexplained]
    places += [{**_place(one), "explained": why.reason, "card": why.card} for one, why in real.explained]
    report = {
        "machine": facts,
        "recall": {name: _counts(recall, names) for name, recall in parts.items()},
        "negatives": {share.negative.name: {"samples": share.samples, **share.masked} for share in shares},
        "real_text": {
            source: {"megabytes": megabytes, **{name: real.false[source, name] for name in names}}
            for source, megabytes in real.megabytes.items()
        },
        "places": places,
        "too_costly": [[text.source, text.path, len(text.content)] for text in real.too_costly],
        "goals": [goal.as_json() for goal in goals],
    }
    OUT.write_text(json.dumps(report, indent=2) + "\n")


def _place(one: Any) -> dict[str, Any]:
    return {"source": one.source, "path": one.path, "offset": one.offset, "kind": one.kind.value}


def main() -> int:
    console = Console(width=160)
    facts = machine_facts()
    speed = measure_speed()  # while nothing else runs
    with ExitStack() as stack:
        peers = [stack.enter_context(peer(name)) for name in PEERS]
        tools = [ours(), *peers]
        names = [tool.name for tool in tools]
        facts["peers"] = {tool.name: tool.version for tool in peers}
        console.log(f"cards as of {AS_OF}, seed {SEED}; peers: {facts['peers']}")
        found = measure_recall(make_cards(CARDS_EACH), tools)
        shares = measure_negatives(NEGATIVES, SAMPLES_EACH, tools)
        texts = [*corpus.made_texts(), *corpus.real_texts(site_packages(ENVIRONMENT), _tools_folder())]
        real = measure_real_text(texts, peers, read_explanations())
    goals = [*recall_goals(found), *precision_goals(shares, real), *speed]
    for title, recall in (("brand", found.brand), ("length", found.length), ("layout", found.layout)):
        console.print(tables.recall_table(f"cards found by {title}", recall, names))
    console.print(tables.recall_table("cards of the weak tier found by layout", found.weak, names))
    console.print(tables.negatives_table(shares, names), tables.real_text_table(real, names))
    console.print(tables.places_table(real))
    for text in real.too_costly:
        console.print(f"refused as too costly: {text.source} {text.path}, {len(text.content)} characters")
    console.print(tables.goals_table(goals))
    write_report(found, shares, real, goals, facts)
    console.print(f"written: {OUT}")
    return verdict(goals)


def _tools_folder() -> Path:
    return Path(sysconfig.get_path("purelib"))


if __name__ == "__main__":
    sys.exit(main())
