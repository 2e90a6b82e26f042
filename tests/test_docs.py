"""The pages of docs/: their Python runs, and the names in their tables are there, or not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hotloop

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = {
    page.stem: "\n".join(blocks) for page in PAGES if (blocks := BLOCK.findall(page.read_text()))
}


def test_there_are_pages():
    assert {"coming-from-keras.md", "reliability.md"} <= {page.name for page in PAGES}
    assert {"coming-from-keras", "embedding"} <= PROGRAMS.keys()


@pytest.mark.parametrize("page", PROGRAMS)
def test_python_blocks(page, tmp_path):
    """As one program, in a process of its own."""
    code = PROGRAMS[page]
    if "plot(" in code:
        pytest.importorskip("matplotlib")
    file = tmp_path / f"{page}.py"
    file.write_text(code)
    hidden = {name: None for name, module in sys.modules.items() if module is None}
    start = f"import runpy, sys; sys.modules.update({hidden!r}); runpy.run_path({str(file)!r}, "
    environment = os.environ | {"PYTHONPATH": str(Path(hotloop.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", start + "run_name='__main__')"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def names_in(section):
    """The code in the first column of a section's table."""
    text = (DOCS / "coming-from-keras.md").read_text()
    part = text.split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("| ")]
    return [name for row in rows for name in re.findall(r"`([\w.]+)`", row)]


def is_there(path):
    thing = hotloop
    for name in path.split("."):
        if not hasattr(thing, name):
            return False
        thing = getattr(thing, name)
    return True


def test_names_that_are_said_to_be_there():
    names = names_in("The same")
    assert len(names) > 30
    assert [name for name in names if not is_there(name)] == []


def test_names_that_are_said_to_be_missing_are_keras_and_not_ours():
    keras = pytest.importorskip("keras")
    names = names_in("Missing")
    assert len(names) > 15
    assert [name for name in names if is_there(name)] == []
    found = []
    for name in names:
        thing = keras
        for part in name.split("."):
            thing = getattr(thing, part, None)
        found.append((name, thing is not None))
    assert [name for name, there in found if not there] == []


# Pages for those who change the package, and where the files stand that they name by a part of
# their path.
SOURCES = {
    "CONTRIBUTING.md": ["src/hotloop", "src/hotloop/backends"],
    "benchmarks/README.md": [],
    "csrc/README.md": ["csrc/kernels", "csrc/runtime"],
    "docs/architecture.md": ["src/hotloop"],
    "docs/reliability.md": [],
    "examples/README.md": [],
}
FOLDERS = ("benchmarks/", "csrc/", "docs/", "examples/", "src/", "tests/", ".ci/")
SUFFIXES = (".py", ".pyx", ".pxd", ".pxi", ".c", ".h", ".md", ".sh", ".csv", ".toml", ".yaml")


def files_named_in(page):
    """Files and folders in a page's code, links and listings."""
    text = (ROOT / page).read_text()
    code = re.findall(r"`([^`\n]+)`|\]\(([^)#:]+)\)|^    (.+)$", text, re.MULTILINE)
    words = {word for parts in code for part in parts for word in re.findall(r"[\w/.*-]+", part)}
    return {
        word.removeprefix("../")
        for word in words
        if "*" not in word and (word.startswith(FOLDERS) or word.endswith(("/", *SUFFIXES)))
    }


@pytest.mark.parametrize("page", SOURCES)
def test_files_that_are_named_are_there(page):
    roots = [ROOT, (ROOT / page).parent, *(ROOT / folder for folder in SOURCES[page])]
    named = files_named_in(page)
    assert len(named) >= 7
    assert not [name for name in named if not any((root / name).exists() for root in roots)]


@pytest.mark.parametrize("folder", ["benchmarks", "csrc", "examples"])
def test_a_folders_page_names_every_file(folder):
    named = {name.rpartition("/")[2] for name in files_named_in(f"{folder}/README.md")}
    files = {
        path.name
        for path in (ROOT / folder).rglob("*")
        if path.suffix in SUFFIXES and "results" not in path.parts
    }
    assert len(files) >= 7
    assert files - named - {"README.md"} == set()
