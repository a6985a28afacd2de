"""When a mailbox is suspended, when its person has left, and what never does either (D11, S4.11)."""

from __future__ import annotations

from typing import Any

import pytest

from reconciliation.core.alerts import MOST_SUSPENDED, Facts, SuspendedMailbox, causes
from reconciliation.models import Alert, AuditEntry, Binding, Connection, Mailbox, Message, Run, Subscription, SyncPass
from reconciliation.services.alert_facts import pass_facts
from reconciliation.services.alert_watch import watch
from reconciliation.services.audit import audit_verify
from reconciliation.services.mailbox_directory import mailboxes_look_after
from reconciliation.services.mailbox_states import mailbox_resume
from tests.boxes import Boxes, boxes

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def box() -> Boxes:
    return boxes()


def row(box: Boxes, address: str = "") -> Mailbox:
    return Mailbox.objects.get(address=address or box.mine)


def set_state(box: Boxes, state: str, address: str = "") -> None:
    """Changes the mailbox at the played Microsoft: ok, denied, gone, not_enabled."""
    user = next(u for u in box.mail.list_records("user") if u["mail"] == (address or box.mine))
    box.mail.update_record("user", box.mail.find_id("user", user["id"]), {"state": state})


def state_of(system: str) -> str:
    return str(Connection.objects.get(system=system).state)


def test_six_failed_runs_in_a_row_suspend_the_mailbox_and_staff_are_told(box: Boxes, settings: Any, django_user_model: Any) -> None:
    """S4.11, D11: the state and its reason are visible, staff get a mail, an alert stands on the dashboard."""
    settings.MAIL_IS_CONFIGURED = True
    olga = django_user_model.objects.create(username="olga", is_staff=True, is_superuser=True)
    Subscription.objects.create(user=olga, address="olga@example.test", kinds=["mailbox"])
    box.run()
    set_state(box, "denied")

    for n in range(1, 6):
        assert box.run().state == "interrupted"
        assert (row(box).state, row(box).failed_runs) == ("active", n)
    box.run()

    suspended = row(box)
    assert (suspended.state, suspended.failed_runs, suspended.state_by) == ("suspended", 6, "")
    assert box.mine in suspended.state_reason and "Allow our app to use this mailbox" in suspended.state_reason
    assert state_of("microsoft") == "ok"  # nothing is the matter with the connection
    assert row(box, box.theirs).state == "new" and box.run(box.theirs).state == "finished"
    watch(box.clock())
    alert = Alert.objects.get(key=f"mailbox:{suspended.pk}")
    assert (alert.title, alert.is_open) == (f"The mailbox {box.mine} was suspended", True)
    assert Message.objects.get().address == "olga@example.test"
    set_state(box, "ok")
    mailbox_resume(suspended, None)
    assert box.run().state == "finished" and (row(box).state, row(box).failed_runs) == ("active", 0)
    box.clock.forward(60)
    watch(box.clock())
    assert not Alert.objects.get(key=alert.key).is_open


@pytest.mark.parametrize(("state", "runs", "action"), [("denied", 7, "suspend mailbox"), ("gone", 2, "mailbox left")])
def test_what_a_run_does_to_its_mailbox_stands_in_the_audit_log_with_the_reason(box: Boxes, state: str, runs: int, action: str) -> None:
    box.run()
    set_state(box, state)
    for _ in range(runs):
        box.run()

    entry = AuditEntry.objects.get(action=action)
    assert (entry.subject, entry.user_id, entry.username) == (box.mine, None, "")
    assert entry.detail["connection"] == "Microsoft 365" and len(entry.detail["reason"]) > 20
    assert audit_verify().broken is None


def test_a_good_run_begins_the_count_anew(box: Boxes) -> None:
    box.run()
    for state in ("denied", "ok", "denied"):
        set_state(box, state)
        for _ in range(4 if state == "denied" else 1):
            box.run()
    assert (row(box).state, row(box).failed_runs) == ("active", 4)


@pytest.mark.parametrize(
    "fault",
    [
        {"system": "salesforce", "kind": "status", "status": 503},
        {"system": "microsoft", "kind": "status", "status": 503},
        {"system": "microsoft", "kind": "status", "status": 429},
        {"system": "microsoft", "kind": "status", "status": 401, "code": "InvalidAuthenticationToken"},
    ],
    ids=["salesforce is down", "microsoft is down", "throttled", "the app's token is refused"],
)
def test_the_trouble_of_a_connection_suspends_nobody(box: Boxes, fault: dict[str, Any]) -> None:
    """Engine-rules 4: it would suspend a thousand mailboxes at once."""
    box.run()
    box.world.faults.add(fault)

    states = {box.run(forward=3600).state for _ in range(7)}

    assert states == {"interrupted"} and (row(box).state, row(box).failed_runs) == ("active", 0)
    assert state_of(fault["system"]) in ("waiting", "needs_attention")


