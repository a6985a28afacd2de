"""One page of mails on its way: what was decided, what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from connectors.contract import Record
from connectors.mails import Attachment, WholeMail
from reconciliation.core.ledger import Outcome
from reconciliation.core.linking_facts import Choice
from reconciliation.engine.one_way import INTERRUPTED, OneWayWork
from reconciliation.models import Email, EmailCopy
from reconciliation.passes.emails import EmailDecision


@dataclass(frozen=True, slots=True)
class Wish:
    """Why a mail is looked at that the mailbox's list did not bring: a person pressed a button, or it waited. `choice`: what that person
    wants it linked to."""

    why: str
    by: str = ""
    choice: Choice = Choice()


@dataclass(slots=True)
class EmailWork(OneWayWork[EmailDecision]):
    """What is known of a page so far, by the id of the mail in its mailbox; e-mails by their key."""

    records: dict[str, Record]
    wishes: Mapping[str, Wish] = field(default_factory=dict)
    copies: dict[str, EmailCopy] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)  # mail -> e-mail
    why: dict[str, str] = field(default_factory=dict)  # of those that are to be saved
    rows: dict[str, Email] = field(default_factory=dict)
    claimed: dict[str, Email] = field(default_factory=dict)
    wholes: dict[str, WholeMail] = field(default_factory=dict)
    files: dict[str, tuple[Attachment, ...]] = field(default_factory=dict)  # that are saved with a mail
    drafts: dict[str, str] = field(default_factory=dict)  # e-mail -> what an earlier run began of it in the CRM
    twins: dict[str, str] = field(default_factory=dict)  # mail -> the other mail of this page that is the same e-mail

    def by_of(self, id_: str) -> str:
        """Returns who asked for a mail, "" where nobody pressed a button."""
        wish = self.wishes.get(id_)
        return wish.by if wish is not None else ""

    def choice_of(self, id_: str) -> Choice | None:
        """Returns what a person who pressed a button wants a mail linked to, None where nothing was said."""
        wish = self.wishes.get(id_)
        return wish.choice if wish is not None and wish.choice != Choice() else None

    @property
    def open_ids(self) -> list[str]:
        """The mails that nothing was decided about so far."""
        return [id_ for id_ in self.records if id_ not in self.decisions]


def interrupted(work: EmailWork, records: Iterable[Record]) -> None:
    """Decides for mails that the run did not come to."""
    sentence = "The run was interrupted before this e-mail was saved."
    for record in records:
        work.decide(EmailDecision(record, Outcome.HELD, INTERRUPTED, sentence, key=work.keys.get(record.ref.id, "")))


def decide_twins(work: EmailWork) -> None:
    """Gives each further mail of the page that is the same e-mail the outcome of the first."""
    for id_, first in work.twins.items():
        decision, record = work.decisions.get(first), work.records[id_]
        if decision is None:
            continue
        if decision.outcome in (Outcome.CREATED, Outcome.UNCHANGED):
            said = "It lies in the mailbox several times; it is saved once."
            more = {"key": decision.key, "name": decision.name, "crm_id": decision.crm_id}
            work.decide(EmailDecision(record, Outcome.UNCHANGED, "twin", said, **more))
        else:
            again = replace(decision, record=record, intent=None, case=None, warnings=())
            work.decide(replace(again, outcome=Outcome.HELD) if decision.outcome is Outcome.FAILED else again)
