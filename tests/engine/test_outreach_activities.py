"""S3.1 over the sandboxes: each activity that was done becomes one Task of Salesforce, whatever happens on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import User

from connectors.errors import ConnectorError
from connectors.sandbox.wire import Response
from reconciliation.engine import activity_sweep, executor
from reconciliation.models import Activity, Case, Operation, SyncPass, UserPair
from reconciliation.services.activities import activities_begin_from
from reconciliation.services.errors import error_retry
from reconciliation.services.restored_backup import database_restored
from reconciliation.services.switch_on import pass_switch_on, preview_waive
from reconciliation.services.undo import undo, undo_plan, undoable
from tests.acted import MINE, acted

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
KEYED = "/services/data/{v}/composite/sobjects/Task/Sync_Key__c"


class Died(BaseException):
    """The process ends here."""


@pytest.fixture
def box():
    box = acted()
    box.clock.forward(60)
    return box


@pytest.fixture
def olga():
    return User.objects.create(username="olga")


def owner_of(box):
    return next(u["Id"] for u in box.world.salesforce.list_records("User") if u["Email"] == MINE)


# --- what becomes of an activity ------------------------------------------------------------------------------------------


def test_s3_1_a_completed_task_a_delivered_mail_and_a_logged_call_become_one_task_each(box):
    account = box.account()
    prospect, contact = box.linked(AccountId=account)
    box.task(prospect, note="Send the brochure\nbefore Friday", action="in_person")
    box.mailing(prospect, subject="A quote", bodyText="Dear Ada,\nas promised.")
    box.call(prospect, note="Wants a demo", **{"from": "+441", "to": "+442"})

    run = box.run()

    assert (run.state, run.seen, run.created) == ("finished", 3, 3)
    made = {t["TaskSubtype"]: t for t in box.tasks()}
    common = {"Status": "Completed", "Priority": "Normal", "WhoId": contact, "WhatId": account, "OwnerId": owner_of(box)}
    for task in made.values():
        assert {name: task[name] for name in common} == common
        assert task["ActivityDate"] == "2026-03-02"
    assert made["Task"]["Subject"] == "In-person task: Send the brochure"
    assert made["Task"]["Description"] == "Send the brochure\nbefore Friday"
    assert (made["Email"]["Subject"], made["Email"]["Description"]) == ("Email: A quote", "Dear Ada,\nas promised.")
    assert (made["Call"]["Subject"], made["Call"]["CallType"], made["Call"]["CallDurationInSeconds"]) == (
        "Outbound call: answered",
        "Outbound",
        90,
    )
    assert made["Call"]["Description"] == "Wants a demo\n\nCalled from +441 to +442."
    assert {t["Sync_Key__c"].partition("-")[0] for t in made.values()} == {"sync"} and len({t["Sync_Key__c"] for t in made.values()}) == 3


def test_a_further_run_writes_nothing_and_costs_one_read_for_each_type(box):
    prospect, _ = box.linked()
    box.task(prospect), box.mailing(prospect), box.call(prospect)
    box.run(forward=10)
    box.calls()

    again, later = box.run(forward=30), box.run(forward=30)  # both read once more what the cursor's overlap holds

    assert (again.created, again.unchanged, later.unchanged) == (0, 3, 3)
    assert box.events(again) == box.events(later) == []
    assert box.calls() == {"GET /api/v2/tasks": 2, "GET /api/v2/mailings": 2, "GET /api/v2/calls": 2}
    assert len(box.tasks()) == 3


def test_a_lead_gets_its_task_without_a_related_record(box):
    prospect, lead = box.prospect(), box.lead()
    box.link(prospect, lead, "Lead")
    box.mailing(prospect)

    box.run()

    assert (box.one()["WhoId"], box.one()["WhatId"]) == (lead, None)


def test_the_day_of_a_task_is_that_of_its_owner(box):
    prospect, _ = box.linked()
    box.world.salesforce.update_record("User", owner_of(box), {"TimeZoneSidKey": "America/New_York"})
    box.clock.forward((timedelta(days=1, hours=2) - timedelta(hours=9)).total_seconds())  # 02:00 UTC, the evening before over there
    box.task(prospect)

    box.run()

    assert box.one()["ActivityDate"] == "2026-03-02"


def test_whose_user_is_nobody_here_belongs_to_us_and_that_is_said(box):
    prospect, _ = box.linked()
    stranger = box.world.outreach.create_record("users", {"username": "zoe", "email": "zoe@nowhere.example"})["id"]
    box.task(prospect, owner=stranger)

    box.run()

    us = next(u["Id"] for u in box.world.salesforce.list_records("User") if u["Email"] != MINE and u["Id"] == box.one()["CreatedById"])
    assert box.one()["OwnerId"] == us
    assert f"User {stranger} of Outreach has no active user of Salesforce" in box.events()[0][2]


def test_a_user_who_left_salesforce_owns_nothing_new(box):
    prospect, _ = box.linked()
    left = owner_of(box)
    box.world.salesforce.update_record("User", left, {"IsActive": False})
    box.task(prospect)

    run = box.run()

    assert run.created == 1 and box.one()["OwnerId"] != left


def test_whom_staff_paired_for_the_prospects_owns_the_tasks_of_the_other(box):
    prospect, _ = box.linked()
    stranger = box.world.outreach.create_record("users", {"username": "zoe", "email": "zoe@nowhere.example"})["id"]
    chosen = {"crm_user_id": owner_of(box), "peer_user_id": str(stranger), "how": "staff", "read_at": box.clock()}
    UserPair.objects.create(sync_pass=box.prospects, **chosen)
    box.task(prospect, owner=stranger)

    box.run()

    assert box.one()["OwnerId"] == owner_of(box)


def test_what_is_too_long_is_cut_and_said(box):
    prospect, _ = box.linked()
    box.mailing(prospect, subject="S" * 300, bodyText="B" * 40_000)

    box.run()

    assert len(box.one()["Subject"]) == 255 and len(box.one()["Description"]) == 32_000 and box.one()["Description"].endswith("B…")
    sentence = box.events()[0][2]
    assert "Subject was cut: it has 307 characters, and 255 fit" in sentence and "Description was cut: it has 40,000" in sentence


# --- what is left alone ---------------------------------------------------------------------------------------------------


def test_what_was_not_done_or_was_done_before_is_no_task(box):
    prospect, _ = box.linked()
    early = box.task(prospect, ago=3 * 86400)
    box.task(prospect, state="incomplete", completedAt=None)
    box.mailing(prospect, state="scheduled", deliveredAt=None)
    box.mailing(prospect, ago=86400)
    box.mailing(prospect, state="bounced")
    box.call(prospect, outcome=None, answeredAt=None, completedAt=None)
    box.task(None)

    run = box.run()

    assert run.created == 0 and box.tasks() == []
    assert run.excluded == {"before_start": 1, "bounced": 1, "no_prospect": 1, "not_finished": 1}  # the rest was not even read
    assert not Activity.objects.filter(activity_id=str(early), object_type="task").exists()


def test_a_mail_that_is_opened_or_answered_later_is_written_once(box):
    prospect, _ = box.linked()
    id_ = box.mailing(prospect)
    box.run()
    box.edit("mailings", id_, state="replied", subject="Another subject")

    run = box.run()

    assert (run.created, run.unchanged) == (0, 1) and box.reasons() == [("unchanged", "carried")]
    assert box.one()["Subject"] == "Email: A quote"


def test_deleting_either_side_does_nothing(box):
    prospect, _ = box.linked()
    id_, other = box.task(prospect), box.mailing(prospect)
    box.run()
    box.world.outreach.delete_record("tasks", id_)
    gone = next(t["Id"] for t in box.tasks() if t["TaskSubtype"] == "Email")
    box.world.salesforce.delete_record("Task", gone)
    box.edit("mailings", other, state="opened")

    box.run(), box.run(is_full=True)

    assert [t["TaskSubtype"] for t in box.tasks()] == ["Task"]


def test_d27_an_earlier_beginning_takes_up_what_was_left_out_and_doubles_nothing(box, olga):
    prospect, _ = box.linked()
    box.task(prospect, ago=5 * 86400, updatedAt=(box.clock() - timedelta(days=5)).isoformat())
    box.task(prospect)
    box.run()
    assert len(box.tasks()) == 1

    activities_begin_from(box.sync_pass, box.clock() - timedelta(days=7), olga)
    run = box.run()

    assert (run.created, run.unchanged) == (1, 1) and len(box.tasks()) == 2


# --- links that come late ------------------------------------------------------------------------------------------------


def test_an_activity_waits_for_the_link_of_its_prospect_and_follows_when_it_comes(box):
    prospect = box.prospect()
    box.mailing(prospect)

    first = box.run()
    quiet = box.run()

    assert (first.held, box.reasons(first)) == (1, [("held", "waits_for_link")])
    assert quiet.seen == 0 and quiet.note == "1 activity waits for its prospect to be linked."
    assert box.tasks() == []

    box.link(prospect, box.contact())
    box.calls()
    late = box.run()

    assert late.created == 1 and len(box.tasks()) == 1
    assert box.row("mailing", 1).state == "carried"
    assert box.calls()["GET /api/v2/mailings"] == 2  # the waiting ones by id, and what is new
    assert box.run().seen == 0


def test_the_prospect_of_a_waiting_activity_is_looked_for_once_a_day(box):
    prospect = box.prospect()
    id_ = box.mailing(prospect)
    box.run()
    box.calls()
    box.run()
    assert "GET /api/v2/prospects" not in box.calls()

    box.world.outreach.delete_record("prospects", prospect)
    run = box.run(forward=86_400)

    assert box.reasons(run) in ([("excluded", "no_prospect")], [("excluded", "prospect_gone")])
    assert not Activity.objects.filter(activity_id=str(id_)).exists() and box.tasks() == []


def test_a_deleted_prospect_that_an_activity_still_names_is_told(box):
    prospect = box.prospect()
    box.mailing(prospect)
    del box.world.outreach.tables["prospects"].records[prospect]

    box.run()

    assert box.reasons() == [("excluded", "prospect_gone")]


def test_an_activity_that_is_deleted_while_it_waits_ends(box):
    prospect = box.prospect()
    id_ = box.task(prospect)
    box.run()
    box.world.outreach.delete_record("tasks", id_)
    box.link(prospect, box.contact())

    run = box.run()

    assert box.reasons(run) == [("excluded", "deleted_in_peer")] and not Activity.objects.exists()


def test_whoever_was_merged_away_is_waited_for_and_the_task_goes_to_who_is_linked_then(box):
    prospect, contact = box.linked()
    box.world.salesforce.delete_record("Contact", contact)
    box.task(prospect)

    first = box.run()
    assert box.reasons(first) == [("held", "person_gone")]

    other = box.contact("Winner")
    box.prospects.bindings.update(crm_id=other)
    box.run()

    assert box.one()["WhoId"] == other


# --- once, whatever happens -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["on the wire", "by a kill"])
def test_an_answer_that_is_lost_is_looked_for_by_key_and_nothing_is_made_twice(box, monkeypatch, how):
    prospect, _ = box.linked()
    box.task(prospect), box.mailing(prospect)
    if how == "on the wire":
        box.world.faults.add({"kind": "lost_answer", "system": "salesforce", "method": "PATCH", "path": KEYED, "times": 1})
        assert box.run().state == "interrupted"
    else:
        call = executor._call

        def dying(connector, object_type, part):
            call(connector, object_type, part)
            raise Died

        with monkeypatch.context() as patch:
            patch.setattr(executor, "_call", dying)
            with pytest.raises(Died):
                box.run()
    assert len(box.tasks()) == 1
    box.calls()

    run = box.run()

    assert run.state == "finished" and len(box.tasks()) == 2
    assert box.row("task", 1).state == "carried" and not Operation.objects.filter(state__in=Operation.OPEN).exists()
    assert box.calls()[f"PATCH {KEYED}"] == 1  # the mail; the Task that was made is adopted
    assert len({t["Sync_Key__c"] for t in box.tasks()}) == 2


def test_a_create_that_never_arrived_is_sent_again_after_a_while(box, monkeypatch):
    prospect, _ = box.linked()
    box.task(prospect)

    def dying(connector, object_type, part):
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(executor, "_call", dying)
        with pytest.raises(Died):
            box.run()
    early = box.run(forward=5)
    assert (early.held, box.tasks()) == (1, []) and box.reasons(early) == [("held", "in_doubt")]

    box.run()

    assert len(box.tasks()) == 1


def test_a_crash_before_the_rows_are_settled_makes_nothing_twice(box, monkeypatch):
    prospect, _ = box.linked()
    box.call(prospect)

    def dying(*given):
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr("reconciliation.engine.activity_work.carried", dying)
        with pytest.raises(Died):
            box.run()
    assert len(box.tasks()) == 1

    box.run(), box.run()

    assert len(box.tasks()) == 1 and box.row("call", 1).state == "carried"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("system, path", [("outreach", "/api/v2/mailings"), ("salesforce", KEYED)])
def test_trouble_of_a_connection_flags_nobody_and_is_caught_up_with(box, system, path, status):
    prospect, _ = box.linked()
    box.task(prospect), box.mailing(prospect), box.call(prospect)
    method = "GET" if system == "outreach" else "PATCH"
    fault = {"kind": "status", "status": status, "system": system, "method": method, "path": path}
    box.world.faults.add({**fault, "retry_after": 3600, "times": 9})

    failed = box.run()
    assert failed.state == "interrupted" and not Case.objects.exists()
    box.world.faults.all.clear()
    box.run(forward=3600)

    assert len(box.tasks()) == 3 and not Case.objects.exists()


def test_an_expired_token_is_renewed_on_the_way(box):
    prospect, _ = box.linked()
    box.task(prospect)
    box.world.outreach.expire_tokens()

    run = box.run()

    assert (run.state, run.created) == ("finished", 1)


def test_an_access_without_the_right_stops_the_run_and_names_the_scope(box):
    prospect, _ = box.linked()
    box.task(prospect), box.mailing(prospect)
    for token in box.world.outreach.desk.access.values():
        token.scopes = "tasks.read users.read"

    run = box.run()

    assert run.state == "interrupted" and "mailings.read" in run.note
    assert len(box.tasks()) == 1  # what came before stands


def test_one_bad_activity_is_an_error_its_neighbours_go_through_and_retry_makes_it(box, olga):
    prospect, _ = box.linked()
    box.task(prospect, note="Cursed"), box.task(prospect, note="Fine"), box.mailing(prospect)
    rule = {"object": "Task", "when": "Subject = 'Task: Cursed'", "message": "Not this one."}
    box.world.salesforce.set_switches({"validation_rules": [rule]})

    run = box.run()

    assert (run.state, run.created, run.failed) == ("finished", 2, 1)
    case = Case.objects.get()
    assert "Not this one." in case.sentence and (case.peer_ref, case.name) == ("outreach:task:1", "Task: Cursed")
    assert box.row("task", 1).state == "refused" and case.crm_fields == {}
    assert box.run(forward=30).failed == 0  # it waits for a person

    box.world.salesforce.set_switches({"validation_rules": []})
    assert error_retry([case], olga, wiring=box.wiring) == 1
    box.run()

    case.refresh_from_db()
    assert len(box.tasks()) == 3 and case.state == "resolved"


def test_an_edit_in_outreach_tries_a_refused_activity_again_and_closes_its_case(box):
    prospect, _ = box.linked()
    id_ = box.task(prospect, note="Cursed")
    box.world.salesforce.set_switches({"validation_rules": [{"object": "Task", "when": "Subject = 'Task: Cursed'", "message": "No."}]})
    box.run()

    box.edit("tasks", id_, note="Fine")
    box.run()

    assert box.one()["Subject"] == "Task: Fine" and Case.objects.get().state == "closed"


def test_a_field_that_is_gone_is_one_case_and_the_activities_follow_by_themselves(box):
    prospect, _ = box.linked()
    for n in range(3):
        box.mailing(prospect, subject=f"Mail {n}")
    box.world.salesforce.set_switches({"hidden_fields": ["Task.Description"]})

    run = box.run()

    assert (run.created, run.failed, run.held) == (0, 0, 3)
    assert "Tasks are not made just now" in Case.objects.get().sentence

    box.world.salesforce.set_switches({"hidden_fields": []})
    box.run()

    assert len(box.tasks()) == 3 and Case.objects.get().state == "closed"


def test_ten_that_are_refused_alike_are_one_case(box):
    prospect, _ = box.linked()
    for n in range(12):
        box.task(prospect, note=f"N{n}")
    box.world.salesforce.set_switches({"validation_rules": [{"object": "Task", "when": "Status = 'Completed'", "message": "Never."}]})

    run = box.run()

    assert (run.failed, run.held) == (0, 12) and Case.objects.count() == 1


def test_one_that_always_fails_stops_no_other_and_is_an_error_after_five_runs(box, monkeypatch):
    prospect, _ = box.linked()
    box.sync_pass.crm.settings = {**box.sync_pass.crm.settings, "create_size": 1}  # a wave of several calls
    box.sync_pass.crm.save()
    box.wiring = replace(box.wiring, workers=4)
    handle = box.world.salesforce.handle

    def cursed(request):
        if request.method == "PATCH" and b"Cursed" in request.body:
            return Response(500, b"[]", template=KEYED)
        return handle(request)

    monkeypatch.setattr(box.world.salesforce, "handle", cursed)
    for note in ("One", "Cursed", "Two"):
        box.task(prospect, note=note)

    first = box.run()
    assert (first.state, first.created, first.held) == ("finished", 2, 1) and box.reasons(first)[1] == ("held", "alone")
    for n in range(6):
        box.task(prospect, note=f"Neighbour {n}")
        assert box.run(forward=3600 * 9).state == "finished"
        if Case.objects.exists():
            break

    assert n < 5 and "in 5 runs, while others went through" in Case.objects.get().sentence
    assert not [t for t in box.tasks() if "Cursed" in t["Subject"]]


# --- many ----------------------------------------------------------------------------------------------------------------


def test_ten_thousand_activities_cost_batches_and_no_call_alone(box):
    people = [box.linked(f"P{n}") for n in range(20)]
    for n in range(10_000):
        box.world.outreach.create_record("tasks", {"state": "complete", "prospect": people[n % 20][0], "owner": 1})
    box.calls()
    box.world.salesforce.set_switches({"page_size": 2000})  # as in the real one; tests of paging have five

    run = box.run()
    calls = box.calls()

    assert (run.state, run.created) == ("finished", 10_000) and len(box.tasks()) == 10_000
    assert calls[f"PATCH {KEYED}"] == 50
    assert calls["GET /api/v2/tasks"] <= 12 and sum(calls.values()) <= 200, calls
    box.run()
    assert sum(box.calls().values()) == 3


def test_a_budget_that_is_used_up_leaves_the_rest_to_the_next_run(box, monkeypatch):
    prospect, _ = box.linked()
    monkeypatch.setattr(activity_sweep, "PAGE_ROWS", 10)
    for n in range(35):
        at = (box.clock() + timedelta(seconds=n)).isoformat()
        box.world.outreach.create_record("tasks", {"state": "complete", "prospect": prospect, "owner": 1, "updatedAt": at})
    seen = {"n": 0.0}

    def ticking():
        seen["n"] += 0.2
        return box.clock.seconds() + seen["n"]

    box.wiring = replace(box.wiring, monotonic=ticking)

    first = box.run(budget=1.0)
    assert first.state == "partial" and 0 < first.created < 35 and "tasks to go" in first.note
    box.sync_pass.refresh_from_db()
    assert box.sync_pass.backlog >= 35 - first.created  # those that share the page's last instant may be counted again

    box.run()

    assert len(box.tasks()) == 35


# --- plans, undo, restores ------------------------------------------------------------------------------------------------


def test_a_preview_writes_nothing_and_applying_it_makes_exactly_that(box):
    prospect, _ = box.linked()
    kept, edited = box.task(prospect, note="Kept"), box.task(prospect, note="Edited")

    plan = box.run(kind="preview")
    assert (plan.created, box.tasks()) == (2, []) and Operation.objects.filter(state="planned").count() == 2
    box.edit("tasks", edited, note="Edited since")
    applied = box.run(kind="apply", apply_of=plan.pk)

    assert (applied.created, dict(applied.excluded)) == (1, {"changed_meanwhile": 1})
    assert box.one()["Subject"] == "Task: Kept" and box.row("task", kept).state == "carried"
    assert box.run().created == 1 and len(box.tasks()) == 2  # the edited one, which nobody had carried yet


def test_a_real_pass_only_plans_until_it_is_switched_on_and_begins_then(olga):
    box = acted(is_on=False, real=True)
    prospect, _ = box.linked()
    box.clock.forward(60)
    box.task(prospect, note="Before")

    held = box.run()
    assert (held.state, held.kind, held.created, box.tasks()) == ("held", "preview", 1, [])

    preview_waive(box.sync_pass)
    pass_switch_on(box.sync_pass, olga)
    box.sync_pass.refresh_from_db()
    assert box.sync_pass.is_on and box.sync_pass.settings["activities"]["from"] == box.sync_pass.switched_on_at.isoformat()


def test_undoing_a_run_deletes_its_tasks_once_and_for_all(box, olga):
    prospect, _ = box.linked()
    touched, _ = box.task(prospect, note="Touched"), box.task(prospect, note="Plain")
    run = box.run()
    id_ = next(t["Id"] for t in box.tasks() if "Touched" in t["Subject"])
    box.clock.forward(60)
    box.world.salesforce.update_record("Task", id_, {"Description": "Mine now"})
    operations = list(undoable(run))

    lines = {line.operation.target_id: line for line in undo_plan(box.sync_pass, operations, wiring=box.wiring)}
    assert not lines[id_].is_possible and "was changed since it was made" in lines[id_].sentence
    undo(box.sync_pass, operations, olga, wiring=box.wiring)

    assert box.one()["Id"] == id_
    assert sorted(Activity.objects.values_list("state", flat=True)) == ["carried", "taken_back"]
    box.edit("tasks", 2, note="Edited later")
    again = box.run(is_full=True)
    assert again.created == 0 and dict(again.excluded) == {"taken_back": 1} and len(box.tasks()) == 1
    assert box.row("task", touched).state == "carried"


def test_an_undo_whose_answer_is_lost_is_found_done(box, olga):
    prospect, _ = box.linked()
    box.task(prospect)
    run = box.run()
    box.world.faults.add({"kind": "lost_answer", "system": "salesforce", "method": "DELETE", "path": "*", "times": 1})
    with pytest.raises(ConnectorError):
        undo(box.sync_pass, list(undoable(run)), olga, wiring=box.wiring)
    assert box.tasks() == []

    box.run()

    assert box.row("task", 1).state == "taken_back" and Operation.objects.get(kind="create").undone_at is not None


def test_d25_after_a_restore_what_was_carried_since_is_found_by_its_key(box):
    prospect, _ = box.linked()
    box.task(prospect, note="Before")
    box.run()
    task = box.one()["Id"]
    box.world.salesforce.update_record("Task", task, {"Description": "Corrected by a person"})
    # The backup knows nothing of it.
    Activity.objects.all().delete()
    Operation.objects.all().delete()
    SyncPass.objects.filter(pk=box.sync_pass.pk).update(last_run_time=box.clock() - timedelta(days=1))
    box.sync_pass.activity_feeds.update(last_run_time=box.clock() - timedelta(days=1))
    database_restored(wiring=box.wiring)

    run = box.run()

    assert (run.created, run.unchanged) == (0, 1) and box.reasons(run) == [("unchanged", "adopted")]
    assert box.one()["Description"] == "Corrected by a person"
    box.sync_pass.refresh_from_db()
    assert box.sync_pass.restored_at is None


def test_without_a_key_field_a_lost_create_is_found_among_what_we_made(box):
    connection = box.sync_pass.crm
    connection.settings = {**connection.settings, "without_external_id": ["Task"]}
    connection.save()
    prospect, _ = box.linked()
    box.task(prospect)
    path = "/services/data/{v}/composite/sobjects"
    box.world.faults.add({"kind": "lost_answer", "system": "salesforce", "method": "POST", "path": path, "times": 1})
    assert box.run().state == "interrupted"

    box.run()

    assert len(box.tasks()) == 1 and box.row("task", 1).state == "carried"


def test_nothing_is_ever_written_to_outreach(box):
    prospect, _ = box.linked()
    box.task(prospect), box.mailing(prospect), box.call(prospect), box.task(box.prospect("Other"))

    box.run(), box.run()

    assert not [name for name in box.writes() if "/api/v2" in name]
