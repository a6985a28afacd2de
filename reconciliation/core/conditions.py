"""Polling conditions of a record type: which of the CRM's records are looked at, as rows that staff edit. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation

from connectors.contract import All, Condition, Fields, Op, Test, Value
from reconciliation.core.values import is_blank

Row = Sequence[str]  # field, test, value
IS, IS_NOT, BLANK, NOT_BLANK, TRUE, FALSE = "is", "is not", "is blank", "is not blank", "is true", "is false"
TESTS = (IS, IS_NOT, BLANK, NOT_BLANK, TRUE, FALSE)
BIGGEST = Decimal(10) ** 18
_OPS = {IS: Op.EQ, BLANK: Op.BLANK, TRUE: Op.TRUE, FALSE: Op.FALSE}  # what a connector can be asked for


def checked(rows: Iterable[Row]) -> list[tuple[str, str, str]]:
    """Returns the rows as they are stored. Raises ValueError with a sentence for one that says nothing."""
    found = []
    for row in rows:
        field, test, value = (str(part).strip() for part in row)
        if not field:
            raise ValueError("A condition needs a field.")
        if test not in TESTS:
            raise ValueError(f"{test!r} is no test; there are: {', '.join(TESTS)}.")
        if test in (IS, IS_NOT) and not value:
            raise ValueError(f"“{field} {test}” needs a value; to ask for blanks, choose “is blank”.")
        found.append((field, test, value if test in (IS, IS_NOT) else ""))
    return found


def typed(text: str, kind: str) -> Value:
    """Returns a condition's text as a value of a field of this kind (an `Attribute.type`). Raises ValueError with a sentence
    for a text that no such field holds."""
    if kind == "boolean":
        if text.casefold() not in ("true", "false"):
            raise ValueError(f"“{text}” is neither true nor false.")
        return text.casefold() == "true"
    if kind in ("integer", "number"):
        number = _number(text)
        if number is None:
            raise ValueError(f"“{text}” is no number.")
        return int(number) if number == number.to_integral_value() else float(number)
    if kind == "date":
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise ValueError(f"“{text}” is no date; write it as 2026-12-31.") from None
    if kind == "datetime":
        raise ValueError("A time of day is never the same twice; ask whether it is blank.")
    return text


def holds(rows: Iterable[Row], fields: Fields) -> bool:
    """Tells whether every condition holds for a record."""
    return all(_holds(test, fields.get(field), value) for field, test, value in rows)


def _holds(test: str, held: Value, value: str) -> bool:
    if test in (BLANK, NOT_BLANK):
        return is_blank(held) is (test == BLANK)
    if test in (TRUE, FALSE):
        return (held is True) is (test == TRUE)
    return _is_same(held, value) is (test == IS)


def _is_same(held: Value, value: str) -> bool:
    if isinstance(held, bool):
        return str(held).casefold() == value.casefold()
    if isinstance(held, int | float):
        return _number(str(held)) == _number(value)
    return str(held or "").casefold() == value.casefold()


def _number(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < BIGGEST else None


def as_condition(rows: Iterable[Row], kinds: Mapping[str, str] | None = None) -> Condition:
    """Returns what of the conditions travels with the request; the rest is checked by `holds`. `kinds` says of which kind
    each field is: a system refuses to compare a number with a text."""
    tests = []
    for field, test, text in rows:
        if test not in _OPS:
            continue
        try:
            tests.append(Test(field, _OPS[test], typed(text, (kinds or {}).get(field, "text")) if text else None))
        except ValueError:
            continue  # the field became another kind since this was saved
    return All(tuple(tests))
