"""Pages about unknown, made and blocked people: what each role may do, that nothing is done before it was shown, and the way back."""

from __future__ import annotations

import html

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from reconciliation.models import BlockedAddress, MadePerson, Mailbox, Operation, OwnDomain, UnresolvedPerson
from tests.admin.test_pages import HOSTILE
from tests.linked import linked_boxes, mail

pytestmark = pytest.mark.django_db


@pytest.fixture
def box(monkeypatch):
    box = linked_boxes()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.boxes.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    return box


@pytest.fixture
def as_role(client):
    def log_in(role):
        user, _ = User.objects.get_or_create(username=role, defaults={"is_staff": role != "mailbox user"})
        user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def mine(box, as_role):
    """The user of the first mailbox, logged in."""
    client = as_role("mailbox user")
    Mailbox.objects.filter(address=box.boxes.mine).update(user=User.objects.get(username="mailbox user"))
    return client


def text(answer):
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def unknown(box, *addresses, of=""):
    for n, address in enumerate(addresses):
        box.one(mail(f"m{n}", address), address=of)
    return list(UnresolvedPerson.objects.order_by("pk").values_list("pk", flat=True))


# --- unknown people -------------------------------------------------------------------------------------------------------


def test_a_decision_about_many_is_shown_first_then_done_and_taken_back(box, as_role):
    keys = unknown(box, "zed@zeta.example", "yan@yota.example")
    client = as_role("operator")
    assert "zed@zeta.example" in (listed := text(client.get("/unknown-people/"))) and "company by its domain: <bdi>Zeta</bdi>" in listed

    asked = text(client.post("/unknown-people/decide/", {"chosen": keys, "do": "dismiss"}))
    assert "They leave this list" in asked and UnresolvedPerson.objects.filter(state="open").count() == 2
    done = text(client.post("/unknown-people/decide/", {"chosen": keys, "do": "dismiss", "confirmed": "yes"}, follow=True))
    assert "2 addresses are ignored" in done and "zed@zeta.example" not in done
    assert "zed@zeta.example" in text(client.get("/unknown-people/?state=dismissed"))
    client.post("/unknown-people/decide/", {"chosen": keys, "do": "take_back", "confirmed": "yes"})
    assert UnresolvedPerson.objects.filter(state="open").count() == 2


def test_leads_are_made_from_the_list_and_what_failed_is_told(box, as_role):
    keys = unknown(box, "zed@zeta.example", "yan@yota.example")
    rule = {"object": "Lead", "when": "Email = 'yan@yota.example'", "message": "Not <Yan>"}
    box.world.salesforce.set_switches({"validation_rules": [rule]})

    answer = as_role("operator").post("/unknown-people/decide/", {"chosen": keys, "do": "make_lead", "confirmed": "yes"}, follow=True)

    assert "1 record was made, of 1 address nothing was made (yan@yota.example: Salesforce refused it: Not <Yan>.)" in text(answer)
    assert "<Yan>" not in answer.content.decode()
    assert [lead["Email"] for lead in box.rows("Lead")] == ["zed@zeta.example"]
    assert "Operation" not in text(as_role("operator").get(f"/journal/{Operation.objects.get(target_id=box.rows('Lead')[0]['Id']).pk}/"))


def test_the_page_of_an_address_finds_the_record_it_is(box, as_role):
    ada = box.contact("ada@acme.example", "Byrne", FirstName="Ada")
    (key,) = unknown(box, "ada@home.example")
    client = as_role("operator")

    assert ada in text(client.get(f"/unknown-people/{key}/?q=Ada Byrne"))
    assert "Nobody in Salesforce" in text(client.get(f"/unknown-people/{key}/?q=Nobody Such"))
    client.post(f"/unknown-people/{key}/link/", {"record": ada})
    assert UnresolvedPerson.objects.get().crm_id == ada
    refused = client.post(f"/unknown-people/{key}/link/", {"record": "003", "back": f"/unknown-people/{key}/"}, follow=True)
    assert "Choose a contact or a lead" in text(refused)


def test_only_an_admin_blocks_for_all_and_a_viewer_decides_nothing(box, as_role):
    keys = unknown(box, "zed@zeta.example")
    form = {"chosen": keys, "do": "block_for_all", "confirmed": "yes"}

    assert as_role("viewer").post("/unknown-people/decide/", form).status_code == 403
    assert as_role("operator").post("/unknown-people/decide/", form).status_code == 403
    assert "Block for all" not in text(as_role("operator").get("/unknown-people/"))
    as_role("admin").post("/unknown-people/decide/", form)
    assert BlockedAddress.objects.get().mailbox is None


