"""What people answer to questions about contacts of mailboxes, carried out at once, for both mail systems (D7, D8, D26)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User

from reconciliation.engine import lease as leases
from reconciliation.engine.staff import Busy
from reconciliation.models import AuditEntry, Binding, Case, Operation, RememberedPair, Run
from reconciliation.passes.contacts import PUT_BACK
from reconciliation.services import contact_questions as questions
from reconciliation.services.contact_questions import CREATE, LINK, PERSONAL
from reconciliation.services.duplicates import Decision, DecisionRefused, stamp_of
from tests.boxes import FOLDER, Boxes, boxes

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["microsoft", "google"])
def box(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    yield boxes(request.param)


@pytest.fixture
def staff() -> User:
    return User.objects.create_user("ada")


def asked() -> Case:
    return Case.objects.get(state="open", kind__in=questions.KINDS)


def answer(box: Boxes, staff: User, name: str, contact: str = "", *, stamp: str | None = None) -> str:
    """Answers the only open question as its page would."""
    case = asked()
    offered = next(a for a in questions.answers_of(case) if a.name == name and a.contact_id == contact)
    given = Decision(case, staff, stamp=offered.plan.stamp if stamp is None else stamp, reason="as agreed", wiring=box.wiring)
    return questions.answer(given, name, contact)


def shared(box: Boxes) -> str:
    """One contact in the folders of both mailboxes, deleted in the first one where that is allowed. Returns its id."""
    id_ = box.contact("Lind", "bo@acme.example", FirstName="Bo")
    for address in (box.mine, box.theirs):
        box.set(address, deletion="allowed", view="everything")
        box.run(address)
    box.drop(box.folder()[0]["id"])
    box.run()
    case = asked()
    assert (case.kind, case.reason, case.crm_id) == ("deletion", "others", id_)
    assert case.name == "Bo Lind"
    assert questions.holders_of(case).addresses == (box.theirs,)
    return id_


def test_d26_a_deletion_that_would_empty_another_mailbox_is_carried_out_everywhere(box: Boxes, staff: User) -> None:
    """S1.22, C12: deleted in Salesforce by a journalled write; the other folder loses it in its next run."""
    id_ = shared(box)

    said = answer(box, staff, "delete")

    assert "was deleted in Salesforce" in said
    assert box.contacts() == []
    written = Operation.objects.get(kind="delete")
    assert (written.target_id, written.state, written.origin["staff"]) == (id_, "confirmed", "ada")
    case = Case.objects.get()
    assert (case.state, case.decision, case.decided_by, case.note) == ("resolved", "contact deleted", staff, "as agreed")
    assert AuditEntry.objects.get(action="contact: contact deleted").subject.startswith(box.mine)
    back = questions.take_back(case)
    assert back is not None and back.tombstone_id is not None
    box.run(box.theirs)
    box.run()
    assert box.folder(box.theirs) == [] and box.folder() == []
    assert not Case.objects.filter(state="open").exists()


def test_d26_put_back_makes_it_again_in_the_folder_at_once(box: Boxes, staff: User) -> None:
    """S1.23: with the values of Salesforce; nothing is deleted anywhere, and the next run writes nothing."""
    id_ = shared(box)
    box.edit(id_, FirstName="Bob")

    assert answer(box, staff, "put_back") == "is in the folder again"

    (item,) = box.folder()
    assert (item["givenName"], item["surname"]) == ("Bob", "Lind")
    assert [c["Id"] for c in box.contacts()] == [id_] and len(box.folder(box.theirs)) == 1
    run = box.run()
    assert (run.created, run.updated) == (0, 0), box.events()
    assert box.links() == {id_: box.remote_id(item["id"])}


def test_d26_keep_takes_it_out_of_this_mailbox_only(box: Boxes, staff: User) -> None:
    """Salesforce and the other mailbox keep it, nothing is written, and an edit does not put it back."""
    id_ = shared(box)
    writes = Operation.objects.count()

    answer(box, staff, "keep")

    assert Operation.objects.count() == writes
    box.edit(id_, FirstName="Bob")
    box.run()
    box.run(box.theirs)
    assert box.folder() == [] and box.folder(box.theirs)[0]["givenName"] == "Bob"
    assert not Case.objects.filter(state="open").exists()


def test_a_deletion_that_was_forbidden_since_or_that_empties_more_than_was_shown_is_refused(box: Boxes, staff: User) -> None:
    id_ = shared(box)
    seen = next(a for a in questions.answers_of(asked()) if a.name == "delete").plan.stamp
    Binding.objects.filter(sync_pass=box.passes[box.theirs]).update(is_tombstone=True)

    with pytest.raises(DecisionRefused, match="changed while you were looking"):
        answer(box, staff, "delete", stamp=seen)

    box.set(deletion="forbidden")
    assert "forbidden" in next(a for a in questions.answers_of(asked()) if a.name == "delete").refusal
    with pytest.raises(DecisionRefused, match="forbidden"):
        answer(box, staff, "delete")
    assert [c["Id"] for c in box.contacts()] == [id_] and asked().decision == ""


def test_what_its_user_may_not_delete_is_not_deleted_by_staff_either(box: Boxes, staff: User) -> None:
    id_ = shared(box)
    box.world.salesforce.set_switches({"read_only_users": [box.users[box.mine]]})

    with pytest.raises(DecisionRefused, match="may not delete"):
        answer(box, staff, "delete")

    assert [c["Id"] for c in box.contacts()] == [id_] and asked().decision == ""
    assert not Case.objects.filter(state="open", kind="error").exists()  # who answered was told


def test_a_question_says_that_its_user_may_not_delete_the_contact(box: Boxes, staff: User) -> None:
    """Before anybody answers in vain."""
    box.contact("Lind", "bo@acme.example", owner=box.theirs)
    for address in (box.mine, box.theirs):
        box.set(address, deletion="allowed", view="everything")
        box.run(address)
    box.world.salesforce.set_switches({"read_only_users": [box.users[box.mine]]})

    box.drop(box.folder()[0]["id"])
    box.run()

    case = asked()
    assert case.reason == "others" and "The mailbox's user may not delete it in Salesforce." in case.sentence
    assert "needs the user's right" in case.remedy
    assert answer(box, staff, PUT_BACK) and not Case.objects.filter(state="open").exists()


def test_c12_an_item_that_was_edited_while_its_contact_was_deleted_is_made_again_in_salesforce(box: Boxes, staff: User) -> None:
    edited(box)

    assert answer(box, staff, "put_back") == "is in Salesforce again"

    (made,) = box.contacts()
    assert (made["LastName"], made["FirstName"]) == ("Lind", "Bobby")
    assert box.links() == {made["Id"]: box.remote_id(box.folder()[0]["id"])}
    assert (box.run().created, box.runs[-1].updated) == (0, 0), box.events()


@pytest.mark.parametrize(("name", "left"), [("delete", 0), ("keep", 1)])
def test_c12_an_item_that_was_edited_is_deleted_or_kept_as_staff_say(box: Boxes, staff: User, name: str, left: int) -> None:
    edited(box)

    answer(box, staff, name)

    assert len(box.folder()) == left
    box.run()
    assert box.contacts() == [] and len(box.folder()) == left and not Case.objects.filter(state="open").exists()


def edited(box: Boxes) -> None:
    """A contact that is gone in Salesforce, whose item was edited in the meantime."""
    id_ = box.contact("Lind", "bo@acme.example", FirstName="Bo")
    box.run()
    box.world.salesforce.delete_record("Contact", id_)
    box.change(box.folder()[0]["id"], givenName="Bobby")
    box.run()
    assert asked().reason == "edited_here"


def same_address(box: Boxes) -> list[str]:
    """A new item whose address two contacts of Salesforce bear. Returns their ids."""
    ids = [box.contact(last, "bo@acme.example", owner=box.theirs, Title="CTO") for last in ("Lind", "Berg")]
    box.run()
    box.put(FOLDER, givenName="Bo", surname="Lind", emails=["bo@acme.example"])
    box.run()
    case = asked()
    assert (case.kind, {c["peer_id"] for c in case.candidates}) == ("exists", set(ids))
    return ids


def test_d7_link_binds_the_item_to_the_contact_that_staff_chose_and_leaves_differences(box: Boxes, staff: User) -> None:
    """D7, D25: nothing but the marker is written; a further run writes nothing; taken back, the question is open again."""
    _, chosen = same_address(box)
    rows = {row["peer"]: row for row in questions.compare(asked())}
    assert rows["Last name"]["own"] == "Lind" and {c["value"] for c in rows["Last name"]["cells"]} == {"Lind", "Berg"}
    assert rows["Last name"]["differs"] and rows["Job title"]["differs"]
    before = box.show(chosen)

    assert answer(box, staff, LINK, chosen) == f"is linked to contact {chosen}"

    (item,) = box.folder()
    assert box.links() == {chosen: box.remote_id(item["id"])}
    assert box.show(chosen) == before and item["surname"] == "Lind"
    box.run()  # it is another user's: marked as not in view (D8), and nothing else
    assert "Salesforce: not in view" in box.folder()[0]["categories"] and box.show(chosen) == before
    assert (box.run().created, box.runs[-1].updated) == (0, 0), box.events()

    case = Case.objects.get(kind="exists")
    back = questions.take_back(case)
    questions.answer_undo(Decision(case, staff, stamp=back.plan.stamp, wiring=box.wiring))
    assert box.links() == {} and asked().pk == case.pk
    box.run()
    assert box.links() == {} and asked().pk == case.pk


def test_d7_create_anyway_makes_another_contact_owned_by_the_mailboxs_user(box: Boxes, staff: User) -> None:
    ids = same_address(box)
    offered = next(a for a in questions.answers_of(asked()) if a.name == CREATE)
    assert {w.field for w in offered.plan.writes} == {"FirstName", "LastName", "Email", "Salesforce ID"}

    answer(box, staff, CREATE)

    (made,) = [c for c in box.contacts() if c["Id"] not in ids]
    assert (made["LastName"], made["OwnerId"]) == ("Lind", box.users[box.mine])
    assert (box.run().created, box.runs[-1].updated) == (0, 0), box.events()
    back = questions.take_back(Case.objects.get(kind="exists"))
    assert back is not None and Run.objects.filter(pk=back.run_id).exists()


def test_d7_personal_is_never_shared_until_it_is_asked_again(box: Boxes, staff: User) -> None:
    ids = same_address(box)

    answer(box, staff, PERSONAL)

    box.change(box.folder()[0]["id"], givenName="Bobby")
    for id_ in ids:  # nobody bears its address any more: it is personal all the same
        box.world.salesforce.delete_record("Contact", id_)
    box.run()
    assert box.contacts() == [] and box.links() == {}
    assert ("excluded", "kept_personal") in [e[:2] for e in box.events()]
    case = Case.objects.get(kind="exists")
    questions.answer_undo(Decision(case, staff, stamp=questions.take_back(case).plan.stamp, wiring=box.wiring))
    assert not RememberedPair.objects.exists() and asked().pk == case.pk


def test_d7_an_answer_follows_to_the_new_id_of_its_item(staff: User) -> None:
    """Google gives a contact another id with an edit of its address: what a person said of it, or is asked, is not forgotten."""
    box = boxes("google")
    same_address(box)
    question = asked()
    rename = box.world.google.by_hand.rename
    rename({"contact": question.peer_id})
    box.run()
    followed = asked()
    assert (followed.pk, followed.peer_id != question.peer_id) == (question.pk, True)
    answer(box, staff, PERSONAL)

    rename({"contact": followed.peer_id})
    box.run()
    box.change(followed_id(box), jobTitle="Buyer")
    box.run()

    assert not Case.objects.filter(state="open").exists() and RememberedPair.objects.get().peer_id != followed.peer_id
    assert len(box.contacts()) == 2 and not box.links()


def followed_id(box: Boxes) -> str:
    return next(str(row["id"]) for row in box.folder())


def test_two_who_answer_at_once_do_it_once_and_a_busy_mailbox_says_so(box: Boxes, staff: User, monkeypatch: pytest.MonkeyPatch) -> None:
    _, chosen = same_address(box)
    case = asked()
    seen = Decision(case, staff, stamp=stamp_of(case), wiring=box.wiring)
    monkeypatch.setattr("reconciliation.engine.staff.WAIT_SECONDS", 0.0)
    held = leases.take(f"pass:{case.sync_pass.name}", "another run", db_now=box.wiring.db_now, monotonic=box.wiring.monotonic)
    with pytest.raises(Busy):
        questions.answer(seen, LINK, chosen)
    held.release()

    questions.answer(seen, LINK, chosen)
    with pytest.raises(DecisionRefused, match="already closed by ada"):
        questions.answer(seen, CREATE)

    assert len(box.contacts()) == 2
    assert Operation.objects.filter(run__kind=Run.Kind.STAFF, object_type="contact").count() == 1
