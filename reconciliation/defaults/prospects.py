"""The shipped mappings of Salesforce contacts and leads to Outreach prospects, both ways, and the pass that keeps them."""

from __future__ import annotations

from reconciliation.core.mapping import Direction, Survivorship
from reconciliation.core.transforms import FIRST_OF_LIST, USER_PAIR, VALUE_MAP
from reconciliation.defaults.rows import StandardPass, StandardRow, StandardType

PROSPECTS_PASS = "prospects"
NOT_PROVIDED = "[not provided]"  # what Salesforce itself writes where a name must not be blank

_PERSON = (
    StandardRow("FirstName", "firstName"),
    StandardRow("LastName", "lastName", in_crm=NOT_PROVIDED),
    StandardRow("Title", "title"),
    StandardRow("Email", "emails", transform=FIRST_OF_LIST),
    StandardRow("Phone", "workPhones", transform=FIRST_OF_LIST),
    StandardRow("MobilePhone", "mobilePhones", transform=FIRST_OF_LIST),
)
_ADDRESS = (
    ("Street", "addressStreet"),
    ("City", "addressCity"),
    ("State", "addressState"),
    ("PostalCode", "addressZip"),
    ("Country", "addressCountry"),
)
# A wish not to be written to or called holds for both systems, whoever heard of it.
_CONSENT = (
    StandardRow("HasOptedOutOfEmail", "emailOptedOut", survivorship=Survivorship.RESTRICTIVE),
    StandardRow("DoNotCall", "callOptedOut", survivorship=Survivorship.RESTRICTIVE),
)
_OWNER = StandardRow("OwnerId", "owner", transform=USER_PAIR)

CONTACT_ROWS: tuple[StandardRow, ...] = (
    *_PERSON,
    *(StandardRow(f"Mailing{crm}", peer) for crm, peer in _ADDRESS),
    # The company of a contact is its account's name, which nobody changes from a prospect.
    StandardRow("Account.Name", "company", Direction.TO_PEER),
    _OWNER,
    *_CONSENT,
)
LEAD_ROWS: tuple[StandardRow, ...] = (
    *_PERSON,
    *(StandardRow(crm, peer) for crm, peer in _ADDRESS),
    StandardRow("Company", "company", in_crm=NOT_PROVIDED),
    _OWNER,
    *_CONSENT,
    # Stages are every customer's own: the row waits for its value map.
    StandardRow("Status", "stage", transform=VALUE_MAP, is_enabled=False),
)

PROSPECTS = StandardPass(
    PROSPECTS_PASS,
    "Prospects",
    (
        # A prospect that is nobody yet becomes a lead; a contact needs an account that a person chooses.
        StandardType("Contact", "prospect", "Contacts to prospects", CONTACT_ROWS, outbound_create=False),
        StandardType("Lead", "prospect", "Leads to prospects", LEAD_ROWS, outbound_create=True),
    ),
    is_on_in_sandbox=True,
)
