"""hotloop.tabular: reading tables, kinds of columns, classes and quantities, splitting, scaling."""

from __future__ import annotations

import numpy as np
import pytest

from hotloop.tabular import files
from hotloop.tabular.cells import days, numbers
from hotloop.tabular.model import TabularModel, Training
from hotloop.tabular.problem import Choices, problem_from_table
from hotloop.tabular.reading import read_table
from hotloop.tabular.study import Study, decimals


def table(tmp_path, text, encoding="utf-8"):
    file = tmp_path / "t.csv"
    file.write_bytes(text.encode(encoding))
    return read_table(file)


def column(tmp_path, cells):
    return table(tmp_path, "x,y\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells)))


def rows_of(read):
    return [
        (line, list(cells))
        for block in read.blocks()
        for line, cells in zip(block.lines, zip(*block.columns, strict=True), strict=True)
    ]


def study_of(*cells, name="x"):
    found = Study(name)
    found.add(cells)
    return found.finish()


def test_text_keeps_quotes_and_the_line_where_a_row_begins(tmp_path):
    read = table(tmp_path, '\ufeffa, b\n1,"x, y"\n\n2,"two\nlines"\n3,z\n')
    assert read.columns == ("a", "b")
    assert rows_of(read) == [(2, ["1", "x, y"]), (4, ["2", "two\nlines"]), (6, ["3", "z"])]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("hint", [False, True])
def test_encodings_and_separators_are_found(tmp_path, encoding, separator, hint):
    text = "größe;Preis\n1,5;2,5\n3;4,5\n".replace(",", ".").replace(";", separator)
    if separator != ",":
        text = text.replace(".", ",")
    if hint:
        text = f"sep={separator}\n{text}"
    read = table(tmp_path, text, encoding)
    assert read.columns == ("größe", "Preis")
    assert read.separator == separator
    assert [line for line, _ in rows_of(read)] == [2 + hint, 3 + hint]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "at least one row"),
        ("a,a\n1,2\n", "more than once: a"),
        ("a,b\n1,2\n3\n", "line 3: expected 2 cells, got 1"),
        ("a,b\n1,2,3\n", "line 2: expected 2 cells, got 3"),
        ("a,b\n1,\0\n", "not a text file"),
        ("PK\3\4", "Excel"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        rows_of(table(tmp_path, text))


def test_numbers_with_points_commas_and_groups():
    np.testing.assert_array_equal(numbers(["1,234,567.5", "1 234", ".5"]), [1234567.5, 1234, 0.5])
    np.testing.assert_array_equal(numbers(["1.234,5", "-0,5", "3"], ","), [1234.5, -0.5, 3])
    for decimal in ".,":
        bad = ["1_000", "inf", "1e999", "x", "1,23,4", "1.2.3"]
        assert np.isnan(numbers(bad, decimal)).all()


def test_the_file_decides_where_a_column_does_not_tell():
    studies = [study_of("1,234", "2,345", name="a"), study_of("0,5", name="b")]
    assert decimals(studies) == {"a": ",", "b": ","}
    assert decimals(studies[:1]) == {"a": "."}


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "NA", "none"], "number"),
        (["1,5", "2"], "number"),
        (["yes", "No", "?"], "truth"),
        (["no", "no"], "text"),
        (["2024-01-31", "2024-02-01T12:30:00Z"], "date, day first"),
        (["1/31/2024", "2/1/2024"], "date, month first"),
        (["31/1/2024", "1/2/2024"], "date, day first"),
        (["31 Jan 2024", "Feb 1, 2024"], "date, day first"),
        (["06:30", "6:30 PM"], "time"),
        (["a", "b", "1"], "text"),
        (["", "NA"], "empty"),
    ],
)
def test_kinds_of_columns(cells, kind):
    assert study_of(*cells).kind() == kind


