"""`translateExchangeIds`: ordinary ids to immutable ones and back. The ids of other protocols are not played."""

from __future__ import annotations

from typing import Any

from connectors.sandbox.microsoft import ids
from connectors.sandbox.microsoft.calls import Answer, Call
from connectors.sandbox.microsoft.contacts import Contacts
from connectors.sandbox.microsoft.refusal import Refused, bad_request, malformed_id, no_segment
from connectors.sandbox.microsoft.store import Store
from connectors.sandbox.microsoft.table import Row

KINDS = {"restid": ids.ITEM, "restimmutableentryid": ids.IMMUTABLE}
MOST_IDS = 1000


def answer(store: Store, contacts: Contacts, call: Call, mailbox: Row, rest: list[str]) -> Answer:
    """Answers a call; an id that cannot be translated has errorDetails instead of a targetId. Raises Refused."""
    if rest:
        raise no_segment(rest[0])
    call.allow("POST")
    given = call.object()
    texts = given.get("inputIds")
    kinds = [KINDS.get(str(given.get(name, "")).lower()) for name in ("sourceIdType", "targetIdType")]
    if not isinstance(texts, list) or not 0 < len(texts) <= MOST_IDS or not all(isinstance(text, str) for text in texts):
        raise bad_request(f"inputIds must hold 1 to {MOST_IDS} ids.", "ErrorInvalidRequest")
    if None in kinds:
        raise bad_request("sourceIdType and targetIdType must be restId or restImmutableEntryId.", "ErrorInvalidRequest")
    return Answer(200, {"value": [_translated(store, contacts, mailbox, text, kinds[0], kinds[1]) for text in texts]})


def _translated(store: Store, contacts: Contacts, mailbox: Row, text: str, source: int | None, target: int | None) -> dict[str, Any]:
    found = ids.read(store.key, text)
    try:
        if found is None or found.kind != source:
            raise malformed_id()
        row = contacts.find(mailbox, None, text)
    except Refused as error:
        return {"sourceId": text, "errorDetails": {"code": error.code, "message": error.message}}
    return {"sourceId": text, "targetId": store.contact_id(row, is_immutable=target == ids.IMMUTABLE)}
