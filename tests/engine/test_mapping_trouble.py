"""A mapping that cannot work holds its row or the pass with one case; no record is flagged (engine-rules 3)."""

import pytest

from reconciliation.models import Case, FieldRule
from reconciliation.services.mappings import RowChange, mapping_save
from tests.sandboxed import ERROR, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def add_row(box, crm, peer):
    return FieldRule.objects.create(table=box.sync_pass.mapping, crm_field=crm, peer_field=peer)


def test_a_field_that_outreach_lost_holds_its_row_and_flags_nobody():
    box = make()
    ids = [box.organisation(f"Company {n}", organisation_category="A") for n in range(3)]
    rule = add_row(box, "organisation_category", "wasDeletedThere")

    first = box.run()

    rule.refresh_from_db()
    assert "wasDeletedThere" in rule.held_reason
    assert (first.failed, first.held) == (0, 3)
    assert [box.show(i)[ERROR] for i in ids] == [False] * 3
    assert Case.objects.filter(kind="mapping", state="open").count() == 1
    assert box.run().created == 3


def test_an_update_that_was_held_for_its_mapping_arrives_once_it_is_mended():
    box = make()
    id_ = box.organisation("Bound", industry="Food")
    box.run()
    box.clock.forward(300)
    box.run()
    rule = add_row(box, "organisation_category", "wasDeletedThere")
    box.edit(id_, industry="Health", organisation_category="A")

    held = box.run()
    assert (held.held, held.updated) == (1, 0)
    box.clock.forward(600)
    changes = {rule.pk: RowChange("organisation_category", "wasDeletedThere", is_enabled=False)}
    mapping_save(box.sync_pass, changes, None)
    box.run()

    assert box.accounts()[0]["industry"] == "Health"
    assert not Case.objects.filter(kind="mapping", state="open").exists()


def test_ten_equal_refusals_are_one_case_and_no_flag():
    box = make()
    ids = [box.organisation(f"Company {n}") for n in range(12)]
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts"})

    run = box.run()

    assert (run.state, run.failed, run.held) == ("held", 0, 12)
    assert not any(box.show(i)[ERROR] for i in ids)
    assert Case.objects.get(state="open").kind == "mapping"
    box.world.faults.clear()
    box.calls()
    assert box.run().state == "held" and box.calls() == {}
    mapping_save(box.sync_pass, {}, None)
    assert box.run().created == 12


def test_a_column_that_workbooks_lost_holds_its_row_and_the_rest_goes_on():
    box = make()
    box.organisation("Company")
    rule = add_row(box, "cf_organisation_gone", "custom3")

    box.run()
    run = box.run()

    rule.refresh_from_db()
    assert "cf_organisation_gone" in rule.held_reason
    assert (run.state, run.created) == ("finished", 1)
