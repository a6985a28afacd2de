"""Rotation of FIELD_KEYS: every stored secret written anew with the first key, so that the others can be removed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.apps import apps
from django.db import models
from django.db.models import F, TextField, Value
from django.db.models.functions import Cast

from reconciliation.models.encrypted import EncryptedJSONField, is_current, rewritten
from reconciliation.services.audit import audit

TRIES = 5  # a token may be refreshed while its row is written


@dataclass(slots=True)
class Rotated:
    """What a rotation came to. `unreadable` names the rows that no key of FIELD_KEYS opens."""

    rewritten: int = 0
    current: int = 0
    unreadable: list[str] = field(default_factory=list)


def encrypted_columns() -> Iterator[tuple[type[models.Model], str]]:
    """Every encrypted column of every model: a new one is rotated without being named anywhere."""
    for model in apps.get_models():
        for column in model._meta.local_fields:
            if isinstance(column, EncryptedJSONField):
                yield model, column.name


def keys_rotate(*, check_only: bool = False) -> Rotated:
    """Rewrites, row by row and each on its own, what the first key did not write; stopped half-way it goes on the next
    time. With `check_only` nothing is written and `rewritten` counts what would be. Safe while passes run: a row that
    changed between reading and writing is read again."""
    done = Rotated()
    for model, column in encrypted_columns():
        rows = model._base_manager.annotate(token=Cast(F(column), TextField())).exclude(token="").order_by("pk")
        for pk in list(rows.values_list("pk", flat=True)):
            _rotate_row(rows, pk, column, done, name=f"{model._meta.verbose_name} {pk}", check_only=check_only)
    if not check_only and (done.rewritten or done.unreadable):
        audit(None, "rotate keys", "FIELD_KEYS", rewritten=done.rewritten, current=done.current, unreadable=done.unreadable)
    return done


def _rotate_row(rows: models.QuerySet, pk: object, column: str, done: Rotated, *, name: str, check_only: bool) -> None:
    for _ in range(TRIES):
        token = rows.filter(pk=pk).values_list("token", flat=True).first()
        if not token:
            return  # removed meanwhile
        if is_current(token):
            done.current += 1
            return
        fresh = rewritten(token)
        if fresh is None:
            done.unreadable.append(name)
            return
        if check_only or rows.filter(pk=pk, token=token).update(**{column: Value(fresh, output_field=TextField())}):
            done.rewritten += 1
            return
    done.unreadable.append(f"{name} (changed each time; run it again)")
