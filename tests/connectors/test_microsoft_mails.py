"""The mails of a Microsoft mailbox on a scripted wire: everything in one call, hostile messages, and no text where none belongs."""

import base64
import json
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest

from connectors import mails as words
from connectors.contract import Ref
from connectors.errors import MailboxRefused, NeedsAttention, OutcomeUnknown, RateLimited, RecordGone, Rejected, ServerTrouble
from connectors.mailboxes import CATEGORIES
from connectors.mails import MailBox, people_of
from connectors.microsoft import mail_rounds
from tests.connectors.microsoft_wire import ANN, GONE, GRAPH, ROOT, connection, error, page, removed
from tests.connectors.wire import HTML, Said

OURS = "FOLDER-mails="
SINCE = datetime(2026, 11, 1, tzinfo=UTC)
MESSAGES, FOLDERS = f"{ROOT}/messages", f"{ROOT}/mailFolders"
DELTA, MARKED = f"GET {FOLDERS}/{OURS}/messages/delta", f"GET {MESSAGES}"
IN, OUT = f"GET {FOLDERS}/inbox/messages/delta", f"GET {FOLDERS}/sentitems/messages/delta"
INBOX_LIST = f"GET {FOLDERS}/inbox/messages"
PLACES = {f"GET {FOLDERS}/{name}": Said(200, {"id": f"F-{name}"}) for name in ("inbox", "sentitems", "drafts", "deleteditems", "junkemail")}
SECRET = "the price is 42 million"


def link(folder=OURS, token="$deltatoken=d1"):
    return f"{GRAPH}/users/{ANN}/mailFolders/{folder}/messages/delta?{token}"


END, IN_END, OUT_END = link(), link("inbox"), link("sentitems")


def person(address, name=""):
    return {"emailAddress": {"address": address, "name": name}}


def message(id_, etag="v1", **more):
    """Returns a message as Microsoft tells it in a list, or by its id."""
    return {
        "@odata.etag": f'W/"{etag}"',
        "id": id_,
        "internetMessageId": f"<{id_}@acme.example>",
        "subject": f"Subject of {id_}",
        "bodyPreview": "Dear Ann",
        "conversationId": "C-1",
        "from": person("Bo@acme.example", "Bo Li"),
        "sender": person("Bo@acme.example", "Bo Li"),
        "toRecipients": [person(ANN, "Ann")],
        "ccRecipients": [],
        "bccRecipients": [],
        "sentDateTime": "2026-11-21T08:00:00Z",
        "receivedDateTime": "2026-11-21T08:00:05Z",
        "lastModifiedDateTime": "2026-11-21T10:11:12Z",
        "isDraft": False,
        "parentFolderId": "F-inbox",
        "categories": ["Salesforce"],
        "hasAttachments": False,
        "internetMessageHeaders": [{"name": "Subject", "value": "x"}],
        **more,
    }


def attached(**more):
    """Returns a file as Microsoft tells it."""
    own = {"id": "a1", "name": "o.pdf", "contentType": "application/pdf", "size": 5, "isInline": False}
    return {"@odata.type": "#microsoft.graph.fileAttachment", **own, **more}


QUIET = {**PLACES, DELTA: page(end=END), MARKED: page(), IN: page(end=IN_END), OUT: page(end=OUT_END)}


def box(routes, *, folder=OURS, category="Salesforce", **options):
    connector, graph = connection({**QUIET, **routes}, **options)
    opened: MailBox = connector.mails(ANN)  # satisfies the protocol, too
    opened.use_folder(folder)
    opened.use_category(category)
    return opened, graph


def one(routes, **options):
    """Returns the page that a first call tells, and the wire."""
    opened, graph = box(routes, **options)
    return opened.mail_changes("", SINCE), graph


def text_of(record, name):
    return record.fields[name]


# --- the calls --------------------------------------------------------------------------------------------------------------------
def test_a_round_is_one_batch_and_asks_for_marked_mails_and_our_folder_alone():
    told, graph = one({})

    assert graph.calls == ["POST /$batch"]
    assert [route for route in graph.asked if "messages" in route] == [DELTA, MARKED]
    assert told.is_last and told.is_whole


