"""Mailboxes that are emptied, folders that vanish, views that change, runs that are broken off: nothing is lost, nothing is
deleted that the rules do not delete, and no personal contact is touched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from connectors.contract import Exchange
from connectors.exchange.client import Message
from connectors.exchange.faults import Fault
from connectors.exchange.writer import Sender
from connectors.google.client import GoogleClient
from connectors.http import Answer
from connectors.microsoft.client import GraphClient, Reply, segment
from connectors.redaction import Redactor
from reconciliation.engine import crm_feed
from reconciliation.models import Case, Connection, FeedChange, LookAgain, Mailbox, Operation, Run, SyncPass
from reconciliation.services.retention import prune
from tests.boxes import FOLDER, Boxes, boxes, on_every_mail_system

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["microsoft", "google"])
def box(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    yield boxes(request.param)


def only(rows: list[dict]) -> dict:
    assert len(rows) == 1, rows
    return rows[0]


def is_at_rest(box: Boxes) -> bool:
    run = box.run()
    return (run.state, run.created, run.updated, run.failed, run.held) == (Run.State.FINISHED, 0, 0, 0, 0)


# --- floods ---------------------------------------------------------------------------------------------------------


def test_a_mailbox_that_is_emptied_deletes_nothing_before_a_person_approves_it(box: Boxes) -> None:
    """Engine rule 18, C10: the brake holds; what was approved is deleted, and nothing else."""
    for n in range(12):
        box.contact(f"Lind{n}", f"b{n}@acme.example")
    box.set(deletion="allowed")
    box.run()
    for row in box.folder():
        box.drop(row["id"])

    held = box.run()

    assert (held.state, len(box.contacts())) == (Run.State.HELD, 12), held.note
    assert Operation.objects.filter(run=held, kind="delete", state="planned").count() == 12
    assert box.run().state == Run.State.HELD  # and goes on holding

    applied = box.run(kind=Run.Kind.APPLY, apply_of=held.pk)

    assert (applied.state, box.contacts(), box.links()) == (Run.State.FINISHED, [], {}), applied.note
    assert is_at_rest(box)


@on_every_mail_system
def test_a_mailbox_that_is_emptied_is_filled_again_where_deleting_is_forbidden(box: Boxes) -> None:
    """S1.23 for all of them; nothing is owed to a later run."""
    for n in range(12):
        box.contact(f"Lind{n}", f"b{n}@acme.example")
    box.run()
    for row in box.folder():
        box.drop(row["id"])

    box.run()

    assert (len(box.folder()), len(box.contacts()), len(box.links())) == (12, 12, 12)
    assert not LookAgain.objects.exists()
    assert is_at_rest(box)


def test_many_contacts_deleted_in_salesforce_wait_for_a_person(box: Boxes) -> None:
    """Engine rule 18 on the other side."""
    ids = [box.contact(f"Lind{n}", f"b{n}@acme.example") for n in range(12)]
    box.run()
    for id_ in ids:
        box.world.salesforce.delete_record("Contact", id_)

    held = box.run()

    assert (held.state, len(box.folder())) == (Run.State.HELD, 12)
    assert box.run(kind=Run.Kind.APPLY, apply_of=held.pk).state == Run.State.FINISHED
    assert box.folder() == []


@on_every_mail_system
def test_a_folder_that_its_user_deleted_is_filled_again(box: Boxes) -> None:
    """I8, D23: that the folder is gone says nothing of its contacts."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.run()
    box.drop_folder()

    run = box.run()

    assert (only(box.folder())["surname"], only(box.contacts())["Id"]) == ("Lind", id_), (run.state, run.note)
    assert "made again" in run.note
    assert is_at_rest(box)


# --- broken off -----------------------------------------------------------------------------------------------------


def test_a_deletion_on_an_earlier_page_survives_a_run_that_ran_out_of_time() -> None:
    """Nothing is lost: the cursor goes by a page only with all that the page said."""
    box = boxes("microsoft")
    Connection.objects.filter(system="microsoft").update(settings={**box.parent.peer.settings, "page_size": 1})
    for n in range(3):
        box.contact(f"Lind{n}", f"b{n}@acme.example")
    box.set(deletion="allowed")
    box.run()
    box.run()
    rows = {row["surname"]: row["id"] for row in box.folder()}
    box.drop(rows["Lind0"])
    box.change(rows["Lind1"], jobTitle="One")
    box.change(rows["Lind2"], jobTitle="Two")

    states = [box.run(budget=0.0, forward=60).state for _ in range(6)]

    assert Run.State.PARTIAL in states
    assert {row["LastName"]: row["Title"] for row in box.contacts()} == {"Lind1": "One", "Lind2": "Two"}


