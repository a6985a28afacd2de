"""Meetings of the played Graph: copies in the mailboxes of attendees, their answers, and who is mailed."""

from urllib.parse import quote

import pytest

from tests.sandbox.graph import ANN, BOB, OURS, refused
from tests.sandbox.test_microsoft_events_series import RANGE, delete, get, instances, patched, weekly, when

GUEST = "guest@widgets.example"


def asked(*addresses):
    return [{"emailAddress": {"name": address, "address": address}, "type": "required"} for address in addresses]


def meet(graph, *addresses, **values):
    own = {"subject": "Plan", "start": when("2026-12-01T10:00:00"), "end": when("2026-12-01T11:00:00")}
    return graph.create("events", **{**own, "attendees": asked(*addresses), **values})


def bobs(graph):
    return graph.all(f"/users/{BOB}/events")


def bob(graph, method, event, body=None, act=""):
    return graph.call(method, f"/users/{BOB}/events/{quote(event['id'])}{act}", **({} if body is None else {"json": body}))


def mails(graph):
    """Returns the mails since the last time: kind, who gets them, subject."""
    told = graph.world.microsoft.mails[getattr(graph, "seen", 0) :]
    graph.seen = len(graph.world.microsoft.mails)
    return [(mail["kind"], mail["to"], mail["subject"]) for mail in told]


def statuses(event):
    return {each["emailAddress"]["address"]: each["status"]["response"] for each in event["attendees"]}


def test_a_meeting_is_in_the_calendars_of_all_colleagues_under_one_uid(graph):
    made = meet(graph, BOB, GUEST, categories=["Blue"], sensitivity="private", singleValueExtendedProperties=[{"id": OURS, "value": "1"}])

    (copy,) = bobs(graph)

    assert copy["iCalUId"] == made["iCalUId"] and copy["id"] != made["id"] and copy["subject"] == "Plan"
    assert (copy["isOrganizer"], copy["organizer"]["emailAddress"]["address"]) == (False, ANN)
    assert (copy["responseStatus"]["response"], copy["showAs"], copy["categories"]) == ("notResponded", "tentative", [])
    assert copy["sensitivity"] == "private" and statuses(made) == {BOB: "none", GUEST: "none"}
    assert not bobs_property(graph, copy) and mails(graph) == [("invitation", [BOB, GUEST], "Plan")]
    assert graph.world.microsoft.mails[0] == {"system": "microsoft", "mailbox": ANN, "kind": "invitation", "to": [BOB, GUEST],
                                              "subject": "Plan", "at": "2026-11-01T10:00:00Z"}  # fmt: skip


def bobs_property(graph, copy):
    expand = f"singleValueExtendedProperties($filter=id eq '{OURS}')"
    return graph.get(f"/users/{BOB}/events/{quote(copy['id'])}", expand=expand).get("singleValueExtendedProperties")


@pytest.mark.parametrize(
    "values",
    [{"categories": ["Blue"]}, {"showAs": "free"}, {"sensitivity": "private"}, {"isReminderOn": False, "reminderMinutesBeforeStart": 5},
     {"singleValueExtendedProperties": [{"id": OURS, "value": "1"}]}],
)  # fmt: skip
def test_what_is_personal_mails_nobody_and_stays_in_ones_own_calendar(graph, values):
    made = meet(graph, BOB)
    before = bobs(graph)
    mails(graph)

    patched(graph, made, **values)

    assert mails(graph) == [] and bobs(graph) == before


@pytest.mark.parametrize(
    "values", [{"subject": "Other"}, {"location": {"displayName": "Room"}}, {"body": {"content": "x"}}, {"subject": "Plan"}]
)
def test_any_other_change_mails_everybody(graph, values):
    made = meet(graph, BOB, GUEST)
    mails(graph)

    after = patched(graph, made, **values)

    assert mails(graph) == [("update", [BOB, GUEST], after["subject"])]
    assert [(each["subject"], each["location"], each["body"]) for each in bobs(graph)] == [
        (after["subject"], after["location"], after["body"])
    ]


def test_what_an_attendee_changes_in_a_copy_stays_when_the_organizer_changes_the_meeting(graph):
    made = meet(graph, BOB)
    mails(graph)
    own = {"categories": ["Mine"], "isReminderOn": False, "showAs": "oof", "sensitivity": "personal"}
    assert bob(graph, "PATCH", bobs(graph)[0], {**own, "subject": "My name for it"}).status_code == 200

    assert get(graph, made)["subject"] == "Plan" and mails(graph) == []
    patched(graph, made, subject="Other")

    (copy,) = bobs(graph)
    assert copy["subject"] == "Other" and {name: copy[name] for name in own} == own


def test_attendees_may_be_refused_to_move_a_meeting(graph):
    meet(graph, BOB)
    body = {"end": when("2026-12-01T12:00:00")}
    assert bob(graph, "PATCH", bobs(graph)[0], body).status_code == 200

    graph.switch(attendee_edits="refuse")

    assert refused(bob(graph, "PATCH", bobs(graph)[0], body)) == (403, "ErrorAccessDenied")
    assert bob(graph, "PATCH", bobs(graph)[0], {"categories": ["x"]}).status_code == 200


