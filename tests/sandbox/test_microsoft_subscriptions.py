"""Change notifications of the played Microsoft Graph: the handshake, what is told to whom, lives and ends of subscriptions."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests

from connectors.sandbox.microsoft import courier
from connectors.sandbox.microsoft.courier import Courier, Delivery
from connectors.sandbox.transport import SandboxAdapter
from connectors.sandbox.world import World
from tests.sandbox.graph import ANN, BOB, IMMUTABLE, Graph, refused
from tests.sandbox.graph_types import TYPES

SECRET = "k3y"


class Hook:
    """A server on this machine that takes notifications: what it answers to them, and to handshakes, can be set."""

    def __init__(self):
        self.statuses, self.seconds = [], 0.0  # of the next notifications; 202 when there are none left
        self.says = lambda token: (200, "text/plain", token)
        self.asked, self.received = [], []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                parts = urlsplit(self.path)
                token = parse_qs(parts.query).get("validationToken", [None])[0]
                if token is not None:
                    hook.asked.append((parts.path, self.headers["Content-Type"], body))
                    self.answer(*hook.says(token))
                    return
                hook.received.append((parts.path, json.loads(body)["value"]))
                time.sleep(hook.seconds)
                self.answer(hook.statuses.pop(0) if hook.statuses else 202, "text/plain", "")

            def answer(self, status, content_type, text):
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def told(self):
        return [notice for path, notices in self.received for notice in notices if path == "/hook"]

    @property
    def life(self):
        return [notice for path, notices in self.received for notice in notices if path == "/life"]

    def wait_for(self, count, what="told"):
        """Waits until so many notices came, and a little longer for those that must not come. Returns them."""
        ends = time.monotonic() + 10
        while len(getattr(self, what)) < count and time.monotonic() < ends:
            time.sleep(0.01)
        time.sleep(0.05)
        return getattr(self, what)


@pytest.fixture
def hook(monkeypatch):
    monkeypatch.setattr(courier, "TIME_OUT", 0.5)
    monkeypatch.setattr(courier, "HANDSHAKE_TIME_OUT", 0.5)
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


@pytest.fixture
def graph(graph):
    graph.world._courier = Courier(pauses=(0.05, 0.05))
    return graph


def inside(graph, minutes):
    return f"{graph.clock.at + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%S.%fZ}"


def soon():
    return f"{datetime.now(UTC) + timedelta(hours=5):%Y-%m-%dT%H:%M:%SZ}"


def asked(graph, hook, resource="contacts", minutes=1000, **values):
    """Returns the body of a request; a resource without a mailbox is of ann's."""
    own = {
        "changeType": "created,updated,deleted",
        "resource": resource if resource.startswith(("/", "users/", "me/")) else f"users/{ANN}/{resource}",
        "notificationUrl": f"{hook.base}/hook",
        "lifecycleNotificationUrl": f"{hook.base}/life",
        "expirationDateTime": inside(graph, minutes),
        "clientState": SECRET,
    }
    return {name: value for name, value in {**own, **values}.items() if value is not None}


