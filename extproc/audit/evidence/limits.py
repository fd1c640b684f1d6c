"""What the pack does not show, said plainly."""

from collections.abc import Iterator

from extproc.audit.evidence.subject import Subject
from extproc.audit.reading.reader import time_text
from extproc.audit.settings import DirectoryStore

_ALWAYS = (
    "A gateway that an attacker controls can leave a request out before it records.",
    "Receipts that clients hold, and the count in Envoy's own access log, are what shows such a request.",
    "Records that were neither in the store nor seen by anybody outside can be lost with the machine's disk.",
    "Whoever controls the gateway, the store and every outside memory of the log can rewrite all of it.",
    "Approvals are no second factor of authentication. They show who let what through, and nothing of 8.3 to 8.5.",
    "`supported` means that a clause is met only together with something that is done elsewhere.",
    "Detectors find what they know. What they do not know is masked nowhere and counted nowhere.",
    "Old requirement numbers come from published comparisons; the official line-by-line summary was not read.",
    "This pack is no opinion of an assessor. The assessor decides.",
)


def limits_of(subject: Subject) -> Iterator[str]:
    """Those of this deployment and period first."""
    yield from _of_the_log(subject)
    yield from _of_the_store(subject)
    yield from _of_the_policy(subject)
    yield from _ALWAYS


def _of_the_log(subject: Subject) -> Iterator[str]:
    facts = subject.facts
    if facts.records == 0:
        yield "No record was found in the period. Nothing is shown for it."
    if facts.problems:
        yield f"Not every record could be read, so every number may be too small: {facts.problems[0]}"
    if subject.verify_exit:
        yield "The log was not proven for the period. See the verifier's findings before anything else."
    if not subject.keys_in_kms():
        yield "Keys are in files: 3.6.1.2 is not met. Whoever copies them can sign or read."
    if subject.anchored is None:
        yield (
            "No anchor outside of the store was asked: that the newest epochs are gone together with their registry "
            "entries is seen only by somebody who remembers them."
        )
    else:
        signed = time_text(subject.anchored.seconds * 1000)
        yield f"The anchor {subject.anchored.name} last co-signed at {signed}; of what came later it knows nothing."


def _of_the_store(subject: Subject) -> Iterator[str]:
    if isinstance(subject.settings.store, DirectoryStore):
        yield "The store is a local directory: tamper-evident, not write-once. Its administrator can delete all of it."
    if subject.facts.accepted:
        yield f"A writer started with a bucket without Object Lock, by the words: {subject.facts.accepted}"
    found = subject.capabilities()
    if found is None:
        yield "The store was not inspected in the period: what it enforces is not shown."
    else:
        yield from found.sentences()[1:]


def _of_the_policy(subject: Subject) -> Iterator[str]:
    facts = subject.facts
    if others := len(facts.policies.keys() - {subject.policy.digest}):
        yield (
            f"Records of the period name {others} other polic{'y' if others == 1 else 'ies'} than the one that is in "
            "force now. What is said of rules and masking, and the self-test, is of the one in force now."
        )
    if missed := subject.missed():
        yield f"The detectors answered {missed} case(s) of the self-test wrongly."
    if media := facts.not_inspected.total - facts.unread.total:
        yield f"{media} image(s), sound(s) or file(s) went to models without being looked into."
    for (direction, operation, connection), count in facts.unread:
        yield (
            f"{count} {direction} bodies of `{operation}` on connection `{connection}` went through without being "
            "looked into or kept (`opaque`)."
        )
    if facts.unread.unnamed:
        yield f"{facts.unread.unnamed} further bodies went through without being looked into or kept (`opaque`)."
