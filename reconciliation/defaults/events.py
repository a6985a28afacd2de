"""The shipped mapping of Salesforce events and events of a calendar, both ways. The calendar's fields are the same in every mail
system (`connectors.calendars`), and when an event takes place is one value on both sides (`connectors.when`)."""

from __future__ import annotations

from connectors import calendars as words
from reconciliation.core.transforms import VALUE_MAP
from reconciliation.defaults.rows import StandardPass, StandardRow, StandardType

EVENTS_PASS = "events"
WHEN, REMINDER = "When", "ReminderMinutes"  # fields of ours of Salesforce events (`connectors.salesforce.events`)
INTERVAL_SECONDS = 1800  # S4.7
# The first pair of a value is the one it is written as.
SHOW_AS = (
    ("Busy", words.BUSY),
    ("Free", words.FREE),
    ("OutOfOffice", words.OUT),
    ("Busy", words.TENTATIVE),
    ("Busy", words.ELSEWHERE),
)

ROWS: tuple[StandardRow, ...] = (
    StandardRow("Subject", "subject", has_blanks=True),
    StandardRow("Location", "location", has_blanks=True),
    StandardRow(WHEN, words.WHEN),
    StandardRow("Description", words.BODY, has_blanks=True),
    StandardRow("ShowAs", words.SHOW_AS, transform=VALUE_MAP, pairs=SHOW_AS),
    StandardRow(REMINDER, words.REMINDER, is_enabled=False),  # a reminder is everybody's own
)

EVENTS = StandardPass(
    EVENTS_PASS,
    "Calendar",
    (StandardType("Event", words.EVENT, "Events and calendars", ROWS, outbound_create=True),),
    is_on_in_sandbox=False,  # off until somebody switches it on
    interval_seconds=INTERVAL_SECONDS,
)
