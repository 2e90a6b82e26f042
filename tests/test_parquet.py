"""Parquet files on the command line: what a CSV file of the same rows does, by either library."""

from __future__ import annotations

import csv
import datetime
import subprocess
import sys

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from hotloop.cli import main
from hotloop.tabular.problem import problem_from_table
from hotloop.tabular.reading import read_table


def lines_of(table):
    """Where each row is."""
    return [line for block in table.blocks() for line in block.lines]


def rows_of(table):
    """The cells of each row."""
    blocks = [zip(*block.columns, strict=True) for block in table.blocks()]
    return [list(row) for block in blocks for row in block]


@pytest.fixture(params=["pyarrow", "polars"])
def library(request, monkeypatch):
    """The library that reads."""
    if request.param == "polars":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    return request.param


@pytest.fixture
def columns():
    """Two kinds of flowers that one column tells apart."""
    rng = np.random.default_rng(0)
    kinds = ["rose", "tulip"] * 40
    petal = [float(rng.normal()) + 4 * (kind == "rose") for kind in kinds]
    return {"petal": petal, "leaves": rng.integers(0, 9, 80).tolist(), "kind": kinds}


@pytest.fixture
def flowers(tmp_path, columns):
    file = tmp_path / "flowers.parquet"
    parquet.write_table(pa.table(columns), file, row_group_size=7)
    return file


def test_cells_are_those_of_a_csv_file(tmp_path, columns, flowers, library):
    with (tmp_path / "flowers.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *zip(*columns.values(), strict=True)])
    ours, theirs = (read_table(tmp_path / f"flowers.{kind}") for kind in ("parquet", "csv"))
    assert ours.columns == theirs.columns == ("petal", "leaves", "kind")
    assert rows_of(ours) == rows_of(theirs)
    problems = [problem_from_table(table, "kind") for table in (ours, theirs)]
    np.testing.assert_array_equal(problems[0].x_train, problems[1].x_train)
    assert problems[0].target.classes == ("rose", "tulip")


def test_cells_of_all_types(tmp_path, library):
    file = tmp_path / "t.parquet"
    table = pa.table(
        {
            "yes": [True, False, None],
            "real": pa.array([0.1, float("nan"), 1e300]),
            "single": pa.array([np.float32(0.1)] * 3),
            "whole": pa.array([2**53 - 1, -5, None]),
            "kind": pa.array(["a", None, "b"]).dictionary_encode(),
            "day": [datetime.date(2020, 1, 2)] * 3,
        }
    )
    parquet.write_table(table, file)
    read = read_table(file)
    assert read.unit == "row"
    assert lines_of(read) == [1, 2, 3]
    single = str(float(np.float32(0.1)))
    assert rows_of(read) == [
        ["1", "0.1", single, "9007199254740991", "a", "2020-01-02"],
        ["0", "", single, "-5", "", "2020-01-02"],
        ["", "1e+300", single, "", "b", "2020-01-02"],
    ]


def test_a_file_of_polars(tmp_path, library):
    pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}).write_parquet(tmp_path / "t.PARQUET")
    assert rows_of(read_table(tmp_path / "t.PARQUET")) == [
        ["1", "x"],
        ["2", "y"],
    ]


def test_folders_do_not_become_columns(tmp_path, columns, library):
    folder = tmp_path / "year=2020"
    folder.mkdir()
    parquet.write_table(pa.table(columns), folder / "t.parquet")
    assert read_table(folder / "t.parquet").columns == ("petal", "leaves", "kind")


def test_what_is_no_parquet(tmp_path, library):
    file = tmp_path / "t.parquet"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"t\.parquet is not a Parquet file: "):
        read_table(file)
    with pytest.raises(FileNotFoundError, match=r"gone\.parquet"):
        read_table(tmp_path / "gone.parquet")
    parquet.write_table(pa.table({"a": pa.array([], pa.int8())}), file)
    with pytest.raises(ValueError, match="at least one row"):
        read_table(file)


def test_nothing_that_reads_parquet(flowers, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r"pip install pyarrow"):
        read_table(flowers)


def test_names_that_repeat(tmp_path):
    file = tmp_path / "t.parquet"
    parquet.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), file)
    with pytest.raises(ValueError, match="names a column more than once: a"):
        read_table(file)


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "hotloop", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_train_and_predict_in_a_process_of_their_own(tmp_path, flowers):
    model = tmp_path / "model.safetensors"
    train = ["train", "--data", flowers, "--target", "kind", "--layers", "8"]
    done = run(*train, "--learning-rate", "0.01", "--save", model, "--quiet")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split("test accuracy: ")[1].split()[0]) > 0.8

    new = tmp_path / "new.parquet"
    parquet.write_table(pa.table({"leaves": [1, 2], "petal": [6.0, -2.0], "id": ["x", "y"]}), new)
    done = run("predict", model, new)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "kind\nrose\ntulip\n"


def test_errors_in_a_process_of_their_own(tmp_path):
    file = tmp_path / "t.parquet"
    columns = {"size": ["1", "2"] * 9 + ["many", "3"], "kind": ["a", "b"] * 10}
    parquet.write_table(pa.table(columns), file)
    done = run("train", "--data", file, "--target", "kind", "--quiet")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "row 19, column 'size': expected a number, got 'many'; mend it" in line
    assert "no column 'colour'" in run("train", "--data", file, "--target", "colour").stderr


def test_other_endings(capsys):
    assert main(["train", "--data", "t.feather", "--target", "y"]) == 2
    assert "a file in .csv or .parquet, got 't.feather'" in capsys.readouterr().err


def test_the_content_tells_and_not_the_name(tmp_path, flowers):
    (tmp_path / "t.txt").write_text("a,b\n1,2\n")
    assert rows_of(read_table(tmp_path / "t.txt")) == [["1", "2"]]
    flowers.rename(tmp_path / "flowers.data")
    assert len(rows_of(read_table(tmp_path / "flowers.data"))) == 80
