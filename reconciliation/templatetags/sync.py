"""How pages write things: times relative with the exact one on hover, values of any type, blanks as blanks."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.timesince import timesince

from connectors.contract import Ref
from connectors.when import read_when
from reconciliation.core.counting import counted
from reconciliation.core.values import isolated
from reconciliation.field_titles import mail_title

register = template.Library()
LONGEST = 300


@register.simple_tag
def when(at: datetime | None) -> str:
    """Returns "4 minutes ago", with the exact time and zone for hover and screen readers."""
    if at is None:
        return format_html('<span class="quiet">{}</span>', "never")
    now = timezone.now()
    exact = date_format(timezone.localtime(at), "Y-m-d H:i:s T")
    if abs((now - at).total_seconds()) < 60:
        words = "just now"
    elif at <= now:
        words = f"{timesince(at, now, depth=1)} ago"
    else:
        words = f"in {timesince(now, at, depth=1)}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, words)


@register.simple_tag
def day(at: datetime | None, until: datetime | None = None) -> str:
    """Returns when an event takes place: "Tue 1 Dec 2026, 10:00", or its days where it lasts whole ones; with the zone on hover."""
    if at is None:
        return format_html('<span class="quiet">{}</span>', "no time")
    is_whole = at.astimezone(UTC).time() == time() and (until is None or until.astimezone(UTC).time() == time())
    if is_whole:  # whole days are dates: the same in every zone
        last = until.astimezone(UTC) - timedelta(days=1) if until is not None else at
        words = [date_format(it.astimezone(UTC), "D j M Y") for it in ((at, last) if last > at else (at,))]
        return format_html('<time class="day" datetime="{}">{}</time>', f"{at.astimezone(UTC):%Y-%m-%d}", " to ".join(words))
    start, end = timezone.localtime(at), timezone.localtime(until) if until is not None else None
    words = date_format(start, "D j M Y, H:i")
    if end is not None:
        words = f"{words} to {date_format(end, 'H:i' if end.date() == start.date() else 'D j M Y, H:i')}"
    return format_html('<time class="day" datetime="{}" title="{}">{}</time>', at.isoformat(), date_format(start, "Y-m-d H:i:s T"), words)


SYSTEMS = {
    "workbooks": "Workbooks",
    "outreach": "Outreach",
    "salesforce": "Salesforce",
    "microsoft": "Microsoft 365",
    "google": "Google",
    "exchange": "Exchange",
}
MAIL_WORDS = {
    ("microsoft", "contactFolder"): "folder",
    ("google", "contactFolder"): "label",
    ("exchange", "contactFolder"): "folder",
    ("google", "category"): "label",
}
# What was done has no page here either: it is told by the run that carried it.
ACTIVITIES = {("outreach", "task"): "task", ("outreach", "mailing"): "mail", ("outreach", "call"): "call", ("salesforce", "Task"): "Task"}
NOUNS = {"mail": "a mail", "event": "an event", "task": "a task"}
MAIL = ("microsoft", "google", "exchange")  # an item has no page here: its id means nothing to people


@register.inclusion_tag("admin/reconciliation/includes/record.html")
def record(ref: Any, name: Any = "", url: str = "") -> dict[str, Any]:
    """One record, the same everywhere: its system, its name, its id, a link to its page here and, with `url`, to its
    page there. `ref` is a reference, or text that spells one."""
    try:
        parsed = ref if isinstance(ref, Ref) else Ref.parse(str(ref))
    except ValueError:
        return {"ref": None, "text": str(ref or ""), "name": name}
    if parsed.system == "mail":  # an e-mail by its Message-ID, in whichever mailboxes it lies
        return {"ref": None, "mail": "E-mail", "name": named(name, "without a subject"), "object_type": "of a mailbox", "url": url}
    if parsed.system in MAIL:
        return {
            "ref": None,
            "mail": SYSTEMS[parsed.system],
            "name": named(name, NOUNS.get(parsed.object_type, "a contact")),
            "object_type": MAIL_WORDS.get((parsed.system, parsed.object_type), parsed.object_type),
            "url": url,
        }
    if (parsed.system, parsed.object_type) in ACTIVITIES:
        type_ = ACTIVITIES[parsed.system, parsed.object_type]
        said = f"{type_} {parsed.id}"
        return {"ref": None, "mail": SYSTEMS[parsed.system], "name": named(name or said, parsed.id), "object_type": said, "url": url}
    if parsed.system not in SYSTEMS or not parsed.object_type.isidentifier() or not (parsed.id.isascii() and parsed.id.isalnum()):
        return {"ref": None, "text": str(parsed), "name": name}  # nothing that a page of ours could show
    return {"ref": parsed, "system": SYSTEMS.get(parsed.system, parsed.system), "name": named(name, parsed.id), "url": url}


@register.filter
def field_of(name: str, op: Any) -> str:
    """Returns what a written field is called: in a mailbox by its title, elsewhere as its system names it."""
    return mail_title(name, op.object_type) if op.connection.system in MAIL else name


@register.filter
def as_ref(text: str) -> Ref | None:
    """Returns the reference that a text spells, None where it spells none."""
    try:
        return Ref.parse(text)
    except ValueError:
        return None


@register.filter
def shown(value: Any) -> str:
    """Returns a value as people read it: yes and no, a dash for blank, words for what nobody can see, long text cut with its length."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "" or value == () or value == []:
        return "–"
    if isinstance(value, dict):
        value = next(iter(value.values()), "")
    if isinstance(value, list | tuple):
        value = ", ".join(str(v) for v in value)
    text = str(value)
    if not _is_visible(text):
        return f"({len(text)} invisible characters)" if len(text) > 1 else "(an invisible character)"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


