"""The played Gmail: labels, lists, the formats of a message, what changes it, and what is refused."""

import base64

import pytest

from tests.sandbox.gmail_box import AUTH, BO, EVERYTHING, GINA, HUGO, GmailBox, decoded, encoded, header, mail, refused

PDF = {"name": "offer.pdf", "contentType": "application/pdf", "content": base64.b64encode(b"%PDF-1.7 offer").decode()}
MODIFY, METADATA, READONLY, LABELS = (f"{AUTH}gmail.{name}" for name in ("modify", "metadata", "readonly", "labels"))


@pytest.fixture
def box(session):
    return GmailBox(session)


# --- labels ---------------------------------------------------------------------------------------------------------------
def test_labels_of_the_system_and_own_ones_are_listed(box):
    id_ = box.label()

    labels = {each["id"]: each for each in box.get("/labels")["labels"]}
    assert labels["INBOX"] == {"id": "INBOX", "name": "INBOX", "type": "system"}
    assert labels["CATEGORY_SOCIAL"]["labelListVisibility"] == "labelHide"
    assert labels[id_]["name"] == "CRM/Salesforce" and labels[id_]["type"] == "user" and labels[id_]["messageListVisibility"] == "show"
    assert {each["id"] for each in box.get("/labels", mailbox=HUGO)["labels"]} == set(labels) - {id_}


@pytest.mark.parametrize(
    ("name", "status", "reason", "says"),
    [
        ("CRM/Salesforce", 409, "aborted", "Label name exists or conflicts"),
        ("crm/salesforce", 409, "aborted", "Label name exists or conflicts"),
        ("inbox", 400, "invalidArgument", "Invalid label name"),
        ("  ", 400, "invalidArgument", "Invalid label name"),
        ("A//B", 400, "invalidArgument", "Invalid label name"),
        ("x" * 226, 400, "invalidArgument", "Invalid label name"),
    ],
)
def test_a_label_name_that_cannot_be_is_refused(box, name, status, reason, says):
    box.label()
    refused(box.call("POST", "/labels", json={"name": name}), status, reason, says)


def test_labels_are_changed_and_deleted_with_what_they_count(box):
    id_ = box.label()
    read, unread = box.put(labels=["CRM/Salesforce"]), box.put(labels=["CRM/Salesforce", "UNREAD"])

    counts = box.get(f"/labels/{id_}")
    assert (counts["messagesTotal"], counts["messagesUnread"], counts["threadsTotal"], counts["threadsUnread"]) == (2, 1, 2, 1)
    color = {"backgroundColor": "#16a766", "textColor": "#ffffff"}
    patched = box.good("PATCH", f"/labels/{id_}", json={"name": "CRM", "color": color})
    assert patched["name"] == "CRM" and patched["color"] == color and patched["labelListVisibility"] == "labelShow"
    refused(box.call("PATCH", f"/labels/{id_}", json={"color": {**color, "textColor": "#123456"}}), 400, "invalidArgument", "palette")
    refused(box.call("DELETE", "/labels/INBOX"), 400, "invalidArgument", "Invalid delete request")
    assert box.good("DELETE", f"/labels/{id_}") is None
    refused(box.call("GET", f"/labels/{id_}"), 404, "notFound")
    assert box.labels_of(read["gmailId"]) == [] and box.labels_of(unread["gmailId"]) == ["UNREAD"]


# --- lists ----------------------------------------------------------------------------------------------------------------
def test_an_empty_list_has_no_messages_key(box):
    assert box.get("/messages") == {"resultSizeEstimate": 0}
    assert box.get("/threads") == {"resultSizeEstimate": 0}


def test_lists_come_newest_first_in_pages_that_new_mail_does_not_shift(box):
    made = [box.put(f"Mail {n}", receivedAt=f"2026-10-{n + 10}T09:00:00Z")["gmailId"] for n in range(5)]

    first = box.get("/messages", maxResults=2)
    box.put("New", receivedAt="2026-10-31T09:00:00Z")
    second = box.get("/messages", maxResults=2, pageToken=first["nextPageToken"])
    third = box.get("/messages", maxResults=2, pageToken=second["nextPageToken"])
    assert [each["id"] for page in (first, second, third) for each in page["messages"]] == made[::-1]
    assert "nextPageToken" not in third and set(first["messages"][0]) == {"id", "threadId"}
    other = {"maxResults": 2, "q": "x", "pageToken": first["nextPageToken"]}
    refused(box.call("GET", "/messages", params=other), 400, "invalidArgument", "Invalid pageToken")
    refused(box.call("GET", "/messages", params={"maxResults": 501}), 400, "invalidArgument", "maxResults")


