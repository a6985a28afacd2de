"""Mail of the played Microsoft Graph: folders, messages, attachments, rounds, what is sent, and mail by hand."""

import base64
import time
from email import message_from_bytes
from email.policy import default
from urllib.parse import quote

import pytest

from connectors.sandbox.world import World
from tests.sandbox.graph import ANN, BOB, IMMUTABLE, OURS, refused

TEXT = {"Prefer": 'outlook.body-content-type="text"'}
PDF = base64.b64encode(b"%PDF-1.4 quote").decode()
FILE = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "a.pdf", "contentBytes": PDF}


def to(*addresses):
    return [{"emailAddress": {"address": address}} for address in addresses]


def mail(graph, **values):
    """Puts a mail into ann's mailbox by hand. Returns its row."""
    return graph.system.create_record("message", {"mailbox": ANN, "from": "Bo Li <bo@widgets.example>", **values})


def send(graph, sender=ANN, headers=None, **message):
    return graph.call("POST", f"/users/{sender}/sendMail", json={"message": message}, headers=headers)


def subjects(rows):
    return [row["subject"] for row in rows]


# --- folders --------------------------------------------------------------------------------------------------------------
def test_a_mailbox_has_its_folders_from_the_start(graph):
    listed = graph.all("mailFolders", top="50")

    assert [f["displayName"] for f in listed] == [
        "Inbox", "Drafts", "Sent Items", "Deleted Items", "Archive", "Junk Email", "Outbox"
    ]  # fmt: skip
    top = graph.get("mailFolders/msgfolderroot")
    assert {f["parentFolderId"] for f in listed} == {top["id"]} and top["childFolderCount"] == 7
    for name in ("inbox", "sentitems", "drafts", "deleteditems", "archive", "junkemail", "outbox"):
        folder = graph.get(f"mailFolders/{name}")
        assert graph.get(f"mailFolders/{quote(folder['id'])}") == folder and folder in [{**f, **_context(folder)} for f in listed]
    assert graph.get("mailFolders('Inbox')")["id"] == listed[0]["id"]


def _context(body):
    return {"@odata.context": body["@odata.context"]}


def test_folders_are_made_found_renamed_moved_and_deleted(graph):
    ours = graph.create("mailFolders", displayName="Salesforce Emails")
    path = f"mailFolders/{quote(ours['id'])}"

    assert refused(graph.call("POST", "mailFolders", json={"displayName": "salesforce emails"})) == (409, "ErrorFolderExists")
    assert [f["id"] for f in graph.all("mailFolders", filter="displayName eq 'Salesforce Emails'")] == [ours["id"]]
    child = graph.create(f"{path}/childFolders", displayName="Old")
    assert graph.all(f"{path}/childFolders") == [{k: v for k, v in child.items() if k != "@odata.context"}]
    assert graph.get(path)["childFolderCount"] == 1
    assert graph.call("PATCH", path, json={"displayName": "Ours"}).json()["displayName"] == "Ours"
    moved = graph.call("POST", f"{path}/childFolders/{quote(child['id'])}/move", json={"destinationId": "archive"}).json()
    assert moved["id"] == child["id"] and moved["parentFolderId"] == graph.get("mailFolders/archive")["id"]
    assert refused(graph.call("POST", f"{path}/move", json={"destinationId": ours["id"]})) == (400, "ErrorMoveCopyFailed")
    assert graph.call("DELETE", path).status_code == 204
    assert graph.get(path)["parentFolderId"] == graph.get("mailFolders/deleteditems")["id"]
    assert graph.call("DELETE", path).status_code == 204
    assert refused(graph.call("GET", path)) == (404, "ErrorItemNotFound")
    assert refused(graph.call("DELETE", "mailFolders/inbox")) == (400, "ErrorDeleteDistinguishedFolder")
    assert refused(graph.call("PATCH", "mailFolders/archive", json={"displayName": "X"})) == (400, "ErrorDeleteDistinguishedFolder")


def test_folders_count_what_is_in_them(graph):
    mail(graph, subject="read", isRead=True)
    mail(graph, subject="new")
    inbox = graph.get("mailFolders/inbox")
    assert (inbox["totalItemCount"], inbox["unreadItemCount"]) == (2, 1)


