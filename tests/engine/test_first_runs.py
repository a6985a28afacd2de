"""A pass over real systems is off until an admin has seen its first preview; then a pilot, then batches, then on (C33, D27)."""

from dataclasses import replace

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from reconciliation import jobs
from reconciliation.engine import gate
from reconciliation.models import AuditEntry, Binding, Connection, FieldRule, Run, SyncPass
from reconciliation.services.connections import connection_test
from reconciliation.services.schedule import ScheduleRefused, schedule_of, schedule_set
from reconciliation.services.switch_on import (
    SwitchRefused,
    may_be_confirmed,
    pass_switch_on,
    pilot_pick,
    pilot_start,
    preview_confirm,
)
from tests.sandboxed import PEER_ID, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


@pytest.fixture
def box(monkeypatch):
    """Real as far as the application can tell: seven new organisations, one that has an Id of old."""
    box = make(is_real=True)
    account = box.world.outreach.create_record("accounts", {"name": "Old"})
    box.old = box.organisation("Old", **{PEER_ID: str(account["id"])})
    box.clock.forward(600)
    box.sync_pass.last_run_time = box.clock.at
    box.sync_pass.save()
    box.new = [box.organisation(f"New {n}") for n in range(7)]
    for connection in (box.sync_pass.crm, box.sync_pass.peer):
        connection_test(connection, wiring=box.wiring)
    box.calls()
    monkeypatch.setattr("django.utils.timezone.now", lambda: box.clock.at)
    return box


def fresh(box):
    box.sync_pass = SyncPass.objects.select_related("crm", "peer", "mapping").get()
    return box.sync_pass


def look(box, olga):
    preview = box.run(kind=Run.Kind.PREVIEW)
    preview.sync_pass = fresh(box)
    preview_confirm(preview, olga)
    fresh(box)
    return preview


def names(box):
    return sorted(a["name"] for a in box.accounts())


def writes(box):
    return {k: n for k, n in box.calls().items() if not k.startswith("GET")}


def test_a_new_pass_over_real_systems_is_off_and_one_over_a_sandbox_is_on(box):
    assert (fresh(box).is_on, box.sync_pass.switched_on_at) == (False, None)
    assert jobs.tick("organisations") == "off"


@pytest.mark.parametrize("order", [{}, {"kind": "scheduled"}, {"is_full": True}, {"budget": 0.001}])
def test_before_it_was_switched_on_every_run_is_a_whole_plan_that_is_held(box, order):
    run = box.run(**order)

    assert writes(box) == {}
    assert (run.kind, run.state, run.created) == ("preview", "held", 7)
    assert "never switched on" in run.note
    assert SyncPass.objects.get().position_at is None and Binding.objects.count() == 0


def test_a_plan_is_not_carried_out_as_a_whole_before_it_was_switched_on(box, olga):
    preview = look(box, olga)
    box.calls()

    run = box.run(kind=Run.Kind.APPLY, apply_of=preview.pk)

    assert (run.state, writes(box)) == ("held", {})
    assert "pilot" in run.note


def test_it_cannot_be_switched_on_until_an_admin_has_looked_at_its_first_preview(box, olga):
    wanted = replace(schedule_of(fresh(box)), is_on=True)
    with pytest.raises(ScheduleRefused, match="first preview has not been looked at. Make one with Preview"):
        schedule_set(box.sync_pass, wanted, olga)
    with pytest.raises(SwitchRefused, match="first preview"):
        pass_switch_on(box.sync_pass, olga)
    with pytest.raises(SwitchRefused, match="first preview"):
        pilot_start(box.sync_pass, olga, most_new=2)
    assert box.run(kind=Run.Kind.PILOT, most_new=2).state == "held"
    assert (writes(box), fresh(box).is_on) == ({}, False)

    look(box, olga)
    schedule_set(box.sync_pass, wanted, olga)

    assert fresh(box).is_on
    entry = AuditEntry.objects.get(action="confirm first preview")
    assert (entry.username, entry.detail["created"]) == ("olga", 7)


def test_a_changed_mapping_wants_a_new_look(box, olga):
    look(box, olga)
    box.sync_pass.mapping.version += 1
    box.sync_pass.mapping.save()

    with pytest.raises(SwitchRefused, match="changed since the preview was looked at"):
        pass_switch_on(fresh(box), olga)


