"""The played Tasks: lists, tasks with a day, what is completed, hidden and deleted, order and subtasks."""

import pytest
import requests

from tests.sandbox.google_services import AUTH, GINA, HUGO, Office

LISTS, TASKS = "/tasks/v1/users/@me/lists", "/tasks/v1/lists/@default/tasks"


@pytest.fixture
def office():
    with requests.Session() as session:
        session.trust_env = False
        yield Office(session)


def add(office, title="Call Bo", params=None, path=TASKS, **fields):
    return office.good("POST", path, json={"title": title, **fields}, params=params)


def titles(office, path=TASKS, **params):
    return [each["title"] for each in office.get(path, **params)["items"]]


def refused(office, method, path, **options):
    """Returns status, status word and older reason of a refusal, which tells both."""
    answer = office.call(method, path, **options)
    error = answer.json()["error"]
    assert error["code"] == answer.status_code and error["message"]
    return answer.status_code, error["status"], error["errors"][0]["reason"]


# --- tasks --------------------------------------------------------------------------------------------------------------
def test_a_task_keeps_the_day_and_throws_the_time_away(office):
    made = add(office, notes="re: order", due="2026-11-25T17:30:00.000Z")

    assert made["due"] == "2026-11-25T00:00:00.000Z" and made["status"] == "needsAction" and made["links"] == []
    assert made["position"] == "0" * 20 and made["updated"] == "2026-11-01T10:00:00.000Z"
    assert office.get(f"{TASKS}/{made['id']}") == made
    late = office.good("PATCH", f"{TASKS}/{made['id']}", json={"due": "2026-11-25T23:30:00-05:00"})
    assert late["due"] == "2026-11-26T00:00:00.000Z"
    assert "due" not in office.good("PATCH", f"{TASKS}/{made['id']}", json={"due": None})


def test_a_patch_changes_what_it_names_and_a_put_all(office):
    made = add(office, notes="re: order", due="2026-11-25T00:00:00Z")
    path = f"{TASKS}/{made['id']}"

    patched = office.good("PATCH", path, json={"title": "Write Bo"})
    put = office.good("PUT", path, json={"id": made["id"], "title": "Meet Bo"})

    assert (patched["notes"], patched["due"]) == ("re: order", made["due"]) and patched["etag"] != made["etag"]
    assert put["title"] == "Meet Bo" and not {"notes", "due"} & set(put)
    assert refused(office, "PUT", path, json={"title": "x"})[0] == 400
    assert refused(office, "PUT", path, json={"id": "other", "title": "x"})[0] == 400


def test_a_task_that_is_completed_says_when(office):
    path = f"{TASKS}/{add(office)['id']}"
    assert "completed" not in office.good("PATCH", path, json={"completed": "2026-10-01T00:00:00Z"})

    done = office.good("PATCH", path, json={"status": "completed"})
    office.clock.forward(60)
    again = office.good("PATCH", path, json={"title": "Called"})

    assert done["completed"] == again["completed"] == "2026-11-01T10:00:00.000Z"
    assert titles(office) == ["Called"] and titles(office, showCompleted=False) == []
    open_ = office.good("PATCH", path, json={"status": "needsAction"})
    assert "completed" not in open_ and titles(office, showCompleted=False) == ["Called"]
    given = office.good("PATCH", path, json={"status": "completed", "completed": "2026-10-01T00:00:00Z"})
    assert given["completed"] == "2026-10-01T00:00:00.000Z"


def test_what_people_tick_off_is_hidden(office):
    made = office.system.create_record("task", {"mailbox": GINA, "title": "Call Bo", "due": "2026-11-25"})
    office.system.update_record("task", made["id"], {"status": "completed"})
    assert titles(office) == [] and titles(office, showHidden=True) == ["Call Bo"]
    assert titles(office, showHidden=True, showCompleted=False) == []
    assert office.get(f"{TASKS}/{made['taskId']}")["hidden"] is True

    office.system.update_record("task", made["id"], {"status": "needsAction"})
    office.switch(ticked_tasks_are_hidden=False)
    office.system.update_record("task", made["id"], {"status": "completed"})

    assert titles(office) == ["Call Bo"]
    office.good("POST", "/tasks/v1/lists/@default/clear")
    assert titles(office) == [] and titles(office, showHidden=True) == ["Call Bo"]


