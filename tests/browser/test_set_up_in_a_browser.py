"""The admin's first day in a real browser: from two connections to the first organisation in Outreach (acceptance 1)."""

import pytest
from django.core.management import call_command
from playwright.sync_api import expect

from reconciliation import jobs
from reconciliation.models import AuditEntry, Policy, Run, SyncPass
from tests.browser.test_pages_in_a_browser import staff  # noqa: F401  the fixture that logs in
from tests.sandboxed import PEER_ID, SYNC, make
from tests.services.test_fields import without_plugin

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def box(monkeypatch):
    """Two connections to what the application takes for a company's systems: never tested, no pass, no plugin in Workbooks.
    What the queue would do is done at once."""
    call_command("migrate", verbosity=0)
    box = without_plugin(make(is_real=True))
    tasks = {task.__name__: task for task in (jobs.run_now, jobs.preview, jobs.pilot)}
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda path, *a, **k: tasks[path.rsplit(".", 1)[1]](*a))
    monkeypatch.setattr("reconciliation.services.fields.Wiring", lambda: box.wiring)
    return box


def names(box):
    return sorted(a["name"] for a in box.accounts())


def test_an_admin_goes_from_two_connections_to_the_first_organisations_in_outreach(box, staff, live_server):  # noqa: F811
    page = staff("admin")
    page.goto(f"{live_server.url}/")
    page.get_by_role("link", name="see what is left").click()

    # Connect: both are tested; the pass between them is off.
    expect(page.locator("#connect")).to_contain_text("Workbooks has not been tested")
    page.get_by_role("button", name="Test both").click()
    expect(page.locator("#connect")).to_contain_text("done")
    assert not SyncPass.objects.get().is_on

    # Fields: nine are missing; they are created after a question, and taken.
    page.locator("#fields").get_by_role("link", name="Fields").click()
    expect(page.locator("pre")).to_contain_text("Outreach Sync Error")
    page.locator("summary", has_text="Create 9 fields in Workbooks").click()
    page.get_by_role("button", name="Create them in Workbooks").click()
    expect(page.get_by_text("Created in Workbooks: Sync to Outreach of organisations")).to_be_visible()
    page.get_by_role("link", name="Back to set-up").click()
    expect(page.locator("#fields")).to_contain_text("done")

    # Their people tick Sync to Outreach, in Workbooks.
    organisations = {n: box.organisation(n, assigned_to_name="tom_becker") for n in ("First Ltd", "Second Ltd", "Third Ltd", "Fourth Ltd")}
    page.get_by_role("button", name="Look at Assigned To now").click()
    expect(page.locator("#owners")).to_contain_text("tom_becker, 4 organisations: no such username")

    # Preview: nothing is written, and nothing can be switched on before somebody has looked at it.
    page.locator("#on summary").click()
    page.locator("#on").get_by_role("button", name="Switch on").click()
    expect(page.get_by_text("It stays off. Its first preview has not been looked at.")).to_be_visible()
    page.get_by_role("button", name="Make a preview").click()
    page.locator("table.rows td a").first.click()
    expect(page.get_by_text("4 accounts would be created")).to_be_visible()
    expect(page.get_by_role("button", name="Apply this plan")).to_have_count(0)
    assert names(box) == []
    page.get_by_role("button", name="I have looked at this preview").click()

    # Pilot: exactly the picked one, then a batch of one.
    page.get_by_label("Pick organisations").fill("First Ltd")
    page.get_by_role("button", name="Pick these").click()
    page.get_by_role("button", name="Run the pilot for 1 organisation").click()
    assert names(box) == ["First Ltd"] and box.show(organisations["First Ltd"])[PEER_ID]
    page.get_by_label("Organisations in a batch").fill("1")
    page.get_by_role("button", name="Take the next batch").click()
    assert len(names(box)) == 2
    page.locator("table.rows").last.locator("td a").first.click()
    expect(page.get_by_role("heading", name="a pilot, finished")).to_be_visible()
    expect(page.get_by_text("2 new ones still wait")).to_be_visible()

    # Switch on: the schedule takes the rest by itself.
    page.locator("nav summary", has_text="Settings").click()
    page.get_by_role("link", name="Set-up").click()
    page.locator("#on summary").click()
    page.locator("#on").get_by_role("button", name="Switch on").click()
    expect(page.get_by_text("Everything is set up")).to_be_visible()
    jobs.tick("organisations")
    assert names(box) == sorted(organisations)
    assert all(box.show(id_)[PEER_ID] and box.show(id_)[SYNC] for id_ in organisations.values())
    page.goto(f"{live_server.url}/")
    expect(page.get_by_role("link", name="see what is left")).to_have_count(0)
    told = set(AuditEntry.objects.values_list("action", flat=True))
    assert told >= {"test connection", "create fields", "confirm first preview", "pick pilot organisations", "run pilot", "switch pass on"}


def test_an_admin_chooses_another_field_for_a_title(box, staff, live_server):  # noqa: F811
    page = staff("admin")
    page.goto(f"{live_server.url}/setup/")
    page.get_by_role("button", name="Test both").click()
    page.goto(f"{live_server.url}/setup/fields/")

    page.get_by_label("Outreach URL, organisations").select_option(label="Website (website)")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("1 field changed; the next run works with them")).to_be_visible()
    assert SyncPass.objects.get().settings["organisation_columns"] == {"peer_url": "website"}


@pytest.mark.parametrize("width", [1366, 390])
def test_an_admin_stops_all_writes_from_any_page_and_everybody_sees_it(box, staff, live_server, width):  # noqa: F811
    page = staff("admin")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{live_server.url}/runs/")

    page.locator("summary", has_text="Stop all writes").click()
    page.get_by_label("Reason").fill("the price list is wrong")
    assert page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth") <= 1
    box_of = page.get_by_role("button", name="Stop all writes now").bounding_box()
    assert box_of["x"] >= 0 and box_of["x"] + box_of["width"] <= width
    page.get_by_role("button", name="Stop all writes now").click()

    expect(page.get_by_role("alert")).to_contain_text("All writes are stopped by a-admin: the price list is wrong.")
    assert page.url.endswith("/runs/") and Policy.objects.get().writes_stopped_at
    page.locator("summary", has_text="Allow writes again").click()
    page.get_by_role("button", name="Allow writes again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert Run.objects.count() == 0
