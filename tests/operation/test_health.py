"""What machines ask for: /healthz and /metrics, and the log lines that belong together."""

import json
import logging
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from reconciliation.engine import organisation_sweep, staff
from reconciliation.engine.threads import spread
from reconciliation.models import Case, Connection, Heartbeat, PassLease, Run, SyncPass
from syncsite.logging import JsonFormatter, TextFormatter, during_run, run_id
from tests.sandboxed import make

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
TOKEN = "a-token-for-the-monitor"


@pytest.fixture
def box():
    call_command("migrate", verbosity=0)
    box = make(at=timezone.now())
    box.run()
    Heartbeat.objects.update_or_create(id=1, defaults={"beat_at": timezone.now()})
    SyncPass.objects.update(next_due_at=timezone.now())
    return box


def probe(client):
    answer = client.get("/healthz")
    return answer.status_code, answer.json()


# --- /healthz -------------------------------------------------------------------------------------------------------
def test_a_site_at_work_is_healthy_without_a_log_in_and_without_a_session(box, client, django_assert_max_num_queries):
    with django_assert_max_num_queries(4):
        answer = client.get("/healthz")

    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert not answer.cookies and "no-store" in answer.headers["Cache-Control"]
    assert answer.json()["passes"][0]["is_too_old"] is False
    assert client.head("/healthz").status_code == 200


def test_a_heartbeat_that_stands_still_is_unhealthy(box, client):
    Heartbeat.objects.update(beat_at=timezone.now() - timedelta(seconds=200))
    assert probe(client)[0] == 503
    Heartbeat.objects.all().delete()

    code, said = probe(client)

    assert (code, said["heartbeat"]) == (503, {"age_seconds": None, "is_too_old": True})


def test_a_pass_that_no_run_begins_of_is_unhealthy_unless_nobody_wants_it(box, client):
    long_ago = timezone.now() - timedelta(minutes=10)
    Run.objects.update(started_at=long_ago, ended_at=long_ago)
    SyncPass.objects.update(next_due_at=long_ago)

    code, said = probe(client)

    assert code == 503 and said["passes"][0]["is_too_old"] and said["passes"][0]["last_run_age_seconds"] >= 600
    for values in ({"is_paused": True}, {"is_paused": False, "is_on": False}, {"is_on": True, "hold_reason": "a mapping"}):
        SyncPass.objects.update(**values)
        assert probe(client)[0] == 200, values


def test_a_system_that_is_down_is_no_fault_of_the_site(box, client):
    box.world.faults.add({"kind": "status", "status": 503, "system": "outreach"})
    box.organisation("Patient")
    for _ in range(6):
        assert box.run().state == "interrupted"
    box.sync_pass.refresh_from_db()
    Run.objects.update(started_at=timezone.now() - timedelta(minutes=10))
    SyncPass.objects.update(next_due_at=timezone.now() + timedelta(minutes=5))

    assert probe(client)[0] == 200


def test_it_tells_no_secret_name_or_address(box, client):
    Connection.objects.filter(system="outreach").update(state="needs_attention", last_error="Outreach: secret@example.com")
    said = client.get("/healthz").content.decode()
    hidden = [v for row in Connection.objects.all() for v in (*row.secrets.values(), row.base_url, row.name) if v]

    assert not any(text in said for text in hidden) and "secret@example.com" not in said


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_nothing_is_changed_here(box, client, method):
    assert getattr(client, method)("/healthz").status_code == 405
    assert getattr(client, method)("/metrics").status_code == 405


@pytest.mark.parametrize("url", ["sqlite:////nosuch/folder/x.sqlite3", "postgres://u:secret-pw@127.0.0.1:1/none"])
def test_without_a_database_both_say_so(project_root, url):
    script = (
        "import django; django.setup(); from django.test import Client; c = Client(headers={'host': '127.0.0.1'});"
        "h = c.get('/healthz'); m = c.get('/metrics', headers={'authorization': 'Bearer ' + 't' * 16});"
        "print(h.status_code, h.content.decode(), m.status_code, m.content.decode())"
    )
    env = {**os.environ, "DATABASE_URL": url, "METRICS_TOKEN": "t" * 16}
    done = subprocess.run([sys.executable, "-c", script], cwd=project_root, env=env, capture_output=True, text=True, timeout=300)

    assert done.stdout.split(" ", 1)[0] == "503", done.stderr
    assert '"database": "failing"' in done.stdout and " 503 The database does not answer." in done.stdout
    assert "secret-pw" not in done.stdout


