"""The README's tables say what the code does, and the code does nothing they leave out.

The README has a table under `## Commands` (first column: the command's name; its method and path in the same row) and
one under `## Settings` (first column: the environment variable). Names stand between backticks.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.web import Command

ROOT = Path(__file__).parent.parent
PACKAGES = ("handlers", "shared", "engines", "pods", "infra")
SETTING = re.compile(r"C2D_[A-Z0-9_]+|DOCKER_COMPUTE_ENVIRONMENTS|PRIVATE_KEY|RPCS")
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def test_every_command_has_a_row_and_every_row_a_command() -> None:
    assert set(first_column("Commands")) == {command.name for command in commands()}


def test_a_commands_row_names_its_method_and_path() -> None:
    rows = first_column("Commands")
    wrong = [
        f"{command.method} {command.path} is not in the row of {command.name}: {rows[command.name]}"
        for command in commands()
        if command.name in rows and not (command.method in rows[command.name] and command.path in rows[command.name])
    ]
    assert not wrong, "\n".join(wrong)


def test_every_setting_the_product_reads_has_a_row() -> None:
    assert settings_read() - set(first_column("Settings")) == set()


def test_every_row_of_the_settings_is_read_somewhere() -> None:
    assert set(first_column("Settings")) - settings_read() - settings_of_scripts() == set()


def test_every_setting_explains_itself_under_its_field() -> None:
    untold = [
        f"{dataclass.name}.{field.target.id}"
        for dataclass in dataclasses_of(ROOT / "shared/settings.py")
        for field, after in zip(dataclass.body, [*dataclass.body[1:], None], strict=True)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and not is_text(after)
    ]
    assert not untold, f"a string under the field says what, unit, default and why: {untold}"


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_every_package_has_a_readme_with_a_way_to_add_one(package: str) -> None:
    assert "To add" in (ROOT / package / "README.md").read_text(encoding="utf-8")


def test_links_between_our_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in our_pages()
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)


def commands() -> list[Command]:
    """Every command that a module in handlers declares, whatever it is called there."""
    modules = [importlib.import_module(f"handlers.{path.stem}") for path in (ROOT / "handlers").glob("[!_]*.py")]
    found = {value.name: value for module in modules for value in vars(module).values() if isinstance(value, Command)}
    return [found[name] for name in sorted(found)]


def first_column(heading: str) -> dict[str, str]:
    """The names between backticks in the first cells of the table under the heading, each with its whole row."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split(f"\n## {heading}\n", 1)
    assert len(section) == 2, f"README.md has no heading '## {heading}'"
    rows = [line for line in section[1].split("\n## ", 1)[0].splitlines() if line.startswith("|")]
    return {name: row for row in rows for name in CODE.findall(row.split("|")[1])}


def settings_read() -> set[str]:
    """The environment variables that the product's modules name in a string of their own."""
    return {
        node.value
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SETTING.fullmatch(node.value)
    }


def settings_of_scripts() -> set[str]:
    """The environment variables that the scripts in infra/ name."""
    scripts = [path for path in (ROOT / "infra").iterdir() if path.is_file() and not path.suffix]
    return {name for path in scripts for name in SETTING.findall(path.read_text(encoding="utf-8"))}


def dataclasses_of(path: Path) -> list[ast.ClassDef]:
    """The classes of a module that carry a decorator named dataclass."""
    classes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    return [node for node in classes if any("dataclass" in ast.unparse(mark) for mark in node.decorator_list)]


def is_text(node: ast.stmt | None) -> bool:
    """Whether the statement is a bare string."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def python_files() -> Iterator[Path]:
    """Every module of the product; the examples are algorithms, not the product."""
    for package in PACKAGES:
        yield from (path for path in (ROOT / package).rglob("*.py") if "examples" not in path.parts)


def our_pages() -> Iterator[Path]:
    """The README of the project and those of its packages."""
    yield ROOT / "README.md"
    for package in (*PACKAGES, "tests"):
        yield from (ROOT / package).rglob("*.md")
