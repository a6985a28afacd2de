"""How mailboxes stand, for the pages that show one of them or all: state, runs, counts, issues, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from reconciliation.core.counting import counted
from reconciliation.core.values import normalise_name
from reconciliation.defaults.contacts import CONTACTS_PASS
from reconciliation.engine import gate
from reconciliation.engine.mailbox_queue import is_switched_on
from reconciliation.models import (
    Binding,
    Case,
    Connection,
    Email,
    EmailCopy,
    Mailbox,
    MailboxItem,
    Run,
    SearchKey,
    SyncPass,
    UnresolvedPerson,
)
from reconciliation.models.prefix import starts_with
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.services.mailboxes import MailboxRefused

PLAN = (Run.State.FINISHED, Run.State.HELD)  # a preview in these states can be looked at
LATE_AFTER = timedelta(minutes=5)
MOST_FOUND = 50


NO_PASS = "Connect Salesforce and a mail system first."
OFF = "Nothing is switched on for it."
NOUNS = {"contacts": "contact", "events": "event", "tasks": "task", "emails": "e-mail"}  # what each pass carries


@dataclass(slots=True)
class MailboxRow:
    """One pass over one mailbox, as lists and pages show it. `sync_pass` None: no run went over it yet. The row that stands for a
    mailbox is the one that most is to be said of; `lines` are all of them."""

    mailbox: Mailbox
    is_on: bool
    parent: SyncPass | None = None
    lines: list[MailboxRow] = field(default_factory=list, repr=False)
    sync_pass: SyncPass | None = None
    running: Run | None = None
    last_run: Run | None = None
    plan: Run | None = None  # its newest preview that can be looked at
    issues: int = 0
    parent_word: str = ""  # why nothing runs although the mailbox could

    @property
    def shares(self) -> str:
        """Which other mailbox has the same Salesforce user, in a sentence; "" where none has, or it was not looked for."""
        if self.mailbox.state in Mailbox.GONE:
            return ""
        address, system = getattr(self.mailbox, "twin", "") or "", getattr(self.mailbox, "twin_system", "")
        if not address:
            return ""
        twin = f"{address} at {Connection.System(system).label}"
        if getattr(self.mailbox, "twin_user", "") == self.mailbox.crm_user_id:
            return f"{twin} has the same Salesforce user: each shows that user's contacts."
        return f"{twin} has the same address, and another Salesforce user." if self.mailbox.crm_user_id else ""

    @property
    def is_first(self) -> bool:
        """Whether nothing was written for it yet, and somebody has to look at its preview first."""
        return self.mailbox.is_running and (self.sync_pass is None or gate.is_closed(self.sync_pass))

    @property
    def is_started(self) -> bool:
        """Whether a run of any of its passes writes."""
        return any(line.is_on and not line.is_first for line in self.lines)

    @property
    def of_all(self) -> int:
        """Open cases of all its passes."""
        return sum(line.issues for line in self.lines)

    @property
    def about(self) -> str:
        """The pass that the row tells of, where several are switched on: "" where that needs no saying."""
        return self.parent.title if self.parent is not None and sum(line.is_on for line in self.lines) > 1 else ""

    @property
    def is_previewed_first(self) -> bool:
        """Whether its first run only plans; a played mail system is written to at once."""
        return self.sync_pass is not None or self.mailbox.is_planned_first or not self.mailbox.connection.is_sandbox

    @property
    def held_plan(self) -> Run | None:
        """The plan that a brake held and that nobody approved yet: its newest run."""
        run = self.last_run
        is_held = run is not None and run.state == Run.State.HELD and run.kind != Run.Kind.PREVIEW
        return run if is_held and not self.is_first and self.mailbox.is_running else None

    @property
    def carried(self) -> Run | None:
        """Its newest run, where that is one that writes: a preview did nothing of what it counts."""
        return self.last_run if self.last_run is not None and self.last_run.kind != Run.Kind.PREVIEW else None

    @property
    def last_said(self) -> str:
        """What its newest run came to; of a preview that it is one."""
        if self.last_run is None:
            return ""
        return self.last_run.get_state_display() if self.carried is not None else f"Preview {self.last_run.get_state_display().lower()}"

    @property
    def word(self) -> str:
        """Its state in one word or two."""
        if self.running is not None:
            return "running"
        if not self.mailbox.is_running:
            return self.mailbox.state
        if not self.is_on:
            return "off"
        if not self.mailbox.crm_user_id:
            return "held"
        if self.is_first:
            return "preview ready" if self.plan is not None else "new"
        if self.held_plan is not None:
            return "held"
        if self.sync_pass is not None and (self.sync_pass.trouble_count or self.sync_pass.channel_wanted_at):
            return "waiting"
        return "on"

    @property
    def chip(self) -> str:
        """How the state's chip looks."""
        return {"suspended": "failed", "preview ready": "held", "new": "waiting"}.get(self.word, self.word)

    @property
    def why(self) -> str:
        """Why it is in this state, "" where nothing needs saying."""
        mailbox = self.mailbox
        if not mailbox.is_running:
            return mailbox.state_reason or ("Its sync was ended; added again, it begins with a preview." if mailbox.is_ended else "")
        if not self.is_on:
            return self.off
        if not mailbox.crm_user_id:
            return "Nobody in Salesforce is known to be its user."
        if self.parent_word:
            return self.parent_word
        if self.is_first and self.plan is not None:
            return "Look at what its first run would do, then start it."
        if self.is_first:
            return "Its first run is a preview; nothing is written." if self.is_previewed_first else "It has not run yet."
        if self.held_plan is not None:
            return f"A plan waits to be approved: {self.held_plan.note}"
        if self.sync_pass is not None and self.sync_pass.trouble_count:
            return self.last_run.note if self.last_run is not None else ""
        return ""

    @property
    def noun(self) -> str:
        """What the pass carries, one of it."""
        return NOUNS.get(self.parent.name, "record") if self.parent is not None else "record"

    @property
    def is_all_off(self) -> bool:
        """Whether the mailbox is running, and has none of several passes switched on."""
        return self.mailbox.is_running and len(self.lines) > 1 and not any(line.is_on for line in self.lines)

    @property
    def off(self) -> str:
        """Says that the pass is off for the mailbox, or that all are."""
        if self.is_all_off:
            return OFF
        if self.parent is None or self.parent.name == CONTACTS_PASS:
            return "Contacts are switched off for it."
        return f"“{self.parent}” is switched off for it."

    @property
    def next_run(self) -> str:
        """When it runs next, where that is no time: "" where it is one."""
        if self.parent_word:
            return "not while the pass stands still"
        if not self.mailbox.is_running or not self.is_on:
            return f"not while it is {self.word}"
        if not self.mailbox.crm_user_id:
            return "not before its user is known"
        if self.sync_pass is not None and self.sync_pass.run_requested_at:
            return "as soon as a worker is free"
        return "" if self.sync_pass is not None and self.sync_pass.next_due_at else "within a minute"

    @property
    def is_late(self) -> bool:
        """Whether its run is due for longer than it should be."""
        due = self.sync_pass.next_due_at if self.sync_pass is not None else None
        return self.word in ("on", "waiting") and due is not None and due + LATE_AFTER < timezone.now()


