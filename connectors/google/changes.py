"""Rounds of changes of one mailbox, page by page, by Google's sync tokens (reference 4.4).

Of every contact only labels, versions and hidden entries are listed; those in our folder are then read in full (I7). When
nothing changed, the one call of the list is all there is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.contract import Record
from connectors.errors import Rejected
from connectors.google.client import GoogleClient
from connectors.google.codec import (
    LISTED,
    Person,
    groups,
    is_deleted,
    is_group,
    is_sound,
    previous_names,
    read_contact,
    version,
)
from connectors.google.faults import SYNC_OVER
from connectors.google.labels import LabelBook
from connectors.google.persons import Persons
from connectors.google.settings import SYSTEM, GoogleSettings
from connectors.http import Answer, unreadable
from connectors.mailboxes import INSIDE, PLACE, ContactChanges, Sighting

CONNECTIONS = "/people/me/connections"
MOST_LABELS = 200  # kept with a cursor; more are looked up when they are needed
MOST_RESTARTS = 2  # of one round: a page that never comes would be asked for for ever


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a round stands. `sync` is empty in a round from the start, `page` between rounds. What the token is bound to
    stands with it: the folder, and the parameters of the first call."""

    folder: str
    size: int
    sync: str = ""
    page: str = ""
    is_whole: bool = False
    restarts: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        said = {
            "folder": self.folder,
            "fields": LISTED,
            "size": self.size,
            "sync": self.sync,
            "page": self.page,
            "whole": self.is_whole,
            "restarts": self.restarts,
            "labels": dict(self.labels) if len(self.labels) <= MOST_LABELS else {},
        }
        return json.dumps({name: value for name, value in said.items() if value}, separators=(",", ":"))