def test_a_preview_of_other_fields_or_of_yesterday_is_not_confirmed(box, olga):
    preview = box.run(kind=Run.Kind.PREVIEW)
    preview.sync_pass = fresh(box)
    box.sync_pass.settings = {"organisation_columns": {"peer_url": "website"}}
    with pytest.raises(SwitchRefused, match="changed since this preview"):
        preview_confirm(preview, olga)
    box.sync_pass.settings = {}
    box.clock.forward(25 * 3600)
    with pytest.raises(SwitchRefused, match="older than 24 hours"):
        preview_confirm(preview, olga)

    assert not may_be_confirmed(Run(sync_pass=fresh(box), kind="manual", state="finished"))
    assert fresh(box).preview_seen == {}


@pytest.mark.parametrize("side", ["crm", "peer"])
def test_a_preview_of_other_systems_counts_no_more(box, olga, side):
    """Seen on a trial account, then connected to the company's: nobody looked at that plan (C33)."""
    look(box, olga)
    assert gate.preview_wanted(fresh(box)) == ""

    connection = getattr(box.sync_pass, side)
    Connection.objects.filter(pk=connection.pk).update(settings={**connection.settings, "organisation": "Another", "database_id": "9"})

    assert "a connection were changed since" in gate.preview_wanted(fresh(box))


def test_a_pilot_runs_for_exactly_the_picked_ones_and_moves_no_cursor(box, olga):
    look(box, olga)
    pilot_pick(box.sync_pass, f"{box.new[2]}\nNew 4\nworkbooks:organisation:{box.old}\n", olga, wiring=box.wiring)
    before = SyncPass.objects.values("last_run_time", "position_at", "sweep_started_at", "backlog").get()
    ids = pilot_start(box.sync_pass, olga)
    box.calls()

    run = box.run(kind=Run.Kind.PILOT, only_ids=ids)

    assert names(box) == ["New 2", "New 4", "Old"]
    assert box.show(box.new[4])[PEER_ID] and not box.show(box.new[0])[PEER_ID]
    assert (run.kind, run.state, run.seen, run.created) == ("pilot", "finished", 3, 2)
    assert run.note == "Pilot of 3 hand-picked organisations."
    assert Binding.objects.get(crm_id=str(box.old)).how == "linked"
    assert SyncPass.objects.values("last_run_time", "position_at", "sweep_started_at", "backlog").get() == before
    assert box.calls()["GET /crm/organisations.api"] == 1


def test_picked_ones_that_may_not_sync_are_said_before_and_after(box, olga):
    look(box, olga)
    box.edit(box.new[0], cf_organisation_sync_to_outreach=False)

    picked = pilot_pick(box.sync_pass, f"New 0\n{box.new[1]}", olga, wiring=box.wiring)
    run = box.run(kind=Run.Kind.PILOT, only_ids=pilot_start(box.sync_pass, olga))

    assert [bool(p.sentence) for p in picked] == [True, False] and "Sync to Outreach is TRUE" in picked[0].sentence
    assert (run.created, f"Not taken: New 0 {box.new[0]}" in run.note) == (1, True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "at least one"),
        ("Nobody Ltd", "Nobody Ltd is no organisation of Workbooks"),
        ("999999", "999999 is no organisation"),
        ("Twice", "is the name of 2 organisations"),
        ("\n".join(str(n) for n in range(51)), "at most 50"),
    ],
)
def test_what_cannot_be_picked_is_refused_with_the_reason(box, olga, text, why):
    box.organisation("Twice")
    box.organisation("Twice")

    with pytest.raises(SwitchRefused, match=why):
        pilot_pick(fresh(box), text, olga, wiring=box.wiring)

    assert fresh(box).pilot == {}


def test_batches_take_at_most_so_many_new_ones_until_none_is_left(box, olga):
    look(box, olga)
    pilot_start(box.sync_pass, olga, most_new=3)

    runs = [box.run(kind=Run.Kind.PILOT, most_new=3) for _ in range(4)]

    assert [r.created for r in runs] == [3, 3, 1, 0]
    assert [r.note.rsplit(". ", 1)[-1] for r in runs[:2]] == ["4 new ones still wait.", "1 new one still waits."]
    assert len(names(box)) == 8
    assert not Binding.objects.filter(crm_id=str(box.old)).exists()