# --- messages read ----------------------------------------------------------------------------------------------------------
def test_a_mail_reads_as_html_or_text_and_more_comes_by_select_only(graph):
    row = mail(graph, subject="Quote", to=[f"Ann Archer <{ANN}>"], cc=["Cy <cy@x.example>"], bodyType="html",
               receivedDateTime="2026-10-01T09:00:00+02:00", headers={"X-Mailer": "post"},
               body="<p>Hello &amp; bye</p><p>Bo<br>CTO</p><blockquote>the old mail</blockquote>")  # fmt: skip
    path = f"messages/{quote(row['id'])}"

    body = graph.get(path)
    assert body["body"]["contentType"] == "html" and "<p>Hello &amp; bye</p>" in body["body"]["content"]
    assert body["from"] == body["sender"] == {"emailAddress": {"name": "Bo Li", "address": "bo@widgets.example"}}
    assert body["toRecipients"] == [{"emailAddress": {"name": "Ann Archer", "address": ANN}}]
    assert (body["receivedDateTime"], body["isDraft"], body["flag"]) == ("2026-10-01T07:00:00Z", False, {"flagStatus": "notFlagged"})
    assert body["bodyPreview"].startswith("Hello & bye") and "uniqueBody" not in body and "internetMessageHeaders" not in body
    answer = graph.call("GET", path, headers=TEXT, params={"$select": "body,uniqueBody,internetMessageHeaders"})
    assert answer.headers["Preference-Applied"] == 'outlook.body-content-type="text"'
    told = answer.json()
    assert set(told) == {"@odata.context", "@odata.etag", "id", "body", "uniqueBody", "internetMessageHeaders"}
    assert told["uniqueBody"]["contentType"] == "text" and "the old mail" in told["body"]["content"]
    assert "the old mail" not in told["uniqueBody"]["content"] and told["uniqueBody"]["content"].endswith("Bo\r\nCTO")
    assert told["internetMessageHeaders"] == [{"name": "X-Mailer", "value": "post"}]


@pytest.mark.parametrize(
    "quoted", ["> old", "On 3 May 2026, Ann wrote:\n> old", "-----Original Message-----\nFrom: Ann", "From: Ann\nSent: today"]
)
def test_what_is_new_in_a_plain_mail_ends_before_the_one_it_answers(graph, quoted):
    row = mail(graph, body=f"Yes.\nBo\n\n{quoted}\nmore")
    told = graph.get(f"messages/{quote(row['id'])}", TEXT, select="uniqueBody")
    assert told["uniqueBody"] == {"contentType": "text", "content": "Yes.\nBo"}


def test_lists_are_searched_and_ordered(graph):
    for n in range(5):
        mail(graph, subject=f"M{n}", receivedDateTime=f"2026-10-0{n + 1}T09:00:00Z", categories=["Salesforce"] if n % 2 else [],
             internetMessageId=f"<m{n}@x.example>", conversation=f"c{n % 2}", isRead=n == 3,
             attachments=[{"name": "a.pdf", "content": PDF}] if n == 2 else [])  # fmt: skip
    conversation = graph.get("messages", filter="subject eq 'M1'")["value"][0]["conversationId"]

    def found(filter_, **more):
        return subjects(graph.all("messages", filter=filter_, select="subject", **more))

    assert subjects(graph.all("messages")) == ["M4", "M3", "M2", "M1", "M0"]  # the newest first
    assert found("receivedDateTime ge 2026-10-04T09:00:00Z") == ["M4", "M3"]
    assert found("receivedDateTime gt 2026-10-04T11:00:00+02:00") == ["M4"] and found("sentDateTime lt 2026-10-02") == ["M0"]
    assert found("lastModifiedDateTime ge 2026-11-01T10:00:00Z and isRead eq true") == ["M3"]
    assert found("categories/any(c:c eq 'salesforce')") == ["M3", "M1"] and found("hasAttachments eq true") == ["M2"]
    assert found("internetMessageId eq '<m2@x.example>'") == ["M2"] and found(f"conversationId eq '{conversation}'") == ["M3", "M1"]
    assert found("isDraft eq true") == [] and found(
        "from/emailAddress/address eq 'bo@widgets.example'", orderby="from/emailAddress/address"
    )
    ordered = {"orderby": "receivedDateTime asc", "top": "2"}
    assert found("receivedDateTime ge 2026-10-02 and isRead eq false", **ordered) == ["M1", "M2", "M4"]
    assert subjects(graph.all("mailFolders/inbox/messages", orderby="subject")) == ["M0", "M1", "M2", "M3", "M4"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"$filter": "isRead eq false", "$orderby": "receivedDateTime desc"}, "InefficientFilter"),
        ({"$filter": "isRead eq false and receivedDateTime ge 2026-01-01", "$orderby": "receivedDateTime"}, "InefficientFilter"),
        ({"$filter": "receivedDateTime ge 2026-01-01", "$orderby": "receivedDateTime,subject"}, "InefficientFilter"),
        ({"$filter": "body/content eq 'x'"}, "ErrorInvalidUrlQueryFilter"),
        ({"$filter": "toRecipients/any(r:r/emailAddress/address eq 'x')"}, "ErrorInvalidUrlQueryFilter"),
        ({"$filter": "hasAttachments gt true"}, "ErrorInvalidUrlQueryFilter"),
        ({"$orderby": "body"}, "BadRequest"),
        ({"$select": "color"}, "BadRequest"),
        ({"$top": "1001"}, "BadRequest"),
        ({"$expand": "photo"}, "BadRequest"),
        ({"$search": "x"}, "BadRequest"),
    ],
)
def test_what_a_list_cannot_be_asked(graph, options, code):
    assert refused(graph.call("GET", "messages", params=options)) == (400, code)


