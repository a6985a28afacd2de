"""The forms of Microsoft 365 and Google as axe-core and a ruler find them: light and dark, wide and narrow."""

import pytest
from django.core.management import call_command

from reconciliation.models import Connection
from tests.browser.hands import enter, faults

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ACCOUNT = {"email": "sync@acme.iam.gserviceaccount.com", "client_id": "1" * 21, "key_id": "a" * 40}


def test_the_forms_of_mail_systems_are_without_faults(live_server, page):
    call_command("migrate", verbosity=0)
    microsoft = Connection.objects.create(
        name="Microsoft 365",
        system="microsoft",
        base_url="https://graph.microsoft.com",
        login_url="https://login.microsoftonline.com",
        settings={"tenant": "acme.example", "flow": "client_credentials"},
        secrets={"client_id": "an-app", "client_secret": "hidden-word"},
    )
    google = Connection.objects.create(
        name="Google",
        system="google",
        base_url="https://people.googleapis.com",
        settings={"flow": "service_account", "service_account": ACCOUNT},
    )
    enter(page, live_server.url, "admin")
    found = []
    for path in (f"{microsoft.pk}/", f"{google.pk}/"):
        page.goto(f"{live_server.url}/connections/{path}")
        assert "hidden-word" not in page.content()
        page.evaluate("document.querySelectorAll('details').forEach((it) => { it.open = true })")
        found += faults(page)
    Connection.objects.all().delete()
    for system in ("microsoft", "google"):
        page.goto(f"{live_server.url}/connections/add/{system}/")
        found += faults(page)
    assert found == []
