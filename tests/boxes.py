"""Mailboxes and Salesforce in process: the real engine and connectors over a transport adapter, as in `paired`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from connectors.sandbox.transport import base_url
from connectors.sandbox.world import World
from reconciliation.engine.context import Order
from reconciliation.engine.runner import run_pass
from reconciliation.engine.wiring import Switches, Wiring
from reconciliation.models import Binding, Connection, Mailbox, Run, RunEvent, SyncPass
from reconciliation.services.mailboxes import mailbox_add, pass_over
from reconciliation.services.set_up import contacts_pass
from tests.paired import KEY_FIELD, wire
from tests.sandboxed import Clock

FOLDER = "Salesforce Contacts"
# A test whose box is of Microsoft or Google by itself: what is about the mail system itself, or a line of a seed, runs on all three.
on_every_mail_system = pytest.mark.parametrize("box", ["microsoft", "google", "exchange"], indirect=True)


@dataclass
class Boxes:
    """A world, the pass over the mailboxes of one mail system, and what a test does with both sides."""

    world: World
    clock: Clock
    parent: SyncPass
    wiring: Wiring
    system: str
    users: dict[str, str] = field(default_factory=dict)  # address -> Salesforce user
    passes: dict[str, SyncPass] = field(default_factory=dict)  # address -> its row of the pass
    runs: list[Run] = field(default_factory=list)

    @property
    def mine(self) -> str:
        """The address of the first mailbox."""
        return next(iter(self.passes))

    @property
    def theirs(self) -> str:
        """The address of the second mailbox."""
        return list(self.passes)[1]

    @property
    def mail(self) -> Any:
        return self.world.systems[self.system]

    def run(self, address: str = "", *, forward: float = 1800, **order: Any) -> Run:
        """Lets time pass and runs the pass once over one mailbox."""
        self.clock.forward(forward)
        self.runs.append(run_pass(self.passes[address or self.mine], Order(**order), self.wiring))
        return self.runs[-1]

    def contact(self, last: str, email: str | None = None, *, owner: str = "", **values: Any) -> str:
        """Makes a Salesforce contact, owned by the first mailbox's user or another one's."""
        given = {"LastName": last, "Email": email, "OwnerId": self.users[owner or self.mine], **values}
        return str(self.world.salesforce.create_record("Contact", given)["Id"])

    def edit(self, id_: str, **values: Any) -> None:
        self.world.salesforce.update_record("Contact", id_, values)

    def show(self, id_: str) -> dict[str, Any]:
        return self.world.salesforce.get_record("Contact", id_) or {}

    def contacts(self) -> list[dict[str, Any]]:
        return [row for row in self.world.salesforce.list_records("Contact") if not row.get("IsDeleted")]

    def folder(self, address: str = "") -> list[dict[str, Any]]:
        """Returns what lies in our folder of a mailbox."""
        return [row for row in self.rows(address) if self.is_inside(row)]

    def rows(self, address: str = "") -> list[dict[str, Any]]:
        rows = [row for row in self.mail.list_records("contact") if row["mailbox"] == (address or self.mine)]
        rows = [row for row in rows if row.get("folder") != "Deleted Items"]
        return [_neutral(row) for row in rows] if self.system == "google" else rows

    def is_inside(self, row: dict[str, Any]) -> bool:
        if self.system == "microsoft":  # a folder that was deleted may have borne the same name
            return row["parentFolderId"] in set(Mailbox.objects.values_list("folder_id", flat=True))
        return bool(row["folder"] == FOLDER)  # Google's label; at Exchange a folder's items go with it

    def put(self, folder: str, address: str = "", **values: Any) -> str:
        """Makes a contact in a mailbox, as its user does. Returns its id."""
        given = {"folder": folder, **values}
        given = _of_google(given, {}) if self.system == "google" else given
        return str(self.mail.create_record("contact", {"mailbox": address or self.mine, **given})["id"])

    def change(self, item: str, **values: Any) -> None:
        """Edits, drags or marks a contact in the mailbox, as its user does."""
        id_ = self.mail.find_id("contact", str(item))
        if self.system == "google":
            values = _of_google(values, _neutral(self.mail.get_record("contact", id_)))
        self.mail.update_record("contact", id_, values)

    def drop(self, item: str) -> None:
        """Deletes a contact in the mailbox, as its user does."""
        self.mail.delete_record("contact", self.mail.find_id("contact", str(item)))

    def copy(self, item: str) -> None:
        """Makes a copy of a contact beside it, with all that the mailbox keeps of it."""
        row = self.mail.get_record("contact", self.mail.find_id("contact", str(item)))
        kept = ("mailbox", "folder", "labels", "surname", "familyName", "emails", "categories", "extendedProperties", "clientData")
        self.mail.create_record("contact", {name: row[name] for name in kept if name in row})

    def remote_id(self, item: str) -> str:
        """Returns the id under which the engine knows a contact."""
        row = self.mail.get_record("contact", self.mail.find_id("contact", str(item)))
        return str(row.get("immutableId") or row.get("resourceName") or row["id"])

    def drop_folder(self) -> None:
        """Deletes our folder, or label, of the first mailbox."""
        kind, name = self.folder_kind
        rows = [r for r in self.mail.list_records(kind) if r["mailbox"] == self.mine and r[name] == FOLDER]
        self.mail.delete_record(kind, self.mail.find_id(kind, str(rows[0]["id"])))

    @property
    def folder_kind(self) -> tuple[str, str]:
        """What the played system calls a folder of contacts, and the property that holds its name."""
        kinds = {"microsoft": ("contactFolder", "displayName"), "google": ("contactGroup", "name"), "exchange": ("folder", "displayName")}
        return kinds[self.system]

    def refuse_moves(self, *, times: int) -> None:
        """Lets the mail system refuse what brings a contact into our folder."""
        paths = {
            "microsoft": "/v1.0/users/{id}/contactFolders/{id}/contacts",
            "google": "/v1/people:batchUpdateContacts",
            "exchange": "/EWS/Exchange.asmx/MoveItem",
        }
        path = paths[self.system]
        options: dict[str, Any] = {"status": 400, "message": "This one is refused.", "times": times}
        if self.system == "exchange":
            options |= {"status": 200, "code": "ErrorQuotaExceeded"}
        self.world.faults.add({"system": self.system, "method": "POST", "path": path, "kind": "status", **options})

    def events(self, run: Run | None = None) -> list[tuple[str, str, str]]:
        rows = RunEvent.objects.filter(run=run or self.runs[-1]).order_by("pk")
        return [(e.outcome, e.reason, e.sentence) for e in rows]

    def links(self, address: str = "") -> dict[str, str]:
        rows = Binding.objects.filter(sync_pass=self.passes[address or self.mine], is_tombstone=False)
        return dict(rows.values_list("crm_id", "peer_id"))

    def calls(self) -> dict[str, int]:
        """Returns the calls since the last look by system, without those for tokens."""
        made = {
            name: sum(n for key, n in counts.items() if "token" not in key and "openid" not in key)
            for name, counts in self.world.counts.items()
        }
        self.world.forget_calls()
        return {name: n for name, n in made.items() if n}

    def set(self, address: str = "", **settings: Any) -> None:
        """Sets what the mailbox's user may set."""
        mailbox = self.passes[address or self.mine].mailbox
        mailbox.settings = {**mailbox.settings, **settings}
        mailbox.save(update_fields=["settings"])  # what runs found out since stays


