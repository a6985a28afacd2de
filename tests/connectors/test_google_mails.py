"""The mails of a Google mailbox on a scripted wire: the history in one call, hostile mails, and no text where none belongs."""

import base64
import json
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from connectors import mails as words
from connectors.errors import MailboxRefused, OutcomeUnknown, RateLimited, RecordGone, Rejected, ServerTrouble
from connectors.google import batch
from connectors.google import gmail_codec as codec
from connectors.mailboxes import FOLDER_GONE
from connectors.mails import MailBox, people_of
from tests.connectors.google_wire import ANN, connector, error
from tests.connectors.wire import HTML, Said

ROOT = "/gmail/v1/users/me"
OURS = "Label_7"
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
HISTORY, PROFILE, MESSAGES, LABELS = (f"GET {ROOT}/{name}" for name in ("history", "profile", "messages", "labels"))
LABEL_LIST = Said(
    200, {"labels": [{"id": "INBOX", "name": "INBOX"}, {"id": OURS, "name": "Salesforce Emails"}, {"id": "Label_8", "name": "Blue"}]}
)
SECRET = "the price is 42 million"


def b64(text):
    return base64.urlsafe_b64encode(text if isinstance(text, bytes) else text.encode()).decode().rstrip("=")


def part(type_, data=None, *, id_="0", name="", token="", headers=(), parts=(), size=None):
    body = {"size": len(data or "") if size is None else size, **({"data": b64(data)} if data is not None else {})}
    body |= {"attachmentId": token} if token else {}
    own = {"partId": id_, "mimeType": type_, "filename": name, "headers": [{"name": n, "value": v} for n, v in headers], "body": body}
    return {**own, **({"parts": list(parts)} if parts else {})}


HEADERS = {
    "From": "Bo Li <Bo@acme.example>",
    "To": f"Ann <{ANN}>",
    "Subject": "Offer",
    "Date": "Sat, 21 Nov 2026 09:00:00 +0100",
    "Message-Id": "<m1@acme.example>",
}


def message(id_, *labels, headers=None, payload=None, **more):
    """Returns a message as Gmail tells it; it bears our label unless others are named."""
    pairs = list({**HEADERS, **(headers or {})}.items())
    own = payload or part("text/plain", "Dear Ann", headers=[(n, v) for n, v in pairs if v is not None])
    return {
        "id": id_,
        "threadId": "t1",
        "labelIds": list(labels or ("INBOX", OURS)),
        "snippet": "Dear &lt;Ann&gt;",
        "internalDate": "1795248000000",
        "payload": own,
        **more,
    }


def one(id_):
    return f"GET {ROOT}/messages/{id_}"


def history(*rows, last="20", following=""):
    found = {"history": list(rows)} if rows else {}
    return Said(200, {**found, "historyId": last, **({"nextPageToken": following} if following else {})})


def change(kind, id_, labels=(), changed=(), thread="t1"):
    row = {"message": {"id": id_, "threadId": thread, "labelIds": list(labels)}}
    return {"id": "11", "messages": [], kind: [{**row, **({"labelIds": list(changed)} if changed else {})}]}


QUIET = {
    PROFILE: Said(200, {"emailAddress": ANN, "historyId": "10"}),
    MESSAGES: Said(200, {"resultSizeEstimate": 0}),
    LABELS: LABEL_LIST,
    HISTORY: history(),
    f"{LABELS}/{OURS}": Said(200, {"id": OURS, "name": "Salesforce Emails"}),
}


def box(routes, *, label=OURS, **options):
    opened, wire = connector({**QUIET, **routes}, **options)
    mine: MailBox = opened.mails(ANN)  # satisfies the protocol, too
    mine.use_folder(label)
    return mine, wire


def after_a_round(routes, **options):
    """Returns a box whose first round is over, its cursor, and the wire."""
    mine, wire = box(routes, **options)
    cursor = mine.mail_changes("", SINCE).cursor
    wire.requests.clear()
    return mine, cursor, wire


def asked(wire, index=-1):
    return parse_qs(urlsplit(wire.requests[index].url).query)


def whole(payload):
    mine, _ = box({one("a1"): Said(200, message("a1", payload=payload))})
    return mine.read_whole(["a1"], with_attachments=True)


