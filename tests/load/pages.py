"""Times every page of ours in process: `pages.py ROUNDS` prints, per page, the 95th percentile in milliseconds, the
number of queries, and those that count or distinguish a big table without a bound."""

from __future__ import annotations

import json
import re
import sys
import time

import django

BIG = re.compile(r"reconciliation_(binding|operation|runevent|peername|case|run)\b")


def is_unbounded(sql: str) -> bool:
    """Tells whether a query counts or distinguishes a big table without a LIMIT or the index on the last day's runs."""
    return bool(re.search(r"COUNT\(|DISTINCT", sql) and BIG.search(sql)) and "LIMIT" not in sql and "started_at" not in sql


def addresses() -> dict[str, str]:
    """Returns page name -> address, with the newest row where a page shows one."""
    from reconciliation.models import Case, Connection, MappingTable, Run, RunEvent

    run, event = Run.objects.order_by("pk").first(), RunEvent.objects.order_by("-pk").first()
    newest = {kind: Case.objects.filter(kind=kind).order_by("-pk").first().pk for kind in ("duplicate", "error")}
    return {
        "dashboard": "/",
        "dashboard status": "/dashboard/status.json",
        "runs": "/runs/",
        "runs, last page": "/runs/?page=200",
        "run": f"/runs/{run.pk}/",
        "run, filtered by name": f"/runs/{run.pk}/?outcome=updated&name=company+12",
        "event": f"/events/{event.pk}/",
        "duplicates": "/duplicates/",
        "duplicates by name": "/duplicates/?name=Case+12",
        "duplicates in bulk": "/duplicates/bulk/",
        "duplicate": f"/duplicates/{newest['duplicate']}/",
        "errors": "/errors/",
        "error": f"/errors/{newest['error']}/",
        "without owner": "/without-owner/",
        "why": "/why/",
        "why, by name": "/why/?q=company+123",
        "journal": "/journal/",
        "journal of one record": "/journal/?source_ref=workbooks:organisation:77",
        "journal by kind": "/journal/?kind=create&state=rejected",
        "mappings": "/mappings/",
        "mapping": f"/mappings/{MappingTable.objects.get().pk}/",
        "connections": "/connections/",
        "connection": f"/connections/{Connection.objects.first().pk}/",
        "schedule": "/schedule/",
    }


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
        times = []
        for _ in range(rounds):
            started = time.perf_counter()
            client.get(address)
            times.append(1000 * (time.perf_counter() - started))
        times.sort()
        found[name] = {"p95": round(times[int(0.95 * (rounds - 1))], 1), "queries": count, "unbounded": bad}
    return found


if __name__ == "__main__":
    django.setup()
    print(json.dumps(measure(int(sys.argv[1]))))
