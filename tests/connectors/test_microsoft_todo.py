"""Microsoft To Do: changes of all lists in one call, versions compared before a write, and what cannot be read is not passed by."""

import json
from datetime import UTC, date, datetime
from urllib.parse import unquote

import pytest

from connectors import tasks as words
from connectors.contract import Ref, Write
from connectors.errors import MappingError, NeedsAttention, OutcomeUnknown, RateLimited, RecordGone, Rejected, ServerTrouble, StaleVersion
from connectors.mailboxes import CATEGORIES, FOREIGN_ID
from connectors.tasks import TASK, TaskBox
from tests.connectors.microsoft_wire import ANN, GONE, GRAPH, ROOT, THROTTLED, connection, error, page, removed
from tests.connectors.wire import Said

LISTS = f"{ROOT}/todo/lists"
MAIN, OURS = "L-main=", "L-ours="
LISTS_DELTA = f"GET {LISTS}/delta"
TEMPLATE = "part GET /users/{user}/todo/lists/{list}/tasks/delta"


def list_row(id_, name, kind="none", **more):
    return {"@odata.etag": 'W/"l"', "id": id_, "displayName": name, "isOwner": True, "isShared": False, "wellknownListName": kind, **more}


BOTH = (list_row(MAIN, "Tasks", "defaultList"), list_row(OURS, "Salesforce Tasks"))


def delta_of(list_id):
    return f"GET {LISTS}/{list_id}/tasks/delta"


def link(list_id="", token="d1", kind="deltatoken"):
    inner = f"{list_id}/tasks/" if list_id else ""
    return f"{GRAPH}/users/{ANN}/todo/lists/{inner}delta?${kind}={token}"


def task(id_, etag="v1", **more):
    """Returns a task as To Do tells it."""
    return {
        "@odata.etag": f'W/"{etag}"',
        "id": id_,
        "title": "Send quote",
        "status": "notStarted",
        "importance": "normal",
        "isReminderOn": False,
        "categories": ["Salesforce"],
        "body": {"content": "Pumps\r\nValves", "contentType": "text"},
        "createdDateTime": "2026-11-20T08:00:00.1234567Z",
        "lastModifiedDateTime": "2026-11-21T10:11:12Z",
        **more,
    }


def linked(marker, application="Salesforce Tasks"):
    return {"id": "link-1", "applicationName": application, "displayName": "Task", "externalId": marker, "webUrl": None}


def day(text):
    return {"dateTime": f"{text}T00:00:00.0000000", "timeZone": "UTC"}


def tasks(routes, **options):
    connector, graph = connection({f"GET {LISTS}": page(*BOTH), **routes}, **options)
    box = connector.tasks(ANN)
    as_protocol: TaskBox = box
    as_protocol.use_category("Salesforce")
    as_protocol.use_list(OURS)
    return box, graph


def settled(**routes):
    """Returns a box, its wire, and the cursor behind a first round of two empty lists."""
    first = {
        LISTS_DELTA: page(*BOTH, end=link()),
        delta_of(MAIN): page(end=link(MAIN)),
        delta_of(OURS): page(end=link(OURS)),
    }
    box, graph = tasks(first)
    opening = box.task_changes("")
    cursor = box.task_changes(opening.cursor).cursor
    quiet = {
        LISTS_DELTA: page(end=link(token="d2")),
        delta_of(MAIN): page(end=link(MAIN, "d2")),
        delta_of(OURS): page(end=link(OURS, "d2")),
    }
    box, graph = tasks({**quiet, **routes})
    return box, graph, cursor


# --- reading --------------------------------------------------------------------------------------------------------


