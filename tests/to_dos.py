"""Tasks of two mailboxes and Salesforce in process, as in `calendars`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from connectors.sandbox.world import World
from reconciliation.engine.wiring import Switches
from reconciliation.models import MailboxItem, SyncPass
from reconciliation.services.mailboxes import mailbox_add, pass_over
from reconciliation.services.set_up import tasks_pass
from tests.boxes import CONNECT, connect_salesforce
from tests.calendars import CATEGORY, Calendars
from tests.paired import wire
from tests.sandboxed import Clock

OUR_LIST = "Salesforce Tasks"


@dataclass
class ToDos(Calendars):
    """A world, the pass over the tasks of one mail system, and what a test does with both sides."""

    def day(self, days: int = 3) -> str:
        return f"{self.clock().date() + timedelta(days=days):%Y-%m-%d}"

    def note(self, title: str = "Call Bo", *, address: str = "", shared: bool = True, **values: Any) -> str:
        """Makes a task, as its user does: with the category, at Google in our list. Returns its id."""
        given = {"mailbox": address or self.mine, "title": title, **self._words(values)}
        if shared and self.system != "google" and "list" not in values:
            given.setdefault("categories", [CATEGORY])
        elif shared and "list" not in values:
            given["list"] = OUR_LIST
        return str(self.mail.create_record("task", given)["id"])

    def amend(self, task: str, **values: Any) -> None:
        self.mail.update_record("task", self.mail.find_id("task", task), self._words(values))

    def drop_task(self, task: str) -> None:
        self.mail.delete_record("task", self.mail.find_id("task", task))

    def task_of(self, task: str) -> dict[str, Any]:
        id_ = self.mail.find_id("task", task)
        row = self.mail.get_record("task", id_) if id_ else None
        return {} if row is None else self._plain(row)

    def to_dos(self, address: str = "") -> list[dict[str, Any]]:
        rows = [row for row in self.mail.list_records("task") if row["mailbox"] == (address or self.mine)]
        return [self._plain(row) for row in rows if row.get("folder") != "Deleted Items"]

    def _words(self, values: dict[str, Any]) -> dict[str, Any]:
        if self.system != "google":
            words = {"due": "dueDate", **({"list": "folder"} if self.system == "exchange" else {})}
            return {words.get(name, name): value for name, value in values.items()}
        given = {{"body": "notes"}.get(name, name): value for name, value in values.items() if name not in ("categories", "importance")}
        if "status" in given:
            given["status"] = "completed" if given["status"] == "completed" else "needsAction"
        return given

    def _plain(self, row: dict[str, Any]) -> dict[str, Any]:
        if self.system != "google":
            return {**row, "due": row["dueDate"], "list": row.get("list") or row.get("folder")}
        return {**row, "body": row["notes"], "status": "completed" if row["status"] == "completed" else "notStarted"}

    # --- people in Salesforce -----------------------------------------------------------------------------------------

    def task(self, subject: str = "Send offer", *, owner: str = "", **values: Any) -> str:
        given = {"Subject": subject, "Status": "Not Started", "Priority": "Normal", "OwnerId": self.users[owner or self.mine], **values}
        return str(self.world.salesforce.create_record("Task", given)["Id"])

    def edit_task(self, id_: str, **values: Any) -> None:
        self.world.salesforce.update_record("Task", id_, values)

    def delete_task(self, id_: str) -> None:
        self.world.salesforce.delete_record("Task", id_)

    def tasks_there(self) -> list[dict[str, Any]]:
        return [row for row in self.world.salesforce.list_records("Task") if not row.get("IsDeleted")]

    def only(self) -> dict[str, Any]:
        rows = self.tasks_there()
        assert len(rows) == 1, rows
        return rows[0]

    def item(self, address: str = "") -> MailboxItem:
        return MailboxItem.objects.get(sync_pass=self.passes[address or self.mine])


def today(box: ToDos) -> date:
    return box.clock().date()


def to_dos(system: str = "microsoft", *, switches: Switches | None = None, world: World | None = None) -> ToDos:
    """Returns a world with Salesforce and the mailboxes of a mail system, connected; sync of tasks was switched on a minute ago."""
    clock = Clock()
    world = world or World(scenario="empty", now=clock)
    crm, peer = connect_salesforce(world), CONNECT[system](world)
    made = ToDos(world, clock, tasks_pass(crm, peer), wire(world, clock, switches=switches), system)
    SyncPass.objects.filter(pk=made.parent.pk).update(is_on=True, switched_on_at=clock() - timedelta(minutes=1))
    made.parent.refresh_from_db()
    for address in world.systems[system].credentials()["mailboxes"]:
        first = address.partition("@")[0].capitalize()
        user = world.salesforce.create_record(
            "User", {"Username": address, "FirstName": first, "LastName": "User", "Email": address, "Alias": first.lower()}
        )["Id"]
        made.users[address] = user
        child = pass_over(made.parent, mailbox_add(peer, address, None, crm_user_id=user))
        SyncPass.objects.filter(pk=child.pk).update(switched_on_at=clock() - timedelta(minutes=1))
        related = ("crm", "peer", "mapping", "parent", "mailbox__group")
        made.passes[address] = SyncPass.objects.select_related(*related).get(pk=child.pk)
    return made
