"""Seed 002 from end to end as each role works it, with the keyboard alone."""

import re

import pytest
from django.core.management import call_command
from playwright.sync_api import expect

from reconciliation import jobs
from reconciliation.models import Case, ImportRow, Policy, RecordType
from tests.browser.hands import enter, press
from tests.remapping import remapping

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SAME_EMAIL = "A prospect with this email address already exists in Outreach"


@pytest.fixture
def box(monkeypatch):
    """An empty world that lets users choose; what a page asks of the queue is kept in `asked` and done when the test says."""
    call_command("migrate", verbosity=0)
    box = remapping()
    box.asked = []
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda path, *a, **k: box.asked.append((path.rsplit(".", 1)[1], a)))
    return box


def carry_out(box):
    """Does what the queue was asked for."""
    for name, arguments in box.asked:
        getattr(jobs, name)(*arguments)
    box.asked.clear()


def link(page, name, **more):
    return page.get_by_role("link", name=name, **more)


def button(page, name):
    return page.get_by_role("button", name=name)


def choose(page, object_type, id_):
    """Presses the number of a candidate and returns its row."""
    radio = page.get_by_role("radio", name=f"{object_type} {id_}")
    page.keyboard.press(radio.get_attribute("data-choice"))
    expect(radio).to_be_checked()
    return page.get_by_role("row").filter(has=radio)


def test_s2_16_to_s2_19_an_operator_works_a_bulk_import_through_in_one_sitting(box, page, live_server):
    contact, first = box.pair()
    taken, holder = box.pair("Diaz", "cleo@acme.example")
    _, second = box.pair("Evans", "eve@acme.example")
    box.edit_crm("Contact", taken, Email="eve@acme.example")
    leads = [box.lead("Smith", "ada@acme.example", Title="Chief"), box.lead("Fox", "eve@acme.example")]
    box.active(first, tasks=3, sequences=2)
    box.active(holder, tasks=1, sequences=1)
    before, life = box.peer(first), [box.life(first), box.life(second), box.life(holder)]
    enter(page, live_server.url, "operator")

    press(page, link(page, "Imports", exact=True), "Enter")
    press(page, link(page, "New import"), "Enter")
    press(page, link(page, "File"), "Enter")
    press(page, page.get_by_label("CSV file"))  # what opens now is the window of the operating system
    bare = box.contact("Bare")
    rows = "\n".join(["Id", *leads, bare])
    page.get_by_label("CSV file").set_input_files({"name": "fair.csv", "mimeType": "text/csv", "buffer": rows.encode()})
    press(page, button(page, "Show what would be imported"), "Enter")
    press(page, button(page, "Import 3 rows"), "Enter")
    expect(page.locator("[data-progress]")).to_contain_text("0 of 3 done")
    carry_out(box)
    press(page, link(page, SAME_EMAIL), "Enter")
    expect(page.locator("table.rows tbody tr")).to_have_count(2)
    press(page, link(page, "Find Salesforce matches").first, "Enter")

    expect(page.get_by_text("1 of 2")).to_be_visible()
    expect(page.locator("section.card")).to_contain_text("3 active tasks, 2 active sequences")
    expect(page.get_by_role("row").filter(has_text=contact).first).to_contain_text("Present")
    expect(choose(page, "Lead", leads[0])).to_contain_text("Same e-mail address ada@acme.example")
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"belongs to Lead {leads[0]} from now on")).to_be_visible()
    assert box.changed(before, first) == {"externalId"} and box.peer(first)["externalId"] == leads[0]

    press(page, link(page, "Next prospect"), "Enter")
    expect(page.get_by_text("2 of 2")).to_be_visible()
    bound = choose(page, "Contact", taken)
    expect(bound).to_contain_text("Linked to another prospect")
    expect(bound).to_contain_text("1 active task, 1 active sequence")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Tick “Move the link”")).to_be_visible()
    assert box.binding(holder).crm_id == taken
    choose(page, "Contact", taken)
    press(page, page.get_by_label("Move the link"), "Space")
    press(page, button(page, "Update"), "Enter")
    expect(page.get_by_text(f"belongs to Contact {taken} from now on")).to_be_visible()
    press(page, link(page, "Back to the import"), "Enter")

    expect(page.get_by_text("2 of them decided since")).to_be_visible()
    box.edit_crm("Contact", bare, Email="bare@acme.example")
    press(page, page.get_by_label("Choose row 3"), "Space")
    press(page, button(page, "Retry chosen"), "Enter")
    expect(page.get_by_text("1 row is tried again")).to_be_visible()
    carry_out(box)
    assert ImportRow.objects.get(number=3).state == "created"
    assert [box.life(first), box.life(second), box.life(holder)] == life
    assert not Case.objects.filter(kind="remap", state="open").exists()


