"""Tasks of mailboxes as the engine sees them: one `TaskBox` per mailbox, whatever mail system it lives in.

A task is a `Record` of object type TASK with the same flat fields in every system, so that one mapping table serves Microsoft
To Do and Google Tasks. Its id is that of the task alone, so that it stays the same task when its user drags it into another
list; LIST tells where it lies. A system has only some of the fields (`TaskBox.schema` lists those); what it lacks is not told, and
a write of it passes it over. STATUS holds the nearest that a system knows: Google has no other than NOT_STARTED and COMPLETED.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from connectors.contract import Attribute, Check, Connector, Record, Schema, Write
from connectors.mailboxes import CATEGORIES, FOREIGN_ID

TASK = "task"
SUBJECT, DUE, STATUS, IMPORTANCE, BODY, REMINDER = "subject", "due", "status", "importance", "body", "reminder"
LIST, LIST_NAME, IS_OURS, CREATED, COMPLETED_ON = "list", "listName", "isOurs", "createdAt", "completedOn"
NOT_STARTED, IN_PROGRESS, COMPLETED, WAITING, DEFERRED = "notStarted", "inProgress", "completed", "waitingOnOthers", "deferred"
STATUSES = (NOT_STARTED, IN_PROGRESS, COMPLETED, WAITING, DEFERRED)
LOW, NORMAL, HIGH = "low", "normal", "high"
IMPORTANCES = (LOW, NORMAL, HIGH)
LONGEST_BODY = 32_000
LIST_GONE = "list"  # the code of RecordGone when the list that a task was to be made in is not there any more


def _attributes() -> Iterator[Attribute]:
    yield Attribute(SUBJECT, "Subject", "text", max_length=255)
    yield Attribute(DUE, "Due", "date")
    yield Attribute(STATUS, "Status", "text", choices=STATUSES)
    yield Attribute(IMPORTANCE, "Importance", "text", choices=IMPORTANCES)
    yield Attribute(BODY, "Text", "text", max_length=LONGEST_BODY)
    yield Attribute(REMINDER, "Reminder", "datetime")
    yield Attribute(CATEGORIES, "Categories", "list")
    yield Attribute(FOREIGN_ID, "Salesforce ID", "text", max_length=255)
    told = {
        COMPLETED_ON: ("Completed on", "date"),
        LIST: ("List", "text"),
        LIST_NAME: ("Name of the list", "text"),
        IS_OURS: ("In our list", "boolean"),
        CREATED: ("Created", "datetime"),
    }
    for name, (title, type_) in told.items():
        yield Attribute(name, title, type_, is_creatable=False, is_updatable=False)


TASK_SCHEMA = Schema(TASK, {attribute.name: attribute for attribute in _attributes()})


@dataclass(frozen=True, slots=True)
class TaskList:
    """A list of tasks."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class TaskChanges:
    """One page of what happened in all lists of a mailbox since a cursor.

    `tasks`: new or changed ones, wherever they lie; FOREIGN_ID only where the listing brings it. `gone`: ids that are in no list
    any more; one that was dragged into another list is a change of that task, and never among them. The same id may come
    several times; what was said last holds.

    `is_last`: the round ends with this page. `is_whole`: the round lists everything that is there, since there was no cursor,
    a dead one, or a list was deleted: what does not appear in it is gone. `is_restart`: the cursor died in the middle of a
    round; what earlier pages of this round said counts no more.

    Who would delete something elsewhere because a task is gone reads it by its id first: lists are read one after another, and
    one that changes meanwhile may pass a task by.
    """

    tasks: tuple[Record, ...]
    gone: tuple[str, ...]
    cursor: str
    is_last: bool
    is_whole: bool
    is_restart: bool = False


class TaskBox(Connector, Protocol):
    """The tasks of one mailbox. It is a `Connector` whose object type is TASK, and what only task lists have.

    Lists that belong to somebody else, and that of flagged mails, are not looked at.

    Of `Connector`: `schema` describes the fields that this system has. `read` returns tasks by id, in whatever list, with every
    field; deleted ones are left out. `find_marked` returns those that carry one of these markers as FOREIGN_ID; nothing where
    `has_marker` is False. `write` creates in our list (`use_list`), where there is none in the user's own main list, with
    `Write.marker` as FOREIGN_ID and the category where the system has them; an update sends the fields named and no others, and
    rests on `Write.version`; a delete deletes. `settle_seconds` as in `Connector`. Sweeps and searches are not for tasks.

    `has_marker` False: nothing is stored with a task that only we see, so that `marker_field` is "". Who holds the link then is
    our own table alone, and a create in doubt is settled by `find_made`.
    """

    address: str
    has_categories: bool
    has_marker: bool

    def use_category(self, category: str) -> None:
        """Says which category shares a task; what we create bears it, where the system has categories."""
        ...

    def make_category(self, name: str) -> None:
        """Sees to it that the mailbox knows the category. Nothing where the system has none."""
        ...

    def use_list(self, list_id: str) -> None:
        """Says which list is ours from now on, "" for none yet."""
        ...

    def lists(self, name: str) -> list[TaskList]:
        """Returns the lists of exactly this name, in the order in which the system names them: no system tells when one was
        made."""
        ...

    def make_list(self, name: str) -> TaskList:
        """Makes the list, or returns the one that bears the name already, the first of several. Never makes a second one."""
        ...

    def task_changes(self, cursor: str) -> TaskChanges:
        """Returns the next page of changes behind `cursor`, "" for a round from the start."""
        ...

    def find_made(self, writes: Sequence[Write], since: datetime) -> Mapping[str, tuple[Record, ...]]:
        """Returns, by `Write.key`, what creates whose outcome is not known may have made: the tasks with their marker, and where
        the system keeps none those of all lists that were touched since, by its own clock, and bear its subject; of these only the
        ones that agree in everything else, where there are such. The one that is linked to nothing yet is the create's; several
        are for a person to choose from. A create without any may be sent again once `settle_seconds` have passed."""
        ...

    def bring_in(self, id_: str, marker: str) -> Record:
        """Marks a task of its user as shared and returns it: it gets the category and `marker` as FOREIGN_ID, and stays in its
        list; where the system has no categories, it moves into our list. Called again it changes nothing. Raises RecordGone."""
        ...

    def check_mailbox(self) -> list[Check]:
        """Tries what the product needs of these tasks and returns a line for each. Writes nothing."""
        ...


class OpensTasks(Protocol):
    """A connection that leads to the tasks of many mailboxes."""

    def tasks(self, address: str) -> TaskBox:
        """Returns the tasks of one mailbox. Costs no call; the caller closes it."""
        ...


def schema_of(names: Collection[str], longest: Mapping[str, int] | None = None) -> Schema:
    """Returns the schema of a system that has only these fields, with its own limits of their lengths."""
    limits = longest or {}
    known = [attribute for name, attribute in TASK_SCHEMA.attributes.items() if name in names]
    limited = [
        Attribute(
            a.name,
            a.title,
            a.type,
            max_length=limits.get(a.name, a.max_length),
            is_creatable=a.is_creatable,
            is_updatable=a.is_updatable,
            choices=a.choices,
        )
        for a in known
    ]
    return Schema(TASK, {attribute.name: attribute for attribute in limited})
