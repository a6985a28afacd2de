"""Ways to break the pass over calendars on purpose, one at a time: the histories must notice each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from connectors.google.calendar import GoogleCalendar
from connectors.salesforce import events as salesforce_events
from connectors.when import When
from reconciliation.core.mailbox_settings import FULL, PROPAGATE
from reconciliation.engine import item_rows, item_series, item_sweep
from reconciliation.passes import events, items

Patch = pytest.MonkeyPatch


def mails_the_guests(patch: Patch) -> None:
    patch.setattr(GoogleCalendar, "_sends", lambda self, write: [("sendUpdates", "all")])


def takes_private_events_up(patch: Patch) -> None:
    patch.setattr(events, "is_hidden", lambda item: False)


def tells_details_of_private_events(patch: Patch) -> None:
    """They are withdrawn under *skip*, and told in full under *busy only*."""
    patch.setattr(events, "RULES", replace(events.RULES, shown=lambda item, terms: item, withheld=lambda item, terms: frozenset()))


def shares_what_nobody_shared(patch: Patch) -> None:
    patch.setattr(events, "_by_itself", lambda item, terms: events.BY_ITSELF)


def makes_one_for_each_calendar(patch: Patch) -> None:
    """The same occasion has another key in every calendar."""
    rules = replace(events.RULES, occasion_of=lambda item: item.ref.id[-40:])
    patch.setattr(events, "RULES", rules)
    patch.setattr(events, "occasion_of", lambda item: item.ref.id[-40:])


def deletes_though_it_is_kept(patch: Patch) -> None:
    decide = items.decide_gone
    patch.setattr(items, "decide_gone", lambda *args: decide(*args[:-1], replace(args[-1], deletion=PROPAGATE)))


def goes_by_what_left(patch: Patch) -> None:
    """The cursor moves past a page whose departures were not looked at."""
    patch.setattr(item_sweep, "process_gone", lambda context, ids: None)


def reads_clocks_an_hour_late(patch: Patch) -> None:
    def late(start: datetime, end: datetime) -> When:
        return When(start + timedelta(hours=1), end + timedelta(hours=1))

    patch.setattr(salesforce_events, "timed", late)


def ends_whole_days_early(patch: Patch) -> None:
    patch.setattr(salesforce_events, "DAY", timedelta(0))


def is_deaf_to_salesforce(patch: Patch) -> None:
    patch.setattr(item_sweep, "crm_side", lambda context, fresh, ends: True)


def loses_series_that_are_moved(patch: Patch) -> None:
    patch.setattr(item_series, "follow_moves", lambda context, items, gone: set())


def keeps_nothing_of_items(patch: Patch) -> None:
    patch.setattr(item_rows, "keep", lambda context, work: None)


def ignores_privacy_of_what_is_linked(patch: Patch) -> None:
    """What turns private stays as it was."""
    decide = items.decide_items
    patch.setattr(items, "decide_items", lambda *a: decide(*a[:6], replace(a[6], own=replace(a[6].own, private=FULL)), a[7]))


DEFECTS: dict[str, Callable[[Patch], None]] = {
    defect.__name__: defect
    for defect in (
        mails_the_guests,
        takes_private_events_up,
        tells_details_of_private_events,
        shares_what_nobody_shared,
        makes_one_for_each_calendar,
        deletes_though_it_is_kept,
        goes_by_what_left,
        reads_clocks_an_hour_late,
        ends_whole_days_early,
        is_deaf_to_salesforce,
        loses_series_that_are_moved,
        keeps_nothing_of_items,
        ignores_privacy_of_what_is_linked,
    )
}
SWITCHES = ("keeps_no_losers", "keeps_no_intent")  # of two-way passes, shown by calendars, too
