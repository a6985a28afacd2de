"""Each line of seed 000 has a test that bears its number, and stands in docs/seeds.md."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINES = [f"S0.{n}" for n in range(1, 31)]


def test_every_line_of_seed_000_has_a_test_with_its_number():
    names = re.findall(r"def (test_s0_\w+)", (ROOT / "tests/scenarios/test_seed_000.py").read_text())
    tested = {f"S0.{number}" for name in names for number in re.findall(r"s0_(\d+)", name)}

    assert [line for line in LINES if line not in tested] == []


def test_every_line_of_seed_000_stands_in_the_list():
    listed = set()
    for row in re.findall(r"^\| (S0[^|]+)\|", (ROOT / "docs/seeds.md").read_text(), re.MULTILINE):
        numbers = [int(n) for n in re.findall(r"S0\.(\d+)", row)]
        listed |= {f"S0.{n}" for n in (range(numbers[0], numbers[-1] + 1) if "–" in row else numbers)}

    assert [line for line in LINES if line not in listed] == []