def subscribe(graph, hook, resource="contacts", headers=None, **values):
    answer = graph.call("POST", "/subscriptions", json=asked(graph, hook, resource, **values), headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def kinds(notices):
    return [(n["changeType"], n["resourceData"]["@odata.type"].rpartition(".")[2]) for n in notices]


# --- the handshake --------------------------------------------------------------------------------------------------------
def test_both_addresses_are_asked_before_a_subscription_is_made(graph, hook):
    made = subscribe(graph, hook)

    assert [(path, content_type.partition(";")[0], body) for path, content_type, body in hook.asked] == [
        ("/hook", "text/plain", b""), ("/life", "text/plain", b"")
    ]  # fmt: skip
    assert made["resource"] == f"users/{ANN}/contacts" and made["changeType"] == "created,updated,deleted"
    assert (made["clientState"], made["applicationId"]) == (SECRET, graph.given["client_id"])
    assert made["expirationDateTime"] == "2026-11-02T02:40:00Z" and hook.received == []
    assert graph.get(f"/subscriptions/{made['id']}") == made


@pytest.mark.parametrize(
    "says",
    [
        lambda token: (200, "text/plain", quote(token)),
        lambda token: (200, "text/plain", f'"{token}"'),
        lambda token: (200, "application/json", token),
        lambda token: (202, "text/plain", token),
        lambda token: (403, "text/plain", "CSRF"),
        lambda token: (time.sleep(0.8), (200, "text/plain", token))[1],
    ],
)
def test_an_address_that_does_not_say_the_token_is_refused(graph, hook, says):
    hook.says = says
    answer = graph.call("POST", "/subscriptions", json=asked(graph, hook))
    assert refused(answer) == (400, "ValidationError") and "Subscription validation request" in answer.json()["error"]["message"]
    assert graph.parts()[0]["status"] == 400 and graph.all("/subscriptions") == []


def test_the_sandbox_answers_others_while_it_asks(world, session, hook):
    token = world.microsoft.credentials()["access_token"]
    headers, base = {"Authorization": f"Bearer {token}"}, world.base_urls["microsoft"]

    def says(token):
        assert session.get(f"{base}/v1.0/users/{ANN}/contacts", headers=headers, timeout=5).status_code == 200
        return 200, "text/plain", token

    hook.says = says
    body = {
        "changeType": "created",
        "resource": f"users/{ANN}/contacts",
        "notificationUrl": f"{hook.base}/hook",
        "expirationDateTime": soon(),
    }
    with requests.Session() as another:
        another.trust_env = False
        assert another.post(f"{base}/v1.0/subscriptions", json=body, headers=headers, timeout=10).status_code == 201


def test_a_part_of_a_batch_is_asked_too(graph, hook):
    part = {"method": "POST", "url": "/subscriptions", "headers": {"Content-Type": "application/json"}, "body": asked(graph, hook)}
    assert graph.batch(part)["1"]["status"] == 201 and len(hook.asked) == 2
    hook.says = lambda token: (500, "text/plain", "")
    body = asked(graph, hook, changeType="created")
    assert graph.batch({**part, "body": body})["1"]["body"]["error"]["code"] == "ValidationError"


# --- what a subscription may be -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ({"changeType": None}, (400, "InvalidRequest")),
        ({"changeType": "exploded"}, (400, "InvalidRequest")),
        ({"resource": "users/nobody@example.test/contacts"}, (404, "ErrorInvalidUser")),
        ({"resource": f"users/{ANN}/planets"}, (400, "InvalidRequest")),
        ({"resource": f"users/{ANN}"}, (400, "InvalidRequest")),
        ({"resource": f"users/{ANN}/contacts?$select=id"}, (400, "InvalidRequest")),
        ({"resource": "me/contacts"}, (400, "BadRequest")),
        ({"resource": f"users/{ANN}/contactFolders/x/contacts"}, (400, "ErrorInvalidIdMalformed")),
        ({"notificationUrl": "http://hooks.example.test/x"}, (400, "InvalidRequest")),
        ({"lifecycleNotificationUrl": "ftp://x"}, (400, "InvalidRequest")),
        ({"notificationUrl": "https://hooks.example.test/x"}, (400, "ValidationError")),
        ({"clientState": "x" * 129}, (400, "InvalidRequest")),
        ({"minutes": 10_081}, (400, "ExtensionError")),
        ({"minutes": -1}, (400, "ExtensionError")),
        ({"expirationDateTime": "soon"}, (400, "BadRequest")),
        ({"includeResourceData": True}, (400, "InvalidRequest")),
        ({"color": "red"}, (400, "BadRequest")),
    ],
)
def test_what_a_subscription_cannot_be(graph, hook, values, refusal):
    assert refused(graph.call("POST", "/subscriptions", json=asked(graph, hook, **values))) == refusal
    assert graph.all("/subscriptions") == []


