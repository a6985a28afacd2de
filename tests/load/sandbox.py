"""The sandbox for large worlds: as `manage.py sandbox`, but the organisations of bound:N were edited one after the other,
a page's worth a second. Rows of one second are searched one by one, so a million of them would measure the sandbox.
LOAD_PEOPLE=N adds N contacts and the prospects that name them, with equal values. LOAD_MAILBOXES=N adds N Microsoft
mailboxes with LOAD_CONTACTS personal contacts each. LOAD_GOOGLE_MAILBOXES=N adds N Google mailboxes box1@example.test and so
on, each with LOAD_MAIL_CONTACTS contacts under the label Salesforce Contacts. LOAD_OWNED=N adds N Salesforce contacts of the user
whose address LOAD_OWNER is."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from django.core.management import execute_from_command_line

from connectors.sandbox import scenarios
from connectors.sandbox.workbooks.codec import show_datetime

if TYPE_CHECKING:
    from connectors.sandbox.world import World

ROWS_A_SECOND = 100
PEOPLE = int(os.environ.get("LOAD_PEOPLE", "0"))
MAILBOXES, CONTACTS = (int(os.environ.get(name, "0")) for name in ("LOAD_MAILBOXES", "LOAD_CONTACTS"))
GOOGLE_MAILBOXES, MAIL_CONTACTS = (int(os.environ.get(name, "0")) for name in ("LOAD_GOOGLE_MAILBOXES", "LOAD_MAIL_CONTACTS"))
LABEL = "Salesforce Contacts"
OWNED, OWNER = int(os.environ.get("LOAD_OWNED", "0")), os.environ.get("LOAD_OWNER", "")


def bound(world: World, size: int) -> None:
    """Makes number n on both sides, with equal values; the last was edited two days ago."""
    last = int((world.now() - timedelta(days=2)).timestamp())
    for n in range(1, size + 1):
        name, website = f"Company {n:07d}", f"https://c{n}.example"
        plugin = {scenarios.SYNC: True, scenarios.PEER_ID: str(n), "cf_organisation_outreach_url": f"http://127.0.0.1/accounts/{n}"}
        at = show_datetime(last - (size - n) // ROWS_A_SECOND)
        world.workbooks.create_record("organisations", {"name": name, "website": website, **plugin, "updated_at": at})
        account = {"name": name, "websiteUrl": website, "domain": f"c{n}.example", "customId": f"wb-3-{n}"}
        world.outreach.create_record("accounts", {**account, "updatedAt": "2026-01-01T00:00:00.000Z"})


def people(world: World, size: int) -> None:
    """Makes person n on both sides; the last was edited two days ago."""
    start = world.now() - timedelta(days=2)
    for n in range(1, size + 1):
        at = start - timedelta(milliseconds=10 * (size - n))
        first, last, mail = f"First {n}", f"Last {n:07d}", f"p{n}@example.com"
        stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "+0000")
        stamps = {"CreatedDate": stamp, "LastModifiedDate": stamp, "SystemModstamp": stamp}
        names = {"FirstName": first, "LastName": last, "Title": "Buyer", "Email": mail}
        contact = world.salesforce.create_record("Contact", {**names, **stamps})
        person = {"firstName": first, "lastName": last, "title": "Buyer", "emails": [mail]}
        pointer = {"externalId": contact["Id"], "externalSource": "salesforce"}
        seen = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        world.outreach.create_record("prospects", {**person, **pointer, "updatedAt": seen})


def owned(world: World, size: int, address: str) -> None:
    """Makes Salesforce contacts that one user owns."""
    user = next(row["Id"] for row in world.salesforce.list_records("User") if row.get("Email") == address)
    for n in range(1, size + 1):
        names = {"FirstName": f"First {n}", "LastName": f"Last {n:07d}", "Email": f"p{n}@acme.example", "Title": "Buyer"}
        world.salesforce.create_record("Contact", {**names, "Phone": f"+44 20 7946 {n % 10000:04d}", "OwnerId": user})


def mailboxes(world: World, size: int, contacts: int) -> None:
    """Makes mailboxes with personal contacts in their default folders."""
    for n in range(1, size + 1):
        address = f"user{n}@example.test"
        world.microsoft.create_record("user", {"mail": address})
        for m in range(1, contacts + 1):
            person = {"givenName": f"First {m}", "surname": f"Last {n:05d}-{m:05d}", "emails": [f"c{m}.u{n}@home.example"]}
            world.microsoft.create_record("contact", {"mailbox": address, **person})


def google_mailboxes(world: World, count: int, size: int) -> None:
    """Makes mailboxes with contacts of one label; a contact has the same address in each of them."""
    for box in range(1, count + 1):
        mailbox = f"box{box}@example.test"
        world.google.create_record("user", {"email": mailbox, "givenName": "Box", "familyName": str(box)})
        for n in range(1, size + 1):
            values = {"givenName": f"First {n}", "familyName": f"Last {n:07d}", "jobTitle": "Buyer", "emails": [f"p{n}@example.com"]}
            world.google.create_record("contact", {"mailbox": mailbox, "labels": [LABEL], **values})


def fill(world: World, scenario: str) -> None:
    ordinary(world, scenario)
    google_mailboxes(world, GOOGLE_MAILBOXES, MAIL_CONTACTS)
    if PEOPLE:
        people(world, PEOPLE)
    mailboxes(world, MAILBOXES, CONTACTS)
    if OWNED:
        owned(world, OWNED, OWNER)


if __name__ == "__main__":
    scenarios._bound = bound
    ordinary, scenarios.fill = scenarios.fill, fill
    execute_from_command_line(["manage.py", "sandbox", *sys.argv[1:]])
