"""Calendars as another object of Salesforce than Event, and one way only (S4.17, S4.18)."""

import pytest

from reconciliation.models import RecordType, SyncPass
from reconciliation.services.calendar_object import CalendarObject, calendar_object_choose
from reconciliation.services.duplicates import DecisionRefused
from tests.calendars import calendars
from tests.paired import wire

pytestmark = pytest.mark.django_db
MEETING = CalendarObject("Meeting__c", "Start__c", "End__c", "All_Day__c")


@pytest.fixture
def box():
    made = calendars()
    made.world.salesforce.set_switches({"meeting_object": True})
    return made


@pytest.fixture
def staff(django_user_model):
    return django_user_model.objects.create_superuser("olga")


def choose(box, chosen, staff):
    calendar_object_choose(box.parent, chosen, staff, wiring=box.wiring)
    box.parent.refresh_from_db()
    related = ("crm", "peer", "mapping", "parent", "mailbox__group")
    box.passes = {a: SyncPass.objects.select_related(*related).get(pk=p.pk) for a, p in box.passes.items()}
    box.wiring = wire(box.world, box.clock)


def meetings(box):
    return [row for row in box.world.salesforce.list_records("Meeting__c") if not row.get("IsDeleted")]


def test_s4_18_events_are_kept_as_an_object_of_the_organisations_own(box, staff):
    choose(box, MEETING, staff)
    event = box.enter("Demo")
    box.enter_days("Fair", box.at(3), 2)

    box.run()

    rows = {row["Name"]: row for row in meetings(box)}
    assert set(rows) == {"Demo", "Fair"} and box.events_there() == [], box.events()
    assert rows["Demo"]["Start__c"].startswith(f"{box.at():%Y-%m-%dT%H}") and rows["Demo"]["All_Day__c"] is False
    assert rows["Fair"]["All_Day__c"] is True
    box.rest()

    box.world.salesforce.update_record("Meeting__c", rows["Demo"]["Id"], {"Name": "Demo, renamed"})
    box.run()
    assert box.event_of(event)["subject"] == "Demo, renamed", box.events()
    box.rest()


def test_s4_18_what_an_object_lacks_is_told_and_nothing_is_saved(box, staff):
    for flawed, said in (
        (CalendarObject("Nowhere__c", "Start__c", "End__c"), "could not be looked at"),
        (CalendarObject("Meeting__c", "Begins__c", "End__c"), "no field 'Begins__c'"),
        (CalendarObject("Meeting__c", "Place__c", "End__c"), "should be a date with time"),
    ):
        with pytest.raises(DecisionRefused, match=said):
            choose(box, flawed, staff)
    assert list(RecordType.objects.filter(sync_pass=box.parent, is_on=True).values_list("crm_object", flat=True)) == ["Event"]


def test_s4_18_linked_events_are_not_made_a_second_time(box, staff):
    box.enter("Demo")
    box.run()

    with pytest.raises(DecisionRefused, match="1 calendar item is kept as Event"):
        choose(box, MEETING, staff)


def test_s4_17_a_calendar_can_be_kept_one_way(box):
    RecordType.objects.filter(sync_pass=box.parent).update(inbound_create=False, inbound_update=False)
    event = box.enter("Demo")
    box.event("Visit")
    box.run()
    assert [row["subject"] for row in box.calendar()] == ["Demo"] and len(box.events_there()) == 2

    made = next(row for row in box.events_there() if row["Subject"] == "Demo")
    box.edit_event(made["Id"], Subject="From Salesforce")
    box.run()
    assert box.event_of(event)["subject"] == "Demo", box.events()
    box.alter(event, subject="Demo, moved")
    box.run()
    assert next(row for row in box.events_there() if row["Id"] == made["Id"])["Subject"] == "Demo, moved"
    box.rest()


def test_s4_18_an_admin_names_the_object_on_the_page_of_record_types(box, staff, client, monkeypatch):
    client.force_login(staff)
    monkeypatch.setattr("reconciliation.services.calendar_object.Wiring", lambda: box.wiring)
    page = client.get("/record-types/")
    assert "Keep calendars as another object" in page.text
    given = {"name": "Meeting__c", "start": "Start__c", "end": "Ends__c", "all_day": "", "title": "", "back": "/record-types/"}

    told = client.post(f"/record-types/{box.parent.pk}/calendar/", given, follow=True)
    assert "has no field &#x27;Ends__c&#x27;" in told.text

    told = client.post(f"/record-types/{box.parent.pk}/calendar/", {**given, "end": "End__c"}, follow=True)
    assert "Calendars are kept as Meeting__c" in told.text and "Meeting__c and calendars" in told.text