def test_a_life_is_at_least_45_minutes_and_of_tasks_at_most_three_days(graph, hook):
    tasks = f"todo/lists/{quote(graph.all('todo/lists')[0]['id'])}/tasks"
    assert subscribe(graph, hook, minutes=5)["expirationDateTime"] == "2026-11-01T10:45:00Z"
    assert subscribe(graph, hook, "messages", minutes=10_080)["expirationDateTime"] == "2026-11-08T10:00:00Z"
    assert subscribe(graph, hook, tasks, minutes=4_230)
    assert refused(graph.call("POST", "/subscriptions", json=asked(graph, hook, tasks, minutes=4_231))) == (400, "ExtensionError")


def test_the_same_again_is_refused_with_the_id_of_the_first(graph, hook):
    first = subscribe(graph, hook)
    again = {"resource": f"/Users('{ANN.upper()}')/contacts", "changeType": "deleted,updated, created"}
    answer = graph.call("POST", "/subscriptions", json=asked(graph, hook, **again))

    assert refused(answer) == (409, "Conflict") and first["id"] in answer.json()["error"]["message"] and len(hook.asked) == 2
    assert subscribe(graph, hook, changeType="created")["id"] != first["id"] and subscribe(graph, hook, "messages")


def test_a_token_subscribes_to_what_it_may_read(graph, hook):
    graph.switch(permissions="Contacts.Read")
    assert subscribe(graph, hook)
    for resource in ("messages", "events", "mailFolders('inbox')/messages"):
        assert refused(graph.call("POST", "/subscriptions", json=asked(graph, hook, resource))) == (403, "ErrorAccessDenied")
    graph.user(ANN, state="denied")
    assert refused(graph.call("POST", "/subscriptions", json=asked(graph, hook, changeType="created"))) == (403, "ErrorAccessDenied")


def test_a_person_sees_the_own_subscriptions_only(graph, hook):
    subscribe(graph, hook)
    token = graph.system.desk._issue("Contacts.ReadWrite", graph.system.store.user(ANN)["n"])
    own = {"Authorization": f"Bearer {token}"}

    assert graph.all("/subscriptions", own) == []
    body = asked(graph, hook, "me/contacts")
    made = graph.call("POST", "/subscriptions", json=body, headers=own)
    assert made.status_code == 201 and [s["id"] for s in graph.all("/subscriptions", own)] == [made.json()["id"]]
    assert refused(graph.call("GET", f"/subscriptions/{made.json()['id']}")) == (404, "ResourceNotFound")
    body["resource"] = f"users/{BOB}/contacts"
    assert refused(graph.call("POST", "/subscriptions", json=body, headers=own)) == (403, "ErrorAccessDenied")


# --- what is told ---------------------------------------------------------------------------------------------------------
def test_contacts_are_told_from_coming_to_going(graph, hook):
    made = subscribe(graph, hook)
    contact = graph.create(surname="Li")
    changed = graph.change(contact["id"], surname="Ng")
    graph.call("DELETE", f"contacts/{quote(contact['id'])}")

    notices = hook.wait_for(3)

    assert kinds(notices) == [("created", "Contact"), ("updated", "Contact"), ("deleted", "Contact")]
    user = graph.get(f"/users/{ANN}")["id"]
    assert notices[1] == {
        "subscriptionId": made["id"], "subscriptionExpirationDateTime": "2026-11-02T02:40:00+00:00", "changeType": "updated",
        "clientState": SECRET, "tenantId": graph.given["tenant"], "resource": f"Users/{user}/Contacts/{contact['id']}",
        "resourceData": {"@odata.type": "#Microsoft.Graph.Contact", "@odata.id": f"Users/{user}/Contacts/{contact['id']}",
                         "@odata.etag": changed["@odata.etag"], "id": contact["id"]},
    }  # fmt: skip
    assert set(notices[0]) <= set(TYPES["changeNotification"]["props"]) and "@odata.etag" not in notices[2]["resourceData"]


