"""A transcript as it is told to a person: what was said, in turns and in time, and how the exchange ended, in words."""

from collections.abc import Iterator
from dataclasses import dataclass

from extproc.approvals.conversation import read_conversation
from extproc.audit.log.content import Piece
from extproc.audit.reading.answer_stream import AnswerReader
from extproc.audit.reading.exchanges import ExchangeRecords
from extproc.audit.reading.said import Said
from extproc.core.policy import DEFAULT_DENY, DEFAULT_DENY_TEXT
from extproc.core.printable import printable_line
from extproc.core.reasons import REFUSALS, Reason
from extproc.core.record import Direction, EventCode
from extproc.core.trust import Masked


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was said: at which second, as part of which turn (numbered in the order of their beginnings)."""

    at: float
    turn: int
    said: Said


def spoken(pieces: tuple[Piece, ...]) -> Iterator[Step]:
    """The prompt's turns, then the answer as it came."""
    turn = 0
    turns: dict[int, tuple[int, str]] = {}
    for at, said in read_prompt(pieces):
        turn += 1
        yield Step(at, turn, said)
    for at, said in _answer(pieces):
        number, role = turns.get(said.voice, (0, ""))
        if said.begins or said.role != role:
            turn += 1
            number = turn
        turns[said.voice] = (number, said.role)
        yield Step(at, number, said)


def read_prompt(pieces: tuple[Piece, ...]) -> Iterator[tuple[float, Said]]:
    """What was asked, a turn each, with the second at which all of it was there."""
    asked = [piece for piece in pieces if piece.direction is Direction.TO_MODEL]
    if asked:
        for turn in read_conversation(Masked(b"".join(piece.data for piece in asked))):
            yield (asked[-1].at_us - pieces[0].at_us) / 1e6, Said(0, turn.role, turn.text)


def _answer(pieces: tuple[Piece, ...]) -> Iterator[tuple[float, Said]]:
    reader, at = AnswerReader(), 0.0
    for piece in pieces:
        if piece.direction is Direction.TO_CLIENT:
            at = (piece.at_us - pieces[0].at_us) / 1e6
            for said in reader.feed(piece.data):
                yield at, said
    for said in reader.finish():
        yield at, said


def ending(exchange: ExchangeRecords) -> str:
    """In words: how it ended and why, and what kept it from the model."""
    last = exchange.last
    if not exchange.ended:
        held = last.event_code in (EventCode.APPROVAL_OPEN, EventCode.APPROVAL_ATTACH)
        return printable_line(f"held for approval {last.approval.id}" if held and last.approval else "under way")
    facts = [f"HTTP {last.http_status}"] if last.http_status else []
    measures = last.measures
    if measures and (measures.input_tokens or measures.output_tokens):
        facts.append(f"{measures.input_tokens} tokens in, {measures.output_tokens} out")
    facts += last.finish_reasons
    facts += [f"{kind}: {count}" for kind, count in exchange.findings.items()]
    said = [", ".join([str(last.status), *facts]), _why(exchange)]
    return printable_line(": ".join(part for part in said if part))


def _why(exchange: ExchangeRecords) -> str:
    """The sentence of the reason, its code, and what was decided."""
    last = exchange.last
    if not last.status_detail:
        return ""
    sentence = _sentence(exchange)
    more = [last.status_detail]
    if exchange.rule:
        more.append(f"rule {exchange.rule}")
    if last.approval:
        more.append(f"approval {last.approval.id} {last.approval.state}")
        if last.approval.decided_by:
            more.append(f"decided by {last.approval.decided_by}")
    return f"{sentence} ({', '.join(more)})".strip()


def _sentence(exchange: ExchangeRecords) -> str:
    """What the client was told. A rule's own text is in no record, so of a rule only its name is said."""
    reason = exchange.last.status_detail
    if reason == Reason.POLICY_DENIED and exchange.rule:
        return DEFAULT_DENY_TEXT if exchange.rule == DEFAULT_DENY else f"The rule {exchange.rule} refused it."
    try:
        return REFUSALS[Reason(reason)].sentence
    except ValueError:  # of another version
        return ""
