"""The command line: results on standard output, one line on standard error for what fails."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pytest

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


@pytest.mark.parametrize("cell", ["", "many", "nan", "inf"])
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
    assert "hotloop[plot]" in line


def test_profile_fits_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = ["relu", "sparse_categorical_crossentropy"]
    assert main(["profile", "--quick", "--threads", "1", "--kernels", *names]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_info_prints_the_configuration(capsys):
    assert main(["info"]) == 0
    assert "backend" in capsys.readouterr().out.lower()


def test_as_a_process():
    command = [sys.executable, "-m", "hotloop", "train", "--epochs", "0"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1
    assert "Traceback" not in run.stderr
