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
    """One page: its records, whether more follow, and the whole count when it was asked for."""

    records: list[Record]
    has_more: bool
    total: int | None
    sort: list[tuple[str, bool]]


def window(table: Table, query: Query, fits: Fits) -> Window:
    """Returns the page a query asks for."""
    sort = query.sort or [("id", True)]
    if query.candidates is None and sort in ([("id", True)], [("updatedAt", True)]) and not _by_offset(query) and not query.counts:
        rows = (r for r in _in_order(table, query, sort) if fits(r))
        page = list(islice(rows, query.size + 1))
        return Window(page[: query.size], len(page) > query.size, None, sort)
    found = _sorted(table, query, fits)
    total = len(found) if query.counts else None
    start = query.offset or 0 if _by_offset(query) else _start(found, sort, query.after)
    return Window(found[start : start + query.size], start + query.size < len(found), total, sort)


def _by_offset(query: Query) -> bool:
    return query.offset is not None or not query.has_page


def _in_order(table: Table, query: Query, sort: list[tuple[str, bool]]) -> Iterator[Record]:
    if sort == [("updatedAt", True)]:
        at, behind = (str(query.after[0]), int(query.after[-1])) if query.after else (query.since or "", -1)
        return (table.records[i] for i in table.changed_since(at, behind))
    behind = int(query.after[-1]) if query.after else 0
    return (table.records[i] for i in table.numbered_from(behind))


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


def _start(found: list[Record], sort: list[tuple[str, bool]], cursor: list[Any] | None) -> int:
    if cursor is None:
        return 0
    return bisect_left(found, True, key=lambda r: _is_behind(r, sort, cursor))


def _sortable(value: Any) -> tuple[int, Any]:
    return (0, "") if value is None else (1, value)


def _is_behind(record: Record, sort: list[tuple[str, bool]], cursor: list[Any]) -> bool:
    """Tells whether a record comes behind a cursor in the sort order."""
    for (name, ascending), value in zip(sort, cursor, strict=False):
        left, right = _sortable(record.get(name)), _sortable(value)
        if left != right:
            return (left > right) == ascending
    return bool(record["id"] > cursor[-1])


def meta(total: int | None) -> dict[str, Any]:
    """Returns the `meta` of a collection: no count unless it was asked for, and never more than two million."""
    if total is not None and total > MOST_COUNTED:
        return {"count": MOST_COUNTED, "count_truncated": True}
    return {"count": total}


def links(request: Request, query: Query, found: Window) -> dict[str, str | None]:
    """Returns the `links` of a collection, {} when there is nothing to page."""
    if _by_offset(query):
        return _offset_links(request, query, found)
    if not found.has_more:
        return {}
    last = found.records[-1]
    cursor = [*(last.get(name) for name, _ in found.sort), last["id"]]
    return {"next": _link(request, [("page[after]", base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode())])}


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
