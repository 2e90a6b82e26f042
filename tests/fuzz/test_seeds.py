"""The seeds of the attacks themselves."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_run_draws_fresh_seeds_or_repeats_one(seeds: Any) -> None:
    kind = type(seeds)
    assert len(set(kind(2, None)(cases=10))) == 20
    assert list(kind(100, 7)(cases=10)) == [7]
    assert len(list(kind(0.01, None)(cases=10))) == 1


def test_a_failure_names_its_seed(pytestconfig: pytest.Config, pytester: pytest.Pytester) -> None:
    here = pytestconfig.rootpath / "tests"
    pytester.makeconftest((here / "conftest.py").read_text())
    folder = pytester.mkdir("fuzz")
    (folder / "conftest.py").write_text((here / "fuzz" / "conftest.py").read_text())
    (folder / "test_one.py").write_text(
        "def test_one(seeds):\n    for seed in seeds(3):\n        assert seed % 2 == 2\n"
    )
    result = pytester.runpytest_subprocess("--fuzz-seed", "41", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*repeat with --fuzz-seed 41*"])