def test_only_what_was_asked_for_is_told(graph, hook):
    folder = quote(graph.folder("Ours"))
    subscribe(graph, hook, f"contactFolders/{folder}/contacts", changeType="deleted", headers=IMMUTABLE)
    graph.create(surname="Elsewhere")
    graph.create("/users/" + BOB + "/contacts", surname="Other mailbox")
    inside_ = graph.create(f"contactFolders/{folder}/contacts", IMMUTABLE, surname="In")
    graph.change(inside_["id"], surname="Still in")
    graph.person(inside_["id"], folder="Contacts")
    graph.world.keep()

    assert [n["resourceData"]["id"] for n in hook.wait_for(1)] == [inside_["id"]] and kinds(hook.told) == [("deleted", "Contact")]


def test_mail_is_told_by_folder_and_by_mailbox(graph, hook):
    inbox = subscribe(graph, hook, "mailFolders('Inbox')/messages")
    whole = subscribe(graph, hook, "messages", headers=IMMUTABLE)
    row = graph.system.create_record("message", {"mailbox": ANN, "subject": "A"})
    graph.world.keep()
    graph.call("POST", f"messages/{quote(row['id'])}/move", json={"destinationId": "archive"})

    told = [(n["subscriptionId"], n["changeType"], n["resourceData"]["id"]) for n in hook.wait_for(4)]

    assert sorted(told) == sorted([(inbox["id"], "created", row["id"]), (whole["id"], "created", row["immutableId"]),
                                   (inbox["id"], "deleted", row["id"]), (whole["id"], "updated", row["immutableId"])])  # fmt: skip
    assert [len(notices) for _, notices in hook.received] == [2, 2]  # those of one moment come in one body


def test_without_immutable_ids_a_move_within_the_mailbox_is_two_things(graph, hook):
    row = graph.system.create_record("message", {"mailbox": ANN, "subject": "A"})
    subscribe(graph, hook, "messages")
    moved = graph.call("POST", f"messages/{quote(row['id'])}/move", json={"destinationId": "archive"}).json()

    assert [(n["changeType"], n["resourceData"]["id"]) for n in hook.wait_for(2)] == [("deleted", row["id"]), ("created", moved["id"])]


def test_mail_that_others_send_is_told(graph, hook):
    subscribe(graph, hook, "mailFolders/inbox/messages", changeType="created")
    message = {"subject": "Hi", "toRecipients": [{"emailAddress": {"address": ANN}}]}
    graph.call("POST", f"/users/{BOB}/sendMail", json={"message": message})

    (notice,) = hook.wait_for(1)
    assert notice["resourceData"]["id"] == graph.all("mailFolders/inbox/messages")[0]["id"]


def test_tasks_are_told(graph, hook):
    list_ = graph.all("todo/lists")[0]["id"]
    subscribe(graph, hook, f"todo/lists/{quote(list_)}/tasks")
    task = graph.create(f"todo/lists/{quote(list_)}/tasks", title="A")

    (notice,) = hook.wait_for(1)
    assert notice["resource"].endswith(f"/Todo/Lists/{list_}/Tasks/{task['id']}") and kinds([notice]) == [("created", "TodoTask")]
    assert notice["resourceData"]["@odata.etag"] == task["@odata.etag"]


def test_events_are_told_wherever_their_rows_are_stored(graph, hook):
    subscribe(graph, hook, "events")
    table, mailbox = graph.system.store.tables["event"], graph.system.store.user(ANN)["n"]
    table.put({"n": 5, "mailbox": mailbox, "version": 1})
    table.put({"n": 5, "mailbox": mailbox, "version": 2})
    table.remove(5)
    graph.world.keep()

    assert kinds(hook.wait_for(3)) == [("created", "Event"), ("updated", "Event"), ("deleted", "Event")]


# --- on the way -------------------------------------------------------------------------------------------------------------
def test_what_was_not_taken_comes_again_and_what_came_meanwhile_before_it(graph, hook):
    subscribe(graph, hook)
    hook.statuses = [500]
    first = graph.create(surname="First")["id"]
    hook.wait_for(1)
    second = graph.create(surname="Second")["id"]

    assert [n["resourceData"]["id"] for n in hook.wait_for(3)] in ([first, second, first], [first, first, second])


