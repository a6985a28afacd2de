"""Google Tasks: polled by what was touched since, versions compared before a write, and nothing taken for empty that cannot be read."""

from datetime import UTC, date, datetime

import pytest

from connectors import tasks as words
from connectors.contract import Ref, Write
from connectors.errors import (
    MailboxRefused,
    MappingError,
    OutcomeUnknown,
    RateLimited,
    RecordGone,
    Rejected,
    ServerTrouble,
    StaleVersion,
)
from connectors.mailboxes import CATEGORIES
from connectors.oauth import Tokens
from connectors.tasks import TASK, TaskBox
from tests.connectors.google_wire import ANN, SECRETS, connector, error, older
from tests.connectors.wire import Said, Store

MAIN, OURS = "list-main", "list-ours"
LISTS = "GET /tasks/v1/users/@me/lists"
DEFAULT = f"{LISTS}/@default"
T = Ref("google", TASK, "T")
LOST = older(404, "notFound", "Task not found.")


def list_row(id_, title):
    return {"kind": "tasks#taskList", "id": id_, "etag": '"l"', "title": title, "updated": "2026-02-01T00:00:00.000Z"}


BOTH = Said(200, {"kind": "tasks#taskLists", "items": [list_row(MAIN, "My Tasks"), list_row(OURS, "Salesforce Tasks")]})


def of(list_id, id_="", verb="GET"):
    return f"{verb} /tasks/v1/lists/{list_id}/tasks" + (f"/{id_}" if id_ else "")


def task(id_, etag="e1", **more):
    """Returns a task as Google tells it."""
    return {
        "kind": "tasks#task",
        "id": id_,
        "etag": etag,
        "title": "Call Bo",
        "notes": "re: order",
        "status": "needsAction",
        "due": "2026-11-25T00:00:00.000Z",
        "updated": "2026-02-20T04:00:00.000Z",
        "links": [],
        **more,
    }


def page(*rows, following=""):
    return Said(
        200, {"kind": "tasks#tasks", **({"items": list(rows)} if rows else {}), **({"nextPageToken": following} if following else {})}
    )


def tasks(routes, **options):
    stores = {ANN: Store(Tokens(SECRETS["access"], SECRETS["refresh"]))}
    opened, wire = connector({LISTS: BOTH, **routes}, stores=stores, **options)
    box = opened.tasks(ANN)
    as_protocol: TaskBox = box
    as_protocol.use_list(OURS)
    return box, wire


def settled(routes, **options):
    """Returns a box, its wire, and the cursor behind a first round of two empty lists."""
    box, _ = tasks({of(MAIN): page(), of(OURS): page()}, **options)
    cursor = box.task_changes("").cursor
    box, wire = tasks({of(MAIN): page(), of(OURS): page(), **routes}, **options)
    return box, wire, cursor


# --- reading --------------------------------------------------------------------------------------------------------


def test_a_task_is_told_in_the_words_of_all_tasks():
    done = {"status": "completed", "completed": "2026-11-24T22:30:00.000Z", "hidden": True}
    box, _ = tasks({of(MAIN): page(task("T")), of(OURS): page(task("U", **done))})
    first, second = box.task_changes("").tasks
    assert first.ref == T and first.version == "e1" and first.updated_at == datetime(2026, 2, 20, 4, tzinfo=UTC)
    told = first.fields
    assert (told[words.SUBJECT], told[words.BODY], told[words.DUE]) == ("Call Bo", "re: order", date(2026, 11, 25))
    assert (told[words.STATUS], told[words.COMPLETED_ON], told[words.IS_OURS]) == (words.NOT_STARTED, None, False)
    assert (told[words.LIST], told[words.LIST_NAME]) == (MAIN, "My Tasks")
    assert (second.fields[words.STATUS], second.fields[words.COMPLETED_ON]) == (words.COMPLETED, date(2026, 11, 24))
    assert second.fields[words.IS_OURS] is True and set(told) == set(box.schema(TASK).attributes)


def test_what_cannot_be_read_is_damaged_and_never_blank():
    box, _ = tasks({of(MAIN): page(task("T", title="a\0b", due="soon", status="later"), task("U")), of(OURS): page()})
    first, second = box.task_changes("").tasks
    assert first.damaged == {words.SUBJECT, words.DUE, words.STATUS} and not second.damaged


def test_a_first_round_lists_everything_and_a_later_one_what_was_touched():
    box, wire, cursor = settled({of(MAIN): page(task("T"), task("X", deleted=True))})
    changes = box.task_changes(cursor)
    assert [r.ref.id for r in changes.tasks] == ["T"] and changes.gone == ("X",)
    assert (changes.is_last, changes.is_whole, changes.is_restart) == (True, False, False)
    assert wire.calls == [LISTS, of(MAIN), of(OURS)]
    asked = wire.asked(1)
    assert asked["updatedMin"] == "2026-03-02T08:59:00.000Z"  # by Google's clock, and a minute before
    assert {asked[name] for name in ("showCompleted", "showHidden", "showDeleted")} == {"true"}
    box, wire = tasks({of(MAIN): page(), of(OURS): page()})
    box.task_changes("")
    assert "updatedMin" not in wire.asked(1) and wire.asked(1)["showDeleted"] == "false" and wire.asked(1)["showHidden"] == "true"


