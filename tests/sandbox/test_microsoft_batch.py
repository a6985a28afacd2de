"""The played Microsoft Graph: many calls in one, throttling, and what the call log says of each."""

import threading
from urllib.parse import quote

import pytest
import requests

from tests.sandbox.graph import ANN, BOB, IMMUTABLE, OURS, refused
from tests.sandbox.graph_types import check_answer

JSON = {"Content-Type": "application/json"}
MASTER = f"/users/{ANN}/outlook/masterCategories"


def write(method="POST", url=f"/users/{ANN}/contacts", headers=None, depends=(), **body):
    return {"method": method, "url": url, "headers": {**JSON, **(headers or {})}, "body": body, "dependsOn": list(depends)}


def address(id_):
    return f"/users/{ANN}/contacts/{quote(id_)}"


# --- batches ------------------------------------------------------------------------------------------------------------------
def test_a_batch_answers_each_part_by_itself(graph):
    kept, gone = graph.create(headers=IMMUTABLE, surname="A"), graph.create(surname="B")

    told = graph.batch(
        {"url": address(kept["id"]), "headers": IMMUTABLE},
        {"url": f"users/{ANN}/contacts?$select=surname&$top=1"},
        write(surname="C"),
        write("PATCH", address(gone["id"]), {"If-Match": 'W/"old"'}, surname="D"),
        {"url": address(gone["id"]), "method": "DELETE"},
        write(nonsense=1),
        {"url": "/users/nobody@example.test/contacts"},
    )

    assert [told[str(n)]["status"] for n in range(1, 8)] == [200, 200, 201, 412, 204, 400, 404]
    assert told["1"]["body"]["id"] == kept["id"] and told["1"]["headers"]["Content-Type"] == "application/json"
    assert told["2"]["body"]["@odata.nextLink"].startswith(f"{graph.base}/v1.0/users/{ANN}/contacts?")
    assert graph.get(told["2"]["body"]["@odata.nextLink"])["value"] and "body" not in told["5"]
    assert told["4"]["body"]["error"]["code"] == "ErrorIrresolvableConflict" and "innerError" in told["4"]["body"]["error"]
    assert [check_answer(told[n]["body"]) for n in ("1", "2", "3")] == ["contact"] * 3


def test_parts_are_answered_in_any_order_unless_switched_off(graph):
    parts = [{"id": str(n), "method": "GET", "url": "/users"} for n in range(20)]

    def order():
        return [each["id"] for each in graph.call("POST", "/$batch", json={"requests": parts}).json()["responses"]]

    assert sorted(order(), key=int) == [str(n) for n in range(20)] and any(order() != sorted(order(), key=int) for _ in range(5))
    graph.switch(shuffles_batches=False)
    assert order() == [str(n) for n in range(20)]


def test_what_depends_on_a_failed_part_is_not_done(graph):
    told = graph.batch(
        write(surname="Late", depends=["3"]),
        write(nonsense=1),
        write(surname="Never", depends=["2"]),
        write(surname="Done"),
        write(surname="After", depends=["4"]),
    )

    assert [told[str(n)]["status"] for n in range(1, 6)] == [424, 400, 424, 201, 201]
    assert told["3"]["body"]["error"]["code"] == "FailedDependency"
    assert [c["surname"] for c in graph.all("contacts")] == ["Done", "After"]


@pytest.mark.parametrize(
    ("envelope", "says"),
    [
        ({"requests": [{"id": str(n), "method": "GET", "url": "/users"} for n in range(21)]}, "exceeds the maximum value 20"),
        ({"requests": [{"id": "1", "method": "GET", "url": "/users"}] * 2}, "unique"),
        ({"requests": []}, "at least one"),
        ({}, "at least one"),
        ({"requests": ["x"]}, "needs an id"),
        ({"requests": [{"id": 1, "method": "GET", "url": "/users"}]}, "needs an id"),
        ({"requests": [{"id": "1", "method": "LOOK", "url": "/users"}]}, "needs a method"),
        ({"requests": [{"id": "1", "method": "GET"}]}, "needs a url"),
        ({"requests": [{"id": "1", "method": "GET", "url": "http://127.0.0.1/v1.0/users"}]}, "relative"),
        ({"requests": [{"id": "1", "method": "POST", "url": "/$batch", **{"headers": JSON, "body": {}}}]}, "cannot hold another"),
        ({"requests": [{"id": "1", "method": "POST", "url": "/users", "body": {}}]}, "no Content-Type"),
        ({"requests": [{"id": "1", "method": "GET", "url": "/users", "headers": {"a": 1}}]}, "object of texts"),
        ({"requests": [{"id": "1", "method": "GET", "url": "/users", "dependsOn": ["9"]}]}, "no request of this batch"),
        ({"requests": [{"id": "1", "method": "GET", "url": "/users", "dependsOn": "9"}]}, "collection of ids"),
        ({"requests": [{"id": n, "method": "GET", "url": "/users", "dependsOn": [m]} for n, m in ("ab", "ba")]}, "circle"),
    ],
)  # fmt: skip
def test_envelopes_that_make_no_sense_are_refused_whole(graph, envelope, says):
    answer = graph.call("POST", "/$batch", json=envelope)
    assert refused(answer) == (400, "BadRequest") and says in answer.json()["error"]["message"]


