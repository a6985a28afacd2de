"""What the played Outreach knows of its resources: attributes with type, length and rights, and relationships."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.outreach import attributes as words

TIMES = "createdAt:datetime::RFS updatedAt:datetime::RFS"
SUBJECTS = "account|opportunity|prospect"
_NUMBERED = re.compile(r"(\w*[a-z])1\.\.([0-9]+)")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute. `type` is string, integer, number, boolean, datetime, date, object or array; `longest` 0: no limit."""

    name: str
    type: str = "string"
    longest: int = 0
    is_read_only: bool = False
    is_filterable: bool = False
    is_sortable: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource type: its collection, attributes by name, and to-one relationships name -> type. A type with bars may be
    any of several, and records hold such a relationship as `{"type", "id"}`; all others as an id."""

    type: str
    collection: str
    attributes: dict[str, Attribute]
    to_one: dict[str, str]
    read_only_to_one: frozenset[str]
    links: dict[str, tuple[str, str]]  # link-only: name -> (collection, the relationship that points back)


def _attributes(text: str) -> dict[str, Attribute]:
    """Reads the words of `attributes.py`."""
    found = {}
    for word in text.split():
        name, type_, longest, flags = [*word.split(":"), "", "", ""][:4]
        numbered = _NUMBERED.fullmatch(name)
        for each in [f"{numbered[1]}{n}" for n in range(1, int(numbered[2]) + 1)] if numbered else [name]:
            most = int(longest) if longest else (255 if not type_ else 0)
            found[each] = Attribute(each, type_ or "string", most, "R" in flags, "F" in flags, "S" in flags)
    return found


def _relation(word: str) -> tuple[str, str]:
    """Reads `name:type`; a name alone is its own type."""
    name, _, type_ = word.partition(":")
    return name, type_ or name


def _resource(
    type_: str, collection: str, text: str, to_one: str = "", read_only: str = "", links: dict[str, tuple[str, str]] | None = None
) -> Resource:
    one = dict(_relation(word) for word in to_one.split())
    fixed = {"creator": "user", "updater": "user", **dict(_relation(word) for word in read_only.split())}
    return Resource(type_, collection, _attributes(text), {**one, **fixed}, frozenset(fixed), links or {})


RESOURCES = {
    r.collection: r
    for r in (
        _resource(
            "account", "accounts", words.ACCOUNT, "owner:user", "defaultPluginMapping:pluginMapping",
            {"prospects": ("prospects", "account"), "tasks": ("tasks", "account")},
        ),
        _resource(
            "prospect", "prospects", words.PROSPECT, "account owner:user stage persona", "",
            {
                "sequenceStates": ("sequenceStates", "prospect"), "tasks": ("tasks", "prospect"), "mailings": ("mailings", "prospect"),
                "calls": ("calls", "prospect"),
            },
        ),
        _resource("user", "users", words.USER),
        _resource(
            "task", "tasks", words.TASK, f"owner:user subject:{SUBJECTS}", "prospect account opportunity sequence sequenceState mailing"
        ),
        _resource("sequence", "sequences", words.SEQUENCE, "owner:user"),
        _resource("sequenceState", "sequenceStates", words.SEQUENCE_STATE, "prospect sequence mailbox", "account"),
        _resource("mailing", "mailings", words.MAILING, "prospect mailbox task", "user opportunity sequence sequenceState"),
        _resource(
            "call", "calls", words.CALL, "prospect user opportunity phoneNumber sequence sequenceState task",
            "associatedId:account|opportunity",
        ),
        _resource("mailbox", "mailboxes", words.MAILBOX, "user"),
        _resource("emailAddress", "emailAddresses", words.EMAIL_ADDRESS, "prospect"),
        _resource("phoneNumber", "phoneNumbers", words.PHONE_NUMBER, "prospect"),
        _resource("stage", "stages", words.STAGE),
        _resource("persona", "personas", f"name:::FS description::65535 {TIMES}"),
        _resource("opportunity", "opportunities", words.OPPORTUNITY, "account owner:user primaryProspect:prospect"),
        _resource("webhook", "webhooks", f"{words.WEBHOOK} cleanupToken:::R creatorAppId:integer::R creatorAppName:::R"),
        _resource("batch", "batches", words.BATCH),
        _resource("batchItem", "batchItems", words.BATCH_ITEM, "", "batch"),
        _resource("event", "events", f"name {TIMES}"),
    )
}  # fmt: skip
BY_TYPE = {r.type: r for r in RESOURCES.values()}
UNLISTED = ("pluginMapping",)  # named by relationships, and no resource of its own
_ANY = ("*",)  # every attribute that the related resource filters by
RELATION_FILTERS: dict[str, dict[str, tuple[str, ...]]] = {
    "prospects": {"account": ("id", "customId", "name", "named", "updatedAt"), "owner": ("id",), "stage": ("id", "name")},
    "accounts": {"owner": ("id",)},
    "tasks": {
        "owner": ("id", "email", "firstName"), "prospect": _ANY, "account": ("id",), "opportunity": ("id",), "sequence": ("id", "tags"),
    },
    "sequenceStates": {"prospect": ("id", "emails"), "sequence": _ANY, "mailbox": ("id", "email"), "account": ("id",)},
    "emailAddresses": {"prospect": ("id",)},
    "phoneNumbers": {"prospect": ("id",)},
    "mailings": {"prospect": ("id",), "sequence": ("id",), "sequenceState": ("id",)},
    "calls": {
        "prospect": ("id",), "user": ("id",), "opportunity": ("id",), "phoneNumber": ("id",), "sequence": ("id",), "sequenceState": ("id",),
        "task": ("id",),
    },
    "opportunities": {"account": ("id",), "owner": ("id",), "primaryProspect": ("id",)},
}  # fmt: skip


def hyper_schema() -> dict[str, Any]:
    """Returns the body of `GET /schema.json`: per attribute its type and rights."""
    return {"definitions": {r.type: {"type": "object", "properties": _properties(r)} for r in RESOURCES.values()}}


def open_api() -> dict[str, Any]:
    """Returns the body of `GET /schema/openapi.json`: paths and schemas, no query parameters, as the vendor's."""
    paths = {}
    for r in RESOURCES.values():
        paths[f"/{r.collection}"] = {"get": {"responses": {"200": {"description": f"{r.type} collection"}}}}
        paths[f"/{r.collection}/{{id}}"] = {"get": {"responses": {"200": {"description": r.type}}}}
    schemas = {r.type: {"type": "object", "properties": _properties(r)} for r in RESOURCES.values()}
    info = {"title": "Outreach API (sandbox)", "version": "2"}
    return {"openapi": "3.0.3", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _properties(resource: Resource) -> dict[str, Any]:
    return {a.name: _described(a) for a in resource.attributes.values()}


def _described(attribute: Attribute) -> dict[str, Any]:
    is_time = attribute.type in ("datetime", "date")
    kind: dict[str, Any] = {"type": "string" if is_time else attribute.type}
    if is_time:
        kind["format"] = "date-time" if attribute.type == "datetime" else "date"
    if attribute.longest:
        kind["maxLength"] = attribute.longest
    rights = {"readOnly": attribute.is_read_only, "filterable": attribute.is_filterable, "sortable": attribute.is_sortable}
    return {**kind, **rights}
