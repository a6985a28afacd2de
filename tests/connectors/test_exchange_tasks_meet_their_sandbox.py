"""The tasks of a mailbox on an Exchange server against the played one: the list of promises that all tasks keep, and what is
Exchange's alone: an id does not outlive a move."""

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


def test_nothing_new_costs_a_call_for_the_lists_and_one_for_each(played):
    played.box.make_list(OURS)
    played.enter()
    cursor = played.round_of()[3]
    before = played.calls()
    assert played.round_of(cursor)[0] == {}
    assert played.calls() - before == 3


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