# --- the calls --------------------------------------------------------------------------------------------------------------------
def test_a_first_round_notes_the_history_before_it_lists_what_bears_our_label():
    mine, wire = box({})

    told = mine.mail_changes("", SINCE)

    assert wire.calls == [PROFILE, MESSAGES]
    assert asked(wire)["labelIds"] == [OURS]
    assert told.is_last and told.is_whole


def test_a_quiet_round_is_one_call_for_what_bears_our_label():
    mine, cursor, wire = after_a_round({})

    told = mine.mail_changes(cursor, SINCE)

    assert wire.calls == [HISTORY]
    assert (asked(wire)["startHistoryId"], asked(wire)["labelId"]) == (["10"], [OURS])
    assert (told.mails, told.is_last, told.is_whole) == ((), True, False)


def test_the_next_round_begins_where_the_first_page_of_this_one_was_written():
    mine, cursor, wire = after_a_round({HISTORY: [history(last="20", following="p2"), history(last="25"), history()]})

    middle = mine.mail_changes(cursor, SINCE)
    end = mine.mail_changes(middle.cursor, SINCE)
    mine.mail_changes(end.cursor, SINCE)

    assert (middle.is_last, end.is_last) == (False, True)
    assert asked(wire)["startHistoryId"] == ["20"]


def test_many_mails_are_read_in_one_request_without_their_texts():
    rows = [change("labelsAdded", f"a{n}", ["INBOX", OURS], [OURS]) for n in range(5)]
    mine, cursor, wire = after_a_round({HISTORY: history(*rows), **{one(f"a{n}"): Said(200, message(f"a{n}")) for n in range(5)}})

    told = mine.mail_changes(cursor, SINCE)

    assert sorted(m.ref.id for m in told.mails) == [f"a{n}" for n in range(5)]
    assert wire.calls[:2] == [HISTORY, "POST /batch"]
    assert "body" not in codec.FIELDS
    assert wire.requests[1].body.decode().count("fields=") == 5


def test_what_came_in_and_is_not_wanted_is_not_read():
    mine, cursor, wire = after_a_round({HISTORY: history(change("messagesAdded", "a1", ["INBOX"]))})

    assert mine.mail_changes(cursor, SINCE).mails == ()
    assert wire.calls == [HISTORY]


def test_everything_is_listed_by_time_without_chats_and_drafts():
    mine, wire = box({})
    mine.use_reach(everything=True)

    first = mine.mail_changes("", SINCE)
    second = mine.mail_changes(first.cursor, SINCE)

    assert (first.is_last, second.is_last) == (False, True)
    assert asked(wire)["q"] == [f"after:{int(SINCE.timestamp())} -in:chats -in:drafts"]


@pytest.mark.parametrize("label", ["DRAFT", "SPAM", "TRASH", "CHAT"])
def test_what_is_no_mail_that_came_in_is_not_told(label):
    mine, _ = box({HISTORY: history(change("messagesAdded", "a1", [label]))})
    mine.use_reach(everything=True)
    cursor = ""
    for _ in range(3):
        told = mine.mail_changes(cursor, SINCE)
        cursor = told.cursor

    assert told.mails == () and told.is_last


def test_what_comes_later_in_the_history_holds():
    rows = [
        change("labelsAdded", "a1", ["INBOX", OURS], [OURS]),
        change("labelsRemoved", "a1", ["INBOX"], [OURS]),
        change("labelsRemoved", "a2", ["INBOX"], [OURS]),
        change("labelsAdded", "a2", ["INBOX", OURS], [OURS]),
    ]
    mine, cursor, _ = after_a_round({HISTORY: history(*rows), one("a2"): Said(200, message("a2"))})

    told = mine.mail_changes(cursor, SINCE)

    assert ([m.ref.id for m in told.mails], told.gone) == (["a2"], ("a1",))


def test_an_expired_history_is_made_up_for_by_lists_since_the_last_round():
    routes = {HISTORY: error(404, "Requested entity was not found."), one("a1"): Said(200, message("a1"))}
    mine, wire = box(routes)
    mine.use_reach(everything=True)
    first = mine.mail_changes(mine.mail_changes("", SINCE).cursor, SINCE)
    wire.routes[MESSAGES] = [Said(200, {"messages": [{"id": "a1", "threadId": "t1"}]})]
    wire.requests.clear()

    told = mine.mail_changes(first.cursor, SINCE)
    rest = mine.mail_changes(told.cursor, SINCE)

    assert wire.calls[:3] == [HISTORY, PROFILE, MESSAGES]
    assert ([m.ref.id for m in told.mails], told.is_whole, told.is_restart) == (["a1"], True, False)
    assert rest.is_last