def test_a_task_is_told_in_the_words_of_all_tasks():
    due = {"dueDateTime": day("2026-12-04"), "completedDateTime": day("2026-12-03"), "status": "completed", "importance": "high"}
    at = {"isReminderOn": True, "reminderDateTime": {"dateTime": "2026-12-04T08:30:00.0000000", "timeZone": "UTC"}}
    box, graph, cursor = settled(**{delta_of(OURS): page(task("T", **due, **at), end=link(OURS))})
    (record,) = box.task_changes(cursor).tasks
    assert record.ref == Ref("microsoft", TASK, "T") and record.version == 'W/"v1"' and not record.damaged
    assert record.updated_at == datetime(2026, 11, 21, 10, 11, 12, tzinfo=UTC)
    told = record.fields
    assert (told[words.SUBJECT], told[words.BODY], told[words.STATUS]) == ("Send quote", "Pumps\nValves", words.COMPLETED)
    assert (told[words.DUE], told[words.COMPLETED_ON], told[words.IMPORTANCE]) == (date(2026, 12, 4), date(2026, 12, 3), words.HIGH)
    assert told[words.REMINDER] == datetime(2026, 12, 4, 8, 30, tzinfo=UTC) and told[CATEGORIES] == ("Salesforce",)
    assert (told[words.LIST], told[words.LIST_NAME], told[words.IS_OURS]) == (OURS, "Salesforce Tasks", True)
    assert told[words.CREATED].isoformat() == "2026-11-20T08:00:00.123456+00:00" and FOREIGN_ID not in told
    assert 'outlook.timezone="UTC"' in graph.parts[0]["headers"]["Prefer"] and 'IdType="ImmutableId"' in graph.parts[0]["headers"]["Prefer"]


def test_the_date_of_a_due_day_counts_whatever_its_zone():
    due = {"dateTime": "2026-12-04T23:00:00", "timeZone": "Tokyo Standard Time"}
    box, _, cursor = settled(**{delta_of(OURS): page(task("T", dueDateTime=due), end=link(OURS))})
    assert box.task_changes(cursor).tasks[0].fields[words.DUE] == date(2026, 12, 4)


def test_what_cannot_be_read_is_damaged_and_never_blank():
    spoilt = {
        "title": "a\0b",
        "status": "dreaming",
        "importance": 7,
        "dueDateTime": {"dateTime": "soon", "timeZone": "UTC"},
        "isReminderOn": True,
        "reminderDateTime": {"dateTime": "2026-12-04T08:30:00", "timeZone": "Tokyo Standard Time"},
    }
    box, _, cursor = settled(**{delta_of(OURS): page(task("T", **spoilt), task("U"), end=link(OURS))})
    first, second = box.task_changes(cursor).tasks
    assert first.damaged == {words.SUBJECT, words.STATUS, words.IMPORTANCE, words.DUE, words.REMINDER} and not second.damaged


def test_markup_is_told_as_text():
    content = (
        "<html><head><style>p {}</style></head><body><p>Call <b>Bo</b> &amp; Li</p>\r\n<ul><li>Pumps</li><li>Valves</li></ul></body></html>"
    )
    box, _, cursor = settled(**{delta_of(OURS): page(task("T", body={"content": content, "contentType": "html"}), end=link(OURS))})
    assert box.task_changes(cursor).tasks[0].fields[words.BODY] == "Call Bo & Li\n\nPumps\nValves"


def test_nothing_new_is_one_call_for_all_lists():
    box, graph, cursor = settled()
    changes = box.task_changes(cursor)
    assert (changes.tasks, changes.gone, changes.is_last, changes.is_whole, changes.is_restart) == ((), (), True, False, False)
    assert graph.calls == ["POST /$batch"] and len(graph.parts) == 3
    assert all("$deltatoken=d1" in unquote(part["url"]) for part in graph.parts)


def test_flagged_mails_and_lists_of_others_are_not_looked_at():
    flagged, theirs = list_row("L-flag=", "Flagged", "flaggedEmails"), list_row("L-theirs=", "Team", isOwner=False, isShared=True)
    box, graph = tasks({LISTS_DELTA: page(*BOTH, flagged, theirs, end=link()),
                        delta_of(MAIN): page(end=link(MAIN)), delta_of(OURS): page(end=link(OURS))})  # fmt: skip
    assert box.task_changes(box.task_changes("").cursor).is_last
    assert sorted(graph.asked) == sorted([LISTS_DELTA, delta_of(MAIN), delta_of(OURS)])


