"""Whether an answer is what Microsoft's own metadata says of its type: names of properties, kinds of values, enums."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

TYPES: dict[str, Any] = json.loads((Path(__file__).parent / "graph-outlook-types.json").read_text())["types"]
# The user's type is no part of that file.
TYPES["user"] = {
    "base": "entity",
    "props": {
        **dict.fromkeys(
            ("displayName", "mail", "userPrincipalName", "givenName", "surname", "jobTitle", "mobilePhone", "officeLocation",
             "preferredLanguage", "userType"), "Edm.String"),
        "accountEnabled": "Edm.Boolean",
        "businessPhones": "Collection(Edm.String)",
    },
    "nav": {},
}  # fmt: skip
OF_CONTEXT = {
    "users": "user", "contacts": "contact", "contactFolders/contacts": "contact", "contactFolders": "contactFolder",
    "masterCategories": "outlookCategory", "mailFolders": "mailFolder", "Collection(contact)": "contact",
    "Collection(contactFolder)": "contactFolder", "messages": "message", "mailFolders/messages": "message",
    "Collection(message)": "message", "messages/attachments": "fileAttachment", "lists": "todoTaskList", "tasks": "todoTask",
    "Collection(todoTaskList)": "todoTaskList", "Collection(todoTask)": "todoTask", "linkedResources": "linkedResource",
    "subscriptions": "subscription", "events": "event", "Collection(event)": "event", "calendars": "calendar",
}  # fmt: skip
_KINDS: dict[str, type | tuple[type, ...]] = {"Edm.String": str, "Edm.Boolean": bool, "Edm.Int32": int, "Edm.Binary": str, "Edm.Date": str}


def properties(name: str) -> dict[str, str]:
    """Returns the properties of a type and of those it builds on, with what can be expanded."""
    type_ = TYPES[name]
    inherited = properties(type_["base"]) if type_.get("base") else {}
    return {**inherited, **type_["props"], **type_["nav"]}


def check_answer(body: Any) -> str:
    """Returns the type that an answer's context names. Fails for anything in it that the type does not have."""
    context = body["@odata.context"].split("$metadata#")[1]
    is_one = context.endswith("/$entity")
    name = OF_CONTEXT[context.removesuffix("/$entity")]
    for each in [body] if is_one else body["value"]:
        check_entity(name, {key: value for key, value in each.items() if key != "@odata.context"})
    if not is_one:
        assert set(body) <= {"@odata.context", "value", "@odata.nextLink", "@odata.deltaLink", "@odata.count"}
    return name


def check_entity(name: str, entity: dict[str, Any]) -> None:
    known = properties(name)
    assert isinstance(entity.get("id"), str) or name == "user", entity
    for key, value in entity.items():
        if key == "@removed":
            assert value["reason"] in ("deleted", "changed") and set(entity) == {"id", "@removed", "@odata.type"}
        elif key == "@odata.etag":
            assert value == f'W/"{entity.get("changeKey", value[3:-1])}"'
        elif key == "@odata.type":
            assert value == f"#microsoft.graph.{name}"
        elif key == "@odata.mediaContentType":
            assert value == entity.get("contentType", value)
        elif key == "attachments" and name == "message":
            for each in value:
                check_entity("fileAttachment", each)
        else:
            assert key in known, f"{name} has no {key}"
            _check_value(known[key], value, f"{name}.{key}")


def _check_value(type_: str, value: Any, where: str) -> None:
    if value is None:
        assert not type_.endswith("!") and not type_.startswith("Collection("), where
        return
    type_ = type_.removesuffix("!")
    if match := re.fullmatch(r"Collection\((.*)\)", type_):
        assert isinstance(value, list), where
        for each in value:
            _check_value(f"{match[1]}!", each, where)
    elif type_ == "Edm.DateTimeOffset":
        assert value.endswith("Z") and datetime.fromisoformat(value).tzinfo is not None, where
    elif type_ in _KINDS:
        assert isinstance(value, _KINDS[type_]), where
    elif TYPES[type_].get("kind") == "EntityType":
        check_entity(type_, value)
    elif "enum" in TYPES[type_]:
        assert value in TYPES[type_]["enum"], where
    else:
        known = properties(type_)
        for key, each in value.items():
            assert key in known, f"{where} has no {key}"
            _check_value(known[key], each, f"{where}.{key}")
