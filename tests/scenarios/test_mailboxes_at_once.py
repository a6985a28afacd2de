"""What happens while a run over a mailbox is under way: edits between its parts, other workers, views that others share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connectors.contract import NO_ACCESS, ViewTerms
from connectors.google.mailbox import GoogleMailbox
from connectors.microsoft.scopes import APP
from connectors.salesforce.connector import SalesforceConnector
from connectors.salesforce.views import ListViews
from reconciliation.engine import mailbox_meetings, mailbox_sweep, pair_sweep
from reconciliation.engine.executor import Executor
from reconciliation.models import Case, ConflictField, LookAgain, Run, SyncPass, Tombstone
from reconciliation.services.contact_questions import exists_answers
from tests.boxes import FOLDER, Boxes, boxes, on_every_mail_system

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

LISTED = "00BAA0000000001AAA"  # the id of a saved view


@pytest.fixture(params=["microsoft", "google"])
def box(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    yield boxes(request.param)


def once(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, what: Callable[[], None], *, first: bool = False) -> None:
    """Lets something happen the next time that a function was called, or before it is."""
    real = getattr(module, name)

    def called(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(module, name, real)
        if first:
            what()
        answer = real(*arguments, **named)
        if not first:
            what()
        return answer

    monkeypatch.setattr(module, name, called)


def owe(box: Boxes, side: str, object_type: str, id_: str) -> None:
    given = {"side": side, "object_type": object_type, "record_id": id_, "reason": "retry"}
    LookAgain.objects.create(sync_pass=box.passes[box.mine], since=box.clock(), **given)


def phone(row: dict[str, Any]) -> str:
    return str(row.get("mobilePhone") or "")


@on_every_mail_system
@pytest.mark.parametrize("where", ["mailbox", "crm"])
def test_an_edit_between_a_second_look_and_the_list_of_changes_is_carried(box: Boxes, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """I1: the list tells of it once."""
    id_ = box.contact("Adams", "a@acme.example", MobilePhone="1")
    box.run()
    box.run()
    item = box.folder()[0]["id"]
    edit: Callable[[], Any]
    if where == "mailbox":
        owe(box, "peer", "contact", box.links()[id_])
        edit = lambda: (box.clock.forward(1), box.change(item, mobilePhone="2"))  # noqa: E731
    else:
        owe(box, "crm", "Contact", id_)
        edit = lambda: (box.clock.forward(1), box.edit(id_, MobilePhone="2"))  # noqa: E731
    edited: list[bool] = []
    once(monkeypatch, pair_sweep, "look_again", lambda: (edit(), edited.append(True)))

    for _ in range(3):
        box.run()

    assert edited
    assert (box.show(id_)["MobilePhone"], phone(box.folder()[0])) == ("2", "2")


def test_what_another_worker_read_meanwhile_is_read_again(box: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in (box.mine, box.theirs):
        box.set(address, view="everything")
    id_ = box.contact("Adams", "a@acme.example", MobilePhone="1")
    for address in (box.mine, box.theirs):
        box.run(address)
        box.run(address)
    box.edit(id_, MobilePhone="2")

    def meanwhile() -> None:
        box.clock.forward(30)
        box.edit(id_, MobilePhone="3")
        box.run(box.theirs, forward=1)

    once(monkeypatch, mailbox_sweep, "_mailbox_side", meanwhile)
    for address in (box.mine, box.theirs, box.mine):
        box.run(address)

    assert [phone(box.folder(a)[0]) for a in (box.mine, box.theirs)] == ["3", "3"]


def test_a_person_whom_two_mailboxes_add_at_once_becomes_one_contact(box: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    """I3: both searched Salesforce before either of them made it."""
    for address in (box.mine, box.theirs):
        box.run(address)
        box.put(FOLDER, address, surname="New", emails=["new@acme.example"])
    once(monkeypatch, mailbox_meetings, "accounts_of", lambda: box.run(box.theirs, forward=1) and None, first=True)

    box.run(box.mine)
    box.run(box.mine)

    assert len(box.contacts()) == 1
    assert list(box.links(box.mine)) == list(box.links(box.theirs)) == [box.contacts()[0]["Id"]]


@pytest.mark.parametrize("out_of_view", ["keep", "remove"])
def test_a_saved_view_of_ones_own_contacts_is_read_for_each_who_comes_to_show_it(box: Boxes, out_of_view: str) -> None:
    view = {"object": "Contact", "name": "Buyers", "label": "Buyers", "scope": "mine", "where": "Title = 'Buyer'"}
    box.world.salesforce.set_switches({"list_views": [view]})
    buyers = next(v.id for v in box.wiring.open_connector(box.parent.crm).views("Contact") if v.title == "Buyers")
    box.contact("Adams", "a@acme.example", Title="Buyer")
    box.contact("Brown", "b@acme.example", owner=box.theirs, Title="Buyer")
    box.set(box.theirs, out_of_view=out_of_view)
    box.run(box.theirs)
    box.set(view=buyers)
    box.run(box.mine)

    box.set(box.theirs, view=buyers)
    for _ in range(2):
        run = box.run(box.theirs, forward=5, kind=Run.Kind.SCHEDULED)

    assert run.state == Run.State.FINISHED and "cannot be used" not in run.note
    assert [(row["surname"], "Salesforce: not in view" in row["categories"]) for row in box.folder(box.theirs)] == [("Brown", False)]
    assert [row["surname"] for row in box.folder()] == ["Adams"]


def test_of_a_contact_out_of_view_that_is_linked_nothing_comes_down(box: Boxes) -> None:
    """D8: the item has its address, and is this contact; what Salesforce says of it is not shown."""
    id_ = box.contact("Adams", "a@acme.example", owner=box.theirs, MobilePhone="+44 1", Title="Secret")
    box.run()
    box.put(FOLDER, surname="Adams", emails=["a@acme.example"])

    for _ in range(2):
        box.run()

    assert list(box.links()) == [id_]
    assert (phone(box.folder()[0]), box.folder()[0].get("jobTitle") or "") == ("", "")
    assert "Salesforce: not in view" in box.folder()[0]["categories"]


def test_an_item_of_a_contact_that_its_user_may_not_edit_is_linked_and_makes_no_second_item(box: Boxes) -> None:
    box.set(view="everything")
    box.world.salesforce.set_switches({"read_only_users": [box.users[box.mine]]})
    box.run()
    id_ = box.contact("Brown", "b@acme.example", owner=box.theirs)
    box.put(FOLDER, surname="Brown", emails=["b@acme.example"], mobilePhone="+44 1")

    for _ in range(3):
        run = box.run()

    assert (len(box.folder()), list(box.links())) == (1, [id_])
    case = Case.objects.get(state="open")
    assert (case.kind, case.reason) == ("error", "no_right") and "may not edit" in case.sentence
    assert box.show(id_)["MobilePhone"] is None and (run.created, run.updated, run.failed) == (0, 0, 0)


def test_items_that_their_user_merged_stop_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both were linked; the link of the one that is gone goes by the rules for deletions: it is made again."""
    box = boxes("google")
    ids = [box.contact("Adams", "a@acme.example"), box.contact("Brown", "b@acme.example")]
    box.run()
    box.run()
    links = box.links()
    real = GoogleMailbox.contact_changes

    def merged(self: GoogleMailbox, cursor: str, columns: Any) -> Any:
        return dataclasses.replace(real(self, cursor, columns), renamed={links[ids[0]]: links[ids[1]]})

    monkeypatch.setattr(GoogleMailbox, "contact_changes", merged)

    assert [box.run().state for _ in range(2)] == [Run.State.FINISHED] * 2


