"""The list of approvals as its URL says it: what is looked for, and the URLs of what else could be."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from extproc.approvals.store import ApprovalQuery
from extproc.console.roles import READS_TEXT, Role
from extproc.core.approval import Approval, ApprovalState
from extproc.core.principal import Principal

PATH: Final = "/approvals"
PAGE_ROWS: Final = 50
MAX_WORD: Final = 200
TABS: Final = {"pending": "Pending", "decided": "Decided", "mine": "Asked by me"}
DECIDED: Final = tuple(state for state in ApprovalState if state is not ApprovalState.PENDING)
_CURSOR: Final = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\.([A-Za-z0-9_:-]{1,200})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a URL asks for. `said` holds what is set, by the form's names."""

    tab: str
    query: ApprovalQuery
    said: Mapping[str, str]
    problems: tuple[str, ...]
    """What the URL says and nothing is: each a sentence."""

    @property
    def filtered(self) -> bool:
        return bool({"state", "rule", "text"} & self.said.keys())

    def url(self, **changes: str) -> str:
        """The same list with other words; an empty one takes its filter away. A page further on is not kept."""
        kept = {name: value for name, value in self.said.items() if name != "before"} | changes
        words = {name: value for name, value in kept.items() if value}
        return f"{PATH}?{urlencode(words)}" if words else PATH

    def after(self, last: Approval) -> str:
        """The page behind this one."""
        return self.url(before=f"{last.created_at!r}.{last.approval_id}")


def read_asked(words: Mapping[str, str], person: Principal, roles: Collection[Role]) -> Asked:
    """By what the words say; what is unknown asks for nothing, and is told. Reasons are searched for whoever may read
    them. A state without a tab is looked for among what was decided."""
    said = {name: words.get(name, "").strip()[:MAX_WORD] for name in ("show", "state", "rule", "text", "before")}
    problems = tuple(_unknown(said))
    if not said["show"] and said["state"] in DECIDED:
        said["show"] = "decided"
    tab = said["show"] if said["show"] in TABS else "pending"
    states = (ApprovalState.PENDING,) if tab == "pending" else DECIDED if tab == "decided" else ()
    if said["state"] in set(ApprovalState) and tab != "pending":
        states = (ApprovalState(said["state"]),)
    else:
        said["state"] = ""
    cursor = _CURSOR.fullmatch(said["before"])
    said["before"] = said["before"] if cursor else ""
    query = ApprovalQuery(
        states=states,
        requester_uid=person.uid if tab == "mine" else "",
        rule=said["rule"],
        text=said["text"],
        in_reasons=not READS_TEXT.isdisjoint(roles),
        before=(float(cursor[1]), cursor[2]) if cursor else None,
        limit=PAGE_ROWS + 1,
    )
    said["show"] = "" if tab == "pending" else tab
    return Asked(tab, query, {name: value for name, value in said.items() if value}, problems)


def _unknown(said: Mapping[str, str]) -> Iterator[str]:
    for name, words in (("show", TABS), ("state", ApprovalState)):
        if said[name] and said[name] not in tuple(words):
            yield f"There is no {name} `{said[name]}`, and it is passed over. There are: {', '.join(words)}."
    if said["before"] and not _CURSOR.fullmatch(said["before"]):
        yield "`before` is no place in this list, which begins with the newest."