def test_the_search_for_marks_orders_by_what_stands_first_in_its_filter():
    _, graph = one({}, category="Bo's")

    url = unquote(next(part["url"] for part in graph.parts if "$orderby" in part["url"]))
    assert "$filter=lastModifiedDateTime ge 2026-11-01T00:00:00Z and categories/any(c:c eq 'Bo''s')" in url
    assert "$orderby=lastModifiedDateTime" in url


def test_immutable_ids_are_asked_for_on_every_part():
    _, graph = one({})

    assert all('IdType="ImmutableId"' in part["headers"]["Prefer"] for part in graph.parts)


def test_everything_is_four_lists_in_one_batch_and_new_mails_alone():
    opened, graph = box({})
    opened.use_reach(everything=True)

    opened.mail_changes("", SINCE)

    assert graph.calls == ["POST /$batch"]
    assert [route for route in graph.asked if "messages" in route] == [DELTA, MARKED, IN, OUT]
    assert "receivedDateTime ge 2026-11-01T00:00:00Z" in unquote(next(p["url"] for p in graph.parts if "/inbox/messages" in p["url"]))


def test_of_threads_the_thread_alone_is_asked_for_and_what_belongs_to_one_is_read():
    opened, graph = box(
        {
            IN: page(
                {"id": "A", "conversationId": "C-1", "receivedDateTime": "2026-11-21T08:00:05Z"},
                {"id": "B", "conversationId": "C-2", "receivedDateTime": "2026-11-21T08:00:05Z"},
                end=IN_END,
            ),
            f"GET {MESSAGES}/A": Said(200, message("A")),
        }
    )
    opened.use_reach(threads=["C-1"])

    told = opened.mail_changes("", SINCE)

    assert "$select=conversationId,receivedDateTime" in next(p["url"] for p in graph.parts if "/inbox/messages" in p["url"])
    assert [(m.ref.id, m.fields["sharedBy"]) for m in told.mails] == [("A", "thread")]
    assert f"GET {MESSAGES}/B" not in graph.asked


def test_the_second_round_goes_on_with_the_links_and_looks_for_marks_since_the_first_began():
    opened, graph = box({})
    first = opened.mail_changes("", SINCE)
    graph.parts.clear()

    second = opened.mail_changes(first.cursor, SINCE)

    urls = [unquote(part["url"]) for part in graph.parts]
    assert len(urls) == 2  # which folders are which is known by now
    assert any("$deltatoken=d1" in url for url in urls)
    assert any("lastModifiedDateTime ge 2026-03-02T08:58:00Z" in url for url in urls)  # the server's clock, two minutes earlier
    assert not second.is_whole


def test_without_folder_category_and_reach_nothing_is_asked_for():
    told, graph = one({}, folder="", category="")

    assert (graph.calls, told.mails, told.is_last) == ([], (), True)


def test_a_list_that_tells_too_little_of_a_mail_is_helped_out_by_a_read():
    thin = {"@odata.etag": 'W/"v1"', "id": "A", "subject": "Only this"}
    told, _ = one({DELTA: page(thin, end=END), f"GET {MESSAGES}/A": Said(200, message("A"))})

    assert [text_of(m, "subject") for m in told.mails] == ["Subject of A"]


def test_a_mail_that_two_lists_tell_of_comes_once():
    told, _ = one({DELTA: page(message("A"), end=END), MARKED: page(message("A"))})

    assert [(m.ref.id, m.fields["sharedBy"]) for m in told.mails] == [("A", "folder")]


def test_what_is_said_last_of_a_mail_holds():
    told, _ = one({DELTA: page(message("A"), removed("A"), removed("B"), message("B"), end=END)})

    assert [m.ref.id for m in told.mails] == ["B"]
    assert told.gone == ("A",)


def test_a_search_of_several_pages_goes_on_by_time_and_not_by_offset():
    opened, graph = box(
        {
            MARKED: [
                page(message("A", lastModifiedDateTime="2026-11-20T00:00:00Z"), following=f"{GRAPH}/users/{ANN}/messages?$skip=1"),
                page(message("B", lastModifiedDateTime="2026-11-21T00:00:00Z")),
            ]
        }
    )

    first = opened.mail_changes("", SINCE)
    second = opened.mail_changes(first.cursor, SINCE)

    assert (first.is_last, second.is_last) == (False, True)
    assert "lastModifiedDateTime ge 2026-11-20T00:00:00Z" in unquote(graph.parts[-1]["url"])
    assert [m.ref.id for m in (*first.mails, *second.mails)] == ["A", "B"]


