"""Record types as an admin orders them, by keyboard and by drag; the pages of the policy in light and dark, wide and narrow."""

import pytest
from django.core.management import call_command
from playwright.sync_api import expect

from reconciliation.models import RecordType, UserPair
from tests.admin.test_pages import HOSTILE
from tests.browser.hands import enter, faults
from tests.paired import paired

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def box():
    call_command("migrate", verbosity=0)
    return paired()


@pytest.fixture
def staff(page, live_server):
    enter(page, live_server.url, "admin")
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


def test_axe_finds_nothing_on_the_pages_of_the_policy(box, staff, live_server):
    RecordType.objects.filter(crm_object="Lead").update(conditions=[["LeadSource", "is", "Web"], [HOSTILE[:100], "is", HOSTILE]])
    own = {"sync_pass": box.sync_pass, "read_at": box.clock.at}
    UserPair.objects.create(crm_user_id="005A", crm_name="Ada Byrne", peer_user_id="1", peer_name="ada", how="staff", **own)
    UserPair.objects.create(crm_user_id="005B", crm_name=HOSTILE[:255], **own)
    UserPair.objects.create(peer_user_id="2", peer_name="bob", **own)
    page = staff
    for n, where in enumerate(("/dedupe-policy/", "/dedupe-policy/", "/record-types/", "/user-pairs/", "/user-pairs/?q=zzz")):
        page.goto(f"{live_server.url}{where}")
        if n == 1:
            page.get_by_role("radio", name="Allow user to select").check()
            page.get_by_role("button", name="Save").click()
        page.evaluate("document.querySelectorAll('#content details').forEach((fold) => { fold.open = true; })")
        assert faults(page, f"policy-{n}") == []
