"""The pages of prospects, as axe-core and a ruler find them; how they are worked is in `test_seed_002_in_a_browser`."""

import pytest
from django.core.management import call_command

from tests.admin.test_pages import HOSTILE
from tests.browser.hands import enter, faults
from tests.remapping import remapping

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def box(monkeypatch):
    call_command("migrate", verbosity=0)
    box = remapping()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    return box


def test_axe_finds_nothing_on_the_pages_of_prospects(box, page, live_server):
    _, id_ = box.pair()
    taken, other = box.pair("Diaz", "cleo@acme.example")
    box.edit_crm("Contact", taken, Email="ada@acme.example")
    box.active(id_, tasks=3, sequences=2)
    box.active(other, tasks=1)
    for n in range(12):
        box.lead(HOSTILE[:60] if n == 2 else "Smith", "ada@acme.example", Title="Chief", Company="Acme Pumps and Valves Ltd")
    nobody = box.prospect("Nobody")
    box.run()
    enter(page, live_server.url, "operator")
    names = ("/prospects/", f"/prospects/{id_}/matches/", f"/prospects/{nobody}/matches/", f"/prospects/{id_}/sync/?force=1")
    for n, where in enumerate((*names, "/prospects/bulk/", "/prospects/bulk/?rule=latest", "/prospects/?q=zzz")):
        page.goto(f"{live_server.url}{where}")
        assert faults(page, f"prospects-{n}") == []
