"""People: Outreach prospects and Salesforce leads or contacts belong together by e-mail address (seed 002, 003). Pure."""

from __future__ import annotations

from connectors.contract import Record, Ref, Value
from reconciliation.core.values import is_blank, normalise_name
from reconciliation.passes.pairs import Kind

PROSPECT, CONTACT, LEAD = "prospect", "Contact", "Lead"
SOURCE = "salesforce"  # what `externalSource` of a prospect says beside the CRM id


def email_key(address: Value) -> str:
    """Returns the form in which two addresses are compared (C18), "" for what is none."""
    text = normalise_name(str(address or ""))
    return text if "@" in text and " " not in text else ""


def keys(record: Record) -> tuple[str, ...]:
    """Returns every address of a person (C19), the first one first, without repeats."""
    if record.ref.object_type == PROSPECT:
        held = record.fields.get("emails")
        addresses: tuple[Value, ...] = held if isinstance(held, tuple) else (held,)
    else:
        addresses = (record.fields.get("Email"),)
    return tuple(dict.fromkeys(key for address in addresses if (key := email_key(address))))


def spellings(record: Record) -> tuple[str, ...]:
    held = record.fields.get("emails" if record.ref.object_type == PROSPECT else "Email")
    return tuple(str(address).strip() for address in (held if isinstance(held, tuple) else (held,)) if email_key(address))


def pointer_of(record: Record) -> str:
    """Returns the CRM id that a prospect names, "" where another program's or nobody's stands there."""
    source, id_ = record.fields.get("externalSource"), record.fields.get("externalId")
    return str(id_) if source == SOURCE and not is_blank(id_) else ""


def pointer(ref: Ref) -> dict[str, Value]:
    return {"externalId": ref.id, "externalSource": SOURCE}


def name_of(record: Record) -> str:
    """Returns what a person is called in lists."""
    fields = record.fields
    first, last = (fields.get("firstName"), fields.get("lastName")) if record.ref.object_type == PROSPECT else ("", "")
    parts = [str(part) for part in (first, last) if not is_blank(part)]
    name = fields.get("name") or fields.get("Name") or " ".join(parts)
    return str(name or (keys(record) or (record.ref.id,))[0])


PEOPLE = Kind(
    peer_object=PROSPECT,
    keys=keys,
    key_fields={PROSPECT: "emails", CONTACT: "Email", LEAD: "Email"},
    columns={
        PROSPECT: ("emails", "firstName", "lastName", "name", "externalId", "externalSource", "account"),
        CONTACT: ("Email", "Name"),
        LEAD: ("Email", "Name"),
    },
    pointer_of=pointer_of,
    pointer=pointer,
    name_of=name_of,
    key_word="email address",
    spellings=spellings,
    belongs_to=("account", "account"),
    converted_from={CONTACT: (LEAD, "ConvertedContactId")},
    no_key="no_email",
    no_key_sentence="It has no e-mail address, so nobody can tell whether it is there already; nothing was made.",
)
