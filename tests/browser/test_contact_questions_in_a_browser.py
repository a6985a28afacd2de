"""Questions about contacts of mailboxes, worked with the keyboard; and their pages, as axe-core and a ruler find them."""

import pytest
from django.core.management import call_command

from reconciliation.models import Case
from tests.admin.test_pages import HOSTILE
from tests.boxes import FOLDER, boxes
from tests.browser.hands import enter, faults

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(params=["microsoft", "google"])
def box(request, monkeypatch):
    call_command("migrate", verbosity=0)
    box = boxes(request.param)
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    return box


def ask(box):
    """One contact that was deleted in one of two mailboxes, and an item whose address two contacts bear."""
    box.contact("Lind", "bo@acme.example", FirstName="Bo", Title="Chief of many things", Phone="020 7946 0000")
    for address in (box.mine, box.theirs):
        box.set(address, deletion="allowed", view="everything")
        box.run(address)
    box.drop(box.folder()[0]["id"])
    box.set(view="mine")
    box.run()
    for last in ("Berg", HOSTILE[:60]):
        box.contact(last, "ida@berg.example", owner=box.theirs, Title="CTO")
    box.put(FOLDER, givenName="Ida", surname="Holm", emails=["ida@berg.example"], companyName="Nobody")
    box.put(FOLDER, givenName="Una", surname=HOSTILE[:60], companyName="Nobody")
    box.run()
    assert set(Case.objects.filter(state="open").values_list("kind", flat=True)) == {"deletion", "exists"}


def test_questions_about_contacts_are_answered_with_the_keyboard_one_after_the_other(box, page, live_server):
    """D7, D26: 1 to 9 open an answer with its writes, Enter carries it out and leads to the next question."""
    ask(box)
    enter(page, live_server.url, "operator")
    assert page.get_by_role("link", name="Mailboxes 2", exact=True).is_visible()
    page.goto(f"{live_server.url}/contacts/")
    assert faults(page, f"questions-{box.system}") == []
    exists, deletion = Case.objects.get(kind="exists"), Case.objects.get(kind="deletion")

    page.goto(f"{live_server.url}/contacts/{exists.pk}/")
    for n in "123":
        page.keyboard.press(n)
    assert page.get_by_text("This will be written:").first.is_visible()
    assert faults(page, f"exists-{box.system}") == []
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/contacts/{deletion.pk}/")
    assert page.get_by_text("is linked to contact").is_visible()

    page.keyboard.press("1")
    page.keyboard.press("3")
    assert faults(page, f"deletion-{box.system}") == []
    assert page.get_by_text(box.theirs).first.is_visible()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.wait_for_url("**/contacts/")
    assert page.get_by_text("is in the folder again").is_visible()

    assert faults(page, f"questions-none-{box.system}") == []
    page.goto(f"{live_server.url}/contacts/{exists.pk}/")
    assert page.get_by_text("Take the link back").first.is_visible()
    assert faults(page, f"exists-closed-{box.system}") == []
    page.goto(f"{live_server.url}/incomplete/")
    assert page.get_by_text("an account: it names no company, or one that matches none").is_visible()
    assert faults(page, f"incomplete-{box.system}") == []