def test_s2_13_to_s2_15_one_import_offers_the_remap_and_a_force_update_takes_the_differences(box, page, live_server):
    _, id_ = box.pair()
    _, alone = box.pair("Solo", "solo@acme.example")
    lead = box.lead("Smith", "ada@acme.example", Title="Chief")
    box.active(id_, tasks=3, sequences=2)
    life = box.life(id_)
    enter(page, live_server.url, "operator")
    page.goto(f"{live_server.url}/imports/new/")

    press(page, page.get_by_label("Name, or e-mail address"))
    page.keyboard.type("Smith")
    page.keyboard.press("Enter")
    press(page, button(page, "Import Smith now"), "Enter")
    expect(page.locator(".notice")).to_contain_text(SAME_EMAIL)
    press(page, link(page, "Choose the preferred CRM ID"), "Enter")
    choose(page, "Lead", lead)
    page.keyboard.press("Enter")

    expect(page.get_by_label("Action").locator("option:checked")).to_have_text("Pull data down from Salesforce")
    assert box.peer(id_)["title"] == "Buyer"
    press(page, page.get_by_label("Force update all fields"), "Space")
    press(page, button(page, "Show differences"), "Enter")
    expect(page.get_by_role("row").filter(has_text="Chief")).to_contain_text("forced")
    press(page, button(page, "Sync"), "Enter")
    expect(page.get_by_text("Sequences and tasks stay active.").first).to_be_visible()
    assert (box.peer(id_)["title"], box.peer(id_)["lastName"]) == ("Chief", "Smith") and box.life(id_) == life

    press(page, link(page, "Prospects", exact=False).first, "Enter")
    press(page, link(page, "Find matches of Smith"), "Enter")
    expect(page.get_by_text("Which record does it belong to?")).to_be_visible()
    page.goto(f"{live_server.url}/prospects/{alone}/matches/")
    expect(page.get_by_text("There is nothing to choose")).to_be_visible()
    expect(button(page, "Update")).to_have_count(0)


def _sees_the_policy_and_cannot_set_it(page, live_server):
    page.goto(f"{live_server.url}/dedupe-policy/")
    for option in page.get_by_role("radio").all():
        expect(option).to_be_disabled()
    expect(page.get_by_role("radio")).to_have_count(2)
    expect(button(page, "Save")).to_have_count(0)


def test_s2_1_to_s2_5_only_an_admin_sets_what_each_role_may_then_do(box, page, live_server):
    Policy.objects.all().delete()
    contact, id_ = box.pair()
    lead = box.lead("Smith", "ada@acme.example")
    matches = f"{live_server.url}/prospects/{id_}/matches/"

    enter(page, live_server.url, "viewer")
    assert page.goto(f"{live_server.url}/imports/new/").status == 403
    _sees_the_policy_and_cannot_set_it(page, live_server)
    page.goto(matches)
    expect(page.locator(".messagelist")).to_contain_text("Remapping is off")
    page.goto(f"{live_server.url}/prospects/")
    expect(link(page, "Byrne").first).to_be_visible()
    expect(page.locator("#content-start").get_by_role("link", name=re.compile("Find matches|Force update|Choose for many"))).to_have_count(
        0
    )

    enter(page, live_server.url, "operator")
    _sees_the_policy_and_cannot_set_it(page, live_server)
    page.goto(f"{live_server.url}/prospects/")
    expect(link(page, "Force update of Byrne")).to_be_visible()
    expect(link(page, "Find matches of Byrne")).to_have_count(0)
    page.goto(matches)
    expect(page.locator(".messagelist")).to_contain_text("Remapping is off")
    page.goto(f"{live_server.url}/imports/new/?q=Smith")
    press(page, button(page, "Import Smith now"), "Enter")
    expect(page.get_by_text(f"kept on {contact}").first).to_be_visible()
    expect(link(page, "Choose the preferred CRM ID")).to_have_count(0)

    enter(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/dedupe-policy/")
    question = page.get_by_role("group", name="How do you want to handle prospect imports with the same email address?")
    expect(question.get_by_role("radio")).to_have_count(2)
    expect(question.get_by_role("radio", name="Prevent multiple prospects with the same email")).to_be_checked()
    press(page, question.get_by_role("radio", name="Prevent"), "ArrowDown", "Enter")
    expect(button(page, "Yes, change it")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved. It holds from the next import on.")).to_be_visible()
    page.goto(f"{live_server.url}/imports/new/?q=Smith")
    press(page, button(page, "Import Smith now"), "Enter")
    press(page, link(page, "Choose the preferred CRM ID"), "Enter")
    choose(page, "Lead", lead)
    Policy.objects.update(same_email="prevent")  # a second admin takes it back meanwhile
    page.keyboard.press("Enter")

    expect(page.locator(".messagelist")).to_contain_text("Remapping is off")
    assert box.binding(id_).crm_id == contact
    assert [row.state for row in ImportRow.objects.order_by("pk")] == ["present", "failed"]


def test_s2_9_to_s2_12_an_admin_runs_the_pass_and_reads_what_was_found_and_what_was_made(box, page, live_server):
    RecordType.objects.update(inbound_create=False)
    known = box.lead("Known", "known@acme.example")
    both = [box.contact("Both", "both@acme.example"), box.lead("Both", "both@acme.example")]
    box.run()
    ids = [box.prospect(name, f"{name.lower()}@acme.example") for name in ("Known", "Both", "Fresh")]
    box.clock.forward(600)
    enter(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/record-types/")
    press(page, page.locator("[data-ordered] > li").nth(1), "Alt+ArrowUp")
    expect(page.get_by_text("The first type in the list wins").first).to_be_visible()
    page.goto(live_server.url)

    press(page, button(page, "Run now"), "Enter")
    expect(page.get_by_text("starts as soon as a worker is free")).to_be_visible()
    carry_out(box)
    press(page, link(page, "Runs", exact=True), "Enter")
    press(page, page.locator("table.rows tbody td a").first, "Enter")

    rows = page.locator("table.rows tbody tr")
    expect(rows.filter(has_text="Fresh")).to_contain_text("Created")
    assert (box.binding(ids[0]).crm_id, box.binding(ids[1]).crm_id) == (known, both[1])
    assert [r["LastName"] for r in box.people("Lead")] == ["Known", "Both", "Fresh"] and len(box.people("Contact")) == 1
