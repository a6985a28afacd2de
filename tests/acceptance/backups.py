"""A backup of the test database and its return, as docs/operations.md does it: a file copy, or pg_dump and pg_restore."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from django.db import connection


def take(folder: Path) -> Path:
    """Returns the file of a backup made while the database is in use."""
    if connection.vendor == "sqlite":
        path = folder / "backup.sqlite3"
        connection.ensure_connection()
        connection.close()
        source, target = sqlite3.connect(connection.settings_dict["NAME"]), sqlite3.connect(path)
        with target:
            source.backup(target)
        source.close()
        target.close()
        return path
    if shutil.which("pg_dump") is None:
        (pytest.fail if os.environ.get("REQUIRE_POSTGRES") == "1" else pytest.skip)("pg_dump is not installed")
    path = folder / "backup.dump"
    _postgres("pg_dump", "--format=custom", f"--file={path}", connection.settings_dict["NAME"])
    return path


def put_back(path: Path) -> None:
    """Replaces the database by the backup."""
    connection.close()
    if connection.vendor == "sqlite":
        name = Path(connection.settings_dict["NAME"])
        for file in (name, Path(f"{name}-wal"), Path(f"{name}-shm")):
            file.unlink(missing_ok=True)
        shutil.copy(path, name)
        return
    _postgres("pg_restore", "--clean", "--if-exists", "--single-transaction", f"--dbname={connection.settings_dict['NAME']}", str(path))


def _postgres(*command: str) -> None:
    settings = connection.settings_dict
    env = {"PGHOST": settings["HOST"] or "127.0.0.1", "PGPORT": str(settings["PORT"] or 5432), "PGUSER": settings["USER"]}
    env |= {"PGPASSWORD": settings["PASSWORD"]} if settings["PASSWORD"] else {}
    subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True)
