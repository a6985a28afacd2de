"""What a notice is worth, and how long it took: the rules without a database."""

from datetime import UTC, datetime, timedelta

import pytest

from connectors.notices import ALL_DAY, APPOINTMENT, CREATED, DELETED, MEETING, MISSED, REMOVED, UPDATED, Notice
from reconciliation.core.insta_sync import Told, asks_for_a_run, back_off_seconds, digest_of, is_any_meeting, quantile, to_be_read

NOW = datetime(2026, 11, 27, 9, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "asks"),
    [
        ([], False),
        ([Told(CREATED, "a")], False),  # it has to be read
        ([Told(UPDATED, "a", APPOINTMENT)], False),  # it may be a meeting now
        ([Told(UPDATED, "a", MEETING)], True),
        ([Told(DELETED, "a")], True),  # nobody can find out any more
        ([Told(DELETED, "a", MEETING)], True),
        ([Told(DELETED, "a", APPOINTMENT)], False),
        ([Told(DELETED, "a", ALL_DAY)], False),
        ([Told(MISSED, "")], True),
        ([Told(UPDATED, "a", ALL_DAY), Told(REMOVED, "")], True),
    ],
)
def test_s4_42_what_asks_for_a_run_unseen(told, asks):
    assert asks_for_a_run(told) is asks


def test_s4_42_what_is_read_decides_and_what_is_not_there_any_more_may_have_been_one():
    told = [Told(CREATED, "a"), Told(UPDATED, "a"), Told(UPDATED, "b", APPOINTMENT), Told(DELETED, "c", APPOINTMENT)]

    assert to_be_read(told) == ("a", "b")
    assert not is_any_meeting(("a", "b"), {"a": APPOINTMENT, "b": ALL_DAY})
    assert is_any_meeting(("a", "b"), {"a": APPOINTMENT, "b": MEETING})
    assert is_any_meeting(("a", "b"), {"a": APPOINTMENT}) and not is_any_meeting((), {})


def test_the_same_notice_has_one_digest_and_another_version_another():
    one = Notice("w", "s", UPDATED, "a", 'W/"1"')

    assert digest_of(one, NOW) == digest_of(one, NOW + timedelta(days=1)) == digest_of(Notice("w", "other", UPDATED, "a", 'W/"1"'), NOW)
    others = [
        Notice("w", "s", UPDATED, "a", 'W/"2"'),
        Notice("v", "s", UPDATED, "a", 'W/"1"'),
        Notice("w", "s", DELETED, "a"),
        Notice("w", "s", UPDATED, "b", 'W/"1"'),
    ]
    assert len({digest_of(each, NOW) for each in (one, *others)}) == 5


def test_a_word_about_a_watch_counts_again_after_ten_minutes():
    missed = Notice("w", "s", MISSED)

    assert digest_of(missed, NOW) == digest_of(missed, NOW + timedelta(minutes=2))
    assert digest_of(missed, NOW) != digest_of(missed, NOW + timedelta(minutes=11))


@pytest.mark.parametrize(
    ("values", "median", "p95"), [([], None, None), ([3], 3, 3), ([1, 2, 3, 4], 2, 4), (list(range(100, 0, -1)), 50, 95)]
)
def test_quantiles(values, median, p95):
    assert (quantile(values, 0.5), quantile(values, 0.95)) == (median, p95)


def test_what_fails_is_tried_again_later_each_time_and_at_least_hourly():
    waits = [back_off_seconds(n) for n in range(1, 30)]
    assert waits[:4] == [60, 120, 240, 480] and waits == sorted(waits) and waits[-1] == 3600
