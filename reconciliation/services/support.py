"""What support needs to find a cause (S0.23): one redacted bundle of a case, a run or a write with all that belongs to it.

Everything in it is redacted when it was stored, and once more here: with every secret this site holds, in every spelling,
whatever field it strayed into. Values of people's fields are masked unless the person who asks wants them shown."""

from __future__ import annotations

import json
import platform
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from importlib import metadata
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection
from django.forms.models import model_to_dict
from django.utils import timezone

from connectors.contract import Ref
from connectors.redaction import MASK, Redactor
from reconciliation.core.spellings import Finder, without_addresses
from reconciliation.models import Case, Connection, MappingVersion, Operation, Run, RunEvent, SyncPass
from reconciliation.passes.organisations import ORGANISATION
from reconciliation.services.audit import audit
from reconciliation.services.keys import encrypted_columns
from reconciliation.services.schedule import schedule_of
from reconciliation.store import organisation_columns, person_columns

FORMAT, VERSION = "syncsite support bundle", 1
MOST_ROWS = 50
LONGEST_TEXT = 20_000
PACKAGES = ("Django", "django-q2", "requests", "django-environ", "django-filter", "whitenoise", "cryptography", "gunicorn", "psycopg")
# Settings that explain how a site behaves. A list, not an exclusion: what is added later stays out until somebody decides.
SHOWN_SETTINGS = (
    "DEBUG",
    "ALLOW_LOOPBACK",
    "SECURE_SSL",
    "TIME_ZONE",
    "LANGUAGE_CODE",
    "PROCESS_CHANNELS",
    "MAILBOX_CHANNELS",
    "MAILBOX_FAILURES",
    "DEFAULT_INTERVAL_MINUTES",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "SYSTEM_HOSTS",
)
_SECRET_SETTING = re.compile(r"SECRET|TOKEN|_KEYS?$|PASSWORD$|SIGNATURE|WEBHOOK|REDIS_URL")
_SECRET_NAME = re.compile(
    r"(?i)^(.*[_-])?(api_?key|token|secrets?|passwords?|passwd|authorization|cookie|set-cookie|session_id|private_key)$"
)
# Fields whose value is a person's, by the name or the last part of it.
_PEOPLE = re.compile(
    r"(?i)(^|[_\[\s.])(e-?mails?|phones?|telephone|mobile|fax|first_?name|last_?name|middle_?name|person_name|contact|owner|owner_text|"
    r"assigned_to(_name)?|updated_by|created_by|by|started_by|decided_by|open_by|staff|saved_by_name|job_title|username)\]?$"
)


class NothingToBundle(LookupError):
    """There is no such case, run or write."""


def all_secrets() -> Iterator[str]:
    """Yields every secret this site holds: encrypted columns of every model, and the settings that are secret."""
    columns = [model._base_manager.order_by().values_list(column, flat=True) for model, column in encrypted_columns()]
    for value in columns[0].union(*columns[1:], all=True).iterator(chunk_size=200):
        yield from _strings(value)
    for name in dir(settings):
        if name.isupper() and _SECRET_SETTING.search(name):
            yield from _strings(getattr(settings, name), least=8)
    for database in settings.DATABASES.values():
        yield from _strings(database.get("PASSWORD"))


def _strings(value: Any, *, least: int = 4) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) >= least:
            yield value
            yield b64encode(value.encode()).decode().rstrip("=")
    elif isinstance(value, bytes):
        yield from _strings(value.decode(errors="replace"), least=least)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part, least=least)
    elif isinstance(value, list | tuple | set):
        for part in value:
            yield from _strings(part, least=least)


def bundle(kind: str, pk: int, *, shows_people: bool = False) -> dict[str, Any]:
    """Returns the bundle of a `case`, a `run` or an `operation`, redacted. Raises NothingToBundle."""
    gather = {"case": _of_case, "run": _of_run, "operation": _of_operation}.get(kind)
    if gather is None:
        raise NothingToBundle(kind)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "made_at": timezone.now().isoformat(timespec="seconds"),
        "about": f"{kind} {pk}",
        "people": "shown" if shows_people else "masked",
        "product": _product(),
        "settings": {name: getattr(settings, name, None) for name in SHOWN_SETTINGS},
        **gather(pk),
    }
    content = _redacted(_plain(content), Redactor(all_secrets()))  # cuts what is too long, too
    return dict(content) if shows_people else _without_people(content)


def bundle_text(kind: str, pk: int, *, shows_people: bool = False) -> str:
    return json.dumps(bundle(kind, pk, shows_people=shows_people), indent=2, ensure_ascii=False) + "\n"


def bundle_take(kind: str, pk: int, by: AbstractBaseUser, *, shows_people: bool = False) -> str:
    """Returns the text of the bundle and records who took it."""
    text = bundle_text(kind, pk, shows_people=shows_people)
    audit(by, "copy for support", f"{kind} {pk}", people="shown" if shows_people else "masked")
    return text


# --- what belongs to it ---------------------------------------------------------------------------------------------
def _of_case(pk: int) -> dict[str, Any]:
    case = Case.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping", "run", "decided_by").filter(pk=pk).first()
    if case is None:
        raise NothingToBundle(f"case {pk}")
    ref = str(Ref(case.sync_pass.crm.system, ORGANISATION, case.crm_id))
    operations = Operation.objects.filter(source_ref=ref).order_by("-pk")
    events = RunEvent.objects.filter(crm_ref=ref).order_by("-pk")
    row = _row(case, decided_by=str(case.decided_by or ""))
    return {"case": row, **_history(case.sync_pass, case.run, operations, events)}


