"""Sending in the played Gmail: copies for everybody inside, threads, and the list of mails that left."""

import pytest

from tests.sandbox.gmail_box import GINA, HUGO, GmailBox, decoded, encoded, header, mail, refused


@pytest.fixture
def box(session):
    return GmailBox(session)


def full(box, id_, mailbox=GINA):
    return box.get(f"/messages/{id_}", mailbox=mailbox)


def test_a_mail_comes_to_everybody_inside_and_is_told(box):
    sent = box.send(mail("Offer", to=f"Hugo <{HUGO}>, bo@acme.example", body="Price", Cc="Cy <cy@acme.example>"))

    own, received = full(box, sent["id"]), full(box, box.ids(mailbox=HUGO)[0], HUGO)
    assert own["labelIds"] == ["SENT"] and received["labelIds"] == ["UNREAD", "INBOX"]
    assert header(own, "Message-ID") == header(received, "Message-ID") and header(own, "From") == GINA
    assert decoded(received["payload"]["body"]["data"]).strip() == b"Price" and received["id"] != own["id"]
    assert header(received, "Date") == "Sun, 01 Nov 2026 10:00:00 +0000" and own["internalDate"] == str(int(box.google.now()) * 1000)
    told = {"system": "google", "mailbox": GINA, "kind": "message", "to": [HUGO, "bo@acme.example", "cy@acme.example"]}
    assert box.system.mails == [{**told, "subject": "Offer", "at": "2026-11-01T10:00:00.000Z"}]


def test_blind_copies_are_seen_by_the_sender_only(box):
    sent = box.send(mail(to="bo@acme.example", Bcc=HUGO))

    received = full(box, box.ids(mailbox=HUGO)[0], HUGO)
    assert header(full(box, sent["id"]), "Bcc") == HUGO and header(received, "Bcc") == ""
    raw = decoded(box.get(f"/messages/{received['id']}", mailbox=HUGO, format="raw")["raw"])
    assert b"Bcc" not in raw and b"To: bo@acme.example\r\n" in raw


def test_the_sender_is_always_the_mailbox_and_the_message_id_googles_own(box):
    sent = full(box, box.send(mail(From="The Boss <boss@acme.example>", Message_ID="<own@acme.example>"))["id"])
    assert header(sent, "From") == f"The Boss <{GINA}>" and header(sent, "Message-ID") not in ("", "<own@acme.example>")

    box.system.set_switches({"gmail_keeps_message_id": True})
    kept = full(box, box.send(mail(From=f"Gina <{GINA}>", Message_ID="<own@acme.example>"))["id"])
    assert header(kept, "From") == f"Gina <{GINA}>" and header(kept, "Message-ID") == "<own@acme.example>"


def test_a_mail_to_oneself_is_one_message_in_both_places(box):
    sent = box.send(mail(to=f"{GINA}, {HUGO}"))
    assert box.ids() == [sent["id"]] and set(sent["labelIds"]) == {"SENT", "INBOX", "UNREAD"} and len(box.ids(mailbox=HUGO)) == 1


def test_nobody_gets_mail_who_is_suspended(box):
    box.system.update_record("user", box.system.find_id("user", HUGO), {"suspended": True})
    box.send(mail(to=HUGO))
    box.system.update_record("user", box.system.find_id("user", HUGO), {"suspended": False})
    assert box.ids(mailbox=HUGO) == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "'raw' RFC822 payload message"),
        ({"raw": "a+/b"}, "Base64 decoding failed"),
        ({"raw": "abcde"}, "Base64 decoding failed"),
        ({"raw": encoded("Subject: X\n\nHi")}, "Recipient address required"),
        ({"raw": encoded(mail()), "thread": "x"}, "Unknown name"),
        ({"raw": 7}, "message.raw"),
    ],
)
def test_a_mail_that_cannot_be_sent_is_refused(box, body, says):
    refused(box.call("POST", "/messages/send", json=body), 400, "invalidArgument", says)
    assert box.ids() == [] and box.system.mails == []


