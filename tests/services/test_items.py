"""What people do with single events of calendars: share, take back, send an update, choose links (S4.28, D12, D13, D31)."""

import pytest

from connectors.errors import ConnectorError
from reconciliation.engine.staff import Refusal
from reconciliation.models import AuditEntry, Mailbox, MailboxItem
from reconciliation.services.items import item_link, item_send_update, item_share, item_withdraw
from reconciliation.services.mailboxes import MailboxRefused
from tests.calendars import calendars

pytestmark = pytest.mark.django_db
BO = "bo@acme.example"


@pytest.fixture
def box():
    return calendars()


@pytest.fixture
def staff(django_user_model):
    return django_user_model.objects.create_superuser("olga")


def mailbox(box):
    return Mailbox.objects.get(address=box.mine)


def remote(box, event):
    return box.event_of(event)["immutableId"] if box.system == "microsoft" else box.event_of(event)["eventId"]


@pytest.mark.parametrize("system", ["microsoft", "google"])
def test_s4_28_an_event_that_a_person_shares_is_in_salesforce_at_once_and_made_once(system, staff):
    box = calendars(system)
    box.set(share_events=False)
    event = box.enter("Demo", categories=[])
    box.run()
    assert box.events_there() == []

    done = item_share(mailbox(box), remote(box, event), staff, wiring=box.wiring)

    assert box.only()["Subject"] == "Demo" and done.run_id
    box.run()
    box.rest()
    assert len(box.events_there()) == 1 and box.item().why == "person"
    assert AuditEntry.objects.filter(action="share item").exists()


def test_what_cannot_be_shared_says_why(box, staff):
    event = box.enter("Doctor", categories=[], sensitivity="private")

    with pytest.raises(Refusal, match="private"):
        item_share(mailbox(box), remote(box, event), staff, wiring=box.wiring)
    with pytest.raises(Refusal, match="not in the mailbox any more"):
        item_share(mailbox(box), "AAMkgone", staff, wiring=box.wiring)
    assert box.events_there() == [] and not MailboxItem.objects.exists()  # what was never shared stands in no list


def test_s4_2_sharing_does_nothing_and_says_so_while_sync_is_paused(box, staff):
    event = box.enter("Demo", categories=[])
    Mailbox.objects.filter(address=box.mine).update(state=Mailbox.State.PAUSED)

    with pytest.raises(MailboxRefused, match="paused"):
        item_share(mailbox(box), remote(box, event), staff, wiring=box.wiring)
    assert box.events_there() == []


def test_d12_send_update_writes_into_the_calendar_and_mails_the_guests(box, staff):
    event = box.enter("Demo", attendees=[BO])
    box.run()
    box.edit_event(box.only()["Id"], Subject="Typed in Salesforce")
    box.run()
    before = len(box.mails())
    assert box.item().held == ["subject"]

    item_send_update(box.item(), staff, wiring=box.wiring)

    assert box.event_of(event)["subject"] == "Typed in Salesforce"
    assert box.mails()[before:] == [("update", [BO])] and box.item().held == [] and box.item().mails_asked_at is None
    box.rest()
    box.edit_event(box.only()["Id"], Subject="And again")
    box.run()
    assert box.event_of(event)["subject"] == "Typed in Salesforce" and len(box.mails()) == before + 1  # asked for once


def test_d12_where_both_sides_agree_by_now_nobody_is_mailed_and_that_is_said(box, staff):
    event = box.enter("Demo", attendees=[BO])
    box.run()
    box.edit_event(box.only()["Id"], Subject="Typed in Salesforce")
    box.run()
    box.alter(event, subject="Typed in Salesforce")
    before = len(box.mails())

    with pytest.raises(Refusal, match="Nobody was mailed"):
        item_send_update(box.item(), staff, wiring=box.wiring)

    assert len(box.mails()) == before and box.item().mails_asked_at is None


