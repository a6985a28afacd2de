"""Deliveries that could not be stored: kept in files of this host until the database answers again.

A sender that was answered takes the delivery for delivered, whatever the answer was, so it must not be lost here. Whether
its signature fits may not be known yet: that is asked when it is taken up, and what does not fit is thrown away. The
folder (setting HOOK_SPOOL_DIR) takes MOST_BYTES and MOST_FILES, so that nobody fills the disk while the database is down.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from django.conf import settings

log = logging.getLogger(__name__)
SUFFIX, DAMAGED = ".delivery", ".damaged"
MOST_BYTES, MOST_FILES = 64 * 1024 * 1024, 20_000


class SpoolFull(Exception):
    """The folder holds as much as it may, or cannot be written."""


def put(connection_id: int, body: bytes, signature: str, received_at: datetime, *, part: str = "") -> None:
    """Keeps one delivery; the same one twice is one file. It is on the disk when this returns. `part` is a folder of its own,
    for deliveries that are taken up by somebody else. Raises SpoolFull."""
    folder = Path(settings.HOOK_SPOOL) / part
    name = f"{connection_id}-{hashlib.sha256(signature.encode('utf-8', 'surrogateescape') + body).hexdigest()}"
    head = {"connection": connection_id, "signature": signature, "received_at": received_at.isoformat()}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sizes = _sizes(folder)
        if len(sizes) >= MOST_FILES or sum(sizes) + len(body) > MOST_BYTES:
            raise SpoolFull(f"{len(sizes)} deliveries wait in files already")
        _write(folder, name, json.dumps(head).encode() + b"\n" + body)
    except OSError as error:
        raise SpoolFull(f"the spool cannot be written: {error.strerror}") from error


def _sizes(folder: Path) -> list[int]:
    """Returns the sizes of what lies there; what others write or take up at this moment may count or not."""
    sizes = []
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):
            sizes.append(entry.stat().st_size)
    return sizes


def _write(folder: Path, name: str, content: bytes) -> None:
    """Writes the file under another name first: a crash leaves a whole one, or none that is taken up."""
    begun = folder / f"{name}.{uuid.uuid4().hex}.begun"
    descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    begun.replace(folder / f"{name}{SUFFIX}")
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def waiting(part: str = "") -> int:
    """Returns how many deliveries wait in files of this host."""
    return sum(1 for _ in _files(part))


def take_up(store: Callable[[int, bytes, str, datetime], object], *, part: str = "") -> int:
    """Hands each delivery to `store` and removes its file once that returned. Returns how many went. Raises what `store`
    raises, keeping the rest."""
    done = 0
    for path in _files(part):
        try:
            head, _, body = path.read_bytes().partition(b"\n")
            said = json.loads(head)
            connection_id, signature, at = int(said["connection"]), str(said["signature"]), datetime.fromisoformat(said["received_at"])
        except FileNotFoundError:
            continue  # another process took it up
        except (OSError, ValueError, KeyError, TypeError):
            log.error("a spooled delivery cannot be read and is set apart: %s", path.name)
            path.replace(path.with_suffix(DAMAGED))
            continue
        store(connection_id, body, signature, at)
        path.unlink(missing_ok=True)
        done += 1
    return done


def _files(part: str) -> Iterator[Path]:
    folder = Path(settings.HOOK_SPOOL) / part
    if folder.is_dir():
        yield from sorted(folder.glob(f"*{SUFFIX}"))
