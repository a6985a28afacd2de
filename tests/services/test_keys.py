"""Key rotation: prepend, rotate, remove the old key; nothing is lost in between."""

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db.models import F, TextField
from django.db.models.functions import Cast

from reconciliation.models import AuditEntry, Connection, SecondFactor, encrypted
from reconciliation.services import keys
from reconciliation.services.keys import encrypted_columns, keys_rotate

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
OLD, NEW = settings.FIELD_KEYS[0], Fernet.generate_key().decode()


@pytest.fixture
def stored():
    """Two connections and a second factor, written with the old key."""
    for name in ("one", "two"):
        Connection.objects.create(name=name, system="workbooks", base_url="https://x.workbooks.com", secrets={"api_key": f"secret-{name}"})
    user = User.objects.create_user("vera")
    SecondFactor.objects.create(user=user, name="app", secret={"key": "ab", "recovery": []})


def tokens():
    return dict(Connection.objects.annotate(raw=Cast(F("secrets"), TextField())).values_list("name", "raw"))


def test_prepend_rotate_remove_the_old_key(stored, settings, capsys):
    settings.FIELD_KEYS = [NEW, OLD]
    with pytest.raises(SystemExit):
        call_command("rotate_keys", "--check")
    call_command("rotate_keys")
    settings.FIELD_KEYS = [NEW]

    assert {c.name: c.secrets["api_key"] for c in Connection.objects.all()} == {"one": "secret-one", "two": "secret-two"}
    assert SecondFactor.objects.get().secret["key"] == "ab"
    assert "3 rewritten with the first key, 0 were already" in capsys.readouterr().out
    assert AuditEntry.objects.get(action="rotate keys").detail["rewritten"] == 3


def test_a_second_rotation_writes_nothing(stored, settings):
    settings.FIELD_KEYS = [NEW, OLD]
    keys_rotate()
    before = tokens()

    done = keys_rotate()

    assert (done.rewritten, done.current) == (0, 3)
    assert tokens() == before


def test_a_rotation_that_was_stopped_goes_on_where_it_was(stored, settings, monkeypatch):
    settings.FIELD_KEYS = [NEW, OLD]
    real, calls = keys.rewritten, []

    def dies(token):
        calls.append(token)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(token)

    monkeypatch.setattr(keys, "rewritten", dies)
    with pytest.raises(KeyboardInterrupt):
        keys_rotate()
    monkeypatch.setattr(keys, "rewritten", real)

    done = keys_rotate()

    assert (done.rewritten, done.current) == (2, 1)
    settings.FIELD_KEYS = [NEW]
    assert all(c.secrets for c in Connection.objects.all())


def test_a_token_refreshed_in_the_middle_is_kept(stored, settings, monkeypatch):
    settings.FIELD_KEYS = [NEW, OLD]
    real, refreshed = keys.rewritten, []

    def refresh(token):
        if not refreshed:
            refreshed.append(Connection.objects.filter(name="one").update(secrets={"api_key": "fresh"}))
        return real(token)

    monkeypatch.setattr(keys, "rewritten", refresh)
    keys_rotate()

    assert Connection.objects.get(name="one").secrets == {"api_key": "fresh"}


def test_what_no_key_reads_is_named_and_left_and_the_rest_goes_on(stored, settings, capsys):
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    Connection.objects.create(name="three", system="outreach", base_url="https://api.outreach.io", secrets={"client_secret": "s"})
    lost = tokens()["one"]
    settings.FIELD_KEYS = [NEW, settings.FIELD_KEYS[0]]

    with pytest.raises(SystemExit) as ended:
        call_command("rotate_keys")

    shown = capsys.readouterr()
    assert ended.value.code == 1
    assert "connection" in shown.err and "1 rewritten" in shown.out
    assert tokens()["one"] == lost
    assert "secret-" not in shown.out + shown.err


def test_the_old_key_removed_too_early_is_said_not_guessed(stored, settings):
    settings.FIELD_KEYS = [NEW]

    with pytest.raises(ImproperlyConfigured, match="FIELD_KEYS lacks the key"):
        Connection.objects.get(name="one")


def test_every_encrypted_column_is_found():
    """Those that hold secrets, or words about a person who wants to be forgotten. A new one must be put here."""
    assert {(model.__name__, column) for model, column in encrypted_columns()} == {
        ("CalendarWatch", "secrets"),
        ("Connection", "secrets"),
        ("Mailbox", "secrets"),
        ("SecondFactor", "secret"),
        ("ChatHook", "secrets"),
        ("Forgetting", "terms"),
    }


def test_what_was_rewritten_is_of_the_first_key_and_what_no_key_reads_is_not_rewritten(settings):
    settings.FIELD_KEYS = [OLD]
    old = encrypted._fernet().encrypt(b"{}").decode()
    settings.FIELD_KEYS = [NEW, OLD]

    assert not encrypted.is_current(old) and encrypted.is_current(encrypted.rewritten(old))
    settings.FIELD_KEYS = [NEW]
    assert encrypted.rewritten(old) is None
