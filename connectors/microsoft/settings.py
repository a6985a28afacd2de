"""What differs from one Microsoft 365 to another, and what its documentation leaves open. All of it has a default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.errors import NeedsAttention
from connectors.options import settings_among

SYSTEM = "microsoft"
PARTS_A_CALL = 20  # of a $batch
RANGES = {  # what may be set, from and to
    "page_size": (1, 1000),
    "users_a_page": (1, 999),
    "events_a_page": (1, 1000),
    "mails_a_page": (1, 1000),
    "mail_overlap_seconds": (0, 86_400),
    "tasks_a_page": (1, 1000),
    "concurrency": (1, 4),
    "global_concurrency": (1, 1000),
    "remembered": (0, 100_000),
    "move_tries": (1, 20),
    "subscription_minutes": (45, 10_080),
}
_COLOUR = re.compile(r"none|preset(\d|1\d|2[0-4])")


@dataclass(frozen=True, slots=True)
class MicrosoftSettings:
    """One connection's terms. Sizes count records."""

    page_size: int = 600  # contacts on a page of changes: as many as a run decides at a time
    users_a_page: int = 999
    events_a_page: int = 500
    tasks_a_page: int = 100
    task_application: str = "Salesforce Tasks"  # in whose name our id is linked to a task: ours for ever, mailboxes hold it
    todo_honours_if_match: bool = False  # To Do refuses a change that rests on another version (unconfirmed): no look before it
    mails_a_page: int = 200  # with their headers; a page that is larger than what is read is asked for in smaller ones
    mail_overlap_seconds: int = 120  # so far back marks are looked for anew: a search may see them late
    expands_rounds: bool = True  # lists of changed mails bring extended properties; False: those mails are read by themselves
    concurrency: int = 4  # requests of one mailbox at once; a $batch takes as many as it has parts
    global_concurrency: int = 16  # the same of the app over all its mailboxes, in one process: its limit is disputed
    remembered: int = 2000  # contacts whose lists are kept in mind between reading and writing them
    move_tries: int = 5  # Exchange rewrites a change key of its own accord some seconds after a create
    subscription_minutes: int = 4_230  # that a calendar is watched without being renewed: older pages allow no more
    category_colour: str = "preset7"  # of a category we make: blue
    resource: str = ""  # what tokens are asked for, where it is not the address of the API: national clouds

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise NeedsAttention(f"takes {name.replace('_', ' ')} from {least} to {most}", system=SYSTEM)
        if not self.task_application:
            raise NeedsAttention("needs a name in which our id is linked to tasks", system=SYSTEM)
        if not _COLOUR.fullmatch(self.category_colour):
            raise NeedsAttention(f"knows no colour {self.category_colour[:20]!r}; take preset0 to preset24", system=SYSTEM)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> MicrosoftSettings:
        """Returns the settings that are among a connection's own; others are somebody else's. Raises NeedsAttention for a
        value that cannot be."""
        return settings_among(cls, given, SYSTEM)