def test_a_page_of_marks_of_one_second_is_gone_on_from_by_its_link():
    moment = "2026-11-20T00:00:00Z"
    rows = [page(message("A", lastModifiedDateTime=moment), following=f"{GRAPH}/users/{ANN}/messages?$skip={n}") for n in (1, 2)]
    opened, graph = box({MARKED: [*rows, page(message("B"))]})

    cursor = ""
    for _ in range(3):
        told = opened.mail_changes(cursor, SINCE)
        cursor = told.cursor

    assert told.is_last
    assert "$skip=2" in unquote(graph.parts[-1]["url"])


def test_a_first_list_that_is_capped_is_filled_up_by_a_search(monkeypatch):
    monkeypatch.setattr(mail_rounds, "MOST_FILTERED", 2)
    opened, graph = box(
        {
            IN: page(
                message("A", receivedDateTime="2026-11-20T00:00:00Z"), message("B", receivedDateTime="2026-11-19T00:00:00Z"), end=IN_END
            ),
            INBOX_LIST: [
                page(
                    message("B", receivedDateTime="2026-11-19T00:00:00Z"),
                    message("C", receivedDateTime="2026-11-18T00:00:00Z"),
                    following=f"{GRAPH}/users/{ANN}/mailFolders/inbox/messages?$skip=2",
                ),
                page(message("D", receivedDateTime="2026-11-17T00:00:00Z")),
            ],
        }
    )
    opened.use_reach(everything=True)

    ids, cursor = [], ""
    for _ in range(3):
        told = opened.mail_changes(cursor, SINCE)
        ids += [m.ref.id for m in told.mails]
        cursor = told.cursor

    assert told.is_last
    assert set(ids) == {"A", "B", "C", "D"}
    url = unquote(graph.parts[-1]["url"])
    assert "receivedDateTime le 2026-11-18T00:00:00Z and receivedDateTime ge 2026-11-01T00:00:00Z" in url
    assert [route for route in graph.asked if route == IN] == [IN]


# --- trouble ----------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dead", [error("SyncStateNotFound", 410), error("syncStateInvalid", 400), Said(410, {})])
def test_a_dead_token_begins_its_list_anew_in_the_same_call_of_ours(dead):
    opened, graph = box({DELTA: [page(end=END), dead, page(message("A"), end=END)]})
    first = opened.mail_changes("", SINCE)
    graph.parts.clear()

    told = opened.mail_changes(first.cursor, SINCE)

    assert [m.ref.id for m in told.mails] == ["A"]
    assert told.is_whole and not told.is_restart  # between two rounds nothing was said that counts no more
    assert "deltatoken" not in graph.parts[-1]["url"]


def test_a_token_that_dies_in_the_middle_of_a_round_is_a_restart():
    opened, _ = box({DELTA: [page(message("A"), following=link(token="$skiptoken=s1")), error("resyncRequired", 410), page(end=END)]})
    first = opened.mail_changes("", SINCE)

    assert opened.mail_changes(first.cursor, SINCE).is_restart


def test_what_came_in_since_the_last_round_is_asked_for_where_its_token_died():
    opened, graph = box({IN: [page(end=IN_END), error("SyncStateNotFound", 410), page(end=IN_END)]})
    opened.use_reach(everything=True)
    first = opened.mail_changes("", datetime(2026, 1, 1, tzinfo=UTC))

    opened.mail_changes(first.cursor, datetime(2026, 1, 1, tzinfo=UTC))

    assert "receivedDateTime ge 2026-03-01T09:00:00Z" in unquote(graph.parts[-1]["url"])  # a day before the last round


def test_a_mailbox_that_knows_none_of_its_own_links_is_trouble():
    opened, _ = box({DELTA: error("SyncStateNotFound", 410)})

    with pytest.raises(OutcomeUnknown):
        opened.mail_changes("", SINCE)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (error("ErrorAccessDenied", 403), MailboxRefused),
        (error("MailboxNotEnabledForRESTAPI", 404), MailboxRefused),
        (error("ApplicationThrottled", 429, Retry_After="7"), RateLimited),
        (Said(200, {"value": "none"}), OutcomeUnknown),
        (Said(200, {"value": []}), OutcomeUnknown),  # neither more nor the end
        (Said(200, {"value": [{"subject": "no id"}], "@odata.deltaLink": END}), OutcomeUnknown),
        (Said(200, {"value": [None], "@odata.deltaLink": END}), OutcomeUnknown),
        (error("ErrorInternalServerTransientError", 500), ServerTrouble),
    ],
)
def test_what_a_list_is_answered_means_what_it_means(said, kind):
    opened, _ = box({DELTA: said})

    with pytest.raises(kind):
        opened.mail_changes("", SINCE)


