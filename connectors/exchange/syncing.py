"""One folder's list of changes, a page at a time (reference 5.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from exchangelib.services import SyncFolderItems
from exchangelib.util import MNS, TNS

from connectors.exchange import faults, models
from connectors.exchange.client import EwsClient, Message

_CREATED, _DELETED = f"{{{TNS}}}Create", f"{{{TNS}}}Delete"
_TOLD = (_CREATED, f"{{{TNS}}}Update")


@dataclass(frozen=True, slots=True)
class SyncPage:
    """What a folder said: items by id as its list tells them, None for one that left. `state` is where it goes on; `is_last`: there
    is no more just now."""

    items: Mapping[str, Any] = field(repr=False)
    state: str
    is_last: bool
    server_time: datetime | None
    new: frozenset[str] = frozenset()  # those that were not in the folder before

    @property
    def gone(self) -> tuple[str, ...]:
        return tuple(id_ for id_, item in self.items.items() if item is None)

    @property
    def there(self) -> dict[str, Any]:
        return {id_: item for id_, item in self.items.items() if item is not None}


def sync(client: EwsClient, folder_id: str, state: str, paths: Sequence[Any], *, most: int) -> SyncPage | None:
    """Returns the next page of a folder's changes behind `state`, "" for the start; None where the server knows that state no more.
    Raises the error of any other refusal, RecordGone with the code "folder" for a folder that is not there."""
    service = client.service(SyncFolderItems)
    payload = service.get_payload(
        folder=client.folder(folder_id),
        shape="IdOnly",
        additional_fields=list(paths) or None,
        sync_state=state or None,
        ignore=None,
        max_changes_returned=most,
        sync_scope=None,
    )
    message = client.call(service, payload, is_read=True, count=1)[0]
    if message.is_good:
        return _page(client, message, state)
    if message.fault is not None and message.fault.code == faults.DEAD_STATE and state:
        return None
    error = client.error_of(message, is_read=True)
    if error.code in faults.GONE:  # of a folder, too
        raise faults.folder_gone(error.detail, error.exchange)
    raise error


def _page(client: EwsClient, message: Message, before: str) -> SyncPage:
    state, last = message.text("SyncState"), message.text("IncludesLastItemInRange")
    changes = message.element.find(f"{{{MNS}}}Changes")
    is_last = last in ("true", "1")
    if not state or last is None or (changes is None and not is_last) or (state == before and not is_last):
        raise client.unreadable(message, is_read=True)
    found: dict[str, Any] = {}
    new: set[str] = set()
    for change in changes if changes is not None else ():
        if change.tag == _DELETED:
            item, id_ = None, models.id_of(change)[0]
        elif change.tag in _TOLD and len(change) == 1:
            item, id_ = change[0], models.id_of(change[0])[0]
        else:
            continue  # that a message was read is no change of it
        if not id_:
            raise client.unreadable(message, is_read=True)
        found.pop(id_, None)
        found[id_] = item  # what was said last holds
        new.update({id_} if change.tag == _CREATED else ())
    return SyncPage(found, state, is_last, message.answer.server_time, frozenset(new))
