"""Reads a query by recursive descent. What stands here is the whole language: anything else is MALFORMED_QUERY.

query      = SELECT items FROM name [USING SCOPE name] [WHERE condition] [ORDER BY orders] [LIMIT n] [OFFSET n]
items      = COUNT() | item {, item}          item = path | FIELDS(ALL | STANDARD | CUSTOM)
condition  = part {AND part} | part {OR part}   part = [NOT] primary   primary = ( condition ) | comparison
comparison = path operator value | path LIKE text | path [NOT] IN ( values ) | path [NOT] IN ( SELECT path FROM … )
orders     = path [ASC | DESC] [NULLS FIRST | NULLS LAST] {, …}
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from connectors.sandbox.salesforce.soql_tokens import Token, malformed, read_pattern, read_string, refused, tokens, unexpected

OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
RESERVED = frozenset((
    "AND", "ASC", "DESC", "EXCLUDES", "FIRST", "FROM", "GROUP", "HAVING", "IN", "INCLUDES", "LAST", "LIKE", "LIMIT", "NOT", "NULL",
    "NULLS", "OR", "SELECT", "USING", "WHERE", "WITH",
))  # fmt: skip
MOST_OFFSET = 2000
MOST_WITH_FIELDS = 200
DEEPEST = 50
_DATE_LITERAL = re.compile(
    r"YESTERDAY|TODAY|TOMORROW|(?:LAST|THIS|NEXT)_(?:WEEK|MONTH|QUARTER|YEAR)|(?:LAST|NEXT)_90_DAYS"
    r"|(?:LAST_N_DAYS|NEXT_N_DAYS|N_DAYS_AGO):\d{1,5}"
)


@dataclass(frozen=True, slots=True)
class Path:
    """A dotted name, and where it stands."""

    names: tuple[str, ...]
    at: int

    @property
    def text(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Fields:
    """`FIELDS(ALL)`, STANDARD or CUSTOM."""

    kind: str
    at: int


@dataclass(frozen=True, slots=True)
class Value:
    """A literal. `kind` is string, number, boolean, null, date, datetime, literal (TODAY) or pattern, whose `text` is a
    regular expression and `written` what stands in the query."""

    kind: str
    text: str
    at: int
    written: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`path operator value`; the operator is one of OPERATORS or LIKE."""

    path: Path
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class InList:
    path: Path
    values: tuple[Value, ...]
    is_negated: bool


@dataclass(frozen=True, slots=True)
class InQuery:
    path: Path
    query: Query
    is_negated: bool


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition


@dataclass(frozen=True, slots=True)
class Group:
    """Parts joined by one word, AND or OR."""

    word: str
    parts: tuple[Condition, ...]


Condition = Comparison | InList | InQuery | Not | Group


