"""Acceptance 1 of the admin's day: from an empty installation to the first organisation in Outreach, over real HTTP.

The sandbox is started as a company's systems would be: nothing of it is prepared here, its Workbooks has no plugin, and
its consent page is its own. What the queue would do is done at once."""

import pytest
from playwright.sync_api import expect

from reconciliation import jobs
from reconciliation.models import AuditEntry, Connection, SyncPass
from tests.browser.test_connecting_in_a_browser import add_both, admin, server  # noqa: F401  fixtures
from tests.sandboxed import PEER_ID, SYNC
from tests.services.test_fields import without_plugin

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def at_once(monkeypatch):
    tasks = {task.__name__: task for task in (jobs.run_now, jobs.preview, jobs.pilot)}
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda path, *a, **k: tasks[path.rsplit(".", 1)[1]](*a))


def test_an_admin_sets_everything_up_from_nothing(admin, live_server, server, at_once):  # noqa: F811
    page, world = admin, server.world
    without_plugin(server)
    page.goto(live_server.url)
    expect(page.get_by_text("Nothing is connected yet").first).to_be_visible()

    # Connect: Workbooks by its key, Outreach over its own consent page.
    add_both(page, live_server, server)
    page.get_by_role("button", name="Connect", exact=True).click()
    assert page.url.startswith(server.urls["outreach"])
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_text("is connected as Sandbox, and what it needs was tested")).to_be_visible()
    page.goto(f"{live_server.url}/setup/")
    expect(page.locator("#connect")).to_contain_text("done")
    assert not SyncPass.objects.get().is_on

    # Fields: what the plugin would have made is made after a question.
    page.locator("#fields").get_by_role("link", name="Fields").click()
    page.locator("summary", has_text="Create 9 fields in Workbooks").click()
    page.get_by_role("button", name="Create them in Workbooks").click()
    expect(page.get_by_text("Created in Workbooks: Sync to Outreach of organisations")).to_be_visible()
    page.get_by_role("link", name="Back to set-up").click()
    expect(page.locator("#fields")).to_contain_text("done")
    expect(page.locator("#mapping")).to_contain_text("done")

    # Users: the company's people tick Sync to Outreach; one of them has no name there.
    made = [
        world.workbooks.create_record("organisations", {"name": name, SYNC: True, "assigned_to_name": "tom_becker"})
        for name in ("First Ltd", "Second Ltd")
    ]
    page.get_by_role("button", name="Look at Assigned To now").click()
    expect(page.locator("#owners")).to_contain_text("tom_becker, 2 organisations: no such username")

    # Preview, pilot, switch on.
    page.get_by_role("button", name="Make a preview").click()
    page.locator("table.rows td a").first.click()
    expect(page.get_by_text("2 accounts would be created")).to_be_visible()
    page.get_by_role("button", name="I have looked at this preview").click()
    assert not world.outreach.list_records("accounts")
    page.get_by_label("Pick organisations").fill("First Ltd")
    page.get_by_role("button", name="Pick these").click()
    page.get_by_role("button", name="Run the pilot for 1 organisation").click()
    assert [a["name"] for a in world.outreach.list_records("accounts")] == ["First Ltd"]
    page.locator("nav summary", has_text="Settings").click()
    page.get_by_role("link", name="Set-up").click()
    page.locator("#on summary").click()
    page.locator("#on").get_by_role("button", name="Switch on").click()
    expect(page.get_by_text("Everything is set up")).to_be_visible()
    jobs.tick("organisations")

    accounts = {a["name"]: str(a["id"]) for a in world.outreach.list_records("accounts")}
    assert sorted(accounts) == ["First Ltd", "Second Ltd"]
    for row in made:
        assert str(world.workbooks.get_record("organisations", row["id"])[PEER_ID]) == accounts[row["name"]]
    assert not Connection.objects.exclude(state="ok").exists() and SyncPass.objects.get().is_on
    told = set(AuditEntry.objects.values_list("action", flat=True))
    assert told >= {"make pass", "create fields", "confirm first preview", "pick pilot organisations", "run pilot", "switch pass on"}
