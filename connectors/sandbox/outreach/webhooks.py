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
import random
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
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
        # The reference shows attributes; relationships are played in the form the delivery itself gives them.
        was = {n: before.get(n) for n in relations}
        shown = {n: v if isinstance(v, dict) or v is None else {"type": resource.to_one[n], "id": v} for n, v in was.items()}
        data["beforeUpdate"] = {**{n: before.get(n) for n in changed}, **shown}
    meta = {"deliveredAt": at.isoformat(timespec="milliseconds"), "eventName": f"{resource.type}.{action}", "jobId": str(uuid.uuid4())}
    body = json.dumps({"data": data, "meta": meta}).encode()
    headers = {"Content-Type": "application/json", "outreach-webhook-cleanup-token": str(hook.get("cleanupToken") or "")}
    if hook.get("secret"):
        headers["Outreach-Webhook-Signature"] = hmac.new(str(hook["secret"]).encode(), body, hashlib.sha256).hexdigest()
    return Delivery(str(hook["url"]), body, headers)


HELD_BACK = 8  # deliveries that are shuffled with each other


class Weather:
    """What may happen to deliveries on their way: some come twice, some never, and not in their order. Deterministic from
    the seed. What is shuffled is held back until HELD_BACK wait, or until the switch is off again."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._held: list[Delivery] = []
        self.repeat = 0.0  # the share that comes twice
        self.drop = 0.0  # the share that never comes
        self.shuffle = False

    def through(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Returns what arrives now, in this order."""
        arriving = [item for item in deliveries if not (self.drop and self._random.random() < self.drop)]
        arriving = [copy for item in arriving for copy in [item] * (2 if self.repeat and self._random.random() < self.repeat else 1)]
        if not self.shuffle:
            arriving, self._held = [*self._held, *arriving], []
            return arriving
        self._held += arriving
        if len(self._held) < HELD_BACK:
            return []
        arriving, self._held = self._held, []
        self._random.shuffle(arriving)
        return arriving

    def switches(self) -> dict[str, float | bool]:
        return {"hooks_repeat": self.repeat, "hooks_drop": self.drop, "hooks_shuffle": self.shuffle}

    def set_switches(self, given: Mapping[str, Any]) -> None:
        """Sets those that are named. Raises ValueError, and sets none, for a value that is not one of theirs."""
        for name in ("hooks_repeat", "hooks_drop"):
            value = given.get(name, 0.0)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f"{name} must lie between 0 and 1")
        if not isinstance(given.get("hooks_shuffle", False), bool):
            raise ValueError("hooks_shuffle must be true or false")
        self.repeat, self.drop = float(given.get("hooks_repeat", self.repeat)), float(given.get("hooks_drop", self.drop))
        self.shuffle = given.get("hooks_shuffle", self.shuffle)


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
