"""Conditions as SOQL. Pure; every value is quoted here, and every name is checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime

from connectors.contract import All, AnyOf, Condition, Op, Position, Test, Value
from connectors.errors import MappingError, Rejected
from connectors.salesforce.codec import NO_RECYCLE_BIN, SYSTEM, full_id
from connectors.text import clean

LONGEST_TEXT = 4000  # characters of one text in WHERE; no field that can be asked for holds as many
LONGEST_LIST = 80_000  # characters of one list of values; a statement holds 100,000
EARLIEST, LATEST = datetime(1700, 1, 1, tzinfo=UTC), datetime(4000, 12, 31, tzinfo=UTC)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*)*")
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_SIGNS = {Op.EQ: "=", Op.GE: ">=", Op.GT: ">", Op.LT: "<"}
_NOTHING = "Id = null"  # holds for no record


def name(text: str) -> str:
    """Returns the name of a field or object. Raises MappingError for what can be none: it would be read as SOQL."""
    if not _NAME.fullmatch(text):
        raise MappingError(f"has no field {text[:80]!r}", system=SYSTEM, field=text)
    return text


def quote(text: str) -> str:
    """Returns the text as a SOQL literal, which reads back as exactly this text."""
    return "'" + "".join(_ESCAPES.get(c) or (f"\\u{ord(c):04X}" if c < " " or c == "\x7f" else c) for c in text) + "'"


def literal(value: Value) -> str:
    """Returns the value as SOQL has it. Raises Rejected for what no field can hold."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple) or not can_be_asked_for(value):
        raise Rejected(f"cannot be asked for {str(value)[:40]!r}", system=SYSTEM)
    return quote(value)


def instant(at: datetime) -> str:
    """Returns the instant, unquoted. Beyond the years that SOQL knows there are no records."""
    at = min(max(at.astimezone(UTC), EARLIEST), LATEST)
    if at.microsecond < 1000:
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return at.isoformat(timespec="milliseconds")


def can_be_asked_for(text: str) -> bool:
    """Tells whether a field can hold this text at all: blanks are null, and other texts cannot be said in SOQL."""
    return bool(text.strip()) and not clean(text)[1] and len(quote(text)) - 2 <= LONGEST_TEXT


def is_id(field: str) -> bool:
    """Tells whether the field certainly holds ids: one malformed id would have the whole query refused."""
    last = field.rpartition(".")[2]
    return last.endswith("Id") and "__" not in last


def askable(field: str, values: Iterable[str]) -> list[str]:
    """Returns the different values that a record can have in this field, ids in their full form."""
    if is_id(field):
        return list(dict.fromkeys(id_ for value in values if (id_ := full_id(value)) is not None))
    return list(dict.fromkeys(value for value in values if can_be_asked_for(value)))


def chunks(values: Sequence[str], most: int, longest: int = LONGEST_LIST) -> Iterator[list[str]]:
    """Yields the values in groups that one statement holds, each of at least one value."""
    part: list[str] = []
    size = 0
    for value in values:
        length = len(quote(value)) + 1
        if part and (len(part) >= most or size + length > longest):
            yield part
            part, size = [], 0
        part.append(value)
        size += length
    if part:
        yield part


def where(condition: Condition) -> str:
    """Returns the condition, each part in parentheses: SOQL refuses AND beside OR. "" where it always holds."""
    if isinstance(condition, Test):
        return _test(condition)
    parts = [where(part) for part in condition.parts]
    if isinstance(condition, All):
        return " AND ".join(f"({part})" for part in parts if part)
    if not parts:
        return _NOTHING
    return " OR ".join(f"({part})" for part in parts) if all(parts) else ""


def _test(test: Test) -> str:
    field, value = name(test.field), test.value
    if test.op is Op.TRUE or test.op is Op.FALSE:
        return f"{field} = {test.op.upper()}"
    if test.op is Op.BLANK:
        return f"{field} = null"
    if test.op is Op.IN:
        texts = askable(field, (str(v) for v in value)) if isinstance(value, tuple) else []
        return f"{field} IN ({','.join(map(quote, texts))})" if texts else _NOTHING
    if test.op is Op.EQ:
        return f"{field} = {literal(value)}" if value != "" else f"{field} = null"
    return "" if value is None else f"{field} {_SIGNS[test.op]} {literal(value)}"  # no bound


