"""Messages as reads by id bring them, whatever mail system they lie in. One that cannot be read must not stop the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from connectors.contract import Record, Ref
from connectors.errors import TOO_MUCH, ConnectorError, RecordGone, Rejected, ServerTrouble
from connectors.mail_texts import TOO_LONG
from connectors.mails import MAIL, REASON, WholeMail, WholeMails
from connectors.text import clean


class CannotBeRead(ValueError):
    """A message is not what the documentation says. Its text says of which part."""


def refusal_of(what: object, *, system: str) -> Rejected:
    """Returns the error for a single thing that was asked for and cannot be read."""
    return Rejected(f"tells {what} in a way that cannot be read", system=system)


@dataclass(slots=True)
class FoundMails:
    """What reads by id brought: messages by id as their system tells them, ids that are gone, and messages that cannot be read."""

    system: str
    rows: dict[str, Any] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    unreadable: dict[str, Record] = field(default_factory=dict)

    def refuse(self, id_: str, reason: str) -> None:
        self.unreadable[id_] = Record(Ref(self.system, MAIL, id_), {REASON: clean(reason)[0][:500]})

    def refuse_part(self, id_: str, part: CannotBeRead) -> None:
        self.refuse(id_, f"{self.system.capitalize()} tells {part} in a way that cannot be read")

    def sort(self, id_: str, error: ConnectorError) -> None:
        """Notes what a refused read of one message means. Raises what is none of its own."""
        if isinstance(error, RecordGone):
            self.gone.append(id_)
        elif error.code == TOO_MUCH:
            self.refuse(id_, TOO_LONG)
        elif isinstance(error, Rejected | ServerTrouble):
            self.refuse(id_, error.sentence)
        else:
            raise error

    def whole(self, told: Iterable[WholeMail]) -> WholeMails:
        return WholeMails(tuple(told), tuple(self.gone), tuple(self.unreadable.values()))
