"""The history of the played Gmail: what a reader with a cursor is told, and when the cursor is too old."""

import pytest

from tests.sandbox.gmail_box import GINA, HUGO, GmailBox, mail, refused

DAY = 86400


@pytest.fixture
def box(session):
    return GmailBox(session)


def kinds(records):
    return [next(key for key in record if key not in ("id", "messages")) for record in records]


def test_each_change_is_told_once_in_its_order(box):
    crm, cursor = box.label(), box.cursor()
    made = box.put()
    id_, ids = made["gmailId"], {"id": made["gmailId"], "threadId": made["thread"]}
    box.modify(id_, [crm], ["UNREAD"])
    box.post(f"/messages/{id_}/trash")
    box.good("DELETE", f"/messages/{id_}")

    records = box.history(cursor)
    expected = ["messagesAdded", "labelsAdded", "labelsRemoved", "labelsAdded", "labelsRemoved", "messagesDeleted"]
    assert kinds(records) == expected and all(record["messages"] == [ids] for record in records)
    assert records[0]["messagesAdded"] == [{"message": {**ids, "labelIds": ["UNREAD", "INBOX"]}}]
    assert records[1]["labelsAdded"] == [{"message": {**ids, "labelIds": ["UNREAD", "INBOX", crm]}, "labelIds": [crm]}]
    assert records[2]["labelsRemoved"][0]["labelIds"] == ["UNREAD"] and records[3]["labelsAdded"][0]["labelIds"] == ["TRASH"]
    numbers = [int(record["id"]) for record in records]
    assert numbers == sorted(numbers) and numbers[0] > int(cursor)
    assert box.get("/history", startHistoryId=box.cursor()) == {"historyId": box.cursor()}


def test_kinds_and_a_label_choose_what_is_told(box):
    crm, cursor = box.label(), box.cursor()
    made, _other = box.put()["gmailId"], box.put()
    box.modify(made, [crm])
    box.modify(made, ["STARRED"])
    box.modify(made, [], [crm])
    box.modify(made, [], ["STARRED"])

    assert kinds(box.history(cursor, historyTypes="messageAdded")) == ["messagesAdded", "messagesAdded"]
    assert kinds(box.history(cursor, historyTypes=["labelAdded", "labelRemoved"])) == ["labelsAdded"] * 2 + ["labelsRemoved"] * 2
    assert kinds(box.history(cursor, labelId=crm)) == ["labelsAdded", "labelsAdded", "labelsRemoved"]
    asked = {"startHistoryId": cursor, "historyTypes": "labelsAdded"}
    refused(box.call("GET", "/history", params=asked), 400, "invalidArgument", "historyTypes")


def test_pages_end_with_the_present_cursor(box):
    cursor = box.cursor()
    made = [box.put(f"Mail {n}")["gmailId"] for n in range(5)]

    first = box.get("/history", startHistoryId=cursor, maxResults=2)
    made.append(box.put("Late")["gmailId"])
    second = box.get("/history", startHistoryId=cursor, maxResults=2, pageToken=first["nextPageToken"])
    third = box.get("/history", startHistoryId=cursor, maxResults=2, pageToken=second["nextPageToken"])
    told = [record["messages"][0]["id"] for page in (first, second, third) for record in page["history"]]
    assert told == made and "nextPageToken" not in third
    assert box.history(third["historyId"]) == [] and third["historyId"] == box.cursor()


def test_the_cursor_of_a_message_works_too(box):
    made = box.put()["gmailId"]
    cursor = box.get(f"/messages/{made}", format="minimal")["historyId"]
    box.modify(made, ["STARRED"])

    assert kinds(box.history(cursor)) == ["labelsAdded"]


def test_a_cursor_lives_a_week(box):
    start = box.cursor()
    box.put("First")
    early = box.cursor()
    box.clock.forward(7 * DAY - 10)
    box.put("Second")
    assert len(box.history(start)) == 2
    box.clock.forward(20)

    # Who stands at the end of what was forgotten has missed nothing.
    assert kinds(box.history(early)) == ["messagesAdded"]
    refused(box.call("GET", "/history", params={"startHistoryId": start}), 404, "notFound")
    box.clock.forward(30 * DAY)
    refused(box.call("GET", "/history", params={"startHistoryId": early}), 404, "notFound")
    assert box.history(box.cursor()) == []


def test_cursors_can_be_made_too_old_at_once(box):
    box.put()
    cursor = box.cursor()
    hugos = box.cursor(HUGO)
    fresh = box.system.gmail.by_hand.expire_history({"mailbox": GINA})["historyId"]

    refused(box.call("GET", "/history", params={"startHistoryId": cursor}), 404, "notFound")
    assert box.cursor() == fresh and box.history(fresh) == []
    box.put()
    assert len(box.history(fresh)) == 1
    assert box.get("/history", mailbox=HUGO, startHistoryId=hugos) == {"historyId": hugos}


@pytest.mark.parametrize(("cursor", "status"), [("", 400), ("abc", 400), ("-1", 400), ("0", 404), ("999999999", 404)])
def test_a_cursor_that_was_never_given_out_is_refused(box, cursor, status):
    answer = box.call("GET", "/history", params={"startHistoryId": cursor})
    refused(answer, status, "notFound" if status == 404 else "invalidArgument")


def test_a_label_that_goes_is_told_of_its_messages(box):
    crm = box.label()
    box.put(labels=["CRM/Salesforce"])
    cursor = box.cursor()
    box.good("DELETE", f"/labels/{crm}")

    assert kinds(box.history(cursor)) == ["labelsRemoved"]


def test_mail_changes_the_cursor_of_its_mailbox_only(box):
    gina, hugo = box.cursor(), box.cursor(HUGO)
    box.send(mail(to=HUGO))

    assert kinds(box.history(gina)) == ["messagesAdded"]
    told = box.get("/history", mailbox=HUGO, startHistoryId=hugo)["history"]
    assert told[0]["messagesAdded"][0]["message"]["labelIds"] == ["UNREAD", "INBOX"]


def test_push_is_promised_for_a_week(box):
    topic = {"topicName": "projects/p1/topics/gmail", "labelIds": ["INBOX"], "labelFilterBehavior": "include"}

    promised = box.post("/watch", topic)
    assert promised == {"historyId": box.cursor(), "expiration": str((int(box.google.now()) + 7 * DAY) * 1000)}
    assert box.post("/watch", topic) == promised
    other = {"topicName": "projects/p1/topics/other"}
    refused(box.call("POST", "/watch", json=other), 400, "invalidArgument", "Only one user push notification client")
    refused(box.call("POST", "/watch", json={"topicName": "gmail"}), 400, "invalidArgument", "Invalid topicName")
    assert box.post("/stop") is None and box.post("/stop") is None
    assert box.post("/watch", other)["expiration"]
