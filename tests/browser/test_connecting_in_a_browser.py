"""An admin connects both systems as if they were real: nothing is prepared, the consent page is the system's own."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.utils import timezone
from playwright.sync_api import expect

from connectors.sandbox.outreach.oauth import ALL_SCOPES
from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from reconciliation.models import Connection, SyncPass
from tests.browser.hands import AXE, RULES

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def server(settings):
    server = SandboxServer(World(scenario="empty"), 0).start()
    policy = settings.CONTENT_SECURITY_POLICY
    settings.CONTENT_SECURITY_POLICY = {**policy, "form-action": [*policy["form-action"], server.urls["outreach"]]}
    yield server
    server.stop()


@pytest.fixture
def admin(page, live_server):
    call_command("migrate", verbosity=0)
    user = User.objects.create_user("ada", password="secret-words", is_staff=True)
    user.groups.add(Group.objects.get(name="admin"))
    page.goto(f"{live_server.url}/login/")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("secret-words")
    page.get_by_role("button", name="Log in").click()
    return page


def accessibility_faults(page, addresses):
    """Returns what axe and a ruler find on these pages, in light and dark, wide and narrow."""
    found = []
    for scheme, width in (("light", 1366), ("dark", 390)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        for address in addresses:
            page.goto(address)
            page.evaluate(AXE)
            result = page.evaluate("rules => axe.run(document, rules)", RULES)
            found += [
                (address, scheme, v["id"], v["nodes"][0]["target"]) for v in result["violations"] if v["impact"] in ("serious", "critical")
            ]
            if page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth") > 1:
                found.append((address, scheme, "too wide"))
    page.goto(addresses[0])
    return found


def add_both(page, live_server, server):
    page.goto(f"{live_server.url}/connections/")
    page.get_by_role("link", name="Add Workbooks").click()
    page.get_by_label("Address", exact=True).fill(server.urls["workbooks"])
    page.get_by_label("API key", exact=True).fill(server.world.workbooks.api_key)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("is added and was tested")).to_be_visible()
    expect(page.get_by_text("database 3").first).to_be_visible()

    page.get_by_role("link", name="Back to connections").click()
    page.get_by_role("link", name="Add Outreach").click()
    page.get_by_label("Address", exact=True).fill(server.urls["outreach"])
    page.get_by_label("Page of an account, with {id}").fill(f"{server.urls['control']}/browse/outreach/accounts/{{id}}")
    page.get_by_label("Client id").fill(server.world.outreach.desk.client_id)
    page.get_by_label("Client secret", exact=True).fill(server.world.outreach.desk.client_secret)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_label("Redirect URI")).to_have_value(f"{live_server.url}/connections/callback/")


def test_an_admin_adds_both_systems_and_connects_by_oauth(admin, live_server, server):
    page = admin
    add_both(page, live_server, server)

    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.get_by_role("heading", name="Allow access to Outreach")).to_be_visible()
    assert page.url.startswith(server.urls["outreach"])
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_text("Access was denied")).to_be_visible()
    assert page.url.startswith(live_server.url)

    page.get_by_role("button", name="Connect", exact=True).click()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_text("is connected as Sandbox, and what it needs was tested")).to_be_visible()
    page.locator("summary", has_text="Reconnect").click()
    expect(page.get_by_role("button", name="Reconnect")).to_be_visible()

    sync_pass = SyncPass.objects.get()
    assert sync_pass.is_on is False and not Connection.objects.exclude(state="ok").exists()
    page.goto(live_server.url)
    expect(page.locator("[data-word]")).to_have_text("off")


def test_a_missing_right_is_named_and_mended_by_reconnecting(admin, live_server, server):
    page = admin
    add_both(page, live_server, server)
    server.world.outreach.set_switches({"scopes": "accounts.all prospects.all"})
    page.get_by_role("button", name="Connect", exact=True).click()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_text("tick the scope users.read")).to_be_visible()
    Connection.objects.update(secret_expires_on=timezone.now().date(), settings={"least_tls": "1.2", "database_id": "3"})
    assert not accessibility_faults(page, [page.url, f"{live_server.url}/connections/", live_server.url])

    server.world.outreach.set_switches({"scopes": ALL_SCOPES})
    page.get_by_role("button", name="Reconnect").click()
    page.get_by_role("button", name="Allow").click()

    expect(page.get_by_text("is connected as Sandbox, and what it needs was tested")).to_be_visible()
    expect(page.get_by_text("tick the scope users.read")).to_have_count(0)