def test_a_page_that_is_not_known_any_more_begins_its_list_anew():
    mine, cursor, wire = after_a_round({HISTORY: [history(following="p2"), error(400, "Invalid pageToken"), history()]})
    middle = mine.mail_changes(cursor, SINCE)

    told = mine.mail_changes(middle.cursor, SINCE)

    assert (told.is_restart, told.is_last) == (True, True)
    assert "pageToken" not in asked(wire)


def test_a_label_that_is_gone_is_said():
    gone = {HISTORY: error(400, f"Invalid label: {OURS}"), f"{LABELS}/{OURS}": error(404, "Not found")}
    mine, cursor, _ = after_a_round(gone)

    with pytest.raises(RecordGone) as said:
        mine.mail_changes(cursor, SINCE)
    assert said.value.code == FOLDER_GONE


def test_another_refusal_is_not_taken_for_a_label_that_is_gone():
    mine, cursor, _ = after_a_round({HISTORY: error(400, "Something else")})

    with pytest.raises(Rejected):
        mine.mail_changes(cursor, SINCE)


def test_without_label_and_reach_nothing_is_asked_for():
    mine, wire = box({}, label="")

    told = mine.mail_changes("", SINCE)

    assert (wire.calls, told.mails, told.is_last) == ([], (), True)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (error(403, "Not allowed", "PERMISSION_DENIED"), MailboxRefused),
        (error(429, "Quota", "RESOURCE_EXHAUSTED"), RateLimited),
        (Said(200, {"history": 7, "historyId": "20"}), OutcomeUnknown),
        (Said(200, {"history": [{"messagesAdded": [{"message": {}}]}], "historyId": "20"}), OutcomeUnknown),
        (Said(200, {"history": []}), OutcomeUnknown),
        (Said(200, {"historyId": "x"}), OutcomeUnknown),
        (Said(200, HTML), OutcomeUnknown),
        (Said(500, ""), ServerTrouble),
    ],
)
def test_what_the_history_is_answered_means_what_it_means(said, kind):
    mine, cursor, _ = after_a_round({HISTORY: said})

    with pytest.raises(kind):
        mine.mail_changes(cursor, SINCE)


@pytest.mark.parametrize(
    "cursor", ["x", "[]", '{"v":1,"lists":["others"]}', '{"v":1,"history":7}', '{"v":1,"labels":{"a":1}}', '{"v":1,"x":1}', "[" * 10_000]
)
def test_a_cursor_that_is_none_of_ours_begins_anew(cursor):
    mine, wire = box({})

    assert mine.mail_changes(cursor, SINCE).is_restart
    assert wire.calls[0] == PROFILE


def test_labels_are_looked_up_once_and_kept_with_the_cursor():
    row = message("a1", "INBOX", OURS, "Label_8")
    mine, cursor, wire = after_a_round({HISTORY: history(change("labelsAdded", "a1", [OURS], [OURS])), one("a1"): Said(200, row)})
    first = mine.mail_changes(cursor, SINCE)
    other, again = box({HISTORY: history(change("labelsAdded", "a1", [OURS], [OURS])), one("a1"): Said(200, row)})
    told = other.mail_changes(first.cursor, SINCE)

    assert told.mails[0].fields["categories"] == ("Salesforce Emails", "Blue")
    assert LABELS in wire.calls and LABELS not in again.calls


# --- batches ------------------------------------------------------------------------------------------------------------------------
def test_one_mail_that_fails_is_told_and_stops_no_other():
    mine, _ = box({one("a1"): error(500, "Backend", "INTERNAL"), one("a2"): Said(200, message("a2")), one("a3"): error(404, "Not found")})

    found = mine.read(["a1", "a2", "a3"])

    assert [mail.record.ref.id for mail in found.mails] == ["a2"]
    assert ([r.ref.id for r in found.unreadable], found.gone) == (["a1"], ("a3",))


def test_a_mailbox_that_answers_nothing_is_trouble_and_no_matter_of_its_messages():
    mine, _ = box({one("a1"): error(500, "Backend", "INTERNAL"), PROFILE: Said(500, "")})

    with pytest.raises(ServerTrouble):
        mine.read(["a1"])


def test_a_part_that_is_over_the_quota_stops_the_run():
    mine, _ = box({one("a1"): error(403, "Too many", "rateLimitExceeded"), one("a2"): Said(200, message("a2"))})

    with pytest.raises(RateLimited):
        mine.read(["a1", "a2"])


