"""What somebody chose to import: Salesforce ids or e-mail addresses, from a file, a search or a list view.

A file is text from outside: any encoding, any separator, any number of columns, and cells that a spreadsheet would carry
out. Of each row the first cell that names a lead or contact counts; nothing else of it is kept."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.salesforce.codec import full_id
from reconciliation.core.values import normalise_name
from reconciliation.services.duplicates import DecisionRefused

MOST_BYTES, MOST_ROWS, MOST_NAMED = 1_000_000, 20_000, 20
LONGEST_ADDRESS, LONGEST_SHOWN = 254, 60
OBJECTS = {"003": "Contact", "00Q": "Lead"}  # by how an id begins
SEPARATORS = ",;\t|"
_ID = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_ADDRESS = re.compile(r"[^\s@,;<>\"]+@[^\s@,;<>\"]+")
_HEADING = re.compile(r"(?i)(?:\b|_)(?:id|e-?mail)(?:\b|_)|id$|email")
_BY_MARK = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class ImportRefused(DecisionRefused):
    """Nothing can be imported from this; the sentence says why. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """One row: an id in its 18 characters or an e-mail address, and the object of an id."""

    given: str
    object_type: str = ""

    @property
    def key(self) -> str:
        """What two rows share that mean the same: ids tell capitals apart, addresses do not (C18)."""
        return self.given if self.object_type else normalise_name(self.given)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of a file that names no lead or contact."""

    number: int
    said: str
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """All that was chosen, in its order; the same may be in it twice."""

    rows: tuple[Chosen, ...]
    bad: tuple[BadRow, ...] = ()

    @property
    def text(self) -> str:
        """Returns the rows as text that `choice_of` reads again."""
        return "\n".join(row.given for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Returns it as JSON holds it, for `from_dict`."""
        return {"rows": [[row.given, row.object_type] for row in self.rows], "bad": [[row.number, row.said, row.why] for row in self.bad]}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Choice:
        return cls(tuple(Chosen(*row) for row in kept["rows"]), tuple(BadRow(*row) for row in kept["bad"]))


def choice_of_file(data: bytes) -> Choice:
    """Returns what a file names. Raises ImportRefused for one that is too large, empty, or no text."""
    if len(data) > MOST_BYTES:
        raise ImportRefused(f"The file is larger than {MOST_BYTES // 1_000_000} MB. Divide it into several.")
    return _chosen(_table(_decoded(data)))


def choice_of(names: Iterable[str]) -> Choice:
    """Returns what these ids and addresses name, each a row."""
    return _chosen([[name] for name in names])


def _decoded(data: bytes) -> str:
    """Returns the text of a file: by its mark, else UTF-8, else as Windows writes it."""
    encoding = next((name for mark, name in _BY_MARK if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    if "\0" in text:
        raise ImportRefused("That is no text file. Save the list as CSV first.")
    return text


def _table(text: str) -> list[list[str]]:
    first = text.lstrip().partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    if first.lower().startswith("sep=") and len(first.rstrip()) == 5:  # what Excel writes for itself
        separator, text = first[4], text.lstrip().partition("\n")[2]
    try:
        return list(csv.reader(io.StringIO(text), delimiter=separator))
    except csv.Error as error:
        raise ImportRefused(f"The file cannot be read as CSV: {error}.") from None


def _chosen(table: Sequence[Sequence[str]]) -> Choice:
    rows: list[Chosen] = []
    bad: list[BadRow] = []
    is_first = True
    for number, raw in enumerate(table, 1):
        cells = [cell for text in raw if (cell := _cell(text))]
        if not cells:
            continue
        row, why = _row(cells)
        if row is not None:
            rows.append(row)
        elif not (is_first and _is_heading(cells)):
            bad.append(BadRow(number, _short(cells[0]), why))
        is_first = False
    if len(rows) > MOST_ROWS:
        raise ImportRefused(f"{len(rows):,} rows are more than {MOST_ROWS:,}. Divide them into several imports.")
    if not rows and not bad:
        raise ImportRefused("Nothing was chosen: there is no row with an id or an e-mail address.")
    return Choice(tuple(rows), tuple(bad))


def _cell(text: str) -> str:
    """Returns what a cell says, without what spreadsheets and mail programs put around it."""
    return re.sub(r"(?i)^mailto:", "", text.strip("\ufeff\u200b\xa0 \t\r\n'\"").strip())


def _row(cells: Sequence[str]) -> tuple[Chosen | None, str]:
    """Returns what a row names, or why it names nothing: a lead or contact by its id, else by its first address."""
    ids = [id_ for cell in cells if _ID.fullmatch(cell) and (id_ := full_id(cell)) is not None]
    for id_ in ids:
        if id_[:3] in OBJECTS:
            return Chosen(id_, OBJECTS[id_[:3]]), ""
    for cell in cells:
        if len(cell) <= LONGEST_ADDRESS and _ADDRESS.fullmatch(cell):
            return Chosen(cell), ""
    if ids:
        return None, "the id of something else: leads begin with 00Q, contacts with 003"
    if any(_ID.fullmatch(cell) and cell[:3] in OBJECTS and len(cell) == 18 for cell in cells):
        return None, "its last three characters do not fit the others: capitals were changed on the way"
    return None, "neither an id of 15 or 18 characters nor an e-mail address"


def _is_heading(cells: Sequence[str]) -> bool:
    return any(_HEADING.search(cell) for cell in cells if "@" not in cell and len(cell) <= LONGEST_SHOWN)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
