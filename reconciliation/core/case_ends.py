"""Whether an open case was overtaken by what people did in the CRM itself (D35, engine-rules 9). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.contract import Fields, Record
from reconciliation.core.eligibility import PluginColumns
from reconciliation.core.values import is_blank, is_same


@dataclass(frozen=True, slots=True)
class CaseEnd:
    """Why a case closes by itself. `clears_flag`: its flag has to go, so that the next pass takes the record up."""

    decision: str
    sentence: str
    clears_flag: bool = False


def case_end(kind: str, record: Record | None, seen: Fields, columns: PluginColumns, *, is_flag_written: bool) -> CaseEnd | None:
    """Returns why the case is over, None while it stands. `seen` are the fields as the case holds them; `record` is the
    organisation now, None when the CRM does not show it any more.

    A flag that was cleared while *Sync to Outreach* is on is left to the pass, which selects the row and decides anew."""
    if record is None or record.is_deleted:
        return CaseEnd("deleted", "The organisation was deleted in Workbooks.")
    typed = record.fields.get(columns.peer_id)
    if kind == "duplicate" and not is_blank(typed) and not is_same(typed, seen.get(columns.peer_id)):
        return CaseEnd("id_typed", f"Outreach Id {str(typed)[:40]} was typed in Workbooks; the next pass links it.", clears_flag=True)
    flag = columns.duplicate if kind == "duplicate" else columns.error
    if is_flag_written and record.fields.get(flag) is not True and record.fields.get(columns.sync) is not True:
        return CaseEnd("flag_cleared", "The flag was cleared in Workbooks, and Sync to Outreach is off.")
    return None
