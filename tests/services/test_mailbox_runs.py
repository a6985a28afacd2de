"""Which mailboxes a pass goes over, over real sockets as the command line does it."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command

from connectors.sandbox.server import SandboxServer
from connectors.sandbox.world import World
from reconciliation.models import Connection, Mailbox
from reconciliation.services.mailbox_runs import passes_due, sum_of
from tests.boxes import boxes

pytestmark = pytest.mark.django_db


def test_only_running_mailboxes_that_have_it_switched_on_are_gone_over() -> None:
    """S1.3: off until switched on; paused ones are left alone; asked for by name, the switch does not count."""
    box = boxes()
    assert list(passes_due(box.parent)) == []

    box.set("ann@example.test", contacts=True)
    box.set("bob@example.test", contacts=True)
    Mailbox.objects.filter(address="bob@example.test").update(state=Mailbox.State.PAUSED)

    assert [p.mailbox.address for p in passes_due(box.parent)] == ["ann@example.test"]
    assert [p.mailbox.address for p in passes_due(box.parent, "BOB@example.test")] == ["bob@example.test"]
    with pytest.raises(LookupError):
        list(passes_due(box.parent, "nobody@example.test"))


def test_an_address_that_two_systems_have_is_named_with_its_system() -> None:
    box = boxes()
    google = Connection.objects.create(name="Google", system="google", base_url="http://127.0.0.1:9", is_sandbox=True)
    there = Mailbox.objects.create(connection=google, address="ann@example.test")

    with pytest.raises(LookupError, match="name it as microsoft:ann@example.test or google:ann@example.test"):
        list(passes_due(box.parent, "ann@example.test"))
    assert [p.mailbox for p in passes_due(box.parent, "Google:ann@example.test")] == [there]
    Mailbox.objects.filter(pk=there.pk).update(state=Mailbox.State.ENDED)
    with pytest.raises(LookupError, match="was ended"):
        list(passes_due(box.parent, "google:ann@example.test"))


def test_ledgers_are_added_up() -> None:
    names = ("seen", "created", "updated", "unchanged", "duplicates", "failed", "held")
    one = {**dict.fromkeys(names, 1), "excluded": {"deleted": 1}, "related": {}, "calls": {"salesforce": 1}}

    total = sum_of([one, one])

    assert (total["mailboxes"], total["seen"], total["excluded"], total["calls"]) == (2, 2, {"deleted": 2}, {"salesforce": 2})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["contacts"], "No mailbox has this pass switched on"),
        (["contacts", "--mailbox", "nobody@example.test"], "There is no mailbox"),
        (["contacts", "--apply", "1"], "--apply is for one mailbox"),
        (["contacts", "--apply", "1", "--dry-run"], "not both"),
        (["contacts", "--mailbox", "ann@example.test", "--apply", "77"], "no run 77 of this mailbox"),
        (["contacts", "--budget", "0"], "above 0"),
    ],
)
def test_the_command_says_what_is_wrong(options: list[str], sentence: str) -> None:
    boxes()
    told = StringIO()

    with pytest.raises(SystemExit) as end:
        call_command("runpass", *options, stderr=told)

    assert (end.value.code, sentence in told.getvalue()) == (2, True)


@pytest.mark.django_db(transaction=True)
def test_the_command_runs_each_mailbox_and_prints_one_ledger_each_and_their_sum() -> None:
    """S4.10: forced, from the command line, over real sockets."""
    world = World(scenario="empty")
    server = SandboxServer(world, 0).start()
    try:
        box = boxes(world=world)
        for name in ("salesforce", "microsoft"):
            address = world.base_urls[name]
            Connection.objects.filter(system=name).update(base_url=address, login_url=address)
        for address in box.passes:
            box.set(address, contacts=True)
        box.contact("Lind", "bo@acme.example")
        told = StringIO()

        call_command("runpass", "contacts", "--json", stdout=told)

        said = json.loads(told.getvalue())
        assert [ledger["created"] for ledger in said["mailboxes"]] == [1, 0]
        assert said["sum"]["created"] == 1
    finally:
        server.stop()
