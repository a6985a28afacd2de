"""Users of the CRM among whom staff choose the one that a mailbox belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.contract import Record
from connectors.errors import ConnectorError
from reconciliation.core.mailbox_people import EMAIL, IS_ACTIVE, NAME, USER_COLUMNS
from reconciliation.engine.pair_reads import CRM_USER
from reconciliation.engine.wiring import Wiring
from reconciliation.services.crm_users import crm_of_mailboxes, users_by_id


@dataclass(frozen=True, slots=True)
class CrmUser:
    """One user of the CRM as a page shows them."""

    id: str
    name: str
    email: str
    is_active: bool


def users_for(text: str, wiring: Wiring | None = None) -> tuple[list[CrmUser], str]:
    """Returns the users with this e-mail address, name or id, active ones first, and why there are none where the CRM could not
    be asked."""
    crm = crm_of_mailboxes()
    if crm is None or not text:
        return [], "" if crm is not None else "Salesforce is not connected yet."
    connector = (wiring or Wiring()).open_connector(crm)
    try:
        found: dict[str, Record] = {}
        if "@" not in text and text.isalnum() and len(text) in (15, 18):
            found = users_by_id(connector, [text])
        for record in connector.find(CRM_USER, EMAIL if "@" in text else NAME, [text], USER_COLUMNS):
            found[record.ref.id] = record
    except ConnectorError as error:
        return [], f"{error.sentence}. {error.remedy}"
    finally:
        connector.close()
    return sorted(map(_user, found.values()), key=lambda u: (not u.is_active, u.name.casefold())), ""


def _user(record: Record) -> CrmUser:
    said = record.fields
    return CrmUser(record.ref.id, str(said.get(NAME) or ""), str(said.get(EMAIL) or ""), said.get(IS_ACTIVE) is True)
