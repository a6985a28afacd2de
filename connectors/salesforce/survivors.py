"""What became of records: what they were merged into or converted to, followed to the end. The connector reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from connectors.contract import Fate, Record, Ref, Survivor
from connectors.salesforce.codec import SYSTEM, full_id

MERGES = 10  # one after the other; more are a circle
Find = Callable[[str, list[str]], list[Record]]


def survivors(find: Find, object_type: str, ids: Sequence[str]) -> dict[str, Survivor]:
    """Returns what stands for each record now, by the id that was asked for. `find` reads records of a type by their ids,
    deleted ones among them."""
    known: dict[Ref, Record | None] = {}
    asked = {id_: Ref(SYSTEM, object_type, full) for id_ in ids if (full := full_id(id_)) is not None}
    waiting = set(asked.values())
    for _ in range(MERGES):
        waiting -= known.keys()
        if not waiting:
            break
        for kind in {ref.object_type for ref in waiting}:
            some = [ref for ref in waiting if ref.object_type == kind]
            found = {record.ref: record for record in find(kind, [r.id for r in some])}
            known |= {ref: found.get(ref) for ref in some}
        waiting = {record.succeeded_by for record in known.values() if record is not None and record.succeeded_by is not None}
    return {id_: _survivor(asked.get(id_), known) for id_ in ids}


def _survivor(ref: Ref | None, known: Mapping[Ref, Record | None]) -> Survivor:
    """Returns the living record at the end of a chain of merges and conversions."""
    first = known.get(ref) if ref is not None else None
    if ref is None or first is None:
        return Survivor(Fate.UNKNOWN)
    fate = Fate.DELETED if first.is_deleted else Fate.LIVING
    if first.succeeded_by is not None:
        fate = Fate.MERGED if first.succeeded_by.object_type == ref.object_type else Fate.CONVERTED
    seen: set[Ref] = set()
    at: Ref | None = ref
    while at is not None and at not in seen:
        seen.add(at)
        record = known.get(at)
        if record is None:
            return Survivor(fate)
        if record.succeeded_by is None:
            return Survivor(fate, None if record.is_deleted else at)
        at = record.succeeded_by
    return Survivor(fate)
