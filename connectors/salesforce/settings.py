"""What differs from one Salesforce to another, and what its documentation leaves open. All of it has a default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.errors import NeedsAttention
from connectors.options import settings_among
from connectors.salesforce.codec import SYSTEM

API_VERSION = "66.0"
EXTERNAL_ID_FIELD = "Sync_Key__c"
# What one call, or one user, may take.
LONGEST = {"lookup_size": 2000, "create_size": 200, "update_size": 24, "concurrency": 25, "queries_at_once": 25}


@dataclass(frozen=True, slots=True)
class SalesforceSettings:
    """One connection's terms. Sizes count records or values of one call, addresses bytes, waits seconds."""

    api_version: str = API_VERSION
    external_id_field: str = EXTERNAL_ID_FIELD  # "": creates look before they make (engine-rules 35)
    without_external_id: tuple[str, ...] = ()  # object types that were found to lack the field
    lookup_size: int = 200
    create_size: int = 200
    update_size: int = 24  # and one read of the same rows: a composite takes 25
    queries_at_once: int = 5  # in one composite call
    longest_address: int = 8000  # Salesforce takes 16,384 with headers; whoever stands before it may take less
    allows_duplicates: bool = False  # saves in spite of duplicate rules that let themselves be overruled
    assigns_leads: bool = False  # lets assignment rules change the owner of leads we write
    lock_tries: int = 4
    lock_wait: float = 0.5  # before the first of them, then twice as long each time
    concurrency: int = 4  # several rows of one account in calls at once lock each other out
    # An object of the organisation's own for what takes place, with its fields for start, end and, if it has one, all day (S4.18).
    calendar_object: tuple[str, ...] = ()
    # The numbers of these states are unconfirmed (reference section 13.9).
    email_draft_status: str = "5"
    email_sent_status: str = "3"
    email_received_status: str = "1"  # read
    busy_wait: float = 60.0  # too many long calls at once
    quota_wait: float = 900.0  # the day's calls are used up; they come back one by one

    def __post_init__(self) -> None:
        for name, most in LONGEST.items():
            if not 1 <= getattr(self, name) <= most:
                raise NeedsAttention(f"takes {name.replace('_', ' ')} from 1 to {most}", system=SYSTEM)
        if not re.fullmatch(r"\d{2,3}\.0", self.api_version):
            raise NeedsAttention(f"has no API version {self.api_version[:20]!r}; it is written like {API_VERSION}", system=SYSTEM)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> SalesforceSettings:
        """Returns the settings that are among a connection's own; others are somebody else's. Raises NeedsAttention for a
        value that cannot be."""
        return settings_among(cls, given, SYSTEM)

    def marker_field(self, object_type: str) -> str:
        """Returns the external-id field that takes our key on create, "" where there is none."""
        return "" if object_type in self.without_external_id else self.external_id_field
