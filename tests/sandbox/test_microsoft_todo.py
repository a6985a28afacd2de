"""Microsoft To Do as it is played: lists, tasks, what is linked to them, rounds, tasks by hand."""

from urllib.parse import quote

import pytest

from connectors.sandbox.world import World
from tests.sandbox.graph import ANN, BOB, IMMUTABLE, refused

LINK = {"applicationName": "CRM", "displayName": "Task 00T", "externalId": "00Txx", "webUrl": "https://crm.example/00Txx"}


def day(text, zone="UTC"):
    return {"dateTime": text, "timeZone": zone}


@pytest.fixture
def tasks(graph):
    """The address of the tasks of a list of our own."""
    return f"todo/lists/{quote(graph.create('todo/lists', displayName='Salesforce Tasks')['id'])}/tasks"


def titles(rows):
    return [row["title"] for row in rows]


# --- lists ----------------------------------------------------------------------------------------------------------------
def test_the_default_list_is_there_and_others_are_made(graph):
    (default,) = graph.all("todo/lists")
    assert (default["displayName"], default["wellknownListName"], default["isOwner"]) == ("Tasks", "defaultList", True)
    ours = graph.create("todo/lists", displayName="Salesforce Tasks")
    path = f"todo/lists/{quote(ours['id'])}"

    assert ours["wellknownListName"] == "none" and [x["id"] for x in graph.all("todo/lists")] == [default["id"], ours["id"]]
    assert [x["id"] for x in graph.all("todo/lists", filter="displayName eq 'Salesforce Tasks'")] == [ours["id"]]
    assert graph.call("PATCH", path, json={"displayName": "Ours"}).json()["displayName"] == "Ours"
    graph.create(f"{path}/tasks", title="A")
    assert graph.call("DELETE", path).status_code == 204 and graph.system.list_records("task") == []
    assert refused(graph.call("GET", path)) == (404, "ErrorItemNotFound")
    for method, body in (("DELETE", None), ("PATCH", {"displayName": "X"})):
        assert refused(graph.call(method, f"todo/lists/{quote(default['id'])}", json=body)) == (400, "invalidRequest")


def test_names_of_lists_may_repeat_or_not(graph):
    graph.create("todo/lists", displayName="Ours")
    graph.create("todo/lists", displayName="Ours")
    graph.switch(todo_list_names_repeat=False)
    assert refused(graph.call("POST", "todo/lists", json={"displayName": "ours"})) == (409, "ErrorFolderExists")


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, (400, "invalidRequest")),
        ({"displayName": " "}, (400, "invalidRequest")),
        ({"displayName": 5}, (400, "BadRequest")),
        ({"displayName": "A", "color": "red"}, (400, "BadRequest")),
        ({"displayName": "A", "isShared": True}, (400, "ErrorInvalidPropertySet")),
    ],
)
def test_what_a_list_cannot_be(graph, body, refusal):
    assert refused(graph.call("POST", "todo/lists", json=body)) == refusal and len(graph.all("todo/lists")) == 1


# --- tasks ----------------------------------------------------------------------------------------------------------------
def test_a_task_from_creation_to_deletion(graph, tasks):
    made = graph.create(tasks, title="Send quote", dueDateTime=day("2026-12-04T00:00:00"), linkedResources=[LINK])
    path = f"{tasks}/{quote(made['id'])}"

    assert (made["status"], made["importance"], made["isReminderOn"], made["categories"]) == ("notStarted", "normal", False, [])
    assert made["dueDateTime"] == day("2026-12-04T00:00:00.0000000") and made["linkedResources"][0]["externalId"] == "00Txx"
    assert "changeKey" not in made and "completedDateTime" not in made and "startDateTime" not in made
    assert "linkedResources" not in graph.get(path) and len(graph.get(path, expand="linkedResources")["linkedResources"]) == 1
    graph.clock.forward(60)
    body = {"title": "Sent", "importance": "high", "body": {"content": "Hi", "contentType": "text"}, "categories": ["Salesforce"]}
    changed = graph.call("PATCH", path, json=body).json()
    assert {name: changed[name] for name in body} == body and changed["@odata.etag"] != made["@odata.etag"]
    assert changed["lastModifiedDateTime"] == changed["bodyLastModifiedDateTime"] == "2026-11-01T10:01:00Z"
    assert changed["dueDateTime"] == made["dueDateTime"]
    assert "dueDateTime" not in graph.call("PATCH", path, json={"dueDateTime": None}).json()
    assert refused(graph.call("PATCH", path, json={}, headers={"If-Match": made["@odata.etag"]})) == (412, "ErrorIrresolvableConflict")
    assert graph.call("DELETE", path).status_code == 204
    assert refused(graph.call("GET", path)) == (404, "ErrorItemNotFound") and graph.all(tasks) == []


