"""What the records of an epoch say of the epoch itself: whose key signs it, where it ends, and what was shredded.

They are believed as far as the segments that hold them; whoever walks the epoch sees to that.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from extproc.audit.names import Origin
from extproc.audit.records.line import Mark, parse_record
from extproc.audit.refusal import AuditRefused
from extproc.audit.signed import Role, UnnamedKey, VerifyKey, verify_certificate
from extproc.audit.verify.findings import Broken, Name
from extproc.core.record import EventCode, Record

_NOTED = frozenset({EventCode.LOG_START, EventCode.LOG_STOP, EventCode.LOG_ADOPT, EventCode.ADMIN_SHRED})
_BEHIND_END = frozenset({EventCode.LOG_ADOPT, EventCode.INFERENCE_RECOVERED})
"""An adopter closes what was under way before it says so, also behind a stop."""
_LONG_MS = 10**15
"""No heartbeat is waited for longer, whatever a record says."""


@dataclass(slots=True)
class EpochAccount:
    """Takes an epoch's records in their order, and the signers of its manifests."""

    shredded: set[str] = field(default_factory=set)
    """Exchanges whose content key the epoch's records say was shredded."""
    shredded_before_ms: int = 0
    """Keys of segments that were sealed before then were over-age, say the epoch's records, and shredded."""
    ended: bool = False
    young_ms: int = 600_000
    """For how long its writer may say nothing."""
    signing: Role | None = None
    """Of whoever signed the segment at hand; None of a journal, which nobody has signed yet."""
    _shreddings: list[tuple[str, int]] = field(default_factory=list)
    """What the segment at hand says was shredded: an exchange, or what was sealed before a moment. It excuses nothing
    until the segment's signature and root hold."""
    _epoch_key: str = ""
    _adopters: set[str] = field(default_factory=set)
    _signers: dict[tuple[Role, str], int] = field(default_factory=dict)
    """Every certificate that signed a manifest, with the first segment that it signed."""

    def begin_segment(self) -> None:
        """What the segment before said was shredded, and was not believed, is forgotten."""
        self._shreddings.clear()

    def take(self, mark: Mark, line: bytes) -> tuple[Name, str] | None:
        """The next record, and what there is to tell of it: how an adopter found the epoch. Raises `Broken`."""
        if self.ended and mark.event_code not in _BEHIND_END:
            raise Broken(Name.ORDER, "records follow the epoch's end")
        if (mark.event_code is EventCode.LOG_START) != (mark.seq == 1):
            raise Broken(Name.ORDER, "a second beginning" if mark.seq > 1 else "the first record is no beginning")
        return self.note(mark.event_code, line) if mark.event_code in _NOTED else None

    def note(self, code: EventCode, line: bytes) -> tuple[Name, str] | None:
        """One of the records that say something of the epoch, wherever it stands. Raises `Broken`."""
        try:
            record = parse_record(line)
        except AuditRefused as error:
            raise Broken(Name.ALTERED, "a record does not parse") from error
        detail = record.detail
        match code:
            case EventCode.LOG_START:
                self._epoch_key = str(detail.get("certificate", ""))
                waits = (detail.get("heartbeat_seconds"), detail.get("max_lag_seconds"))
                if isinstance(waits[0], int | float) and isinstance(waits[1], int | float):
                    self.young_ms = int(min(1000 * (2 * waits[0] + waits[1]), _LONG_MS))
            case EventCode.ADMIN_SHRED:
                before_ms = detail.get("before_ms")
                bound_ms = before_ms if isinstance(before_ms, int) and before_ms <= record.time_ms else 0
                self._shreddings.append((str(detail.get("exchange", "")), bound_ms))
            case EventCode.LOG_ADOPT:
                if self.signing is Role.EPOCH:  # whoever has that key is the writer, and a writer does not adopt itself
                    raise Broken(Name.FORKED, "the epoch's own key signed that the epoch was adopted")
                self.ended = True
                self._adopters.add(str(detail.get("certificate", "")))
                return _adopted(record)
            case _:
                self.ended = True
        return None

    def believe(self) -> None:
        """The segment at hand holds."""
        for exchange, before_ms in self._shreddings:
            self.shredded.add(exchange)
            self.shredded_before_ms = max(self.shredded_before_ms, before_ms)

    def check_beginning(self, key: VerifyKey, origin: Origin) -> None:
        """Nothing is signed yet; but whoever began the epoch had the deployment's certificate. Raises `Broken`."""
        try:
            certificate = verify_certificate(key, self._epoch_key)
        except UnnamedKey as error:
            raise Broken(Name.ALTERED, str(error)) from error
        except AuditRefused as error:
            raise Broken(Name.ALTERED, "the deployment did not certify who began the epoch") from error
        if (certificate.origin, certificate.role) != (str(origin), Role.EPOCH):
            raise Broken(Name.RELOCATED, f"the certificate belongs to {certificate.origin}")

    def take_signer(self, role: Role, certificate: str, segment: int) -> None:
        self.signing = role
        self._signers.setdefault((role, certificate), segment)

    def strange_signers(self, broken: int) -> Iterator[int]:
        """Segments whose manifest is signed neither by the key that `log.start` names nor by one that a `log.adopt`
        names, which may stand in `broken`, the newest segment that does not hold."""
        named = self._epoch_key
        for (role, document), segment in self._signers.items():
            if role is Role.EPOCH:
                named = named or document  # the beginning cannot be read: then all by the same
                known = document == named
            else:
                known = document in self._adopters or (not self._adopters and broken >= segment)
            if not known:
                yield segment


def _adopted(record: Record) -> tuple[Name, str]:
    cut, last = record.detail.get("bytes_cut", 0), record.detail.get("last_seq")
    if record.detail.get("corrupt"):
        return Name.CORRUPT, f"{cut} bytes that had been durable were damaged and put aside"
    return Name.UNCLEAN_END, f"adopted after record {last}, {cut} bytes cut"