def test_an_item_that_names_another_linked_contact_stops_no_run() -> None:
    box = boxes("google")
    box.contact("Adams", "a@acme.example")
    box.contact("Brown", "b@acme.example")
    box.run()
    box.run()
    rows = {row["familyName"]: row for row in box.folder()}
    box.change(rows["Brown"]["id"], clientData=rows["Adams"]["clientData"])  # as a merge by hand leaves it
    box.drop(rows["Adams"]["id"])

    assert [box.run().state for _ in range(3)] == [Run.State.FINISHED] * 3

    assert sorted(row["familyName"] for row in box.folder()) == ["Adams", "Brown"]


@pytest.mark.parametrize("permissions", ["those we ask for", "those and mail"])
def test_a_contact_moved_to_another_folder_is_not_deleted_whatever_the_app_may_see(permissions: str) -> None:
    """D26, I8: without a right to mail the bin cannot be seen; a folder beside the default one is not it."""
    box = boxes("microsoft")
    if permissions == "those we ask for":
        box.world.microsoft.set_switches({"permissions": " ".join(p.name for p in APP)})
    box.set(deletion="allowed")
    ids = [box.contact("Adams", "a@acme.example"), box.contact("Brown", "b@acme.example")]
    box.run()
    box.run()
    rows = {row["surname"]: row["id"] for row in box.folder()}
    box.world.microsoft.create_record("contactFolder", {"mailbox": box.mine, "displayName": "Friends"})
    box.change(rows["Adams"], folder="Friends", categories=[])
    box.drop(rows["Brown"])

    box.run()
    box.run()

    assert [row["LastName"] for row in box.contacts()] == ["Adams"]
    assert dict(Tombstone.objects.values_list("crm_id", "why")) == {ids[0]: "taken_out", ids[1]: "mailbox"}


