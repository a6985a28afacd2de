"""What the calls of Gmail have in common: a method with its scopes and its cost, tokens of pages, the scope that sees no bodies."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.google.calls import COMMON, Call
from connectors.sandbox.google.gmail_schema import METADATA, READS
from connectors.sandbox.google.refusal import Refused, invalid
from connectors.sandbox.google.switches import Switches
from connectors.sandbox.wire import read_json

MOST_A_PAGE, DEFAULT_PAGE = 500, 100
MOST_CHANGED = 100  # labels that one call adds, and that it removes


@dataclass(frozen=True, slots=True)
class MailMethod:
    """One method: who answers it, which scopes allow it (any of them), and how many quota units it costs. An answer of None is
    an empty one: 204."""

    answer: Callable[[Call], dict[str, Any] | None]
    scopes: frozenset[str]
    units: int


def size_of_page(call: Call) -> int:
    return call.number("maxResults", DEFAULT_PAGE, MOST_A_PAGE)


def page_token(call: Call, place: tuple[int, ...]) -> str:
    """Returns the token of the page behind a place. It holds all that the next call needs, and nothing is kept for it."""
    return base64.urlsafe_b64encode(json.dumps([_bound(call), *place]).encode()).decode().rstrip("=")


def page_place(call: Call, length: int) -> tuple[int, ...] | None:
    """Returns the place behind which a call goes on, None for a first page. Raises Refused for a token that is none of this call."""
    text = call.text("pageToken")
    if not text:
        return None
    try:
        bound, *place = read_json(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (ValueError, TypeError):
        raise invalid("Invalid pageToken") from None
    if bound != _bound(call) or len(place) != length or not all(isinstance(each, int) for each in place):
        raise invalid("Invalid pageToken")
    return tuple(place)


def _bound(call: Call) -> str:
    """Returns what must be the same in every call of a list: another search has other pages."""
    pairs = sorted((name, sorted(values)) for name, values in call.parameters.items() if name not in ("pageToken", *COMMON))
    return hashlib.sha256(json.dumps([call.mailbox, call.parts, pairs]).encode()).hexdigest()[:16]


def sees_metadata_only(call: Call, switches: Switches) -> bool:
    """Tells whether a token sees no bodies. With the switch it sees none as soon as it has the metadata scope, whatever else."""
    return METADATA in call.scopes and (switches.gmail_metadata_scope_wins or not call.scopes & READS)


def forbidden(message: str) -> Refused:
    return Refused(403, message, old_reason="forbidden")


def changed_labels(body: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Returns the labels that a body adds and removes. Raises Refused for none or too many."""
    if body.get("addClassificationLabels") or body.get("removeClassificationLabelIds"):
        raise invalid("Classification labels are not played by the sandbox.")
    add, remove = body.get("addLabelIds", []), body.get("removeLabelIds", [])
    if not add and not remove:
        raise invalid("No label add or removes specified")
    if max(len(add), len(remove)) > MOST_CHANGED:
        raise invalid(f"At most {MOST_CHANGED} labels can be added and removed at once.")
    return add, remove
