"""What the first full comparison of a two-way pass does after our database was put back from a backup."""

import pytest

from reconciliation.models import Binding, Case, ConflictField, Difference, LookAgain, Operation, RunEvent, SearchKey, SyncPass
from reconciliation.services.conflict_desk import Choice
from reconciliation.services.conflicts import conflict_decide
from reconciliation.services.matches import find_matches
from reconciliation.services.remap import remap, remap_plan
from tests.remapping import remapping

pytestmark = pytest.mark.django_db


def put_back(box, links, marks):
    """Leaves our database as it was when it held these links: all that was learnt since is gone."""
    for model in (RunEvent, Difference, ConflictField, Case, LookAgain, SearchKey, Operation, Binding):
        model.objects.all().delete()
    Binding.objects.bulk_create(links)
    SyncPass.objects.filter(pk=box.sync_pass.pk).update(**marks)
    box.sync_pass.refresh_from_db()


def test_links_of_the_lost_time_are_found_again_and_none_is_made_twice(admin_user):
    box = remapping()
    contact, prospect = box.pair("Old", "old@acme.example")
    links, marks = list(Binding.objects.all()), SyncPass.objects.values("last_run_time").get()
    made_for, made = box.pair("New", "new@acme.example")
    walker = box.prospect("Walker", "walker@acme.example")
    twin = box.lead("Old", "old@acme.example")
    box.edit_crm("Contact", contact, Title="CTO")
    box.run()
    box.run()
    plan = remap_plan(find_matches(box.sync_pass, str(prospect), wiring=box.wiring), "Lead", twin)
    remap(str(prospect), "Lead", twin, by=admin_user, stamp=plan.stamp, wiring=box.wiring)
    count = len(box.prospects()), len(box.people("Lead")), len(box.people("Contact"))

    put_back(box, links, marks)
    box.edit_peer(made, title="Chef")
    box.run(is_full=True)
    box.run()

    assert (len(box.prospects()), len(box.people("Lead")), len(box.people("Contact"))) == count
    assert box.binding(made).crm_id == made_for and box.binding(walker).crm_type == "Lead"
    assert (box.peer(made)["title"], box.crm("Contact", made_for)["Title"]) == ("Chef", "Buyer")  # nobody knows which is newer
    assert Difference.objects.filter(binding=box.binding(made), peer_field="title").exists()
    assert box.binding(prospect).crm_id == contact and box.peer(prospect)["title"] == "CTO"
    assert Case.objects.get(kind="remap", state="open").crm_id == twin


def test_what_a_restore_cannot_tell_is_asked_until_a_person_answers(admin_user):
    box = remapping()
    contact, prospect = box.pair("Old", "old@acme.example")
    SyncPass.objects.filter(pk=box.sync_pass.pk).update(restored_at=box.clock())
    box.sync_pass.refresh_from_db()
    box.edit_crm("Contact", contact, Title="CTO")
    box.run(is_full=True)
    assert ConflictField.objects.get(state="open").peer_field == "title"
    box.edit_crm("Contact", contact, FirstName="Ada")

    box.run(is_full=True)
    box.run(is_full=True)

    assert box.peer(prospect)["title"] != "CTO" and box.peer(prospect)["firstName"] == "Ada"  # what is certain flows
    assert ConflictField.objects.get(state="open").peer_field == "title"
    conflict_decide(Case.objects.get(kind="conflict"), {"title": Choice("crm")}, admin_user, wiring=box.wiring)
    assert box.peer(prospect)["title"] == "CTO" and not ConflictField.objects.filter(state="open").exists()
