"""Contact roles of opportunities: which follow from an opportunity that is created for a contact, and which is the primary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.sandbox.salesforce.table import Row

if TYPE_CHECKING:
    from connectors.sandbox.salesforce.records import Records, Writer

ROLE = "OpportunityContactRole"


def opportunity_saved(records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Gives a new opportunity the primary role of the contact that it is created with."""
    if before is None and row.get("ContactId"):
        records.add(ROLE, {"OpportunityId": row["Id"], "ContactId": row["ContactId"], "IsPrimary": True}, writer)


def saved(records: Records, row: Row, before: Row | None, changes: Row, writer: Writer) -> None:
    """Leaves an opportunity one primary role: the last that was made it."""
    if row.get("IsPrimary") and "IsPrimary" in changes:
        for other in records.children(ROLE, "OpportunityId", row["OpportunityId"]):
            if other["Id"] != row["Id"] and other.get("IsPrimary"):
                records.touch(ROLE, other["Id"], {"IsPrimary": False}, writer)
