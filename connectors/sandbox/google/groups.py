"""The calls under `/v1/contactGroups`: labels, their members, their sync."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from connectors.sandbox.google.calls import Call, read_mask
from connectors.sandbox.google.paging import Pager
from connectors.sandbox.google.people import READS_CONTACTS, WRITES_CONTACTS, Method
from connectors.sandbox.google.refusal import Refused, invalid, precondition
from connectors.sandbox.google.schema import GROUP_FIELDS
from connectors.sandbox.google.store import SYSTEM_GROUPS, Store, etag_of, group_name, resource_name
from connectors.sandbox.google.table import Row

DEFAULT_READ = ("metadata", "groupType", "memberCount", "name")
DEFAULT_WRITTEN = ("metadata", "groupType", "name")  # what create and update answer with
MOST_MODIFIED, MOST_IN_BATCH, MOST_A_PAGE, DEFAULT_PAGE, MOST_MEMBERS = 1000, 200, 1000, 30, 10**9


class ContactGroups:
    """What the calls of contact groups answer."""

    def __init__(self, store: Store, pager: Pager) -> None:
        self._store, self._pager = store, pager

    def method(self, call: Call) -> Method | None:
        """Returns the method of a call below `/v1`; None where there is none."""
        parts, key = call.parts, (call.method, call.verb)
        if parts[:1] != ("contactGroups",):
            return None
        if len(parts) == 1:
            return {
                ("GET", ""): Method(self._list, READS_CONTACTS),
                ("GET", "batchGet"): Method(self._batch_get, READS_CONTACTS),
                ("POST", ""): Method(self._create, WRITES_CONTACTS, True, False),
            }.get(key)
        if len(parts) == 2:
            return {
                ("GET", ""): Method(self._get, READS_CONTACTS),
                ("PUT", ""): Method(self._update, WRITES_CONTACTS, True),
                ("DELETE", ""): Method(self._delete, WRITES_CONTACTS, True, False),
            }.get(key)
        is_modify = len(parts) == 3 and parts[2] == "members" and key == ("POST", "modify")
        return Method(self._modify, WRITES_CONTACTS, True, False) if is_modify else None

    def _shown(self, group: Row, mask: Collection[str], most: int = 0) -> dict[str, Any]:
        told: dict[str, Any] = {"resourceName": group_name(group), "etag": etag_of(group, head="")}
        if group["is_deleted"]:
            return {**told, "metadata": {"deleted": True}}
        is_system = group["gid"] in SYSTEM_GROUPS
        members = self._store.members(group) if most or "memberCount" in mask else []
        if "metadata" in mask and not is_system:
            told["metadata"] = {"updateTime": group["at"]}
        if "groupType" in mask:
            told["groupType"] = "SYSTEM_CONTACT_GROUP" if is_system else "USER_CONTACT_GROUP"
        if "name" in mask:
            told |= {"name": group["title"], "formattedName": SYSTEM_GROUPS.get(group["gid"], group["title"])}
        if "clientData" in mask and group["clientData"]:
            told["clientData"] = group["clientData"]
        if "memberCount" in mask and members:
            told["memberCount"] = len(members)
        if most and members:
            told["memberResourceNames"] = [resource_name(row) for row in members[:most]]
        return told

    def _list(self, call: Call) -> dict[str, Any]:
        call.allow("pageSize", "pageToken", "syncToken", "groupFields")
        mask, store = call.mask("groupFields", GROUP_FIELDS, default=DEFAULT_READ), self._store
        found = self._pager.page(
            store.groups, call, mailbox=call.mailbox, size=call.number("pageSize", DEFAULT_PAGE, MOST_A_PAGE), gives_token=True,
            present=store.sequence, now=store.now().timestamp(), days=store.switches.sync_token_days, sees_all=not call.text("syncToken"),
        )  # fmt: skip
        answer: dict[str, Any] = {"contactGroups": [self._shown(group, mask) for group in found.rows]}
        answer |= {"totalItems": found.total, "nextPageToken": found.next_page, "nextSyncToken": found.next_sync}
        return {name: value for name, value in answer.items() if value}

    def _get(self, call: Call) -> dict[str, Any]:
        call.allow("maxMembers", "groupFields")
        mask, most = call.mask("groupFields", GROUP_FIELDS, default=DEFAULT_READ), call.number("maxMembers", 0, MOST_MEMBERS)
        return self._shown(self._store.existing_group(call.mailbox, call.parts[1]), mask, most)

    def _batch_get(self, call: Call) -> dict[str, Any]:
        call.allow("maxMembers", "groupFields", "resourceNames")
        mask, most = call.mask("groupFields", GROUP_FIELDS, default=DEFAULT_READ), call.number("maxMembers", 0, MOST_MEMBERS)
        names = call.parameters.get("resourceNames", [])
        if not 1 <= len(names) <= MOST_IN_BATCH:
            raise invalid(f"Request must have between 1 and {MOST_IN_BATCH} resourceNames.")
        return {"responses": [self._response(call, name, mask, most) for name in names]}

    def _response(self, call: Call, name: str, mask: Collection[str], most: int) -> dict[str, Any]:
        told: dict[str, Any] = {"requestedResourceName": name}
        try:
            group = self._store.existing_group(call.mailbox, name.removeprefix("contactGroups/"))
        except Refused as refused:
            return {**told, "status": refused.as_status()}
        return {**told, "contactGroup": self._shown(group, mask, most), "status": {"code": 0, "message": ""}}

    # --- writing --------------------------------------------------------------------------------------------------------
    def _create(self, call: Call) -> dict[str, Any]:
        call.allow()
        body = call.json("CreateContactGroupRequest", "")
        given = body.get("contactGroup", {})
        mask = read_mask(body.get("readGroupFields", ""), "readGroupFields", GROUP_FIELDS) or DEFAULT_WRITTEN
        group = self._store.add_group(call.mailbox, given.get("name", ""), given.get("clientData"))
        call.touched.append(group_name(group))
        return self._shown(group, mask)

    def _own(self, call: Call) -> Row:
        """Returns the label that a call would change. Raises Refused, also for the groups of the system."""
        group = self._store.existing_group(call.mailbox, call.parts[1])
        if group["gid"] in SYSTEM_GROUPS:
            raise invalid("System contact groups cannot be changed or deleted.")
        return group

    def _update(self, call: Call) -> dict[str, Any]:
        call.allow()
        body = call.json("UpdateContactGroupRequest", "")
        given = body.get("contactGroup", {})
        update = read_mask(body.get("updateGroupFields", ""), "updateGroupFields", ("name", "clientData")) or {"name"}
        mask = read_mask(body.get("readGroupFields", ""), "readGroupFields", GROUP_FIELDS) or DEFAULT_WRITTEN
        group = self._own(call)
        if not given.get("etag"):
            raise invalid("Request must set contactGroup.etag.")
        if given["etag"] != etag_of(group, head=""):
            raise precondition("Request contactGroup.etag is different than the current contactGroup.etag.")
        new = dict(group)
        if "name" in update:
            self._store.check_group_name(call.mailbox, given.get("name", ""), group)
            new["title"] = given["name"]
        if "clientData" in update:
            new["clientData"] = given.get("clientData", [])
        return self._shown(self._store.put(self._store.groups, new), mask)

    def _delete(self, call: Call) -> dict[str, Any]:
        call.allow("deleteContacts")
        self._store.drop_group(self._own(call), with_contacts=call.flag("deleteContacts"))
        return {}

    def _modify(self, call: Call) -> dict[str, Any]:
        call.allow()
        body = call.json("ModifyContactGroupMembersRequest", "")
        added, removed = body.get("resourceNamesToAdd", []), body.get("resourceNamesToRemove", [])
        if not 1 <= len(added) + len(removed) <= MOST_MODIFIED:
            raise invalid(f"Request must have between 1 and {MOST_MODIFIED} resource names to add and remove.")
        group = self._store.existing_group(call.mailbox, call.parts[1])
        missing, last = [], []
        for name in dict.fromkeys([*added, *removed]):
            row = self._store.contact(call.mailbox, name)
            if row is None:
                missing.append(name)
                continue
            groups = [gid for gid in row["groups"] if gid != group["gid"]]
            if name in added:
                groups.append(group["gid"])
            if not groups:
                last.append(name)
            elif set(groups) != set(row["groups"]):
                self._store.change_contact(row, {}, groups)
        answer = {"notFoundResourceNames": missing, "canNotRemoveLastContactGroupResourceNames": last}
        return {name: names for name, names in answer.items() if names}