def test_a_round_goes_on_where_lists_have_more_pages():
    more = page(task("T"), end=link(MAIN, "d3"))
    box, graph, cursor = settled(**{delta_of(MAIN): [page(task("S"), following=link(MAIN, "s1", "skiptoken")), more]})
    first = box.task_changes(cursor)
    asked = len(graph.parts)
    second = box.task_changes(first.cursor)
    assert [r.ref.id for r in first.tasks] == ["S"] and not first.is_last
    assert [r.ref.id for r in second.tasks] == ["T"] and second.is_last and not second.is_whole
    assert graph.asked[asked:] == [delta_of(MAIN)]  # the other list is not asked again


def test_one_that_left_a_list_is_looked_for_in_the_others():
    routes = {
        delta_of(MAIN): page(removed("T"), removed("U"), end=link(MAIN)),
        f"GET {LISTS}/{OURS}/tasks/T": Said(200, task("T", "v2", linkedResources=[linked("00T1")])),
        f"GET {LISTS}/{OURS}/tasks/U": GONE,
    }
    box, graph, cursor = settled(**routes)
    changes = box.task_changes(cursor)
    assert [(r.ref.id, r.fields[words.LIST], r.fields[FOREIGN_ID]) for r in changes.tasks] == [("T", OURS, "00T1")]
    assert changes.gone == ("U",) and graph.calls == ["POST /$batch"] * 2


def test_what_both_lists_tell_of_a_move_is_one_change():
    box, graph, cursor = settled(
        **{delta_of(MAIN): page(removed("T"), end=link(MAIN)), delta_of(OURS): page(task("T", "v2"), end=link(OURS))}
    )
    changes = box.task_changes(cursor)
    assert [r.fields[words.LIST] for r in changes.tasks] == [OURS] and changes.gone == () and len(graph.calls) == 1


def test_a_task_that_is_told_in_part_is_read_as_a_whole():
    bare = {"@odata.etag": 'W/"v2"', "id": "T", "importance": "high"}
    box, _, cursor = settled(
        **{delta_of(MAIN): page(bare, end=link(MAIN)), f"GET {LISTS}/{MAIN}/tasks/T": Said(200, task("T", "v2", importance="high"))}
    )
    (record,) = box.task_changes(cursor).tasks
    assert (record.fields[words.SUBJECT], record.fields[words.LIST]) == ("Send quote", MAIN)


@pytest.mark.parametrize("dead", [error("SyncStateNotFound", 410), error("resyncRequired", 410), error("syncStateInvalid", 400)])
def test_a_dead_link_is_a_round_from_the_start(dead):
    box, _, cursor = settled(**{delta_of(OURS): [dead, page(task("T"), end=link(OURS))], LISTS_DELTA: page(*BOTH, end=link())})
    opening = box.task_changes(cursor)
    assert opening.is_whole and not opening.is_restart and not opening.is_last
    assert [r.ref.id for r in box.task_changes(opening.cursor).tasks] == ["T"]


def test_a_link_that_dies_in_the_middle_of_a_round_is_told():
    middle = page(task("S"), following=link(MAIN, "s1", "skiptoken"))
    box, _, cursor = settled(**{delta_of(MAIN): [middle, error("SyncStateNotFound", 410)], LISTS_DELTA: page(*BOTH, end=link())})
    assert box.task_changes(box.task_changes(cursor).cursor).is_restart


@pytest.mark.parametrize("told", [{LISTS_DELTA: page(removed(OURS), end=link())}, {delta_of(OURS): GONE}])
def test_a_list_that_was_deleted_makes_the_round_whole(told):
    box, _, cursor = settled(**told)
    changes = box.task_changes(cursor)
    assert changes.is_whole


def test_a_mailbox_that_knows_none_of_its_own_links_is_no_empty_one():
    dead = error("SyncStateNotFound", 410)
    box, _, cursor = settled(**{LISTS_DELTA: dead})
    with pytest.raises(OutcomeUnknown):
        box.task_changes(cursor)


