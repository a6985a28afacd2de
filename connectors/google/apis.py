"""Google's APIs that a mailbox is reached by: where each is, what it wants, and how its refusals call things (reference 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.google.scopes import CONTACTS, EVENTS, MAIL, TASKS, Scope


@dataclass(frozen=True, slots=True)
class Api:
    """One API. `part`: which part of a mailbox it opens; its tokens are kept by it, and its address is the setting
    `<part>_url`. `batch`: where several of its reads go in one call. `thing` and `things` are what its records are called.
    `pause`: seconds between two calls of a mailbox, by its quota; the setting `pause` holds where it is shorter."""

    part: str
    host: str
    root: str
    batch: str
    scope: Scope
    name: str
    thing: str
    things: str
    pause: float

    def address(self, base_url: str, settings: Mapping[str, Any]) -> str:
        """Returns where the API is, for a connection whose People API is at `base_url`: whoever plays Google, or stands in
        between, does so for all of them, unless the settings say otherwise."""
        said = str(settings.get(f"{self.part}_url") or "")
        return said or (self.host if base_url.rstrip("/") == PEOPLE.host else base_url)


PEOPLE = Api("", "https://people.googleapis.com", "/v1", "/batch", CONTACTS, "People API", "contact", "contacts", pause=1.0)
CALENDAR = Api(
    "calendar",
    "https://www.googleapis.com",
    "/calendar/v3",
    "/batch/calendar/v3",
    EVENTS,
    "Google Calendar API",
    "event",
    "events",
    pause=0.1,  # 600 calls a minute
)
TASKS_API = Api("tasks", "https://tasks.googleapis.com", "/tasks/v1", "/batch", TASKS, "Google Tasks API", "task", "tasks", pause=0.1)
GMAIL = Api(
    "mail", "https://gmail.googleapis.com", "/gmail/v1", "/batch", MAIL, "Gmail API", "e-mail", "e-mails", pause=0.2
)  # 300 messages
APIS = (PEOPLE, CALENDAR, TASKS_API, GMAIL)
