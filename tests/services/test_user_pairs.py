"""Which user is which in both systems (C34): chosen by e-mail address, kept by runs, never two for one."""

import pytest
from django.contrib.auth.models import Group, User

from reconciliation.models import AuditEntry, FieldRule, UserPair
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.user_pairs import pair_choose, pair_forget, user_pairs
from tests.paired import paired

pytestmark = pytest.mark.django_db


@pytest.fixture
def box(monkeypatch):
    box = paired()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    return box


@pytest.fixture
def admin(client):
    user = User.objects.create_user("admin", is_staff=True)
    user.groups.add(Group.objects.get(name="admin"))
    client.force_login(user)
    return user


def crm_user(box, mail):
    made = box.world.salesforce.create_record("User", {"LastName": mail[:3].title(), "Username": mail, "Email": mail, "IsActive": True})
    return str(made["Id"])


def peer_user(box, name, mail):
    made = box.world.outreach.create_record("users", {"username": name, "firstName": name, "lastName": "W", "email": mail})
    return str(made["id"])


def row(box, **values):
    return UserPair.objects.create(sync_pass=box.sync_pass, read_at=box.clock.at, **values)


def test_c34_a_user_without_counterpart_is_paired_by_staff_and_the_next_run_goes_by_it(box, client, admin):
    for table in {t.mapping for t in box.sync_pass.record_types.all()}:
        FieldRule.objects.create(table=table, crm_field="OwnerId", peer_field="owner", direction="both", transform="user by user mapping")
    ada, own = crm_user(box, "ada@crm.example"), peer_user(box, "ada", "ada@peer.example")
    box.contact("Byrne", "byrne@acme.example", OwnerId=ada)
    box.run()
    pair = UserPair.objects.get(crm_user_id=ada)
    assert pair.peer_user_id == ""

    answer = client.post(f"/user-pairs/{pair.pk}/choose/", {"address": " ADA@peer.example ", "back": "/user-pairs/"}, follow=True)
    box.contact("Diaz", "diaz@acme.example", OwnerId=ada)
    box.run(forward=3 * 86_400)

    assert "from the next run on" in answer.content.decode()
    pair.refresh_from_db()
    assert (pair.peer_user_id, pair.how) == (own, "staff")
    diaz = next(p for p in box.prospects() if p["lastName"] == "Diaz")
    assert str(diaz["owner"]) == own
    assert AuditEntry.objects.get(action="pair users").detail == {"crm": ada, "peer": ["", own]}


def test_one_who_was_met_alone_on_the_other_side_is_taken_over(box, admin):
    own = peer_user(box, "ada", "ada@peer.example")
    alone, pair = row(box, peer_user_id=own, peer_name="ada"), row(box, crm_user_id="005A", crm_name="Ada")

    pair_choose(pair, "ada@peer.example", admin, wiring=box.wiring)

    assert not UserPair.objects.filter(pk=alone.pk).exists()
    assert UserPair.objects.get().peer_user_id == own


def test_a_user_of_the_peer_alone_is_given_one_of_the_crm(box, admin):
    ada = crm_user(box, "ada@crm.example")
    pair = row(box, peer_user_id="7", peer_name="ada")

    made = pair_choose(pair, "ada@crm.example", admin, wiring=box.wiring)

    assert (made.crm_user_id, made.peer_user_id, made.how) == (ada, "7", "staff")


def test_nobody_several_and_somebody_paired_are_refused_with_a_sentence(box, client, admin):
    own = peer_user(box, "ada", "ada@peer.example")
    row(box, crm_user_id="005A", crm_name="Ada", peer_user_id=own, peer_name="ada")
    pair = row(box, crm_user_id="005B", crm_name="Bob")
    for address, said in (("no@peer.example", "has no user"), ("x", "Type the e-mail"), ("ada@peer.example", "is paired with Ada")):
        with pytest.raises(DecisionRefused, match=said):
            pair_choose(pair, address, admin, wiring=box.wiring)
    peer_user(box, "ada2", "ada@peer.example")
    with pytest.raises(DecisionRefused, match="has 2 users"):
        pair_choose(pair, "ada@peer.example", admin, wiring=box.wiring)
    answer = client.post(f"/user-pairs/{pair.pk}/choose/", {"address": "no@<x>", "back": "/user-pairs/"}, follow=True)
    assert "Nothing was saved" in answer.content.decode()
    pair.refresh_from_db()
    assert pair.peer_user_id == "" and not AuditEntry.objects.filter(action="pair users").exists()


