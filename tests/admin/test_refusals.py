"""What was tried and refused: each role against each address, forged sessions, missing CSRF tokens. `pytest -s` prints
the table."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core import signing
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from reconciliation.models import AuditEntry, Connection, Operation, SyncPass
from tests.admin.test_pages import PAGES, RANK, address, log_in, world

BACKENDS, OTHER = "django.contrib.sessions.backends", "django.contrib.auth.backends.AllowAllUsersModelBackend"
pytestmark = pytest.mark.django_db
__all__ = ["world"]
STOCK = {
    "/auth/user/": "superuser",
    "/auth/user/add/": "superuser",
    "/auth/group/": "superuser",
    "/auth/group/add/": "superuser",
    "/auth/": "superuser",
    "/password_change/": "nobody",
}


def say(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def state_of_things():
    """What a refused request must not change."""
    return (
        Operation.objects.count(),
        list(SyncPass.objects.values_list("is_on", "is_paused", "run_requested_at")),
        list(Connection.objects.values_list("name", "base_url")),
        User.objects.count(),
        AuditEntry.objects.count(),
    )


def test_each_role_against_each_address_and_method(world):
    say("role", "address", "GET", "POST")
    for role in (None, *RANK):
        client = Client()
        if role:
            log_in(client, role)
        before = state_of_things()
        for name, (least, method) in PAGES.items():
            where, may = address(name), role is not None and RANK[role] >= RANK[least]
            got = client.get(where).status_code
            posted = "" if may else client.post(where, {"name": "organisations"}).status_code
            say(role or "visitor", where, got, posted)
            if role is None:
                assert (got, posted) == (302, 302), name
            elif not may:
                assert got in (403, 405) and posted == 403, (role, name, got, posted)
                assert method == "get" or got in (403, 405)
        for where, least in STOCK.items():
            got = client.get(where).status_code
            say(role or "visitor", where, got, "")
            if role is None or least == "superuser":
                assert got in (302, 403, 404), (role, where, got)
        if role in (None, "nobody"):
            assert state_of_things() == before


def test_no_other_addresses_than_these_exist():
    """Django-q's pages (a schedule may run any path), axes' and django-otp's are not there."""
    models = {p.pattern._route for p in get_resolver().url_patterns[-1].url_patterns if hasattr(p, "url_patterns")}

    assert models == {"auth/user/", "auth/group/"}


def test_every_change_needs_its_csrf_token(world):
    client = Client(enforce_csrf_checks=True)
    log_in(client, "admin")
    before = state_of_things()

    posts = [address(name) for name, (_, method) in PAGES.items() if method == "post"]
    posts += ["/password_change/", "/logout/", "/schedule/", address("mapping_edit"), address("connection_edit")]
    for where in posts:
        for headers in ({}, {"origin": "https://evil.example"}, {"x-csrftoken": "a" * 64}):
            got = client.post(where, {"csrfmiddlewaretoken": "b" * 64}, headers=headers).status_code
            assert got == 403, (where, headers)
        say("admin without token", where, "", got)

    assert state_of_things() == before
    assert Client(enforce_csrf_checks=True).post("/login/", {"username": "x", "password": "y"}).status_code == 403


def test_a_csrf_token_of_another_session_is_refused(world):
    mine, theirs = Client(enforce_csrf_checks=True), Client(enforce_csrf_checks=True)
    log_in(mine, "admin")
    theirs.get("/login/")
    mine.get("/")

    token = theirs.cookies["csrftoken"].value

    assert mine.post("/passes/organisations/run/", {"csrfmiddlewaretoken": token}).status_code == 403


def session_of(user, **values):
    """A session as somebody who can write the table, but not sign, would make it."""
    store = SessionStore()
    store.update({SESSION_KEY: str(user.pk), BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[1], **values})
    store.create()
    return store.session_key


def cookie(value):
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = value
    return client


