"""The pages of mailboxes as staff and a mailbox's own user work them, and as axe-core and a ruler find them."""

import re

import pytest
from django.core import mail
from django.core.management import call_command
from django.utils import timezone
from playwright.sync_api import expect

from reconciliation.engine.outbox import send_due
from reconciliation.models import Connection, Mailbox, MailboxGroup, Run, SyncPass
from reconciliation.services.mailbox_links import link_send
from tests.admin.test_pages import HOSTILE
from tests.boxes import FOLDER, boxes
from tests.browser.hands import enter, faults, press

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def box(monkeypatch):
    call_command("migrate", verbosity=0)
    box = boxes("microsoft")
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=True, settings={"mailbox_settings": {"contacts": {"value": True}}})
    box.parent.refresh_from_db()
    return box


def busy(box):
    """Lets the mailboxes have lived: runs, an issue, a state of each kind, hostile words."""
    for n in range(3):
        box.contact(f"Lind{n}", f"bo{n}@acme.example")
    box.run()
    box.put(FOLDER, surname="Berg", emailAddresses=[{"address": "bo1@acme.example"}])
    box.run()
    states = ("active", "paused", "suspended", "left", "new")
    for n, state in enumerate(states):
        Mailbox.objects.create(
            connection=box.parent.peer,
            address=f"{state}{n}@a-rather-long-name-of-a-company.example",
            name=HOSTILE[:200] if n == 1 else f"Somebody {n}",
            crm_user_id="005" if n else "",
            crm_user_name=HOSTILE[:200] if n == 2 else "Some User",
            state=state,
            state_reason="Access was refused six times in a row: AADSTS700016 application was not found." if n == 2 else "",
            state_by="a-admin" if n == 1 else "",
            state_at=timezone.now(),
        )
    Mailbox.objects.filter(address=box.mine).update(state="active", group=MailboxGroup.objects.create(name="Sales"))


def test_axe_finds_nothing_on_the_pages_of_mailboxes(box, page, live_server):
    busy(box)
    enter(page, live_server.url, "admin")
    mine, theirs = (box.passes[a].mailbox.pk for a in (box.mine, box.theirs))
    suspended = Mailbox.objects.get(state="suspended").pk
    group = MailboxGroup.objects.get().pk
    places = {
        "mailboxes": "/mailboxes/",
        "mailboxes-none": "/mailboxes/?q=zzz",
        "mailbox": f"/mailboxes/{mine}/?q=lin",
        "mailbox-new": f"/mailboxes/{theirs}/",
        "mailbox-suspended": f"/mailboxes/{suspended}/",
        "mailbox-own-settings": f"/mailboxes/{mine}/settings/",
        "mailbox-settings": "/mailboxes/settings/",
        "mailbox-group": f"/mailboxes/groups/{group}/",
        "mailbox-user": f"/mailboxes/{mine}/user/",
    }
    for name, where in places.items():
        page.goto(f"{live_server.url}{where}")
        assert faults(page, name) == []


def test_an_operator_sees_how_mailboxes_are_set_and_changes_one(box, page, live_server):
    """S1.4: CUSTOMIZE, by keyboard; what holds for all is an admin's."""
    box.contact("Lind")
    box.contact("Theirs", owner=box.theirs)
    enter(page, live_server.url, "operator")
    page.goto(f"{live_server.url}/mailboxes/settings/")
    expect(page.get_by_label("Salesforce view")).to_be_disabled()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    assert faults(page, "settings-operator") == []
    page.goto(f"{live_server.url}/mailboxes/{box.passes[box.mine].mailbox.pk}/")
    press(page, page.get_by_role("link", name="Customize…"), "Enter")
    expect(page.get_by_text("1 contact in this view now")).to_be_visible()

    press(page, page.get_by_label("Salesforce view"), "ArrowDown", "ArrowDown")

    expect(page.get_by_text("2 contacts in this view now")).to_be_visible()
    press(page, page.get_by_role("button", name="Save"), "Enter")
    expect(page.get_by_text("Saved: Salesforce view.")).to_be_visible()
    assert Mailbox.objects.get(address=box.mine).settings == {"view": "everything"}


def test_axe_finds_nothing_on_the_pages_of_adding_mailboxes(box, page, live_server, tmp_path):
    enter(page, live_server.url, "admin")
    peer = box.parent.peer_id
    file = tmp_path / "people.csv"
    file.write_text(
        f'address,group,salesforce user\nnew@x.example,,\nno-address,,\n{box.mine},,\n"{HOSTILE[:100].replace(chr(34), "")}",,\n'
    )
    for name, where in (
        ("add", "/mailboxes/add/"),
        ("add-addresses", "/mailboxes/add/?by=addresses"),
        ("add-file", "/mailboxes/add/?by=file"),
    ):
        page.goto(f"{live_server.url}{where}")
        assert faults(page, name) == []
    page.goto(f"{live_server.url}/mailboxes/add/?by=directory&connection={peer}")
    assert faults(page, "add-directory") == []
    page.goto(f"{live_server.url}/mailboxes/add/?by=file")
    page.set_input_files("input[type=file]", file)

    page.get_by_role("button", name="Show what would be added").click()

    expect(page.get_by_text("1 mailbox of Microsoft 365 would be added")).to_be_visible()
    assert faults(page, "add-plan") == []
    page.get_by_role("button", name="Add 1 mailbox").click()
    expect(page.get_by_text("1 mailbox is added")).to_be_visible()
    assert Mailbox.objects.filter(address="new@x.example", state="new").exists()


