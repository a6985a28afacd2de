"""What happened in a mailbox since a cursor: the lists of changes of our folder and of the folder that personal contacts lie in.

Our folder comes first, the other one after it: a contact that was dragged from one to the other has a new id there, and whoever
hears that it left must hear in the same breath where it went. A list tells ids; what is new or changed in our folder is then
read, many a call. In a round from the start both lists go page by page; later the other one is read to its end at once. Whether
anything happened at all is asked first, in one call for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from exchangelib import Contact

from connectors.contract import Record
from connectors.cursors import KeptCursor, read_kept
from connectors.errors import MailboxRefused, OutcomeUnknown, RecordGone
from connectors.exchange import codec, models
from connectors.exchange.client import EwsClient
from connectors.exchange.folders import CONTACTS_FOLDER, Folders
from connectors.exchange.reading import Reader
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.exchange.syncing import SyncPage, sync
from connectors.exchange.watching import TRUSTED_FOR, Watch, begin, hear
from connectors.mailboxes import INSIDE, ContactChanges, Sighting
from connectors.text import read_instant

MOST_PAGES = 1000  # of the other list in one call; a list that never ends would be read for ever


@dataclass(frozen=True, slots=True)
class Cursor(KeptCursor):
    """Where a round stands: of each list the state to go on with, and of the other one what its round began with. `is_whole`: that
    of our folder lists everything that is there. `is_ours_done`: nothing is left of it in this round. `watch_id`, `watermark`: the
    subscription to both; `read_at`: when the lists were read last, by the server's clock."""

    folder: str
    ours: str = ""
    others: str = ""
    others_began: str = ""
    is_whole: bool = True
    is_ours_done: bool = False
    is_between: bool = False
    watch_id: str = ""
    watermark: str = ""
    read_at: str = ""


def read_cursor(text: str, folder: str) -> Cursor | None:
    """Returns the cursor, None for a text that is none of ours, or another folder's."""
    cursor = read_kept(Cursor, text)
    return cursor if cursor is not None and cursor.folder == folder else None


