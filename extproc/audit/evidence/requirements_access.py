"""How access is judged: requirements 7 and 8."""

from extproc.audit.evidence.requirement import Judgement, Requirement, Status, judged
from extproc.audit.evidence.subject import Subject
from extproc.core.policy import Effect
from extproc.core.record import EventCode

NO_FACTOR = "an approval is no second factor of authentication: it belongs to 7.2.3, 8.2.2 and 8.6.1, not to 8.3 to 8.5"
_IDP = "factors, lockout and session rules are the identity provider's"


def _policy(subject: Subject) -> str:
    return f"policy {subject.policy.digest}: {len(subject.policy.rules)} rule(s)"


def _granted(subject: Subject) -> int:
    return sum(count for (_, state), count in subject.facts.decisions if state == "granted")


def _by_role(subject: Subject) -> Judgement:
    return judged(
        (Status.ENFORCED, bool(subject.policy.rules) and subject.requests > 0 and subject.denies_strangers()),
        (Status.SUPPORTED, bool(subject.policy.rules)),
        by=(_policy(subject),),
        facts={
            "exchanges let through": subject.requests,
            "denied by policy": subject.count(EventCode.POLICY_DENY),
            "people and programs seen": subject.facts.people.total and len(list(subject.facts.people)),
        },
        limits=("whether each group's rights fit its job is the deployment's to review",),
    )


def _approved(subject: Subject) -> Judgement:
    holds = sum(rule.effect is Effect.HOLD for rule in subject.policy.rules)
    opened = max(0, subject.count(EventCode.APPROVAL_OPEN) - subject.facts.attached_instead)
    used = subject.count(EventCode.APPROVAL_USE)
    return judged(
        (Status.ENFORCED, holds > 0 and _granted(subject) > 0),
        (Status.SUPPORTED, holds > 0 or opened > 0),
        by=(f"{holds} rule(s) that hold a request until another person decides",),
        facts={"opened": opened, "granted": _granted(subject), "used": used},
        limits=(NO_FACTOR,),
    )


def _reviewed(subject: Subject) -> Judgement:
    return judged(
        (Status.SUPPORTED, subject.facts.people.total > 0),
        by=("people, decisions and refusals are listed in this pack",),
        facts={"exchanges by person": subject.facts.people.total},
        limits=("the review every six months and management's acknowledgement are done elsewhere",),
    )


def _one_way(subject: Subject) -> Judgement:
    return judged(
        (Status.SUPPORTED, subject.count(EventCode.AUDIT_READ) > 0),
        by=("`extproc audit` reads transcripts; each reading is a record, written first",),
        facts={"readings recorded": subject.count(EventCode.AUDIT_READ)},
        limits=(
            "who can read the store and the key by other means is decided by the store's and the KMS's own rights",
        ),
    )


def _deny_all(subject: Subject) -> Judgement:
    denies = subject.denies_strangers()
    return judged(
        (Status.ENFORCED, denies and subject.requests + subject.count(EventCode.POLICY_DENY) > 0),
        (Status.SUPPORTED, denies),
        by=("without a rule that allows, the answer is deny", _policy(subject)),
        facts={
            "a caller without groups, tried now": "denied" if denies else "allowed something",
            "denied by default": subject.facts.default_denials,
        },
    )


def _unique(subject: Subject) -> Judgement:
    requests, identified = subject.requests, subject.facts.identified
    return judged(
        (Status.ENFORCED, requests > 0 and identified == requests),
        (Status.SUPPORTED, requests == 0),
        by=("every caller has a token of a configured issuer; `issuer|subject` is recorded",),
        facts={"exchanges let through": requests, "of a caller whom an issuer vouched for": identified},
    )


def _shared(subject: Subject) -> Judgement:
    return judged(
        (Status.SUPPORTED, subject.facts.identified > 0),
        by=("each action is recorded under one subject; holds ask for a reason and another person",),
        facts={"approvals granted": _granted(subject), "exchanges with a subject": subject.facts.identified},
        limits=("whether two people share an account is not seen here", NO_FACTOR),
    )


def _mfa(subject: Subject) -> Judgement:
    factors = subject.facts.factors
    return judged(
        (Status.SUPPORTED, factors.people > 0 and factors.several == factors.people),
        by=("the `amr` claim of each token is recorded; this service does not demand it",),
        facts={
            "exchanges of people": factors.people,
            "with several factors": factors.several,
            "with one factor or an unknown method": factors.one,
            "without a method said": factors.not_said,
            "of programs, not counted": factors.automated,
        },
        limits=(_IDP, NO_FACTOR),
    )


def _elsewhere(subject: Subject) -> Judgement:
    return Judgement(
        Status.NOT_COVERED,
        ("nothing here",),
        {"sign-ins and tokens refused, and what was refused for want of a role": subject.count(EventCode.AUTH_FAIL)},
        (_IDP, NO_FACTOR),
    )


def _programs(subject: Subject) -> Judgement:
    automated = subject.facts.factors.automated
    return judged(
        (Status.SUPPORTED, automated > 0 or _granted(subject) > 0),
        by=("exchanges of programs are recorded under the program's subject; a rule can hold them for a person",),
        facts={"exchanges of programs": automated, "approvals granted": _granted(subject)},
        limits=("who may use a program's account by hand is decided elsewhere",),
    )


ACCESS = (
    Requirement("7.2.1", "7.1.1", "Access follows job and need", _by_role),
    Requirement("7.2.2", "7.1.2", "People get the least that their job needs", _by_role),
    Requirement("7.2.3", "7.1.4", "Privileges are approved, and the approval is on record", _approved),
    Requirement("7.2.4", "new", "Access is reviewed every six months", _reviewed),
    Requirement("7.2.6", "8.7", "Stored card data is asked for through programs that know roles", _one_way),
    Requirement("7.3.3", "7.2.3", "What is not allowed is denied", _deny_all),
    Requirement("8.2.1", "8.1.1", "Every person has an identity of their own", _unique),
    Requirement("8.2.2", "8.5", "Shared accounts are exceptions, and actions lead to a person", _shared),
    Requirement("8.4.1", "8.3.1", "Administrators sign in with several factors", _elsewhere),
    Requirement("8.4.2", "new", "All access into the card data environment uses several factors", _mfa),
    Requirement("8.5.1", "new", "Multi-factor systems withstand replay and bypass", _elsewhere),
    Requirement("8.6.1", "new", "Accounts of programs are used by people only as an exception", _programs),
)
