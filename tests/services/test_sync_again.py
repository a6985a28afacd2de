"""A link that ended because one side was deleted is forgotten on request: what is left counts as new again."""

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

from reconciliation.models import AuditEntry, Binding, Tombstone
from reconciliation.services.duplicates import DecisionRefused
from reconciliation.services.restore import restore, restore_plan
from tests.paired import paired

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    return paired()


@pytest.fixture
def without_prospect(box):
    """A contact whose prospect somebody deleted in Outreach, and the tombstone of their link."""
    contact, id_ = box.linked("Byrne", "ada@acme.example")
    box.linked("Evans", "eve@acme.example")
    box.world.outreach.delete_record("prospects", id_)
    box.run(forward=25 * 3600)
    return contact, Tombstone.objects.get()


def test_a_contact_whose_prospect_was_deleted_gets_one_again_when_staff_ask_for_it(box, without_prospect, admin_user):
    contact, stone = without_prospect
    plan = restore_plan(stone)
    assert plan.button == "Sync it again" and f"Contact {contact}" in " ".join(plan.remarks) and not plan.refusal

    said = restore(stone, admin_user, reason="by mistake", wiring=box.wiring)
    assert contact in said and len(box.prospects()) == 1  # nothing is written before the run
    box.run()

    assert {p["lastName"] for p in box.prospects()} == {"Byrne", "Evans"}
    assert Binding.objects.get(crm_id=contact).is_tombstone is False
    stone.refresh_from_db()
    assert (stone.restored_by, stone.restored_as) == ("admin", f"salesforce:Contact:{contact}")
    assert AuditEntry.objects.filter(action="sync again").exists()
    with pytest.raises(DecisionRefused):
        restore(stone, admin_user, wiring=box.wiring)


def test_a_prospect_whose_contact_was_deleted_counts_as_new_and_meets_another_with_its_address(box, admin_user):
    contact, id_ = box.linked("Byrne", "ada@acme.example")
    box.world.salesforce.delete_record("Contact", contact)
    box.run()
    other = box.lead("Byrne", "ada@acme.example")
    stone = Tombstone.objects.get()
    assert "recycle bin" in restore_plan(stone).remarks[0]

    restore(stone, admin_user, wiring=box.wiring)
    box.run()

    assert box.binding(id_).crm_id == other and box.peer(id_)["externalId"] == other


def test_the_page_of_a_deletion_offers_it_and_the_button_does_it(box, without_prospect, client, monkeypatch):
    _, stone = without_prospect
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    monkeypatch.setattr("reconciliation.engine.staff.Wiring", lambda: box.wiring)
    olga = User.objects.create_user("olga", is_staff=True)
    olga.groups.add(Group.objects.get(name="operator"))
    client.force_login(olga)
    where = reverse("admin:tombstone_detail", args=[stone.pk])

    text = client.get(where).content.decode()
    assert "Sync it again" in text and "This will be written" not in text and "cannot come back" not in text
    client.post(reverse("admin:tombstone_restore", args=[stone.pk]), {"reason": "x"})

    assert "Restored" in client.get(where).content.decode() and not Binding.objects.filter(pk=stone.binding_id).exists()
