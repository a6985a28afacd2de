"""Where a record of a two-way pass stands: search, page, history, from either side."""

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

from connectors.contract import Ref
from reconciliation.services.pair_records import aliases, explain_pair, pass_of, search_pairs
from reconciliation.services.record_history import field_history, timeline
from tests.paired import paired

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    return paired()


@pytest.fixture
def pair(box):
    contact, id_ = box.linked("Byrne", "ada@acme.example", Title="Buyer", FirstName="Ada")
    return Ref("salesforce", "Contact", contact), Ref("outreach", "prospect", str(id_))


@pytest.fixture
def viewer(client):
    user = User.objects.create_user("viewer", is_staff=True)
    user.groups.add(Group.objects.get(name="viewer"))
    client.force_login(user)
    return client


def test_a_linked_pair_is_explained_from_either_side(box, pair):
    for ref in pair:
        it = explain_pair(box.sync_pass, ref, wiring=box.wiring)

        assert it.is_linked and it.name == "Ada Byrne" and "nothing changed" in it.sentence
        assert {f.rule.peer_field: (f.left, f.right) for f in it.fields}["title"] == ("Buyer", "Buyer")


def test_an_edit_that_is_not_synced_yet_is_told(box, pair):
    box.edit_peer(pair[1].id, title="Chief Buyer")

    it = explain_pair(box.sync_pass, pair[0], wiring=box.wiring)

    assert "title" in it.sentence and it.next_look == "In the next run."
    moved = [f for f in it.fields if f.peer_moved]
    assert [(f.rule.peer_field, f.crm_base, f.right) for f in moved] == [("title", "Buyer", "Chief Buyer")]


def test_a_record_that_was_never_linked_says_why(box):
    nobody = box.contact("Nobody")
    box.run()

    it = explain_pair(box.sync_pass, Ref("salesforce", "Contact", nobody), wiring=box.wiring)

    assert "no e-mail address" in it.sentence and not it.is_linked


def test_a_pair_is_found_by_name_address_and_either_id_and_stands_in_the_list_once(box, pair):
    for text in ("ada b", "ADA@acme", pair[0].id, pair[1].id):
        (found,) = search_pairs(text)
        assert (found.ref, found.word) == (pair[0], "Linked"), text
    assert search_pairs("") == [] and search_pairs("zebra") == []


def test_both_records_of_a_pair_have_one_history(box, pair):
    box.edit_peer(pair[1].id, title="Chief Buyer")
    box.run()

    histories = [[(e.what, e.state) for e in timeline(box.sync_pass, ref).entries] for ref in pair]

    assert histories[0] == histories[1] and ("Update in Salesforce", "confirmed") in histories[0]
    (change, first) = field_history(box.sync_pass, pair[0], "title").changes
    assert (change.system, change.before, change.after, first.after) == ("Salesforce", "Buyer", "Chief Buyer", "Buyer")
    assert set(aliases(box.sync_pass, pair[1])) == set(pair) and pass_of(pair[1]) == box.sync_pass


def test_its_pages_open_although_a_system_does_not_answer(box, pair, viewer):
    for ref in pair:
        for name in ("record_detail", "record_history"):
            answer = viewer.get(reverse(f"admin:{name}", args=[ref.system, ref.object_type, ref.id]))
            assert answer.status_code == 200, (name, ref)
        answer = viewer.get(reverse("admin:record_field", args=[ref.system, ref.object_type, ref.id, "title"]))
        assert b"Salesforce <b>Title" in answer.content
    assert pair[0].id.encode() in viewer.get(reverse("admin:record_list"), {"q": "ada"}).content
    unknown = reverse("admin:record_detail", args=["salesforce", "Contact", "..'<script>"])
    assert viewer.get(unknown).status_code == 404


def test_events_of_a_run_lead_to_the_pair(box, pair, viewer):
    page = viewer.get(reverse("admin:run_detail", args=[box.runs[0].pk]))

    assert reverse("admin:record_detail", args=["salesforce", "Contact", pair[0].id]).encode() in page.content