def test_a_task_is_completed_on_a_day_and_opened_again(graph, tasks):
    path = f"{tasks}/{quote(graph.create(tasks, title='A')['id'])}"

    done = graph.call("PATCH", path, json={"status": "completed"}).json()
    assert done["completedDateTime"] == day("2026-11-01T00:00:00.0000000")
    graph.clock.forward(3 * 86400)
    assert graph.call("PATCH", path, json={"title": "B"}).json()["completedDateTime"] == done["completedDateTime"]
    opened = graph.call("PATCH", path, json={"status": "inProgress"}).json()
    assert opened["status"] == "inProgress" and "completedDateTime" not in opened
    again = graph.call("PATCH", path, json={"completedDateTime": day("2026-11-02T15:00:00")}).json()
    assert (again["status"], again["completedDateTime"]) == ("completed", day("2026-11-02T00:00:00.0000000"))


@pytest.mark.parametrize(
    ("zone", "due", "reminder"),
    [
        ("UTC", "2026-12-04", "2026-12-04T09:00"),
        ("W. Europe Standard Time", "2026-12-04", "2026-12-04T08:00"),
        ("Europe/Berlin", "2026-12-04", "2026-12-04T08:00"),
        ("Pacific Standard Time", "2026-12-04", "2026-12-04T17:00"),
    ],
)
def test_of_a_due_time_the_date_counts_and_a_reminder_is_an_instant(graph, tasks, zone, due, reminder):
    made = graph.create(tasks, title="A", dueDateTime=day("2026-12-04T09:00:00", zone), reminderDateTime=day("2026-12-04T09:00:00", zone))
    assert made["dueDateTime"] == day(f"{due}T00:00:00.0000000") and made["reminderDateTime"] == day(f"{reminder}:00.0000000")


def test_tasks_are_searched_and_ordered(graph, tasks):
    for n, status in enumerate(("notStarted", "completed", "inProgress")):
        graph.create(tasks, title=f"T{n}", status=status, categories=["Blue"] if n else [], dueDateTime=day(f"2026-12-0{3 - n}T00:00:00"))
        graph.clock.forward(60)

    assert titles(graph.all(tasks, filter="status ne 'completed'")) == ["T0", "T2"]
    assert titles(graph.all(tasks, filter="lastModifiedDateTime ge 2026-11-01T10:01:00Z")) == ["T1", "T2"]
    assert titles(graph.all(tasks, filter="dueDateTime/dateTime lt '2026-12-03'")) == ["T1", "T2"]
    assert titles(graph.all(tasks, filter="categories/any(c:c eq 'blue') and startswith(title, 'T1')")) == ["T1"]
    assert titles(graph.all(tasks, orderby="dueDateTime/dateTime", top="2")) == ["T2", "T1", "T0"]
    assert set(graph.all(tasks, select="title")[0]) == {"@odata.etag", "id", "title"}


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"color": "red"}, (400, "BadRequest")),
        ({"status": "done"}, (400, "BadRequest")),
        ({"title": 5}, (400, "BadRequest")),
        ({"dueDateTime": "2026-12-04"}, (400, "BadRequest")),
        ({"dueDateTime": day("2026-13-04T00:00:00")}, (400, "BadRequest")),
        ({"dueDateTime": day("2026-12-04T00:00:00+01:00")}, (400, "BadRequest")),
        ({"createdDateTime": "2026-12-04T00:00:00Z"}, (400, "ErrorInvalidPropertySet")),
        ({"checklistItems": []}, (400, "invalidRequest")),
        ({"linkedResources": [{"color": "red"}]}, (400, "BadRequest")),
        ({"recurrence": {"pattern": {}}}, (400, "ErrorInvalidRequest")),
    ],
)
def test_what_a_task_cannot_be(graph, tasks, body, refusal):
    answer = refused(graph.call("POST", tasks, json=body))
    assert answer[0] == refusal[0] and (answer == refusal or "recurrence" in body)
    assert graph.all(tasks) == []


