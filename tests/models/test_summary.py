"""The table of a model."""

from __future__ import annotations

import hotloop
from hotloop.layers import Dense, Dropout, Flatten, Input


def model_of():
    return hotloop.Sequential(
        [
            Input((28, 28)),
            Flatten(name="flat"),
            Dense(128, "relu", name="hidden"),
            Dropout(0.5, name="drop"),
            Dense(10, name="out"),
        ],
        name="mlp",
    )


def test_lines(capsys):
    assert model_of().summary() is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'Model: "mlp"'
    assert [line.split() for line in lines[3:7]] == [
        ["flat", "(Flatten)", "(None,", "784)", "0"],
        ["hidden", "(Dense)", "(None,", "128)", "100,480"],
        ["drop", "(Dropout)", "(None,", "128)", "0"],
        ["out", "(Dense)", "(None,", "10)", "1,290"],
    ]
    assert lines[-3:] == [
        "Total params: 101,770 (397.54 KB)",
        "Trainable params: 101,770 (397.54 KB)",
        "Non-trainable params: 0 (0.00 B)",
    ]
    assert max(map(len, lines)) == 80


def test_frozen_layers_are_counted_apart(capsys):
    model = model_of()
    model.get_layer("hidden").trainable = False
    model.summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].startswith("Trainable params: 1,290 ")
    assert lines[-1].startswith("Non-trainable params: 100,480 ")


def test_line_length(capsys):
    model_of().summary(line_length=50)
    assert max(map(len, capsys.readouterr().out.splitlines())) == 50


def test_long_names_are_cut(capsys):
    hotloop.Sequential([Dense(1, input_dim=1, name="n" * 90)]).summary()
    lines = capsys.readouterr().out.splitlines()
    assert "nnn..." in lines[3]
    assert max(len(line) for line in lines[1:]) == 80


def test_a_model_in_a_model(capsys):
    inner = hotloop.Sequential([Dense(3, input_dim=4), Dense(2)], name="inner")
    hotloop.Sequential([inner, Dense(1, name="out")]).summary()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[3:5]]
    assert rows[0] == ["inner", "(Sequential)", "(None,", "2)", "23"]