@dataclass(frozen=True, slots=True)
class Tile:
    """One number over all mailboxes, with the list it leads to."""

    title: str
    count: str
    look: str
    query: str = ""


def settings_row() -> SyncPass | None:
    """Returns the pass with which stands what is set for all mailboxes, None before a mail system and Salesforce are connected."""
    return next(iter(mailbox_passes()), None)


def settings_wanted() -> SyncPass:
    """Returns the pass with which stands what is set for all mailboxes. Raises MailboxRefused before there is one."""
    found = settings_row()
    if found is None:
        raise MailboxRefused(NO_PASS)
    return found


def mailboxes_listed() -> QuerySet[Mailbox]:
    """Returns all mailboxes, each with another one that has the same Salesforce user, if there is one."""
    others = Mailbox.objects.filter(Q(crm_user_id=OuterRef("crm_user_id")) | Q(address=OuterRef("address"))).exclude(crm_user_id="")
    others = others.exclude(state__in=Mailbox.GONE).exclude(pk=OuterRef("pk")).order_by("address", "pk")
    names = {"twin": "address", "twin_system": "connection__system", "twin_user": "crm_user_id"}
    twin = {name: Subquery(others.values(column)[:1]) for name, column in names.items()}
    return Mailbox.objects.select_related("connection", "group").annotate(**twin).order_by("address", "pk")


