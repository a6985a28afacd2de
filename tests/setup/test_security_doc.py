"""docs/security.md names only tests that exist, so that no line of it outlives its proof, and has a line for every
requirement of levels 1 and 2."""

import re
from pathlib import Path

import pytest

# Section of ASVS 5.0 -> the numbers in it that are of level 1 or 2, as ranges. Chapter 17 (WebRTC) is not there.
LEVEL_2 = (
    "1.1:1-2 1.2:1-9 1.3:1-11 1.4:1-3 1.5:1-2 2.1:1-3 2.2:1-3 2.3:1-4 2.4:1 3.2:1-2 3.3:1-4 3.4:1-6 3.5:1-5 3.7:1-2 "
    "4.1:1-3 4.2:1 4.3:1-2 4.4:1-4 5.1:1 5.2:1-3 5.3:1-2 5.4:1-3 6.1:1-3 6.2:1-12 6.3:1-4 6.4:1-4 6.5:1-5 6.6:1-3 6.8:1-4 "
    "7.1:1-3 7.2:1-4 7.3:1-2 7.4:1-5 7.5:1-2 7.6:1-2 8.1:1-2 8.2:1-3 8.3:1 8.4:1 9.1:1-3 9.2:1-4 10.1:1-2 10.2:1-2 "
    "10.3:1-4 10.4:1-11 10.5:1-5 10.6:1-2 10.7:1-3 11.1:1-2 11.2:1-3 11.3:1-3 11.4:1-4 11.5:1 11.6:1 12.1:1-3 12.2:1-2 "
    "12.3:1-4 13.1:1 13.2:1-5 13.3:1-2 13.4:1-5 14.1:1-2 14.2:1-4 14.3:1-3 15.1:1-3 15.2:1-3 15.3:1-7 16.1:1 16.2:1-5 "
    "16.3:1-4 16.4:1-3 16.5:1-3"
)
Number = tuple[int, ...]


@pytest.fixture
def document(project_root: Path) -> str:
    return (project_root / "docs/security.md").read_text()


def number(text: str) -> Number:
    return tuple(int(part) for part in text.split("."))


def required() -> list[Number]:
    found = []
    for entry in LEVEL_2.split():
        section, _, span = entry.partition(":")
        first, _, last = span.partition("-")
        found += [(*number(section), n) for n in range(int(first), int(last or first) + 1)]
    return found


def listed(document: str) -> list[Number]:
    """Returns the numbers of the first column; a range stands for every requirement within it."""
    found: list[Number] = []
    for cell in re.findall(r"^\| (\d[\d., –]*) \|", document, re.MULTILINE):
        for part in cell.split(", "):
            first, _, last = part.partition("–")
            found += [n for n in required() if number(first) <= n <= number(last or first)] or [number(first)]
    return found


def folders(document: str) -> dict[str, str]:
    """Returns the folder of each test file, as the head of the document says."""
    found = {}
    for names, folder in re.findall(r"((?:`test_\w+`,?\s+)+)(?:are |is )?in `(tests/\w+)`", document.partition("## V1 ")[0]):
        found |= dict.fromkeys(re.findall(r"test_\w+", names), folder)
    return found


def test_every_test_that_the_document_names_exists(project_root: Path, document: str) -> None:
    where, missing = folders(document), []
    for name, test in re.findall(r"`(test_\w+)(?:::(test_\w+))?`", document):
        file = project_root / where.get(name, "tests/nowhere") / f"{name}.py"
        if not file.exists() or (test and f"def {test}(" not in file.read_text()):
            missing.append(f"{name}::{test}")
    for path in re.findall(r"`((?:tests|docs|deploy|templates)/[\w./-]+)`", document):
        if not (project_root / path).exists():
            missing.append(path)

    assert missing == []


def test_no_test_is_placed_that_no_line_names(document: str) -> None:
    head, _, lines = document.partition("## V1 ")

    assert [name for name in folders(head) if f"`{name}" not in lines] == []


def test_every_requirement_has_exactly_one_line(document: str) -> None:
    found = listed(document)

    assert [n for n in required() if n not in found] == []
    assert sorted(n for n in set(found) if found.count(n) > 1) == []
    assert [n for n in found if n not in required()] == []
