"""Reads for pages. Counts are bounded, searches are ranges on indexed columns (engine-rules 25)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Case as Choice
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, Concat, TruncHour
from django.utils import timezone

from reconciliation.core.values import normalise_name
from reconciliation.engine import gate, stop
from reconciliation.field_titles import mail_title
from reconciliation.models import (
    Alert,
    Binding,
    Case,
    ConflictField,
    Connection,
    Difference,
    Import,
    ImportRow,
    Mailbox,
    Operation,
    Policy,
    RemoteUser,
    Run,
    RunEvent,
    SearchKey,
    SyncPass,
    UserPair,
)
from reconciliation.models.connection import Expiry
from reconciliation.models.prefix import starts_with

MOST_COUNTED = 10_000
MOST_ON_A_BADGE = 1_000
MOST_UNLINKED = 50


def pass_named(name: str) -> SyncPass | None:
    """Returns the pass with its connections and its mapping, None before both systems are connected."""
    return SyncPass.objects.select_related("crm", "peer", "mapping").filter(name=name).first()


def bounded_count(rows: QuerySet[Any]) -> str:
    """Returns a count for people that costs the same at a million rows: "1,234" or "10,000+"."""
    found = rows.order_by()[: MOST_COUNTED + 1].count()
    return f"{MOST_COUNTED:,}+" if found > MOST_COUNTED else f"{found:,}"


def open_case_counts() -> dict[str, str]:
    """Returns the open cases per kind as people read them, "1,000+" at most, in one query of bounded cost."""
    return _said(open_cases(MOST_ON_A_BADGE + 1))


def _said(counts: dict[str, int]) -> dict[str, str]:
    counts = {**counts, "contact": counts[Case.Kind.DELETION] + counts[Case.Kind.EXISTS]}  # one queue for both
    return {kind: f"{MOST_ON_A_BADGE:,}+" if n > MOST_ON_A_BADGE else f"{n:,}" for kind, n in counts.items() if n}


_OPEN_OF_A_KIND = "(SELECT COUNT(*) FROM (SELECT 1 FROM reconciliation_case WHERE kind = %s AND state = 'open' LIMIT %s) AS counted)"


def open_cases(most: int) -> dict[str, int]:
    """Returns the open cases per kind, counted no further than `most`, in one query of bounded cost."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join([_OPEN_OF_A_KIND] * len(Case.Kind))}", _of_kinds(most))
        found = cursor.fetchone()
    return {kind.value: n for kind, n in zip(Case.Kind, found, strict=True)}


def _of_kinds(most: int) -> list[Any]:
    return [v for kind in Case.Kind for v in (kind.value, most)]


# Of links that hold, as the list behind the count shows them.
_OF_LINKS = "reconciliation_difference d JOIN reconciliation_binding b ON b.id = d.binding_id AND NOT b.is_tombstone"
_COVERAGE = {
    "linked": "reconciliation_binding WHERE sync_pass_id = %s AND NOT is_tombstone",
    "without_owner": "reconciliation_binding WHERE sync_pass_id = %s AND is_without_owner AND NOT is_tombstone",
    "owed": "reconciliation_binding WHERE sync_pass_id = %s AND is_write_back_due AND NOT is_tombstone",
    "duplicates": "reconciliation_case WHERE sync_pass_id = %s AND kind = 'duplicate' AND state = 'open'",
    "errors": "reconciliation_case WHERE sync_pass_id = %s AND kind = 'error' AND state = 'open'",
    "conflicts": "reconciliation_case WHERE sync_pass_id = %s AND kind = 'conflict' AND state = 'open'",
    "remaps": "reconciliation_case WHERE sync_pass_id = %s AND kind = 'remap' AND state = 'open'",
    "deleted": "reconciliation_tombstone WHERE sync_pass_id = %s AND restored_at IS NULL",
    "differences": _OF_LINKS + " WHERE d.sync_pass_id = %s AND d.kind = 'linked'",
    "blanks": _OF_LINKS + " WHERE d.sync_pass_id = %s AND d.kind = 'blank'",
}