@pytest.mark.parametrize(
    "options", [{"$filter": "body/content eq 'x'"}, {"$expand": "attachments"}, {"$select": "color"}, {"$orderby": "x"}]
)
def test_what_a_list_of_tasks_cannot_be_asked(graph, tasks, options):
    assert refused(graph.call("GET", tasks, params=options))[0] == 400


@pytest.mark.parametrize("path", ["todo", "todo/tasks", "todo/lists/x/items", "todo/lists/x/tasks"])
def test_addresses_that_do_not_exist(graph, path):
    assert refused(graph.call("GET", path))[0] == 400


def test_a_recurring_task_keeps_its_rule(graph, tasks):
    recurrence = {
        "pattern": {"type": "weekly", "interval": 1, "daysOfWeek": ["monday"]},
        "range": {"type": "noEnd", "startDate": "2026-12-07"},
    }
    made = graph.create(tasks, title="Call", recurrence=recurrence)
    assert made["recurrence"]["pattern"]["daysOfWeek"] == ["monday"] and made["recurrence"]["range"]["startDate"] == "2026-12-07"


def test_tasks_need_their_permission(graph, tasks):
    graph.switch(permissions="Tasks.Read.All")
    assert graph.all(tasks) == [] and refused(graph.call("POST", tasks, json={"title": "A"})) == (403, "ErrorAccessDenied")
    graph.switch(permissions="Mail.Read")
    assert refused(graph.call("GET", "todo/lists")) == (403, "ErrorAccessDenied")


# --- what is linked to a task -------------------------------------------------------------------------------------------------
def test_records_are_linked_changed_and_unlinked(graph, tasks):
    task = graph.create(tasks, title="A")
    path = f"{tasks}/{quote(task['id'])}/linkedResources"

    made = graph.create(path, **LINK)
    assert {name: made[name] for name in LINK} == LINK and graph.all(path) == [{k: v for k, v in made.items() if k != "@odata.context"}]
    assert graph.get(f"{tasks}/{quote(task['id'])}")["@odata.etag"] != task["@odata.etag"]
    assert graph.call("PATCH", f"{path}/{made['id']}", json={"externalId": "00Tyy"}).json()["externalId"] == "00Tyy"
    assert graph.get(f"{path}/{made['id']}")["externalId"] == "00Tyy"
    assert refused(graph.call("POST", path, json={"url": "x"})) == (400, "BadRequest")
    assert graph.call("DELETE", f"{path}/{made['id']}").status_code == 204
    assert refused(graph.call("GET", f"{path}/{made['id']}")) == (404, "ErrorItemNotFound") and graph.all(path) == []


# --- rounds -----------------------------------------------------------------------------------------------------------------
def test_rounds_tell_what_became_of_tasks(graph, tasks):
    first, second = (graph.create(tasks, IMMUTABLE, title=title)["id"] for title in ("A", "B"))
    entries, link = graph.round(f"{tasks}/delta?$select=title", {"Prefer": 'IdType="ImmutableId", odata.maxpagesize=1'})

    assert titles(entries) == ["A", "B"] and set(entries[1]) == {"@odata.type", "@odata.etag", "id", "title"}
    graph.call("PATCH", f"{tasks}/{quote(first)}", json={"status": "completed"})
    graph.call("DELETE", f"{tasks}/{quote(second)}")
    news, link = graph.round(link, IMMUTABLE)
    assert news[0]["id"] == first and news[1] == {
        "@odata.type": "#microsoft.graph.todoTask",
        "id": second,
        "@removed": {"reason": "deleted"},
    }
    assert graph.round(link, IMMUTABLE)[0] == []
    graph.system.expire_delta()
    assert refused(graph.call("GET", link)) == (410, "SyncStateNotFound")


