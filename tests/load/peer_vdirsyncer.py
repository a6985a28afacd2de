"""vdirsyncer between two address books of a Radicale, on loopback: what keeping contacts the same costs it.

Both are installed for the bench only, below var/. The CPU is that of vdirsyncer's whole process, as each of its runs is one;
Radicale's own is left out, as the sandbox's is on our side. Requests are counted in Radicale's log."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from worlds import HTTP, measured

USER = "bench"
BOOKS = ("left", "right")
READY = 60  # seconds a Radicale may take to answer
MEMORY = "/dev/shm"  # where it waits for no disc; each of its writes would, and nobody counts them
RADICALE = """[server]
hosts = 127.0.0.1:{port}
[auth]
type = none
[storage]
filesystem_folder = {folder}/books
[logging]
level = info
"""
PAIR = """[general]
status_path = "{folder}/status/"
[pair contacts]
a = "left"
b = "right"
collections = [["book", "left", "right"]]
conflict_resolution = "a wins"
"""
STORAGE = """[storage {side}]
type = "carddav"
url = "{url}"
username = "{user}"
password = "{user}"
"""


@dataclass(frozen=True, slots=True)
class Books:
    """A running Radicale with two address books, and a vdirsyncer that was told of them."""

    url: str
    folder: Path
    python: str

    def run(self, command: str = "sync") -> tuple[float, int]:
        """Returns the CPU seconds and the requests of one run of vdirsyncer."""
        before = self._requests()
        asked = ["-m", "vdirsyncer", "-v", "WARNING", "-c", f"{self.folder}/config", command]
        _, cpu = measured(asked, _env(self.folder), python=self.python)
        return cpu, self._requests() - before

    def edit(self, side: str, count: int, word: str) -> None:
        """Changes the job title of the first `count` contacts of one side."""
        for n in range(1, count + 1):
            answer = HTTP.put(f"{self.url}{side}/c{n}.vcf", data=card(n, word), auth=(USER, USER), timeout=60)
            answer.raise_for_status()

    def titles(self, side: str, word: str) -> int:
        """Returns how many contacts of a side have this job title."""
        return sum(f"TITLE:{word}" in path.read_text() for path in _book(self.folder, side).glob("*.vcf"))

    def fill(self, side: str, size: int) -> None:
        """Writes contacts into Radicale's storage, and lets it read them once: it keeps what it has read."""
        for n in range(1, size + 1):
            (_book(self.folder, side) / f"c{n}.vcf").write_text(card(n, "Buyer"), newline="")
        self.read(side)

    def copy(self) -> None:
        """Makes the second address book like the first, with what Radicale keeps of it."""
        shutil.copytree(*(_book(self.folder, side) for side in BOOKS), dirs_exist_ok=True)
        self.read(BOOKS[1])

    def read(self, side: str) -> None:
        asked = {"Depth": "1", "Content-Type": "application/xml"}
        body = '<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>'
        HTTP.request("PROPFIND", f"{self.url}{side}/", data=body, headers=asked, auth=(USER, USER), timeout=600).raise_for_status()

    def _requests(self) -> int:
        return (self.folder / "log").read_text().count(" request for '")


def card(n: int, title: str) -> str:
    """Returns contact `n` with the fields that the sandbox's contacts have."""
    lines = ("BEGIN:VCARD", "VERSION:3.0", f"UID:c{n}", f"FN:First {n} Last {n:07d}", f"N:Last {n:07d};First {n};;;")
    lines += (f"EMAIL:p{n}@acme.example", f"TEL;TYPE=WORK:+44 20 7946 {n % 10000:04d}", f"TITLE:{title}", "END:VCARD", "")
    return "\r\n".join(lines)


@contextmanager
def books(python: str, size: int, is_equal: bool = False) -> Iterator[Books]:
    """Yields two address books that were discovered and never synchronised: `size` contacts in the first, and none in the
    second or the same."""
    with TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as name:
        folder, port = Path(name), _free_port()
        found = Books(f"http://127.0.0.1:{port}/{USER}/", folder, python)
        _configure(found, port)
        with (folder / "log").open("w") as log:
            command = [python, "-m", "radicale", "--config", f"{folder}/radicale"]
            process = subprocess.Popen(command, env=_env(folder), stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(process, port, folder / "log")
            found.fill(BOOKS[0], size)
            if is_equal:
                found.copy()
            found.run("discover")
            yield found
        finally:
            process.terminate()
            process.wait(20)


def _configure(it: Books, port: int) -> None:
    for side in BOOKS:
        _book(it.folder, side).mkdir(parents=True)
        (_book(it.folder, side) / ".Radicale.props").write_text(json.dumps({"tag": "VADDRESSBOOK"}))
    (it.folder / "radicale").write_text(RADICALE.format(port=port, folder=it.folder))
    sides = [STORAGE.format(side=side, url=it.url, user=USER) for side in BOOKS]
    (it.folder / "config").write_text(PAIR.format(folder=it.folder) + "".join(sides))


def _book(folder: Path, side: str) -> Path:
    return folder / "books" / "collection-root" / USER / side


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + READY
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("Radicale did not start: " + log.read_text())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _env(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": "*", "LC_ALL": "C.UTF-8"}
