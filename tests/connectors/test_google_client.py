"""The client that all of Google's APIs are spoken to with: changes that rest on a version, and what refusals mean to one record."""

import re

import pytest

from connectors.errors import MailboxRefused, NeedsAttention, OutcomeUnknown, RateLimited, RecordGone, Rejected, ServerTrouble, StaleVersion
from connectors.google.apis import CALENDAR, PEOPLE
from connectors.google.faults import SYNC_OVER
from tests.connectors.google_wire import ANN, connector, error, older
from tests.connectors.wire import HTML, Said

ROOT = "/calendar/v3"
MULTIPART = {"Content-Type": "multipart/mixed; boundary=mark"}
GONE = older(410, "deleted", "Resource has been deleted")


def client(routes, api=CALENDAR, **options):
    opened, wire = connector(routes, **options)
    return opened.reach(ANN, api)[1], wire


def test_a_change_and_a_deletion_rest_on_the_version_that_was_read():
    calls, wire = client({f"PATCH {ROOT}/e/1": Said(200, {"id": "1"}), f"DELETE {ROOT}/e/1": Said(204), f"POST {ROOT}/e": Said(200, {})})

    calls.patch("/e/1", {"summary": "New"}, params=[("sendUpdates", "none")], template="/e/{id}", if_match='"v1"')
    calls.delete("/e/1", params=[("sendUpdates", "none")], template="/e/{id}", if_match='"v2"')
    calls.post("/e", {"summary": "New"}, params=[("sendUpdates", "none")])

    assert [request.headers.get("If-Match") for request in wire.requests] == ['"v1"', '"v2"', None]
    assert [wire.query(i) for i in range(3)] == [[("sendUpdates", "none")]] * 3 and wire.body(0) == {"summary": "New"}
    assert calls.counts.by_template == {f"PATCH {ROOT}/e/{{id}}": 1, f"DELETE {ROOT}/e/{{id}}": 1, f"POST {ROOT}/e": 1}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (older(412, "conditionNotMet"), StaleVersion),
        (GONE, RecordGone),
        (Said(410, HTML), RecordGone),
        (older(404, "notFound"), RecordGone),
        (older(403, "forbiddenForNonOrganizer", "Shared properties can only be changed by the organizer."), Rejected),
        (older(403, "rateLimitExceeded"), RateLimited),
        (older(403, "quotaExceeded", "Calendar usage limits exceeded."), RateLimited),
        (older(429, "rateLimitExceeded"), RateLimited),
        (older(400, "invalid", "Invalid start time."), Rejected),
        (older(409, "duplicate"), Rejected),
        (older(503, "backendError"), ServerTrouble),
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_refused_write_says_something_of_its_record_and_nothing_of_the_mailbox(said, kind, method):
    calls, _ = client({f"{method} {ROOT}/e/1": said})

    with pytest.raises(kind) as raised:
        calls.patch("/e/1", {}) if method == "PATCH" else calls.delete("/e/1")
    assert not isinstance(raised.value, MailboxRefused) and raised.value.system == "google"


def test_a_record_that_is_not_there_is_gone_and_a_list_that_is_not_there_is_the_mailboxs_matter():
    calls, _ = client({f"GET {ROOT}/e/1": older(404, "notFound"), f"GET {ROOT}/e/2": GONE, f"GET {ROOT}/e": older(404, "notFound")})

    for path in ("/e/1", "/e/2"):
        with pytest.raises(RecordGone):
            calls.get(path, is_of_record=True)
    with pytest.raises(MailboxRefused, match="has no events there"):
        calls.get("/e")


@pytest.mark.parametrize("said", [older(410, "fullSyncRequired"), older(410, "updatedMinTooLongAgo"), Said(410, HTML), Said(410)])
def test_a_list_of_changes_that_is_over_is_told_from_a_record_that_is_gone(said):
    calls, _ = client({f"GET {ROOT}/e": said})

    with pytest.raises(Rejected) as raised:
        calls.get("/e")
    assert raised.value.code == SYNC_OVER


def test_what_is_refused_for_its_scope_or_its_api_names_these():
    calls, _ = client({f"GET {ROOT}/e": older(403, "insufficientPermissions"), f"GET {ROOT}/f": older(403, "accessNotConfigured")})
    people, _ = client({"GET /x": error(403, "Nothing", "PERMISSION_DENIED")}, PEOPLE)

    with pytest.raises(NeedsAttention, match=r"auth/calendar\.events"):
        calls.get("/e")
    with pytest.raises(NeedsAttention, match="Google Calendar API switched off"):
        calls.get("/f")
    with pytest.raises(MailboxRefused, match="these contacts"):
        people.get("/x")