@pytest.mark.parametrize(
    "spoilt",
    [
        Said(200, {"value": "x", "@odata.deltaLink": link(OURS)}),
        page({"id": "T"}, end=link(OURS)),
        page({"@odata.etag": "e", "id": 7}, end=link(OURS)),
        page(task("T")),
        page(end=link(OURS), following=link(OURS, "s1", "skiptoken")),
        page(end=f"{GRAPH}/users/bob@acme.example/todo/lists/x/tasks/delta"),
    ],
)
def test_a_page_that_cannot_be_read_is_never_taken_for_an_empty_one(spoilt):
    box, _, cursor = settled(**{delta_of(OURS): spoilt})
    with pytest.raises(OutcomeUnknown):
        box.task_changes(cursor)


def test_no_cursor_and_no_link_leads_elsewhere():
    box, graph, cursor = settled(**{delta_of(OURS): page(end="https://evil.example/v1.0/x")})
    with pytest.raises(NeedsAttention, match="another host"):
        box.task_changes(cursor)
    forged = json.loads(cursor)
    for path in ("https://evil.example/x", "/users/bob@acme.example/todo/lists/x/tasks/delta", f"/users/{ANN}/todo/lists/../../messages"):
        forged["lists"][0][3] = path
        box, graph, _ = settled(**{LISTS_DELTA: page(*BOTH, end=link())})
        assert box.task_changes(json.dumps(forged)).is_restart and graph.asked == [LISTS_DELTA]


def test_who_is_throttled_waits():
    box, _, cursor = settled(**{delta_of(OURS): THROTTLED})
    with pytest.raises(RateLimited):
        box.task_changes(cursor)


def test_tasks_are_read_where_they_lie():
    routes = {
        f"GET {LISTS}/{OURS}/tasks/T": Said(200, task("T", linkedResources=[linked("x", "Other"), linked("00T1")])),
        f"GET {LISTS}/{OURS}/tasks/U": GONE,
        f"GET {LISTS}/{MAIN}/tasks/U": Said(200, task("U")),
        f"GET {LISTS}/{OURS}/tasks/V": error("ErrorInvalidIdMalformed", 400),
        f"GET {LISTS}/{MAIN}/tasks/V": GONE,
    }
    box, graph = tasks(routes)
    found = {r.ref.id: (r.fields[words.LIST], r.fields[FOREIGN_ID]) for r in box.read(TASK, ["T", "U", "V", "T"], [])}
    assert found == {"T": (OURS, "00T1"), "U": (MAIN, None)}
    assert graph.calls.count("POST /$batch") == 2 and len(graph.parts) == 5
    box.read(TASK, ["U"], [])
    assert graph.asked[-1] == f"GET {LISTS}/{MAIN}/tasks/U" and len(graph.parts) == 6  # where it was seen


def test_a_server_that_fails_over_one_task_is_not_taken_for_its_end():
    box, _ = tasks({f"GET {LISTS}/{OURS}/tasks/T": error("ErrorInternalServerError", 500)})
    with pytest.raises(ServerTrouble):
        box.read(TASK, ["T"], [])


def test_a_marker_is_found_in_any_list():
    rows = page(task("T", linkedResources=[linked("00T1")]), task("U", linkedResources=[linked("00T9")]), task("V"))
    box, graph = tasks({f"GET {LISTS}/{MAIN}/tasks": page(), f"GET {LISTS}/{OURS}/tasks": rows})
    assert [r.ref.id for r in box.find_marked(TASK, ["00T1", ""], [], since=datetime.now(UTC))] == ["T"]
    made = box.find_made([Write(TASK, {}, "a", marker="00T9"), Write(TASK, {}, "b")], datetime.now(UTC))
    assert [r.ref.id for r in made["a"]] == ["U"] and made["b"] == ()
    assert "$expand=linkedResources" in graph.parts[0]["url"]


# --- writing --------------------------------------------------------------------------------------------------------

T = Ref("microsoft", TASK, "T")
AT_T = f"{LISTS}/{OURS}/tasks/T"


def written(routes, *writes, **options):
    box, graph = tasks(routes, **options)
    return box.write(TASK, writes), graph