def test_what_holds_for_every_mailbox_is_taken_back_only_by_who_may_decide_it(box, mine, as_role):
    """A user's own row led to the organisation's list, and to the link that staff chose for all."""
    keys = unknown(box, "zed@zeta.example", "yan@yota.example")
    ada = box.contact("ada@acme.example")
    as_role("admin").post("/unknown-people/decide/", {"chosen": keys[:1], "do": "block_for_all", "confirmed": "yes"})
    as_role("operator").post(f"/unknown-people/{keys[1]}/link/", {"record": ada, "for_all": "yes"})
    form = {"chosen": keys, "do": "take_back", "confirmed": "yes"}

    told = text(as_role("mailbox user").post("/my-mailbox/unknown-people/decide/", form, follow=True))
    assert "0 addresses wait again" not in told and "every mailbox" in told
    assert BlockedAddress.objects.get().removed_at is None and UnresolvedPerson.objects.filter(state="linked").exists()
    as_role("operator").post("/unknown-people/decide/", form)
    assert BlockedAddress.objects.get().removed_at is None and not UnresolvedPerson.objects.filter(state="linked").exists()
    as_role("admin").post("/unknown-people/decide/", form)
    assert BlockedAddress.objects.get().removed_at is not None


@pytest.mark.parametrize("form", [{}, {"do": "dismiss"}, {"do": "dismiss", "chosen": "x"}, {"do": "drop", "chosen": "1"}])
def test_orders_that_make_no_sense_change_nothing(box, as_role, form):
    unknown(box, "zed@zeta.example")

    answer = as_role("operator").post("/unknown-people/decide/", {**form, "back": "/unknown-people/"}, follow=True)

    assert "Nothing was done" in text(answer) and UnresolvedPerson.objects.get().state == "open"


def test_twelve_hundred_rows_are_read_in_few_queries(box, as_role):
    mailbox, now = Mailbox.objects.first(), timezone.now()
    seen = {"mailbox": mailbox, "first_seen_at": now, "last_seen_at": now}
    UnresolvedPerson.objects.bulk_create(UnresolvedPerson(address=f"p{n}@c{n}.example", name=HOSTILE, **seen) for n in range(1_200))
    crm = box.boxes.parent.crm
    person = {"connection": crm, "kind": "Lead", "state": "made", "missing": "Company", "made_at": now}
    MadePerson.objects.bulk_create(MadePerson(address=f"p{n}@c{n}.example", name=HOSTILE, **person) for n in range(1_200))
    BlockedAddress.objects.bulk_create(BlockedAddress(entry=f"c{n}.example", at=now) for n in range(1_200))
    client = as_role("admin")

    for where in ("/unknown-people/", "/made-people/", "/blocklist/", "/unknown-people/?page=20&state=all", "/made-people/?state=complete"):
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(where)
        assert answer.status_code == 200 and len(queries) <= 12, (where, len(queries))
        assert "<script>alert" not in answer.content.decode()
    assert "Unknown people: 1,200" in text(client.get("/unknown-people/"))


# --- a mailbox user -------------------------------------------------------------------------------------------------------


def test_a_mailbox_user_sees_and_decides_the_own_only(box, mine):
    own, other = unknown(box, "zed@zeta.example")[0], None
    unknown(box, "yan@yota.example", of=box.boxes.theirs)
    other = UnresolvedPerson.objects.get(address="yan@yota.example").pk

    page = text(mine.get("/my-mailbox/unknown-people/"))
    assert "zed@zeta.example" in page and "yan@yota.example" not in page and "Make leads" not in page
    mine.post("/my-mailbox/unknown-people/decide/", {"chosen": [own, other], "do": "block", "confirmed": "yes"})
    assert BlockedAddress.objects.get().mailbox.address == box.boxes.mine
    assert UnresolvedPerson.objects.get(pk=other).state == "open"
    assert mine.post("/my-mailbox/unknown-people/decide/", {"chosen": [own], "do": "make_lead"}).status_code == 403
    for where in ("/unknown-people/", "/made-people/", "/blocklist/", "/own-domains/", f"/unknown-people/{own}/"):
        assert mine.get(where).status_code == 403, where


def test_a_mailbox_user_keeps_a_list_of_their_own(box, mine):
    BlockedAddress.objects.create(entry="theirs.example", mailbox=Mailbox.objects.get(address=box.boxes.theirs), at=timezone.now())
    BlockedAddress.objects.create(entry="all.example", at=timezone.now())

    added = text(mine.post("/my-mailbox/blocklist/add/", {"entries": "Rival.Example, nonsense"}, follow=True))
    assert "1 entry was added; no address and no domain: “nonsense”" in added
    assert "rival.example" in added and "theirs.example" not in added and "all.example" not in added
    keys = list(BlockedAddress.objects.values_list("pk", flat=True))
    mine.post("/my-mailbox/blocklist/remove/", {"chosen": keys})
    assert BlockedAddress.objects.filter(removed_at=None).count() == 2
    mine.post("/my-mailbox/blocklist/put-back/", {"chosen": keys})
    assert BlockedAddress.objects.filter(removed_at=None).count() == 3


