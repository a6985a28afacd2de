"""Dedupe policy, record types and user pairs as an admin works them: by keyboard, by drag, in light and dark, wide and narrow."""

import os
from pathlib import Path

import axe_playwright_python
import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from playwright.sync_api import expect

from reconciliation.models import Policy, RecordType, UserPair
from tests.admin.test_pages import HOSTILE
from tests.paired import paired

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AXE = next(Path(axe_playwright_python.__file__).parent.glob("**/axe.min.js"))
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa"]}
PICTURES = os.environ.get("PICTURES", "")


@pytest.fixture
def box():
    call_command("migrate", verbosity=0)
    return paired()


@pytest.fixture
def staff(page, live_server):
    user = User.objects.create_user("anna", password="secret-words", is_staff=True)
    user.groups.add(Group.objects.get(name="admin"))
    page.goto(f"{live_server.url}/login/")
    page.get_by_label("Username").fill("anna")
    page.get_by_label("Password").fill("secret-words")
    page.get_by_role("button", name="Log in").click()
    return page


def order():
    return list(RecordType.objects.order_by("order").values_list("crm_object", flat=True))


def drag(page, from_, onto):
    """Drags one line below another in steps, as a hand does."""
    start, end = from_.bounding_box(), onto.bounding_box()
    page.mouse.move(start["x"] + 5, start["y"] + 5)
    page.mouse.down()
    page.mouse.move(start["x"] + 20, start["y"] + 30, steps=5)
    page.mouse.move(end["x"] + 60, end["y"] + end["height"] - 10, steps=15)
    page.mouse.up()


def test_s2_12_the_order_is_changed_by_keyboard_by_drag_and_by_buttons(box, staff, live_server):
    page = staff
    page.set_viewport_size({"width": 1366, "height": 1400})
    page.goto(f"{live_server.url}/record-types/")
    lines = page.locator("[data-ordered] > li")

    lines.nth(1).focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.get_by_text("The first type in the list wins").first).to_be_visible()
    expect(lines.nth(0)).to_contain_text("1. Lead")
    expect(lines.nth(0)).to_be_focused()
    assert order() == ["Lead", "Contact"]
    drag(page, lines.nth(0).locator(".ordered-head > b"), lines.nth(1))
    expect(lines.nth(0)).to_contain_text("1. Contact")
    assert order() == ["Contact", "Lead"]
    page.get_by_role("button", name="Move Lead up").click()
    expect(lines.nth(0)).to_contain_text("1. Lead")
    assert order() == ["Lead", "Contact"]


def test_s2_1_the_setting_is_saved_by_keyboard_after_a_look_at_what_it_does(box, staff, live_server):
    page = staff
    page.goto(f"{live_server.url}/dedupe-policy/")

    page.get_by_role("radio", name="Prevent multiple prospects").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Yes, change it")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.get_by_text("Saved. It holds from the next import on.")).to_be_visible()
    assert Policy.objects.get().same_email == "choose"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1366, 390])
def test_axe_finds_nothing_on_the_pages_of_the_policy(box, staff, live_server, scheme, width):
    RecordType.objects.filter(crm_object="Lead").update(conditions=[["LeadSource", "is", "Web"], [HOSTILE[:100], "is", HOSTILE]])
    own = {"sync_pass": box.sync_pass, "read_at": box.clock.at}
    UserPair.objects.create(crm_user_id="005A", crm_name="Ada Byrne", peer_user_id="1", peer_name="ada", how="staff", **own)
    UserPair.objects.create(crm_user_id="005B", crm_name=HOSTILE[:255], **own)
    UserPair.objects.create(peer_user_id="2", peer_name="bob", **own)
    page = staff
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    for n, where in enumerate(("/dedupe-policy/", "/dedupe-policy/", "/record-types/", "/user-pairs/", "/user-pairs/?q=zzz")):
        page.goto(f"{live_server.url}{where}")
        if n == 1:
            page.get_by_role("radio", name="Allow user to select").check()
            page.get_by_role("button", name="Save").click()
        page.evaluate("document.querySelectorAll('#content details').forEach((fold) => { fold.open = true; })")
        if PICTURES:
            page.screenshot(path=f"{PICTURES}/{n}-{width}-{scheme}.png", full_page=True)
        page.evaluate(AXE.read_text())
        result = page.evaluate("rules => axe.run(document, rules)", RULES)
        assert [(v["id"], [node["html"] for node in v["nodes"]][:3]) for v in result["violations"]] == [], where
        assert page.evaluate("document.documentElement.scrollWidth") <= width, where
