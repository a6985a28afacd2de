"""The played Gmail within its world: by hand, pages, many at once, what is kept over a restart, faults, and Google's own client."""

import base64
import re
import time

import pytest
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from connectors.sandbox.world import World
from tests.sandbox.gmail_box import BO, GINA, HUGO, GmailBox, encoded, header, mail, refused

MESSAGE = "/records/google/message"
PDF = {"name": "offer.pdf", "contentType": "application/pdf", "content": base64.b64encode(b"%PDF-1.7 offer").decode()}


@pytest.fixture
def box(session):
    return GmailBox(session)


@pytest.fixture
def api(control):
    given = control.call("GET", "/").json()["google"]
    options = {"api_endpoint": given["base_url"]}
    with build(
        "gmail", "v1", credentials=Credentials(token=given["access_token"]), client_options=options, static_discovery=True
    ) as client:
        yield client.users()


def raised(call):
    with pytest.raises(HttpError) as caught:
        call.execute()
    return caught.value


# --- by hand --------------------------------------------------------------------------------------------------------------
def test_messages_by_hand(control, api):
    body = {
        "mailbox": GINA, "from": BO, "to": [GINA, "cy@acme.example"], "subject": "Offer", "body": "Two\nlines", "labels": ["INBOX", "CRM"],
        "receivedAt": "2026-11-20T10:00:00+01:00", "messageId": "m1@acme.example", "attachments": [PDF], "headers": {"X-Mailer": "Fox"},
    }  # fmt: skip
    made = control.call("POST", MESSAGE, body).json()

    assert made["receivedAt"] == "2026-11-20T09:00:00.000Z" and made["messageId"] == "<m1@acme.example>" and made["attachments"] == [PDF]
    assert made["to"] == body["to"] and made["labels"] == ["INBOX", "CRM"] and made["body"] == "Two\nlines" and made["bodyType"] == "text"
    for name in (made["id"], made["gmailId"]):
        assert control.call("GET", f"{MESSAGE}/{name}").json() == made
    message = api.messages().get(userId="me", id=made["gmailId"]).execute()
    assert header(message, "To") == f"{GINA}, cy@acme.example" and header(message, "X-Mailer") == "Fox"
    changed = control.call("PATCH", f"{MESSAGE}/{made['id']}", {"labels": ["CRM", "STARRED"]}).json()
    assert changed["labels"] == ["CRM", "STARRED"] and changed["subject"] == "Offer"
    answer = control.call("POST", MESSAGE, {"mailbox": GINA, "from": BO, "subject": "Bye", "thread": made["thread"]}).json()
    assert answer["thread"] == made["thread"] and answer["labels"] == ["UNREAD", "INBOX"] and answer["to"] == [GINA]
    assert control.call("DELETE", f"{MESSAGE}/{made['id']}").json() == {"deleted": made["id"]}
    assert control.call("GET", f"{MESSAGE}/{made['id']}").status_code == 404
    assert control.call("DELETE", f"{MESSAGE}/{answer['gmailId']}").json() == {"deleted": answer["gmailId"]}
    assert api.messages().list(userId="me").execute() == {"resultSizeEstimate": 0}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"mailbox": "x@example.test"}, "mailbox must be the address of a user"),
        ({"mailbox": GINA, "sender": BO}, "there is no 'sender'"),
        ({"mailbox": GINA, "subject": "Two\nlines"}, "subject must be a single line"),
        ({"mailbox": GINA, "to": [1]}, "to must be a text or a list of texts"),
        ({"mailbox": GINA, "body": 7}, "body must be a text"),
        ({"mailbox": GINA, "bodyType": "rtf"}, "bodyType must be text or html"),
        ({"mailbox": GINA, "labels": "INBOX"}, "labels must be a list of names"),
        ({"mailbox": GINA, "labels": ["inbox"]}, "Invalid label name"),
        ({"mailbox": GINA, "thread": "19a00000000000ff"}, "thread must be the id"),
        ({"mailbox": GINA, "receivedAt": "soon"}, "receivedAt must be an instant"),
        ({"mailbox": GINA, "headers": {"To": "x"}}, "headers cannot have 'To'"),
        ({"mailbox": GINA, "attachments": [{**PDF, "content": "%%"}]}, "must be base64"),
        ({"mailbox": GINA, "attachments": [{"content": ""}]}, "must have a name"),
        ({"mailbox": GINA, "deliver": True}, "to must be the address"),
        ({"mailbox": GINA, "deliver": True, "from": BO, "to": HUGO}, "from must be the address of the mailbox"),
    ],
)
def test_what_nobody_can_do_by_hand_is_refused(control, body, says):
    assert says in control.refused("POST", MESSAGE, body)
    assert control.call("GET", MESSAGE).json() == {"records": []}


