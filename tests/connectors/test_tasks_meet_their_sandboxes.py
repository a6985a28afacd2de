"""The tasks of mailboxes against the played Microsoft To Do and Google Tasks, one list of promises for both. Connectors and
sandboxes were written from the reference, neither from the other: what one of them misread shows here."""

from datetime import UTC, date, datetime

import pytest

from connectors import tasks as words
from connectors.contract import Ref, Write
from connectors.errors import RecordGone, Rejected, StaleVersion
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.world import World
from connectors.tasks import TASK, TaskBox
from reconciliation.engine.connections import open_connector
from tests.boxes import CONNECT
from tests.sandboxed import Clock

pytestmark = pytest.mark.django_db
SINCE = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
OURS = "Salesforce Tasks"


class Played:
    """A mailbox of one of the systems, and what its user does there."""

    def __init__(self, system):
        self.clock = Clock()
        self.world = World(scenario="empty", now=self.clock)
        self.system = self.world.systems[system]
        self.name = system
        self.address = self.system.credentials()["mailboxes"][0]
        self.connector = open_connector(
            CONNECT[system](self.world),
            adapter=SandboxAdapter(self.world),
            db_now=self.clock,
            now=self.clock,
            clock=self.clock.seconds,
            sleep=lambda seconds: None,
        )
        self.box: TaskBox = self.opened()

    def opened(self):
        box = self.connector.tasks(self.address)
        box.use_category("Salesforce")
        return box

    def opened_with(self, list_id):
        box = self.opened()
        box.use_list(list_id)
        return box

    @property
    def is_google(self):
        return self.name == "google"

    def enter(self, title="Send quote", **values):
        """Enters a task by hand and returns its id."""
        body = values.pop("body", None)
        due = values.pop("due", None)
        given = {"notes": body, "due": due} if self.is_google else {"body": body, "dueDate": due}
        row = {"mailbox": self.address, "title": title, **{k: v for k, v in given.items() if v is not None}, **values}
        return self.id_of(self.system.create_record("task", row))

    def id_of(self, row):
        return row["taskId"] if self.is_google else row["immutableId"]

    def rows(self):
        return {self.id_of(row): row for row in self.system.list_records("task") if row["mailbox"] == self.address}

    def edit(self, id_, **values):
        self.clock.forward(1)
        self.system.update_record("task", self.system.find_id("task", id_), values)

    def drop(self, id_):
        self.clock.forward(1)
        self.system.delete_record("task", self.system.find_id("task", id_))

    def drop_list(self, id_):
        """What its user does in the app."""
        self.clock.forward(1)
        client = self.opened()._client
        if self.is_google:
            client.delete(f"/users/@me/lists/{id_}")
        else:
            client.send("DELETE", f"{client.root}/todo/lists/{id_}", None, template="x")

    def round_of(self, cursor=""):
        """Returns everything that a round tells: tasks by id, ids that are gone, whether it was whole, and the next cursor."""
        self.clock.forward(3600)
        tasks, gone = {}, set()
        while True:
            page = self.box.task_changes(cursor)
            if page.is_restart:
                tasks, gone = {}, set()
            tasks |= {r.ref.id: r for r in page.tasks}
            gone = (gone | set(page.gone)) - {r.ref.id for r in page.tasks}
            cursor = page.cursor
            if page.is_last:
                return tasks, gone, page.is_whole, cursor

    def calls(self):
        return self.box.counts().calls

    def made(self, marker="00T1", **fields):
        (result,) = self.box.write(TASK, [Write(TASK, {words.SUBJECT: "Call Bo", **fields}, "op-1", marker=marker)])
        assert result.error is None
        return result.record


@pytest.fixture(params=["microsoft", "google"])
def played(request):
    one = Played(request.param)
    yield one
    one.connector.close()


def test_its_tasks_can_be_read(played):
    assert all(line.is_ok for line in played.box.check_mailbox())


