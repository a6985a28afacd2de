"""What fields are called on pages: their titles, as their systems show them, in place of the names that programs use."""

from __future__ import annotations

from connectors.mailboxes import CONTACT_SCHEMA
from reconciliation.models import Connection, SyncPass


def crm_title(crm: Connection, object_type: str, name: str) -> str:
    """Returns the title of a field of the CRM, as its description was read last; its name where it has none."""
    attribute = (crm.schema_cache or {}).get(object_type, {}).get(name) or {}
    return str(attribute.get("title") or name)


def mail_title(name: str) -> str:
    """Returns the title of a field of a mailbox's contact, the same in every mail system."""
    attribute = CONTACT_SCHEMA.attributes.get(name)
    return attribute.title if attribute is not None else name


def peer_title(sync_pass: SyncPass, name: str) -> str:
    """Returns what a field of the other system is called. Outreach's own names are what its users see."""
    return mail_title(name) if sync_pass.is_of_mailboxes else name