def mailbox_passes() -> list[SyncPass]:
    """Returns the passes over mailboxes, in the order in which pages show them; none before there is one."""
    rows = SyncPass.objects.whole().select_related("crm", "peer", "mapping").filter(name__in=MAILBOX_PASSES)
    return sorted(rows, key=lambda row: MAILBOX_PASSES.index(row.name))


def with_issues() -> Q:
    """Returns the condition on mailboxes that have open cases."""
    cases = Case.objects.filter(sync_pass__mailbox__isnull=False, state=Case.State.OPEN)
    return Q(pk__in=cases.values("sync_pass__mailbox"))


# What is said of a mailbox first, where its passes stand differently: what runs, then what a person has to do.
FIRST_SAID = ("running", "held", "preview ready", "waiting", "new", "on")


def complete(rows: Sequence[Mailbox], parents: Sequence[SyncPass]) -> list[MailboxRow]:
    """Returns one page of mailboxes with how each stands, in a fixed number of queries however many passes there are."""
    found = {m.pk: [MailboxRow(m, is_switched_on(parent, m), parent) for parent in parents] for m in rows}
    lines = {(line.mailbox.pk, line.parent.pk): line for some in found.values() for line in some if line.parent is not None}
    if lines:
        _fill(lines, parents, by_kind=len(found) == 1)
    return [_standing_for(m, found[m.pk]) for m in rows]


def _fill(lines: Mapping[tuple[int, int], MailboxRow], parents: Sequence[SyncPass], *, by_kind: bool) -> None:
    whole = {parent.pk: parent for parent in parents}
    passes = SyncPass.objects.select_related("crm", "peer").filter(parent__in=whole, mailbox__in={pk for pk, _ in lines})
    rows_of_passes = _with_newest(passes, by_kind=by_kind)
    known = Run.objects.in_bulk([pk for p in rows_of_passes for pk in (p.newest, p.under_way, p.plan) if pk is not None])
    for (_, parent), line in lines.items():
        line.parent_word = _parent_word(whole[parent])
    for sync_pass in rows_of_passes:
        line = lines[sync_pass.mailbox_id, sync_pass.parent_id]
        sync_pass.mailbox, sync_pass.parent = line.mailbox, whole[sync_pass.parent_id]  # what asks for them needs no query
        line.sync_pass, line.issues = sync_pass, sync_pass.issues or 0
        line.last_run, line.running, line.plan = (known.get(pk) for pk in (sync_pass.newest, sync_pass.under_way, sync_pass.plan))


def _standing_for(mailbox: Mailbox, lines: list[MailboxRow]) -> MailboxRow:
    """Returns the line that stands for a mailbox: of what is switched on, what most is to be said of."""
    told = [line for line in lines if line.is_on] or lines
    order = {word: n for n, word in enumerate(FIRST_SAID)}
    row = min(told, key=lambda line: order.get(line.word, len(order)), default=MailboxRow(mailbox, is_on=False))
    for line in lines:
        line.lines = lines
    return row


def _with_newest(passes: QuerySet[SyncPass], *, by_kind: bool) -> list[Any]:
    """Returns the passes with the keys of their newest runs, and how many open cases each has, in one query; `by_kind` also of
    each kind, for the page of one mailbox."""
    runs = Run.objects.filter(sync_pass=OuterRef("pk")).order_by("-pk").values("pk")
    cases = Case.objects.filter(sync_pass=OuterRef("pk"), state=Case.State.OPEN).order_by().values("sync_pass")
    kinds = Case.Kind.values if by_kind else ()
    of_kinds = {f"open_{kind}": Subquery(cases.filter(kind=kind).annotate(n=Count("pk")).values("n")) for kind in kinds}
    of_kinds |= _shared() if by_kind else {}
    return list(
        passes.annotate(
            **of_kinds,
            newest=Subquery(runs.exclude(kind=Run.Kind.STAFF).exclude(state=Run.State.RUNNING)[:1]),
            under_way=Subquery(runs.filter(state=Run.State.RUNNING)[:1]),
            # One that rests on nothing is no first preview, or was made before the mailbox was added again.
            plan=Subquery(runs.filter(kind=Run.Kind.PREVIEW, state__in=PLAN).exclude(rests_on={})[:1]),
            issues=Subquery(cases.annotate(n=Count("pk")).values("n")),
        )
    )