def test_pages_of_a_list_are_told_one_by_one_with_the_same_question():
    box, wire, cursor = settled({of(MAIN): [page(task("S"), following="p2"), page(task("T"))]})
    first = box.task_changes(cursor)
    second = box.task_changes(first.cursor)
    assert [r.ref.id for r in first.tasks] == ["S"] and not first.is_last and second.is_last
    assert [r.ref.id for r in second.tasks] == ["T"] and wire.calls == [LISTS, of(MAIN), of(OURS), of(MAIN)]
    assert wire.asked() == {**wire.asked(1), "pageToken": "p2"}


def test_a_task_that_lies_in_another_list_now_is_not_gone():
    box, _, cursor = settled({of(MAIN): page(task("T", deleted=True)), of(OURS): page(task("T", "e2"))})
    changes = box.task_changes(cursor)
    assert changes.gone == () and [r.fields[words.LIST] for r in changes.tasks] == [OURS]


def test_a_list_that_was_deleted_makes_the_round_whole():
    box, wire, cursor = settled({LISTS: Said(200, {"items": [list_row(MAIN, "My Tasks")]}), of(MAIN): page(task("T"))})
    changes = box.task_changes(cursor)
    assert changes.is_whole and not changes.is_restart and [r.ref.id for r in changes.tasks] == ["T"]
    assert "updatedMin" not in wire.asked()
    gone = older(404, "notFound", "Task list not found.")
    box, wire, cursor = settled({of(OURS): [gone, page()]})
    assert box.task_changes(cursor).is_whole


def test_a_page_that_google_knows_no_more_starts_the_round_anew():
    box, _, cursor = settled({of(MAIN): [page(task("S"), following="p2"), older(400, "invalid", "Invalid page token."), page(task("S"))]})
    middle = box.task_changes(cursor)
    again = box.task_changes(middle.cursor)
    assert again.is_restart and again.is_whole and again.is_last


@pytest.mark.parametrize("spoilt", [Said(200, {"items": "x"}), page({"id": "T"}), page({"id": 7, "etag": "e"}), page(following=7)])
def test_a_page_that_cannot_be_read_is_never_taken_for_an_empty_one(spoilt):
    box, _, cursor = settled({of(OURS): spoilt})
    with pytest.raises(OutcomeUnknown):
        box.task_changes(cursor)
    box, _, cursor = settled({LISTS: Said(200, {"items": [{"title": "no id"}]})})
    with pytest.raises(OutcomeUnknown):
        box.task_changes(cursor)


@pytest.mark.parametrize("text", ["{}", "[]", '{"v":1,"lists":[[1,2]],"began":"","whole":true,"between":false}', "x" * 9])
def test_a_cursor_that_is_none_of_ours_starts_a_round(text):
    box, _ = tasks({of(MAIN): page(), of(OURS): page()})
    changes = box.task_changes(text)
    assert changes.is_restart and changes.is_whole


def test_who_is_throttled_waits_and_who_is_refused_says_so():
    box, _, cursor = settled({of(MAIN): older(403, "rateLimitExceeded")})
    with pytest.raises(RateLimited):
        box.task_changes(cursor)
    box, _, cursor = settled({LISTS: error(403, "No.", "PERMISSION_DENIED")})
    with pytest.raises(MailboxRefused, match="tasks"):
        box.task_changes(cursor)


def test_tasks_are_read_where_they_lie():
    routes = {
        of(OURS, "T"): Said(200, task("T")),
        of(OURS, "U"): LOST,
        of(MAIN, "U"): Said(200, task("U")),
        of(OURS, "V"): Said(200, task("V", deleted=True)),
        of(MAIN, "V"): LOST,
    }
    box, wire = tasks(routes)
    assert {r.ref.id: r.fields[words.LIST] for r in box.read(TASK, ["T", "U", "V", "T"], [])} == {"T": OURS, "U": MAIN}
    asked = len(wire.calls)
    box.read(TASK, ["U"], [])
    assert wire.calls[asked:] == [of(MAIN, "U")]  # where it was seen


# --- writing --------------------------------------------------------------------------------------------------------


def written(routes, *writes, **options):
    box, wire = tasks(routes, **options)
    return box.write(TASK, writes), wire


def test_a_task_is_made_with_what_google_has():
    fields = {
        words.SUBJECT: "Call Bo",
        words.DUE: date(2026, 11, 25),
        words.STATUS: words.DEFERRED,
        words.BODY: None,
        words.IMPORTANCE: words.HIGH,
        CATEGORIES: ("Salesforce",),
    }
    (result,), wire = written({of(OURS, verb="POST"): Said(200, task("T"))}, Write(TASK, fields, "k", marker="00T1"))
    assert wire.body(0) == {"title": "Call Bo", "due": "2026-11-25T00:00:00.000Z", "status": "needsAction"}
    assert result.record.ref == T and result.record.fields[words.IS_OURS] is True


