"""Webhooks of the played Outreach: what they may ask for, what is sent, and the sender.

A hint, never a promise: five seconds, no redirect, no second try after an HTTP answer, four tries a second apart when
the network fails. The sandbox delivers to this machine only.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import queue
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from connectors.sandbox.outreach.refusal import Refused
from connectors.sandbox.outreach.schema import Resource
from connectors.sandbox.outreach.table import Record

_CHANGES = ("created", "updated", "destroyed")
ACTIONS = {
    **dict.fromkeys(("account", "call", "emailAddress", "opportunity", "opportunityProspectRole", "prospect", "sequence"), _CHANGES),
    "mailing": (*_CHANGES, "bounced", "delivered", "opened", "replied"),
    "sequenceState": (*_CHANGES, "advanced", "finished"),
    "task": (*_CHANGES, "completed"),
    "user": ("created", "updated"),
    "import": ("created", "finished"),
    "kaiaRecording": ("created",),
}
LOOPBACK = ("127.0.0.1", "localhost")
TRIES, TIME_OUT, PAUSE = 4, 5.0, 1.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One POST to be sent."""

    url: str
    body: bytes
    headers: dict[str, str]


def check(hook: Record) -> None:
    """Raises Refused for a webhook that Outreach would not take. Loopback stands in for a public https address."""
    resource, action, url = str(hook.get("resource") or "*"), str(hook.get("action") or "*"), str(hook.get("url") or "")
    parts = urlsplit(url)
    if not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)):
        raise Refused(422, "validationError", "Url must be https.", "/data/attributes/url")
    if resource != "*" and resource not in ACTIONS:
        raise Refused(422, "validationError", "Resource is not included in the list.", "/data/attributes/resource")
    if action != "*" and action not in ACTIONS.get(resource, _CHANGES):
        raise Refused(422, "validationError", "Action is not included in the list.", "/data/attributes/action")
    if hook.get("payloadVersion") not in (None, 1, 2):
        raise Refused(422, "validationError", "Payload version is not included in the list.", "/data/attributes/payloadVersion")


def wants(hook: Record, type_: str, action: str) -> bool:
    """Tells whether a webhook asked for this change."""
    fits = hook.get("resource") in ("*", None, type_) and hook.get("action") in ("*", None, action)
    return fits and action in ACTIONS.get(type_, ())


def delivery(hook: Record, resource: Resource, action: str, record: Record, before: Record | None, at: datetime) -> Delivery:
    """Returns what is sent: for `updated` only what changed, else all; version 2 adds what it was before."""
    changed = [n for n in resource.attributes if action != "updated" or before is None or record.get(n) != before.get(n)]
    relations = [n for n in resource.to_one if action != "updated" or before is None or record.get(n) != before.get(n)]
    data: dict[str, Any] = {"type": resource.type, "id": record["id"], "attributes": {n: record.get(n) for n in changed}}
    named = {n: record[n] for n in relations if record.get(n) is not None}
    data["relationships"] = {n: v if isinstance(v, dict) else {"type": resource.to_one[n], "id": v} for n, v in named.items()}
    if hook.get("payloadVersion") == 2 and action == "updated" and before is not None:
        data["beforeUpdate"] = {n: before.get(n) for n in changed}
    meta = {"deliveredAt": at.isoformat(timespec="milliseconds"), "eventName": f"{resource.type}.{action}", "jobId": str(uuid.uuid4())}
    body = json.dumps({"data": data, "meta": meta}).encode()
    headers = {"Content-Type": "application/json", "outreach-webhook-cleanup-token": str(hook.get("cleanupToken") or "")}
    if hook.get("secret"):
        headers["Outreach-Webhook-Signature"] = hmac.new(str(hook["secret"]).encode(), body, hashlib.sha256).hexdigest()
    return Delivery(str(hook["url"]), body, headers)


class Sender:
    """Delivers in a thread of its own, in order. Started by its first delivery."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def send(self, deliveries: Iterable[Delivery]) -> None:
        for item in deliveries:
            self._waiting.put(item)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="sandbox webhooks")
                self._thread.start()

    def _work(self) -> None:
        while True:
            item = self._waiting.get()
            for attempt in range(TRIES):
                if _post(item):
                    break
                if attempt + 1 < TRIES:
                    time.sleep(PAUSE)


def _post(item: Delivery) -> bool:
    """Sends once. Returns whether an HTTP answer came, whatever it says."""
    parts = urlsplit(item.url)
    if parts.scheme != "http" or parts.hostname not in LOOPBACK:
        return True  # the sandbox reaches nobody outside this machine
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=TIME_OUT)
    try:
        connection.request("POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), item.body, item.headers)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True
