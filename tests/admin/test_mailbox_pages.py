"""The pages of mailboxes: who may open and do what, what they say, and that a mailbox user meets their own mailbox alone."""

import csv
import html
import io
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from reconciliation.engine import mailbox_queue
from reconciliation.engine.context import Order
from reconciliation.engine.runner import run_pass
from reconciliation.models import AuditEntry, Case, Connection, Mailbox, MailboxGroup, Run, RunEvent, SyncPass
from reconciliation.services.mailbox_ending import mailbox_end
from reconciliation.services.mailboxes import begin_again, pass_over
from reconciliation.services.set_up import events_pass
from tests.admin.test_pages import HOSTILE
from tests.boxes import FOLDER, boxes

pytestmark = pytest.mark.django_db


@pytest.fixture
def box(monkeypatch):
    box = boxes("microsoft")
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    switch(box, contacts=True)
    return box


def switch(box, *, is_on=True, contacts):
    SyncPass.objects.filter(pk=box.parent.pk).update(is_on=is_on, settings={"mailbox_settings": {"contacts": {"value": contacts}}})


def log_in(client, role):
    user = User.objects.create_user(f"a-{role}", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    return user


def text(answer):
    assert answer.status_code == 200, answer.status_code
    return html.unescape(re.sub(r"\s+", " ", answer.content.decode()))


def mailbox(box, address=""):
    return Mailbox.objects.get(address=address or box.mine)


def post(client, where, **values):
    return client.post(where, {"back": "/mailboxes/", **values}, follow=True)


def many(box, n, **values):
    rows = [Mailbox(connection=box.parent.peer, address=f"m{i:04}@x.example", crm_user_id="005x", state="active") for i in range(n)]
    for row in rows:
        for name, value in values.items():
            setattr(row, name, value)
    return Mailbox.objects.bulk_create(rows)


def started(box, address):
    """Makes a mailbox whose runs write already."""
    (row,) = many(box, 1, address=address)
    SyncPass.objects.filter(pk=pass_over(box.parent, row).pk).update(is_on=True, switched_on_at=timezone.now())
    return row.pk


# --- all of them ----------------------------------------------------------------------------------------------------


def test_before_anything_is_connected_the_list_says_what_to_do(client):
    log_in(client, "admin")
    assert "Connect Salesforce and Microsoft 365 or Google" in text(client.get("/mailboxes/"))
    assert client.get("/mailboxes/settings/").status_code == 302 and client.get("/mailboxes/add/").status_code == 302


def test_s4_12_the_list_says_of_each_mailbox_how_it_stands_and_why(client, box):
    """S4.11, S4.12: state, last and next run, issues; a suspension with its reason."""
    log_in(client, "viewer")
    box.contact("Lind", "bo@acme.example")
    box.run()
    box.put(FOLDER, surname="Berg", emailAddresses=[{"address": "bo@acme.example"}])
    box.run()
    many(box, 1, state="suspended", state_reason="Six runs in a row failed: the password was changed.", state_at=timezone.now())

    page = text(client.get("/mailboxes/"))

    assert box.mine in page and "Six runs in a row failed: the password was changed." in page
    row = page[page.index(box.mine) : page.index(box.theirs)]
    assert "Finished" in row and f'/mailboxes/{mailbox(box).pk}/#issues">1<' in row
    assert "Suspended</span><strong>1<" in page and "With open issues</span><strong>1<" in page
    only = text(client.get("/mailboxes/?issues=yes"))
    assert box.mine in only and box.theirs not in only
    assert "m0000@x.example" in text(client.get("/mailboxes/?state=suspended"))
    assert "No mailbox with this filter" in text(client.get("/mailboxes/?q=nobody-is-called-so"))
    switch(box, is_on=False, contacts=True)
    assert "is switched off: no mailbox is synced" in text(client.get("/mailboxes/"))


def test_a_thousand_mailboxes_cost_the_list_as_many_queries_as_three(client, box):
    log_in(client, "operator")
    client.get("/mailboxes/")
    with CaptureQueriesContext(database) as few:
        client.get("/mailboxes/")
    many(box, 1000)
    with CaptureQueriesContext(database) as lots:
        page = text(client.get("/mailboxes/"))
    assert len(lots) == len(few) <= 22
    assert "Active</span><strong>1,000<" in page and "Page 1 of 21" in page and "All 1,002" in page
    assert "Active</span><strong>1,000<" in text(client.get("/mailboxes/?page=21"))


def test_s4_9_s4_10_many_are_paused_resumed_and_synced_at_once(client, box):
    """S4.9, S4.10, for the chosen ones or all that the filter shows."""
    log_in(client, "operator")
    rows = many(box, 3)

    page = text(post(client, "/mailboxes/bulk/", do="pause", chosen=[rows[0].pk, rows[1].pk]))
    assert "2 mailboxes paused." in page
    assert list(Mailbox.objects.filter(state="paused").values_list("address", flat=True)) == ["m0000@x.example", "m0001@x.example"]
    assert "1 mailbox resumed." in text(post(client, "/mailboxes/bulk/?q=m0001", do="resume", all="yes"))
    assert "Left as it is: m0000@x.example: It is paused, so nothing is synced" in text(
        post(client, "/mailboxes/bulk/", do="sync_now", chosen=[rows[0].pk])
    )
    assert "Choose at least one mailbox" in text(post(client, "/mailboxes/bulk/", do="pause"))
    assert "Choose what to do" in text(post(client, "/mailboxes/bulk/", do="explode", chosen=[rows[0].pk]))


def test_the_export_holds_every_mailbox_and_no_formula(client, box):
    log_in(client, "viewer")
    many(box, 3, name="=HYPERLINK(1)")
    answer = client.get("/mailboxes/export.csv?q=m0")
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert len(rows) == 4 and rows[1][:2] == ["m0000@x.example", "'=HYPERLINK(1)"]


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_not_change_settings_cannot(client, box, role):
    log_in(client, role)
    pk = mailbox(box).pk
    admin_only = ("/mailboxes/settings/save/", "/mailboxes/settings/creation/", "/mailboxes/groups/add/", "/mailboxes/add/these/")
    for where in (*admin_only, "/mailboxes/add/file/", f"/mailboxes/{pk}/start/", f"/mailboxes/{pk}/group/"):
        assert client.post(where).status_code == 403, where
    assert client.get("/mailboxes/add/").status_code == client.get(f"/mailboxes/{pk}/user/").status_code == 403
    for where in ("/mailboxes/bulk/", f"/mailboxes/{pk}/do/", f"/mailboxes/{pk}/settings/", f"/mailboxes/{pk}/preview/"):
        assert (client.post(where).status_code == 403) == (role == "viewer"), where
    page = text(client.get(f"/mailboxes/{pk}/"))
    assert ("Sync now" in page) == (role == "operator") and "Send a sign-in link" not in page


# --- one of them ----------------------------------------------------------------------------------------------------


def test_c33_a_real_mailbox_starts_once_its_preview_was_looked_at(client, box):
    """C33: a new mailbox begins with a preview of what its first run would do; nothing is written before."""
    ada = log_in(client, "admin")
    Connection.objects.filter(pk=box.parent.peer_id).update(is_sandbox=False)
    SyncPass.objects.filter(mailbox__address=box.mine).update(is_on=False, switched_on_at=None)
    box.contact("Lind", "bo@acme.example")
    where = f"/mailboxes/{mailbox(box).pk}/"
    assert "Its first run is a preview; nothing is written." in text(client.get(where))
    assert "Make a preview of" in text(post(client, f"{where}start/"))
    box.run(kind="preview")
    plan = box.runs[-1]
    Run.objects.filter(pk=plan.pk).update(started_at=timezone.now())  # the box has a clock of its own

    page = text(client.get(where))
    assert "1 contact would be created" in page and "I have looked at it: start this mailbox" in page
    assert "There is a newer preview" in text(post(client, f"{where}start/", plan=plan.pk - 1))
    Mailbox.objects.filter(pk=mailbox(box).pk).update(settings={"view": "everything"})
    assert "Make a new one and look at that" in text(post(client, f"{where}start/", plan=plan.pk))
    Mailbox.objects.filter(pk=mailbox(box).pk).update(settings={})
    assert box.folder() == []
    assert "is started" in text(post(client, f"{where}start/", plan=plan.pk))

    assert mailbox(box).state == "active" and AuditEntry.objects.filter(action="start mailbox", user_id=ada.pk).exists()
    assert box.run().created == 1 and len(box.folder()) == 1
    assert "was started before" in text(post(client, f"{where}start/", plan=plan.pk))


def test_c33_many_new_mailboxes_are_started_after_one_look_at_their_previews(client, box):
    """C33: the sums stand above, each preview is a click away; one that has none, or whose settings changed, is left as it is."""
    log_in(client, "admin")
    Connection.objects.filter(pk=box.parent.peer_id).update(is_sandbox=False)
    SyncPass.objects.exclude(mailbox=None).update(is_on=False, switched_on_at=None)
    box.contact("Lind")
    box.contact("Theirs", owner=box.theirs)
    pks = [mailbox(box).pk, mailbox(box, box.theirs).pk]
    assert "None of them can be started" in text(post(client, "/mailboxes/bulk/", do="start", chosen=pks))
    asked = text(post(client, "/mailboxes/bulk/", do="preview", chosen=[*pks, started(box, "started@x.example")]))
    assert "2 mailboxes previewed as workers are free" in asked and "started@x.example: it was started before" in asked
    for address in (box.mine, box.theirs):
        box.run(address, kind="preview")
    Run.objects.update(started_at=timezone.now())

    page = text(client.post("/mailboxes/bulk/", {"do": "start", "chosen": [*pks, started(box, "m0000@x.example")]}))
    assert "create 2 contacts" in page and "m0000@x.example: it is on, and was started before" in page
    plans = re.findall(r'name="plan" value="([0-9:]+)"', page)
    assert len(plans) == 2 and set(Mailbox.objects.filter(pk__in=pks).values_list("state", flat=True)) == {"new"}
    Mailbox.objects.filter(pk=pks[1]).update(settings={"view": "everything"})
    said = text(post(client, "/mailboxes/start/", plan=plans))

    assert "1 mailbox started" in said and f"Left as it is: {box.theirs}: Mapping, fields or a connection were changed" in said
    assert (mailbox(box).state, mailbox(box, box.theirs).state) == ("active", "new")
    assert post(client, "/mailboxes/start/", plan=["x", "1:²", ":", f"{pks[1]}:{plans[0].partition(':')[2]}"]).status_code == 200
    assert mailbox(box, box.theirs).state == "new"


def test_c33_a_second_pass_of_a_mailbox_that_runs_begins_with_a_preview_of_its_own(client, box):
    """C33: what is switched on later, the calendar of a mailbox whose contacts are synced, writes nothing before somebody looked at its
    own preview; its contacts go on meanwhile, and the page leads through it."""
    log_in(client, "admin")
    box.run()  # contacts are at work
    Mailbox.objects.filter(address=box.mine).update(state="active")
    calendar = events_pass(box.parent.crm, box.parent.peer)
    Connection.objects.filter(pk=box.parent.peer_id).update(is_sandbox=False)
    SyncPass.objects.update(settings={"mailbox_settings": {"contacts": {"value": True}, "events": {"value": True}}})
    SyncPass.objects.filter(pk=calendar.pk).update(is_on=True, switched_on_at=timezone.now())
    where = f"/mailboxes/{mailbox(box).pk}/"
    event = box.mail.create_record("event", {
        "mailbox": box.mine, "subject": "Demo", "start": "2026-01-02T10:00:00", "end": "2026-01-02T11:00:00", "timeZone": "UTC",
        "categories": ["Salesforce"],
    })  # fmt: skip
    assert event and "Its first run is a preview; nothing is written." in text(client.get(where))

    assert "The preview is being made" in text(post(client, f"{where}preview/", **{"pass": "events"}))
    child = SyncPass.objects.select_related("crm", "peer", "mapping", "parent", "mailbox__group").get(parent=calendar)
    assert not child.is_on and mailbox_queue.is_first(child) and child in mailbox_queue._due(calendar, timezone.now())
    plan = run_pass(child, Order(kind="preview"), box.wiring)
    Run.objects.filter(pk=plan.pk).update(started_at=timezone.now())

    page = text(client.get(where))
    assert "What the first run of “Calendar” would do" in page and "start Calendar of this mailbox" in page
    assert '<td>Contacts</td><td data-label="State"><span class="chip on">on</span>' in page
    assert "preview ready" in text(client.get("/mailboxes/"))
    assert "There is a newer preview" in text(post(client, f"{where}start/", **{"pass": "events", "plan": plan.pk - 1}))
    assert "Calendar of" in text(post(client, f"{where}start/", **{"pass": "events", "plan": plan.pk}))

    child.refresh_from_db()
    assert child.is_on and child.switched_on_at is not None and mailbox(box).state == "active"
    assert "was started before" in text(post(client, f"{where}start/", **{"pass": "events", "plan": plan.pk}))
    assert "There is no such pass" in text(post(client, f"{where}preview/", **{"pass": "nosuch"}))


def planned(box, parent):
    """Makes the first preview of a pass over the first mailbox, as its queue does. Returns the run."""
    child = pass_over(parent, mailbox(box))
    child = SyncPass.objects.select_related("crm", "peer", "mapping", "parent", "mailbox__group").get(pk=child.pk)
    plan = run_pass(child, Order(kind="preview"), box.wiring)
    Run.objects.filter(pk=plan.pk).update(started_at=timezone.now())
    return plan


def first_previews(box):
    """Lets a mailbox that is planned first have a preview of its contacts, and one of its calendar. Returns both."""
    Mailbox.objects.filter(address=box.mine).update(is_planned_first=True, state="new", state_at=timezone.now())
    calendar = events_pass(box.parent.crm, box.parent.peer)
    SyncPass.objects.filter(mailbox__address=box.mine).update(is_on=False, switched_on_at=None)
    SyncPass.objects.filter(pk=box.parent.pk).update(
        settings={"mailbox_settings": {"contacts": {"value": True}, "events": {"value": True}}}
    )
    SyncPass.objects.filter(pk=calendar.pk).update(
        is_on=True, switched_on_at=timezone.now(), settings={"mailbox_settings": {"contacts": {"value": True}, "events": {"value": True}}}
    )
    start, end = (f"{box.clock() + timedelta(days=1, hours=hours):%Y-%m-%dT%H:%M:%S}" for hours in (0, 1))
    event = {"mailbox": box.mine, "subject": "Demo", "start": start, "end": end, "timeZone": "UTC", "categories": ["Salesforce"]}
    box.mail.create_record("event", event)
    return planned(box, box.parent), planned(box, calendar)


def test_c33_starting_one_pass_of_a_mailbox_leaves_the_previews_of_its_others_good(client, box):
    """C33: each pass has a preview of its own; that one was started, or the mailbox paused for a while, takes none away. Added again,
    the mailbox begins with new ones."""
    log_in(client, "admin")
    contacts, events = first_previews(box)
    where = f"/mailboxes/{mailbox(box).pk}/"
    page = text(client.get(where))
    assert "start Contacts of this mailbox" in page and "start Calendar of this mailbox" in page

    assert "is started" in text(post(client, f"{where}start/", **{"pass": "contacts", "plan": contacts.pk}))
    assert "start Calendar of this mailbox" in text(client.get(where))
    post(client, f"{where}do/", do="pause"), post(client, f"{where}do/", do="resume")
    assert "start Calendar of this mailbox" in text(client.get(where))

    mailbox_end(mailbox(box), None)
    begin_again(mailbox(box))
    Mailbox.objects.filter(address=box.mine).update(crm_user_id=box.users[box.mine])
    assert "start Calendar of this mailbox" not in text(client.get(where))
    assert "Make a preview of" in text(post(client, f"{where}start/", **{"pass": "events", "plan": events.pk}))


def test_the_run_of_a_mailboxs_first_preview_says_what_it_would_do_and_starts_it(client, box):
    log_in(client, "admin")
    _, events = first_previews(box)
    where = f"/runs/{events.pk}/"

    page = text(client.get(where))
    assert f"This is the first preview of “Calendar” for {box.mine}: 1 event would be created" in page
    told = page.partition("first preview of")[2].partition("</form>")[0]
    assert "start Calendar of this mailbox" in told and "account" not in told
    assert "I have looked at this preview" not in page and 'action="/mailboxes/' in page
    asked = dict(re.findall(r'name="(pass|plan)" value="([^"]+)"', page))
    assert asked == {"pass": "events", "plan": str(events.pk)}
    assert "is started" in text(post(client, f"/mailboxes/{mailbox(box).pk}/start/", **asked))
    page = text(client.get(where))
    assert "looked at this preview and started it" in page and "start Calendar of" not in page and "Set-up</a></p>" not in page


def test_an_older_preview_of_a_mailbox_is_not_started_from_its_page(client, box):
    log_in(client, "admin")
    contacts, events = first_previews(box)
    newer = planned(box, events.sync_pass.parent)
    assert "start Calendar of" not in text(client.get(f"/runs/{events.pk}/"))
    assert "start Calendar of" in text(client.get(f"/runs/{newer.pk}/"))
    client.logout()
    log_in(client, "viewer")
    page = text(client.get(f"/runs/{newer.pk}/"))
    assert "An admin starts it" in page and "start Calendar of" not in page and contacts.pk


def test_a_runs_reasons_to_choose_from_are_those_that_it_has(client, box):
    log_in(client, "viewer")
    run = box.run()
    RunEvent.objects.create(run=run, crm_ref="x:y:1", outcome="failed", reason="refused", at=timezone.now())
    Run.objects.filter(pk=run.pk).update(excluded={"interrupted": 1})
    offered = re.search(r'<select name="reason".*?</select>', text(client.get(f"/runs/{run.pk}/")))[0]
    assert set(re.findall(r'value="(\w+)"', offered)) == {"refused", "interrupted"}
    with CaptureQueriesContext(database) as queries:
        assert 'value="waits_for_link" selected' in text(client.get(f"/runs/{run.pk}/?reason=waits_for_link"))
    assert any("LIMIT 10000" in q["sql"] for q in queries)


def test_the_last_run_of_a_mailbox_that_only_planned_says_so(client, box):
    log_in(client, "viewer")
    box.contact("Lind", "bo@acme.example")
    first_previews(box)
    page = text(client.get(f"/mailboxes/{mailbox(box).pk}/"))
    assert "a preview, nothing was written: it would create 1" in page and "1 created" not in page


def test_a_mailbox_with_nothing_switched_on_leads_to_its_settings(client, box):
    log_in(client, "operator")
    events_pass(box.parent.crm, box.parent.peer)
    SyncPass.objects.filter(parent=None).update(settings={"mailbox_settings": {"contacts": {"value": False}, "events": {"value": False}}})
    pk = mailbox(box).pk
    page = text(client.get(f"/mailboxes/{pk}/"))
    assert f'Nothing is switched on for it. <a href="/mailboxes/{pk}/settings/">Switch something on in its settings</a>' in page


@pytest.mark.parametrize("is_sandbox", [True, False])
def test_what_follows_the_adding_of_a_mailbox_is_what_happens(client, box, is_sandbox):
    log_in(client, "admin")
    Connection.objects.filter(pk=box.parent.peer_id).update(is_sandbox=is_sandbox)
    said = text(post(client, "/mailboxes/add/these/", connection=box.parent.peer_id, addresses="new@x.example"))
    child = pass_over(SyncPass.objects.get(pk=box.parent.pk), mailbox(box, "new@x.example"))
    assert ("begins at once, and writes" in said) == child.is_on == is_sandbox
    assert ("Each pass that is switched on for a mailbox begins with a preview" in said) != is_sandbox


def test_the_activity_of_all_mailboxes_stands_by_pass_in_few_queries(client, box):
    log_in(client, "viewer")
    assert "No pass goes over mailboxes yet" not in text(client.get("/mailboxes/activity/"))
    box.contact("Lind", "bo@acme.example")
    box.run()
    events_pass(box.parent.crm, box.parent.peer)
    Run.objects.update(started_at=timezone.now())
    many(box, 50)

    with CaptureQueriesContext(database) as queries:
        page = text(client.get("/mailboxes/activity/"))

    assert len(queries) <= 12, [q["sql"].partition("FROM")[2][:60] for q in queries]
    row = page[page.index("<td>Contacts</td>") : page.index("<td>Calendar</td>")]
    assert 'data-label="Mailboxes">2<' in row and 'data-label="Shared in all">1<' in row and 'data-label="Created">1<' in row
    assert 'class="chip off">off<' in page[page.index("<td>Calendar</td>") :]


def test_an_admin_sets_the_days_of_calendars_and_a_lock_that_holds_for_every_pass(client, box):
    log_in(client, "admin")
    calendar = events_pass(box.parent.crm, box.parent.peer)
    page = text(client.get("/mailboxes/settings/"))
    assert "<h3>Calendar</h3>" in page and 'name="back_days" value="14"' in page

    assert "compares its days as a whole" in text(post(client, "/mailboxes/settings/days/", back_days="7", ahead="30"))
    assert "Nothing was saved. Enter whole numbers" in text(post(client, "/mailboxes/settings/days/", back_days="x", ahead="30"))
    post(client, "/mailboxes/settings/save/", share_events="on", share_events_locked="on")

    calendar.refresh_from_db()
    assert calendar.settings["window"] == {"back": 7, "ahead": 30}
    assert calendar.settings["mailbox_settings"]["share_events"] == {"value": True, "is_locked": True}


def test_one_mailbox_shows_counts_issues_settings_and_finds_contacts(client, box):
    log_in(client, "operator")
    for n in range(3):
        box.contact(f"Lind{n}", f"bo{n}@acme.example")
    box.run()
    box.put(FOLDER, surname="Berg", emailAddresses=[{"address": "bo1@acme.example"}])
    box.run()
    where = f"/mailboxes/{mailbox(box).pk}/"

    page = text(client.get(where))
    assert "<dt>Contacts in agreement</dt><dd>3</dd>" in page and "1 question about an address</a>" in page
    assert "Berg" in text(client.get(re.search(r'href="(/contacts/[^"]*)">1 question', page)[1]))
    assert "Berg" not in text(client.get(f"/contacts/?mailbox={box.theirs}"))
    assert "My Contacts <span" in page and "Latest runs" in page
    for q, hits in (("lind1", ["Lind1"]), ("bo2@", ["bo2@acme.example"]), ("li", ["Lind0", "Lind1", "Lind2"])):
        found = text(client.get(f"{where}?q={q}"))
        assert [h for h in ("Lind0", "Lind1", "Lind2", "bo2@acme.example") if f"<td>{h}" in found] == hits, q
    assert "No contact of this mailbox begins so" in text(client.get(f"{where}?q=zzz"))
    assert "Enter at least two characters" in text(client.get(f"{where}?q=z"))
    assert HOSTILE not in client.get(where, {"q": HOSTILE}).content.decode()


def test_s1_3_s1_4_an_operator_customises_one_mailbox_and_sees_the_count(client, box):
    """S1.3, S1.4: the Contacts switch and CUSTOMIZE with the view, counted as it is chosen."""
    log_in(client, "operator")
    switch(box, contacts=False)
    box.contact("Lind")
    box.contact("Theirs", owner=box.theirs)
    where = f"/mailboxes/{mailbox(box).pk}/"
    assert "Contacts are switched off for it." in text(client.get(where))
    counts = [client.get(f"{where}count/", {"view": view}).json()["words"] for view in ("", "mine", "everything", "00B000000000999")]
    assert counts[:3] == ["1 contact in this view now"] * 2 + ["2 contacts in this view now"] and "cannot be counted" in counts[3]

    page = text(post(client, f"{where}settings/", contacts="on", view="everything"))

    assert "Saved: Contacts, Salesforce view." in page and "Everything is compared anew" in page
    assert mailbox(box).settings == {"contacts": True, "view": "everything"}
    assert box.run().created == 2
    assert "Nothing was changed" in text(post(client, f"{where}settings/", contacts="on", view="everything"))


def test_d8_the_count_of_a_view_says_how_many_would_leave_the_folder(client, box):
    """D8: a view that shows fewer contacts says so with their number, before it is saved."""
    log_in(client, "operator")
    box.contact("Lind")
    box.contact("Theirs", owner=box.theirs)
    box.set(view="everything")
    box.run()
    where = f"/mailboxes/{mailbox(box).pk}/count/"

    fewer = client.get(where, {"view": "mine"}).json()["words"]

    assert fewer == "1 contact in this view now; the folder holds 2, so at least 1 contact would stay, marked as not in view"
    assert client.get(where, {"view": "everything"}).json()["words"] == "2 contacts in this view now"
    box.set(out_of_view="remove")
    assert client.get(where, {"view": "mine"}).json()["words"].endswith("would go to Deleted Items")


def test_an_admin_sets_what_holds_for_all_and_for_a_group(client, box):
    log_in(client, "admin")
    page = text(post(client, "/mailboxes/settings/save/", contacts="on", view="mine", deletion="forbidden", deletion_locked="on"))
    assert "Saved: Deleting a contact from the folder." in page
    assert "If allowed, a contact deleted in the folder is deleted in Salesforce for everybody" in text(client.get("/mailboxes/settings/"))
    assert "is no choice of" in text(post(client, "/mailboxes/settings/save/", deletion="sometimes"))
    post(client, "/mailboxes/groups/add/", name="Sales")
    group = MailboxGroup.objects.get()
    assert "Saved." in text(
        client.post(f"/mailboxes/groups/{group.pk}/", {"name": "Sales", "view": "everything", "contacts": ""}, follow=True)
    )
    group.refresh_from_db()
    assert group.settings == {"view": "everything"}
    pk = mailbox(box).pk
    post(client, f"/mailboxes/{pk}/group/", group=group.pk)
    assert "All Contacts <span" in text(client.get(f"/mailboxes/{pk}/"))
    assert "no field “Nowhere__c”" in text(post(client, "/mailboxes/settings/creation/", field="Nowhere__c", value="x"))
    assert "Saved. It holds for contacts that are new" in text(
        post(client, "/mailboxes/settings/creation/", field="Department", value="Sales")
    )
    assert "is gone" in text(client.post(f"/mailboxes/groups/{group.pk}/", {"do": "delete"}, follow=True))
    assert mailbox(box).group is None


def test_an_admin_chooses_the_salesforce_user(client, box):
    log_in(client, "admin")
    pk, wanted = mailbox(box).pk, box.users[box.theirs]
    page = text(client.get(f"/mailboxes/{pk}/user/", {"q": box.theirs}))
    assert f'value="{wanted}"' in page
    assert "in Salesforce from the next run on" in text(post(client, f"/mailboxes/{pk}/user/", user=wanted))
    assert (mailbox(box).crm_user_id, mailbox(box).crm_user_chosen) == (wanted, True)
    assert "No user of Salesforce has this address or name" in text(client.get(f"/mailboxes/{pk}/user/", {"q": HOSTILE}))


def test_mailboxes_are_added_from_directory_file_and_by_address(client, box):
    log_in(client, "admin")
    Mailbox.objects.filter(address=box.theirs).delete() if not SyncPass.objects.filter(mailbox__address=box.theirs).delete() else None
    Mailbox.objects.filter(address=box.theirs).delete()
    peer = box.parent.peer_id
    assert "The directory is read when you press the button" in text(client.get("/mailboxes/add/"))
    page = text(client.get(f"/mailboxes/add/?by=directory&connection={peer}"))
    assert f'value="{box.theirs}"' in page and f'value="{box.mine}"' not in page and "is a mailbox" in page
    assert "1 mailbox is added" in text(post(client, "/mailboxes/add/these/", connection=peer, chosen=[box.theirs]))
    assert mailbox(box, box.theirs).crm_user_id == box.users[box.theirs]
    said = text(post(client, "/mailboxes/add/these/", connection=peer, addresses=f"new@x.example, no-address\n{box.mine}"))
    assert "1 mailbox is added" in said and "is no e-mail address" in said and "is a mailbox here already" in said

    file = SimpleUploadedFile("people.csv", b"address;group\r\nc1@x.example;\r\nc2@x.example;Nowhere\r\n=cmd()@x.example;\r\n")
    page = text(client.post("/mailboxes/add/preview/", {"connection": peer, "file": file, "back": "/mailboxes/"}, follow=True))
    assert "1 mailbox of Microsoft 365 would be added" in page and "There is no group “Nowhere”" in page
    content = re.search(r"<textarea[^>]*>(.*?)</textarea>", page)[1]
    assert not Mailbox.objects.filter(address="c1@x.example").exists()
    assert "1 mailbox is added" in text(post(client, "/mailboxes/add/file/", connection=peer, content=content.replace(" c", "\nc")))
    bad = SimpleUploadedFile("people.csv", b"\xff\xfe\xff address")
    assert "Nothing was added" in text(
        client.post("/mailboxes/add/preview/", {"connection": peer, "file": bad, "back": "/mailboxes/"}, follow=True)
    )


# --- a mailbox user's own page --------------------------------------------------------------------------------------


@pytest.fixture
def ann(client, box):
    user = User.objects.create_user("ann")
    user.groups.add(Group.objects.get(name="mailbox user"))
    Mailbox.objects.filter(address=box.mine).update(user=user)
    client.force_login(user)
    return user


def test_s4_8_a_mailbox_user_sees_and_changes_their_own_mailbox_alone(client, box, ann):
    """S4.8, S4.9: their own settings within what an admin locked, and pause, resume and sync now."""
    box.run()
    page = text(client.get("/", follow=True))
    assert f"My mailbox: {box.mine}" in page and box.theirs not in page
    for where in (
        "/mailboxes/",
        f"/mailboxes/{mailbox(box).pk}/",
        "/runs/",
        "/records/",
        "/connections/",
        "/setup/",
        "/auth/user/",
        "/journal/",
    ):
        assert client.get(where).status_code == 403, where
    for where in (f"/mailboxes/{mailbox(box, box.theirs).pk}/do/", "/mailboxes/bulk/", "/mailboxes/settings/save/"):
        assert client.post(where, {"do": "pause", "all": "yes"}).status_code == 403, where
    assert [href for href in re.findall(r'<a href="(/[^"]*)"', page) if href.startswith(("/runs", "/mailboxes", "/records"))] == []

    assert "Saved: Salesforce view." in text(client.post("/my-mailbox/settings/", {"view": "everything"}, follow=True))
    assert mailbox(box).settings == {"view": "everything"} and mailbox(box, box.theirs).settings == {}
    SyncPass.objects.filter(pk=box.parent.pk).update(settings={"mailbox_settings": {"view": {"value": "mine", "is_locked": True}}})
    assert "Set by an admin for all mailboxes" in text(client.get("/my-mailbox/settings/"))
    said = text(client.post("/my-mailbox/settings/", {"view": "mine", "back": "/my-mailbox/"}, follow=True))
    assert "is set by an admin" in said and mailbox(box).settings == {"view": "everything"}
    assert "contacts in this view now" in client.get("/my-mailbox/count/", {"view": "mine"}).json()["words"]

    assert "is paused" in text(client.post("/my-mailbox/do/", {"do": "pause"}, follow=True))
    assert (mailbox(box).state, mailbox(box).state_by) == ("paused", "ann")
    assert "goes on within a minute" in text(client.post("/my-mailbox/do/", {"do": "resume"}, follow=True))
    Mailbox.objects.filter(address=box.mine).update(state="paused", state_by="a-admin")
    assert "An admin paused this mailbox" in text(client.post("/my-mailbox/do/", {"do": "resume", "back": "/my-mailbox/"}, follow=True))
    assert "There is no such thing" in text(client.post("/my-mailbox/do/", {"do": "link", "back": "/my-mailbox/"}, follow=True))


def test_without_a_mailbox_there_is_no_page_of_ones_own(client, box):
    log_in(client, "admin")
    assert client.get("/my-mailbox/").status_code == 403
    user = User.objects.create_user("nobody")
    user.groups.add(Group.objects.get(name="mailbox user"))
    client.force_login(user)
    assert client.get("/my-mailbox/").status_code == 404
    client.logout()
    assert client.get("/my-mailbox/").status_code == 302


@pytest.mark.parametrize("junk", ["", "\u00b2", "9" * 21, "-1", "https://[::1/%zz", "x" * 5000, "<script>alert(1)</script>"])
def test_junk_on_ones_own_page_is_refused_said_or_ignored(client, box, ann, junk):
    names = ("do", "back", "contacts", "view", "deletion", "out_of_view", "existing")
    for where in ("/my-mailbox/do/", "/my-mailbox/settings/"):
        assert client.post(where, dict.fromkeys(names, junk)).status_code == 302
    for where in ("/my-mailbox/", "/my-mailbox/settings/", "/my-mailbox/count/"):
        answer = client.get(where, {"q": junk, "view": junk})
        assert answer.status_code == 200 and "<script>alert" not in answer.content.decode()
    if "/" not in junk:
        assert client.post(f"/sign-in/{junk or 'x'}/").status_code == 200
    assert mailbox(box).settings in ({}, {"view": junk}) and ("<" not in junk or mailbox(box).settings == {})


def test_d10_a_conflict_of_a_mailbox_is_told_in_words_and_without_ids_that_say_nothing(client, box):
    """Fields by their titles, users by their names, the item by its mailbox."""
    log_in(client, "operator")
    id_ = box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.run()
    box.world.salesforce.update_record("Contact", id_, {"Title": "Head", "LastModifiedById": box.users[box.mine]})
    item = box.folder()[0]
    box.change(item["id"], jobTitle="Chief")
    box.run()
    case = Case.objects.get(kind="conflict")

    listed, page, many = (text(client.get(where)) for where in ("/conflicts/", f"/conflicts/{case.pk}/", "/conflicts/bulk/"))

    assert "Changed on both sides to different values: Job title." in listed and "jobTitle" not in re.sub("<[^>]*>", " ", listed + page)
    assert f"contact of {box.mine}" in page and box.remote_id(item["id"]) not in page
    assert "<td>Job title</td>" in many and "The CRM’s…" in many


def test_a_run_of_a_mailbox_names_it_and_its_undo_names_records_and_fields(client, box):
    log_in(client, "operator")
    box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.run()
    item = box.folder()[0]
    box.change(item["id"], jobTitle="Chief")
    box.put(FOLDER, surname="Berg", emails=["ida@berg.example"])
    run = box.run()
    link = f'Contacts of <a href="/mailboxes/{mailbox(box).pk}/">{box.mine}</a>'

    page, listed, undo, journal = (
        text(client.get(where)) for where in (f"/runs/{run.pk}/", "/runs/?of=mailboxes", f"/runs/{run.pk}/undo/", "/journal/")
    )

    assert link in page and link in listed
    assert f"of {box.mine}: Categories gets its earlier value" in undo
    made = [row["Id"] for row in box.contacts() if row["LastName"] == "Berg"][0]
    assert f"Contact {made}" in undo and "Berg" in undo and box.remote_id(item["id"]) not in undo
    assert "Salesforce Contacts" in journal and "contactFolder" not in journal
    assert "<b>Last name</b>" in journal and "<b>surname</b>" not in journal


def test_an_admin_ends_the_sync_of_a_mailbox_and_sees_what_that_means_first(client, box):
    log_in(client, "admin")
    box.contact("Lind", "bo@acme.example")
    box.run()
    pk = mailbox(box).pk
    assert "End its sync…" in text(client.get(f"/mailboxes/{pk}/"))

    page = text(client.post("/mailboxes/bulk/", {"do": "end", "chosen": [pk]}))

    assert f"End the sync of {box.mine}" in page and "1 contact stays where it lies" in page and "Nothing is deleted" in page
    assert mailbox(box).state == "active"
    told = text(client.post("/mailboxes/end/", {"chosen": [pk], "reason": "Left us"}, follow=True))
    assert "1 mailbox ended; nothing was deleted." in told
    listed, ended, own = (text(client.get(where)) for where in ("/mailboxes/", "/mailboxes/?state=ended", f"/mailboxes/{pk}/"))
    assert f">{box.mine}</a>" not in listed and f">{box.mine}</a>" in ended and "Left us" in own and "Add it again" in own
    assert "Resume</button>" not in own and "End its sync" not in own
    log_in(client, "operator")
    assert "End its sync" not in text(client.get(f"/mailboxes/{box.passes[box.theirs].mailbox_id}/"))
    refused = text(client.post("/mailboxes/bulk/", {"do": "end", "chosen": [box.passes[box.theirs].mailbox_id]}, follow=True))
    assert "Only an admin ends the sync" in refused and client.post("/mailboxes/end/", {"chosen": [pk]}).status_code == 403


def test_the_list_asks_nothing_for_each_mailbox(client, box):
    """Mailboxes that have a pass and were not started: whether they wait for a preview is known with them."""
    log_in(client, "admin")
    for address in box.passes:
        box.run(address)
    client.get("/mailboxes/")

    with CaptureQueriesContext(database) as queries:
        client.get("/mailboxes/")

    assert len(queries) <= 12, [q["sql"][:80] for q in queries]


def test_two_mailboxes_of_one_salesforce_user_and_one_of_nobody_are_said_and_found(client, box):
    log_in(client, "admin")
    Mailbox.objects.filter(address=box.theirs).update(crm_user_id=box.users[box.mine])
    nobody = Mailbox.objects.create(connection=box.parent.peer, address="nobody@example.test")

    page, own, found = (text(client.get(where)) for where in ("/mailboxes/", f"/mailboxes/{mailbox(box).pk}/", "/mailboxes/?user=none"))

    said = "{} at Microsoft 365 has the same Salesforce user: each shows that user's contacts."
    assert said.format(box.theirs) in page and said.format(box.mine) in page and said.format(box.theirs) in own
    assert f'href="/mailboxes/{nobody.pk}/user/">Nobody known: choose</a>' in page and "No Salesforce user" in page
    assert "nobody@example.test" in found and f">{box.mine}</a>" not in found


def test_addresses_that_the_directory_does_not_know_are_doubted_before_and_after(client, box):
    log_in(client, "admin")
    pk = box.parent.peer.pk
    file = SimpleUploadedFile("boxes.csv", f"address\nmistyped@example.test\n{box.mine}\n".encode(), "text/csv")

    page = text(client.post("/mailboxes/add/preview/", {"connection": pk, "file": file}))

    assert "1 address is nobody’s in the directory" in page and "is added, though nobody has this address in the directory" in page
    assert "Add 1 mailbox</button>" in page
    told = text(client.post("/mailboxes/add/these/", {"connection": pk, "addresses": "other@example.test"}, follow=True))
    assert "Nobody has the address other@example.test in the directory of Microsoft 365" in told
    known = SimpleUploadedFile("boxes.csv", f"address\n{box.mine}\n".encode(), "text/csv")
    assert "Add 0" not in text(client.post("/mailboxes/add/preview/", {"connection": pk, "file": known}))


def test_a_plan_that_a_brake_holds_stands_on_the_page_of_its_mailbox_and_in_the_list(client, box):
    log_in(client, "operator")
    for n in range(12):
        box.contact(f"Lind {n}", f"bo{n}@acme.example")
    box.run()
    for row in box.folder():
        box.change(row["id"], folder="Contacts", categories=[])
    held = box.run()
    assert held.state == "held"
    where = f"/mailboxes/{mailbox(box).pk}/"

    page, listed = text(client.get(where)), text(client.get("/mailboxes/"))

    assert "A plan waits to be approved" in page and f'href="/runs/{held.pk}/">Look at the plan</a>' in page
    assert "A plan waits to be approved" in listed
    done = client.post(f"/runs/{held.pk}/apply/")
    assert done.status_code == 302 and done["Location"] == where


def test_a_search_in_a_mailbox_says_what_waits_for_a_person(client, box):
    log_in(client, "operator")
    box.contact("Lind", "bo@acme.example", Title="Buyer")
    box.run()
    box.put(FOLDER, surname="Berg", emails=["bo@acme.example"])
    box.edit(box.contacts()[0]["Id"], Title="Head")
    box.change(next(r["id"] for r in box.folder() if r["surname"] == "Lind"), jobTitle="Chief")
    box.run()
    conflict, question = Case.objects.get(kind="conflict"), Case.objects.get(kind="exists")
    where = f"/mailboxes/{mailbox(box).pk}/"

    linked, asked = text(client.get(where, {"q": "lind"})), text(client.get(where, {"q": "berg"}))

    assert f'href="/conflicts/{conflict.pk}/"' in linked and f'href="/contacts/{question.pk}/"' in asked
    assert "No runs of other passes yet" in text(client.get("/runs/"))


def test_what_was_made_again_is_listed_among_the_deleted_where_it_is_asked_for(client, box):
    log_in(client, "operator")
    box.contact("Lind", "bo@acme.example")
    box.run()
    box.drop(box.folder()[0]["id"])
    box.run()

    run = text(client.get(f"/runs/{box.runs[-1].pk}/"))
    assert "It was deleted here, which is forbidden" in run and box.remote_id(box.rows()[0]["id"]) not in run and "AAk" not in run
    assert "Lind" not in text(client.get("/deleted/")).partition("<main")[2] and "Lind" in text(client.get("/deleted/?why=again"))
