"""Turns a value of one side into the value the other side should hold. By name, so that a mapping row can say it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from urllib.parse import urlsplit

from connectors.contract import Value
from reconciliation.core.values import is_blank


class CannotConvert(ValueError):
    """The value has no counterpart on the other side; the sentence says why (engine-rules 5)."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Stands for a value whose counterpart does not exist there (an owner without a user): nothing is sent, and an
    existing value is never cleared (S0.25, D35)."""

    text: str


_GROUPED = re.compile(r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$")
Users = Mapping[str, str]  # exact username, or id of the CRM's user -> id of the peer's user
Pairs = Sequence[tuple[str, str]]  # (CRM value, peer value)
Transform = Callable[[Value, Users], "Value | Unmatched"]


def _same(value: Value, users: Users) -> Value:
    return value


def _text(value: Value, users: Users) -> Value:
    return value if value is None or isinstance(value, str) else str(value)


def _integer(value: Value, users: Users) -> Value:
    if isinstance(value, bool):
        raise CannotConvert("yes/no is not a number")
    if isinstance(value, int):
        return value
    text = str(value).strip()
    try:
        number = float(text.replace(",", "") if _GROUPED.match(text) else text)  # "12,5" is no 125
    except ValueError:
        raise CannotConvert(f"{str(value)[:40]!r} is not a number") from None
    if not math.isfinite(number) or number != int(number):
        raise CannotConvert(f"{str(value)[:40]!r} is not a whole number")
    return int(number)


def _day(value: Value, users: Users) -> Value:
    """The day of a date in text, as both systems write them: " 2 May 2026" and "2026-05-02" become "2026-05-02"."""
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    text = str(value).strip()
    for form in ("%d %b %Y", "%Y-%m-%d", "%a %b %d %H:%M:%S UTC %Y"):
        try:
            return datetime.strptime(text, form).date().isoformat()
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).date().isoformat()
    except ValueError:
        raise CannotConvert(f"{text[:40]!r} is not a date") from None


def _midnight(value: Value, users: Users) -> Value:
    """The first instant of that day, UTC, for attributes that hold an instant."""
    if isinstance(value, datetime):
        return value
    return datetime.combine(date.fromisoformat(str(_day(value, users))), time.min, tzinfo=UTC)


def _host(value: Value, users: Users) -> Value:
    """The host of a web address, without `www.`: "https://www.acme.example/x" becomes "acme.example"."""
    text = str(value).strip()
    try:
        host = urlsplit(text if "//" in text else f"//{text}").hostname
    except ValueError:
        raise CannotConvert(f"{text[:60]!r} is not a web address") from None
    if not host or "." not in host:
        raise CannotConvert(f"{text[:60]!r} has no host name")
    return host.removeprefix("www.")


def _user_by_username(value: Value, users: Users) -> Value | Unmatched:
    """Exact equality only: no case folding, no trimming, no guess by e-mail (S0.25)."""
    found = users.get(str(value))
    return found if found is not None else Unmatched(str(value))


def _user_pair(value: Value, users: Users) -> Value | Unmatched:
    """The peer's user who is the same person (C34): known pairs only, never a guess."""
    return users.get(str(value)) or Unmatched(str(value))


def _user_pair_back(value: Value, users: Users) -> Value | Unmatched:
    return next((crm for crm, peer in users.items() if peer == str(value)), None) or Unmatched(str(value))


def _is_equal_text(left: Value, right: Value) -> bool:
    """Tells whether two entries of a list are one: addresses are compared without regard to case (C18)."""
    a, b = str(left).strip(), str(right).strip()
    return a.casefold() == b.casefold() if "@" in a else a == b


def _first_of_list(value: Value, current: Value) -> Value:
    """The list with the value in front, in the place of the entry that stood there; the other entries stay (C19)."""
    entries = current if isinstance(current, tuple) else () if is_blank(current) else (str(current),)
    if entries and _is_equal_text(entries[0], value):
        return current
    return (str(value).strip(), *(entry for entry in entries[1:] if not _is_equal_text(entry, value)))


def _of_list(value: Value, current: Value) -> Value:
    """The first entry of the list, as the other side writes it where it holds the same."""
    first = value[0] if isinstance(value, tuple) else value
    return current if not is_blank(current) and _is_equal_text(first, current) else first


def _mapped(value: Value, pairs: Pairs, back: bool) -> Value:
    text = _word_of(value)
    for crm, peer in pairs:
        if (peer if back else crm) == text:
            return _value_of(crm if back else peer, like=value)
    raise CannotConvert(f"{text[:40]!r} stands in no row of the value map")


def _word_of(value: Value) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _value_of(word: str, like: Value) -> Value:
    return word == "yes" if word in ("yes", "no") and not isinstance(like, bool) else word


AS_IT_IS, FIRST_OF_LIST, VALUE_MAP, USER_PAIR = "same", "first of list", "value map", "user by user mapping"
TRANSFORMS: Mapping[str, Transform] = {
    AS_IT_IS: _same,
    "text": _text,
    "integer": _integer,
    "date": _day,
    "date as instant": _midnight,
    "host of web address": _host,
    "user by username": _user_by_username,
    USER_PAIR: _user_pair,
    FIRST_OF_LIST: _same,  # needs what stands there already: see `convert`
    VALUE_MAP: _same,  # needs the rule's pairs: see `convert`
}
_BACK: Mapping[str, Transform] = {AS_IT_IS: _same, USER_PAIR: _user_pair_back, FIRST_OF_LIST: _same, VALUE_MAP: _same}


def has_way_back(name: str) -> bool:
    """Tells whether a value of the peer can be brought to the CRM by this conversion."""
    return name in _BACK


def convert(name: str, value: Value, *, users: Users, current: Value = None, pairs: Pairs = (), back: bool = False) -> Value | Unmatched:
    """Returns what the other side should hold for `value`, which is the peer's where it goes `back`; blank stays blank.
    `current` is what the other side holds. Raises CannotConvert."""
    if is_blank(value):
        return _blank(name, current, back)
    if name == FIRST_OF_LIST:
        return _of_list(value, current) if back else _first_of_list(value, current)
    if name == VALUE_MAP:
        return _mapped(value, pairs, back)
    if back and name not in _BACK:
        raise CannotConvert(f"the conversion {name!r} has no way back")
    return (_BACK if back else TRANSFORMS)[name](value, users)


def _blank(name: str, current: Value, back: bool) -> Value:
    if name == FIRST_OF_LIST and not back and isinstance(current, tuple) and len(current) > 1:
        raise CannotConvert("it is blank, and the other side holds more than one entry; those are taken away there")
    return None