def test_what_is_refused_in_other_words_is_no_mail_that_is_gone():
    mine, _ = box({one("a1"): error(400, "Invalid field selection"), one("a2"): error(400, "Invalid id value")})

    found = mine.read(["a1", "a2"])

    assert ([r.ref.id for r in found.unreadable], found.gone) == (["a1"], ("a2",))


def test_where_batches_are_not_wanted_each_mail_is_read_by_itself():
    routes = {one(f"a{n}"): Said(200, message(f"a{n}")) for n in range(3)}
    mine, wire = box(routes, settings={"reads_in_batches": False})

    assert len(mine.read(["a0", "a1", "a2"]).mails) == 3
    assert not any("batch" in call for call in wire.calls)


def test_a_batch_is_read_in_any_order_and_whatever_its_lines_end_with():
    body = (
        '--x\nContent-Type: application/http\nContent-ID: <response-p1>\n\nHTTP/1.1 404 Not Found\nRetry-After: 7\n\n{"error": {}}\n'
        '--x\r\nContent-ID: response-p0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"id": "--x"}\r\n'
        "--x\r\nContent-ID: <response-p9>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{}\r\n--x\r\n\r\nrubbish\r\n--x--"
    )

    found = batch.read(body.encode(), 'multipart/mixed; boundary="x"', 3)

    assert [(said.status, said.data, said.wait) for said in found] == [(200, {"id": "--x"}, ""), (404, {"error": {}}, "7"), (0, None, "")]


@pytest.mark.parametrize("body", [b"", b"--x--", b"\0\xff" * 100, b"--x\r\nContent-ID: <response-p0>\r\n\r\nHTTP/1.1 abc"])
def test_a_batch_that_is_none_says_nothing(body):
    assert [said.status for said in batch.read(body, "multipart/mixed; boundary=x", 1)] == [0]
    assert [said.status for said in batch.read(body, "text/html", 1)] == [0]


def test_ids_cannot_break_out_of_a_batch():
    mine, wire = box({})

    mine.read(["a1\r\n\r\nDELETE /gmail/v1/users/me/messages/x HTTP/1.1", "a2"])

    assert b"\r\nDELETE" not in wire.requests[0].body


# --- hostile mails -----------------------------------------------------------------------------------------------------------------
ODD = {
    "no From": ({"From": None}, {"from": (), "isOutgoing": False}),
    "no Date": ({"Date": None}, {"sentAt": None}),
    "a Date that is none": ({"Date": "the day before yesterday"}, {"sentAt": None}),
    "a Date out of all bounds": ({"Date": "Sat, 21 Nov 99999 09:00:00 +9999"}, {"sentAt": None}),
    "a Date without a zone": ({"Date": "Sat, 21 Nov 2026 09:00:00 -0000"}, {"sentAt": datetime(2026, 11, 21, 9, tzinfo=UTC)}),
    "no Message-ID": ({"Message-Id": None}, {"messageId": ""}),
    "an encoded subject": ({"Subject": "=?iso-8859-1?Q?K=F6ln?= =?utf-8?B?w7w=?="}, {"subject": "Kölnü"}),
    "a subject in no charset": ({"Subject": "=?x-none?Q?K=F6ln?="}, {"subject": "=?x-none?Q?K=F6ln?="}),
    "a subject that is broken": ({"Subject": "=?utf-8?B?====?="}, {}),
    "NUL in the subject": ({"Subject": "a\0b"}, {"subject": "a\ufffdb"}),
    "an encoded name with a comma": ({"From": "=?utf-8?Q?Li=2C_Bo?= <bo@x.example>"}, {"from": ("bo@x.example;Li, Bo",)}),
    "a quoted name with a comma": ({"From": '"Li, Bo" <bo@x.example>'}, {"from": ("bo@x.example;Li, Bo",)}),
    "a From that is none": ({"From": "undisclosed"}, {}),
    "a group": ({"To": "undisclosed-recipients:;"}, {}),
    "brackets without end": ({"To": "<" * 2000 + "bo@x.example"}, {}),
    "comments without end": ({"To": "(" * 20_000 + "bo@x.example"}, {}),
    "quotes without end": ({"To": '"' * 9_999 + "bo@x.example"}, {}),
    "headers in other letters": (
        {"SENSITIVITY": "Company-Confidential", "AUTO-submitted": "auto-generated"},
        {"sensitivity": "confidential", "isAutomatic": True},
    ),
    "a thread": (
        {"In-Reply-To": "<a@x> junk", "References": "<a@x> <b@x>\r\n <a@x>"},
        {"inReplyTo": "<a@x>", "references": ("<a@x>", "<b@x>")},
    ),
    "a bounce": ({"Content-Type": "multipart/report; report-type=delivery-status"}, {"isAutomatic": True}),
}


