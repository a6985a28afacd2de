"""Sharing and labels of a Google mailbox: contacts brought in where they lie, labels made once."""

import pytest

from connectors.contract import Write
from connectors.errors import NeedsAttention, OutcomeUnknown, RecordGone, Rejected, ServerTrouble, StaleVersion
from connectors.mailboxes import CATEGORIES, FOREIGN_ID, INSIDE, OUTSIDE, PLACE
from tests.connectors.google_wire import (
    CATEGORY,
    FOLDER,
    GET,
    GROUPS,
    KEY,
    MAKE_GROUP,
    MINE,
    STALE,
    STARRED,
    UPDATE,
    VIP,
    echo_update,
    error,
    failed,
    got,
    group,
    groups,
    labels_of,
    mailbox,
    older,
    part,
    person,
    updated,
)
from tests.connectors.wire import Said

# --- bringing in --------------------------------------------------------------------------------------------------------


def test_a_contact_from_outside_gets_both_labels_and_the_marker_in_one_update_and_keeps_its_id():
    outside = person(1, MINE, STARRED, clientData=[{"key": "other", "value": "x"}], emailAddresses=[{"value": "a@x.example"}])
    box, wire = mailbox({GET: got(outside), UPDATE: echo_update()})

    record = box.bring_in("people/c1", "m-1")

    assert wire.calls == [GROUPS, GET, UPDATE]
    body = wire.body()["contacts"]["people/c1"]
    assert labels_of(body) == [MINE, STARRED, FOLDER, CATEGORY] and body["metadata"]["sources"][0]["etag"] == "#e1"
    assert body["clientData"] == [{"key": "other", "value": "x"}, {"key": KEY, "value": "m-1"}]
    assert set(body) == {"resourceName", "etag", "metadata", "memberships", "clientData"}
    assert (record.ref.id, record.fields[PLACE], record.fields[FOREIGN_ID]) == ("people/c1", INSIDE, "m-1")
    assert record.fields[CATEGORIES] == ("Salesforce",)


def test_what_was_brought_in_already_is_left_as_it_is():
    box, wire = mailbox({GET: got(person(1, marker="m-1"))})

    assert box.bring_in("people/c1", "m-1").fields[PLACE] == INSIDE and UPDATE not in wire.calls


@pytest.mark.parametrize(
    ("half", "mask"),
    [
        (person(1, MINE, FOLDER, CATEGORY), "clientData"),
        (person(1, MINE, marker="m-1"), "memberships"),
        (person(1, MINE, FOLDER), "memberships,clientData"),
    ],
)
def test_what_an_interruption_left_half_done_is_finished(half, mask):
    box, wire = mailbox({GET: got(half), UPDATE: updated(c1=part(person(1, etag="#new", marker="m-1")))})

    record = box.bring_in("people/c1", "m-1")

    assert set(wire.body()["updateMask"].split(",")) == set(mask.split(","))
    assert (record.fields[PLACE], record.fields[FOREIGN_ID], record.version) == (INSIDE, "m-1", "#new")


def test_a_contact_that_changes_while_it_is_brought_in_is_read_again_once():
    box, wire = mailbox({GET: [got(person(1, MINE)), got(person(1, MINE, VIP, etag="#2"))], UPDATE: [STALE, echo_update()]})

    box.bring_in("people/c1", "m-1")

    assert labels_of(wire.body()["contacts"]["people/c1"]) == [MINE, VIP, FOLDER, CATEGORY]
    other, _ = mailbox({GET: got(person(1, MINE)), UPDATE: STALE})
    with pytest.raises(StaleVersion):
        other.bring_in("people/c1", "m-1")


@pytest.mark.parametrize(
    ("routes", "kind"),
    [
        ({GET: got(missing=(1,))}, RecordGone),
        ({GET: got(person(1, MINE)), UPDATE: error(400, "No.", "INVALID_ARGUMENT")}, Rejected),
        ({GET: got(person(1, MINE)), UPDATE: updated(c1=failed(3, "No.", 400))}, Rejected),
        ({GET: got(person(1, MINE)), UPDATE: Said(500)}, ServerTrouble),
    ],
)
def test_a_contact_that_cannot_be_brought_in_says_why(routes, kind):
    box, _ = mailbox(routes)

    with pytest.raises(kind):
        box.bring_in("people/c1", "m-1")
    with pytest.raises(Rejected):
        box.bring_in("people/me", "m-1")


def test_a_contact_outside_is_read_as_outside():
    box, _ = mailbox({GET: got(person(1, MINE, CATEGORY))})

    assert box.read("contact", ["people/c1"], [])[0].fields[PLACE] == OUTSIDE


# --- labels -------------------------------------------------------------------------------------------------------------


def test_a_folder_is_made_once():
    box, wire = mailbox({GROUPS: groups(without=FOLDER), MAKE_GROUP: Said(200, group(FOLDER, "Salesforce Contacts"))})
    there, other = mailbox({})

    assert box.make_folder("Salesforce Contacts").id == FOLDER and wire.calls == [GROUPS, MAKE_GROUP]
    assert there.make_folder("Salesforce Contacts").id == FOLDER and other.calls == [GROUPS]
    assert [folder.id for folder in there.folders("Salesforce")] == [CATEGORY] and there.folders("salesforce") == []
    there.make_category("Salesforce")
    assert MAKE_GROUP not in other.calls


@pytest.mark.parametrize("taken", [error(409, "Contact group name already exists.", "ALREADY_EXISTS"), older(409, "duplicate")])
def test_a_folder_that_somebody_made_meanwhile_is_the_one(taken):
    box, wire = mailbox({GROUPS: [groups(without=FOLDER), groups()], MAKE_GROUP: taken})

    assert box.make_folder("Salesforce Contacts").id == FOLDER and wire.calls.count(MAKE_GROUP) == 1


def test_a_name_that_google_keeps_for_itself_is_told():
    box, wire = mailbox({MAKE_GROUP: error(409, "Contact group name already exists.", "ALREADY_EXISTS")})

    with pytest.raises(Rejected, match="choose another"):
        box.make_folder("My Contacts")
    assert wire.calls.count(MAKE_GROUP) == 2


def test_a_folder_whose_making_cannot_be_read_is_in_doubt():
    box, _ = mailbox({MAKE_GROUP: Said(200, {"resourceName": 5})})

    with pytest.raises(OutcomeUnknown):
        box.make_folder("New")


def test_a_right_that_is_missing_is_no_matter_of_the_folder():
    box, _ = mailbox(
        {MAKE_GROUP: error(403, "Request had insufficient authentication scopes.", "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")}
    )

    with pytest.raises(NeedsAttention, match="auth/contacts"):
        box.make_folder("New")


@pytest.mark.parametrize("has_folder", [True, False])
def test_nothing_is_made_or_brought_in_while_there_is_no_folder_for_it(has_folder):
    box, wire = mailbox({GROUPS: groups(without=FOLDER), GET: got(person(1, MINE))}, has_folder=has_folder)
    new = Write("contact", {"surname": "Lind"}, "c", marker="m-1")

    for call in (lambda: box.write("contact", [new]), lambda: box.bring_in("people/c1", "m-1")):
        with pytest.raises(RecordGone) as raised:
            call()
        assert raised.value.code == "folder"
    assert set(wire.calls) == {GROUPS}
