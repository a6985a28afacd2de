"""The page of a conflict in a real browser: decided by keyboard, next case, and what axe says of it in light and dark."""

import pytest
from django.core.management import call_command
from playwright.sync_api import expect

from reconciliation.models import Case
from tests.browser.hands import faults
from tests.browser.test_pages_in_a_browser import staff as staff  # noqa: PLC0414  # the fixture
from tests.conflicting import conflicting

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def box(monkeypatch):
    call_command("migrate", verbosity=0)
    box = conflicting()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    return box


def test_a_conflict_is_decided_by_keyboard_and_leads_to_the_next(box, staff, live_server):
    first = box.conflict(box.pair("Lovelace"), title=("CTO", "CEO"))
    second = box.conflict(box.pair("Byron"), title=("Peer", "Poet"), custom1=("ours", "theirs"))
    page = staff("operator")

    page.get_by_role("link", name="Conflicts").first.click()
    page.get_by_role("link", name="Byron").click()
    page.locator("body").press("j")
    expect(page).to_have_url(f"{live_server.url}/conflicts/{first.pk}/")
    page.locator("body").press("k")
    expect(page).to_have_url(f"{live_server.url}/conflicts/{second.pk}/")
    page.locator("body").press("1")
    page.keyboard.press("2")
    expect(page.get_by_role("radio", name="Outreach for Title")).to_be_checked()
    page.get_by_role("radio", name="Salesforce for Description").focus()
    page.keyboard.press("3")
    expect(page.get_by_role("radio", name="Another value for Description")).to_be_checked()
    page.keyboard.type("both 12jk")  # the key led into the field
    page.keyboard.press("Enter")

    expect(page).to_have_url(f"{live_server.url}/conflicts/{first.pk}/")
    assert (box.crm("Contact", second.crm_id)["Title"], box.peer(second.peer_id)["custom1"]) == ("Poet", "both 12jk")
    page.locator("body").press("1")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/conflicts/")
    assert box.peer(first.peer_id)["title"] == "CTO" and not Case.objects.filter(state="open").exists()


def test_axe_finds_nothing_on_the_pages_of_a_conflict(box, staff, live_server):
    case = box.conflict(box.pair("Lovelace"), title=("CTO", "CEO"), custom1=("ours", "<b>theirs</b>"))
    page = staff("admin")

    for where in (f"/conflicts/{case.pk}/", "/conflicts/", "/conflicts/bulk/?pass=prospects&field=title&take=crm"):
        page.goto(f"{live_server.url}{where}")
        assert faults(page) == []
