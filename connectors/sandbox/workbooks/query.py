"""Filters of the played Workbooks: numbered tests, an expression over their numbers, and indexes that narrow the search.

`compile_filters` gives a predicate; `candidates` gives a superset of the ids it can hold for, where an index knows one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from connectors.sandbox.wire import read_id, read_json
from connectors.sandbox.workbooks.codec import TRUE_WORDS, read_currency, read_date, read_datetime
from connectors.sandbox.workbooks.metadata import Column

if TYPE_CHECKING:
    from connectors.sandbox.workbooks.table import Table

DAY = 86400
DEEPEST = 50  # parentheses and NOTs of an expression within each other
Row = dict[str, Any]
Predicate = Callable[[Row], bool]


class BadFilter(ValueError):
    """The filter cannot be understood; the real system answers 406."""


@dataclass(frozen=True, slots=True)
class FilterTest:
    """One `_ff` / `_ft` / `_fc` triple."""

    field: str
    type: str
    criterion: str


@dataclass(frozen=True, slots=True)
class Node:
    """An expression over tests: `word` is AND, OR, XOR, NOT or TEST."""

    word: str
    parts: tuple[Node, ...] = ()
    test: FilterTest | None = None


def split_list(text: str) -> list[str]:
    """Returns the members of a comma list; a backslash makes the next character literal."""
    parts, current, escaped = [], [], False
    for character in text:
        if escaped:
            current.append(character)
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ",":
            parts.append("".join(current))
            current = []
        else:
            current.append(character)
    return [*parts, "".join(current)]


_TOKEN = re.compile(r"\s*([0-9]+|\(|\)|!|AND\b|OR\b|XOR\b|NOT\b)", re.IGNORECASE)


def parse_expression(text: str, tests: list[FilterTest]) -> Node:
    """Returns the tree of an `_fm` value: `and`, `or`, or an expression with numbers from 1. Raises BadFilter."""
    leaves = [Node("TEST", test=test) for test in tests]
    word = text.strip().lower()
    if word in ("", "and", "or"):
        return Node("OR" if word == "or" else "AND", tuple(leaves))
    tokens, position = [], 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if not match:
            raise BadFilter(f"_fm cannot be read at {text[position:][:20]!r}")
        tokens.append(match[1].upper())
        position = match.end()
    parser = _Parser(tokens, leaves)
    tree = parser.either()
    if parser.at != len(tokens):
        raise BadFilter("_fm has something left over")
    return tree


class _Parser:
    """Recursive descent: NOT binds closest, then AND, XOR, OR."""

    def __init__(self, tokens: list[str], leaves: list[Node]) -> None:
        self.tokens, self.leaves, self.at, self.depth = tokens, leaves, 0, 0

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _chain(self, word: str, inner: Callable[[], Node]) -> Node:
        parts = [inner()]
        while self._peek() == word:
            self.at += 1
            parts.append(inner())
        return parts[0] if len(parts) == 1 else Node(word, tuple(parts))

    def either(self) -> Node:
        return self._chain("OR", lambda: self._chain("XOR", lambda: self._chain("AND", self._single)))

    def _single(self) -> Node:
        token = self._peek()
        self.at += 1
        if token in ("NOT", "!"):
            return Node("NOT", (self._deeper(self._single),))
        if token == "(":
            inner = self._deeper(self.either)
            if self._peek() != ")":
                raise BadFilter("_fm lacks a closing parenthesis")
            self.at += 1
            return inner
        number = read_id(token) or 0
        if 1 <= number <= len(self.leaves):
            return self.leaves[number - 1]
        raise BadFilter(f"_fm names a filter that is not there: {token[:20] or 'end'}")

    def _deeper(self, inner: Callable[[], Node]) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise BadFilter("_fm nests too deep")
        node = inner()
        self.depth -= 1
        return node


def compile_node(node: Node, columns: dict[str, Column], now: datetime) -> Predicate:
    """Returns the predicate of a tree. Raises BadFilter."""
    if node.test is not None:
        return _compile_test(node.test, columns, now)
    parts = [compile_node(part, columns, now) for part in node.parts]
    if node.word == "NOT":
        inner = parts[0]
        return lambda row: not inner(row)
    if node.word == "XOR":
        return lambda row: sum(part(row) for part in parts) % 2 == 1
    if node.word == "OR":
        return lambda row: any(part(row) for part in parts)
    return lambda row: all(part(row) for part in parts)


def _compile_test(test: FilterTest, columns: dict[str, Column], now: datetime) -> Predicate:
    column = columns.get(test.field)
    if column is None:
        raise BadFilter(f"unknown attribute '{test.field}'")
    name, kind = test.field, test.type
    if kind == "blank":
        return lambda row: row.get(name) in (None, "")
    if kind == "not_blank":
        return lambda row: row.get(name) not in (None, "")
    if column.datatype == "boolean":
        return _boolean(name, kind, test.criterion)
    if column.datatype == "datetime":
        return _datetime(name, kind, test.criterion, now)
    if column.datatype in ("integer", "has_one"):
        return _number(name, kind, test.criterion)
    if column.datatype == "date":
        return _date(name, kind, test.criterion, now)
    if column.datatype == "currency":
        return _currency(name, kind, test.criterion)
    return _text(name, kind, test.criterion)


def _boolean(name: str, kind: str, criterion: str) -> Predicate:
    if kind in ("true", "false"):
        wanted = kind == "true"
    elif kind in ("eq", "ne"):
        wanted = (criterion.strip().lower() in TRUE_WORDS) == (kind == "eq")
    else:
        raise BadFilter(f"{kind} does not fit a boolean")
    return lambda row: bool(row.get(name)) == wanted


def _compare(name: str, kind: str, values: list[Any]) -> Predicate:
    first = values[0]
    if kind == "eq":
        members = set(values)
        return lambda row: row.get(name) in members
    if kind == "ne":
        members = set(values)
        return lambda row: row.get(name) not in members
    if kind == "ge":
        return lambda row: row.get(name) is not None and row[name] >= first
    if kind == "gt":
        return lambda row: row.get(name) is not None and row[name] > first
    if kind == "le":
        return lambda row: row.get(name) is not None and row[name] <= first
    if kind == "lt":
        return lambda row: row.get(name) is not None and row[name] < first
    raise BadFilter(f"unknown filter type {kind!r}")


def _between(criterion: str) -> tuple[str, str]:
    match = re.fullmatch(r"JSON\(\[(.*)\]\)", criterion.strip(), re.DOTALL)
    parts = [p.strip().strip('"') for p in (match[1] if match else "").split(",")]
    if len(parts) != 2:
        raise BadFilter("between needs JSON([from,to])")
    return parts[0], parts[1]


def _ranged(name: str, kind: str, criterion: str, read: Callable[[str], Any]) -> Predicate:
    """Returns the predicate of a value with an order; `read` gives the form that rows hold."""
    if kind in ("between", "not_between"):
        low, high = (read(p) for p in _between(criterion))
        return _within(name, low, high, kind == "between")
    return _compare(name, kind, [read(p) for p in split_list(criterion)])


def _within(name: str, low: Any, high: Any, is_inside: bool) -> Predicate:
    return lambda row: (row.get(name) is not None and low <= row[name] <= high) == is_inside


def _number(name: str, kind: str, criterion: str) -> Predicate:
    try:
        return _ranged(name, kind, criterion, int)
    except ValueError as error:
        raise BadFilter(f"{criterion[:40]!r} is not a number") from error


def _currency(name: str, kind: str, criterion: str) -> Predicate:
    """Compares amounts; the currency is not looked at."""
    inner = _ranged(name, kind, criterion, amount)
    return lambda row: inner({name: amount(row[name]) if row.get(name) else None})


def amount(text: str) -> float:
    stored = read_currency(text)
    if stored is None:
        raise BadFilter(f"{text[:40]!r} is not a currency amount")
    return float(stored.split(" ")[0])


def _date(name: str, kind: str, criterion: str, now: datetime) -> Predicate:
    if kind.endswith("today"):
        return _compare(name, _TODAY.get(kind, kind), [now.astimezone(UTC).date().isoformat()])
    return _ranged(name, kind, criterion, day)


def day(text: str) -> str:
    stored = read_date(text)
    if stored is None:
        raise BadFilter(f"{text[:40]!r} is not a date")
    return stored


_TODAY = {"today": "eq", "ge_today": "ge", "gt_today": "gt", "le_today": "le", "lt_today": "lt"}


def instant(text: str) -> int:
    at = read_datetime(text)
    if at is None:
        raise BadFilter(f"{text[:40]!r} is not a date and time")
    return at


def _span(text: str) -> tuple[int, int]:
    """Returns the first and last second that a criterion means: a date means that day."""
    start = instant(text)
    return start, start + DAY - 1 if read_date(text) is not None else start


def _datetime(name: str, kind: str, criterion: str, now: datetime) -> Predicate:
    if kind in _TODAY:
        kind, criterion = _TODAY[kind], now.astimezone(UTC).date().isoformat()
    if kind in ("between", "not_between"):
        first, last = _between(criterion)
        return _within(name, _span(first)[0], _span(last)[1], kind == "between")
    low, high = _span(criterion)
    if kind in ("eq", "ne"):
        return _within(name, low, high, kind == "eq")
    return _compare(name, kind, [low if kind in ("ge", "lt") else high])


def _text(name: str, kind: str, criterion: str) -> Predicate:
    """String comparison is case-insensitive in practice (reference 4.2, unconfirmed)."""

    def value(row: Row) -> str:
        return str(row.get(name) or "").casefold()

    wanted = [p.casefold() for p in split_list(criterion)]
    first = criterion.casefold()
    tests: dict[str, Predicate] = {
        "eq": lambda row: value(row) in wanted,
        "ne": lambda row: value(row) not in wanted,
        "bg": lambda row: value(row).startswith(first),
        "nbg": lambda row: not value(row).startswith(first),
        "ct": lambda row: first in value(row),
        "nct": lambda row: first not in value(row),
    }
    if kind not in tests:
        raise BadFilter(f"{kind} does not fit a text")
    return tests[kind]


def candidates(node: Node, table: Table) -> set[int] | None:
    """Returns a superset of the ids that can match, None when no index narrows it."""
    if node.test is not None:
        return table.candidates(node.test)
    if node.word == "OR":
        sets = [candidates(part, table) for part in node.parts]
        return None if any(s is None for s in sets) else set().union(*(s for s in sets if s is not None))
    if node.word == "AND":
        known = [s for s in (candidates(part, table) for part in node.parts) if s is not None]
        return min(known, key=len) if known else None
    return None


def lower_bound(node: Node) -> int | None:
    """Returns an instant below which no row's `updated_at` can match, None when the tree sets none."""
    if node.test is not None:
        if node.test.field == "updated_at" and node.test.type in ("ge", "gt", "eq"):
            return instant(node.test.criterion)
        return None
    bounds = [lower_bound(part) for part in node.parts]
    known = [b for b in bounds if b is not None]
    if node.word == "AND":
        return max(known) if known else None
    if node.word == "OR" and len(known) == len(bounds) and known:
        return min(known)
    return None


def mentions(node: Node, field: str) -> bool:
    """Tells whether a test of the tree names the field."""
    return (node.test is not None and node.test.field == field) or any(mentions(part, field) for part in node.parts)


def read_filter_json(text: str) -> list[FilterTest]:
    """Returns the tests of a `_filter_json` value. Raises BadFilter."""
    try:
        rows = read_json(text)
        return [FilterTest(str(f), str(t), str(c)) for f, t, c in rows]
    except (ValueError, TypeError) as error:
        raise BadFilter("_filter_json cannot be read") from error