@pytest.mark.parametrize(("headers", "wanted"), ODD.values(), ids=ODD.keys())
def test_an_odd_mail_is_a_mail_all_the_same(headers, wanted):
    mine, _ = box({one("a1"): Said(200, message("a1", headers=headers))})
    began = time.monotonic()

    found = mine.read(["a1"])

    assert time.monotonic() - began < 5
    assert found.unreadable == ()
    fields = found.mails[0].record.fields
    assert {name: fields[name] for name in wanted} == wanted
    json.dumps({name: str(value) for name, value in fields.items()}).encode()


BROKEN = {
    "labels": {"labelIds": [7]},
    "payload": {"payload": "x"},
    "headers": {"payload": {"mimeType": "text/plain", "headers": "x"}},
    "parts": {"payload": {"mimeType": "multipart/mixed", "parts": ["x"]}},
    "a body": {"payload": {"mimeType": "text/plain", "body": 7}},
    "a size": {"payload": {"mimeType": "text/plain", "body": {"size": -1}}},
    "snippet": {"snippet": []},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_message_that_cannot_be_read_is_told_and_stops_no_other(broken):
    mine, _ = box({one("a1"): Said(200, {**message("a1"), **broken}), one("a2"): Said(200, message("a2"))})

    for found in (mine.read(["a1", "a2"]), mine.read_whole(["a1", "a2"])):
        assert [mail.record.ref.id for mail in found.mails] == ["a2"]
        assert [set(r.fields) for r in found.unreadable] == [{words.REASON}]


def test_parts_that_lie_too_deep_or_are_too_many_are_told():
    deep = part("text/plain", "x")
    for _ in range(100):
        deep = part("multipart/mixed", parts=[deep])
    many = part("multipart/mixed", parts=[part("image/png", name="x.png", id_=str(n)) for n in range(1500)])

    for payload in (deep, many):
        assert [r.ref.id for r in whole(payload).unreadable] == ["a1"]


def test_ten_thousand_recipients_are_read():
    crowd = ", ".join(f"P {n} <p{n}@crowd.example>" for n in range(10_000))
    mine, _ = box({one("a1"): Said(200, message("a1", headers={"To": crowd}))})

    assert len(people_of(mine.read(["a1"]).mails[0].record, "to")) == 10_000


# --- texts -----------------------------------------------------------------------------------------------------------------------------
def test_texts_and_files_are_told_apart():
    payload = part(
        "multipart/mixed",
        parts=[
            part(
                "multipart/related",
                id_="0",
                parts=[
                    part(
                        "multipart/alternative",
                        id_="0.0",
                        parts=[part("text/plain", "Hi", id_="0.0.0"), part("text/html", "<p>Hi</p>", id_="0.0.1")],
                    ),
                    part("image/png", id_="0.1", name="logo.png", token="t1", size=3, headers=[("Content-ID", "<logo>")]),
                ],
            ),
            part("application/pdf", id_="1", name="o.pdf", token="t2", size=9),
            part("text/plain", id_="2", name="notes.txt", token="t3", size=5),
            part("message/rfc822", id_="3", token="t4", size=7, parts=[part("text/plain", "inner", id_="3.0")]),
            part("text/calendar", "BEGIN:VCALENDAR", id_="4"),
        ],
    )

    mail = whole(payload).mails[0]

    assert (mail.text, mail.html) == ("Hi", "<p>Hi</p>")
    assert [(a.id, a.name, a.is_inline) for a in mail.attachments] == [
        ("0.1", "logo.png", True),
        ("1", "o.pdf", False),
        ("2", "notes.txt", False),
        ("3", "", False),
    ]
    assert (mail.record.fields["hasAttachments"], mail.record.fields["isMeetingMessage"]) == (True, True)


@pytest.mark.parametrize(
    ("content", "charset", "text"),
    [
        ("Köln".encode(), "iso-8859-1", "Köln"),  # told in UTF-8 whatever it says
        ("Köln".encode("iso-8859-1"), "iso-8859-1", "Köln"),
        ("日本".encode("iso-2022-jp"), "iso-2022-jp", "日本"),
        (b"K\xf6ln", "x-unknown", "K\ufffdln"),
        (b"K\xf6ln", "", "K\ufffdln"),
        (b"a\0b", "utf-8", "a\ufffdb"),
    ],
)
def test_a_text_is_read_in_whatever_charset_it_is(content, charset, text):
    payload = part("text/plain", content, headers=[("Content-Type", f'text/plain; charset="{charset}"')])

    assert whole(payload).mails[0].text == text


def test_a_text_that_is_no_base64_is_told():
    payload = part("text/plain")
    payload["body"] = {"size": 5, "data": "!!"}

    assert [r.ref.id for r in whole(payload).unreadable] == ["a1"]


def test_a_long_text_that_does_not_come_along_is_fetched():
    payload = part("text/plain", id_="0", token="t1", size=5)
    routes = {one("a1"): Said(200, message("a1", payload=payload)), f"{one('a1')}/attachments/t1": Said(200, {"data": b64("Hello")})}
    mine, _ = box(routes)

    assert mine.read_whole(["a1"]).mails[0].text == "Hello"


def test_a_text_that_is_larger_than_what_is_read_is_told():
    assert [r.ref.id for r in whole(part("text/plain", id_="0", token="t1", size=50_000_000)).unreadable] == ["a1"]


def test_an_attachment_is_opened_by_its_part_although_its_id_changes():
    payload = part("multipart/mixed", parts=[part("application/pdf", id_="1", name="o.pdf", token="t1", size=4)])
    later = part("multipart/mixed", parts=[part("application/pdf", id_="1", name="o.pdf", token="t2", size=4)])
    mine, wire = box(
        {
            one("a1"): [Said(200, message("a1", payload=payload)), Said(200, message("a1", payload=later))],
            f"{one('a1')}/attachments/t2": Said(200, {"data": b64(b"%PDF")}),
        }
    )
    attachment = mine.read_whole(["a1"], with_attachments=True).mails[0].attachments[0]

    assert mine.open_attachment("a1", attachment.id, most=100) == b"%PDF"
    wire.requests.clear()
    with pytest.raises(Rejected) as refused:
        mine.open_attachment("a1", attachment.id, most=3)
    assert refused.value.code == words.TOO_LARGE
    assert not any("attachments" in call for call in wire.calls)


# --- no text where none belongs --------------------------------------------------------------------------------------------------------
def test_an_answer_that_cannot_be_read_leaves_no_text_in_its_error():
    mine, cursor, _ = after_a_round({HISTORY: Said(200, {"history": [SECRET]})})

    with pytest.raises(OutcomeUnknown) as trouble:
        mine.mail_changes(cursor, SINCE)

    assert SECRET not in f"{trouble.value} {trouble.value.exchange}"


def test_a_batch_that_cannot_be_read_leaves_no_text_in_its_error():
    mine, wire = box({})
    wire._batched = lambda request: Said(200, SECRET, {"Content-Type": "multipart/mixed; boundary=x"})

    with pytest.raises(OutcomeUnknown) as trouble:
        mine.read(["a1", "a2"])

    assert SECRET not in f"{trouble.value} {trouble.value.exchange}"


# --- the mark ----------------------------------------------------------------------------------------------------------------------------
def test_a_mark_is_our_label_and_nothing_else():
    route = f"POST {ROOT}/messages/a1/modify"
    mine, wire = box({route: Said(200, {"id": "a1", "threadId": "t1", "labelIds": ["INBOX", OURS]})})

    assert [result.error for result in mine.mark(["a1"])] == [None]
    assert wire.body() == {"addLabelIds": [OURS]}
    assert [result.error for result in mine.unmark(["a1"])] == [None]
    assert wire.body() == {"removeLabelIds": [OURS]}


def test_a_mark_that_finds_our_label_gone_says_so():
    mine, _ = box({f"POST {ROOT}/messages/a1/modify": error(400, f"Invalid label: {OURS}"), f"{LABELS}/{OURS}": error(404, "Not found")})

    with pytest.raises(RecordGone) as gone:
        mine.mark(["a1"])
    assert gone.value.code == FOLDER_GONE


def test_without_a_label_nothing_is_marked():
    mine, _ = box({}, label="")

    with pytest.raises(ValueError):
        mine.mark(["a1"])
