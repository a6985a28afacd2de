"""Planted secrets are searched for wherever something leaves: pages, exports, logs, tracebacks, dumps, error pages."""

import hmac
import io
import json
import logging
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection as database
from django.test import Client, override_settings
from django.urls import path, reverse
from django.views.debug import ExceptionReporter

from reconciliation.models import AuditEntry, Case, Connection, Operation, RunEvent, SecondFactor
from reconciliation.services.webhooks import hooks_switch_on
from syncsite.logging import JsonFormatter, TextFormatter
from tests.admin.test_log_in import PASSWORD as LONG_ENOUGH
from tests.admin.test_log_in import enrol, enter, make_person
from tests.admin.test_pages import HOSTILE, PAGES, leave_behind, leave_people, leave_questions, shown, text_of
from tests.sandboxed import make
from tests.services.pairs import pem_of, rsa_key

pytestmark = pytest.mark.django_db
PASSWORD = "planted-password-of-root"
IN_FORMS = ("planted-api-key", "planted-form-password", "123987")
KEY = "jwt_key"
REDIS = "redis://:planted-redis-password@127.0.0.1:6379/0"
STOCK = ("password_change", "auth_user_changelist", "auth_user_export", "auth_user_add", "auth_group_changelist", "auth_group_add")


@pytest.fixture
def written():
    """Everything any logger says during the test, at every level, in both our formats."""
    stream, handlers = io.StringIO(), []
    for formatter in (JsonFormatter(), TextFormatter()):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        handlers.append(handler)
        logging.getLogger().addHandler(handler)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    yield stream
    logging.getLogger().setLevel(level)
    for handler in handlers:
        logging.getLogger().removeHandler(handler)


