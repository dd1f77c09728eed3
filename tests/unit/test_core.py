"""The core is plain functions on data: what the contracts of import-linter cannot see."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pm_strength

PACKAGE = Path(pm_strength.__file__).parent
CONTRACTS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["tool"]["importlinter"]
CORE = next(contract["source_modules"] for contract in CONTRACTS["contracts"] if contract["id"] == "core")
# What asks the machine for something without an import of its own.
ASKING = {"open", "input", "print", "now", "today", "utcnow", "read_text", "write_text"}
# A book that is given no clock takes the machine's: the client always gives the database's.
ALLOWED = {("runtime/book.py", "now")}


def core_files() -> list[Path]:
    files = []
    for module in CORE:
        path = PACKAGE / Path(*module.split(".")[1:])
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return files


def asked(tree: ast.AST) -> Iterator[str]:
    """The names of the functions that are called and that ask for something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ASKING:
                yield name


def test_the_core_asks_for_no_time_and_no_file() -> None:
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path in core_files()
        for name in asked(ast.parse(path.read_text()))
    }
    assert found == ALLOWED


def test_every_error_is_in_one_file() -> None:
    """And what is raised is one of ours: a bare one says neither what to do nor that we meant it."""
    defined: set[str] = set()
    bare: set[tuple[str, str]] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
            if any(base.endswith(("Error", "Exception")) for base in bases):
                defined.add(path.name)
            raised = ast.unparse(node.exc) if isinstance(node, ast.Raise) and node.exc else ""
            if raised.startswith(("ValueError", "RuntimeError", "Exception")):
                bare.add((path.name, raised.partition("(")[0]))
    assert defined == {"errors.py"}
    # json calls it for NaN and the like
    assert bare == {("arguments.py", "ValueError")}


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    from pm_strength import errors

    drawn: list[tuple[str, str]] = []
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines()[2:]:
        name = next((word for word in line.split() if word.endswith("Error")), None)
        if name is not None:
            depth = line.index(name) // 4
            above[depth:] = [name]
            drawn.append((name, above[depth - 1] if depth else "Exception"))
    made = {
        name: found.__bases__[0].__name__ for name, found in vars(errors).items() if isinstance(found, type)
    }
    assert dict(drawn) == made
    assert [name for name, _ in drawn] == list(made)
