"""Log-in: the lock after wrong passwords, second factors, sessions that end, passwords, and what the audit log says."""

import re
import time

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.test import Client, RequestFactory, override_settings
from django_otp.oath import TOTP

from reconciliation.models import AuditEntry, RoleRule, SecondFactor
from reconciliation.services.log_ins import locks
from syncsite.middleware import client_address

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
PASSWORD = "long-enough-words"


@pytest.fixture
def person():
    return make_person("vera", "viewer")


def make_person(name, role):
    call_command("migrate", verbosity=0)
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def enter(client, name="vera", password=PASSWORD, code="", **headers):
    return client.post("/login/", {"username": name, "password": password, "code": code, "next": "/"}, headers=headers)


def code_of(device, steps_ahead=0):
    totp = TOTP(bytes.fromhex(SecondFactor.objects.get(pk=device.pk).secret["key"]))
    totp.time = time.time() + 30 * steps_ahead
    return f"{totp.token():06d}"


def enrol(client, user):
    """Sets a second factor up as its person would, and returns it with its recovery codes."""
    client.post("/second-factor/start/", {"password": PASSWORD})
    device = SecondFactor.objects.get(user=user)
    page = client.post("/second-factor/confirm/", {"code": code_of(device)}).content.decode()
    SecondFactor.objects.update(last_step=-1)  # tests log in again within the same half minute
    return device, re.findall(r"<code>([A-Z0-9-]{29})</code>", page)


def said():
    return list(AuditEntry.objects.order_by("pk").values_list("username", "action", "subject"))


# --- The lock ----------------------------------------------------------------------------------------------------
def test_the_fifth_wrong_password_locks_the_name_from_there_and_says_until_when(client, person):
    for _ in range(4):
        assert enter(client, password="wrong").status_code == 200

    locked = enter(client, password="wrong")
    right = enter(client)

    assert locked.status_code == right.status_code == 429
    page = right.content.decode()
    assert "may try again" in page and f"{locks()[0].ends_at:%H:%M}" in page
    assert "_auth_user_id" not in client.session
    assert right.headers["Content-Security-Policy"].startswith("default-src 'self'; ")


def test_a_lock_holds_for_that_name_and_address_only(client, person):
    make_person("otto", "viewer")
    for _ in range(5):
        enter(client, password="wrong")

    assert enter(client, name="otto").status_code == 302
    assert Client(REMOTE_ADDR="10.9.9.9").post("/login/", {"username": "vera", "password": PASSWORD}).status_code == 302


def test_another_browser_name_does_not_get_round_the_lock(person):
    for number in range(5):
        answer = enter(Client(headers={"user-agent": f"browser {number}"}), password="wrong")

    assert answer.status_code == 429
    assert enter(Client(headers={"user-agent": "another"})).status_code == 429


def test_a_lock_ends_by_time_and_tries_during_it_do_not_prolong_it(client, person):
    from axes.models import AccessAttempt

    for _ in range(5):
        enter(client, password="wrong")
    before = locks()[0].ends_at
    enter(client, password="wrong")
    assert locks()[0].ends_at == before

    AccessAttempt.objects.update(attempt_time=before - 2 * settings.AXES_COOLOFF_TIME)

    assert locks() == []
    assert enter(client).status_code == 302


def test_an_admin_unlocks_and_an_operator_may_not(client, person):
    for _ in range(5):
        enter(Client(), password="wrong")
    operator, admin = Client(), Client()
    operator.force_login(make_person("olga", "operator"))
    admin.force_login(make_person("ada", "admin"))

    assert operator.post("/log-ins/unlock/", {"username": "vera"}).status_code == 403
    assert "vera" in admin.get("/log-ins/").content.decode()
    admin.post("/log-ins/unlock/", {"username": "vera"})

    assert enter(client).status_code == 302
    assert ("ada", "unlock log-in", "vera") in said()


@pytest.mark.parametrize("form", [{}, {"username": ""}, {"username": "nobody here"}])
def test_a_form_without_a_name_unlocks_nobody_and_removes_no_second_factor(client, person, form):
    enter(client)
    enrol(client, person)
    for _ in range(5):
        enter(Client(), password="wrong")
    admin = Client()
    admin.force_login(make_person("ada", "admin"))
    before = said()

    unlocked = admin.post("/log-ins/unlock/", {**form, "back": "/log-ins/"}, follow=True)
    removed = admin.post("/log-ins/remove-second-factor/", {**form, "back": "/log-ins/"}, follow=True)

    assert "is not locked any more" in unlocked.content.decode() and "has no second factor" in removed.content.decode()
    assert unlocked.redirect_chain == removed.redirect_chain == [("/log-ins/", 302)]
    assert said() == before and [lock.username for lock in locks()] == ["vera"] and SecondFactor.objects.count() == 1


