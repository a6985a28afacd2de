"""What happened in a mailbox since a cursor: two rounds of changes in one call, of our folder and of the default one.

The two go on side by side, each with a link of its own: within a round to the next page, between rounds to the changes
since. A link that Microsoft no longer knows makes its half start anew. Where that happens to our folder in the middle of
a round, what the other half said in earlier pages counts no more either, so it goes back to where its round began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from connectors.contract import Record
from connectors.cursors import KeptCursor, read_kept
from connectors.errors import MailboxRefused, OutcomeUnknown, RecordGone
from connectors.mailboxes import CATEGORIES, INSIDE, PLACE, ContactChanges, Sighting
from connectors.microsoft import codec, faults
from connectors.microsoft.client import GraphClient, Part, Reply, address, segment
from connectors.microsoft.held import Held
from connectors.microsoft.reading import CONTACT_TEMPLATE, Reader
from connectors.microsoft.settings import SYSTEM

RESTARTS = 3  # in one call; a round that ends before it began must not go on for ever
_TEMPLATE = "/users/{user}/contactFolders/{folder}/contacts/delta"


@dataclass(frozen=True, slots=True)
class Half:
    """One of the two rounds. `at` is the link to go on with, "" to start; `begun_at` the link its round began with;
    `is_done` when nothing is left of the round."""

    at: str = ""
    begun_at: str = ""
    is_done: bool = False

    @property
    def is_under_way(self) -> bool:
        return self.at != self.begun_at or self.is_done


@dataclass(frozen=True, slots=True)
class Cursor(KeptCursor):
    """Where both rounds stand. `is_whole`: that of our folder lists everything that is there."""

    ours: Half
    others: Half
    is_whole: bool = True


BEGINNING = Cursor(Half(), Half())


@dataclass(frozen=True, slots=True)
class _Page:
    """What one half said: the rows by id, None for one that left, and where it stands now."""

    rows: Mapping[str, Any]
    half: Half
    reply: Reply


def read_cursor(text: str, client: GraphClient) -> Cursor | None:
    """Returns the cursor, None for a text that is none of ours, or that leads to another host."""
    cursor = read_kept(Cursor, text)
    links = [link for half in (cursor.ours, cursor.others) for link in (half.at, half.begun_at) if link] if cursor is not None else []
    return cursor if all(client.local_or_none(link) is not None for link in links) else None


class Changes:
    """Pages of changes of one mailbox."""

    def __init__(self, client: GraphClient, reader: Reader, held: Held, page_size: int) -> None:
        self._client = client
        self._reader = reader
        self._held = held
        self._page_size = page_size

    def page(self, cursor: str, columns: Sequence[str], *, folder_id: str, category: str) -> ContactChanges:
        """Returns the next page of changes. One call where nothing changed, and where no listing lacks what was asked for."""
        state = read_cursor(cursor, self._client) if cursor else BEGINNING
        is_restart = state is None
        state = state or BEGINNING
        if not folder_id:  # of a mailbox that has none of ours yet, only the default folder tells anything
            state = replace(state, ours=Half(is_done=True))
        properties = codec.properties_of(columns)
        pages: dict[str, _Page] = {}
        server_time = None
        for _ in range(RESTARTS):
            asked = [name for name in ("ours", "others") if name not in pages and not self._half(state, name).is_done]
            if not asked:
                break
            replies = dict(zip(asked, self._ask(state, asked, folder_id, properties), strict=True))
            server_time = server_time or next(iter(replies.values())).answer.server_time
            dead = [name for name, reply in replies.items() if faults.is_dead_token(reply.status, reply.body)]
            for name, reply in replies.items():
                if name not in dead:
                    pages[name] = self._read(name, reply, self._half(state, name))
            if "ours" in dead:
                is_restart = is_restart or state.ours.is_under_way
                state, pages = self._without_ours(state, pages)
            if "others" in dead:
                state = replace(state, others=Half())
        else:
            if any(name not in pages and not self._half(state, name).is_done for name in ("ours", "others")):
                raise OutcomeUnknown("knows none of its own links to changes", system=SYSTEM)
        return self._told(state, pages, columns, category, is_restart=is_restart, server_time=server_time)

    @staticmethod
    def _half(state: Cursor, name: str) -> Half:
        return state.ours if name == "ours" else state.others

    @staticmethod
    def _without_ours(state: Cursor, pages: dict[str, _Page]) -> tuple[Cursor, dict[str, _Page]]:
        """Starts our folder anew. In the middle of a round the other half goes back to where its own began."""
        if not state.ours.is_under_way:
            return replace(state, ours=Half(), is_whole=True), pages
        begun_at = state.others.begun_at
        return Cursor(Half(), Half(begun_at, begun_at), is_whole=True), {}

    # --- asking -------------------------------------------------------------------------------------------------------

    def _ask(self, state: Cursor, names: Sequence[str], folder_id: str, properties: Sequence[str]) -> list[Reply]:
        parts = []
        for name in names:
            link = self._half(state, name).at
            select = ",".join(properties) if name == "ours" else "categories"
            folder = segment(folder_id) if name == "ours" else "contacts"
            start = address(f"{self._client.root}/contactFolders/{folder}/contacts/delta", select=select)
            parts.append(Part("GET", self._client.local(link) if link else start, _TEMPLATE, page_size=self._page_size))
        return self._client.read_all(parts)

    def _read(self, name: str, reply: Reply, half: Half) -> _Page:
        """Returns what an answer says. Raises RecordGone with the code "folder" when our folder is gone."""
        if not reply.is_good:
            raise self._refusal(name, reply)
        body = reply.body if isinstance(reply.body, dict) else {}
        rows, following, end = body.get("value"), body.get("@odata.nextLink"), body.get("@odata.deltaLink")
        link = following or end
        if not isinstance(rows, list) or not isinstance(link, str) or bool(following) == bool(end) or following == half.at:
            raise self._client.unreadable(reply, is_read=True)
        self._client.local(link)  # refused here, before it is kept
        found: dict[str, Any] = {}
        for row in rows:
            id_ = codec.id_of(row)
            if not id_:
                raise self._client.unreadable(reply, is_read=True)
            found[id_] = None if "@removed" in row else row  # what was said last holds
        return _Page(found, Half(link, half.begun_at, is_done=bool(end)), reply)

    def _refusal(self, name: str, reply: Reply) -> Exception:
        error = self._client.error_of(reply, is_read=True)
        if not isinstance(error, RecordGone):
            return error
        if name == "ours":
            return faults.folder_gone(error)
        return MailboxRefused("has no folder of contacts in this mailbox", system=SYSTEM, status=error.status, exchange=error.exchange)

    # --- telling ------------------------------------------------------------------------------------------------------

    def _told(
        self,
        state: Cursor,
        pages: Mapping[str, _Page],
        columns: Sequence[str],
        category: str,
        *,
        is_restart: bool,
        server_time: datetime | None,
    ) -> ContactChanges:
        ours, others = pages.get("ours"), pages.get("others")
        inside = self._inside(ours, columns) if ours is not None else ()
        outside = self._outside(others, category) if others is not None else ()
        if ours is not None:
            state = replace(state, ours=ours.half)
        if others is not None:
            state = replace(state, others=others.half)
        is_last = state.ours.is_done and state.others.is_done
        following = state
        if is_last:
            ends = [Half(half.at, half.at) for half in (state.ours, state.others)]
            following = Cursor(ends[0], ends[1], is_whole=False)
        return ContactChanges(
            inside=inside,
            outside=outside,
            gone=_gone(ours),
            gone_outside=_gone(others),
            cursor=following.text(),
            is_last=is_last,
            is_whole=state.is_whole,
            is_restart=is_restart,
            server_time=server_time,
        )

    def _inside(self, page: _Page, columns: Sequence[str]) -> tuple[Record, ...]:
        """Returns the contacts of our folder that are new or changed. What no listing brings is read, and what a listing
        leaves out of a contact: it is not blank. A contact that left meanwhile is told of by the next round."""
        rows = {id_: row for id_, row in page.rows.items() if row is not None}
        wanted = codec.properties_of(columns)
        if codec.extended_of(columns):
            to_read = list(rows)
        else:
            to_read = [id_ for id_, row in rows.items() if any(name not in row for name in wanted) or not codec.etag_of(row)]
        if to_read:
            read = {codec.id_of(row): row for row in self._reader.rows(to_read, columns)}
            rows |= {id_: read.get(id_) for id_ in to_read}
        records = []
        for row in rows.values():
            if row is None or not self._reader.is_ours(row):
                continue
            if not codec.is_sound(row):
                raise self._client.unreadable(page.reply, is_read=True)
            self._held.keep(row)
            records.append(codec.read_contact(row, place=INSIDE, columns=[*columns, CATEGORIES, PLACE]))
        return tuple(records)

    def _outside(self, page: _Page, category: str) -> tuple[Sighting, ...]:
        """Returns the sightings. A row without its categories is asked for them, and for nothing else (I7)."""
        rows = {id_: row for id_, row in page.rows.items() if row is not None}
        silent = [id_ for id_, row in rows.items() if "categories" not in row]
        parts = [
            Part("GET", address(f"{self._client.root}/contacts/{segment(id_)}", select="categories"), CONTACT_TEMPLATE) for id_ in silent
        ]
        for id_, reply in zip(silent, self._client.read_all(parts), strict=True):
            if reply.is_good:
                rows[id_] = {"categories": None, **(reply.body if isinstance(reply.body, dict) else {"categories": 0})}
            elif isinstance(error := self._client.error_of(reply, is_read=True), RecordGone):
                del rows[id_]
            else:
                raise error
        if not all(isinstance(row["categories"], list | None) for row in rows.values()):
            raise self._client.unreadable(page.reply, is_read=True)
        return tuple(Sighting(id_, codec.is_among(category, row["categories"] or ())) for id_, row in rows.items())


def _gone(page: _Page | None) -> tuple[str, ...]:
    return tuple(id_ for id_, row in page.rows.items() if row is None) if page is not None else ()
