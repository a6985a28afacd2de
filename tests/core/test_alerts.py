"""What people are told is a function of the state and of what they were told before."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciliation.core.alerts import (
    ConnectionFacts,
    Facts,
    Kind,
    Known,
    PassFacts,
    Restart,
    Unsent,
    causes,
    is_late,
    is_overdue,
    settle,
)
from reconciliation.core.messages import Digest, PassLine, Words, chat, digest, one_line, opened

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PASS = PassFacts(1, "Outreach Send/Receive", (1, 2), True, 60, 50, due_at=NOW, reached_at=NOW - MINUTE, last_began_at=NOW - MINUTE)
WORKS = (ConnectionFacts(1, "Workbooks", "ok"), ConnectionFacts(2, "Outreach", "ok"))


def broken(says, state="needs_attention"):
    return (WORKS[0], ConnectionFacts(2, "Outreach", state, says))


def keys(facts, opened=()):
    return [cause.key for cause in causes(facts, opened)]


def test_nothing_is_told_while_everything_is_in_order():
    assert keys(Facts(NOW, WORKS, (PASS,), {"duplicate": 20, "error": 0}, (20,))) == []


@pytest.mark.parametrize(
    ("values", "is_it"),
    [
        ({}, False),
        ({"reached_at": NOW - 3 * MINUTE, "due_at": NOW - 3 * MINUTE}, False),
        ({"reached_at": NOW - 4 * MINUTE, "due_at": NOW - 3.1 * MINUTE}, True),
        ({"reached_at": NOW - 4 * MINUTE, "due_at": NOW}, False),  # resumed just now
        ({"reached_at": NOW - 4 * MINUTE, "due_at": NOW, "trouble_count": 1}, True),  # a wait is no excuse
        ({"reached_at": NOW - 4 * MINUTE, "due_at": None, "running_since": NOW - 2 * MINUTE}, False),
        ({"reached_at": NOW - 9 * MINUTE, "due_at": None, "running_since": NOW - 8 * MINUTE}, True),  # a run that hangs
        ({"reached_at": None, "due_at": None}, False),
        ({"reached_at": NOW - 60 * MINUTE, "due_at": None, "is_working": False}, False),
        ({"reached_at": NOW - 60 * MINUTE, "due_at": None, "parked": (7, "Held")}, False),
        ({"reached_at": NOW - 60 * MINUTE, "due_at": None, "is_held": True}, True),
    ],
)
def test_late_is_more_than_three_intervals_without_getting_through(values, is_it):
    assert is_late(replace(PASS, **values), NOW) is is_it


def test_waiting_for_a_system_is_late_and_yet_not_stuck():
    waits = replace(PASS, reached_at=NOW - 60 * MINUTE, trouble_count=5, last_began_at=NOW - 10 * MINUTE, due_at=NOW + 5 * MINUTE)

    assert is_late(waits, NOW) and not is_overdue(waits, NOW)
    assert is_overdue(replace(waits, due_at=NOW - 4 * MINUTE), NOW)
    assert not is_overdue(replace(waits, due_at=NOW - 4 * MINUTE, channel_wanted_at=NOW - 4 * MINUTE), NOW)
    assert is_overdue(replace(waits, due_at=NOW - 60 * MINUTE, channel_wanted_at=NOW - 60 * MINUTE), NOW)


def test_a_trouble_that_a_person_must_mend_is_told_once_and_not_as_a_late_pass_besides():
    late = replace(PASS, reached_at=NOW - 60 * MINUTE, trouble_count=5)
    found = causes(Facts(NOW, broken("Outreach: refused to renew our access (invalid_grant); reconnect it"), (late,)))

    assert [(c.kind, c.is_quiet) for c in found] == [(Kind.CONNECTION, False), (Kind.LATE, True)]
    assert [c.kind for c in settle(NOW, found, ()).tell] == [Kind.CONNECTION]


def test_request_numbers_and_times_make_no_new_cause_and_another_reason_does():
    first, again, other = (
        keys(Facts(NOW, broken(says)))[0]
        for says in ("Workbooks: refused our key (request 4711)", "Workbooks: refused our key (request 4712)", "Workbooks: lacks a right")
    )

    assert first == again != other


def test_a_connection_that_needed_a_person_still_does_while_it_answers_nothing_at_all():
    (key,) = keys(Facts(NOW, broken("Outreach: refused our token")))

    (still,) = causes(Facts(NOW, broken("Outreach: failed with 503", "waiting")), [key])

    assert still.key == key and still.is_quiet
    assert keys(Facts(NOW, broken("Outreach: failed with 503", "waiting"))) == []


def test_queues_are_compared_with_the_number_that_somebody_chose():
    assert keys(Facts(NOW, open_cases={"duplicate": 51, "error": 5}, limits=(50, 60))) == ["queue:duplicate:50"]


def test_a_restart_counts_until_the_queue_moved_again_and_a_quarter_of_an_hour_passed():
    def facts(ago, beat_ago):
        restart = Restart("task cluster", "gave no sign of life for 180 s", NOW - ago * MINUTE)
        return Facts(NOW, restarts=(restart,), beat_at=None if beat_ago is None else NOW - beat_ago * MINUTE)

    assert keys(facts(1, 0)) == keys(facts(60, None)) == keys(facts(60, 70)) == ["watchdog:task cluster"]
    assert keys(facts(16, 1)) == []


def test_messages_that_cannot_be_sent_are_never_told_by_message():
    (cause,) = causes(Facts(NOW, unsent=(Unsent("mail", 3, "The mail server m cannot be reached."),)))

    assert "Mails cannot be sent (3)" in cause.title and cause.page == "alerts"
    assert settle(NOW, [cause], ()).tell == ()


# --- Telling ------------------------------------------------------------------------------------------------------
(CAUSE,) = causes(Facts(NOW, broken("Outreach: refused our token")))


def known(**values):
    start = Known(CAUSE.key, CAUSE.group, True, NOW - 5 * MINUTE, NOW - 5 * MINUTE, True)
    return replace(start, **values)


def test_a_cause_is_told_when_it_comes_and_again_after_a_day():
    assert settle(NOW, [CAUSE], ()).tell == (CAUSE,)
    assert settle(NOW, [CAUSE], [known()]).tell == ()
    assert settle(NOW, [CAUSE], [known(told_at=NOW - timedelta(hours=23, minutes=59))]).tell == ()
    assert settle(NOW, [CAUSE], [known(told_at=NOW - timedelta(days=1))]).tell == (CAUSE,)


def test_a_cause_that_comes_and_goes_all_day_is_told_once_and_cured_once():
    state, told, cured = None, 0, 0
    for minute in range(0, 23 * 60):
        now = NOW + minute * MINUTE
        moves = settle(now, [CAUSE] if minute % 10 < 5 else [], [state] if state else ())
        for cause in moves.begin:
            state = Known(cause.key, cause.group, True, now, state.told_at if state else None)
        told, cured = told + len(moves.tell), cured + len(moves.cure)
        if moves.tell:
            state = replace(state, told_at=now, is_cure_owed=True)
        if moves.cure or moves.forget:
            state = replace(state, is_open=False, is_cure_owed=False)

    assert (told, cured) == (1, 1)


def test_a_cure_is_told_only_to_end_what_was_told():
    assert settle(NOW, [], [known()]).cure == (CAUSE.key,)
    assert settle(NOW, [], [known(is_cure_owed=False)]).cure == ()
    assert settle(NOW, [], [known(is_open=False)]).cure == ()


def test_a_trouble_that_changes_its_face_is_told_anew_and_ends_once():
    (other,) = causes(Facts(NOW, broken("Outreach: refused to renew our access (invalid_grant)")))

    moves = settle(NOW, [other], [known()])

    assert moves.tell == (other,) and moves.cure == ()
    assert moves.hand_over == ((CAUSE.key, other.key),)


def test_lateness_settles_before_it_is_told():
    late = replace(PASS, reached_at=NOW - 60 * MINUTE, due_at=None)
    (cause,) = causes(Facts(NOW, WORKS, (late,)))
    row = Known(cause.key, cause.group, True, NOW)

    assert settle(NOW, [cause], ()).tell == ()
    assert settle(NOW + MINUTE, [cause], [row]).tell == ()
    assert settle(NOW + 2 * MINUTE, [cause], [row]).tell == (cause,)
    assert settle(NOW + MINUTE, [], [row]).forget == (cause.key,)


# --- Words --------------------------------------------------------------------------------------------------------
def test_a_subject_is_one_line_whatever_a_name_holds():
    said = opened("Acme\r\nBcc: all@example.com\x00\u202e" + "x" * 300, "s", since="9", link="", settings_link="")

    assert "\n" not in said.subject and "\r" not in said.subject and len(said.subject) <= 150
    assert one_line("a\u2028b") == "a b"


def test_a_chat_takes_nothing_for_markup():
    text = chat(Words("<!channel> @here", "<https://evil.example|click>"))

    assert "<" not in text and ">" not in text and "@here" not in text


def test_a_digest_says_what_stands_and_leads_to_it():
    facts = Digest(
        "Monday", [("Outreach needs a person", "https://s/c")], [("3 duplicates", "https://s/d")], [PassLine("P", "on", "9:00", "")]
    )
    said = digest(facts, link="https://s/", settings_link="https://s/alerts/")

    assert "1 to look at" in said.subject
    assert all(text in said.body for text in ("Outreach needs a person", "https://s/c", "3 duplicates", "“P” is on"))
    assert "Nothing is out of order" in digest(Digest("Monday"), link="", settings_link="").body