def test_a_deleted_task_is_told_to_who_asks(office):
    made, sub = add(office), add(office, "Dial")
    office.good("POST", f"{TASKS}/{sub['id']}/move", params={"parent": made["id"]})
    office.clock.forward(3600)

    office.good("DELETE", f"{TASKS}/{made['id']}")

    assert titles(office) == []
    polled = office.get(TASKS, updatedMin="2026-11-01T10:30:00Z", showDeleted=True, showHidden=True, showCompleted=True)["items"]
    assert {(each["title"], each["deleted"]) for each in polled} == {("Call Bo", True), ("Dial", True)}
    assert office.get(f"{TASKS}/{made['id']}")["deleted"] is True
    assert refused(office, "DELETE", f"{TASKS}/{made['id']}") == (404, "NOT_FOUND", "notFound")
    assert "deleted" not in office.good("PATCH", f"{TASKS}/{made['id']}", json={"deleted": False}) and titles(office) == ["Call Bo"]


def test_tasks_are_found_by_their_days_and_instants(office):
    first = add(office, "First", due="2026-11-25T00:00:00Z")
    office.clock.forward(3600)
    add(office, "Second", due="2026-11-26T00:00:00Z", status="completed")
    add(office, "Third")

    assert titles(office, dueMin="2026-11-26T00:00:00Z") == ["Second"] and titles(office, dueMax="2026-11-26T00:00:00Z") == ["First"]
    assert titles(office, updatedMin="2026-11-01T11:00:00Z") == ["Third", "Second"]
    assert titles(office, completedMin="2026-11-01T10:30:00Z") == ["Second"] and titles(office, completedMax="2026-11-01T10:30:00Z") == []
    office.good("PATCH", f"{TASKS}/{first['id']}", json={"title": "First of all"})
    assert titles(office, updatedMin="2026-11-01T11:00:00Z") == ["Third", "Second", "First of all"]


def test_tasks_come_in_pages(office):
    for n in range(25):
        add(office, f"T{n}")
    first = office.get(TASKS)
    rest = office.get(TASKS, pageToken=first["nextPageToken"])
    assert [each["title"] for each in first["items"] + rest["items"]] == [f"T{n}" for n in reversed(range(25))]
    assert "nextPageToken" not in rest and len(office.get(TASKS, maxResults=100)["items"]) == 25
    assert refused(office, "GET", TASKS, params={"maxResults": "101"})[0] == 400
    assert refused(office, "GET", TASKS, params={"pageToken": first["nextPageToken"], "showHidden": "true"})[0] == 400


# --- order and lists ----------------------------------------------------------------------------------------------------
def test_tasks_have_places_and_subtasks(office):
    first = add(office, "First")
    second = add(office, "Second", params={"previous": first["id"]})
    third = add(office, "Third", params={"previous": first["id"]})
    sub = add(office, "Sub", params={"parent": third["id"]})
    assert titles(office) == ["First", "Third", "Sub", "Second"] and sub["parent"] == third["id"]
    assert [each["position"][-1] for each in office.get(TASKS)["items"]] == ["0", "1", "0", "2"]

    moved = office.good("POST", f"{TASKS}/{third['id']}/move", params={"previous": second["id"]})

    assert titles(office) == ["First", "Second", "Third", "Sub"] and moved["position"] == f"{2:020d}"
    office.good("POST", f"{TASKS}/{third['id']}/move")
    assert titles(office) == ["Third", "Sub", "First", "Second"]
    for params in ({"parent": sub["id"]}, {"parent": third["id"], "previous": first["id"]}, {"previous": sub["id"]}):
        assert refused(office, "POST", f"{TASKS}/{second['id']}/move", params=params)[0] == 400
    assert refused(office, "POST", f"{TASKS}/{third['id']}/move", params={"parent": first["id"]})[0] == 400
    assert refused(office, "POST", TASKS, json={"title": "x"}, params={"parent": "none"})[0] == 404


def test_lists_are_made_renamed_and_deleted_with_their_tasks(office):
    made = office.good("POST", LISTS, json={"title": "Salesforce"})
    path = f"/tasks/v1/lists/{made['id']}/tasks"
    task = add(office, path=path)

    renamed = office.good("PATCH", f"{LISTS}/{made['id']}", json={"title": "CRM"})

    assert renamed["title"] == "CRM" and [each["title"] for each in office.get(LISTS)["items"]] == ["My Tasks", "CRM"]
    assert office.good("PUT", f"{LISTS}/{made['id']}", json={"id": made["id"], "title": "Deals"})["title"] == "Deals"
    main = office.get(f"{LISTS}/@default")
    assert office.get(f"/tasks/v1/lists/{main['id']}/tasks")["items"] == office.get(TASKS)["items"] == []
    moved = office.good("POST", f"{path}/{task['id']}/move", params={"destinationTasklist": main["id"]})
    assert moved["id"] == task["id"] and titles(office) == ["Call Bo"] and titles(office, path) == []
    office.good("DELETE", f"{LISTS}/{made['id']}")
    assert refused(office, "GET", path) == (404, "NOT_FOUND", "notFound")
    assert refused(office, "DELETE", f"{LISTS}/@default")[0] == 400
    assert refused(office, "GET", f"/tasks/v1/lists/{main['id']}/tasks", mailbox=HUGO)[0] == 404


