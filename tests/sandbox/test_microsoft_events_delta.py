"""Delta rounds of a calendar view of the played Graph."""

from urllib.parse import quote

import pytest

from tests.sandbox.graph import ANN, BOB, IMMUTABLE, refused
from tests.sandbox.test_microsoft_events_series import delete, instances, patched, weekly, when

START, END = "startDateTime=2026-10-15T00:00:00Z", "endDateTime=2026-11-05T00:00:00Z"
FIRST = f"calendarView/delta?{START}&{END}"


def single(graph, day="2026-10-22", **values):
    own = {"subject": "Single", "start": when(f"{day}T10:00:00"), "end": when(f"{day}T11:00:00")}
    return graph.create("events", **{**own, **values})


def removed(entries):
    return {each["id"] for each in entries if "@removed" in each}


def kept(entries):
    return {each["id"]: each for each in entries if "@removed" not in each}


def after(known, entries):
    """Returns what a reader knows after a round: what comes last for an id is true."""
    known = dict(known)
    for entry in entries:
        known.pop(entry["id"], None)
        if "@removed" not in entry:
            known[entry["id"]] = entry["start"]
    return known


def in_range(graph):
    shown = graph.all(f"calendarView?{START}&{END}")
    masters = {each["seriesMasterId"] for each in shown if each["seriesMasterId"]}
    told = {each["id"]: each["start"] for each in shown}
    return told | {each["id"]: each["start"] for each in graph.all("events") if each["id"] in masters}


def test_a_first_round_tells_all_in_the_range_occurrences_bare(graph):
    master, one = weekly(graph), single(graph)
    single(graph, "2026-12-01")
    second = instances(graph, master)[1]
    patched(graph, second, subject="Own")

    entries, _ = graph.round(FIRST)

    told = kept(entries)
    occurrences = instances(graph, master)
    assert list(told) == [master["id"], *(each["id"] for each in occurrences[:3]), one["id"]]
    bare = told[occurrences[0]["id"]]
    assert set(bare) == {"@odata.type", "@odata.etag", "id", "type", "seriesMasterId", "start", "end"} and bare["type"] == "occurrence"
    assert told[second["id"]]["subject"] == "Own" and told[second["id"]]["type"] == "exception"
    assert told[master["id"]]["recurrence"] and told[one["id"]]["subject"] == "Single"


def test_a_round_without_news_is_empty_and_one_with_news_tells_only_these(graph):
    one, two = single(graph), single(graph)
    _, link = graph.round(FIRST)
    entries, link = graph.round(link)
    assert entries == []

    patched(graph, one, subject="Other")
    entries, link = graph.round(link)
    assert [each["subject"] for each in entries] == ["Other"]

    delete(graph, one)
    patched(graph, two, start=when("2026-12-22T10:00:00"), end=when("2026-12-22T11:00:00"))
    three = single(graph)
    entries, link = graph.round(link)
    assert removed(entries) == {one["id"], two["id"]} and set(kept(entries)) == {three["id"]}
    assert {"id": one["id"], "@removed": {"reason": "deleted"}, "@odata.type": "#microsoft.graph.event"} in entries
    assert graph.round(link)[0] == []


def test_a_deletion_outside_the_range_is_told_too(graph):
    far = single(graph, "2027-10-01")
    _, link = graph.round(FIRST)
    delete(graph, far)

    assert removed(graph.round(link)[0]) == {far["id"]}


def test_a_change_of_one_occurrence_tells_it_and_its_series(graph):
    master = weekly(graph)
    first, second, third, _ = instances(graph, master)
    _, link = graph.round(FIRST)

    patched(graph, second, subject="Own")
    entries, link = graph.round(link)
    assert set(kept(entries)) == {master["id"], second["id"]} and kept(entries)[second["id"]]["subject"] == "Own"

    delete(graph, third)
    entries, link = graph.round(link)
    assert set(kept(entries)) == {master["id"]} and removed(entries) == {third["id"]}

    graph.switch(tells_removed_occurrences=False)
    delete(graph, first)
    entries, link = graph.round(link)
    assert set(kept(entries)) == {master["id"]} and removed(entries) == set()


def test_a_series_that_ends_earlier_loses_occurrences_and_a_changed_one_tells_all(graph):
    master = weekly(graph)
    occurrences = instances(graph, master)
    _, link = graph.round(FIRST)

    patched(graph, master, subject="All")
    entries, link = graph.round(link)
    assert set(kept(entries)) == {master["id"], *(each["id"] for each in occurrences[:3])}

    patched(graph, master, recurrence={**master["recurrence"], "range": {**master["recurrence"]["range"], "numberOfOccurrences": 1}})
    entries, link = graph.round(link)
    assert removed(entries) == {each["id"] for each in occurrences[1:3]}

    delete(graph, master)
    assert removed(graph.round(link)[0]) == {master["id"], occurrences[0]["id"]}


