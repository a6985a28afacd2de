"""Mailboxes as the engine sees them: one `ContactBox` per address, whatever mail system it lives in.

A contact is a `Record` of object type CONTACT with the same flat fields in every system, so that one mapping table serves
Microsoft, Google and Exchange. A field holds a canonical value: text, a `date` (birthday), or a tuple of texts. Where a
mailbox holds more than the fields have room for (a fourth e-mail address, a second employer), the rest stays untouched in
the mailbox whatever is written, and `BEYOND` tells of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol, TypeGuard

from connectors.contract import Attribute, CallCount, Check, Connector, Record, Schema, Write, WriteResult
from connectors.errors import ConnectorError, MailboxRefused, Rejected

CONTACT = "contact"
CATEGORIES, FOREIGN_ID, PLACE, BEYOND = "categories", "foreignId", "place", "beyond"
FOLDER_GONE = "folder"  # the code of RecordGone when our own folder is not there any more
FORBIDDEN = 403
INSIDE, OUTSIDE, BIN = "inside", "outside", "bin"  # what PLACE holds: in our folder, elsewhere in the mailbox, deleted

_ADDRESS = ("Street", "City", "State", "PostalCode", "Country")


def _attributes() -> Iterator[Attribute]:
    texts = (
        ("displayName", "Full name", 256),
        ("title", "Title (honorific)", 64),
        ("givenName", "First name", 128),
        ("middleName", "Middle name", 128),
        ("surname", "Last name", 128),
        ("generation", "Suffix", 32),
        ("nickName", "Nickname", 128),
        ("email1", "E-mail 1", 255),
        ("email2", "E-mail 2", 255),
        ("email3", "E-mail 3", 255),
        ("businessPhone", "Business phone", 64),
        ("businessPhone2", "Business phone 2", 64),
        ("mobilePhone", "Mobile phone", 64),
        ("homePhone", "Home phone", 64),
        ("homePhone2", "Home phone 2", 64),
        ("otherPhone", "Other phone", 64),
        ("businessFax", "Business fax", 64),
        ("assistantPhone", "Assistant's phone", 64),
        ("companyName", "Company", 255),
        ("department", "Department", 128),
        ("jobTitle", "Job title", 255),
        ("assistantName", "Assistant", 128),
        ("webPage", "Web page", 255),
        ("notes", "Notes", 32_000),
    )
    for name, title, longest in texts:
        yield Attribute(name, title, "text", max_length=longest)
    for kind in ("business", "home", "other"):
        for part in _ADDRESS:
            words = {"PostalCode": "postal code"}.get(part, part.lower())
            yield Attribute(f"{kind}{part}", f"{kind.capitalize()} address: {words}", "text", max_length=255)
    yield Attribute("birthday", "Birthday", "date")
    yield Attribute(CATEGORIES, "Categories", "list")
    yield Attribute(FOREIGN_ID, "Salesforce ID", "text", max_length=255)
    yield Attribute(PLACE, "Where it lies", "text", is_creatable=False, is_updatable=False, choices=(INSIDE, OUTSIDE, BIN))
    yield Attribute(BEYOND, "Further values", "list", is_creatable=False, is_updatable=False)


CONTACT_SCHEMA = Schema(CONTACT, {attribute.name: attribute for attribute in _attributes()})


@dataclass(frozen=True, slots=True)
class MailboxUser:
    """A person of the directory who has, or may have, a mailbox."""

    id: str
    address: str
    name: str = ""
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of contacts; at Google a label."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """A contact outside our folder that is new or changed. No more of it is read than this (I7). `foreign_id` is our own mark, where
    ids change with a move, and it is what tells that a contact of ours was taken out."""

    id: str
    has_category: bool
    foreign_id: str = ""


@dataclass(frozen=True, slots=True)
class ContactChanges:
    """One page of what happened in a mailbox since a cursor.

    `inside`: contacts in our folder that are new or changed, with the fields asked for, CATEGORIES and PLACE; FOREIGN_ID only
    where the listing brings it. `outside`: changed contacts elsewhere. `gone`: ids that left our folder, deleted or moved;
    `gone_outside`: ids that left the place where personal contacts lie. The same id may come several times and in any order;
    what was said last holds. `renamed`: an id that changed, old to new.

    `is_last`: the round ends with this page. `is_whole`: the round lists everything that is there, since there was no cursor,
    or a dead one: what does not appear in it is gone. `is_restart`: the cursor died in the middle of a round; what earlier
    pages of this round said counts no more.
    """

    inside: tuple[Record, ...]
    outside: tuple[Sighting, ...]
    gone: tuple[str, ...]
    gone_outside: tuple[str, ...]
    cursor: str
    is_last: bool
    is_whole: bool
    is_restart: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)
    server_time: datetime | None = None


class ContactBox(Connector, Protocol):
    """The contacts of one mailbox. It is a `Connector` whose object type is CONTACT, and what only mailboxes have.

    Of `Connector`: `read` and `find_marked` return contacts wherever they lie, with FOREIGN_ID and PLACE; `read` of ids
    that were deleted leaves them out, also those in the bin unless PLACE is among the columns. `write` creates in our
    folder (`use_folder`), with `Write.marker` as FOREIGN_ID; one that sets PLACE to INSIDE is `bring_in`, through the
    journal; an update sends the fields named and no others, rests on `Write.version`, and keeps what the mailbox holds
    BEYOND; a delete moves to the bin. `settle_seconds` as in `Connector`. `changes`, `scan`, `find` and `count` are not for
    mailboxes and raise NotImplementedError.
    """

    address: str

    def use_folder(self, folder_id: str, category: str) -> None:
        """Says which folder is ours from now on, and the category that shares a contact. A mailbox that has no such folder yet
        is looked at with "": then only what lies elsewhere is told."""
        ...

    def folders(self, name: str) -> list[Folder]:
        """Returns the contact folders of exactly this name, the oldest first."""
        ...

    def make_folder(self, name: str) -> Folder:
        """Creates the folder, or returns the one that bears the name already. Never makes a second one."""
        ...

    def make_category(self, name: str) -> None:
        """Sees to it that the mailbox knows the category. One that is there is left as it is."""
        ...

    def contact_changes(self, cursor: str, columns: Sequence[str]) -> ContactChanges:
        """Returns the next page of changes behind `cursor`, "" for a round from the start. Raises RecordGone with code
        "folder" when our folder is not there any more; nothing is concluded about its contacts then."""
        ...

    def bring_in(self, id_: str, marker: str) -> Record:
        """Brings a contact from outside into our folder, with the category and `marker` as FOREIGN_ID, and returns it as it
        lies there. Where a system cannot move contacts, a copy is made, read back and compared, and only then the original
        goes to the bin; it has another id afterwards. Called again after an interruption it finishes what it began."""
        ...

    def check_mailbox(self) -> list[Check]:
        """Tries what the product needs of this mailbox and returns a line for each. Writes nothing."""
        ...

    def owner_addresses(self) -> list[str]:
        """Returns the addresses, in lower case, of whoever consented for this mailbox; none where the system does not say. Raises
        ConnectorError."""
        ...


class OpensMailboxes(Protocol):
    """A connection that leads to many mailboxes."""

    def mailbox(self, address: str) -> ContactBox:
        """Returns the contacts of one mailbox. Costs no call."""
        ...

    def users(self) -> Iterator[list[MailboxUser]]:
        """Yields the directory, a page at a time."""
        ...

    def counts(self) -> CallCount:
        """Returns the calls made so far, of all mailboxes together."""
        ...


def told_of_records(results: Sequence[WriteResult]) -> list[WriteResult]:
    """Returns the results of one call with what was forbidden of single contacts as these contacts' own refusal: a mailbox that
    lets us read, and write others, is not closed to us (D11). Where all of several are forbidden it is."""
    told = [replace(r, error=_of_record(r.error)) if _is_forbidden(r.error) else r for r in results]
    are_all = len(results) > 1 and all(_is_forbidden(r.error) for r in results)
    return list(results) if are_all else told


def _is_forbidden(error: Exception | None) -> TypeGuard[MailboxRefused]:
    return isinstance(error, MailboxRefused) and error.status == FORBIDDEN and not error.is_gone


def _of_record(error: MailboxRefused) -> Rejected:
    said = error.detail.partition(": ")[2] or error.detail
    detail = f"does not let us write this contact: {said}"
    return Rejected(detail, system=error.system, status=error.status, code=error.code, exchange=error.exchange)


def write_or_bring_in(
    writes: Sequence[Write], write: Callable[[Sequence[Write]], list[WriteResult]], bring_in: Callable[[str, str], Record]
) -> list[WriteResult]:
    """Carries writes out: one that sets PLACE to INSIDE asks to bring the contact in, with FOREIGN_ID as
    its marker, and its result holds the contact as it lies in our folder; the others go out together. Raises as `write` does."""
    rest = [one for one in writes if not _is_move(one)]
    written = iter(write(rest) if rest else ())
    return [_brought(one, bring_in) if _is_move(one) else next(written) for one in writes]


def _is_move(one: Write) -> bool:
    return one.ref is not None and one.fields.get(PLACE) == INSIDE


def _brought(one: Write, bring_in: Callable[[str, str], Record]) -> WriteResult:
    assert one.ref is not None
    try:
        return WriteResult(one.key, record=bring_in(one.ref.id, str(one.fields.get(FOREIGN_ID) or "")))
    except ConnectorError as error:
        return WriteResult(one.key, error=error, exchange=error.exchange)
