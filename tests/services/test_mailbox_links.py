"""The one-time link by which a mailbox user signs in, and what that user may see."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core import mail
from django.test import Client, RequestFactory
from django.utils import timezone

from reconciliation.admin.routes import ROUTES
from reconciliation.engine import outbox
from reconciliation.models import AuditEntry, Mailbox, Message
from reconciliation.roles import OWN_MAILBOX
from reconciliation.services.log_ins import locks
from reconciliation.services.mailbox_links import link_send, link_use
from reconciliation.services.mailboxes import MailboxRefused
from tests.boxes import boxes

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture(autouse=True)
def mailing(settings: Any) -> None:
    settings.MAIL_IS_CONFIGURED, settings.SITE_URL = True, "https://sync.example.com"


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox.objects.get(address=boxes().mine)


def sent_link() -> str:
    """Sends what waits, and returns the token of the last mail's link."""
    outbox.send_due(timezone.now())
    found = re.findall(r"https://sync\.example\.com/sign-in/([\w-]{43})/", mail.outbox[-1].body)
    assert len(found) == 1
    return str(found[0])


def test_a_link_works_once_for_its_own_mailbox(mailbox: Mailbox) -> None:
    link_send(mailbox, None)
    stored = Message.objects.get()
    token = sent_link()

    assert mail.outbox[-1].to == [mailbox.address]
    assert token not in stored.body and "{sign-in link}" in stored.body  # only its digest is stored, anywhere
    assert token not in str(list(Mailbox.objects.values())) and Mailbox.objects.get(pk=mailbox.pk).link_digest
    user = link_use(token)
    assert user is not None and user == Mailbox.objects.get(pk=mailbox.pk).user
    assert (user.is_staff, user.is_superuser, user.has_usable_password()) == (False, False, False)
    assert User.objects.get(pk=user.pk).get_all_permissions() == {OWN_MAILBOX}
    assert link_use(token) is None
    actions = AuditEntry.objects.filter(subject=mailbox.address).order_by("pk").values_list("action", "username")
    assert list(actions)[-2:] == [("send sign-in link", ""), ("use sign-in link", user.username)]


def test_a_link_ends_after_a_day_and_when_another_is_sent(mailbox: Mailbox) -> None:
    link_send(mailbox, None)
    first = sent_link()
    with pytest.raises(MailboxRefused, match="less than five minutes ago"):
        link_send(mailbox, None)
    Mailbox.objects.update(link_sent_at=timezone.now() - timedelta(minutes=6))
    link_send(mailbox, None)
    second = sent_link()

    assert link_use(first) is None
    ends_at = Mailbox.objects.get(pk=mailbox.pk).link_ends_at
    assert timedelta(hours=23) < ends_at - timezone.now() <= timedelta(hours=24)
    Mailbox.objects.update(link_ends_at=timezone.now() - timedelta(seconds=1))
    assert link_use(second) is None
    assert User.objects.filter(mailbox=mailbox).count() == 1


def test_a_mail_that_is_tried_again_brings_a_link_that_works(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    link_send(mailbox, None)
    with monkeypatch.context() as broken:
        broken.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", lambda *a: (_ for _ in ()).throw(OSError()))
        outbox.send_due(timezone.now())
    Message.objects.update(next_try_at=timezone.now())

    assert link_use(sent_link()) is not None


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "x" * 300, "\x00", "ü" * 43, "\ud800"])
def test_what_is_no_link_signs_nobody_in(mailbox: Mailbox, token: str) -> None:
    assert link_use(token) is None


def test_wrong_links_count_like_wrong_log_ins(mailbox: Mailbox, settings: Any) -> None:
    link_send(mailbox, None)
    token = sent_link()
    request = lambda address: RequestFactory().post("/sign-in/x/", REMOTE_ADDR=address)  # noqa: E731

    for n in range(settings.AXES_FAILURE_LIMIT):
        assert link_use(f"wrong{n}", request("192.0.2.7")) is None

    assert link_use(token, request("192.0.2.7")) is None  # not looked at any more
    assert [lock.address for lock in locks()] == ["192.0.2.7"]
    assert link_use(token, request("192.0.2.8")) is not None


def test_only_operators_and_the_mailboxs_own_user_send_a_link(mailbox: Mailbox) -> None:
    with pytest.raises(MailboxRefused):
        link_send(mailbox, User.objects.create(username="eve"))
    assert not Message.objects.exists()


def test_a_link_opens_nobody_elses_account(mailbox: Mailbox, settings: Any) -> None:
    """Somebody who is called like the address, staff who own the mailbox, and people who were switched off."""
    admin = User.objects.create(username=mailbox.address, is_staff=True, is_superuser=True)
    link_send(mailbox, None)
    user = link_use(sent_link())
    assert user is not None and user != admin and user.username == f"{mailbox.address} ({mailbox.pk})"

    Mailbox.objects.update(link_sent_at=None)
    link_send(mailbox, None)
    token = sent_link()
    user.groups.add(Group.objects.get(name="viewer"))
    assert link_use(token) is None
    Mailbox.objects.update(link_sent_at=None)
    with pytest.raises(MailboxRefused, match="more rights than a mailbox user"):
        link_send(Mailbox.objects.get(pk=mailbox.pk), None)
    user.groups.clear()
    User.objects.filter(pk=user.pk).update(is_active=False)
    Mailbox.objects.update(link_sent_at=None)
    with pytest.raises(MailboxRefused, match="switched off"):
        link_send(Mailbox.objects.get(pk=mailbox.pk), None)
    Mailbox.objects.update(state="left")
    with pytest.raises(MailboxRefused, match="marked as left"):
        link_send(Mailbox.objects.get(pk=mailbox.pk), None)
    settings.MAIL_IS_CONFIGURED = False
    with pytest.raises(MailboxRefused, match="EMAIL_URL"):
        link_send(mailbox, None)


def test_a_mailbox_user_sees_no_page_of_staff(mailbox: Mailbox, client: Client) -> None:
    """The only right is `see_own_mailbox`: every other page says no, whatever is asked of it."""
    link_send(mailbox, None)
    client.force_login(link_use(sent_link()))  # type: ignore[arg-type]
    own = {"second_factor", "my_mailbox", "my_mailbox_do", "my_mailbox_settings", "my_mailbox_count"}
    own |= {"my_mailbox_connect", "my_mailbox_callback"}

    seen = {}
    for route, _, name in ROUTES:
        if name not in own and not name.startswith("my_mailbox"):  # each of those knows its user's mailbox alone
            path = "/" + re.sub(r"<(?:\w+:)?\w+>", "1", route)
            seen[name] = (client.get(path).status_code, client.post(path).status_code)

    open_ = {name: codes for name, codes in seen.items() if not set(codes) <= {403, 404, 405}}
    assert len(seen) > 50 and open_ == {}
    assert client.get("/").status_code in (302, 403) and client.get("/auth/user/").status_code == 403
