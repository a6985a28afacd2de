"""An admin connects Salesforce as if it were real: the form, the consent page of the system, the key field, a certificate."""

import pytest
from playwright.sync_api import expect

from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from reconciliation.models import Connection
from tests.browser.test_connecting_in_a_browser import accessibility_faults, admin  # noqa: F401  a fixture
from tests.services.pairs import certificate_of, pem_of, rsa_key

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def server(settings):
    server = SandboxServer(World(scenario="empty"), 0).start()
    policy = settings.CONTENT_SECURITY_POLICY
    settings.CONTENT_SECURITY_POLICY = {**policy, "form-action": [*policy["form-action"], server.urls["salesforce"]]}
    yield server
    server.stop()


def fill(page, live_server, server):
    page.goto(f"{live_server.url}/connections/")
    page.get_by_role("link", name="Add Salesforce").click()
    page.locator("select[name=login_host]").select_option("own")
    page.get_by_label("Own My Domain", exact=True).fill(server.urls["salesforce"])
    page.get_by_label("Client id").fill(server.world.salesforce.desk.client_id)
    page.get_by_label("Client secret", exact=True).fill(server.world.salesforce.desk.client_secret)


def test_an_admin_adds_salesforce_consents_there_and_sees_which_object_lacks_the_key_field(admin, live_server, server):  # noqa: F811
    page = admin
    server.world.salesforce.set_switches({"removed_fields": ["Lead.Sync_Key__c"]})
    fill(page, live_server, server)
    assert not accessibility_faults(page, [page.url])
    fill(page, live_server, server)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_label("Redirect URI")).to_have_value(f"{live_server.url}/connections/callback/")

    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.get_by_role("heading", name="Allow access to Salesforce")).to_be_visible()
    assert page.url.startswith(server.urls["salesforce"])
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_text("Access was denied")).to_be_visible()
    page.get_by_role("button", name="Connect", exact=True).click()
    page.get_by_role("button", name="Allow").click()

    expect(page.get_by_text("is connected as sync.service@seller.example")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="There is no field Sync_Key__c for leads")).to_be_visible()
    expect(page.get_by_text("Text(255)")).to_be_visible()
    assert not accessibility_faults(page, [page.url, f"{live_server.url}/connections/"])


def test_a_log_in_by_certificate_needs_no_connect_and_shows_what_the_certificate_says(admin, live_server, server):  # noqa: F811
    page, certificate = admin, certificate_of(rsa_key(), subject="syncsite of Acme")
    server.world.salesforce.set_switches({"jwt_certificate": certificate.decode()})
    fill(page, live_server, server)
    page.locator("select[name=flow]").select_option("jwt")
    page.locator("summary", has_text="For the log-in by certificate").click()
    page.get_by_label("User name in Salesforce").fill("sync.service@seller.example")
    page.get_by_label("Private key").set_input_files({"name": "k.pem", "mimeType": "text/plain", "buffer": pem_of(rsa_key())})
    page.get_by_label("Certificate", exact=True).set_input_files({"name": "c.pem", "mimeType": "text/plain", "buffer": certificate})
    page.get_by_role("button", name="Add", exact=True).click()

    expect(page.get_by_text("is added and was tested")).to_be_visible()
    expect(page.get_by_text("CN=syncsite of Acme")).to_be_visible()
    expect(page.get_by_text(Connection.objects.get().settings["certificate"]["fingerprint"])).to_be_visible()
    expect(page.get_by_role("button", name="Connect", exact=True)).to_have_count(0)
    assert not accessibility_faults(page, [page.url])
