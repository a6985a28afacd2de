"""Which events go up, which come down, what of them is shown, and what nothing comes down into (seed 004, D12, C22, C26)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import calendars as words
from connectors.calendars import EVENT, EVENT_SCHEMA, SILENT, Guest, Window
from connectors.contract import Record, Ref
from connectors.mailboxes import CATEGORIES
from connectors.when import days, timed
from reconciliation.passes.events import (
    BUSY_ONLY,
    BY_CATEGORY,
    BY_ITSELF,
    FULL,
    SKIP,
    WITHHELD,
    EventTerms,
    LeftOut,
    held_back,
    name_of,
    occasion_of,
    others_at,
    shown,
    why_not_down,
    why_shared,
)

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
TERMS = EventTerms(Window(NOW - timedelta(days=14), NOW + timedelta(days=61)), NOW - timedelta(days=5), "005ANN")
ALL = replace(TERMS, shares_all=True)
FIELDS = frozenset({"subject", "location", words.WHEN, words.BODY, words.SHOW_AS, words.REMINDER})
BO = Guest("bo@acme.example", "Bo").text


def item(**fields):
    told = {
        "subject": "Demo",
        "location": "Room 2",
        words.BODY: "Agenda",
        words.WHEN: timed(NOW, NOW + timedelta(hours=1)).text,
        words.SENSITIVITY: words.NORMAL,
        words.ORIGIN: words.PLAIN,
        words.IS_CANCELLED: False,
        words.IS_ORGANIZER: True,
        words.RESPONSE: words.ORGANIZES,
        words.CREATED: NOW - timedelta(days=1),
        words.UID: "uid-1",
        words.GUESTS: (),
        CATEGORIES: (),
    }
    assert set(fields) <= set(EVENT_SCHEMA.attributes)
    return Record(Ref("microsoft", EVENT, "E"), {**told, **fields})


def reason(record, terms):
    found = why_shared(record, terms)
    return found.reason if isinstance(found, LeftOut) else found


# --- upwards --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", ["Salesforce", "SALESFORCE"])
def test_s4_5_the_category_asks_for_an_event_to_be_shared(category):
    assert reason(item(**{CATEGORIES: ("Blue", category)}), TERMS) == BY_CATEGORY
    old = item(**{CATEGORIES: (category,), words.CREATED: NOW - timedelta(days=400), words.RESPONSE: words.OPEN})
    assert reason(old, TERMS) == BY_CATEGORY  # older ones, and unanswered ones, when they are marked
    assert reason(item(), TERMS) == "not_shared"


def test_s4_1_new_events_are_shared_by_themselves_where_that_is_on():
    assert reason(item(), ALL) == BY_ITSELF
    assert reason(item(**{words.CREATED: TERMS.since - timedelta(seconds=1)}), ALL) == "earlier"
    assert reason(item(**{words.CREATED: None}), ALL) == "earlier"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (words.ACCEPTED, BY_ITSELF),
        (words.PERHAPS, BY_ITSELF),
        (words.NONE, BY_ITSELF),
        (words.DECLINED, "not_accepted"),
        (words.OPEN, "not_accepted"),
    ],
)
def test_an_invitation_is_shared_by_itself_once_it_was_accepted(answer, expected):
    assert reason(item(**{words.IS_ORGANIZER: False, words.RESPONSE: answer}), ALL) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({words.ORIGIN: words.SPECIAL}, "special"),
        ({words.IS_CANCELLED: True}, "cancelled"),
        ({words.SENSITIVITY: words.PRIVATE}, "private"),
        ({words.SENSITIVITY: words.CONFIDENTIAL}, "private"),
        ({words.WHEN: timed(NOW - timedelta(days=30), NOW - timedelta(days=29)).text}, "window"),
        ({words.WHEN: timed(NOW + timedelta(days=61), NOW + timedelta(days=62)).text}, "window"),
        ({words.WHEN: days(NOW.date(), NOW.date() + timedelta(days=15)).text}, "too_long"),
        ({words.WHEN: "soon"}, "no_time"),
    ],
)
def test_s4_16_what_is_left_out_even_when_it_is_marked(fields, expected):
    left_out = why_shared(item(**{CATEGORIES: ("Salesforce",), **fields}), ALL)
    assert isinstance(left_out, LeftOut) and left_out.reason == expected and left_out.sentence.endswith(".")


def test_an_event_that_reaches_into_the_window_is_in_it():
    assert reason(item(**{words.WHEN: timed(NOW - timedelta(days=15), NOW - timedelta(days=13)).text}), ALL) == BY_ITSELF


# --- private events -------------------------------------------------------------------------------------------------


def test_c22_of_a_private_event_only_the_time_goes_up_where_that_is_set():
    private, terms = item(**{words.SENSITIVITY: words.PRIVATE, words.GUESTS: (BO,)}), replace(ALL, private=BUSY_ONLY)
    seen = shown(private, terms)
    assert reason(private, terms) == BY_ITSELF
    assert seen.fields["subject"] == WITHHELD and seen.fields[words.WHEN] == private.fields[words.WHEN]
    assert not any(seen.fields[name] for name in ("location", words.BODY, words.GUESTS))
    assert held_back(private, FIELDS, terms) == FIELDS  # what Salesforce holds instead never comes down


def test_c22_lists_never_tell_of_a_private_event():
    assert name_of(item(**{words.SENSITIVITY: words.PRIVATE})) == WITHHELD
    assert name_of(item()) == "Demo" and name_of(item(subject=None)) == "(no subject)"


def test_c22_an_organisation_may_share_private_events_whole():
    private, terms = item(**{words.SENSITIVITY: words.PRIVATE}), replace(ALL, private=FULL)
    assert shown(private, terms) is private and held_back(private, FIELDS, terms) == frozenset()
    assert shown(item(), TERMS).fields["subject"] == "Demo"


@given(
    st.sampled_from([words.NORMAL, words.PERSONAL, *words.HIDDEN]), st.sampled_from([SKIP, BUSY_ONLY, FULL]), st.booleans(), st.booleans()
)
def test_c22_no_detail_of_a_private_event_goes_up_unless_all_may(sensitivity, private, is_marked, shares_all):
    terms = replace(TERMS, private=private, shares_all=shares_all)
    record = item(**{words.SENSITIVITY: sensitivity, CATEGORIES: ("Salesforce",) if is_marked else ()})
    if isinstance(why_shared(record, terms), LeftOut) or sensitivity not in words.HIDDEN or private == FULL:
        return
    assert private == BUSY_ONLY and not {"Demo", "Room 2", "Agenda"} & set(shown(record, terms).fields.values())


# --- whose event it is ----------------------------------------------------------------------------------------------


def test_c23_c26_an_occasion_is_one_for_all_and_another_for_each_occurrence():
    ann, bo = item(), replace(item(), ref=Ref("google", EVENT, "x"))
    assert occasion_of(ann) == occasion_of(bo) != ""
    first, second = (item(**{words.ORIGINAL_START: f"2026-12-0{day}T10:00:00Z"}) for day in (1, 8))
    moved = item(**{words.ORIGINAL_START: "2026-12-01T10:00:00Z", words.WHEN: timed(NOW, NOW).text})
    assert occasion_of(first) == occasion_of(moved) != occasion_of(second)
    assert occasion_of(item(**{words.UID: None})) == ""


def test_d12_nothing_comes_down_that_would_mail_guests():
    meeting = item(**{words.GUESTS: (BO,)})
    assert held_back(item(), FIELDS, TERMS) == frozenset()  # an appointment: nobody else attends
    assert held_back(meeting, FIELDS, TERMS) == FIELDS - SILENT
    assert held_back(meeting, FIELDS, replace(TERMS, is_silent=True)) == frozenset()
    assert held_back(meeting, FIELDS, replace(TERMS, told=frozenset({"E"}))) == frozenset()  # a person asked for the mail


def test_d12_of_another_ones_meeting_only_the_own_copy_is_changed():
    invited = item(**{words.GUESTS: (BO,), words.IS_ORGANIZER: False})
    for terms in (TERMS, replace(TERMS, is_silent=True), replace(TERMS, told=frozenset({"E"}))):
        assert held_back(invited, FIELDS, terms) == FIELDS - SILENT


def test_d12_a_person_is_told_how_many_would_be_mailed():
    room = Guest("room2@acme.example", "Room 2", words.RESOURCE).text
    own = frozenset({"ann@acme.example"})
    assert others_at(item(**{words.GUESTS: (BO, room, Guest("ann@acme.example").text)}), own) == 1


# --- downwards ------------------------------------------------------------------------------------------------------


def down(terms=TERMS, **fields):
    told = {"OwnerId": "005ANN", "IsChild": False, "CreatedDate": NOW - timedelta(days=1), "When": timed(NOW, NOW).text, **fields}
    found = why_not_down(Record(Ref("salesforce", "Event", "00U1"), told), terms)
    return found.reason if found is not None else ""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ""),
        ({"OwnerId": "005BO"}, "not_mine"),
        ({"IsChild": True}, ""),  # the copy of somebody who was invited in Salesforce is theirs
        ({"CreatedDate": TERMS.since - timedelta(seconds=1)}, "earlier"),
        ({"When": None}, "no_time"),
        ({"When": timed(NOW + timedelta(days=90), NOW + timedelta(days=91)).text}, "window"),
    ],
)
def test_events_of_salesforce_come_down_to_their_owner(fields, expected):
    assert down(**fields) == expected