def test_an_admin_takes_a_new_mailbox_from_its_preview_to_its_first_run_by_keyboard(box, page, live_server):
    """S1.3, C33: nothing is written before somebody looked at what would be."""
    Connection.objects.filter(pk=box.parent.peer_id).update(is_sandbox=False)
    SyncPass.objects.filter(mailbox__address=box.mine).update(is_on=False, switched_on_at=None)
    box.contact("Lind", "bo@acme.example")
    enter(page, live_server.url, "admin")
    pk = box.passes[box.mine].mailbox.pk
    page.goto(f"{live_server.url}/mailboxes/{pk}/")
    press(page, page.get_by_role("button", name="Preview", exact=True), "Enter")
    expect(page.get_by_text("The preview is being made")).to_be_visible()
    box.run(kind="preview")
    Run.objects.update(started_at=timezone.now())
    page.reload()
    expect(page.get_by_text("1 contact would be created")).to_be_visible()
    assert faults(page, "mailbox-preview") == [] and box.folder() == []

    press(page, page.get_by_role("button", name="I have looked at it: start this mailbox"), "Enter")

    expect(page.get_by_text("is started")).to_be_visible()
    box.run()
    assert len(box.folder()) == 1
    page.reload()
    expect(page.get_by_text("1 created, 0 updated")).to_be_visible()


def test_an_operator_pauses_many_and_resumes_one(box, page, live_server):
    """S4.9: one by one or selected."""
    enter(page, live_server.url, "operator")
    page.goto(f"{live_server.url}/mailboxes/")
    page.get_by_label("Choose all on this page").check()
    for address in (box.mine, box.theirs):
        expect(page.get_by_label(f"Choose {address}")).to_be_checked()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("2 mailboxes paused.")).to_be_visible()
    page.get_by_role("link", name=box.mine).click()

    press(page, page.get_by_role("button", name="Resume"), "Enter")

    expect(page.get_by_text(f"The sync of {box.mine} goes on within a minute.")).to_be_visible()
    assert set(Mailbox.objects.values_list("address", "state")) == {(box.mine, "new"), (box.theirs, "paused")}


def test_an_admin_ends_the_sync_of_a_mailbox_by_keyboard(box, page, live_server):
    """Said first, then done; the page of the ended mailbox offers to add it again."""
    box.contact("Lind", "bo@acme.example")
    box.run()
    enter(page, live_server.url, "admin")
    page.goto(f"{live_server.url}/mailboxes/{box.passes[box.mine].mailbox_id}/")
    press(page, page.get_by_role("button", name="End its sync…"), "Enter")
    expect(page.get_by_text("Nothing is deleted.")).to_be_visible()
    assert faults(page, "mailbox-end") == []

    press(page, page.get_by_role("textbox", name="Reason"))
    page.keyboard.type("Left us")
    press(page, page.get_by_role("button", name="End the sync"), "Enter")

    expect(page.get_by_text("1 mailbox ended; nothing was deleted.")).to_be_visible()
    expect(page.get_by_role("link", name=box.mine, exact=True)).to_have_count(0)
    page.goto(f"{live_server.url}/mailboxes/?state=ended")
    page.get_by_role("link", name=box.mine, exact=True).click()
    expect(page.get_by_text("Left us", exact=True)).to_be_visible()
    assert faults(page, "mailbox-ended") == []
    assert len(box.folder()) == 1


def test_a_mailbox_user_signs_in_once_by_a_link_and_keeps_to_their_own_page(box, page, live_server, settings):
    """S4.8: the link of a mail signs its user in, once, to their own settings and nothing else."""
    settings.MAIL_IS_CONFIGURED, settings.SITE_URL = True, live_server.url
    box.contact("Lind", "bo@acme.example")
    box.contact("Theirs", owner=box.theirs)
    box.run()
    link_send(Mailbox.objects.get(address=box.mine), None)
    send_due(timezone.now())
    assert mail.outbox[-1].to == [box.mine]
    link = re.search(rf"{re.escape(live_server.url)}\S+", mail.outbox[-1].body)[0]

    page.goto(link)
    assert faults(page, "sign-in") == []
    page.get_by_role("button", name="Open my mailbox").click()
    expect(page.get_by_role("heading", name=f"My mailbox: {box.mine}")).to_be_visible()
    assert faults(page, "mine") == []
    page.get_by_role("link", name="Customize…").click()
    expect(page.get_by_text("1 contact in this view now")).to_be_visible()
    page.get_by_label("Salesforce view").select_option("everything")
    expect(page.get_by_text("2 contacts in this view now")).to_be_visible()
    assert faults(page, "mine-settings") == []
    press(page, page.get_by_role("button", name="Save"), "Enter")
    expect(page.get_by_text("Saved: Salesforce view.")).to_be_visible()
    assert box.run().created == 1

    assert page.goto(f"{live_server.url}/mailboxes/").status == 403
    page.context.clear_cookies()
    page.goto(link)
    page.get_by_role("button", name="Open my mailbox").click()
    expect(page.get_by_text("This link was used already")).to_be_visible()