def test_what_cannot_be_done_does_not_stop_a_batch(box, olga):
    """Rows that stay selected, since they are held, do not use a batch up press after press."""
    look(box, olga)
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 2})

    runs = [box.run(kind=Run.Kind.PILOT, most_new=3) for _ in range(3)]

    assert [(r.created, r.failed) for r in runs] == [(1, 2), (3, 0), (1, 0)]


@pytest.mark.parametrize("most", [0, 1001])
def test_a_batch_has_bounds(box, olga, most):
    look(box, olga)

    with pytest.raises(SwitchRefused, match="between 1 and 1,000"):
        pilot_start(box.sync_pass, olga, most_new=most)


def test_d27_switching_on_sets_last_run_time_and_old_links_wait_until_edited(box, olga):
    look(box, olga)
    box.clock.forward(3600)

    pass_switch_on(box.sync_pass, olga)

    assert fresh(box).last_run_time == box.clock.at.replace(microsecond=0)
    run = box.run(kind=Run.Kind.SCHEDULED)
    assert (run.created, run.seen) == (7, 7)
    box.edit(box.old, industry="Food")
    assert box.run(kind=Run.Kind.SCHEDULED).seen >= 1
    assert Binding.objects.filter(crm_id=str(box.old)).exists()


def test_what_was_edited_between_pilot_and_switching_on_is_carried_over(box, olga):
    look(box, olga)
    box.run(kind=Run.Kind.PILOT, only_ids=(str(box.new[0]),))
    box.clock.forward(60)
    box.edit(box.new[0], industry="Health")
    box.clock.forward(3600)

    pass_switch_on(box.sync_pass, olga)
    fresh(box)
    box.run(kind=Run.Kind.SCHEDULED)

    assert box.accounts("New 0")[0]["industry"] == "Health"


def test_a_pilot_is_undone_like_any_run(box, olga):
    from reconciliation.services.undo import undo, undoable

    look(box, olga)
    run = box.run(kind=Run.Kind.PILOT, only_ids=(str(box.new[0]),))

    undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)

    assert names(box) == ["Old"]


def test_switched_off_later_and_on_again_it_goes_on_where_it_stood(box, olga):
    look(box, olga)
    pass_switch_on(box.sync_pass, olga)
    box.run(kind=Run.Kind.SCHEDULED)
    stood = fresh(box).last_run_time
    schedule_set(box.sync_pass, replace(schedule_of(box.sync_pass), is_on=False), olga)
    box.clock.forward(3600)

    FieldRule.objects.update(since_version=0)
    schedule_set(fresh(box), replace(schedule_of(box.sync_pass), is_on=True), olga)

    assert fresh(box).last_run_time == stood
    assert [e.action for e in AuditEntry.objects.order_by("pk")][-3:] == ["switch pass on", "switch pass off", "switch pass on"]


def test_d32_a_second_crm_on_the_same_peer_is_refused(box, olga):
    look(box, olga)
    other = Connection.objects.create(name="Other CRM", system="workbooks", base_url="http://127.0.0.1:1")
    SyncPass.objects.create(name="second", title="Second", crm=other, peer=box.sync_pass.peer, mapping=box.sync_pass.mapping, is_on=True)

    with pytest.raises(SwitchRefused, match="Other CRM is synced with Outreach already"):
        pass_switch_on(box.sync_pass, olga)


def test_fields_that_are_missing_keep_it_off(box, olga):
    look(box, olga)
    Connection.objects.filter(system="workbooks").update(schema_cache={"organisation": {}, "person": {}})

    with pytest.raises(SwitchRefused, match="fields are missing"):
        pass_switch_on(fresh(box), olga)


def test_the_command_line_may_approve_the_first_run(box, monkeypatch, capsys):
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    call_command("runpass", "organisations")
    assert "never switched on" in capsys.readouterr().out and names(box) == ["Old"]

    call_command("runpass", "organisations", "--approve-first")

    assert len(names(box)) == 8 and fresh(box).is_on
    assert AuditEntry.objects.filter(action="waive first preview").exists()
    with pytest.raises(SystemExit):
        call_command("runpass", "organisations", "--approve-first")
