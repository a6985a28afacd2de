"""Getting about: the menus by keyboard and on a phone, and rows that open what they name."""

import pytest
from playwright.sync_api import expect

from reconciliation.models import Case
from tests.browser.test_pages_in_a_browser import box, staff  # noqa: F401  # fixtures

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ROW_HEIGHT = 60


def test_the_navigation_is_one_row_and_its_menu_works_without_a_mouse(box, staff, live_server):  # noqa: F811
    page = staff("admin")
    page.set_viewport_size({"width": 1366, "height": 800})
    settings = page.locator("nav summary", has_text="Settings")

    assert page.get_by_role("navigation", name="Pages").bounding_box()["height"] < ROW_HEIGHT
    settings.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Schedule")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Schedule")).to_be_hidden()
    expect(settings).to_be_focused()

    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/schedule/")


def test_on_a_phone_the_navigation_folds_into_a_menu(box, staff, live_server):  # noqa: F811
    page = staff("admin")
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{live_server.url}/runs/")

    expect(page.get_by_role("link", name="Journal")).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    page.locator("nav summary", has_text="Settings").click()
    expect(page.get_by_role("link", name="Audit")).to_be_in_viewport()
    page.get_by_role("link", name="Journal").click()

    expect(page).to_have_url(f"{live_server.url}/journal/")


def test_a_click_on_a_row_opens_it_and_a_box_in_it_is_only_ticked(box, staff, live_server):  # noqa: F811
    page = staff("operator")
    case = Case.objects.get(kind="error")
    page.goto(f"{live_server.url}/errors/")

    page.locator("table.rows tbody input[type=checkbox]").first.check()
    expect(page).to_have_url(f"{live_server.url}/errors/")
    page.locator("table.rows tbody td", has_text=case.sentence[:20]).first.click()

    expect(page).to_have_url(f"{live_server.url}/errors/{case.pk}/")
