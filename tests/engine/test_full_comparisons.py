"""A full comparison of a two-way pass: equal pairs cost as little as can be, and none that needs a look is passed over."""

import pytest
from django.db.models.signals import post_init

from reconciliation.models import Binding, FieldRule, RecordType
from reconciliation.passes.pairs import TypeTerms
from tests.conflicting import conflicting

pytestmark = pytest.mark.django_db


@pytest.fixture
def box():
    return conflicting()


def test_equal_pairs_make_no_instance_of_a_link_and_take_the_mapping_apart_once(box, monkeypatch):
    for n in range(20):
        box.contact(f"P{n}", f"p{n}@acme.example", Title="Buyer")
    box.run()
    box.run()
    made, asked = [], []
    rules = FieldRule.objects.filter(table__crm_object="Contact").count()
    flowing = TypeTerms.flowing_rule
    monkeypatch.setattr(TypeTerms, "flowing_rule", lambda self, rule: asked.append(rule) or flowing(self, rule))
    post_init.connect(lambda instance, **_: made.append(instance), sender=Binding, weak=False, dispatch_uid="count")

    try:
        run = box.run(is_full=True)
        assert (run.seen, run.unchanged, made, box.events()) == (40, 40, [], [])
        assert len(asked) == rules
        for id_ in (p["id"] for p in box.prospects()):
            box.edit_peer(id_, title="Chief")
        box.run(is_full=True)
    finally:
        post_init.disconnect(sender=Binding, dispatch_uid="count")

    assert {p["Title"] for p in box.people("Contact")} == {"Chief"}
    assert len(asked) == 2 * rules  # once a run


def test_what_needs_more_than_its_equal_fields_say_gets_it(box):
    equal, ended, ruled, deleted = (box.pair(name) for name in ("Equal", "Ended", "Ruled", "Deleted"))
    lead = box.lead("Off", "off@acme.example")
    box.run()
    box.run()
    off = Binding.objects.get(crm_id=lead)
    Binding.objects.filter(pk=ended.pk).end()
    FieldRule.objects.filter(table=box.sync_pass.mapping, peer_field="title").update(since_version=1)
    Binding.objects.filter(pk=ruled.pk).update(mapping_version=0)
    Binding.objects.exclude(pk=ruled.pk).update(mapping_version=1)
    RecordType.objects.filter(crm_object="Lead").update(is_on=False)
    box.world.salesforce.delete_record("Contact", deleted.crm_id)

    run = box.run(is_full=True)

    told = {(ref.partition(":")[2], reason) for ref, reason in run.events.values_list("crm_ref", "reason")}
    assert told == {
        (f"Contact:{ended.crm_id}", "unlinked"),
        (f"Contact:{deleted.crm_id}", "deleted"),
        (f"Contact:{deleted.crm_id}", "unlinked"),  # its prospect, behind it
        (f"Lead:{off.crm_id}", "type_off"),
    }
    assert Binding.objects.get(pk=ruled.pk).mapping_version == 1 and Binding.objects.get(pk=deleted.pk).is_tombstone
    assert (run.seen, run.unchanged) == (9, 4), equal
