"""A wrong setting stops the start with its name and a sentence; production settings are clean."""

import os
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
    ],
)
def test_a_wrong_setting_is_named_in_one_line(project_root: Path, name: str, value: str) -> None:
    done = manage(project_root, "check", **{name: value})

    assert done.returncode == 2
    assert done.stderr.startswith(f"Settings: {name}: ")
    assert done.stderr.count("\n") == 1
    assert not value or name != "SECRET_KEY" or value not in done.stderr


def test_every_setting_is_in_the_example(project_root: Path) -> None:
    import re

    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (project_root / "syncsite/settings.py").read_text()))
    shown = set(re.findall(r"^#?([A-Z_]+)=", (project_root / ".env.example").read_text(), re.MULTILINE))

    assert read == shown


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
    import json
    import logging

    from syncsite.logging import JsonFormatter, run_id

    token = run_id.set("17")
    line = JsonFormatter().format(logging.LogRecord("x", logging.INFO, __file__, 1, "read %s", ("Müller\n& Co",), None))
    run_id.reset(token)

    assert "\n" not in line
    assert json.loads(line)["run"] == "17"
    assert json.loads(line)["message"] == "read Müller\n& Co"
