"""The command line: results on standard output, one line on standard error for what fails."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import hotloop
from hotloop.cli import main


def write(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


@pytest.fixture
def flowers(tmp_path):
    """Two kinds that one column tells apart."""
    rng = np.random.default_rng(0)
    kinds = ["rose", "tulip"] * 40
    rows = [[f"{(kind == 'rose') * 4 + rng.normal():.4f}", rng.random(), kind] for kind in kinds]
    return write(tmp_path / "flowers.csv", ["petal", "noise", "kind"], rows)


@pytest.fixture
def houses(tmp_path):
    """Prices that are linear in two columns."""
    rng = np.random.default_rng(0)
    x = rng.random((120, 2)) * [100, 5]
    rows = [[a, b, 2000 * a + 10000 * b + 5e4] for a, b in x.tolist()]
    return write(tmp_path / "houses.csv", ["area", "rooms", "price"], rows)


def printed(capsys, name):
    """The number that follows a name on standard output."""
    found = re.search(rf"{name}: ([\d.,]+)", capsys.readouterr().out)
    assert found
    return float(found.group(1).replace(",", ""))


def fails(capsys, arguments):
    """The one line on standard error of a command that fails."""
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("hotloop: ")
    return lines[0]


def test_the_main_job_trains_on_the_shipped_digits(capsys):
    assert main(["train", "--quiet", "--epochs", "5", "--layers", "32"]) == 0
    assert printed(capsys, "test accuracy") > 0.85


def test_progress_and_speed_are_shown(capsys):
    assert main(["train", "--epochs", "1"]) == 0
    output = capsys.readouterr()
    assert "1,437 training rows, 360 test rows, 64 features" in output.out
    assert "loss" in output.out + output.err
    assert re.search(r"training speed: [\d,]+ samples/s", output.out)


def test_the_same_seed_gives_the_same_result(capsys):
    results = []
    for seed in ("3", "3", "4"):
        assert main(["train", "--quiet", "--epochs", "1", "--seed", seed]) == 0
        results.append(printed(capsys, "test accuracy"))
    assert results[0] == results[1] != results[2]


def test_classes_of_a_csv_file_are_learned_saved_and_predicted(tmp_path, flowers, capsys):
    model = str(tmp_path / "model.safetensors")
    train = ["train", "--data", flowers, "--target", "kind", "--quiet", "--save", model]
    assert main([*train, "--layers", "8", "--learning-rate", "0.01"]) == 0
    assert printed(capsys, "test accuracy") > 0.8

    new = write(tmp_path / "new.csv", ["id", "noise", "petal"], [["a", 0.5, 5], ["b", 0.5, -1]])
    assert main(["predict", model, new]) == 0
    assert capsys.readouterr().out == "kind\nrose\ntulip\n"


def test_a_quantity_of_a_csv_file_is_learned_in_its_own_unit(tmp_path, houses, capsys):
    model, output = str(tmp_path / "m.safetensors"), tmp_path / "out.csv"
    train = ["train", "--data", houses, "--target", "price", "--quiet", "--save", model]
    assert main([*train, "--layers", "", "--learning-rate", "0.02", "--epochs", "100"]) == 0
    assert printed(capsys, "test mean squared error") < 1e4**2

    assert main(["predict", model, houses, "--output", str(output)]) == 0
    with output.open(newline="") as file:
        predicted = list(csv.DictReader(file))
    with open(houses, newline="") as file:
        expected = list(csv.DictReader(file))
    assert len(predicted) == 120
    for row, truth in zip(predicted, expected, strict=True):
        assert float(row["price"]) == pytest.approx(float(truth["price"]), rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["trian"], "trian"),
        (["train", "--epochs", "0"], "from 1"),
        (["train", "--batch-size", "-1"], "--batch-size"),
        (["train", "--layers", "8,x"], "--layers"),
        (["train", "--data", "nothing"], "digits, mnist, fashion-mnist, boston"),
        (["train", "--data", "missing.csv", "--target", "y"], "missing.csv"),
        (["train", "--data", "missing.csv"], "--target"),
        (["train", "--target", "y"], "CSV"),
        (["train", "--save", "no/such/folder/m.safetensors"], "no folder"),
        (["train", "--save", "model.bin"], "must end in .hotloop, .keras or .safetensors"),
        (["train", "--save", "model"], "must end in .hotloop, .keras or .safetensors"),
        (["train", "--save", "/dev/null"], "must end in"),
        (["train", "--save", "/proc/m.hotloop"], "cannot be written"),
        (["train", "--save", "a" * 250 + ".hotloop"], "File name too long"),
        (["train", "--classification", "--regression"], "not allowed with"),
        (["train", "--learning-rate", "nan"], "above 0"),
        (["train", "--validation-split", "1"], "from 0 to below 1"),
        (["train", "--data", ".", "--target", "y"], "is a folder"),
        (["predict", ".", "x.csv"], "but a folder; name a file in it"),
        (["predict", "m.hotloop", "x.csv", "--separator", "ab"], "--separator"),
        (["train", "--activation", "rellu", "--quiet"], "rellu"),
        (["train", "--optimizer", "adamm", "--quiet"], "adamm"),
        (["predict", "missing.safetensors", "x.csv"], "missing.safetensors"),
        (["profile", "--kernels", "relu", "adamm"], "Did you mean 'adam'?"),
        (["profile", "--threads", "0"], "--threads"),
        (["profile", "--json", "no/such/folder/p.json"], "--json: there is no folder"),
        (["profile", "--html", "no/such/folder/p.html"], "--html: there is no folder"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(capsys, arguments, message):
    assert message in fails(capsys, arguments)


@pytest.mark.parametrize("cell", ["many", "inf", "1_000", "2;3"])
def test_a_bad_cell_is_named_by_line_and_column(tmp_path, capsys, cell):
    rows = [[i, i % 2] for i in range(10)]
    rows[3][0] = cell
    table = write(tmp_path / "t.csv", ["size", "kind"], rows)
    line = fails(capsys, ["train", "--data", table, "--target", "kind"])
    assert "line 5, column 'size'" in line


def test_an_unknown_target_lists_the_columns(flowers, capsys):
    line = fails(capsys, ["train", "--data", flowers, "--target", "colour"])
    assert "'colour'" in line
    assert "petal, noise, kind" in line


def test_predict_needs_the_models_columns_and_a_whole_model(tmp_path, flowers, houses, capsys):
    model = tmp_path / "model.safetensors"
    train = ["train", "--data", flowers, "--target", "kind", "--epochs", "1", "--quiet"]
    assert main([*train, "--save", str(model)]) == 0
    capsys.readouterr()
    assert "'petal'" in fails(capsys, ["predict", str(model), houses])
    whole = model.read_bytes()
    for content in (b"", whole[:50], whole[:-8], b"not a model at all"):
        model.write_bytes(content)
        assert "model.safetensors" in fails(capsys, ["predict", str(model), flowers])


def test_a_file_of_another_program_is_refused(tmp_path, flowers, capsys):
    from safetensors.numpy import save_file

    save_file({"0": np.zeros(3)}, tmp_path / "other.safetensors")
    line = fails(capsys, ["predict", str(tmp_path / "other.safetensors"), flowers])
    assert "hotloop train --save" in line


def test_profile_prints_a_table_and_writes_what_it_is_told(tmp_path, capsys):
    json_file, page = tmp_path / "p.json", tmp_path / "p.html"
    chosen = ["profile", "--quick", "--threads", "1", "--kernels", "relu", "gather"]
    assert main([*chosen, "--json", str(json_file), "--html", str(page)]) == 0
    output = capsys.readouterr().out
    assert re.search(r"^relu +32x10 +\d", output, flags=re.MULTILINE)
    assert re.search(r"^gather +32x13 +\d", output, flags=re.MULTILINE)
    assert max(map(len, output.splitlines())) <= 100
    profile = json.loads(json_file.read_text(encoding="utf-8"))
    assert profile["threads"] == 1
    assert {timing["kernel"] for timing in profile["timings"]} == {"relu", "gather"}
    assert all(timing["seconds"] > 0 for timing in profile["timings"])
    assert page.read_text(encoding="utf-8").count("<tr id=") == len(profile["timings"])


def test_profile_draws_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "p.png"
    chosen = ["profile", "--quick", "--threads", "1", "--kernels", "gather"]
    assert main([*chosen, "--plot", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_profile_does_without_matplotlib_until_a_plot_is_wanted(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    chosen = ["profile", "--quick", "--threads", "1", "--kernels", "gather"]
    assert main([*chosen, "--html", str(tmp_path / "p.html")]) == 0
    capsys.readouterr()
    line = fails(capsys, [*chosen, "--plot", str(tmp_path / "p.png")])
    assert "pip install matplotlib" in line


def test_profile_fits_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = ["relu", "sparse_categorical_crossentropy"]
    assert main(["profile", "--quick", "--threads", "1", "--kernels", *names]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_info_prints_what_is_unusual_and_the_rest_when_asked(capsys):
    assert main(["info"]) == 0
    short = capsys.readouterr().out
    assert main(["info", "--all"]) == 0
    whole = capsys.readouterr().out
    hotloop.show_config()
    assert whole == capsys.readouterr().out
    for words in ("backend", "threads", "versions", "numpy"):
        assert words in short
    served = hotloop.config.backend()
    ops = short[short.index("ops are served by") :].splitlines()[1:]
    assert not [line for line in ops if line.split()[1:2] == [served]]
    assert len(whole.splitlines()) > len(short.splitlines()) + 50


def test_the_version(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"hotloop {hotloop.__version__}\n"


def test_as_a_process():
    command = [sys.executable, "-m", "hotloop", "train", "--epochs", "0"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert "Traceback" not in run.stderr


# --------------------------------------------------------------- what must not be overwritten


QUICK = ["--layers", "4", "--epochs", "1", "--quiet"]


def test_the_data_is_never_overwritten(tmp_path, flowers, capsys, monkeypatch):
    data = tmp_path / "data.hotloop"
    os.rename(flowers, data)
    (tmp_path / "soft.hotloop").symlink_to(data)
    (tmp_path / "hard.hotloop").hardlink_to(data)
    monkeypatch.chdir(tmp_path)
    content = data.read_bytes()
    for given in (str(data), "data.hotloop", "soft.hotloop"):
        for saved in (str(data), "./data.hotloop", "soft.hotloop", "hard.hotloop"):
            line = fails(capsys, ["train", "--data", given, "--target", "kind", "--save", saved])
            assert "--save" in line
            assert "this command reads" in line
    assert data.read_bytes() == content
    assert main(["train", "--data", given, "--target", "kind", *QUICK, "--save", "m.hotloop"]) == 0
    model = (tmp_path / "m.hotloop").read_bytes()
    capsys.readouterr()
    for output in ("m.hotloop", "data.hotloop", "hard.hotloop"):
        line = fails(capsys, ["predict", "m.hotloop", "data.hotloop", "--output", output])
        assert "--output" in line
    assert (data.read_bytes(), (tmp_path / "m.hotloop").read_bytes()) == (content, model)
    command = [sys.executable, "-m", "hotloop", "predict", "m.hotloop", "-", "--output"]
    with data.open("rb") as file:
        run = subprocess.run([*command, "hard.hotloop"], stdin=file, capture_output=True, text=True)
    assert run.returncode == 2
    assert "destroy" in run.stderr
    assert data.read_bytes() == content


def test_outputs_are_checked_before_the_work(tmp_path, flowers, capsys):
    (tmp_path / "d.hotloop").mkdir()
    line = fails(capsys, ["train", "--data", flowers, "--target", "kind", "--save",
                          str(tmp_path / "d.hotloop")])  # fmt: skip
    assert "is a folder" in line
    page = str(tmp_path / "p.html")
    assert "what --json writes" in fails(capsys, ["profile", "--json", page, "--html", page])
    assert "is a folder" in fails(capsys, ["profile", "--html", str(tmp_path)])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["d.hotloop", "flowers.csv"]


def test_keras_files_need_h5py_before_the_work(flowers, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    line = fails(capsys, ["train", "--data", flowers, "--target", "kind", "--save",
                          str(tmp_path / "m.keras")])  # fmt: skip
    assert "pip install h5py" in line


@pytest.mark.parametrize("ending", [".hotloop", ".keras", ".safetensors"])
def test_every_ending_is_read_again(tmp_path, flowers, capsys, ending):
    model = tmp_path / f"m{ending}"
    assert main(["train", "--data", flowers, "--target", "kind", *QUICK, "--save", str(model)]) == 0
    capsys.readouterr()
    assert main(["predict", str(model), flowers]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 81
    if ending == ".safetensors":
        return
    assert hotloop.models.load_model(model).count_params() > 0  # as any other model
    with zipfile.ZipFile(model) as archive:
        assert "table.json" in archive.namelist()
    other = tmp_path / f"o{ending}"
    hotloop.models.load_model(model).save(other)
    assert "hotloop train --save" in fails(capsys, ["predict", str(other), flowers])


# ------------------------------------------------------------------------------- tables


HEADER = ["date", "area", "town", "new", "rooms", "price"]


def houses_of(rng, rows=60):
    """Cells as a spreadsheet has them, some missing."""
    towns = ["Köln", "Ulm", "Trier; Stadt"]
    return [
        [
            f"{1 + i % 28:02}.0{1 + i % 9}.2024",
            f"{rng.random() * 100:.2f}" if i % 7 else "NA",
            towns[rng.integers(3)] if i % 11 else "",
            ["yes", "no"][rng.integers(2)],
            str(rng.integers(1, 9)),
            f"{rng.random() * 1000:.1f}",
        ]
        for i in range(rows)
    ]


@pytest.fixture
def spreadsheet(tmp_path):
    rows = houses_of(np.random.default_rng(3))
    return write(tmp_path / "houses.csv", HEADER, rows), rows


def rewritten(rows, separator, encoding, order=range(6), decimal="."):
    text = io.StringIO()
    cells = [[cell.replace(".", decimal) if cell.count(".") == 1 else cell for cell in row]
             for row in rows]  # fmt: skip
    table = [[row[i] for i in order] for row in [HEADER, *cells]]
    csv.writer(text, delimiter=separator).writerows(table)
    return text.getvalue().encode(encoding)


def test_what_was_found_out_is_said(spreadsheet, capsys):
    table, _ = spreadsheet
    assert main(["train", "--data", table, "--target", "price", "--epochs", "1"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "predicts price, a quantity (regression); since its numbers have fractions" in said
    assert "--classification makes classes of it" in said
    assert "numbers: area, rooms" in said
    assert "true or false: new" in said
    assert "day of week: date" in said
    assert "text, as categories: town (3)" in said
    assert "area (9), town (6)" in said
    for name in ("test mean squared error", "always saying the mean", "test R2"):
        assert f"{name}: " in said


def test_new_data_are_read_as_the_old_however_they_are_written(
    spreadsheet, tmp_path, capsys, monkeypatch
):
    table, rows = spreadsheet
    model, new = str(tmp_path / "m.hotloop"), tmp_path / "new"
    assert main(["train", "--data", table, "--target", "price", *QUICK, "--save", model]) == 0
    capsys.readouterr()
    assert main(["predict", model, table]) == 0
    expected = capsys.readouterr().out
    for separator, encoding, order, decimal in (
        (";", "utf-16", [3, 1, 2, 0, 4], ","),
        ("\t", "cp1252", [4, 3, 2, 1, 0, 5], "."),
        ("|", "utf-8-sig", [0, 1, 2, 3, 4], ","),
    ):
        content = rewritten(rows, separator, encoding, order, decimal)
        for packed in (content, gzip.compress(content)):
            new.write_bytes(packed)
            assert main(["predict", model, str(new)]) == 0
            assert capsys.readouterr().out == expected
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(packed)))
            assert main(["predict", model, "-"]) == 0
            assert capsys.readouterr().out == expected
    new.write_bytes(rewritten(rows, ",", "utf-8", [0, 2, 3, 4]))
    assert "no column 'area'" in fails(capsys, ["predict", model, str(new)])


def test_what_training_has_not_seen_is_said(spreadsheet, tmp_path, capsys):
    table, rows = spreadsheet
    model, new = str(tmp_path / "m.hotloop"), tmp_path / "new.csv"
    assert main(["train", "--data", table, "--target", "price", *QUICK, "--save", model]) == 0
    capsys.readouterr()
    strange = [["1.1.2024", "5", "Rom", "yes", "?", "1"], *rows[:3]]
    assert main(["predict", model, write(new, HEADER, strange)]) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 5
    assert "column 'town': 1 cells hold a value that the model does not know ('Rom')" in told.err
    assert "column 'rooms': 1 cells are missing" in told.err
    strange[0][3] = "perhaps"
    line = fails(capsys, ["predict", model, write(new, HEADER, strange)])
    assert "line 2, column 'new': expected true or false, got 'perhaps'" in line


def test_a_count_is_a_quantity_and_the_user_decides(spreadsheet, capsys):
    table, _ = spreadsheet
    train = ["train", "--data", table, "--target", "rooms", *QUICK]
    for option, words in (
        ([], "mean squared error"), (["--classification"], "accuracy"),
        (["--regression"], "mean squared error"),
    ):  # fmt: skip
        assert main([*train, *option]) == 0
        assert f"test {words}: " in capsys.readouterr().out
    assert "expected a number" in fails(capsys, ["train", "--data", table, "--target", "town",
                                                 "--regression"])  # fmt: skip


def test_columns_are_dropped_and_ids_are_left_out_loudly(tmp_path, capsys):
    rows = [[i, f"name {i}", i % 5, "ab"[i % 2]] for i in range(30)]
    table = write(tmp_path / "t.csv", ["", "name", "size", "kind"], rows)
    train = ["train", "--data", table, "--target", "kind", *QUICK]
    assert main(train) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "column 1 (it numbers the rows), name (text with 30 different values in 30" in told
    assert main([*train, "--drop", "name,column 1", "--categories", "size"]) == 0
    capsys.readouterr()
    assert "'nome'" in fails(capsys, [*train, "--drop", "nome"])
    assert "--drop kind" in fails(capsys, [*train, "--drop", "kind"])
    assert "no feature columns" in fails(capsys, [*train, "--drop", "name,column 1,size"])


def test_probabilities(tmp_path, flowers, houses, capsys):
    model = str(tmp_path / "m.hotloop")
    assert main(["train", "--data", flowers, "--target", "kind", *QUICK, "--save", model]) == 0
    assert "accuracy of always saying" in capsys.readouterr().out
    assert main(["predict", model, flowers, "--proba"]) == 0
    header, *lines = csv.reader(io.StringIO(capsys.readouterr().out))
    assert header == ["rose", "tulip"]
    np.testing.assert_allclose(np.array(lines, float).sum(axis=1), 1, atol=1e-4)
    assert main(["train", "--data", houses, "--target", "price", *QUICK, "--save", model]) == 0
    capsys.readouterr()
    assert "--proba" in fails(capsys, ["predict", model, houses, "--proba"])


def test_no_header(tmp_path, capsys):
    rows = [[i % 7, i % 3, "ab"[i % 2]] for i in range(30)]
    table = write(tmp_path / "t.csv", rows[0], rows[1:])
    model = str(tmp_path / "m.hotloop")
    train = ["train", "--data", table, *QUICK, "--save", model]
    assert main([*train, "--no-header", "--target", "3"]) == 0
    capsys.readouterr()
    new = write(tmp_path / "new.csv", [1, 2], [[3, 0]])
    assert main(["predict", model, new, "--no-header"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    odd = write(tmp_path / "odd.csv", [1, 2, 3, 4], [])
    assert "4 columns without names" in fails(capsys, ["predict", model, odd, "--no-header"])


def test_rows_without_a_target_are_left_out(tmp_path, capsys):
    rows = [[i % 7, "" if i % 5 == 0 else "ab"[i % 2]] for i in range(40)]
    table = write(tmp_path / "t.csv", ["x", "kind"], rows)
    assert main(["train", "--data", table, "--target", "kind", *QUICK]) == 0
    assert "left out: 8 rows without a value of kind" in capsys.readouterr().err


# ------------------------------------------------------------------------- as a process


def test_a_reader_that_leaves_is_no_error(tmp_path, flowers):
    model = tmp_path / "m.hotloop"
    assert main(["train", "--data", flowers, "--target", "kind", *QUICK, "--save", str(model)]) == 0
    rows = [[i % 5, 0.5] for i in range(50_000)]
    table = write(tmp_path / "many.csv", ["petal", "noise"], rows)
    command = [sys.executable, "-m", "hotloop", "predict", str(model), table]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == b""
        assert run.wait() == 141


def test_ctrl_c_ends_quietly(capsys, monkeypatch):
    monkeypatch.setattr("hotloop.cli.info.config.report", lambda every_op: stop())
    assert main(["info"]) == 130
    assert capsys.readouterr().err == "hotloop: interrupted\n"


def stop():
    signal.raise_signal(signal.SIGINT)
