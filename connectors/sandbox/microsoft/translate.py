"""`translateExchangeIds`: ordinary ids to immutable ones and back. The ids of other protocols are not played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from connectors.sandbox.microsoft import ids
from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.refusal import Refused, bad_request, malformed_id, no_segment
from connectors.sandbox.microsoft.table import Row

KINDS = ("restid", "restimmutableentryid")
MOST_IDS = 1000


class _Find(Protocol):
    def __call__(self, mailbox: Row, text: str, /) -> Row: ...


class _IdOf(Protocol):
    def __call__(self, row: Row, /, *, is_immutable: bool) -> str: ...


@dataclass(frozen=True, slots=True)
class Family:
    """One sort of items: the key of its ids and their two kinds, who finds one, raising Refused, and who names one."""

    key: str
    ordinary: int
    immutable: int
    find: _Find
    id_of: _IdOf


def answer(families: Sequence[Family], call: Call, mailbox: Row, rest: list[str]) -> Answer:
    """Answers a call; an id that cannot be translated has errorDetails instead of a targetId. Raises Refused."""
    if rest:
        raise no_segment(rest[0])
    call.allow("POST")
    given = call.object()
    texts = given.get("inputIds")
    source, target = (str(given.get(name, "")).lower() for name in ("sourceIdType", "targetIdType"))
    if not isinstance(texts, list) or not 0 < len(texts) <= MOST_IDS or not all(isinstance(text, str) for text in texts):
        raise bad_request(f"inputIds must hold 1 to {MOST_IDS} ids.", "ErrorInvalidRequest")
    if source not in KINDS or target not in KINDS:
        raise bad_request("sourceIdType and targetIdType must be restId or restImmutableEntryId.", "ErrorInvalidRequest")
    from_, to = source == KINDS[1], target == KINDS[1]
    return Answer(200, {"value": [_translated(families, mailbox, text, from_immutable=from_, to_immutable=to) for text in texts]})


def _translated(families: Sequence[Family], mailbox: Row, text: str, *, from_immutable: bool, to_immutable: bool) -> dict[str, Any]:
    try:
        for family in families:
            found = ids.read(family.key, text)
            if found is not None and found.kind == (family.immutable if from_immutable else family.ordinary):
                return {"sourceId": text, "targetId": family.id_of(family.find(mailbox, text), is_immutable=to_immutable)}
        raise malformed_id()
    except Refused as error:
        return {"sourceId": text, "errorDetails": {"code": error.code, "message": error.message}}
