"""The seed programs run as their tutorials have them, but for the import lines."""

from __future__ import annotations

import os
import re
import runpy
import sys
from pathlib import Path

import pytest

import hotloop

EXAMPLES = Path(__file__).parents[1] / "examples"

# What each program prints last, and the least and most that it may be.
EXPECTED = {
    "s0_boston.py": ("test MSE", 15.0, 30.0),
    "s1_fashion_mnist.py": ("test accuracy", 0.87, 1.0),
    "s2_binary_mlp.py": ("training accuracy", 0.45, 1.0),
    "s3_deeper_mlp.py": ("test accuracy", 0.86, 1.0),
    "s4_softmax_regression.py": ("test accuracy", 0.78, 1.0),
    "web_service.py": ("accuracy at the end", 0.9, 1.0),
}


def test_every_example_is_expected_of_something():
    assert sorted(EXPECTED) == sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("name", EXPECTED)
def test_the_first_lines_and_the_index_name_what_an_example_needs(name):
    code = (EXAMPLES / name).read_text()
    opening = code.split('"""')[1].lower().replace("-", "")
    modules = set(re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE))
    foreign = modules - set(sys.stdlib_module_names) - {"hotloop", "numpy"}
    for package in foreign:
        assert {"sklearn": "scikitlearn"}.get(package, package) in opening
    assert ("fashionmnist" in opening.split("needs")[1]) == ("fashion_mnist.load_data" in code)
    (row,) = [r for r in (EXAMPLES / "README.md").read_text().splitlines() if f"[{name}]" in r]
    needs = row.split("|")[3].strip()
    assert (needs == "nothing") == (not foreign and "fashion_mnist" not in code)


def test_the_index_lists_all_files():
    listed = re.findall(r"^\| \[([\w.]+)\]", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert sorted([*listed, "README.md"]) == sorted(path.name for path in EXAMPLES.iterdir())


@pytest.mark.parametrize("name", EXPECTED)
def test_only_the_import_lines_name_hotloop(name):
    code = (EXAMPLES / name).read_text().split('"""')[2]
    lines = [line for line in code.splitlines() if "hotloop" in line]
    assert lines
    assert all(re.match(r"(import|from) hotloop", line) for line in lines)


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", [name])
    metric, least, most = EXPECTED[name]
    if "fashion_mnist" in (EXAMPLES / name).read_text():
        try:
            hotloop.datasets.fashion_mnist.load_data()
        except OSError as error:
            if "CI" in os.environ:
                raise
            pytest.skip(f"no data: {error}")
        if hotloop.config.backend() != "cython":  # minutes, for all images
            fit = hotloop.Model.fit
            monkeypatch.setattr(
                hotloop.Model,
                "fit",
                lambda model, x, y, **options: fit(model, x[:6000], y[:6000], **options),
            )
            least -= 0.1
    hotloop.utils.set_random_seed(0)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    found = re.findall(rf"{metric}: ([0-9.]+)", capsys.readouterr().out)
    assert least <= float(found[-1]) <= most
