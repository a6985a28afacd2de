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
DIRECTORY = Scope(f"{_PREFIX}directory.readonly", "to list the people whose mailboxes can be synced", is_needed=False)
ADDRESS = Scope(f"{_PREFIX}userinfo.email", "to tell whose contacts these are", is_needed=False)
SCOPES = (CONTACTS, DIRECTORY, ADDRESS)
ALL = " ".join(scope.name for scope in SCOPES)
OF_MAILBOX = " ".join((CONTACTS.name, ADDRESS.name))  # what the user of one mailbox is asked for
DELEGATED = (CONTACTS, DIRECTORY)  # what a service account may do in the name of users


def missing(granted: str, needed: tuple[Scope, ...] = (CONTACTS,)) -> list[Scope]:
    """Returns the scopes that were not granted: people may tick some only. An unknown grant lacks none."""
    words = set(granted.split())
    return [scope for scope in needed if words and scope.name not in words]
