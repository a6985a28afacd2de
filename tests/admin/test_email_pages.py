"""Records > E-mails: which there are, one e-mail's page, and taking one back."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from reconciliation.models import Email, EmailCopy
from tests.posted import posted

pytestmark = pytest.mark.django_db


@pytest.fixture
def box(monkeypatch):
    box = posted()
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    account = box.account()
    box.contact("Byrne", "ada@acme.example", AccountId=account)
    box.run()
    return box


@pytest.fixture
def as_role(client):
    def log_in(role):
        user = User.objects.create(username=role, is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
        return client

    return log_in


def text(answer):
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_nothing_yet_says_what_to_do(box, as_role):
    page = text(as_role("viewer").get("/emails/"))
    assert "E-mails of mailboxes: 0" in page and "it appears here" in page


def test_what_was_saved_is_listed_filtered_and_exported(box, as_role):
    box.receive("A <b>question</b>", id="1"), box.receive("=SUM(1)", id="2", address=box.theirs)
    box.run(), box.run(box.theirs)
    client = as_role("viewer")

    page = client.get("/emails/").content.decode()
    assert "E-mails of mailboxes: 2" in page and "<b>question</b>" not in page and "question" in page
    assert "A <b>question" in text(client.get(f"/emails/?mailbox={box.mine[:3]}&state=saved&why=category"))
    assert "question" not in text(client.get(f"/emails/?mailbox={box.theirs}"))
    assert "No e-mails with this filter" in text(client.get("/emails/?state=refused"))
    assert "No e-mails with this filter" in text(client.get("/emails/?until=2020-01-01"))
    rows = b"".join(client.get("/emails/export.csv").streaming_content).decode()
    assert "'=SUM(1)" in rows and box.mine in rows and "<1@acme.example>" in rows


def test_one_emails_page_shows_both_sides_the_links_and_why(box, as_role):
    mail = box.receive("A question", id="1", body="four hundred"), box.receive("A question", id="1", address=box.theirs)
    box.run(), box.run(box.theirs)
    box.unmark(mail[0])
    box.run()
    row = Email.objects.get()
    client = as_role("viewer")

    with CaptureQueriesContext(connection) as queries:
        page = text(client.get(f"/emails/{row.pk}/"))

    assert len(queries) <= 12, [q["sql"].partition("FROM")[2][:60] for q in queries]
    assert box.mine in page and box.theirs in page and row.crm_id in page and row.links["who"] in page and row.links["what"] in page
    plain = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert re.search(r"Main person (Ada )?Byrne Contact", plain) and "Related to Acme Account" in plain
    assert "is the contact" in page and "It has the category" in page and "four hundred" not in page
    assert "Take back" not in page and client.get("/emails/999999/").status_code == 404


def test_an_operator_takes_one_back_and_a_viewer_does_not(box, as_role):
    box.receive(id="1")
    box.run()
    row = Email.objects.get()
    assert as_role("viewer").post(f"/emails/{row.pk}/take-back/").status_code == 403

    client = as_role("operator")
    assert "Delete it there" in text(client.get(f"/emails/{row.pk}/"))
    page = text(client.post(f"/emails/{row.pk}/take-back/", {"back": "/emails/", "reason": "a mistake"}, follow=True))

    assert "was deleted in Salesforce" in page and box.emails() == [] and Email.objects.get().state == "taken_back"
    again = text(client.post(f"/emails/{row.pk}/take-back/", {"back": "/emails/"}, follow=True))
    assert "Nothing was done" in again


def test_an_operator_chooses_the_links_of_an_e_mail_that_waits(box, as_role):
    account = box.account("Other Ltd")
    box.receive(id="1")
    box.switch(hidden_fields=["EmailMessage.TextBody"])
    box.run()
    row = Email.objects.get()
    viewer = as_role("viewer")
    assert viewer.post(f"/emails/{row.pk}/link/").status_code == 403 and "Choose links" not in text(viewer.get(f"/emails/{row.pk}/"))
    client = as_role("operator")

    assert "Other Ltd" in text(client.get(f"/emails/{row.pk}/?q=Other+Ltd"))
    page = text(client.post(f"/emails/{row.pk}/link/", {"who": "nobody", "what": account, "back": f"/emails/{row.pk}/"}, follow=True))
    assert "It is linked so when it is saved" in page and "Chosen by" in page and account in page
    bad = text(client.post(f"/emails/{row.pk}/link/", {"who": "<x>", "back": f"/emails/{row.pk}/"}, follow=True))
    assert "Nothing was done" in bad
    box.switch(hidden_fields=[])
    box.run(), box.run()

    assert box.one()["RelatedToId"] == account
    page = text(client.get(f"/emails/{row.pk}/"))
    assert "lets nobody change it afterwards" in page and "Choose links" not in page


def test_many_rows_cost_no_more(box, as_role):
    child, now = box.passes[box.mine], box.clock()
    common = {"connection": child.crm, "state": "saved", "holder": child, "since": now, "sent_at": now, "why": "auto"}
    rows = Email.objects.bulk_create(Email(key=str(n), subject=f"Mail {n}", **common) for n in range(1200))
    EmailCopy.objects.bulk_create(EmailCopy(email=row, sync_pass=child, mail_id=row.key, why="auto", seen_at=now) for row in rows)
    client = as_role("viewer")

    with CaptureQueriesContext(connection) as queries:
        page = text(client.get(f"/emails/?mailbox={box.mine[:2]}"))

    assert "E-mails of mailboxes: 1,200" in page and len(queries) <= 12
    assert len(b"".join(client.get("/emails/export.csv").streaming_content).decode().splitlines()) == 1201


# --- what a button in the mail client would do (D31) ----------------------------------------------------------------------


@pytest.fixture
def ann(box, client):
    """The user of the first mailbox, logged in."""
    user = User.objects.create(username="ann")
    user.groups.add(Group.objects.get(name="mailbox user"))
    mailbox = box.passes[box.mine].mailbox
    mailbox.user = user
    mailbox.save(update_fields=["user"])
    client.force_login(user)
    return client


HERE = "/my-mailbox/save-emails/"


def do(client, what, where=HERE, **given):
    return client.post(f"{where}do/", {"do": what, "back": where, **given}, follow=True)


def test_s4_28_a_mailbox_user_finds_a_mail_and_saves_it_now(box, ann):
    mail = box.receive("A <quote>", marked=False, id="1")

    found = text(do(ann, "find", message_id="<1@acme.example>"))
    assert "A <quote>" in found and mail in found and "Save now" in found
    refused = text(do(ann, "save", mail=[mail], who="nobody@nowhere.example"))
    assert "knows no person" in refused and box.emails() == []
    assert "1 e-mail in Salesforce now" in text(do(ann, "save", mail=[mail]))

    assert box.one()["Subject"] == "A <quote>" and Email.objects.get().by == "ann"
    assert "The mailbox has no such mail" in text(do(ann, "find", message_id="<none@acme.example>"))
    assert "Choose at least one mail" in text(do(ann, "save")) and "Nothing was done" in text(do(ann, "dance"))


def test_s4_1_a_mailbox_user_follows_a_conversation_and_lets_it_go(box, ann):
    mail = box.receive("Quote", marked=False, id="1")
    page = text(do(ann, "follow", mail=mail))
    assert "saved from now on" in page and "Follow no more" in page
    row = box.passes[box.mine].mailbox.mail_threads.get()
    assert "followed no more" in text(do(ann, "let_go", row=row.pk))
    assert "not followed (any more)" in text(do(ann, "let_go", row=row.pk))


def test_c21_what_sharing_everything_would_take_is_shown(box, ann):
    now = timezone.now().isoformat()  # pages know no other clock
    box.receive("Known", marked=False, receivedAt=now)
    box.receive("Unknown", marked=False, receivedAt=now, **{"from": "Zoe <zoe@x.example>"})
    page = text(do(ann, "preview", days="7"))
    assert "Known" in page and "left alone" in page and "Nobody in it is known" in page and box.emails() == []
    assert text(do(ann, "preview", days="x"))


def test_s4_2_the_page_says_why_nothing_happens(box, ann):
    mailbox = box.passes[box.mine].mailbox
    mailbox.settings = {"emails": False}
    mailbox.save(update_fields=["settings"])
    assert "E-mails are switched off for this mailbox" in text(ann.get(HERE))
    assert "nothing is shared" in text(do(ann, "find", message_id="<1@acme.example>"))


def test_nobody_acts_on_the_mailbox_of_another(box, ann):
    other = box.passes[box.theirs].mailbox
    assert ann.get(f"/mailboxes/{other.pk}/emails/").status_code == 403
    assert ann.post(f"/mailboxes/{other.pk}/emails/do/", {"do": "find"}).status_code == 403


def test_an_operator_does_it_for_a_user(box, as_role):
    mail = box.receive("Now", marked=False, id="1")
    client, where = as_role("operator"), f"/mailboxes/{box.passes[box.mine].mailbox.pk}/emails/"
    assert "Find a mail" in text(client.get(where))
    assert "in Salesforce now" in text(do(client, "save", where, mail=[mail])) and len(box.emails()) == 1
