"""Mails as the engine sees them: one `MailBox` per mailbox, whatever mail system it lives in.

A mail is a `Record` of object type MAIL with the same flat fields in every system. Mails go one way, out of the mailbox, and
once (S4.19, S4.20): nothing here makes, changes, moves, sends or deletes one. The only write is the mark that shares it.

No more is read of a mailbox than what its user wants to share (I7): lists tell of what was marked, of what lies in our folder,
and beside that only of what was asked for by `use_reach`. Texts and files are read by themselves, of single mails.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from connectors.contract import Attribute, CallCount, Check, Record, Ref, Schema, WriteResult
from connectors.mailboxes import CATEGORIES, Folder

MAIL = "mail"
MESSAGE_ID, SUBJECT, FROM, SENDER, TO, CC, BCC = "messageId", "subject", "from", "sender", "to", "cc", "bcc"
SENT_AT, RECEIVED_AT, IS_DRAFT, IS_OUTGOING, FOLDER = "sentAt", "receivedAt", "isDraft", "isOutgoing", "folder"
THREAD, IN_REPLY_TO, REFERENCES, HAS_ATTACHMENTS = "thread", "inReplyTo", "references", "hasAttachments"
SENSITIVITY, IS_MEETING_MESSAGE, IS_AUTOMATIC, PREVIEW = "sensitivity", "isMeetingMessage", "isAutomatic", "preview"
SHARED_BY, REASON = "sharedBy", "reason"
BY_CATEGORY, BY_FOLDER, BY_THREAD, BY_NOTHING = "category", "folder", "thread", ""  # what SHARED_BY holds
INBOX, SENT, OURS, DRAFTS, BIN, JUNK, ELSEWHERE = "inbox", "sent", "ours", "drafts", "bin", "junk", "elsewhere"  # what FOLDER holds
PEOPLE = (FROM, SENDER, TO, CC, BCC)
TOO_LARGE = "too_large"  # the code of Rejected when an attachment is larger than the caller takes
NO_FILE = "no_file"  # the same of one that is no file: a mail, or a link
READ_AT_ONCE = 20  # mails that `read_whole` reads in one call: as many as to ask for at a time


def _attributes() -> Iterator[Attribute]:
    told = {
        MESSAGE_ID: ("Message-ID", "text"),
        SUBJECT: ("Subject", "text"),
        FROM: ("From", "list"),
        SENDER: ("Sent by", "list"),
        TO: ("To", "list"),
        CC: ("Cc", "list"),
        BCC: ("Bcc", "list"),
        SENT_AT: ("Sent at", "datetime"),
        RECEIVED_AT: ("Received at", "datetime"),
        IS_DRAFT: ("Draft", "boolean"),
        IS_OUTGOING: ("Sent by the mailbox's user", "boolean"),
        FOLDER: ("Folder", "text"),
        CATEGORIES: ("Categories", "list"),
        THREAD: ("Conversation", "text"),
        IN_REPLY_TO: ("In reply to", "text"),
        REFERENCES: ("References", "list"),
        HAS_ATTACHMENTS: ("Has attachments", "boolean"),
        SENSITIVITY: ("Sensitivity", "text"),
        IS_MEETING_MESSAGE: ("Invitation, or an answer to one", "boolean"),
        IS_AUTOMATIC: ("Sent by a machine", "boolean"),
        PREVIEW: ("Preview", "text"),
        SHARED_BY: ("Shared by", "text"),
    }
    for name, (title, type_) in told.items():
        yield Attribute(name, title, type_, is_creatable=False, is_updatable=False)


MAIL_SCHEMA = Schema(MAIL, {attribute.name: attribute for attribute in _attributes()})


@dataclass(frozen=True, slots=True)
class Correspondent:
    """Somebody who wrote or receives a mail; `address` as it was written, in any case of letters, "" where there is none."""

    address: str
    name: str = ""

    @property
    def text(self) -> str:
        return f"{self.address};{self.name}"


def read_correspondent(text: str) -> Correspondent:
    """Returns who a text of PEOPLE names. No address holds a semicolon."""
    address, _, name = text.partition(";")
    return Correspondent(address, name)


def people_of(record: Record, field: str) -> tuple[Correspondent, ...]:
    """Returns those who stand in one of the fields of PEOPLE, in the order of the mail. Nobody where there is none."""
    held = record.fields.get(field)
    return tuple(read_correspondent(text) for text in held) if isinstance(held, tuple) else ()


@dataclass(frozen=True, slots=True)
class MailChanges:
    """One page of what is new in a mailbox since a cursor: mails, not their texts.

    `mails`: new, or newly marked, each once a page, with every field of MAIL_SCHEMA. SHARED_BY says how it came in: by the
    category, by our folder (Google: our label), by a thread that is followed, or "" where everything was asked for. The same
    mail may come again in a later page or round: who takes it knows it by its Message-ID. `gone`: ids that left our folder or
    another place looked at, or that were gone before they could be read; nothing follows from it for what was saved.
    `unreadable`: mails of which nothing can be told but that they are there, each a record with REASON alone.

    `is_last`: the round ends with this page. `is_whole`: the round lists what there is since `since`, and all of our folder,
    since there was no cursor, a dead one, or one of a smaller reach. `is_restart`: the cursor died in the middle of a round.
    """

    mails: tuple[Record, ...]
    gone: tuple[str, ...]
    cursor: str
    is_last: bool
    is_whole: bool
    is_restart: bool = False
    unreadable: tuple[Record, ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """What is attached to a mail; `size` in bytes, as the mail system tells it. One that `is_inline` belongs to the text. One
    that is not `is_file` is a mail or a link, and cannot be opened. `id` stays the same however often the mail is read."""

    id: str
    name: str
    type: str
    size: int
    is_inline: bool = False
    is_file: bool = True


@dataclass(frozen=True, slots=True)
class WholeMail:
    """A mail with its text. `html` and `text` are what the mail holds, "" for what it does not: one that has HTML only has no
    `text`. `newest`: what is new in it, without the mails that it answers, where the mail system tells that, in HTML if
    `newest_is_html`. `attachments` only where they were asked for."""

    record: Record
    text: str = ""
    html: str = ""
    attachments: tuple[Attachment, ...] = ()
    newest: str = ""
    newest_is_html: bool = False


@dataclass(frozen=True, slots=True)
class WholeMails:
    """Mails with their texts, in the order asked for; the ids of those that are not there any more; and those that cannot be
    read, each a record with REASON alone."""

    mails: tuple[WholeMail, ...]
    gone: tuple[str, ...] = ()
    unreadable: tuple[Record, ...] = ()


Known = Callable[[Sequence[str]], Collection[str]]
"""Tells which of these mails (ids) the caller has dealt with for good: no more of them needs to be read."""


def knows_none(ids: Sequence[str]) -> Collection[str]:
    return ()


class MailBox(Protocol):
    """The mails of one mailbox. Thread-safe. Every method raises an error of `connectors.errors`; a mail that is gone or cannot
    be read is told of, and is no error. Ids are those of `Record.ref.id`, the same wherever in the mailbox a mail is moved. What
    SENSITIVITY holds stands in `connectors.calendars` (NORMAL, PERSONAL, HIDDEN).

    `has_categories`: mails bear categories, and a folder is another thing. Where it is False (Google), our label is both: it is
    what `folders`, `make_folder` and `use_folder` speak of, `use_category` and `make_category` do nothing, and what bears the
    label comes in BY_FOLDER.
    """

    system: str
    address: str
    has_categories: bool

    def use_category(self, category: str) -> None:
        """Says which category shares a mail, and is given by `mark`."""
        ...

    def make_category(self, name: str) -> None:
        """Sees to it that the mailbox knows the category. One that is there is left as it is."""
        ...

    def use_folder(self, folder_id: str) -> None:
        """Says which folder (*Salesforce Emails*) shares what lies in it; "" where there is none yet."""
        ...

    def folders(self, name: str) -> list[Folder]:
        """Returns the mail folders of exactly this name, right below the top of the mailbox, the oldest first."""
        ...

    def make_folder(self, name: str) -> Folder:
        """Makes the folder, and returns it; one of this name that is there is returned instead."""
        ...

    def use_reach(self, *, everything: bool = False, threads: Collection[str] = ()) -> None:
        """Says what `mail_changes` tells of beside what was marked: everything that comes into the Inbox or goes out, or what
        belongs to one of these threads; at Google, where mails lie in no folder, everything but drafts, chats, spam and what was
        thrown away. Nothing, if this was never called. A wider reach holds from now on: what came in before
        is told of again as far as `since`."""
        ...

    def mail_changes(self, cursor: str, since: datetime, *, known: Known = knows_none) -> MailChanges:
        """Returns the next page of changes behind `cursor`, "" for a round from the start. A round from the start tells of what
        was marked or came in at or after `since`, and of all that lies in our folder. One call where nothing changed.

        Raises RecordGone with the code `mailboxes.FOLDER_GONE` when our folder (label) is not there any more: look for it, or
        make it, `use_folder`, and go on with the same cursor."""
        ...

    def read(self, ids: Sequence[str]) -> WholeMails:
        """Returns these mails without their texts."""
        ...

    def read_whole(self, ids: Sequence[str], *, with_attachments: bool = False) -> WholeMails:
        """Returns these mails with their texts, and what is attached to them, not the files themselves."""
        ...

    def open_attachment(self, mail_id: str, attachment_id: str, *, most: int) -> bytes:
        """Returns a file of at most so many bytes. Raises Rejected with the code TOO_LARGE or NO_FILE, RecordGone."""
        ...

    def thread_of(self, thread: str, *, most: int = 100) -> list[Record]:
        """Returns the newest mails of a conversation (THREAD), at most so many, the oldest of them first."""
        ...

    def find(self, message_ids: Sequence[str]) -> list[Record]:
        """Returns the mails with these Message-IDs, wherever they lie; several where a mail lies there several times."""
        ...

    def mark(self, ids: Sequence[str]) -> list[WriteResult]:
        """Gives these mails the category (Google: our label), and returns a result for each, by id as its key. One that bears it
        is left as it is. Nobody is told of it but the mailbox itself. Raises RecordGone as `mail_changes` where our label is gone."""
        ...

    def unmark(self, ids: Sequence[str]) -> list[WriteResult]:
        """Takes it from them. A mail that lies in our folder stays there."""
        ...

    def check_mailbox(self) -> list[Check]:
        """Tries what the product needs of these mails and returns a line for each. Writes nothing."""
        ...

    def web_url(self, ref: Ref) -> str:
        """Returns the address of the mail's page for people, "" when no page-address template is set."""
        ...

    def counts(self) -> CallCount:
        """Returns the calls made so far."""
        ...

    def close(self) -> None:
        """Closes the sockets."""
        ...


class OpensMails(Protocol):
    """A connection that leads to the mails of many mailboxes."""

    def mails(self, address: str) -> MailBox:
        """Returns the mails of one mailbox. Costs no call; the caller closes it."""
        ...