def test_a_link_to_another_host_is_refused_and_no_token_goes_there():
    opened, graph = box({DELTA: page(end="https://evil.example/v1.0/users/x/messages/delta?$deltatoken=1")})

    with pytest.raises(NeedsAttention):
        opened.mail_changes("", SINCE)
    assert {request.url.split("/")[2] for request in graph.requests} == {"graph.microsoft.com"}


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "[]",
        '{"v":1}',
        '{"v":1,"halves":{"ours":{"link":"https://evil.example/v1.0/x"}}}',
        '{"v":1,"halves":{"ours":{"link":7}}}',
        '{"v":1,"halves":{"other":{}}}',
        '{"v":1,"halves":{},"kinds":{"a":1}}',
        '{"v":1,"halves":{},"extra":1}',
        "[" * 10_000,
    ],
)
def test_a_cursor_that_is_none_of_ours_begins_anew(cursor):
    opened, _ = box({DELTA: page(message("A"), end=END)})

    told = opened.mail_changes(cursor, SINCE)

    assert [m.ref.id for m in told.mails] == ["A"]
    assert told.is_whole


def test_an_answer_that_is_too_large_is_asked_for_in_smaller_pages(monkeypatch):
    opened, graph = box({DELTA: page(message("A"), end=END)})
    monkeypatch.setattr("connectors.http.MAX_BYTES", 4000)
    sizes = []

    def said(part):
        size = int(part["headers"]["Prefer"].rpartition("=")[2])
        sizes.append(size)
        return page(message("A", subject="x" * 300 * size), end=END)

    graph.routes[DELTA] = [said]

    told = opened.mail_changes("", SINCE)

    assert sizes == [200, 25, 3]
    assert [m.ref.id for m in told.mails] == ["A"]


