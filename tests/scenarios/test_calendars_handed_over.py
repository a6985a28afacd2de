"""Who carries an event on, or shares it anew, knows what was agreed on it last; and a colleague carries it on wherever a process died."""

import pytest

from reconciliation.engine import item_rows
from reconciliation.models import Mailbox
from reconciliation.services.mailbox_ending import mailbox_end
from tests.calendars import calendars
from tests.scenarios.test_calendars_in_trouble import meeting

pytestmark = pytest.mark.django_db


class Died(BaseException):
    """The process ends here."""


@pytest.fixture
def outlook():
    return calendars("microsoft")


def handed(box):
    """Makes a meeting that its organiser shares no more, and that his colleague may carry on. Returns its id in either calendar."""
    event, copy = meeting(box)
    box.alter(event, categories=[])
    box.run()
    return event, copy


@pytest.mark.parametrize("typed", [{"Subject": "Typed in SF"}, {"Subject": "Together", "Location": "Room 9"}])
def test_the_newest_agreement_counts_and_not_that_of_a_colleague_long_ago(outlook, typed):
    _, copy = handed(outlook)
    outlook.run(outlook.theirs, forward=60)
    outlook.alter(copy, subject="S2")
    outlook.run(outlook.theirs, forward=60)
    outlook.alter(copy, categories=[])
    outlook.run(outlook.theirs, forward=60)
    outlook.edit_event(outlook.only()["Id"], **typed)
    outlook.run(outlook.theirs, forward=60)

    outlook.alter(copy, categories=["Salesforce"])
    for _ in range(2):
        outlook.run(outlook.theirs, forward=60)

    assert outlook.only()["Subject"] == typed["Subject"], outlook.events()


def test_what_was_typed_in_salesforce_while_an_event_was_not_shared_is_no_older_than_the_calendar(outlook):
    event = outlook.enter("Demo", attendees=["bo@acme.example"])
    outlook.run()
    outlook.alter(event, categories=[])
    outlook.run()
    outlook.edit_event(outlook.only()["Id"], Subject="Typed in SF")
    outlook.run(forward=60)
    outlook.alter(event, categories=["Salesforce"])
    outlook.run(forward=60)
    outlook.alter(event, location="Room 9")
    outlook.run(forward=60)

    assert (outlook.only()["Subject"], outlook.only()["Location"]) == ("Typed in SF", "Room 9"), outlook.events()


def test_a_colleague_who_carries_on_for_a_mailbox_that_was_ended_knows_what_was_agreed(outlook):
    _, copy = meeting(outlook)
    mailbox_end(Mailbox.objects.get(address=outlook.mine), None)
    outlook.edit_event(outlook.only()["Id"], Subject="Typed in SF")
    outlook.alter(copy, showAs="free")
    for _ in range(2):
        outlook.run(outlook.theirs, forward=60)

    assert outlook.only()["Subject"] == "Typed in SF", outlook.events()


def test_what_a_colleague_edited_before_he_carries_on_goes_up(outlook):
    _, copy = handed(outlook)
    outlook.alter(copy, subject="Edited in calendar")
    for _ in range(3):
        outlook.run(outlook.theirs, forward=60)

    assert outlook.only()["Subject"] == "Edited in calendar", outlook.events()
    outlook.rest(outlook.theirs)


@pytest.mark.parametrize("where", ["keep", "hand_over"])
@pytest.mark.parametrize("values", [{"categories": []}, {"sensitivity": "private"}])
def test_a_colleague_carries_on_though_the_process_that_let_go_died(outlook, monkeypatch, values, where):
    event, _ = meeting(outlook)
    (id_,) = outlook.links()
    outlook.alter(event, **values)

    def die(*given):
        if where == "keep" or given[1]:
            raise Died

    with monkeypatch.context() as broken, pytest.raises(Died):
        broken.setattr(item_rows, where, die)
        outlook.run()
    outlook.run(forward=4000)
    for _ in range(3):
        outlook.run(outlook.theirs)
        outlook.run()

    assert list(outlook.links(outlook.theirs)) == [outlook.only()["Id"]] and not outlook.links()
    assert (outlook.only()["Id"] == id_) == ("categories" in values)  # what turned private was deleted, and is made anew
    outlook.rest(outlook.mine, outlook.theirs)