_GOOGLE = {"surname": "familyName", "companyName": "company"}


def _of_google(values: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Returns values in the words of the played Google: folder and category are labels, telephones are a list."""
    given = {_GOOGLE.get(name, name): value for name, value in values.items() if name not in ("folder", "categories", "mobilePhone")}
    if "mobilePhone" in values:
        given["phoneNumbers"] = [{"value": values["mobilePhone"], "type": "mobile"}]
    if "folder" in values or "categories" in values:
        folder = values.get("folder", now.get("folder"))
        given["labels"] = [*values.get("categories", now.get("categories", [])), *([FOLDER] if folder == FOLDER else [])]
    return given


def _neutral(row: dict[str, Any]) -> dict[str, Any]:
    labels = [name for name in row.get("labels", []) if name not in ("myContacts", "starred")]
    phones = row.get("phoneNumbers") or []
    return {
        **row,
        "surname": row.get("familyName"),
        "companyName": row.get("company"),
        "mobilePhone": next((p["value"] for p in phones if p.get("type") == "mobile"), None),
        "folder": FOLDER if FOLDER in labels else "Contacts",
        "categories": [name for name in labels if name != FOLDER],
    }


def connect_salesforce(world: World) -> Connection:
    sf = world.salesforce.credentials()
    return Connection.objects.create(
        name="Salesforce",
        system="salesforce",
        base_url=base_url("salesforce"),
        login_url=base_url("salesforce"),
        secrets={k: sf[k] for k in ("client_id", "client_secret", "access_token", "refresh_token")},
        settings={"external_id_field": KEY_FIELD},
        settle_seconds=0,
        is_sandbox=True,
    )


def connect_microsoft(world: World) -> Connection:
    given = world.microsoft.credentials()
    return Connection.objects.create(
        name="Microsoft 365",
        system="microsoft",
        base_url=base_url("microsoft"),
        login_url=base_url("microsoft"),
        secrets={k: given[k] for k in ("client_id", "client_secret")},
        settings={"tenant": given["tenant"]},
        settle_seconds=0,
        is_sandbox=True,
    )


def connect_google(world: World) -> Connection:
    given = world.google.credentials()
    return Connection.objects.create(
        name="Google",
        system="google",
        base_url=base_url("google"),
        login_url=base_url("google"),
        secrets={"service_account": given["service_account"]},
        settings={"flow": "service_account", "pause": 0},
        settle_seconds=0,
        is_sandbox=True,
    )


def connect_exchange(world: World) -> Connection:
    given = world.exchange.credentials()
    return Connection.objects.create(
        name="Exchange",
        system="exchange",
        base_url=base_url("exchange"),
        secrets={"password": given["password"]},
        settings={"user": given["username"], "proof": "basic"},
        settle_seconds=0,
        is_sandbox=True,
    )


CONNECT = {"microsoft": connect_microsoft, "google": connect_google, "exchange": connect_exchange}


def boxes(system: str = "microsoft", *, switches: Switches | None = None, world: World | None = None) -> Boxes:
    """Returns a world with Salesforce and two mailboxes of the mail system, connected, and each with a Salesforce user."""
    clock = Clock()
    world = world or World(scenario="empty", now=clock)
    crm, peer = connect_salesforce(world), CONNECT[system](world)
    made = Boxes(world, clock, contacts_pass(crm, peer), wire(world, clock, switches=switches), system)
    for address in world.systems[system].credentials()["mailboxes"]:
        first = address.partition("@")[0].capitalize()
        user = world.salesforce.create_record(
            "User", {"Username": address, "FirstName": first, "LastName": "User", "Email": address, "Alias": first.lower()}
        )["Id"]
        made.users[address] = user
        mailbox = mailbox_add(peer, address, None, crm_user_id=user)
        made.passes[address] = SyncPass.objects.select_related("crm", "peer", "mapping", "parent", "mailbox__group").get(
            pk=pass_over(made.parent, mailbox).pk
        )
    return made
