"""What dlt does with the organisations of a sandbox: its REST source, by pages of a hundred, into SQLite. Run by peers.py
with a python that has dlt. Usage: peer_dlt.py CONTROL_URL FOLDER"""

from __future__ import annotations

import json
import sys
import time

import dlt
import requests
from dlt.destinations import sqlalchemy
from dlt.sources.rest_api import rest_api_source

COLUMNS = ("id", "lock_version", "name", "website", "industry", "organisation_num_employees", "main_location[town]", "assigned_to_name")
COLUMNS += ("updated_at", "cf_organisation_outreach_id", "cf_organisation_sync_to_outreach")


def main(control: str, folder: str) -> None:
    books = requests.get(control, headers={"Accept": "application/json"}, timeout=30).json()["workbooks"]
    source = rest_api_source(
        {
            "client": {"base_url": books["base_url"], "headers": {"User-Agent": "peer/1.0"}},
            "resources": [
                {
                    "name": "organisations",
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": "crm/organisations.api",
                        "params": {
                            "api_key": books["api_key"],
                            "_sort[]": ["updated_at", "id"],  # the order the sandbox has at hand
                            "_dir[]": ["ASC", "ASC"],
                            "__skip_total_rows": "true",
                            "_select_columns[]": list(COLUMNS),
                        },
                        "data_selector": "data",
                        "paginator": {
                            "type": "offset",
                            "limit": 100,
                            "offset_param": "_start",
                            "limit_param": "_limit",
                            "total_path": None,
                        },
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline(
        "peer", destination=sqlalchemy(f"sqlite:///{folder}/peer.db"), pipelines_dir=f"{folder}/dlt", dataset_name="peer"
    )
    started = time.perf_counter()
    pipeline.run(source)
    seconds = time.perf_counter() - started
    rows = pipeline.last_trace.last_normalize_info.row_counts["organisations"]
    print(json.dumps({"rows": rows, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