_OF_MAILBOXES = "sync_pass_id IN (SELECT id FROM reconciliation_syncpass WHERE parent_id = %s)"  # a pass over mailboxes has none itself


def coverage_counts(pass_ids: Sequence[int], over_mailboxes: Container[int] = ()) -> dict[int, dict[str, str]]:
    """Returns what we know of the coverage of each pass, each count bounded, in one query or none. Those `over_mailboxes` are
    counted over all their mailboxes."""
    if not pass_ids:
        return {}
    one = "(SELECT COUNT(*) FROM (SELECT 1 FROM {} LIMIT %s) AS counted)"
    parts = ", ".join(one.format(rows) for rows in _COVERAGE.values())
    of_mailboxes = parts.replace("sync_pass_id = %s", _OF_MAILBOXES)
    with connection.cursor() as cursor:
        asked = [value for pk in pass_ids for value in (pk, MOST_COUNTED + 1) * len(_COVERAGE)]
        cursor.execute(f"SELECT {', '.join(of_mailboxes if pk in over_mailboxes else parts for pk in pass_ids)}", asked)
        told = iter(f"{MOST_COUNTED:,}+" if n > MOST_COUNTED else f"{n:,}" for n in cursor.fetchone())
    return {pk: {name: next(told) for name in _COVERAGE} for pk in pass_ids}


def open_reasons(kind: str) -> list[tuple[str, int, int]]:
    """Returns (reason, pass id, open cases) of a queue, most first, over at most MOST_COUNTED of them."""
    inner = "SELECT reason, sync_pass_id FROM reconciliation_case WHERE kind = %s AND state = 'open' LIMIT %s"
    with connection.cursor() as cursor:
        whole = "COALESCE(p.parent_id, p.id)"  # the passes of single mailboxes count as the one that people know
        joined = f"({inner}) AS open JOIN reconciliation_syncpass AS p ON p.id = open.sync_pass_id"
        grouped = f"SELECT reason, {whole}, COUNT(*) AS n FROM {joined} GROUP BY reason, {whole} ORDER BY n DESC"
        cursor.execute(grouped, [kind, MOST_COUNTED])
        return cursor.fetchall()


def open_conflict_fields() -> list[dict[str, Any]]:
    """Returns the fields in conflict with their pass and how many records wait, most first, over at most MOST_COUNTED; mailboxes
    are summed under the pass that goes over them."""
    newest = ConflictField.objects.filter(state=ConflictField.State.OPEN).order_by("-pk").values("pk")[:MOST_COUNTED]
    rows = ConflictField.objects.filter(pk__in=newest, case__state=Case.State.OPEN)
    own, whole = "case__sync_pass", "case__sync_pass__parent"
    names = {"pass_name": Coalesce(f"{whole}__name", f"{own}__name"), "pass_title": Coalesce(f"{whole}__title", f"{own}__title")}
    peers = {"peer_system": Choice(When(**{f"{whole}__isnull": True}, then=F(f"{own}__peer__system")), default=Value(""))}
    grouped = rows.values("peer_field", **names, **peers).annotate(n=Count("pk"))
    found = list(grouped.order_by("-n", "peer_field")[:100])
    for row in found:
        row["peer"] = Connection.System(row["peer_system"]).label if row["peer_system"] else "the mailbox"
        row["title"] = row["peer_field"] if row["peer_system"] else mail_title(row["peer_field"])
    return found


# What the schedule, or a person in a hurry, lets go over a mailbox: with many mailboxes there is room for nothing else in a list.
OF_SINGLE_MAILBOXES = Q(sync_pass__mailbox__isnull=False, kind__in=(Run.Kind.SCHEDULED, Run.Kind.MANUAL, Run.Kind.PREVIEW))
LATELY = timedelta(hours=1)


def runs_of_passes(rows: QuerySet[Run] | None = None) -> QuerySet[Run]:
    """Returns runs without those over single mailboxes; what people decided in one stands among them."""
    rows = Run.objects.all() if rows is None else rows
    return rows.select_related("sync_pass__mailbox", "sync_pass__parent").exclude(OF_SINGLE_MAILBOXES)


