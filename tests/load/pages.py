"""Times every page of ours in process: `pages.py ROUNDS` prints, per page, the 95th percentile in milliseconds, the
number of queries, and those that count or distinguish a big table without a bound."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from django.test import Client

BLOCKS = 3  # of so many requests each; the quietest counts, since others use the machine too
BIG = re.compile(r"reconciliation_(binding|operation|runevent|peername|case|run|searchkey|difference|tombstone)\b")


def is_unbounded(sql: str) -> bool:
    """Tells whether a query counts or distinguishes a big table without a LIMIT or the index on the last day's runs."""
    return bool(re.search(r"COUNT\(|DISTINCT", sql) and BIG.search(sql)) and "LIMIT" not in sql and "started_at" not in sql


# Django's own pages, and those of ours that are neither lists nor details.
DJANGOS = ("login", "logout", "password_change", "password_change_done", "autocomplete", "jsi18n", "view_on_site", "app_list", "auth_")
LEFT_OUT = {
    "run_export": "streams every event of a run",
    "run_undo": "asks the remote systems",
    "why": "leads to a record's page",
    **dict.fromkeys(("pass_run", "pass_pause", "pass_preview", "pass_resume", "run_apply", "connection_test"), "POST only"),
    **dict.fromkeys(("tombstone_restore", "coverage_count", "case_refresh", "audit_verify"), "POST only"),
    **dict.fromkeys(("tombstone_detail", "coverage_list", "difference_force"), "asks the remote systems"),
    **dict.fromkeys(("duplicate_decide", "duplicate_here", "error_decide", "error_retry", "owner_check"), "POST only"),
}
ONE = {"system": "workbooks", "object_type": "organisation", "record_id": "77"}  # pages whose address needs more than a key
NAMED = {"record_detail": ONE, "record_history": ONE, "record_field": {**ONE, "name": "industry"}}
# What people ask of the lists: (name of the page, query). Each finds a full page at every size, so that rows drawn are
# the same.
ASKED = [
    ("run_list", "page=2"),
    ("run_detail", "outcome=updated"),
    ("run_detail", "outcome=updated&name=company+1"),
    ("duplicate_list", "name=Case+1"),
    ("error_list", "name=Case+1"),
    ("record_list", "q=company+1"),
    ("record_list", "q=77"),
    ("difference_list", "kind=blank"),
    ("difference_list", "kind=linked&field=industry&name=company+1"),
    ("tombstone_list", "restored=no"),
    ("journal", "source_ref=workbooks:organisation:77"),
    ("journal", "kind=create&state=rejected"),
]


def names() -> list[str]:
    """Returns the names of our pages, as the URL resolver knows them. A new page is measured as soon as it is there."""
    from django.urls import get_resolver

    named = (getattr(pattern, "name", None) for pattern in get_resolver().url_patterns[-1].url_patterns)
    return [name for name in named if name and not name.startswith(DJANGOS) and name not in LEFT_OUT]


def keys() -> dict[str, int]:
    """Returns the row that a detail page shows: the run that holds all events, else the newest."""
    from reconciliation.models import Case, Connection, MappingTable, Operation, Run, RunEvent

    cases = {kind: Case.objects.filter(kind=kind).order_by("-pk").first().pk for kind in ("duplicate", "error")}
    run = Run.objects.order_by("pk").first().pk
    others = {"event": RunEvent, "mapping": MappingTable, "connection": Connection, "operation": Operation}
    return {**cases, "run": run, **{name: model.objects.order_by("-pk").first().pk for name, model in others.items()}}


def addresses() -> dict[str, str]:
    """Returns what is measured -> address. Raises NoReverseMatch for a page whose address needs more than a key."""
    from django.urls import NoReverseMatch, reverse

    rows = keys()

    def address(name: str) -> str:
        if name in NAMED:
            return reverse(f"admin:{name}", kwargs=NAMED[name])
        try:
            return reverse(f"admin:{name}")
        except NoReverseMatch:
            return reverse(f"admin:{name}", kwargs={"pk": rows[name.partition("_")[0]]})

    plain = {name: address(name) for name in names()}
    return {**plain, **{f"{name}?{query}": f"{address(name)}?{query}" for name, query in ASKED}}


def block(client: Client, address: str, rounds: int) -> list[float]:
    """Returns the milliseconds of so many requests, one after the other."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        client.get(address)
        times.append(1000 * (time.perf_counter() - started))
    return times


def p95(times: list[float]) -> float:
    return sorted(times)[int(0.95 * (len(times) - 1))]


def measure(rounds: int) -> dict[str, dict[str, object]]:
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext, override_settings

    plain = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
    override_settings(STORAGES=plain, SECURE_SSL_REDIRECT=False).enable()
    client = Client()
    client.force_login(User.objects.create_superuser("bench"))
    found = {}
    for name, address in addresses().items():
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(address)
        assert answer.status_code == 200, (name, answer.status_code)
        count, bad = len(queries), [q["sql"][:160] for q in queries if is_unbounded(q["sql"])]
        times = min((block(client, address, rounds) for _ in range(BLOCKS)), key=p95)
        found[name] = {"p95": round(p95(times), 1), "queries": count, "unbounded": bad}
    return found


if __name__ == "__main__":
    django.setup()
    print(json.dumps(measure(int(sys.argv[1]))))