def test_forged_sessions_open_nothing(world):
    honest = Client()
    user = log_in(honest, "admin")
    right = {HASH_SESSION_KEY: user.get_session_auth_hash()}
    tries = {
        "an invented id": "x" * 32,
        "the user's number": str(user.pk),
        "a signed cookie instead of an id": signing.dumps(
            {SESSION_KEY: str(user.pk)}, salt="django.contrib.sessions.backends.signed_cookies"
        ),
        "a session without the password's hash": session_of(user),
        "a session with another password's hash": session_of(user, **{HASH_SESSION_KEY: "0" * 64}),
        "a session of a backend that is not ours": session_of(user, **right, **{BACKEND_SESSION_KEY: OTHER}),
        "hostile text": "<script>'\"%00;--",
    }
    salt = "django.contrib.sessions.SessionStore"
    forged = signing.dumps({SESSION_KEY: str(user.pk), **right}, key="another secret key", salt=salt, compress=True)
    Session.objects.create(session_key="forged" + "0" * 26, session_data=forged, expire_date=timezone.now() + timedelta(days=1))
    tries["a row signed with another key"] = "forged" + "0" * 26

    assert honest.get("/").status_code == 200
    for what, value in tries.items():
        got = cookie(value).get("/")
        say("forged", what, got.status_code, "")
        assert got.status_code == 302 and got.headers["Location"].startswith("/login/"), what


@pytest.mark.parametrize("loses", ["active", "staff", "role", "password", "account"])
def test_who_loses_the_right_loses_the_open_session(world, loses):
    client = Client()
    user = log_in(client, "admin")
    assert client.get("/connections/").status_code == 200

    if loses in ("active", "staff"):
        User.objects.filter(pk=user.pk).update(**{f"is_{loses}": False})
    elif loses == "role":
        user.groups.set([Group.objects.get(name="viewer")])
    elif loses == "password":
        user.set_password("set-by-an-admin-1")
        user.save()
    else:
        user.delete()

    got = client.get("/connections/").status_code
    say(f"lost {loses}", "/connections/", got, "")
    assert got == (403 if loses == "role" else 302)


def test_what_is_refused_is_logged_with_who_and_where(world, caplog):
    client = Client()
    log_in(client, "viewer")

    client.get("/schedule/")

    assert "refused: GET /schedule/ for a-viewer" in caplog.text


def test_nobody_makes_himself_more_than_he_is(world):
    client = Client()
    user = log_in(client, "admin")  # our role admin, no superuser

    client.post(f"/auth/user/{user.pk}/change/", {"username": user.username, "is_superuser": "on"})
    client.post("/auth/user/add/", {"username": "evil", "usable_password": "true", "password1": "p" * 15, "password2": "p" * 15})
    client.post("/password_change/", {"old_password": "x", "new_password1": "p" * 15, "is_superuser": "on"})

    user.refresh_from_db()
    assert not user.is_superuser and not User.objects.filter(username="evil").exists()


def test_every_answer_carries_the_headers(world):
    client = Client()
    log_in(client, "viewer")

    for where, status in (("/", 200), ("/login/", 200), ("/nosuch/", 404), ("/schedule/", 403), ("/passes/organisations/run/", 403)):
        got = client.get(where) if where != "/login/" else Client().get(where)
        assert got.status_code in (status, 405), where
        policy = got.headers["Content-Security-Policy"]
        assert "unsafe" not in policy and "default-src 'self'" in policy and "frame-ancestors 'none'" in policy, where
        assert got.headers["Content-Type"] == "text/html; charset=utf-8", where
        assert got.headers["X-Content-Type-Options"] == "nosniff" and got.headers["X-Frame-Options"] == "DENY"
        assert got.headers["Referrer-Policy"] == "same-origin" and got.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        if where not in ("/passes/organisations/run/",):
            assert "no-store" in got.headers.get("Cache-Control", "") or status in (403, 404), where


def test_a_foreign_host_name_is_refused(world):
    assert Client().get("/login/", headers={"host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("method", ["put", "delete", "patch", "trace", "options"])
def test_other_methods_change_nothing(world, method):
    client = Client()
    log_in(client, "admin")
    before = state_of_things()

    for name, _ in PAGES.items():
        got = getattr(client, method)(address(name)).status_code
        assert got == 405, (name, got)

    assert state_of_things() == before
