"""hotloop.tabular: reading tables, telling classes from quantities, splitting, scaling."""

from __future__ import annotations

import numpy as np
import pytest

from hotloop.tabular import TabularModel, Training, problem_from_table, read_csv


def table(tmp_path, text):
    file = tmp_path / "t.csv"
    file.write_text(text, encoding="utf-8")
    return read_csv(file)


def column(tmp_path, cells):
    return table(tmp_path, "x,y\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells)))


def test_read_csv_keeps_quotes_blanks_and_line_numbers(tmp_path):
    read = table(tmp_path, '\ufeffa, b\n1,"x, y"\n\n2,"two\nlines"\n3,z\n')
    assert read.columns == ("a", "b")
    assert read.rows == [(2, ["1", "x, y"]), (5, ["2", "two\nlines"]), (6, ["3", "z"])]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one row"),
        ("a,b\n", "at least one row"),
        ("a,a\n1,2\n", "more than once: a"),
        ("a,b\n1,2\n3\n", "line 3: expected 2 cells, got 1"),
        ("a,b\n1,2,3\n", "line 2: expected 2 cells, got 3"),
    ],
)
def test_read_csv_refuses_what_is_no_table(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        table(tmp_path, text)


def test_read_csv_refuses_binary_content(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ValueError, match="UTF-8"):
        read_csv(tmp_path / "t.csv")


def test_features_are_numbers_in_the_order_asked_for(tmp_path):
    read = table(tmp_path, "a,b,c\n1,2,x\n-3e2, 0.5,y\n")
    np.testing.assert_array_equal(read.features(["b", "a"]), [[2, 1], [0.5, -300]])


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["b", "a"] * 5, ("a", "b")),
        (["1", "0"] * 5, ("0", "1")),
        (["1", "1.0", "2"] * 3, ("1", "2")),
        (["10", "9"] * 5, ("9", "10")),
        (["1", "x"] * 5, ("1", "x")),
        (["1.5", "2"] * 5, None),
        ([str(i) for i in range(21)], None),
    ],
)
def test_the_target_is_classes_or_a_quantity(tmp_path, cells, classes):
    problem = problem_from_table(column(tmp_path, cells), "y")
    assert problem.classes == classes
    x = np.concatenate([problem.x_train, problem.x_test])[:, 0].astype(int)
    y = np.concatenate([problem.y_train, problem.y_test])
    for row, value in zip(x, y, strict=True):
        assert value == float(cells[row]) if classes is None else True
        if classes is not None:
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
        (["a"] * 6, "one value only"),
        (["a", "b", "", "a", "b"], "line 4, column 'y'"),
        ([str(i) for i in range(30)] + ["n/a"], "mixes numbers with text such as 'n/a'"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(tmp_path, cells, message):
    with pytest.raises(ValueError, match=message):
        problem_from_table(column(tmp_path, cells), "y")


def test_a_table_of_the_target_alone_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no feature columns"):
        problem_from_table(table(tmp_path, "y\n" + "1\n" * 9), "y")


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
    assert score.value >= 0.9
    assert score.samples_per_second > 0


def test_a_loaded_model_predicts_the_same(tmp_path):
    read = column(tmp_path, [f"{i * 1.5}" for i in range(40)])
    model = TabularModel([4, 3], "tanh")
    model.fit(problem_from_table(read, "y"), Training(epochs=2, verbose=0))
    model.save(tmp_path / "m.safetensors")
    loaded = TabularModel.load(tmp_path / "m.safetensors")
    assert loaded.target == "y"
    assert loaded.predict(read) == model.predict(read)
    (tmp_path / "other").touch()
    modes = {file: (tmp_path / file).stat().st_mode for file in ("other", "m.safetensors")}
    assert modes["m.safetensors"] == modes["other"]  # whoever may read other files may read it
