"""The steps of set-up that only mailboxes have: who is synced, with what switched on, and the first look at what a mailbox
would get. Read by `setup_steps`; every state is computed from what is there."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, Q

from reconciliation.core.counting import bent, counted
from reconciliation.engine.mailbox_terms import ADMIN
from reconciliation.models import Mailbox, SyncPass
from reconciliation.services.steps import Act, Step

MAIL_AFTER = (
    ("mapping", "Mapping"),
    ("mailboxes", "Mailboxes"),
    ("contacts", "Contacts switch"),
    ("on", "Switch on"),
    ("started", "First runs"),
)
ADMIN_HERE = "An admin of this application."
FIRST_LOOK = (
    "A new mailbox of a real system only plans: look at its preview on its own page and start it there, or start many on the "
    "list of mailboxes."
)


@dataclass(frozen=True, slots=True)
class _Counts:
    """How many mailboxes there are, of people who did not leave."""

    all: int
    strangers: int  # whose Salesforce user nobody knows
    wanting: int  # that have it switched on themselves, or by their group
    running: int
    started: int


def mailbox_steps(sync_pass: SyncPass) -> tuple[Step, Step, Step]:
    """Returns the steps of who is synced, of the switch, and of first runs, in one query."""
    counts = _counts(sync_pass)
    return _mailboxes(counts), _switch(sync_pass, counts), _started(counts)


def _counts(sync_pass: SyncPass) -> _Counts:
    started = SyncPass.objects.filter(parent=sync_pass, mailbox=OuterRef("pk"), is_on=True)
    switch = f"settings__{sync_pass.name}"
    is_running = Q(state__in=Mailbox.RUNNING)
    return _Counts(
        **Mailbox.objects.exclude(state__in=Mailbox.GONE).aggregate(
            all=Count("pk"),
            strangers=Count("pk", filter=Q(crm_user_id="")),
            wanting=Count("pk", filter=Q(**{switch: True}) | Q(**{f"group__{switch}": True})),
            running=Count("pk", filter=is_running),
            started=Count("pk", filter=is_running & Q(Exists(started))),
        )
    )


def _mailboxes(counts: _Counts) -> Step:
    n, strangers = counts.all, counts.strangers
    missing = [] if n else ["No mailbox was added yet."]
    if strangers:
        missing.append(
            f"{counted(strangers, 'mailbox', 'mailboxes')} {bent(strangers, 'has', 'have')} no Salesforce user: nobody there has the same "
            "e-mail address. Choose one on the page of the mailbox."
        )
    acts = (Act("Add mailboxes", "mailbox_add"), Act("Mailboxes", "mailbox_list"))
    who = "An admin of this application; whoever knows which Salesforce user a mailbox belongs to."
    said = f"{counted(n, 'mailbox', 'mailboxes')} {bent(n, 'was', 'were')} added." if n else "Nobody is synced yet."
    return Step("mailboxes", "Mailboxes", 0 < n != strangers, said, tuple(missing), who, acts)


def _switch(sync_pass: SyncPass, counts: _Counts) -> Step:
    """Returns whether what the pass does is switched on anywhere: for all, for a group, or for one mailbox (S1.3)."""
    by_admin = (sync_pass.settings.get(ADMIN) or {}).get(sync_pass.name) or {}
    for_all, is_locked = bool(by_admin.get("value")), bool(by_admin.get("is_locked"))
    is_on = for_all or (counts.wanting > 0 and not is_locked)
    whose = "every mailbox" + ("" if is_locked else " that does not say otherwise") if for_all else "some mailboxes"
    what = sync_pass.title
    said = f"{what} is switched on for {whose}." if is_on else f"{what} is switched off for every mailbox."
    who = "An admin of this application; each mailbox user for themselves, where the setting is not locked."
    return Step("contacts", f"{what} switch", is_on, said, (), who, (Act("Settings of mailboxes", "mailbox_settings"),))


def _started(counts: _Counts) -> Step:
    """Returns whether somebody looked at the plan of a mailbox and started it (C33); one that is played needs no look."""
    n, waiting = counts.started, counts.running - counts.started
    missing = (f"{counted(waiting, 'mailbox', 'mailboxes')} {bent(waiting, 'waits', 'wait')} to be started.",) if waiting else ()
    said = f"{counted(n, 'mailbox', 'mailboxes')} {bent(n, 'was', 'were')} started." if n else "No mailbox was started yet."
    acts = (Act("Mailboxes", "mailbox_list"),)
    return Step("started", "First runs", bool(n), f"{said} {FIRST_LOOK}" if waiting else said, missing, ADMIN_HERE, acts)
