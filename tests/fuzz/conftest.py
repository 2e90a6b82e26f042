"""How many random cases the attacks try, and from which seeds.

Each run draws fresh seeds; a test that fails shows its seed, and ``--fuzz-seed`` repeats it.
``--fuzz-factor 100`` tries a hundred times as many cases as the gate does. Tests of hypothesis take
that from its profile: ``@hypothesis.settings.get_profile("fuzz")``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest


class Seeds:
    """Fresh seeds, or the one that is to be repeated.

    Examples
    --------
    >>> list(Seeds(factor=3, only=7)(cases=10))
    [7]
    """

    def __init__(self, factor: float, only: int | None) -> None:
        self._factor, self._only = factor, only
        self.current: int | None = None

    def __call__(self, cases: int) -> Iterator[int]:
        """Seeds for `cases` cases, times the factor."""
        count = 1 if self._only is not None else max(1, round(cases * self._factor))
        for _ in range(count):
            self.current = random.SystemRandom().getrandbits(32)
            if self._only is not None:
                self.current = self._only
            yield self.current
        self.current = None


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> Seeds:
    """``for seed in seeds(20): ...`` runs 20 cases, or as many times more as is asked for."""
    options = request.config
    made = Seeds(options.getoption("--fuzz-factor"), options.getoption("--fuzz-seed"))
    request.node.fuzz_seeds = made
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    made = getattr(item, "fuzz_seeds", None)
    if report.failed and made is not None and made.current is not None:
        report.sections.append(("seed", f"repeat with --fuzz-seed {made.current}"))
    return report


def pytest_configure(config: pytest.Config) -> None:
    factor = config.getoption("--fuzz-factor")
    hypothesis.settings.register_profile(
        "fuzz",
        max_examples=max(1, round(50 * factor)),
        deadline=None,
        print_blob=True,
        derandomize=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
