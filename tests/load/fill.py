"""Fills a database in bulk: `fill.py bound N` binds the sandbox's bound:N world, `fill.py pages N` makes N of everything,
`fill.py changed 0` makes every bound organisation look edited since its last agreement."""

from __future__ import annotations

import json
import sys
from typing import Any

import django
from django.db import connection, transaction
from django.utils import timezone

KIND = "CASE n %% 4 WHEN 0 THEN 'create' WHEN 1 THEN 'write_back' ELSE 'update' END"
STATE = "CASE WHEN n %% 25 = 0 THEN 'rejected' ELSE 'confirmed' END"
CANDIDATE = {"peer_id": "1", "name": "Company 1", "reason": "same name", "fields": {}, "bound_to": ""}


def bindings(size: int) -> None:
    """Stores the bindings that a first load of bound:N would have left, with the names of the accounts."""
    from reconciliation.models import Binding, PeerName, SyncPass
    from reconciliation.models.bulk import insert_rows

    sync_pass, now = SyncPass.objects.get(name="organisations"), timezone.now()
    for start in range(1, size + 1, 5000):
        numbers = range(start, min(start + 5000, size + 1))
        with transaction.atomic():
            insert_rows([Binding(sync_pass=sync_pass, **_binding(n), bound_at=now, synced_at=now) for n in numbers])
            insert_rows([PeerName(sync_pass=sync_pass, **_name(n), seen_at=now) for n in numbers])
    SyncPass.objects.filter(pk=sync_pass.pk).update(names_read_until=now, last_run_time=now.replace(microsecond=0), is_on=True)


def _binding(n: int) -> dict[str, Any]:
    name, website = f"Company {n:07d}", f"https://c{n}.example"
    crm = {"name": name, "website": website, "industry": None, "organisation_num_employees": None}
    peer = {"name": name, "websiteUrl": website, "domain": f"c{n}.example", "industry": None, "numberOfEmployees": None}
    return {
        "crm_id": str(n),
        "peer_id": str(n),
        "name": name,
        "name_key": name.casefold(),
        "crm_base": {**crm, "main_location[town]": None, "assigned_to_name": None},
        "peer_base": {**peer, "locality": None, "owner": None},
        "crm_version": "",
        "mapping_version": 1,
    }


def _name(n: int) -> dict[str, Any]:
    name = f"Company {n:07d}"
    return {"peer_id": str(n), "name": name, "name_key": name.casefold(), "marker": f"wb-3-{n}"}


def changed(_: int) -> None:
    """Forgets the version of the last agreement, so that no organisation is told apart from an edited one unread."""
    from reconciliation.models import Binding

    Binding.objects.update(crm_version="")


def copies(model: Any, template: Any, size: int, **expressions: str) -> None:
    """Copies one row `size` times in SQL; `expressions` give columns in terms of n = 1 … size."""
    meta = model._meta
    fields = [f for f in meta.concrete_fields if not f.primary_key]
    columns = ", ".join(connection.ops.quote_name(f.column) for f in fields)
    values = ", ".join(expressions.get(f.name, f"t.{connection.ops.quote_name(f.column)}") for f in fields)
    table = connection.ops.quote_name(meta.db_table)
    numbers = "WITH RECURSIVE seq(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < %s)"
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                f"INSERT INTO {table} ({columns}) {numbers} SELECT {values} FROM seq, {table} t WHERE t.id = %s", [size, template.pk]
            )
        else:
            cursor.execute(
                f"{numbers} INSERT INTO {table} ({columns}) SELECT {values} FROM seq, {table} t WHERE t.id = %s", [size, template.pk]
            )


def everything(size: int) -> None:
    """Makes `size` bindings, names, search keys, differences, operations and events, a tenth as many cases and deletions,
    a hundredth as many runs."""
    from reconciliation.models import Binding, Case, Difference, Operation, PeerName, Run, RunEvent, SearchKey, SyncPass, Tombstone

    sync_pass, now = SyncPass.objects.select_related("crm", "peer").get(name="organisations"), timezone.now()
    run = Run.objects.create(sync_pass=sync_pass, state=Run.State.FINISHED, started_at=now, ended_at=now, seen=size, created=size)
    common = {"sync_pass": sync_pass}
    ago = "datetime(t.started_at, '-' || n || ' minutes')" if connection.vendor == "sqlite" else "t.started_at - n * interval '1 minute'"
    copies(Run, run, max(1, size // 100), started_at=ago, ended_at=ago)  # one a minute, as a pass makes them
    binding = Binding.objects.create(**common, **_binding(0), bound_at=now, synced_at=now, is_without_owner=True, owner_text="Nobody")
    name = "'Company ' || n"
    copies(Binding, binding, size, crm_id="'' || n", peer_id="'' || n", name=name, name_key="'company ' || n")
    peer_name = PeerName.objects.create(**common, **_name(0), seen_at=now)
    copies(PeerName, peer_name, size, peer_id="'' || n", name=name, name_key="'company ' || n")
    key = SearchKey.objects.create(
        **common, ref="workbooks:organisation:0", kind="name", key="company 0", text="Company 0", seen_at=now
    )  # fmt: skip
    copies(SearchKey, key, size, ref="'workbooks:organisation:' || n", key="'company ' || n", text=name)
    first = binding.pk + 1  # the copies follow
    difference = Difference.objects.create(
        **common, binding=binding, kind="linked", crm_field="industry", peer_field="industry", noted_at=now
    )  # fmt: skip
    kind = "CASE n %% 2 WHEN 0 THEN 'linked' ELSE 'blank' END"
    copies(Difference, difference, size, binding=f"{first} + n - 1", kind=kind, name_key="'company ' || n")
    stone = Tombstone.objects.create(**common, binding=binding, why="crm", crm_id="0", name="Company 0", found_at=now)
    copies(Tombstone, stone, max(1, size // 10), binding=f"{first} + n - 1", crm_id="'' || n", name=name)
    operation = Operation.objects.create(
        run=run, connection=sync_pass.peer, kind="update", state="confirmed", object_type="account", target_id="0",
        source_ref="workbooks:organisation:0", writer_key="0", before={"industry": "Food"}, after={"industry": "Health"},
        exchange={"method": "PATCH", "url": "https://x.example", "request": "x" * 400, "response": "y" * 800, "status": 200, "ms": 9},
        intended_at=now,
    )  # fmt: skip
    copies(
        Operation,
        operation,
        size,
        target_id="'' || n",
        writer_key="'' || n",
        source_ref="'workbooks:organisation:' || n",
        kind=KIND,
        state=STATE,
    )
    event = RunEvent.objects.create(
        run=run, crm_ref="workbooks:organisation:0", name="Company 0", outcome="updated", operation_id=operation.pk, at=now
    )
    copies(RunEvent, event, size, crm_ref="'workbooks:organisation:' || n", name=name, name_key="'company ' || n")
    for kind in ("duplicate", "error"):
        case = Case.objects.create(
            **common, kind=kind, crm_id=f"{kind}", name="Case", reason="name_match" if kind == "duplicate" else "refused",
            sentence="1 account has this name", candidates=[CANDIDATE],
            opened_at=now, run=run, exchange=json.loads("{}"),
        )  # fmt: skip
        copies(Case, case, max(1, size // 10), crm_id=f"'{kind}' || n", name="'Case ' || n", name_key="'case ' || n")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


if __name__ == "__main__":
    django.setup()
    {"bound": bindings, "pages": everything, "changed": changed}[sys.argv[1]](int(sys.argv[2]))
