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