def test_a_mail_stays_as_it_came(control):
    made = control.call("POST", MESSAGE, {"mailbox": GINA, "from": BO, "subject": "Offer", "body": "Two\nlines"}).json()

    assert "subject stays as it came" in control.refused("PATCH", f"{MESSAGE}/{made['id']}", {"subject": "Other"})
    assert control.call("PATCH", f"{MESSAGE}/{made['id']}", {"subject": "Offer", "body": "Two lines"}).json() == made


def test_a_mail_that_is_delivered_by_hand_comes_to_everybody_inside(box):
    body = {"to": f"{HUGO}, {BO}", "bcc": "eve@other.example", "deliver": True, "attachments": [PDF], "labels": ["CRM"]}
    sent = box.put("Offer", **{**body, "from": f"Gina <{GINA}>"})

    received = box.system.list_records("message")[1]
    assert sent["labels"] == ["SENT", "CRM"] and received["labels"] == ["UNREAD", "INBOX"] and received["mailbox"] == HUGO
    assert received["messageId"] == sent["messageId"] and sent["bcc"] == ["eve@other.example"] and received["bcc"] == []
    assert received["attachments"] == [PDF] and received["thread"] != sent["thread"]
    assert box.system.mails[0]["to"] == [HUGO, "bo@acme.example", "eve@other.example"]


def test_what_was_sent_is_seen_by_hand_with_its_attachments(box):
    text = mail("Offer", Content_Type='multipart/mixed; boundary="b"', body=(
        "--b\nContent-Type: text/plain\n\nHi\n--b\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n"
        f'Content-Disposition: attachment; filename="offer.pdf"\n\n{PDF["content"]}\n--b--'
    ))  # fmt: skip
    box.send(text)

    own, received = box.system.list_records("message")
    assert own["attachments"] == [PDF] == received["attachments"] and own["body"].strip() == "Hi" and own["from"] == GINA
    assert box.ids(q="has:attachment filename:offer.pdf in:sent") == [own["gmailId"]]


def test_mail_can_be_put_and_labelled_on_the_pages(control, api):
    page = {"mailbox": GINA, "labels": "INBOX, CRM", "from": BO, "to": GINA, "subject": "Offer", "body": "Hi"}
    base = f"{control.world.control_url}/browse/google/message"
    answer = control.session.post(f"{base}/new", data=page, timeout=20)
    assert answer.status_code == 200 and "Saved." in answer.text

    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', answer.text.replace("&lt;", "<").replace("&gt;", ">")))
    saved = control.session.post(answer.url.partition("?")[0], data={**fields, "labels": "CRM"}, timeout=20)
    assert "Saved." in saved.text and "Offer" in control.session.get(base, timeout=20).text
    labels = {each["id"]: each["name"] for each in api.labels().list(userId="me").execute()["labels"]}
    found = api.messages().list(userId="me").execute()["messages"][0]["id"]
    assert [labels[id_] for id_ in api.messages().get(userId="me", id=found).execute()["labelIds"]] == ["CRM"]