def test_what_people_enter_is_told_once_in_the_words_of_all_tasks(played):
    id_ = played.enter(body="First line\nSecond", due="2026-03-10")
    done = played.enter("Old", status="completed")

    tasks, gone, is_whole, cursor = played.round_of()

    assert set(tasks) == {id_, done} and gone == set() and is_whole
    told = tasks[id_].fields
    assert (told[words.SUBJECT], told[words.BODY], told[words.DUE]) == ("Send quote", "First line\nSecond", date(2026, 3, 10))
    assert (told[words.STATUS], told[words.IS_OURS], told[words.LIST_NAME] != "") == (words.NOT_STARTED, False, True)
    assert (tasks[done].fields[words.STATUS], tasks[done].fields[words.COMPLETED_ON]) == (words.COMPLETED, date(2026, 3, 2))
    assert tasks[id_].version and tasks[id_].updated_at is not None and not tasks[id_].damaged
    assert set(told) <= set(played.box.schema(TASK).attributes)
    assert played.round_of(cursor)[:3] == ({}, set(), False)


def test_nothing_new_costs_as_little_as_the_system_allows(played):
    played.box.make_list(OURS)
    played.enter()
    cursor = played.round_of()[3]
    before = played.calls()
    assert played.round_of(cursor)[0] == {}
    assert played.calls() - before == (3 if played.is_google else 1)  # Google: the lists, and each of the two


def test_changes_and_deletions_are_told(played):
    kept, changed, dropped = (played.enter(title) for title in "abc")
    cursor = played.round_of()[3]

    played.edit(changed, title="B", status="completed")
    played.drop(dropped)
    tasks, gone, is_whole, cursor = played.round_of(cursor)

    assert set(tasks) == {changed} and gone == {dropped} and not is_whole and kept
    assert (tasks[changed].fields[words.SUBJECT], tasks[changed].fields[words.STATUS]) == ("B", words.COMPLETED)
    played.edit(changed, status="notStarted" if not played.is_google else "needsAction")
    again = played.round_of(cursor)[0][changed].fields
    assert (again[words.STATUS], again[words.COMPLETED_ON]) == (words.NOT_STARTED, None)


def test_our_list_is_made_once_and_tells_what_lies_in_it(played):
    first, second = played.box.make_list(OURS), played.opened().make_list(OURS)
    assert first == second and played.box.lists(OURS) == [first] and played.box.lists("Other") == []
    played.box.use_list(first.id)
    id_ = played.enter(list=OURS)
    told = played.round_of()[0][id_].fields
    assert (told[words.LIST], told[words.LIST_NAME], told[words.IS_OURS]) == (first.id, OURS, True)


def test_a_task_that_is_dragged_into_another_list_stays_the_same_task(played):
    ours = played.box.make_list(OURS)
    played.box.use_list(ours.id)
    id_ = played.enter()
    tasks, _, _, cursor = played.round_of()
    assert tasks[id_].fields[words.IS_OURS] is False

    played.edit(id_, list=OURS)
    tasks, gone, _, cursor = played.round_of(cursor)

    assert tasks[id_].fields[words.IS_OURS] is True and gone == set()
    (read,) = played.opened().read(TASK, [id_], ())  # who does not know where it lies finds it all the same
    assert read.ref.id == id_ and played.round_of(cursor)[:2] == ({}, set())


def test_a_new_list_is_looked_at_and_a_deleted_one_takes_its_tasks_along(played):
    kept = played.enter("kept")
    cursor = played.round_of()[3]
    list_ = played.box.make_list("Errands")
    inside = played.enter("inside", list="Errands")
    tasks, gone, is_whole, cursor = played.round_of(cursor)
    assert (set(tasks), gone, is_whole) == ({inside}, set(), False)

    played.drop_list(list_.id)
    tasks, _, is_whole, cursor = played.round_of(cursor)
    assert is_whole and set(tasks) == {kept}  # what does not appear is gone
    assert played.round_of(cursor)[:3] == ({}, set(), False)