@pytest.fixture
def world(written, monkeypatch):
    """A sandbox whose systems failed in every way that writes something down, with hostile values in its records."""
    box = make()
    box.secrets = set()
    listen(box)
    remember(box)
    box.world.outreach.create_record("accounts", {"name": HOSTILE[:255]})
    box.organisation(HOSTILE[:255])
    box.organisation("Refused")
    box.run()
    for fault in (
        {"kind": "status", "status": 422, "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1},
        {"kind": "status", "status": 500, "system": "workbooks", "times": 1},
        {"kind": "expire_token", "system": "outreach", "times": 1},
        {"kind": "html", "system": "outreach", "times": 1},
        {"kind": "lost_answer", "system": "outreach", "method": "POST", "path": "/api/v2/accounts", "times": 1},
    ):
        box.organisation(f"After {fault['kind']}")
        box.world.faults.add(fault)
        box.run()
        remember(box)
    for _ in range(3):
        box.run(forward=7300)  # tokens are renewed
        remember(box)
    # The system echoes what it was sent, as some do.
    Connection.objects.filter(system="workbooks").update(last_error="refused")
    box.run(kind="preview")
    leave_behind(box)
    leave_questions(box)
    leave_people(box)
    Connection.objects.create(
        name="Salesforce by certificate",
        system="salesforce",
        base_url="http://127.0.0.1:8903",
        login_url="http://127.0.0.1:8903",
        secrets={"client_id": "3MVG9", "client_secret": "planted-consumer-secret", KEY: pem_of(rsa_key()).decode()},
        settings={"flow": "jwt", "jwt_user": "sync@seller.example", "certificate": {"subject": "CN=x", "ends_on": "2027-01-01"}},
    )
    remember(box)
    monkeypatch.setattr("reconciliation.engine.connections.open_connector", lambda row, **o: box.wiring.open_connector(row, **o))
    monkeypatch.setattr("reconciliation.jobs.async_task", lambda *a, **k: None)
    return box


def listen(box):
    """Switches the receiver of webhooks on, and lets one delivery come that is signed and one that is not."""
    hooks_switch_on(box.sync_pass.peer, None, wiring=box.wiring)
    secret, where = box.sync_pass.peer.secrets["hook_secret"], f"/hooks/outreach/{box.sync_pass.peer.pk}/"
    for signature in (hmac.new(secret.encode(), b"{}", "sha256").hexdigest(), "planted-signature"):
        box.secrets.add(signature)
        Client().post(where, b"{}", content_type="application/json", headers={"Outreach-Webhook-Signature": signature})


def remember(box):
    for row in Connection.objects.all():
        box.secrets |= {str(v) for k, v in row.secrets.items() if k not in ("username", "client_id", "expires_at") and len(str(v)) >= 8}
        box.secrets |= {line for line in row.secrets.get(KEY, "").splitlines() if len(line) > 20 and "-----" not in line}


@pytest.fixture
def root(world):
    """A superuser with a password and a second factor, logged in as a person is; what is secret of that is remembered."""
    call_command("migrate", verbosity=0)
    user = User.objects.create_superuser("root", password=PASSWORD)
    client = Client()
    enter(client, "root", PASSWORD)
    monkey = Client()
    enter(monkey, "root", "planted-wrong-password")
    import tests.admin.test_log_in as log_in

    log_in.PASSWORD, kept = PASSWORD, log_in.PASSWORD
    device, codes = enrol(client, user)
    log_in.PASSWORD = kept
    device.refresh_from_db()
    world.secrets |= {PASSWORD, "planted-wrong-password", device.secret["key"], device.key_text, *codes}
    world.secrets |= {settings.SECRET_KEY, *settings.FIELD_KEYS, client.session.session_key}
    assert len(world.secrets) > 15
    return client


def leaks(text, secrets):
    return sorted({s[:6] + "…" for s in secrets if s in text or quote(s, safe="") in text or json.dumps(s)[1:-1] in text})


def test_no_page_and_no_export_shows_a_secret(root, world):
    seen = [name for name, (_, method) in PAGES.items() if method == "get"]
    for name in seen:
        assert leaks(text_of(shown(root, name)), world.secrets) == [], name
    numbers = {
        "/auth/user/{}/change/": User.objects.filter(username="root"),
        "/connections/{}/": Connection.objects.all(),
        "/journal/{}/": Operation.objects.all(),
        "/errors/{}/": Case.objects.filter(kind="error"),
        "/events/{}/": RunEvent.objects.all(),
    }
    addresses = [reverse(f"admin:{name}") for name in STOCK]
    addresses += [where.format(pk) for where, rows in numbers.items() for pk in rows.values_list("pk", flat=True)]

    for where in addresses:
        answer = root.get(where)
        assert answer.status_code == 200 and leaks(text_of(answer), world.secrets) == [], where

    assert len(seen) > 50 and all(rows.exists() for rows in numbers.values())


def test_no_log_line_at_any_level_holds_a_secret(root, world, written, monkeypatch):
    def breaks(context, *_):
        secrets = world.secrets  # as a local variable
        raise RuntimeError(f"unforeseen, with {len(secrets)} secrets at hand")

    monkeypatch.setattr("reconciliation.engine.organisation_sweep.process_page", breaks)
    assert world.run().state == "failed"
    root.get("/nosuch/")
    root.post("/connections/", {"api_key": "planted-in-a-refused-form"})

    text = written.getvalue()
    assert "unforeseen" in text and "Traceback" in text and "/nosuch/" in text
    assert leaks(text, world.secrets | {"planted-in-a-refused-form"}) == []


def test_no_dump_holds_a_secret(root, world):
    out = io.StringIO()
    call_command("dumpdata", "--exclude", "sessions", stdout=out)

    text = out.getvalue()
    assert "After expire_token" in text and leaks(text, world.secrets) == []
    assert all(row["fields"].get("secrets", "") == "" for row in json.loads(text) if row["model"] == "reconciliation.connection")


def test_no_column_of_the_database_holds_a_secret_readable(root, world):
    """What a stolen file shows. Session keys are left out: a session table holds session keys."""
    found = {}
    with database.cursor() as cursor:
        for table in database.introspection.table_names(cursor):
            if table != "django_session":
                cursor.execute(f'SELECT * FROM "{table}"')
                if leak := leaks(str(cursor.fetchall()), world.secrets - {root.session.session_key}):
                    found[table] = leak

    assert found == {}


def broken(request):
    secrets = Connection.objects.first().secrets  # local variables of the frame that fails
    password = "planted-password-of-root"
    raise RuntimeError(f"broken with {len(secrets)} secrets and {len(password)} letters")


urlpatterns = [path("broken/", broken)]
handler500 = "django.views.defaults.server_error"


@override_settings(ROOT_URLCONF="tests.admin.test_secrets")
def test_a_forced_500_says_nothing_and_its_log_and_report_hold_no_secret(root, world, written):
    root.raise_request_exception = False

    answer = root.get("/broken/", headers={"authorization": "Bearer planted-bearer-token"})

    assert answer.status_code == 500 and "Something went wrong on our side" in text_of(answer)
    assert "RuntimeError" not in text_of(answer) and "Traceback" not in text_of(answer)
    assert answer.headers["Content-Security-Policy"]
    text = written.getvalue()
    assert "RuntimeError" in text  # the log says what happened
    assert leaks(text, world.secrets | {"planted-bearer-token"}) == []


@override_settings(REDIS_URL=REDIS, Q_CLUSTER={"redis": REDIS}, CACHES={"default": {"BACKEND": "x", "LOCATION": REDIS}})
def test_even_the_report_of_debug_hides_settings(root, rf):
    """DEBUG=1 is for developers; what Django shows of settings and of the request is masked nevertheless."""
    request = rf.post("/connections/1/", {"api_key": IN_FORMS[0], "password": IN_FORMS[1], "code": IN_FORMS[2]})
    try:  # the report shows the lines around, so none of them spells a secret
        raise RuntimeError("broken")
    except RuntimeError as error:
        report = ExceptionReporter(request, type(error), error, error.__traceback__)
        text = report.get_traceback_html() + report.get_traceback_text()

    planted = {settings.SECRET_KEY, *settings.FIELD_KEYS, REDIS.split("@")[0][9:], *IN_FORMS}
    assert leaks(text, planted) == []


def test_the_audit_log_holds_no_secret(root, world):
    row = Connection.objects.get(system="workbooks")
    world.world.workbooks.api_key = "planted-new-key"  # renewed there: whose key it is will be asked
    values = {"name": row.name, "base_url": row.base_url, "page_address_template": "", "settle_seconds": 0, "api_key": "planted-new-key"}
    answer = root.post(f"/connections/{row.pk}/", values)

    row.refresh_from_db()
    assert answer.status_code == 302 and row.secrets["api_key"] == "planted-new-key"
    assert "planted-new-key" not in world.secrets and row.name in AuditEntry.objects.get(action="change connection").subject
    text = str(list(AuditEntry.objects.values()))
    assert "log in" in text
    assert leaks(text, world.secrets | {"planted-new-key"}) == []
    assert SecondFactor.objects.count() == 1


def test_hostile_values_in_forms_and_addresses_come_back_escaped(root, world):
    for where in ("/why/?q=", "/runs/?state=", "/duplicates/?name=", "/errors/?reason=", "/audit/?username=", "/login/?next="):
        answer = (Client() if "login" in where else root).get(where + quote(HOSTILE), follow=where.startswith("/why/"))
        assert answer.status_code == 200 and "<script>alert" not in text_of(answer), where
    answer = Client().post("/login/", {"username": HOSTILE, "password": "x", "next": HOSTILE})
    assert answer.status_code == 200 and "<script>alert" not in text_of(answer) and "&lt;script&gt;alert" in text_of(answer)


@pytest.mark.parametrize(
    "away", ["https://evil.example/x", "//evil.example", "/\\evil.example/", "https:evil.example", "javascript:alert(1)"]
)
def test_a_log_in_leads_to_no_other_site(away):
    make_person("vera", "viewer")
    client = Client()

    form = client.get("/login/", {"next": away})
    answer = client.post("/login/?" + urlencode({"next": away}), {"username": "vera", "password": LONG_ENOUGH, "next": away})

    assert 'action="https://evil' not in text_of(form)
    assert (answer.status_code, answer.headers["Location"]) == (302, reverse("admin:index"))
    assert client.get(answer.headers["Location"]).status_code == 200


def test_a_log_in_leads_to_the_page_that_was_asked_for():
    make_person("vera", "viewer")
    client = Client()

    asked = client.get("/runs/?state=failed")
    answer = client.post(asked.headers["Location"], {"username": "vera", "password": LONG_ENOUGH, "next": "/runs/?state=failed"})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/runs/?state=failed")
