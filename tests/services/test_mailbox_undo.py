"""Runs over mailboxes that are taken back, links that are begun anew, errors and conflicts of a mailbox: both mail systems."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User

from reconciliation.models import Case, FieldRule, LookAgain, Operation, Tombstone
from reconciliation.services.conflict_desk import Choice
from reconciliation.services.conflicts import conflict_decide
from reconciliation.services.errors import error_retry
from reconciliation.services.restore import restore, restore_plan
from reconciliation.services.undo import undo, undo_plan, undoable
from tests.boxes import FOLDER, Boxes, boxes

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["microsoft", "google"])
def box(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    yield boxes(request.param)


@pytest.fixture
def staff() -> User:
    return User.objects.create_user("ada")


def take_back(box: Boxes, staff: User, operations: list[Operation]) -> list[str]:
    """Undoes these writes; what the plan promises and what is told afterwards must be the same."""
    sync_pass = box.passes[box.mine]
    planned = undo_plan(sync_pass, operations, wiring=box.wiring)
    done = undo(sync_pass, operations, staff, wiring=box.wiring)
    assert [(line.sentence, line.is_possible) for line in planned] == [(line.sentence, line.is_possible) for line in done]
    return [line.sentence for line in done]


def test_rule_17_a_run_that_made_an_item_and_a_contact_is_taken_back_on_both_sides(box: Boxes, staff: User) -> None:
    id_ = box.contact("Lind", "bo@acme.example", FirstName="Bo")
    run = box.run()

    said = take_back(box, staff, list(undoable(run)))

    assert box.folder() == [] and len(said) == 1 and said[0].endswith("is deleted, and its link ends.")
    assert Tombstone.objects.get().why == "undo"
    assert (box.run().created, [c["Id"] for c in box.contacts()]) == (0, [id_])

    box.put(FOLDER, givenName="Ida", surname="Berg", emails=["ida@berg.example"])
    run = box.run()
    take_back(box, staff, [op for op in undoable(run) if op.kind == "create"])
    assert [c["Id"] for c in box.contacts()] == [id_]
    assert [row["surname"] for row in box.folder()] == ["Berg"]
    assert (box.run().created, len(box.contacts())) == (0, 1)


def test_rule_17_an_edit_is_taken_back_where_it_stands_and_is_listed_as_a_difference(box: Boxes, staff: User) -> None:
    id_ = box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.run()
    box.change(box.folder()[0]["id"], jobTitle="CTO") if box.system == "microsoft" else box.edit(id_, Title="CTO")
    run = box.run()

    (write,) = undoable(run)
    said = take_back(box, staff, [write])

    assert "its earlier value" in said[0]
    assert (box.run().created, box.runs[-1].updated) == (0, 0), box.events()
    side = box.show(id_)["Title"] if box.system == "microsoft" else box.mail.list_records("contact")[0].get("jobTitle")
    assert side == "Buyer"


def test_what_was_edited_since_is_kept_and_the_marker_alone_is_no_value(box: Boxes, staff: User) -> None:
    box.contact("Lind", "bo@acme.example")
    run = box.run()
    box.change(box.folder()[0]["id"], surname="Other")
    box.run()
    (made,) = undoable(run)

    assert "was changed since it was made; it is kept" in take_back(box, staff, [made])[0]

    assert len(box.folder()) == 1


def test_what_a_user_took_out_or_deleted_is_put_back_from_the_page_of_the_deletion(box: Boxes, staff: User) -> None:
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.change(box.folder()[0]["id"], folder="Contacts", **({"categories": []}))
    box.run()
    assert box.folder() == []
    stone = Tombstone.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mailbox", "binding").get()
    assert (stone.why, stone.sync_pass.mailbox.address) == ("taken_out", box.mine)
    plan = restore_plan(stone, wiring=box.wiring)
    assert plan.refusal == "" and box.mine in " ".join(plan.remarks)

    restore(stone, staff, wiring=box.wiring)
    box.run()

    assert [row["surname"] for row in box.folder()] == ["Lind"] and [c["Id"] for c in box.contacts()] == [id_]


def test_a_contact_that_a_mailbox_deleted_comes_back_from_the_recycle_bin(box: Boxes, staff: User) -> None:
    id_ = box.contact("Lind", "bo@acme.example")
    box.set(deletion="allowed")
    box.run()
    box.drop(box.folder()[0]["id"])
    box.run()
    assert box.contacts() == []
    stone = Tombstone.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mailbox", "binding").get()
    assert "Recycle Bin" in restore_plan(stone, wiring=box.wiring).remarks[0]

    box.edit(id_, IsDeleted=False)
    restore(stone, staff, wiring=box.wiring)
    box.run()

    assert [row["surname"] for row in box.folder()] == ["Lind"]


def test_an_error_of_a_mailbox_is_retried_in_its_own_pass(box: Boxes, staff: User) -> None:
    box.contact("Lind", "bo@acme.example", owner=box.theirs, Title="Buyer")
    box.set(view="everything")
    box.run()
    box.world.salesforce.set_switches({"read_only_users": [box.users[box.mine]]})
    box.change(box.folder()[0]["id"], jobTitle="Mine", surname="Mine")
    box.run()
    case = Case.objects.get(kind="error", state="open")
    box.world.salesforce.set_switches({"read_only_users": []})

    assert error_retry([case], staff, wiring=box.wiring) == 1
    assert LookAgain.objects.get().sync_pass == box.passes[box.mine]
    box.run()

    assert box.contacts()[0]["LastName"] == "Mine", box.events()
    assert not Case.objects.filter(state="open").exists()


def test_s3_8_a_conflict_of_a_mailbox_is_settled_on_both_sides(box: Boxes, staff: User) -> None:
    FieldRule.objects.filter(peer_field="surname").update(survivorship="ask")
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.change(box.folder()[0]["id"], surname="Mail")
    box.edit(id_, LastName="Crm")
    box.run()
    case = Case.objects.get(kind="conflict", state="open")
    assert (case.sync_pass, case.fields.get().peer_field) == (box.passes[box.mine], "surname")

    conflict_decide(case, {"surname": Choice("crm")}, staff, wiring=box.wiring)

    assert box.folder()[0]["surname"] == "Crm" and box.show(id_)["LastName"] == "Crm"
    assert (box.run().created, box.runs[-1].updated) == (0, 0), box.events()