@register.filter
def held_value(value: Any) -> str:
    """Returns a value of an event or a task as people read it: when it takes place as a time of day, all else as `shown`."""
    when_ = read_when(value)
    return day(when_.starts_at, when_.ends_at) if when_ is not None else shown(value)


def said(fields: dict[str, Any]) -> str:
    """Returns the fields of a write in one line, for files."""
    return "; ".join(f"{name}: {shown(value)}" for name, value in fields.items())


def _is_visible(text: str) -> bool:
    return any(unicodedata.category(c)[0] not in "ZC" for c in text)


@register.filter
def named(text: Any, fallback: Any = "") -> str:
    """Returns a name that can be seen and clicked: one of blanks and invisible signs only gives way to the fallback."""
    return isolated(str(text)) if _is_visible(str(text or "")) else f"(no visible name) {fallback}".rstrip()


@register.filter
def instant(text: str) -> str:
    """Returns an instant of the journal in the reader's zone."""
    try:
        at = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return str(text)
    return date_format(timezone.localtime(at), "Y-m-d H:i:s T")


REASONS = {
    "changed_meanwhile": "changed since the preview",
    "deleted": "deleted in the CRM",
    "name_match": "an account has this name",
    "id_blanked": "its Outreach Id was blanked",
    "bound_elsewhere": "its account is linked elsewhere",
    "created": "new, and made",
    "updated": "changed fields were sent",
    "linked": "linked to what was there",
    "linked_again": "linked again after a restore",
    "adopted": "our own account was found again",
    "equal": "both sides agree",
    "unmapped": "no mapped field changed",
    "echo": "our own write came back",
    "conflict": "changed on both sides",
    "same_email": "a prospect has this e-mail",
    "kept": "kept on its CRM ID",
    "several": "it may be several",
    "no_email": "no e-mail address",
    "no_name": "no name",
    "create_off": "new ones are not made",
    "type_off": "its type is not synced",
    "unlinked": "its link has ended",
    "counterpart_gone": "its counterpart was deleted",
    "merged_elsewhere": "merged into a linked record",
    "not_visible": "its CRM record cannot be seen",
    "exists": "a contact has its e-mail address",
    "asked": "an item may be this contact",
    "case_open": "waits for a person",
    "other_writer": "somebody else was writing it",
    "not_in_view": "not in the view",
    "left_view": "left the view",
    "not_readable": "the mailbox's user may not see it",
    "no_right": "the mailbox's user may not do it",
    "item_gone": "its item is not in the folder",
    "taken_out": "taken out of the folder",
    "made_again": "made again in the folder",
    "removed": "its contact was deleted",
    "deleted_here": "deleted in the mailbox, and there",
    "deleted_in_crm": "deleted on both sides",
    "deleted_out_of_view": "deleted here, out of view",
    "deletion_others": "other mailboxes hold it",
    "deletion_edited_here": "edited here since it was deleted",
    "deletion_edited_in_crm": "edited there since it was deleted",
    "kept_personal": "kept personal by staff",
    "kept_apart": "kept apart by staff",
    "twin_in_doubt": "one like it is just being made",
    "carried": "in the CRM already",
    "waits_for_link": "its prospect is linked to nobody yet",
    "person_gone": "whom it was done with is gone",
    "not_finished": "not done yet",
    "before_start": "done before the beginning",
    "no_prospect": "belongs to no prospect",
    "prospect_gone": "its prospect was deleted",
    "bounced": "bounced",
    "taken_back": "taken back by a person",
    "deleted_in_peer": "deleted in Outreach",
    "there_already": "it is there already",
    "there_before": "somebody else saved it before",
    "twin": "it lies in the mailbox several times",
    "other_mailbox": "another mailbox is saving it",
    "in_doubt": "sent, and not answered",
    "waits_for_person": "waits for a person that is being made",
    "locked": "somebody else was writing at its account",
    "draft": "a draft",
    "in_bin": "lies in Deleted Items",
    "junk": "lies in the junk folder",
    "meeting_message": "an invitation, or an answer to one",
    "private": "private or confidential",
    "not_shared": "nobody marked it",
    "before_activation": "older than the activation",
    "direction": "goes the other way",
    "automatic": "sent by a machine",
    "between_colleagues": "between colleagues",
    "blocked": "all its other parties are blocked",
    "unrelated": "nobody in it is known",
    "unreadable": "cannot be read",
    "id_too_long": "its id is too long",
    "gone": "deleted before it was saved",
}


