"""Insta-sync as admins see and set it: its switches for everybody (S4.47), which way is in use, and whether our address is reached."""

from __future__ import annotations

import secrets as generator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Value

from connectors.checks import Try, run_checks
from connectors.contract import Check
from connectors.errors import ConnectorError, NeedsAttention, Rejected
from connectors.http import HttpClient
from connectors.notices import CHANGES, NOT_REACHED, KeepsWatches
from reconciliation.core.counting import bent, counted
from reconciliation.core.insta_sync import LEAST_SPACING, MOST_SPACING, quantile
from reconciliation.core.values import isolated
from reconciliation.engine import insta, stop
from reconciliation.engine.wiring import Wiring
from reconciliation.models import CalendarWatch, Connection, InstaSync, Mailbox, MeetingNotice, SyncPass
from reconciliation.services import watches
from reconciliation.services.audit import audit

DAY = timedelta(days=1)
MOST_DELAYS = 20_000  # notices whose delays are looked at
TRIAL_MINUTES = 45  # the shortest life of a subscription; a trial is ended at once
CARRIED = Q(state=MeetingNotice.State.DONE, run__isnull=False)  # notices that a run carried over
OF_MAILBOXES = ("microsoft", "watched", "unwatched", "on_premises")
OF_NOTICES = ("told", "carried", "runs", "waiting", "left", "off")
SWITCHES = {"on_created": "created", "on_updated": "updated", "on_deleted": "deleted"}


class InstaSyncRefused(ValueError):
    """Nothing was saved; the sentence says why."""


# --- what is set --------------------------------------------------------------------------------------------------------
def insta_sync_set(by: AbstractBaseUser | None, *, changes: Sequence[str], spacing_seconds: int | None, look_seconds: int | None) -> bool:
    """Saves which changes force a run, and the two distances. Returns whether that changed anything. Raises InstaSyncRefused."""
    for title, seconds in (("Between two runs", spacing_seconds), ("Between two looks", look_seconds)):
        if seconds is None or not LEAST_SPACING <= seconds <= MOST_SPACING:
            raise InstaSyncRefused(f"{title}: {LEAST_SPACING} to {MOST_SPACING} seconds.")
    if set(changes) - set(CHANGES):
        raise InstaSyncRefused("Only created, updated and deleted meetings can force a run.")
    wanted = {name: change in changes for name, change in SWITCHES.items()}
    values = {**wanted, "spacing_seconds": spacing_seconds, "look_seconds": look_seconds}
    insta.terms()
    with transaction.atomic():
        row = InstaSync.objects.select_for_update().get(pk=1)
        changed = {name: [getattr(row, name), value] for name, value in values.items() if getattr(row, name) != value}
        if changed:
            InstaSync.objects.filter(pk=1).update(**values)
            audit(by, "change insta-sync", "Insta-sync", **changed)
    return bool(changed)


# --- whether our address is reached -------------------------------------------------------------------------------------
def reach_test(by: AbstractBaseUser | None, now: datetime, wiring: Wiring | None = None) -> list[Check]:
    """Tries our address from here, and lets Microsoft try it by a subscription that is ended at once. Returns the lines of the test,
    and keeps them. Raises WritesStopped."""
    stop.refuse_while_stopped()
    wiring = wiring or Wiring()
    mailbox = _one_mailbox()
    refusal = watches.address_refusal(mailbox.connection if mailbox is not None else None)
    if refusal:
        remedy = "Set it in the environment and start the site again; until then calendars are looked at."
        lines = [Check("Address", False, refusal, remedy)]
    else:
        lines = [Check("Address", True, f"Notices come to {watches.address()}."), _from_here(), _from_microsoft(mailbox, now, wiring)]
    rows = [asdict(line) for line in lines]
    insta.terms()
    InstaSync.objects.filter(pk=1).update(checks=rows, tested_at=now)
    audit(by, "test insta-sync", "Insta-sync", address=watches.address(), is_ok=all(line.is_ok for line in lines))
    return lines


def _one_mailbox() -> Mailbox | None:
    rows = Mailbox.objects.filter(connection__system=Connection.System.MICROSOFT, state__in=Mailbox.RUNNING)
    return rows.select_related("connection").order_by("pk").first()