def select(
    object_type: str, columns: Iterable[str], condition: Condition | None = None, *, order: str = "", limit: int = 0, within: str = ""
) -> str:
    """Returns a query. `within` is a further condition, in SOQL already."""
    parts = [f"SELECT {', '.join(map(name, dict.fromkeys(columns)))} FROM {name(object_type)}", _where(condition, within)]
    parts += [f"ORDER BY {order}" if order else "", f"LIMIT {limit}" if limit else ""]
    return " ".join(part for part in parts if part)


def count(object_type: str, condition: Condition | None, *, within: str = "") -> str:
    """Returns a query for how many there are. `within` is a further condition, in SOQL already."""
    return f"SELECT COUNT() FROM {name(object_type)} {_where(condition, within)}".rstrip()


def _where(condition: Condition | None, within: str = "") -> str:
    said = where(condition) if condition is not None else ""
    if said and within:
        said = f"({said}) AND {within}"
    return f"WHERE {said or within}" if said or within else ""


def holding(text: str) -> str:
    """Returns the pattern, as a literal behind LIKE, of texts that hold exactly this one."""
    return "'%" + quote(text)[1:-1].replace("%", "\\%").replace("_", "\\_") + "%'"


def beginning(text: str) -> str:
    """Returns the pattern, as a literal behind LIKE, of texts that begin so; a "%" of it stands for anything."""
    return "'" + quote(text)[1:-1].replace("_", "\\_") + "%'"


def record_access(user_id: str, ids: Sequence[str]) -> str:
    """Returns the query for what a user may do with records, in the only shape that Salesforce takes."""
    listed = ",".join(map(quote, ids))
    rights = "RecordId, HasReadAccess, HasEditAccess, HasDeleteAccess"
    return f"SELECT {rights} FROM UserRecordAccess WHERE UserId = {quote(user_id)} AND RecordId IN ({listed})"


def after(position: Position) -> Condition:
    """Returns what comes after a position, sorted by (SystemModstamp, Id)."""
    same = All((Test("SystemModstamp", Op.EQ, position.updated_at), Test("Id", Op.GT, position.id)))
    return AnyOf((same, Test("SystemModstamp", Op.GT, position.updated_at)))


def sweep(
    object_type: str,
    condition: Condition,
    position: Position | None,
    before: datetime | None,
    include_deleted_since: datetime | None,
) -> Condition:
    """Returns the condition of one page of a sweep over live and deleted rows (queryAll gives both)."""
    parts = [condition]
    if object_type not in NO_RECYCLE_BIN:
        parts = [All((condition, Test("IsDeleted", Op.FALSE)))]
        if include_deleted_since is not None:
            gone = All((Test("IsDeleted", Op.TRUE), Test("SystemModstamp", Op.GE, include_deleted_since)))
            parts = [AnyOf((parts[0], gone))]
    if position is not None:
        parts.append(after(position))
    if before is not None:
        parts.append(Test("SystemModstamp", Op.LT, before))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def of_view(query: str, object_type: str) -> str:
    """Returns a query for the ids of a list view from the view's own: its FROM with all that follows, another select
    list and no order. Raises Rejected when it is no query of that object."""
    words = list(_words(query))
    start = next((at for at, word in words if word == "from"), None)
    found = re.match(r"from\s+(\w+)", query[start:], re.IGNORECASE) if start is not None else None
    if not words or words[0][1] != "select" or start is None or found is None or found[1].lower() != object_type.lower():
        raise Rejected("describes a list view by a query that cannot be used", system=SYSTEM)
    order = next((at for at, word in words if at > start and word == "order"), len(query))
    behind = [word for at, word in words if at > order and word in ("limit", "offset")]
    end = len(query) if behind else order  # the order says which rows a limit leaves
    return f"SELECT Id {query[start:end].strip()}"


def _words(query: str) -> Iterator[tuple[int, str]]:
    """Yields the words outside of quotes and parentheses, in lower case, with their places."""
    depth = 0
    for found in re.finditer(r"'(?:[^'\\]|\\.)*'|[()]|[\w.]+", query):
        token = found[0]
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth == 0 and token[0] not in "'()":
            yield found.start(), token.lower()
