"""The CRM's changes, read once for all mailboxes: who changed, who entered or left a view. Each mailbox goes on behind the
last row it looked at, so that a thousand mailboxes cost the CRM what one does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Max

from connectors.contract import EVERYTHING, MINE, Op, Position, Record, Test, ViewTerms
from connectors.errors import MappingError, RecordError
from reconciliation.engine import lease as leases
from reconciliation.engine.context import RunContext
from reconciliation.engine.mailbox_terms import effective_of
from reconciliation.engine.mailbox_view import OWNER, View, view_row
from reconciliation.models import CrmFeed, CrmView, FeedChange, Mailbox, SyncPass, ViewMember
from reconciliation.models.bulk import insert_rows

PAGE_ROWS = 2000
AT_ONCE = 500
MOST_KEPT = 2000  # records that the reader hands on to its own mailbox
DESCRIBED_FOR, COMPARED_FOR = timedelta(hours=1), timedelta(hours=24)
CHANGED = "SystemModstamp"


@dataclass(slots=True)
class News:
    """What a mailbox has to look at: ids in the order of the feed, up to which row, and records that were read just now."""

    ids: list[str] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)
    versions: dict[str, str] = field(default_factory=dict)  # the last one that the feed names of each
    upto: int = 0
    is_whole: bool = True  # False: the feed does not reach back to where the mailbox stood

    def is_as_read(self, record: Record) -> bool:
        """Tells whether the feed speaks of the record as it was read; another worker may have added to the feed since."""
        return self.versions.get(record.ref.id) == _version(record)


def feed_of(sync_pass: SyncPass, object_type: str) -> CrmFeed:
    return CrmFeed.objects.get_or_create(connection=sync_pass.crm, object_type=object_type)[0]


def refresh(
    context: RunContext, object_type: str, columns: Sequence[str], *, good_for: timedelta, has_views: bool = True
) -> dict[str, Record]:
    """Reads what changed in the CRM since the last time, unless that was read within `good_for` or another run is at it.
    Returns the records it read, by id, as far as they are few. Raises ConnectionTrouble."""
    feed, now = feed_of(context.sync_pass, object_type), context.wiring.now()
    if feed.read_at is not None and now - good_for < feed.read_at <= now:
        return {}
    name = f"feed:{feed.connection_id}:{object_type}"
    try:
        lease = leases.take(name, context.lease.holder, db_now=context.wiring.db_now, monotonic=context.wiring.monotonic)
    except leases.LeaseHeld:
        return {}
    try:
        feed.refresh_from_db()
        found = _read(context, feed, columns, lease)
        changed = _not_noted(feed, found)
        if has_views:
            _look_at_views(context, feed, changed, lease)  # first: what is noted is not looked at again, should this be broken off
        _note(feed, changed, now)
        CrmFeed.objects.filter(pk=feed.pk).update(last_run_time=feed.last_run_time, read_at=context.wiring.now())
    finally:
        lease.release()
    return {r.ref.id: r for r in found} if len(found) <= MOST_KEPT else {}


def _read(context: RunContext, feed: CrmFeed, columns: Sequence[str], lease: leases.Lease) -> list[Record]:
    """Reads every page since the feed's cursor, which moves to the remote clock of the first answer less the overlap. All of a
    read are kept until they are noted: as many as changed since the last one, of which only a few fields are."""
    connector, overlap = context.crm.connector, timedelta(seconds=context.sync_pass.overlap_seconds)
    since = feed.last_run_time or context.wiring.now() - overlap
    position: Position | None = None
    started = None
    found: list[Record] = []
    while True:
        lease.guard(connector.request_timeout)
        context.lease.guard(connector.request_timeout)
        page = connector.changes(
            feed.object_type,
            where=Test(CHANGED, Op.GE, since),
            columns=columns,
            position=position,
            before=started if position is not None else None,
            page_size=PAGE_ROWS,
            include_deleted_since=since,
        )
        started = started or page.server_time
        found += page.records
        position = page.position
        if position is None:
            break
    feed.last_run_time = started - overlap
    return found


def _not_noted(feed: CrmFeed, records: Sequence[Record]) -> list[Record]:
    """Returns the records that the feed does not hold in this version yet; the overlap brings the last ones again and again."""
    changed: list[Record] = []
    for start in range(0, len(records), AT_ONCE):
        some = {r.ref.id: r for r in records[start : start + AT_ONCE]}
        newest = FeedChange.objects.filter(feed=feed, record_id__in=some).values("record_id").annotate(last=Max("pk")).values("last")
        known = dict(FeedChange.objects.filter(pk__in=newest).values_list("record_id", "version"))
        changed += [r for r in some.values() if known.get(r.ref.id) != _version(r)]
    return changed


def _note(feed: CrmFeed, changed: Sequence[Record], now: datetime) -> None:
    """Adds the records to the feed, for every mailbox to look at."""
    for start in range(0, len(changed), AT_ONCE):
        insert_rows(
            [
                FeedChange(
                    feed=feed,
                    record_id=r.ref.id,
                    owner_id=str(r.fields.get(OWNER) or ""),
                    version=_version(r),
                    is_deleted=r.is_deleted,
                    at=now,
                )
                for r in changed[start : start + AT_ONCE]
            ]
        )


def _version(record: Record) -> str:
    return f"{'-' if record.is_deleted else ''}{record.version}"[:64]


# --- views ----------------------------------------------------------------------------------------------------------


def _look_at_views(context: RunContext, feed: CrmFeed, changed: Sequence[Record], lease: leases.Lease) -> None:
    """Brings the members of every view in use up to date: of what changed at once, of everything once a day, since a view may
    ask for what is no change of the record itself (the name of its account, the day). A view that the CRM refuses is set
    aside, with the reason: it is the trouble of those who chose it, and of nobody else."""
    for view, users in _views_in_use(context, feed):
        lease.guard(context.crm.connector.request_timeout)
        try:
            _look_at_view(context, feed, view, users, changed)
        except (RecordError, MappingError) as error:
            view.why_not, view.described_at, view.compared_at = error.sentence, context.wiring.now(), None
            view.save(update_fields=["why_not", "described_at", "compared_at"])


def _look_at_view(context: RunContext, feed: CrmFeed, view: CrmView, users: list[str], changed: Sequence[Record]) -> None:
    now = context.wiring.now()
    is_new = _describe(context, view) if view.described_at is None or now - view.described_at >= DESCRIBED_FOR else False
    if view.why_not or not view.where:
        return
    is_new = is_new or not view.is_read_for(users)
    if is_new or view.compared_at is None or now - view.compared_at >= COMPARED_FOR:
        _compare(context, feed, view, users)
    elif changed:
        _update_members(context, view, users, changed)


def _views_in_use(context: RunContext, feed: CrmFeed) -> list[tuple[CrmView, list[str]]]:
    """Returns the saved views that running mailboxes show, with the users they are shown for."""
    boxes = (
        Mailbox.objects.filter(passes__parent=context.sync_pass.whole, state__in=Mailbox.RUNNING)
        .exclude(crm_user_id="")
        .select_related("group")
    )
    users: dict[str, list[str]] = {}
    for box in boxes:
        wanted = effective_of(context.sync_pass, box)["view"].value
        if wanted not in (MINE, EVERYTHING):
            users.setdefault(wanted, []).append(box.crm_user_id)
    return [(view_row(context.sync_pass, wanted, feed.object_type), sorted(set(some))) for wanted, some in sorted(users.items())]


def _describe(context: RunContext, view: CrmView) -> bool:
    """Reads what the view asks for now. Returns whether that is something else than before."""
    terms = context.crm.connector.view_terms(view.object_type, view.view_id)
    is_new = terms.fingerprint != view.fingerprint
    view.scope, view.where, view.fingerprint, view.why_not = terms.scope, terms.where, terms.fingerprint, terms.why_not
    view.described_at = context.wiring.now()
    view.save(update_fields=["scope", "where", "fingerprint", "why_not", "described_at"])
    return is_new


def _members(context: RunContext, view: CrmView, users: Sequence[str], ids: Sequence[str] | None) -> Iterable[tuple[str, str]]:
    terms = ViewTerms(view.object_type, view.scope, view.where, view.fingerprint)
    for page in context.crm.connector.members(view.object_type, terms, owners=users, ids=ids, columns=[OWNER]):
        context.lease.guard(context.crm.connector.request_timeout)
        for record in page.records:
            yield record.ref.id, str(record.fields.get(OWNER) or "")


def _compare(context: RunContext, feed: CrmFeed, view: CrmView, users: Sequence[str]) -> None:
    """Reads all members and tells the feed who entered or left without a change of its own."""
    now = dict(_members(context, view, users, None))
    before = dict(ViewMember.objects.filter(view=view).values_list("record_id", "owner_id"))
    moved = [id_ for id_ in {**before, **now} if before.get(id_) != now.get(id_)]
    _store(view, now, [id_ for id_ in before if id_ not in now])
    at = context.wiring.now()
    insert_rows([FeedChange(feed=feed, record_id=id_, owner_id=now.get(id_, ""), at=at) for id_ in moved])
    view.compared_at, view.users = at, list(users)
    view.save(update_fields=["compared_at", "users"])


def _update_members(context: RunContext, view: CrmView, users: Sequence[str], changed: Sequence[Record]) -> None:
    ids = [r.ref.id for r in changed if not r.is_deleted]
    now = dict(_members(context, view, users, ids)) if ids else {}
    _store(view, now, [r.ref.id for r in changed if r.ref.id not in now])


def _store(view: CrmView, members: dict[str, str], left: Sequence[str]) -> None:
    for start in range(0, len(left), AT_ONCE):
        ViewMember.objects.filter(view=view, record_id__in=left[start : start + AT_ONCE]).delete()
    rows = [ViewMember(view=view, record_id=id_, owner_id=owner) for id_, owner in members.items()]
    for start in range(0, len(rows), AT_ONCE):
        insert_rows(rows[start : start + AT_ONCE], unique=["view", "record_id"], update=["owner_id"])


# --- what a mailbox reads of it -------------------------------------------------------------------------------------


def news_for(sync_pass: SyncPass, object_type: str, *, most: int) -> News:
    """Returns what happened behind the mailbox's place in the feed, each record once, at most so many."""
    feed = feed_of(sync_pass, object_type)
    rows = FeedChange.objects.filter(feed=feed, pk__gt=sync_pass.feed_at or 0).order_by("pk")[:most]
    news = News(upto=sync_pass.feed_at or 0, is_whole=sync_pass.feed_at is not None and not _is_cut_off(feed, sync_pass.feed_at))
    seen: dict[str, None] = {}
    for pk, record_id, version, is_deleted in rows.values_list("pk", "record_id", "version", "is_deleted"):
        news.upto = pk
        seen[record_id] = None
        if version:  # blank: it entered or left a view, and is as it was
            news.versions[record_id] = version
        (news.deleted.add if is_deleted else news.deleted.discard)(record_id)
    news.ids = list(seen)
    return news


