"""S3.1: which activities are carried, and what their Tasks hold. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Record, Ref
from reconciliation.core.ledger import Outcome
from reconciliation.passes.activities import (
    LONGEST,
    TYPES,
    ActivityTerms,
    Known,
    Owner,
    Person,
    State,
    day_of,
    decide,
    first_look,
    name_of,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TERMS = ActivityTerms(begins_at=NOON - timedelta(days=1), database="00D1", crm_name="Salesforce", peer_name="Outreach")
CONTACT = Person(Ref("salesforce", "Contact", "003A"), "001A")
LEAD = Person(Ref("salesforce", "Lead", "00QA"), "")
PRIYA = Owner("005A", "Europe/London")
DONE = {
    "task": {"action": "action_item", "state": "complete", "completedAt": NOON, "owner": "1"},
    "mailing": {"subject": "A quote", "bodyText": "Dear Ada", "state": "delivered", "deliveredAt": NOON, "user": "1"},
    "call": {"direction": "inbound", "outcome": "Answered", "answeredAt": NOON - timedelta(seconds=61), "completedAt": NOON, "user": "1"},
}


def activity(type_, *, damaged=(), version="v1", **fields):
    values = {"prospect": "9", **DONE[type_], **fields}
    return Record(Ref("outreach", type_, "12"), values, version=version, updated_at=NOON, damaged=frozenset(damaged))


@pytest.mark.parametrize("type_", TYPES)
def test_what_was_done_since_the_beginning_needs_a_look_up(type_):
    assert first_look(activity(type_), None, TERMS) is None
    assert first_look(activity(type_), Known(State.WAITING, "v1"), TERMS) is None


@pytest.mark.parametrize(
    ("type_", "fields", "reason"),
    [
        ("task", {"state": "incomplete"}, "not_finished"),
        ("task", {"completedAt": NOON - timedelta(days=2)}, "before_start"),
        ("task", {"prospect": None}, "no_prospect"),
        ("mailing", {"deliveredAt": None, "state": "scheduled"}, "not_finished"),
        ("mailing", {"state": "bounced"}, "bounced"),
        ("mailing", {"state": "failed", "deliveredAt": None}, "bounced"),
        ("call", {"outcome": None, "answeredAt": None, "completedAt": None}, "not_finished"),
        ("call", {"completedAt": NOON - timedelta(days=2), "answeredAt": None}, "before_start"),
    ],
)
def test_what_is_left_out_says_why(type_, fields, reason):
    decision = first_look(activity(type_, **fields), None, TERMS)

    assert (decision.outcome, decision.reason) == (Outcome.EXCLUDED, reason) and decision.sentence and decision.intent is None


@pytest.mark.parametrize(
    ("fields", "when"),
    [
        ({"outcome": "Not Answered", "answeredAt": None, "completedAt": None, "dialedAt": NOON}, True),
        ({"outcome": "Answered", "answeredAt": None, "completedAt": None, "createdAt": NOON}, True),
        ({"outcome": None, "answeredAt": NOON, "completedAt": None}, True),
        ({"outcome": None, "answeredAt": None, "completedAt": None, "dialedAt": NOON}, False),
    ],
)
def test_a_call_counts_once_it_says_how_it_ended(fields, when):
    assert (first_look(activity("call", **fields), None, TERMS) is None) is when


@pytest.mark.parametrize(
    ("state", "version", "outcome", "reason"),
    [
        (State.CARRIED, "v1", Outcome.UNCHANGED, "echo"),
        (State.CARRIED, "v0", Outcome.UNCHANGED, "carried"),
        (State.TAKEN_BACK, "v0", Outcome.EXCLUDED, "taken_back"),
        (State.REFUSED, "v1", Outcome.HELD, "case_open"),
    ],
)
def test_what_is_remembered_is_never_carried_again(state, version, outcome, reason):
    decision = first_look(activity("task", state="incomplete"), Known(state, version), TERMS)

    assert (decision.outcome, decision.reason) == (outcome, reason)


def test_a_refused_one_that_was_edited_is_tried_again():
    assert first_look(activity("task"), Known(State.REFUSED, "v0"), TERMS) is None


def test_the_task_of_each_type():
    task, mail, call = (decide(activity(type_), CONTACT, PRIYA, TERMS).intent for type_ in TYPES)
    common = {
        "Status": "Completed",
        "Priority": "Normal",
        "ActivityDate": date(2026, 3, 2),
        "WhoId": "003A",
        "WhatId": "001A",
        "OwnerId": "005A",
    }

    assert task.after == {**common, "Subject": "Task", "TaskSubtype": "Task"}
    assert mail.after == {**common, "Subject": "Email: A quote", "Description": "Dear Ada", "TaskSubtype": "Email"}
    calling = {"CallType": "Inbound", "CallDurationInSeconds": 61, "TaskSubtype": "Call"}
    assert call.after == {**common, "Subject": "Inbound call: answered", **calling}
    assert [i.marker for i in (task, mail, call)] == ["sync-00D1-task-12", "sync-00D1-mailing-12", "sync-00D1-call-12"]
    assert {(i.kind, i.side, i.object_type) for i in (task, mail, call)} == {("create", "crm", "Task")}


def test_a_lead_has_no_related_record_and_neither_has_a_contact_without_account():
    assert "WhatId" not in decide(activity("task"), LEAD, PRIYA, TERMS).intent.after
    assert "WhatId" not in decide(activity("task"), Person(CONTACT.ref), PRIYA, TERMS).intent.after


def test_nobodys_task_is_ours_and_says_so():
    stranger, nobody = decide(activity("task"), CONTACT, None, TERMS), decide(activity("task", owner=None), CONTACT, None, TERMS)

    assert "OwnerId" not in stranger.intent.after and "User 1 of Outreach has no active user" in stranger.warnings[0]
    assert nobody.warnings == ("It names no user: the Task belongs to the user that we connect as",)


@pytest.mark.parametrize(
    ("fields", "subject"),
    [
        ({"action": "email", "note": "First line\nsecond"}, "Email task: First line"),
        ({"action": "linkedin_view_profile", "note": None}, "Linkedin view profile"),
        ({"action": None, "note": "  "}, "Task"),
    ],
)
def test_a_task_is_called_by_its_action_and_the_first_line_of_its_note(fields, subject):
    assert name_of(activity("task", **fields)) == subject


def test_a_subject_is_one_line_and_a_mail_without_one_says_so():
    assert name_of(activity("mailing", subject="A\r\nquote ")) == "Email: A quote"
    assert name_of(activity("mailing", subject=None)) == "Email without a subject"
    assert name_of(activity("call", direction=None, outcome=None)) == "Call"


def test_a_call_that_ended_before_it_began_has_no_duration():
    after = decide(activity("call", answeredAt=NOON + timedelta(hours=1)), CONTACT, PRIYA, TERMS).intent.after

    assert "CallDurationInSeconds" not in after


def test_a_damaged_text_is_left_out_and_said():
    decision = decide(activity("mailing", damaged=["bodyText"], bodyText="a\ufffd"), CONTACT, PRIYA, TERMS)
    subject = decide(activity("mailing", damaged=["subject"], subject="a\ufffd"), CONTACT, PRIYA, TERMS)

    assert "Description" not in decision.intent.after and "bodyText holds characters" in decision.warnings[0]
    assert subject.intent.after["Subject"] == "Email without a subject" and "subject" in subject.warnings[0]


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/Los_Angeles", date(2026, 3, 1)),
        ("Asia/Tokyo", date(2026, 3, 2)),
        ("", date(2026, 3, 2)),
        ("No/Such_Zone", date(2026, 3, 2)),
    ],
)
def test_the_day_is_that_of_the_owner(zone, day):
    assert day_of(datetime(2026, 3, 2, 3, tzinfo=UTC), zone) == day


@given(subject=st.text(max_size=400), body=st.text(max_size=300), longest=st.integers(2, 200))
def test_whatever_a_mail_says_fits_and_what_was_cut_is_said(subject, body, longest):
    terms = ActivityTerms(TERMS.begins_at, "d", "Salesforce", "Outreach", longest={"Subject": 255, "Description": longest})

    decision = decide(activity("mailing", subject=subject, bodyText=body), CONTACT, PRIYA, terms)

    after = decision.intent.after
    assert len(after["Subject"]) <= LONGEST["Subject"] and "\n" not in after["Subject"]
    text = after.get("Description", "")
    assert len(text) <= longest and any("Description was cut" in w for w in decision.warnings) == (len(body.strip()) > longest)
