"""Imports between models' modules, and into the folder: one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import hotloop

PACKAGE = Path(hotloop.__file__).parent


def imported(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, wherever; for type checks alone aside."""
    here = ("hotloop", *path.relative_to(PACKAGE).with_suffix("").parts)
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: -node.level] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_no_module_imports_itself_through_others() -> None:
    names = {f"hotloop.models.{p.stem}": p for p in (PACKAGE / "models").glob("*.py")}
    del names["hotloop.models.__init__"]
    graph = {name: set(imported(path)) & names.keys() for name, path in names.items()}
    assert graph["hotloop.models.trainer"] > {"hotloop.models.loop", "hotloop.models.plans"}
    TopologicalSorter(graph).prepare()  # CycleError otherwise


@pytest.mark.parametrize("folder", ["graph", "backends", "data"])
def test_what_is_below_knows_nothing_of_models(folder: str) -> None:
    for path in (PACKAGE / folder).rglob("*.py"):
        assert not [name for name in imported(path) if name.startswith("hotloop.models")], path