def test_a_cursor_that_is_none_starts_a_round_and_says_so(played):
    id_ = played.enter()
    page = played.box.task_changes("none of ours")
    assert page.is_restart and page.is_whole
    assert set(played.round_of(played.round_of()[3].replace('"v":1', '"v":0'))[0]) == {id_}


def test_a_task_is_made_changed_and_deleted(played):
    ours = played.box.make_list(OURS)
    played.box.use_list(ours.id)
    fields = {words.BODY: "Pumps\nValves", words.DUE: date(2026, 3, 20), words.STATUS: words.NOT_STARTED}
    made = played.made(**fields)
    assert played.rows()[made.ref.id]["list"] == OURS
    assert all(made.fields[name] == value for name, value in fields.items()) and made.fields[words.IS_OURS] is True

    changes = {words.SUBJECT: "Call Bo Li", words.DUE: None, words.STATUS: words.COMPLETED, words.BODY: None}
    (changed,) = played.box.write(TASK, [Write(TASK, changes, "k", ref=made.ref, version=made.version)])
    assert changed.error is None and all(changed.record.fields[name] == value for name, value in changes.items())
    assert changed.record.fields[words.COMPLETED_ON] == date(2026, 3, 2) and changed.record.version != made.version
    (read,) = played.opened().read(TASK, [made.ref.id], ())
    assert read.version == changed.record.version and read.fields[words.SUBJECT] == "Call Bo Li"

    (gone,) = played.box.write(TASK, [Write(TASK, {}, "k", ref=made.ref, version=read.version, is_delete=True)])
    assert gone.error is None and played.rows() == {} and played.box.read(TASK, [made.ref.id], ()) == []


def test_without_a_list_of_ours_tasks_are_made_in_the_main_one(played):
    made = played.made()
    assert played.rows()[made.ref.id]["list"] == ("My Tasks" if played.is_google else "Tasks")
    assert made.fields[words.IS_OURS] is False


def test_an_edit_of_its_user_is_never_overwritten_unseen(played):
    id_ = played.enter()
    record = played.round_of()[0][id_]
    played.edit(id_, title="Send the new quote")
    for write in ({words.SUBJECT: "x"}, {}):
        (stale,) = played.box.write(TASK, [Write(TASK, write, "k", ref=record.ref, version=record.version, is_delete=not write)])
        assert isinstance(stale.error, StaleVersion)
    assert played.rows()[id_]["title"] == "Send the new quote"


def test_of_several_writes_each_stands_for_itself(played):
    gone = played.made()
    played.drop(gone.ref.id)
    kept = played.made("00T2")
    writes = [
        Write(TASK, {words.SUBJECT: "x"}, "a", ref=gone.ref, version=gone.version),
        Write(TASK, {words.SUBJECT: "y"}, "b", ref=kept.ref, version=kept.version),
        Write(TASK, {words.STATUS: "soon"}, "c", ref=kept.ref),
        Write(TASK, {words.SUBJECT: "x"}, "d", ref=Ref(played.name, TASK, "nothing-of-theirs")),
        Write(TASK, {words.SUBJECT: "new"}, "e", marker="00T3"),
    ]
    results = played.box.write(TASK, writes)
    assert [type(r.error) for r in results] == [RecordGone, type(None), Rejected, RecordGone, type(None)]
    assert sorted(row["title"] for row in played.rows().values()) == ["new", "y"]


def test_tasks_that_are_gone_are_left_out_of_what_is_read(played):
    id_ = played.enter()
    dropped = played.enter("dropped")
    played.drop(dropped)
    assert [r.ref.id for r in played.box.read(TASK, [id_, dropped, "nothing-of-theirs", id_], ())] == [id_]