def _shared() -> dict[str, Subquery]:
    """Returns what is counted of one mailbox's passes for its activity: links, what waits, e-mails, unknown people."""
    links = Binding.objects.filter(sync_pass=OuterRef("pk"), is_tombstone=False).order_by().values("sync_pass")
    items = MailboxItem.objects.filter(sync_pass=OuterRef("pk"), is_held=True).order_by().values("sync_pass")
    mails = EmailCopy.objects.filter(sync_pass=OuterRef("pk")).order_by().values("sync_pass")
    people = UnresolvedPerson.objects.filter(mailbox=OuterRef("mailbox"), state=UnresolvedPerson.State.OPEN).order_by().values("mailbox")
    counted_ = {
        "linked": links,
        "owed": links.filter(is_retry_due=True),
        "held_items": items,
        "mails": mails.filter(email__state=Email.State.SAVED),
        "mails_open": mails.filter(is_open=True),
        "unresolved": people,
    }
    return {name: Subquery(rows.annotate(n=Count("pk")).values("n")) for name, rows in counted_.items()}


def _parent_word(parent: SyncPass) -> str:
    if not parent.is_on:
        return f"The pass “{parent}” is switched off."
    if parent.is_paused:
        return f"The pass “{parent}” is paused."
    return f"{parent.hold_reason}." if parent.hold_reason else ""


def standing_still(parents: Sequence[SyncPass]) -> str:
    """Says which passes over mailboxes are switched off, "" where none is."""
    off = [f"“{parent}”" for parent in parents if not parent.is_on]
    if len(off) == len(parents):
        what = f"The pass {off[0]} is" if len(off) == 1 else "All passes over mailboxes are"
        return f"{what} switched off: no mailbox is synced."
    return f"Switched off for every mailbox: {', '.join(off)}." if off else ""


NOBODYS = Q(crm_user_id="", state__in=Mailbox.RUNNING)  # mailboxes that wait for staff to say whose they are


def tiles() -> list[Tile]:
    """Returns the numbers over all mailboxes, in one query."""
    by_state = {name: Count("pk", filter=Q(state=name)) for name in Mailbox.State.values}
    nobodys = Count("pk", filter=NOBODYS)
    counts = Mailbox.objects.aggregate(**by_state, nobodys=nobodys, issues=Count("pk", filter=with_issues()))
    issues = counts["issues"]
    return [
        Tile("Active", f"{counts['active']:,}", "", "state=active"),
        Tile("New", f"{counts['new']:,}", "warn" if counts["new"] else "calm", "state=new"),
        *([Tile("No Salesforce user", f"{counts['nobodys']:,}", "warn", "user=none")] if counts["nobodys"] else []),
        Tile("Paused", f"{counts['paused']:,}", "warn" if counts["paused"] else "calm", "state=paused"),
        Tile("Suspended", f"{counts['suspended']:,}", "bad" if counts["suspended"] else "calm", "state=suspended"),
        Tile("With open issues", f"{issues:,}", "bad" if issues else "calm", "issues=yes"),
        Tile("Left", f"{counts['left']:,}", "calm", "state=left"),
        *([Tile("Ended", f"{counts['ended']:,}", "calm", "state=ended")] if counts["ended"] else []),
    ]


# --- one mailbox ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Contents:
    """What a mailbox's folder holds, as far as the last runs know."""

    linked: int = 0
    out_of_view: int = 0
    waiting: int = 0  # links that a run has still to look at
    ended: int = 0


def contents_of(sync_pass: SyncPass | None) -> Contents:
    if sync_pass is None:
        return Contents()
    alive = Q(is_tombstone=False)
    sums = Binding.objects.filter(sync_pass=sync_pass).aggregate(
        linked=Count("pk", filter=alive),
        out_of_view=Count("pk", filter=alive & Q(is_out_of_view=True)),
        waiting=Count("pk", filter=alive & Q(is_retry_due=True)),
        ended=Count("pk", filter=~alive),
    )
    return Contents(**sums)


