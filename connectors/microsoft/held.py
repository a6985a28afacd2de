"""What contacts held when they were last read: Microsoft replaces lists whole, so a write of one address needs the others."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from connectors.microsoft.codec import HELD, Row, etag_of, id_of


class Held:
    """A memory of so many contacts, the longest unused of which is forgotten first. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, row: Row) -> None:
        """Keeps what a sound row says under its version; of the same version, beside what is known already."""
        id_, etag = id_of(row), etag_of(row)
        if not id_ or not etag:
            return
        said = {name: row[name] for name in HELD if name in row}
        with self._lock:
            known = self._rows.pop(id_, {})
            self._rows[id_] = {**(known if known.get("@odata.etag") == etag else {}), **said, "@odata.etag": etag}
            while len(self._rows) > self._most:
                self._rows.popitem(last=False)

    def of(self, id_: str, version: str, properties: Sequence[str]) -> Row | None:
        """Returns what the contact holds in this version, None when some of the properties are not known."""
        with self._lock:
            row = self._rows.get(id_)
            if row is None or not version or row["@odata.etag"] != version or any(name not in row for name in properties):
                return None
            self._rows.move_to_end(id_)
            return row

    def forget(self, id_: str) -> None:
        with self._lock:
            self._rows.pop(id_, None)
