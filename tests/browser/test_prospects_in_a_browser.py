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


def test_axe_finds_nothing_where_nothing_is_left_to_choose(box, page, live_server):
    (_, left), (_, gone) = box.pair(HOSTILE[:60]), box.pair("Diaz", "cleo@acme.example")
    lead = box.lead("Byrne", "ada@acme.example")
    box.lead("Diaz", "cleo@acme.example")
    box.run()
    box.world.salesforce.delete_record("Lead", lead)
    box.world.outreach.delete_record("prospects", gone)
    enter(page, live_server.url, "operator")
    for name, id_ in (("gone", gone), ("left", left)):
        page.goto(f"{live_server.url}/prospects/{id_}/matches/")
        assert faults(page, f"prospects-{name}") == []

    page.get_by_role("button", name="Close the question").or_(page.get_by_role("button", name="close the question")).first.click()
    page.goto(f"{live_server.url}/records/outreach/prospect/{left}/")

    assert page.get_by_role("button", name="Take this answer back: ask again").is_visible()
    assert faults(page, "prospects-closed") == []
