"""Rooms stay small: functions and modules keep to the style guide's ceilings. Tests and migrations are excepted."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("handlers", "shared", "engines", "pods", "infra")
FUNCTION_LINES = 40

# The first pattern that matches a module's path holds.
CEILINGS = {
    "handlers/all_in_one.py": 120,
    "handlers/*.py": 60,
    "shared/web.py": 220,
    "shared/errors.py": 140,
    "shared/settings.py": 220,
    "shared/services.py": 100,
    "shared/logs.py": 80,
    "shared/names.py": 60,
    "shared/workflow.py": 240,
    "shared/lifecycle.py": 150,
    "shared/fees.py": 130,
    "shared/signatures.py": 140,
    "shared/signers.py": 120,
    "shared/escrow.py": 240,
    "shared/schemas/__init__.py": 90,
    "shared/db/tables.py": 240,
    "shared/db/leases.py": 120,
    "shared/db/*.py": 200,
    "shared/storage/*.py": 160,
    "shared/files/*.py": 120,
    "engines/run_*.py": 40,
    "engines/cli.py": 80,
    "engines/reconcile.py": 180,
    "engines/observation.py": 90,
    "engines/actions.py": 90,
    "engines/decide.py": 260,
    "engines/phases.py": 200,
    "engines/environments.py": 160,
    "engines/orphans.py": 110,
    "engines/settlement/*.py": 180,
    "pods/*.py": 130,
    "*": 300,
}


def test_no_module_outgrows_its_ceiling() -> None:
    too_long = [
        f"{path}: {lines} lines, {ceiling} at most"
        for path in product_modules()
        if (lines := len(text_of(path).splitlines())) > (ceiling := ceiling_of(path))
    ]
    assert not too_long, "Each asks for a better cut, not for longer lines:\n" + "\n".join(too_long)


def test_no_function_outgrows_its_ceiling() -> None:
    too_long = [
        f"{path}:{function.lineno} {function.name}: {lines} lines, {FUNCTION_LINES} at most"
        for path in product_modules()
        for function in functions_of(path)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES
    ]
    assert not too_long, "Give the parts names of their own:\n" + "\n".join(too_long)


def test_the_package_of_handlers_holds_nothing_itself() -> None:
    assert text_of(Path("handlers/__init__.py")) == ""


def test_every_module_that_holds_something_says_what_it_owns() -> None:
    untold = [str(path) for path in product_modules() if text_of(path) and not ast.get_docstring(tree_of(path))]
    assert not untold, "A module's first line says what it owns:\n" + "\n".join(untold)


def product_modules() -> list[Path]:
    """Every module of the product, relative to the project's root."""
    found = (path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return sorted(path for path in found if "migrations" not in path.parts)


def ceiling_of(path: Path) -> int:
    """The lines the style guide allows this module."""
    return next(lines for pattern, lines in CEILINGS.items() if pattern == "*" or is_at(path, pattern))


def is_at(path: Path, pattern: str) -> bool:
    """Whether the pattern means this very depth: `shared/*.py` says nothing of `shared/db/tables.py`."""
    return len(path.parts) == pattern.count("/") + 1 and path.match(pattern)


def functions_of(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods, nested ones too."""
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path), filename=str(path))


def text_of(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")
