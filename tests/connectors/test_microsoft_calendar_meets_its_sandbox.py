"""The calendar of a Microsoft mailbox against the played Exchange."""

import pytest

from tests.boxes import connect_microsoft
from tests.connectors.played_calendars import PlayedCalendars, PlayedCalendarsConformance

pytestmark = pytest.mark.django_db
ANN, BOB = "ann@example.test", "bob@example.test"


class Exchange(PlayedCalendars):
    """The played Exchange, as people use it."""

    mine, theirs = ANN, BOB

    def __init__(self):
        super().__init__(connect_microsoft, "microsoft")

    def whole_days(self, start, end):
        return {"isAllDay": True, "start": f"{start}T00:00", "end": f"{end}T00:00"}

    def kill_cursors(self):
        self.system.expire_delta()


@pytest.fixture
def played():
    made = Exchange()
    yield made
    made.opened.close()


class TestMicrosoftCalendar(PlayedCalendarsConformance):
    """The list that every calendar goes through, and what only Microsoft does."""

    def test_c24_nothing_is_written_that_would_mail_the_guests(self, box, played):
        """Microsoft cannot be told not to."""
        self.refuses_what_guests_would_be_told(box, played)
