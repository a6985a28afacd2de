"""Tokens of single mailboxes: encrypted with the mailbox, one refresher at a time, never those of another consent."""

from __future__ import annotations

import pytest

from connectors.oauth import Tokens
from reconciliation.engine.connections import MailboxTokens, PassingTokens, mailbox_tokens
from reconciliation.engine.hosts import is_allowed_host
from reconciliation.models import Connection, Mailbox

pytestmark = pytest.mark.django_db


@pytest.fixture
def mailbox() -> Mailbox:
    row = Connection.objects.create(name="Google", system="google", base_url="https://people.googleapis.com")
    return Mailbox.objects.create(connection=row, address="Ann@example.test", settings={"view": "mine"})


def test_tokens_are_kept_with_the_mailbox_and_read_again_with_their_scope(mailbox):
    store = mailbox_tokens(mailbox.connection_id, "ann@EXAMPLE.test")

    store.load()
    store.save(Tokens("access", "refresh", scope="contacts"))

    assert isinstance(store, MailboxTokens)
    again = MailboxTokens(mailbox.pk).load()
    assert (again.access_token, again.refresh_token, again.scope) == ("access", "refresh", "contacts")
    mailbox.refresh_from_db()
    assert (mailbox.settings, mailbox.connection.secrets) == ({"view": "mine"}, {})


def test_one_refreshes_at_a_time_and_an_unfinished_renewal_is_told(mailbox):
    slept: list[float] = []
    first, second = (MailboxTokens(mailbox.pk, sleep=slept.append) for _ in range(2))

    with first.lock() as mine, second.lock() as theirs:
        assert (mine, theirs) == (True, False) and sum(slept) == pytest.approx(5)  # it waited a moment, and gave up
    with second.lock() as free:
        assert free
    assert (first.begin(), second.begin()) == (False, True)
    second.settle()
    assert first.begin() is False


def test_tokens_of_an_older_consent_do_not_replace_newer_ones(mailbox):
    old, new = MailboxTokens(mailbox.pk), MailboxTokens(mailbox.pk)
    old.load()
    new.load()
    new.save(Tokens("newer", "consent"))

    old.save(Tokens("older", "gone"))

    assert MailboxTokens(mailbox.pk).load().access_token == "newer"


def test_each_part_of_a_mailbox_keeps_a_token_of_its_own(mailbox):
    whole, calendar = (mailbox_tokens(mailbox.connection_id, mailbox.address, part=part) for part in ("", "calendar"))
    whole.load()
    calendar.load()

    whole.save(Tokens("of contacts", scope="contacts"))
    calendar.save(Tokens("of the calendar", scope="calendar"))
    whole.save(Tokens("of contacts, later", scope="contacts"))

    found = {part: MailboxTokens(mailbox.pk, part=part).load() for part in ("", "calendar", "tasks")}
    assert {part: (t.access_token, t.scope) for part, t in found.items()} == {
        "": ("of contacts, later", "contacts"),
        "calendar": ("of the calendar", "calendar"),
        "tasks": ("", ""),
    }


def test_an_address_that_is_no_mailbox_here_keeps_nothing(mailbox):
    store = mailbox_tokens(mailbox.connection_id, "nobody@example.test")
    store.save(Tokens("access"))

    assert isinstance(store, PassingTokens) and store.load().access_token == "access"
    assert Mailbox.objects.get().secrets == {}


@pytest.mark.parametrize(
    ("system", "host"),
    [
        ("microsoft", "graph.microsoft.com"),
        ("microsoft", "login.microsoftonline.com"),
        ("google", "people.googleapis.com"),
        ("google", "oauth2.googleapis.com"),
        ("google", "accounts.google.com"),
    ],
)
def test_the_real_systems_may_be_reached_without_a_setting(system, host):
    assert is_allowed_host(system, host)
    assert not is_allowed_host(system, f"{host}.evil.example")


def test_every_system_has_hosts_of_its_own():
    assert not [system for system in Connection.System.values if is_allowed_host(system, "evil.example")]