@pytest.mark.parametrize(
    ("act", "response", "shows", "word"),
    [("accept", "accepted", "busy", "Accepted"), ("tentativelyAccept", "tentativelyAccepted", "tentative", "Tentative")],
)
def test_an_answer_stands_in_both_calendars(graph, act, response, shows, word):
    made = meet(graph, BOB, GUEST)
    mails(graph)
    graph.clock.forward(60)

    assert bob(graph, "POST", bobs(graph)[0], {"Comment": "", "SendResponse": True}, f"/{act}").status_code == 202

    (copy,) = bobs(graph)
    assert copy["responseStatus"] == {"response": response, "time": "2026-11-01T10:01:00Z"} and copy["showAs"] == shows
    assert statuses(get(graph, made)) == {BOB: response, GUEST: "none"} and mails(graph) == [("response", [ANN], f"{word}: Plan")]
    patched(graph, made, subject="Other")
    assert statuses(get(graph, made))[BOB] == response and bobs(graph)[0]["responseStatus"]["response"] == response
    patched(graph, made, start=when("2026-12-01T10:30:00"))
    assert statuses(get(graph, made))[BOB] == "none" and bobs(graph)[0]["responseStatus"]["response"] == "notResponded"


def test_an_answer_without_a_response_is_ones_own_matter(graph):
    made = meet(graph, BOB)
    mails(graph)

    assert bob(graph, "POST", bobs(graph)[0], {"sendResponse": False}, "/accept").status_code == 202

    assert bobs(graph)[0]["responseStatus"]["response"] == "accepted" and statuses(get(graph, made)) == {BOB: "none"} and mails(graph) == []


def test_who_declines_has_the_meeting_no_longer(graph):
    made = meet(graph, BOB)
    assert bob(graph, "POST", bobs(graph)[0], act="/decline").status_code == 202
    assert bobs(graph) == [] and statuses(get(graph, made)) == {BOB: "declined"}

    graph.switch(keeps_declined=True)
    other = meet(graph, BOB)
    bob(graph, "POST", bobs(graph)[0], act="/decline")
    assert bobs(graph)[0]["responseStatus"]["response"] == "declined" and statuses(get(graph, other)) == {BOB: "declined"}


def test_answers_that_cannot_be_given_are_refused(graph):
    made = meet(graph, BOB, responseRequested=False)

    assert refused(graph.call("POST", f"events/{quote(made['id'])}/accept"))[0] == 400
    assert refused(bob(graph, "POST", bobs(graph)[0], act="/accept"))[0] == 400
    assert refused(bob(graph, "POST", bobs(graph)[0], {"SendResponse": "no"}, "/accept"))[0] == 400
    assert refused(bob(graph, "POST", bobs(graph)[0], {"Reply": ""}, "/accept"))[0] == 400
    assert refused(bob(graph, "POST", bobs(graph)[0], {"Comment": ""}, "/cancel"))[0] == 400
    assert refused(bob(graph, "GET", bobs(graph)[0], act="/accept"))[0] == 405
    assert refused(bob(graph, "POST", bobs(graph)[0], act="/ignore"))[0] == 400


@pytest.mark.parametrize("act", ["delete", "cancel", "permanentDelete"])
def test_what_the_organizer_ends_is_cancelled_for_everybody(graph, act):
    made = meet(graph, BOB, GUEST)
    mails(graph)
    path = f"events/{quote(made['id'])}"

    answer = (
        graph.call("DELETE", path)
        if act == "delete"
        else graph.call("POST", f"{path}/{act}", json={"Comment": ""} if act == "cancel" else None)
    )

    assert answer.status_code == (202 if act == "cancel" else 204) and graph.all("events") == []
    (copy,) = bobs(graph)
    assert (copy["isCancelled"], copy["subject"], copy["showAs"]) == (True, "Canceled: Plan", "free")
    assert mails(graph) == [("cancellation", [BOB, GUEST], "Canceled: Plan")]
    assert bob(graph, "DELETE", copy).status_code == 204 and bobs(graph) == [] and mails(graph) == []


def test_an_attendee_who_deletes_a_copy_tells_nobody(graph):
    made = meet(graph, BOB)
    mails(graph)

    assert bob(graph, "DELETE", bobs(graph)[0]).status_code == 204

    assert mails(graph) == [] and statuses(get(graph, made)) == {BOB: "none"}
    patched(graph, made, subject="Again")
    assert [each["subject"] for each in bobs(graph)] == ["Again"]