@register.filter
def in_words(reason: str) -> str:
    """Returns a reason of a ledger or an event as people read it."""
    return REASONS.get(reason, str(reason).replace("_", " "))


LACKING = {"AccountId": "an account: it names no company, or one that matches none", "Email": "an e-mail address"}


@register.filter
def lacking(names: str | None) -> list[str]:
    """Returns what an incomplete contact lacks, in words."""
    return [LACKING.get(name, name) for name in (names or "").split(",") if name]


ALERT_WORDS = {
    "connection": "needs a person",
    "late": "late",
    "brake": "waits for approval",
    "queue": "long queue",
    "watchdog": "started again",
    "outbox": "not sent",
}


@register.filter
def alert_word(kind: str) -> str:
    """Returns the kind of an alert as a chip says it."""
    return ALERT_WORDS.get(kind, kind)


@register.filter
def minutes(seconds: int) -> str:
    """Returns an interval as people say it."""
    return counted(seconds // 60, "minute") if seconds % 60 == 0 and seconds else counted(seconds, "second")


@register.filter
def grouped(value: Any) -> str:
    """Returns a number as people read it: 20,000."""
    return f"{value:,}" if isinstance(value, int) else str(value)


FORCE_PAGES = {"prospects": "admin:prospect_sync", "accounts": "admin:account_sync"}  # of two-way passes


@register.filter
def force_address(binding: Any) -> str:
    """Returns where both sides of a link are shown with what forcing writes, "" for one of a one-way pass."""
    if binding.sync_pass.mailbox_id is not None:  # one id may stand in several mailboxes: the link itself is named
        return f"{reverse('admin:mailbox_copy', args=[binding.pk])}?force=1"
    page_name = FORCE_PAGES.get(binding.sync_pass.name)
    return f"{reverse(page_name, args=[binding.peer_id])}?force=1" if page_name else ""
