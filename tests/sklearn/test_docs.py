"""What docs/coming-from-scikit-learn.md shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-scikit-learn.md"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_its_programs_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(programs) == 3
    names: dict[str, object] = {}
    for program in programs:
        exec(program, names)
    assert float(capsys.readouterr().out.split()[0]) > 0.85
    assert names["search"].best_score_ > 0.85
    assert (tmp_path / "digits.hotloop").exists()
