"""An admin connects Microsoft 365 and Google as if they were real, and the user of a mailbox connects their own: by mouse, by
keyboard, on wide and narrow pages."""

import json

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from playwright.sync_api import expect

from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from reconciliation.models import Connection, Mailbox
from reconciliation.services.mailboxes import mailbox_add
from tests.browser.hands import enter, faults, press
from tests.services.pairs import certificate_of, pem_of, rsa_key

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def server(settings):
    server = SandboxServer(World(scenario="empty"), 0).start()
    policy = settings.CONTENT_SECURITY_POLICY
    pages = [server.urls["microsoft"], server.urls["google"]]
    settings.CONTENT_SECURITY_POLICY = {**policy, "form-action": [*policy["form-action"], *pages]}
    yield server
    server.stop()


@pytest.fixture
def page(page, live_server):
    for name in ("admin", "mailbox user"):
        Group.objects.get_or_create(name=name)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    enter(page, live_server.url, "admin")
    return page


def begin(page, live_server, server, system, name):
    page.goto(f"{live_server.url}/connections/add/{system}/")
    page.locator("summary", has_text="Addresses").click()
    page.get_by_label("Address of the interface").fill(server.urls[system])
    page.get_by_label("Where tokens come from").fill(server.urls[system])
    page.get_by_label("Name", exact=True).fill(name)


def test_an_admin_adds_microsoft_asks_for_consent_and_sees_what_the_test_says(page, live_server, server):
    given = server.world.microsoft.credentials()
    server.world.microsoft.set_switches({"permissions": "User.Read.All"})
    begin(page, live_server, server, "microsoft", "Mail of Acme")
    assert not faults(page, "add-microsoft")
    page.get_by_label("Tenant", exact=True).fill(given["tenant"])
    page.get_by_label("Application id", exact=True).fill(given["client_id"])
    page.get_by_label("Client secret", exact=True).fill(given["client_secret"])
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Not granted; needed to read and write the contacts of each mailbox.").first).to_be_visible()

    page.get_by_role("button", name="Ask for consent").click()
    expect(page.get_by_role("heading", name="Permissions requested")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("The administrator did not consent")).to_be_visible()
    press(page, page.get_by_role("button", name="Ask for consent"), "Enter")
    page.get_by_role("button", name="Accept").click()

    expect(page.get_by_text("has the consent, and what it needs was tested")).to_be_visible()
    expect(page.get_by_text("Granted, to read and write the contacts of each mailbox.")).to_be_visible()
    assert not faults(page, "microsoft")


def test_a_certificate_and_a_service_account_are_uploaded(page, live_server, server):
    certificate = certificate_of(rsa_key(), subject="syncsite of Acme")
    server.world.microsoft.set_switches({"certificate": certificate.decode()})
    given = server.world.microsoft.credentials()
    begin(page, live_server, server, "microsoft", "Mail of Acme")
    page.get_by_label("Tenant", exact=True).fill(given["tenant"])
    page.get_by_label("Application id", exact=True).fill(given["client_id"])
    page.get_by_label("Proves who we are by").select_option("certificate")
    page.locator("summary", has_text="Certificate").click()
    page.get_by_label("Private key").set_input_files({"name": "k.pem", "mimeType": "text/plain", "buffer": pem_of(rsa_key())})
    page.get_by_label("Certificate file").set_input_files({"name": "c.pem", "mimeType": "text/plain", "buffer": certificate})
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("is added and was tested")).to_be_visible()
    expect(page.get_by_text(Connection.objects.get().settings["certificate"]["thumbprint"])).to_be_visible()

    begin(page, live_server, server, "google", "Google of Acme")
    assert not faults(page, "add-google")
    key = json.dumps(server.world.google.desk.account.key_file("https://elsewhere.example/token")).encode()
    page.get_by_label("JSON key file").set_input_files({"name": "key.json", "mimeType": "application/json", "buffer": key})
    page.get_by_label("Directory read as").fill("gina@example.test")
    page.get_by_role("button", name="Add", exact=True).click()

    expect(page.get_by_text("is added and was tested")).to_be_visible()
    expect(page.get_by_text("sync@sandbox-project.iam.gserviceaccount.com", exact=True)).to_be_visible()
    assert not faults(page, "google")


def test_the_user_of_a_mailbox_connects_it_on_the_own_page(page, live_server, server):
    given, address = server.world.google.credentials(), server.urls["google"]
    row = Connection.objects.create(
        name="Google",
        system="google",
        base_url=address,
        login_url=address,
        settings={"flow": "web"},
        secrets={"client_id": given["client_id"], "client_secret": given["client_secret"]},
    )
    user = User.objects.create_user("gina")
    user.groups.add(Group.objects.get(name="mailbox user"))
    gina = mailbox_add(row, "gina@example.test", None)
    Mailbox.objects.filter(pk=gina.pk).update(user=user)
    client = Client()
    client.force_login(user)
    page.context.add_cookies([{"name": n, "value": m.value, "url": live_server.url} for n, m in client.cookies.items()])

    page.goto(f"{live_server.url}/my-mailbox/")
    expect(page.get_by_text("Nothing is synced until you connect")).to_be_visible()
    assert not faults(page, "my-mailbox")
    press(page, page.get_by_role("button", name="Connect", exact=True), "Enter")
    expect(page.get_by_label("Account")).to_have_value("gina@example.test")
    page.get_by_role("button", name="Continue").click()

    expect(page.get_by_text("Your mailbox gina@example.test is connected.")).to_be_visible()
    expect(page.get_by_role("button", name="Connect again")).to_be_visible()