def _from_here() -> Check:
    """Returns whether we reach the address ourselves. Some networks lead nobody inside to their own outer address."""
    word = str(generator.randbelow(10**12) + 10**12)

    def ask() -> None:
        client = HttpClient("this site", settings.PUBLIC_URL, timeout=10, allow_loopback=settings.ALLOW_LOOPBACK, allow_private=True)
        try:
            path = watches.address().removeprefix(settings.PUBLIC_URL)
            answer = client.request("POST", path, template=path, is_read=False, params=[("validationToken", word)])
        finally:
            client.close()
        if answer.status != 200 or str(answer.data) != word:
            raise Rejected(f"answered {answer.status} and not as this site does", system="this site")

    line = run_checks([Try("From here", "This site answers at its public address.", ask)])[0]
    if line.is_ok:
        return line
    return Check(line.name, True, f"{line.sentence} It may be reached from outside all the same.", line.remedy, is_warning=True)


def _from_microsoft(mailbox: Mailbox | None, now: datetime, wiring: Wiring) -> Check:
    name = "From Microsoft"
    if mailbox is None:
        said = "No mailbox of Microsoft 365 is synced, so Microsoft could not be asked to try."
        return Check(name, True, said, "Add a mailbox, then test again.", is_warning=True)
    try:
        connector = wiring.open_connector(mailbox.connection)
        try:
            _trial(connector.watches(mailbox.address), now)  # type: ignore[attr-defined]
        finally:
            connector.close()
    except ConnectorError as error:
        if error.code == NOT_REACHED:
            watches.note_reached(False, error.sentence, now)
            remedy = "Let POST requests from the internet to /hooks/microsoft/ through to this site, with a certificate that is known."
            return Check(name, False, f"{error.sentence}.", remedy)
        is_passing = not isinstance(error, NeedsAttention)
        return Check(name, False, f"It could not be tried: {error.sentence}.", error.remedy, passes=is_passing)
    watches.note_reached(True, "", now)
    return Check(name, True, "Microsoft reaches this site, and tells of changed meetings.")


def _trial(keeper: KeepsWatches, now: datetime) -> None:
    """Makes and ends a subscription to a set of changes that no watch of ours has: two of the same there may not be."""
    own = insta.terms().changes
    changes = next(one for one in (("deleted",), ("created",)) if one != own)
    try:
        made = keeper.make(
            address=watches.address(),
            life_address=watches.life_address(),
            secret=f"0.{generator.token_urlsafe(16)}",
            changes=changes,
            ends_at=now + timedelta(minutes=TRIAL_MINUTES),
        )
        keeper.drop(made.id)
    finally:
        keeper.close()


# --- how it stands ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Figures:
    """What was told in the last day: notices, those that were carried over by how many runs, and how long that took."""

    told: int = 0
    carried: int = 0
    runs: int = 0
    waiting: int = 0
    left: int = 0  # of no meeting
    off: int = 0
    median_seconds: float | None = None
    p95_seconds: float | None = None

    @property
    def merged(self) -> int:
        """How many notices needed no run of their own."""
        return max(self.carried - self.runs, 0)


@dataclass(frozen=True, slots=True)
class Standing:
    """Which way is in use, for the dashboard and the page."""

    way: str  # "notices", "looks", "both" or "off"
    sentence: str
    own: InstaSync
    watched: int = 0
    looked_at: int = 0
    failed: int = 0
    on_premises: int = 0  # of servers of Exchange, which are asked


def standing_and_figures(now: datetime) -> tuple[Standing, Figures]:
    """Returns which way is in use, and the figures of the last day, in two queries; in one where nothing was carried over."""
    own, counts = _asked(now)
    return _standing(own, counts), _figures(counts, now)


def standing(now: datetime) -> Standing:
    """Returns which way is in use, in one query."""
    return _standing(*_asked(now))


def figures(now: datetime) -> Figures:
    """Returns the figures of the last day, in two queries at the most."""
    return _figures(_asked(now)[1], now)


def _asked(now: datetime) -> tuple[InstaSync, dict[str, int]]:
    """Returns what holds for every mailbox, and what `_mailboxes` and `_notices` count, all in one query: the dashboard may ask twelve."""
    mailboxes, notices = (rows.query.sql_with_params() for rows in (_mailboxes(now), _notices(now)))
    row = InstaSync.objects.raw(
        f"SELECT own.*, m.*, n.* FROM ({mailboxes[0]}) AS m CROSS JOIN ({notices[0]}) AS n "  # noqa: S608
        "LEFT JOIN reconciliation_instasync AS own ON own.id = 1",
        [*mailboxes[1], *notices[1]],
    )[0]
    counts = {name: getattr(row, name) for name in (*OF_MAILBOXES, *OF_NOTICES)}
    return row if row.pk is not None else InstaSync(), counts


