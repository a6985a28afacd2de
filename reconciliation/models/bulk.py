"""Inserts and updates of many rows. Django's own builds an expression per field and row, which costs several times as
much as the database; here each column's adapter is looked up once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from django.db import connection, models

Adapt = Callable[[Any], Any]
ROWS_A_STATEMENT = 100


PLAIN = (models.CharField, models.TextField, models.IntegerField, models.BigIntegerField, models.PositiveIntegerField)
PLAIN += (models.PositiveSmallIntegerField, models.BooleanField, models.ForeignKey)


def _adapter(field: models.Field) -> Adapt | None:
    """Returns what turns a value of this field into one the driver takes; None when it takes it as it is."""
    if isinstance(field, models.JSONField):
        return _json(field)
    if isinstance(field, models.DateTimeField):
        return cache(connection.ops.adapt_datetimefield_value)  # the rows of a batch share their instants
    return None if type(field) in PLAIN else _slow(field)  # a class of our own may do more


def _json(field: models.JSONField) -> Adapt:
    """Most JSON columns of a batch are empty: those are adapted once."""
    empty = connection.ops.adapt_json_value({}, field.encoder)
    return lambda value: empty if value == {} else connection.ops.adapt_json_value(value, field.encoder)


def _slow(field: models.Field) -> Adapt:
    return lambda value: field.get_db_prep_save(value, connection)


def _values(rows: Sequence[models.Model], fields: Sequence[models.Field]) -> list[list[Any]]:
    columns = [(field.attname, _adapter(field)) for field in fields]
    return [[getattr(row, name) if adapt is None else adapt(getattr(row, name)) for name, adapt in columns] for row in rows]


def update_rows(rows: Sequence[models.Model], names: Sequence[str]) -> None:
    """Writes these fields of the rows as they stand in memory."""
    if not rows:
        return
    meta = type(rows[0])._meta
    quote = connection.ops.quote_name
    fields = [*(meta.get_field(name) for name in names), meta.pk]
    columns = ", ".join(f"{quote(field.column)} = %s" for field in fields[:-1])
    sql = f"UPDATE {quote(meta.db_table)} SET {columns} WHERE {quote(meta.pk.column)} = %s"
    with connection.cursor() as cursor:
        cursor.executemany(sql, _values(rows, fields))


def insert_rows(rows: Sequence[models.Model], *, unique: Sequence[str] = (), update: Sequence[str] = ()) -> None:
    """Inserts the rows and gives them their keys. With `unique`, a row that is there already gets the fields in
    `update` instead (its key is given too). No key may occur twice in `rows`. Raises IntegrityError."""
    if not rows:
        return
    meta = type(rows[0])._meta
    quote = connection.ops.quote_name
    fields = [field for field in meta.concrete_fields if not field.primary_key]
    head = f"INSERT INTO {quote(meta.db_table)} ({', '.join(quote(f.column) for f in fields)}) VALUES "
    tail = f" RETURNING {quote(meta.pk.column)}"
    if unique:
        keys = ", ".join(quote(meta.get_field(name).column) for name in unique)
        changed = (quote(meta.get_field(name).column) for name in update)
        tail = f" ON CONFLICT ({keys}) DO UPDATE SET {', '.join(f'{c} = EXCLUDED.{c}' for c in changed)}{tail}"
    one = f"({', '.join(['%s'] * len(fields))})"
    with connection.cursor() as cursor:
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            part = rows[start : start + ROWS_A_STATEMENT]
            parameters = [value for values in _values(part, fields) for value in values]
            cursor.execute(head + ", ".join([one] * len(part)) + tail, parameters)
            for row, (key,) in zip(part, cursor.fetchall(), strict=True):
                row.pk = key
                row._state.adding, row._state.db = False, connection.alias
