"""What an admin says of linking that most sites never need: which fields hold addresses, the country of phone numbers, how many people
are made without a look, and of which record type Person Accounts are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import phonenumbers
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from connectors.contract import Connector
from reconciliation.engine.linking_lookups import ACCOUNT, CONTACT, IS_PERSON, LEAD
from reconciliation.engine.linking_terms import EMAIL, LINKING, MOST_MADE_A_DAY, settings_pass
from reconciliation.engine.wiring import Wiring
from reconciliation.models import SyncPass
from reconciliation.services.audit import audit
from reconciliation.services.mailboxes import MailboxRefused

PEOPLE = (CONTACT, LEAD)
MOST_FIELDS = 5  # beside Email: each is one more condition in every look-up
LONGEST_FIELD = 255  # characters; what may be longer cannot be searched
LEAST_MADE, MOST_MADE = 1, 10_000
_RECORD_TYPE = re.compile(r"012[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?")


@dataclass(frozen=True, slots=True)
class Linking:
    """What is set. `email_fields` are those beside Email, by object; `region` is a country in two letters, "" for none."""

    email_fields: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict.fromkeys(PEOPLE, ()))
    region: str = ""
    most_made: int = MOST_MADE_A_DAY
    person_record_type: str = ""

    @property
    def contact_lines(self) -> str:
        return "\n".join(self.email_fields.get(CONTACT, ()))

    @property
    def lead_lines(self) -> str:
        return "\n".join(self.email_fields.get(LEAD, ()))


def linking_of(sync_pass: SyncPass) -> Linking:
    """Returns what holds for all mailboxes."""
    said: Mapping[str, Any] = settings_pass(sync_pass).settings.get(LINKING) or {}
    fields = said.get("email_fields") or {}
    return Linking(
        {kind: tuple(fields.get(kind) or ()) for kind in PEOPLE},
        str(said.get("region") or ""),
        int(said.get("most_made") or MOST_MADE_A_DAY),
        str(said.get("person_record_type") or ""),
    )


def linking_save(sync_pass: SyncPass, wanted: Linking, by: AbstractBaseUser, wiring: Wiring | None = None) -> bool:
    """Stores what holds for all mailboxes, once Salesforce knows each field; returns whether that changed anything. Raises
    MailboxRefused and ConnectorError, storing nothing."""
    whole = settings_pass(sync_pass)
    stored = _checked(whole, wanted, wiring or Wiring())
    with transaction.atomic():
        row = SyncPass.objects.select_for_update().get(pk=whole.pk)
        before = row.settings.get(LINKING) or {}
        if stored == {**_stored(Linking()), **before}:
            return False
        row.settings = {**row.settings, LINKING: stored}
        row.save(update_fields=["settings"])
        audit(by, "change linking settings", whole.title, before=before, after=stored)
    return True


def _stored(wanted: Linking) -> dict[str, Any]:
    return {
        "email_fields": {kind: list(wanted.email_fields.get(kind, ())) for kind in PEOPLE},
        "region": wanted.region,
        "most_made": wanted.most_made,
        "person_record_type": wanted.person_record_type,
    }


def _checked(whole: SyncPass, wanted: Linking, wiring: Wiring) -> dict[str, Any]:
    if not LEAST_MADE <= wanted.most_made <= MOST_MADE:
        raise MailboxRefused(f"Between {LEAST_MADE} and {MOST_MADE:,} people can be made in a day.")
    if wanted.region and wanted.region not in phonenumbers.SUPPORTED_REGIONS:
        raise MailboxRefused(f"“{wanted.region[:20]}” is no country: enter its two letters, such as GB or DE.")
    named = {kind: tuple(name for name in wanted.email_fields.get(kind, ()) if name not in EMAIL) for kind in PEOPLE}
    if wanted.person_record_type and not _RECORD_TYPE.fullmatch(wanted.person_record_type):
        raise MailboxRefused(f"“{wanted.person_record_type[:20]}” is no id of a record type: those begin with 012 and have 15 or 18 signs.")
    if any(named.values()) or wanted.person_record_type:
        connector = wiring.open_connector(whole.crm)
        try:
            named = {kind: _known(connector, kind, names, str(whole.crm)) for kind, names in named.items()}
            if wanted.person_record_type and IS_PERSON not in connector.schema(ACCOUNT).attributes:
                raise MailboxRefused(f"{whole.crm} has no Person Accounts, or our user may not see them.")
        finally:
            connector.close()
    return _stored(Linking(named, wanted.region, wanted.most_made, wanted.person_record_type))


def _known(connector: Connector, kind: str, names: Sequence[str], crm: str) -> tuple[str, ...]:
    """Returns these fields as Salesforce writes their names. Raises MailboxRefused for one that holds no address to be searched:
    every look-up would fail by it."""
    if len(names) > MOST_FIELDS:
        raise MailboxRefused(f"At most {MOST_FIELDS} fields of {kind}s can hold addresses beside Email.")
    if not names:
        return ()
    attributes = {name.casefold(): attribute for name, attribute in connector.schema(kind).attributes.items()}
    for name in names:
        attribute = attributes.get(name.casefold())
        if attribute is None:
            raise MailboxRefused(f"{kind}s of {crm} have no field “{name[:80]}” that our user may see.")
        if attribute.type != "text" or not 0 < attribute.max_length <= LONGEST_FIELD:
            raise MailboxRefused(f"{kind}.{attribute.name} is no field for an e-mail address, nor a short text: it cannot be searched.")
    found = dict.fromkeys(attributes[name.casefold()].name for name in names)
    return tuple(name for name in found if name not in EMAIL)
