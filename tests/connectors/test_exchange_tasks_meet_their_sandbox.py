"""The tasks of a mailbox on an Exchange server against the played one: the list of promises that all tasks keep, and what is
Exchange's alone: an id does not outlive a move."""

import json
from datetime import UTC, date, datetime

import pytest

from connectors import tasks as words
from connectors.contract import Write
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.tasks import TASK
from tests.connectors import test_tasks_meet_their_sandboxes as promises
from tests.connectors.test_tasks_meet_their_sandboxes import (  # noqa: F401  collected here with the fixture below
    test_a_cursor_that_is_none_starts_a_round_and_says_so,
    test_a_new_list_is_looked_at_and_a_deleted_one_takes_its_tasks_along,
    test_a_task_is_made_changed_and_deleted,
    test_an_edit_of_its_user_is_never_overwritten_unseen,
    test_changes_and_deletions_are_told,
    test_its_tasks_can_be_read,
    test_nothing_can_be_made_in_a_list_that_is_gone,
    test_of_several_writes_each_stands_for_itself,
    test_our_list_is_made_once_and_tells_what_lies_in_it,
    test_sharing_marks_a_task_and_keeps_what_it_holds,
    test_tasks_that_are_gone_are_left_out_of_what_is_read,
    test_what_people_enter_is_told_once_in_the_words_of_all_tasks,
    test_without_a_list_of_ours_tasks_are_made_in_the_main_one,
)

pytestmark = pytest.mark.django_db
OURS = promises.OURS


class OnPremises(promises.Played):
    """A mailbox on the played server. Lists are folders there, and ids change with a move: by hand a task is known by its first id."""

    def __init__(self):
        super().__init__("exchange")

    def id_of(self, row):
        return row["id"]

    def enter(self, title="Send quote", **values):
        return super().enter(title, **_folder(values))

    def edit(self, id_, **values):
        super().edit(id_, **_folder(values))

    def rows(self):
        rows = [row for row in self.system.list_records("task") if row["folder"] != "Deleted Items"]
        return {row["id"]: {**row, "list": row["folder"]} for row in rows if row["mailbox"] == self.address}

    def drop_list(self, id_):
        self.clock.forward(1)
        self.system.delete_record("folder", self.system.find_id("folder", id_))


def _folder(values):
    return {("folder" if name == "list" else name): value for name, value in values.items()}


@pytest.fixture
def played():
    one = OnPremises()
    yield one
    one.connector.close()


def spent(played):
    """Returns the calls since the last look, by operation."""
    counts = {name.rpartition("/")[2]: n for name, n in played.world.counts["exchange"].items() if "EWS" in name}
    played.world.forget_calls()
    return {name: n for name, n in counts.items() if n}


def heard(played, cursor, *, seconds=600):
    """Returns what a round tells some minutes later: titles, ids that are gone, whether it was whole, and its calls."""
    played.clock.forward(seconds)
    spent(played)
    page = played.box.task_changes(cursor)
    return {r.fields[words.SUBJECT] for r in page.tasks}, set(page.gone), page.is_whole, spent(played), page.cursor


QUIET = {"GetEvents": 1}


def at_rest(played):
    """Returns the cursor of a mailbox with two lists in which nothing happens."""
    played.box.make_list(OURS)
    played.enter()
    return played.round_of()[3]


def test_nothing_new_costs_one_call_however_many_lists_there_are(played):
    cursor = at_rest(played)
    for _ in range(4):
        told, gone, is_whole, calls, cursor = heard(played, cursor)
        assert (told, gone, is_whole, calls) == (set(), set(), False, QUIET)


def test_the_lists_are_read_once_an_hour_whatever_the_subscription_says(played):
    cursor = at_rest(played)
    told, _, _, calls, cursor = heard(played, cursor, seconds=3600)
    assert told == set() and calls == {"GetEvents": 1, "FindFolder": 1, "SyncFolderItems": 2}
    assert heard(played, cursor)[3] == QUIET


def test_what_happens_elsewhere_in_the_mailbox_asks_for_no_list(played):
    cursor = at_rest(played)
    message = {"mailbox": played.address, "folder": "Inbox", "subject": "Hello", "from": "bo@acme.example"}
    played.system.create_record("message", message)
    meeting = {"subject": "Call", "start": "2026-03-04T09:00:00Z", "end": "2026-03-04T10:00:00Z"}
    played.system.create_record("event", {"mailbox": played.address, **meeting})
    assert heard(played, cursor)[3] == QUIET


def test_each_change_is_told_by_the_next_round_and_then_it_is_quiet_again(played):
    cursor = at_rest(played)
    id_ = played.enter("Call Bo")
    told, gone, is_whole, calls, cursor = heard(played, cursor)
    assert (told, gone, is_whole) == ({"Call Bo"}, set(), False) and calls["SyncFolderItems"] == 2
    played.drop(id_)
    told, gone, _, _, cursor = heard(played, cursor)
    assert (told, gone) == (set(), {id_})
    assert heard(played, cursor)[3] == QUIET


