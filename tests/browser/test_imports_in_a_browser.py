"""An import in a real browser: a file chosen, looked at, carried out and its failures tried again; axe in light and dark."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from playwright.sync_api import expect

from reconciliation import jobs
from reconciliation.models import Import, Policy
from tests.admin.test_pages import HOSTILE
from tests.browser.test_pages_in_a_browser import AXE, RULES
from tests.importing import make_importing

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def box(monkeypatch):
    call_command("migrate", verbosity=0)
    box = make_importing()
    box.asked = []
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda path, *a, **k: box.asked.append(a))
    Policy.objects.update_or_create(pk=1, defaults={"same_email": "choose"})
    return box


@pytest.fixture
def operator(box, page, live_server):
    user = User.objects.create_user("olga", password="secret-words", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    page.goto(f"{live_server.url}/login/")
    page.get_by_label("Username").fill("olga")
    page.get_by_label("Password").fill("secret-words")
    page.get_by_role("button", name="Log in").click()
    return page


def test_s2_16_an_operator_imports_a_file_and_works_through_its_failures_by_keyboard(box, operator, live_server):
    page = operator
    people = [box.contact("One", "same@example.com"), box.lead("Two", "same@example.com"), box.contact("Bare")]

    page.get_by_role("link", name="Imports", exact=True).click()
    page.get_by_role("link", name="New import").click()
    page.get_by_role("link", name="File").press("Enter")
    page.get_by_label("CSV file").set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": "\n".join(["Id", *people]).encode()})
    page.get_by_role("button", name="Show what would be imported").press("Enter")
    page.get_by_role("button", name="Import 3 rows").press("Enter")
    expect(page.locator("[data-progress]")).to_contain_text("0 of 3 done")
    jobs.carry_import(*box.asked.pop())
    expect(page.get_by_text("A prospect with this email address already exists in Outreach").first).to_be_visible(timeout=15000)

    box.edit_crm("Contact", people[2], Email="bare@example.com")
    page.get_by_label("Choose row 3").press("Space")
    page.get_by_role("button", name="Retry chosen").press("Enter")
    jobs.carry_import(*box.asked.pop())
    page.goto(f"{live_server.url}/imports/{Import.objects.get().pk}/?state=created")
    expect(page.locator("table.rows tbody tr")).to_have_count(2)
    page.goto(f"{live_server.url}/imports/{Import.objects.get().pk}/")
    page.get_by_role("link", name="A prospect with this email address").click()
    expect(page.locator("table.rows tbody tr")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1366, 390])
def test_the_pages_of_imports_pass_axe_and_the_policy_and_fit(box, operator, live_server, scheme, width):
    page, said = operator, []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
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
    for where in [*addresses, f"{waits.pk}/", f"{stopped.pk}/", "preview"]:
        if where == "preview":
            page.goto(f"{live_server.url}/imports/new/?by=csv")
            rows = "\n".join([*people, "nobody", HOSTILE])
            page.get_by_label("CSV file").set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": rows.encode()})
            page.get_by_role("button", name="Show what would be imported").click()
        else:
            page.goto(f"{live_server.url}/imports/{where}")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("rules => axe.run(document, rules)", RULES)["violations"]
        assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found if v["impact"] in ("serious", "critical")] == [], where
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 1, (where, wide)
    assert [text for text in said if "favicon" not in text] == []
