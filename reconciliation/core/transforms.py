"""Turns a value of one side into the value the other side should hold. By name, so that a mapping row can say it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
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
Users = Mapping[str, str]  # exact username -> id of the user on the other side
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


TRANSFORMS: Mapping[str, Transform] = {
    "same": _same,
    "text": _text,
    "integer": _integer,
    "date": _day,
    "date as instant": _midnight,
    "host of web address": _host,
    "user by username": _user_by_username,
}


def convert(name: str, value: Value, *, users: Users) -> Value | Unmatched:
    """Returns what the other side should hold for `value`; blank stays blank. Raises CannotConvert."""
    if is_blank(value):
        return None
    return TRANSFORMS[name](value, users)
