"""Who we are to Google, and who else is in the organisation.

`people:listDirectoryPeople` is not described in our reference, only that directory data exists: `lists_directory` switches it
off where it answers otherwise (unconfirmed).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.google.client import GoogleClient
from connectors.google.scopes import DIRECTORY
from connectors.google.settings import SYSTEM
from connectors.http import unreadable
from connectors.mailboxes import MailboxUser
from connectors.text import clean

ME = "/people/me"
DIRECTORY_PEOPLE = "/people:listDirectoryPeople"
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Directory:
    """Reads the directory in the name of one user."""

    client: GoogleClient

    def pages(self, most: int = PAGE) -> Iterator[list[MailboxUser]]:
        """Yields the people who have an address, a page at a time."""
        token = ""
        while True:
            params = [("readMask", "names,emailAddresses,metadata"), ("sources", "DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE")]
            params += [("pageSize", str(most)), *([("pageToken", token)] if token else [])]
            answer = self.client.get(DIRECTORY_PEOPLE, params, scopes=(DIRECTORY.name,))
            rows, following = answer.data.get("people", []), answer.data.get("nextPageToken") or ""
            is_sound = isinstance(rows, list) and all(isinstance(row, Mapping) for row in rows) and isinstance(following, str)
            if not is_sound or (following and following == token):
                raise unreadable(SYSTEM, answer, is_read=True)
            yield [user for row in rows if (user := _user(row)) is not None]
            if not following:
                return
            token = following


def own_addresses(client: GoogleClient) -> list[str]:
    """Returns the addresses of the account that our token is of, the first one first; none where Google does not say."""
    answer = client.get(ME, [("personFields", "emailAddresses")])
    return addresses_of(answer.data)


def addresses_of(person: Mapping[str, Any]) -> list[str]:
    rows = _rows(person, "emailAddresses")
    rows = sorted(rows, key=lambda row: not _is_primary(row))
    found = [row["value"].strip().lower() for row in rows if isinstance(row.get("value"), str)]
    return [address for address in dict.fromkeys(found) if "@" in address and not clean(address)[1]]


def _user(person: Mapping[str, Any]) -> MailboxUser | None:
    addresses, id_ = addresses_of(person), person.get("resourceName")
    if not addresses or not isinstance(id_, str):
        return None
    names = [row["displayName"] for row in _rows(person, "names") if isinstance(row.get("displayName"), str)]
    return MailboxUser(id_[:200], addresses[0], clean(names[0])[0][:200] if names else "")


def _rows(person: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    raw = person.get(name)
    return [row for row in raw if isinstance(row, Mapping)] if isinstance(raw, list) else []


def _is_primary(row: Mapping[str, Any]) -> bool:
    metadata = row.get("metadata")
    return isinstance(metadata, Mapping) and metadata.get("primary") is True