@on_every_mail_system
def test_what_could_not_be_moved_into_the_folder_is_tried_again(box: Boxes) -> None:
    """S1.12: the list of changes tells of the category once."""
    box.run()
    id_ = box.put("Contacts", givenName="Ida", surname="Berg", emails=["ida@berg.example"])
    box.change(id_, categories=["Salesforce"])
    box.refuse_moves(times=1)

    run = box.run()

    assert "was not moved into the folder" in run.note
    assert box.folder() == []
    box.run()
    assert (only(box.folder())["surname"], only(box.contacts())["LastName"]) == ("Berg", "Berg")


def test_a_process_that_dies_while_it_brings_in_what_is_owed_forgets_none_of_it(box: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.12: nothing but the note says that it is to be brought in."""
    box.run()
    id_ = box.put("Contacts", givenName="Ida", surname="Berg", emails=["ida@berg.example"])
    box.change(id_, categories=["Salesforce"])
    box.refuse_moves(times=1)
    box.run()

    class Died(BaseException):
        pass

    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr("reconciliation.engine.executor.Executor.intend", lambda *a, **k: (_ for _ in ()).throw(Died))
        box.run()
    assert box.folder() == []

    box.run()
    assert (only(box.folder())["surname"], only(box.contacts())["LastName"]) == ("Berg", "Berg")
    assert not LookAgain.objects.exists()


def test_a_contact_that_waits_for_a_second_look_and_is_taken_out_is_not_shared(box: Boxes) -> None:
    """I7: it is personal again, whatever it waited for."""
    box.run()
    id_ = box.put(FOLDER, surname="Berg", emails=["ida@berg.example"])
    box.world.faults.add({"system": "salesforce", "kind": "lost_answer", "method": "POST", "path": "*", "times": 1})
    box.run()
    LookAgain.objects.all().update(due_at=None)
    before = len(box.contacts())
    LookAgain.objects.get_or_create(
        sync_pass=box.passes[box.mine],
        side="peer",
        object_type="contact",
        record_id=box.remote_id(id_),
        defaults={"reason": "held", "since": box.clock()},
    )
    box.change(id_, folder="Contacts", categories=[])

    box.run()
    box.run()

    assert box.folder() == []
    assert len(box.contacts()) == before
    assert not [r for r in box.rows() if "Salesforce" in r["categories"]]


@on_every_mail_system
def test_a_copy_of_an_item_is_not_taken_for_the_item(box: Boxes) -> None:
    """C5: a copy bears the marker of the first; it is asked about, and makes no second contact."""
    box.contact("Lind", "bo@acme.example")
    box.run()
    box.copy(only(box.folder())["id"])

    box.run()

    assert (len(box.folder()), len(box.contacts()), len(box.links())) == (2, 1, 1)
    assert Case.objects.get(state="open").reason == "exists"


# --- views ----------------------------------------------------------------------------------------------------------


def saved_view(box: Boxes) -> str:
    """Makes the view *Buyers* and returns its id."""
    box.world.salesforce.set_switches({"list_views": [BUYERS]})
    connector = box.wiring.open_connector(box.parent.crm)
    return next(v.id for v in connector.views("Contact") if v.title == "Buyers")


BUYERS = {"object": "Contact", "name": "Buyers", "label": "Buyers", "scope": "everything", "where": "Title = 'Buyer'"}


def test_a_saved_view_says_what_is_in_the_folder_from_the_first_run_on(box: Boxes) -> None:
    """S1.4, S1.24, S1.27: who enters comes, who leaves is marked."""
    buyer, other = box.contact("Lind", "bo@acme.example", Title="Buyer"), box.contact("Moss", "mo@acme.example", Title="Clerk")
    box.set(view=saved_view(box))

    box.run()
    assert [r["surname"] for r in box.folder()] == ["Lind"]

    box.edit(buyer, Title="Clerk")
    box.edit(other, Title="Buyer")
    box.run()
    assert {r["surname"]: "Salesforce: not in view" in r["categories"] for r in box.folder()} == {"Lind": True, "Moss": False}
    assert is_at_rest(box)


def test_a_view_that_is_gone_takes_nothing_away(box: Boxes) -> None:
    """I8: the run says so; edits of the folder still go up."""
    id_ = box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.set(view=saved_view(box), out_of_view="remove")
    box.run()
    box.world.salesforce.set_switches({"list_views": []})
    box.change(only(box.folder())["id"], mobilePhone="+44 1")

    run = box.run(forward=7200)

    assert "cannot be used" in run.note
    assert (len(box.folder()), box.show(id_)["MobilePhone"]) == (1, "+44 1")


def test_another_view_is_compared_as_a_whole(box: Boxes) -> None:
    """A changed view schedules a full comparison; out of view is no deletion."""
    box.contact("Lind", "bo@acme.example")
    box.contact("Moss", "mo@acme.example", owner=box.theirs)
    box.run()

    box.set(view="everything")
    box.run()
    assert sorted(r["surname"] for r in box.folder()) == ["Lind", "Moss"]

    box.set(view="mine")
    box.run()
    assert {r["surname"]: "Salesforce: not in view" in r["categories"] for r in box.folder()} == {"Lind": False, "Moss": True}


def test_a_mailbox_whose_place_in_the_feed_was_pruned_is_compared_as_a_whole(box: Boxes) -> None:
    """Nothing that the feed forgot is missed."""
    box.contact("Lind", "bo@acme.example")
    box.run()
    new = box.contact("Moss", "mo@acme.example")
    box.run(box.theirs)  # which reads the feed for both
    box.clock.forward(40 * 86400)
    prune(now=box.clock())
    assert not FeedChange.objects.exists()

    box.run()

    assert new in box.links()
    assert is_at_rest(box)
    assert crm_feed.prune(box.clock() - timedelta(days=3650)) == 0


# --- whose mailbox, and the first run -------------------------------------------------------------------------------


def test_a_mailbox_of_nobody_is_held_and_left_alone(box: Boxes) -> None:
    Mailbox.objects.filter(address=box.mine).update(crm_user_id="")

    run = box.run()

    assert (run.state, "choose its user" in run.note) == (Run.State.HELD, True)
    assert Mailbox.objects.get(address=box.mine).folder_id == ""


@on_every_mail_system
def test_the_first_run_over_a_real_mailbox_is_a_plan(box: Boxes) -> None:
    """C33: nothing is written, not even the folder, before somebody approved it."""
    box.contact("Lind", "bo@acme.example")
    Connection.objects.update(is_sandbox=False)
    SyncPass.objects.exclude(mailbox=None).update(is_on=False, switched_on_at=None)
    box.calls()

    run = box.run()

    assert (run.state, run.kind) == (Run.State.HELD, Run.Kind.PREVIEW), run.note
    assert (box.rows(), Mailbox.objects.get(address=box.mine).folder_id) == ([], "")
    assert Operation.objects.get(run=run).kind == "create"


@on_every_mail_system
def test_s1_12_the_preview_of_a_first_run_shows_what_would_be_brought_in_and_applies_it(box: Boxes) -> None:
    """S1.12, C33, C35: the move and the new contact are planned, nothing is written, and applying carries out just that."""
    given = {"categories": ["Salesforce"], "emails": ["ida@berg.example"]}
    box.put("Contacts", givenName="Ida", surname="Berg", **given)
    edited = box.put("Contacts", givenName="Una", surname="Holm", categories=["Salesforce"])
    box.put("Contacts", givenName="Mum", surname="Home")
    before = box.rows()
    Connection.objects.update(is_sandbox=False)
    SyncPass.objects.exclude(mailbox=None).update(is_on=False, switched_on_at=None)

    run = box.run()

    assert (run.state, run.kind) == (Run.State.HELD, Run.Kind.PREVIEW), run.note
    assert box.rows() == before and box.contacts() == []
    planned = Operation.objects.filter(run=run, state="planned").order_by("pk")
    assert {(op.kind, op.object_type, op.origin["name"]) for op in planned} == {
        ("update", "contact", "Ida Berg"), ("create", "Contact", "Ida Berg"),
        ("update", "contact", "Una Holm"), ("create", "Contact", "Una Holm"),
    }  # fmt: skip
    assert planned[0].after == {"place": "inside"}

    box.change(edited, givenName="Anna")
    SyncPass.objects.exclude(mailbox=None).update(is_on=True, switched_on_at=box.clock.at)  # somebody looked at it
    for row in box.passes.values():
        row.refresh_from_db()
    applied = box.run(apply_of=run.pk)

    assert applied.state == Run.State.FINISHED, applied.note
    assert "1 record was refused" in applied.note
    assert [(c["FirstName"], c["LastName"]) for c in box.contacts()] == [("Ida", "Berg")]
    assert [row["surname"] for row in box.folder()] == ["Berg"]
    assert {op.state for op in planned.all()} == set() and set(Operation.objects.filter(run=run).values_list("state", flat=True)) == {
        "void",
        "refused",
    }


@on_every_mail_system
def test_s1_06_a_folder_whose_answer_was_lost_is_found_and_never_made_twice(box: Boxes) -> None:
    """S1.6: a row says what is made before it is made; the next run settles it by the name."""
    paths = {
        "microsoft": "/v1.0/users/{id}/contactFolders",
        "google": "/v1/contactGroups",
        "exchange": "/EWS/Exchange.asmx/CreateFolder",
    }
    path = paths[box.system]
    box.world.faults.add({"system": box.system, "kind": "lost_answer", "method": "POST", "path": path, "times": 5})

    run = box.run()

    assert run.state == Run.State.INTERRUPTED, run.note
    begun = Operation.objects.filter(run=run, kind="create").order_by("pk").last()
    assert (begun.state, begun.after["name"] in (FOLDER, "Salesforce")) == ("sent", True)
    box.world.faults.clear()
    box.contact("Lind", "bo@acme.example")
    for _ in range(3):
        box.run()
    kind, name = box.folder_kind
    made = [r[name] for r in box.mail.list_records(kind) if r["mailbox"] == box.mine]
    assert (made.count(FOLDER), len(box.folder())) == (1, 1)
    assert not Operation.objects.filter(state__in=("sent", "intended")).exists()
    assert {op.target_id for op in Operation.objects.filter(object_type="contactFolder", state="confirmed")} == {
        Mailbox.objects.get(address=box.mine).folder_id
    }


@on_every_mail_system
def test_folder_and_category_stand_in_the_journal(box: Boxes) -> None:
    box.run()

    assert sorted(Operation.objects.values_list("object_type", "kind", "state")) == [
        ("category", "create", "confirmed"), ("contactFolder", "create", "confirmed"),
    ]  # fmt: skip


def forbid(box: Boxes, item: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the mail system refuse every write of one contact, by 403, and no other: no played one knows such a contact."""
    if box.system == "google":
        post = GoogleClient.post

        def posted(self: GoogleClient, path: str, body: dict, *, template: str = "") -> Any:
            is_hit = path.endswith("batchUpdateContacts") and item in body["contacts"]
            rest = {id_: values for id_, values in body["contacts"].items() if id_ != item} if is_hit else {}
            answer = post(self, path, {**body, "contacts": rest} if is_hit else body, template=template)
            if is_hit:
                status = {"code": 7, "message": "Cannot edit this person."}
                answer.data["updateResult"][item] = {"requestedResourceName": item, "httpStatusCode": 403, "status": status}
            return answer

        monkeypatch.setattr(GoogleClient, "post", posted)
        return
    nothing = Answer(200, {}, None, None, Exchange("POST", "", "", 200, "", 0), Redactor())
    if box.system == "exchange":
        update = Sender.update

        def updated(self: Sender, some: Any) -> list[Any]:
            rest = [row for row in some if row.write.ref.id != item]
            answers = iter(update(self, rest) if rest else ())
            refusal = Message(Fault("ErrorAccessDenied", "Access is denied."), None, nothing)
            return [refusal if row.write.ref.id == item else next(answers) for row in some]

        monkeypatch.setattr(Sender, "update", updated)
        return
    write_all = GraphClient.write_all

    def written(self: GraphClient, parts: Any) -> list[Any]:
        refused = [segment(item) in part.url and part.method == "PATCH" for part in parts]
        rest = [part for part, no in zip(parts, refused, strict=True) if not no]
        replies = iter(write_all(self, rest) if rest else ())
        body = {"error": {"code": "ErrorAccessDenied", "message": "Access is denied."}}
        return [Reply(p, 403, body, None, nothing) if no else next(replies) for p, no in zip(parts, refused, strict=True)]

    monkeypatch.setattr(GraphClient, "write_all", written)


@on_every_mail_system
def test_one_contact_that_may_not_be_written_is_an_error_of_its_own_and_suspends_nothing(
    box: Boxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D11: the mailbox lets us in, and its other contacts be written."""
    ids = [box.contact(f"A{n}", f"a{n}@acme.example") for n in range(3)]
    box.run()
    box.run()
    forbid(box, box.links()[ids[0]], monkeypatch)
    box.edit(ids[0], Title="Never there")
    for n in range(7):
        box.edit(ids[1], Title=f"Buyer {n}")
        box.run()

    mailbox = Mailbox.objects.get(address=box.mine)
    assert mailbox.state == Mailbox.State.ACTIVE
    case = Case.objects.get(state="open")
    assert (case.kind, case.crm_id) == ("error", ids[0]) and "does not let us write this contact" in case.sentence
    assert "Buyer 6" in [row.get("jobTitle") for row in box.folder()]
