"""Subscriptions to the changes of one mailbox's calendar, and what their notifications say (reference section 11)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.errors import ConnectorError, MailboxRefused, RecordError, RecordGone, Rejected
from connectors.http import HttpClient
from connectors.microsoft.client import GraphClient, Part, address, segment
from connectors.microsoft.settings import SYSTEM
from connectors.notices import (
    ALL_DAY,
    APPOINTMENT,
    CHANGES,
    MEETING,
    MISSED,
    NOT_REACHED,
    OTHERS_WATCH,
    REMOVED,
    UNSURE,
    Notice,
    Watch,
)
from connectors.text import clean, read_instant

PATH, TEMPLATE = "/subscriptions", "/subscriptions/{id}"
EVENT_TEMPLATE = "/users/{user}/events/{id}"
MOST_STATE = 128  # characters of a clientState
LONGEST_ID = 255
_NOT_VALID = "validationerror"
_EXISTS = 409
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LIFE = {"missed": MISSED, "subscriptionremoved": REMOVED, "reauthorizationrequired": UNSURE}
_KIND = "id,isAllDay,attendees"


class MicrosoftWatches:
    """Those of one mailbox. Ids of events are immutable ones, since every call of the client asks for them."""

    def __init__(self, http: HttpClient, client: GraphClient) -> None:
        self._http, self._client = http, client

    def make(self, *, address: str, life_address: str, secret: str, changes: Sequence[str], ends_at: datetime) -> Watch:
        body = {
            "changeType": ",".join(changes),
            "resource": f"users/{self._client.mailbox}/events",
            "notificationUrl": address,
            "lifecycleNotificationUrl": life_address,
            "expirationDateTime": _stamp(ends_at),
            "clientState": secret,
        }
        try:
            return self._make(body)
        except Rejected as refusal:
            if refusal.status != _EXISTS:
                raise _judged(refusal, address) from refusal
            self._make_room(refusal, address)
        return self._make(body)

    def _make(self, body: Mapping[str, Any]) -> Watch:
        answer = self._client.send("POST", PATH, body, template=PATH)
        return self._read(answer.data)

    def _make_room(self, refusal: Rejected, address: str) -> None:
        """Ends the subscription that stands in the way, if it leads to us: its secret is not known any more, as after an answer
        that was lost. Another site's is left to it."""
        found = _GUID.search(refusal.detail)
        if found is None:
            raise refusal
        try:
            other = self._read(self._client.get_object(f"{PATH}/{found[0]}", template=TEMPLATE))
        except (RecordGone, MailboxRefused) as gone:
            if gone.status != 404:
                raise
            return
        if other.address != address:
            host = other.address.split("/")[2][:100] if other.address.count("/") > 2 else "another address"
            raise Rejected(
                f"tells {host} of this calendar already, for the same app; register an app of its own for each site",
                system=SYSTEM,
                status=refusal.status,
                code=OTHERS_WATCH,
                exchange=refusal.exchange,
            )
        self.drop(other.id)

    def renew(self, id_: str, *, ends_at: datetime) -> Watch:
        try:
            body = {"expirationDateTime": _stamp(ends_at)}
            return self._read(self._client.send("PATCH", f"{PATH}/{segment(id_)}", body, template=TEMPLATE).data)
        except ConnectorError as error:
            raise _gone(error) from error

    def drop(self, id_: str) -> None:
        try:
            self._client.send("DELETE", f"{PATH}/{segment(id_)}", None, template=TEMPLATE)
        except ConnectorError as error:
            if not isinstance(judged := _gone(error), RecordGone):
                raise judged from error

    def kinds(self, ids: Sequence[str]) -> dict[str, str]:
        """As the contract says: a meeting has guests and no whole days (S4.42)."""
        asked = list(dict.fromkeys(ids))
        parts = [Part("GET", address(f"{self._client.root}/events/{segment(id_)}", select=_KIND), EVENT_TEMPLATE) for id_ in asked]
        found = {}
        for id_, reply in zip(asked, self._client.read_all(parts) if parts else (), strict=True):
            if reply.is_good and isinstance(reply.body, Mapping):
                found[id_] = _kind_of(reply.body)
            elif reply.is_good:
                raise self._client.unreadable(reply, is_read=True)
            elif not isinstance(error := _gone(self._client.error_of(reply, is_read=True)), RecordError):
                raise error
        return found

    def close(self) -> None:
        self._http.close()

    def _read(self, row: Any) -> Watch:
        said = row if isinstance(row, Mapping) else {}
        id_, ends_at = said.get("id"), read_instant(said.get("expirationDateTime"))
        if not isinstance(id_, str) or not id_ or ends_at is None:
            raise self._client.unreadable_list()
        changes = tuple(word.strip().lower() for word in str(said.get("changeType") or "").split(","))
        return Watch(id_[:LONGEST_ID], changes, str(said.get("notificationUrl") or ""), ends_at)


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _kind_of(row: Mapping[str, Any]) -> str:
    if row.get("isAllDay") is True:
        return ALL_DAY
    return MEETING if row.get("attendees") else APPOINTMENT


def _judged(refusal: Rejected, address: str) -> Rejected:
    """Returns what the refusal of a new subscription means: most often that our address did not answer as it should."""
    if refusal.code.casefold() != _NOT_VALID and "validation request" not in refusal.detail.casefold():
        return refusal
    said = f"got no right answer at {address}: {refusal.detail}"
    return Rejected(said, system=SYSTEM, status=refusal.status, code=NOT_REACHED, exchange=refusal.exchange)


def _gone(error: ConnectorError) -> ConnectorError:
    """Returns what a call about one subscription failed of. Microsoft says of one that is gone what it says of a user who is."""
    if error.status != 404 or isinstance(error, RecordGone):
        return error
    return RecordGone("the subscription is not there (any more)", system=SYSTEM, status=404, code=error.code, exchange=error.exchange)


# --- what is told -------------------------------------------------------------------------------------------------------
def read_notices(document: Any) -> list[Notice]:
    """Returns what a delivered body tells; what cannot be read in it, and what says nothing of an event, is left out. Raises
    ValueError where the body is no collection of notifications. Pure."""
    rows = document.get("value") if isinstance(document, Mapping) else None
    if not isinstance(rows, list):
        raise ValueError("the body holds no notifications")
    found = (_notice(row) for row in rows if isinstance(row, Mapping))
    return [notice for notice in found if notice is not None]


def _notice(row: Mapping[str, Any]) -> Notice | None:
    watch, secret = _text(row.get("subscriptionId")), _text(row.get("clientState"))
    life = _LIFE.get(_text(row.get("lifecycleEvent")).casefold())
    if not watch or not secret or len(secret) > MOST_STATE:
        return None
    if life is not None:
        return Notice(watch, secret, life)
    data, change = row.get("resourceData"), _text(row.get("changeType")).casefold()
    data = data if isinstance(data, Mapping) else {}
    id_ = _text(data.get("id"))
    if change not in CHANGES or not 0 < len(id_) <= LONGEST_ID or not _is_event(data):
        return None
    return Notice(watch, secret, change, id_, _text(data.get("@odata.etag")))


def _is_event(data: Mapping[str, Any]) -> bool:
    type_ = _text(data.get("@odata.type"))
    return not type_ or type_.casefold().endswith(".event")


def _text(raw: Any) -> str:
    return clean(raw)[0] if isinstance(raw, str) else ""