def _mailboxes(now: datetime) -> QuerySet[SyncPass, Any]:
    """Counts the started mailboxes of Microsoft, those of them that are watched, those for which watching failed; and those of servers
    of Exchange, which are all looked at. One row."""
    rows = SyncPass.objects.filter(parent__name=insta.KIND, parent__is_on=True, is_on=True, mailbox__state__in=Mailbox.RUNNING)
    of_microsoft = Q(mailbox__connection__system=Connection.System.MICROSOFT)
    watched = Q(mailbox__watch__state=CalendarWatch.State.ON, mailbox__watch__ends_at__gt=now)
    failed = Q(mailbox__watch__state=CalendarWatch.State.FAILED) | Q(mailbox__watch__tries__gt=0)
    return _in_one_row(
        rows,
        microsoft=Count("pk", filter=of_microsoft),
        watched=Count("pk", filter=of_microsoft & watched),
        unwatched=Count("pk", filter=of_microsoft & failed),
        on_premises=Count("pk", filter=Q(mailbox__connection__system=Connection.System.EXCHANGE)),
    )


def _notices(now: datetime) -> QuerySet[MeetingNotice, Any]:
    """Counts the notices of the last day by what became of them, and the runs that carried them over. One row."""
    state = MeetingNotice.State
    return _in_one_row(
        MeetingNotice.objects.filter(received_at__gte=now - DAY),
        told=Count("pk"),
        carried=Count("pk", filter=CARRIED),
        runs=Count("run", filter=CARRIED, distinct=True),
        waiting=Count("pk", filter=Q(state=state.WAITING)),
        left=Count("pk", filter=Q(state=state.LEFT)),
        off=Count("pk", filter=Q(state=state.OFF)),
    )


def _in_one_row(rows: QuerySet[Any], **counts: Count) -> QuerySet[Any, Any]:
    """Returns the query that `aggregate` would send, not sent."""
    return rows.order_by().values(one=Value(1)).annotate(**counts).values(*counts)


def _figures(counts: Mapping[str, int], now: datetime) -> Figures:
    told = {name: counts[name] for name in OF_NOTICES}
    if not told["carried"]:
        return Figures(**told)
    rows = MeetingNotice.objects.filter(CARRIED, received_at__gte=now - DAY).order_by("-pk")
    times = rows.values_list("received_at", "done_at")[:MOST_DELAYS]
    delays = [max((done_at - at).total_seconds(), 0.0) for at, done_at in times if done_at is not None]
    return Figures(**told, median_seconds=quantile(delays, 0.5), p95_seconds=quantile(delays, 0.95))


def _standing(own: InstaSync, counts: Mapping[str, int]) -> Standing:
    watched, on_premises, looked_at = counts["watched"], counts["on_premises"], counts["microsoft"] - counts["watched"]
    common = {"own": own, "watched": watched, "looked_at": looked_at, "failed": counts["unwatched"], "on_premises": on_premises}
    if not own.changes:
        return Standing("off", "All three switches are off: meetings are carried over at the usual turn of each mailbox.", **common)
    every = f"looked at every {counted(insta.look_seconds(own), 'second')}"
    says = []
    if watched and looked_at:
        says.append(f"{counted(watched, 'mailbox', 'mailboxes')} by notices, {looked_at:,} are {every}.")
    elif watched:
        says.append(f"Microsoft tells of changed meetings of {counted(watched, 'mailbox', 'mailboxes')}.")
    elif looked_at:
        says.append(f"{_why_looks(own)} Calendars of Microsoft 365 are {every}.")
    if on_premises:
        says.append(f"{counted(on_premises, 'calendar')} of Exchange on premises {bent(on_premises, 'is', 'are')} {every}.")
    if not says:
        return Standing("off", "No mailbox of Microsoft 365 or Exchange has its calendar synced.", **common)
    way = "looks" if not watched else "both" if looked_at + on_premises > 0 else "notices"
    return Standing(way, " ".join(says), **common)


def _why_looks(own: InstaSync) -> str:
    if refusal := watches.address_refusal():
        return refusal
    if watches.reached(own) == InstaSync.Reached.NO:
        return f"Microsoft does not reach this site: {isolated(own.reached_says.rstrip('.'))}."
    return "Microsoft does not watch the calendars yet."


def watches_listed() -> QuerySet[CalendarWatch]:
    """Returns the watches with the last thing that was told of each, those in trouble first."""
    newest = MeetingNotice.objects.filter(mailbox=OuterRef("mailbox")).order_by("-received_at").values("received_at")[:1]
    rows = CalendarWatch.objects.select_related("mailbox").defer("secrets", "mailbox__secrets")
    return rows.annotate(told_at=Subquery(newest)).order_by("-tries", "-state", "mailbox__address")
