"""What differs from one Google connection to another, and what the documentation leaves open. All of it has a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.errors import NeedsAttention
from connectors.http import LONGEST_PAUSE
from connectors.options import settings_among

SYSTEM = "google"
LONGEST = {  # what one call may take
    "page_size": 1000,
    "read_size": 200,
    "write_size": 200,
    "delete_size": 500,
    "events_a_page": 2500,
    "tasks_a_page": 100,
    "mails_a_page": 500,
}


@dataclass(frozen=True, slots=True)
class GoogleSettings:
    """One connection's terms. Sizes count contacts of one call, waits seconds."""

    page_size: int = 1000
    read_size: int = 200
    write_size: int = 200
    delete_size: int = 500
    remembered: int = 2000  # contacts of one mailbox, as they were read last: an update replaces whole lists
    client_data_key: str = "salesforce.contact"  # the entry that holds our id; nobody sees it (reference 4.6)
    events_a_page: int = 2500
    reads_in_batches: bool = True  # several reads go in one call; where the batch pages are is told differently (unconfirmed)
    tasks_a_page: int = 100
    tasks_overlap: int = 60  # seconds before the last look at tasks from which on the next one asks again
    tasks_honour_if_match: bool = False  # a change of a task that rests on another version is refused (unconfirmed): no look before it
    mails_a_page: int = 100  # each is read by itself, and the quota lets 300 a minute be read
    pause: float = 1.0  # between two calls of a mailbox: its quota is said to be 90 a minute (unconfirmed)
    busy_wait: float = 60.0  # refused for its quota without a Retry-After
    quota_wait: float = 900.0  # the same of a quota that counts days
    stale_wait: float = 1.0  # before the one repetition of a write whose version nobody changed
    lists_directory: bool = True  # people:listDirectoryPeople answers as we think (unconfirmed)
    directory_user: str = ""  # in whose name a service account reads the directory
    own_mailbox: str = ""  # whose contacts the connection's own tokens open, where people consent

    def __post_init__(self) -> None:
        for name, most in LONGEST.items():
            if not 1 <= getattr(self, name) <= most:
                raise NeedsAttention(f"takes {name.replace('_', ' ')} from 1 to {most}", system=SYSTEM)
        if not 0 <= self.pause <= LONGEST_PAUSE:
            raise NeedsAttention(f"takes a pause between calls of {LONGEST_PAUSE:.0f} s at most", system=SYSTEM)
        if not 0 <= self.tasks_overlap <= 86_400:
            raise NeedsAttention("takes an overlap between two looks at tasks of a day at most", system=SYSTEM)
        if self.remembered < self.write_size:
            raise NeedsAttention("must remember as many contacts as one call writes", system=SYSTEM)
        if not self.client_data_key:
            raise NeedsAttention("needs a name for the entry that holds our id", system=SYSTEM)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> GoogleSettings:
        """Returns the settings that are among a connection's own; others are somebody else's. Raises NeedsAttention for a
        value that cannot be. Whoever consented is known from then on as the connection's organisation."""
        whose = str(given.get("organisation_id") or "")
        known = {"own_mailbox": whose if "@" in whose else None, **{k: v for k, v in given.items() if v not in (None, "")}}
        return settings_among(cls, known, SYSTEM)