def test_several_labels_must_all_be_there_and_trash_is_left_out(box):
    both = box.put("Both", labels=["INBOX", "CRM"])["gmailId"]
    box.put("One", labels=["INBOX"])
    gone = box.put("Gone", labels=["CRM", "TRASH"])["gmailId"]
    crm = next(each["id"] for each in box.get("/labels")["labels"] if each["name"] == "CRM")

    assert box.ids(labelIds=["INBOX", crm]) == [both] == box.ids(labelIds=crm)
    assert box.ids(labelIds=crm, includeSpamTrash="true") == [gone, both] and box.ids(labelIds="TRASH") == [gone]
    refused(box.call("GET", "/messages", params={"labelIds": "CRM"}), 400, "invalidArgument", "Invalid label: CRM")
    refused(box.call("GET", "/messages", params={"labelId": crm}), 400, "invalidArgument", "labelId")


# --- formats --------------------------------------------------------------------------------------------------------------
def test_a_message_with_an_attachment_in_full(box):
    made = box.put("Größe", body="Hello\nBo", attachments=[PDF], receivedAt="2026-10-20T09:00:00Z", cc="Jürgen <j@acme.example>")

    message = box.get(f"/messages/{made['gmailId']}")
    text, file = message["payload"]["parts"]
    assert message["payload"]["mimeType"] == "multipart/mixed" and message["internalDate"] == "1792486800000"
    assert header(message, "Subject") == "Größe" and header(message, "Cc") == "Jürgen <j@acme.example>"
    assert header(message, "Message-ID") == made["messageId"] and message["labelIds"] == ["UNREAD", "INBOX"]
    assert decoded(text["body"]["data"]) == b"Hello\nBo" and text["partId"] == "0" and message["snippet"] == "Hello Bo"
    assert file["filename"] == "offer.pdf" and file["body"]["size"] == 14 and "data" not in file["body"]
    content = box.get(f"/messages/{made['gmailId']}/attachments/{file['body']['attachmentId']}")
    assert content["size"] == 14 and decoded(content["data"]) == b"%PDF-1.7 offer"


def test_attachment_ids_change_between_reads_and_old_ones_still_work(box):
    made = box.put(attachments=[PDF])["gmailId"]
    other = box.put(attachments=[PDF])["gmailId"]

    first, second = (box.get(f"/messages/{made}")["payload"]["parts"][1]["body"]["attachmentId"] for _ in range(2))
    assert first != second
    for id_ in (first, second):
        assert box.get(f"/messages/{made}/attachments/{id_}")["size"] == 14
    for path in (f"/messages/{other}/attachments/{first}", f"/messages/{made}/attachments/abc"):
        refused(box.call("GET", path), 400, "invalidArgument", "Invalid attachment token")


def test_a_mail_in_html_has_both_texts(box):
    made = box.put(body="<p>Hello &amp; <b>bye</b></p><style>x</style>", bodyType="html")["gmailId"]

    message = box.get(f"/messages/{made}")
    plain, html = message["payload"]["parts"]
    assert message["payload"]["mimeType"] == "multipart/alternative" and html["mimeType"] == "text/html"
    assert b"Hello &amp; <b>bye</b>" in decoded(html["body"]["data"]) and decoded(plain["body"]["data"]).split() == [b"Hello", b"&", b"bye"]
    assert message["snippet"] == "Hello &amp; bye"


def test_metadata_minimal_and_raw(box):
    made = box.put(attachments=[PDF], headers={"X-Mailer": "Fox"})["gmailId"]

    asked = {"format": "metadata", "metadataHeaders": ["from", "x-mailer"]}
    assert box.get(f"/messages/{made}", **asked)["payload"] == {
        "mimeType": "multipart/mixed",
        "headers": [{"name": "From", "value": BO}, {"name": "X-Mailer", "value": "Fox"}],
    }
    assert {"Date", "Message-ID", "To"} <= {h["name"] for h in box.get(f"/messages/{made}", format="metadata")["payload"]["headers"]}
    minimal = box.get(f"/messages/{made}", format="minimal")
    assert "payload" not in minimal and isinstance(minimal["historyId"], str) and isinstance(minimal["sizeEstimate"], int)
    raw = decoded(box.get(f"/messages/{made}", format="raw")["raw"])
    assert raw == decoded(box.get(f"/messages/{made}", format="raw")["raw"]) and b"\r\nX-Mailer: Fox\r\n" in raw
    refused(box.call("GET", f"/messages/{made}", params={"format": "html"}), 400, "invalidArgument", "format")


