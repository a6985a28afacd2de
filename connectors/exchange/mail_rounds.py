"""What is new in a mailbox's mails since a cursor: our folder by its list of changes, everything else by when it was changed. Whether
anything happened at all is asked first, in one call for all folders (engine-rules 39).

A search goes over all folders in one call. It begins a moment before the last round did, so that a mail that was marked in that
moment is not missed; what the last round found, and is as it was then, is left out. A mail may still come twice: whoever takes mails
knows them by their Message-ID.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors import mails
from connectors.cursors import KeptCursor, read_kept
from connectors.errors import OutcomeUnknown
from connectors.exchange import mail_codec as codec
from connectors.exchange import models
from connectors.exchange.client import EwsClient
from connectors.exchange.codec import is_among
from connectors.exchange.folders import ROOT
from connectors.exchange.mail_reading import MailPlaces, MailReader, bears, compared, joined, restriction
from connectors.exchange.settings import SYSTEM, ExchangeSettings
from connectors.exchange.syncing import sync
from connectors.exchange.watching import Watch, is_quiet, over, with_watch
from connectors.mail_reach import MARKS_ALONE, REACHES, Wanted
from connectors.mails import Known, MailChanges
from connectors.text import read_instant, spelt

OVERLAP = timedelta(minutes=2)
MOST_PAGES = 1000
MOST_REMEMBERED = 500  # mails that a search found; of more they come again


@dataclass(frozen=True, slots=True)
class Cursor(KeptCursor):
    """Where rounds stand: the state of our folder, when the last search began, how far it reached, and what it found, by digest; and
    the subscription to all folders that are searched."""

    folder: str
    state: str
    searched_at: str
    reach: int
    category: str
    found: tuple[str, ...] = ()
    watch: Watch = Watch()


def read_cursor(text: str) -> Cursor | None:
    """Returns the cursor, None for a text that is none of ours."""
    cursor = read_kept(Cursor, text, with_watch)
    return cursor if cursor is not None and read_instant(cursor.searched_at) is not None else None


@dataclass(slots=True)
class _Heard:
    """What one round heard: how each mail came in, and what left our folder."""

    shared: dict[str, str] = field(default_factory=dict)
    gone: dict[str, None] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)
    state: str = ""
    at: datetime | None = None
    is_whole: bool = False


class MailRounds:
    """Rounds over one mailbox, each in one page."""

    def __init__(self, client: EwsClient, reader: MailReader, places: MailPlaces, settings: ExchangeSettings) -> None:
        self._client, self._reader, self._places, self._settings = client, reader, places, settings

    def page(self, text: str, since: datetime, wanted: Wanted, known: Known) -> MailChanges:
        """Returns what is new. Raises RecordGone with the code "folder" when our folder is not there any more."""
        at = read_cursor(text) if text else None
        reach = REACHES.index(wanted.reach)
        is_restart = bool(text) and at is None
        if at is not None and (at.folder != self._places.folders.ours or at.reach < reach or at.category != wanted.category):
            at = None
        watch, is_still = is_quiet(self._client, at.watch) if at is not None else (Watch(), False)
        if at is not None and is_still:
            return MailChanges((), (), replace(at, watch=watch).text(), is_last=True, is_whole=False)
        folders = self._places.searched() if wanted.category or reach else []
        watch = over(self._client, watch, [ROOT, *folders]) if folders and self._places.folders.ours else watch
        heard = _Heard(is_whole=at is None)
        self._hear_folder(at.state if at is not None else "", heard)
        begins = since if heard.is_whole or at is None else (read_instant(at.searched_at) or since) - OVERLAP
        before = frozenset() if heard.is_whole or at is None else frozenset(at.found)
        self._search(folders, begins, since, wanted, heard, before)
        done = set(known(list(heard.shared))) if heard.shared else set()
        told = self._reader.read([id_ for id_ in heard.shared if id_ not in done], shared=heard.shared)
        searched_at = (heard.at or since).astimezone(UTC).isoformat()
        found, watch = tuple(heard.found[:MOST_REMEMBERED]), watch.was_read(heard.at)
        cursor = Cursor(self._places.folders.ours, heard.state, searched_at, reach, wanted.category, found, watch)
        return MailChanges(
            mails=tuple(mail.record for mail in told.mails),
            gone=tuple(dict.fromkeys((*heard.gone, *told.gone))),
            cursor=cursor.text(),
            is_last=True,
            is_whole=heard.is_whole,
            is_restart=is_restart,
            unreadable=told.unreadable,
        )

    def _hear_folder(self, state: str, heard: _Heard) -> None:
        ours = self._places.folders.ours
        for _ in range(MOST_PAGES if ours else 0):
            page = sync(self._client, ours, state, (), most=self._settings.changes_a_page)
            if page is None:  # the state is known no more: everything from the start
                heard.is_whole, state, heard.shared, heard.gone = True, "", {}, {}
                continue
            heard.at = heard.at or page.server_time
            state = heard.state = page.state
            for id_, item in page.items.items():
                if item is None:
                    heard.gone[id_] = None
                    heard.shared.pop(id_, None)
                elif item.tag in codec.TAGS:
                    heard.shared[id_] = mails.BY_FOLDER
                    heard.gone.pop(id_, None)
            if page.is_last:
                return
        if ours:
            raise OutcomeUnknown("lists changes without end", system=SYSTEM)

    def _search(
        self, folders: Sequence[str], begins: datetime, since: datetime, wanted: Wanted, heard: _Heard, before: Collection[str]
    ) -> None:
        kinds = [bears(wanted.category)] if wanted.category else []
        if wanted.reach != MARKS_ALONE:
            kinds.append(compared("IsGreaterThanOrEqualTo", "item:DateTimeReceived", spelt(since)))
        if not kinds:
            return
        changed = compared("IsGreaterThanOrEqualTo", "item:LastModifiedTime", spelt(begins))
        for element in self._reader.search(restriction(joined("And", [changed, joined("Or", kinds)])), folders):
            shared_by = self._why(element, wanted)
            digest = hashlib.blake2b(" ".join(models.id_of(element)).encode(), digest_size=8).hexdigest()
            heard.found.append(digest)
            if shared_by is not None and digest not in before:
                heard.shared.setdefault(models.id_of(element)[0], shared_by)

    def _why(self, element: Any, wanted: Wanted) -> str | None:
        """Returns how a mail comes in, None for one that was not asked for."""
        place = self._places.of(codec.folder_of(element))
        if place == mails.OURS:
            return mails.BY_FOLDER
        if is_among(wanted.category, models.categories(element)):
            return mails.BY_CATEGORY
        if wanted.threads and codec.conversation_of(element) in wanted.threads:
            return mails.BY_THREAD
        return mails.BY_NOTHING if wanted.is_everything and place in (mails.INBOX, mails.SENT) else None
