"""Pages of the played Outreach: by cursor (`page[size]`), or by offset (`page[limit]`, and when nothing is said).

A page sorted by id or updatedAt costs what it holds, not what the table holds.
"""

from __future__ import annotations

import base64
import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlencode

from connectors.sandbox.outreach.query import Query
from connectors.sandbox.outreach.table import Record, Table
from connectors.sandbox.wire import Request

MOST_COUNTED = 2_000_000
Fits = Callable[[Record], bool]


@dataclass(frozen=True, slots=True)
class Window:
    """One page: its records, whether more follow or went before, and the whole count when it was asked for."""

    records: list[Record]
    has_more: bool
    has_less: bool
    total: int | None
    sort: list[tuple[str, bool]]


def window(table: Table, query: Query, fits: Fits) -> Window:
    """Returns the page a query asks for."""
    sort = query.sort or [("id", True)]
    if query.candidates is None and sort in ([("id", True)], [("updatedAt", True)]) and not _by_offset(query) and not query.counts:
        page = list(islice((r for r in _in_order(table, query, sort) if fits(r)), query.size + 1))
        goes_on, page = len(page) > query.size, page[: query.size]
        if query.before is None:
            return Window(page, goes_on, query.after is not None, None, sort)
        return Window(page[::-1], True, goes_on, None, sort)
    found = _sorted(table, query, fits)
    total = len(found) if query.counts else None
    start, end = _bounds(found, sort, query)
    return Window(found[start:end], end < len(found), start > 0, total, sort)


def _bounds(found: list[Record], sort: list[tuple[str, bool]], query: Query) -> tuple[int, int]:
    """Returns where the page begins and ends in the list of all that fit."""
    if _by_offset(query):
        start = query.offset or 0
    elif query.before is not None:
        end = bisect_left(found, True, key=lambda r: _place(r, sort, query.before or []) >= 0)
        return max(0, end - query.size), end
    elif query.after is not None:
        start = bisect_left(found, True, key=lambda r: _place(r, sort, query.after or []) > 0)
    else:
        start = 0
    return start, start + query.size


def _by_offset(query: Query) -> bool:
    return query.offset is not None or not query.has_page


def _in_order(table: Table, query: Query, sort: list[tuple[str, bool]]) -> Iterator[Record]:
    """Yields records in the order asked for; backwards when a page before a cursor is asked for."""
    before, after = query.before, query.after
    if sort == [("updatedAt", True)]:
        if before is not None:
            return (table.records[i] for i in table.changed_before(str(before[0]), before[-1], query.since or ""))
        at, behind = (str(after[0]), int(after[-1])) if after else (query.since or "", -1)
        return (table.records[i] for i in table.changed_since(at, behind))
    if before is not None:
        return (table.records[i] for i in table.numbered_before(before[-1]))
    return (table.records[i] for i in table.numbered_from(int(after[-1]) if after else 0))


def _sorted(table: Table, query: Query, fits: Fits) -> list[Record]:
    ids: Iterable[int] = table.ids
    if query.candidates is not None:
        ids = sorted(i for i in query.candidates if i in table.records)
    elif query.since is not None:
        ids = sorted(table.changed_since(query.since))
    found = [r for r in (table.records[i] for i in ids) if fits(r)]
    for name, ascending in reversed(query.sort):
        found.sort(key=lambda r: _sortable(r.get(name)), reverse=not ascending)
    return found


def _sortable(value: Any) -> tuple[int, Any]:
    return (0, "") if value is None else (1, value)


def _place(record: Record, sort: list[tuple[str, bool]], cursor: list[Any]) -> int:
    """Returns 1 for a record behind a cursor in the sort order, -1 for one before it, 0 for the cursor's own."""
    for (name, ascending), value in zip(sort, cursor, strict=False):
        left, right = _sortable(record.get(name)), _sortable(value)
        if left != right:
            return 1 if (left > right) == ascending else -1
    id_, other = int(record["id"]), int(cursor[-1])
    return (id_ > other) - (id_ < other)


def meta(total: int | None) -> dict[str, Any]:
    """Returns the `meta` of a collection: no count unless it was asked for, and never more than two million."""
    if total is not None and total > MOST_COUNTED:
        return {"count": MOST_COUNTED, "count_truncated": True}
    return {"count": total}


def links(request: Request, query: Query, found: Window) -> dict[str, str | None]:
    """Returns the `links` of a collection, {} when there is nothing to page."""
    if _by_offset(query):
        return _offset_links(request, query, found)
    pages: dict[str, str | None] = {}
    if found.records and found.has_less and (query.after or query.before):
        pages = {"first": _link(request, []), "prev": _link(request, [("page[before]", _cursor(found.records[0], found.sort))])}
    if found.records and found.has_more:
        pages["next"] = _link(request, [("page[after]", _cursor(found.records[-1], found.sort))])
    return pages


def _cursor(record: Record, sort: list[tuple[str, bool]]) -> str:
    values = [*(record.get(name) for name, _ in sort), record["id"]]
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def _offset_links(request: Request, query: Query, found: Window) -> dict[str, str | None]:
    offset = query.offset or 0
    if not found.has_more and not offset:
        return {}

    def at(start: int) -> str:
        return _link(request, [("page[limit]", str(query.size)), ("page[offset]", str(start))])

    pages: dict[str, str | None] = {"first": at(0), "prev": at(max(0, offset - query.size)) if offset else None}
    pages["next"] = at(offset + query.size) if found.has_more else None
    if found.total is not None:
        pages["last"] = at((found.total - 1) // query.size * query.size if found.total else 0)
    return pages


def _link(request: Request, pages: list[tuple[str, str]]) -> str:
    gone = {"page[after]", "page[before]", *(name for name, _ in pages)}
    pairs = [(k, v) for k, v in parse_qsl(request.query, keep_blank_values=True) if k not in gone]
    return f"{request.base_url}{request.path}?{urlencode([*pairs, *pages])}"
