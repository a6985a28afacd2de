"""Ratios on loopback, medians of several runs: calls against the least that is possible, CPU against a floor without
logic, a quiet pass at many bindings against few, latency against what concurrency allows. `--json` prints numbers only.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
HTTP = requests.Session()
HTTP.trust_env = False


def environment(folder: str) -> dict[str, str]:
    return {
        **os.environ,
        "ENV_FILE": "",
        "SECRET_KEY": "bench-only-" + "0123456789abcdef" * 4,
        "FIELD_KEYS": "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI=",
        "ALLOW_LOOPBACK": "1",
        "SECURE_SSL": "0",
        "LOG_LEVEL": "ERROR",
        "DATABASE_URL": f"sqlite:///{folder}/bench.sqlite3",
    }


def measured(arguments: list[str], env: dict[str, str]) -> tuple[str, float]:
    """Returns what a command printed and the CPU seconds of its process tree."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def sandbox(scenario: str, latency_ms: int = 0) -> Iterator[tuple[str, dict[str, str], str]]:
    """Yields the control address, the environment of a fresh database, and its folder."""
    with tempfile.TemporaryDirectory() as folder:
        env = environment(folder)
        arguments = ["manage.py", "sandbox", "--port", "0", "--scenario", scenario, "--latency-ms", str(latency_ms)]
        process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        control = json.loads(process.stdout.readline())["control"]
        measured(["manage.py", "migrate", "-v", "0"], env)
        measured(["manage.py", "connect_sandbox", "--url", control], env)
        try:
            yield control, env, folder
        finally:
            process.terminate()
            process.wait(20)


def run(env: dict[str, str], *options: str) -> tuple[dict[str, Any], float]:
    text, cpu = measured(["manage.py", "runpass", "organisations", "--json", *options], env)
    return json.loads(text), cpu


def counted(control: str) -> dict[str, int]:
    counts = HTTP.get(f"{control}/calls?limit=0", timeout=60).json()["counts"]
    HTTP.delete(f"{control}/calls", timeout=60)
    return {name: sum(n.values()) for name, n in counts.items()}


def least_calls(created: int) -> int:
    """Engine-rules 10 for new organisations without people: reads, people reads, write-backs; name searches, one delta
    read of names when there are creates, and the creates."""
    pages = max(1, math.ceil(created / 100))
    if not created:
        return 1
    return pages + math.ceil(created / 100) + math.ceil(created / 100) + math.ceil(created / 50) + 1 + created


def bench_calls(sizes: list[int]) -> list[dict[str, Any]]:
    rows = []
    for size in sizes:
        with sandbox(f"bench:{size}") as (control, env, _):
            HTTP.delete(f"{control}/calls", timeout=60)
            run(env)
            calls = sum(counted(control).values())
        least = least_calls(size)
        rows.append({"what": f"calls, {size} new", "ours": calls, "least": least, "ratio": round(calls / least, 3), "aim": "<= 1.05 (+1)"})
    return rows


def bench_first_load(size: int, rounds: int) -> list[dict[str, Any]]:
    """Whole-process CPU, less what starting Python and the application costs."""
    ours, floors = [], []
    for _ in range(rounds):
        with sandbox(f"bench:{size}") as (_, env, _folder):
            _, empty = run(env, "--budget", "0", "--dry-run")
            ours.append(run(env)[1])
        with sandbox(f"bench:{size}") as (control, env, folder):
            floors.append(measured(["tests/load/floor.py", control, f"{folder}/floor.sqlite3"], env)[1])
        del empty
    us, floor = statistics.median(ours), statistics.median(floors)
    row = {"what": f"first load, {size}: CPU s", "ours": round(us, 2), "least": round(floor, 2), "ratio": round(us / floor, 2)}
    return [{**row, "aim": "<= 1.5"}]


def bench_idle(few: int, many: int, rounds: int) -> list[dict[str, Any]]:
    seconds, calls = {}, {}
    for size in (few, many):
        with sandbox(f"bench:{size}") as (control, env, _):
            run(env)
            HTTP.post(f"{control}/clock", json={"advance": 400}, timeout=60)
            run(env)
            counted(control)
            times = []
            for _ in range(rounds):
                HTTP.post(f"{control}/clock", json={"advance": 400}, timeout=60)
                times.append(run(env)[0]["seconds"])
            calls[size] = sum(counted(control).values()) / rounds
            seconds[size] = statistics.median(times)
    ratio = round(seconds[many] / seconds[few], 2)
    row = {
        "what": f"quiet pass, {many} bindings to {few}: s",
        "ours": seconds[many],
        "least": seconds[few],
        "ratio": ratio,
        "aim": "<= 1.5",
    }
    return [row, {"what": "quiet pass: calls", "ours": calls[many], "least": 1, "ratio": calls[many], "aim": "1"}]


def bench_latency(size: int, latency_ms: int) -> list[dict[str, Any]]:
    with sandbox(f"bench:{size}", latency_ms) as (control, env, _):
        counted(control)
        ledger, _ = run(env)
        calls = counted(control)
    floor = (calls["outreach"] / 8 + calls["workbooks"]) * latency_ms / 1000
    ours = ledger["seconds"]
    row = {"what": f"latency {latency_ms} ms, {size} new: s", "ours": ours, "least": round(floor, 2), "ratio": round(ours / floor, 2)}
    return [{**row, "aim": "<= 1.2"}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    rows = bench_calls([0, 1, 1000, 10_000] if chosen.full else [0, 1, 1000])
    rows += bench_first_load(20_000 if chosen.full else 2_000, 5 if chosen.full else 3)
    rows += bench_idle(1_000, 100_000 if chosen.full else 5_000, 5)
    rows += bench_latency(1_000, 100)
    if chosen.json:
        print(json.dumps(rows))
        return
    print(f"{'measure':<44}{'ours':>12}{'least':>12}{'ratio':>9}  aim")
    for row in rows:
        print(f"{row['what']:<44}{row['ours']:>12}{row['least']:>12}{row['ratio']:>9}  {row['aim']}")


if __name__ == "__main__":
    main()
