"""vdirsyncer between two address books of a Radicale on this machine: what a run costs it, in CPU seconds of its process and in
requests."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from worlds import HTTP

REQUIREMENTS = ("vdirsyncer==0.21.0", "radicale==3.9.0")
USER = ("bench", "bench")
STORE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # Radicale waits for the disc with each card, which nobody counts
BOOK = """<?xml version="1.0"?><mkcol xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:carddav"><set><prop><resourcetype><collection/>
<C:addressbook/></resourcetype></prop></set></mkcol>"""
SERVER = """[server]
hosts = 127.0.0.1:{port}
[auth]
type = none
[storage]
filesystem_folder = {folder}/store
[logging]
level = info
"""
PAIR = """[general]
status_path = "{folder}/status/"
[pair contacts]
a = "one"
b = "two"
collections = null
conflict_resolution = "a wins"
"""
STORAGE = """[storage {name}]
type = "carddav"
url = "{url}{name}/"
username = "bench"
password = "bench"
"""


@dataclass(frozen=True, slots=True)
class Books:
    """Two address books, and the program that keeps them alike."""

    folder: Path
    url: str
    programs: Path

    def fill(self, name: str, count: int) -> None:
        """Puts a whole book in place."""
        self._put(f"{name}/", "".join(_card(n, "Buyer") for n in range(count)))

    def edit(self, name: str, count: int, word: str) -> None:
        for n in range(count):
            self._put(f"{name}/card-{n}.vcf", _card(n, word))

    def discover(self) -> None:
        self._run("discover", answers="y\n" * 4)

    def sync(self) -> tuple[float, int]:
        """Returns CPU seconds of one run, start of the process included, and its requests."""
        before, asked = resource.getrusage(resource.RUSAGE_CHILDREN), self._requests()
        self._run("sync")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, self._requests() - asked

    def cards(self, name: str) -> str:
        return HTTP.get(f"{self.url}{name}/", auth=USER, timeout=300).text

    def make(self, name: str) -> None:
        HTTP.request("MKCOL", f"{self.url}{name}/", data=BOOK, auth=USER, timeout=30).raise_for_status()

    def _put(self, path: str, text: str) -> None:
        answer = HTTP.put(self.url + path, data=text.encode(), auth=USER, headers={"Content-Type": "text/vcard"}, timeout=600)
        answer.raise_for_status()

    def _run(self, verb: str, *, answers: str = "") -> None:
        env = {**os.environ, "VDIRSYNCER_CONFIG": str(self.folder / "config"), "NO_PROXY": "*"}
        done = subprocess.run([str(self.programs / "vdirsyncer"), verb], env=env, input=answers, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)

    def _requests(self) -> int:
        return (self.folder / "server.log").read_text().count(" response status for ")


@contextmanager
def books(folder: str, programs: Path, size: int, *, both: bool = False) -> Iterator[Books]:
    """Yields two books, the first of which holds `size` contacts; with `both` the second holds the same ones."""
    root = Path(folder)
    port = _free_port()
    it = Books(root, f"http://127.0.0.1:{port}/{USER[0]}/", programs)
    (root / "server.ini").write_text(SERVER.format(port=port, folder=folder))
    (root / "config").write_text(PAIR.format(folder=folder) + "".join(STORAGE.format(name=n, url=it.url) for n in ("one", "two")))
    with (root / "server.log").open("w") as log:
        server = subprocess.Popen([str(programs / "radicale"), "--config", str(root / "server.ini")], stdout=log, stderr=log)
        try:
            _wait_for(port)
            for name in ("one", "two"):
                it.make(name)
            for name in ("one", "two") if both else ("one",):
                it.fill(name, size)
            it.discover()
            yield it
        finally:
            server.terminate()
            server.wait(20)


def _card(n: int, title: str) -> str:
    lines = (
        *("BEGIN:VCARD", "VERSION:3.0", f"UID:card-{n}", f"FN:First Last{n}", f"N:Last{n};First;;;", f"TITLE:{title}"),
        *(f"EMAIL:last{n}@acme.example", f"TEL;TYPE=CELL:+44 7700 {n:06d}", "ORG:Acme", "END:VCARD"),
    )
    return "".join(f"{line}\r\n" for line in lines)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("Radicale did not start.")
