"""The duplicate rule of the played Salesforce: contacts and leads by e-mail, accounts by name."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.salesforce.refusal import Refused
from connectors.sandbox.salesforce.table import Row, Table

MATCHED_BY = {"Account": "Name", "Contact": "Email", "Lead": "Email"}
SENTENCE = "Use one of these records?"


def matches(table: Table, row: Row, before: Row | None) -> list[Row]:
    """Returns the other records that the rule takes for the same; none when what it goes by did not change."""
    name = MATCHED_BY.get(table.object.name, "")
    value = row.get(name)
    if value is None or (before is not None and before.get(name) == value):
        return []
    found = sorted((table.having(name, [value]) or set()) - {row["Id"]})
    return [r for r in (table.rows[i] for i in found) if not r.get("IsDeleted") and not r.get("IsConverted")]


def refusal(table: Table, found: list[Row], *, may_save: bool, key: str, has_details: bool, root: str) -> Refused:
    """Returns the refusal that shows the matches. `key` is how this release spells duplicateResult; `root` is
    `/services/data/v67.0`."""
    name = table.object.name
    match_result = {
        "entityType": name,
        "errors": [],
        "matchEngine": "ExactMatchEngine",
        "matchRecords": [_match_record(table, row, has_details, root) for row in found],
        "rule": f"Standard_{name}_Match_Rule_v1_1",
        "size": len(found),
        "success": True,
    }
    result = {
        "allowSave": may_save,
        "duplicateRule": f"Standard_{name}_Duplicate_Rule",
        "duplicateRuleEntityType": name,
        "errorMessage": SENTENCE,
        "matchResults": [match_result],
    }
    return Refused(400, "DUPLICATES_DETECTED", SENTENCE, extra={key: result})


def _match_record(table: Table, row: Row, has_details: bool, root: str) -> dict[str, Any]:
    name = table.object.name
    record: dict[str, Any] = {"attributes": {"type": name, "url": f"{root}/sobjects/{name}/{row['Id']}"}, "Id": row["Id"]}
    if has_details:
        record.update({n: row.get(n) for n in ("Name", MATCHED_BY[name])})
    return {"additionalInformation": [], "fieldDiffs": [], "matchConfidence": 100.0, "record": record}
