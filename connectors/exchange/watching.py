"""Asks in one call whether anything happened in some folders: a subscription that we ask (GetEvents), kept with a cursor.

It says that something happened, and never what: that is told by the lists of changes alone. So nothing is lost with a subscription
that a server forgets, and the lists are read anyway once in a while, whatever it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from exchangelib.services import GetEvents, SubscribeToPull
from exchangelib.util import MNS, TNS

from connectors.errors import ConnectionTrouble, MailboxRefused, RateLimited
from connectors.exchange.client import EwsClient, Message

LASTS_MINUTES = 1440  # without being asked; the longest there is
TRUSTED_FOR = timedelta(hours=1)  # after that the lists are read, whatever a subscription says
MOST_EVENTS = 20  # answers full of events; who has more to tell has told that something happened
EVENTS = ("CreatedEvent", "ModifiedEvent", "MovedEvent", "CopiedEvent", "DeletedEvent")


@dataclass(frozen=True, slots=True)
class Watch:
    """A subscription, and how far its events were heard. `id` "" where there is none."""

    id: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a subscription says: how far it was heard now, and whether anything happened."""

    watch: Watch
    is_quiet: bool
    server_time: datetime | None


def begin(client: EwsClient, folders: Sequence[str]) -> Watch:
    """Returns a subscription to these folders; none where the server gives none: it limits them, and may not have any."""
    service = client.service(SubscribeToPull)
    payload = service.get_payload([client.folder(id_) for id_ in folders], EVENTS, None, LASTS_MINUTES)
    message = client.call(service, payload, is_read=True, count=1)[0]
    if not message.is_good:
        _raise_trouble(client, message)
        return Watch()
    return Watch(message.text("SubscriptionId") or "", message.text("Watermark") or "")


def hear(client: EwsClient, watch: Watch) -> Heard | None:
    """Returns what happened since it was heard last, None where the server knows the subscription no more."""
    mark, is_quiet = watch.mark, True
    for _ in range(MOST_EVENTS):
        service = client.service(GetEvents)
        message = client.call(service, service.get_payload(watch.id, mark), is_read=True, count=1)[0]
        if not message.is_good:
            _raise_trouble(client, message)
            return None
        told = message.element.find(f"{{{MNS}}}Notification")
        if told is None:
            raise client.unreadable(message, is_read=True)
        events = [row for row in told if str(row.tag).endswith("Event")]
        marks = [text for row in events if (text := row.findtext(f"{{{TNS}}}Watermark"))]
        if not marks:
            return None
        mark = marks[-1]
        is_quiet = is_quiet and all(row.tag == f"{{{TNS}}}StatusEvent" for row in events)
        if told.findtext(f"{{{TNS}}}MoreEvents") not in ("true", "1"):
            return Heard(Watch(watch.id, mark), is_quiet, message.answer.server_time)
    return None


def _raise_trouble(client: EwsClient, message: Message) -> None:
    """Raises what is the matter with the connection or the mailbox; any other refusal is one of the subscription."""
    error = client.error_of(message, is_read=True)
    if isinstance(error, RateLimited) or (isinstance(error, ConnectionTrouble) and not isinstance(error, MailboxRefused)):
        raise error
