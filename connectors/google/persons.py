"""Reads contacts by their ids, and remembers them as they were: an update replaces whole lists, so it must know them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from connectors.google.client import GoogleClient, Part, read_part
from connectors.google.codec import READ_MASK, Person, is_id, is_sound, version
from connectors.google.settings import SYSTEM, GoogleSettings
from connectors.http import Answer, unreadable

BATCH_GET = "/people:batchGet"


@dataclass(slots=True)
class Persons:
    """The contacts of one mailbox that were read or written last, by what they were asked for by."""

    client: GoogleClient
    settings: GoogleSettings
    _known: OrderedDict[str, Person] = field(default_factory=OrderedDict)

    def remember(self, id_: str, person: Person) -> None:
        self._known[id_] = person
        self._known.move_to_end(id_)
        while len(self._known) > self.settings.remembered:
            self._known.popitem(last=False)

    def forget(self, id_: str = "") -> None:
        """Forgets one contact, or all of them."""
        if id_:
            self._known.pop(id_, None)
        else:
            self._known.clear()

    def at_version(self, id_: str, wanted: str) -> Person | None:
        """Returns the contact as it was at this version, None where we do not know it so."""
        person = self._known.get(id_)
        return person if person is not None and wanted and version(person) == wanted else None

    def read(self, ids: Iterable[str], mask: str = READ_MASK) -> dict[str, Person]:
        """Returns the contacts by the ids asked for; those that are not there are left out. Raises when one of them cannot be
        told: it must not be taken for gone. Only what was read whole is remembered."""
        wanted = [id_ for id_ in dict.fromkeys(ids) if is_id(id_)]
        found: dict[str, Person] = {}
        size = self.settings.read_size
        for start in range(0, len(wanted), size):
            found |= self._read_some(wanted[start : start + size], mask)
        return found

    def _read_some(self, ids: Sequence[str], mask: str) -> dict[str, Person]:
        params = [*(("resourceNames", id_) for id_ in ids), ("personFields", mask)]
        answer = self.client.get(BATCH_GET, params, template=BATCH_GET)
        raw = answer.data.get("responses")
        parts = [read_part(row, is_sound) for row in raw] if isinstance(raw, list) else []
        by_name = {part.asked: part for part in parts if part is not None}
        found: dict[str, Person] = {}
        for id_ in ids:
            part = by_name.get(id_)
            if part is None:
                raise unreadable(SYSTEM, answer, is_read=True)
            person = self._person(part, answer)
            if person is None:
                self.forget(id_)
                continue
            if mask == READ_MASK:
                self.remember(id_, person)
            found[id_] = person
        return found

    def _person(self, part: Part, answer: Answer) -> Person | None:
        """Returns the person of one part, None where there is none any more."""
        if part.fault is None:
            person: Person = part.person
            return None if (person.get("metadata") or {}).get("deleted") is True else person
        if part.fault.is_missing:
            return None
        raise self.client.error_of_part(part.fault, answer, is_read=True)
