"""What the mails of a mailbox do alike where a category shares them: at Microsoft and at Exchange."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from connectors.mail_reach import Wanted
from connectors.mail_texts import texts_withheld
from connectors.mails import Known, MailChanges, WholeMails, knows_none


class Rounds(Protocol):
    def page(self, text: str, since: datetime, wanted: Wanted, known: Known) -> MailChanges: ...


class Reads(Protocol):
    def read(self, ids: Sequence[str]) -> WholeMails: ...


class CategoryMails:
    """The mails of one mailbox, by what its system reads them with."""

    _wanted: Wanted
    _rounds: Rounds
    _reader: Reads

    def use_category(self, category: str) -> None:
        self._wanted.category = category

    def use_reach(self, *, everything: bool = False, threads: Collection[str] = ()) -> None:
        self._wanted.is_everything, self._wanted.threads = everything, frozenset(threads)

    @texts_withheld()
    def mail_changes(self, cursor: str, since: datetime, *, known: Known = knows_none) -> MailChanges:
        return self._rounds.page(cursor, since, self._wanted, known)

    @texts_withheld()
    def read(self, ids: Sequence[str]) -> WholeMails:
        return self._reader.read(ids)
