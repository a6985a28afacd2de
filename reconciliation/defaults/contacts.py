"""The shipped mapping of Salesforce contacts and contacts of a mailbox, both ways. The mailbox's fields are the same in every
mail system (`connectors.mailboxes`)."""

from __future__ import annotations

from reconciliation.core.mapping import Direction
from reconciliation.defaults.rows import StandardPass, StandardRow, StandardType

CONTACTS_PASS = "contacts"
INTERVAL_SECONDS = 1800  # S1.2, S4.7
_PARTS = (("Street", "Street"), ("City", "City"), ("State", "State"), ("PostalCode", "PostalCode"), ("Country", "Country"))

ROWS: tuple[StandardRow, ...] = (
    StandardRow("Salutation", "title"),
    StandardRow("FirstName", "givenName"),
    StandardRow("MiddleName", "middleName", is_enabled=False),  # an organisation switches middle names and suffixes on
    StandardRow("LastName", "surname"),
    StandardRow("Suffix", "generation", is_enabled=False),
    StandardRow("Email", "email1"),
    # A contact of Salesforce has one address: the others need fields of the organisation's own.
    StandardRow("Email_2__c", "email2", is_enabled=False),
    StandardRow("Email_3__c", "email3", is_enabled=False),
    StandardRow("Phone", "businessPhone"),
    StandardRow("MobilePhone", "mobilePhone"),
    StandardRow("HomePhone", "homePhone"),
    StandardRow("OtherPhone", "otherPhone"),
    StandardRow("Fax", "businessFax"),
    StandardRow("AssistantPhone", "assistantPhone"),
    StandardRow("AssistantName", "assistantName"),
    # The company is its account's name, which nobody changes from a mailbox.
    StandardRow("Account.Name", "companyName", Direction.TO_PEER),
    StandardRow("Title", "jobTitle"),
    StandardRow("Department", "department"),
    StandardRow("Birthdate", "birthday"),
    StandardRow("Description", "notes"),
    StandardRow("Web_Page__c", "webPage", is_enabled=False),
    *(StandardRow(f"Mailing{crm}", f"business{peer}") for crm, peer in _PARTS),
    *(StandardRow(f"Other{crm}", f"other{peer}") for crm, peer in _PARTS),
)

CONTACTS = StandardPass(
    CONTACTS_PASS,
    "Contacts",
    (StandardType("Contact", "contact", "Contacts to mailboxes", ROWS, outbound_create=True),),
    is_on_in_sandbox=False,  # off until somebody switches it on (S1.3)
    interval_seconds=INTERVAL_SECONDS,
)
