"""The pages of calendar items: who may see and do what, what is told of an item, and that a mailbox's user meets their own alone."""

import csv
import html
import io
import re

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from reconciliation.models import AuditEntry, Mailbox, MailboxItem
from tests.admin.test_pages import HOSTILE
from tests.calendars import calendars

pytestmark = pytest.mark.django_db
BO, CY = "bo@acme.example", "cy@acme.example"


@pytest.fixture
def box(monkeypatch):
    return opened(calendars(), monkeypatch)


def opened(box, monkeypatch):
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    return box


def log_in(client, role):
    user = User.objects.create_user(f"a-{role}", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    return user


def user_of(client, address):
    """Logs the user of a mailbox in, who is no staff and may see nothing else."""
    user = User.objects.create_user(address)
    user.groups.add(Group.objects.get(name="mailbox user"))
    Mailbox.objects.filter(address=address).update(user=user)
    client.force_login(user)
    return user


def text(answer):
    assert answer.status_code == 200, answer.status_code
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


def page_of(client, query):
    return client.get(f"/my-mailbox/share/?{query}").content.decode()


def post(client, where, **values):
    return client.post(where, {"back": "/items/", **values}, follow=True)


def many(box, n, **values):
    common = {"sync_pass": box.passes[box.mine], "object_type": "event", "why": "auto", "since": timezone.now(), "seen_at": timezone.now()}
    rows = [MailboxItem(item_id=f"i{i}", name=f"Item {i:04}", starts_at=box.at(i % 50), **{**common, **values}) for i in range(n)]
    return MailboxItem.objects.bulk_create(rows)


# --- the list ---------------------------------------------------------------------------------------------------------


def test_before_anything_is_connected_the_list_says_what_to_do(client):
    log_in(client, "viewer")
    assert "There is no pass over calendars yet" in text(client.get("/items/"))


def test_the_list_says_of_each_item_when_why_and_how_it_stands(client, box):
    log_in(client, "viewer")
    box.set(private_events="busy")
    box.enter("Demo", attendees=[BO])
    box.enter("Dentist", box.at(2), sensitivity="private")
    box.enter("Ours", box.at(3), address=box.theirs)
    box.run()
    box.run(box.theirs)
    box.edit_event(next(r["Id"] for r in box.events_there() if r["Subject"] == "Demo"), Subject="Typed")
    box.run()

    page = text(client.get("/items/"))

    assert "In Salesforce 3" in page and "Wait for “Send update” 1" in page and "Private 1" in page
    assert "Demo" in page and "Category" in page and box.mine in page and box.theirs in page
    assert "Dentist" not in page and "Private appointment" in page
    assert "Demo" in text(client.get("/items/?held=yes")) and "Ours" not in text(client.get("/items/?held=yes"))
    assert "Private appointment" in text(client.get("/items/?private=yes")) and "Demo" not in text(client.get("/items/?private=yes"))
    for query, shown in (
        (f"mailbox={box.theirs}", {"Ours"}),
        ("q=dem", {"Demo"}),
        ("q=dentist", set()),
        ("why=auto", set()),
        ("state=ended", set()),
        (f"since={box.at(3):%Y-%m-%d}", {"Ours"}),
        (f"until={box.at(1):%Y-%m-%d}", {"Demo"}),
    ):
        page = text(client.get(f"/items/?{query}"))
        assert {name for name in ("Demo", "Ours") if name in page} == shown, query
    assert "No calendar items with this filter" in text(client.get("/items/?q=nothing-is-called-so"))


def test_the_numbers_are_those_of_the_filter_and_keep_it(client, box):
    log_in(client, "viewer")
    many(box, 3, state="linked"), many(box, 2, state="linked", object_type="task")
    page = client.get("/items/?kind=task&state=ended&q=item")
    assert "In Salesforce 2" in text(page) and 'href="?kind=task&amp;q=item&amp;state=linked"' in page.content.decode()
    assert "In Salesforce 5" in text(client.get("/items/"))


def test_a_person_is_called_by_name_where_the_step_speaks_of_an_account_first(client, box):
    """What was made for an item is told in one step with it: the link's text is the person's name alone."""
    log_in(client, "viewer")
    who, what, other = "003000000000001AAA", "001000000000002AAA", "00Q000000000003AAA"
    steps = [
        f"The account Unknownco is made for it. Nobody says what bo@x.example is called. bo@x.example is the contact Bo Lind ({who}).",
        f"The account Acme Holding ({what}) became Related To.",
        f"cy@x.example is the lead {other} ({other}).",
    ]
    (row,) = many(box, 1, state="linked", links={"who": who, "what": what, "others": [{"id": other}], "steps": steps})
    facts = text(client.get(f"/items/{row.pk}/")).partition("Links, and why")[2].partition("The account")[0]
    assert f"Bo Lind Contact {who}" in facts and f"Acme Holding Account {what}" in facts and "Unknownco" not in facts


def test_twelve_hundred_items_cost_the_list_as_many_queries_as_one(client, box):
    log_in(client, "operator")
    many(box, 1)
    client.get("/items/")
    with CaptureQueriesContext(database) as few:
        client.get("/items/")
    MailboxItem.objects.all().delete()
    many(box, 1200)

    with CaptureQueriesContext(database) as lots:
        page = text(client.get("/items/"))

    assert len(lots) == len(few) <= 12
    assert "In Salesforce 1,200" in page and "Page 1 of 24" in page
    rows = list(csv.reader(io.StringIO(b"".join(client.get("/items/export.csv?q=Item 00").streaming_content).decode("utf-8-sig"))))
    assert len(rows) == 101


def test_hostile_names_are_shown_and_hurt_nobody(client, box):
    log_in(client, "admin")
    links = {"who": HOSTILE, "what": HOSTILE, "others": [{"id": HOSTILE}], "steps": [HOSTILE], "unresolved": [HOSTILE]}
    links |= {"made": [{"type": HOSTILE, "id": HOSTILE, "address": HOSTILE}], "left_out": [{"address": HOSTILE, "reason": HOSTILE}]}
    values = {"name": HOSTILE[:255], "sentence": HOSTILE, "links": links, "held": [HOSTILE], "is_held": True, "crm_type": "Event"}
    (row,) = many(box, 1, **{k: v for k, v in values.items() if k != "name"}, crm_id="00U")
    MailboxItem.objects.filter(pk=row.pk).update(name=values["name"])

    for where in ("/items/", f"/items/{row.pk}/", f"/items/?q={HOSTILE[:20]}"):
        page = client.get(where).content.decode()
        assert "<script>alert" not in page and ("&lt;script&gt;" in page or "q=" in where), where
    cells = list(csv.reader(io.StringIO(b"".join(client.get("/items/export.csv").streaming_content).decode("utf-8-sig"))))
    assert len(cells) == 2


def test_who_only_looks_can_do_nothing(client, box):
    log_in(client, "viewer")
    (row,) = many(box, 1, is_held=True, held=["subject"], guests=1)

    page = text(client.get(f"/items/{row.pk}/"))

    assert "Send update…" not in page and "Take back" not in page and "Choose links" not in page
    for where in ("/items/take-back/", f"/items/{row.pk}/send-update/", f"/items/{row.pk}/links/"):
        assert client.post(where).status_code == 403, where
    assert client.get("/my-mailbox/shared/").status_code == 403


def test_many_are_taken_back_once_that_was_confirmed(client, box):
    log_in(client, "operator")
    for n in range(3):
        box.enter(f"Demo {n}", box.at(n + 1))
    box.run()
    rows = {row.name: row.pk for row in MailboxItem.objects.all()}

    asked = text(post(client, "/items/take-back/", chosen=[rows["Demo 0"], rows["Demo 1"]]))
    assert "Each is deleted in Salesforce" in asked and "Demo 1" in asked and "Demo 2" not in asked
    assert len(box.events_there()) == 3
    done = text(post(client, "/items/take-back/", chosen=[rows["Demo 0"], rows["Demo 1"]], confirmed="yes"))

    assert "2 items were taken back." in done
    assert [row["Subject"] for row in box.events_there()] == ["Demo 2"]
    assert AuditEntry.objects.filter(action="withdraw item").count() == 2
    again = text(post(client, "/items/take-back/", chosen=[rows["Demo 0"], rows["Demo 2"]], confirmed="yes"))
    assert "1 item was taken back." in again and "Left as it is: Demo 0: The event is not in Salesforce" in again
    assert "Choose at least one item" in text(post(client, "/items/take-back/"))


# --- one item ---------------------------------------------------------------------------------------------------------


def test_the_page_of_an_item_says_both_sides_and_whom_it_is_linked_to_and_why(client, box):
    log_in(client, "operator")
    bo = box.contact("Bo", BO)
    event = box.enter("Demo", attendees=[BO, CY])
    box.run()
    where = f"/items/{box.item().pk}/"

    client.get(where)
    with CaptureQueriesContext(database) as queries:
        page = text(client.get(where))

    assert len(queries) <= 12, [q["sql"].partition("FROM")[2][:60] for q in queries]
    assert "As both sides agreed last" in page and "Demo" in page and "Its user gave it the category “Salesforce”." in page
    assert bo in page and f"{BO} is the contact" in page
    assert "Bo Contact" in page and CY in page and "Whom Salesforce does not know" in page
    assert "who owns it there, and those above in the role hierarchy" in page and "Create" in page
    box.alter(event, subject="Edited since")
    live = text(client.get(f"{where}?now=yes"))
    assert "As they are now" in live and "Edited since changed since" in live and "Who takes part" in live


def test_a_private_item_tells_nobody_its_details(client, box):
    """C22: neither here nor in Salesforce, whoever looks."""
    log_in(client, "admin")
    box.set(private_events="busy")
    event = box.enter("Dentist", location="Praxis Dr. Tooth", body="root canal", attendees=[BO])
    box.run()
    where = f"/items/{box.item().pk}/"
    assert "Dentist" in text(client.get(where))
    box.alter(event, sensitivity="private")
    box.run()

    for page in (text(client.get(where)), text(client.get(f"{where}?now=yes")), text(client.get("/items/"))):
        assert "Private appointment" in page
        assert not any(secret in page for secret in ("Dentist", "Tooth", "root canal", BO)), page
    assert "Withheld: the item is private" in text(client.get(where))
    assert "Of its details they see none: only its time." in text(client.get(where))


def test_a_side_that_does_not_answer_is_told_and_the_agreement_is_shown(client, box):
    log_in(client, "viewer")
    box.enter("Demo")
    box.run()
    box.mail.faults.add({"kind": "status", "status": 503, "times": 9}) if hasattr(box.mail, "faults") else None
    box.world.faults.add({"kind": "status", "status": 503, "system": "microsoft", "times": 9})

    page = text(client.get(f"/items/{box.item().pk}/?now=yes"))

    assert "What was agreed on last is shown" in page and "Demo" in page


def test_d12_what_waits_names_how_many_would_be_mailed_and_send_update_mails_them(client, box):
    log_in(client, "operator")
    event = box.enter("Demo", attendees=[BO, CY])
    box.run()
    box.edit_event(box.only()["Id"], Subject="Typed in Salesforce")
    box.run()
    item, before = box.item(), len(box.mails())
    where = f"/items/{item.pk}/"

    page = text(client.get(where))
    assert "would mail 2 people" in page and "Subject" in page and "Send update to 2 people" in page
    stale = text(post(client, f"{where}send-update/", guests="7"))
    assert "Who is invited has changed since you looked" in stale and len(box.mails()) == before
    done = text(post(client, f"{where}send-update/", guests="2"))

    assert "its 2 guests are told by the mail system" in done and "Send update to" not in done
    assert box.event_of(event)["subject"] == "Typed in Salesforce" and len(box.mails()) > before
    assert "Nothing of it waits" in text(post(client, f"{where}send-update/", guests="2"))


def test_links_are_chosen_from_what_salesforce_finds(client, box):
    log_in(client, "operator")
    box.contact("Bo", BO)
    other = box.contact("Other", "other@acme.example")
    account = box.world.salesforce.create_record("Account", {"Name": "Acme Holding"})["Id"]
    box.enter("Demo", attendees=[BO])
    box.run()
    where = f"/items/{box.item().pk}/"

    assert "other@acme.example" in text(client.get(f"{where}?q=other@acme.example"))
    assert "Acme Holding" in text(client.get(f"{where}?q=Acme Holding"))
    assert "Nothing of this name" in text(client.get(f"{where}?q=nobody is called so"))
    done = text(post(client, f"{where}links/", who=other, what=account))

    assert "Its links are as chosen." in done and "Chosen by a-operator" in done
    assert (box.only()["WhoId"], box.only()["WhatId"]) == (other, account)
    text(post(client, f"{where}links/", who="nobody", what="keep"))
    assert (box.only().get("WhoId"), box.only()["WhatId"]) == (None, account)
    assert "Choose one of the records that were found" in text(post(client, f"{where}links/", who="005000000000001"))


# --- one's own mailbox ------------------------------------------------------------------------------------------------


def test_s4_5_a_user_sees_all_that_left_their_mailbox_and_nothing_of_others(client, box):
    """S4.5, D31: why each is shared, and to whom it is visible in Salesforce."""
    box.enter("Mine")
    box.enter("Theirs", address=box.theirs)
    box.run()
    box.run(box.theirs)
    theirs = box.item(box.theirs)
    user_of(client, box.mine)

    page = text(client.get("/my-mailbox/shared/"))

    assert "What left my mailbox: 1" in page and "Mine" in page and "Theirs" not in page
    assert "who owns it there, and those above in the role hierarchy" in page
    assert "Mine" in text(client.get(f"/my-mailbox/shared/{box.item().pk}/"))
    for where in (f"/my-mailbox/shared/{theirs.pk}/", f"/items/{box.item().pk}/", "/items/", "/items/export.csv"):
        assert client.get(where).status_code in (302, 403, 404), where
    for where in ("send-update/", "links/"):
        assert client.post(f"/my-mailbox/shared/{theirs.pk}/{where}").status_code == 404, where
    assert "Choose at least one item" in text(
        post(client, "/my-mailbox/shared/take-back/", chosen=[theirs.pk], confirmed="yes", back="/my-mailbox/")
    )
    assert len(box.events_there()) == 2


def test_a_user_takes_back_what_left_their_mailbox(client, box):
    box.enter("Mine")
    box.run()
    user_of(client, box.mine)
    item = box.item()

    asked = text(post(client, "/my-mailbox/shared/take-back/", chosen=[item.pk]))
    assert "Each is deleted in Salesforce" in asked and len(box.events_there()) == 1
    done = text(post(client, "/my-mailbox/shared/take-back/", chosen=[item.pk], confirmed="yes"))

    assert "1 item was taken back." in done and box.events_there() == []
    assert "Nobody: it is not in Salesforce." in done


@pytest.mark.parametrize("system", ["microsoft", "google"])
def test_s4_28_a_user_finds_an_event_of_their_calendar_and_shares_it_at_once(system, client, monkeypatch):
    """S4.28, D31: by words and day; what is private, or lies outside the days that are looked at, is refused with the reason."""
    box = opened(calendars(system), monkeypatch)
    box.set(share_events=False)
    day = box.at(2)
    box.enter("Kick-off with Acme", day, categories=[])
    box.enter("Kick-off with Beta", box.at(9), categories=[])
    box.enter("Dentist", day, categories=[], sensitivity="private")
    user_of(client, box.mine)
    query = f"first={day:%Y-%m-%d}&last={day:%Y-%m-%d}"

    page = text(client.get(f"/my-mailbox/share/?{query}&q=acme KICK"))
    assert "Kick-off with Acme" in page and "Beta" not in page and "Dentist" not in page and "Only in your mailbox" in page
    assert "Dentist" in text(client.get(f"/my-mailbox/share/?{query}"))  # it is the user's own
    rows = re.findall(r'name="item" value="([^"]+)"><button aria-label="Share [^A-Z]*([A-Z][a-z-]+)', page_of(client, query))
    ids = {name: html.unescape(id_) for id_, name in rows}
    done = text(post(client, "/my-mailbox/share/now/", item=ids["Kick-off"]))

    assert "“Kick-off with Acme” is in Salesforce now." in done and box.only()["Subject"] == "Kick-off with Acme"
    assert "In Salesforce" in text(client.get(f"/my-mailbox/share/?{query}&q=acme"))
    assert "private" in text(post(client, "/my-mailbox/share/now/", item=ids["Dentist"], back="/my-mailbox/share/"))
    assert "at most 14 days" in text(client.get(f"/my-mailbox/share/?first={day:%Y-%m-%d}&last={box.at(90):%Y-%m-%d}")).lower()
    box.run()
    assert len(box.events_there()) == 1


def test_s4_2_sharing_says_why_it_does_nothing_while_sync_is_paused(client, box):
    box.enter("Demo", categories=[])
    user_of(client, box.mine)
    Mailbox.objects.filter(address=box.mine).update(state="paused")

    page = text(client.post("/my-mailbox/share/now/", {"item": "x", "back": "/my-mailbox/share/"}, follow=True))

    assert "is paused, so nothing is shared" in page and box.events_there() == []


def test_a_user_links_only_what_salesforce_shows_them(client, box):
    """A search here finds no more than its user would find there, and a choice of what they cannot see is refused."""
    hidden = box.contact("Hidden", "hidden@acme.example", owner=box.theirs)
    seen = box.contact("Seen", "seen@acme.example")
    box.enter("Demo", attendees=[BO])
    box.run()
    user_of(client, box.mine)
    where = f"/my-mailbox/shared/{box.item().pk}/"
    box.world.salesforce.set_switches({"sharing": "private"})

    assert seen in client.get(f"{where}?q=seen@acme.example").content.decode()
    page = text(client.get(f"{where}?q=hidden@acme.example"))
    assert "Nothing of this name" in page and hidden not in page
    refused = text(post(client, f"{where}links/", who=hidden, back="/my-mailbox/"))
    assert "Salesforce does not show you that record" in refused and box.only().get("WhoId") is None
    done = text(post(client, f"{where}links/", who=seen, back="/my-mailbox/"))
    assert "Its links are as chosen." in done and box.only()["WhoId"] == seen


def test_somebody_without_a_mailbox_finds_none(client, box):
    user = User.objects.create_user("eve")
    user.groups.add(Group.objects.get(name="mailbox user"))
    client.force_login(user)
    for where in ("/my-mailbox/shared/", "/my-mailbox/share/", "/my-mailbox/shared/emails/"):
        assert client.get(where).status_code == 404, where
