"""Contacts that mailboxes made and that lack something are listed until somebody completes them (S1.18, S4.34)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciliation.models import Binding
from reconciliation.selectors import incomplete
from tests.boxes import FOLDER, Boxes, boxes

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["microsoft", "google"])
def box(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    yield boxes(request.param)


def test_s4_34_a_contact_without_account_or_address_is_listed_until_it_is_complete(box: Boxes) -> None:
    account = box.world.salesforce.create_record("Account", {"Name": "Acme"})["Id"]
    box.contact("Own", None)  # made in Salesforce: nobody's incomplete contact of a mailbox
    box.run()
    box.put(FOLDER, surname="Whole", companyName="Acme", emails=["wh@acme.example"], jobTitle="CTO")
    box.put(FOLDER, surname="Part", companyName="Nobody")
    box.run()

    (row,) = incomplete()
    assert (row.name, row.lacks, row.sync_pass.mailbox_address) == ("Part", "AccountId,Email", box.mine)

    box.edit(row.crm_id, AccountId=account)
    box.run()
    assert incomplete().get().lacks == "Email"
    item = next(r for r in box.folder() if r["surname"] == "Part")
    box.change(item["id"], emails=["pa@acme.example"], jobTitle="Buyer")
    box.run()

    assert not incomplete().exists() and Binding.objects.get(pk=row.pk).lacks is None
    assert (box.run().created, box.runs[-1].updated) == (0, 0), box.events()


def test_s4_34_what_was_not_read_is_lacking_still(box: Boxes) -> None:
    """An address that arrives says nothing of the account."""
    box.run()
    box.put(FOLDER, surname="Part")
    box.run()
    item = next(r for r in box.folder() if r["surname"] == "Part")

    box.change(item["id"], emails=["pa@acme.example"])
    box.run()
    box.run()

    assert incomplete().get().lacks == "AccountId"


def test_s4_34_a_company_that_is_entered_later_finds_its_account(box: Boxes) -> None:
    """The workflow of a new contact holds as long as it is without an account; whatever staff entered is left alone."""
    acme, beta = (box.world.salesforce.create_record("Account", {"Name": name})["Id"] for name in ("Acme", "Beta Works"))
    box.run()
    box.put(FOLDER, surname="Part", emails=["pa@acme.example"])
    box.put(FOLDER, surname="Other", companyName="Nobody", emails=["ot@acme.example"])
    box.run()
    lacking = {row.name: row.crm_id for row in incomplete()}
    assert set(lacking) == {"Part", "Other"}
    items = {r["surname"]: r["id"] for r in box.folder()}
    box.edit(lacking["Other"], AccountId=acme)

    box.change(items["Part"], companyName="Beta W")
    box.change(items["Other"], companyName="Beta W", jobTitle="Buyer")
    box.run()

    rows = {r["Id"]: r for r in box.contacts()}
    assert (rows[lacking["Part"]]["AccountId"], rows[lacking["Other"]]["AccountId"]) == (beta, acme)
    assert rows[lacking["Other"]]["Title"] == "Buyer" and not incomplete().exists()
    box.run()
    assert {r["surname"]: r["companyName"] for r in box.folder()} == {"Part": "Beta Works", "Other": "Acme"}
    assert (box.run().created, box.runs[-1].updated) == (0, 0), box.events()
