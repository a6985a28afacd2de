"""The shipped mapping of Salesforce accounts to Outreach accounts, both ways, and the pass that keeps it."""

from __future__ import annotations

from reconciliation.core.mapping import Direction
from reconciliation.core.transforms import USER_PAIR
from reconciliation.defaults.rows import StandardPass, StandardRow, StandardType

ACCOUNTS_PASS = "accounts"

ACCOUNT_ROWS: tuple[StandardRow, ...] = (
    StandardRow("Name", "name"),
    StandardRow("Website", "websiteUrl"),
    StandardRow("Website", "domain", Direction.TO_PEER, transform="host of web address"),
    StandardRow("Industry", "industry"),
    StandardRow("NumberOfEmployees", "numberOfEmployees"),
    StandardRow("BillingCity", "locality"),
    StandardRow("OwnerId", "owner", transform=USER_PAIR),
)

# Off in a sandbox, too: an account holds one key (customId), and there the organisations of Workbooks take it (D32).
ACCOUNTS = StandardPass(
    ACCOUNTS_PASS,
    "Salesforce accounts",
    (StandardType("Account", "account", "Salesforce accounts to Outreach accounts", ACCOUNT_ROWS, outbound_create=False),),
    is_on_in_sandbox=False,
)