def mailbox_runs_lately() -> dict[str, int]:
    """Returns what the runs over mailboxes of the last hour came to together, in one query."""
    sums = {name: Sum(name, default=0) for name in ("seen", "created", "updated", "duplicates", "failed", "held")}
    ended_badly = Count("pk", filter=Q(state__in=(Run.State.FAILED, Run.State.INTERRUPTED)))
    rows = Run.objects.filter(OF_SINGLE_MAILBOXES, started_at__gte=timezone.now() - LATELY)
    mailboxes = Count("sync_pass", distinct=True)
    return rows.order_by().aggregate(runs=Count("pk"), mailboxes=mailboxes, interrupted=ended_badly, **sums)


def names_of_mailbox_users(ids: Iterable[Any]) -> dict[tuple[str, str], str]:
    """Returns (side, user id) -> name of these users of the CRM, as far as mailboxes are theirs."""
    rows = Mailbox.objects.filter(crm_user_id__in={str(id_) for id_ in ids if id_}).exclude(crm_user_name="")
    return {("crm", id_): name for id_, name in rows.values_list("crm_user_id", "crm_user_name")}


def names_in_pairs(sync_pass: SyncPass, ids: Iterable[Any]) -> dict[tuple[str, str], str]:
    """Returns (side, user id) -> name of these users of both systems, as far as they are paired."""
    wanted = {str(id_) for id_ in ids if id_}
    rows = UserPair.objects.filter(sync_pass=sync_pass)
    found: dict[tuple[str, str], str] = {}
    for row in rows.filter(crm_user_id__in=wanted).union(rows.filter(peer_user_id__in=wanted)):
        found["crm", row.crm_user_id], found["peer", row.peer_user_id] = row.crm_name, row.peer_name
    return found


