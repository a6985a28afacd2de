"""The OAuth scopes we ask Google for, and what each is for (reference 2.3)."""

from __future__ import annotations

from dataclasses import dataclass

_PREFIX = "https://www.googleapis.com/auth/"


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope and what we do with it. Without one that is not `is_needed` only a part of the product goes missing."""

    name: str
    purpose: str
    is_needed: bool = True


CONTACTS = Scope(f"{_PREFIX}contacts", "to read and write contacts and their labels")
EVENTS = Scope(f"{_PREFIX}calendar.events", "to read and write the events of the calendar", is_needed=False)
TASKS = Scope(f"{_PREFIX}tasks", "to read and write tasks", is_needed=False)
MAIL = Scope(f"{_PREFIX}gmail.modify", "to read e-mails and to label those that are shared", is_needed=False)
DIRECTORY = Scope(f"{_PREFIX}directory.readonly", "to list the people whose mailboxes can be synced", is_needed=False)
ADDRESS = Scope(f"{_PREFIX}userinfo.email", "to tell whose contacts these are", is_needed=False)
SCOPES = (CONTACTS, EVENTS, TASKS, MAIL, DIRECTORY, ADDRESS)
ALL = " ".join(scope.name for scope in SCOPES)
OF_MAILBOX = " ".join(scope.name for scope in (CONTACTS, EVENTS, TASKS, MAIL, ADDRESS))  # what the user of one mailbox is asked for
DELEGATED = (CONTACTS, EVENTS, TASKS, MAIL, DIRECTORY)  # what a service account may do in the name of users


def missing(granted: str, needed: tuple[Scope, ...] = (CONTACTS,)) -> list[Scope]:
    """Returns the scopes that were not granted: people may tick some only. An unknown grant lacks none."""
    words = set(granted.split())
    return [scope for scope in needed if words and scope.name not in words]
