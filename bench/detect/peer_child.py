"""Runs in the environment of the peers: `python peer_child.py presidio|litellm`.

Reads texts as JSON lines, answers with lines of `[[start, end], ...]` in characters. The patterns are the installed
packages' own, run by their own code. It imports nothing of this project.
"""

import json
import os
import sys
from collections.abc import Callable

Find = Callable[[str], list[tuple[int, int]]]


def presidio() -> Find:
    """Its recognizer: pattern, then Luhn, which lifts the score to its maximum or drops the match.

    Context words raise the score of what has passed already, so they change nothing, and no language model is needed.
    """
    from presidio_analyzer.predefined_recognizers import CreditCardRecognizer  # noqa: PLC0415 - one peer a process

    recognizer = CreditCardRecognizer()
    entities = recognizer.supported_entities
    return lambda text: [(one.start, one.end) for one in recognizer.analyze(text, entities)]


def litellm() -> Find:
    """Its content filter with every prebuilt pattern of its category for payment cards but the one for IBANs."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    from litellm.proxy.guardrails.guardrail_hooks.litellm_content_filter import content_filter, patterns  # noqa: PLC0415 - one peer a process
    from litellm.types.guardrails import ContentFilterAction, ContentFilterPattern  # noqa: PLC0415 - one peer a process

    names = [name for name in patterns.PATTERN_CATEGORIES["Payment Card Patterns"] if name != "iban"]
    guardrail = content_filter.ContentFilterGuardrail(
        guardrail_name="bench",
        patterns=[
            ContentFilterPattern(pattern_type="prebuilt", pattern_name=name, action=ContentFilterAction.MASK)
            for name in names
        ],
    )
    entries = guardrail.compiled_patterns
    return lambda text: sorted({span for entry in entries for span in guardrail._find_pattern_spans(text, entry)})


PEERS: dict[str, Callable[[], Find]] = {"presidio": presidio, "litellm": litellm}


def main() -> None:
    find = PEERS[sys.argv[1]]()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the packages print does not mix with the answers
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(find(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
