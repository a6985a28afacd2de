"""Many mailboxes from a CSV file: what it would do is shown line by line before anything is done.

The first line names the columns: `address`, and if wanted `group` and `salesforce user` (the e-mail address of the user there,
where it is another one). Each line is read by itself, so that a bad one, an open quotation mark too, stops no other.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from django.contrib.auth.models import AbstractBaseUser

from reconciliation.core.counting import counted
from reconciliation.engine.wiring import Wiring
from reconciliation.models import Connection, Mailbox, MailboxGroup
from reconciliation.services.mailbox_directory import mailboxes_add
from reconciliation.services.mailbox_states import Done
from reconciliation.services.mailboxes import MailboxRefused, address_flaw, refuse_other_systems

MOST_ROWS, MOST_BYTES, LONGEST_LINE = 10_000, 5_000_000, 2_000
ADD, THERE = "add", "there"
SAYS = {ADD: "is added", THERE: "is a mailbox here already; it stays as it is", "": "is left out"}
COLUMNS: Mapping[str, frozenset[str]] = {
    "address": frozenset({"address", "e-mail", "email", "e-mail address", "email address", "mailbox", "mail"}),
    "group": frozenset({"group", "mailbox group"}),
    "crm_email": frozenset({"salesforce user", "salesforce e-mail", "salesforce email", "crm user", "crm e-mail", "crm email"}),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file. `will` is ADD, THERE, or "" where `error` says why it is left out."""

    line: int
    address: str
    group: str = ""
    crm_email: str = ""
    will: str = ""
    error: str = ""
    note: str = ""  # what speaks against it, and stops nothing

    @property
    def says(self) -> str:
        """What happens with it, in words."""
        return self.error or f"{SAYS[self.will]}{f', though {self.note}' if self.note else ''}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a file would do. `errors` concern the file as a whole: nothing of it is done then."""

    rows: tuple[Row, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def added(self) -> int:
        return sum(row.will == ADD for row in self.rows)

    @property
    def doubtful(self) -> int:
        return sum(bool(row.note) for row in self.rows)

    def noting(self, strangers: Collection[str]) -> Plan:
        """Returns the plan with what is known of the directory: which of its addresses nobody has there."""
        why = "nobody has this address in the directory"
        rows = (replace(r, note=why) if r.will == ADD and r.address.casefold() in strangers else r for r in self.rows)
        return replace(self, rows=tuple(rows))

    @property
    def there(self) -> int:
        return sum(row.will == THERE for row in self.rows)

    @property
    def wrong(self) -> int:
        return sum(bool(row.error) for row in self.rows)

    @property
    def may_be_carried_out(self) -> bool:
        return not self.errors and self.added > 0


def read(data: str | bytes, connection: Connection | None = None) -> Plan:
    """Returns what the file would do; with the connection, also what is there already. Writes nothing, raises nothing."""
    text = text_of(data)
    if text is None:
        return Plan(errors=("The file is not in UTF-8. Save it as “CSV UTF-8” and choose it again.",))
    if len(data) > MOST_BYTES:
        return Plan(errors=(f"The file is larger than {MOST_BYTES // 1_000_000} MB. Cut it in parts.",))
    lines = [(number, line) for number, line in enumerate(_lines(text), 1) if line.strip(" \t,;")]
    if not lines:
        return Plan(errors=("The file is empty. Its first line names the columns: address, group, salesforce user.",))
    if len(lines) - 1 > MOST_ROWS:
        said = counted(len(lines) - 1, "line")
        return Plan(errors=(f"The file has {said}; at most {MOST_ROWS:,} can be read at once. Cut it in parts.",))
    delimiter = _delimiter(lines[0][1])
    columns, flaw = _columns(_cells(lines[0][1], delimiter) or [])
    if flaw:
        return Plan(errors=(flaw,))
    return Plan(_Reader(delimiter, columns, connection).rows(lines[1:]))


def text_of(data: str | bytes) -> str | None:
    if isinstance(data, str):
        return data.removeprefix("\ufeff")
    is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # what Excel calls Unicode text
    try:
        return data.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError:
        return None


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # no splitlines: a form feed ends no line


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _cells(line: str, delimiter: str) -> list[str] | None:
    """Returns the cells of a line without blanks around them, None where a quotation mark is never closed."""
    try:
        rows = list(csv.reader([line.strip(" ")], delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        return None
    return [cell.strip() for cell in rows[0]] if rows else []


def _columns(header: Sequence[str]) -> tuple[dict[str, int], str]:
    """Returns the place of each column we know, or why the header cannot be used."""
    found: dict[str, int] = {}
    for place, title in enumerate(header):
        name = next((n for n, titles in COLUMNS.items() if " ".join(title.casefold().split()) in titles), None)
        if name in found:
            return {}, f"Two columns are called like “{title[:40]}”. Take one of them out."
        if name is not None:
            found[name] = place
    if "address" not in found:
        return {}, "The first line names no column “address”. It must say what the columns hold: address, group, salesforce user."
    return found, ""


def _shown(text: str) -> str:
    """Returns a value as a page may show it: what is invisible is seen."""
    return "".join(c if c.isprintable() else "�" for c in text)


class _Reader:
    """Reads the lines behind the header."""

    def __init__(self, delimiter: str, columns: Mapping[str, int], connection: Connection | None) -> None:
        self._delimiter, self._columns = delimiter, columns
        self._first: dict[str, int] = {}  # address -> line
        self._groups = {name.casefold(): name for name in MailboxGroup.objects.values_list("name", flat=True)}
        boxes = Mailbox.objects.filter(connection=connection).exclude(state=Mailbox.State.ENDED)
        self._there = {address.casefold() for address in boxes.values_list("address", flat=True)}

    def rows(self, lines: Sequence[tuple[int, str]]) -> tuple[Row, ...]:
        return tuple(self._row(number, line) for number, line in lines)

    def _row(self, number: int, line: str) -> Row:
        if len(line) > LONGEST_LINE:
            return Row(number, _shown(line[:80]), error="The line is too long to be an address with its group.")
        cells = _cells(line, self._delimiter)
        if cells is None:
            return Row(number, _shown(line[:80]), error="A quotation mark is opened and not closed, or stands in the middle of a value.")
        if len(cells) <= self._columns["address"]:
            return Row(number, "", error="The line has fewer columns than the first one.")
        address, group, crm_email = (self._cell(cells, name) for name in ("address", "group", "crm_email"))
        return self._judged(Row(number, _shown(address)[:254], _shown(group)[:100], _shown(crm_email)[:254]), address, crm_email)

    def _cell(self, cells: Sequence[str], name: str) -> str:
        place = self._columns.get(name)
        return cells[place] if place is not None and place < len(cells) else ""

    def _judged(self, row: Row, address: str, crm_email: str) -> Row:
        key = address.casefold()
        if not address:
            why = "It has no address."
        elif why := address_flaw(address):
            pass
        elif key in self._first:
            why = f"The address stands on line {self._first[key]} already."
        elif crm_email and address_flaw(crm_email):
            why = f"Salesforce user: {address_flaw(crm_email)}"
        elif row.group and row.group.casefold() not in self._groups:
            why = f"There is no group “{row.group}”. Make it first, or leave the column empty."
        if why:
            return Row(row.line, row.address, row.group, row.crm_email, error=why)
        self._first[key] = row.line
        group = self._groups.get(row.group.casefold(), "")
        return Row(row.line, address, group, crm_email, will=THERE if key in self._there else ADD)


def carry_out(plan: Plan, connection: Connection, by: AbstractBaseUser | None, *, wiring: Wiring | None = None) -> Done:
    """Adds the mailboxes of the plan. What is there by now stays as it is. Raises MailboxRefused where nothing can be done."""
    refuse_other_systems(connection)
    if plan.errors:
        raise MailboxRefused(plan.errors[0])
    rows = [row for row in plan.rows if row.will == ADD]
    if not rows:
        raise MailboxRefused(f"None of the file's {counted(len(plan.rows), 'line')} adds a mailbox.")
    groups = {group.name: group for group in MailboxGroup.objects.filter(name__in={row.group for row in rows if row.group})}
    changed, refused = 0, []
    for name in sorted({row.group for row in rows}):
        mine = [row for row in rows if row.group == name]
        if name and name not in groups:
            refused.append(f"The group “{name}” is not there any more; {counted(len(mine), 'line')} of it were left out.")
            continue
        users = {row.address.casefold(): row.crm_email for row in mine if row.crm_email}
        done = mailboxes_add(connection, [r.address for r in mine], by, groups.get(name), crm_emails=users, wiring=wiring)
        changed, refused = changed + done.changed, refused + done.refused
    return Done(changed, refused)
