"""Mail that the played Gmail builds and takes apart: whatever people write can be read, in every format."""

import base64
from email import message_from_bytes, policy

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.gmail_box import BO, GINA, GmailBox, decoded, encoded, header

LINE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), include_characters=" "), max_size=60)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), include_characters="\n"), max_size=200)
BROKEN = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n--b\r\n=?utf-8?q?=FF?=<@>"
FILES = st.lists(st.tuples(LINE.filter(str.strip), st.binary(max_size=50)), max_size=2)


@pytest.fixture(scope="module")
def box():
    with requests.Session() as session:
        session.trust_env = False
        yield GmailBox(session)


def leaves(part):
    return [leaf for each in part["parts"] for leaf in leaves(each)] if "parts" in part else [part]


@settings(max_examples=80, deadline=None)
@given(subject=LINE, body=TEXT, is_html=st.booleans(), files=FILES, name=LINE)
def test_what_people_write_is_read_as_they_wrote_it(box, subject, body, is_html, files, name):
    attachments = [{"name": file, "content": base64.b64encode(content).decode()} for file, content in files]
    made = box.put(subject, body=body, bodyType="html" if is_html else "text", attachments=attachments, headers={"X-Note": name})

    message = box.get(f"/messages/{made['gmailId']}")
    parts = leaves(message["payload"])
    texts = [decoded(part["body"].get("data", "")).decode() for part in parts if "attachmentId" not in part["body"]]
    read = [part for part in parts if "attachmentId" in part["body"]]
    assert texts[-1].replace("\r\n", "\n") == body and header(message, "From") == BO
    assert header(message, "Subject").split() == subject.split() and [part["filename"] for part in read] == [f.strip() for f, _ in files]
    for part, (_, content) in zip(read, files, strict=True):
        assert decoded(box.get(f"/messages/{message['id']}/attachments/{part['body']['attachmentId']}")["data"]) == content
    raw = message_from_bytes(decoded(box.get(f"/messages/{message['id']}", format="raw")["raw"]), policy=policy.default)
    assert raw["Message-ID"] == made["messageId"] and len(list(raw.iter_attachments())) == len(files)
    short = box.get(f"/messages/{message['id']}", format="metadata", metadataHeaders="message-id")
    assert header(short, "Message-ID") == made["messageId"]


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(min_size=1, max_size=300) | st.text(BROKEN, min_size=1, max_size=300))
def test_no_mail_is_too_broken_to_be_kept_and_read(box, raw):
    raw = raw if isinstance(raw, bytes) else raw.encode()
    made = box.post("/messages", {"raw": encoded(raw)})

    for format_ in ("minimal", "metadata", "full"):
        box.get(f"/messages/{made['id']}", format=format_)
    kept = decoded(box.get(f"/messages/{made['id']}", format="raw")["raw"])
    assert kept.endswith(raw) or b"Message-ID" in kept
    box.ids(q="x"), box.system.list_records("message")


def test_other_kinds_of_mail_are_read(box):
    text = (
        f"From: {BO}\nTo: {GINA}\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\nMIME-Version: 1.0\n"
        'Content-Type: multipart/related; boundary="r"\n\n--r\nContent-Type: multipart/alternative; boundary="a"\n\n'
        "--a\nContent-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: quoted-printable\n\n=D0=D2=C9=D7=C5=D4\n"
        '--a\nContent-Type: text/html\n\n<img src="cid:1">\n--a--\n'
        "--r\nContent-Type: image/png\nContent-ID: <1>\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n"
        "--r\nContent-Type: text/calendar; name=invite.ics\nContent-Disposition: attachment\n\nBEGIN:VCALENDAR\n--r--\n"
    )
    made = box.post("/messages", {"raw": encoded(text)})["id"]

    message = box.get(f"/messages/{made}")
    plain, html, picture, invitation = leaves(message["payload"])
    assert [part["partId"] for part in (plain, html, picture, invitation)] == ["0.0", "0.1", "1", "2"]
    assert decoded(plain["body"]["data"]).decode().strip() == "привет" and message["snippet"] == "привет"
    assert header(message, "Subject") == "Grüße" and invitation["filename"] == "invite.ics"
    assert decoded(box.get(f"/messages/{made}/attachments/{picture['body']['attachmentId']}")["data"]) == b"hello"
    row = box.system.get_record("message", box.system.find_id("message", made))
    assert [file["contentType"] for file in row["attachments"]] == ["image/png", "text/calendar"]
