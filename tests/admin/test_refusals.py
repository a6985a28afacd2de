"""What was tried and refused: each role against each address, forged sessions, missing CSRF tokens. `pytest -s` prints
the table."""

import re
from datetime import timedelta

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core import signing
from django.core.management import call_command
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from reconciliation.admin.routes import ROUTES
from reconciliation.models import AuditEntry
from reconciliation.services.retention import retention_of
from tests.admin.test_pages import LEADS_ON, PAGES, RANK, address, log_in, world

BACKENDS, OTHER = "django.contrib.sessions.backends", "django.contrib.auth.backends.AllowAllUsersModelBackend"
pytestmark = pytest.mark.django_db
__all__ = ["world"]
TO_LOG_IN = 302
# Pages of a mailbox's own user, and what that user does there.
OF_A_MAILBOX = (
    "my-mailbox/unknown-people/",
    "my-mailbox/made-people/",
    "my-mailbox/made-people/<int:pk>/",
    "my-mailbox/blocklist/",
    "my-mailbox/save-emails/",
    "my-mailbox/shared/",
    "my-mailbox/shared/<int:pk>/",
    "my-mailbox/shared/emails/",
    "my-mailbox/share/",
)
DONE_IN_A_MAILBOX = (
    "my-mailbox/unknown-people/decide/",
    "my-mailbox/made-people/decide/",
    "my-mailbox/made-people/<int:pk>/complete/",
    *(f"my-mailbox/blocklist/{what}/" for what in ("add", "remove", "put-back")),
    "my-mailbox/save-emails/do/",
    *(f"my-mailbox/shared/{what}/" for what in ("take-back", "<int:pk>/send-update", "<int:pk>/links", "emails/take-back")),
    "my-mailbox/share/now/",
)
# What is not in PAGES: pages of Django's, and what machines ask for. Route -> what a visitor gets by GET and by POST, and
# what anybody of our roles gets, none of whom is a superuser; None is not tried, since everybody may.
STOCK = {
    "healthz": (503, 405, 503, 405),
    "metrics": (404, 405, 404, 405),  # no such page without METRICS_TOKEN
    "hooks/outreach/<int:connection_id>/": (405, 401, 405, 401),  # the signature is the permission
    "login/": (200, None, 302, None),
    "logout/": (TO_LOG_IN, TO_LOG_IN, 405, None),
    "password_change/": (TO_LOG_IN, TO_LOG_IN, 200, None),
    "password_change/done/": (TO_LOG_IN, TO_LOG_IN, 200, 405),
    "autocomplete/": (TO_LOG_IN, TO_LOG_IN, 403, 405),
    "jsi18n/": (TO_LOG_IN, TO_LOG_IN, 200, 405),
    "r/<path:content_type_id>/<path:object_id>/": (TO_LOG_IN, TO_LOG_IN, 404, 404),
    "auth/user/export.csv": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "auth/user/<id>/password/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "auth/user/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "auth/user/add/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "auth/user/<path:object_id>/history/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "auth/user/<path:object_id>/delete/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "auth/user/<path:object_id>/change/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "auth/user/<path:object_id>/": (TO_LOG_IN, TO_LOG_IN, 302, 302),  # leads to …/change/
    "auth/group/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "auth/group/add/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "auth/group/<path:object_id>/history/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "auth/group/<path:object_id>/delete/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "auth/group/<path:object_id>/change/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "auth/group/<path:object_id>/": (TO_LOG_IN, TO_LOG_IN, 302, 302),
    "my-mailbox/": (TO_LOG_IN, TO_LOG_IN, 403, 403),  # a mailbox's own user alone: see `test_mailbox_pages`
    "my-mailbox/do/": (TO_LOG_IN, TO_LOG_IN, 405, 403),
    "my-mailbox/settings/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "my-mailbox/connect/": (TO_LOG_IN, TO_LOG_IN, 405, 403),
    "my-mailbox/connected/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    "my-mailbox/count/": (TO_LOG_IN, TO_LOG_IN, 403, 403),
    **dict.fromkeys(OF_A_MAILBOX, (TO_LOG_IN, TO_LOG_IN, 403, 403)),
    **dict.fromkeys(DONE_IN_A_MAILBOX, (TO_LOG_IN, TO_LOG_IN, 405, 403)),
    "hooks/microsoft/": (405, 400, 405, 400),  # what is no notice; a forged one is answered as a genuine one, and heard by nobody
    "hooks/microsoft/life/": (405, 400, 405, 400),
    "sign-in/<str:token>/": (200, 200, 200, 200),  # the token is the permission; this one is none, and signs nobody in
    "^(?P<app_label>auth)/$": (TO_LOG_IN, TO_LOG_IN, 404, 404),
    "(?P<url>.*)$": (TO_LOG_IN, TO_LOG_IN, 404, 404),
}
FOR_MACHINES = ("healthz", "metrics", "hooks/outreach/<int:connection_id>/", "hooks/microsoft/", "hooks/microsoft/life/")
# A form that would change something, were it let through: somebody with every right, the role that may do everything.
FORGED = {"name": "organisations", "username": "evil", "is_superuser": "on", "is_staff": "on", "is_active": "on", "post": "yes"}
FORGED |= {"usable_password": "true", "password1": "p" * 15, "password2": "p" * 15, "decision": "different", "reason": "x"}