def test_attendees_come_and_go(graph):
    made = meet(graph, GUEST)
    assert bobs(graph) == []
    mails(graph)

    patched(graph, made, attendees=asked(GUEST, BOB))
    assert mails(graph) == [("invitation", [BOB], "Plan"), ("update", [GUEST], "Plan")] and len(bobs(graph)) == 1
    patched(graph, made, attendees=asked(GUEST))
    assert mails(graph) == [("update", [GUEST], "Plan"), ("cancellation", [BOB], "Canceled: Plan")] and bobs(graph)[0]["isCancelled"]
    patched(graph, made, attendees=[])
    assert mails(graph) == [("cancellation", [GUEST], "Canceled: Plan")]
    patched(graph, made, subject="Alone")
    assert mails(graph) == []


def test_a_series_is_one_for_all_with_an_uid_for_each_day(graph):
    master = weekly(graph, attendees=asked(BOB))
    mine, theirs = instances(graph, master), graph.all(f"/users/{BOB}/calendarView?{RANGE}")
    assert [each["iCalUId"] for each in mine] == [each["iCalUId"] for each in theirs] and len({each["iCalUId"] for each in mine}) == 4
    (copy,) = bobs(graph)
    assert copy["type"] == "seriesMaster" and copy["iCalUId"] == master["iCalUId"] and mails(graph) == [("invitation", [BOB], "Weekly")]
    bob(graph, "PATCH", theirs[1], {"categories": ["Mine"]})

    patched(graph, mine[1], start=when("2026-10-28T10:00:00"), end=when("2026-10-28T11:00:00"), location={"displayName": "Room"})
    delete(graph, mine[2])

    assert mails(graph) == [("update", [BOB], "Weekly"), ("cancellation", [BOB], "Canceled: Weekly")]
    shown = graph.all(f"/users/{BOB}/calendarView?{RANGE}")
    assert [each["start"]["dateTime"][:10] for each in shown] == ["2026-10-20", "2026-10-28", "2026-11-03", "2026-11-10"]
    assert (shown[1]["location"]["displayName"], shown[1]["categories"], shown[1]["type"]) == ("Room", ["Mine"], "exception")
    assert [each["isCancelled"] for each in shown] == [False, False, True, False] and shown[2]["iCalUId"] == mine[2]["iCalUId"]


def test_a_series_that_is_called_off_goes_with_the_days_that_differ(graph):
    master = weekly(graph, attendees=asked(BOB))
    patched(graph, instances(graph, master)[1], start=when("2026-10-28T10:00:00"), end=when("2026-10-28T11:00:00"))

    delete(graph, master)

    shown = graph.all(f"/users/{BOB}/calendarView?{RANGE}")
    assert len(shown) == 4 and all(each["isCancelled"] and each["showAs"] == "free" for each in shown)
    assert {each["subject"] for each in shown} == {"Canceled: Weekly"}


def test_one_occurrence_is_answered_by_itself(graph):
    master = weekly(graph, attendees=asked(BOB))
    theirs = graph.all(f"/users/{BOB}/calendarView?{RANGE}")

    bob(graph, "POST", theirs[0], act="/accept")
    bob(graph, "POST", theirs[1], act="/decline")

    assert [statuses(each)[BOB] for each in instances(graph, master)] == ["accepted", "declined", "none", "none"]
    assert len(graph.all(f"/users/{BOB}/calendarView?{RANGE}")) == 3 and statuses(get(graph, master)) == {BOB: "none"}


def test_who_is_asked_to_one_occurrence_has_only_that(graph):
    master = weekly(graph)
    second = instances(graph, master)[1]

    patched(graph, second, attendees=asked(BOB))

    (copy,) = bobs(graph)
    assert (copy["type"], copy["iCalUId"], copy["start"]) == ("singleInstance", second["iCalUId"], second["start"])
    bob(graph, "POST", copy, act="/accept")
    assert [statuses(each) for each in instances(graph, master)[:2]] == [{}, {BOB: "accepted"}]
    delete(graph, master)
    assert bobs(graph)[0]["isCancelled"] and [mail[0] for mail in mails(graph)] == ["invitation", "response", "cancellation"]


def test_who_is_asked_later_gets_the_series_as_it_is_by_then(graph):
    master = weekly(graph)
    _, second, third, _ = instances(graph, master)
    patched(graph, second, subject="Own", categories=["Mine"])
    delete(graph, third)

    patched(graph, master, attendees=asked(BOB))

    shown = graph.all(f"/users/{BOB}/calendarView?{RANGE}")
    assert [each["subject"] for each in shown] == ["Weekly", "Own", "Weekly"] and shown[1]["categories"] == []


def test_attendees_who_are_hidden_see_only_themselves(graph):
    made = meet(graph, BOB, GUEST, hideAttendees=True)
    assert list(statuses(made)) == [BOB, GUEST] and list(statuses(bobs(graph)[0])) == [BOB]


def test_mailboxes_that_are_not_there_get_mail_only(graph):
    graph.user(BOB, state="not_enabled")
    meet(graph, BOB, ANN)
    graph.user(BOB, state="ok")

    assert bobs(graph) == [] and mails(graph) == [("invitation", [BOB], "Plan")] and len(graph.all("events")) == 1
