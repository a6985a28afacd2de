"""In a real browser: settings from a file, a bundle copied for support, a person forgotten, under the strict policy."""

import json

import pytest
from playwright.sync_api import expect

from reconciliation.jobs import forget, forget_count
from reconciliation.models import Case
from reconciliation.services.retention import Keep, retention_of, retention_set
from reconciliation.services.transfer import export_text
from tests.browser.test_pages_in_a_browser import box, staff  # noqa: F401  # the fixtures

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def tasks(box, monkeypatch):  # noqa: F811
    """What the queue would do is done at once."""
    tasks = {task.__name__: task for task in (forget_count, forget)}
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda path, *a, **k: tasks[path.rsplit(".", 1)[1]](*a))


def test_an_admin_carries_settings_over_after_seeing_what_changes(box, staff, live_server, tmp_path):  # noqa: F811
    retention_set(Keep(write_days=90))
    file = tmp_path / "settings.json"
    file.write_text(export_text(), encoding="utf-8")
    retention_set(Keep())
    page = staff("admin")

    page.locator("nav summary", has_text="Settings").click()
    page.get_by_role("link", name="Transfer").click()
    page.get_by_label("Settings file").set_input_files(file)
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_text("Nothing is stored yet")).to_be_visible()
    expect(page.get_by_role("cell", name="Writes with their values before and after, days")).to_be_visible()
    assert retention_of().write_days == 400
    page.get_by_role("button", name="Store these changes").click()

    expect(page.get_by_text("Stored: Data kept.")).to_be_visible()
    assert retention_of().write_days == 90


def test_an_operator_copies_an_error_for_support(box, staff, live_server, context):  # noqa: F811
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    case = Case.objects.get(kind="error")
    page = staff("operator")

    page.goto(f"{live_server.url}/errors/{case.pk}/")
    page.get_by_role("link", name="Copy for support").click()
    page.get_by_role("button", name="Copy the text").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as JSON").click()

    taken = json.loads(download.value.path().read_text(encoding="utf-8"))
    assert copied["case"] == taken["case"] and taken["case"]["id"] == case.pk


def test_an_admin_forgets_a_person_after_counting(box, staff, live_server, tasks):  # noqa: F811
    Case.objects.filter(kind="error").update(sentence="jane.doe@acme.example was refused.")
    page = staff("admin")

    page.locator("nav summary", has_text="Settings").click()
    page.get_by_role("link", name="Data kept").click()
    page.get_by_role("link", name="Forget a person").click()
    page.get_by_label("E-mail address, or number").fill("jane.doe@acme.example")
    page.get_by_role("button", name="Count where they stand").click()
    expect(page.get_by_role("cell", name="Cases")).to_be_visible()
    page.get_by_role("button", name="Blank all of it for good").click()

    expect(page.get_by_text("Finished", exact=True)).to_be_visible()
    assert "jane.doe" not in Case.objects.get(kind="error").sentence
