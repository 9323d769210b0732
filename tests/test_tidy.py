"""The architecture as a test: floors, purity, ceilings, quiet imports, documented settings."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {
    "models": set(),
    "cluster": {"models"},
    "actors": {"models", "cluster"},
    "serve": {"models", "cluster"},
    "jobs": {"models", "cluster", "actors", "serve"},
}
TOP_LEVEL = {
    "actors", "cluster", "jobs", "models", "serve", "tests", "cluster.yaml", "pyproject.toml",
    "README.md", "Makefile", "LICENSE", "CHANGELOG.md", "SECURITY.md", "Dockerfile",
    "constraints.txt",
}
BANNED_IN_MODELS = {
    "ray", "fastapi", "starlette", "s3fs", "fsspec", "pathlib", "socket", "os", "time", "random",
    "tempfile", "subprocess", "threading", "requests", "httpx", "shutil", "io", "pandas",
}
MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 400
OURS = set(FLOORS)


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


EVERY = sources(*FLOORS)


@pytest.mark.parametrize("path", EVERY, ids=name)
def test_a_floor_imports_only_floors_below_it(path: Path) -> None:
    floor = path.relative_to(ROOT).parts[0]
    ours = {module.split(".")[0] for module in imported(tree_of(path))} & OURS
    assert ours <= FLOORS[floor] | {floor}


@pytest.mark.parametrize("path", sources("models"), ids=name)
def test_the_kernel_is_pure(path: Path) -> None:
    modules = {module.split(".")[0] for module in imported(tree_of(path))}
    allowed = {"io"} if "nets" in path.parts else set()
    assert not modules & (BANNED_IN_MODELS - allowed)
    if "nets" not in path.parts:
        assert "torch" not in modules
    text = path.read_text()
    assert not re.search(r"np\.random\.(?!default_rng|Generator|Philox|PCG64|SeedSequence)", text)
    assert "open(" not in re.sub(r"\w+\.open\w*\(|\w+_open\(|open_stream\(|is_open\(", "", text)


@pytest.mark.parametrize("path", EVERY + sources("tests"), ids=name)
def test_files_and_functions_stay_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            assert node.end_lineno - node.lineno + 1 <= MAX_FUNCTION_LINES, node.name


@pytest.mark.parametrize("path", EVERY, ids=name)
def test_a_module_says_first_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree_of(path))


@pytest.mark.parametrize("path", EVERY, ids=name)
def test_nothing_happens_at_import(path: Path) -> None:
    for node in tree_of(path).body:
        if isinstance(node, ast.If):
            assert "__name__" in ast.unparse(node.test) or "TYPE_CHECKING" in ast.unparse(node.test)
        allowed = (
            ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.FunctionDef, ast.ClassDef,
            ast.AsyncFunctionDef, ast.Expr, ast.If,
        )
        assert isinstance(node, allowed), ast.unparse(node)[:80]
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), ast.unparse(node)[:80]


def test_the_top_level_holds_exactly_what_the_design_names() -> None:
    ignored = {"build", "touchline.egg-info"}
    found = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")} - ignored
    assert found - {"__pycache__"} == TOP_LEVEL


def test_tests_are_not_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    assert not [path for path in EVERY if path.stem in {"utils", "util", "helpers", "misc"}]


def test_the_readme_names_every_setting() -> None:
    from cluster.settings import settings_reference

    readme = (ROOT / "README.md").read_text() + (ROOT / "cluster" / "README.md").read_text()
    missing = [row[0] for row in settings_reference() if f"`{row[0]}`" not in readme]
    assert not missing
