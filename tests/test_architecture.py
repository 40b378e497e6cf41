"""The law of the house: import arrows, no cycles, small files, small functions, no print, quiet import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "ionsmith"
LEVELS = (
    {"core"},
    {"artifacts"},
    {"io", "data", "represent", "objective", "landscape", "learn", "thermodynamics"},
    {"predict", "simulate", "generate"},
    {"campaign", "evaluate", "report"},
    {"recipes", "assessment", "training", "studies", "web", "testing"},
    {"cli", "cli_assessment", "cli_diffusion", "cli_table", "cli_training", "progress", "__main__"},
)
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}
# artifacts only reads files that lie beside it, so all steps after core may use it
FILES = sorted(SOURCE.rglob("*.py"))


def part(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name == "ionsmith" or name.startswith("ionsmith.")}


def broken_arrow(mine: str, theirs: str) -> bool:
    if mine == theirs or theirs == "__init__":
        return False
    return LEVEL[theirs] > LEVEL[mine] or (LEVEL[theirs] == LEVEL[mine] and mine not in ("cli", "__main__"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_arrows(path):
    mine = part(path)
    if mine == "__init__":
        return
    for name in imports(path):
        pieces = name.split(".")
        if len(pieces) > 1 and pieces[1] in LEVEL:
            assert not broken_arrow(mine, pieces[1]), f"{path.name} ({mine}) must not import {name}"


def test_a_broken_arrow_is_seen():
    assert broken_arrow("core", "io")
    assert broken_arrow("io", "data")
    assert broken_arrow("campaign", "recipes")
    assert not broken_arrow("campaign", "core")


def test_every_part_has_a_level():
    assert {part(path) for path in FILES} - {"__init__"} <= set(LEVEL)


def test_no_cycles():
    modules = {".".join(("ionsmith", *path.relative_to(SOURCE).with_suffix("").parts)): path for path in FILES}
    graph = {name: {i for i in imports(path) if i in modules and i != name} for name, path in modules.items()}
    state: dict[str, int] = {}

    def visit(name, trail):
        if state.get(name) == 1:
            raise AssertionError(f"cycle: {' -> '.join([*trail, name])}")
        if state.get(name) == 2:
            return
        state[name] = 1
        for other in graph[name]:
            visit(other, [*trail, name])
        state[name] = 2

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_sizes(path):
    text = path.read_text()
    assert text.count("\n") <= 500, f"{path}: {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = [b for b in node.body if not (isinstance(b, ast.Expr) and isinstance(b.value, ast.Constant))]
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 60, f"{path}:{node.lineno} {node.name}: {length} lines"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_print_no_assert_no_pickle(path):
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.Assert), f"{path}:{node.lineno} assert in the library"
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            raise AssertionError(f"{path}:{node.lineno} print in the library")
        # testing pickles its own objects; bvlain publishes its tables as pickles, read by one that builds no objects
        if isinstance(node, ast.Import) and path.name not in ("testing.py", "parameters.py"):
            assert "pickle" not in {alias.name for alias in node.names}, f"{path}:{node.lineno} pickle"


def test_importing_the_trunk_is_light():
    code = (
        "import sys, ionsmith.recipes, ionsmith.cli; "
        "print([m for m in ('torch', 'chgnet', 'plotly', 'distributed', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