def test_a_list_holds_at_most_a_thousand_and_is_read_to_its_end(graph):
    graph.system.create_messages({"messages": [{"mailbox": ANN, "subject": f"M{n}"} for n in range(2100)]})

    page = graph.get("messages", top="1000", select="id")
    assert len(page["value"]) == 1000 and page["@odata.nextLink"]
    assert len({row["id"] for row in graph.all("messages", top="1000", select="id")}) == 2100
    assert len(graph.get("messages")["value"]) == 10


def test_a_token_for_basic_mail_sees_no_texts(graph):
    row = mail(graph, subject="Quote", body="secret", attachments=[{"name": "a", "content": PDF}])
    graph.switch(permissions="Mail.ReadBasic")

    told = graph.get(f"messages/{quote(row['id'])}")
    assert told["subject"] == "Quote" and not {"body", "bodyPreview"} & set(told)
    for path in ("attachments", "$value"):
        assert refused(graph.call("GET", f"messages/{quote(row['id'])}/{path}")) == (403, "ErrorAccessDenied")
    assert refused(graph.call("DELETE", f"messages/{quote(row['id'])}")) == (403, "ErrorAccessDenied")
    assert refused(send(graph, toRecipients=to(BOB))) == (403, "ErrorAccessDenied")


# --- messages written -------------------------------------------------------------------------------------------------------
def test_a_mail_that_came_takes_categories_and_flags_and_no_other_text(graph):
    path = f"messages/{quote(mail(graph, subject='Quote')['id'])}"
    before = graph.get(path)

    flag = {"flagStatus": "flagged", "startDateTime": {"dateTime": "2026-12-01T00:00:00", "timeZone": "UTC"},
            "dueDateTime": {"dateTime": "2026-12-02T00:00:00", "timeZone": "UTC"}}  # fmt: skip
    changed = graph.call("PATCH", path, json={"categories": ["Salesforce"], "isRead": True, "flag": flag}).json()
    assert (changed["categories"], changed["isRead"], changed["flag"]["flagStatus"]) == (["Salesforce"], True, "flagged")
    assert changed["flag"]["dueDateTime"] == {"dateTime": "2026-12-02T00:00:00.0000000", "timeZone": "UTC"}
    assert changed["changeKey"] != before["changeKey"] and changed["id"] == before["id"]
    stale = {"If-Match": before["@odata.etag"]}
    assert refused(graph.call("PATCH", path, json={"isRead": False}, headers=stale)) == (412, "ErrorIrresolvableConflict")
    for values in ({"subject": "New"}, {"body": {"content": "x"}}, {"receivedDateTime": "2026-01-01T00:00:00Z"}, {"isDraft": True}):
        assert refused(graph.call("PATCH", path, json=values)) == (400, "ErrorInvalidPropertySet")
    for values in ({"color": "red"}, {"categories": "x"}, {"flag": {"flagStatus": "purple"}}, {"isRead": "yes"}, {"importance": 5}):
        assert refused(graph.call("PATCH", path, json=values)) == (400, "BadRequest")
    assert graph.get(path)["subject"] == "Quote"


