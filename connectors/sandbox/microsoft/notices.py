"""Change notifications: what each subscription is told when a row changes, and how it is packed for the way.

Every table whose changes can be subscribed to is watched where its rows are stored, so that nobody who changes one has to
think of it. `serve` is how a further kind of thing joins.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from connectors.sandbox.microsoft import ids
from connectors.sandbox.microsoft.courier import Delivery
from connectors.sandbox.microsoft.mail_store import MailStore
from connectors.sandbox.microsoft.store import BIN, Store
from connectors.sandbox.microsoft.table import Row
from connectors.sandbox.microsoft.todo_store import TodoStore

CREATED, UPDATED, DELETED = CHANGE_TYPES = ("created", "updated", "deleted")
LIFECYCLE = ("reauthorizationRequired", "subscriptionRemoved", "missed")
MOST_TOGETHER = 20  # notices in one body
HELD_BACK = 8  # notices that are shuffled with each other


@dataclass(frozen=True, slots=True)
class Subject:
    """A kind of thing that changes are told of. `path` names a row below its mailbox, `id_of` its id, in the immutable form
    for True; `is_in` says whether it is among those of a place, or of the whole mailbox for None."""

    type: str
    path: Callable[[Row, str], str]
    id_of: Callable[[Row, bool], str]
    change_key: Callable[[Row], str]
    is_in: Callable[[Row, int | None], bool]


@dataclass(frozen=True, slots=True)
class _Notice:
    subscription: Row
    is_lifecycle: bool
    content: dict[str, Any]


class Notices:
    """Gathers what is to be told until it is taken."""

    def __init__(self, store: Store, mail: MailStore, todo: TodoStore, *, tenant: str, now: Callable[[], datetime], seed: int) -> None:
        self._store, self._tenant, self._now = store, tenant, now
        self._lots = random.Random(seed)
        self._subjects: dict[str, Subject] = {}
        self._wanting: dict[tuple[str, int], list[int]] = {}  # subscriptions of a mailbox, by table
        self._waiting: list[_Notice] = []
        store.reindex.append(self.reindex)
        self.serve("contact", Subject(
            "Contact", lambda row, id_: f"Contacts/{id_}", lambda row, form: store.contact_id(row, is_immutable=form),
            store.change_key, self._is_contact_in,
        ))  # fmt: skip
        self.serve("message", Subject(
            "Message", lambda row, id_: f"Messages/{id_}", lambda row, form: mail.messages.id_of(row, is_immutable=form),
            mail.messages.change_key, lambda row, place: place in (None, row["folder"]),
        ))  # fmt: skip
        self.serve("task", Subject(
            "TodoTask", lambda row, id_: f"Todo/Lists/{todo.list_id(todo.lists[row['list']])}/Tasks/{id_}",
            lambda row, form: todo.tasks.id_of(row, is_immutable=form), todo.tasks.change_key,
            lambda row, place: place in (None, row["list"]),
        ))  # fmt: skip
        self.serve("event", Subject(
            "Event", lambda row, id_: f"Events/{id_}", self._event_id,
            lambda row: ids.change_key(f"{store.key} event", row["n"], row.get("version", 1)), lambda row, place: place is None,
        ))  # fmt: skip

    def serve(self, table: str, subject: Subject) -> None:
        """Watches a table, in place of what was said of it before."""
        self._subjects[table] = subject
        self._store.tables[table].watch = partial(self._changed, table)

    def _is_contact_in(self, row: Row, place: int | None) -> bool:
        """Of a mailbox's contacts those that were deleted are none."""
        folder = self._store.folders.get(row["folder"])
        if place is not None or folder is None:
            return bool(place == row["folder"])
        return folder["kind"] != BIN and not self._store.is_in_bin(folder)

    def _event_id(self, row: Row, is_immutable: bool) -> str:
        kind = ids.IMMUTABLE_EVENT if is_immutable else ids.EVENT
        return ids.make(self._store.key, kind, mailbox=row["mailbox"], number=row["n"], moves=row.get("moves", 0))

    # --- subscriptions that are alive -------------------------------------------------------------------------------------
    @property
    def rows(self) -> dict[int, Row]:
        return self._store.tables["subscription"].rows

    def reindex(self) -> None:
        self._wanting = {}
        for number, row in self.rows.items():
            self._wanting.setdefault((row["table"], row["mailbox"]), []).append(number)

    def add(self, row: Row) -> Row:
        table = self._store.tables["subscription"]
        new = table.put({**row, "n": table.next_number})
        self.reindex()
        return new

    def remove(self, row: Row) -> None:
        self._store.tables["subscription"].remove(row["n"])
        self.reindex()

    def expire(self) -> None:
        """Takes away the subscriptions whose time is over."""
        now = self._now().timestamp()
        for row in [each for each in self.rows.values() if each["expires"] <= now]:
            self.remove(row)

    # --- what is told -----------------------------------------------------------------------------------------------------
    def _changed(self, table: str, before: Row | None, after: Row | None) -> None:
        mailbox = (after or before or {})["mailbox"]
        for number in self._wanting.get((table, mailbox), ()):
            subscription = self.rows[number]
            if subscription["expires"] <= self._now().timestamp():
                continue
            for change_type, row in _changes(self._subjects[table], subscription, before, after):
                if change_type in subscription["changeTypes"]:
                    self._waiting.append(_Notice(subscription, False, self._notice(subscription, table, change_type, row)))

    def _notice(self, subscription: Row, table: str, change_type: str, row: Row) -> dict[str, Any]:
        subject = self._subjects[table]
        id_ = subject.id_of(row, subscription["immutable"])
        user = self._store.users.get(row["mailbox"], {"id": ids.guid(self._store.key, "user", row["mailbox"])})
        resource = f"Users/{user['id']}/{subject.path(row, id_)}"
        data = {"@odata.type": f"#Microsoft.Graph.{subject.type}", "@odata.id": resource}
        if change_type != DELETED:
            data["@odata.etag"] = f'W/"{subject.change_key(row)}"'
        own = {"changeType": change_type, "resource": resource, "resourceData": {**data, "id": id_}}
        return {**self._envelope(subscription), **own}

    def _envelope(self, subscription: Row) -> dict[str, Any]:
        return {
            "subscriptionId": subscription["id"],
            "subscriptionExpirationDateTime": datetime.fromtimestamp(subscription["expires"], UTC).isoformat(),
            "clientState": subscription["clientState"],
            "tenantId": self._tenant,
        }

    def lifecycle(self, event: str, subscription: Row) -> bool:
        """Tells a subscription what becomes of it; one that was removed is gone. Returns whether it wanted to know."""
        is_wanted = subscription["lifecycleNotificationUrl"] is not None
        if is_wanted:
            self._waiting.append(self._lifecycle(event, subscription))
        if event == "subscriptionRemoved":
            self.remove(subscription)
        return is_wanted

    def _lifecycle(self, event: str, subscription: Row) -> _Notice:
        own = {"resource": subscription["resource"], "lifecycleEvent": event}
        return _Notice(subscription, True, {**self._envelope(subscription), **own})

    # --- the way out --------------------------------------------------------------------------------------------------------
    def take(self) -> list[Delivery]:
        """Returns what goes out now: by address, several notices in a body; the switches say what happens to them on the way."""
        switches = self._store.switches
        if switches.notices_shuffle and len(self._waiting) < HELD_BACK:
            return []
        waiting, self._waiting = self._waiting, []
        waiting = [each for each in waiting if not self._falls(switches.notices_drop_percent)]
        if switches.notices_shuffle:
            self._lots.shuffle(waiting)
        deliveries = [self._packed(url, part) for url, notices in _by_address(waiting) for part in _parts(notices)]
        return [copy for each in deliveries for copy in [each] * (2 if self._falls(switches.notices_repeat_percent) else 1)]

    def _falls(self, percent: int) -> bool:
        return percent > 0 and self._lots.random() * 100 < percent

    def _packed(self, url: str, notices: list[_Notice]) -> Delivery:
        told = {each.subscription["id"]: each.subscription for each in notices
                if not each.is_lifecycle and each.subscription["lifecycleNotificationUrl"] is not None}  # fmt: skip
        missed = tuple(Delivery(row["lifecycleNotificationUrl"], _body([self._lifecycle("missed", row)])) for row in told.values())
        return Delivery(url, _body(notices), self._store.switches.notices_drop_when_slow, missed)