def held_in(mailbox: Mailbox, parent: SyncPass) -> int:
    """Returns how many contacts of a mailbox are in agreement."""
    return Binding.objects.filter(sync_pass__parent=parent, sync_pass__mailbox=mailbox, is_tombstone=False).count()


ISSUES: dict[str, tuple[str, str]] = {
    Case.Kind.DELETION: ("question about a deletion", "questions about deletions"),
    Case.Kind.EXISTS: ("question about an address", "questions about addresses"),
}


@dataclass(frozen=True, slots=True)
class IssueGroup:
    """Open cases of one mailbox of one kind."""

    title: str
    kind: str
    count: int

    @property
    def words(self) -> str:
        """How many, in words: "3 conflicts"."""
        return counted(self.count, *ISSUES[self.kind]) if self.kind in ISSUES else counted(self.count, self.title.lower())


def issues_of(passes: Iterable[SyncPass]) -> list[IssueGroup]:
    """Returns the open cases of a mailbox whose page is shown, by kind; `complete` counted them for each of its passes."""
    own = list(passes)
    counts = {kind: sum(getattr(sync_pass, f"open_{kind}", None) or 0 for sync_pass in own) for kind in Case.Kind.values}
    return [IssueGroup(str(Case.Kind(kind).label), kind, n) for kind, n in sorted(counts.items()) if n]


@dataclass(slots=True)
class FoundContact:
    """One contact that a search in a mailbox found: its link, or that it has none."""

    name: str
    binding: Binding | None = None
    refs: list[str] = field(default_factory=list)
    case: Case | None = None  # what waits for a person about it


def search_in(sync_pass: SyncPass | None, text: str) -> list[FoundContact]:
    """Returns the contacts of one mailbox whose name or e-mail address begins with the text, at most MOST_FOUND."""
    key = normalise_name(text)[:255]
    if sync_pass is None or len(key) < 2:
        return []
    rows = (
        SearchKey.objects.filter(starts_with("key", key), sync_pass=sync_pass).order_by("key").values_list("ref", "text")[: MOST_FOUND * 4]
    )
    names: dict[str, str] = {}
    for ref, name in rows:
        names.setdefault(ref, name)
    ids = {"crm": {}, "peer": {}}
    for ref in names:
        system, _, id_ = ref.split(":", 2)
        ids["crm" if system == sync_pass.crm.system else "peer"][id_] = ref
    links = Binding.objects.select_related("sync_pass__crm", "sync_pass__peer").filter(sync_pass=sync_pass)
    found: dict[str, FoundContact] = {}
    for link in links.filter(Q(crm_id__in=ids["crm"]) | Q(peer_id__in=ids["peer"])).order_by("is_tombstone", "pk")[: MOST_FOUND * 2]:
        refs = [ref for ref in (ids["crm"].pop(link.crm_id, ""), ids["peer"].pop(link.peer_id, "")) if ref]
        if refs:
            found[refs[0]] = FoundContact(names[refs[0]], link, refs)
    for ref in [*ids["crm"].values(), *ids["peer"].values()]:
        found[ref] = FoundContact(names[ref], None, [ref])
    shown = sorted(found.values(), key=lambda it: normalise_name(it.name))[:MOST_FOUND]
    _note_cases(sync_pass, shown)
    return shown


def _note_cases(sync_pass: SyncPass, found: Sequence[FoundContact]) -> None:
    """Gives each contact the open case about it, in one query."""
    ids = {ref.split(":", 2)[2] for it in found for ref in it.refs}
    ids |= {id_ for it in found if it.binding is not None for id_ in (it.binding.crm_id, it.binding.peer_id)}
    open_ = Case.objects.filter(Q(crm_id__in=ids) | Q(peer_id__in=ids), sync_pass=sync_pass, state=Case.State.OPEN) if ids else ()
    by_id = {id_: case for case in open_ for id_ in (case.crm_id, case.peer_id) if id_}
    for it in found:
        mine = {it.binding.crm_id, it.binding.peer_id} if it.binding is not None else {ref.split(":", 2)[2] for ref in it.refs}
        it.case = next((by_id[id_] for id_ in sorted(mine) if id_ in by_id), None)