def test_a_part_s_address_lacks_the_version(graph):
    told = graph.batch({"url": "/v1.0/users"}, {"url": "/users"})
    assert told["1"]["status"] == 400 and "segment 'v1.0'" in told["1"]["body"]["error"]["message"] and told["2"]["status"] == 200
    assert refused(graph.call("GET", "/$batch")) == (405, "BadRequest")
    assert refused(graph.raw("POST", "/v1.0/$batch", json={"requests": []})) == (401, "InvalidAuthenticationToken")


def test_faults_that_name_a_path_strike_single_parts(graph):
    ids = [graph.create(surname=f"N{n}")["id"] for n in range(3)]
    fault = {"kind": "status", "status": 429, "retry_after": 7, "system": "microsoft", "method": "PATCH", "times": 1}
    graph.world.faults.add({**fault, "path": "/v1.0/users/{id}/contacts/{id}"})
    graph.world.faults.add({"kind": "stale_delta", "system": "microsoft", "path": "/v1.0/users/{id}/contacts/delta"})
    token = graph.round("contacts/delta")[1].partition("/v1.0")[2]

    told = graph.batch(*(write("PATCH", address(id_), surname="New") for id_ in ids), {"url": token})

    assert [told[str(n)]["status"] for n in range(1, 5)] == [429, 200, 200, 410]
    assert told["1"]["headers"]["Retry-After"] == "7" and told["1"]["body"]["error"]["code"] == "ApplicationThrottled"
    assert sorted(c["surname"] for c in graph.all("contacts")) == ["N0", "New", "New"]
    graph.world.faults.clear()
    graph.world.faults.add({**fault, "method": "*", "status": 503})
    assert refused(graph.call("POST", "/$batch", json={"requests": []})) == (503, "ServiceNotAvailable")


# --- throttling ---------------------------------------------------------------------------------------------------------------
def test_a_mailbox_takes_so_many_calls_in_ten_minutes(graph):
    graph.system.limits.per_10_minutes = 3
    for _ in range(3):
        graph.get("contacts")
    graph.clock.forward(100)

    answer = graph.call("GET", "contacts")

    assert refused(answer) == (429, "TooManyRequests") and answer.headers["Retry-After"] == "500"
    assert graph.call("GET", f"/users/{BOB}/contacts").status_code == 200 and graph.call("GET", "/users").status_code == 200
    graph.clock.forward(500)
    assert graph.call("GET", "contacts").status_code == 200


def test_parts_of_a_batch_count_each_and_are_refused_each(graph):
    graph.system.limits.per_10_minutes = 2
    told = graph.batch(*({"url": f"/users/{ANN}/contacts"} for _ in range(4)), {"url": f"/users/{BOB}/contacts"})
    assert [told[str(n)]["status"] for n in range(1, 6)] == [200, 200, 429, 429, 200]
    assert told["3"]["headers"]["Retry-After"] == "600" and told["3"]["body"]["error"]["code"] == "TooManyRequests"
    assert graph.system.limits.used(graph.system.find_id("user", ANN)) == 4


