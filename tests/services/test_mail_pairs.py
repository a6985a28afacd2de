"""What a mail system's connection brings with it beside Salesforce."""

import pytest

from connectors.mailboxes import CONTACT_SCHEMA
from reconciliation.models import Connection, SyncPass
from reconciliation.services.schemas import schemas_read
from reconciliation.services.set_up import pair_up

pytestmark = pytest.mark.django_db


def add(system):
    return Connection.objects.create(name=system, system=system, base_url="https://x.example")


@pytest.mark.parametrize("order", [("salesforce", "microsoft"), ("google", "salesforce")])
def test_a_mail_system_beside_salesforce_brings_the_contacts_pass_switched_off(order):
    """S1.3: everything about mailboxes is off until somebody switches it on."""
    add(order[0])
    assert pair_up() == []
    add(order[1])
    (made,) = pair_up()
    assert (made.name, made.is_on, made.crm.system, made.peer.system) == ("contacts", False, "salesforce", min(order))


def test_the_second_mail_system_shares_the_pass():
    for system in ("salesforce", "google"):
        add(system)
    pair_up()
    add("microsoft")
    assert pair_up() == [] and SyncPass.objects.get().peer.system == "google"


@pytest.mark.parametrize("system", ["microsoft", "google"])
def test_the_fields_of_contacts_are_known_without_a_call(system):
    row = add(system)
    assert schemas_read(row, None) == len(CONTACT_SCHEMA.attributes)
    row.refresh_from_db()
    assert set(row.schema_cache) == {"contact"}