@dataclass(frozen=True, slots=True)
class Stopped:
    """The switch for all writes while it is on, as every page says it."""

    sentence: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands on every page: `counts` of open cases per kind, `notice` about what stops a connection ("" when nothing
    does), and the switch for all writes while it is on."""

    counts: dict[str, str]
    notice: str
    writes_stopped: Stopped | None


def frame() -> Frame:
    """Returns what stands on every page, in one query of bounded cost, for each page may ask twelve in all."""
    counts = ", ".join(f"{_OPEN_OF_A_KIND} AS open_{kind.value}" for kind in Case.Kind)
    row = Policy.objects.raw(
        f"SELECT 1 AS id, p.writes_stopped_at, p.writes_stopped_by, p.writes_stopped_reason, c.name, c.last_error, {counts} "  # noqa: S608
        "FROM (SELECT 1 AS one) AS one LEFT JOIN reconciliation_policy AS p ON p.id = 1 LEFT JOIN (SELECT name, last_error "
        "FROM reconciliation_connection WHERE state NOT IN (%s, %s) ORDER BY id DESC LIMIT 1) AS c ON 1 = 1",
        [*_of_kinds(MOST_ON_A_BADGE + 1), Connection.State.OK.value, Connection.State.UNTESTED.value],
    )[0]
    at = row.writes_stopped_at
    stopped = Stopped(stop.sentence(row.writes_stopped_by, row.writes_stopped_reason), at) if at else None
    counted = {kind.value: getattr(row, f"open_{kind.value}") for kind in Case.Kind}
    return Frame(_said(counted), f"{row.name}: {row.last_error}" if row.name else "", stopped)


def near_expiries(connections: Iterable[Connection]) -> list[Expiry]:
    """Returns the credentials that people must be warned of, soonest first."""
    now = timezone.now()
    return sorted((e for row in connections for e in row.expiries(now) if e.is_near), key=lambda e: e.on)


@dataclass(frozen=True, slots=True)
class PassState:
    """One pass as the dashboard shows it."""

    sync_pass: SyncPass
    last_run: Run | None
    running: Run | None

    @property
    def word(self) -> str:
        if self.running:
            return "running"
        if not self.sync_pass.is_on:
            return "off"
        if self.sync_pass.is_paused:
            return "paused"
        if self.sync_pass.hold_reason:
            return "held"
        if self.sync_pass.trouble_count or self.sync_pass.channel_wanted_at:
            return "waiting"
        return "on"

    @property
    def now(self) -> str:
        """What the pass does while no run is under way."""
        words = {"off": "nothing: it is switched off", "paused": "nothing: it is paused", "held": "nothing: it is held"}
        return words.get(self.word, "waits for its next run")

    @property
    def next_run(self) -> str:
        """When it runs next, where that is no time: "" where it is one."""
        if not self.sync_pass.is_on:
            return "not while it is switched off"
        if self.sync_pass.is_paused:
            return "when resumed"
        return "" if self.sync_pass.next_due_at else "within a minute"

    @property
    def is_gated(self) -> bool:
        """Whether it has still to be switched on for the first time."""
        return gate.is_closed(self.sync_pass)

    @property
    def lag(self) -> timedelta | None:
        """How long ago the last complete selection began."""
        at = self.sync_pass.last_run_time
        return timezone.now() - at if at else None


def pass_states() -> list[PassState]:
    """Returns every pass with its newest runs, in two queries however many passes there are; one over mailboxes once."""
    mine = Run.objects.filter(sync_pass=OuterRef("pk")).order_by("-pk").values("pk")
    passes = SyncPass.objects.whole().select_related("crm", "peer").annotate(newest=Subquery(mine[:1]), second=Subquery(mine[1:2]))
    rows = list(passes.order_by("pk"))
    runs = Run.objects.in_bulk([pk for row in rows for pk in (row.newest, row.second) if pk is not None])
    states = []
    for sync_pass in rows:
        newest = [runs[pk] for pk in (sync_pass.newest, sync_pass.second) if pk in runs]
        running = next((r for r in newest if r.state == Run.State.RUNNING), None)
        states.append(PassState(sync_pass, next((r for r in newest if r.state != Run.State.RUNNING), None), running))
    return states


IMPORTS_LOOKED_AT = timedelta(days=7)


def failed_import_rows() -> str:
    """Returns how many rows of the last days' imports failed and were not decided or tried again since, "" for none."""
    recent = Import.objects.filter(created_at__gte=timezone.now() - IMPORTS_LOOKED_AT)
    rows = ImportRow.objects.filter(batch__in=recent, state=ImportRow.State.FAILED).exclude(reason=ImportRow.Reason.TWICE)
    found = bounded_count(rows.filter(Q(case=None) | Q(case__state=Case.State.OPEN)))
    return "" if found == "0" else found


def standing_alerts() -> QuerySet[Alert]:
    """Returns the causes that stand now, longest first; bounded, since a dashboard is no list."""
    return Alert.objects.filter(is_open=True).order_by("opened_at")[:20]


@dataclass(frozen=True, slots=True)
class HourBar:
    """One hour of the last day: what its runs did, with geometry for the chart (a box of 24 by 100)."""

    at: datetime
    changed: int
    failed: int
    runs: int
    x: int
    height: int
    failed_height: int


def last_day() -> list[HourBar]:
    """Returns the last 24 hours of runs that may have written, oldest first, in one query."""
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    first = now - timedelta(hours=23)
    rows = (
        Run.objects.filter(started_at__gte=first)
        .exclude(kind=Run.Kind.PREVIEW)  # plans: what of them is carried out counts in the run that does
        .annotate(hour=TruncHour("started_at"))
        .values("hour")
        .annotate(created=Sum("created"), updated=Sum("updated"), failed=Sum("failed"), runs=Count("pk"))
        .order_by()
    )
    by_hour = {row["hour"]: row for row in rows}
    bars = []
    most = max((row["created"] + row["updated"] + row["failed"] for row in by_hour.values()), default=0) or 1
    for index in range(24):
        at = first + timedelta(hours=index)
        row = by_hour.get(at, {"created": 0, "updated": 0, "failed": 0, "runs": 0})
        changed = row["created"] + row["updated"]
        heights = round(100 * changed / most), round(100 * row["failed"] / most)
        bars.append(HourBar(at, changed, row["failed"], row["runs"], index * 40, *heights))
    return bars


