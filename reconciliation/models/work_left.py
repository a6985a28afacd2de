"""What earlier runs left to do, in one query: a pass that has nothing to do asks it every minute."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from reconciliation.models.sync_pass import SyncPass

_SQL = """
SELECT EXISTS (SELECT 1 FROM reconciliation_operation o JOIN reconciliation_run r ON r.id = o.run_id
               WHERE r.sync_pass_id = %s AND o.state IN ('intended', 'sent')),
       EXISTS (SELECT 1 FROM reconciliation_binding WHERE sync_pass_id = %s AND is_write_back_due),
       EXISTS (SELECT 1 FROM reconciliation_case WHERE sync_pass_id = %s AND state = 'open' AND flag = 'owed'),
       EXISTS (SELECT 1 FROM reconciliation_binding WHERE sync_pass_id = %s AND are_people_due AND NOT is_tombstone),
       EXISTS (SELECT 1 FROM reconciliation_binding WHERE sync_pass_id = %s AND is_retry_due AND NOT is_tombstone)
       OR EXISTS (SELECT 1 FROM reconciliation_lookagain WHERE sync_pass_id = %s AND waits_for = ''),
       EXISTS (SELECT 1 FROM reconciliation_run WHERE sync_pass_id = %s AND state = 'running' AND id <> %s)
"""


@dataclass(frozen=True, slots=True)
class WorkLeft:
    """Whether there are operations without an answer, write-backs, flags and people owed, records to be looked at again,
    and runs whose process died before it could close them."""

    open_operations: bool
    write_backs: bool
    flags: bool
    people: bool
    retries: bool
    dead_runs: bool


def work_left(sync_pass: SyncPass, run_id: int) -> WorkLeft:
    """Returns what is left for this run; each question is a partial index."""
    with connection.cursor() as cursor:
        cursor.execute(_SQL, [sync_pass.pk] * 7 + [run_id])
        return WorkLeft(*map(bool, cursor.fetchone()))