def test_a_slow_answer_is_none_and_what_is_given_up_is_said_to_be_missed(graph, hook):
    made = subscribe(graph, hook)
    hook.seconds = 0.7
    graph.create(surname="A")

    assert len(hook.wait_for(3)) == 3
    hook.seconds = 0.0
    (notice,) = hook.wait_for(1, "life")
    assert (notice["lifecycleEvent"], notice["subscriptionId"], notice["clientState"]) == ("missed", made["id"], SECRET)


def test_an_address_that_is_slow_too_often_is_given_nothing_where_the_switch_says_so(graph, hook):
    subscribe(graph, hook)
    hook.statuses = [500] * 3
    graph.create(surname="A")
    hook.wait_for(1, "life")
    for n in range(2):
        graph.create(surname=f"N{n}")
    hook.wait_for(5)
    graph.switch(notices_drop_when_slow=True)
    graph.create(surname="never told")

    assert len(hook.wait_for(2, "life")) == 2 and len(hook.told) == 5


def test_notices_come_twice_never_or_in_any_order_as_the_switches_say(graph, hook):
    subscribe(graph, hook, changeType="created")
    graph.switch(notices_repeat_percent=100)
    graph.create(surname="A")
    assert [n["resourceData"]["id"] for n in hook.wait_for(2)] == [graph.all("contacts")[0]["id"]] * 2
    graph.switch(notices_repeat_percent=0, notices_drop_percent=100)
    graph.create(surname="B")
    graph.switch(notices_drop_percent=0, notices_shuffle=True)
    ids = [graph.create(surname=f"N{n}")["id"] for n in range(8)]

    told = [n["resourceData"]["id"] for n in hook.wait_for(10)[2:]]
    assert sorted(told) == sorted(ids) and told != ids and len(hook.received[-1][1]) == 8
    graph.create(surname="held back")
    assert len(hook.wait_for(10)) == 10
    graph.switch(notices_shuffle=False)
    graph.world.keep()
    assert len(hook.wait_for(11)) == 11


def test_many_changes_at_once_are_parted_into_bodies(graph, hook):
    subscribe(graph, hook, "messages")
    graph.system.create_messages({"messages": [{"mailbox": ANN} for _ in range(45)]})
    graph.world.keep()
    hook.wait_for(45)
    assert [len(notices) for _, notices in hook.received] == [20, 20, 5]


def test_the_courier_reaches_this_machine_only(hook):
    sent = Courier(pauses=())
    sent._deliver(0, Delivery("https://hooks.example.test/x", b"{}", missed=(Delivery(f"{hook.base}/life", b'{"value": [{"a": 1}]}'),)))
    assert hook.wait_for(1, "life") == [{"a": 1}]


# --- lives and ends -----------------------------------------------------------------------------------------------------------
def test_a_subscription_is_renewed_and_ends(graph, hook):
    made = subscribe(graph, hook, minutes=60)
    path = f"/subscriptions/{made['id']}"

    renewed = graph.call("PATCH", path, json={"expirationDateTime": inside(graph, 120)})
    assert (renewed.status_code, renewed.json()["expirationDateTime"]) == (200, "2026-11-01T12:00:00Z")
    assert graph.call("POST", f"{path}/reauthorize").status_code == 204
    for body in ({}, {"notificationUrl": hook.base}, {"expirationDateTime": inside(graph, 1), "lifecycleNotificationUrl": hook.base}):
        assert refused(graph.call("PATCH", path, json=body)) == (400, "InvalidRequest")
    assert refused(graph.call("PATCH", path, json={"expirationDateTime": inside(graph, 10_081)})) == (400, "ExtensionError")
    graph.clock.forward(2 * 3600)
    graph.create(surname="too late")
    assert refused(graph.call("PATCH", path, json={"expirationDateTime": inside(graph, 60)})) == (404, "ResourceNotFound")
    assert graph.all("/subscriptions") == [] and hook.wait_for(0) == []
    again = subscribe(graph, hook)["id"]
    assert again != made["id"] and graph.call("DELETE", f"/subscriptions/{again}").status_code == 204
    assert refused(graph.call("DELETE", f"/subscriptions/{again}")) == (404, "ResourceNotFound")
    graph.create(surname="nobody asks")
    assert hook.wait_for(0) == []