def test_an_event_that_is_taken_back_says_so_though_its_category_cannot_be_taken_off(box, staff):
    event = box.enter("Demo")
    box.run()
    path = "/v1.0/users/{id}/events/{id}"
    box.world.faults.add({"system": "microsoft", "kind": "status", "status": 412, "method": "PATCH", "path": path, "times": 9})

    done = item_withdraw(box.item(), staff, wiring=box.wiring)

    assert box.events_there() == [] and "Its category was left on it" in done.sentence
    assert box.event_of(event)["categories"] == ["Salesforce"] and box.item().state == "ended"
    box.world.faults.clear()
    box.rest()
    assert box.events_there() == []


def test_an_event_that_somebody_deleted_meanwhile_is_taken_back_all_the_same(box, staff):
    event = box.enter("Demo")
    box.run()
    box.world.faults.add({"system": "salesforce", "kind": "status", "status": 404, "method": "DELETE", "times": 1})
    box.delete_event(box.only()["Id"])

    done = item_withdraw(box.item(), staff, wiring=box.wiring)

    assert "not in Salesforce any more" in done.sentence and box.event_of(event)["categories"] == [] and box.links() == {}


def test_an_event_that_is_taken_back_is_not_in_salesforce_and_not_shared_again(box, staff):
    box.set(share_events=True)
    event = box.enter("Demo", categories=[])
    box.run()
    assert box.event_of(event)["categories"] == ["Salesforce"]

    item_withdraw(box.item(), staff, wiring=box.wiring)

    assert box.events_there() == [] and box.event_of(event)["categories"] == [] and box.links() == {}
    box.rest()
    box.alter(event, subject="Edited")
    box.run()
    assert box.events_there() == [], box.events()
    box.alter(event, categories=["Salesforce"])
    box.run()
    assert len(box.events_there()) == 1


def test_an_event_can_be_taken_back_while_sync_is_paused(box, staff):
    event = box.enter("Demo")
    box.run()
    Mailbox.objects.filter(address=box.mine).update(state=Mailbox.State.PAUSED)

    item_withdraw(box.item(), staff, wiring=box.wiring)

    assert box.events_there() == [] and box.event_of(event)["categories"] == []
    with pytest.raises(MailboxRefused, match="paused"):
        item_share(mailbox(box), remote(box, event), staff, wiring=box.wiring)


def test_c26_an_event_that_is_taken_back_goes_on_in_a_colleagues_mailbox(box, staff):
    event = box.enter("Together", attendees=[box.theirs])
    box.alter(box.copy_of(event, box.theirs), categories=["Salesforce"])
    box.run()
    box.run(box.theirs)

    item_withdraw(box.item(), staff, wiring=box.wiring)
    box.run(box.theirs)

    assert len(box.events_there()) == 1 and len(box.links(box.theirs)) == 1 and box.links() == {}


def test_links_that_a_person_chose_stay(box, staff):
    other = box.contact("Other", "other@acme.example")
    box.contact("Bo", BO)
    event = box.enter("Demo", attendees=[BO])
    box.run()
    assert box.only()["WhoId"] != other

    item_link(box.item(), staff, who=other, what=None, wiring=box.wiring)

    assert box.only()["WhoId"] == other
    box.alter(event, attendees=[BO, "cy@acme.example"])
    box.run()
    assert box.only()["WhoId"] == other, box.events()
    box.rest()


def test_a_stranger_may_do_nothing(box, django_user_model):
    event = box.enter("Demo")
    box.run()
    stranger = django_user_model.objects.create_user("eve")

    for act in (
        lambda: item_share(mailbox(box), remote(box, event), stranger, wiring=box.wiring),
        lambda: item_withdraw(box.item(), stranger, wiring=box.wiring),
        lambda: item_link(box.item(), stranger, who="", what="", wiring=box.wiring),
    ):
        with pytest.raises(MailboxRefused):
            act()
    assert len(box.events_there()) == 1


def test_a_lost_answer_is_told_and_nothing_is_made_twice(box, staff):
    event = box.enter("Demo", categories=[])
    box.world.faults.add({"system": "salesforce", "kind": "lost_answer", "method": "PATCH", "times": 1})

    with pytest.raises((ConnectorError, Refusal)):
        item_share(mailbox(box), remote(box, event), staff, wiring=box.wiring)

    box.world.faults.clear()
    box.run(forward=4000)
    box.run()
    assert len(box.events_there()) == 1 and len(box.links()) == 1, box.events()
    box.rest()