def test_a_create_whose_answer_was_lost_is_found_again(played):
    ours = played.box.make_list(OURS)
    played.box.use_list(ours.id)
    played.enter("Call Bo", list=OURS)  # entered long before
    played.clock.forward(7200)
    since = played.clock()
    fields = {words.SUBJECT: "Call Bo", words.DUE: date(2026, 3, 20)}
    create, other = Write(TASK, fields, "op-1", marker="00T1"), Write(TASK, {words.SUBJECT: "Never sent"}, "op-2", marker="00T9")
    (made,) = played.box.write(TASK, [create])
    found = played.opened_with(ours.id).find_made([create, other], since)
    assert [r.ref for r in found["op-1"]] == [made.record.ref] and found["op-2"] == ()
    played.edit(made.record.ref.id, list="My Tasks" if played.is_google else "Tasks")
    assert [r.ref for r in played.opened_with(ours.id).find_made([create], since)["op-1"]] == [made.record.ref]


def test_sharing_marks_a_task_and_keeps_what_it_holds(played):
    ours = played.box.make_list(OURS)
    played.box.use_list(ours.id)
    id_ = played.enter(body="Text", due="2026-03-10")
    shared = played.box.bring_in(id_, "00T1")
    again = played.box.bring_in(shared.ref.id, "00T1")
    assert again.ref == shared.ref and len(played.rows()) == 1
    row = played.rows()[shared.ref.id]
    assert (row["title"], row["notes" if played.is_google else "body"]) == ("Send quote", "Text")
    assert again.fields[words.DUE] == date(2026, 3, 10) and again.version == shared.version
    if played.is_google:
        assert row["list"] == OURS and shared.fields[words.IS_OURS] is True
    else:
        assert row["list"] == "Tasks" and row["categories"] == ["Salesforce"] and shared.fields[FOREIGN_ID] == "00T1"
    played.drop(id_)
    with pytest.raises(RecordGone):
        played.box.bring_in(id_, "00T1")


def test_nothing_can_be_made_in_a_list_that_is_gone(played):
    ours = played.box.make_list(OURS)
    played.box.use_list(ours.id)
    played.drop_list(ours.id)
    (result,) = played.box.write(TASK, [Write(TASK, {words.SUBJECT: "x"}, "k", marker="00T1")])
    assert isinstance(result.error, RecordGone) and result.error.code == words.LIST_GONE


# --- Microsoft To Do only -------------------------------------------------------------------------------------------


@pytest.fixture
def todo():
    one = Played("microsoft")
    yield one
    one.connector.close()


def test_to_do_holds_importance_reminder_category_and_marker(todo):
    at = datetime(2026, 3, 9, 8, 30, tzinfo=UTC)
    fields = {words.IMPORTANCE: words.HIGH, words.REMINDER: at, CATEGORIES: ("Blue",), words.STATUS: words.WAITING}
    made = todo.made(**fields)
    (read,) = todo.box.find_marked(TASK, ["00T1"], (), since=SINCE)
    for record in (made, read):
        assert (record.fields[words.IMPORTANCE], record.fields[words.REMINDER], record.fields[words.STATUS]) == (
            words.HIGH,
            at,
            words.WAITING,
        )
        assert record.fields[CATEGORIES] == ("Blue", "Salesforce") and record.fields[FOREIGN_ID] == "00T1"
    (linked,) = todo.rows()[made.ref.id]["linkedResources"]
    assert (linked["applicationName"], linked["externalId"]) == ("Salesforce Tasks", "00T1")


@pytest.mark.parametrize("wanted", ["00T2", None])
def test_the_marker_of_a_task_is_changed_and_taken_off(todo, wanted):
    made = todo.made()
    (result,) = todo.box.write(TASK, [Write(TASK, {FOREIGN_ID: wanted, words.SUBJECT: "New"}, "k", ref=made.ref, version=made.version)])
    assert result.error is None and result.record.fields[FOREIGN_ID] == wanted and result.record.fields[words.SUBJECT] == "New"
    (again,) = todo.box.write(TASK, [Write(TASK, {words.SUBJECT: "Newer"}, "k", ref=made.ref, version=result.record.version)])
    assert again.error is None  # the version is that of after the marker
    assert [r.fields[FOREIGN_ID] for r in todo.box.read(TASK, [made.ref.id], ())] == [wanted]


