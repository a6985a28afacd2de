"""Keeps a few programs running in the foreground: start, restart, watch, stop. `manage.py serve` calls it.

Why not a plain list of children (measured, docs/decisions/0001-dependencies.md): a django-q cluster whose process group
is signalled hangs for ever, one whose main process dies leaves workers behind, and one whose idle worker dies looks
alive and does nothing. So each program gets a session of its own, SIGTERM goes to its main process only, what is left
of the session is killed before a restart, and a watchdog judges by progress.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

BACK_OFF_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
SETTLED_SECONDS = 60.0  # a program that ran this long starts its next back-off from the beginning
TICK_SECONDS = 0.25
PR_SET_PDEATHSIG = 1


@dataclass
class Program:
    """One program to keep running. `sign_of_life` returns a value that moves while the program makes progress, or
    `None` when nobody can tell; unmoved for `stale_seconds`, the program is restarted."""

    name: str
    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    sign_of_life: Callable[[], object | None] | None = None
    stale_seconds: float = 180.0
    stops_last: bool = False  # what the others talk to while they finish

    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0  # these three by time.monotonic(), which no clock change moves
    start_due_at: float = 0.0
    moved_at: float = 0.0
    last_sign: object | None = None
    quick_deaths: int = 0


class Supervisor:
    """Runs programs until `stop` is asked for. Start it from the main thread: a child dies with the thread that made it."""

    def __init__(
        self,
        *,
        grace_seconds: float = 20.0,
        back_off_seconds: tuple[float, ...] = BACK_OFF_SECONDS,
        watch_every_seconds: float = 5.0,
        say: Callable[[str], None] = print,
        restarted: Callable[[str, str], None] = lambda program, reason: None,
    ) -> None:
        self.programs: list[Program] = []
        self.grace_seconds = grace_seconds
        self.back_off_seconds = back_off_seconds
        self.watch_every_seconds = watch_every_seconds
        self.say = say
        self.restarted = restarted  # is told (program, reason) when one has to be started again
        self.stopping = threading.Event()
        self._watched_at = 0.0

    def ask_to_stop(self, *_signal: object) -> None:
        """A signal handler; a second signal cuts the grace short."""
        if self.stopping.is_set():
            self.grace_seconds = 0.0
        self.stopping.set()

    def start(self, program: Program) -> None:
        if program not in self.programs:
            self.programs.append(program)
        program.process = subprocess.Popen(
            program.argv,
            env={**os.environ, **program.env},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),
        )
        program.started_at = program.moved_at = time.monotonic()
        program.last_sign = None

    def wait_until(self, is_ready: Callable[[], bool], *, seconds: float) -> bool:
        """Returns whether `is_ready` came true in time, while dead programs are restarted."""
        deadline = time.monotonic() + seconds
        while not self.stopping.is_set() and time.monotonic() < deadline:
            if is_ready():
                return True
            self._tend()
            self.stopping.wait(TICK_SECONDS)
        return False

    def run(self) -> None:
        """Returns when a signal or `ask_to_stop` asked for the end. The caller then calls `stop`."""
        while not self.stopping.wait(TICK_SECONDS):
            self._tend()

    def stop(self) -> None:
        """Stops the programs, those that stop last after the others; returns when nothing of them is left."""
        self.stopping.set()
        for last in (False, True):
            group = [program for program in self.programs if program.stops_last is last]
            for program in group:
                _terminate(program)
            asked_at = time.monotonic()
            # Read anew each time: a second signal sets the grace to nothing.
            while any(map(_is_running, group)) and time.monotonic() - asked_at < self.grace_seconds:
                time.sleep(0.05)
            for program in group:
                _kill_session(program)

    def _tend(self) -> None:
        now = time.monotonic()
        for program in self.programs:
            if program.process is None:
                if now >= program.start_due_at:
                    self.start(program)
            elif program.process.poll() is not None:
                self._bury(program, now=now)
        if now - self._watched_at >= self.watch_every_seconds:
            self._watched_at = now
            for program in self.programs:
                self._watch(program, now=now)

    def _bury(self, program: Program, *, now: float) -> None:
        assert program.process is not None
        code = program.process.returncode
        _kill_session(program)
        program.quick_deaths = 0 if now - program.started_at >= SETTLED_SECONDS else program.quick_deaths + 1
        delay = self.back_off_seconds[min(max(program.quick_deaths - 1, 0), len(self.back_off_seconds) - 1)]
        program.process = None
        program.start_due_at = now + delay
        self.say(f"The {program.name} ended ({_ending(code)}); it starts again in {delay:g} s.")
        self.restarted(program.name, f"ended ({_ending(code)})")

    def _watch(self, program: Program, *, now: float) -> None:
        if program.sign_of_life is None or program.process is None:
            return
        sign = program.sign_of_life()
        if sign != program.last_sign:
            program.last_sign = sign
            program.moved_at = now
        elif now - program.moved_at >= program.stale_seconds:
            reason = f"gave no sign of life for {program.stale_seconds:g} s"
            self.say(f"The {program.name} {reason}; it is restarted.")
            self.restarted(program.name, reason)
            _terminate(program)
            # A hung cluster ignores SIGTERM: do not give it the whole grace.
            deadline = now + min(self.grace_seconds, 5.0)
            while _is_running(program) and time.monotonic() < deadline and not self.stopping.is_set():
                time.sleep(0.05)
            _kill_session(program)
            program.process = None
            program.start_due_at = time.monotonic()


def _die_with(parent_pid: int) -> Callable[[], None] | None:
    """Returns what the child runs before its program: on Linux it asks for SIGTERM when the supervisor dies."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent_pid:  # it died between fork and here
            os._exit(1)

    return ask


def _is_running(program: Program) -> bool:
    return program.process is not None and program.process.poll() is None


def _terminate(program: Program) -> None:
    if _is_running(program):
        assert program.process is not None
        program.process.send_signal(signal.SIGTERM)


def _kill_session(program: Program) -> None:
    """Kills what is left of the program's session and reaps its main process."""
    if program.process is None:
        return
    try:
        os.killpg(program.process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # nothing left; macOS says PermissionError for a group of zombies
    program.process.wait()


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
