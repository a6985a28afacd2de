"""The pass that saves e-mails of mailboxes in Salesforce, as it is made: off, with nothing to map."""

from __future__ import annotations

EMAILS_PASS = "emails"
EMAILS_TITLE = "E-mails"
# A pass has a mapping table; which field of an e-mail says what is no customer's to choose, so that this one has no rows.
EMAILS_TABLE = "E-mails to Salesforce"
EMAILS_INTERVAL = 1800  # seconds (S4.7)