def test_a_crm_id_is_kept_on_a_mail_and_found_by(graph):
    path = f"messages/{quote(mail(graph)['id'])}"
    graph.call("PATCH", path, json={"singleValueExtendedProperties": [{"id": OURS, "value": "00Txx"}]})

    wanted = f"singleValueExtendedProperties/Any(ep: ep/id eq '{OURS}' and ep/value eq '00Txx')"
    expand = f"singleValueExtendedProperties($filter=id eq '{OURS}'),attachments"
    (found,) = graph.all("messages", filter=wanted, expand=expand)
    assert found["singleValueExtendedProperties"] == [{"id": OURS, "value": "00Txx"}] and found["attachments"] == []
    assert mail(graph) and len(graph.all("messages", filter=wanted)) == 1


def test_a_move_gives_another_id_unless_ids_are_immutable(graph):
    row = mail(graph, subject="Quote")
    moved = graph.call("POST", f"messages/{quote(row['id'])}/move", json={"destinationId": "archive"})

    assert moved.status_code == 201 and moved.json()["id"] != row["id"]
    assert moved.json()["parentFolderId"] == graph.get("mailFolders/archive")["id"]
    assert refused(graph.call("GET", f"messages/{quote(row['id'])}")) == (404, "ErrorItemNotFound")
    back = graph.call("POST", f"messages/{quote(row['immutableId'])}/move", json={"destinationId": "inbox"}, headers=IMMUTABLE)
    assert back.json()["id"] == row["immutableId"] and subjects(graph.all("mailFolders/inbox/messages")) == ["Quote"]
    given = {"inputIds": [row["immutableId"]], "sourceIdType": "restImmutableEntryId", "targetIdType": "restId"}
    told = graph.call("POST", "translateExchangeIds", json=given).json()["value"][0]
    assert told["targetId"] == graph.get("messages")["value"][0]["id"]
    assert refused(graph.call("POST", f"messages/{quote(told['targetId'])}/move", json={})) == (400, "ErrorInvalidRequest")
    assert refused(graph.call("GET", f"contacts/{quote(told['targetId'])}")) == (404, "ErrorItemNotFound")


def test_a_copy_is_another_mail_with_the_same_message_id(graph):
    row = mail(graph, subject="Quote", attachments=[{"name": "a.pdf", "content": PDF}])
    copied = graph.call("POST", f"messages/{quote(row['id'])}/copy", json={"destinationId": "archive"}).json()

    assert copied["internetMessageId"] == row["internetMessageId"] and copied["hasAttachments"] and copied["id"] != row["id"]
    assert len(graph.all("messages")) == 2


def test_deleting_goes_to_the_bin_first(graph):
    row = mail(graph, subject="Quote", attachments=[{"name": "a.pdf", "content": PDF}])
    path = f"messages/{quote(row['immutableId'])}"

    assert graph.call("DELETE", path).status_code == 204
    assert graph.get(path)["parentFolderId"] == graph.get("mailFolders/deleteditems")["id"]
    assert graph.call("DELETE", path).status_code == 204
    assert refused(graph.call("GET", path)) == (404, "ErrorItemNotFound") and graph.system.store.tables["attachment"].rows == {}
    other = mail(graph)
    assert graph.call("POST", f"messages/{quote(other['id'])}/permanentDelete").status_code == 204
    assert graph.all("messages") == []


# --- attachments ------------------------------------------------------------------------------------------------------------
def test_attachments_are_listed_without_their_content_and_read_raw(graph):
    row = mail(graph, attachments=[{"name": "a.pdf", "contentType": "application/pdf", "content": PDF},
                                   {"name": "logo.png", "contentType": "image/png", "content": PDF, "isInline": True}])  # fmt: skip
    path = f"messages/{quote(row['id'])}"

    listed = graph.all(f"{path}/attachments", select="id,name,contentType,size,isInline")
    assert [(a["name"], a["size"], a["isInline"]) for a in listed] == [("a.pdf", 14, False), ("logo.png", 14, True)]
    assert listed[0]["@odata.type"] == "#microsoft.graph.fileAttachment" and "contentBytes" not in listed[0]
    one = f"{path}/attachments/{quote(listed[0]['id'])}"
    assert graph.get(one)["contentBytes"] == PDF
    raw = graph.call("GET", f"{one}/$value")
    assert (raw.content, raw.headers["Content-Type"]) == (b"%PDF-1.4 quote", "application/pdf")
    (part,) = graph.batch({"url": f"/users/{ANN}/{one}/$value"}).values()
    assert base64.b64decode(part["body"]) == b"%PDF-1.4 quote"
    assert refused(graph.call("GET", f"{path}/attachments/{quote(row['id'])}")) == (404, "ErrorItemNotFound")
    assert graph.call("DELETE", one).status_code == 204 and not graph.get(path)["hasAttachments"]  # what is within the text is none


