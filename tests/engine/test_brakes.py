"""A sweep that blanks a field in bulk stops for a person; approval covers that sweep and field."""

import pytest

from reconciliation.models import FieldRule, Run
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def blanked():
    """Sixty bound organisations whose websites are all blanked at once, under a rule where blanks override."""
    box = make()
    FieldRule.objects.filter(crm_field="website").update(blank_to_peer=True)
    ids = [box.organisation(f"Company {n}", website=f"https://c{n}.example") for n in range(60)]
    box.run()
    box.clock.forward(300)
    box.run()
    for id_ in ids:
        box.edit(id_, website="")
    return box


def test_blanking_in_bulk_is_held_and_writes_nothing(blanked):
    run = blanked.run()

    assert (run.state, run.held, run.updated) == ("held", 60, 0)
    assert "would be blanked in 60 of 60 accounts" in run.note
    assert all(a["websiteUrl"] for a in blanked.accounts())


def test_approval_carries_out_exactly_what_was_held(blanked):
    held = blanked.run()

    run = blanked.run(kind=Run.Kind.APPLY, apply_of=held.pk)

    assert (run.state, run.updated, run.excluded) == ("finished", 60, {})
    assert not any(a["websiteUrl"] for a in blanked.accounts())
    after = blanked.run()
    assert (after.state, after.updated) == ("finished", 0)


def test_a_held_plan_is_not_replaced_while_a_person_reads_it(blanked):
    held = blanked.run()
    again = blanked.run()

    assert again.state == "held" and f"waits in run {held.pk}" in again.note
    assert blanked.run(kind=Run.Kind.APPLY, apply_of=held.pk).updated == 60


def test_a_few_blanks_pass():
    box = make()
    FieldRule.objects.filter(crm_field="website").update(blank_to_peer=True)
    id_ = box.organisation("One", website="https://one.example")
    box.run()
    box.clock.forward(300)
    box.edit(id_, website="")

    run = box.run()

    assert (run.state, run.updated) == ("finished", 1)
    assert box.accounts()[0]["websiteUrl"] is None