def test_a_new_list_is_heard_of_at_once_and_watched_from_then_on(played):
    """The subscription is to what lists lie in, too; another takes its place, and the old one is ended."""
    cursor = at_rest(played)
    new = played.box.make_list("Errands")
    played.enter("Buy stamps", list="Errands")
    told, _, _, calls, cursor = heard(played, cursor)
    assert told == {"Buy stamps"} and (calls["Unsubscribe"], calls["Subscribe"]) == (1, 1)
    assert len(played.system.store.rows("subscription")) == 1
    played.enter("Buy paper", list="Errands")
    told, _, _, calls, cursor = heard(played, cursor)
    assert told == {"Buy paper"} and "Subscribe" not in calls
    played.drop_list(new.id)
    _, _, is_whole, _, cursor = heard(played, cursor)
    assert is_whole and heard(played, cursor)[3] == QUIET


def test_a_subscription_that_is_forgotten_loses_nothing(played):
    cursor = at_rest(played)
    played.system.store.tables["subscription"].rows.clear()
    played.enter("Call Bo")
    told, _, is_whole, calls, cursor = heard(played, cursor)
    assert told == {"Call Bo"} and not is_whole and calls["Subscribe"] == 1
    assert heard(played, cursor)[3] == QUIET


def test_where_no_subscription_is_given_the_lists_are_read_and_it_is_asked_for_once_an_hour(played):
    played.system.set_switches({"subscriptions_most": 0})
    cursor = at_rest(played)
    asked = 0
    for _ in range(8):
        *_, calls, cursor = heard(played, cursor, seconds=1200)
        asked += calls.pop("Subscribe", 0)
        assert calls == {"FindFolder": 1, "SyncFolderItems": 2}
    assert asked == 2
    played.system.set_switches({"subscriptions_most": 20})
    *_, calls, cursor = heard(played, cursor, seconds=3600)
    *_, cursor = heard(played, cursor)
    assert heard(played, cursor)[3] == QUIET


def test_a_cursor_from_before_there_were_subscriptions_goes_on_where_it_was(played):
    said = json.loads(at_rest(played))
    del said["watch"]
    for watch in ({}, {"watch": 7}, {"watch": {"id": 7}}):
        played.enter("Call Bo")
        told, gone, is_whole, _, cursor = heard(played, json.dumps({**said, **watch}))
        assert (told, gone, is_whole) == ({"Call Bo"}, set(), False)
        assert heard(played, cursor)[3] == QUIET


def test_a_linked_task_that_is_dragged_into_another_list_left_and_came_with_its_mark(played):
    ours = played.box.make_list(OURS)
    made = played.made()
    cursor = played.round_of()[3]

    played.edit(made.ref.id, list=OURS)
    page = played.box.task_changes(cursor)

    (moved,) = page.tasks
    assert page.gone == (made.ref.id,) and moved.ref.id != made.ref.id
    assert moved.fields[words.LIST] == ours.id and moved.fields[FOREIGN_ID] == "00T1"
    assert [r.ref.id for r in played.box.read(TASK, [made.ref.id, moved.ref.id], ())] == [moved.ref.id]


def test_a_create_whose_answer_was_lost_is_found_again_wherever_it_lies(played):
    ours = played.box.make_list(OURS)
    played.box.use_list(ours.id)
    played.enter("Call Bo", list=OURS)
    create, other = (Write(TASK, {words.SUBJECT: "Call Bo"}, f"op-{n}", marker=f"00T{n}") for n in (1, 9))
    (made,) = played.box.write(TASK, [create])
    found = played.opened_with(ours.id).find_made([create, other], played.clock())
    assert [r.ref for r in found["op-1"]] == [made.record.ref] and found["op-9"] == ()
    played.edit(made.record.ref.id, list="Tasks")
    (moved,) = played.opened_with(ours.id).find_made([create], played.clock())["op-1"]
    assert moved.fields[words.IS_OURS] is False and moved.fields[FOREIGN_ID] == "00T1"


def test_it_holds_importance_reminder_category_and_marker(played):
    at = datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
    fields = {words.IMPORTANCE: words.HIGH, words.REMINDER: at, CATEGORIES: ("Blue",), words.STATUS: words.WAITING}
    made = played.made(**fields, **{words.DUE: date(2026, 3, 20)})
    (read,) = played.box.find_marked(TASK, ["00T1", ""], (), since=played.clock())
    for record in (made, read):
        assert (record.fields[words.IMPORTANCE], record.fields[words.REMINDER], record.fields[words.STATUS]) == (
            words.HIGH,
            at,
            words.WAITING,
        )
        assert record.fields[CATEGORIES] == ("Blue", "Salesforce") and record.fields[FOREIGN_ID] == "00T1"
    (off,) = played.box.write(TASK, [Write(TASK, {words.REMINDER: None, FOREIGN_ID: None}, "k", ref=made.ref, version=made.version)])
    assert (off.record.fields[words.REMINDER], off.record.fields[FOREIGN_ID]) == (None, None)


def test_states_that_are_known_no_more_are_a_whole_round(played):
    id_ = played.enter()
    cursor = played.round_of()[3]
    played.system.expire_sync()
    tasks, gone, is_whole, _ = played.round_of(cursor)
    assert set(tasks) == {id_} and gone == set() and is_whole