def say(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def routes(patterns=None, before=""):
    """Yields the route and the name of every address of the site, through all that are included."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route, pattern.name


def stock_address(route):
    """Returns an address of that route; where it is of one person or role, those are there."""
    of = Group if "group" in route else User
    where = re.sub(r"<(path:)?(object_id|id)>", str(of.objects.order_by("pk").first().pk if of.objects.exists() else 1), route)
    where = re.sub(r"<path:content_type_id>|<int:connection_id>|<int:pk>|<str:token>", "1", where)
    return "/" + where.replace("^(?P<app_label>auth)/$", "auth/").replace("(?P<url>.*)$", "nosuch/")


def state_of_things():
    """What a refused request must not change: every row of ours, every person and role. What is written down about a
    log-in or an export is no change."""
    retention_of()  # its row is made with the defaults when first asked for
    kept = [m for label in ("reconciliation", "auth") for m in apps.get_app_config(label).get_models() if m is not AuditEntry]
    rows = {model._meta.label: list(model.objects.order_by("pk").values()) for model in kept}
    rows["roles"] = sorted(User.objects.values_list("username", "groups__name"))
    rows["may"] = sorted(Group.objects.values_list("name", "permissions__codename"))
    return rows


def test_every_address_of_the_site_is_tried_below():
    found = list(routes())

    assert {route for route, name in found if name not in PAGES} == set(STOCK)
    assert {name for _, name in found if name in PAGES} == set(PAGES)
    assert [(r, n) for r, _, n in ROUTES if (r, n) not in found] == []


@pytest.mark.parametrize("role", [None, *RANK])
def test_each_role_against_each_address_and_method(world, role):
    client, refused = Client(), 0
    if role:
        log_in(client, role)
    else:
        call_command("migrate", verbosity=0)
        User.objects.create_user("somebody", is_staff=True)
    addresses = {name: address(name) for name in PAGES}
    before, audited = state_of_things(), AuditEntry.objects.count()

    say("role", "address", "GET", "POST")
    for name, (least, method) in PAGES.items():
        where, may = addresses[name], role is not None and RANK[role] >= RANK[least]
        got = client.get(where).status_code
        posted = "" if may else client.post(where, FORGED).status_code
        say(role or "visitor", where, got, posted)
        if role is None:
            assert (got, posted) == (TO_LOG_IN, TO_LOG_IN), name
        elif may:
            assert got == (405 if method == "post" else 302 if name in LEADS_ON else 200), (role, name, got)
        else:
            assert (got, posted) == (405 if method == "post" else 403, 403), (role, name, got, posted)
        refused += not may
    for route, (visitor_gets, visitor_posts, person_gets, person_posts) in STOCK.items():
        where = stock_address(route)
        gets, posts = (person_gets, person_posts) if role else (visitor_gets, visitor_posts)
        got = client.get(where).status_code
        posted = client.post(where, FORGED).status_code if posts else None
        say(role or "visitor", where, got, posted)
        assert (got, posted) == (gets, posts), (role, where)

    assert state_of_things() == before
    assert refused == sum(role is None or RANK[role] < RANK[least] for least, _ in PAGES.values())
    if role in (None, "nobody"):
        assert AuditEntry.objects.exclude(action="log-in failed").count() == audited  # by the link that is none


def test_no_other_addresses_than_these_exist():
    """Django-q's pages (a schedule may run any path), axes' and django-otp's are not there."""
    models = {p.pattern._route for p in get_resolver().url_patterns[-1].url_patterns if hasattr(p, "url_patterns")}

    assert models == {"auth/user/", "auth/group/"}


def test_every_change_needs_its_csrf_token(world):
    client = Client(enforce_csrf_checks=True)
    log_in(client, "admin")
    User.objects.filter(username="a-admin").update(is_superuser=True)  # nothing else may be the reason
    posts = [address(name) for name in PAGES] + [stock_address(route) for route in STOCK if route not in FOR_MACHINES]
    before = state_of_things()

    for where in posts:
        for headers in ({}, {"origin": "https://evil.example"}, {"x-csrftoken": "a" * 64}):
            got = client.post(where, {"csrfmiddlewaretoken": "b" * 64, **FORGED}, headers=headers).status_code
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
    store.update({SESSION_KEY: str(user.pk), BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[-1], **values})
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

    answers = {"/": 200, "/runs/": 200, "/login/": 200, "/nosuch/": 404, "/schedule/": 403, "/passes/organisations/run/": 405}
    for where, status in answers.items():
        got = client.get(where) if where != "/login/" else Client().get(where)
        assert got.status_code == status, where
        policy = got.headers["Content-Security-Policy"]
        assert "unsafe" not in policy and "default-src 'self'" in policy and "frame-ancestors 'none'" in policy, where
        assert got.headers["Content-Type"] == "text/html; charset=utf-8", where
        assert got.headers["X-Content-Type-Options"] == "nosniff" and got.headers["X-Frame-Options"] == "DENY"
        assert got.headers["Referrer-Policy"] == "same-origin" and got.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        if status == 200:
            assert "no-store" in got.headers["Cache-Control"], where


def test_a_foreign_host_name_is_refused(world):
    assert Client().get("/login/", headers={"host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("method", ["put", "delete", "patch", "trace", "options"])
def test_other_methods_change_nothing(world, method):
    client = Client()
    log_in(client, "admin")
    addresses = {name: address(name) for name in PAGES}
    before = state_of_things()

    for name, where in addresses.items():
        got = getattr(client, method)(where).status_code
        assert got == 405, (name, got)

    assert state_of_things() == before