def without_owner() -> QuerySet[Binding]:
    """Returns bound organisations whose owner was not found in Outreach (S0.26)."""
    rows = Binding.objects.select_related("sync_pass__crm", "sync_pass__peer")
    return rows.filter(is_without_owner=True, is_tombstone=False).order_by("-id")


def names_of_records(passes: Iterable[int], refs: Iterable[str]) -> dict[str, str]:
    """Returns reference -> the name under which the record was last seen; no query for no record."""
    wanted = {ref for ref in refs if ref}
    if not wanted:
        return {}
    rows = SearchKey.objects.filter(sync_pass__in=set(passes), ref__in=wanted, kind=SearchKey.Kind.NAME)
    return dict(rows.order_by("seen_at").values_list("ref", "text"))


def name_last_seen(system: str, object_type: str, id_: str) -> Subquery:
    """Returns an expression for the name under which a record was last seen, its reference being made of these columns of a
    row that has a pass."""
    ref = Concat(OuterRef(system), Value(":"), OuterRef(object_type), Value(":"), OuterRef(id_))
    rows = SearchKey.objects.filter(sync_pass=OuterRef("sync_pass"), ref=ref, kind=SearchKey.Kind.NAME)
    return Subquery(rows.order_by("-seen_at").values("text")[:1])


TWO_SIDED = ("prospect", "contact", "Contact", "Lead", "Account")  # what a write of a two-way pass is about, beside accounts


def name_writes(operations: Iterable[Operation]) -> None:
    """Gives both records of these writes the names under which each was last seen, in one query or none: what is called so
    in one system may have another name in the other."""
    known = [op for op in operations if op.object_type in TWO_SIDED and op.target_id]
    names = names_of_records({op.run.sync_pass_id for op in known}, {ref for op in known for ref in (op.target_ref, op.source_ref)})
    for op in known:
        op.known_name = names.get(op.target_ref, "")  # type: ignore[attr-defined]
        op.known_source = names.get(op.source_ref, "")  # type: ignore[attr-defined]


def writes_of_events(run: Run, events: Iterable[RunEvent]) -> dict[int, list[Operation]]:
    """Returns event id -> the writes that a run made for its record, in order: a two-way pass and a decision by staff may
    write both sides of it. An event names one write at most."""
    events = list(events)
    refs = {ref for event in events for ref in (event.crm_ref, event.peer_ref) if ref}
    about = Q(pk__in=[event.operation_id for event in events if event.operation_id])
    if run.sync_pass.is_two_way or run.kind == Run.Kind.STAFF:
        about |= Q(run=run, source_ref__in=refs)
    if run.kind == Run.Kind.STAFF:  # its writes are few
        about |= Q(run=run, target_id__in={ref.rpartition(":")[2] for ref in refs})
    writes = list(Operation.objects.filter(about).select_related("connection").order_by("pk")) if events else []
    return {
        event.pk: [op for op in writes if op.pk == event.operation_id or not {op.source_ref, op.target_ref}.isdisjoint(_refs(event))]
        for event in events
    }


def _refs(event: RunEvent) -> set[str]:
    return {event.crm_ref, event.peer_ref} - {""}


