"""Users and roles that are deleted, alone or many at once, stand in the audit log; so do people who delete themselves."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command

from reconciliation.models import AuditEntry, Case, Subscription
from reconciliation.services.audit import audit, audit_verify
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def root(client):
    call_command("migrate", verbosity=0)
    user = User.objects.create_superuser("root")
    client.force_login(user)
    return user


def said():
    return list(AuditEntry.objects.order_by("pk").values_list("username", "action", "subject"))


def delete_many(client, kind, rows):
    values = {"action": "delete_selected", "_selected_action": [row.pk for row in rows], "post": "yes"}
    return client.post(f"/auth/{kind}/", values, follow=True)


def test_one_user_and_one_role_that_are_deleted_are_recorded(client, root):
    user, group = User.objects.create_user("ivy"), Group.objects.create(name="guests")
    user.groups.add(group)

    client.post(f"/auth/user/{user.pk}/delete/", {"post": "yes"})
    client.post(f"/auth/group/{group.pk}/delete/", {"post": "yes"})

    assert said() == [("root", "delete user", "ivy"), ("root", "delete role", "guests")]
    assert not User.objects.filter(pk=user.pk).exists() and not Group.objects.filter(pk=group.pk).exists()


def test_many_that_are_deleted_at_once_are_recorded_one_by_one(client, root):
    users = [User.objects.create_user(name) for name in ("ann", "bob", "eve")]
    groups = [Group.objects.create(name=name) for name in ("guests", "interns")]

    delete_many(client, "user", users)
    delete_many(client, "group", groups)

    assert sorted(said()) == sorted(
        [*(("root", "delete user", u.username) for u in users), *(("root", "delete role", g.name) for g in groups)]
    )
    assert list(User.objects.values_list("username", flat=True)) == ["root"]
    assert not Group.objects.filter(name__in=("guests", "interns")).exists()


def test_what_cannot_be_recorded_is_not_deleted(client, root, monkeypatch):
    users = [User.objects.create_user(name) for name in ("ann", "bob")]

    def full(*arguments, **detail):
        raise OSError("disk full")

    monkeypatch.setattr("reconciliation.admin.people.audit", full)

    with pytest.raises(OSError, match="disk full"):
        delete_many(client, "user", users)

    assert User.objects.filter(username__in=("ann", "bob")).count() == 2


def test_what_somebody_decided_stays_when_that_person_is_deleted(client, root):
    box, ivy = make(), User.objects.create_user("ivy")
    values = {"sync_pass": box.sync_pass, "kind": "error", "crm_id": "1", "reason": "x", "sentence": "x", "opened_at": box.clock.at}
    case = Case.objects.create(**values, state="resolved", decided_by=ivy, assigned_to=ivy, open_by=ivy)
    Subscription.objects.create(user=ivy, address="ivy@example.com")
    audit(ivy, "try", "thing")

    delete_many(client, "user", [ivy])

    case.refresh_from_db()
    assert (case.state, case.decided_by) == ("resolved", None)
    assert said() == [("ivy", "try", "thing"), ("root", "delete user", "ivy")] and audit_verify().broken is None
    assert client.get("/audit/").status_code == 200


@pytest.mark.parametrize("many", [False, True])
def test_a_superuser_who_deletes_himself_is_recorded_and_logged_out(client, root, many):
    other = User.objects.create_superuser("zoe")

    if many:
        answer = delete_many(client, "user", [root, other])
    else:
        answer = client.post(f"/auth/user/{root.pk}/delete/", {"post": "yes"}, follow=True)

    expected = [("root", "delete user", "root"), *([("root", "delete user", "zoe")] if many else [])]
    assert sorted(said()) == expected and audit_verify().broken is None
    assert answer.redirect_chain[-1][0].startswith("/login/")
    assert client.get("/").status_code == 302
