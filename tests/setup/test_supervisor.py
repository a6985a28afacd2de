"""The supervisor leaves nothing behind, restarts what died and what only looks alive."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciliation.engine.supervisor import Program, Supervisor

# Writes the pid of a grandchild that ignores SIGTERM, then sleeps.
PARENT = """
import pathlib, subprocess, sys, time
ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", ignore], stdout=subprocess.PIPE)
child.stdout.readline()
with open(sys.argv[1], "a") as file:
    file.write(f"{child.pid}\\n")
time.sleep(float(sys.argv[2]))
"""


def program(tmp_path: Path, *, lasts: float = 60, **options: object) -> Program:
    return Program("program", [sys.executable, "-c", PARENT, str(tmp_path / "pids"), str(lasts)], **options)  # type: ignore[arg-type]


def pids(tmp_path: Path) -> list[int]:
    path = tmp_path / "pids"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def is_alive(pid: int) -> bool:
    """A zombie is dead: an orphan may wait for its reaper."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def eventually(true: Callable[[], bool], *, seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def make_supervisor(**options: object) -> Supervisor:
    return Supervisor(**{"grace_seconds": 1.0, "back_off_seconds": (0.1,), "watch_every_seconds": 0.1, "say": lambda _: None, **options})  # type: ignore[arg-type]


def test_stop_leaves_neither_child_nor_grandchild(tmp_path: Path) -> None:
    supervisor = make_supervisor()
    supervisor.start(program(tmp_path))
    assert eventually(lambda: len(pids(tmp_path)) == 1)
    main = supervisor.programs[0].process

    supervisor.stop()

    assert main is not None and main.returncode == -signal.SIGTERM
    assert eventually(lambda: not is_alive(pids(tmp_path)[0]))


def test_a_program_that_ends_is_started_again_and_its_leftovers_are_killed(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    supervisor = make_supervisor(restarted=lambda *said: told.append(said))
    supervisor.start(program(tmp_path, lasts=0))

    assert supervisor.wait_until(lambda: len(pids(tmp_path)) >= 3, seconds=20)
    supervisor.stop()

    assert eventually(lambda: not any(map(is_alive, pids(tmp_path))))
    assert told[0] == ("program", "ended (exit 0)")


def test_a_program_without_sign_of_life_is_restarted(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    supervisor = make_supervisor(restarted=lambda *said: told.append(said))

    def sign() -> object:  # moves until the program, the first or the one after a restart, is up
        return "stands still" if len(pids(tmp_path)) > len(told) else time.monotonic()

    supervisor.start(program(tmp_path, sign_of_life=sign, stale_seconds=1.0))
    assert eventually(lambda: len(pids(tmp_path)) == 1)
    first = supervisor.programs[0].process

    assert supervisor.wait_until(lambda: len(pids(tmp_path)) == 2, seconds=20)
    supervisor.stop()

    assert first is not None and first.returncode is not None
    assert told[0] == ("program", "gave no sign of life for 1 s")


def test_a_program_that_moves_is_left_alone(tmp_path: Path) -> None:
    supervisor = make_supervisor()
    supervisor.start(program(tmp_path, sign_of_life=time.monotonic, stale_seconds=0.5))
    assert eventually(lambda: len(pids(tmp_path)) == 1)

    supervisor.wait_until(lambda: False, seconds=2)
    supervisor.stop()

    assert len(pids(tmp_path)) == 1


def test_what_the_others_talk_to_stops_last(tmp_path: Path) -> None:
    """The cluster takes its time over what it is doing; whom it talks to meanwhile must not be gone."""
    supervisor = make_supervisor(grace_seconds=30.0)
    ready, asked, may_end = (tmp_path / name for name in ("ready", "asked", "may end"))
    slow = (
        "import pathlib, signal, sys, time; ready, asked, may_end = map(pathlib.Path, sys.argv[1:])\n"
        "def stop(*_):\n    asked.touch()\n    while not may_end.exists():\n        time.sleep(0.05)\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop); ready.touch(); time.sleep(60)"
    )
    supervisor.start(Program("sandbox", [sys.executable, "-c", "import time; time.sleep(60)"], stops_last=True))
    supervisor.start(Program("cluster", [sys.executable, "-c", slow, *map(str, (ready, asked, may_end))]))
    assert eventually(ready.exists)
    stopper = threading.Thread(target=supervisor.stop)

    stopper.start()
    was_asked = eventually(asked.exists)
    time.sleep(0.3)  # a sandbox that was told to stop with it would be gone by now
    sandbox, cluster = (program.process for program in supervisor.programs)
    sandbox_ran_on = sandbox is not None and is_alive(sandbox.pid)
    may_end.touch()
    stopper.join()

    assert was_asked and sandbox_ran_on
    assert cluster is not None and cluster.returncode == 0
    assert sandbox is not None and sandbox.returncode == -signal.SIGTERM


def test_children_die_with_a_killed_supervisor(tmp_path: Path, project_root: Path) -> None:
    script = (
        "import sys, time; from reconciliation.engine.supervisor import Program, Supervisor; s = Supervisor();"
        "s.start(Program('x', [sys.executable, '-c', 'import time; time.sleep(60)']));"
        "print(s.programs[0].process.pid, flush=True); time.sleep(60)"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", script], cwd=project_root, stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    child = int(supervisor.stdout.readline())

    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait()

    if sys.platform.startswith("linux"):
        assert eventually(lambda: not is_alive(child))


@pytest.mark.parametrize(("port", "names"), [(None, ["task cluster"]), (8000, ["task cluster", "web server"])])
def test_a_worker_host_runs_the_cluster_and_no_pages(monkeypatch, port, names):
    from reconciliation.management.commands import serve

    started = []
    supervisor = Supervisor(say=lambda sentence: None)
    monkeypatch.setattr(supervisor, "start", started.append)
    monkeypatch.setattr(serve, "is_listening", lambda port: True)

    assert serve.Command().start(supervisor, sandbox=False, port=port, sandbox_port=8900) is None
    assert [program.name for program in started] == names
