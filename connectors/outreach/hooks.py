"""Webhooks of Outreach: ours are made, listed and removed, and what they deliver is read.

A delivery is a hint: any HTTP answer counts as delivered, a webhook that failed for seven days is off for good. Payload
version 2 says what changed fields held before; where that stands in the body the reference leaves open, so every place
it may stand in is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.contract import Hook, HookEvent, Ref, Value
from connectors.errors import RecordGone
from connectors.http import unreadable
from connectors.outreach.client import OutreachClient
from connectors.outreach.codec import SYSTEM, read_instant, read_value
from connectors.text import clean

PATH = "/api/v2/webhooks"
MOST = 100  # webhooks of one organisation that are looked through
HEARD = ("account", "prospect", "user")  # of whose changes a delivery tells us something


def list_hooks(client: OutreachClient, url: str) -> list[Hook]:
    """Returns the webhooks that deliver to this address, whoever made them. Raises ConnectorError."""
    answer = client.get(PATH, [("count", "false"), ("page[size]", str(MOST))], template=PATH)
    rows = answer.data.get("data")
    if not isinstance(rows, list):
        raise unreadable(SYSTEM, answer, is_read=True)
    found = [_read(row) for row in rows if isinstance(row, Mapping)]
    return [hook for hook in found if hook is not None and hook.url == url]


def make_hook(client: OutreachClient, object_type: str, url: str, secret: str) -> Hook:
    """Creates a webhook for every change of the object type. Raises ConnectorError; one that may have happened is found by
    its address afterwards."""
    attributes = {"url": url, "resource": object_type, "action": "*", "secret": secret, "payloadVersion": 2, "active": True}
    answer = client.send("POST", PATH, {"data": {"type": "webhook", "attributes": attributes}}, template=PATH)
    hook = _read(answer.data["data"])
    if hook is None:
        raise unreadable(SYSTEM, answer, is_read=False)
    return hook


def drop_hook(client: OutreachClient, id_: str) -> None:
    """Deletes a webhook; one that is gone already is no error. Raises ConnectorError."""
    try:
        client.send("DELETE", f"{PATH}/{int(id_)}", None, template=f"{PATH}/{{id}}")
    except RecordGone:
        return


def _read(row: Mapping[str, Any]) -> Hook | None:
    id_, said = row.get("id"), row.get("attributes")
    if isinstance(id_, bool) or not isinstance(id_, int) or not isinstance(said, Mapping):
        return None
    # One with an end to it starts again of itself: an hour after a private address, a minute after a name without one.
    is_off = said.get("active") is False or bool(said.get("disabledSince") and not said.get("disabledUntil"))
    why = clean(str(said.get("disabledReason") or ""))[0][:200]
    return Hook(str(id_), str(said.get("resource") or "*"), str(said.get("url") or ""), not is_off, why)


def read_delivery(document: Mapping[str, Any]) -> HookEvent | None:
    """Returns what a delivered body says, None when it names no change of a record that we know. Pure."""
    data, meta = document.get("data"), document.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    if not isinstance(data, Mapping):
        return None
    type_, _, action = str(meta.get("eventName") or "").rpartition(".")
    type_ = str(data.get("type") or type_)
    id_ = data.get("id")
    is_id = not isinstance(id_, bool) and isinstance(id_, int | str) and str(id_).isascii() and str(id_).isdigit()
    if type_ not in HEARD or not is_id or not action:
        return None
    fields = _fields(data)
    before = _before(document, data)
    changed_at = fields.get("updatedAt") or read_instant(meta.get("deliveredAt"))
    actor = fields.get("updater")
    return HookEvent(
        Ref(SYSTEM, type_, str(id_)),
        action,
        fields,
        before,
        changed_at if not isinstance(changed_at, str | bool | int | float | tuple) else None,  # type: ignore[arg-type]
        str(actor) if actor is not None else "",
    )


def _before(document: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Value]:
    """Returns what the changed fields held, {} where the body does not say."""
    meta = document.get("meta")
    for place in (data, data.get("attributes"), document, meta):
        said = place.get("beforeUpdate") if isinstance(place, Mapping) else None
        if isinstance(said, Mapping):
            nested = isinstance(said.get("attributes"), Mapping) or isinstance(said.get("relationships"), Mapping)
            return _fields(said if nested else {"attributes": said})
    return {}


def _fields(part: Mapping[str, Any]) -> dict[str, Value]:
    """Returns attributes and to-one relationships as canonical values. Relationships were captured without the `data`
    around them, and are documented with it."""
    found: dict[str, Value] = {}
    attributes, relationships = part.get("attributes"), part.get("relationships")
    for name, raw in (attributes if isinstance(attributes, Mapping) else {}).items():
        if name == "beforeUpdate":
            continue
        found[name] = _related(raw) if isinstance(raw, Mapping) else read_value(raw, is_instant=name.endswith("At"))[0]
    for name, raw in (relationships if isinstance(relationships, Mapping) else {}).items():
        inner = raw.get("data", raw) if isinstance(raw, Mapping) else raw
        if inner is None or (isinstance(inner, Mapping) and "id" in inner):
            found[name] = _related(inner)
    return found


def _related(raw: Any) -> Value:
    id_ = raw.get("id") if isinstance(raw, Mapping) else None
    return None if id_ is None else clean(str(id_))[0]
