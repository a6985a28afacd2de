"""A pass planned without writing, and exactly that plan carried out."""

import pytest

from reconciliation.models import Binding, Case, Operation, Run, SyncPass
from reconciliation.passes import organisations as rules
from tests.sandboxed import DUPLICATE, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box():
    """Five organisations: two new, one bound and edited, one duplicate, one that links by its Id."""
    box = make()
    bound = box.organisation("Bound", industry="Food")
    box.run()
    box.clock.forward(300)
    box.run()
    box.world.outreach.create_record("accounts", {"name": "Taken"})
    linked = box.world.outreach.create_record("accounts", {"name": "Linked there"})
    box.ids = {
        "bound": bound,
        "new": box.organisation("New"),
        "other": box.organisation("Other"),
        "duplicate": box.organisation("Taken"),
        "linked": box.organisation("Linked here", cf_organisation_outreach_id=str(linked["id"])),
    }
    box.edit(bound, industry="Health")
    return box


def writes(box):
    return {k: n for k, n in box.calls().items() if not k.startswith("GET")}


def test_a_preview_writes_nothing_and_moves_no_cursor(box):
    box.calls()
    before = SyncPass.objects.values().get()

    run = box.run(kind=Run.Kind.PREVIEW)

    assert writes(box) == {}
    after = SyncPass.objects.values().get()
    assert {k: v for k, v in after.items() if k != "names_read_until"} == {k: v for k, v in before.items() if k != "names_read_until"}
    assert (run.state, run.created, run.updated, run.duplicates) == ("finished", 2, 1, 1)
    assert (Case.objects.count(), Binding.objects.count()) == (0, 1)
    assert Operation.objects.filter(run=run, state="planned").count() == 5


def test_a_record_that_cannot_be_worked_out_is_planned_as_an_error_and_opens_no_case(box, monkeypatch):
    box.organisation("Cannot be told")
    monkeypatch.setattr(rules, "decide_new", lambda *_: 1 / 0)

    preview = box.run(kind="preview")

    assert preview.failed > 0 and not Case.objects.exists()
    planned = Operation.objects.filter(run=preview, state="planned", kind="flag")
    assert any("ZeroDivisionError" in row.reason for row in planned)
    box.run(kind="apply", apply_of=preview.pk)
    assert Case.objects.filter(reason="internal").exclude(trace="").count() == preview.failed


def test_applying_does_what_a_pass_would_have_done(box):
    preview = box.run(kind=Run.Kind.PREVIEW)

    run = box.run(kind=Run.Kind.APPLY, apply_of=preview.pk)

    assert (run.state, run.created, run.updated, run.duplicates, run.excluded) == ("finished", 2, 1, 1, {})
    assert box.show(box.ids["duplicate"])[DUPLICATE] is True
    assert box.accounts("Bound")[0]["industry"] == "Health"
    assert box.run().created == 0


def test_rows_that_changed_meanwhile_are_refused_and_said_so(box):
    preview = box.run(kind=Run.Kind.PREVIEW)
    box.edit(box.ids["new"], industry="edited meanwhile")
    box.world.outreach.create_record("accounts", {"name": "Other"})
    box.world.outreach.update_record("accounts", box.accounts("Bound")[0]["id"], {"description": "touched meanwhile"})

    run = box.run(kind=Run.Kind.APPLY, apply_of=preview.pk)

    refused = {e.name: e.sentence for e in run.events.filter(reason="changed_meanwhile")}
    assert set(refused) == {"New", "Other", "Bound"}
    assert "edited in Workbooks" in refused["New"] and "changed in Outreach" in refused["Bound"]
    assert run.excluded == {"changed_meanwhile": 3}
    assert len(box.accounts("Other")) == 1
    assert box.run().created == 1  # New; Other is a duplicate now


def test_a_preview_is_applied_once(box):
    preview = box.run(kind=Run.Kind.PREVIEW)
    box.run(kind=Run.Kind.APPLY, apply_of=preview.pk)

    again = box.run(kind=Run.Kind.APPLY, apply_of=preview.pk)

    assert (again.state, again.seen) == ("failed", 0)
    assert "nothing left to apply" in again.note


def test_a_preview_expires_after_a_day(box):
    preview = box.run(kind=Run.Kind.PREVIEW)

    late = box.run(forward=25 * 3600, kind=Run.Kind.APPLY, apply_of=preview.pk)

    assert late.state == "failed" and "24 hours" in late.note