def names_of_users(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    """Returns user id -> username of these users of a peer, as far as they were looked up; no query for nobody."""
    wanted = set(ids)
    return dict(RemoteUser.objects.filter(connection=connection, user_id__in=wanted).values_list("user_id", "username")) if wanted else {}


def known_users(connection: Connection) -> dict[str, str]:
    """Returns username -> id of the users of a peer that were looked up so far."""
    return dict(RemoteUser.objects.filter(connection=connection).exclude(user_id="").values_list("username", "user_id"))


def prospects_listed(sync_pass: SyncPass | None) -> QuerySet[Binding]:
    """Returns the links of prospects, the latest first."""
    rows = Binding.objects.filter(sync_pass=sync_pass) if sync_pass is not None else Binding.objects.none()
    return rows.select_related("sync_pass__crm", "sync_pass__peer").order_by("-pk")


def prospect_marks() -> dict[str, Exists]:
    """Returns what a list says of a link beside its own state: name -> condition on a row."""
    about = Case.objects.filter(sync_pass=OuterRef("sync_pass"), state=Case.State.OPEN, peer_id=OuterRef("peer_id"))
    about = about.exclude(peer_id="")  # said, so that the index of cases by record serves: else every open case is read for each link
    return {
        "is_asked": Exists(about.filter(kind=Case.Kind.REMAP)),
        "is_in_conflict": Exists(about.filter(kind=Case.Kind.CONFLICT)),
        "is_different": Exists(Difference.objects.filter(binding=OuterRef("pk"))),
    }


def mark_prospects(rows: Iterable[Binding]) -> None:
    """Sets the marks on the links of one page, in one query."""
    links = {row.pk: row for row in rows}
    names = list(prospect_marks())
    for pk, *marks in Binding.objects.filter(pk__in=links).annotate(**prospect_marks()).values_list("pk", *names):
        for name, is_so in zip(names, marks, strict=True):
            setattr(links[pk], name, is_so)


def prospects_pass_and_policy() -> tuple[SyncPass | None, bool]:
    """Returns the pass of prospects, and whether users may select the preferred CRM ID."""
    choosing = Policy.objects.filter(pk=1, same_email=Policy.SameEmail.CHOOSE)
    rows = SyncPass.objects.select_related("crm", "peer", "mapping").annotate(allows_remap=Exists(choosing))
    sync_pass = rows.filter(name="prospects").first()
    return sync_pass, bool(sync_pass is not None and sync_pass.allows_remap)


@dataclass(frozen=True, slots=True)
class Unlinked:
    """A prospect that we know and that is linked to nothing; `asked` says what waits for a person."""

    id: str
    name: str
    asked: str = ""


def prospects_unlinked(sync_pass: SyncPass, text: str = "") -> list[Unlinked]:
    """Returns prospects without a link: those that wait for a choice, and those that a search finds, at most MOST_UNLINKED."""
    cases = Case.objects.filter(sync_pass=sync_pass, kind=Case.Kind.REMAP, state=Case.State.OPEN).exclude(peer_id="")
    key = normalise_name(text)[:255]
    if text:
        cases = cases.filter(starts_with("name_key", key) | Q(peer_id=text))
    found = {c.peer_id: Unlinked(c.peer_id, c.name, c.sentence) for c in cases.order_by("pk")[: MOST_UNLINKED * 2]}
    if len(key) > 1 or text.isdigit():
        own = f"{sync_pass.peer.system}:prospect:"
        keys = SearchKey.objects.filter(starts_with("key", key) | Q(ref=f"{own}{text}"), sync_pass=sync_pass, ref__startswith=own)
        for ref, said in keys.values_list("ref", "text")[: MOST_UNLINKED * 2]:
            found.setdefault(ref.rpartition(":")[2], Unlinked(ref.rpartition(":")[2], said))
    links = Binding.objects.filter(sync_pass=sync_pass, peer_id__in=found)  # an ended link stands in the list itself
    bound = set(links.values_list("peer_id", flat=True))
    return [it for id_, it in found.items() if id_ not in bound][:MOST_UNLINKED]


def last_remap(binding: Binding) -> Operation | None:
    """Returns the write that made this link, where a person made it and it can be taken back."""
    rows = Operation.objects.filter(source_ref=binding.crm_ref, target_id=binding.peer_id, kind=Operation.Kind.UPDATE)
    rows = rows.filter(state=Operation.State.CONFIRMED, undone_at=None, origin__has_key="remap")
    return rows.select_related("connection").order_by("-pk").first()


def incomplete() -> QuerySet[Binding]:
    """Returns contacts that a mailbox made in the CRM and that lack something (S4.34), newest first."""
    rows = Binding.objects.filter(lacks__isnull=False, is_tombstone=False)
    return rows.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mailbox").order_by("-id")