# --- /metrics -------------------------------------------------------------------------------------------------------
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')


def parse(text):
    """Reads the text format 0.0.4 strictly: every line is a comment of a known kind or a whole sample, each family is
    declared once before its samples, no sample comes twice. Returns {(name, labels): value}."""
    assert text.endswith("\n")
    found, declared, current = {}, set(), ""
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            assert line.split(" ")[2] not in declared, line
        elif line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            assert kind == "gauge" and current not in declared
            declared.add(current)
        else:
            match = SAMPLE.fullmatch(line)
            assert match and match[1] == current, line
            labels = tuple(
                (name, re.sub(r'\\(["\\n])', lambda m: {"n": "\n"}.get(m[1], m[1]), value)) for name, value in LABEL.findall(match[2] or "")
            )
            assert (match[1], labels) not in found, line
            found[match[1], labels] = float(match[3])
    return found


def scrape(client, token=TOKEN):
    return client.get("/metrics", headers={"authorization": f"Bearer {token}"})


def value(found, name, **labels):
    (one,) = [v for (n, given), v in found.items() if n == name and labels.items() <= dict(given).items()]
    return one


def test_the_figures_are_those_of_the_database(box, client, settings, django_assert_max_num_queries):
    settings.METRICS_TOKEN = TOKEN
    box.world.outreach.create_record("accounts", {"name": "Twin"})
    for name in ("One", "Two", "Twin"):
        box.organisation(name)
    box.run()
    Connection.objects.filter(system="outreach").update(calls_remaining=9000, calls_limit=10000)
    PassLease.objects.create(name="channel:1:0", holder="host:1:abc", expires_at=timezone.now() + timedelta(minutes=1))

    with django_assert_max_num_queries(22):
        answer = scrape(client)

    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8" and "no-store" in answer.headers["Cache-Control"]
    found = parse(answer.content.decode())
    assert value(found, "syncsite_records_last_day", **{"pass": "organisations", "outcome": "created"}) == 2
    assert value(found, "syncsite_records_last_day", **{"pass": "organisations", "outcome": "duplicates"}) == 1
    assert value(found, "syncsite_runs_last_day", **{"pass": "organisations", "state": "finished"}) == 2
    assert value(found, "syncsite_open_cases", kind="duplicate") == 1 == Case.objects.count()
    assert value(found, "syncsite_backlog", **{"pass": "organisations"}) == 0
    assert value(found, "syncsite_lag_seconds", **{"pass": "organisations"}) > 0
    assert value(found, "syncsite_last_run_age_seconds", **{"pass": "organisations"}) < 300
    assert value(found, "syncsite_calls_remaining", system="outreach") == 9000
    assert value(found, "syncsite_lease_held", lease="channel:1:0", holder="host:1:abc") == 1
    assert value(found, "syncsite_queue_depth") == 0
    assert value(found, "syncsite_connection_state", system="outreach", state="ok") == 1


def test_hostile_names_stay_inside_their_quotes(box, client, settings):
    settings.METRICS_TOKEN = TOKEN
    name = 'a"} 1\nsyncsite_backlog{pass="x\\'
    Connection.objects.filter(system="outreach").update(name=name, calls_remaining=5)

    assert value(parse(scrape(client).content.decode()), "syncsite_calls_remaining", connection=name) == 5


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"bearer {TOKEN}",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer \xfc\xdf",
        f"Bearer  {TOKEN}",
    ],
)
def test_a_wrong_token_reads_nothing(box, client, settings, header):
    settings.METRICS_TOKEN = TOKEN
    client.force_login(User.objects.create_superuser("root"))  # a session is no token

    answer = client.get("/metrics", headers={"authorization": header})

    assert answer.status_code == 401 and b"syncsite_" not in answer.content


def test_without_a_token_there_is_no_such_page(box, client, settings):
    settings.METRICS_TOKEN = ""

    assert client.get("/metrics").status_code == scrape(client, "").status_code == 404


def test_only_pages_for_people_are_redirected_to_https(box, client, settings):
    settings.SECURE_SSL_REDIRECT, settings.METRICS_TOKEN = True, TOKEN

    assert client.get("/login/").status_code == 301
    assert client.get("/healthz").status_code == 200
    assert (client.get("/metrics").status_code, scrape(client, TOKEN).status_code) == (401, 200)


