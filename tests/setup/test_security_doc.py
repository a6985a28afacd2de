"""docs/security.md names only tests that exist, so that no line of it outlives its proof."""

import re
from pathlib import Path


def test_every_test_that_the_document_names_exists(project_root: Path) -> None:
    text = (project_root / "docs/security.md").read_text()
    files = {path.stem: path for path in (project_root / "tests").rglob("test_*.py")}

    missing = [name for name in re.findall(r"`(test_\w+)[`:]", text) if name not in files]
    for name, test in re.findall(r"`(test_\w+)::(test_\w+)`", text):
        if name in files and f"def {test}(" not in files[name].read_text():
            missing.append(f"{name}::{test}")
    for path in re.findall(r"`((?:tests|docs|deploy|templates)/[\w./-]+)`", text):
        if not (project_root / path).exists():
            missing.append(path)

    assert missing == []


def test_every_chapter_of_the_standard_has_its_lines(project_root: Path) -> None:
    text = (project_root / "docs/security.md").read_text()

    for chapter in range(1, 17):
        assert re.search(rf"^\| (?:[\d.–]+, )*{chapter}\.\d", text, re.MULTILINE), chapter