@dataclass(frozen=True, slots=True)
class Order:
    path: Path
    is_descending: bool
    are_nulls_first: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A query as it was read. `items` is empty for COUNT(); `scope` is '' when none is named."""

    statement: str
    items: tuple[Path | Fields, ...]
    object_name: str
    object_at: int
    scope: str = ""
    where: Condition | None = None
    orders: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0

    @property
    def is_count(self) -> bool:
        return not self.items


def parse(statement: str) -> Query:
    """Returns the query that a statement spells. Raises Refused."""
    return _Parser(statement).whole_query()


def parse_condition(text: str) -> Condition:
    """Returns the condition that a text spells, as behind WHERE. Raises Refused."""
    return _Parser(text).whole_condition()


class _Parser:
    def __init__(self, statement: str) -> None:
        self._statement = statement
        self._tokens = tokens(statement)
        self._position = 0
        self._depth = 0
        self._joins = 0

    # --- words --------------------------------------------------------------------------------------------------------
    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def _take(self) -> Token:
        token = self._next
        self._position += 1
        return token

    def _has(self, *texts: str) -> bool:
        """Takes the next words or marks when they are these."""
        for ahead, text in enumerate(texts):
            token = self._tokens[min(self._position + ahead, len(self._tokens) - 1)]
            if (token.word or token.text) != text or token.kind not in ("word", "mark"):
                return False
        self._position += len(texts)
        return True

    def _need(self, *texts: str) -> None:
        for text in texts:
            if not self._has(text):
                raise unexpected(self._statement, self._next)

    def _name(self) -> Token:
        token = self._next
        if token.kind != "word" or token.word in RESERVED or ":" in token.text:
            raise unexpected(self._statement, token)
        return self._take()

    def _path(self) -> Path:
        first = self._name()
        names = [first.text]
        while self._has("."):
            names.append(self._name().text)
        return Path(tuple(names), first.at)

    # --- the query ----------------------------------------------------------------------------------------------------
    def whole_query(self) -> Query:
        query = self._query(is_inner=False)
        if self._next.kind != "end":
            raise unexpected(self._statement, self._next)
        return query

    def whole_condition(self) -> Condition:
        condition = self._condition()
        if self._next.kind != "end":
            raise unexpected(self._statement, self._next)
        return condition

    def _query(self, *, is_inner: bool) -> Query:
        self._need("SELECT")
        items: tuple[Path | Fields, ...] = () if not is_inner and self._has("COUNT", "(", ")") else self._items(is_inner)
        self._need("FROM")
        object_token = self._name()
        scope = self._scope() if not is_inner else ""
        where = self._condition() if self._has("WHERE") else None
        if is_inner:
            return Query(self._statement, items, object_token.text, object_token.at, where=where)
        orders = self._orders() if items and self._has("ORDER", "BY") else ()
        limit = self._number("LIMIT")
        offset = self._offset()
        self._check_fields(items, limit)
        return Query(self._statement, items, object_token.text, object_token.at, scope, where, orders, limit, offset)

    def _items(self, is_inner: bool) -> tuple[Path | Fields, ...]:
        found: list[Path | Fields] = [self._item()]
        while not is_inner and self._has(","):
            found.append(self._item())
        return tuple(found)

    def _item(self) -> Path | Fields:
        at = self._next.at
        if self._has("FIELDS", "("):
            kind = self._name()
            if kind.word not in ("ALL", "STANDARD", "CUSTOM"):
                raise unexpected(self._statement, kind)
            self._need(")")
            return Fields(kind.word, at)
        return self._path()

    def _scope(self) -> str:
        if not self._has("USING"):
            return ""
        self._need("SCOPE")
        token = self._name()
        if token.word not in ("MINE", "EVERYTHING"):
            raise unexpected(self._statement, token)
        return token.text.lower()

    def _orders(self) -> tuple[Order, ...]:
        found = [self._order()]
        while self._has(","):
            found.append(self._order())
        return tuple(found)

    def _order(self) -> Order:
        path = self._path()
        is_descending = self._has("DESC")
        if not is_descending:
            self._has("ASC")
        are_nulls_first = True
        if self._has("NULLS"):
            are_nulls_first = self._has("FIRST")
            if not are_nulls_first:
                self._need("LAST")
        return Order(path, is_descending, are_nulls_first)

    def _number(self, word: str) -> int | None:
        if not self._has(word):
            return None
        token = self._take()
        if token.kind != "number" or not token.text.isdigit() or len(token.text) > 9:
            raise unexpected(self._statement, token)
        return int(token.text)

    def _offset(self) -> int:
        at = self._next.at
        offset = self._number("OFFSET") or 0
        if offset > MOST_OFFSET:
            raise refused(self._statement, at, "NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MOST_OFFSET}")
        return offset

    def _check_fields(self, items: tuple[Path | Fields, ...], limit: int | None) -> None:
        for item in items:
            if isinstance(item, Fields) and item.kind != "STANDARD" and (limit is None or limit > MOST_WITH_FIELDS):
                told = f"The SOQL FIELDS function must have a LIMIT of at most {MOST_WITH_FIELDS}"
                raise malformed(self._statement, item.at, told)

    # --- conditions ---------------------------------------------------------------------------------------------------
    def _condition(self) -> Condition:
        self._depth += 1
        if self._depth > DEEPEST:
            raise malformed(self._statement, self._next.at, "the condition nests too deep")
        parts = [self._part()]
        word = self._next.word
        if word in ("AND", "OR"):
            while self._has(word):  # the other word, without parentheses, is unexpected wherever the condition ends
                parts.append(self._part())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Group(word, tuple(parts))

    def _part(self) -> Condition:
        return Not(self._primary()) if self._has("NOT") else self._primary()

    def _primary(self) -> Condition:
        if self._has("("):
            condition = self._condition()
            self._need(")")
            return condition
        path = self._path()
        if self._has("NOT", "IN"):
            return self._in(path, is_negated=True)
        if self._has("IN"):
            return self._in(path, is_negated=False)
        if self._has("LIKE"):
            token = self._take()
            if token.kind != "string":
                raise unexpected(self._statement, token)
            return Comparison(path, "LIKE", Value("pattern", read_pattern(self._statement, token), token.at, token.text))
        operator = self._take()
        if operator.text not in OPERATORS:
            raise unexpected(self._statement, operator)
        return Comparison(path, operator.text, self._value())

    def _in(self, path: Path, *, is_negated: bool) -> Condition:
        self._need("(")
        if self._next.word == "SELECT":
            at = self._next.at
            self._joins += 1
            if self._joins > 2:
                raise malformed(self._statement, at, "Maximum 2 semi join sub-selects are allowed.")
            query = self._query(is_inner=True)
            if query.where is not None and _has_join(query.where):
                raise malformed(self._statement, at, "Nesting of semi join sub-selects is not supported")
            self._need(")")
            return InQuery(path, query, is_negated)
        values = [self._value()]
        while self._has(","):
            values.append(self._value())
        self._need(")")
        return InList(path, tuple(values), is_negated)

    def _value(self) -> Value:
        token = self._take()
        if token.kind == "string":
            return Value("string", read_string(self._statement, token), token.at)
        if token.kind in ("number", "date", "datetime"):
            return Value(token.kind, token.text, token.at)
        if token.word in ("TRUE", "FALSE"):
            return Value("boolean", token.word, token.at)
        if token.word == "NULL":
            return Value("null", "", token.at)
        if _DATE_LITERAL.fullmatch(token.word):
            return Value("literal", token.word, token.at)
        raise unexpected(self._statement, token)


def _has_join(condition: Condition) -> bool:
    if isinstance(condition, Group):
        return any(_has_join(part) for part in condition.parts)
    return _has_join(condition.part) if isinstance(condition, Not) else isinstance(condition, InQuery)