# --- hostile messages ----------------------------------------------------------------------------------------------------------------
BROKEN = {
    "subject": {"subject": 7},
    "from": {"from": "bo@acme.example"},
    "an address": {"toRecipients": [person(["x"])]},
    "recipients": {"ccRecipients": {"a": 1}},
    "categories": {"categories": [None]},
    "draft": {"isDraft": "no"},
    "time": {"receivedDateTime": 12},
    "folder": {"parentFolderId": []},
    "thread": {"conversationId": True},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_message_that_cannot_be_read_is_told_and_stops_no_other(broken):
    told, _ = one({DELTA: page(message("A", **broken), message("B"), end=END)})

    assert [m.ref.id for m in told.mails] == ["B"]
    assert [r.ref.id for r in told.unreadable] == ["A"]
    assert set(told.unreadable[0].fields) == {words.REASON}
    assert str(told.unreadable[0].fields[words.REASON]).startswith("Microsoft tells its")


ODD = {
    "no From": ({"from": None, "sender": None}, {"from": (), "sender": ()}),
    "no date": ({"receivedDateTime": None, "sentDateTime": "0001-01-01T00:00:00Z"}, {"receivedAt": None, "sentAt": None}),
    "a date that is none": ({"sentDateTime": "yesterday"}, {"sentAt": None}),
    "NUL in the subject": ({"subject": "a\0b"}, {"subject": "a\ufffdb"}),
    "a lone surrogate": ({"subject": "a\ud800"}, {"subject": "a\ufffd"}),
    "no Message-ID": ({"internetMessageId": None}, {"messageId": ""}),
    "a Message-ID without brackets": ({"internetMessageId": " odd id "}, {"messageId": "odd id"}),
    "a semicolon in an address": ({"from": person("a;b@x.example", "A;B")}, {"from": ("a,b@x.example;A;B",)}),
    "lines in a name": ({"from": person("a@x.example", "A\r\nBcc: x")}, {"from": ("a@x.example;A Bcc: x",)}),
    "nobody": ({"toRecipients": [person("", ""), person(None, "Only a name")]}, {"to": (";Only a name",)}),
    "headers that are none": ({"internetMessageHeaders": [None, {"name": 1}, "x"]}, {"isAutomatic": False}),
    "an invitation": ({"@odata.type": "#microsoft.graph.eventMessageRequest"}, {"isMeetingMessage": True}),
}


@pytest.mark.parametrize(("odd", "wanted"), ODD.values(), ids=ODD.keys())
def test_an_odd_message_is_a_mail_all_the_same(odd, wanted):
    told, _ = one({DELTA: page(message("A", **odd), end=END)})

    assert {name: told.mails[0].fields[name] for name in wanted} == wanted
    json.dumps({name: str(value) for name, value in told.mails[0].fields.items()}).encode()


def test_what_was_changed_while_reading_is_named():
    told, _ = one({DELTA: page(message("A", subject="a\0b", toRecipients=[person("x@y.example", "\0")]), end=END)})

    assert told.mails[0].damaged == {"subject", "to"}


def test_ten_thousand_recipients_and_huge_headers_are_read():
    crowd = [person(f"p{n}@crowd.example", f"P {n}") for n in range(10_000)]
    headers = [{"name": "References", "value": "<r@x.example> " * 50_000}, *({"name": f"X-{n}", "value": "y" * 100} for n in range(5000))]
    told, _ = one({DELTA: page(message("A", toRecipients=crowd, internetMessageHeaders=headers), end=END)})

    assert len(people_of(told.mails[0], "to")) == 10_000
    assert told.mails[0].fields["references"] == ("<r@x.example>",)


def test_what_the_sender_called_private_is_told_of_mails_that_never_travelled():
    extended = [{"id": "Integer 0x36", "value": "2"}, {"id": "String 0x1042", "value": "<m0@x.example>"}]
    told, graph = one(
        {MARKED: page(message("A", internetMessageHeaders=None, singleValueExtendedProperties=extended, parentFolderId="F-sentitems"))}
    )

    fields = told.mails[0].fields
    assert (fields["sensitivity"], fields["inReplyTo"], fields["isOutgoing"]) == ("private", "<m0@x.example>", True)
    assert f"GET {MESSAGES}/A" not in graph.asked


def test_lists_that_bring_no_extended_properties_are_helped_out_by_a_read():
    sent = message("A", internetMessageHeaders=None, parentFolderId="F-sentitems")
    whole = {**sent, "singleValueExtendedProperties": [{"id": "Integer 0x36", "value": "2"}]}
    told, graph = one({DELTA: page(sent, end=END), f"GET {MESSAGES}/A": Said(200, whole)}, settings={"expands_rounds": False})

    assert told.mails[0].fields["sensitivity"] == "private"
    assert "$expand" not in next(part["url"] for part in graph.parts if "/delta" in part["url"])


# --- reading ---------------------------------------------------------------------------------------------------------------------------
def test_a_message_that_exchange_cannot_show_is_told_and_stops_no_other():
    opened, _ = box({f"GET {MESSAGES}/A": error("ErrorCorruptData", 500), f"GET {MESSAGES}/B": Said(200, message("B"))})

    found = opened.read(["A", "B", "C"])

    assert [mail.record.ref.id for mail in found.mails] == ["B"]
    assert [r.ref.id for r in found.unreadable] == ["A", "C"]
    assert "ErrorCorruptData" in str(found.unreadable[0].fields[words.REASON])


def test_one_that_fails_alone_is_its_own_matter_where_the_mailbox_answers_otherwise():
    opened, _ = box({f"GET {MESSAGES}/A": error("ErrorCorruptData", 500)})
    opened.mail_changes("", SINCE)  # its folders are known by now

    assert [r.ref.id for r in opened.read(["A"]).unreadable] == ["A"]


def test_a_mailbox_that_answers_nothing_is_trouble_and_no_matter_of_its_messages():
    down = error("ErrorInternalServerTransientError", 500)
    opened, _ = box({f"GET {MESSAGES}/A": down, **dict.fromkeys(PLACES, down)})

    with pytest.raises(ServerTrouble):
        opened.read(["A"])


def test_a_throttled_part_stops_the_run_and_says_how_long():
    opened, _ = box(
        {f"GET {MESSAGES}/A": error("ApplicationThrottled", 429, Retry_After="7"), f"GET {MESSAGES}/B": Said(200, message("B"))}
    )

    with pytest.raises(RateLimited) as trouble:
        opened.read(["A", "B"])
    assert trouble.value.retry_after == 7


def test_a_throttled_read_of_attachments_stops_the_run_and_is_no_matter_of_the_mail():
    throttled = {f"GET {MESSAGES}/A/attachments": error("ApplicationThrottled", 429, Retry_After="7")}
    opened, _ = box({f"GET {MESSAGES}/A": Said(200, message("A", hasAttachments=True)), **throttled})

    with pytest.raises(RateLimited):
        opened.read_whole(["A"], with_attachments=True)

    refused = {f"GET {MESSAGES}/A/attachments": error("ErrorCorruptData", 500)}
    opened, _ = box({f"GET {MESSAGES}/A": Said(200, message("A", hasAttachments=True)), **refused})
    (unreadable,) = opened.read_whole(["A"], with_attachments=True).unreadable
    assert "its attachments" in str(unreadable.fields[words.REASON])


def test_texts_come_with_what_is_attached_in_one_call_where_a_list_told_of_it():
    whole = message(
        "A", hasAttachments=True, body={"contentType": "html", "content": "<p>Hi</p>"}, uniqueBody={"contentType": "html", "content": "Hi"}
    )
    rows = [
        {
            "@odata.type": "#microsoft.graph.fileAttachment",
            "id": "a1",
            "name": "o.pdf",
            "contentType": "application/pdf",
            "size": 5,
            "isInline": False,
        },
        {"@odata.type": "#microsoft.graph.itemAttachment", "id": "a2", "name": "Mail", "contentType": None, "size": 9, "isInline": False},
    ]
    opened, graph = box(
        {
            DELTA: page(message("A", hasAttachments=True), end=END),
            f"GET {MESSAGES}/A": Said(200, whole),
            f"GET {MESSAGES}/A/attachments": Said(200, {"value": rows}),
        }
    )
    opened.mail_changes("", SINCE)
    before = len(graph.calls)

    mail = opened.read_whole(["A"], with_attachments=True).mails[0]

    assert len(graph.calls) - before == 1
    assert (mail.html, mail.text, mail.newest, mail.newest_is_html) == ("<p>Hi</p>", "", "Hi", True)
    assert [(a.id, a.name, a.size, a.is_file) for a in mail.attachments] == [("a1", "o.pdf", 5, True), ("a2", "Mail", 9, False)]
    with pytest.raises(Rejected) as refused:
        opened.open_attachment("A", "a2", most=100)
    assert refused.value.code == words.NO_FILE


def test_a_text_that_is_larger_than_what_is_read_is_told_and_stops_no_other(monkeypatch):
    large = message("A", body={"contentType": "text", "content": "x" * 20_000})
    small = message("B", body={"contentType": "text", "content": "small"})
    opened, _ = box({f"GET {MESSAGES}/A": Said(200, large), f"GET {MESSAGES}/B": Said(200, small)})
    monkeypatch.setattr("connectors.http.MAX_BYTES", 8000)

    found = opened.read_whole(["A", "B"])

    assert [mail.text for mail in found.mails] == ["small"]
    assert [r.ref.id for r in found.unreadable] == ["A"]


def test_nothing_larger_than_what_is_taken_is_fetched():
    path = f"GET {MESSAGES}/A/attachments/a1"
    opened, graph = box(
        {path: Said(200, {"id": "a1", "name": "o.pdf", "contentType": "application/pdf", "size": 5_000_000, "isInline": False})}
    )

    with pytest.raises(Rejected) as refused:
        opened.open_attachment("A", "a1", most=1000)

    assert refused.value.code == words.TOO_LARGE
    assert [unquote(call) for call in graph.calls] == [path]


@pytest.mark.parametrize("content", [None, "no base64!", 7])
def test_an_attachment_that_cannot_be_read_is_refused(content):
    opened, _ = box({f"GET {MESSAGES}/A/attachments/a1": Said(200, attached(contentBytes=content))})

    with pytest.raises(Rejected):
        opened.open_attachment("A", "a1", most=1000)


def test_an_attachment_that_is_larger_than_it_says_is_refused():
    row = {
        "id": "a1",
        "name": "x",
        "contentType": "x/y",
        "size": 5,
        "isInline": False,
        "contentBytes": base64.b64encode(b"x" * 2000).decode(),
    }
    opened, _ = box({f"GET {MESSAGES}/A/attachments/a1": Said(200, row)})

    with pytest.raises(Rejected) as refused:
        opened.open_attachment("A", "a1", most=1000)
    assert refused.value.code == words.TOO_LARGE


def test_a_message_id_is_found_in_its_own_letters_alone():
    opened, _ = box({MARKED: page(message("A", internetMessageId="<ID@x.example>"), message("B", internetMessageId="<id@x.example>"))})

    assert [record.ref.id for record in opened.find(["<id@x.example>"])] == ["B"]


# --- no text where none belongs -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "said",
    [
        Said(200, {"value": [{"subject": SECRET}], "@odata.deltaLink": END}),
        Said(200, {"value": SECRET}),
    ],
)
def test_an_answer_that_cannot_be_read_leaves_no_text_in_its_error(said):
    opened, _ = box({DELTA: said})

    with pytest.raises(OutcomeUnknown) as trouble:
        opened.mail_changes("", SINCE)

    assert SECRET not in f"{trouble.value} {trouble.value.exchange}"


