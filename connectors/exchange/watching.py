"""Asks in one call whether anything happened in some folders: a subscription that we ask (GetEvents), kept with a cursor.

It says that something happened, and never what: that is told by the lists of changes alone. So nothing is lost with a subscription
that a server forgets, and the lists are read anyway once in a while, whatever it says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from exchangelib.services import GetEvents, SubscribeToPull, Unsubscribe
from exchangelib.util import MNS, TNS

from connectors.errors import ConnectionTrouble, MailboxRefused, RateLimited
from connectors.exchange.client import EwsClient, Message
from connectors.text import read_instant

LASTS_MINUTES = 1440  # without being asked; the longest there is
TRUSTED_FOR = timedelta(hours=1)  # after that the lists are read, whatever a subscription says
MOST_EVENTS = 20  # answers full of events; who has more to tell has told that something happened
MOST_FOLDERS = 100  # of one subscription; a mailbox that has more of a kind is heard as a whole
EVENTS = ("CreatedEvent", "ModifiedEvent", "MovedEvent", "CopiedEvent", "DeletedEvent")
STATUS, MODIFIED = f"{{{TNS}}}StatusEvent", f"{{{TNS}}}ModifiedEvent"


@dataclass(frozen=True, slots=True)
class Watch:
    """A subscription, and how far its events were heard. `id` "" where there is none. `over`: a digest of its folders; `read_at`: when
    their lists were read last, by the server's clock."""

    id: str = ""
    mark: str = ""
    over: str = ""
    read_at: str = ""

    @classmethod
    def of(cls, kept: Any) -> Watch:
        """Returns the one that a cursor keeps, none where it keeps none that can be read: it costs a call to make another."""
        is_one = isinstance(kept, Mapping) and all(isinstance(kept.get(name, ""), str) for name in cls.__slots__)
        return cls(**{name: kept[name] for name in cls.__slots__ if name in kept}) if is_one else cls()

    def was_read(self, at: datetime | None) -> Watch:
        return replace(self, read_at=at.isoformat() if at is not None else "")

    @property
    def is_refused_lately(self) -> bool:
        """Whether the server gave none, a short while before the lists were read last."""
        refused_at, at = read_instant(self.mark), read_instant(self.read_at)
        return not self.id and refused_at is not None and at is not None and at - refused_at < TRUSTED_FOR

    def is_fresh(self, now: datetime | None) -> bool:
        """Tells whether it may be trusted still: whether the lists were read a short while ago."""
        at = read_instant(self.read_at)
        return at is not None and now is not None and now - at < TRUSTED_FOR


def with_watch(said: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the text of a cursor says; a watch in it that cannot be read costs another one, and no round."""
    return {**said, "watch": Watch.of(said.get("watch"))}


@dataclass(frozen=True, slots=True)
class Heard:
    """What a subscription says: how far it was heard now, and whether anything happened."""

    watch: Watch
    is_quiet: bool
    server_time: datetime | None


def is_quiet(client: EwsClient, watch: Watch) -> tuple[Watch, bool]:
    """Returns how far a subscription is heard now, none where the server knows it no more, and whether nothing happened since its
    lists were read: then they need not be."""
    if not watch.id:
        return watch, False
    heard = hear(client, watch)
    if heard is None:
        return Watch(), False
    return heard.watch, heard.is_quiet and heard.watch.is_fresh(heard.server_time)


def over(client: EwsClient, watch: Watch, folders: Sequence[str]) -> Watch:
    """Returns the subscription to these folders: the one that there is, or another in its place where it is to others. It is to be
    there before their lists are read, so that nothing falls in between. A server that gave none is asked again after a while."""
    digest = hashlib.blake2b(json.dumps(sorted(folders)).encode(), digest_size=8).hexdigest()
    if watch.over == digest and (watch.id or watch.is_refused_lately):
        return watch
    if watch.id:
        end(client, watch)
    return replace(begin(client, folders), over=digest)


def end(client: EwsClient, watch: Watch) -> None:
    """Ends a subscription: a mailbox may have few. One that is refused ends by itself, since nobody asks for it."""
    service = client.service(Unsubscribe)
    message = client.call(service, service.get_payload(watch.id), is_read=True, count=1)[0]
    if not message.is_good:
        _raise_trouble(client, message)


def begin(client: EwsClient, folders: Sequence[str]) -> Watch:
    """Returns a subscription to these folders; none where the server gives none: it limits them, and may not have any. The mark of
    none is when it was refused."""
    service = client.service(SubscribeToPull)
    named = [client.folder(id_) for id_ in folders] if len(folders) <= MOST_FOLDERS else None
    payload = service.get_payload(named, EVENTS, None, LASTS_MINUTES)
    message = client.call(service, payload, is_read=True, count=1)[0]
    if not message.is_good:
        _raise_trouble(client, message)
        at = message.answer.server_time
        return Watch(mark=at.isoformat() if at is not None else "")
    return Watch(message.text("SubscriptionId") or "", message.text("Watermark") or "")


def hear(client: EwsClient, watch: Watch) -> Heard | None:
    """Returns what happened since it was heard last, None where the server knows the subscription no more."""
    mark, is_still = watch.mark, True
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
        is_still = is_still and all(_tells_nothing(row) for row in events)
        if told.findtext(f"{{{TNS}}}MoreEvents") not in ("true", "1"):
            return Heard(replace(watch, mark=mark), is_still, message.answer.server_time)
    return None


def _tells_nothing(event: Any) -> bool:
    """Tells whether an event is none, or tells of a folder whose counts changed: what came or went in it is an event of its own."""
    is_of_folder = event.find(f"{{{TNS}}}ItemId") is None and event.find(f"{{{TNS}}}FolderId") is not None
    return event.tag == STATUS or (event.tag == MODIFIED and is_of_folder)


def _raise_trouble(client: EwsClient, message: Message) -> None:
    """Raises what is the matter with the connection or the mailbox; any other refusal is one of the subscription."""
    error = client.error_of(message, is_read=True)
    if isinstance(error, RateLimited) or (isinstance(error, ConnectionTrouble) and not isinstance(error, MailboxRefused)):
        raise error
