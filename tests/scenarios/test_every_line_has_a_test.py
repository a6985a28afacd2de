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


def rows():
    """Returns code and test of each line of docs/seeds.md."""
    lines = [line.strip("|").split("|") for line in (ROOT / "docs/seeds.md").read_text().splitlines() if line.startswith("| ")]
    return [(cells[2], cells[3]) for cells in lines[1:]]


def test_every_file_and_test_that_the_list_names_exists():
    missing = []
    for _, tests in rows():
        files = [ROOT / name for name in re.findall(r"`(tests/[\w./]+)`", tests)]
        files += [files[-1].parent / name for name in re.findall(r"`(test_\w+\.py)`", tests)]
        missing += [str(file) for file in files if not file.exists()]
        texts = "".join(file.read_text() for file in files or [ROOT / "tests/scenarios/test_seed_000.py"] if file.is_file())
        missing += [name for name in re.findall(r"`(test_\w+?)_?…?`", tests) if f"def {name}" not in texts]

    assert missing == []


def test_every_module_that_the_list_names_exists():
    named = {name for code, _ in rows() for name in re.findall(r"`((?:\w+/)*\w+)\.(?:py|\w+…?)`", code)}
    found = [name for name in named if (ROOT / f"reconciliation/{name}.py").exists() or (ROOT / f"{name}.py").exists()]

    assert len(named) > 50 and sorted(named - set(found)) == []
