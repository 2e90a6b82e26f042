"""Random tables on the command line: a result, or one line that says what is wrong."""

from __future__ import annotations

import csv
import gzip
import io
from typing import Any

import numpy as np
import pytest

from hotloop.cli import main

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "cp1252")
SEPARATORS = (",", ";", "\t", "|")
MISSING = ("", "NA", "N/A", "NaN", "null", "?", "-")
WORDS = ("red", "blau", "vert, clair", 'so "called"', "grün", "two\nlines", "none", " padded ")
ODD = ("", "x", "inf", "1e999", "--", '"', "'", "1_000", "0x10", "99/99/2020")


def column(rng: np.random.Generator, rows: int, decimal: str) -> list[str]:
    """Cells of one kind."""
    kind = rng.integers(8)
    if kind == 0:
        return [f"{v:.3f}".replace(".", decimal) for v in rng.normal(size=rows) * 10]
    if kind == 1:
        return [str(v) for v in rng.integers(-5, 2000, rows)]
    if kind == 2:
        pair = [("true", "false"), ("Yes", "No"), ("T", "F")][rng.integers(3)]
        return [pair[v] for v in rng.integers(0, 2, rows)]
    if kind == 3:
        form = [
            "{0:%Y-%m-%d}",
            "{0:%d.%m.%Y}",
            "{0:%m/%d/%Y}",
            "{0:%d %b %Y}",
            "{0:%Y-%m-%dT%H:%M}",
        ]
        start = np.datetime64("2020-01-01T06:00")
        chosen = form[rng.integers(len(form))]
        days = start + rng.integers(0, 60 * 24 * 900, rows).astype("timedelta64[m]")
        return [chosen.format(day) for day in days.tolist()]
    if kind == 4:
        return [WORDS[v] for v in rng.integers(0, len(WORDS), rows)]
    if kind == 5:
        return [f"id-{v}" for v in rng.permutation(rows)]
    if kind == 6:
        return ["7"] * rows
    return [f"{v // 60:02}:{v % 60:02}" for v in rng.integers(0, 1440, rows).tolist()]


def written(rng: np.random.Generator, header: list[str], rows: list[list[str]]) -> bytes:
    """A table as the bytes of a file, in one of many ways."""
    text = io.StringIO()
    quoting = [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC][rng.integers(3)]
    end = ["\n", "\r\n"][rng.integers(2)]
    separator = SEPARATORS[rng.integers(len(SEPARATORS))]
    csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end).writerows(
        [header, *rows]
    )
    content = text.getvalue().encode(ENCODINGS[rng.integers(len(ENCODINGS))])
    return gzip.compress(content) if rng.random() < 0.2 else content


def table(rng: np.random.Generator) -> tuple[list[str], list[list[str]]]:
    """A header and rows, of which some cells are missing."""
    rows = int(rng.integers(12, 60))
    decimal = ".,"[rng.integers(2)]
    columns = [column(rng, rows, decimal) for _ in range(rng.integers(1, 6))]
    columns = [["0" + decimal + "5"] * rows, *columns]  # always one that is left in
    for cells in columns[1:]:
        if rng.random() < 0.3:
            for i in rng.integers(0, rows, rows // 5):
                cells[i] = MISSING[rng.integers(len(MISSING))]
    columns.append([["low", "high"][v] for v in rng.integers(0, 2, rows)])
    names = [f"größe {i}" for i in range(len(columns) - 1)] + ["y"]
    return names, [list(row) for row in zip(*columns, strict=True)]


def spoiled(
    rng: np.random.Generator, header: list[str], rows: list[list[str]]
) -> tuple[list[str], list[list[str]]]:
    """The same with a mistake or two."""
    header, rows = list(header), [list(row) for row in rows]
    for _ in range(rng.integers(1, 3)):
        row = rows[rng.integers(len(rows))]
        match rng.integers(8):
            case 0:
                del row[-1:]
            case 1:
                row.append("more")
            case 2 if row:
                row[rng.integers(len(row))] = ODD[rng.integers(len(ODD))]
            case 3:
                header[rng.integers(len(header))] = header[0]
            case 4:
                header[rng.integers(len(header))] = ""
            case 5:
                rows = rows[: rng.integers(len(rows))] or rows[:1]
            case 6:
                header = [str(v) for v in range(len(header))]
            case _:
                for cells in rows:
                    cells[:1] = [ODD[rng.integers(len(ODD))]]
    return header, rows


def run(capsys: Any, *arguments: Any) -> tuple[int, str]:
    """Exit code and standard output; one line on standard error if it failed."""
    code = main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    lines = output.err.splitlines()
    if code:
        assert code == 2
        assert len(lines) == 1, output.err
    assert all(line.startswith(("hotloop: ", "left out: ", "  ")) for line in lines), output.err
    return code, output.out


def train(file: Any, model: Any) -> list[Any]:
    options = ["--layers", "2", "--epochs", "1", "--quiet", "--save", model]
    return ["train", "--data", file, "--target", "y", *options]


def test_tables_are_read_however_they_are_written(seeds: Any, tmp_path: Any, capsys: Any) -> None:
    """Predictions do not depend on how a table is written and in which order its columns stand."""
    for seed in seeds(25):
        rng = np.random.default_rng(seed)
        header, rows = table(rng)
        file = tmp_path / "t.csv"
        model = tmp_path / f"m{['.hotloop', '.safetensors', '.keras'][rng.integers(3)]}"
        file.write_bytes(written(rng, header, rows))
        code, _ = run(capsys, *train(file, model))
        assert code == 0
        results = []
        for _ in range(2):
            order = rng.permutation(len(header))
            content = written(
                rng,
                [*(header[i] for i in order), "extra"],
                [[*(row[i] for i in order), "?"] for row in rows],
            )
            file.write_bytes(content)
            code, output = run(capsys, "predict", model, file, "--proba")
            assert code == 0
            results.append(output)
        assert results[0] == results[1]
        assert len(results[0].splitlines()) == len(rows) + 1


def test_mistakes_are_one_line(seeds: Any, tmp_path: Any, capsys: Any) -> None:
    for seed in seeds(30):
        rng = np.random.default_rng(seed)
        header, rows = table(rng)
        good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
        model = tmp_path / "m.hotloop"
        good.write_bytes(written(rng, header, rows))
        run(capsys, *train(good, model))
        bad.write_bytes(written(rng, *spoiled(rng, header, rows)))
        run(capsys, "predict", model, bad)
        run(capsys, *train(bad, model))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_any_bytes_are_a_table_or_none(seeds: Any, tmp_path: Any, capsys: Any, ending: str) -> None:
    """Random bytes, and files of which some bytes are changed or the end is missing."""
    file, model = tmp_path / f"t.{ending}", tmp_path / "m.hotloop"
    for seed in seeds(25):
        rng = np.random.default_rng(seed)
        content = bytearray(written(rng, *table(rng)))
        if rng.random() < 0.3:
            content = bytearray(rng.bytes(int(rng.integers(0, 300))))
        elif rng.random() < 0.5:
            del content[rng.integers(len(content)) :]
        for _ in range(rng.integers(0, 6)):
            if content:
                content[rng.integers(len(content))] = rng.integers(256)
        file.write_bytes(bytes(content))
        run(capsys, *train(file, model))