@pytest.mark.parametrize(("scope", "other"), [("mailbox", 200), ("app", 429)])
def test_a_mailbox_takes_four_calls_at_once(world, scope, other):
    world.microsoft.set_switches({"concurrency_scope": scope})
    given = world.microsoft.credentials()
    url = f"{world.base_urls['microsoft']}/v1.0/users"
    headers = {"Authorization": f"Bearer {given['access_token']}"}

    def get(address):
        return requests.get(f"{url}/{address}/contacts", headers=headers, timeout=20)

    world.faults.add({"kind": "pause", "system": "microsoft", "times": 4})
    held = [threading.Thread(target=get, args=(ANN,)) for _ in range(4)]
    for thread in held:
        thread.start()
    while len(world.calls) < 4:
        pass
    answer = get(ANN)
    batch = {"requests": [{"id": a, "method": "GET", "url": f"/users/{a}/contacts"} for a in (ANN, BOB)]}
    parts = requests.post(f"{url.removesuffix('/users')}/$batch", json=batch, headers=headers, timeout=20).json()["responses"]

    assert refused(answer) == (429, "ApplicationThrottled") and answer.headers["Retry-After"] == "1"
    assert "MailboxConcurrency" in answer.json()["error"]["message"] and get(BOB).status_code == other
    assert {part["id"]: part["status"] for part in parts} == {ANN: 429, BOB: other}
    world.release()
    for thread in held:
        thread.join()
    assert get(ANN).status_code == 200


# --- the call log ---------------------------------------------------------------------------------------------------------------
def test_the_log_says_what_was_seen_of_whom(graph):
    folder = graph.folder("Ours")
    inside = graph.create(f"contactFolders/{quote(folder)}/contacts", IMMUTABLE, surname="In")["id"]
    outside = graph.create(headers=IMMUTABLE, surname="Out", **{"categories": ["Family"]})["id"]

    graph.get("contacts", select="categories")
    (part,) = graph.parts()
    assert (part["mailbox"], part["method"], part["path"], part["status"]) == (ANN, "GET", f"/users/{ANN}/contacts", 200)
    assert (part["folder"], part["fields"], part["items"]) == ("Contacts", ["categories"], [{"id": outside, "folder": "Contacts"}])
    graph.round("contacts/delta?$select=categories")
    assert graph.parts()[0]["fields"] == ["categories"] and graph.parts()[0]["items"][0]["id"] == outside
    graph.contact(outside)
    assert graph.parts()[0]["fields"] is None and graph.parts()[0]["items"] == [{"id": outside, "folder": "Contacts"}]
    graph.change(inside, jobTitle="CTO", singleValueExtendedProperties=[{"id": OURS, "value": "x"}])
    assert graph.parts()[0]["fields"] == ["jobTitle", "singleValueExtendedProperties"]
    assert graph.parts()[0]["items"] == [{"id": inside, "folder": "Ours"}]
    graph.round(f"contactFolders/{quote(folder)}/contacts/delta")
    assert graph.parts()[0]["folder"] == "Ours" and graph.parts()[0]["fields"] is None


def test_a_batch_is_one_call_and_its_parts_are_units(graph):
    ids = [graph.create(headers=IMMUTABLE, surname=f"N{n}")["id"] for n in range(2)]
    graph.world.forget_calls()

    graph.batch({"url": f"{address(ids[0])}?$select=id"}, write("PATCH", address(ids[1]), surname="X"), {"url": MASTER})
    graph.batch({"url": "/users"})

    first, last = graph.world.calls
    assert [(p["id"], p["mailbox"], p["method"], p["status"]) for p in first["parts"]] == [
        ("1", ANN, "GET", 200), ("2", ANN, "PATCH", 200), ("3", ANN, "GET", 200)
    ]  # fmt: skip
    assert [[item["id"] for item in p["items"]] for p in first["parts"]] == [[ids[0]], [ids[1]], []]
    assert (first["parts"][0]["query"], first["parts"][0]["fields"], first["parts"][1]["fields"]) == ("$select=id", ["id"], ["surname"])
    assert dict(graph.world.counts["microsoft"]) == {"POST /v1.0/$batch": 2} and graph.world.units["microsoft"] == 4
    assert last["parts"][0]["mailbox"] == ""


def test_a_refused_write_names_the_contact_it_was_for(graph):
    id_ = graph.create(headers=IMMUTABLE, surname="A")["id"]
    graph.call("DELETE", f"contacts/{quote(id_)}", headers={"If-Match": "old"})
    assert (graph.parts()[0]["status"], graph.parts()[0]["items"][0]["id"]) == (412, id_)


def test_what_was_done_and_lost_on_the_way_is_in_the_log(graph):
    graph.world.faults.add({"kind": "html", "system": "microsoft", "method": "POST"})
    graph.call("POST", "contacts", json={"surname": "A"})
    assert graph.parts()[0]["status"] == 201 and len(graph.parts()[0]["items"]) == 1