def test_a_view_that_salesforce_refuses_is_the_trouble_of_its_mailbox_alone(box: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its user may choose what stands nowhere, or a view that asks for a field our user may not see."""
    box.contact("Brown", "b@acme.example", owner=box.theirs)
    for address in (box.mine, box.theirs):
        box.run(address)
    real = ListViews.terms_of

    def terms_of(self: ListViews, object_type: str, view_id: str) -> ViewTerms:
        if view_id == LISTED:
            return ViewTerms(object_type, "everything", "Gone__c = 'x'", "f1")
        return real(self, object_type, view_id)

    monkeypatch.setattr(ListViews, "terms_of", terms_of)
    for chosen in ("abc", LISTED):
        box.set(box.theirs, view=chosen)
        box.contact(f"Adams {chosen}"[:20], f"{chosen}@acme.example")

        mine, theirs = box.run(), box.run(box.theirs)

        assert (mine.state, mine.created) == (Run.State.FINISHED, 1), mine.note
        assert theirs.state == Run.State.FINISHED and "The view cannot be used" in theirs.note
        assert len(box.folder(box.theirs)) == 1
    assert not SyncPass.objects.exclude(hold_reason="").exists()


def test_a_contact_that_an_item_may_be_is_not_made_beside_it_and_comes_down_once_a_person_said_it_is_another(box: Boxes) -> None:
    """D7: while the question is open, in the run that asks it and later."""
    box.set(view="everything", existing="ask")
    box.run()
    box.put(FOLDER, surname="Adams", emails=["a@acme.example"])
    id_ = box.contact("Adams", "a@acme.example")
    for _ in range(3):
        box.run()
    (question,) = Case.objects.filter(state="open")
    assert (len(box.folder()), question.kind) == (1, "exists")
    assert question.sentence == f"Contact {id_} has this e-mail address and last name; the setting says to ask."
    assert [answer.refusal for answer in exists_answers(question) if answer.name == "link contact"] == [""]

    question.state, question.decision = "resolved", "keep_personal"
    question.save()
    for _ in range(2):
        box.run()

    assert list(box.links()) == [id_] and len(box.folder()) == 2


def test_what_was_held_about_a_record_that_is_gone_is_still_done(box: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else was writing just then: on either side the deletion goes across in the next run."""
    box.set(deletion="allowed")
    ids = [box.contact(f"A{n}", f"a{n}@acme.example") for n in range(3)]
    box.run()
    box.run()
    box.world.salesforce.delete_record("Contact", ids[0])
    box.drop(next(row["id"] for row in box.folder() if row["surname"] == "A1"))
    real = Executor.intend
    busy: list[int] = []

    def intend(self: Executor, intents: Any) -> Any:
        if any(intent.kind == "delete" for intent in intents) and len(busy) < 2:
            busy.append(1)
            return [None for _ in intents]
        return real(self, intents)

    monkeypatch.setattr(Executor, "intend", intend)
    for _ in range(3):
        box.run()

    assert len(busy) == 2
    assert [row["surname"] for row in box.folder()] == ["A2"] == [row["LastName"] for row in box.contacts()]


@on_every_mail_system
def test_a_shared_contact_whose_move_is_refused_twice_is_brought_in_the_third_time(box: Boxes) -> None:
    """S1.12."""
    box.run()
    box.put("Contacts", surname="Own", emails=["own@acme.example"], categories=["Salesforce"])
    box.refuse_moves(times=2)

    for _ in range(5):
        box.run()

    assert [row["surname"] for row in box.folder()] == ["Own"] and len(box.contacts()) == 1


def test_whoever_may_see_a_contact_no_more_gets_no_edit_of_it(box: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    box.set(view="everything")
    id_ = box.contact("Adams", "a@acme.example", owner=box.theirs, Title="Buyer")
    box.run()
    box.run()
    monkeypatch.setattr(SalesforceConnector, "may_change", lambda self, user, ids: dict.fromkeys(ids, NO_ACCESS))
    box.edit(id_, Title="Secret")

    run = box.run()

    assert (run.state, box.folder()[0]["jobTitle"]) == (Run.State.FINISHED, "Buyer")
    assert "may not see" in box.events()[0][2]


@pytest.mark.parametrize("first", ["crm", "mailbox"])
def test_a_conflict_says_why_no_rule_decided_though_the_pair_is_looked_at_from_both_sides(box: Boxes, first: str) -> None:
    """D10: both edits lie within the margin; a second look at them, which dates neither, does not change the reason."""
    id_ = box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.run()
    box.clock.forward(6)
    item = box.folder()[0]["id"]
    edits: list[Callable[[], None]] = [
        lambda: box.edit(id_, Title="From Salesforce"),
        lambda: box.change(item, jobTitle="From the mailbox"),
    ]
    for edit in edits if first == "crm" else reversed(edits):
        box.clock.forward(4)
        edit()

    for _ in range(2):
        box.run(forward=10)

    assert ConflictField.objects.get().why == "Both were changed within 60 seconds of each other."


def test_an_item_of_a_contact_that_its_user_may_not_see_is_an_issue_and_shows_nothing_of_it(
    box: Boxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S1.27: that it has the address of somebody hidden tells nothing to its user, and is no reason to make a second contact."""
    box.contact("Adams", "a@acme.example", owner=box.theirs, MobilePhone="+44 1")
    box.set(view="everything")
    monkeypatch.setattr(SalesforceConnector, "may_change", lambda self, user, ids: dict.fromkeys(ids, NO_ACCESS))
    box.run()
    box.put(FOLDER, surname="Adams", emails=["a@acme.example"])

    for _ in range(2):
        run = box.run()

    assert not box.links() and len(box.contacts()) == 1
    assert [phone(row) for row in box.folder()] == [""]
    case = Case.objects.get(state="open")
    assert (case.kind, case.reason, run.failed) == ("error", "no_right", 0) and "may not see" in case.sentence


@on_every_mail_system
def test_a_contact_that_is_edited_right_before_it_would_be_deleted_is_asked_about(box: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    """C12: Salesforce deletes without a condition; whoever edited it in the last moment is not passed over."""
    id_ = box.contact("Lind", "bo@acme.example")
    box.set(deletion="allowed")
    box.run()
    box.drop(box.folder()[0]["id"])
    write = SalesforceConnector.write

    def later(self: SalesforceConnector, object_type: str, writes: Any) -> Any:
        if any(w.is_delete for w in writes):
            box.clock.forward(5)
            box.edit(id_, Title="Head of buying")
        return write(self, object_type, writes)

    monkeypatch.setattr(SalesforceConnector, "write", later)
    box.run()

    assert [row["Title"] for row in box.contacts()] == ["Head of buying"]
    case = Case.objects.get(state="open")
    assert (case.kind, case.reason) == ("deletion", "edited_in_crm")
