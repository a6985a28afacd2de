"""The search of the played Gmail, as people type it."""

import base64

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.gmail_box import GINA, GmailBox

ORDER, REPLY, LUNCH, PRIZE, OLD, CHAT = "Order 7", "Re: order 7", "Lunch", "Prize", "Old", "Hi"
PDF = {"name": "offer-7.pdf", "contentType": "application/pdf", "content": base64.b64encode(b"x" * 3000).decode()}


@pytest.fixture(scope="module")
def box():
    with requests.Session() as session:
        session.trust_env = False
        made = GmailBox(session)
        order = {"body": "The price of steel", "attachments": [PDF], "labels": ["INBOX", "CRM/Salesforce"]}
        made.put(ORDER, **order, receivedAt="2026-10-20T12:00:00Z")
        reply = {"from": "Ann <ann@other.example>", "cc": "Cy <cy@acme.example>", "body": "<p>Steel wool</p>", "bodyType": "html"}
        made.put(REPLY, **reply, receivedAt="2026-10-25T12:00:00Z", labels=["INBOX", "UNREAD", "STARRED"])
        lunch = {"from": GINA, "to": "bo@acme.example", "bcc": "eve@other.example", "messageId": "lunch@example.test"}
        made.put(LUNCH, **lunch, receivedAt="2026-10-28T12:00:00Z")
        made.put(PRIZE, body="You won", labels=["SPAM"], receivedAt="2026-10-29T12:00:00Z")
        made.put(OLD, labels=["TRASH"], receivedAt="2026-10-30T12:00:00Z")
        made.put(CHAT, labels=["CHAT"], receivedAt="2026-10-31T12:00:00Z")
        yield made


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("", [CHAT, LUNCH, REPLY, ORDER]),
        ("-in:chats", [LUNCH, REPLY, ORDER]),
        ("steel", [REPLY, ORDER]),
        ("STEEL price", [ORDER]),
        ("stee", []),
        ("p", []),
        ('"steel wool"', [REPLY]),
        ('"wool steel"', []),
        ("steel -wool", [ORDER]),
        ('steel -"steel wool"', [ORDER]),
        ("from:bo@acme.example", [CHAT, ORDER]),
        ("from:acme.example steel", [ORDER]),
        ("from:Ann", [REPLY]),
        ("from:me", [LUNCH]),
        ("from:(ann OR me)", [LUNCH, REPLY]),
        ("{from:ann from:me}", [LUNCH, REPLY]),
        ("from:ann OR from:me -lunch", [REPLY]),
        ("to:bo@acme.example", [LUNCH]),
        ("to:eve@other.example", [LUNCH]),
        ("to:me steel", [REPLY, ORDER]),
        ("cc:cy@acme.example", [REPLY]),
        ("cc:gina@example.test", []),
        ("subject:order", [REPLY, ORDER]),
        ('subject:"order 7" from:bo', [ORDER]),
        ("subject:(order lunch)", []),
        ("subject:{order lunch}", [LUNCH, REPLY, ORDER]),
        ("label:crm-salesforce", [ORDER]),
        ("label:CRM/Salesforce", [ORDER]),
        ('label:"crm/salesforce"', [ORDER]),
        ("label:nothing", []),
        ("label:inbox", [REPLY, ORDER]),
        ("in:inbox", [REPLY, ORDER]),
        ("in:sent", [LUNCH]),
        ("in:trash", [OLD]),
        ("in:spam", [PRIZE]),
        ("in:anywhere", [CHAT, OLD, PRIZE, LUNCH, REPLY, ORDER]),
        ("is:unread", [REPLY]),
        ("is:read in:inbox", [ORDER]),
        ("is:starred", [REPLY]),
        ("is:important", []),
        ("has:attachment", [ORDER]),
        ("filename:pdf", [ORDER]),
        ("offer", [ORDER]),
        ("larger:2k", [ORDER]),
        ("rfc822msgid:<lunch@example.test>", [LUNCH]),
        ("rfc822msgid:lunch@example.test", [LUNCH]),
        ("after:2026/10/26 -in:chats", [LUNCH]),
        ("after:2026/10/25 before:2026/10/28", [REPLY]),
        ("before:2026/10/21", [ORDER]),
        ("after:1792929600 before:1793188800", [REPLY]),
        ("after:1792929601 before:1793188801", [LUNCH]),
        ("newer_than:5d -in:chats", [LUNCH]),
        ("older_than:10d", [ORDER]),
        ("after:tomorrow", []),
        ("color:red", []),
        ("order nothing", []),
    ],
)
def test_a_search_finds(box, q, found):
    assert box.subjects(q=q) == found


def test_a_day_begins_at_midnight_of_the_zone(box):
    assert box.subjects(q="after:2026/10/28 -in:chats") == [LUNCH]
    assert box.subjects(q="before:2026/10/28", labelIds="SENT") == []
    box.system.set_switches({"gmail_search_zone": "Pacific/Kiritimati"})
    assert box.subjects(q="before:2026/10/29", labelIds="SENT") == []
    assert box.subjects(q="after:2026/10/29", labelIds="SENT") == [LUNCH]
    box.system.set_switches({"gmail_search_zone": "America/Los_Angeles"})


def test_threads_are_found_by_any_of_their_messages(box):
    assert len(box.get("/threads", q="steel")["threads"]) == 1
    assert [t["id"] for t in box.get("/threads", q="wool")["threads"]] == [t["id"] for t in box.get("/threads", q="price")["threads"]]


@settings(max_examples=150, deadline=None)
@given(q=st.text(alphabet='ab:-(){}"OR /7\\<@.', max_size=30) | st.text(max_size=20))
def test_whatever_is_typed_is_a_search(box, q):
    assert set(box.ids(q=q, includeSpamTrash="true")) <= set(box.ids(includeSpamTrash="true"))