def test_a_version_is_compared_even_where_to_do_does_not_compare_it(todo):
    todo.system.set_switches({"honours_if_match": False})
    test_an_edit_of_its_user_is_never_overwritten_unseen(todo)


def test_dead_links_are_a_round_from_the_start(todo):
    id_ = todo.enter()
    cursor = todo.round_of()[3]
    todo.system.expire_delta()
    page = todo.box.task_changes(cursor)
    assert page.is_whole and not page.is_restart
    assert set(todo.round_of(page.cursor)[0]) == {id_}


def test_rounds_that_replay_double_and_shuffle_say_the_same(todo):
    todo.system.set_switches({"delta_replays": True, "delta_duplicates": True, "delta_shuffles": True, "page_size": 2})
    ours = todo.box.make_list(OURS)
    ids = [todo.enter(str(n)) for n in range(7)]
    cursor = todo.round_of()[3]
    todo.edit(ids[0], list=OURS)
    todo.edit(ids[1], title="new")
    todo.drop(ids[2])
    tasks, gone, _, cursor = todo.round_of(cursor)
    assert gone >= {ids[2]} and not gone & (set(ids) - {ids[2]})
    assert tasks[ids[0]].fields[words.LIST] == ours.id and tasks[ids[1]].fields[words.SUBJECT] == "new"
    tasks, gone, _, _ = todo.round_of(cursor)
    assert ids[2] not in tasks and gone <= {ids[2]}


def test_many_lists_are_told_of_in_few_calls(todo):
    for n in range(22):
        todo.box.make_list(f"List {n}")
    cursor = todo.round_of()[3]
    before = todo.calls()
    todo.round_of(cursor)
    assert todo.calls() - before == 2  # 24 parts, 20 a call


# --- Google Tasks only ----------------------------------------------------------------------------------------------


@pytest.fixture
def google():
    one = Played("google")
    yield one
    one.connector.close()


def test_what_google_lacks_is_passed_over(google):
    fields = {words.IMPORTANCE: words.HIGH, words.REMINDER: SINCE, CATEGORIES: ("Salesforce",), words.STATUS: words.IN_PROGRESS}
    made = google.made(**fields)
    assert made.fields[words.STATUS] == words.NOT_STARTED  # the nearest that it knows
    assert not set(made.fields) & {words.IMPORTANCE, words.REMINDER, CATEGORIES, FOREIGN_ID}
    before = google.rows()
    lacking = {words.IMPORTANCE: words.LOW, FOREIGN_ID: "00T1", CATEGORIES: ()}
    (result,) = google.box.write(TASK, [Write(TASK, lacking, "k", ref=made.ref, version=made.version)])
    assert result.error is None and result.record.version == made.version and google.rows() == before


def test_of_several_that_look_the_same_the_engine_is_told_all(google):
    since = google.clock()
    fields = {words.SUBJECT: "Call Bo", words.DUE: date(2026, 3, 20)}
    create = Write(TASK, fields, "op-1", marker="00T1")
    made = [google.box.write(TASK, [create])[0].record.ref for _ in range(2)]
    google.enter("Call Bo")  # of another day
    assert {r.ref for r in google.box.find_made([create], since)["op-1"]} == set(made)
    google.edit(made[0].id, due="2026-03-21")
    google.drop(made[1].id)
    assert {r.ref.id for r in google.box.find_made([create], since)["op-1"]} == set(google.rows())  # only the subject is left to go by


def test_done_tasks_that_google_hides_are_told(google):
    id_ = google.enter("done", status="completed")
    assert google.rows()[id_]["isHidden"] is True
    assert google.round_of()[0][id_].fields[words.STATUS] == words.COMPLETED


def test_long_lists_are_told_page_by_page(google):
    ids = {google.enter(str(n)) for n in range(230)}
    cursor, seen, pages = "", set(), 0
    while True:
        page = google.box.task_changes(cursor)
        seen, pages, cursor = seen | {r.ref.id for r in page.tasks}, pages + 1, page.cursor
        if page.is_last:
            break
    assert (seen, pages) == (ids, 3)
