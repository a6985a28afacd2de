"""What a two-way merge of one field must do, as a plain model to compare the product's merge with.

Written from the requirements (S3.2 to S3.13, D10, D30) and from design section 5, not from the code. It knows one field, goes
through the cases one by one in the order a person would, and brings its own notion of blank, equal and of every conversion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

NEVER = "\0never agreed"  # stands for a base that a side never had
MARGIN_SECONDS = 60


@dataclass(frozen=True)
class Field:
    """One field on both sides, and the row that rules it. `…_base` is what a side held when both last agreed."""

    direction: str
    winner: str
    crm_base: Any
    crm_now: Any
    peer_base: Any
    peer_now: Any
    blank_to_peer: bool = False
    blank_to_crm: bool = False
    conversion: str = "same"
    pairs: tuple[tuple[str, str], ...] = ()
    users: tuple[tuple[str, str], ...] = ()
    crm_at: datetime | None = None
    peer_at: datetime | None = None
    crm_damaged: bool = False
    peer_damaged: bool = False
    most_in_peer: int = 0
    most_in_crm: int = 0


@dataclass(frozen=True)
class Outcome:
    """`what` is one of: nothing, write, conflict, held blank, left out, unmatched. `to` and `value` belong to a write. `loser` is
    the value an edit of the side that is written lost, `has_loser` tells one from none."""

    what: str
    to: str = ""
    value: Any = None
    has_loser: bool = False
    loser: Any = None


NOTHING = Outcome("nothing")


class Impossible(Exception):
    """The other side has no such value."""


class Nobody(Exception):
    """The other side has no such user."""


def blank(value: Any) -> bool:
    return value is None or value == () or (isinstance(value, str) and value.strip() == "")


def equal(left: Any, right: Any) -> bool:
    if blank(left) and blank(right):
        return True
    if blank(left) or blank(right):
        return False
    if type(left) is bool or type(right) is bool:
        return type(left) is type(right) and left == right
    return bool(left == right)


# The conversions, one by one. Each returns what the side that is written should hold, given what it holds.


def one_address(left: Any, right: Any) -> bool:
    left, right = str(left).strip(), str(right).strip()
    return left.lower() == right.lower() if "@" in left else left == right


def into_list(value: Any, there: Any) -> Any:
    """In front, in the place of the first entry; no other entry goes, none comes twice."""
    entries = list(there) if isinstance(there, tuple) else []
    if entries and one_address(entries[0], value):
        return there
    others = [entry for entry in entries[1:] if not one_address(entry, value)]
    return (str(value).strip(), *others)


def out_of_list(value: Any, there: Any) -> Any:
    first = value[0]
    return there if not blank(there) and one_address(first, there) else first


def by_map(value: Any, table: dict[str, str]) -> Any:
    word = ("yes" if value else "no") if isinstance(value, bool) else str(value)
    if word not in table:
        raise Impossible
    answer = table[word]
    if answer in ("yes", "no") and not isinstance(value, bool):
        return answer == "yes"
    return answer


def whole_number(value: Any) -> int:
    if isinstance(value, bool):
        raise Impossible
    try:
        return int(str(value).strip())
    except ValueError:
        raise Impossible from None


def carried(field: Field, to: str) -> Any:
    """Returns what the side `to` should hold for what the other one holds. Raises Impossible, Nobody."""
    value, there = (field.crm_now, field.peer_now) if to == "peer" else (field.peer_now, field.crm_now)
    if field.conversion == "first of list":
        if blank(value):
            if to == "peer" and isinstance(there, tuple) and len(there) > 1:
                raise Impossible  # entries that only the peer holds are nobody's to take away
            return None
        return into_list(value, there) if to == "peer" else out_of_list(value, there)
    if blank(value):
        return None
    if field.conversion == "same":
        return value
    if field.conversion == "value map":
        return by_map(value, dict(field.pairs) if to == "peer" else {peer: crm for crm, peer in field.pairs})
    if field.conversion == "user by user mapping":
        users = dict(field.users) if to == "peer" else {peer: crm for crm, peer in field.users}
        if str(value) not in users:
            raise Nobody
        return users[str(value)]
    if field.conversion == "integer":
        if to == "crm":
            raise Impossible  # a number does not tell how it was written
        return whole_number(value)
    raise AssertionError(field.conversion)


def agree(field: Field) -> bool:
    """Tells whether both sides say the same now, each in its own words."""
    for to, there in (("peer", field.peer_now), ("crm", field.crm_now)):
        try:
            if equal(carried(field, to), there):
                return True
        except (Impossible, Nobody):
            pass
    return False


# The merge.


def flows(field: Field, to: str) -> bool:
    return field.direction == "both" or field.direction == f"to_{to}"


def reference_merge(field: Field) -> Outcome:
    if field.direction == "none":
        return NOTHING  # only when forced
    if field.winner == "restrictive":
        return consent(field)
    crm_edited = field.crm_base == NEVER or not equal(field.crm_base, field.crm_now)
    peer_edited = field.peer_base == NEVER or not equal(field.peer_base, field.peer_now)
    if not crm_edited and not peer_edited:
        return NOTHING
    if field.direction == "to_peer":
        return copy(field, "peer") if crm_edited else NOTHING
    if field.direction == "to_crm":
        return copy(field, "crm") if peer_edited else NOTHING
    if crm_edited and not peer_edited:
        return copy(field, "peer")
    if peer_edited and not crm_edited:
        return copy(field, "crm")
    if never_agreed(field) and blank(field.crm_now) != blank(field.peer_now):
        return copy(field, "crm" if blank(field.crm_now) else "peer")  # nobody blanked it: it was never filled (D25)
    if agree(field):
        return NOTHING
    winning = who_wins(field)
    if winning == "":
        return Outcome("conflict")
    return copy(field, "peer" if winning == "crm" else "crm", settled=True)


def never_agreed(field: Field) -> bool:
    return NEVER in (field.crm_base, field.peer_base)


def who_wins(field: Field) -> str:
    if field.winner in ("crm", "peer"):
        return field.winner
    if field.winner == "ask" or field.crm_at is None or field.peer_at is None:
        return ""
    apart = (field.crm_at - field.peer_at).total_seconds()
    if -MARGIN_SECONDS <= apart <= MARGIN_SECONDS:
        return ""
    return "crm" if apart > 0 else "peer"


def copy(field: Field, to: str, *, settled: bool = False) -> Outcome:
    """The value of the other side goes to this one, if it may, can, and must. What stood there lost where that was `settled`."""
    there = field.peer_now if to == "peer" else field.crm_now
    if field.crm_damaged if to == "peer" else field.peer_damaged:
        return Outcome("left out")
    try:
        value = carried(field, to)
    except Impossible:
        return Outcome("left out")
    except Nobody:
        return Outcome("unmatched")
    if equal(value, there):
        return NOTHING
    if blank(value) and not (field.blank_to_peer if to == "peer" else field.blank_to_crm):
        return Outcome("held blank")
    most = field.most_in_peer if to == "peer" else field.most_in_crm
    if most and isinstance(value, str) and len(value) > most:
        return Outcome("left out")
    has_loser = settled or loses(field, to)
    return Outcome("write", to, None if blank(value) else value, has_loser, there if has_loser else None)


def loses(field: Field, to: str) -> bool:
    """Tells whether the value that is overwritten was this side's alone: since both agreed its users changed it, or both were
    left differing when they were last compared. A blank that was never anything else is no loss, nor is anything where one
    side alone rules and the two never agreed (S3.12)."""
    if never_agreed(field):
        return False
    base, now = (field.peer_base, field.peer_now) if to == "peer" else (field.crm_base, field.crm_now)
    if not equal(base, now):
        return True
    return not blank(base) and not agree(replace(field, crm_now=field.crm_base, peer_now=field.peer_base))


def consent(field: Field) -> Outcome:
    """A yes on either side holds for both; a no takes nothing back and goes nowhere. A no loses where somebody just said it."""
    for to, there, other, base in (
        ("peer", field.peer_now, field.crm_now, field.peer_base),
        ("crm", field.crm_now, field.peer_now, field.crm_base),
    ):
        if flows(field, to) and other is True and there is not True:
            took_back = base != NEVER and not equal(base, there)
            return Outcome("write", to, True, took_back, there if took_back else None)
    return NOTHING