@override_settings(PROXY_COUNT=1)
def test_behind_a_proxy_the_lock_counts_by_the_visitors_address_and_believes_no_invented_one(person):
    for number in range(5):
        answer = enter(Client(), password="wrong", **{"x-forwarded-for": f"10.0.0.{number}, 192.0.2.7"})

    assert answer.status_code == 429
    assert locks()[0].address == "192.0.2.7"
    assert enter(Client(), **{"x-forwarded-for": "192.0.2.8"}).status_code == 302


@pytest.mark.parametrize(
    ("count", "header", "expected"),
    [
        (0, "192.0.2.7", "127.0.0.1"),
        (1, "192.0.2.7", "192.0.2.7"),
        (1, "1.1.1.1, 192.0.2.7", "192.0.2.7"),
        (2, "1.1.1.1, 192.0.2.7, 10.0.0.1", "192.0.2.7"),
        (2, "192.0.2.7", "127.0.0.1"),
        (1, "<script>", "127.0.0.1"),
        (1, "", "127.0.0.1"),
        (1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_address_is_what_our_own_proxies_say(count, header, expected):
    with override_settings(PROXY_COUNT=count):
        assert client_address(RequestFactory().get("/", headers={"x-forwarded-for": header})) == expected


# --- The second factor -------------------------------------------------------------------------------------------
def test_a_second_factor_is_set_up_with_a_picture_and_asked_for_from_then_on(client, person):
    enter(client)
    client.post("/second-factor/start/", {"password": PASSWORD})
    page = client.get("/second-factor/").content.decode()
    assert "<svg" in page and "style=" not in page.split('class="qr"')[1].split("</div>")[0]
    device = SecondFactor.objects.get()
    session = client.session.session_key

    shown = client.post("/second-factor/confirm/", {"code": code_of(device)})
    SecondFactor.objects.update(last_step=-1)

    assert "no-store" in shown.headers["Cache-Control"]
    assert client.session.session_key != session
    assert client.get("/runs/").status_code == 200
    other = Client()
    assert "authenticator app as well" in enter(other).content.decode()
    assert enter(other, code="000000").status_code == 200
    SecondFactor.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    assert enter(other, code=code_of(device)).status_code == 302


def test_a_code_is_good_once(client, person):
    enter(client)
    device, _ = enrol(client, person)
    code = code_of(device)

    assert enter(Client(), code=code).status_code == 302
    assert enter(Client(), code=code).status_code == 200


def test_a_recovery_code_is_good_once_and_is_nowhere_readable(client, person):
    enter(client)
    device, codes = enrol(client, person)

    assert len(set(codes)) == 10
    assert enter(Client(), code=codes[0].lower()).status_code == 302
    assert enter(Client(), code=codes[0]).status_code == 200
    device.refresh_from_db()
    assert device.recovery_codes_left == 9
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM reconciliation_secondfactor")
        stored = cursor.fetchone()[0]
    assert device.secret["key"] not in stored and codes[1] not in str(device.secret)


def test_wrong_codes_lock_like_wrong_passwords(client, person):
    enter(client)
    enrol(client, person)

    answers = [enter(Client(), code="123 456").status_code for _ in range(5)]

    assert answers[-1] == 429


def test_changing_it_needs_the_password_and_the_code(client, person):
    enter(client)
    client.post("/second-factor/start/", {"password": "wrong"})
    assert not SecondFactor.objects.exists()
    device, _ = enrol(client, person)

    client.post("/second-factor/stop/", {"password": "wrong", "code": code_of(device)})
    client.post("/second-factor/stop/", {"password": PASSWORD, "code": "000000"})
    assert SecondFactor.objects.exists()
    SecondFactor.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    client.post("/second-factor/stop/", {"password": PASSWORD, "code": code_of(device)})

    assert not SecondFactor.objects.exists()
    assert client.get("/runs/").status_code == 200
    actions = [action for _, action, _ in said()]
    assert "second factor on" in actions and "second factor off" in actions


def test_a_role_that_needs_one_shows_nothing_else_before(client, person):
    admin = Client()
    admin.force_login(make_person("ada", "admin"))
    admin.post("/log-ins/require-second-factor/", {"group": ["viewer"]})
    assert RoleRule.objects.get(group__name="viewer").second_factor
    assert ("ada", "require second factor", "viewer") in said()

    enter(client)
    for where in ("/", "/runs/", "/dashboard/status.json", "/password_change/"):
        assert client.get(where).headers.get("Location") == "/second-factor/", where
    device, _ = enrol(client, person)

    assert client.get("/runs/").status_code == 200
    client.post("/second-factor/stop/", {"password": PASSWORD, "code": code_of(device)})
    assert SecondFactor.objects.exists()


def test_sessions_from_before_the_second_factor_end(client, person):
    elsewhere = Client()
    enter(elsewhere)
    elsewhere.get("/runs/")
    enter(client)
    enrol(client, person)
    session = elsewhere.session
    session["factor_asked_at"] = 0
    session.save()

    assert elsewhere.get("/runs/").headers["Location"].startswith("/login/")


def test_an_admin_removes_the_factor_of_a_lost_phone_but_not_a_superusers(client, person):
    enter(client)
    enrol(client, person)
    root = User.objects.create_superuser("root", password=PASSWORD)
    SecondFactor.objects.create(user=root, name="app", secret=SecondFactor.fresh_secret())
    admin = Client()
    admin.force_login(make_person("ada", "admin"))

    admin.post("/log-ins/remove-second-factor/", {"username": "vera"})
    admin.post("/log-ins/remove-second-factor/", {"username": "root"})

    assert list(SecondFactor.objects.values_list("user__username", flat=True)) == ["root"]
    assert ("ada", "remove second factor", "vera") in said()


# --- Sessions ----------------------------------------------------------------------------------------------------
def test_logging_in_changes_the_session_and_the_csrf_token(client, person):
    client.get("/login/")
    before, token = client.session.session_key, client.cookies["csrftoken"].value

    enter(client)

    assert client.session.session_key != before
    assert client.cookies["csrftoken"].value != token
    assert client.cookies["sessionid"]["httponly"] and client.cookies["csrftoken"]["httponly"]


@pytest.mark.parametrize("field", ["seen_at", "began_at"])
def test_a_session_ends_when_idle_and_when_old(client, person, field):
    enter(client)
    assert client.get("/runs/").status_code == 200
    session = client.session
    session[field] -= 1 + (settings.SESSION_IDLE_SECONDS if field == "seen_at" else settings.SESSION_COOKIE_AGE)
    session.save()

    assert client.get("/runs/").headers["Location"].startswith("/login/")
    assert "_auth_user_id" not in client.session


def test_what_a_page_fetches_by_itself_keeps_no_session_alive(client, person):
    enter(client)
    client.get("/runs/")
    session = client.session
    session["seen_at"] -= 600
    session.save()

    client.get("/dashboard/status.json", headers={"sec-fetch-mode": "cors"})
    fetched = client.session["seen_at"]
    client.get("/runs/", headers={"sec-fetch-mode": "navigate"})

    assert fetched == session["seen_at"] < client.session["seen_at"]


def test_logging_out_ends_the_session_for_good(client, person):
    enter(client)
    old = client.cookies["sessionid"].value
    client.post("/logout/")

    client.cookies["sessionid"] = old

    assert client.get("/runs/").headers["Location"].startswith("/login/")


# --- Passwords and the log ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "password", ["elevenchars", "password1234", "982374982374", "vera-verasson", "Workbooks-2026!", "my syncsite login"]
)
def test_weak_passwords_are_refused(password):
    with pytest.raises(ValidationError):
        validate_password(password, User(username="vera-verasson"))


def test_a_password_change_ends_other_sessions_and_says_who_made_it(client, person):
    elsewhere = Client()
    enter(elsewhere)
    enter(client)

    new = "another-long-password"
    client.post("/password_change/", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})

    assert client.get("/runs/").status_code == 200
    assert elsewhere.get("/runs/").status_code == 302
    assert ("vera", "change password", "vera") in said()


def test_log_ins_and_failures_are_in_the_audit_log_without_what_was_typed(client, person):
    enter(client, password="secret-typed")
    enter(client, name="my-password-in-the-wrong-field", password="x")
    for _ in range(7):
        enter(Client(), name="vera", password="secret-typed")
    enter(Client(REMOTE_ADDR="10.1.1.1"))

    found = said()
    assert found.count(("", "log-in failed", "vera")) == 5  # those during the lock add none
    assert found.count(("", "log-in locked", "vera")) == 1
    assert found.count(("", "log-in failed", "a name nobody has")) == 1
    assert ("vera", "log in", "vera") in found
    everything = str(list(AuditEntry.objects.values()))
    assert "secret-typed" not in everything and "wrong-field" not in everything and PASSWORD not in everything
