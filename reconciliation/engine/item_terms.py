"""What holds for a run over the items of one mailbox, events or tasks: the terms of every two-way pass, and the mailbox's own
settings."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime, timedelta

from connectors.calendars import Window
from reconciliation.defaults.tasks import TASKS_PASS
from reconciliation.engine import pair_terms
from reconciliation.engine.executor import Side
from reconciliation.engine.mailbox_terms import effective_of
from reconciliation.engine.wiring import Wiring
from reconciliation.models import MailboxItem, SyncPass
from reconciliation.passes import events, tasks
from reconciliation.passes.items import ItemTerms
from reconciliation.passes.pairs import Kind, PairTerms

WINDOW = "window"  # in the settings of the pass: days, {back, ahead}
PEOPLE = "EventWhoIds"
DAYS_BACK, DAYS_AHEAD = 14, 61  # two weeks, two months


def terms_of(sync_pass: SyncPass, crm: Side, peer: Side, wiring: Wiring) -> ItemTerms:
    """Returns the terms as they stand now. Of the pass as a whole, which no run goes over, they are those of no mailbox."""
    base = pair_terms.terms_of(sync_pass, crm, peer, wiring)
    common = {f.name: getattr(base, f.name) for f in fields(PairTerms)} | {"kind": _kind(base, crm, peer)}
    is_tasks, mailbox, now = sync_pass.kind == TASKS_PASS, sync_pass.mailbox, wiring.now()
    rules = tasks.RULES if is_tasks else events.RULES
    if mailbox is None:
        return ItemTerms(**common, rules=rules, own=_of_tasks(sync_pass, now) if is_tasks else _of_events(sync_pass, now))
    held = effective_of(sync_pass, mailbox)
    said = {name: held[f"{'task' if is_tasks else 'event'}_{name}"].value for name in ("deletion", "removal")}
    common |= {"scope": mailbox.address, "peer_name": peer.connection.get_system_display(), "user_id": mailbox.crm_user_id, **said}
    if is_tasks:
        own = replace(_of_tasks(sync_pass, now), user_id=mailbox.crm_user_id, shares_all=held["share_tasks"].value)
        # Where there are no categories, our list shares a task: whoever takes it out of there takes it back.
        needs_mark = bool(getattr(peer.connector, "moves_change_ids", False))
        return ItemTerms(**common, rules=rules, own=own, category=tasks.CATEGORY, needs_mark=needs_mark)
    return ItemTerms(
        **common,
        rules=rules,
        own=replace(
            _of_events(sync_pass, now),
            user_id=mailbox.crm_user_id,
            shares_all=held["share_events"].value,
            private=held["private_events"].value,
            is_silent=bool(getattr(peer.connector, "is_silent", False)),
            told=asked_to_mail(sync_pass),
            own=frozenset({mailbox.address.casefold()}),
            has_categories=bool(getattr(peer.connector, "has_categories", True)),
        ),
        cancelled=held["cancelled_events"].value,
        category=events.CATEGORY,
        has_categories=bool(getattr(peer.connector, "has_categories", True)),
    )


def _of_events(sync_pass: SyncPass, now: datetime) -> events.EventTerms:
    return events.EventTerms(window_of(sync_pass, now), since_of(sync_pass, now), "")


def _of_tasks(sync_pass: SyncPass, now: datetime) -> tasks.TaskTerms:
    return tasks.TaskTerms(since_of(sync_pass, now), "", tasks.looked_from(now))


def _kind(base: PairTerms, crm: Side, peer: Side) -> Kind:
    """Returns the kind with the marker among the columns: a record of the CRM that bears one of ours was made from a mailbox. Further
    people of an event are read where the CRM is known to keep them (Shared Activities)."""
    crm_object = base.types[0].crm_object if base.types else ""
    marker_of = getattr(crm.connector, "marker_field_of", None)
    marker = marker_of(crm_object) if marker_of is not None else ""
    has_people = PEOPLE in ((crm.connection.schema_cache or {}).get(crm_object) or {})
    more = (*((marker,) if marker else ()), *((PEOPLE,) if has_people else ()))
    columns = {**base.kind.columns, crm_object: (*base.kind.columns.get(crm_object, events.OF_OTHER_OBJECTS), *more)}
    born_with = base.kind.born_with if getattr(peer.connector, "has_categories", True) else {}
    return replace(base.kind, columns=columns, born_with=born_with)


def window_of(sync_pass: SyncPass, now: datetime) -> Window:
    """Returns the days that are looked at. It moves once a day: each move compares the calendar as a whole."""
    today, (back, ahead) = now.replace(hour=0, minute=0, second=0, microsecond=0), days_of(sync_pass.whole)
    return Window(today - timedelta(days=back), today + timedelta(days=ahead))


def days_of(whole: SyncPass) -> tuple[int, int]:
    """Returns how many days are looked at, before today and ahead."""
    said = whole.settings.get(WINDOW) or {}
    back, ahead = (said.get(name) for name in ("back", "ahead"))
    return (back if isinstance(back, int) else DAYS_BACK, ahead if isinstance(ahead, int) else DAYS_AHEAD)


def since_of(sync_pass: SyncPass, now: datetime) -> datetime:
    """Returns since when new items go across by themselves: the pass, and the mailbox's part of it, were switched on."""
    began = [p.switched_on_at for p in (sync_pass, sync_pass.whole)]
    return now if None in began else max(filter(None, began))


def asked_to_mail(sync_pass: SyncPass) -> frozenset[str]:
    """Returns the items whose guests a person wants to be mailed about a change of the CRM."""
    rows = MailboxItem.objects.filter(sync_pass=sync_pass, mails_asked_at__isnull=False)
    return frozenset(rows.values_list("item_id", flat=True))