def test_one_bad_record_never_suspends(box: Boxes) -> None:
    box.run()
    box.contact("Lind", "bo@acme.example")
    folder = "/v1.0/users/{id}/contactFolders/{id}/contacts"
    box.world.faults.add({"kind": "status", "status": 400, "system": "microsoft", "method": "POST", "path": folder})

    for _ in range(7):
        box.run()

    assert (row(box).state, row(box).failed_runs) == ("active", 0)


def test_a_preview_counts_nothing(box: Boxes) -> None:
    set_state(box, "denied")

    assert box.run(kind=Run.Kind.PREVIEW).state == "interrupted"

    assert (row(box).failed_runs, state_of("microsoft")) == (0, "untested")


@pytest.mark.parametrize("system", ["microsoft", "google"])
def test_a_mailbox_that_is_gone_has_left_and_nothing_is_deleted(system: str) -> None:
    """The leaver: state left, nothing is deleted on either side, and resuming works when the person is back."""
    box = boxes(system)
    box.contact("Lind", "bo@acme.example")
    box.run()
    user = next(u for u in box.mail.list_records("user") if box.mine in (u.get("mail"), u.get("email")))
    key = box.mail.find_id("user", str(user["id"]))
    box.mail.update_record("user", key, {"state": "gone"} if system == "microsoft" else {"suspended": True})
    Mailbox.objects.update(secrets={})  # a token that is good still would go on for an hour

    assert box.run().state == "interrupted" and row(box).state == "active"  # it may be on its way to another server
    assert box.run().state == "interrupted"

    assert row(box).state == "left" and row(box).state_reason.endswith("Nothing was deleted. If the person is back, resume it on its page.")
    assert len(box.contacts()) == 1 and Binding.objects.filter(is_tombstone=False).count() == 1
    assert state_of(system) == "ok"
    box.mail.update_record("user", key, {"state": "ok"} if system == "microsoft" else {"suspended": False})
    mailbox_resume(row(box), None)
    assert box.run().state == "finished" and row(box).state == "active"
    assert len(box.folder()) == 1


def test_a_user_who_is_inactive_in_salesforce_has_left(box: Boxes) -> None:
    box.run()
    box.world.salesforce.update_record("User", box.users[box.mine], {"IsActive": False})

    done = mailboxes_look_after(wiring=box.wiring)
    again = mailboxes_look_after(wiring=box.wiring)

    assert (done.left, again.left) == (1, 0)
    assert row(box).state == "left" and "inactive" in row(box).state_reason
    assert row(box, box.theirs).state == "new"


def test_many_that_fail_together_are_the_connections_trouble(box: Boxes) -> None:
    """C10: somebody took the app's right to all mailboxes, or changed the domain; nobody left."""
    box.run()
    peer = Connection.objects.get(system="microsoft")
    Mailbox.objects.bulk_create(Mailbox(connection=peer, address=f"p{n}@example.test", state="active", failed_runs=3) for n in range(11))
    set_state(box, "gone")

    box.run()

    assert row(box).state == "active"
    assert (state_of("microsoft"), Mailbox.objects.filter(state="left").count()) == ("needs_attention", 0)


def test_many_suspended_are_told_in_one() -> None:
    told = tuple(SuspendedMailbox(n, f"p{n}@example.test", "Refused.") for n in range(MOST_SUSPENDED))

    found = causes(Facts(now=boxes().clock(), suspended=told, suspended_count=MOST_SUSPENDED + 3))

    assert len(found) == MOST_SUSPENDED + 1 and found[-1].title == "3 more mailboxes were suspended"


def test_the_facts_of_a_thousand_mailboxes_cost_few_queries(box: Boxes, django_assert_max_num_queries: Any) -> None:
    """They are read every minute: the pass over mailboxes is one pass, as late as the mailbox that waits longest."""
    peer = Connection.objects.get(system="microsoft")
    made = Mailbox.objects.bulk_create(Mailbox(connection=peer, address=f"p{n}@example.test", state="active") for n in range(300))
    common = {"parent": box.parent, "crm": box.parent.crm, "peer": peer, "mapping": box.parent.mapping, "is_on": True}
    SyncPass.objects.bulk_create(SyncPass(name=f"contacts:x{m.pk}", title="x", mailbox=m, next_due_at=box.clock(), **common) for m in made)
    SyncPass.objects.filter(parent=box.parent, name__in=[p.name for p in box.passes.values()]).update(next_due_at=box.clock())

    with django_assert_max_num_queries(8):
        facts = pass_facts()

    assert [(f.id, f.due_at) for f in facts] == [(box.parent.pk, box.clock())]
