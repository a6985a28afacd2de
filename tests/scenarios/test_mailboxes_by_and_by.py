"""What long histories of a mailbox have shown: edits that cross, deletions that wait, views that change in between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from reconciliation.engine import mailbox_sweep
from reconciliation.models import Binding, Case, LookAgain, Operation, Run, RunEvent, Tombstone
from tests.boxes import Boxes, boxes, on_every_mail_system

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["microsoft", "google"])
def box(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    yield boxes(request.param)


def only(rows: list[dict]) -> dict:
    assert len(rows) == 1, rows
    return rows[0]


def is_at_rest(box: Boxes, address: str = "") -> bool:
    run = box.run(address)
    return (run.state, run.created, run.updated, run.failed, run.held) == (Run.State.FINISHED, 0, 0, 0, 0)


def owe_a_look(box: Boxes, side: str, object_type: str, id_: str) -> None:
    """Leaves behind what a run does whose write of this record got no answer."""
    given = {"sync_pass": box.passes[box.mine], "side": side, "object_type": object_type, "record_id": id_, "reason": "in_doubt"}
    LookAgain.objects.create(**given, since=box.clock())


def test_edits_of_two_fields_on_both_sides_both_stand_after_one_run(box: Boxes) -> None:
    """I1: what the run read of Salesforce before it wrote there is nobody's later edit."""
    id_ = box.contact("Lind", "bo@acme.example", FirstName="Bo", Title="Buyer")
    box.run()
    box.edit(id_, Title="Head of buying")
    box.change(only(box.folder())["id"], givenName="Robert")

    box.run()

    item = only(box.folder())
    assert (item["givenName"], item["jobTitle"]) == ("Robert", "Head of buying")
    assert (box.show(id_)["FirstName"], box.show(id_)["Title"]) == ("Robert", "Head of buying")
    assert is_at_rest(box)


def test_a_contact_whose_deletion_waits_for_a_person_is_not_looked_at_again_and_again(box: Boxes) -> None:
    """I5: the question stands; an edit in Salesforce owes it nothing."""
    for address in box.passes:
        box.set(address, view="everything", deletion="allowed")
    id_ = box.contact("Lind", "bo@acme.example")
    for address in box.passes:
        box.run(address)
    box.drop(only(box.folder())["id"])
    box.run()
    box.edit(id_, Title="Buyer")

    box.run()

    assert Case.objects.get(state="open").reason == "others"
    assert not LookAgain.objects.exists()
    assert is_at_rest(box)


def test_a_contact_that_may_not_be_deleted_is_not_looked_at_again_and_again(box: Boxes) -> None:
    """I5: the case stands; the mailbox's list of changes has told of its item."""
    box.set(view="everything", deletion="allowed")
    id_ = box.contact("Lind", "bo@acme.example", owner=box.theirs)
    box.run()
    box.drop(only(box.folder())["id"])
    box.run()
    assert Case.objects.get(state="open").reason == "no_right"
    box.edit(id_, Title="Buyer")

    box.run()

    assert not LookAgain.objects.exists()
    assert is_at_rest(box)


@on_every_mail_system
def test_an_item_that_was_taken_out_before_its_contact_was_known_to_be_made_is_not_written(box: Boxes) -> None:
    """I7, D26: the id and the category that were owed to it would make it shared again."""
    box.run()
    id_ = box.put("Contacts", surname="Berg", emails=["ida@berg.example"])
    box.change(id_, folder="Salesforce Contacts")
    path = "/services/data/{v}/composite/sobjects/Contact/Sync_Key__c"
    box.world.faults.add({"system": "salesforce", "kind": "lost_answer", "method": "PATCH", "path": path, "times": 1})
    box.run()
    assert len(box.contacts()) == 1
    box.change(id_, folder="Contacts", categories=[])
    before = box.rows()

    box.run()
    box.run()

    if box.system == "exchange":  # it has another id, and no mark yet: nobody can tell that it is the same one
        assert only(before) in box.rows() and len(box.contacts()) == 1
    else:
        assert (box.rows(), len(box.contacts()), box.links()) == (before, 1, {})
    assert is_at_rest(box)


