"""Who has a mailbox: the list that an admin keeps, or what the server's address list finds.

The server lists nobody by itself. It finds whose names or addresses begin with some letters, at most a hundred at a time
(ResolveNames): the letters are made more until fewer are found.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from typing import Any

from exchangelib.services import ResolveNames
from exchangelib.util import MNS

from connectors.exchange.client import EwsClient, Message
from connectors.exchange.models import tag, text
from connectors.mailboxes import MailboxUser
from connectors.text import clean

MOST_FOUND = 100  # of one search
DEEPEST = 4  # letters; whoever shares more with a hundred others is not found
FIRST = string.ascii_lowercase + string.digits
PAGE = 500
NOBODY = "ErrorNameResolutionNoResults"


def listed(addresses: Sequence[str]) -> Iterator[list[MailboxUser]]:
    """Yields the people of a list, a page at a time."""
    people = [MailboxUser(address, address) for address in dict.fromkeys(a.strip() for a in addresses) if address]
    for start in range(0, len(people), PAGE):
        yield people[start : start + PAGE]


def resolved(client: EwsClient, *, most_calls: int = 0) -> Iterator[list[MailboxUser]]:
    """Yields the people whom the address list finds, nobody twice. `most_calls`: so many searches at most, 0 for all."""
    seen: set[str] = set()
    waiting = list(FIRST)
    calls = 0
    while waiting and not (most_calls and calls >= most_calls):
        letters = waiting.pop(0)
        people, is_all = _search(client, letters)
        calls += 1
        if not is_all and len(letters) < DEEPEST:
            waiting = [*(letters + more for more in FIRST), *waiting]
        fresh = [person for person in people if person.address.lower() not in seen]
        seen.update(person.address.lower() for person in fresh)
        yield fresh


def _search(client: EwsClient, letters: str) -> tuple[list[MailboxUser], bool]:
    """Returns who is found, and whether that is everybody."""
    service = client.service(ResolveNames)
    payload = service.get_payload([letters], None, False, "ActiveDirectory", None)
    message = client.call(service, payload, is_read=True, count=1)[0]
    if message.fault is not None:
        if message.fault.code == NOBODY:
            return [], True
        raise client.error_of(message, is_read=True)
    found = message.element.find(f"{{{MNS}}}ResolutionSet")
    if found is None:
        raise client.unreadable(message, is_read=True)
    people = [person for row in found if (person := _person(row, client, message)) is not None]
    is_all = found.get("IncludesLastItemInRange") in ("true", "1", None) and len(found) < MOST_FOUND
    return people, is_all


def _person(row: Any, client: EwsClient, message: Message) -> MailboxUser | None:
    """Returns whom a row names, None for what has no mailbox of its own: lists, contacts, public folders."""
    held = row.find(tag("Mailbox"))
    if held is None:
        raise client.unreadable(message, is_read=True)
    kind, address = text(held, "MailboxType") or "Mailbox", clean((text(held, "EmailAddress") or "").strip())[0]
    if kind != "Mailbox" or "@" not in address or (text(held, "RoutingType") or "SMTP") != "SMTP":
        return None
    return MailboxUser(address, address, clean(text(held, "Name") or "")[0][:200])
