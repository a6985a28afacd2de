"""Whose change a webhook tells of, and which values of users we had overwritten without seeing them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import HookEvent, Ref
from reconciliation.core.overwritten import CLOCKS, SAME_WRITE, OurUpdate, find_our_update, overwritten_values

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def event(fields, before=None, at=NOON):
    return HookEvent(Ref("outreach", "prospect", "7"), "updated", fields, before or {}, at)


def ours(id_=1, before=None, after=None, sent=NOON, answered=None):
    return OurUpdate(id_, before or {"title": "Old"}, after or {"title": "Ours"}, sent, answered)


def test_a_users_value_that_we_never_read_is_a_loss():
    told = event({"title": "Ours"}, {"title": "Typed"})

    assert find_our_update(told, [ours()]) == ours()
    assert overwritten_values(told, ours()) == {"title": "Typed"}


@pytest.mark.parametrize(
    ("was", "is_lost"),
    [("Old", False), ("Ours", False), (None, True), ("", True), ("Typed", True), ("old", True)],
)
def test_what_we_believed_or_wrote_is_none(was, is_lost):
    assert bool(overwritten_values(event({"title": "Ours"}, {"title": was}), ours())) is is_lost


def test_blanks_are_one_and_fields_that_are_not_told_are_not_lost():
    update = ours(before={"title": None, "city": "Ulm"}, after={"title": "Ours", "city": "Bonn"})

    assert overwritten_values(event({"title": "Ours"}, {"title": ""}), update) == {}
    assert overwritten_values(event({"title": "Ours", "x": 1}, {"x": 2}), update) == {}


def test_a_field_nobody_had_read_counts_as_blank():
    update = OurUpdate(1, {}, {"owner": "2"}, NOON)

    assert overwritten_values(event({"owner": "2"}, {"owner": "9"}), update) == {"owner": "9"}
    assert overwritten_values(event({"owner": "2"}, {"owner": None}), update) == {}


def test_a_forgotten_belief_makes_no_loss():
    update = ours(before={"title": "(forgotten 3)"})

    assert overwritten_values(event({"title": "Ours"}, {"title": "Old"}), update) == {}


@pytest.mark.parametrize(
    ("fields", "is_ours"),
    [
        ({"title": "Ours"}, True),
        ({"title": "Ours", "updatedAt": NOON, "touchedAt": NOON}, True),
        ({"title": "Theirs"}, False),
        ({"city": "Bonn"}, False),
        ({}, False),
    ],
)
def test_only_what_says_what_we_wrote_is_ours(fields, is_ours):
    assert (find_our_update(event(fields), [ours()]) is not None) is is_ours


def test_a_user_who_types_what_we_once_wrote_is_told_apart_by_the_stamp_of_our_answer():
    update = ours(sent=NOON, answered=NOON)

    assert find_our_update(event({"title": "Ours"}, {"title": "X"}, NOON + SAME_WRITE), [update]) == update
    assert find_our_update(event({"title": "Ours"}, {"title": "X"}, NOON + SAME_WRITE + SECOND), [update]) is None


def test_an_unanswered_write_is_found_by_our_clock_which_may_be_wrong():
    assert find_our_update(event({"title": "Ours"}, at=NOON + CLOCKS), [ours()]) is not None
    assert find_our_update(event({"title": "Ours"}, at=NOON + CLOCKS + SECOND), [ours()]) is None
    assert find_our_update(event({"title": "Ours"}, at=None), [ours()]) is not None


def test_of_several_the_answered_and_then_the_nearest_is_meant():
    far, near = ours(1, sent=NOON - 60 * SECOND), ours(2, sent=NOON - 10 * SECOND)
    answered = ours(3, sent=NOON - 300 * SECOND, answered=NOON)

    assert find_our_update(event({"title": "Ours"}), [far, near]) == near
    assert find_our_update(event({"title": "Ours"}), [near, answered, far]) == answered


VALUES = st.sampled_from([None, "", "a", "b", 1, True, ("a",)])
FIELDS = st.dictionaries(st.sampled_from("xyz"), VALUES)


@given(FIELDS, FIELDS, FIELDS)
def test_a_loss_is_always_a_value_that_was_told_of_a_field_that_we_wrote(before, believed, written):
    found = overwritten_values(event(written, before), OurUpdate(1, believed, written, NOON))

    assert set(found) <= set(written) & set(before)
    assert all(found[name] == before[name] for name in found)
    assert overwritten_values(event(written, {**before, **believed}), OurUpdate(1, believed, written, NOON)).keys().isdisjoint(believed)
