"""The floor of a first load: the same calls and the same rows in the same tables, without any logic.

`floor.py CONTROL_URL [--calls-only]`; with the option nothing is stored, which leaves what the HTTP client costs.
requests.Session with trust_env off, our headers, time-outs and thread count; executemany through Django's cursor."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import django
import requests

THREADS, PAGE, NAMES_A_CALL, NOW, BACK = 8, 100, 50, "2026-01-01 00:00:00", 10**9
FIELDS = ("id", "lock_version", "name", "website", "industry", "organisation_num_employees", "main_location[town]", "assigned_to_name")
KIND = "application/vnd.api+json"
OPERATION = "INSERT INTO reconciliation_operation (id, run_id, connection_id, kind, state, object_type, target_id, source_ref, writer_key, marker, name_key, before, after, context, origin, rests_on, reason, lease_token, intended_at, error, exchange) VALUES (%s, 1, 2, %s, 'intended', 'account', '', %s, %s, %s, %s, '{}', %s, '{}', '{}', '', '', 1, %s, '', '{}')"  # noqa: E501
SETTLE = "UPDATE reconciliation_operation SET state = 'confirmed', target_id = %s, settled_at = %s, exchange = %s WHERE id = %s"
BINDING = "INSERT INTO reconciliation_binding (sync_pass_id, crm_type, crm_id, peer_type, peer_id, name, name_key, crm_base, peer_base, crm_version, peer_version, mapping_version, owner_text, is_without_owner, is_write_back_due, are_people_due, is_retry_due, owed_tries, is_tombstone, how, bound_at, synced_at) VALUES (1, 'organisation', %s, 'account', %s, %s, %s, %s, %s, '0', '', 1, '', 0, 1, 1, 0, 0, 0, 'created', %s, %s)"  # noqa: E501
DONE = "UPDATE reconciliation_binding SET is_write_back_due = 0, are_people_due = 0 WHERE crm_id = %s"
NAME = "INSERT INTO reconciliation_peername (sync_pass_id, peer_id, name, name_key, marker, seen_at) VALUES (1, %s, %s, %s, %s, %s)"
EVENT = "INSERT INTO reconciliation_runevent (run_id, crm_ref, name, name_key, outcome, reason, sentence, peer_ref, at) VALUES (1, %s, %s, %s, 'created', '', '', %s, %s)"  # noqa: E501


def _forget(sql: str, rows: object) -> None:
    """Takes the place of the database."""


def main(control: str, *options: str) -> None:
    from django.db import connection
    from django.db.transaction import atomic

    from reconciliation.models import Run, SyncPass

    http = requests.Session()
    http.trust_env = False
    http.headers["User-Agent"] = "floor/1.0"
    http.mount("http://", requests.adapters.HTTPAdapter(pool_connections=2, pool_maxsize=THREADS))
    told = http.get(control, headers={"Accept": "application/json"}, timeout=30).json()
    books, reach = told["workbooks"], told["outreach"]
    headers = {"Authorization": f"Bearer {reach['access_token']}", "Content-Type": KIND, "Accept": KIND}
    Run.objects.get_or_create(pk=1, defaults={"sync_pass": SyncPass.objects.first(), "started_at": "2026-01-01T00:00:00Z"})

    def read(last: int) -> list[dict]:
        pairs = [("_method", "GET"), ("api_key", books["api_key"]), ("_start", "0"), ("_limit", str(PAGE)), ("_sort[]", "id")]
        pairs += [("_ff[]", "id"), ("_ft[]", "gt"), ("_fc[]", str(last)), ("__skip_total_rows", "true")]
        return http.post(
            f"{books['base_url']}/crm/organisations.api", data=[*pairs, *(("_select_columns[]", f) for f in FIELDS)], timeout=30
        ).json()["data"]  # noqa: E501

    def names_taken(rows: list[dict]) -> int:
        params = {"filter[name]": ",".join(r["name"] for r in rows), "page[size]": "1000", "count": "false"}
        return len(http.get(f"{reach['base_url']}/api/v2/accounts", params=params, headers=headers, timeout=30).json()["data"])

    def people_of(rows: list[dict]) -> int:
        ids = ",".join(str(r["id"]) for r in rows)
        pairs = [("_method", "GET"), ("api_key", books["api_key"]), ("_start", "0"), ("_limit", str(PAGE)), ("__skip_total_rows", "true")]
        pairs += [("_ff[]", "employer_link"), ("_ft[]", "eq"), ("_fc[]", ids), ("_select_columns[]", "id")]
        return len(http.post(f"{books['base_url']}/crm/people.api", data=pairs, timeout=30).json()["data"])

    def create(row: dict) -> tuple[str, str, str, int]:
        values = {"name": row["name"], "websiteUrl": row["website"], "numberOfEmployees": row["organisation_num_employees"]}
        body = json.dumps({"data": {"type": "account", "attributes": {**values, "customId": str(row["id"])}}})
        answer = http.post(f"{reach['base_url']}/api/v2/accounts", data=body, headers=headers, timeout=30)
        exchange = json.dumps({"method": "POST", "request": body, "response": answer.text[:2000]})
        return str(answer.json()["data"]["id"]), NOW, exchange, row["id"]

    def put(rows: list[dict], made: list[tuple]) -> None:
        pairs = [("_method", "PUT"), ("api_key", books["api_key"]), ("_per_object_transactions", "true"), ("_fm", "or")]
        pairs += [p for r in rows for p in (("_ff[]", "id"), ("_ft[]", "eq"), ("_fc[]", str(r["id"])))]
        for row, (id_, *_) in zip(rows, made, strict=True):
            pairs += [("__method[]", "PUT"), ("id[]", str(row["id"])), ("lock_version[]", str(row["lock_version"]))]
            pairs += [("cf_organisation_outreach_id[]", id_), ("cf_organisation_outreach_url[]", f"{reach['base_url']}/{id_}")]
        http.post(f"{books['base_url']}/crm/organisations.api", data=pairs, timeout=30).json()

    last = 0
    with ThreadPoolExecutor(THREADS) as pool, connection.cursor() as cursor:
        store = _forget if "--calls-only" in options else cursor.executemany
        while rows := read(last):
            last = rows[-1]["id"]
            texts = [(r, json.dumps(r), r["name"].casefold(), f"workbooks:organisation:{r['id']}") for r in rows]
            with atomic():
                store(OPERATION, [(r["id"], "create", ref, r["id"], str(r["id"]), key, text, NOW) for r, text, key, ref in texts])
            for start in range(0, len(rows), NAMES_A_CALL):
                names_taken(rows[start : start + NAMES_A_CALL])
            made = list(pool.map(create, rows))
            both = list(zip(texts, made, strict=True))
            with atomic():
                store(SETTLE, made)
                store(BINDING, [(str(r["id"]), m[0], r["name"], key, text, text, NOW, NOW) for (r, text, key, _), m in both])
                store(NAME, [(m[0], r["name"], key, str(r["id"]), NOW) for (r, _, key, _), m in both])
                store(OPERATION, [(BACK + r["id"], "write_back", ref, str(BACK + r["id"]), "", "", text, NOW) for r, text, _, ref in texts])
            put(rows, made)
            people_of(rows)
            with atomic():
                store(SETTLE, [(m[0], NOW, "{}", BACK + m[3]) for m in made])
                store(DONE, [(str(r["id"]),) for r in rows])
                store(EVENT, [(ref, r["name"], key, m[0], NOW) for (r, _, key, ref), m in both])


if __name__ == "__main__":
    django.setup()
    main(*sys.argv[1:])
