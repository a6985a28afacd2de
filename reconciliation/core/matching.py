"""Which records of the CRM a prospect may belong to, why, and in what order (S2.17 to S2.21, D9). Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from connectors.contract import Fate

Rule = Literal["contact", "latest", "keep"]
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Active:
    """What is active on a prospect; None: our access may not read it."""

    tasks: int | None = 0
    sequences: int | None = 0


@dataclass(frozen=True, slots=True)
class Holder:
    """Another prospect that a candidate is linked to, with what is active on it."""

    id: str
    name: str = ""
    active: Active = Active()


@dataclass(frozen=True, slots=True)
class Candidate:
    """One record of the CRM that a prospect may belong to. `why` says what makes it one; `fate` what became of it there,
    "living" where it can be chosen; `became` is the record that took its place."""

    type: str
    id: str
    name: str = ""
    email: str = ""
    company: str = ""
    owner: str = ""
    changed_at: datetime | None = None
    url: str = ""
    is_current: bool = False
    fate: str = Fate.LIVING.value
    became: str = ""
    bound_to: Holder | None = None
    why: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)  # field of the prospect -> [stored value, whether it differs]

    @property
    def key(self) -> str:
        return f"{self.type}:{self.id}"

    @property
    def is_living(self) -> bool:
        return self.fate == Fate.LIVING

    @property
    def can_be_chosen(self) -> bool:
        return self.is_living and not self.is_current


def reasons(mine: Collection[str], theirs: Collection[str], *, is_current: bool, is_named: bool, succeeded: str) -> str:
    """Returns why a record is a candidate, in words: `mine` are the prospect's addresses in the form in which they are
    compared, `theirs` the record's; `succeeded` names the record that it took the place of."""
    said = []
    if is_current:
        said.append("the present link")
    if succeeded:
        said.append(f"took the place of {succeeded}")
    if shared := [key for key in mine if key in set(theirs)]:
        said.append(f"same e-mail address {shared[0]}" + (f" and {len(shared) - 1} more" if len(shared) > 1 else ""))
    if is_named and not is_current:
        said.append("the prospect's external id names it")
    text = "; ".join(said)
    return text[:1].upper() + text[1:]


def ordered(found: Sequence[Candidate], types: Sequence[str]) -> list[Candidate]:
    """Returns the candidates as a person reads them: the present link first, then what can be chosen by the order of its
    type (S2.12), the one that changed last first; what is gone comes last."""
    rank = {name: n for n, name in enumerate(types)}

    def place(it: Candidate) -> tuple[bool, bool, int, float, str]:
        at = it.changed_at or LONG_AGO
        return (not it.is_current, not it.is_living, rank.get(it.type, len(rank)), -(at - LONG_AGO).total_seconds(), it.id)

    return sorted(found, key=place)


def has_choice(found: Sequence[Candidate]) -> bool:
    """Tells whether there is anything to choose: a living record that is not the present one (S2.21, D9)."""
    return any(it.can_be_chosen for it in found)


def preferred(found: Sequence[Candidate], rule: Rule) -> Candidate | None:
    """Returns the candidate that a rule for many prospects takes, None where it leaves the present link: *contact* the only
    contact, or the one that changed last; *latest* the record that changed last. One that another prospect holds is never
    taken by a rule, nor is the present link left for one that it beats."""
    living = [it for it in found if it.is_living and it.bound_to is None]
    if rule == "contact":
        living = [it for it in living if it.type == "Contact"]
        if any(it.is_current for it in living):
            return None
    if rule == "keep" or not living:
        return None
    best = max(living, key=lambda it: (it.changed_at or LONG_AGO, it.is_current, it.id))
    return None if best.is_current else best


def as_json(it: Candidate) -> dict[str, Any]:
    """Returns a candidate as it is stored; `from_json` gives it back."""
    return {**asdict(it), "changed_at": it.changed_at.isoformat() if it.changed_at is not None else ""}


def from_json(stored: Mapping[str, Any]) -> Candidate:
    known = {name: stored[name] for name in Candidate.__dataclass_fields__ if name in stored}
    at, holder = known.get("changed_at"), known.get("bound_to")
    it = Candidate(**{**known, "changed_at": datetime.fromisoformat(at) if at else None, "bound_to": None})
    if not holder:
        return it
    return replace(it, bound_to=Holder(str(holder["id"]), str(holder["name"]), Active(**holder["active"])))
