"""The shipped mapping of Salesforce tasks and tasks of a mailbox, both ways. The mailbox's fields are the same in every mail system
(`connectors.tasks`); what one of them lacks is passed over there."""

from __future__ import annotations

from connectors import tasks as words
from reconciliation.core.transforms import VALUE_MAP
from reconciliation.defaults.rows import StandardPass, StandardRow, StandardType

TASKS_PASS = "tasks"
REMINDER = "Reminder"  # of tasks of Salesforce: one instant for its two fields of a reminder (`connectors.salesforce.tasks`)
INTERVAL_SECONDS = 1800  # S4.7
# The first pair of a value is the one it is written as.
STATUS = (
    ("Not Started", words.NOT_STARTED),
    ("In Progress", words.IN_PROGRESS),
    ("Completed", words.COMPLETED),
    ("Waiting on someone else", words.WAITING),
    ("Deferred", words.DEFERRED),
)
PRIORITY = (("Normal", words.NORMAL), ("High", words.HIGH), ("Low", words.LOW))

ROWS: tuple[StandardRow, ...] = (
    StandardRow("Subject", words.SUBJECT, has_blanks=True),
    StandardRow("ActivityDate", words.DUE, has_blanks=True),
    StandardRow("Status", words.STATUS, transform=VALUE_MAP, pairs=STATUS),
    StandardRow("Priority", words.IMPORTANCE, transform=VALUE_MAP, pairs=PRIORITY),
    StandardRow("Description", words.BODY, has_blanks=True),
    StandardRow(REMINDER, words.REMINDER, is_enabled=False),  # a reminder is everybody's own
)

TASKS = StandardPass(
    TASKS_PASS,
    "Tasks",
    (StandardType("Task", words.TASK, "Tasks", ROWS, outbound_create=True),),
    is_on_in_sandbox=False,  # off until somebody switches it on
    interval_seconds=INTERVAL_SECONDS,
)
