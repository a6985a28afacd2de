"""Polling conditions of a record type: which of the CRM's records are looked at, as rows that staff edit. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from connectors.contract import All, Condition, Fields, Op, Test, Value
from reconciliation.core.values import is_blank

Row = Sequence[str]  # field, test, value
IS, IS_NOT, BLANK, NOT_BLANK, TRUE, FALSE = "is", "is not", "is blank", "is not blank", "is true", "is false"
TESTS = (IS, IS_NOT, BLANK, NOT_BLANK, TRUE, FALSE)
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


def holds(rows: Iterable[Row], fields: Fields) -> bool:
    """Tells whether every condition holds for a record."""
    return all(_holds(test, fields.get(field), value) for field, test, value in rows)


def _holds(test: str, held: Value, value: str) -> bool:
    if test in (BLANK, NOT_BLANK):
        return is_blank(held) is (test == BLANK)
    if test in (TRUE, FALSE):
        return (held is True) is (test == TRUE)
    word = {True: "true", False: "false"}[held] if isinstance(held, bool) else str(held or "")
    return (word.casefold() == value.casefold()) is (test == IS)


def as_condition(rows: Iterable[Row]) -> Condition:
    """Returns what of the conditions travels with the request; the rest is checked by `holds`."""
    return All(tuple(Test(field, _OPS[test], value or None) for field, test, value in rows if test in _OPS))