# --- what is refused ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "body",
    [
        {"title": "x" * 1025}, {"notes": "x" * 8193}, {"status": "done"}, {"due": "2026-11-25"}, {"due": "soon"}, {"planet": "Mars"},
        {"title": 5}, {"links": "x"}, {"status": "completed", "completed": "yesterday"}, [],
    ],
)  # fmt: skip
def test_what_is_no_task_is_refused(office, body):
    status, rpc, _ = refused(office, "POST", TASKS, json=body)
    assert (status, rpc) == (400, "INVALID_ARGUMENT") and titles(office) == []


def test_long_texts_have_room(office):
    made = add(office, "x" * 1024, notes="y" * 8192)
    assert (len(made["title"]), len(made["notes"])) == (1024, 8192)


@pytest.mark.parametrize("params", [{"planet": "Mars"}, {"updatedMin": "today"}, {"dueMin": "2026-11-25"}, {"showHidden": "maybe"}])
def test_a_list_that_makes_no_sense_is_refused(office, params):
    assert refused(office, "GET", TASKS, params=params)[0] == 400


@pytest.mark.parametrize(("scope", "reads", "writes"), [("tasks", 200, 200), ("tasks.readonly", 200, 403), ("calendar", 403, 403)])
def test_a_call_needs_the_scope_for_it(office, scope, reads, writes):
    assert office.call("GET", TASKS, scopes=AUTH + scope).status_code == reads
    answer = office.call("POST", TASKS, scopes=AUTH + scope, json={"title": "x"})
    assert answer.status_code == writes
    if writes == 403:
        error = answer.json()["error"]
        assert error["errors"][0]["reason"] == "insufficientPermissions"
        assert error["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


def test_calls_are_counted_services_switched_off_and_faults_strike(office):
    office.switch(tasks_calls_per_minute=1)
    titles(office)
    assert refused(office, "GET", TASKS) == (429, "RESOURCE_EXHAUSTED", "rateLimitExceeded")
    office.switch(tasks_calls_per_minute=None, disabled_services=["tasks"])
    assert refused(office, "GET", TASKS) == (403, "PERMISSION_DENIED", "accessNotConfigured")
    office.switch(disabled_services=[])
    office.google.world.faults.add(
        {"kind": "status", "system": "google", "path": "/tasks/v1/lists/{list}/tasks", "status": 503, "times": 1}
    )
    assert refused(office, "GET", TASKS) == (503, "UNAVAILABLE", "backendError")
    for method, path in (("GET", "/tasks/v1/planets"), ("PATCH", TASKS), ("GET", "/tasks/v1/lists/@default"), ("POST", f"{LISTS}/x")):
        assert refused(office, method, path)[0] == 404


# --- by hand ------------------------------------------------------------------------------------------------------------
def test_people_make_change_and_delete_tasks(office):
    made = office.system.create_record("task", {"mailbox": GINA, "list": "Deals", "title": "Call Bo", "notes": "soon"})
    assert office.system.find_id("task", made["taskId"]) == made["id"]

    office.system.update_record("task", made["id"], {"due": "2026-11-26", "notes": None, "list": "Later"})

    (task,) = office.system.list_records("task")
    assert (task["list"], task["due"], task["notes"], task["status"]) == ("Later", "2026-11-26", "", "needsAction")
    assert [each["title"] for each in office.get(LISTS)["items"]] == ["My Tasks", "Deals", "Later"]
    office.system.delete_record("task", made["id"])
    assert office.system.list_records("task") == [] and office.system.get_record("task", made["id"]) is None


@pytest.mark.parametrize(
    "values",
    [{"mailbox": "nobody"}, {"due": "soon"}, {"status": "done"}, {"planet": "Mars"}, {"title": 5}, {"due": "2026-11-25T10:00:00Z"}],
)
def test_what_people_cannot_do_is_said(office, values):
    with pytest.raises(ValueError):
        office.system.create_record("task", {"mailbox": GINA, **values})
    assert office.system.list_records("task") == []


def test_a_world_that_is_restored_has_its_tasks(office):
    made, path = add(office), f"{TASKS}/{add(office, 'Second')['id']}"
    kept = office.system.dump()
    office.good("DELETE", path)

    office.system.restore(kept)

    assert titles(office) == ["Second", "Call Bo"] and office.get(f"{TASKS}/{made['id']}") == made | {"position": f"{1:020d}"}