def _of_run(pk: int) -> dict[str, Any]:
    run = Run.objects.select_related("sync_pass__crm", "sync_pass__peer", "sync_pass__mapping").filter(pk=pk).first()
    if run is None:
        raise NothingToBundle(f"run {pk}")
    events = RunEvent.objects.filter(run=run, outcome__in=("failed", "held", "duplicate")).order_by("-pk")
    if not events[:1]:
        events = RunEvent.objects.filter(run=run).order_by("-pk")
    operations = Operation.objects.filter(run=run).exclude(state__in=(Operation.State.CONFIRMED, Operation.State.PLANNED)).order_by("-pk")
    if not operations[:1]:
        operations = Operation.objects.filter(run=run).order_by("-pk")
    return _history(run.sync_pass, run, operations, events)


def _of_operation(pk: int) -> dict[str, Any]:
    related = ("run__sync_pass__crm", "run__sync_pass__peer", "run__sync_pass__mapping")
    operation = Operation.objects.select_related(*related).filter(pk=pk).first()
    if operation is None:
        raise NothingToBundle(f"operation {pk}")
    rows = Operation.objects.filter(source_ref=operation.source_ref, pk__lte=pk).order_by("-pk")
    events = RunEvent.objects.filter(crm_ref=operation.organisation_ref).order_by("-pk")
    return _history(operation.run.sync_pass, operation.run, rows, events)


def _history(sync_pass: SyncPass, run: Run | None, operations: Any, events: Any) -> dict[str, Any]:
    writes = [_row(op) for op in operations[:MOST_ROWS]]
    versions = {int(op["origin"]["mapping"]) for op in writes if str(op["origin"].get("mapping", "")).isdigit()}
    table = sync_pass.mapping
    kept = MappingVersion.objects.filter(table=table, version__in={*versions, table.version})
    return {
        "run": _row(run) if run is not None else None,
        "pass": {
            **{n: getattr(sync_pass, n) for n in ("name", "title", "is_paused", "hold_reason", "trouble_count", "last_run_time")},
            "schedule": {n: getattr(schedule_of(sync_pass), n) for n in schedule_of(sync_pass).__slots__},
            "organisation_columns": organisation_columns(sync_pass).names,
            "person_columns": person_columns(sync_pass).names,
        },
        "connections": [_connection(c) for c in (sync_pass.crm, sync_pass.peer)],
        "mapping": {"name": table.name, "version": table.version, "versions": {str(v.version): v.rows for v in kept}},
        "operations": writes,
        "events": [_row(event) for event in events[:MOST_ROWS]],
    }


def _connection(row: Connection) -> dict[str, Any]:
    names = ("name", "system", "base_url", "state", "last_error", "last_error_at", "is_sandbox", "settle_seconds")
    return {n: getattr(row, n) for n in (*names, "calls_limit", "calls_remaining", "calls_reset_at")}


def _row(row: Any, **more: Any) -> dict[str, Any]:
    found = model_to_dict(row) if row.pk else {}
    found |= {f.name: getattr(row, f.attname) for f in row._meta.concrete_fields}
    return {**found, **more}


def _product() -> dict[str, Any]:
    return {
        "syncsite": _version_of("syncsite"),
        "python": platform.python_version(),
        "system": platform.system(),
        "database": f"{connection.vendor} {'.'.join(map(str, connection.get_database_version()))}",
        "packages": {name: found for name in PACKAGES if (found := _version_of(name))},
    }


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return _own_version() if package == "syncsite" else ""


def _own_version() -> str:
    try:
        found = re.search(r'^version = "([^"]+)"', (settings.BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return "unknown"
    return found[1] if found else "unknown"


# --- what must not be in it -----------------------------------------------------------------------------------------
def _plain(value: Any) -> Any:
    """Returns the value as JSON holds it: instants and everything unknown as text."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _redacted(value: Any, redact: Redactor) -> Any:
    if isinstance(value, str):
        return redact(value, limit=LONGEST_TEXT)
    if isinstance(value, list):
        return [_redacted(part, redact) for part in value]
    if isinstance(value, dict):
        return {
            redact(name, limit=LONGEST_TEXT): MASK if _SECRET_NAME.match(name) and part not in (None, "") else _redacted(part, redact)
            for name, part in value.items()
        }
    return value


def _without_people(content: dict[str, Any]) -> dict[str, Any]:
    """Returns the content with people's values replaced, each by the same word wherever it stands, so that support sees
    what is equal and not who it is. E-mail addresses are replaced wherever they are met."""
    found: dict[str, str] = {}
    for value in _people_in(content):
        text = str(value).strip()
        if len(text) >= 3 and text not in found:
            found[text] = f"person {len(found) + 1}"
    finders = [Finder([text], word) for text, word in sorted(found.items(), key=lambda item: -len(item[0]))]
    return dict(_masked(content, finders))


def _people_in(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, part in value.items():
            if _PEOPLE.search(name):
                yield from _leaves(part)
            else:
                yield from _people_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from _people_in(part)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, str):
        yield value
    elif isinstance(value, Iterable):
        for part in value:
            yield from _leaves(part)


def _masked(value: Any, finders: list[Finder]) -> Any:
    if isinstance(value, str):
        for finder in finders:
            value = finder.blank(value)
        return without_addresses(value)
    if isinstance(value, list):
        return [_masked(part, finders) for part in value]
    if isinstance(value, dict):
        return {_masked(name, finders): _masked(part, finders) for name, part in value.items()}
    return value
