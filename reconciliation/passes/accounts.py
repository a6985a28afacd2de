"""Companies: Outreach accounts and Salesforce accounts belong together by the id that the account carries, else by name.
Pure."""

from __future__ import annotations

from connectors.contract import Record, Ref, Value
from reconciliation.core.values import name_key
from reconciliation.passes.pairs import Kind

PEER_ACCOUNT, CRM_ACCOUNT = "account", "Account"


def keys(record: Record) -> tuple[str, ...]:
    """Returns the normalised name of a company (D2)."""
    key = name_key(_name(record))
    return (key,) if key else ()


def spellings(record: Record) -> tuple[str, ...]:
    return (str(_name(record)).strip(),) if keys(record) else ()


def _name(record: Record) -> Value:
    return record.fields.get("name" if record.ref.object_type == PEER_ACCOUNT else "Name")


def pointer_of(record: Record) -> str:
    return str(record.fields.get("customId") or "")


def pointer(ref: Ref) -> dict[str, Value]:
    return {"customId": ref.id}


def name_of(record: Record) -> str:
    return str(record.fields.get("name") or record.fields.get("Name") or record.ref.id)


COMPANIES = Kind(
    peer_object=PEER_ACCOUNT,
    keys=keys,
    key_fields={PEER_ACCOUNT: "name", CRM_ACCOUNT: "Name"},
    columns={PEER_ACCOUNT: ("name", "customId"), CRM_ACCOUNT: ("Name",)},
    pointer_of=pointer_of,
    pointer=pointer,
    name_of=name_of,
    key_word="name",
    no_key="no_name",
    no_key_sentence="It has no name, so nobody can tell whether it is there already; nothing was made.",
    spellings=spellings,
    marker_is_pointer=True,
    has_name_index=True,
)