# --- threads --------------------------------------------------------------------------------------------------------------
def test_answers_go_on_the_thread_in_each_mailbox(box):
    first = box.send(mail("Offer"))
    name = header(full(box, first["id"]), "Message-ID")
    box.clock.forward(60)
    answer = box.send(mail("RE: Offer", to=GINA, In_Reply_To=name, References=name), mailbox=HUGO)

    thread = box.get(f"/threads/{first['threadId']}")
    assert [message["labelIds"] for message in thread["messages"]] == [["SENT"], ["UNREAD", "INBOX"]]
    hugos = box.get(f"/threads/{answer['threadId']}", mailbox=HUGO, format="minimal")["messages"]
    assert [message["labelIds"] for message in hugos] == [["UNREAD", "INBOX"], ["SENT"]] and answer["threadId"] != first["threadId"]
    assert thread["historyId"] == box.cursor()
    assert box.get("/profile")["threadsTotal"] == 1 and box.get("/profile")["messagesTotal"] == 2


def test_another_subject_begins_another_thread(box):
    first = box.send(mail("Offer"))
    name = header(full(box, first["id"]), "Message-ID")

    assert box.send(mail("Invoice", In_Reply_To=name))["threadId"] != first["threadId"]
    assert box.send(mail("Invoice"), threadId=first["threadId"])["threadId"] != first["threadId"]
    assert box.send(mail("Re: offer"), threadId=first["threadId"])["threadId"] == first["threadId"]
    assert box.send(mail("Offer"))["threadId"] != first["threadId"]
    missing = {"raw": encoded(mail("Offer")), "threadId": "19a00000000000ff"}
    refused(box.call("POST", "/messages/send", json=missing), 404, "notFound")


def test_an_answer_without_references_goes_on_by_its_subject(box):
    first = box.send(mail("Offer"))
    assert box.send(mail("Re: Offer"))["threadId"] == first["threadId"] == box.send(mail("AW: Re: offer"))["threadId"]
    assert box.send(mail("Re: Offer", References="<other@acme.example>"))["threadId"] != first["threadId"]


def test_threads_are_listed_newest_first_in_pages(box):
    made = []
    for n in range(5):
        box.clock.forward(60)
        made.append(box.put(f"Mail {n}")["thread"])
    box.clock.forward(60)
    box.put("Re: Mail 0", body="Again")

    first = box.get("/threads", maxResults=2)
    second = box.get("/threads", maxResults=2, pageToken=first["nextPageToken"])
    third = box.get("/threads", maxResults=2, pageToken=second["nextPageToken"])
    listed = [thread["id"] for page in (first, second, third) for thread in page["threads"]]
    assert listed == [made[0], made[4], made[3], made[2], made[1]] and "nextPageToken" not in third
    assert first["threads"][0]["snippet"] == "Again"


def test_a_whole_thread_is_labelled_trashed_and_deleted(box):
    first, crm = box.put("Offer"), box.label()
    second = box.put("Re: Offer")
    thread = f"/threads/{first['thread']}"

    changed = box.post(f"{thread}/modify", {"addLabelIds": [crm], "removeLabelIds": ["UNREAD"]})
    assert [message["labelIds"] for message in changed["messages"]] == [["INBOX", crm]] * 2
    assert box.post(f"{thread}/trash")["messages"][1]["labelIds"] == [crm, "TRASH"] and box.ids() == []
    box.post(f"{thread}/untrash")
    box.good("DELETE", f"/messages/{first['gmailId']}")
    assert [message["id"] for message in box.get(thread)["messages"]] == [second["gmailId"]]
    assert box.good("DELETE", thread) is None
    refused(box.call("GET", thread), 404, "notFound")
    refused(box.call("GET", thread, params={"format": "raw"}), 400, "invalidArgument", "format")