def test_a_renewal_asks_anew_where_the_switch_says_so(graph, hook):
    path = f"/subscriptions/{subscribe(graph, hook, minutes=60)['id']}"
    graph.switch(renewal_validates=True)
    assert graph.call("PATCH", path, json={"expirationDateTime": inside(graph, 120)}).status_code == 200 and len(hook.asked) == 3
    hook.says = lambda token: (404, "text/plain", "")
    assert refused(graph.call("PATCH", path, json={"expirationDateTime": inside(graph, 180)})) == (400, "ValidationError")
    assert graph.get(path)["expirationDateTime"] == "2026-11-01T12:00:00Z"


@pytest.mark.parametrize("event", ["reauthorizationRequired", "missed", "subscriptionRemoved"])
def test_a_life_is_told_of_on_demand(graph, hook, event):
    first, second = subscribe(graph, hook), subscribe(graph, hook, "messages", lifecycleNotificationUrl=None)

    assert graph.system.lifecycle({"event": event}) == {"sent": 1}
    graph.world.keep()
    (notice,) = hook.wait_for(1, "life")
    assert (notice["lifecycleEvent"], notice["subscriptionId"]) == (event, first["id"]) and "resourceData" not in notice
    left = [] if event == "subscriptionRemoved" else [first["id"], second["id"]]
    assert [s["id"] for s in graph.all("/subscriptions")] == left


def test_the_control_port_tells_one_subscription_and_says_what_it_cannot(control, session, hook):
    world = control.world
    headers = {"Authorization": f"Bearer {world.microsoft.credentials()['access_token']}"}
    body = {"changeType": "created", "resource": f"users/{ANN}/contacts", "notificationUrl": f"{hook.base}/hook",
            "lifecycleNotificationUrl": f"{hook.base}/life", "expirationDateTime": soon()}  # fmt: skip
    made = session.post(f"{world.base_urls['microsoft']}/v1.0/subscriptions", json=body, headers=headers, timeout=10).json()

    assert control.call("POST", "/microsoft/lifecycle", {"event": "missed", "subscription": made["id"]}).json() == {"sent": 1}
    assert len(hook.wait_for(1, "life")) == 1
    assert "event is one of" in control.refused("POST", "/microsoft/lifecycle", {"event": "born"})
    assert "there is no subscription" in control.refused("POST", "/microsoft/lifecycle", {"event": "missed", "subscription": "x"})
    control.call("POST", "/records/microsoft/contact", {"mailbox": ANN, "surname": "Li"})
    assert kinds(hook.wait_for(1)) == [("created", "Contact")]


def test_subscriptions_outlive_a_restart(tmp_path, session, hook):
    graph = Graph(session)
    path = tmp_path / "state.sqlite3"
    first = World(seed=7, scenario="empty", state_path=path, now=graph.clock)
    graph.world, graph.system = first, first.microsoft
    session.mount("http://127.0.0.1:8904", SandboxAdapter(first))
    made = subscribe(graph, hook)
    first.keep()

    second = World(seed=7, state_path=path, now=graph.clock)
    session.mount("http://127.0.0.1:8904", SandboxAdapter(second))
    graph.world, graph.system = second, second.microsoft

    assert graph.all("/subscriptions") == [{k: v for k, v in made.items() if k != "@odata.context"}]
    graph.create(surname="Li")
    assert kinds(hook.wait_for(1)) == [("created", "Contact")]


def test_a_subscription_goes_with_its_mailbox(graph, hook):
    subscribe(graph, hook)
    graph.system.delete_record("user", graph.system.find_id("user", ANN))
    assert graph.all("/subscriptions") == []
