"""The floor of a first load: the same calls and the same rows without any logic. Usage: floor.py CONTROL_URL SQLITE_FILE

requests.Session with trust_env off, our headers, time-outs and thread count; executemany of the same rows."""

import json
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor

import requests

THREADS, PAGE = 8, 100
FIELDS = ("id", "lock_version", "name", "website", "industry", "organisation_num_employees", "updated_at")
OUTREACH_TYPE = "application/vnd.api+json"


def session() -> requests.Session:
    made = requests.Session()
    made.trust_env = False
    made.headers["User-Agent"] = "floor/1.0"
    made.mount("http://", requests.adapters.HTTPAdapter(pool_connections=2, pool_maxsize=THREADS))
    return made


def main(control: str, path: str) -> None:
    http = session()
    told = http.get(control, headers={"Accept": "application/json"}, timeout=30).json()
    books, reach = told["workbooks"], told["outreach"]
    headers = {"Authorization": f"Bearer {reach['access_token']}", "Content-Type": OUTREACH_TYPE, "Accept": OUTREACH_TYPE}
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("CREATE TABLE operation (id INTEGER PRIMARY KEY, state TEXT, after TEXT, exchange TEXT)")
    db.execute("CREATE TABLE binding (crm TEXT PRIMARY KEY, peer TEXT, base TEXT)")
    db.execute("CREATE TABLE event (crm TEXT, outcome TEXT)")
    db.execute("CREATE TABLE name (peer TEXT PRIMARY KEY, name TEXT)")

    def create(row: dict) -> dict:
        body = {"data": {"type": "account", "attributes": {"name": row["name"], "websiteUrl": row["website"], "customId": str(row["id"])}}}
        return http.post(f"{reach['base_url']}/api/v2/accounts", data=json.dumps(body), headers=headers, timeout=30).json()["data"]

    def put(rows: list[dict], accounts: list[dict]) -> None:
        pairs = [("_method", "PUT"), ("api_key", books["api_key"]), ("_per_object_transactions", "true"), ("_fm", "or")]
        for row in rows:
            pairs += [("_ff[]", "id"), ("_ft[]", "eq"), ("_fc[]", str(row["id"]))]
        for row, account in zip(rows, accounts, strict=True):
            pairs += [("__method[]", "PUT"), ("id[]", str(row["id"])), ("lock_version[]", str(row["lock_version"]))]
            pairs += [("cf_organisation_outreach_id[]", str(account["id"])), ("cf_organisation_outreach_url[]", account["links"]["self"])]
        http.post(f"{books['base_url']}/crm/organisations.api", data=pairs, timeout=30).json()

    last = 0
    with ThreadPoolExecutor(THREADS) as pool:
        while True:
            pairs = [("_method", "GET"), ("api_key", books["api_key"]), ("_start", "0"), ("_limit", str(PAGE)), ("_sort[]", "id")]
            pairs += [("_ff[]", "id"), ("_ft[]", "gt"), ("_fc[]", str(last)), ("__skip_total_rows", "true")]
            pairs += [("_select_columns[]", f) for f in FIELDS]
            rows = http.post(f"{books['base_url']}/crm/organisations.api", data=pairs, timeout=30).json()["data"]
            if not rows:
                return
            last = rows[-1]["id"]
            db.executemany("INSERT INTO operation VALUES (?, 'intended', ?, '')", [(r["id"], json.dumps(r)) for r in rows])
            accounts = list(pool.map(create, rows))
            pair = list(zip(rows, accounts, strict=True))
            db.executemany("UPDATE operation SET state='confirmed', exchange=? WHERE id=?", [(json.dumps(a), r["id"]) for r, a in pair])
            db.executemany("INSERT INTO binding VALUES (?, ?, ?)", [(str(r["id"]), str(a["id"]), json.dumps(r)) for r, a in pair])
            db.executemany("INSERT INTO name VALUES (?, ?)", [(str(a["id"]), r["name"]) for r, a in pair])
            put(rows, accounts)
            db.executemany("INSERT INTO event VALUES (?, 'created')", [(str(r["id"]),) for r in rows])


if __name__ == "__main__":
    main(*sys.argv[1:])
