"""Conditions as Workbooks filters: numbered tests (`_ff`, `_ft`, `_fc`) and an expression over the numbers (`_fm`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from connectors.contract import All, AnyOf, Condition, Op, Position, Test, Value
from connectors.workbooks.codec import DATETIME_FORMAT

Pairs = list[tuple[str, str]]
_OPERATORS = {Op.EQ: "eq", Op.IN: "eq", Op.GE: "ge", Op.GT: "gt", Op.LT: "lt", Op.TRUE: "true", Op.FALSE: "false", Op.BLANK: "blank"}


def escape(text: str) -> str:
    """Returns the text as one member of a comma list: `eq` with commas means IN, a literal comma is escaped."""
    return text.replace("\\", "\\\\").replace(",", "\\,")


def _criterion(op: Op, value: Value) -> str:
    if op in (Op.TRUE, Op.FALSE, Op.BLANK):
        return "true"  # must be present, is ignored
    if op is Op.IN:
        return ",".join(escape(str(v)) for v in (value if isinstance(value, tuple) else (value,)))
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(DATETIME_FORMAT)
    return escape(str(value)) if op is Op.EQ else str(value)


class Filters:
    """Collects tests and gives each its number."""

    def __init__(self) -> None:
        self.pairs: Pairs = []
        self._count = 0

    def expression(self, condition: Condition) -> str:
        """Returns the `_fm` expression of the condition, adding its tests."""
        if isinstance(condition, Test):
            self._count += 1
            self.pairs += [
                ("_ff[]", condition.field),
                ("_ft[]", _OPERATORS[condition.op]),
                ("_fc[]", _criterion(condition.op, condition.value)),
            ]
            return str(self._count)
        word = " AND " if isinstance(condition, All) else " OR "
        return "(" + word.join(self.expression(part) for part in condition.parts) + ")"


def after(position: Position) -> Condition:
    """Returns what comes after a position, sorted by (updated_at, id)."""
    same = All((Test("updated_at", Op.EQ, position.updated_at), Test("id", Op.GT, position.id)))
    return AnyOf((Test("updated_at", Op.GT, position.updated_at), same))


def sweep_condition(
    where: Condition, position: Position | None, before: datetime | None, include_deleted_since: datetime | None
) -> Condition:
    """Returns the condition of one page of a sweep. Deleted rows are hidden unless the filter mentions `is_deleted`."""
    base = where
    if include_deleted_since is not None:
        live = All((where, Test("is_deleted", Op.FALSE)))
        gone = All((Test("is_deleted", Op.TRUE), Test("updated_at", Op.GE, include_deleted_since)))
        base = AnyOf((live, gone))
    parts: list[Condition] = [base]
    if position is not None:
        parts.append(after(position))
    if before is not None:
        parts.append(Test("updated_at", Op.LT, before))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def list_pairs(condition: Condition | None, columns: Sequence[str], sort: Sequence[str], limit: int) -> Pairs:
    """Returns the parameters of one list read; `_limit` counts only beside `_start`."""
    pairs: Pairs = [("_start", "0"), ("_limit", str(limit)), ("__skip_total_rows", "true")]
    for column in sort:
        pairs += [("_sort[]", column), ("_dir[]", "ASC")]
    if condition is not None:
        filters = Filters()
        expression = filters.expression(condition)
        pairs += [("_fm", expression), *filters.pairs]
    return pairs + [("_select_columns[]", column) for column in columns]