def perhaps_shown(sync_pass: SyncPass, object_type: str, view: View, ids: Sequence[str]) -> set[str]:
    """Returns those that the feed does not rule out: of a view of one's own records, those that are the user's."""
    return owned_by(sync_pass, object_type, view.user_id, ids) if ids and view.scope == MINE else set(ids)


def owned_by(sync_pass: SyncPass, object_type: str, user_id: str, ids: Sequence[str]) -> set[str]:
    """Returns those that belonged to a user when the feed told of them."""
    if not ids:
        return set()
    rows = FeedChange.objects.filter(feed=feed_of(sync_pass, object_type), record_id__in=ids, owner_id=user_id)
    return set(rows.values_list("record_id", flat=True))


def prune(limit: datetime) -> int:
    """Removes what happened before the limit. A mailbox that did not look at it yet is compared as a whole. Returns how many."""
    removed = 0
    for feed in CrmFeed.objects.all():
        last = FeedChange.objects.filter(feed=feed, at__lt=limit).aggregate(last=Max("pk"))["last"]
        if last is not None:
            CrmFeed.objects.filter(pk=feed.pk).update(pruned_to=last)  # first: a crash in between must not hide the hole
            removed += FeedChange.objects.filter(feed=feed, pk__lte=last).delete()[0]
    return removed


def newest(sync_pass: SyncPass, object_type: str) -> int:
    """Returns the last row of the feed: where a mailbox stands that was compared as a whole just now."""
    return FeedChange.objects.filter(feed=feed_of(sync_pass, object_type)).aggregate(last=Max("pk"))["last"] or 0


def _is_cut_off(feed: CrmFeed, feed_at: int) -> bool:
    return feed_at < feed.pruned_to
