"""Imports only point down (architecture): found by walking the syntax trees, imports inside functions included."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
# From the bottom up. A module may import its own layer and what is below.
LAYERS = ["core", "defaults", "passes", "models", "store", "engine", "selectors", "services", "jobs", "filters", "forms", "views", "admin"]
SAME = {"selectors": "services", "mailbox_jobs": "jobs", "filters": "views", "forms": "views"}
PURE = {"core", "defaults", "passes"}
IMPURE_MODULES = {"django", "requests", "urllib3", "http", "socket", "ssl", "time", "random", "secrets", "uuid", "os", "subprocess"}
SHARED_WITH_SANDBOX = {"connectors.contract", "connectors.errors"}
# What pure code may know of the outside world; `when` is a value of the contract of calendars.
CONTRACTS = {
    "connectors.contract",
    "connectors.mailboxes",
    "connectors.calendars",
    "connectors.mails",
    "connectors.tasks",
    "connectors.notices",
    "connectors.when",
}


def modules(folder: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> Iterator[str]:
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            # `from connectors import outreach` names a module too.
            yield from (".".join([*start, *([node.module] if node.module else []), alias.name]) for alias in node.names)


def is_in(imported: str, package: str) -> bool:
    return imported == package or imported.startswith(package + ".")


def layer(module: str) -> int | None:
    name = module.split(".")[1] if module.startswith("reconciliation.") else ""
    name = SAME.get(name, name)
    return LAYERS.index(name) if name in LAYERS else None


def complaint_about(module: str, imported: str) -> str | None:
    if module.startswith("connectors"):
        if is_in(imported, "django") or is_in(imported, "reconciliation") or is_in(imported, "syncsite"):
            return "a connector knows neither Django nor the application"
        in_sandbox = is_in(module, "connectors.sandbox")
        if in_sandbox and is_in(imported, "connectors") and not is_in(imported, "connectors.sandbox"):
            return "the sandbox shares nothing but the wire with the connectors"
        if not in_sandbox and is_in(imported, "connectors.sandbox"):
            return "a connector must not see the sandbox"
        return None
    if is_in(imported, "syncsite") and not is_in(imported, "syncsite.logging"):
        return "the site is above the application"
    mine, theirs = layer(module), layer(imported)
    if mine is None:
        return None  # apps.py, management commands and migrations bind the layers together
    if theirs is not None and theirs > mine:
        return "imports point down only"
    if LAYERS[mine] in PURE:
        if imported.split(".")[0] in IMPURE_MODULES:
            return "pure code has no Django, HTTP, clock or randomness"
        if is_in(imported, "connectors") and not any(is_in(imported, allowed) for allowed in CONTRACTS):
            return "pure code knows the connectors' contract only"
    return None


@pytest.mark.parametrize("folder", ["connectors", "reconciliation"])
def test_imports_only_point_down(folder: str) -> None:
    complaints = [
        f"{module} imports {imported}: {complaint}"
        for module, path in modules(folder)
        for imported in imports(path)
        if (complaint := complaint_about(module, imported))
    ]

    assert complaints == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("connectors.outreach.client", "django.conf"),
        ("connectors.outreach.client", "connectors.sandbox.wire"),
        ("connectors.sandbox.outreach", "connectors.outreach.codec"),
        ("reconciliation.core.merging", "time"),
        ("reconciliation.core.merging", "connectors.http"),
        ("reconciliation.passes.organisations", "reconciliation.models.Binding"),
        ("reconciliation.engine.runner", "reconciliation.services.duplicates"),
        ("reconciliation.models.run", "reconciliation.engine.runner"),
        ("reconciliation.services.passes", "syncsite.settings"),
    ],
)
def test_the_rule_finds_what_it_forbids(module: str, imported: str) -> None:
    assert complaint_about(module, imported)