def _changes(subject: Subject, subscription: Row, before: Row | None, after: Row | None) -> list[tuple[str, Row]]:
    """Returns what a change of a row is to a subscription. What moves within its reach has another id afterwards, in the form
    that is not immutable: one thing went, another came."""
    place = subscription["place"]
    was = before if before is not None and subject.is_in(before, place) else None
    now = after if after is not None and subject.is_in(after, place) else None
    if was is not None and now is not None:
        is_same = subject.id_of(was, subscription["immutable"]) == subject.id_of(now, subscription["immutable"])
        return [(UPDATED, now)] if is_same else [(DELETED, was), (CREATED, now)]
    return [(CREATED, now)] if now is not None else [(DELETED, was)] if was is not None else []


def _by_address(notices: Iterable[_Notice]) -> list[tuple[str, list[_Notice]]]:
    found: dict[str, list[_Notice]] = {}
    for each in notices:
        name = "lifecycleNotificationUrl" if each.is_lifecycle else "notificationUrl"
        found.setdefault(each.subscription[name], []).append(each)
    return list(found.items())


def _parts(notices: list[_Notice]) -> list[list[_Notice]]:
    return [notices[at : at + MOST_TOGETHER] for at in range(0, len(notices), MOST_TOGETHER)]


def _body(notices: list[_Notice]) -> bytes:
    return json.dumps({"value": [each.content for each in notices]}).encode()
