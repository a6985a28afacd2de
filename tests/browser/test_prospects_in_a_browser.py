"""Seed 002 as staff work it: find matches, choose by keyboard, pull data down, in light and dark, wide and narrow."""

import os
from pathlib import Path

import axe_playwright_python
import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from playwright.sync_api import expect

from tests.admin.test_pages import HOSTILE
from tests.remapping import remapping

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AXE = next(Path(axe_playwright_python.__file__).parent.glob("**/axe.min.js"))
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"]}
PICTURES = os.environ.get("PICTURES", "")


@pytest.fixture
def box(monkeypatch):
    call_command("migrate", verbosity=0)
    box = remapping()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    return box


@pytest.fixture
def staff(page, live_server):
    user = User.objects.create_user("olga", password="secret-words", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    page.goto(f"{live_server.url}/login/")
    page.get_by_label("Username").fill("olga")
    page.get_by_label("Password").fill("secret-words")
    page.get_by_role("button", name="Log in").click()
    return page


def test_s2_18_s2_19_s2_14_s2_15_by_keyboard_alone(box, staff, live_server):
    _, id_ = box.pair()
    lead = box.lead("Smith", "ada@acme.example", Title="Chief", Company="Acme Ltd")
    box.active(id_, tasks=3, sequences=2)
    page = staff
    page.goto(f"{live_server.url}/prospects/")

    page.get_by_role("link", name="Find matches of Byrne").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 active tasks").first).to_be_visible()
    expect(page.get_by_text("2 active sequences").first).to_be_visible()
    page.keyboard.press("2")
    expect(page.locator('[data-choice="2"]')).to_be_checked()
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"belongs to Lead {lead} from now on")).to_be_visible()
    assert box.peer(id_)["title"] == "Buyer"
    page.get_by_label("Force update all fields").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Show differences").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Sync").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_text("were written in Outreach")).to_be_visible()
    assert box.peer(id_)["title"] == "Chief"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1366, 390])
def test_axe_finds_nothing_on_the_pages_of_prospects(box, staff, live_server, scheme, width):
    _, id_ = box.pair()
    taken, other = box.pair("Diaz", "cleo@acme.example")
    box.edit_crm("Contact", taken, Email="ada@acme.example")
    box.active(id_, tasks=3, sequences=2)
    box.active(other, tasks=1)
    for n in range(3):
        box.lead(HOSTILE[:60] if n == 2 else "Smith", "ada@acme.example", Title="Chief", Company="Acme Pumps and Valves Ltd")
    nobody = box.prospect("Nobody")
    box.run()
    page = staff
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    names = ("/prospects/", f"/prospects/{id_}/matches/", f"/prospects/{nobody}/matches/", f"/prospects/{id_}/sync/?force=1")
    for n, where in enumerate((*names, "/prospects/bulk/", "/prospects/bulk/?rule=latest", "/prospects/?q=zzz")):
        page.goto(f"{live_server.url}{where}")
        if PICTURES:
            page.screenshot(path=f"{PICTURES}/{n}-{width}-{scheme}.png", full_page=True)
        page.evaluate(AXE.read_text())
        result = page.evaluate("rules => axe.run(document, rules)", RULES)
        assert [(v["id"], [node["html"] for node in v["nodes"]][:3]) for v in result["violations"]] == [], where
        assert page.evaluate("document.documentElement.scrollWidth") <= width, where
