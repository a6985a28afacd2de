"""What fields are called on pages: their titles, as their systems show them, in place of the names that programs use."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.calendars import EVENT, EVENT_SCHEMA
from connectors.contract import Schema
from connectors.mailboxes import CONTACT, CONTACT_SCHEMA
from connectors.tasks import TASK, TASK_SCHEMA
from reconciliation.models import Connection, SyncPass

SCHEMAS: Mapping[str, Schema] = {CONTACT: CONTACT_SCHEMA, EVENT: EVENT_SCHEMA, TASK: TASK_SCHEMA}
OF_PASSES = {"events": EVENT, "tasks": TASK}


def crm_title(crm: Connection, object_type: str, name: str) -> str:
    """Returns the title of a field of the CRM, as its description was read last; its name where it has none."""
    attribute = (crm.schema_cache or {}).get(object_type, {}).get(name) or {}
    return str(attribute.get("title") or name)


def mail_title(name: str, object_type: str = CONTACT) -> str:
    """Returns the title of a field of a mailbox's contact, event or task, the same in every mail system."""
    schema = SCHEMAS.get(object_type)
    attribute = schema.attributes.get(name) if schema is not None else None
    return attribute.title if attribute is not None else name


def peer_title(sync_pass: SyncPass, name: str) -> str:
    """Returns what a field of the other system is called. Outreach's own names are what its users see."""
    return mail_title(name, OF_PASSES.get(sync_pass.kind, CONTACT)) if sync_pass.is_of_mailboxes else name
