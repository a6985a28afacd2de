"""Which tasks go up and which come down, each with its reason (seed 004)."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import tasks as words
from connectors.contract import Record, Ref
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.tasks import TASK, TASK_SCHEMA
from reconciliation.defaults.tasks import PRIORITY, ROWS, STATUS
from reconciliation.passes.items import BY_CATEGORY, BY_ITSELF, LeftOut
from reconciliation.passes.tasks import (
    BY_LIST,
    RULES,
    TASKS,
    TaskTerms,
    called,
    looked_from,
    name_of,
    why_not_down,
    why_shared,
)

NOW = datetime(2026, 12, 15, 9, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=100)
TERMS = TaskTerms(since=NOW - timedelta(days=5), user_id="005ANN", looked_from=looked_from(NOW))
ALL = replace(TERMS, shares_all=True)
MARKED, LISTED = {CATEGORIES: ("Blue", "Salesforce")}, {words.IS_OURS: True}
DONE = {words.STATUS: words.COMPLETED}


def item(updated=LONG_AGO, **fields):
    told = {
        words.SUBJECT: "Send quote",
        words.DUE: None,
        words.STATUS: words.NOT_STARTED,
        words.COMPLETED_ON: None,
        words.CREATED: NOW - timedelta(days=1),
        words.IS_OURS: False,
        CATEGORIES: (),
    }
    assert set(fields) <= set(TASK_SCHEMA.attributes)
    return Record(Ref("microsoft", TASK, "T"), {**told, **fields}, updated_at=updated)


def reason(record, terms=TERMS):
    found = why_shared(record, terms)
    assert isinstance(found, str) or found.sentence.endswith(".")
    return found.reason if isinstance(found, LeftOut) else found


# --- upwards --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", ["Salesforce", "SALESFORCE"])
def test_s4_5_the_category_or_our_list_asks_for_a_task_to_be_shared(category):
    assert reason(item(**{CATEGORIES: ("Blue", category)})) == BY_CATEGORY
    assert reason(item(**LISTED)) == BY_LIST
    assert reason(item(**MARKED, **LISTED)) == BY_CATEGORY
    assert reason(item(**{words.CREATED: LONG_AGO}, **MARKED)) == BY_CATEGORY  # older ones, too, when they are marked
    assert reason(item()) == "not_shared"


def test_s4_1_new_tasks_are_shared_by_themselves_where_that_is_on():
    assert reason(item(), ALL) == BY_ITSELF
    assert reason(item(**{words.CREATED: ALL.since - timedelta(seconds=1)}), ALL) == "earlier"
    assert reason(item(**{words.CREATED: None}), ALL) == "earlier"


def test_s4_1_where_nobody_tells_when_a_task_was_made_its_first_sight_counts():
    unknown = item(**{words.CREATED: None})
    assert reason(unknown, replace(ALL, seen_at={"T": ALL.since})) == BY_ITSELF
    assert reason(unknown, replace(ALL, seen_at={"T": ALL.since - timedelta(seconds=1), "U": NOW})) == "earlier"


@pytest.mark.parametrize("status", [status for status in words.STATUSES if status != words.COMPLETED])
def test_what_is_open_is_shared_however_old_it_is(status):
    assert reason(item(**{words.STATUS: status, words.DUE: date(2020, 1, 1)}, **MARKED)) == BY_CATEGORY


@pytest.mark.parametrize(
    ("fields", "updated", "expected"),
    [
        ({}, LONG_AGO, "window"),
        ({}, None, "window"),
        ({}, TERMS.looked_from, BY_CATEGORY),
        ({}, TERMS.looked_from - timedelta(seconds=1), "window"),
        ({words.DUE: date(2026, 12, 1)}, LONG_AGO, BY_CATEGORY),
        ({words.DUE: date(2026, 11, 30)}, LONG_AGO, "window"),
        ({words.DUE: date(2027, 5, 1)}, LONG_AGO, BY_CATEGORY),
        ({words.COMPLETED_ON: date(2026, 12, 10)}, LONG_AGO, BY_CATEGORY),
        ({words.COMPLETED_ON: date(2026, 10, 10)}, LONG_AGO, "window"),
    ],
)
def test_what_is_done_is_shared_for_two_weeks(fields, updated, expected):
    assert reason(item(updated, **DONE, **MARKED, **fields)) == expected


@given(st.sampled_from(words.STATUSES), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_nothing_goes_up_that_nobody_asked_for(status, is_marked, is_listed, shares_all, is_new):
    made = NOW if is_new else LONG_AGO
    record = item(NOW, **{words.STATUS: status, words.CREATED: made, words.IS_OURS: is_listed, CATEGORIES: ("Salesforce",) * is_marked})
    is_up = isinstance(why_shared(record, replace(TERMS, shares_all=shares_all)), str)
    assert is_up == (is_marked or is_listed or (shares_all and is_new))
    assert RULES.is_marked(record) == (is_marked or is_listed)


# --- downwards ------------------------------------------------------------------------------------------------------


def down(updated=LONG_AGO, **fields):
    told = {"OwnerId": "005ANN", "CreatedDate": NOW - timedelta(days=1), "TaskSubtype": "Task", "IsRecurrence": False, "IsClosed": False}
    found = why_not_down(Record(Ref("salesforce", "Task", "00T1"), {**told, **fields}, updated_at=updated), TERMS)
    assert found is None or found.sentence.endswith(".")
    return found.reason if found is not None else ""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ""),
        ({"TaskSubtype": None}, ""),
        ({"OwnerId": "005BO"}, "not_mine"),
        ({"OwnerId": "00GQUEUE"}, "not_mine"),
        ({"OwnerId": None}, "not_mine"),
        *[({"TaskSubtype": kind}, "other_kind") for kind in ("Email", "ListEmail", "Call", "Cadence", "LinkedIn")],
        ({"IsRecurrence": True}, "recurring"),
        ({"CreatedDate": TERMS.since}, ""),
        ({"CreatedDate": TERMS.since - timedelta(seconds=1)}, "earlier"),
        ({"CreatedDate": None}, "earlier"),
        ({"ActivityDate": date(2020, 1, 1)}, ""),  # open, however long it is due
        ({"IsClosed": True}, "window"),
        ({"IsClosed": True, "ActivityDate": date(2026, 12, 1)}, ""),
        ({"IsClosed": True, "ActivityDate": date(2026, 11, 30)}, "window"),
        ({"IsClosed": True, "CompletedDateTime": NOW - timedelta(days=14)}, ""),
        ({"IsClosed": True, "CompletedDateTime": NOW - timedelta(days=15)}, "window"),
    ],
)
def test_tasks_of_salesforce_come_down_to_their_owner(fields, expected):
    assert down(**fields) == expected


def test_a_closed_task_that_was_changed_lately_comes_down():
    assert down(NOW - timedelta(days=3), IsClosed=True) == ""


# --- names and tables -------------------------------------------------------------------------------------------------


def test_what_tasks_are_called():
    assert name_of(item()) == "Send quote" and name_of(item(**{words.SUBJECT: None})) == "(no subject)"
    assert called(item()) == "Send quote" and called(Record(Ref("salesforce", "Task", "00T1"), {"Subject": "Call"})) == "Call"


def test_two_tasks_of_one_subject_are_two_tasks():
    assert TASKS.keys(item()) == () and RULES.occasion_of(item()) == ""
    assert TASKS.pointer_of(item(**{FOREIGN_ID: "00T1"})) == "00T1"


def test_the_shipped_table_pairs_every_value_of_both_sides_once():
    assert [peer for _, peer in STATUS] == list(words.STATUSES) and len({crm for crm, _ in STATUS}) == 5
    assert {peer for _, peer in PRIORITY} == set(words.IMPORTANCES) and len({crm for crm, _ in PRIORITY}) == 3
    writable = {name for name, attribute in TASK_SCHEMA.attributes.items() if attribute.is_updatable}
    assert {row.peer for row in ROWS} == writable - {CATEGORIES, FOREIGN_ID}