def test_a_task_is_made_in_our_list_with_category_and_marker():
    fields = {
        words.SUBJECT: "Send quote",
        words.DUE: date(2026, 12, 4),
        words.STATUS: words.WAITING,
        words.IMPORTANCE: words.LOW,
        words.BODY: "Pumps",
        words.REMINDER: datetime(2026, 12, 4, 8, 30, tzinfo=UTC),
        CATEGORIES: ("Blue",),
    }
    (result,), graph = written({f"POST {LISTS}/{OURS}/tasks": Said(201, task("T"))}, Write(TASK, fields, "k", marker="00T1"))
    assert graph.parts[0]["body"] == {
        "title": "Send quote",
        "dueDateTime": {"dateTime": "2026-12-04T00:00:00", "timeZone": "UTC"},
        "status": "waitingOnOthers",
        "importance": "low",
        "body": {"contentType": "text", "content": "Pumps"},
        "isReminderOn": True,
        "reminderDateTime": {"dateTime": "2026-12-04T08:30:00", "timeZone": "UTC"},
        "categories": ["Blue", "Salesforce"],
        "linkedResources": [{"applicationName": "Salesforce Tasks", "displayName": "Task in Salesforce", "externalId": "00T1"}],
    }
    assert result.record.fields[FOREIGN_ID] == "00T1" and result.record.fields[words.IS_OURS] is True
    assert graph.calls == ["POST /$batch", f"GET {LISTS}"]  # the name of its list is asked for once


def test_a_change_rests_on_what_was_read_right_before_it():
    routes = {f"GET {AT_T}": Said(200, task("T", "v2")), f"PATCH {AT_T}": Said(200, task("T", "v3", title="New"))}
    (stale,), graph = written(routes, Write(TASK, {words.SUBJECT: "New"}, "k", ref=T, version='W/"v1"'))
    assert isinstance(stale.error, StaleVersion) and graph.asked == [f"GET {AT_T}"]
    (good,), graph = written(routes, Write(TASK, {words.SUBJECT: "New", words.DUE: None}, "k", ref=T, version='W/"v2"'))
    assert good.error is None and good.record.version == 'W/"v3"'
    assert graph.parts[-1]["headers"]["If-Match"] == 'W/"v2"' and graph.parts[-1]["body"] == {"title": "New", "dueDateTime": None}


def test_where_to_do_compares_versions_the_look_is_spared():
    routes = {f"GET {AT_T}": Said(200, task("T")), f"PATCH {AT_T}": error("ErrorIrresolvableConflict", 412)}
    box, graph = tasks(routes, settings={"todo_honours_if_match": True})
    (record,) = box.read(TASK, ["T"], [])
    (result,) = box.write(TASK, [Write(TASK, {words.SUBJECT: "New"}, "k", ref=T, version=record.version)])
    assert isinstance(result.error, StaleVersion) and graph.asked == [f"GET {AT_T}", f"PATCH {AT_T}"]
    assert "task" in result.error.detail and "contact" not in result.error.detail


def test_a_marker_is_written_behind_the_task_and_read_back():
    routes = {
        f"GET {AT_T}": [Said(200, task("T")), Said(200, task("T", "v3", linkedResources=[linked("00T1")]))],
        f"PATCH {AT_T}": Said(200, task("T", "v2")),
        f"POST {AT_T}/linkedResources": Said(201, linked("00T1")),
    }
    write = Write(TASK, {FOREIGN_ID: "00T1", CATEGORIES: ("Salesforce",)}, "k", ref=T, version='W/"v1"')
    (result,), graph = written(routes, write)
    assert result.record.version == 'W/"v3"' and result.record.fields[FOREIGN_ID] == "00T1"
    assert graph.asked == [f"GET {AT_T}", f"PATCH {AT_T}", f"POST {AT_T}/linkedResources", f"GET {AT_T}"]


def test_a_marker_that_could_not_be_written_fails_the_write():
    routes = {f"GET {AT_T}": Said(200, task("T")), f"POST {AT_T}/linkedResources": error("ErrorInternalServerError", 500)}
    (result,), graph = written(routes, Write(TASK, {FOREIGN_ID: "00T1"}, "k", ref=T, version='W/"v1"'))
    assert isinstance(result.error, ServerTrouble) and result.record is None
    assert graph.asked == [f"GET {AT_T}", f"POST {AT_T}/linkedResources"]


