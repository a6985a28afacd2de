"""Seed 000 in its own words, through the real pass against the sandbox."""

import pytest

from tests.sandboxed import DUPLICATE, ERROR, PEER_ID, PEER_URL, make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def test_s0_3_s0_27_s0_28_a_new_organisation_becomes_an_account_and_gets_id_and_url_back():
    box = make()
    id_ = box.organisation("Northwind Pumps", website="https://www.northwind.example/x", organisation_num_employees=12)

    run = box.run()

    account = box.accounts("Northwind Pumps")[0]
    assert (run.state, run.seen, run.created, run.failed) == ("finished", 1, 1, 0), run.note
    assert account["domain"] == "northwind.example"
    assert account["numberOfEmployees"] == 12
    assert account["customId"] == f"wb-3-{id_}"
    assert box.show(id_)[PEER_ID] == str(account["id"])
    assert box.show(id_)[PEER_URL] == f"http://127.0.0.1:8900/browse/outreach/accounts/{account['id']}"


def test_a_second_pass_reads_the_echo_and_writes_nothing():
    box = make()
    box.organisation("Northwind Pumps")
    box.run()
    box.calls()

    run = box.run(forward=10)

    assert (run.seen, run.unchanged) == (1, 1)
    assert box.calls() == {"GET /crm/organisations.api": 1}


def test_a_quiet_pass_is_one_read_and_no_call_to_outreach():
    box = make()
    box.organisation("Northwind Pumps")
    box.run()
    box.run()
    box.calls()

    run = box.run(forward=400)
    run = box.run(forward=400)

    assert run.seen == 0
    assert box.calls() == {"GET /crm/organisations.api": 2}


def test_s0_16_s0_17_a_name_that_outreach_knows_flags_a_duplicate_and_creates_nothing():
    box = make()
    there = box.world.outreach.create_record("accounts", {"name": "Northwind Pumps"})
    id_ = box.organisation("Northwind Pumps")

    run = box.run()

    assert (run.duplicates, run.created) == (1, 0)
    assert box.show(id_)[DUPLICATE] is True
    assert box.show(id_)[PEER_ID] == ""
    assert [a["id"] for a in box.accounts()] == [there["id"]]
    assert box.accounts()[0]["updatedAt"] == there["updatedAt"]


def test_two_new_organisations_with_one_name_make_one_account_and_one_duplicate():
    box = make()
    first, second = box.organisation("Twin Foods"), box.organisation("twin  foods")

    run = box.run()

    assert (run.created, run.duplicates) == (1, 1)
    assert len(box.accounts()) == 1
    assert box.show(second)[DUPLICATE] is True and box.show(first)[DUPLICATE] is False


def test_s0_29_an_update_sends_only_the_changed_fields():
    box = make()
    id_ = box.organisation("Northwind Pumps", industry="Food")
    box.run()
    account = box.accounts()[0]
    box.world.outreach.update_record("accounts", account["id"], {"locality": "typed by a colleague"})
    box.clock.forward(30)
    box.edit(id_, industry="Health")

    run = box.run()

    assert run.updated == 1
    assert box.accounts()[0]["industry"] == "Health"
    assert box.accounts()[0]["locality"] == "typed by a colleague"


def test_s0_24_s0_25_the_owner_is_the_user_with_exactly_that_username_else_blank():
    box = make()
    box.organisation("Exact", assigned_to_name="Priya_Nair")
    box.organisation("By case", assigned_to_name="priya_nair")

    run = box.run()

    assert run.created == 2
    assert box.accounts("Exact")[0]["owner"] == 1
    assert box.accounts("By case")[0]["owner"] is None


def test_s0_21_s0_22_a_refused_organisation_gets_the_error_flag_and_is_left_out_until_reset():
    box = make()
    id_ = box.organisation("Bad employees")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})

    run = box.run()
    assert (run.failed, box.show(id_)[ERROR]) == (1, True)
    assert box.run().seen == 0
    box.edit(id_, **{ERROR: False})
    again = box.run()

    assert (again.created, box.show(id_)[ERROR]) == (1, False)


def test_s0_19_employed_people_hang_on_the_right_account():
    box = make()
    other = box.world.outreach.create_record("accounts", {"name": "Old employer"})
    prospect = box.world.outreach.create_record("prospects", {"firstName": "Ada", "emails": ["ada@x.example"], "account": other["id"]})
    id_ = box.organisation("Northwind Pumps")
    person = {"name": "Ada Byrne", "employer_link": id_, "main_location[email]": "ADA@x.example", "cf_person_sync_to_outreach": True}
    box.world.workbooks.create_record("people", person)

    run = box.run()

    account = box.accounts("Northwind Pumps")[0]
    assert run.related["prospects_moved"] == 1
    assert box.world.outreach.get_record("prospects", prospect["id"])["account"] == account["id"]


