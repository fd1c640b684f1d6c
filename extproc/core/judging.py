"""What one exchange knows of who asks, and what it decides about the whole request."""

from extproc.core.answer import Answer
from extproc.core.incoming import Incoming
from extproc.core.inspection import Inspected, inspect
from extproc.core.judgement import Judgement, judge
from extproc.core.ledger import Ledger
from extproc.core.principal import Principal, names_card_data
from extproc.core.reasons import ExchangeError, Reason, Unverified
from extproc.core.snapshot import Snapshot


class Judging:
    """Notes in the ledger what it finds, and tells the answer how it is to be masked."""

    def __init__(self, incoming: Incoming, ledger: Ledger, answer: Answer, snapshot: Snapshot) -> None:
        self.principal: Principal | None = None
        """None until somebody who is trusted has vouched for the caller."""
        self.aliases = snapshot.scanner.aliases()
        """What stands for what is masked; the tenant's, once it is known."""
        self._incoming = incoming
        self._ledger = ledger
        self._answer = answer
        self._snapshot = snapshot

    def identify(self, principal: Principal) -> None:
        """The caller's token holds. Raises `Unverified(TOKEN_CARD_DATA)`."""
        scanner = self._snapshot.scanner
        mask = scanner.masker().mask_text
        if names_card_data(principal, mask):
            raise Unverified(Reason.TOKEN_CARD_DATA)
        self.principal = self._ledger.seen(principal, mask)
        self.aliases = scanner.aliases(principal.tenant)
        self._answer.mask_by(scanner, self.aliases)

    def decide(self, at: float) -> Judgement:
        """Allow, hold or deny, with the rule that determined it. What arrived is not kept. Raises `ExchangeError`."""
        if self.principal is None:
            raise ExchangeError(Reason.INTERNAL)
        request = self._incoming.take_whole(self.principal, at)
        laps = self._ledger.laps()
        inspected = inspect(self._snapshot, request, self._snapshot.scanner, self.aliases, laps.lap)
        judgement, sent = judge(self._snapshot, self._ledger.exchange_id, inspected)
        laps.lap("decide")
        self._note(judgement, sent)
        return judgement

    def _note(self, judgement: Judgement, sent: Inspected) -> None:
        """The decision, and what was done of what it obliges."""
        ledger = self._ledger
        self._incoming.choose(judgement.connection)
        ledger.judged(judgement.decision, judgement.given)
        ledger.carried_out(judgement.done.obligations)
        ledger.stripped, ledger.not_inspected = sent.stripped, sent.not_inspected
        ledger.model_sent = sent.model_sent
        self._answer.called = sent.facts.model if sent.model_sent else ""
        ledger.request_digest = judgement.request_digest
        self._answer.mask_by(sent.scanner, sent.aliases)