def test_a_marker_that_stands_already_costs_nothing():
    routes = {f"GET {AT_T}": Said(200, task("T", linkedResources=[linked("00T1")]))}
    (result,), graph = written(routes, Write(TASK, {FOREIGN_ID: "00T1"}, "k", ref=T))
    assert result.record.fields[FOREIGN_ID] == "00T1" and graph.asked == [f"GET {AT_T}"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({words.STATUS: "soon"}, Rejected),
        ({words.IMPORTANCE: "very"}, Rejected),
        ({words.DUE: datetime(2026, 12, 4, tzinfo=UTC)}, Rejected),
        ({words.DUE: "2026-12-04"}, Rejected),
        ({words.REMINDER: datetime(2026, 12, 4)}, Rejected),
        ({"colour": "red"}, MappingError),
        ({words.LIST: MAIN}, MappingError),
        ({}, Rejected),
    ],
)
def test_what_cannot_be_written_is_refused_and_takes_no_other_with_it(fields, expected):
    routes = {f"GET {AT_T}": Said(200, task("T")), f"POST {LISTS}/{OURS}/tasks": Said(201, task("U"))}
    results, graph = written(routes, Write(TASK, fields, "a", ref=T), Write(TASK, {words.SUBJECT: "x"}, "b", marker="m"))
    assert type(results[0].error) is expected and results[1].error is None
    assert [route for route in graph.asked if not route.startswith("GET")] == [f"POST {LISTS}/{OURS}/tasks"]


def test_a_server_that_fails_over_a_create_leaves_it_in_doubt():
    routes = {f"POST {LISTS}/{OURS}/tasks": error("ErrorInternalServerError", 500)}
    (result,), _ = written(routes, Write(TASK, {words.SUBJECT: "x"}, "k", marker="m"))
    assert isinstance(result.error, ServerTrouble) and result.error.may_have_happened


def test_a_delete_of_what_is_gone_says_so():
    routes = {f"GET {LISTS}/{name}/tasks/T": GONE for name in (OURS, MAIN)}
    (result,), graph = written(routes, Write(TASK, {}, "k", ref=T, is_delete=True))
    assert isinstance(result.error, RecordGone) and not any(route.startswith("DELETE") for route in graph.asked)


def test_two_who_make_our_list_at_once_end_up_with_one():
    name = "Salesforce Tasks"
    theirs, mine = list_row("L-theirs=", name), list_row("L-mine=", name)
    routes = {
        f"GET {LISTS}": [page(BOTH[0]), page(BOTH[0], theirs, mine), page(BOTH[0], theirs)],
        f"POST {LISTS}": Said(201, mine),
        f"DELETE {LISTS}/L-mine=": Said(204),
    }
    box, graph = tasks(routes)
    assert box.make_list(name).id == "L-theirs=" and f"DELETE {LISTS}/L-mine=" in graph.calls


def test_a_name_that_is_taken_is_adopted():
    name = "Salesforce Tasks"
    routes = {f"GET {LISTS}": [page(BOTH[0]), page(*BOTH)], f"POST {LISTS}": error("ErrorFolderExists", 409)}
    box, _ = tasks(routes)
    assert box.make_list(name).id == OURS
    box, _ = tasks({f"GET {LISTS}": page(BOTH[0]), f"POST {LISTS}": error("invalidRequest", 400)})
    with pytest.raises(Rejected):
        box.make_list(name)


def test_its_calls_are_counted_with_those_of_the_connection():
    connector, _ = connection(
        {LISTS_DELTA: page(*BOTH, end=link()), delta_of(MAIN): page(end=link(MAIN)), delta_of(OURS): page(end=link(OURS))}
    )
    box = connector.tasks(ANN)
    box.task_changes(box.task_changes("").cursor)
    assert connector.counts().by_template[TEMPLATE] == 2


def test_a_mailbox_that_does_not_let_us_in_says_what_to_do():
    box, _ = tasks({f"GET {LISTS}": error("ErrorAccessDenied", 403)})
    (line,) = box.check_mailbox()
    assert not line.is_ok and "Tasks.ReadWrite.All" in line.remedy
