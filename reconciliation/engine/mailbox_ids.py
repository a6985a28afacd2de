"""What is known of an item whose id changed (at Google with an edit of its address, at Exchange with a move) follows to the new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Model, QuerySet

from reconciliation.engine import pair_reads
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding, Case, LookAgain, MailboxItem, RememberedPair


def follow(context: RunContext, renamed: Mapping[str, str]) -> None:
    """Lets links, answers of people, open cases and what is owed a look follow; `renamed` is old id -> new. Where two linked
    items became one, the second link stays behind: its item is not there any more, and the rules for deletions say what becomes
    of it."""
    if not renamed:
        return
    _links(context, renamed)
    _rows(RememberedPair.objects.filter(sync_pass=context.sync_pass), "peer_id", ("crm_id",), renamed)
    _rows(Case.objects.filter(sync_pass=context.sync_pass, state=Case.State.OPEN), "peer_id", ("kind", "crm_id"), renamed)
    _rows(MailboxItem.objects.filter(sync_pass=context.sync_pass), "item_id", (), renamed)
    _rows(LookAgain.objects.filter(sync_pass=context.sync_pass, side="peer"), "record_id", ("object_type",), renamed)


def _links(context: RunContext, renamed: Mapping[str, str]) -> None:
    rows = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False)
    taken = set(pair_reads.holders(context, "peer", renamed.values()))
    for old, new in renamed.items():
        if new not in taken and rows.filter(peer_id=old).update(peer_id=new):
            taken.add(new)


def _rows(rows: QuerySet[Any], column: str, unique: tuple[str, ...], renamed: Mapping[str, str]) -> None:
    """Lets these rows bear the new id, where none with the same `unique` columns bears it already."""

    def key(row: Model, id_: str) -> tuple[str, ...]:
        return (id_, *(str(getattr(row, name)) for name in unique))

    moving = list(rows.filter(**{f"{column}__in": list(renamed)}))
    taken = {key(row, getattr(row, column)) for row in rows.filter(**{f"{column}__in": list(renamed.values())})} if moving else set()
    for row in moving:
        new = renamed[getattr(row, column)]
        if key(row, new) not in taken:
            taken.add(key(row, new))
            rows.filter(pk=row.pk).update(**{column: new})