def test_a_mailbox_user_completes_their_own_made_people_only(box, mine):
    box.set(resolve_mode="leads")
    box.one(mail("m1", "zed@gmail.com"))
    box.one(mail("m2", "yan@gmail.com"), address=box.boxes.theirs)
    own, other = (MadePerson.objects.get(address=a).pk for a in ("zed@gmail.com", "yan@gmail.com"))

    assert "zed@gmail.com" in (page := text(mine.get("/my-mailbox/made-people/"))) and "yan@gmail.com" not in page
    assert "a last name" in text(mine.get(f"/my-mailbox/made-people/{own}/")).lower()
    assert mine.get(f"/my-mailbox/made-people/{other}/").status_code == 404
    assert mine.post(f"/my-mailbox/made-people/{other}/complete/", {"Company": "X"}).status_code == 404
    mine.post(f"/my-mailbox/made-people/{own}/complete/", {"FirstName": "Zed", "LastName": "Zimmer", "Company": "Zeta"})
    assert {lead["Company"] for lead in box.rows("Lead")} == {"Zeta", "[not provided]"}


# --- made people, blocklist, domains --------------------------------------------------------------------------------------


def test_made_people_are_completed_looked_at_and_taken_back(box, as_role):
    box.set(resolve_mode="leads")
    box.one(mail("m1", "zed@gmail.com"))
    row = MadePerson.objects.get()
    client = as_role("operator")

    assert "a first name, a last name, a company" in text(client.get("/made-people/"))
    looked = client.post("/made-people/decide/", {"chosen": row.pk, "do": "look_again"}, follow=True)
    assert "0 people have left the list" in text(looked)
    told = text(client.post(f"/made-people/{row.pk}/complete/", {"Company": "Zeta"}, follow=True))
    assert "A company of zed was written to Salesforce" in told and "a first name, a last name" in told
    refused = client.post(f"/made-people/{row.pk}/take-back/", {"back": "/made-people/"}, follow=True)
    assert "Somebody edited it since (Company): it stays" in text(refused)
    client.post("/made-people/decide/", {"chosen": row.pk, "do": "done"})
    assert "Nobody is incomplete" in text(client.get("/made-people/"))
    assert "zed@gmail.com" in text(client.get("/made-people/?state=complete"))


def test_the_blocklist_is_pasted_removed_and_put_back(box, as_role):
    client = as_role("admin")
    assert "Nobody is blocked" in text(client.get("/blocklist/"))

    added = text(client.post("/blocklist/add/", {"entries": "a@b.example\nc.example; ru", "note": HOSTILE}, follow=True))
    assert "2 entries were added; no address and no domain: “ru”" in added
    keys = list(BlockedAddress.objects.values_list("pk", flat=True))
    assert "2 entries were removed" in text(client.post("/blocklist/remove/", {"chosen": keys}, follow=True))
    assert "c.example" in text(client.get("/blocklist/?show=removed"))
    assert "2 entries are in force again" in text(client.post("/blocklist/put-back/", {"chosen": keys}, follow=True))
    assert client.post("/blocklist/add/", {"entries": "", "back": "/blocklist/"}, follow=True).status_code == 200
    assert as_role("operator").post("/blocklist/add/", {"entries": "x.example"}).status_code == 403


def test_own_domains_are_added_looked_up_and_switched(box, as_role):
    client = as_role("admin")

    client.post("/own-domains/add/", {"domain": "seller.example"})
    assert "gives addresses to anybody" in text(
        client.post("/own-domains/add/", {"domain": "gmail.com", "back": "/own-domains/"}, follow=True)
    )
    assert "example.test" in text(client.post("/own-domains/look-up/", follow=True))
    row = OwnDomain.objects.get(domain="seller.example")
    assert "none of ours" in text(client.post(f"/own-domains/{row.pk}/switch/", {"is_on": "no"}, follow=True))
    assert not OwnDomain.objects.get(pk=row.pk).is_on
    assert client.post("/own-domains/999/switch/", {"is_on": "no"}).status_code == 404


def test_the_settings_of_resolving_are_the_admins_alone(box, as_role, mine):
    page = text(mine.get("/my-mailbox/settings/"))
    assert "Link opportunities" in page
    mine.post("/my-mailbox/settings/", {"set-resolve_mode": "leads", "resolve_mode": "leads"})
    mailbox = Mailbox.objects.get(address=box.boxes.mine)
    assert "resolve_mode" not in mailbox.settings


# --- settings of linking --------------------------------------------------------------------------------------------------


def test_an_admin_saves_how_people_are_found_and_an_operator_sees_it(box, as_role):
    form = {"contact_fields": "Department", "lead_fields": "", "most_made": "7", "region": "gb", "person_record_type": ""}
    assert as_role("operator").post("/mailboxes/settings/linking/save/", form).status_code == 403
    assert as_role("viewer").get("/mailboxes/settings/linking/").status_code == 403

    saved = text(as_role("admin").post("/mailboxes/settings/linking/save/", form, follow=True))
    refused = text(as_role("admin").post("/mailboxes/settings/linking/save/", {**form, "most_made": HOSTILE}, follow=True))

    assert "Saved. It holds from the next run" in saved and "Nothing was saved. Between 1 and 10,000" in refused
    shown = text(as_role("operator").get("/mailboxes/settings/linking/"))
    assert "Department</textarea>" in shown and 'value="7"' in shown and 'value="GB"' in shown and "Save</button>" not in shown


def test_before_salesforce_is_connected_the_settings_say_what_to_do(as_role):
    told = text(as_role("admin").get("/mailboxes/settings/linking/", follow=True))

    assert "Connect Salesforce and a mail system first" in told