def test_an_unanswered_create_is_adopted_and_never_made_twice():
    box = make()
    id_ = box.organisation("Northwind Pumps")
    box.world.faults.add({"kind": "lost_answer", "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})

    first = box.run()
    second = box.run()

    assert (first.state, first.held) == ("interrupted", 1)
    assert second.state == "finished"
    assert len(box.accounts()) == 1
    assert box.show(id_)[PEER_ID] == str(box.accounts()[0]["id"])
    assert box.show(id_)[DUPLICATE] is False


def test_s0_1_and_s0_2_the_schedule_is_made_once_however_often_the_app_is_set_up():
    from django.core.management import call_command
    from django_q.models import Schedule

    call_command("migrate", verbosity=0)
    call_command("migrate", verbosity=0)

    schedule = Schedule.objects.get(name="Outreach Send/Receive")
    assert (schedule.minutes, schedule.func) == (1, "reconciliation.jobs.tick")


def test_s0_4_the_default_interval_is_one_minute():
    assert make().sync_pass.interval_seconds == 60


def test_s0_6_what_one_pass_cannot_handle_later_passes_catch_up_with():
    box = make()
    for n in range(250):
        box.organisation(f"Company {n}")

    runs = [box.run(budget=0) for _ in range(3)]

    assert [r.state for r in runs] == ["partial", "partial", "finished"]
    assert [r.created for r in runs] == [100, 100, 50]
    assert "with 150 to go" in runs[0].note and "with 50 to go" in runs[1].note  # the delay is visible
    box.sync_pass.refresh_from_db()
    assert box.sync_pass.backlog == 0
    assert len({a["customId"] for a in box.accounts()}) == 250


def test_s0_7_a_due_pass_waits_while_another_process_has_the_channel():
    from django.utils import timezone

    from reconciliation import jobs
    from reconciliation.engine import lease

    box = make()
    held = lease.take(f"channel:{box.sync_pass.crm_id}:0", "another process")
    box.sync_pass.next_due_at = timezone.now()
    box.sync_pass.save()

    assert jobs.tick("organisations") == "waits for a process channel"

    held.release()


def test_s0_8_more_channels_let_different_passes_run_side_by_side(settings):
    from reconciliation import jobs
    from reconciliation.engine import lease

    settings.PROCESS_CHANNELS = 2
    box = make()
    first = lease.take(f"channel:{box.sync_pass.crm_id}:0", "another process")

    second = jobs._take_channel(box.sync_pass)

    assert second is not None and second.name.endswith(":1")
    assert jobs._take_channel(box.sync_pass) is None
    first.release()
    second.release()


def test_s0_5_one_pass_takes_what_was_created_and_what_was_updated_since_the_last():
    box = make()
    id_ = box.organisation("Known")
    box.run()
    box.clock.forward(300)
    box.run()
    box.edit(id_, industry="Food")
    box.organisation("New")

    run = box.run()

    assert (run.seen, run.created, run.updated) == (2, 1, 1)


def one_that_would_sync(**values):
    """Returns the sandbox and whether a new organisation with these values is seen by the pass."""
    box = make()
    id_ = box.organisation("Subject")
    box.edit(id_, **values)
    return box.run().seen == 1


def test_s0_9_sync_to_outreach_must_be_true():
    assert one_that_would_sync(cf_organisation_sync_to_outreach=True)
    assert not one_that_would_sync(cf_organisation_sync_to_outreach=False)


def test_s0_10_outreach_sync_error_must_be_false():
    assert one_that_would_sync(**{ERROR: False})
    assert not one_that_would_sync(**{ERROR: True})


def test_s0_11_outreach_duplicate_must_be_false():
    assert one_that_would_sync(**{DUPLICATE: False})
    assert not one_that_would_sync(**{DUPLICATE: True})


@pytest.mark.parametrize("blank", ["", None])
def test_s0_12_null_and_empty_text_are_both_a_blank_id(blank):
    box = make()
    id_ = box.organisation("Subject", **{PEER_ID: blank})
    box.edit(id_, updated_at=str(int(box.clock.seconds()) - 86_400))

    assert box.run().created == 1


def test_s0_18_a_duplicate_is_left_out_even_when_edited_until_it_is_resolved():
    box = make()
    there = box.world.outreach.create_record("accounts", {"name": "Northwind Pumps"})
    id_ = box.organisation("Northwind Pumps")
    box.run()
    box.edit(id_, industry="Food")

    assert box.run().seen == 0
    box.world.outreach.update_record("accounts", there["id"], {"name": "Renamed"})
    box.edit(id_, **{DUPLICATE: False})

    assert box.run().created == 1


@pytest.mark.parametrize("n", range(32))
def test_s0_14_all_32_combinations_of_the_condition_table(n):
    box = make()
    sync, error, duplicate, has_id, is_old = (bool(n & bit) for bit in (1, 2, 4, 8, 16))
    values = {ERROR: error, DUPLICATE: duplicate}
    if has_id:
        values[PEER_ID] = str(box.world.outreach.create_record("accounts", {"name": "Linked"})["id"])
    id_ = box.organisation("Subject", **values)
    if not sync:
        box.edit(id_, cf_organisation_sync_to_outreach=False)
    age = 3600 if is_old else 0
    at = int(box.clock.seconds()) - age
    box.edit(id_, updated_at=str(at))

    run = box.run()

    assert run.seen == (1 if sync and not error and not duplicate and (not has_id or not is_old) else 0)


@pytest.mark.parametrize(("seconds", "seen"), [(-1, 0), (0, 1), (1, 1)])
def test_s0_13_updated_at_exactly_last_run_time_is_selected(seconds, seen):
    box = make()
    account = box.world.outreach.create_record("accounts", {"name": "Linked"})
    id_ = box.organisation("Subject", **{PEER_ID: str(account["id"])})
    box.edit(id_, updated_at=str(int(box.clock.seconds()) + seconds))

    assert box.run().seen == seen


def test_s0_15_a_custom_mapping_is_sent_with_the_standard_ones():
    from reconciliation.services.mappings import RowChange, mapping_save

    box = make()
    mapping_save(box.sync_pass, {}, RowChange("organisation_company_number", "custom7"))
    box.organisation("Northwind Pumps", organisation_company_number="C-77", industry="Food")

    box.run()

    account = box.accounts()[0]
    assert (account["custom7"], account["industry"]) == ("C-77", "Food")


def test_s0_20_people_with_other_relationships_are_not_touched():
    box = make()
    other = box.world.outreach.create_record("accounts", {"name": "Other"})
    prospect = box.world.outreach.create_record("prospects", {"firstName": "Ben", "emails": ["ben@x.example"], "account": other["id"]})
    elsewhere = box.organisation("Elsewhere", cf_organisation_outreach_sync_error=True)
    box.organisation("Northwind Pumps")
    person = {"name": "Ben", "employer_link": elsewhere, "main_location[email]": "ben@x.example", "cf_person_sync_to_outreach": True}
    box.world.workbooks.create_record("people", person)

    box.run()

    assert box.world.outreach.get_record("prospects", prospect["id"])["account"] == other["id"]


def test_s0_23_an_error_holds_record_time_request_response_and_reason_without_secrets():
    from reconciliation.models import Case

    box = make()
    box.organisation("Refused")
    box.world.faults.add({"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1})

    box.run()

    case = Case.objects.get()
    assert "A fault asked for 422." in case.sentence
    assert case.exchange["method"] == "POST" and "Refused" in case.exchange["request"] and case.exchange["status"] == 422
    assert box.world.outreach.desk.offered() not in str(case.exchange)


def test_s0_26_records_synced_without_owner_can_be_listed():
    from reconciliation.selectors import without_owner

    box = make()
    box.organisation("By case", assigned_to_name="priya_nair")
    box.organisation("Exact", assigned_to_name="Priya_Nair")
    box.run()

    assert [(b.name, b.owner_text) for b in without_owner()] == [("By case", "priya_nair")]


def test_s0_30_no_name_search_for_an_organisation_that_has_an_id():
    box = make()
    account = box.world.outreach.create_record("accounts", {"name": "Same name"})
    box.world.outreach.create_record("accounts", {"name": "Same name"})
    box.organisation("Same name", **{PEER_ID: str(account["id"])})

    run = box.run()

    assert (run.duplicates, run.failed) == (0, 0)
    assert not any("filter%5Bname" in c["query"] for c in box.world.calls)


@pytest.mark.parametrize(
    "value",
    [
        "<script>alert(1)</script>",
        "a\0b",
        "lone \ud800 surrogate",
        "\u202eright to left",
        "=cmd|' /C calc'!A0",
        "a, b..c \\ ' \" &",
        "x" * 255,
    ],
)
def test_a_hostile_name_stops_no_pass(value):
    box = make()
    box.organisation("Fine")
    table = box.world.workbooks.tables["organisations"]
    made = table.rows[box.organisation("To be hostile")]
    table.put({**made, "name": value, "industry": value})

    run = box.run()

    assert run.state == "finished", run.note
    assert run.seen == 2 and run.created + run.failed == 2
    assert box.accounts("Fine")
    assert box.run().state == "finished"


def test_an_hour_of_401_and_503_flags_nobody():
    box = make()
    id_ = box.organisation("Patient")
    box.world.faults.add({"kind": "status", "status": 503, "system": "outreach"})
    for _ in range(30):
        assert box.run(forward=60).state == "interrupted"
    box.world.faults.clear()
    box.world.faults.add({"kind": "status", "status": 401, "system": "outreach"})
    for _ in range(30):
        assert box.run(forward=60).state == "interrupted"
    box.world.faults.clear()

    run = box.run(forward=60)

    assert box.show(id_)[ERROR] is False
    assert (run.state, run.created) == ("finished", 1)