# --- many -----------------------------------------------------------------------------------------------------------------
def test_many_messages_are_made_in_one_go_or_none(control):
    many = [{"mailbox": GINA, "from": BO, "subject": f"Mail {n}"} for n in range(50)]

    assert control.call("POST", "/google/messages", {"messages": many}).json() == {"created": 50}
    assert "bodyType" in control.refused("POST", "/google/messages", {"messages": [many[0], {**many[1], "bodyType": "x"}]})
    assert "list of objects" in control.refused("POST", "/google/messages", {"messages": ["x"]})
    assert len(control.call("GET", MESSAGE).json()["records"]) == 50


def test_a_large_mailbox_is_made_and_read_in_time(box):
    dated = {"mailbox": GINA, "from": BO, "receivedAt": "2026-10-20T09:00:00Z"}
    many = [{**dated, "subject": f"Mail {n}", "body": f"Number {n}"} for n in range(20_000)]

    started = time.perf_counter()
    box.system.gmail.by_hand.create_many({"messages": many})
    made = time.perf_counter() - started
    assert box.subjects(q="number 17", maxResults=500) == ["Mail 17"] and len(box.get("/messages", maxResults=500)["messages"]) == 500
    assert made < 20 and time.perf_counter() - started - made < 10


# --- the world ------------------------------------------------------------------------------------------------------------
def test_all_is_kept_over_a_restart(tmp_path, session):
    state = tmp_path / "state.sqlite3"
    first = World(seed=7, state_path=state)
    google = first.google
    gina, hugo = ({"mailbox": mailbox, "from": BO} for mailbox in (GINA, HUGO))
    google.create_record("message", {**gina, "subject": "Offer", "labels": ["CRM"], "receivedAt": "2026-10-20T09:00:00Z"})
    google.create_record("message", {**gina, "subject": "Re: Offer"})
    gone = google.create_record("message", {**hugo, "subject": "Gone"})
    google.create_record("message", {**gina, "from": GINA, "to": HUGO, "subject": "Hi", "deliver": True})
    first.keep()
    google.delete_record("message", gone["id"])
    first.keep()
    before, told = google.list_records("message"), google.mails
    cursor = google.gmail.mail.history_id(GINA)

    second = World(seed=7, state_path=state).google
    assert second.list_records("message") == before and second.mails == told and second.gmail.mail.history_id(GINA) == cursor
    made = second.create_record("message", {**gina, "subject": "Re: Offer"})
    assert made["thread"] == before[0]["thread"] and made["id"] > gone["id"]
    kinds = [row["kind"] for row in second.gmail.mail.history.after(HUGO, 0)]
    assert kinds == ["messageAdded", "messageAdded", "messageDeleted"]
    assert [row["subject"] for row in second.gmail.mail.messages.newest(GINA)][-1] == "Offer"


def test_a_sandbox_of_before_gmail_goes_on(session):
    world = World(seed=7)
    state = world.google.dump()
    for name in ("message", "gmailLabel", "gmailHistory", "gmailWatch"):
        del state["tables"][name], state["meta"]["next_ids"][name]
    del state["meta"]["mails"]

    world.google.restore(state)
    assert world.google.create_record("message", {"mailbox": GINA, "subject": "Hi"})["id"] == 1


def test_an_account_goes_with_its_mail(box):
    box.put(mailbox=HUGO, labels=["CRM"])
    kept = box.put()
    box.system.delete_record("user", box.system.find_id("user", HUGO))

    assert box.system.list_records("message") == [kept] and box.ids() == [kept["gmailId"]]
    box.system.create_record("user", {"email": HUGO})
    assert box.get("/profile", mailbox=HUGO)["messagesTotal"] == 0 and len(box.get("/labels", mailbox=HUGO)["labels"]) == 14


