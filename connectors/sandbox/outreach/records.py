"""The records of the played Outreach and the rules of writing them: what is refused, what belongs together, who is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from connectors.sandbox.outreach import actions, webhooks
from connectors.sandbox.outreach.query import show_instant
from connectors.sandbox.outreach.refusal import Refused
from connectors.sandbox.outreach.schema import BY_TYPE, RESOURCES, UNLISTED, Resource
from connectors.sandbox.outreach.table import Record, Table
from connectors.sandbox.outreach.values import checked_value

# What goes with the record it belongs to; any other relationship is cleared.
OWNED = {("emailAddress", "prospect"), ("phoneNumber", "prospect"), ("sequenceState", "prospect"), ("sequenceState", "sequence")}


class Records:
    """All tables of one organisation. Knows nothing of HTTP."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self.tables = {collection: Table(collection) for collection in RESOURCES}
        self.index_lag: Callable[[], float] = lambda: 0.0  # seconds; the world sets it
        self.unique_custom_id = False
        self.outbox: list[webhooks.Delivery] = []

    def _create(self, resource: Resource, values: Record, *, is_user: bool = False) -> Record:
        table = self.tables[resource.collection]
        now = values.pop("updatedAt", None) if is_user else None
        created = show_instant(str(now)) if now else self._stamp("")
        checked = self._check(resource, None, values, is_user)
        if not is_user:
            actions.refuse_create(resource.type, checked, self.tables)
        record: Record = {"id": table.next_id, "createdAt": created, "updatedAt": created, "creator": self._me(), "updater": self._me()}
        record.update({n: None for n in resource.to_one if n not in record})
        if resource.type == "account":
            record.update({"named": True, "externalSource": "outreach-api"})
        record.update(actions.born_with(resource.type, created))
        record.update(checked)
        self._put(resource, record, None)
        return record

    def _update(self, resource: Resource, id_: int, values: Record, *, is_user: bool = False) -> Record:
        table = self.tables[resource.collection]
        before = table.records[id_]
        values.pop("id", None)
        return self._save(resource, before, self._check(resource, before, values, is_user))

    def _save(self, resource: Resource, before: Record, changes: Record) -> Record:
        record = {**before, **changes, "updatedAt": self._stamp(before["updatedAt"]), "updater": self._me()}
        self._put(resource, record, before)
        return record

    def _put(self, resource: Resource, record: Record, before: Record | None) -> None:
        """Stores a record with what follows from it, and tells the webhooks."""
        self._derive(resource, record)
        self._remember(resource, record, before)
        self.tables[resource.collection].put(record)
        self._mirror_emails(resource, record, before)
        if resource.type == "prospect" and before is not None and record.get("account") != before.get("account"):
            self._follow_account(record)
        self._tell(resource, "created" if before is None else "updated", record, before)

    def _remember(self, resource: Resource, record: Record, before: Record | None) -> None:
        if self.index_lag() > 0:
            self.tables[resource.collection].remember(record["id"], record["updatedAt"], before)

    def _follow_account(self, prospect: Record) -> None:
        """Takes the tasks and sequence states of a prospect along to its new account."""
        for collection in ("tasks", "sequenceStates"):
            table = self.tables[collection]
            for id_ in table.having("prospect", [prospect["id"]]) or ():
                table.put({**table.records[id_], "account": prospect.get("account")})

    def _delete(self, resource: Resource, id_: int) -> None:
        """Removes a record with what belongs to it, and clears every relationship that named it."""
        table = self.tables[resource.collection]
        record = table.records[id_]
        table.remove(id_)
        self._tell(resource, "destroyed", record, record)
        for other in RESOURCES.values():
            for name, type_ in other.to_one.items():
                if resource.type in type_.split("|"):
                    self._forget(other, name, resource.type, id_)
        if resource.type == "emailAddress":
            self._unmirror(record)

    def _forget(self, resource: Resource, name: str, type_: str, id_: int) -> None:
        """Clears a relationship wherever it names a record that is gone; what cannot be without it goes too."""
        table = self.tables[resource.collection]
        found = table.having(name, [id_])
        if found is None:
            gone = (id_, {"type": type_, "id": id_})
            found = {i for i, r in table.records.items() if r.get(name) in gone}
        for other in sorted(found):
            if other not in table.records:
                continue
            if (resource.type, name) in OWNED:
                self._delete(resource, other)
            elif name in ("creator", "updater"):
                table.put({**table.records[other], name: None})
            else:
                self._save(resource, table.records[other], {name: None})

    def _tell(self, resource: Resource, action: str, record: Record, before: Record | None) -> None:
        """Hands the change to every active webhook that asked for it."""
        hooks = [h for h in self.tables["webhooks"].records.values() if h.get("active") is not False]
        for hook in hooks:
            if webhooks.wants(hook, resource.type, action):
                self.outbox.append(webhooks.delivery(hook, resource, action, record, before, self._now()))

    def _me(self) -> int | None:
        return min(self.tables["users"].records, default=None)

    def _stamp(self, after: str) -> str:
        """Returns the present instant in milliseconds, later than `after`: every write of a record moves updatedAt."""
        now = show_instant(self._now().isoformat())
        if now <= after:
            try:
                later = datetime.fromisoformat(after.replace("Z", "+00:00")) + timedelta(milliseconds=1)
            except OverflowError:
                return after  # the last instant there is
            now = show_instant(later.isoformat())
        return now

    def _check(self, resource: Resource, before: Record | None, values: Record, is_user: bool) -> Record:
        """Returns the values to store. Raises Refused in Outreach's words."""
        checked: Record = {}
        for name, value in values.items():
            if name in resource.to_one:
                self._check_related(resource, name, value)
                checked[name] = value
                continue
            attribute = resource.attributes.get(name)
            if attribute is None:
                raise Refused(400, "permittedParams.unknownAttribute", f"Unknown attribute '{name}'.", f"/data/attributes/{name}")
            if attribute.is_read_only and not is_user:
                raise Refused(400, "permittedParams.unknownAttribute", f"Attribute '{name}' is read-only.", f"/data/attributes/{name}")
            checked[name] = checked_value(attribute, value)
        merged = {**(before or {}), **checked}
        if resource.type in ("account", "stage", "persona", "sequence") and not str(merged.get("name") or "").strip():
            raise Refused(422, "validationError", "Name can't be blank.", "/data/attributes/name")
        if resource.type == "webhook":
            webhooks.check(merged)
        if (
            resource.type == "user"
            and before is not None
            and not is_user
            and checked.get("email", before.get("email")) != before.get("email")
        ):
            raise Refused(422, "validationError", "Email cannot be changed.", "/data/attributes/email")
        self._check_unique(resource, before, checked)
        return checked

    def _check_related(self, resource: Resource, name: str, value: Any) -> None:
        """Raises Refused for a relationship to a record that is not there. Tools may name a record of several types by id
        alone, which then is the last type's."""
        if value is None:
            return
        if resource.to_one[name] in UNLISTED:
            return
        type_, id_ = (value.get("type"), value.get("id")) if isinstance(value, dict) else (resource.to_one[name].split("|")[-1], value)
        known = type_ in resource.to_one[name].split("|")
        if not known or not isinstance(id_, int) or isinstance(id_, bool) or id_ not in self.tables[BY_TYPE[str(type_)].collection].records:
            raise Refused(422, "validationError", f"{name.capitalize()} must exist.", f"/data/relationships/{name}")

    def _check_unique(self, resource: Resource, before: Record | None, checked: Record) -> None:
        own = {before["id"]} if before else set()
        if resource.type == "prospect" and checked.get("emails"):
            self._check_emails(checked["emails"], own, "/data/attributes/emails")
        if resource.type == "emailAddress":
            merged = {**(before or {}), **checked}
            if not merged.get("email"):
                raise Refused(422, "validationError", "Email can't be blank.", "/data/attributes/email")
            own = {merged.get("prospect")} if before or merged["email"] not in self._emails_of(merged.get("prospect")) else set()
            self._check_emails([merged["email"]], own, "/data/attributes/email")
        unique = {"user": "username"} | ({"account": "customId"} if self.unique_custom_id else {})
        name = unique.get(resource.type, "")
        if name and checked.get(name) and (self.tables[resource.collection].having(name, [checked[name]]) or set()) - own:
            raise Refused(422, "validationError", f"{name} has already been taken.", f"/data/attributes/{name}")

    def _emails_of(self, prospect: int | None) -> list[str]:
        return (self.tables["prospects"].records.get(prospect or 0) or {}).get("emails") or []

    def _check_emails(self, emails: list[str], own: set[Any], pointer: str) -> None:
        """Raises Refused for an address that another prospect has, or that comes twice."""
        taken = self.tables["prospects"].having("emails", emails) or set()
        if taken - own:
            raise Refused(422, "validationError", "Contacts email hash has already been taken.", pointer)
        if len({e.lower() for e in emails}) < len(emails):
            raise Refused(422, "validationDuplicateValueError", "A Contact with this email_hash already exists.", pointer)

    def _derive(self, resource: Resource, record: Record) -> None:
        """Sets what follows from other values of a record."""
        if resource.type == "account":
            record["naturalName"] = str(record.get("name") or "").lower()
        subject = record.get("subject")
        if resource.type == "task" and subject is not None:
            if not isinstance(subject, dict):
                record["subject"] = subject = {"type": resource.to_one["subject"].split("|")[-1], "id": subject}
            record.update({name: subject["id"] if subject["type"] == name else None for name in ("prospect", "account", "opportunity")})
        if resource.type in actions.ENDS:
            record.update(actions.ended(resource.type, record))
        if resource.type == "mailing" and record.get("user") is None and record.get("mailbox") is not None:
            record["user"] = (self.tables["mailboxes"].records.get(record["mailbox"]) or {}).get("user")
        if resource.type in ("task", "sequenceState") and record.get("prospect") is not None:
            prospect = self.tables["prospects"].records.get(record["prospect"])
            record["account"] = prospect.get("account") if prospect else None

    def _mirror_emails(self, resource: Resource, record: Record, before: Record | None) -> None:
        """Writing `emails` of a prospect makes its emailAddress records, and writing one of those its `emails`."""
        if resource.type == "emailAddress":
            self._mirror_address(record, before)
        elif resource.type == "prospect" and record.get("emails") != (before or {}).get("emails"):
            self._mirror_list(record)

    def _mirror_list(self, prospect: Record) -> None:
        table = self.tables["emailAddresses"]
        wanted = list(prospect.get("emails") or [])
        present = {table.records[i]["email"]: i for i in table.having("prospect", [prospect["id"]]) or ()}
        for email, id_ in present.items():
            if email not in wanted:
                table.remove(id_)
        for order, email in enumerate(wanted):
            if email not in present:
                at = prospect["updatedAt"]
                row = {"id": table.next_id, "email": email, "emailType": "work", "order": order, "prospect": prospect["id"]}
                table.put({**row, "createdAt": at, "updatedAt": at, "creator": None, "updater": None})

    def _mirror_address(self, address: Record, before: Record | None) -> None:
        was = (before.get("prospect"), before.get("email")) if before is not None else (None, None)
        is_now = (address.get("prospect"), address["email"])
        if was == is_now:
            return
        if before is not None and was[0] != is_now[0]:
            self._unmirror(before)
        prospect = self.tables["prospects"].records.get(is_now[0] or 0)
        if prospect is not None:
            kept = [e for e in prospect.get("emails") or [] if e not in (was[1] if was[0] == is_now[0] else None, address["email"])]
            self._save(RESOURCES["prospects"], prospect, {"emails": [*kept, address["email"]]})

    def _unmirror(self, address: Record) -> None:
        """Takes an address that is gone from its prospect's list."""
        prospect = self.tables["prospects"].records.get(address.get("prospect") or 0)
        if prospect is not None and address["email"] in (prospect.get("emails") or []):
            kept = [e for e in prospect["emails"] if e != address["email"]]
            self._save(RESOURCES["prospects"], prospect, {"emails": kept})
