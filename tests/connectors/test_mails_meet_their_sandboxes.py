"""The mails of a mailbox against the played Exchange and the played Gmail: one list for both. Connectors and sandboxes were written
from the reference, neither from the other: what one of them misread shows here."""

import pytest

from connectors import mails as words
from connectors.contract import Ref
from connectors.errors import RecordGone, Rejected
from connectors.mailboxes import CATEGORIES, FOLDER_GONE
from connectors.mails import MAIL, MAIL_SCHEMA, people_of
from tests.connectors.mailing import BO, CATEGORY, FOLDER, at, file, mailing

pytestmark = pytest.mark.django_db
SYSTEMS = ("microsoft", "google")
PDF = b"%PDF-1.4 offer"


@pytest.fixture(params=SYSTEMS)
def mine(request):
    opened = mailing(request.param)
    yield opened
    opened.connector.close()


def test_its_mails_can_be_read(mine):
    assert [line.is_ok for line in mine.box.check_mailbox()] == [True]


def test_the_folder_is_made_once_and_found_by_its_name(mine):
    again = mine.box.make_folder(FOLDER)

    assert [folder.id for folder in mine.box.folders(FOLDER)] == [again.id]
    assert mine.box.folders("salesforce emails") == []


# --- what is told -------------------------------------------------------------------------------------------------------------
def test_only_what_was_marked_or_lies_in_our_folder_is_told(mine):
    mine.put("Private")
    marked = mine.put("Offer", marked=True)
    mine.put("Dragged", folder=FOLDER)

    told = mine.round()

    assert told.shared() == {"Offer": mine.by_mark, "Dragged": "folder"}
    assert told.is_whole and not told.is_restart
    assert marked in {mail.ref.id for mail in told.mails}


def test_a_quiet_mailbox_costs_one_call(mine):
    mine.put("Offer", marked=True)
    mine.clock.forward(600)
    mine.round()
    mine.clock.forward(600)
    mine.calls()

    told = mine.round()

    assert (told.mails, told.gone, mine.calls()) == ([], set(), 1)
    assert not told.is_whole


def test_a_quiet_mailbox_that_shares_everything_costs_one_call_too(mine):
    mine.box.use_reach(everything=True, threads=["x"])
    mine.put("Offer")
    mine.clock.forward(600)
    mine.round()
    mine.clock.forward(600)
    mine.calls()

    assert (mine.round().mails, mine.calls()) == ([], 1)


@pytest.mark.parametrize("folder", ["Inbox", "Archive", "Sent Items"])
def test_an_old_mail_that_is_marked_later_is_told_wherever_it_lies(mine, folder):
    old = mine.put("Old", folder=folder, receivedAt="2025-01-02T10:00:00Z")
    mine.clock.forward(600)
    mine.round()
    mine.clock.forward(600)

    mine.mark(old)

    assert mine.round().shared() == {"Old": mine.by_mark}


def test_an_old_mail_that_is_dragged_into_our_folder_is_told(mine):
    old = mine.put("Old", receivedAt="2025-01-02T10:00:00Z")
    mine.round()

    mine.move(old, FOLDER)

    assert mine.round().shared() == {"Old": "folder"}


def test_everything_that_comes_in_or_goes_out_is_told_where_that_is_wanted(mine):
    mine.put("Before", receivedAt="2026-03-01T09:00:00Z")
    mine.box.use_reach(everything=True)
    mine.round()
    mine.put("In")
    mine.put("Out", folder="Sent Items", **{"from": mine.address, "to": "bo@acme.example"})
    mine.put("Marked", marked=True)

    told = mine.round()

    assert told.shared() == {"In": "", "Out": "", "Marked": mine.by_mark}
    assert {m.fields["subject"]: m.fields["isOutgoing"] for m in told.mails} == {"In": False, "Out": True, "Marked": False}


def test_a_wider_reach_tells_of_what_came_before_as_far_as_it_was_asked_for(mine):
    mine.put("Too old", receivedAt="2026-03-01T09:00:00Z")
    mine.put("In")
    assert mine.round().mails == []

    mine.box.use_reach(everything=True)

    assert mine.round().subjects == ["In"]


def test_a_smaller_reach_keeps_quiet_about_what_is_not_wanted_any_more(mine):
    mine.box.use_reach(everything=True)
    mine.round()
    mine.put("In")
    mine.box.use_reach()

    assert mine.round().mails == []


