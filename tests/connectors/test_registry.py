"""What opening connections costs those who open none."""

import subprocess
import sys

import pytest

from connectors import registry

HEAVY = ("msal", "google.auth", "connectors.microsoft", "connectors.google")


def test_a_process_that_opens_no_mailbox_loads_nothing_of_mail_systems():
    code = f"import sys, connectors.registry; print([name for name in {HEAVY!r} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("system", ["outreach", "salesforce", "microsoft", "google"])
def test_a_system_that_people_connect_says_how(system):
    consent = registry.consent_of(system)

    assert consent.scope and consent.app_of({"client_id": "id", "tenant": "t"}, "https://x.example/").client_id == "id"
