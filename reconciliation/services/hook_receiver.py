"""Takes deliveries of webhooks: checked by their signature, stored before they are answered, in bounded time.

The sender takes any answer for a delivery and never repeats one (engine-rules 32), so a valid delivery is stored, or
spooled where the database fails or is slow. Nothing is worked off here: a delivery wakes the two-way passes, no more.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import math
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from django.db import IntegrityError, connection, transaction

from connectors.outreach.hooks import read_delivery
from connectors.text import clean
from reconciliation.models import Connection, HookDelivery
from reconciliation.services import hook_spool
from reconciliation.services.webhooks import HOOK_SECRET, wake

log = logging.getLogger(__name__)
BODY_BYTES = 256 * 1024
STORE_SECONDS = 3.0  # the sender gives up after five
PAUSE_SECONDS = 5.0  # for which deliveries go to the spool at once, after one that the database did not take
MOST_AT_ONCE = 16  # deliveries that wait for the database at the same time
NOBODY = "no secret of any connection"
DEEPEST = 60  # what nests deeper is nothing that a record holds
_left_alone_until = 0.0  # by time.monotonic()
_places = threading.BoundedSemaphore(MOST_AT_ONCE)
Result = TypeVar("Result")


class Taken(StrEnum):
    """What became of a delivery."""

    STORED = "stored"
    REPEATED = "repeated"  # it is there already
    SPOOLED = "spooled"
    FORGED = "forged"  # the signature fits no secret of ours; nothing was kept
    LOST = "lost"  # neither database nor disk took it


class TooSlow(Exception):
    """The database did not answer in time."""


def receive(connection_id: int, body: bytes, signature: str, now: datetime) -> Taken:
    """Returns what became of the delivery, within STORE_SECONDS and what a small file takes. Raises nothing. After a failure
    the database is left alone for a while: at 50 deliveries a second, each waiting for it would leave no thread to answer."""
    global _left_alone_until
    if time.monotonic() >= _left_alone_until:
        try:
            return within(STORE_SECONDS, lambda: take(connection_id, body, signature, now))
        except Exception as error:  # whatever it is: an answer without having kept it loses it
            _left_alone_until = time.monotonic() + PAUSE_SECONDS
            log.error("a delivery for connection %s (%s bytes) was not stored: %s", connection_id, len(body), type(error).__name__)
    try:
        hook_spool.put(connection_id, body, signature, now)
    except hook_spool.SpoolFull as error:
        log.error("a delivery for connection %s (%s bytes) is lost: %s", connection_id, len(body), error)
        return Taken.LOST
    return Taken.SPOOLED


def take(connection_id: int, body: bytes, signature: str, now: datetime) -> Taken:
    """Stores one delivery, if its signature fits, and wakes the passes. Raises database errors."""
    row = Connection.objects.filter(pk=connection_id, system=Connection.System.OUTREACH).first()
    if not _fits(str(row.secrets.get(HOOK_SECRET) or "") if row is not None else "", body, signature):
        log.warning("a delivery for connection %s (%s bytes) was refused: its signature does not fit", connection_id, len(body))
        return Taken.FORGED
    assert row is not None
    try:
        with transaction.atomic():
            delivery = HookDelivery(connection=row, digest=hashlib.sha256(body).hexdigest(), received_at=now, **_read(body))
            delivery.save(force_insert=True)
    except IntegrityError:
        return Taken.REPEATED
    if delivery.state == HookDelivery.State.WAITING:
        try:
            wake(row, now)
        except Exception as error:  # it is stored; the job of the next minute wakes them
            log.warning("the passes of connection %s were not woken: %s", connection_id, type(error).__name__)
    return Taken.STORED


def take_up_spooled() -> int:
    """Stores what was spooled on this host. Returns how many. Raises database errors; the rest stays."""
    return hook_spool.take_up(take)


def _fits(secret: str, body: bytes, signature: str) -> bool:
    """Tells whether the signature is the secret's. Without a secret as much is computed, so that nobody learns by the time
    it takes which connections there are."""
    ours = hmac.new((secret or NOBODY).encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(ours.encode(), signature.encode("utf-8", "surrogateescape")) and bool(secret)


def _read(body: bytes) -> dict[str, Any]:
    """Returns the columns of a delivery: what it says, or why nothing can be read in it."""
    try:
        said = _storable(json.loads(body, parse_constant=_no_constant))
    except (ValueError, RecursionError):
        return {"state": HookDelivery.State.REFUSED, "note": "The body is not JSON, or nests too deep."}
    if not isinstance(said, dict):
        return {"state": HookDelivery.State.REFUSED, "note": "The body is no JSON object."}
    event = read_delivery(said)
    if event is None:
        return {"body": said, "state": HookDelivery.State.REFUSED, "note": "It names no change of a record that is synced."}
    return {
        "body": said,
        "object_type": event.ref.object_type[:40],
        "object_id": event.ref.id[:64],
        "action": event.action[:20],
        "happened_at": event.at,
    }


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _storable(value: Any, depth: int = 0) -> Any:
    """Returns the value as every database holds it. Raises ValueError where it nests too deep."""
    if depth > DEEPEST:
        raise ValueError("nests too deep")
    if isinstance(value, str):
        return clean(value)[0]
    if isinstance(value, dict):
        return {clean(name)[0]: _storable(part, depth + 1) for name, part in value.items()}
    if isinstance(value, list):
        return [_storable(part, depth + 1) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value  # 1e400 is JSON


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Returns what `work` returns, from a thread with a database connection of its own. Raises what it raises, or TooSlow;
    it may then still come to its end, which does no harm: what is stored twice is one row.

    No setting of a driver bounds every way in which a database can be silent, from a lock to a host that is gone. Inside a
    transaction of the caller, which no request has, the work is done in it."""
    if connection.in_atomic_block:
        return work()
    if not _places.acquire(blocking=False):
        raise TooSlow
    results: list[Result] = []
    errors: list[BaseException] = []

    def alone() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()
            _places.release()

    thread = threading.Thread(target=copy_context().run, args=(alone,), daemon=True, name="store a delivery")
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TooSlow
    return results[0]
