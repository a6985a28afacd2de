"""Whom the events of calendars are linked to (S4.23, S4.29, S4.31 to S4.33, D12)."""

import pytest

from reconciliation.models import RunEvent
from tests.boxes import on_every_mail_system
from tests.calendars import calendars

pytestmark = pytest.mark.django_db
BO, CY, DI = "bo@acme.example", "cy@acme.example", "di@other.example"


@pytest.fixture(params=["microsoft", "google"])
def box(request):
    return calendars(request.param)


def contact(box, email, **values):
    return box.contact(email.partition("@")[0].capitalize(), email, **values)


def share_activities(box):
    box.world.salesforce.set_switches({"shared_activities": True})
    crm = box.parent.crm
    crm.schema_cache = {**(crm.schema_cache or {}), "Event": {"EventWhoIds": {"type": "list"}}}
    crm.save(update_fields=["schema_cache"])


@on_every_mail_system
def test_s4_29_an_event_is_linked_to_who_attends_and_to_their_account(box):
    account = box.world.salesforce.create_record("Account", {"Name": "Acme"})["Id"]
    bo = contact(box, BO, AccountId=account)
    box.enter("Demo", attendees=[BO, DI])

    box.run()

    made = box.only()
    assert (made["WhoId"], made["WhatId"]) == (bo, account), box.events()
    assert box.item().links["unresolved"] == [DI] and any("Bo" in step for step in box.item().links["steps"])
    box.rest()


@on_every_mail_system
def test_s4_15_d12_who_is_added_in_the_mailbox_is_linked_and_who_left_is_not(box):
    share_activities(box)
    bo, cy, di = (contact(box, address) for address in (BO, CY, DI))
    event = box.enter("Demo", attendees=[BO, CY])
    box.run()
    assert sorted(box.only()["EventWhoIds"]) == sorted([bo, cy]), box.events()

    box.alter(event, attendees=[BO, DI])
    box.run()

    assert sorted(box.only()["EventWhoIds"]) == sorted([bo, di]), box.events()
    box.rest()


def test_d12_who_was_taken_out_in_salesforce_stays_invited_and_is_not_put_back(box):
    share_activities(box)
    bo, cy, di = (contact(box, address) for address in (BO, CY, DI))
    event = box.enter("Demo", attendees=[BO, CY])
    box.run()

    box.edit_event(box.only()["Id"], EventWhoIds=[bo])
    box.run()
    assert sorted(box.event_of(event)["attendees"]) == [BO, CY]
    box.alter(event, attendees=[BO, CY, DI])
    box.run()

    assert sorted(box.only()["EventWhoIds"]) == sorted([bo, di]), box.events()
    box.rest()


def test_c22_nobody_is_linked_to_a_private_event_of_which_only_the_time_goes_up(box):
    box.set(private_events="busy")
    contact(box, BO)
    box.enter("Interview", attendees=[BO], sensitivity="private")

    box.run()

    assert box.only()["WhoId"] is None and box.item().links.get("unresolved", []) == []


@on_every_mail_system
def test_s4_31_unknown_guests_become_leads_where_that_is_on(box):
    box.set(resolve_mode="leads")
    box.enter("Demo", attendees=[BO])

    box.run()

    leads = box.world.salesforce.list_records("Lead")
    assert [lead["Email"] for lead in leads] == [BO], box.events()
    assert box.only()["WhoId"] == leads[0]["Id"]
    box.rest()


def relations(box):
    rows = box.world.salesforce.list_records("EventRelation")
    return {row["RelationId"]: (row["Status"], row["IsInvitee"]) for row in rows if not row.get("IsDeleted") and not row["IsWhat"]}


def test_d12_answers_of_guests_go_up_exactly_and_never_come_down():
    box = calendars("microsoft")
    share_activities(box)
    box.set(include_internal=True)
    ann, bo = contact(box, box.theirs), contact(box, BO)
    event = box.enter("Demo", attendees=[box.theirs, BO])
    box.run()
    assert relations(box) == {ann: ("New", False), bo: ("New", False)}, box.events()

    box.alter(box.copy_of(event, box.theirs), response="accepted")
    box.run()
    assert relations(box)[ann] == ("Accepted", True) and relations(box)[bo] == ("New", False), box.events()

    relation = next(r for r in box.world.salesforce.list_records("EventRelation") if r["RelationId"] == ann)
    box.world.salesforce.update_record("EventRelation", relation["Id"], {"Status": "Declined"})
    box.run()
    assert box.event_of(event)["responses"][box.theirs] == "accepted"
    box.rest()
    box.alter(box.copy_of(event, box.theirs), response="tentativelyAccepted")
    box.run()
    box.alter(box.copy_of(event, box.theirs), response="declined")  # it leaves the guest's calendar
    box.run()
    assert relations(box)[ann] == ("Declined", True)


def test_d12_an_answer_that_salesforce_does_not_take_is_told_and_tried_again():
    box = calendars("microsoft")
    share_activities(box)
    box.set(include_internal=True)
    ann = contact(box, box.theirs)
    event = box.enter("Demo", attendees=[box.theirs])
    box.run()
    box.alter(box.copy_of(event, box.theirs), response="accepted")
    box.world.salesforce.set_switches({"read_only_fields": ["EventRelation.Status"]})
    run = box.run()
    assert relations(box)[ann][0] == "New" and run.state == "finished" and "answer of a guest" in run.note

    box.world.salesforce.set_switches({"read_only_fields": []})
    box.alter(event, subject="Demo, later")
    box.run()
    assert relations(box)[ann] == ("Accepted", True), box.events()
    box.rest()


def test_s4_33_a_guest_who_was_added_and_whose_lead_was_in_doubt_is_linked_by_the_next_run():
    box = calendars("microsoft")
    box.set(resolve_mode="leads")
    event = box.enter("Demo")
    box.run()
    path = "/services/data/{v}/composite/sobjects/Lead/Sync_Key__c"
    box.world.faults.add({"kind": "drop", "system": "salesforce", "method": "PATCH", "path": path, "times": 1})
    box.alter(event, attendees=[BO])
    box.run()  # sent, and not answered
    box.run(forward=1)  # nobody can tell yet whether it arrived
    assert RunEvent.objects.filter(reason="waits_for_link").exists() and not box.world.salesforce.list_records("Lead")
    box.run(forward=3600)

    (lead,) = box.world.salesforce.list_records("Lead")
    assert box.only()["WhoId"] == lead["Id"], box.events()
    box.rest()