def test_an_item_linked_to_a_contact_that_is_not_in_view_says_so(box: Boxes) -> None:
    """D8: whether it was met by its address, or its contact was merged into another one."""
    theirs = box.contact("Lind", "bo@acme.example", owner=box.theirs)
    mine = box.contact("Moss", "mo@acme.example")
    box.run()
    box.put("Salesforce Contacts", surname="Lind", emails=["bo@acme.example"])
    other = box.contact("Nash", "na@acme.example", owner=box.theirs)
    box.run(box.theirs)
    box.world.salesforce.merge({"object": "Contact", "winner": other, "losers": [mine]})

    box.run()
    box.run()

    assert set(box.links()) == {theirs, other}
    assert all("Salesforce: not in view" in row["categories"] for row in box.folder()), box.folder()
    assert is_at_rest(box)


@on_every_mail_system
def test_an_item_that_was_taken_out_and_is_put_back_is_shared_again(box: Boxes) -> None:
    """S1.11: its user decided anew; it is the same contact."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    item = only(box.folder())["id"]
    box.change(item, folder="Contacts", categories=[])
    box.run()
    assert box.links() == {}

    box.change(item, folder="Salesforce Contacts")
    box.change(item, jobTitle="Buyer")
    box.run()

    assert (list(box.links()), len(box.contacts()), box.show(id_)["Title"]) == ([id_], 1, "Buyer")
    assert "Salesforce" in only(box.folder())["categories"]
    assert is_at_rest(box)


def test_a_contact_that_was_owed_a_second_look_and_is_not_in_view_says_so(box: Boxes) -> None:
    """D8: the second look comes before the feed, and knows nothing of the view."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.edit(id_, OwnerId=box.users[box.theirs])
    owe_a_look(box, "crm", "Contact", id_)

    box.run()
    box.run()

    assert "Salesforce: not in view" in only(box.folder())["categories"]
    assert is_at_rest(box)


def test_who_entered_a_saved_view_comes_though_the_first_look_at_the_view_failed(box: Boxes) -> None:
    """S1.4, S1.24: what changed is noted once its views were looked at, and not before."""
    buyers = {"object": "Contact", "name": "Buyers", "label": "Buyers", "scope": "everything", "where": "Title = 'Buyer'"}
    box.world.salesforce.set_switches({"list_views": [buyers]})
    views = box.wiring.open_connector(box.parent.crm).views("Contact")
    box.set(view=next(v.id for v in views if v.title == "Buyers"))
    box.run()
    box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.world.faults.add({"system": "salesforce", "kind": "status", "status": 500, "method": "GET", "path": "/services/data/{v}/query"})
    assert box.run(forward=60).state == Run.State.INTERRUPTED
    box.world.faults.clear()

    box.run()

    assert only(box.folder())["surname"] == "Lind"
    assert is_at_rest(box)


def test_a_question_about_a_deletion_closes_when_its_link_ends(box: Boxes) -> None:
    """I9: nobody is asked about what is settled."""
    for address in box.passes:
        box.set(address, view="everything", deletion="allowed")
    id_ = box.contact("Lind", "bo@acme.example")
    for address in box.passes:
        box.run(address)
    box.drop(only(box.folder())["id"])
    box.run()
    box.world.salesforce.delete_record("Contact", id_)

    box.run()

    assert (box.links(), Case.objects.get().state) == ({}, "closed")


def test_an_item_that_meets_the_contact_that_another_one_just_followed_to_is_asked_about(box: Boxes) -> None:
    """I3, C16: a contact has one item, also within one page of changes."""
    lost = box.contact("Lind", "bo@acme.example")
    box.run()
    kept = box.contact("Moss", "mo@acme.example")
    box.put("Salesforce Contacts", surname="Moss", emails=["mo@acme.example"])
    first = next(row for row in box.folder() if row["surname"] == "Lind")
    box.change(first["id"], jobTitle="Buyer")
    box.world.salesforce.merge({"object": "Contact", "winner": kept, "losers": [lost]})

    run = box.run()

    assert run.state == Run.State.FINISHED, run.note
    assert (list(box.links()), Case.objects.get(state="open").reason) == ([kept], "exists")


