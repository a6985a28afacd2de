"""Which organisations a pass takes: seed 000's condition table, once as a question to Workbooks and once as an answer.

Note under the table: (1 and 2 and 3) and (4 or 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connectors.contract import All, AnyOf, Condition, Fields, Op, Test, Value
from reconciliation.core.values import is_blank

SHOWN = "%Y-%m-%d %H:%M:%S UTC"


@dataclass(frozen=True, slots=True)
class PluginColumns:
    """The custom columns the Workbooks plugin adds, as this database names them (S0.9-S0.12, D34)."""

    sync: str
    error: str
    duplicate: str
    peer_id: str
    peer_url: str
    error_text: str = ""
    error_text_is_checkbox: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        known = (self.sync, self.error, self.duplicate, self.peer_id, self.peer_url)
        return (*known, self.error_text) if self.error_text else known

    def error_set(self, sentence: str) -> dict[str, Value]:
        """Returns what an organisation holds of its error: the flag, and *Outreach Error* where it exists, a checkbox or
        the reason in one sentence (D34)."""
        said: Value = True if self.error_text_is_checkbox else sentence[:255]
        return {self.error: True, **({self.error_text: said} if self.error_text else {})}

    def error_cleared(self) -> dict[str, Value]:
        """Returns what takes both back."""
        return {self.error: False, **({self.error_text: False if self.error_text_is_checkbox else None} if self.error_text else {})}


@dataclass(frozen=True, slots=True)
class ConditionValue:
    """One row of the condition table with the value a record has there, for the why page."""

    number: int
    title: str
    holds: bool
    value: str


def switched_on(columns: PluginColumns) -> tuple[Test, Test, Test]:
    """Returns conditions 1 to 3."""
    return (Test(columns.sync, Op.TRUE), Test(columns.error, Op.FALSE), Test(columns.duplicate, Op.FALSE))


def selection(columns: PluginColumns, last_run_time: datetime | None) -> Condition:
    """Returns S0.14 as data that travels with the request; without `last_run_time` only conditions 1 to 3 (`--full`)."""
    if last_run_time is None:
        return All(switched_on(columns))
    fresh = AnyOf((Test(columns.peer_id, Op.BLANK), Test("updated_at", Op.GE, last_run_time)))
    return All((*switched_on(columns), fresh))


def pilot_selection(columns: PluginColumns, ids: tuple[str, ...]) -> Condition:
    """Returns what a pilot reads: these organisations, or all that are new; conditions 1 to 3 hold for both."""
    which = Test("id", Op.IN, ids) if ids else Test(columns.peer_id, Op.BLANK)
    return All((*switched_on(columns), which))


def explain(
    columns: PluginColumns, fields: Fields, updated_at: datetime | None, last_run_time: datetime | None
) -> tuple[ConditionValue, ...]:
    """Returns the five conditions with their values. `last_run_time` is a whole second, inclusive (S0.13)."""
    peer_id = fields.get(columns.peer_id)
    changed = f"{updated_at:{SHOWN}}" if updated_at else ""
    is_fresh = last_run_time is None or (updated_at is not None and updated_at >= last_run_time)
    return (
        ConditionValue(1, "Sync to Outreach is TRUE", bool(fields.get(columns.sync)), str(bool(fields.get(columns.sync))).upper()),
        ConditionValue(2, "Outreach Sync Error is FALSE", not fields.get(columns.error), str(bool(fields.get(columns.error))).upper()),
        ConditionValue(
            3, "Outreach Duplicate is FALSE", not fields.get(columns.duplicate), str(bool(fields.get(columns.duplicate))).upper()
        ),
        ConditionValue(4, "Outreach Id is blank", is_blank(peer_id), "" if is_blank(peer_id) else str(peer_id)),
        ConditionValue(5, f"Updated At is at or after Last Run Time{_when(last_run_time)}", is_fresh, changed),
    )


def _when(at: datetime | None) -> str:
    return f" ({at:{SHOWN}})" if at else " (everything is compared)"


def is_selected(conditions: tuple[ConditionValue, ...]) -> bool:
    """Tells whether S0.14 holds: 1 and 2 and 3 and (4 or 5)."""
    one, two, three, four, five = (c.holds for c in conditions)
    return one and two and three and (four or five)
