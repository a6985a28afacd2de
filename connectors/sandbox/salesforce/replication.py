"""getUpdated and getDeleted: the ids that changed or went in a window of time."""

from __future__ import annotations

from datetime import datetime, timedelta

from connectors.sandbox.salesforce.calls import Answer, Call, method_not_allowed
from connectors.sandbox.salesforce.records import Records
from connectors.sandbox.salesforce.refusal import Refused, bad_parameter
from connectors.sandbox.salesforce.schema import SObject
from connectors.sandbox.salesforce.table import Row
from connectors.sandbox.salesforce.values import read_instant, show_instant

DAYS_BACK = {"updated": 30, "deleted": 15}


def answer(records: Records, call: Call, object_: SObject) -> Answer:
    """Answers `/sobjects/Contact/updated/` and `/deleted/`. Raises Refused."""
    if not call.reads:
        raise method_not_allowed(call, "HEAD", "GET")
    kind = call.parts[2]
    start, end = (_minute(call, name) for name in ("start", "end"))
    if end - start < timedelta(minutes=1):
        raise _bad_date("endDate must be at least one minute greater than startDate")
    if start < (records.now() - timedelta(days=DAYS_BACK[kind])).replace(second=0, microsecond=0):
        raise _bad_date(f"startDate cannot be more than {DAYS_BACK[kind]} days ago")
    window = show_instant(start), show_instant(end)
    covered = min(window[1], records.stamp(), records.open_since() or window[1])
    if kind == "updated":
        ids = [row["Id"] for row in _rows(records, object_, window, call.writer.user, is_deleted=False)]
        return Answer(200, {"ids": ids, "latestDateCovered": covered})
    earliest = records.stamp(-records.switches.deleted_log_days * 86400)
    gone = _rows(records, object_, (max(window[0], earliest), window[1]), call.writer.user, is_deleted=True)
    shown = [{"id": row["Id"], "deletedDate": row["SystemModstamp"]} for row in gone]
    return Answer(200, {"deletedRecords": shown, "earliestDateAvailable": earliest, "latestDateCovered": covered})


def _rows(records: Records, object_: SObject, window: tuple[str, str], user: str, *, is_deleted: bool) -> list[Row]:
    """Returns the rows whose SystemModstamp lies in a window, as this user sees them."""
    view, table = records.view(user), records.tables[object_.name]
    candidates = [id_ for _, id_ in table.changed_since(window[0])]
    rows = (view.row(object_.name, id_) for id_ in dict.fromkeys([*candidates, *table.open_ids(view.now)]))
    return [r for r in rows if r and window[0] <= r["SystemModstamp"] < window[1] and bool(r.get("IsDeleted")) == is_deleted]


def _minute(call: Call, name: str) -> datetime:
    """Returns an end of the window; its seconds are cut off. Raises Refused."""
    text = call.parameters.get(name)
    at = read_instant(text) if text else None
    if at is None:
        raise bad_parameter(f"{name} must be a date and time such as 2026-11-01T00:00:00+00:00")
    return at.replace(second=0, microsecond=0)


def _bad_date(sentence: str) -> Refused:
    return Refused(400, "INVALID_REPLICATION_DATE", sentence)