class Changes:
    """Pages of changes of one mailbox's contacts."""

    def __init__(self, client: EwsClient, reader: Reader, folders: Folders, settings: ExchangeSettings) -> None:
        self._client = client
        self._reader = reader
        self._folders = folders
        self._settings = settings

    def page(self, text: str, columns: Sequence[str], *, category: str) -> ContactChanges:
        """Returns the next page of changes. One call where nothing happened; Exchange lists one folder a call."""
        folder = self._folders.ours
        at = read_cursor(text, folder) if text else None
        is_restart = bool(text) and at is None
        at = at or Cursor(folder)
        if folder and at.is_between and at.watch_id:
            heard = hear(self._client, Watch(at.watch_id, at.watermark))
            watch = heard.watch if heard is not None else Watch()
            at = replace(at, watch_id=watch.id, watermark=watch.mark)
            if heard is not None and heard.is_quiet and _is_fresh(at.read_at, heard.server_time):
                return ContactChanges((), (), (), (), at.text(), is_last=True, is_whole=False, server_time=heard.server_time)
        if folder and not at.watch_id and (at.is_between or not text):  # before the lists, so that nothing falls in between
            watch = begin(self._client, [folder, CONTACTS_FOLDER])
            at = replace(at, watch_id=watch.id, watermark=watch.mark)
        ours: SyncPage | None = None
        if folder and not at.is_ours_done:
            if at.is_whole:
                self._folders.verify()
            ours = self._list(folder, at.ours)
            if ours is None:
                is_restart = is_restart or not at.is_between
                began = at.others_began
                at = Cursor(folder, others=began, others_began=began, watch_id=at.watch_id, watermark=at.watermark)
                self._folders.verify()
                ours = self._list(folder, "")
            if ours is None:
                raise OutcomeUnknown("knows no list of changes of its own", system=SYSTEM)
            at = replace(at, ours=ours.state, is_ours_done=ours.is_last, is_between=False)
        elif not folder:  # of a mailbox that has none of ours yet, only the other folder tells anything
            at = replace(at, is_ours_done=True, is_between=False)
        others: list[SyncPage] = []
        is_last = False
        if at.is_ours_done if at.is_whole and folder else (at.is_ours_done or (ours is not None and ours.gone)):
            at, others, is_last = self._others(at, is_drained=not at.is_whole)
        return self._told(at, ours, others, columns, category, is_last=is_last and at.is_ours_done, is_restart=is_restart)

    def _list(self, folder_id: str, state: str, paths: Sequence[object] = ()) -> SyncPage | None:
        return sync(self._client, folder_id, state, paths, most=self._settings.changes_a_page)

    def _others(self, at: Cursor, *, is_drained: bool) -> tuple[Cursor, list[SyncPage], bool]:
        """Returns the cursor behind the next page of the other folder, or behind all of them; the pages; and whether it is at its
        end. Of each contact there it asks for the categories and for our own mark, and for nothing else (I7)."""
        paths = [models.path(Contact, "categories"), models.path(Contact, models.FOREIGN)]
        pages: list[SyncPage] = []
        for _ in range(MOST_PAGES):
            try:
                page = self._list(CONTACTS_FOLDER, at.others, paths) or self._list(CONTACTS_FOLDER, "", paths)
            except RecordGone as gone:
                detail = "has no folder of contacts in this mailbox"
                raise MailboxRefused(detail, system=SYSTEM, exchange=gone.exchange) from gone
            if page is None:
                break
            at = replace(at, others=page.state)
            pages.append(page)
            if page.is_last or not is_drained:
                return at, pages, page.is_last
        raise OutcomeUnknown("lists changes without end", system=SYSTEM)

    def _told(
        self,
        at: Cursor,
        ours: SyncPage | None,
        others: Sequence[SyncPage],
        columns: Sequence[str],
        category: str,
        *,
        is_last: bool,
        is_restart: bool,
    ) -> ContactChanges:
        elsewhere: dict[str, Sighting | None] = {}
        for page in others:
            for id_, item in page.items.items():
                elsewhere[id_] = None if item is None else _sighting(id_, item, category)
            for id_ in [id_ for id_, item in page.there.items() if not codec.is_contact(item)]:
                del elsewhere[id_]  # a list of addresses
        following = at
        if is_last:
            read_at = self._server_time(ours, others)
            following = replace(
                at,
                others_began=at.others,
                is_whole=False,
                is_ours_done=not at.folder,
                is_between=True,
                read_at=read_at.isoformat() if read_at is not None else "",
            )
        return ContactChanges(
            inside=self._inside(ours, columns) if ours is not None else (),
            outside=tuple(one for one in elsewhere.values() if one is not None),
            gone=ours.gone if ours is not None else (),
            gone_outside=tuple(id_ for id_, one in elsewhere.items() if one is None),
            cursor=following.text(),
            is_last=is_last,
            is_whole=at.is_whole,
            is_restart=is_restart,
            server_time=self._server_time(ours, others),
        )

    @staticmethod
    def _server_time(ours: SyncPage | None, others: Sequence[SyncPage]) -> datetime | None:
        pages = [*([ours] if ours is not None else []), *others]
        return pages[0].server_time if pages else None

    def _inside(self, page: SyncPage, columns: Sequence[str]) -> tuple[Record, ...]:
        """Returns the contacts of our folder that are new or changed. One that left meanwhile is told of by the next round."""
        ids = [id_ for id_, item in page.there.items() if codec.is_contact(item)]
        rows = self._reader.rows(ids, columns) if ids else []
        return tuple(codec.read_contact(row, columns, place=INSIDE) for row in rows if row.folder_id == self._folders.ours)


def _is_fresh(read_at: str, now: datetime | None) -> bool:
    at = read_instant(read_at)
    return at is not None and now is not None and now - at < TRUSTED_FOR


def _sighting(id_: str, item: object, category: str) -> Sighting:
    held = models.extended(item).get(models.FOREIGN)
    return Sighting(id_, codec.is_among(category, models.categories(item)), held or "")
