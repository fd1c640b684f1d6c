"""What is masked that is no card: by kind of number, and in real text."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.detect.corpus import Text
from bench.detect.explained import Explanation, Masked, explain
from bench.detect.layouts import Span
from bench.detect.negatives import Negative, samples
from bench.detect.tools import OURS, UNBOUNDED_STEPS, Tool
from extproc.core.masking.effort import MAX_STEPS
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.reasons import Malformed


@dataclass(frozen=True, slots=True)
class FalseShare:
    """Of how many samples of a kind something was masked, by tool."""

    negative: Negative
    samples: int
    masked: dict[str, int]

    def percent(self, tool: str) -> float:
        return 100.0 * self.masked[tool] / self.samples


def measure_negatives(negatives: Sequence[Negative], count: int, tools: Sequence[Tool]) -> list[FalseShare]:
    shares = []
    for negative in negatives:
        texts = samples(negative, count)
        shares.append(
            FalseShare(negative, count, {tool.name: sum(bool(tool.find(t)) for t in texts) for tool in tools})
        )
    return shares


@dataclass(slots=True)
class RealText:
    """Of real text: megabytes by source, false masks by source and tool, and each place that ours masks.

    `too_costly`: what the guard would refuse as a whole body, because inspecting it takes too many steps.
    """

    megabytes: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    false: Counter[tuple[str, str]] = field(default_factory=Counter)
    explained: list[tuple[Masked, Explanation]] = field(default_factory=list)
    unexplained: list[Masked] = field(default_factory=list)
    too_costly: list[Text] = field(default_factory=list)

    def per_megabyte(self, source: str, tool: str) -> float:
        return self.false[source, tool] / self.megabytes[source] if self.megabytes.get(source) else 0.0


def measure_real_text(
    texts: Iterable[Text], peers: Sequence[Tool], explanations: Sequence[Explanation], max_steps: int = MAX_STEPS
) -> RealText:
    """What an explanation calls a card is nobody's false mask; what it calls none is a false mask all the same."""
    scanner, bounded = Scanner(MaskingSettings(), UNBOUNDED_STEPS), Scanner(MaskingSettings(), max_steps)
    result = RealText()
    for text in texts:
        if _refuses(bounded, text.content):
            result.too_costly.append(text)
        result.megabytes[text.source] += len(text.content.encode("utf-8", "replace")) / 1e6
        cards: list[Span] = []
        for found in scanner.find(text.content):
            one = Masked(text.source, text.path, found.start, found.end, found.kind)
            explanation = explain(one, explanations)
            if explanation is None:
                result.unexplained.append(one)
            else:
                result.explained.append((one, explanation))
            if explanation is not None and explanation.card:
                cards.append((one.offset, one.end))
            else:
                result.false[text.source, OURS] += 1
        for peer in peers:
            spans = peer.find(text.content)
            result.false[text.source, peer.name] += sum(not _touches(span, cards) for span in spans)
    return result


def _refuses(scanner: Scanner, text: str) -> bool:
    try:
        scanner.find(text)
    except Malformed:
        return True
    return False


def _touches(span: Span, others: Sequence[Span]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in others)
