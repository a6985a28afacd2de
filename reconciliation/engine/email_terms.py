"""What holds for a run that saves e-mails of one mailbox: the mailbox's settings, its threads, and what the CRM takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from connectors.errors import ConnectorError
from reconciliation.core.mailbox_settings import Effective
from reconciliation.engine.context import RunContext
from reconciliation.engine.executor import Side
from reconciliation.engine.linking_terms import rules_of
from reconciliation.engine.mailbox_terms import effective_of
from reconciliation.engine.pair_terms import database_of
from reconciliation.engine.wiring import Wiring
from reconciliation.models import MailThread, SyncPass
from reconciliation.passes.emails import CRM_EMAIL, CRM_TASK, LONGEST, EmailTerms

TAKES = "emails"  # in the settings of the pass over all mailboxes: what the CRM was found to take
SHARES_FROM = "shares_from"  # in those of one mailbox: since when everything is shared by itself
FOLDER_ID, CATEGORY_MADE = "folder_id", "category"
DESCRIBED_EVERY = timedelta(days=1)
CRM_USER = "User"
NOT_THERE = (400, 403, 404)  # how an object is refused that the organisation has not, or that our user may not see


@dataclass(frozen=True, slots=True)
class Takes:
    """What the CRM makes of e-mails: e-mails, or tasks where Enhanced Email is off, how long its fields are, and whether they take our
    key. `said_at`: when it said so."""

    object_type: str = CRM_EMAIL
    longest: Mapping[str, int] | None = None
    has_key: bool = True
    said_at: datetime | None = None


def terms_of(sync_pass: SyncPass, crm: Side, peer: Side, wiring: Wiring) -> EmailTerms:
    """Returns the terms as they stand now. Of the pass as a whole, which no run goes over, they are those of no mailbox."""
    mailbox, now = sync_pass.mailbox, wiring.now()
    takes = takes_of(sync_pass)
    terms = EmailTerms(
        begins_at=begins_at(sync_pass, now),
        database=database_of(crm.connection),
        address=mailbox.address if mailbox is not None else "",
        crm_name=crm.connection.get_system_display(),
        object_type=takes.object_type,
        longest=takes.longest or {},
        is_restored=sync_pass.restored_at is not None,
    )
    if mailbox is None:
        return terms
    held = effective_of(sync_pass, mailbox)
    status_of = getattr(crm.connector, "email_status", None)
    statuses = (status_of(is_outgoing=False), status_of(is_outgoing=True)) if status_of is not None else terms.statuses
    return replace(
        terms,
        user_id=mailbox.crm_user_id,
        rules=rules_of(mailbox),
        shares_all_from=shares_all_from(sync_pass, held, now),
        direction=held["email_direction"].value,
        threads=dict(MailThread.objects.filter(mailbox=mailbox).values_list("thread", "chosen_at")),
        private=held["private_emails"].value,
        bodies=held["email_bodies"].value,
        most_bytes=held["email_files"].value,
        statuses=statuses,
    )


def begins_at(sync_pass: SyncPass, now: datetime) -> datetime:
    """Returns since when e-mails are saved that nobody marked: the pass, and the mailbox's part of it, were switched on (D27)."""
    began = [each.switched_on_at for each in (sync_pass, sync_pass.whole)]
    return now if None in began else max(at for at in began if at is not None)


def shares_all_from(sync_pass: SyncPass, held: Mapping[str, Effective], now: datetime) -> datetime | None:
    """Returns since when every new e-mail is shared by itself, None where none is: from the first run on that finds it switched on,
    so that no earlier e-mail is shared unasked (C21)."""
    if not held["share_emails"].value:
        return None
    text = str(sync_pass.settings.get(SHARES_FROM) or "")
    return datetime.fromisoformat(text) if text else now


def note_sharing(context: RunContext) -> None:
    """Remembers since when everything is shared by itself, and forgets it where that was switched off."""
    terms, settings = context.terms, context.sync_pass.settings
    said = terms.shares_all_from.isoformat() if terms.shares_all_from is not None else ""
    if said != str(settings.get(SHARES_FROM) or ""):
        context.save_pass(settings={**{k: v for k, v in settings.items() if k != SHARES_FROM}, **({SHARES_FROM: said} if said else {})})


# --- what the CRM takes -----------------------------------------------------------------------------------------------------


def takes_of(sync_pass: SyncPass) -> Takes:
    """Returns what the CRM was found to take."""
    said: Mapping[str, Any] = sync_pass.whole.settings.get(TAKES) or {}
    at = str(said.get("said_at") or "")
    longest = {str(name): int(most) for name, most in (said.get("longest") or {}).items()}
    is_known_to_lack_it = said.get("has_key") is False
    return Takes(str(said.get("object_type") or CRM_EMAIL), longest, not is_known_to_lack_it, datetime.fromisoformat(at) if at else None)


def look_what_it_takes(context: RunContext) -> None:
    """Asks the CRM once a day, and when it refused e-mails as we make them, whether it keeps e-mails, and how long their fields are.
    The answer holds for all mailboxes. Raises ConnectionTrouble."""
    now, known = context.wiring.now(), takes_of(context.sync_pass)
    if known.said_at is not None and now - known.said_at < DESCRIBED_EVERY:
        return
    takes = _ask(context)
    said = {"object_type": takes.object_type, "longest": takes.longest, "has_key": takes.has_key, "said_at": now.isoformat()}
    _keep(context, said)
    context.renew_terms()


def ask_again(context: RunContext) -> None:
    """Has the next run ask what the CRM takes: it refused what it took so far."""
    said = context.sync_pass.whole.settings.get(TAKES)
    if said:
        _keep(context, {**said, "said_at": ""})


def _keep(context: RunContext, said: Mapping[str, Any]) -> None:
    whole = SyncPass.objects.get(pk=context.sync_pass.whole.pk)
    whole.settings = {**whole.settings, TAKES: said}
    SyncPass.objects.filter(pk=whole.pk).update(settings=whole.settings)
    context.sync_pass.whole.settings = whole.settings


def _ask(context: RunContext) -> Takes:
    for object_type in (CRM_EMAIL, CRM_TASK):
        try:
            attributes = context.crm.connector.schema(object_type).attributes
        except ConnectorError as error:
            if object_type == CRM_TASK or error.status not in NOT_THERE:
                raise
            continue
        if object_type == CRM_TASK or any(attribute.is_creatable for attribute in attributes.values()):
            lengths = {n: attributes[n].max_length for n in LONGEST[object_type] if n in attributes and attributes[n].max_length}
            return Takes(object_type, lengths, context.crm.connector.marker_field_of(object_type) in attributes)
    return Takes(CRM_TASK)


def zone_of_user(context: RunContext) -> str:
    """Returns the zone in which a task of the mailbox's user has its day."""
    found = context.crm.connector.read(CRM_USER, [context.terms.user_id], ["TimeZoneSidKey"]) if context.terms.user_id else []
    return str(found[0].fields.get("TimeZoneSidKey") or "") if found else ""