def test_a_whole_mail_is_read_as_mime(graph):
    row = mail(graph, subject="Angebot für Größe", to=[ANN], body="Grüße\nBo", attachments=[{"name": "a.pdf", "content": PDF}])
    raw = graph.call("GET", f"messages/{quote(row['id'])}/$value")
    parsed = message_from_bytes(raw.content, policy=default)

    assert (parsed["Subject"], parsed["Message-ID"], parsed["To"]) == ("Angebot für Größe", row["internetMessageId"], ANN)
    assert parsed.get_body().get_content().replace("\r\n", "\n") == "Grüße\nBo\n"
    assert [each.get_payload(decode=True) for each in parsed.iter_attachments()] == [b"%PDF-1.4 quote"]
    assert graph.call("GET", f"messages/{quote(row['id'])}/$value").content == raw.content


# --- drafts and what is sent ------------------------------------------------------------------------------------------------
def test_a_draft_is_written_changed_and_sent(graph):
    draft = graph.create("messages", IMMUTABLE, subject="Draft", body={"contentType": "text", "content": "Hi"}, toRecipients=to(BOB))
    path = f"messages/{quote(draft['id'])}"

    assert draft["isDraft"] and draft["parentFolderId"] == graph.get("mailFolders/drafts")["id"]
    assert draft["from"]["emailAddress"] == {"name": "Ann Archer", "address": ANN}
    assert graph.create(f"{path}/attachments", **FILE)["contentType"] == "application/octet-stream"
    assert graph.call("PATCH", path, json={"subject": "Quote", "bccRecipients": to("eve@elsewhere.example")}).json()["subject"] == "Quote"
    assert graph.call("POST", f"{path}/send").status_code == 202
    sent = graph.get(path, IMMUTABLE)
    assert sent["id"] == draft["id"] and not sent["isDraft"] and sent["parentFolderId"] == graph.get("mailFolders/sentitems")["id"]
    (received,) = graph.all(f"/users/{BOB}/mailFolders/inbox/messages")
    assert received["internetMessageId"] == sent["internetMessageId"] and received["conversationId"] != sent["conversationId"]
    assert (received["hasAttachments"], received["isRead"], received["bccRecipients"]) == (True, False, [])
    assert graph.system.mails == [{"system": "microsoft", "mailbox": ANN, "kind": "message", "to": [BOB, "eve@elsewhere.example"],
                                   "subject": "Quote", "at": "2026-11-01T10:00:00Z"}]  # fmt: skip
    assert refused(graph.call("POST", f"{path}/send")) == (400, "ErrorInvalidRequest")


def test_mail_is_sent_in_one_call(graph):
    headers = [{"name": "x-crm", "value": "00T"}]
    answer = send(graph, subject="Hi", body={"contentType": "HTML", "content": "<b>Hi</b>"}, toRecipients=to(BOB, ANN),
                  ccRecipients=to(BOB), internetMessageHeaders=headers)  # fmt: skip

    assert (answer.status_code, answer.content) == (202, b"")
    (sent,), (own,) = (graph.all(f"mailFolders/{name}/messages") for name in ("sentitems", "inbox"))
    (received,) = graph.all(f"/users/{BOB}/messages", select="internetMessageId,internetMessageHeaders,body")
    assert sent["internetMessageId"] == own["internetMessageId"] == received["internetMessageId"]
    assert sent["isRead"] and not own["isRead"] and received["internetMessageHeaders"] == headers
    without = graph.call("POST", "sendMail", json={"Message": {"toRecipients": to(BOB)}, "SaveToSentItems": False})
    assert without.status_code == 202 and len(graph.all("mailFolders/sentitems/messages")) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"message": {"subject": "A"}}, "ErrorInvalidRecipients"),
        ({"message": {"toRecipients": to(BOB), "internetMessageHeaders": [{"name": "To", "value": "x"}]}}, "InvalidInternetMessageHeader"),
        ({"message": {"toRecipients": to(BOB), "attachments": [{**FILE, "contentBytes": "?"}]}}, "BadRequest"),
        ({"message": {"toRecipients": to(BOB), "sentDateTime": "2026-01-01T00:00:00Z"}}, "ErrorInvalidPropertySet"),
        ({"message": {"toRecipients": [{"address": BOB}]}}, "BadRequest"),
        ({"message": "hello"}, "ErrorInvalidRequest"),
        ({"message": {}, "color": "red"}, "ErrorInvalidRequest"),
    ],
)
def test_mail_that_cannot_be_sent(graph, body, code):
    assert refused(graph.call("POST", "sendMail", json=body)) == (400, code)
    assert graph.all("messages") == [] and graph.system.mails == []