def test_an_api_that_allows_more_is_not_waited_for_as_long():
    held = []
    for api, pause in ((CALENDAR, 1.0), (PEOPLE, 1.0), (CALENDAR, 0.05)):
        opened, _ = connector({f"GET {ROOT}/x": Said(200, {}), "GET /x": Said(200, {})}, settings={"pause": pause})
        http, calls = opened.reach(ANN, api)
        http.hold = held.append
        calls.get("/x")
    assert held == [0.1, 1.0, 0.05]


# --- several reads in one call ----------------------------------------------------------------------------------------


def reads(routes, paths, **options):
    calls, wire = client({f"GET {ROOT}{path}": said for path, said in routes.items()}, **options)
    return [None if answer is None else answer.data for answer in calls.get_each(paths, template="/e/{id}")], wire


def test_reads_go_fifty_in_one_call_and_come_back_in_their_order():
    paths = [f"/e/{n}" for n in range(101)]
    found, wire = reads({path: Said(200, {"id": path}) for path in paths}, paths)

    assert [row["id"] for row in found] == paths and len(wire.calls) == 3 and wire.calls[2] == f"GET {ROOT}/e/100"
    assert wire.requests[0].headers["Content-Type"].startswith("multipart/mixed; boundary=") and len(wire.parts) == 100
    assert reads({}, [])[0] == []


def test_where_batches_are_not_to_be_used_each_read_is_a_call():
    found, wire = reads({f"/e/{n}": Said(200, {}) for n in range(3)}, [f"/e/{n}" for n in range(3)], settings={"reads_in_batches": False})
    assert found == [{}] * 3 and wire.calls == [f"GET {ROOT}/e/{n}" for n in range(3)]


def test_a_part_that_is_gone_is_none_and_one_that_failed_in_passing_is_asked_for_by_itself():
    unauthorised = error(401, "Invalid Credentials", "UNAUTHENTICATED")
    routes = {"/e/1": older(404, "notFound"), "/e/2": [Said(503, HTML), Said(200, {"id": "2"})], "/e/3": GONE}
    found, wire = reads({**routes, "/e/4": [unauthorised, Said(200, {"id": "4"})]}, ["/e/1", "/e/2", "/e/3", "/e/4"])
    assert found == [None, {"id": "2"}, None, {"id": "4"}]
    assert wire.calls == ["POST /batch/calendar/v3", f"GET {ROOT}/e/2", f"GET {ROOT}/e/4"]


@pytest.mark.parametrize(
    ("said", "kind"),
    [(older(403, "rateLimitExceeded"), RateLimited), (older(403, "forbidden"), MailboxRefused), (Said(200, "no JSON"), OutcomeUnknown)],
)
def test_a_part_that_is_refused_is_not_taken_for_gone(said, kind):
    with pytest.raises(kind):
        reads({"/e/1": Said(200, {}), "/e/2": said}, ["/e/1", "/e/2"])


def test_a_batch_that_lacks_an_answer_says_nothing_of_that_record():
    found, wire = reads({"/e/1": Said(200, {"id": "1"}), "/e/2": Said(200, {"id": "2"})}, ["/e/1", "/e/2"])
    whole = wire._batched
    assert found == [{"id": "1"}, {"id": "2"}] and len(wire.calls) == 1

    calls, wire = client({f"GET {ROOT}/e/{n}": Said(200, {"id": str(n)}) for n in (1, 2)})
    wire._batched = lambda request: Said(200, re.sub(r"--mark.*?(?=--mark)", "", whole(request).body, count=1, flags=re.S), MULTIPART)
    assert [answer.data["id"] for answer in calls.get_each(["/e/1", "/e/2"])] == ["1", "2"] and len(wire.calls) == 2

    for body, headers in ((HTML, {}), ("--mark--", MULTIPART), ("", MULTIPART)):
        calls, wire = client({})
        wire._batched = lambda request, body=body, headers=headers: Said(200, body, headers)
        with pytest.raises(OutcomeUnknown):
            calls.get_each(["/e/1", "/e/2"])


@pytest.mark.parametrize(
    ("said", "kind"), [(older(403, "insufficientPermissions"), NeedsAttention), (older(429, "rateLimitExceeded"), RateLimited)]
)
def test_a_batch_that_is_refused_as_a_whole_says_why(said, kind):
    calls, wire = client({})
    wire._batched = lambda request: said
    with pytest.raises(kind):
        calls.get_each(["/e/1", "/e/2"])
