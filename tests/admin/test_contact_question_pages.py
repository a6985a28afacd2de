"""The pages of questions about contacts of mailboxes, and lists that name the mailbox and are filtered by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciliation.models import Case, Operation
from tests.admin.test_exports import read
from tests.admin.test_pages import log_in
from tests.boxes import FOLDER, Boxes, boxes

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["microsoft", "google"])
def box(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Boxes]:
    box = boxes(request.param)
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    yield box


def ask_in_both(box: Boxes) -> list[Case]:
    """The same question in each of two mailboxes."""
    box.contact("Berg", "ida@berg.example")
    for address in (box.mine, box.theirs):
        box.set(address, existing="ask")
        box.run(address)
        box.put(FOLDER, address, givenName="Ida", surname="Holm", emails=["ida@berg.example"])
        box.run(address)
    return list(Case.objects.filter(kind="exists").order_by("pk"))


def test_d7_a_question_of_each_mailbox_is_listed_by_its_own_and_answered_by_form(client, box: Boxes) -> None:
    mine, theirs = ask_in_both(box)
    log_in(client, "operator")

    listed = client.get("/contacts/").content.decode()
    assert all(f'href="/contacts/{case.pk}/"' in listed for case in (mine, theirs))
    listed = client.get(f"/contacts/?mailbox={box.theirs[:4].upper()}").content.decode()
    assert f'href="/contacts/{theirs.pk}/"' in listed and f'href="/contacts/{mine.pk}/"' not in listed
    assert [row["mailbox"] for row in read(client, f"/contacts/export.csv?mailbox={box.mine}")] == [box.mine]

    page = client.get(f"/contacts/{theirs.pk}/").content.decode()
    assert box.theirs in page and box.parent.peer.get_system_display() in page
    stamp = page.partition('name="stamp" value="')[2].partition('"')[0]
    answer = client.post(f"/contacts/{theirs.pk}/decide/", {"stamp": stamp, "answer": "personal", "reason": "a friend"}, follow=True)
    assert answer.redirect_chain[-1][0] == f"/contacts/{mine.pk}/" and "stays personal" in answer.content.decode()
    answer = client.post(f"/contacts/{theirs.pk}/decide/", {"stamp": stamp, "answer": "create contact"}, follow=True)
    assert "already closed" in answer.content.decode() and len(box.contacts()) == 1
    answer = client.post(f"/contacts/{mine.pk}/decide/", {"answer": "later", "reason": "asks her first"}, follow=True)
    assert "stays open with your note" in answer.content.decode()


def test_a_viewer_reads_a_question_and_is_offered_no_act(client, box: Boxes) -> None:
    mine, _ = ask_in_both(box)
    log_in(client, "viewer")

    page = client.get(f"/contacts/{mine.pk}/").content.decode().partition("<main")[2]

    assert "Holm" in page and "Berg" in page and "An operator decides it" in page
    for act in ("<form", "<button", "data-here", "/support/"):
        assert act not in page
    assert client.post(f"/contacts/{mine.pk}/decide/", {"answer": "personal"}).status_code == 403


def test_journal_runs_and_errors_name_the_mailbox_and_are_filtered_by_it(client, box: Boxes) -> None:
    id_ = box.contact("Lind", "bo@acme.example", owner=box.theirs, Title="Buyer")
    for address in (box.mine, box.theirs):
        box.set(address, view="everything")
        box.run(address)
    box.world.salesforce.set_switches({"read_only_users": [box.users[box.mine]]})
    box.change(box.folder()[0]["id"], jobTitle="Mine")
    box.run()
    log_in(client, "operator")

    for where in ("/journal/", "/runs/", "/errors/", "/deleted/", "/differences/"):
        everything = client.get(where).content.decode()
        one = client.get(f"{where}?mailbox={box.theirs}").content.decode().partition("<main")[2]
        assert "Mailbox starts with" in everything and box.mine not in one.replace(f'value="{box.mine}"', ""), where
    assert box.mine in client.get("/errors/").content.decode() and box.mine in client.get("/journal/").content.decode()
    assert {row["mailbox"] for row in read(client, "/journal/export.csv")} == {box.mine, box.theirs}
    case = Case.objects.get(kind="error")
    assert box.mine in client.get(f"/errors/{case.pk}/").content.decode()
    assert "<b>1</b> The mailbox&#x27;s user may not do it" in client.get("/errors/").content.decode()
    operation = Operation.objects.filter(object_type="contact").earliest("pk")
    assert client.get(f"/journal/{operation.pk}/").status_code == 200
    assert client.get(f"/runs/{operation.run_id}/undo/").status_code == 200
    assert client.get(f"/records/salesforce/Contact/{id_}/").status_code in (200, 302, 404)