@on_every_mail_system
def test_an_empty_folder_that_its_user_deleted_is_made_again_once_something_belongs_there(box: Boxes) -> None:
    """S1.6: no list of changes tells that a label is gone which no contact bore."""
    box.run()
    box.drop_folder()
    box.contact("Lind", "bo@acme.example")

    box.run()
    box.run()

    assert only(box.folder())["surname"] == "Lind"
    assert is_at_rest(box)


@on_every_mail_system
def test_a_category_that_was_written_without_an_answer_is_written_again(box: Boxes) -> None:
    """D8: nothing else of the pair says that it is owed."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.run()
    box.edit(id_, OwnerId=box.users[box.theirs])
    method, path = {
        "microsoft": ("PATCH", "/v1.0/users/{id}/contacts/{id}"),
        "google": ("POST", "/v1/people:batchUpdateContacts"),
        "exchange": ("POST", "/EWS/Exchange.asmx/UpdateItem"),
    }[box.system]
    box.world.faults.add({"system": box.system, "kind": "status", "status": 500, "method": method, "path": path, "times": 1})
    box.run()
    assert "Salesforce: not in view" not in only(box.folder())["categories"]

    box.run()

    assert "Salesforce: not in view" in only(box.folder())["categories"]
    assert is_at_rest(box)


def test_an_item_that_says_more_than_its_contact_out_of_view_is_not_removed(box: Boxes) -> None:
    """D8 remove, I1: a text that stands nowhere else stays where it was typed."""
    box.contact("Lind", "bo@acme.example", owner=box.theirs, Title="Buyer")
    box.set(out_of_view="remove")
    box.run()
    box.put("Salesforce Contacts", surname="Lind", emails=["bo@acme.example"], jobTitle="Head of buying")

    box.run()
    box.run()

    assert only(box.folder())["jobTitle"] == "Head of buying"
    assert "Salesforce: not in view" in only(box.folder())["categories"]
    assert is_at_rest(box)


@on_every_mail_system
def test_a_value_that_the_mailbox_was_never_shown_is_kept_when_an_edit_there_replaces_it(box: Boxes) -> None:
    """I1, S3.12: the blank was to be filled when both were linked, that failed, and nothing comes down any more (D8)."""
    box.run()
    id_ = box.contact("Lind", "bo@acme.example", MobilePhone="+1 206 555 0100")
    item = box.put("Salesforce Contacts", surname="Lind", emails=["bo@acme.example"])
    method, path = {
        "microsoft": ("PATCH", "/v1.0/users/{id}/contacts/{id}"),
        "google": ("POST", "/v1/people:batchUpdateContacts"),
        "exchange": ("POST", "/EWS/Exchange.asmx/UpdateItem"),
    }[box.system]
    box.world.faults.add({"system": box.system, "kind": "status", "status": 500, "method": method, "path": path, "times": 9})
    box.run()
    box.world.faults.clear()
    assert list(box.links()) == [id_] and not only(box.folder()).get("mobilePhone")
    box.edit(id_, OwnerId=box.users[box.theirs])
    box.change(item, mobilePhone="+1 206 555 0199")

    for _ in range(3):
        box.run()

    assert box.show(id_)["MobilePhone"] == "+1 206 555 0199"
    (lost,) = [op.origin["losers"] for op in Operation.objects.all() if op.origin.get("losers")]
    assert lost == {"MobilePhone": "+1 206 555 0100"}
    assert RunEvent.objects.filter(sentence__contains="“+1 206 555 0100”, entered in Salesforce meanwhile, gave way").count() == 1
    assert is_at_rest(box)


def test_a_contact_that_cannot_be_seen_any_more_is_told_of_and_nothing_is_deleted_for_it(box: Boxes) -> None:
    """I8, I9: the recycle bin forgot it before anybody looked."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.world.salesforce.delete_record("Contact", id_)

    box.run(forward=17 * 86400, is_full=True)
    for _ in range(5):
        box.run()

    case = Case.objects.get(state="open")
    assert (case.kind, case.reason, case.crm_id) == ("error", "not_visible", id_)
    assert "was left as it is" in case.sentence
    assert (only(box.folder())["surname"], list(box.links())) == ("Lind", [id_])

    box.drop(only(box.folder())["id"])
    box.run()
    assert not Case.objects.filter(state="open").exists() and box.links() == {}
    assert is_at_rest(box)


