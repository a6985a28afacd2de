"""Outreach collection queries: lists of values under `newFilterSyntax`, cut at 50 values or 6,000 bytes of address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from connectors.contract import All, Condition, Op, Test
from connectors.outreach.codec import RELATIONSHIPS, write_instant

VALUES_A_CALL = 50
IDS_A_CALL = 1000
ADDRESS_BYTES = 6000
Pairs = list[tuple[str, str]]


def chunks(values: Sequence[str], *, most: int, overhead: int) -> Iterator[list[str]]:
    """Yields the values in groups that fit one address; `overhead` is what each value costs besides itself."""
    part: list[str] = []
    size = 0
    for value in values:
        cost = len(quote(value, safe="")) + overhead
        if part and (len(part) >= most or size + cost > ADDRESS_BYTES):
            yield part
            part, size = [], 0
        part.append(value)
        size += cost
    if part:
        yield part


def sparse(object_type: str, columns: Sequence[str]) -> Pairs:
    """Returns `fields[type]`; relationships are fields there too. `updatedAt` is our version and always comes."""
    return [(f"fields[{object_type}]", ",".join(dict.fromkeys([*columns, "updatedAt"])))]


def is_relationship(object_type: str, name: str) -> bool:
    return name in RELATIONSHIPS[object_type]


def condition_pairs(condition: Condition) -> Pairs:
    """Returns filters for a condition of comparisons joined by AND; that is all Outreach can say. Raises ValueError."""
    if isinstance(condition, All):
        return [pair for part in condition.parts for pair in condition_pairs(part)]
    if not isinstance(condition, Test):
        raise ValueError("Outreach filters know no OR")
    name, value = condition.field.replace(".", "]["), condition.value  # "account.id" asks by relationship
    if condition.op is Op.GE:
        return [] if value is None else [(f"filter[{name}][gte]", write_instant(value) if hasattr(value, "tzinfo") else str(value))]  # type: ignore[arg-type]
    if condition.op is Op.EQ:
        return [(f"filter[{name}][]", str(value))]
    if condition.op is Op.IN and isinstance(value, tuple):
        return [(f"filter[{name}][]", str(v)) for v in value]
    raise ValueError(f"Outreach filters know no {condition.op}")
