"""The pages of imports, as axe-core, a ruler and the console find them; how they are worked is in `test_seed_002_in_a_browser`."""

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from reconciliation import jobs
from reconciliation.models import Import, Policy
from tests.admin.test_pages import HOSTILE
from tests.browser.hands import enter, faults
from tests.importing import make_importing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def box(monkeypatch):
    call_command("migrate", verbosity=0)
    box = make_importing()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    Policy.objects.update_or_create(pk=1, defaults={"same_email": "choose"})
    return box


def test_the_pages_of_imports_pass_axe_and_the_policy_and_fit(box, page, live_server):
    enter(page, live_server.url, "operator")
    said = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    people = [box.contact(HOSTILE[:80], "same@example.com"), box.lead("Two", "same@example.com"), box.contact("Bare")]
    batch = box.start([*people, people[0], "nobody-with-a-long-name-in-a-long-place@an-even-longer-place.example.com"], User.objects.get())
    jobs.carry_import(batch.pk)
    one = box.start([people[1]], User.objects.get())
    jobs.carry_import(one.pk)
    waits = box.start(people, User.objects.get())
    stopped = box.start(people, User.objects.get())
    Import.objects.filter(pk=stopped.pk).update(state="interrupted", note="Outreach: log in again.", title=HOSTILE)
    addresses = [
        "",
        "new/",
        "new/?q=two",
        "new/?q=nobody",
        "new/?by=view",
        "new/?by=csv",
        f"{batch.pk}/",
        f"{batch.pk}/?state=",
        f"{one.pk}/",
    ]
    for n, where in enumerate([*addresses, f"{waits.pk}/", f"{stopped.pk}/", "preview"]):
        if where == "preview":
            page.goto(f"{live_server.url}/imports/new/?by=csv")
            rows = "\n".join([*people, "nobody", HOSTILE])
            page.get_by_label("CSV file").set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": rows.encode()})
            page.get_by_role("button", name="Show what would be imported").click()
        else:
            page.goto(f"{live_server.url}/imports/{where}")
        assert faults(page, f"imports-{n}") == []
    assert [text for text in said if "favicon" not in text] == []