def test_a_contact_that_was_hidden_from_us_is_told_of_until_it_is_seen_again(box: Boxes) -> None:
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.world.salesforce.set_switches({"sharing": "private", "modify_all_users": []})
    box.run(is_full=True)
    for _ in range(5):
        box.run()
    assert Case.objects.get(state="open").reason == "not_visible"

    box.world.salesforce.set_switches({"sharing": "public_read_write", "modify_all_users": None})
    box.run(forward=86400)

    assert not Case.objects.filter(state="open").exists() and not LookAgain.objects.exists()
    assert (only(box.folder())["surname"], list(box.links())) == ("Lind", [id_])
    assert is_at_rest(box)


@on_every_mail_system
def test_an_item_that_was_dragged_out_with_its_category_is_brought_back_also_when_it_was_owed_a_look(box: Boxes) -> None:
    """Rule 38, I1: the second look comes before the list of changes; the link stands, and an edit goes up."""
    id_ = box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.run()
    item = only(box.folder())["id"]
    owe_a_look(box, "peer", "contact", box.remote_id(item))
    box.change(item, jobTitle="Head of buying")
    box.change(item, folder="Contacts", categories=["Salesforce"])

    run = box.run()

    assert "Brought back into the folder, since the category “Salesforce” was left on: Lind." in run.note
    assert (only(box.folder())["jobTitle"], box.show(id_)["Title"]) == ("Head of buying", "Head of buying")
    assert list(box.links()) == [id_] and not Tombstone.objects.exists()
    assert is_at_rest(box)


def test_a_plan_of_what_was_owed_a_look_can_be_let_go_ahead(box: Boxes) -> None:
    """Rule 18: the run that carries it out does not trip over the same brake first."""
    for n in range(12):
        box.contact(f"Lind {n}", f"bo{n}@acme.example")
    box.run()
    for row in box.folder():
        owe_a_look(box, "peer", "contact", box.remote_id(row["id"]))
        box.change(row["id"], folder="Contacts", categories=[])
    held = box.run()
    assert held.state == Run.State.HELD and len(box.links()) == 12

    box.run(kind=Run.Kind.APPLY, apply_of=held.pk)

    assert (box.runs[-1].state, box.links()) == (Run.State.FINISHED, {})
    assert is_at_rest(box)


def test_our_own_move_into_the_folder_makes_an_older_edit_of_the_item_win_nothing(box: Boxes) -> None:
    """D10: the edit of Salesforce is later than the item's; when that was made nobody knows any more, so a person is asked."""
    id_ = box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.run()
    item = only(box.folder())["id"]
    box.change(item, jobTitle="Head of buying")
    box.change(item, folder="Contacts", categories=["Salesforce"])
    box.clock.forward(600)
    box.edit(id_, Title="Purchaser")

    box.run()

    assert (only(box.folder())["jobTitle"], box.show(id_)["Title"]) == ("Head of buying", "Purchaser")
    assert Case.objects.get(state="open").kind == "conflict"


def test_our_own_write_for_another_mailbox_makes_an_edit_of_salesforce_no_later(box: Boxes) -> None:
    """D10: both edits are of one minute, so a person is asked; that we brought a third one to Salesforce later changes nothing."""
    for address in box.passes:
        box.set(address, view="everything")
    id_ = box.contact("Lind", "bo@acme.example", Title="Buyer")
    for address in box.passes:
        box.run(address)
    box.change(only(box.folder())["id"], jobTitle="Head of buying")
    box.edit(id_, Title="Purchaser")
    box.change(only(box.folder(box.theirs))["id"], givenName="Bo")

    box.run(box.theirs)
    box.run()

    assert (only(box.folder())["jobTitle"], box.show(id_)["Title"]) == ("Head of buying", "Purchaser")
    assert (only(box.folder())["givenName"], box.show(id_)["FirstName"]) == ("Bo", "Bo")
    assert Case.objects.get(state="open").kind == "conflict"


