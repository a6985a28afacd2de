"""Environment and guards of every test. It must set the environment before anything reads Django's settings."""

import base64
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TEST_ENVIRONMENT = {
    "ENV_FILE": "",  # a developer's .env must not change a test
    "SECRET_KEY": "tests-only-" + "0123456789abcdef" * 4,
    "FIELD_KEYS": base64.urlsafe_b64encode(b"t" * 32).decode(),
    "ALLOW_LOOPBACK": "1",
    "SECURE_SSL": "0",
    "DEBUG": "0",
    "ALLOWED_HOSTS": "127.0.0.1,localhost,testserver",
    "LOG_FORMAT": "text",
    "LOG_LEVEL": "WARNING",
    "TIME_ZONE": "UTC",
    "DJANGO_SETTINGS_MODULE": "syncsite.settings",
}
# What the machine sets for its own site must not change a test either. `.env.example` lists every variable the site reads,
# which test_settings.py holds it to, so a new one is cleared here by itself.
EXAMPLE = Path(__file__).resolve().parent.parent / ".env.example"
SITE_VARIABLES = frozenset(re.findall(r"^#?([A-Z_]+)=", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
for name in SITE_VARIABLES - {"DATABASE_URL"}:
    os.environ.pop(name, None)
os.environ.update(TEST_ENVIRONMENT)
# `make test` names PostgreSQL here for its second round. Each process gets its own SQLite file (see below).
os.environ.setdefault("DATABASE_URL", f"sqlite:///{tempfile.gettempdir()}/syncsite-tests-{os.getpid()}.sqlite3")


def pytest_configure(config: pytest.Config) -> None:
    """Loads Django, now that its environment stands."""
    import django

    django.setup()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Puts SQLite's test database in a file: threads and processes then meet it as they do in production."""
    from django.conf import settings
    from django.db import connections

    if settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
        connections["default"].settings_dict["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "tests.sqlite3")
    else:
        request.getfixturevalue("django_db_modify_db_settings_parallel_suffix")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Lets transactional tests empty SQLite's tables after themselves: the audit log refuses every DELETE, and its own
    test puts that back."""
    from django.db import connection

    with django_db_blocker.unblock():
        if connection.vendor == "sqlite":
            connection.cursor().execute("DROP TRIGGER IF EXISTS audit_no_delete")


@pytest.fixture(scope="session", autouse=True)
def plain_and_fast() -> Iterator[None]:
    """Static files without hashes (collectstatic has not run) and passwords without cost."""
    from django.test import override_settings

    storages = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    hashers = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    with override_settings(STORAGES=storages, PASSWORD_HASHERS=hashers, WHITENOISE_AUTOREFRESH=True, WHITENOISE_USE_FINDERS=True):
        yield


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Fails a test that opens a socket to another machine."""
    patch = pytest.MonkeyPatch()
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and address[0] not in {"127.0.0.1", "::1", "localhost"}:
            allowed = os.environ.get("TEST_DATABASE_URL", "") + os.environ.get("TEST_REDIS_URL", "")
            assert address[0] in allowed, f"a test tried to reach {address[0]}"
        return connect(self, address)

    patch.setattr(socket.socket, "connect", guarded)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Launches the installed chromium; playwright's own downloads are not used."""
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    chromium = next(filter(None, map(shutil.which, filter(None, names))), None)
    if chromium is None:
        (pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip)("no chromium found")
    # Playwright's loop runs in the test's thread, where Django would refuse every query.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    return {**browser_type_launch_args, "executable_path": chromium, "args": ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]}


@pytest.fixture(scope="session")
def project_root() -> Path:
    return Path(__file__).resolve().parent.parent
