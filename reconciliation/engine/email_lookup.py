"""What the CRM holds of e-mails already: asked by their Message-IDs, two hundred a call; of tasks by our key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from connectors.contract import Record, Ref
from reconciliation.engine.context import RunContext
from reconciliation.passes.emails import CRM_EMAIL, CRM_TASK, MAIL, identifier_of
from reconciliation.passes.pairs import marker_of

IDENTIFIER = "MessageIdentifier"


def in_crm(context: RunContext, mails: Mapping[str, Record]) -> dict[str, Record]:
    """Returns what the CRM holds of these e-mails, by key. Tasks are asked for only where our database may have forgotten some:
    they are made under their key, so that none is made twice. Raises ConnectionTrouble."""
    if context.terms.object_type == CRM_TASK:
        return tasks_of(context, list(mails), since=context.terms.begins_at) if context.terms.is_restored else {}
    return emails_of(context, {key: identifier_of(mail, key) for key, mail in mails.items()})


def emails_of(context: RunContext, identifiers: Mapping[str, str]) -> dict[str, Record]:
    """Returns the e-mails that bear these Message-IDs, by key: a sent one before a draft, and a living one before a deleted one."""
    found: dict[str, list[Record]] = {}
    for record in context.crm.connector.emails_with(list(identifiers.values())):
        found.setdefault(str(record.fields.get(IDENTIFIER)), []).append(record)
    return {key: min(same, key=lambda r: _order(context, r)) for key, name in identifiers.items() if (same := found.get(name))}


def _order(context: RunContext, record: Record) -> tuple[bool, bool, str]:
    return record.is_deleted, context.crm.connector.is_draft(record), record.ref.id


def is_draft(context: RunContext, record: Record) -> bool:
    """Tells whether an e-mail was begun and not finished."""
    return record.ref.object_type == CRM_EMAIL and not record.is_deleted and context.crm.connector.is_draft(record)


def tasks_of(context: RunContext, keys: Sequence[str], *, since: datetime) -> dict[str, Record]:
    """Returns the tasks that were made for these e-mails, by key; nothing where tasks bear no key of ours."""
    connector = context.crm.connector
    field = connector.marker_field_of(CRM_TASK)
    if not field or not keys:
        return {}
    wanted = {marker_of(context.terms.database, Ref("mail", MAIL, key)): key for key in keys}
    marked = connector.find_marked(CRM_TASK, list(wanted), [], since=since)
    by_life = sorted(marked, key=lambda r: r.is_deleted, reverse=True)
    return {wanted[marker]: record for record in by_life if (marker := str(record.fields.get(field))) in wanted}
