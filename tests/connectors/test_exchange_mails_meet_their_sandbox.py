"""The mails of a mailbox on an Exchange server against the played one: the list of promises that all mails keep, and what is
Exchange's alone: an id does not outlive a move."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.errors import MailboxRefused, RecordGone
from connectors.mailboxes import FOLDER_GONE
from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.world import World
from reconciliation.engine.connections import open_connector
from tests.boxes import connect_exchange
from tests.connectors.mailing import BO, CATEGORY, FOLDER, Mailing
from tests.connectors.test_mails_meet_their_sandboxes import (  # noqa: F401  collected here with the fixture below
    test_a_cursor_that_is_none_begins_anew,
    test_a_mail_that_is_deleted_for_good_is_gone,
    test_a_mark_is_given_once_and_taken_back,
    test_a_smaller_reach_keeps_quiet_about_what_is_not_wanted_any_more,
    test_a_thread_is_told_the_newest_of_it_and_the_oldest_first,
    test_a_wider_reach_tells_of_what_came_before_as_far_as_it_was_asked_for,
    test_an_attachment_is_opened_by_another_box_too,
    test_an_attachment_is_opened_up_to_a_size,
    test_an_attachment_of_a_mail_that_is_gone_is_gone,
    test_an_invitation_is_said,
    test_an_old_mail_that_is_dragged_into_our_folder_is_told,
    test_an_old_mail_that_is_marked_later_is_told_wherever_it_lies,
    test_everything_that_comes_in_or_goes_out_is_told_where_that_is_wanted,
    test_its_mails_can_be_read,
    test_lost_cursors_begin_a_round_that_misses_nothing,
    test_mails_are_found_by_their_message_id_wherever_they_lie,
    test_many_mails_come_page_by_page_and_each_once,
    test_new_mails_of_a_followed_thread_are_told_and_no_others,
    test_nobody_is_mailed_and_nothing_moves_whatever_is_read_or_marked,
    test_only_what_was_marked_or_lies_in_our_folder_is_told,
    test_reading_a_mail_makes_no_news_of_one_that_came_before,
    test_texts_and_attachments_are_read_in_one_go,
    test_the_folder_is_made_once_and_found_by_its_name,
    test_what_a_machine_sent_is_said,
    test_what_is_gone_before_it_is_read_is_told_and_stops_nothing,
    test_what_people_sent_is_no_machines,
    test_what_the_caller_is_done_with_is_not_told_again,
    test_where_a_mail_lies_is_said,
)
from tests.sandboxed import Clock

pytestmark = pytest.mark.django_db
_NAMES = {"messageId": "internetMessageId", "receivedAt": "receivedDateTime", "thread": "conversation"}


class OnPremises(Mailing):
    """A mailbox on the played server."""

    def put(self, subject: str, *, folder: str = "Inbox", marked: bool = False, address: str = "", **values: Any) -> str:
        answered = values.pop("inReplyTo", None)
        given = {_NAMES.get(name, name): value for name, value in values.items()}
        if folder not in ("Inbox", "Sent Items", "Drafts", "Deleted Items", FOLDER):
            self._see_to(folder)
        if answered:
            rows = self.played.list_records("message")
            given["conversation"] = next(row["conversation"] for row in rows if row["internetMessageId"] == answered)
        given = {"mailbox": address or self.address, "from": BO, **given, "subject": subject, "folder": folder}
        given |= {"categories": [CATEGORY]} if marked else {}
        return str(self.played.create_record("message", given)["id"])

    def _see_to(self, folder: str) -> None:
        if not any(row["displayName"] == folder and row["mailbox"] == self.address for row in self.played.list_records("folder")):
            self.played.create_record("folder", {"mailbox": self.address, "displayName": folder, "class": "IPF.Note"})

    def row(self, id_: str) -> dict[str, Any]:
        row = super().row(id_)
        return {**row, "messageId": row["internetMessageId"]}

    def mark(self, id_: str) -> None:
        self.edit(id_, categories=[*self.row(id_)["categories"], CATEGORY])

    def move(self, id_: str, folder: str) -> None:
        self._see_to(folder) if folder == "Archive" else None
        self.edit(id_, folder=folder)

    def touch(self, id_: str) -> None:
        self.edit(id_, isRead=True)

    def drop(self, id_: str) -> None:
        self.played.store.remove(self.played.by_hand.row("message", self.played.find_id("message", id_)))

    def is_marked(self, id_: str) -> bool:
        return CATEGORY in self.row(id_)["categories"]

    def lose_cursors(self) -> None:
        self.played.expire_sync()


@pytest.fixture
def mine():
    clock = Clock()
    world = World(scenario="empty", now=clock)
    opened = open_connector(
        connect_exchange(world),
        adapter=SandboxAdapter(world),
        db_now=clock,
        now=clock,
        clock=lambda: clock().timestamp(),
        sleep=lambda seconds: None,
    )
    address = str(world.exchange.credentials()["mailboxes"][0])
    box = opened.mails(address)
    box.use_category(CATEGORY)
    box.use_folder(box.make_folder(FOLDER).id)
    world.forget_calls()
    yield OnPremises("exchange", world, clock, opened, box, address, clock().replace(microsecond=0))
    opened.close()


def spent(mine):
    """Returns the calls since the last look, by operation."""
    counts = {name.rpartition("/")[2]: n for name, n in mine.world.counts["exchange"].items() if "EWS" in name}
    mine.world.forget_calls()
    return {name: n for name, n in counts.items() if n}


def heard(mine, *, seconds=600):
    """Returns the subjects that a round tells some minutes later, and its calls."""
    mine.clock.forward(seconds)
    spent(mine)
    told = mine.round()
    return {record.fields["subject"] for record in told.mails}, spent(mine)


QUIET = {"GetEvents": 1}


def test_a_quiet_mailbox_costs_one_call_and_its_folders_are_read_once_an_hour(mine):
    mine.put("Offer", marked=True)
    heard(mine)
    assert [heard(mine) for _ in range(4)] == [(set(), QUIET)] * 4
    told, calls = heard(mine, seconds=3600)
    assert told == set() and (calls["GetEvents"], calls["SyncFolderItems"], calls["FindItem"]) == (1, 1, 1)
    assert heard(mine) == (set(), QUIET)


def test_after_a_long_quiet_time_what_is_marked_is_told_at_once(mine):
    old = mine.put("Old")
    heard(mine)
    for _ in range(5):
        assert heard(mine) == (set(), QUIET)
    mine.mark(old)
    mine.put("New", folder=FOLDER)
    mine.put("Nothing of ours")
    told, calls = heard(mine)
    assert told == {"Old", "New"} and "Subscribe" not in calls
    assert heard(mine) == (set(), QUIET)


def test_contacts_meetings_and_tasks_ask_for_no_mail(mine):
    mine.put("Offer", marked=True)
    heard(mine)
    mine.played.create_record("contact", {"mailbox": mine.address, "surname": "Lind"})
    mine.played.create_record("task", {"mailbox": mine.address, "title": "Call Bo"})
    assert heard(mine) == (set(), QUIET)


def test_a_new_folder_is_heard_of_and_watched_from_then_on(mine):
    heard(mine)
    mine.put("Filed", folder="Archive", marked=True)
    told, calls = heard(mine)
    assert told == {"Filed"} and (calls["Unsubscribe"], calls["Subscribe"]) == (1, 1)
    assert len(mine.played.store.rows("subscription")) == 1 and heard(mine) == (set(), QUIET)
    mine.put("Filed, too", folder="Archive", marked=True)
    told, calls = heard(mine)
    assert told == {"Filed, too"} and "Subscribe" not in calls


def test_a_mailbox_with_hundreds_of_folders_is_heard_as_a_whole(mine):
    for n in range(120):
        mine.played.create_record("folder", {"mailbox": mine.address, "displayName": f"F{n}", "class": "IPF.Note"})
    heard(mine)
    assert heard(mine) == (set(), QUIET)
    (row,) = mine.played.store.rows("subscription").values()
    assert row["folders"] is None
    mine.put("Deep", folder=FOLDER)
    assert heard(mine)[0] == {"Deep"}


def test_a_subscription_that_is_forgotten_or_not_given_loses_nothing(mine):
    heard(mine)
    mine.played.store.tables["subscription"].rows.clear()
    mine.played.set_switches({"subscriptions_most": 0})
    for n in range(3):
        mine.put(f"Offer {n}", marked=True)
        told, calls = heard(mine)
        assert told == {f"Offer {n}"} and calls.get("Subscribe", 0) == (1 if n == 0 else 0)


def test_a_mail_in_our_folder_is_told_in_the_words_of_every_mailbox(mine):
    mine.put(
        "Angebot für Köln",
        folder=FOLDER,
        **{"from": "Bö Li <Bo@acme.example>", "to": f"{mine.address}, Carl <carl@acme.example>", "cc": BO},
        messageId="<m1@acme.example>",
        receivedAt="2026-03-02T08:00:00Z",
        body="Dear Ann",
        headers={"Sensitivity": "Private"},
    )
    (record,) = mine.round().mails
    wanted = {"subject": "Angebot für Köln", "messageId": "<m1@acme.example>", "isDraft": False, "isOutgoing": False, "folder": "ours"}
    wanted |= {"sensitivity": "private", "isMeetingMessage": False, "isAutomatic": False, "preview": "Dear Ann", "sharedBy": "folder"}
    assert {name: record.fields[name] for name in wanted} == wanted
    assert record.fields["from"] == ("Bo@acme.example;Bö Li",) and "carl@acme.example;Carl" in record.fields["to"]


def test_a_mail_that_leaves_our_folder_is_gone_from_there_and_lies_elsewhere_under_another_id(mine):
    dragged = mine.put("Dragged", folder=FOLDER, messageId="<m7@acme.example>")
    mine.round()
    mine.move(dragged, "Archive")
    told = mine.round()
    assert (told.mails, told.gone) == ([], {dragged})
    (found,) = mine.box.find(["<m7@acme.example>"])
    assert found.ref.id != dragged and found.fields["folder"] == "elsewhere"


def test_a_folder_that_is_gone_is_said(mine):
    mine.put("Offer", marked=True)
    mine.round()
    mine.played.delete_record("folder", mine.played.find_id("folder", mine.box.folders(FOLDER)[0].id))
    with pytest.raises(RecordGone) as gone:
        mine.round()
    assert gone.value.code == FOLDER_GONE
    mine.box.use_folder(mine.box.make_folder("Salesforce E-mails").id)
    assert mine.round().is_whole


def test_what_is_told_of_a_refusal_holds_no_text_of_a_mail(mine):
    mine.put("Offer", folder=FOLDER, body="A secret text")
    user = next(row for row in mine.played.list_records("user") if row["mail"] == mine.address)
    mine.played.update_record("user", mine.played.find_id("user", str(user["id"])), {"state": "denied"})
    with pytest.raises(MailboxRefused) as caught:
        mine.round()
    assert "A secret text" not in repr(caught.value.exchange)


def test_a_mark_keeps_what_else_a_mail_bears_and_is_never_overwritten_unseen(mine):
    one = mine.put("One")
    mine.edit(one, categories=["Blue"])
    assert [result.error for result in mine.box.mark([one])] == [None]
    assert mine.row(one)["categories"] == ["Blue", CATEGORY]
    assert [result.error for result in mine.box.unmark([one])] == [None] and mine.row(one)["categories"] == ["Blue"]
