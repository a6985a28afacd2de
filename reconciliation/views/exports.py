"""Every list as a CSV file: the columns stand beside the list, the filter is the list's own, memory is that of a chunk."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from connectors.errors import ConnectorError
from reconciliation.services.audit import audit

ROWS_A_CHUNK = 500
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "\0")  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a list: what it is called, and what it says of a row."""

    title: str
    value: Callable[[Any], Any]


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def safe_cell(value: Any) -> Any:
    """Returns text that no spreadsheet takes for a formula; numbers stay numbers, instants are UTC."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, int | float):
        return "" if value is None else value
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    text = text.replace("\0", "�")
    return f"'{text}" if text.startswith(FORMULAS) or text.lstrip().startswith(FORMULAS) else text


def export_rows(
    request: HttpRequest,
    name: str,
    columns: Sequence[Column],
    rows: QuerySet[Any] | Iterable[Any],
    *,
    prepare: Callable[[list[Any]], object] | None = None,
) -> StreamingHttpResponse:
    """Returns the rows as a download: those of a query newest first, others in their order. `prepare` completes a chunk
    of rows before it is written. Rows that come from a remote system may fail on the way; the file then says so in its
    last line. Who took which list away stands in the audit log."""
    asked = {key: value for key, value in request.GET.items() if value and key != "page"}
    audit(request.user, "export list", name, columns=len(columns), filters=sorted(asked))

    def lines() -> Iterator[str]:
        writer = csv.writer(_Echo())
        yield "\ufeff" + writer.writerow([column.title for column in columns])
        try:
            for chunk in _chunks(rows) if isinstance(rows, QuerySet) else _parts(rows):
                if prepare is not None:
                    prepare(chunk)
                yield "".join(writer.writerow([safe_cell(column.value(row)) for column in columns]) for row in chunk)
        except ConnectorError as error:
            yield writer.writerow([f"This list is not complete: {error.sentence}. {error.remedy}"])

    response = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}-{timezone.localdate():%Y-%m-%d}.csv"'
    return response


def _parts(rows: Iterable[Any]) -> Iterator[list[Any]]:
    part: list[Any] = []
    try:
        for row in rows:
            part.append(row)
            if len(part) == ROWS_A_CHUNK:
                yield part
                part = []
    except ConnectorError:  # where the rows break off: what was read is written
        if part:
            yield part
        raise
    if part:
        yield part


def _chunks(rows: QuerySet[Any]) -> Iterator[list[Any]]:
    """Yields the rows by key, a query a chunk: a slow reader holds no cursor and no snapshot open."""
    ordered = rows.order_by("-pk")
    part = list(ordered[:ROWS_A_CHUNK])
    while part:
        yield part
        part = list(ordered.filter(pk__lt=part[-1].pk)[:ROWS_A_CHUNK]) if len(part) == ROWS_A_CHUNK else []