def test_what_was_inserted_is_given_back_byte_by_byte_and_read_in_its_own_charset(box):
    text = (
        b"from: =?iso-8859-1?q?J=FCrgen?= <j@acme.example>\r\nMESSAGE-ID: <M1@acme.example>\r\nSubject: A\r\n long one\r\n"
        b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xfc\xdfe\r\n"
    )
    made = box.post("/messages", {"raw": encoded(text), "labelIds": ["INBOX"]})

    message = box.get(f"/messages/{made['id']}")
    assert decoded(box.get(f"/messages/{made['id']}", format="raw")["raw"]) == text and made["labelIds"] == ["INBOX"]
    assert decoded(message["payload"]["body"]["data"]).decode() == "Grüße\r\n" and message["snippet"] == "Grüße"
    assert [h["name"] for h in message["payload"]["headers"]][:3] == ["from", "MESSAGE-ID", "Subject"]
    assert header(message, "from") == "Jürgen <j@acme.example>" and header(message, "Subject") == "A long one"
    assert box.ids(q="rfc822msgid:M1@acme.example") == [made["id"]] == box.ids(q="grüße")


def test_a_mail_within_a_mail_is_one_file_with_parts(box):
    inner = base64.b64encode(mail("Inner", body="Deep").replace("\n", "\r\n").encode()).decode()
    made = box.put(attachments=[{"name": "inner.eml", "contentType": "message/rfc822", "content": inner}])["gmailId"]

    part = box.get(f"/messages/{made}")["payload"]["parts"][1]
    assert part["mimeType"] == "message/rfc822" and part["filename"] == "inner.eml" and part["body"]["attachmentId"]
    assert part["parts"][0]["partId"] == "1.0" and decoded(part["parts"][0]["body"]["data"]).strip() == b"Deep"


def test_import_takes_the_date_of_the_mail_and_insert_the_present(box):
    text = encoded(mail(From=BO, Date="Tue, 20 Oct 2026 09:00:00 +0000", Message_ID="<m@acme.example>"))

    imported, inserted = box.post("/messages/import", {"raw": text}), box.post("/messages", {"raw": text})
    assert box.get(f"/messages/{imported['id']}")["internalDate"] == "1792486800000" and "labelIds" not in imported
    assert box.get(f"/messages/{inserted['id']}")["internalDate"] == str(int(box.google.now()) * 1000)
    dated = box.post("/messages", {"raw": text}, internalDateSource="dateHeader")
    assert box.get(f"/messages/{dated['id']}")["internalDate"] == "1792486800000"


# --- changing -------------------------------------------------------------------------------------------------------------
def test_labels_are_added_and_removed(box):
    made, crm = box.put()["gmailId"], box.label()

    assert box.modify(made, [crm, "STARRED"], ["UNREAD"])["labelIds"] == ["INBOX", crm, "STARRED"]
    assert box.modify(made, [crm], ["UNREAD"])["labelIds"] == ["INBOX", crm, "STARRED"]
    change = {"addLabelIds": ["STARRED"], "removeLabelIds": []}
    for body, says in (
        ({}, "No label add or removes"),
        ({"addLabelIds": ["Label_99"]}, "Invalid label: Label_99"),
        ({"addLabelIds": ["SENT"]}, "Invalid label: SENT"),
        ({"addLabelIds": [crm], "removeLabelIds": [crm]}, "both"),
        ({"addLabelIds": [crm] * 101}, "100"),
    ):
        refused(box.call("POST", f"/messages/{made}/modify", json=body), 400, "invalidArgument", says)
    refused(box.call("POST", "/messages/19a00000000000ff/modify", json=change), 404, "notFound")
    refused(box.call("POST", "/messages/Hello/modify", json=change), 400, "invalidArgument", "Invalid id value")
    refused(box.call("POST", f"/messages/{made}/modify", json={"labels": []}), 400, "invalidArgument", "Unknown name")


def test_many_messages_are_changed_at_once(box):
    made, crm = [box.put()["gmailId"] for _ in range(3)], box.label()

    assert box.post("/messages/batchModify", {"ids": [*made, "19a00000000000ff"], "addLabelIds": [crm]}) is None
    assert sorted(box.ids(labelIds=crm)) == made
    box.system.set_switches({"gmail_batch_missing": "refuse"})
    body = {"ids": [*made, "19a00000000000ff"], "removeLabelIds": [crm]}
    refused(box.call("POST", "/messages/batchModify", json=body), 404, "notFound")
    assert sorted(box.ids(labelIds=crm)) == made
    for ids in ([], [made[0] + str(n) for n in range(1001)]):
        body = {"ids": ids, "addLabelIds": [crm]}
        refused(box.call("POST", "/messages/batchModify", json=body), 400, "invalidArgument", "message ids specified")
    assert box.post("/messages/batchDelete", {"ids": made[:2]}) is None
    assert box.ids() == made[2:]


