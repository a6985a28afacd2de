"""Mails of two mailboxes and Salesforce in process: the real engine and connectors over a transport adapter, as in `boxes`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connectors.sandbox.world import World
from reconciliation.engine.wiring import Switches
from reconciliation.models import Email, EmailCopy, SyncPass
from reconciliation.services.mailboxes import mailbox_add, pass_over
from reconciliation.services.set_up import emails_pass
from tests.boxes import CONNECT, Boxes, connect_salesforce
from tests.connectors.mailing import BO, CATEGORY, FOLDER, Mailing
from tests.paired import wire
from tests.sandboxed import Clock

RELATED = ("crm", "peer", "mapping", "parent", "mailbox__group")
ADA = "Ada Byrne <ada@acme.example>"


@dataclass
class Posted(Boxes):
    """A world, the pass that saves e-mails of one mail system, and what a test does with both sides."""

    def _hand(self, address: str = "") -> Mailing:
        """Returns who does things in a mailbox, as its user does."""
        from tests.connectors.test_exchange_mails_meet_their_sandbox import OnPremises  # fixtures stand there, too

        hand = OnPremises if self.system == "exchange" else Mailing
        return hand(self.system, self.world, self.clock, None, None, address or self.mine, self.clock())  # type: ignore[arg-type]

    def receive(self, subject: str = "A question", *, address: str = "", marked: bool = True, folder: str = "Inbox", **values: Any) -> str:
        """Lays a mail into a mailbox, with our mark unless told otherwise; the same `id` is the same mail. Returns its id there."""
        given = {"from": ADA, "to": [address or self.mine], "body": "Dear Sir,\nhow much is it?", **values}
        if (name := given.pop("id", None)) is not None:
            given["messageId"] = f"<{name}@acme.example>"
        given.setdefault("receivedAt", self.clock().isoformat())
        if self.system == "google":
            given = {name: ", ".join(v) if isinstance(v, list) and name in ("to", "cc", "bcc") else v for name, v in given.items()}
        return self._hand(address).put(subject, folder=folder, marked=marked, address=address or self.mine, **given)

    def send(self, subject: str = "An answer", *, address: str = "", to: str = ADA, **values: Any) -> str:
        """Lays a mail into the folder of those that were sent."""
        return self.receive(subject, address=address, folder="Sent Items", **{"from": address or self.mine, "to": [to], **values})

    def mark(self, mail: str, address: str = "") -> None:
        self._hand(address).mark(mail)

    def move(self, mail: str, folder: str, address: str = "") -> None:
        self._hand(address).move(mail, folder)

    def touch(self, mail: str, address: str = "") -> None:
        self._hand(address).touch(mail)

    def throw_away(self, mail: str, address: str = "") -> None:
        self._hand(address).drop(mail)

    def unmark(self, mail: str, address: str = "") -> None:
        hand = self._hand(address)
        if self.system != "google":
            hand.edit(mail, categories=[])
        else:
            hand.edit(mail, labels=[name for name in hand.row(mail)["labels"] if name != FOLDER])

    def take_message_id(self, mail: str, address: str = "") -> None:
        """Lets a mail be one that came without a Message-ID."""
        if self.system == "exchange":
            self._hand(address).edit(mail, internetMessageId="")
            return
        played, number = self.mail, self.mail.find_id("message", mail)
        if self.system == "microsoft":
            played._parts.mail.messages.rows[number]["values"]["internetMessageId"] = None
        else:
            played.gmail.mail.messages.rows[number]["messageId"] = ""

    def lose_cursors(self) -> None:
        for address in self.passes:
            self._hand(address).lose_cursors()

    # --- Salesforce ---------------------------------------------------------------------------------------------------------
    def emails(self) -> list[dict[str, Any]]:
        """Returns the living e-mails of Salesforce."""
        return [row for row in self.world.salesforce.list_records("EmailMessage") if not row.get("IsDeleted")]

    def one(self) -> dict[str, Any]:
        (row,) = self.emails()
        return row

    def people(self) -> set[tuple[str, str]]:
        return {(r["RelationType"], r["RelationId"]) for r in self.world.salesforce.list_records("EmailMessageRelation")}

    def account(self, name: str = "Acme", **values: Any) -> str:
        return str(self.world.salesforce.create_record("Account", {"Name": name, **values})["Id"])

    def switch(self, **switches: Any) -> None:
        self.world.salesforce.set_switches(switches)

    # --- what is known ------------------------------------------------------------------------------------------------------
    def known(self) -> list[Email]:
        return list(Email.objects.order_by("pk"))

    def only(self) -> Email:
        return Email.objects.get()

    def copies(self, address: str = "") -> list[EmailCopy]:
        return list(EmailCopy.objects.filter(sync_pass=self.passes[address or self.mine]).order_by("pk"))

    def reasons(self, run: Any = None) -> list[tuple[str, str]]:
        return sorted((outcome, reason) for outcome, reason, _ in self.events(run))

    def say(self) -> str:
        """Returns everything the last run told of the mails, to be looked at."""
        return " ".join(sentence for _, _, sentence in self.events())


def posted(system: str = "microsoft", *, switches: Switches | None = None, world: World | None = None) -> Posted:
    """Returns a world with Salesforce and the mailboxes of a mail system, connected, each with a Salesforce user; e-mails are saved since
    a minute ago."""
    clock = Clock()
    world = world or World(scenario="empty", now=clock)
    crm, peer = connect_salesforce(world), CONNECT[system](world)
    made = Posted(world, clock, emails_pass(crm, peer), wire(world, clock, switches=switches), system)
    began = clock() - timedelta(minutes=1)
    SyncPass.objects.filter(pk=made.parent.pk).update(is_on=True, switched_on_at=began)
    made.parent.refresh_from_db()
    for address in world.systems[system].credentials()["mailboxes"]:
        first = address.partition("@")[0].capitalize()
        given = {"Username": address, "FirstName": first, "LastName": "User", "Email": address, "Alias": first.lower()}
        made.users[address] = world.salesforce.create_record("User", given)["Id"]
        mailbox = mailbox_add(peer, address, None, crm_user_id=made.users[address])
        mailbox.settings = {"emails": True}
        mailbox.save(update_fields=["settings"])
        child = pass_over(made.parent, mailbox)
        SyncPass.objects.filter(pk=child.pk).update(is_on=True, switched_on_at=began)
        made.passes[address] = SyncPass.objects.select_related(*RELATED).get(pk=child.pk)
    return made


__all__ = ["ADA", "BO", "CATEGORY", "FOLDER", "Posted", "posted"]
