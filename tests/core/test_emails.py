"""Which mails are saved and which are not, and what the CRM holds of one: tables, and laws (S4.19 to S4.22, S4.37, C21)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import mails as words
from connectors.calendars import CONFIDENTIAL, NORMAL, PERSONAL, PRIVATE
from connectors.contract import Record, Ref
from connectors.mails import Attachment, WholeMail
from reconciliation.core.address_rules import SiteAddresses
from reconciliation.core.blocklists import Blocklist
from reconciliation.core.domains import DomainRules
from reconciliation.core.mailbox_settings import INCOMING, MARKED_ONLY, NO_BODY, OUTGOING, TEXT_ONLY
from reconciliation.passes import emails as rules
from reconciliation.passes.emails import CRM_EMAIL, CRM_TASK, LONGEST, EmailTerms, Known, LeftOut, State

BEGAN = datetime(2026, 3, 2, 9, tzinfo=UTC)
NOW = BEGAN + timedelta(days=1)
ME, COLLEAGUE, ADA, ZOE = "ann@seller.example", "bob@seller.example", "ada@acme.example", "zoe@blocked.example"
RULES = SiteAddresses(DomainRules(own=frozenset({"seller.example"}), blocklist=Blocklist.of(["blocked.example"])))
TERMS = EmailTerms(BEGAN, "org", ME, rules=RULES)
SHARES_ALL = replace(TERMS, shares_all_from=BEGAN)


def mail(**fields):
    given_ = {
        words.MESSAGE_ID: "<1@acme.example>",
        words.SUBJECT: "A question",
        words.FROM: (f"{ADA};Ada Byrne",),
        words.TO: (f"{ME};Ann",),
        words.CC: (),
        words.BCC: (),
        words.SENT_AT: NOW,
        words.RECEIVED_AT: NOW,
        words.FOLDER: words.INBOX,
        words.THREAD: "t1",
        words.SENSITIVITY: NORMAL,
        words.SHARED_BY: words.BY_NOTHING,
        **fields,
    }
    return Record(Ref("microsoft", "mail", "AAMk1"), given_, version="1")


def marked(**fields):
    return mail(**{words.SHARED_BY: words.BY_CATEGORY, **fields})


def why(record, terms=TERMS, **more):
    found = rules.why_shared(record, terms, **more)
    return found.reason if isinstance(found, LeftOut) else found


# --- why ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "terms", "said"),
    [
        (mail(), TERMS, "not_shared"),
        (marked(), TERMS, "category"),
        (mail(**{words.SHARED_BY: words.BY_FOLDER}), TERMS, "folder"),
        (mail(), SHARES_ALL, "auto"),
        (mail(**{words.SHARED_BY: words.BY_THREAD}), replace(TERMS, threads={"t1": BEGAN}), "thread"),
        (mail(), replace(TERMS, threads={"t2": BEGAN}), "not_shared"),
        # Older ones come when they are marked.
        (marked(**{words.SENT_AT: BEGAN - timedelta(days=400), words.RECEIVED_AT: BEGAN - timedelta(days=400)}), TERMS, "category"),
        (mail(**{words.RECEIVED_AT: BEGAN - timedelta(seconds=1)}), SHARES_ALL, "before_activation"),
        (mail(), replace(SHARES_ALL, shares_all_from=NOW + timedelta(seconds=1)), "before_activation"),
        (mail(), replace(TERMS, threads={"t1": NOW + timedelta(seconds=1)}), "before_activation"),
        (mail(**{words.RECEIVED_AT: None, words.SENT_AT: None}), SHARES_ALL, "before_activation"),
        (mail(), replace(SHARES_ALL, direction=OUTGOING), "direction"),
        (mail(**{words.IS_OUTGOING: True}), replace(SHARES_ALL, direction=INCOMING), "direction"),
        (mail(**{words.IS_OUTGOING: True}), replace(SHARES_ALL, direction=OUTGOING), "auto"),
        # A person's wish goes before rules about what nobody asked for.
        (mail(**{words.IS_AUTOMATIC: True}), SHARES_ALL, "automatic"),
        (marked(**{words.IS_AUTOMATIC: True}), SHARES_ALL, "category"),
        (mail(**{words.FROM: (f"{COLLEAGUE};Bob",)}), SHARES_ALL, "between_colleagues"),
        (mail(**{words.FROM: (f"{ME};Ann",)}), SHARES_ALL, "between_colleagues"),
        (mail(**{words.FROM: (), words.TO: ()}), SHARES_ALL, "between_colleagues"),
        (marked(**{words.FROM: (f"{COLLEAGUE};Bob",)}), TERMS, "category"),
        (mail(**{words.FROM: (f"{ZOE};Zoe",)}), SHARES_ALL, "blocked"),
        (mail(**{words.FROM: (f"{ZOE};Zoe",), words.CC: (f"{ADA};Ada",)}), SHARES_ALL, "auto"),
        (marked(**{words.FROM: (f"{ZOE};Zoe",)}), SHARES_ALL, "category"),
        # Private ones go by a button, or by a mark where the setting says so; personal ones are no secret.
        (marked(**{words.SENSITIVITY: PRIVATE}), TERMS, "private"),
        (marked(**{words.SENSITIVITY: CONFIDENTIAL}), TERMS, "private"),
        (marked(**{words.SENSITIVITY: PERSONAL}), TERMS, "category"),
        (marked(**{words.SENSITIVITY: PRIVATE}), replace(TERMS, private=MARKED_ONLY), "category"),
        (mail(**{words.SENSITIVITY: PRIVATE}), replace(SHARES_ALL, private=MARKED_ONLY), "private"),
        # What is no mail to save, whoever marked it.
        (marked(**{words.IS_DRAFT: True}), TERMS, "draft"),
        (marked(**{words.FOLDER: words.DRAFTS}), TERMS, "draft"),
        (marked(**{words.IS_MEETING_MESSAGE: True}), TERMS, "meeting_message"),
        (marked(**{words.FOLDER: words.BIN}), TERMS, "in_bin"),
        (marked(**{words.FOLDER: words.JUNK}), TERMS, "junk"),
    ],
)
def test_why_a_mail_is_saved_or_not(record, terms, said):
    assert why(record, terms) == said


@pytest.mark.parametrize("fields", [{}, {words.SENSITIVITY: PRIVATE}, {words.FOLDER: words.JUNK}, {words.IS_AUTOMATIC: True}])
def test_what_a_person_saves_now_is_saved(fields):
    assert why(mail(**fields), by_person=True) == "person"


@pytest.mark.parametrize("fields", [{words.IS_DRAFT: True}, {words.FOLDER: words.BIN}, {words.IS_MEETING_MESSAGE: True}])
def test_what_is_no_mail_to_save_is_saved_by_nobody(fields):
    assert isinstance(rules.why_shared(mail(**fields), TERMS, by_person=True), LeftOut)


@given(st.lists(st.sampled_from([words.IS_AUTOMATIC, words.IS_OUTGOING, words.HAS_ATTACHMENTS]), unique=True), st.booleans())
def test_nothing_is_shared_that_nobody_asked_for(flags, is_old):
    """The law of C21: without a mark, a followed conversation or sharing of everything no mail is saved."""
    at = BEGAN - timedelta(days=1) if is_old else NOW
    assert why(mail(**dict.fromkeys(flags, True), **{words.SENT_AT: at, words.RECEIVED_AT: at})) == "not_shared"


# --- which e-mail it is ---------------------------------------------------------------------------------------------------


def test_an_email_is_known_by_its_message_id_however_it_is_written():
    key = rules.key_of(mail())
    assert key == rules.key_of(mail(**{words.MESSAGE_ID: " 1@acme.example "})) == rules.key_of(mail(**{words.SUBJECT: "Another"}))
    assert key != rules.key_of(mail(**{words.MESSAGE_ID: "<1@ACME.example>"})) and len(key) == 64
    assert rules.identifier_of(mail(), key) == "<1@acme.example>"


def test_one_without_is_known_by_whom_when_what_and_how_it_begins():
    bare = mail(**{words.MESSAGE_ID: ""})
    key = rules.key_of(bare, "Dear Ann,\n how much?")
    assert rules.needs_text(bare) and not rules.needs_text(mail())
    assert key == rules.key_of(bare, "Dear  Ann, how much?") != rules.key_of(bare, "Dear Ann, how many?")
    for name, value in ((words.FROM, (f"{ZOE};Zoe",)), (words.SENT_AT, BEGAN), (words.SUBJECT, "B")):
        assert key != rules.key_of(mail(**{words.MESSAGE_ID: "", name: value}), "Dear Ann, how much?")
    assert rules.key_of(bare, "a" * 1000 + "b") == rules.key_of(bare, "a" * 1000 + "c")  # engine-rules 40
    assert rules.identifier_of(bare, key).startswith(f"<{key[:40]}@")


@given(st.text(), st.text())
def test_a_key_is_one_whatever_it_is_made_of(name, text):
    assert len(rules.key_of(mail(**{words.MESSAGE_ID: name, words.SUBJECT: name}), text)) == 64


# --- what is known of it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "outcome", "reason"),
    [
        (Known(State.SAVED, is_bound=True), "unchanged", "echo"),
        (Known(State.SAVED, holder=COLLEAGUE), "unchanged", "there_already"),
        (Known(State.DELETED), "excluded", "deleted_in_crm"),
        (Known(State.TAKEN_BACK), "excluded", "taken_back"),
        (Known(State.REFUSED), "held", "case_open"),
        (Known(State.CLAIMED, holder=COLLEAGUE), "held", "other_mailbox"),
    ],
)
def test_what_was_saved_deleted_taken_back_or_is_under_way_is_not_made(known, outcome, reason):
    decision = rules.remembered(mail(), known, TERMS)
    assert (decision.outcome, decision.reason) == (outcome, reason) and decision.intent is None and decision.sentence.endswith(".")


def test_what_waits_or_is_our_own_is_made():
    assert rules.remembered(mail(), Known(State.WAITING), TERMS) is None
    assert rules.remembered(mail(), Known(State.CLAIMED, is_own_claim=True), TERMS) is None


# --- what is written ------------------------------------------------------------------------------------------------------

LINKS = {
    "who": "003A",
    "what": "001A",
    "found": [{"id": "003A", "role": "from"}, {"id": "003B", "role": "cc"}, {"id": "003A", "role": "from"}, {"id": "003C", "role": ""}],
}


def made(terms=TERMS, links=None, **whole):
    record = whole.pop("record", mail())
    return rules.write_of(WholeMail(record, **{"text": "Dear Ann", **whole}), rules.key_of(record), links or {}, terms)


def test_an_email_holds_what_the_mail_holds():
    record = mail(**{words.CC: ("c@x.example;C", "d@x.example;"), words.REFERENCES: ("<0@acme.example>", "<00@acme.example>")})
    whole = made(record=record, html="<p>Dear Ann</p>", links=LINKS)
    assert whole.fields == {
        "Subject": "A question",
        "FromAddress": ADA,
        "FromName": "Ada Byrne",
        "ToAddress": ME,
        "CcAddress": "c@x.example; d@x.example",
        "MessageIdentifier": "<1@acme.example>",
        "ThreadIdentifier": "<0@acme.example>",
        "Incoming": True,
        "Status": "1",
        "MessageDate": NOW,
        "RelatedToId": "001A",
        "People": ("FromAddress;003A", "CcAddress;003B", "ToAddress;003C"),
    }
    assert whole.unstored == {"TextBody": "Dear Ann", "HtmlBody": "<p>Dear Ann</p>"} and whole.left_out == ()
    assert whole.digests["bodies"]["TextBody"]["characters"] == 8 and "Dear" not in repr(whole.digests)


def test_what_went_out_says_so():
    record = mail(**{words.IS_OUTGOING: True, words.SENT_AT: BEGAN, words.BCC: (f"{ADA};",)})
    fields = made(record=record).fields
    assert (fields["Incoming"], fields["Status"], fields["MessageDate"], fields["BccAddress"]) == (False, "3", BEGAN, ADA)


@pytest.mark.parametrize(("bodies", "names"), [("whole", {"TextBody", "HtmlBody"}), (TEXT_ONLY, {"TextBody"}), (NO_BODY, set())])
def test_bodies_by_setting(bodies, names):
    assert made(replace(TERMS, bodies=bodies), html="<p>Dear Ann</p>").unstored.keys() == names


def test_a_mail_of_html_alone_has_a_text_too():
    assert made(text="", html="<p>Dear <b>Ann</b></p>").unstored["TextBody"] == "Dear Ann"


def test_what_is_too_long_is_cut_or_left_out_and_said():
    many = tuple(f"somebody{n}@some.example;" for n in range(1000))
    whole = made(record=mail(**{words.TO: many, words.SUBJECT: "s" * 4000}), text="t" * 40_000, html="h" * 200_000)
    assert len(whole.fields["Subject"]) == 3000 and len(whole.fields["ToAddress"]) <= 4000
    assert all("@" in address for address in whole.fields["ToAddress"].split("; "))  # none is cut in two
    assert len(whole.unstored["TextBody"]) == 32_000 and "HtmlBody" not in whole.unstored
    assert [s.split()[0] for s in whole.left_out] == ["ToAddress", "Subject", "The", "TextBody"] or len(whole.left_out) == 4


def test_what_was_damaged_on_its_way_is_left_out_and_said():
    whole = made(record=mail(**{words.SUBJECT: "A\0B"}), text="x\0y", html="<p>\ud800</p>")
    assert "Subject" not in whole.fields and whole.unstored == {} and len(whole.left_out) == 3


NASTY = st.text(alphabet=st.characters(codec=None), max_size=200) | st.integers(0, 200_000).map("x".__mul__)


@given(NASTY, NASTY, NASTY, st.integers(0, 300), st.sampled_from([CRM_EMAIL, CRM_TASK]))
def test_whatever_a_mail_holds_the_crm_takes_it(subject, text, html, people, object_type):
    """The law: no field is longer than the CRM takes, none holds what no system can store, and what is left out is said."""
    record = mail(**{words.SUBJECT: subject, words.TO: tuple(f"p{n}@{'d' * 50}.example;{subject[:20]}" for n in range(people))})
    whole = rules.write_of(WholeMail(record, text, html), "k" * 64, LINKS, replace(TERMS, object_type=object_type))
    for name, value in {**whole.fields, **whole.unstored}.items():
        if isinstance(value, str):
            assert len(value) <= LONGEST[object_type].get(name, 255), name
            assert not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value), name
    assert all(s and s == s.strip() for s in whole.left_out)
    if object_type == CRM_EMAIL and text and "TextBody" not in whole.unstored:
        assert whole.left_out


def test_a_task_stands_for_it_where_the_crm_keeps_no_emails():
    terms = replace(TERMS, object_type=CRM_TASK, user_id="005A", zone="America/New_York")
    at = datetime(2026, 3, 3, 2, tzinfo=UTC)
    whole = made(terms, links=LINKS, record=mail(**{words.RECEIVED_AT: at}))
    assert whole.fields == {
        "Subject": "Email: A question",
        "Status": "Completed",
        "Priority": "Normal",
        "TaskSubtype": "Email",
        "ActivityDate": datetime(2026, 3, 2).date(),  # noqa: DTZ001  # a day
        "WhoId": "003A",
        "WhatId": "001A",
        "OwnerId": "005A",
    }
    assert whole.unstored["Description"] == f"From: Ada Byrne <{ADA}>\nTo: Ann <{ME}>\nDate: 2026-03-03 02:00 UTC\n\nDear Ann"


# --- files ----------------------------------------------------------------------------------------------------------------


def files(terms, *attachments):
    return rules.files_of(WholeMail(mail(), attachments=attachments), terms)


def test_files_go_by_setting_and_size_and_the_rest_is_said():
    small, large = Attachment("1", "a.pdf", "application/pdf", 10), Attachment("2", "b.zip", "application/zip", 6_000_000)
    picture, forwarded = Attachment("3", "logo.png", "image/png", 5, is_inline=True), Attachment("4", "Fwd", "", 5, is_file=False)

    assert files(TERMS, small)[0] == () and "by setting" in files(TERMS, small)[1][0]
    chosen, said = files(replace(TERMS, most_bytes=5_000_000), small, large, picture, forwarded)
    assert chosen == (small,) and len(said) == 2 and "a mail or a link" in said[0] and "larger than 5 MB" in said[1]
    many = [Attachment(str(n), f"{n}.txt", "text/plain", 1) for n in range(40)]
    chosen, said = files(replace(TERMS, most_bytes=1_000_000), *many)
    assert len(chosen) == rules.MOST_FILES and "25 files" in said[0]
    assert files(replace(TERMS, most_bytes=1, object_type=CRM_TASK), small)[0] == ()