# --- rounds -----------------------------------------------------------------------------------------------------------------
ROUND = "mailFolders/inbox/messages/delta"
PAGED = {"Prefer": 'IdType="ImmutableId", odata.maxpagesize=2'}


def test_rounds_tell_what_came_changed_and_left_a_folder(graph):
    rows = [mail(graph, subject=f"M{n}") for n in range(5)]
    entries, link = graph.round(f"{ROUND}?$select=subject", PAGED)

    assert subjects(entries) == [f"M{n}" for n in range(5)] and set(entries[0]) == {"@odata.type", "@odata.etag", "id", "subject"}
    graph.call("PATCH", f"messages/{quote(rows[0]['id'])}", json={"isRead": True})
    graph.call("POST", f"messages/{quote(rows[1]['id'])}/move", json={"destinationId": "archive"})
    graph.call("POST", f"messages/{quote(rows[2]['id'])}/permanentDelete")
    mail(graph, subject="M5")
    news, link = graph.round(link, PAGED)
    assert [(e["id"], e.get("subject", "@removed" in e)) for e in news][:3] == [
        (rows[0]["immutableId"], "M0"), (rows[1]["immutableId"], True), (rows[2]["immutableId"], True)
    ]  # fmt: skip
    assert news[3]["subject"] == "M5" and graph.round(link, PAGED)[0] == []
    assert subjects(graph.round("mailFolders/archive/messages/delta", PAGED)[0]) == ["M1"]


def test_a_filter_stays_with_its_rounds(graph):
    for n in range(1, 8):
        mail(graph, subject=f"M{n}", receivedDateTime=f"2026-10-0{n}T09:00:00Z")
    entries, link = graph.round(f"{ROUND}()?$filter=receivedDateTime ge 2026-10-03T00:00:00Z&$top=2&$expand=attachments")

    assert subjects(entries) == ["M3", "M4", "M5", "M6", "M7"] and entries[0]["attachments"] == []
    assert "filter" not in link and "top" not in link
    mail(graph, subject="old", receivedDateTime="2026-01-01T00:00:00Z")
    mail(graph, subject="new")
    assert subjects(graph.round(link)[0]) == ["new"]


def test_a_round_may_tell_of_new_mail_only(graph):
    rows = [mail(graph, subject=f"M{n}") for n in range(3)]
    entries, link = graph.round(f"{ROUND}?changeType=created")
    assert len(entries) == 3
    graph.call("PATCH", f"messages/{quote(rows[0]['id'])}", json={"isRead": True})
    graph.call("DELETE", f"messages/{quote(rows[1]['id'])}")
    archived = mail(graph, subject="came back", folder="Archive")
    graph.call("POST", f"messages/{quote(archived['id'])}/move", json={"destinationId": "inbox"})

    assert subjects(graph.round(link)[0]) == ["came back"]


def test_a_first_round_with_a_filter_tells_the_newest_five_thousand(graph):
    messages = [{"mailbox": ANN, "receivedDateTime": f"2026-10-01T{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}Z"} for n in range(5010)]
    graph.system.create_messages({"messages": messages})
    entries, link = graph.round(f"{ROUND}?$select=receivedDateTime&$filter=receivedDateTime gt 2026-01-01T00:00:00Z",
                                {"Prefer": "odata.maxpagesize=1000"})  # fmt: skip

    assert len(entries) == 5000 and min(e["receivedDateTime"] for e in entries) == "2026-10-01T00:00:10Z"
    mail(graph, receivedDateTime="2026-10-01T00:00:01Z")
    assert len(graph.round(link)[0]) == 1


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ("$filter=isRead eq true", (400, "ErrorInvalidUrlQueryFilter")),
        ("$filter=receivedDateTime lt 2026-01-01", (400, "ErrorInvalidUrlQueryFilter")),
        ("$orderby=subject", (400, "ErrorInvalidUrlQuery")),
        ("changeType=exploded", (400, "BadRequest")),
        ("$top=0", (400, "BadRequest")),
        ("$deltatoken=x", (400, "syncStateInvalid")),
    ],
)
def test_what_rounds_of_mail_refuse(graph, query, refusal):
    assert refused(graph.call("GET", f"{ROUND}?{query}")) == refusal
    assert refused(graph.call("GET", "messages/delta")) == (400, "BadRequest")