def test_new_mails_of_a_followed_thread_are_told_and_no_others(mine):
    first = mine.put("Offer", messageId="<m1@acme.example>")
    thread = mine.box.read([first]).mails[0].record.fields["thread"]
    mine.box.use_reach(threads=[thread])
    mine.round()
    mine.put("Lunch")
    mine.put("Re: Offer", **_answer(mine, first))

    told = mine.round()

    assert told.shared() == {"Re: Offer": "thread"}
    assert told.mails[0].fields["thread"] == thread


def test_reading_a_mail_makes_no_news_of_one_that_came_before(mine):
    old = mine.put("Before", receivedAt="2026-03-01T09:00:00Z")
    mine.box.use_reach(everything=True)
    mine.round()

    mine.touch(old)

    assert mine.round().mails == []


def test_a_mail_that_leaves_our_folder_is_gone_from_there(mine):
    dragged = mine.put("Dragged", folder=FOLDER)
    mine.round()

    mine.move(dragged, "Archive")

    told = mine.round()
    assert (told.mails, told.gone) == ([], {dragged})


def test_a_mail_that_is_deleted_for_good_is_gone(mine):
    dragged = mine.put("Dragged", folder=FOLDER)
    mine.round()

    mine.drop(dragged)

    assert dragged in mine.round().gone


def test_what_the_caller_is_done_with_is_not_told_again(mine):
    one, two = mine.put("One", folder=FOLDER), mine.put("Two", folder=FOLDER)

    told = mine.round(known=lambda ids: {one} & set(ids))

    assert [mail.ref.id for mail in told.mails] == [two]


def test_lost_cursors_begin_a_round_that_misses_nothing(mine):
    mine.box.use_reach(everything=True)
    mine.put("Before", folder=FOLDER)
    mine.round()
    mine.clock.forward(3600)
    mine.put("In")
    mine.put("Dragged", folder=FOLDER)
    mine.lose_cursors()

    told = mine.round()

    assert {"Before", "In", "Dragged"} <= set(told.subjects)
    assert told.is_whole


def test_a_cursor_that_is_none_begins_anew(mine):
    mine.put("Offer", marked=True)
    mine.cursor = "rubbish"

    told = mine.round()

    assert (told.subjects, told.is_restart, told.is_whole) == (["Offer"], True, True)


def test_a_folder_that_is_gone_is_said_and_the_round_goes_on_with_another(mine):
    mine.put("Offer", marked=True)
    mine.round()
    mine.box.use_folder("AAMkAGI=" if mine.system == "microsoft" else "Label_999")

    with pytest.raises(RecordGone) as gone:
        mine.round()

    assert gone.value.code == FOLDER_GONE
    mine.box.use_folder(mine.box.make_folder("Salesforce E-mails").id)
    assert mine.round().is_whole


def test_many_mails_come_page_by_page_and_each_once(mine):
    for n in range(45):
        mine.put(f"No {n:02}", folder=FOLDER if n % 2 else "Inbox", marked=not n % 2)

    told = mine.round()

    assert sorted(mail.fields["subject"] for mail in told.mails) == [f"No {n:02}" for n in range(45)]


@pytest.mark.parametrize("switch", ["delta_replays", "delta_duplicates", "delta_shuffles"])
def test_lists_of_changes_that_repeat_themselves_lose_no_mail(switch):
    mine = mailing("microsoft", mails_a_page=5)
    mine.played.set_switches({switch: True})
    mine.box.use_reach(everything=True)
    for n in range(12):
        mine.put(f"No {n:02}", folder=FOLDER if n % 2 else "Inbox")
    first = mine.round()
    mine.put("Later")
    mine.move(mine.put("Dragged"), FOLDER)

    second = mine.round()

    assert first.subjects == [f"No {n:02}" for n in range(12)]
    assert {"Later", "Dragged"} <= set(second.subjects)
    assert {mail.fields["sharedBy"] for mail in second.mails if mail.fields["subject"] == "Dragged"} == {"folder"}


def test_a_mail_that_is_marked_while_it_is_written_is_told_when_it_was_sent():
    """A draft is told as one: whoever takes mails leaves it out (D31)."""
    mine = mailing("microsoft")
    draft = mine.put("Draft", folder="Drafts", marked=True, isDraft=True, **{"from": mine.address, "to": BO})
    assert [mail.fields["isDraft"] for mail in mine.round().mails] == [True]
    mine.clock.forward(600)

    mine.edit(draft, isDraft=False, folder="Sent Items")

    told = mine.round()
    assert [(mail.ref.id, mail.fields["isDraft"], mail.fields["isOutgoing"]) for mail in told.mails] == [(draft, False, True)]


