"""Series of a calendar: occurrences that left it, and a series that was moved as a whole, whose occurrences are others by their
original start and the same to everybody who attends (C23)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from connectors import calendars as words
from connectors.calendars import EventChanges
from connectors.contract import Record
from connectors.when import read_when
from reconciliation.engine.context import RunContext
from reconciliation.models import Binding, MailboxItem
from reconciliation.models.bulk import update_rows
from reconciliation.passes import items as rules

REACHED = "window_reached"  # in the settings of a mailbox's pass: until when events were looked at
SAME_DAY = timedelta(hours=24)


def gone_of(context: RunContext, page: EventChanges) -> set[str]:
    """Returns the items known here that a page says are gone: by their id, by that of their series, or since their series was looked
    through and does not hold them any more. What lies outside the window is not missed."""
    gone = set(page.gone)
    rows = MailboxItem.objects.filter(sync_pass=context.sync_pass)
    if page.gone:
        for start in range(0, len(page.gone), 500):
            gone.update(rows.filter(series_id__in=page.gone[start : start + 500]).values_list("item_id", flat=True))
    window = context.terms.own.window
    for series, ids in page.series.items():
        held = rows.filter(series_id=series, ends_at__gt=window.start, starts_at__lt=window.end)
        gone.update(id_ for id_ in held.values_list("item_id", flat=True) if id_ not in ids)
    return gone


def waits_of(context: RunContext, events: Collection[Record]) -> set[str]:
    """Returns the occurrences that nobody knows, of series of which others are known: whether their series was moved, and they are
    those that left the calendar, a later page of the round may say."""
    named = {r.ref.id: str(r.fields[words.SERIES]) for r in events if r.fields.get(words.SERIES)}
    if not named:
        return set()
    rows = MailboxItem.objects.filter(sync_pass=context.sync_pass, series_id__in=set(named.values()))
    found = list(rows.values_list("item_id", "series_id", "state"))
    ids, series = {id_ for id_, _, _ in found}, {name for _, name, state in found if state != MailboxItem.State.ENDED}
    return {id_ for id_, name in named.items() if id_ not in ids and name in series}


def are_among(context: RunContext, ids: Collection[str]) -> bool:
    """Tells whether occurrences of series that are known are among these items."""
    rows = MailboxItem.objects.filter(sync_pass=context.sync_pass, item_id__in=list(ids)).exclude(series_id="")
    return bool(ids) and rows.exclude(state=MailboxItem.State.ENDED).exists()


def shifted_of(context: RunContext, events: Collection[Record]) -> set[str]:
    """Returns the known occurrences among these events that begin at another time than they did."""
    starts = {r.ref.id: _start(r) for r in events if r.fields.get(words.SERIES)}
    rows = MailboxItem.objects.filter(sync_pass=context.sync_pass, item_id__in=list(starts)) if starts else MailboxItem.objects.none()
    return {id_ for id_, start in rows.values_list("item_id", "starts_at") if start != starts[id_]}


def follow_moves(context: RunContext, events: Collection[Record], gone: Collection[str], shifted: Collection[str]) -> set[str]:
    """Lets links follow to the occurrences of a series that was moved as a whole: all by the same time, else to the one of the same
    day, else in their order. A series of which one stands where it stood, in the days looked at, was not moved. Returns the ids of the
    items that are known under another id now."""
    moved: set[str] = set()
    named = {str(r.fields[words.SERIES]) for r in events if r.fields.get(words.SERIES)} if gone else set()
    for series in sorted(named):
        rows = {r.item_id: r for r in MailboxItem.objects.filter(sync_pass=context.sync_pass, series_id=series)}
        linked = _linked(context, [id_ for id_ in gone if id_ in rows])
        alive = {id_ for id_, row in rows.items() if row.state != MailboxItem.State.ENDED or id_ in linked}
        lost = [rows[id_] for id_ in gone if id_ in alive and rows[id_].starts_at]
        new = {r.ref.id: r for r in events if r.fields.get(words.SERIES) == series and r.ref.id not in rows}
        starts = _starts(context, new)
        stands = [rows[id_] for id_ in alive if id_ not in gone and id_ not in shifted and _is_in_view(context, rows[id_])]
        if not lost or (stands and not _is_slid(lost, stands, list(starts.values()))):
            continue
        pairs = _paired(sorted(lost, key=lambda r: r.item_id), starts)
        _rename(context, pairs, new)
        moved.update(row.item_id for row, _ in pairs)
        for row, id_ in pairs:
            row.item_id = id_
    return moved


def _is_slid(lost: list[MailboxItem], stands: list[MailboxItem], new: list[datetime]) -> bool:
    """Tells whether a series was moved by whole weeks, say: as many dates went at its one end as came at its other, and those between
    are what others were."""
    went, stood = [row.starts_at for row in lost], [row.starts_at for row in stands]
    if len(went) != len(new):
        return False
    return (max(went) < min(stood) and max(stood) < min(new)) or (min(went) > max(stood) and min(stood) > max(new))


def _is_in_view(context: RunContext, row: MailboxItem) -> bool:
    window = context.terms.own.window
    return bool(row.starts_at and row.ends_at and row.ends_at > window.start and row.starts_at < window.end)


def _linked(context: RunContext, ids: Collection[str]) -> set[str]:
    """Returns those of these items that are linked: by what recovery found, too, of which their rows tell nothing yet."""
    found: set[str] = set()
    asked = sorted(ids)
    for start in range(0, len(asked), 500):
        links = Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, peer_id__in=asked[start : start + 500])
        found.update(links.values_list("peer_id", flat=True))
    return found


def _starts(context: RunContext, new: Mapping[str, Record]) -> dict[str, datetime]:
    """Returns when new occurrences begin, without those that came into the window since the last look: they say nothing of a move."""
    reached = context.sync_pass.settings.get(REACHED)
    starts = {id_: start for id_, record in new.items() if (start := _start(record)) is not None}
    return {id_: start for id_, start in starts.items() if not reached or start < datetime.fromisoformat(reached)}


def _paired(lost: list[MailboxItem], free: dict[str, datetime]) -> list[tuple[MailboxItem, str]]:
    """Returns each lost occurrence with the new one that it became: those that lie as far apart as most do, then the nearest of the
    same day, then the rest in their order: where as many came as went, or where that moves all by about as much. Some may have left
    the window, or come into it, and one that was changed alone lay elsewhere."""
    pairs = _shifted(lost, free)
    taken = {row.pk for row, _ in pairs}
    rest: list[MailboxItem] = []
    for row in sorted((row for row in lost if row.pk not in taken), key=lambda r: r.starts_at):
        near = min(free, key=lambda id_: abs(free[id_] - row.starts_at), default=None)
        if near is not None and abs(free[near] - row.starts_at) < SAME_DAY:
            pairs.append((row, near))
            del free[near]
        else:
            rest.append(row)
    return pairs + _in_order(rest, sorted(free, key=lambda id_: free[id_]), free)


def _in_order(rest: list[MailboxItem], ids: list[str], starts: Mapping[str, datetime]) -> list[tuple[MailboxItem, str]]:
    """Returns the pairs of occurrences that kept their order. Where more came than went, or fewer, those that follow each other are
    taken which lie the least apart, and all about as far."""
    if not rest or not ids:
        return []
    if len(rest) == len(ids):
        return list(zip(rest, ids, strict=True))
    n = min(len(rest), len(ids))
    runs = [list(zip(rest[i : i + n], ids[j : j + n], strict=True)) for i in range(len(rest) - n + 1) for j in range(len(ids) - n + 1)]
    alike = [run for run in runs if _spread(run, starts) < SAME_DAY]
    return min(alike, key=lambda run: abs(starts[run[0][1]] - run[0][0].starts_at), default=[])


def _spread(pairs: list[tuple[MailboxItem, str]], starts: Mapping[str, datetime]) -> timedelta:
    """Returns by how much the distances of these pairs differ."""
    shifts = [starts[id_] - row.starts_at for row, id_ in pairs]
    return max(shifts) - min(shifts)


def _shifted(lost: list[MailboxItem], free: dict[str, datetime]) -> list[tuple[MailboxItem, str]]:
    """Returns the pairs that lie apart as most do, and takes them from those that are free. One pair alone says nothing."""
    apart = Counter(start - row.starts_at for row in lost for start in free.values())
    most = max(apart, key=lambda shift: (apart[shift], -abs(shift)), default=None)
    if most is None or apart[most] < 2:
        return []
    ids = {start: id_ for id_, start in free.items()}
    pairs = [(row, ids[row.starts_at + most]) for row in lost if row.starts_at + most in ids]
    for _, id_ in pairs:
        free.pop(id_, None)
    return list({id_: (row, id_) for row, id_ in pairs}.values())


def _start(record: Record) -> datetime | None:
    when = read_when(record.fields.get(words.WHEN))
    return when.starts_at if when is not None else None


def _rename(context: RunContext, pairs: list[tuple[MailboxItem, str]], new: Mapping[str, Record]) -> None:
    """Gives links and rows the ids that their items have now, and what is carried here the occasion that it is now. What a colleague
    carries keeps the old one until that was decided anew: the colleague's mailbox may not have followed yet."""
    if not pairs:
        return
    to = {row.item_id: id_ for row, id_ in pairs}
    links = list(Binding.objects.filter(sync_pass=context.sync_pass, is_tombstone=False, peer_id__in=to))
    for link in links:
        link.peer_id = to[link.peer_id]
    update_rows(links, ["peer_id"])
    occasion_of = rules.rules_of(context.terms).occasion_of
    rows = MailboxItem.objects.in_bulk([row.pk for row, _ in pairs])
    for row, id_ in pairs:
        rows[row.pk].item_id = id_
        if rows[row.pk].state != MailboxItem.State.COLLEAGUE:
            rows[row.pk].occasion = occasion_of(new[id_])[:64]
    update_rows(list(rows.values()), ["item_id", "occasion"])