@on_every_mail_system
def test_an_item_that_was_deleted_before_we_knew_of_its_contact_is_decided_about(box: Boxes) -> None:
    """I4: no list of changes tells of its deletion: it was linked to nothing before, and is not in a whole list."""
    box.run()
    item = box.put("Salesforce Contacts", surname="Lind", emails=["bo@acme.example"])
    box.world.faults.add({"system": "salesforce", "kind": "lost_answer", "method": "PATCH", "times": 1})
    box.run(is_full=True)
    assert len(box.contacts()) == 1 and box.links() == {}
    box.drop(item)

    for _ in range(3):
        box.run()

    assert not LookAgain.objects.exists()
    assert (len(box.contacts()), list(box.links())) == (1, [box.contacts()[0]["Id"]])
    assert only(box.folder())["surname"] == "Lind"  # deletion is forbidden: it was made again
    assert is_at_rest(box)


def test_an_item_noted_as_out_of_another_view_is_not_removed_from_the_present_one(box: Boxes) -> None:
    """D8, I8: its contact left the view, and its user chose another one before anybody looked again."""
    buyers = {"object": "Contact", "name": "Buyers", "label": "Buyers", "scope": "everything", "where": "Title = 'Buyer'"}
    box.world.salesforce.set_switches({"list_views": [buyers]})
    saved = next(v.id for v in box.wiring.open_connector(box.parent.crm).views("Contact") if v.title == "Buyers")
    box.set(out_of_view="remove")
    id_ = box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.run()
    item = only(box.folder())["id"]
    Binding.objects.update(is_out_of_view=True, is_retry_due=True)  # as the run left it that saw the contact leave the view
    owe_a_look(box, "crm", "Contact", id_)
    box.set(view=saved)

    for _ in range(3):
        box.run()

    assert only(box.folder())["id"] == item
    assert "Salesforce: not in view" not in only(box.folder())["categories"]
    assert is_at_rest(box)


def test_an_original_that_we_put_into_the_bin_ourselves_is_nobodys_deletion() -> None:
    """I8, rule 38: a move by copy and delete got no answer; the copy is there, and its contact is not deleted for the original."""
    box = boxes("microsoft")
    box.set(view="everything", deletion="allowed")
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.change(only(box.folder())["id"], folder="Contacts", categories=["Salesforce"])
    path = "/v1.0/users/{id}/contacts/{id}"
    box.world.faults.add({"system": "microsoft", "kind": "lost_answer", "method": "DELETE", "path": path, "times": 9})
    box.run()
    box.world.faults.clear()
    assert len(box.rows()) == 1  # the copy: the original is in the bin

    for _ in range(3):
        box.run()

    assert [row["Id"] for row in box.contacts()] == [id_]
    assert box.links() == {id_: box.remote_id(only(box.folder())["id"])}
    assert is_at_rest(box)