def test_a_pair_that_was_changed_meanwhile_is_left_alone(box, admin):
    peer_user(box, "ada", "ada@peer.example")
    pair = row(box, crm_user_id="005A", crm_name="Ada")
    UserPair.objects.filter(pk=pair.pk).delete()

    with pytest.raises(DecisionRefused, match="changed meanwhile"):
        pair_choose(pair, "ada@peer.example", admin, wiring=box.wiring)


def test_unmatched_come_first_are_found_and_can_be_looked_up_again(box, client, admin):
    both = row(box, crm_user_id="005A", crm_name="Ada", peer_user_id="1", peer_name="ada")
    alone = row(box, crm_user_id="005Z", crm_name="Zoe")

    assert [p.pk for p in user_pairs()] == [alone.pk, both.pk]
    assert "User pairs: 1 without counterpart" in client.get("/user-pairs/").content.decode()
    assert "Zoe" not in client.get("/user-pairs/", {"q": "ada"}).content.decode()
    assert "Ada" not in client.get("/user-pairs/", {"state": "unmatched"}).content.decode()
    assert "with this filter is known" in client.get("/user-pairs/", {"q": "nobody"}).content.decode()
    lines = b"".join(client.get("/user-pairs/export.csv?state=unmatched").streaming_content).decode().splitlines()
    assert len(lines) == 2 and "Zoe" in lines[1] and "No counterpart" in lines[1]
    client.post(f"/user-pairs/{both.pk}/forget/")
    assert [p.pk for p in user_pairs()] == [alone.pk] and AuditEntry.objects.filter(action="forget user pair").exists()
    pair_forget(alone, admin)
    assert "has run" in client.get("/user-pairs/").content.decode()


def test_an_operator_sees_the_pairs_and_changes_none(box, client):
    user = User.objects.create_user("op", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    client.force_login(user)
    pair = row(box, crm_user_id="005A", crm_name="Ada")

    page = client.get("/user-pairs/").content.decode()

    assert "Ada" in page and "Look up by e-mail again" not in page
    assert client.post(f"/user-pairs/{pair.pk}/forget/").status_code == 403
    assert client.post(f"/user-pairs/{pair.pk}/choose/", {"address": "a@b.example"}).status_code == 403


def test_two_users_that_were_remembered_apart_become_a_pair_once_their_addresses_are_the_same():
    box = paired()
    table = box.sync_pass.record_types.get(crm_object="Contact").mapping
    FieldRule.objects.create(table=table, crm_field="OwnerId", peer_field="owner", direction="both", transform="user by user mapping")
    owner = box.world.salesforce.list_records("User")[0]
    owner = box.world.salesforce.update_record("User", owner["Id"], {"Email": "alone@crm.example"})
    user = box.world.outreach.create_record("users", {"email": "somebody@else.example", "username": "Some_Body"})
    contact = box.contact("Byrne", "ada@acme.example", OwnerId=owner["Id"])
    box.run()
    UserPair.objects.get_or_create(sync_pass=box.sync_pass, peer_user_id=str(user["id"]), defaults={"read_at": box.clock()})
    assert UserPair.objects.get(crm_user_id=owner["Id"]).peer_user_id == ""
    box.world.outreach.update_record("users", user["id"], {"email": owner["Email"]})
    box.edit_crm("Contact", contact, Title="Buyer")

    box.run(forward=25 * 3600)

    assert UserPair.objects.get(crm_user_id=owner["Id"]).peer_user_id == str(user["id"])