def test_trash_and_untrash_and_delete(box):
    made = box.put()["gmailId"]

    assert box.post(f"/messages/{made}/trash")["labelIds"] == ["UNREAD", "TRASH"]
    assert box.ids() == [] and box.post(f"/messages/{made}/untrash")["labelIds"] == ["UNREAD"]
    assert box.good("DELETE", f"/messages/{made}") is None
    refused(box.call("GET", f"/messages/{made}"), 404, "notFound")
    assert box.get("/profile")["messagesTotal"] == 0


# --- rights, quotas -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "path", "scopes", "status"),
    [
        ("GET", "/profile", METADATA, 200),
        ("GET", "/labels", LABELS, 200),
        ("GET", "/messages", LABELS, 403),
        ("GET", "/messages", METADATA, 200),
        ("GET", "/history?startHistoryId=1", READONLY, 200),
        ("POST", "/labels", READONLY, 403),
        ("POST", "/labels", MODIFY, 200),
        ("POST", "/messages/{id}/trash", READONLY, 403),
        ("POST", "/messages/{id}/trash", MODIFY, 200),
        ("DELETE", "/messages/{id}", MODIFY, 403),
        ("DELETE", "/messages/{id}", EVERYTHING, 204),
        ("GET", "/messages/{id}", f"{AUTH}contacts", 403),
    ],
)
def test_each_call_needs_its_scope(box, method, path, scopes, status):
    where, _, query = path.replace("{id}", box.put()["gmailId"]).partition("?")
    params = dict([query.split("=")]) if query else {}
    body = {"name": "X"} if path == "/labels" and method == "POST" else None

    answer = box.call(method, where, scopes=scopes, json=body, params=params)
    assert answer.status_code == status
    if status == 403:
        error = refused(answer, 403, "insufficientPermissions")
        assert error["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


def test_the_metadata_scope_sees_no_bodies(box):
    made = box.put(body="Secret")["gmailId"]

    refused(box.call("GET", "/messages", scopes=METADATA, params={"q": "secret"}), 403, "forbidden", "'q' parameter")
    for asked in ({}, {"format": "full"}, {"format": "raw"}):
        refused(box.call("GET", f"/messages/{made}", scopes=METADATA, params=asked), 403, "forbidden", "Metadata scope")
    seen = box.good("GET", f"/messages/{made}", scopes=METADATA, params={"format": "metadata"})
    assert "Secret" not in str(seen) and header(seen, "From") == BO
    both = f"{METADATA} {READONLY}"
    assert box.call("GET", f"/messages/{made}", scopes=both).status_code == 200
    box.system.set_switches({"gmail_metadata_scope_wins": True})
    refused(box.call("GET", f"/messages/{made}", scopes=both), 403, "forbidden", "format FULL")


def test_other_mailboxes_are_closed(box):
    assert box.get(f"/gmail/v1/users/{GINA}/profile")["emailAddress"] == GINA
    refused(box.call("GET", f"/gmail/v1/users/{HUGO}/profile"), 403, "forbidden", f"Delegation denied for {GINA}")
    made = box.put(mailbox=HUGO)
    refused(box.call("GET", f"/messages/{made['gmailId']}"), 404, "notFound")
    refused(box.call("GET", f"/threads/{made['thread']}"), 404, "notFound")
    anonymous = box.google.raw("GET", "/gmail/v1/users/me/profile", headers={"Authorization": "Bearer nobody"})
    refused(anonymous, 401, "authError")
    for path in ("/drafts", "/settings/filters", "/messages/1/2/3"):
        assert box.call("GET", path).status_code == 404
    box.system.set_switches({"disabled_services": ["gmail"]})
    refused(box.call("GET", "/profile"), 403, "accessNotConfigured", "gmail.googleapis.com")


def test_quota_units_are_counted_by_user_and_minute(box):
    made = box.put()["gmailId"]
    box.system.set_switches({"gmail_units_per_minute": 45})

    assert [box.call("GET", f"/messages/{made}").status_code for _ in range(3)] == [200, 200, 429]
    error = refused(box.call("GET", f"/messages/{made}"), 429, "rateLimitExceeded", "Queries per minute per user")
    assert error["details"][0]["reason"] == "RATE_LIMIT_EXCEEDED" and error["errors"][0]["domain"] == "usageLimits"
    assert box.call("GET", "/messages").status_code == 200 and box.call("GET", "/messages", mailbox=HUGO).status_code == 200
    box.system.set_switches({"quota_status": 403})
    refused(box.call("GET", "/labels"), 403, "rateLimitExceeded", "Rate Limit Exceeded")
    box.clock.forward(61)
    assert box.call("GET", f"/messages/{made}").status_code == 200


def test_a_part_of_an_answer_is_given_where_asked_for(box):
    made = box.put()["gmailId"]
    assert box.get("/messages", fields="messages(id)") == {"messages": [{"id": made}]}
    assert box.get(f"/messages/{made}", fields="payload/headers/name,id")["payload"]["headers"][0].keys() == {"name"}