def test_rounds_tell_what_became_of_lists(graph):
    ours = graph.create("todo/lists", displayName="Ours")
    entries, link = graph.round("todo/lists/delta()?$select=displayName")

    assert [e["displayName"] for e in entries] == ["Tasks", "Ours"] and "isOwner" not in entries[0]
    graph.call("PATCH", f"todo/lists/{quote(ours['id'])}", json={"displayName": "Theirs"})
    entries, link = graph.round(link)
    assert [e["displayName"] for e in entries] == ["Theirs"]
    graph.call("DELETE", f"todo/lists/{quote(ours['id'])}")
    assert graph.round(link)[0] == [{"@odata.type": "#microsoft.graph.todoTaskList", "id": ours["id"], "@removed": {"reason": "deleted"}}]


# --- by hand ----------------------------------------------------------------------------------------------------------------
def test_tasks_by_hand_are_made_moved_and_deleted(graph, tasks):
    made = graph.system.create_record(
        "task", {"mailbox": ANN, "title": "Call", "dueDate": "2026-12-04", "body": "Hi", "status": "inProgress"}
    )
    number = graph.system.find_id("task", made["id"])

    assert (made["list"], made["dueDate"], made["body"]) == ("Tasks", "2026-12-04", "Hi")
    moved = graph.system.update_record("task", number, {**made, "list": "Salesforce Tasks", "status": "completed", "dueDate": ""})
    assert (moved["list"], moved["completedDate"], moved["dueDate"]) == ("Salesforce Tasks", "2026-11-01", None)
    assert moved["id"] != made["id"] and moved["immutableId"] == made["immutableId"] and titles(graph.all(tasks)) == ["Call"]
    assert graph.system.find_id("task", made["id"]) == graph.system.find_id("task", made["immutableId"]) == number
    graph.system.delete_record("task", number)
    assert graph.all(tasks) == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"title": "A"}, "mailbox must name"),
        ({"mailbox": ANN, "list": "None"}, "it has Tasks"),
        ({"mailbox": ANN, "status": "done"}, "taskStatus"),
        ({"mailbox": ANN, "dueDate": "soon"}, "2026-12-04"),
        ({"mailbox": ANN, "color": "red"}, "a task has no 'color'"),
        ({"mailbox": ANN, "body": 5}, "body/content"),
    ],
)
def test_what_tasks_by_hand_cannot_be(control, body, says):
    assert says in control.refused("POST", "/records/microsoft/task", body)


def test_pages_make_and_edit_tasks(control, session):
    url = f"{control.world.control_url}/browse/microsoft/task"
    page = session.post(f"{url}/new", data={"mailbox": BOB, "title": "<Call>", "dueDate": "2026-12-04"}, timeout=20)
    assert page.status_code == 200 and "&lt;Call&gt;" in page.text and "2026-12-04" in session.get(url, timeout=20).text
    saved = session.post(page.url, data={"status": "completed"}, timeout=20)
    assert "Saved." in saved.text and "completed" in saved.text


def test_tasks_are_kept_over_a_restart(tmp_path):
    path = tmp_path / "state.sqlite3"
    first = World(seed=7, scenario="empty", state_path=path)
    made = first.microsoft.create_record("task", {"mailbox": ANN, "title": "A"})
    first.microsoft.create_record("task", {"mailbox": ANN, "title": "B"})
    first.microsoft.delete_record("task", 2)
    first.keep()

    second = World(seed=7, state_path=path).microsoft

    assert second.dump() == first.microsoft.dump() and second.list_records("task") == [made]
    assert second.store.members == first.microsoft.store.members
    assert second.create_record("task", {"mailbox": ANN, "title": "C"})["id"] != made["id"]
