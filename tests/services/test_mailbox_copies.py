"""In which mailboxes a Salesforce contact stands, and one copy of it forced, from the page of the record."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from connectors.sandbox.transport import base_url
from reconciliation.models import Binding, Connection, FieldRule, Mailbox, Operation, RecordType
from reconciliation.services.set_up import salesforce_passes
from tests.admin.test_pages import log_in, with_session
from tests.boxes import Boxes, boxes

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture(params=["microsoft", "google"])
def box(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Boxes]:
    box = boxes(request.param)
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    yield box


def shared(box: Boxes) -> str:
    """A contact in the folders of both mailboxes. Returns its id."""
    id_ = box.contact("Lind", "bo@acme.example", FirstName="Bo", Title="Buyer")
    for address in (box.mine, box.theirs):
        box.set(address, view="everything")
        box.run(address)
    return id_


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return html.unescape(re.sub(r"\s+", " ", answer.content.decode())).partition("<main")[2]


def copy(box: Boxes, address: str) -> Binding:
    return Binding.objects.get(sync_pass=box.passes[address])


def test_the_page_of_a_contact_names_its_mailboxes_and_how_each_stands(box: Boxes, client: Client) -> None:
    id_ = shared(box)
    Mailbox.objects.filter(address=box.theirs).update(state=Mailbox.State.PAUSED)
    Binding.objects.filter(sync_pass=box.passes[box.theirs]).update(is_out_of_view=True)
    log_in(client, "admin")
    with_session(client)

    with CaptureQueriesContext(connection) as queries:
        page = text(client.get(f"/records/salesforce/Contact/{id_}/"))

    assert len(queries) <= 12, len(queries)
    rows = {address: re.search(rf"<tr><td[^>]*><a[^>]*>{re.escape(address)}</a>.*?</tr>", page)[0] for address in (box.mine, box.theirs)}  # type: ignore[index]
    assert "In agreement" in rows[box.mine] and box.parent.peer.get_system_display() in rows[box.mine]
    assert "Paused" in rows[box.theirs] and "Not in the view any more" in rows[box.theirs]
    assert "Bo Lind" in page and "Outreach" not in page
    assert client.get(f"/records/salesforce/Contact/{id_}/history/").status_code == 200
    assert "In no mailbox" in text(client.get(f"/records/salesforce/Contact/{box.contact('Nobody')}/"))


def test_beside_a_pass_with_outreach_the_page_names_the_mailboxes_within_its_queries(box: Boxes, client: Client) -> None:
    id_ = shared(box)
    given = box.world.outreach.credentials()
    secrets = {k: given[k] for k in ("client_id", "client_secret", "access_token", "refresh_token")}
    outreach = Connection.objects.create(
        name="Outreach", system="outreach", base_url=base_url("outreach"), login_url=base_url("outreach"), secrets=secrets, is_sandbox=True
    )
    salesforce_passes(box.parent.crm, outreach)
    log_in(client, "admin")
    with_session(client)

    with CaptureQueriesContext(connection) as queries:
        page = text(client.get(f"/records/salesforce/Contact/{id_}/"))

    assert len(queries) <= 12, [q["sql"].partition("FROM")[2][:60] for q in queries]
    assert "In mailboxes" in page and box.mine in page and "Outreach" in page


def test_one_copy_is_forced_by_chosen_fields_and_says_why_a_field_stays(box: Boxes, client: Client) -> None:
    id_ = shared(box)
    FieldRule.objects.filter(peer_field="department").update(direction="to_crm")
    box.edit(id_, Title="Chief", Department="Sales", LastName="Lindh")
    Binding.objects.filter(sync_pass=box.passes[box.mine]).update(is_out_of_view=False)
    log_in(client, "operator")
    where = f"/mailboxes/copies/{copy(box, box.mine).pk}/sync/"

    page = text(client.get(where))
    assert box.mine in page and "department" in page and "updates of this field are off in this direction" in page
    page = text(client.get(f"{where}?force=1"))
    seen = dict(re.findall(r'name="seen-(\w+)" value="(\w+)"', page))
    assert {"jobTitle", "surname"} <= set(seen)
    told = text(client.post(f"{where}?force=1", {"force": "1", "field": ["jobTitle"], "seen-jobTitle": seen["jobTitle"]}, follow=True))

    assert "obTitle of “Bo Lind” was written in" in told and "In mailboxes" in told  # back on the page of the contact
    held = {address: (box.folder(address)[0]["jobTitle"], box.folder(address)[0]["surname"]) for address in (box.mine, box.theirs)}
    assert held == {box.mine: ("Chief", "Lind"), box.theirs: ("Buyer", "Lind")}
    assert Operation.objects.get(origin__forced=True).run.sync_pass == box.passes[box.mine]
    box.run()
    assert box.folder()[0]["surname"] == "Lindh" and box.run().updated == 0


def test_a_copy_that_is_linked_no_more_leads_back_with_a_sentence(box: Boxes, client: Client) -> None:
    shared(box)
    Binding.objects.update(is_tombstone=True)
    log_in(client, "operator")

    assert "linked to nothing" in text(client.get(f"/mailboxes/copies/{copy(box, box.mine).pk}/sync/", follow=True))
    assert RecordType.objects.filter(sync_pass=box.parent).exists()
