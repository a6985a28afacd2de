"""A mailbox of a played mail system, and what its user does with mails there, in words that are the same for every system."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from connectors.contract import Record
from connectors.mails import Known, MailBox, knows_none
from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from tests.boxes import CONNECT
from tests.sandboxed import Clock

FOLDER, CATEGORY = "Salesforce Emails", "Salesforce"
BO = "Bo Li <bo@acme.example>"
_LABELS = {"Inbox": ["INBOX"], "Sent Items": ["SENT"], "Archive": [], "Deleted Items": ["TRASH"], FOLDER: ["INBOX", FOLDER]}


@dataclass
class Round:
    """Everything that one round told."""

    mails: list[Record] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    unreadable: list[Record] = field(default_factory=list)
    cursor: str = ""
    pages: int = 0
    is_whole: bool = False
    is_restart: bool = False

    @property
    def subjects(self) -> list[str]:
        return sorted({str(mail.fields["subject"]) for mail in self.mails})

    def shared(self) -> dict[str, str]:
        """Returns how each mail came in, by subject."""
        return {str(mail.fields["subject"]): str(mail.fields["sharedBy"]) for mail in self.mails}


@dataclass
class Mailing:
    """One system, a connection to it, and Ann's mails."""

    system: str
    world: World
    clock: Clock
    connector: Any
    box: MailBox
    address: str
    since: datetime
    cursor: str = ""

    @property
    def played(self) -> Any:
        return self.world.systems[self.system]

    @property
    def by_mark(self) -> str:
        """How a mail comes in that was marked."""
        return "category" if self.box.has_categories else "folder"

    def put(self, subject: str, *, folder: str = "Inbox", marked: bool = False, address: str = "", **values: Any) -> str:
        """Lays a mail into a mailbox, as if it had come, or been sent. Returns the id under which the engine knows it."""
        make = self._put_microsoft if self.system == "microsoft" else self._put_google
        return make(subject, folder, marked, {"mailbox": address or self.address, "from": BO, **values})

    def _put_microsoft(self, subject: str, folder: str, marked: bool, values: dict[str, Any]) -> str:
        given = {_NAMES.get(name, name): value for name, value in values.items()}
        given |= {"subject": subject, "folder": folder, **({"categories": [CATEGORY]} if marked else {})}
        return str(self.played.create_record("message", given)["immutableId"])

    def _put_google(self, subject: str, folder: str, marked: bool, values: dict[str, Any]) -> str:
        labels = [*_LABELS[folder], *([FOLDER] if marked and folder != FOLDER else [])]
        given = {name: value for name, value in values.items() if name != "isDraft"}
        labels += ["DRAFT"] if values.get("isDraft") else []
        return str(self.played.create_record("message", {**given, "subject": subject, "labels": labels})["gmailId"])

    def row(self, id_: str) -> dict[str, Any]:
        return dict(self.played.get_record("message", self.played.find_id("message", id_)))

    def edit(self, id_: str, **values: Any) -> None:
        self.played.update_record("message", self.played.find_id("message", id_), values)

    def mark(self, id_: str) -> None:
        """Marks a mail, as its user does."""
        if self.system == "microsoft":
            self.edit(id_, categories=[*self.row(id_)["categories"], CATEGORY])
        else:
            self.edit(id_, labels=[*self.row(id_)["labels"], FOLDER])

    def move(self, id_: str, folder: str) -> None:
        """Drags a mail into a folder; at Google it gets the label, beside those it has."""
        if self.system == "microsoft":
            self.edit(id_, folder=folder)
        elif folder == FOLDER:
            self.mark(id_)
        else:
            self.edit(id_, labels=_LABELS[folder])

    def touch(self, id_: str) -> None:
        """Reads a mail, as its user does."""
        if self.system == "microsoft":
            self.edit(id_, isRead=True)
        else:
            self.edit(id_, labels=[*self.row(id_)["labels"], "STARRED"])

    def drop(self, id_: str) -> None:
        """Deletes a mail for good."""
        for _ in range(2 if self.system == "microsoft" else 1):  # first into the bin
            self.played.delete_record("message", self.played.find_id("message", id_))

    def is_marked(self, id_: str) -> bool:
        row = self.row(id_)
        return CATEGORY in row["categories"] if self.system == "microsoft" else FOLDER in row["labels"]

    def lose_cursors(self) -> None:
        """Makes every cursor that was given out too old."""
        if self.system == "microsoft":
            self.played.expire_delta()
        else:
            self.played.gmail.by_hand.expire_history({"mailbox": self.address})

    def round(self, *, known: Known = knows_none) -> Round:
        """Goes through one round of changes, and remembers where the next begins."""
        told = Round()
        while True:
            page = self.box.mail_changes(self.cursor, self.since, known=known)
            told.mails += page.mails
            told.gone |= set(page.gone)
            told.unreadable += page.unreadable
            told.pages += 1
            told.is_whole = told.is_whole or page.is_whole
            told.is_restart = told.is_restart or page.is_restart
            told.cursor = self.cursor = page.cursor
            if page.is_last:
                return told

    def calls(self) -> int:
        """Returns the calls since the last look, without those for tokens."""
        counts = self.world.counts[self.system]
        made = sum(n for key, n in counts.items() if "token" not in key and "openid" not in key)
        self.world.forget_calls()
        return made


_NAMES = {"messageId": "internetMessageId", "receivedAt": "receivedDateTime", "thread": "conversation"}


def mailing(system: str, **settings: Any) -> Mailing:
    """Returns an empty world with a connection, and Ann's mailbox with our folder (label), nothing read yet."""
    clock = Clock()
    world = World(scenario="empty", now=clock)
    row = CONNECT[system](world)
    row.settings = {**row.settings, **settings}
    row.save()
    adapter = SandboxAdapter(world)
    opened = open_connector(row, adapter=adapter, db_now=clock, now=clock, clock=lambda: clock().timestamp(), sleep=lambda s: None)
    address = str(world.systems[system].credentials()["mailboxes"][0])
    box: MailBox = opened.mails(address)
    box.use_category(CATEGORY)
    box.use_folder(box.make_folder(FOLDER).id)
    world.forget_calls()
    return Mailing(system, world, clock, opened, box, address, clock().replace(microsecond=0))


def file(name: str, data: bytes, type_: str = "application/pdf") -> dict[str, str]:
    return {"name": name, "contentType": type_, "content": base64.b64encode(data).decode()}


def texts(records: Iterable[Record], field_: str) -> list[Any]:
    return [record.fields[field_] for record in records]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