def test_dates_and_their_mistakes():
    assert days(["2024-02-29", "29.2.24", "2024-02-29 00:00+00:00"], True).tolist() == [19782] * 3
    assert np.isnan(
        days(["2023-02-29", "32.1.2024", "2024-01-01 25:00", "31 Foo 2024"], True)
    ).all()


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["b", "a"] * 5, ("a", "b")),
        (["1", "0"] * 5, ("0", "1")),
        (["1", "1.0", "2"] * 3, ("1", "2")),
        (["10", "9"] * 5, ("9", "10")),
        (["1", "x"] * 5, ("1", "x")),
        (["0", "1", "2"] * 5, ("0", "1", "2")),
        (["1.5", "2"] * 5, None),
        (["3", "5", "7"] * 5, None),
        (["1"] * 40 + ["2"] * 20 + ["3"] * 4, None),
        ([str(i) for i in range(21)], None),
    ],
)
def test_the_target_is_classes_or_a_quantity(tmp_path, cells, classes):
    problem = problem_from_table(column(tmp_path, cells), "y")
    assert problem.target.classes == classes
    x = np.concatenate([problem.x_train, problem.x_test])[:, 0].astype(int)
    y = np.concatenate([problem.y_train, problem.y_test])
    for row, value in zip(x, y, strict=True):
        if classes is None:
            assert value == float(cells[row])
        else:
            assert classes[value] in (cells[row], cells[row].removesuffix(".0"))


def test_a_fifth_of_the_rows_is_held_out_by_seed(tmp_path):
    read = column(tmp_path, ["a", "b"] * 10)
    first, again = (problem_from_table(read, "y", seed=1) for _ in range(2))
    other = problem_from_table(read, "y", seed=2)
    assert (len(first.x_train), len(first.x_test)) == (16, 4)
    rows = np.concatenate([first.x_train, first.x_test])[:, 0]
    np.testing.assert_array_equal(np.sort(rows), np.arange(20))
    np.testing.assert_array_equal(first.x_test, again.x_test)
    assert (first.x_test != other.x_test).any()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["a", "b"], "at least 5"),
        (["a", "b", "", "a", "b"], "at least 5"),
        (["a"] * 6, "one value only"),
        (["1", "1.0"] * 6, "one value only"),
        (["2.5"] * 6, "one value only"),
        ([str(i) for i in range(30)] + ["many"], "line 32, column 'y': expected a number"),
        ([f"name {i}" for i in range(30)], "30 different texts in 30 rows"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(tmp_path, cells, message):
    with pytest.raises(ValueError, match=message):
        problem_from_table(column(tmp_path, cells), "y")


def test_a_table_of_the_target_alone_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no feature columns"):
        problem_from_table(table(tmp_path, "y\n" + "1\n" * 5 + "2\n" * 5), "y")


def test_words_that_mean_missing(tmp_path):
    read = column(tmp_path, ["1.5", "-999", "2.5"] * 5)
    problem = problem_from_table(read, "y", choices=Choices(missing=("-999",)))
    assert len(problem.y_train) + len(problem.y_test) == 10


def test_layers_must_have_units():
    with pytest.raises(ValueError, match="at least 1"):
        TabularModel([8, 0])


def test_constant_and_huge_columns_do_no_harm(tmp_path):
    lines = [f"{1e9 + i},7,{'ab'[i >= 40]}" for i in range(80)]
    read = table(tmp_path, "year,same,kind\n" + "\n".join(lines) + "\n")
    model = TabularModel([8])
    score = model.fit(
        problem_from_table(read, "kind"), Training(epochs=60, learning_rate=0.02, verbose=0)
    )
    assert score.value >= 0.9 > score.baseline
    assert score.samples_per_second > 0


@pytest.mark.parametrize("ending", files.ENDINGS)
def test_a_loaded_model_predicts_the_same(tmp_path, ending):
    read = column(tmp_path, [f"{i * 1.5}" for i in range(40)])
    model = TabularModel([4, 3], "tanh")
    model.fit(problem_from_table(read, "y"), Training(epochs=2, verbose=0))
    file = tmp_path / f"m{ending}"
    files.save(model, file)
    loaded = files.load(file)
    assert loaded.recipe == model.recipe
    assert loaded.predict(read) == model.predict(read)
    (tmp_path / "other").touch()
    assert file.stat().st_mode == (tmp_path / "other").stat().st_mode  # read by whom it may be