def test_every_answer_says_how_its_text_is_written(box, client, settings):
    settings.METRICS_TOKEN = TOKEN
    answers = [client.get("/metrics"), scrape(client, TOKEN)]
    settings.METRICS_TOKEN = ""

    assert [a.headers["Content-Type"].rpartition("; ")[2] for a in [*answers, client.get("/metrics")]] == ["charset=utf-8"] * 3


def test_years_of_runs_cost_a_scrape_no_more(box, client, settings, django_assert_max_num_queries):
    settings.METRICS_TOKEN = TOKEN
    old = timezone.now() - timedelta(days=2)
    Run.objects.bulk_create(Run(sync_pass=box.sync_pass, state="finished", started_at=old, ended_at=old, created=5) for _ in range(3000))

    with django_assert_max_num_queries(22):
        found = parse(scrape(client).content.decode())

    assert value(found, "syncsite_records_last_day", **{"pass": "organisations", "outcome": "created"}) == 0


# --- Log lines ------------------------------------------------------------------------------------------------------
class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.lines = []

    def emit(self, record):
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def kept():
    handler, root = Kept(), logging.getLogger("reconciliation")
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


def test_every_line_of_a_run_carries_its_number(box, kept, monkeypatch):
    log = logging.getLogger("reconciliation.somewhere")
    real = organisation_sweep.process_page
    monkeypatch.setattr(
        organisation_sweep, "process_page", lambda *a: (log.info("in the page"), list(spread(4)(log.info, ["t1", "t2"])), real(*a))[2]
    )
    box.organisation("One")

    run = box.run()

    lines = {line["message"]: line["run"] for line in kept.lines}
    assert lines["in the page"] == lines["t1"] == lines["t2"] == str(run.pk)
    assert next(line for line in kept.lines if "finished; 1 seen, 1 created" in line["message"])["run"] == str(run.pk)
    assert run_id.get() == ""


def test_a_decision_by_staff_is_a_run_in_the_log_too(box, kept):
    with staff.at_work(box.sync_pass, by="olga", what="Link.", wiring=box.wiring):
        logging.getLogger("reconciliation.x").info("inside")
    logging.getLogger("reconciliation.x").info("outside")

    assert [line["run"] for line in kept.lines if line["message"] in ("inside", "outside")] == [str(Run.objects.latest("pk").pk), ""]
    with pytest.raises(ValueError), staff.at_work(box.sync_pass, by="olga", what="Link.", wiring=box.wiring):
        raise ValueError
    assert run_id.get() == ""


def test_a_request_and_its_lines_have_one_number(box, client, kept, monkeypatch):
    from reconciliation.views import dashboard

    real = dashboard.pass_states
    monkeypatch.setattr(dashboard, "pass_states", lambda: (logging.getLogger("reconciliation.x").info("drawn"), real())[1])
    client.force_login(User.objects.create_superuser("root"))

    given = client.get("/", headers={"x-request-id": "proxy-4711-abc"})
    own = client.get("/")

    assert given.headers["X-Request-ID"] == "proxy-4711-abc"
    assert [line["request"] for line in kept.lines if line["message"] == "drawn"] == ["proxy-4711-abc", own.headers["X-Request-ID"]]
    assert re.fullmatch("[0-9a-f]{32}", own.headers["X-Request-ID"])


@pytest.mark.parametrize("forged", ["x", 'a"b{}<script>', "a" * 65, "line\tbreak-line", "übergröße-1"])
def test_a_forged_request_number_is_not_written_into_the_log(client, forged):
    answer = client.get("/login/", headers={"x-request-id": forged})

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_the_text_form_names_the_run_too():
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "read", (), None)
    with during_run(17):
        assert "[run 17] read" in TextFormatter().format(record)
    assert "[run" not in TextFormatter().format(record)


def test_no_log_line_names_a_link_to_sign_in(caplog):
    """Django tells of a refused request by its path; whoever reads the log must not sign in by it."""
    Client(enforce_csrf_checks=True).post("/sign-in/SECRET-TOKEN/")

    (record,) = [r for r in caplog.records if "/sign-in/" in r.getMessage()]
    for formatter in (JsonFormatter(), TextFormatter()):
        line = formatter.format(record)
        assert "/sign-in/•••/" in line and "SECRET-TOKEN" not in line
    rules = (Path(__file__).parents[2] / "deploy" / "nginx.conf").read_text()
    assert rules.count("if=$is_logged") == rules.count("listen ") and "~^/sign-in/ 0;" in rules