def test_the_call_log_and_faults_know_the_addresses(box):
    made = box.put()["gmailId"]
    world = box.google.world
    world.faults.add({"kind": "status", "system": "google", "path": "/gmail/v1/users/{user}/messages/{id}", "status": 503, "times": 1})

    refused(box.call("GET", f"/messages/{made}"), 503, "backendError")
    sent = box.send(mail())
    box.get(f"/messages/{made}", format="minimal")
    paths = list(world.counts["google"])
    assert "GET /gmail/v1/users/{user}/messages/{id}" in paths and "POST /gmail/v1/users/{user}/messages/send" in paths
    assert world.calls[-2]["resource_names"] == [sent["id"]] and world.calls[-2]["user"] == GINA


# --- google-api-python-client ---------------------------------------------------------------------------------------------
def test_the_client_works_with_labels(api):
    label = api.labels().create(userId="me", body={"name": "CRM/Salesforce"}).execute()
    assert raised(api.labels().create(userId="me", body={"name": "CRM/Salesforce"})).status_code == 409
    assert api.labels().patch(userId="me", id=label["id"], body={"name": "CRM"}).execute()["name"] == "CRM"
    assert api.labels().get(userId="me", id=label["id"]).execute()["messagesTotal"] == 0
    assert label["id"] in [each["id"] for each in api.labels().list(userId="me").execute()["labels"]]
    assert not api.labels().delete(userId="me", id=label["id"]).execute()


def test_the_client_pages_reads_and_modifies(api, control):
    many = [{"mailbox": GINA, "from": BO, "subject": f"Mail {n}", "attachments": [PDF]} for n in range(5)]
    control.call("POST", "/google/messages", {"messages": many})
    request, found = api.messages().list(userId="me", maxResults=2, labelIds=["INBOX"], q="has:attachment"), []
    while request is not None:
        page = request.execute()
        found += page["messages"]
        request = api.messages().list_next(request, page)
    assert len(found) == len({each["id"] for each in found}) == 5

    message = api.messages().get(userId="me", id=found[0]["id"], format="full").execute()
    attachment = message["payload"]["parts"][1]["body"]["attachmentId"]
    data = api.messages().attachments().get(userId="me", messageId=message["id"], id=attachment).execute()["data"]
    assert base64.urlsafe_b64decode(data + "==") == b"%PDF-1.7 offer"
    body = {"addLabelIds": ["STARRED"], "removeLabelIds": ["UNREAD"]}
    assert api.messages().modify(userId="me", id=message["id"], body=body).execute()["labelIds"] == ["INBOX", "STARRED"]
    changes = api.history().list(userId="me", startHistoryId=message["historyId"]).execute()
    assert [set(record) - {"id", "messages"} for record in changes["history"]] == [{"labelsAdded"}, {"labelsRemoved"}]
    assert not api.messages().batchModify(userId="me", body={"ids": [each["id"] for each in found], **body}).execute()
    control.call("POST", "/google/expire_history", {"mailbox": GINA})
    error = raised(api.history().list(userId="me", startHistoryId=message["historyId"]))
    assert error.status_code == 404 and error.error_details[0]["reason"] == "notFound"


def test_the_client_sends_and_reads_threads(api):
    sent = api.messages().send(userId=GINA, body={"raw": encoded(mail("Offer"))}).execute()
    thread = api.threads().get(userId="me", id=sent["threadId"], format="metadata", metadataHeaders=["Subject"]).execute()
    assert thread["messages"][0]["payload"]["headers"] == [{"name": "Subject", "value": "Offer"}]
    assert api.messages().trash(userId="me", id=sent["id"]).execute()["labelIds"] == ["SENT", "TRASH"]
    assert not api.messages().delete(userId="me", id=sent["id"]).execute()
    assert raised(api.messages().get(userId="me", id=sent["id"])).status_code == 404
    watch = api.watch(userId="me", body={"topicName": "projects/p1/topics/gmail"}).execute()
    assert watch["historyId"] == api.getProfile(userId="me").execute()["historyId"]