# --- what a mail says ----------------------------------------------------------------------------------------------------------
def test_a_mail_is_told_in_the_words_of_every_mailbox(mine):
    mine.put(
        "Angebot für Köln",
        folder=FOLDER,
        **{"from": "Bö Li <Bo@acme.example>", "to": f"{mine.address}, Carl <carl@acme.example>", "cc": BO},
        messageId="<m1@acme.example>",
        receivedAt="2026-03-02T08:00:00Z",
        body="Dear Ann",
        headers={"Sensitivity": "Private"},
    )

    record = mine.round().mails[0]

    assert set(record.fields) == set(MAIL_SCHEMA.attributes)
    assert [(p.address, p.name) for p in people_of(record, "from")] == [("Bo@acme.example", "Bö Li")]
    assert [(p.address, p.name) for p in people_of(record, "to")] == [(mine.address, ""), ("carl@acme.example", "Carl")]
    assert [p.address for p in people_of(record, "cc")] == ["bo@acme.example"]
    wanted = {
        "subject": "Angebot für Köln",
        "messageId": "<m1@acme.example>",
        "receivedAt": at("2026-03-02T08:00:00"),
        "sentAt": at("2026-03-02T08:00:00"),
        "isDraft": False,
        "isOutgoing": False,
        "folder": "ours",
        "hasAttachments": False,
        "sensitivity": "private",
        "isMeetingMessage": False,
        "isAutomatic": False,
        "preview": "Dear Ann",
        "sharedBy": "folder",
    }
    assert {name: record.fields[name] for name in wanted} == wanted
    assert record.ref == Ref(mine.system, MAIL, record.ref.id)


@pytest.mark.parametrize(
    "headers",
    [
        {"Auto-Submitted": "auto-replied; owner-email=x"},
        {"Precedence": "bulk"},
        {"List-Unsubscribe": "<mailto:no@news.example>"},
        {"X-Failed-Recipients": "bo@acme.example"},
        {"Return-Path": "<>"},
    ],
)
def test_what_a_machine_sent_is_said(mine, headers):
    mine.put("News", folder=FOLDER, headers=headers)

    assert mine.round().mails[0].fields["isAutomatic"] is True


def test_what_people_sent_is_no_machines(mine):
    mine.put("Hello", folder=FOLDER, headers={"Auto-Submitted": "no", "X-Mailer": "Mail 3"})

    assert mine.round().mails[0].fields["isAutomatic"] is False


def test_an_invitation_is_said(mine):
    mine.put("Meet", folder=FOLDER, headers={"Content-Class": "urn:content-classes:calendarmessage"})

    assert mine.round().mails[0].fields["isMeetingMessage"] is True


def test_where_a_mail_lies_is_said(mine):
    ids = {folder: mine.put(folder, folder=folder) for folder in ("Inbox", "Sent Items", "Archive", "Deleted Items", FOLDER)}

    told = {mail.record.ref.id: mail.record.fields["folder"] for mail in mine.box.read(list(ids.values())).mails}

    assert {folder: told[id_] for folder, id_ in ids.items()} == {
        "Inbox": "inbox",
        "Sent Items": "sent",
        "Archive": "elsewhere",
        "Deleted Items": "bin",
        FOLDER: "ours",
    }


# --- reading -------------------------------------------------------------------------------------------------------------------
def test_texts_and_attachments_are_read_in_one_go(mine):
    whole = mine.put(
        "Offer",
        folder=FOLDER,
        body="<p>Dear <b>Ann</b></p>",
        bodyType="html",
        attachments=[file("offer.pdf", PDF), file("ü.txt", b"hi", "text/plain")],
    )
    plain = mine.put("Plain", folder=FOLDER, body="Dear Ann\nBo")

    found = {mail.record.ref.id: mail for mail in mine.box.read_whole([whole, plain], with_attachments=True).mails}

    assert "<p>Dear <b>Ann</b></p>" in found[whole].html
    assert [(each.name, each.type, each.size, each.is_inline, each.is_file) for each in found[whole].attachments] == [
        ("offer.pdf", "application/pdf", len(PDF), False, True),
        ("ü.txt", "text/plain", 2, False, True),
    ]
    assert found[whole].record.fields["hasAttachments"] is True
    assert "Dear Ann" in (found[plain].text or found[plain].html)
    assert found[plain].attachments == ()


def test_an_attachment_is_opened_up_to_a_size(mine):
    whole = mine.put("Offer", folder=FOLDER, attachments=[file("offer.pdf", PDF)])
    attachment = mine.box.read_whole([whole], with_attachments=True).mails[0].attachments[0]

    assert mine.box.open_attachment(whole, attachment.id, most=1000) == PDF
    with pytest.raises(Rejected) as refused:
        mine.box.open_attachment(whole, attachment.id, most=3)
    assert refused.value.code == words.TOO_LARGE