def test_a_change_rests_on_what_was_read_right_before_it():
    routes = {of(OURS, "T"): Said(200, task("T", "e2")), of(OURS, "T", "PATCH"): Said(200, task("T", "e3"))}
    (stale,), wire = written(routes, Write(TASK, {words.SUBJECT: "New"}, "k", ref=T, version="e1"))
    assert isinstance(stale.error, StaleVersion) and of(OURS, "T", "PATCH") not in wire.calls
    (good,), wire = written(routes, Write(TASK, {words.DUE: None, words.STATUS: words.COMPLETED}, "k", ref=T, version="e2"))
    assert good.record.version == "e3" and wire.body() == {"due": None, "status": "completed"}
    assert wire.requests[-1].headers["If-Match"] == "e2"


def test_where_google_compares_versions_the_look_is_spared():
    routes = {of(OURS, "T"): Said(200, task("T")), of(OURS, "T", "PATCH"): error(412, "Precondition Failed", "FAILED_PRECONDITION")}
    box, wire = tasks(routes, settings={"tasks_honour_if_match": True})
    (record,) = box.read(TASK, ["T"], [])
    asked = len(wire.calls)
    (result,) = box.write(TASK, [Write(TASK, {words.SUBJECT: "New"}, "k", ref=T, version=record.version)])
    assert isinstance(result.error, StaleVersion) and wire.calls[asked:] == [of(OURS, "T", "PATCH")]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({words.STATUS: "soon"}, Rejected), ({words.DUE: "2026"}, Rejected), ({"colour": "red"}, MappingError), ({}, Rejected)],
)
def test_what_cannot_be_written_is_refused_and_takes_no_other_with_it(fields, expected):
    routes = {of(OURS, "T"): Said(200, task("T")), of(OURS, verb="POST"): Said(200, task("U"))}
    results, wire = written(routes, Write(TASK, fields, "a", ref=T), Write(TASK, {words.SUBJECT: "x"}, "b"))
    assert type(results[0].error) is expected and results[1].error is None and of(OURS, "T", "PATCH") not in wire.calls


def test_of_several_writes_what_follows_trouble_was_certainly_not_sent():
    writes = [Write(TASK, {words.SUBJECT: name}, name) for name in "abc"]
    results, wire = written({of(OURS, verb="POST"): [Said(200, task("A")), error(500)]}, *writes)
    assert results[0].error is None and isinstance(results[1].error, ServerTrouble) and results[1].error.may_have_happened
    assert not results[2].error.may_have_happened and wire.calls.count(of(OURS, verb="POST")) == 2
    with pytest.raises(ServerTrouble):
        written({of(OURS, verb="POST"): error(500)}, writes[0])


def test_a_delete_of_what_is_gone_says_so():
    (result,), wire = written({of(OURS, "T"): LOST, of(MAIN, "T"): LOST}, Write(TASK, {}, "k", ref=T, is_delete=True))
    assert isinstance(result.error, RecordGone) and not any(call.startswith("DELETE") for call in wire.calls)


def test_a_task_moves_into_our_list_once():
    moved = f"{of(MAIN, 'T', 'POST')}/move"
    routes = {of(OURS, "T"): LOST, of(MAIN, "T"): Said(200, task("T")), moved: Said(200, task("T", "e2"))}
    box, wire = tasks(routes)
    record = box.bring_in("T", "00T1")
    assert record.fields[words.IS_OURS] is True and wire.asked(-1 if wire.calls[-1] == moved else -2) == {"destinationTasklist": OURS}
    box, wire = tasks({of(OURS, "T"): Said(200, task("T"))})
    assert box.bring_in("T", "00T1").version == "e1" and not any(call.startswith("POST") for call in wire.calls)
    box, _ = tasks({DEFAULT: Said(200, list_row(MAIN, "My Tasks")), of(MAIN, "T"): Said(200, task("T"))})
    box.use_list("")
    with pytest.raises(RecordGone) as caught:
        box.bring_in("T", "00T1")
    assert caught.value.code == words.LIST_GONE


def test_two_who_make_our_list_at_once_end_up_with_one():
    def named(*ids):
        return Said(200, {"items": [list_row(MAIN, "My Tasks"), *(list_row(id_, "Ours") for id_ in ids)]})

    made = {"POST /tasks/v1/users/@me/lists": Said(200, list_row("mine", "Ours")), "DELETE /tasks/v1/users/@me/lists/mine": Said(204)}
    box, wire = tasks({LISTS: [named(), named("theirs", "mine"), named("theirs")], **made})
    assert box.make_list("Ours").id == "theirs" and "DELETE /tasks/v1/users/@me/lists/mine" in wire.calls
    box, wire = tasks({LISTS: [named(), named("mine")], **made})
    assert box.make_list("Ours").id == "mine" and not any(call.startswith("DELETE") for call in wire.calls)


def test_no_markers_are_looked_for():
    box, wire = tasks({})
    assert box.find_marked(TASK, ["00T1"], [], since=datetime.now(UTC)) == [] and wire.calls == []
    assert box.marker_field == "" and box.has_marker is False and box.has_categories is False