def read_cursor(text: str, folder: str) -> Cursor | None:
    """Returns the cursor, None where there is none, or it is another folder's or of other parameters."""
    try:
        said = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("folder") != folder or said.get("fields") != LISTED:
        return None
    size, restarts, labels = said.get("size"), said.get("restarts", 0), said.get("labels", {})
    sync, page = said.get("sync", ""), said.get("page", "")
    are_texts = isinstance(sync, str) and isinstance(page, str) and (sync or page)
    if not are_texts or not isinstance(size, int) or not 1 <= size <= 1000 or not isinstance(restarts, int):
        return None
    known = {k: v for k, v in labels.items() if is_group(k) and isinstance(v, str)} if isinstance(labels, dict) else {}
    return Cursor(folder, size, sync, page, said.get("whole") is True, restarts, known)


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of the list, each contact as it was said last. `following` and `sync` are the tokens that came with it."""

    living: dict[str, Person]
    deleted: list[str]
    renamed: dict[str, str]
    following: str
    sync: str
    answer: Answer = field(repr=False)


@dataclass(slots=True)
class Rounds:
    """Reads the changes of one mailbox."""

    client: GoogleClient
    persons: Persons
    labels: LabelBook
    settings: GoogleSettings

    def page(self, text: str) -> ContactChanges:
        """Returns the page behind a cursor. One that Google no longer takes starts the round anew."""
        at = read_cursor(text, self.labels.folder) or self._start()
        self.labels.adopt(at.labels)
        is_restart = False
        try:
            listed = self._list(at)
        except Rejected as refusal:
            if not self._starts_anew(at, refusal):
                raise
            is_restart = bool(at.page)
            at = replace(self._start(), restarts=at.restarts + 1 if is_restart else 0)
            listed = self._list(at)
        return self._changes(at, listed, is_restart=is_restart)

    def _start(self) -> Cursor:
        return Cursor(self.labels.folder, self.settings.page_size, is_whole=True)

    @staticmethod
    def _starts_anew(at: Cursor, refusal: Rejected) -> bool:
        """Tells whether the round begins again: the sync token ended, or the page token is no longer taken, which has no
        reason of its own."""
        is_over = refusal.code == SYNC_OVER
        if at.page:
            return at.restarts < MOST_RESTARTS and (is_over or refusal.status == 400)
        return bool(at.sync) and is_over

    def _list(self, at: Cursor) -> Listed:
        params = [("personFields", LISTED), ("pageSize", str(at.size)), ("requestSyncToken", "true")]
        params += [("syncToken", at.sync)] if at.sync else []
        params += [("pageToken", at.page)] if at.page else []
        answer = self.client.get(CONNECTIONS, params)
        rows, following, sync = read_page(answer)
        if (following and following == at.page) or not (following or sync):  # the same page over and over, or no way on
            raise unreadable(SYSTEM, answer, is_read=True)
        living: dict[str, Person] = {}
        deleted: dict[str, None] = {}
        renamed: dict[str, str] = {}
        for person in rows:
            id_ = str(person["resourceName"])
            living.pop(id_, None)
            deleted.pop(id_, None)
            renamed |= {old: id_ for old in previous_names(person) if old != id_}
            if is_deleted(person):
                deleted[id_] = None
            else:
                living[id_] = person
        return Listed(living, [id_ for id_ in deleted if id_ not in renamed], renamed, following, sync, answer)

    def _changes(self, at: Cursor, listed: Listed, *, is_restart: bool) -> ContactChanges:
        folder = self.labels.folder
        inside = {id_: person for id_, person in listed.living.items() if folder in groups(person)}
        # Who left is believed only while the folder is there. It is looked for after the list: ids never come back.
        is_end = at.is_whole and (not at.page or not listed.following)
        if folder and (is_end or listed.deleted or len(inside) < len(listed.living)):
            self.labels.verify()
        self.labels.ensure(group for person in inside.values() for group in groups(person))
        records = self._read(inside)
        contacts = tuple(record for record in records.values() if record.fields[PLACE] == INSIDE)
        outside = [id_ for id_ in listed.living if id_ not in inside] + [
            id_
            for id_, record in records.items()
            if record.fields[PLACE] != INSIDE  # left between list and read
        ]
        category = self.labels.view.category
        return ContactChanges(
            inside=contacts,
            outside=tuple(Sighting(id_, bool(category) and category in groups(listed.living[id_])) for id_ in outside),
            gone=(*listed.deleted, *outside),
            gone_outside=tuple(listed.deleted),
            cursor=self._next(at, listed).text(),
            is_last=not listed.following,
            is_whole=at.is_whole,
            is_restart=is_restart,
            renamed=listed.renamed,
            server_time=listed.answer.server_time,
        )

    def _next(self, at: Cursor, listed: Listed) -> Cursor:
        if listed.following:
            return replace(at, page=listed.following, labels=self.labels.names)
        return Cursor(at.folder, at.size, sync=listed.sync, labels=self.labels.names)

    def _read(self, inside: Mapping[str, Person]) -> dict[str, Record]:
        """Returns the contacts in full: as we know them where their version says so, else read. One that went away since the
        list was made is missing; the next round tells of it."""
        found = {id_: known for id_, row in inside.items() if (known := self.persons.at_version(id_, version(row))) is not None}
        found |= self.persons.read(id_ for id_ in inside if id_ not in found)
        view, key = self.labels.view, self.settings.client_data_key
        return {id_: read_contact(found[id_], view, key=key, id_=id_) for id_ in inside if id_ in found}

    # --- looking for our own --------------------------------------------------------------------------------------------

    def everybody(self) -> list[Person]:
        """Returns what the list tells of every contact of the mailbox, without a sync token: hidden entries cannot be
        searched for."""
        found: list[Person] = []
        token = ""
        while True:
            params = [("personFields", LISTED), ("pageSize", str(self.settings.page_size))]
            answer = self.client.get(CONNECTIONS, [*params, *([("pageToken", token)] if token else [])])
            rows, following, _ = read_page(answer)
            found += rows
            if not following:
                return found
            if following == token or not rows:
                raise unreadable(SYSTEM, answer, is_read=True)
            token = following


def read_page(answer: Answer) -> tuple[Sequence[Person], str, str]:
    """Returns the rows of a page of the list, the token of the next page and the sync token. Raises for a page that cannot be
    read: it would end a round before its end (I10)."""
    data: dict[str, Any] = answer.data
    rows, following, sync = data.get("connections", []), data.get("nextPageToken") or "", data.get("nextSyncToken") or ""
    if not isinstance(rows, list) or not all(is_sound(row) for row in rows):
        raise unreadable(SYSTEM, answer, is_read=True)
    if not isinstance(following, str) or not isinstance(sync, str):
        raise unreadable(SYSTEM, answer, is_read=True)
    return rows, following, sync