def test_pages_are_as_long_as_asked_for_and_keep_the_range(graph):
    master = weekly(graph)
    for _ in range(3):
        single(graph)

    pages = []
    link = FIRST
    while link:
        body = graph.get(link, {"Prefer": "odata.maxpagesize=2"})
        pages.append(len(body["value"]))
        assert ("@odata.nextLink" in body) != ("@odata.deltaLink" in body)
        link, last = body.get("@odata.nextLink"), body
        assert "startDateTime" not in (link or "")

    assert pages == [2, 2, 2, 1] and last["@odata.deltaLink"].count("$deltatoken=") == 1
    delete(graph, master)
    assert len(removed(graph.round(last["@odata.deltaLink"])[0])) == 4


def test_what_changes_between_pages_is_lost_by_nobody(graph):
    events = [single(graph) for _ in range(6)]
    body = graph.get(FIRST, {"Prefer": "odata.maxpagesize=2"})
    known = after({}, body["value"])
    delete(graph, events[0])
    delete(graph, events[4])
    new = single(graph)

    entries, link = graph.round(body["@odata.nextLink"])
    known = after(known, entries)
    known = after(known, graph.round(link)[0])

    assert set(known) == {each["id"] for each in [*events[1:4], events[5], new]}


@pytest.mark.parametrize("switches", [{}, {"delta_replays": True}, {"delta_duplicates": True, "delta_shuffles": True},
                                      {"delta_replays": True, "delta_duplicates": True, "delta_shuffles": True}])  # fmt: skip
@pytest.mark.parametrize("size", [1, 3, 100])
def test_whatever_rounds_repeat_a_reader_ends_with_what_is_there(graph, switches, size):
    graph.switch(**switches)
    prefer = {"Prefer": f"odata.maxpagesize={size}"}
    master, one, _ = weekly(graph), single(graph), single(graph)
    gone = single(graph)
    delete(graph, gone)
    entries, link = graph.round(FIRST, prefer)
    known = after({}, entries)
    assert known == in_range(graph)

    first, second, third, _ = instances(graph, master)
    patched(graph, second, start=when("2026-10-29T10:00:00"), end=when("2026-10-29T10:30:00"))
    delete(graph, third)
    delete(graph, one)
    for _ in range(2):
        entries, link = graph.round(link, prefer)
        known = after(known, entries)
        assert known == in_range(graph)

    patched(graph, master, start=when("2026-10-20T12:00:00"), end=when("2026-10-20T12:30:00"))
    assert after(known, graph.round(link, prefer)[0]) == in_range(graph)


@pytest.mark.parametrize("option", ["$select=id", "$filter=subject eq 'x'", "$expand=instances", "$orderby=subject", "$search=x", "$top=5"])
def test_rounds_take_no_options(graph, option):
    assert refused(graph.call("GET", f"{FIRST}&{option}"))[0] == 400


def test_rounds_need_a_range_and_their_own_mailbox(graph):
    _, link = graph.round(FIRST)
    assert refused(graph.call("GET", "calendarView/delta"))[0] == 400
    assert refused(graph.call("GET", link.replace(quote(ANN, safe=""), BOB).replace(ANN, BOB))) == (400, "syncStateInvalid")
    assert refused(graph.call("GET", f"{link}x")) == (400, "syncStateInvalid")
    for spelling in ("delta()", "microsoft.graph.delta()"):
        assert "@odata.deltaLink" in graph.get(f"calendar/calendarView/{spelling}?{START}&{END}")


@pytest.mark.parametrize(("form", "status"), [("gone", 410), ("gone_with_location", 410), ("not_found", 404), ("bad_request", 400)])
def test_a_dead_token_is_answered_and_may_say_where_to_begin(graph, form, status):
    one = single(graph)
    _, link = graph.round(FIRST)
    graph.switch(delta_expired_form=form)
    graph.system.expire_delta()

    answer = graph.call("GET", link)

    assert refused(answer)[0] == status
    if form == "gone_with_location":
        assert set(kept(graph.round(answer.headers["Location"])[0])) == {one["id"]}
    else:
        assert "Location" not in answer.headers


def test_a_fault_may_kill_a_token(graph):
    _, link = graph.round(FIRST)
    graph.world.faults.add({"kind": "stale_delta", "system": "microsoft", "times": 1, "form": "gone_with_location"})
    answer = graph.call("GET", link)
    assert answer.status_code == 410 and "startDateTime=" in answer.headers["Location"]


def test_rounds_outlive_a_restart_and_know_immutable_ids(graph):
    one = single(graph)
    entries, link = graph.round(FIRST, IMMUTABLE)
    assert list(kept(entries)) != [one["id"]]
    delete(graph, one)

    graph.system.restore(graph.system.dump())

    assert removed(graph.round(link, IMMUTABLE)[0]) == set(kept(entries))