def test_an_edit_of_salesforce_during_a_run_that_makes_its_item_again_stands(box: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    """I1: the item is made from the contact as it is; what the feed read at the beginning of the run is nobody's later edit."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.edit(id_, Title="Buyer")
    box.drop(only(box.folder())["id"])
    mailbox_side = mailbox_sweep._mailbox_side

    def edited_first(*given: Any) -> bool:
        box.edit(id_, LastName="Lund")
        return mailbox_side(*given)

    monkeypatch.setattr(mailbox_sweep, "_mailbox_side", edited_first)
    box.run()
    monkeypatch.undo()

    assert only(box.folder())["surname"] == "Lund"
    box.run()
    assert (only(box.folder())["surname"], box.show(id_)["LastName"]) == ("Lund", "Lund")
    assert is_at_rest(box)


def test_an_item_whose_values_never_reached_its_contact_is_not_removed_with_it(box: Boxes) -> None:
    """C12, I1: both were linked, the blank of Salesforce was to be filled, that was refused, and then the contact is deleted."""
    box.run()
    id_ = box.contact("Lind", "bo@acme.example")
    box.put("Salesforce Contacts", surname="Lind", emails=["bo@acme.example"], jobTitle="Head of buying")
    box.world.faults.add({"system": "salesforce", "kind": "status", "status": 500, "method": "POST", "path": "*", "times": 9})
    box.run()
    box.world.faults.clear()
    assert list(box.links()) == [id_] and not box.show(id_)["Title"]
    box.world.salesforce.delete_record("Contact", id_)

    for _ in range(2):
        box.run()

    assert only(box.folder())["jobTitle"] == "Head of buying"
    assert Case.objects.get(state="open").reason == "edited_here"


@on_every_mail_system
def test_an_item_that_we_removed_earlier_is_not_taken_for_the_one_that_was_just_to_be_made(box: Boxes) -> None:
    """I8: it lies in the bin and bears the contact's id; taken for its item, it made the contact look as deleted by its user."""
    box.set(deletion="allowed", out_of_view="remove")
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.edit(id_, OwnerId=box.users[box.theirs])
    for _ in range(2):
        box.run(forward=60)
    assert box.folder() == [] and box.links() == {}
    box.edit(id_, OwnerId=box.users[box.mine])
    paths = {
        "microsoft": "/v1.0/users/{id}/contactFolders/{id}/contacts",
        "google": "/v1/people:batchCreateContacts",
        "exchange": "/EWS/Exchange.asmx/CreateItem",
    }
    path = paths[box.system]
    box.world.faults.add({"system": box.system, "kind": "status", "status": 500, "method": "POST", "path": path, "times": 9})
    box.run(forward=60)
    box.world.faults.clear()

    for _ in range(4):
        box.run()

    assert [row["Id"] for row in box.contacts()] == [id_]
    assert only(box.folder())["surname"] == "Lind" and list(box.links()) == [id_]
    assert is_at_rest(box)


def test_a_deletion_that_waits_for_a_person_costs_no_look_though_it_was_in_doubt_before(box: Boxes) -> None:
    """I5: simulation, Microsoft 3044."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.change(only(box.folder())["id"], jobTitle="Buyer")
    box.world.salesforce.delete_record("Contact", id_)
    owe_a_look(box, "crm", "Contact", id_)

    box.run()

    assert Case.objects.get(state="open").reason == "edited_here"
    assert not LookAgain.objects.exists() and is_at_rest(box)


def test_the_item_of_a_deleted_contact_that_lies_elsewhere_with_its_category_leaves_nothing_in_the_folder(box: Boxes) -> None:
    """S1.12, S1.26: it is on its way back, so its link does not end before it is there. Simulation, Google 3036."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.change(only(box.folder())["id"], folder="Contacts")
    box.world.salesforce.delete_record("Contact", id_)
    owe_a_look(box, "crm", "Contact", id_)

    box.run()
    box.run()

    assert box.folder() == [] and not box.links() and box.contacts() == []
    assert Tombstone.objects.get().why == "gone" and is_at_rest(box)


def test_the_conflict_of_a_contact_that_its_user_takes_out_is_over_with_the_link(box: Boxes) -> None:
    """Nothing is left to decide; the last values stand under Deleted."""
    id_ = box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.run()
    item = only(box.folder())["id"]
    box.edit(id_, Title="Head")
    box.change(item, jobTitle="Chief")
    box.run()
    case = Case.objects.get(state="open", kind="conflict")

    box.change(item, folder="Contacts", categories=[])
    box.run()

    case.refresh_from_db()
    assert (case.state, case.decision) == ("closed", "solved") and "Its link ended" in case.note
    assert not case.fields.filter(state="open").exists() and Tombstone.objects.get().why == "taken_out"


def test_links_that_end_together_cost_no_query_each(box: Boxes) -> None:
    """G: queries a page, not a link: 40 more that end cost less than one query each."""
    for n in range(45):
        box.contact(f"Lind {n}", f"bo{n}@acme.example")
    box.run()
    items = [row["id"] for row in box.folder()]
    counts = []
    for some in (items[:5], items[5:]):
        for item in some:
            box.drop(item)
        with CaptureQueriesContext(connection) as seen:
            box.run()
        counts.append(len(seen))

    assert len(box.folder()) == 45 and Tombstone.objects.count() == 45
    assert counts[1] - counts[0] < 40, counts
