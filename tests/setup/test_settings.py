"""A wrong setting stops the start with its name and a sentence; production settings are clean."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PRODUCTION = {
    "ENV_FILE": "",
    "SECRET_KEY": "production-" + "0123456789abcdef" * 4,
    "FIELD_KEYS": "cHJvZHVjdGlvbi1rZXktb2YtMzItYnl0ZXMtbG9uZyE=",
    "ALLOWED_HOSTS": "sync.example.com",
    "CSRF_TRUSTED_ORIGINS": "https://sync.example.com",
    "TRUST_PROXY": "1",
    "DATABASE_URL": "sqlite:///:memory:",
}


def manage(project_root: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=project_root, env={**kept, **PRODUCTION, **env}, capture_output=True, text=True
    )


def test_production_settings_pass_the_deploy_check(project_root: Path) -> None:
    done = manage(project_root, "check", "--deploy", "--fail-level", "INFO")

    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout


def test_cookies_belong_to_this_host_and_to_no_script(project_root: Path) -> None:
    names = ("NAME", "SECURE", "HTTPONLY", "SAMESITE", "PATH", "DOMAIN")
    script = (
        "from django.conf import settings as s\n"
        f"for kind in ('SESSION', 'CSRF'): print(*[getattr(s, f'{{kind}}_COOKIE_{{name}}') for name in {names}])"
    )
    done = manage(project_root, "shell", "-v", "0", "-c", script)

    assert done.stdout.splitlines() == [
        "__Host-sessionid True True Lax / None",
        "__Host-csrftoken True True Lax / None",
    ], done.stderr


def test_the_deploy_check_reports_loopback(project_root: Path) -> None:
    done = manage(project_root, "check", "--deploy", ALLOW_LOOPBACK="1", SECURE_SSL="1")

    assert "syncsite.W001" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("FIELD_KEYS", ""),
        ("FIELD_KEYS", "not-a-key"),
        ("ALLOWED_HOSTS", ""),
        ("ALLOWED_HOSTS", "*"),
        ("DEBUG", "maybe"),
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("DATABASE_URL", "mysql://root@127.0.0.1/test"),
        ("DATABASE_URL", "postgres://root@127.0.0.1:abc/test"),
        ("REDIS_URL", "http://127.0.0.1"),
        ("CSRF_TRUSTED_ORIGINS", "sync.example.com"),
        ("AUTHORISE_HOSTS", "https://accounts.example.com/authorise"),
        ("TIME_ZONE", "Mars/Olympus"),
        ("LOG_FORMAT", "xml"),
        ("DEFAULT_INTERVAL_MINUTES", "0"),
        ("SANDBOX_URL", "ftp://127.0.0.1"),
        ("SITE_URL", "sync.example.com"),
        ("SITE_URL", "http://sync.example.com"),
        ("SITE_URL", "https://sync.example.com/path"),
        ("EMAIL_URL", "mail.example.com"),
        ("EMAIL_URL", "http://mail.example.com"),
        ("EMAIL_URL", "smtp+tls://mail.example.com:many"),
        ("EMAIL_URL", "smtp+tls://u:secret-words@mail.example.com/inbox"),
        ("EMAIL_URL", "smtp://u:secret-words@mail.example.com"),
        ("EMAIL_PORT", "mail"),
        ("EMAIL_USE_TLS", "maybe"),
        ("WEBHOOK_HOSTS", "https://hooks.example.com/x"),
        ("WEBHOOK_HOSTS", "*example.com"),
        ("METRICS_TOKEN", "short"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(project_root: Path, name: str, value: str) -> None:
    done = manage(project_root, "check", **{name: value})

    assert done.returncode == 2
    assert done.stderr.startswith(f"Settings: {name}: ")
    assert done.stderr.count("\n") == 1
    assert not value or name != "SECRET_KEY" or value not in done.stderr
    assert "secret-words" not in done.stderr


MAIL = {"EMAIL_URL": "smtp+tls://mail.example.com", "DEFAULT_FROM_EMAIL": "sync@example.com", "SITE_URL": "https://sync.example.com"}


@pytest.mark.parametrize(
    ("named", "values"),
    [
        ("DEFAULT_FROM_EMAIL", {"DEFAULT_FROM_EMAIL": ""}),
        ("DEFAULT_FROM_EMAIL", {"DEFAULT_FROM_EMAIL": "Syncsite"}),
        ("SITE_URL", {"SITE_URL": ""}),
        ("EMAIL_HOST", {"EMAIL_HOST": "mail.example.com"}),
        ("EMAIL_HOST", {"EMAIL_URL": "", "EMAIL_HOST_PASSWORD": "secret-words"}),
        ("EMAIL_USE_SSL", {"EMAIL_URL": "", "EMAIL_HOST": "mail.example.com", "EMAIL_USE_SSL": "1", "EMAIL_USE_TLS": "1"}),
        ("EMAIL_USE_TLS", {"EMAIL_URL": "", "EMAIL_HOST": "mail.example.com", "EMAIL_HOST_PASSWORD": "secret-words"}),
    ],
)
def test_half_a_mail_server_stops_the_start_with_the_variable_that_is_wrong(project_root: Path, named: str, values: dict[str, str]) -> None:
    done = manage(project_root, "check", **{**MAIL, **values})

    assert done.returncode == 2 and done.stderr.startswith(f"Settings: {named}: "), done.stderr
    assert "secret-words" not in done.stderr


@pytest.mark.parametrize(
    ("values", "read"),
    [
        ({}, "False localhost 25 '' '' False False"),
        ({**MAIL, "EMAIL_URL": "smtp+tls://s%40x:p%3Aw@mail.example.com"}, "True mail.example.com 587 's@x' 'p:w' True False"),
        ({**MAIL, "EMAIL_URL": "smtp+ssl://s:p@mail.example.com"}, "True mail.example.com 465 's' 'p' False True"),
        ({**MAIL, "EMAIL_URL": "smtp://127.0.0.1:2525"}, "True 127.0.0.1 2525 '' '' False False"),
        ({**MAIL, "EMAIL_URL": "", "EMAIL_HOST": "mail.example.com", "EMAIL_USE_TLS": "1"}, "True mail.example.com 587 '' '' True False"),
    ],
)
def test_a_mail_server_is_read_from_one_line_or_from_parts(project_root: Path, values: dict[str, str], read: str) -> None:
    script = (
        "from django.conf import settings as s; print(s.MAIL_IS_CONFIGURED, s.EMAIL_HOST, s.EMAIL_PORT, repr(s.EMAIL_HOST_USER),"
        "repr(s.EMAIL_HOST_PASSWORD), s.EMAIL_USE_TLS, s.EMAIL_USE_SSL)"
    )
    done = manage(project_root, "shell", "-v", "0", "-c", script, **values)

    assert done.stdout.strip() == read, done.stderr


def test_every_setting_is_in_the_example(project_root: Path) -> None:
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (project_root / "syncsite/settings.py").read_text()))
    shown = set(re.findall(r"^#?([A-Z_]+)=", (project_root / ".env.example").read_text(), re.MULTILINE))

    assert read == shown


def test_no_variable_of_the_machine_reaches_a_test(project_root: Path) -> None:
    """A machine that serves a site of its own has these set. Only the database may be chosen from outside."""
    script = (
        "import json, os; from tests.conftest import SITE_VARIABLES; "
        "print(json.dumps({n: os.environ[n] for n in sorted(SITE_VARIABLES) if n in os.environ}))"
    )
    shown = re.findall(r"^#?([A-Z_]+)=", (project_root / ".env.example").read_text(), re.MULTILINE)
    foreign = dict.fromkeys(shown, "of-the-machine")
    done = subprocess.run([sys.executable, "-c", script], cwd=project_root, env={**os.environ, **foreign}, capture_output=True, text=True)

    reaches = json.loads(done.stdout)
    assert len(foreign) > 25 and {name for name, value in reaches.items() if value == "of-the-machine"} == {"DATABASE_URL"}, done.stderr
    assert {"SECRET_KEY", "ALLOW_LOOPBACK"} <= set(reaches)  # the tests' own


@pytest.mark.both_databases
@pytest.mark.django_db
def test_the_database_is_the_one_asked_for_and_set_up() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA journal_mode")
            assert cursor.fetchone() == ("wal",)
            assert connection.settings_dict["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
        else:
            cursor.execute("SHOW server_version_num")
            assert int(cursor.fetchone()[0]) >= 130000
            assert connection.settings_dict["CONN_HEALTH_CHECKS"] is True


@pytest.mark.django_db
def test_the_heartbeat_is_scheduled_once() -> None:
    from django_q.models import Schedule

    assert Schedule.objects.filter(func="reconciliation.engine.heartbeat.beat").count() == 1


def test_a_log_line_is_json_with_its_run() -> None:
    import logging

    from syncsite.logging import JsonFormatter, run_id

    token = run_id.set("17")
    line = JsonFormatter().format(logging.LogRecord("x", logging.INFO, __file__, 1, "read %s", ("Müller\n& Co",), None))
    run_id.reset(token)

    assert "\n" not in line
    assert json.loads(line)["run"] == "17"
    assert json.loads(line)["message"] == "read Müller\n& Co"