def test_a_dead_round_begins_anew_with_all_that_it_was_asked(graph):
    mail(graph, subject="M")
    _, link = graph.round(f"{ROUND}?$select=subject&$filter=receivedDateTime ge 2026-01-01T00:00:00Z")
    graph.switch(delta_expired_form="gone_with_location")
    graph.system.expire_delta()

    answer = graph.call("GET", link)
    assert refused(answer) == (410, "resyncRequired")
    (entry,), _ = graph.round(answer.headers["Location"])
    assert set(entry) == {"@odata.type", "@odata.etag", "id", "subject"} and "receivedDateTime" in answer.headers["Location"]


@pytest.mark.parametrize("switch", ["delta_replays", "delta_duplicates", "delta_shuffles"])
def test_rounds_of_mail_are_as_unruly_as_any(graph, switch):
    rows = [mail(graph, subject=f"M{n}") for n in range(20)]
    graph.switch(**{switch: True})
    held, link = {}, ROUND
    for _ in range(2):
        entries, link = graph.round(link, IMMUTABLE)
        for entry in entries:
            held.pop(entry["id"], None)
            if "@removed" not in entry:
                held[entry["id"]] = entry
        for row in rows[:5]:
            if graph.system.get_record("message", graph.system.find_id("message", row["immutableId"]))["folder"] == "Inbox":
                graph.call("POST", f"messages/{quote(row['immutableId'])}/move", json={"destinationId": "archive"})

    assert set(held) == {row["immutableId"] for row in rows[5:]}


# --- by hand ----------------------------------------------------------------------------------------------------------------
def test_mail_by_hand_is_received_sent_and_delivered(graph):
    received = mail(graph, subject="In", to=[f"Ann <{ANN}>", "cy@x.example"], conversation="deal")
    sent = graph.system.create_record("message", {"mailbox": ANN, "from": ANN, "to": ["cy@x.example"], "conversation": "deal"})
    graph.system.create_record("message", {"mailbox": ANN, "to": [BOB, "x@y.example"], "subject": "Hi", "deliver": True, "body": "Hello"})

    assert (received["folder"], received["from"], received["to"]) == (
        "Inbox",
        "Bo Li <bo@widgets.example>",
        [f"Ann <{ANN}>", "cy@x.example"],
    )
    assert (sent["folder"], sent["isRead"]) == ("Sent Items", True)
    ids = {m["conversationId"] for m in graph.all("messages", filter="subject ne 'Hi'")}
    assert len(ids) == 1
    rows = [r for r in graph.system.list_records("message") if r["subject"] == "Hi"]
    assert [(r["mailbox"], r["folder"]) for r in rows] == [(ANN, "Sent Items"), (BOB, "Inbox")]
    assert len({r["internetMessageId"] for r in rows}) == 1 and graph.system.mails[0]["to"] == [BOB, "x@y.example"]


def test_a_row_of_a_mail_is_sent_back_moved_and_deleted(control):
    path = "/records/microsoft/message"
    made = control.call("POST", path, {"mailbox": ANN, "subject": "A", "attachments": [{"name": "a.txt", "content": PDF}]}).json()
    own = f"{path}/{made['id']}"

    again = control.call("PATCH", own, {**made, "subject": "B", "folder": "Archive", "categories": ["X"]}).json()
    assert {k: again[k] for k in ("subject", "folder", "categories")} == {"subject": "B", "folder": "Archive", "categories": ["X"]}
    assert again["attachments"] == made["attachments"] and again["body"] == made["body"] and again["immutableId"] == made["immutableId"]
    control.call("DELETE", own)
    assert control.call("GET", own).json()["folder"] == "Deleted Items"
    assert control.call("POST", "/microsoft/messages", {"messages": [{"mailbox": ANN}, {"mailbox": BOB}]}).json() == {"created": 2}
    assert control.call("GET", "/mails?system=microsoft").json() == {"mails": []}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "mailbox must name"),
        ({"mailbox": ANN, "folder": "None"}, "it has Top of Information Store, Inbox"),
        ({"mailbox": ANN, "to": 5}, "to must be a list"),
        ({"mailbox": ANN, "to": ["nobody"]}, "addresses like"),
        ({"mailbox": ANN, "color": "red"}, "a message has no 'color'"),
        ({"mailbox": ANN, "deliver": "soon"}, "true or false"),
        ({"mailbox": ANN, "deliver": True, "receivedDateTime": "soon"}, "receivedDateTime"),
        ({"mailbox": ANN, "attachments": [{"name": "a"}]}, "content in base64"),
        ({"mailbox": ANN, "attachments": [{"name": "a", "content": "?"}]}, "contentBytes"),
        ({"mailbox": ANN, "headers": ["x"]}, "object of texts"),
    ],
)
def test_what_mail_by_hand_cannot_be(control, body, says):
    assert says in control.refused("POST", "/records/microsoft/message", body)
    assert "message 1" in control.refused("POST", "/microsoft/messages", {"messages": [{"mailbox": BOB}, {"folder": "x"}]})


