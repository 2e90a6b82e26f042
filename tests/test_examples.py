"""The seed programs run as their tutorials have them, but for the import lines."""

from __future__ import annotations

import os
import re
import runpy
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
