"""The linker over the sandboxes: mailboxes and Salesforce as in `boxes`, and items as passes hand them in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from reconciliation.core.linking_facts import Choice, Item, ItemKind, Participant, Role, Trigger
from reconciliation.engine import people_recovery
from reconciliation.engine.context import RunContext
from reconciliation.engine.linker import ItemToLink, Linked, Linker
from reconciliation.engine.linking_terms import LINKING
from reconciliation.engine.mailbox_terms import ADMIN
from reconciliation.engine.staff import at_work
from reconciliation.models import SyncPass
from tests.boxes import Boxes, boxes


@dataclass
class LinkedBoxes:
    """A world, and what a test does with it."""

    boxes: Boxes

    @property
    def world(self) -> Any:
        return self.boxes.world

    # --- what is set ----------------------------------------------------------------------------------------------------
    def set(self, **values: Any) -> None:
        """Sets something for all mailboxes, as an admin does."""
        row = SyncPass.objects.get(pk=self.boxes.parent.pk)
        rules = {**(row.settings.get(ADMIN) or {}), **{name: {"value": v, "is_locked": False} for name, v in values.items()}}
        self._save({**row.settings, ADMIN: rules})

    def set_more(self, **values: Any) -> None:
        """Sets what only an admin says of linking."""
        row = SyncPass.objects.get(pk=self.boxes.parent.pk)
        self._save({**row.settings, LINKING: {**(row.settings.get(LINKING) or {}), **values}})

    def _save(self, settings: dict[str, Any]) -> None:
        SyncPass.objects.filter(pk=self.boxes.parent.pk).update(settings=settings)
        for address, sync_pass in self.boxes.passes.items():
            related = ("crm", "peer", "mapping", "parent", "mailbox__group")
            self.boxes.passes[address] = SyncPass.objects.select_related(*related).get(pk=sync_pass.pk)

    # --- Salesforce -----------------------------------------------------------------------------------------------------
    def contact(self, email: str, last: str = "Byrne", **values: Any) -> str:
        return self.boxes.contact(last, email, **values)

    def lead(self, email: str, last: str = "Clarke", **values: Any) -> str:
        made = {"LastName": last, "Company": "Acme", "Email": email, **values}
        return str(self.world.salesforce.create_record("Lead", made)["Id"])

    def account(self, name: str = "Acme", site: str | None = None, **values: Any) -> str:
        return str(self.world.salesforce.create_record("Account", {"Name": name, "Website": site, **values})["Id"])

    def opportunity(self, account: str, name: str = "Deal", **values: Any) -> str:
        made = {"Name": name, "AccountId": account, "StageName": "Prospecting", "CloseDate": "2026-12-31"}
        owner = {"OwnerId": self.boxes.users[self.boxes.mine]}
        return str(self.world.salesforce.create_record("Opportunity", {**made, **owner, **values})["Id"])

    def rows(self, object_type: str) -> list[dict[str, Any]]:
        return [row for row in self.world.salesforce.list_records(object_type) if not row.get("IsDeleted")]

    def called(self) -> dict[str, int]:
        """Returns the calls of Salesforce since the last look, per "METHOD /template", without those for tokens."""
        counts = dict(self.world.counts["salesforce"])
        self.world.forget_calls()
        return {name: n for name, n in counts.items() if "token" not in name}

    def calls(self) -> int:
        return sum(self.called().values())

    # --- the linker -----------------------------------------------------------------------------------------------------
    @contextmanager
    def run(self, address: str = "", *, forward: float = 600) -> Iterator[RunContext]:
        """Yields the context of a run over one mailbox, with what earlier runs left settled."""
        self.boxes.clock.forward(forward)
        sync_pass = self.boxes.passes[address or self.boxes.mine]
        with at_work(sync_pass, by="test", what="Links items.", wiring=self.boxes.wiring) as context:
            people_recovery.recover(context)
            yield context

    @contextmanager
    def linker(self, address: str = "", *, forward: float = 600, is_preview: bool = False) -> Iterator[Linker]:
        with self.run(address, forward=forward) as context:
            context.is_preview = is_preview
            linker = Linker(context, context.sync_pass.mailbox)
            self.world.forget_calls()
            yield linker

    def link(self, *items: ItemToLink, address: str = "", **more: Any) -> list[Linked]:
        """Links the items as one page of a run."""
        with self.linker(address, **more) as linker:
            linked = linker.links_of(items)
        return [linked[each.item.id] for each in items]

    def one(self, item: ItemToLink, **more: Any) -> Linked:
        (linked,) = self.link(item, **more)
        return linked


def mail(
    id: str, sender: str, *to: str, name: str = "", trigger: Trigger = Trigger.USER, choice: Choice | None = None, **more: Any
) -> ItemToLink:
    """Returns an e-mail that came in."""
    people = [Participant(sender, name, Role.FROM), *(Participant(address, "", Role.TO) for address in to)]
    item = Item(id, ItemKind.EMAIL, tuple(people), trigger=trigger, choice=choice or Choice())
    return ItemToLink(item, **{"shown": f"Mail {id}", **more})


def meeting(id: str, *attendees: str, trigger: Trigger = Trigger.CALENDAR, choice: Choice | None = None, **more: Any) -> ItemToLink:
    """Returns a meeting of the mailbox's user with these people; "Name <address>" gives one a name."""
    people = [Participant("me@x.example", "Me", Role.ORGANIZER, is_self=True), *(_attendee(text) for text in attendees)]
    item = Item(id, ItemKind.EVENT, tuple(people), trigger=trigger, choice=choice or Choice())
    return ItemToLink(item, **{"shown": f"Meeting {id}", **more})


def _attendee(text: str) -> Participant:
    name, bracket, address = text.rpartition("<")
    return Participant(address.rstrip(">"), name.strip(), Role.ATTENDEE) if bracket else Participant(text)


def linked_boxes(system: str = "microsoft", **more: Any) -> LinkedBoxes:
    return LinkedBoxes(boxes(system, **more))
