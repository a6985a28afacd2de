"""Whom e-mails are linked to, and why: they are asked of `engine.linker`, first without what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors import mails as words
from connectors.contract import Record
from connectors.mails import WholeMail, people_of
from reconciliation.core.autoresolve import Mode
from reconciliation.core.linking_facts import Choice, Item, ItemKind, Participant, Role, Trigger
from reconciliation.engine.context import RunContext
from reconciliation.engine.email_rows import CHOSEN
from reconciliation.engine.linker import ItemToLink, Linked, Linker
from reconciliation.models import Email
from reconciliation.passes.emails import BY_A_PERSON, is_outgoing, name_of, text_to_read

ROLES = ((words.FROM, Role.FROM), (words.TO, Role.TO), (words.CC, Role.CC), (words.BCC, Role.BCC))
MOST_PARTICIPANTS = 2000


@dataclass(frozen=True, slots=True)
class Asked:
    """A mail whose links are asked for: why it is saved, and what a person chose."""

    mail: Record
    why: str
    choice: Choice = field(default_factory=Choice)


class EmailLinks:
    """Links the e-mails of one run; what was looked up once is not asked for again."""

    def __init__(self, context: RunContext) -> None:
        self._linker = Linker(context, context.sync_pass.mailbox)
        self._address = context.terms.address.casefold()

    def refused(self, asked: Sequence[Asked]) -> dict[str, str]:
        """Returns why mails that nobody asked for are not saved, by their ids; of those that are, nothing. Nobody is made, and nothing
        that a mail says has been read."""
        found = self._linker.links_of([ItemToLink(self._item(a), is_private=True) for a in asked if a.why not in BY_A_PERSON])
        return {id_: linked.links.refusal for id_, linked in found.items() if linked.links.refusal and not self._may_be_made(linked)}

    def _may_be_made(self, linked: Linked) -> bool:
        """Tells whether people of a mail may be made: then it is related to somebody after all."""
        resolve = self._linker.terms.resolve
        return resolve.mode is not Mode.OFF and Trigger.AUTO_SAVE in resolve.triggers and bool(linked.links.unresolved)

    def links_of(self, asked: Sequence[Asked], wholes: Mapping[str, WholeMail]) -> dict[str, Linked]:
        """Returns the links of each mail by its id. Unknown people are made where the organisation wants that."""
        return self._linker.links_of([self._with_text(a, wholes.get(a.mail.ref.id)) for a in asked])

    def _with_text(self, asked: Asked, whole: WholeMail | None) -> ItemToLink:
        body = text_to_read(whole) if whole is not None and not is_outgoing(asked.mail) else ""
        return ItemToLink(self._item(asked), body=body, shown=name_of(asked.mail))

    def _item(self, asked: Asked) -> Item:
        mail = asked.mail
        participants = [
            Participant(p.address, p.name, role, is_self=p.address.casefold() == self._address)
            for name, role in ROLES
            for p in people_of(mail, name)
            if p.address
        ]
        trigger = Trigger.USER if asked.why in BY_A_PERSON else Trigger.AUTO_SAVE
        some = tuple(participants[:MOST_PARTICIPANTS])
        return Item(mail.ref.id, ItemKind.EMAIL, some, is_outgoing=is_outgoing(mail), trigger=trigger, choice=asked.choice)


def choice_of(row: Email | None) -> Choice:
    """Returns what a person chose an e-mail to be linked to before it was saved."""
    chosen = (row.links if row is not None else {}).get(CHOSEN) or {}
    if not chosen:
        return Choice()
    others = chosen.get("others")
    return Choice(chosen.get("who"), tuple(others) if others is not None else None, chosen.get("what"), str(chosen.get("by") or ""))


def kept(choice: Choice) -> dict[str, Any]:
    """Returns what is kept of a choice beside the links that came of it, nothing where nobody chose."""
    if choice == Choice():
        return {}
    others = list(choice.others) if choice.others is not None else None
    return {CHOSEN: {"who": choice.who, "what": choice.what, "others": others, "by": choice.by}}