def test_an_attachment_is_opened_by_another_box_too(mine):
    """What a page opens was read by a run: the id is all that it knows."""
    whole = mine.put("Offer", folder=FOLDER, attachments=[file("offer.pdf", PDF)])
    attachment = mine.box.read_whole([whole], with_attachments=True).mails[0].attachments[0]
    other = mine.connector.mails(mine.address)

    assert other.open_attachment(whole, attachment.id, most=1000) == PDF
    with pytest.raises(Rejected) as refused:
        other.open_attachment(whole, attachment.id, most=3)
    assert refused.value.code == words.TOO_LARGE


def test_what_is_gone_before_it_is_read_is_told_and_stops_nothing(mine):
    gone, there = mine.put("Gone", folder=FOLDER), mine.put("There", folder=FOLDER)
    mine.drop(gone)

    for found in (mine.box.read_whole([gone, there, "rubbish"], with_attachments=True), mine.box.read([gone, there, "rubbish"])):
        assert [mail.record.ref.id for mail in found.mails] == [there]
        assert set(found.gone) == {gone, "rubbish"}
        assert found.unreadable == ()


def test_an_attachment_of_a_mail_that_is_gone_is_gone(mine):
    whole = mine.put("Offer", folder=FOLDER, attachments=[file("offer.pdf", PDF)])
    attachment = mine.box.read_whole([whole], with_attachments=True).mails[0].attachments[0]
    mine.drop(whole)

    with pytest.raises(RecordGone):
        mine.box.open_attachment(whole, attachment.id, most=1000)


def test_a_thread_is_told_the_newest_of_it_and_the_oldest_first(mine):
    first = mine.put("Offer", messageId="<m1@acme.example>", receivedAt="2026-03-02T07:00:00Z")
    second = mine.put("Re: Offer", receivedAt="2026-03-02T08:00:00Z", **_answer(mine, first))
    mine.put("Lunch")
    thread = mine.box.read([first]).mails[0].record.fields["thread"]

    assert [record.ref.id for record in mine.box.thread_of(thread)] == [first, second]
    assert [record.ref.id for record in mine.box.thread_of(thread, most=1)] == [second]
    assert mine.box.thread_of("nothing of the kind") == []


def test_mails_are_found_by_their_message_id_wherever_they_lie(mine):
    one = mine.put("One", folder="Archive", messageId="<m1@acme.example>")
    two = mine.put("Two", messageId="<m2'x@acme.example>")
    mine.put("Three", messageId="<m3@acme.example>")

    found = mine.box.find(["<m1@acme.example>", "<m2'x@acme.example>", "<nobody@x.example>", ""])

    assert {record.ref.id for record in found} == {one, two}


# --- the mark ------------------------------------------------------------------------------------------------------------------
def test_a_mark_is_given_once_and_taken_back(mine):
    one, two = mine.put("One"), mine.put("Two", marked=True)
    gone = mine.put("Gone")
    mine.drop(gone)
    mine.box.make_category(CATEGORY)

    results = {result.key: result for result in mine.box.mark([one, two, gone])}

    assert (results[one].error, results[two].error) == (None, None)
    assert isinstance(results[gone].error, RecordGone)
    assert mine.is_marked(one) and mine.is_marked(two)
    assert [result.error for result in mine.box.unmark([one])] == [None]
    assert not mine.is_marked(one)
    assert mine.is_marked(two)


def test_a_mark_keeps_what_else_a_mail_bears(mine):
    one = mine.put("One")
    if mine.system == "microsoft":
        mine.edit(one, categories=["Blue"])
    else:
        mine.edit(one, labels=["INBOX", "Blue"])

    mine.box.mark([one])

    row = mine.row(one)
    assert "Blue" in row.get("categories", row.get("labels"))
    assert mine.is_marked(one)
    assert "Blue" in mine.box.read([one]).mails[0].record.fields[CATEGORIES]


def test_nobody_is_mailed_and_nothing_moves_whatever_is_read_or_marked(mine):
    one = mine.put("One", folder=FOLDER, attachments=[file("offer.pdf", PDF)])
    mine.round()
    mine.box.read_whole([one], with_attachments=True)
    mine.box.mark([one])

    assert mine.played.mails == []
    assert mine.row(one)["subject"] == "One"
    assert mine.box.read([one]).mails[0].record.fields["folder"] == "ours"


def _answer(mine, first):
    if mine.system == "microsoft":
        return {"thread": mine.row(first)["conversation"], "from": BO}
    return {"inReplyTo": mine.row(first)["messageId"], "from": BO}