def test_pages_make_and_show_mail(control, session):
    url = f"{control.world.control_url}/browse/microsoft/message"
    given = {"mailbox": ANN, "to": f"{BOB}, Cy Müller <cy@x.example>", "subject": "<Hi>", "body": "Hello", "deliver": "yes"}
    page = session.post(f"{url}/new", data=given, timeout=20)

    assert page.status_code == 200 and "&lt;Hi&gt;" in page.text
    assert session.get(url, timeout=20).text.count("&lt;Hi&gt;") == 2


def test_many_mails_are_put_in_quickly(graph):
    messages = [{"mailbox": ANN, "from": f"p{n}@x.example", "subject": f"M{n}", "body": "Hello"} for n in range(20_000)]
    began = time.perf_counter()

    assert graph.system.create_messages({"messages": messages}) == {"created": 20_000}
    assert time.perf_counter() - began < 5
    assert len(graph.all("messages", top="1000", select="id")) == 20_000


# --- mailboxes come, go and are kept ------------------------------------------------------------------------------------------
def test_mail_goes_with_its_user(graph):
    mail(graph, subject="A", attachments=[{"name": "a", "content": PDF}])
    graph.system.create_record("message", {"mailbox": BOB, "subject": "B"})
    graph.system.delete_record("user", graph.system.find_id("user", ANN))

    assert subjects(graph.system.list_records("message")) == ["B"] and graph.system.store.tables["attachment"].rows == {}
    graph.system.create_record("user", {"mail": ANN})
    assert graph.all("messages") == [] and len(graph.all("mailFolders", top="20")) == 7


def test_mail_is_kept_over_a_restart_and_a_round_goes_on(tmp_path):
    path = tmp_path / "state.sqlite3"
    first = World(seed=7, scenario="empty", state_path=path)
    row = first.microsoft.create_record(
        "message", {"mailbox": ANN, "to": [BOB], "deliver": True, "attachments": [{"name": "a", "content": PDF}]}
    )
    first.microsoft.delete_record("message", 1)
    first.keep()

    second = World(seed=7, state_path=path).microsoft

    assert second.dump() == first.microsoft.dump() and second.get_record("message", 1)["immutableId"] == row["immutableId"]
    assert second.get_record("message", 2)["attachments"] == row["attachments"] and second.mails == first.microsoft.mails
    assert second.store.members == first.microsoft.store.members


def test_a_state_of_before_there_was_mail_gets_its_folders(tmp_path):
    path = tmp_path / "state.sqlite3"
    old = World(seed=7, scenario="empty", state_path=path)
    old._state._db.execute("DELETE FROM rows WHERE system = 'microsoft' AND object IN ('mailFolder', 'taskList')")

    new = World(seed=7, state_path=path).microsoft

    assert new.create_record("message", {"mailbox": BOB})["folder"] == "Inbox"
    assert new.create_record("task", {"mailbox": BOB, "title": "T"})["list"] == "Tasks"


def test_one_s_own_mailbox_only_with_a_person_s_token(graph):
    token = graph.system.desk._issue("Mail.ReadWrite", graph.system.store.user(ANN)["n"])
    headers = {"Authorization": f"Bearer {token}"}
    mail(graph, subject="A")

    assert subjects(graph.all("/me/messages", headers)) == ["A"]
    assert refused(graph.call("GET", f"/users/{BOB}/messages", headers=headers)) == (403, "ErrorAccessDenied")