def test_a_whole_answer_that_cannot_be_read_leaves_no_text_in_its_error():
    opened, _ = box({"POST /$batch": Said(200, HTML + SECRET)})

    with pytest.raises(OutcomeUnknown) as trouble:
        opened.mail_changes("", SINCE)

    assert SECRET not in f"{trouble.value} {trouble.value.exchange}"


# --- the mark ----------------------------------------------------------------------------------------------------------------------------
def test_a_mark_rests_on_what_was_read_and_asks_for_no_text_back():
    held = Said(200, {"@odata.etag": 'W/"v7"', "id": "A", "categories": ["Blue"]})
    opened, graph = box({f"GET {MESSAGES}/A": held, f"PATCH {MESSAGES}/A": Said(200, {"id": "A", "categories": ["Blue", "Salesforce"]})})

    result = opened.mark(["A"])[0]

    assert (result.error, result.record.fields[CATEGORIES]) == (None, ("Blue", "Salesforce"))
    patch = graph.parts[-1]
    assert (patch["headers"]["If-Match"], patch["body"]) == ('W/"v7"', {"categories": ["Blue", "Salesforce"]})
    assert "$select=id,categories" in patch["url"]
    assert result.record.ref == Ref("microsoft", "mail", "A")


def test_who_is_overtaken_looks_again():
    held = [Said(200, {"@odata.etag": f'W/"v{n}"', "id": "A", "categories": ["Blue"][:n]}) for n in (0, 1)]
    stale = error("ErrorIrresolvableConflict", 412)
    opened, graph = box({f"GET {MESSAGES}/A": held, f"PATCH {MESSAGES}/A": [stale, Said(200, {"id": "A"})]})

    assert [result.error for result in opened.mark(["A"])] == [None]
    assert graph.parts[-1]["body"] == {"categories": ["Blue", "Salesforce"]}


def test_one_that_bears_the_mark_already_is_left_as_it_is():
    opened, graph = box({f"GET {MESSAGES}/A": Said(200, {"@odata.etag": "e", "id": "A", "categories": ["SALESFORCE"]})})

    assert [result.error for result in opened.mark(["A"])] == [None]
    assert not any(route.startswith("PATCH") for route in graph.asked)


def test_marks_that_are_refused_are_told_one_by_one():
    opened, _ = box(
        {
            f"GET {MESSAGES}/A": GONE,
            f"GET {MESSAGES}/B": Said(200, {"id": "B", "categories": 7}),
            f"GET {MESSAGES}/C": Said(200, {"@odata.etag": "e", "id": "C", "categories": []}),
            f"PATCH {MESSAGES}/C": error("ErrorAccessDenied", 403),
        }
    )

    found = {result.key: type(result.error) for result in opened.mark(["A", "B", "C"])}

    assert found == {"A": RecordGone, "B": Rejected, "C": MailboxRefused}


def test_without_a_category_nothing_is_marked():
    opened, _ = box({}, category="")

    with pytest.raises(ValueError):
        opened.mark(["A"])
