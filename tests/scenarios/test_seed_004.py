"""Seed 004, line by line where a line spans passes: what no single pass says of itself. Run over every mail system where one could
differ from another."""

from datetime import timedelta

import pytest

from reconciliation.apps import SCHEDULES
from reconciliation.core.mailbox_settings import SETTINGS
from reconciliation.models import FieldRule, Mailbox, MailboxItem, MappingTable, Operation, SyncPass
from reconciliation.models.sync_pass import MAILBOX_PASSES
from reconciliation.services.mailbox_settings import rules_save
from reconciliation.services.set_up import pair_up
from tests.boxes import CONNECT, connect_salesforce
from tests.calendars import calendars
from tests.to_dos import to_dos

pytestmark = pytest.mark.django_db
SYSTEMS = ("microsoft", "google", "exchange")


@pytest.fixture(params=SYSTEMS)
def box(request):
    return calendars(request.param)


@pytest.fixture
def staff(django_user_model):
    return django_user_model.objects.create_superuser("olga")


@pytest.mark.parametrize("system", SYSTEMS)
def test_s4_3_s4_4_s4_7_every_pass_over_mailboxes_is_there_and_runs_every_half_hour_by_itself(system):
    from connectors.sandbox.world import World
    from tests.sandboxed import Clock

    world = World(scenario="empty", now=Clock())
    connect_salesforce(world), CONNECT[system](world)

    made = {row.name: row for row in pair_up() if row.name in MAILBOX_PASSES}

    assert set(made) == set(MAILBOX_PASSES)
    assert {row.interval_seconds for row in made.values()} == {1800} and not any(row.is_on for row in made.values())
    ticked = {arguments[0] for _, function, arguments, minutes in SCHEDULES if function == "reconciliation.jobs.tick" and minutes == 1}
    assert set(MAILBOX_PASSES) <= ticked


def test_s4_11_d11_a_calendar_that_refuses_us_six_times_suspends_the_mailbox_with_the_reason():
    box = calendars("microsoft")
    box.enter("Demo")
    box.run()
    box.mail.update_record("user", box.mail.find_id("user", box.mine), {"state": "denied"})

    for _ in range(6):
        assert box.run().state == "interrupted"

    row = Mailbox.objects.get(address=box.mine)
    assert (row.state, row.failed_runs) == ("suspended", 6) and box.mine in row.state_reason
    assert len(box.events_there()) == 1


def test_s4_13_the_mapping_tables_of_events_and_tasks_are_staffs_to_edit(box):
    table = MappingTable.objects.get(crm_object="Event")
    assert dict(table.rules.filter(is_enabled=True).values_list("crm_field", "peer_field"))["Location"] == "location"
    FieldRule.objects.filter(table=table, peer_field="location").update(is_enabled=False)

    event = box.enter("Demo", location="Room 2")
    box.run()

    assert box.only()["Subject"] == "Demo" and box.only()["Location"] is None
    box.alter(event, location="Room 3")
    box.rest()


@pytest.mark.parametrize("system", SYSTEMS)
def test_s4_13_the_mapping_table_of_tasks_is_staffs_to_edit(system):
    box = to_dos(system)
    FieldRule.objects.filter(table__crm_object="Task", peer_field="body").update(direction="to_crm")
    task = box.note("Call Bo", body="From the mailbox")
    box.run()
    box.edit_task(box.only()["Id"], Description="From Salesforce", Subject="Call Bo today")
    box.run()

    shown = box.task_of(task)
    assert shown["title"] == "Call Bo today" and shown["body"].strip() == "From the mailbox", box.events()


def test_s4_22_s4_23_what_a_run_makes_is_linked_and_says_so(box):
    account = box.world.salesforce.create_record("Account", {"Name": "Acme"})["Id"]
    bo = box.contact("Bo", "bo@acme.example", AccountId=account)
    box.enter("Demo", attendees=["bo@acme.example"])

    box.run()

    made, row = box.only(), MailboxItem.objects.get(sync_pass=box.passes[box.mine])
    assert (made["WhoId"], made["WhatId"]) == (bo, account)
    assert (row.links["who"], row.links["what"]) == (bo, account) and row.links["steps"]


def test_s4_25_customization_that_is_reset_or_applied_again_touches_no_item(box, staff):
    kept = box.enter("Kept")
    box.event("From Salesforce")
    box.run()
    before = (box.links(), [row["Id"] for row in box.events_there()], Operation.objects.count())
    said = {name: rule["value"] for name, rule in (box.parent.settings.get("mailbox_settings") or {}).items()}

    rules_save(SyncPass.objects.get(pk=box.parent.pk), {}, staff)
    box.parent.refresh_from_db()
    box.set(**said)
    box.rest()

    assert (box.links(), [row["Id"] for row in box.events_there()], Operation.objects.count()) == before
    box.alter(kept, subject="Still in agreement")
    box.run()
    assert "Still in agreement" in {row["Subject"] for row in box.events_there()}


def test_s4_26_s4_27_what_is_marked_waits_for_the_pass_and_is_there_within_one_interval(box):
    box.run()
    box.enter("Marked")
    assert box.events_there() == []  # only the pass shares by category
    at = box.clock()

    box.run(forward=1800)

    assert box.only()["Subject"] == "Marked" and box.clock() - at <= timedelta(minutes=31)


def test_s4_38_the_two_advanced_modes_go_by_their_names_and_are_off():
    named = {name: s for s in SETTINGS.values() for name in (s.title.partition("(")[2].rstrip(")"),) if name.startswith("Salesforce")}

    assert set(named) == {"SalesforceSmartCreateUnresolvedObjects", "SalesforceEmailCreateAllUnresolvedRecipients"}
    assert not any(setting.shipped for setting in named.values())
