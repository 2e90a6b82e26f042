"""The table of a model."""

from __future__ import annotations

import numpy as np
import pytest

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
    assert lines[-5:-2] == [
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
    assert lines[-4].startswith("Trainable params: 1,290 ")
    assert lines[-3].startswith("Non-trainable params: 100,480 ")


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


# Multiplications and additions: 784 * 128 and 128 * 10 of each, forward; the same again for
# the gradients of the weights; and the second layer's for the gradient of its input.
FORWARD = 2 * (784 * 128 + 128 * 10)
TRAINING = 2 * FORWARD + 2 * 128 * 10


def images(count):
    return np.random.default_rng(0).random((count, 28, 28))


def work_of(model, capsys):
    model.summary()
    return capsys.readouterr().out.splitlines()[-2:]


def test_flops_and_arena_of_a_forward_pass(capsys):
    flops, arena = work_of(model_of(), capsys)
    assert flops == f"FLOPs per example: {FORWARD:,}"
    # Dropout passes on in a forward pass: 32 examples of 784, 128 and 10 float32 numbers.
    assert arena == f"Arena: {32 * (784 + 128 + 10) * 4 / 1024:.2f} KB (forward pass, batch of 32)"


def test_flops_and_arena_of_training(backend, capsys):
    model = model_of()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    flops, arena = work_of(model, capsys)
    assert flops == f"FLOPs per example: {FORWARD:,} (training: {TRAINING:,})"
    assert arena.endswith(" (training, batch of 32)")
    assert model.optimizer.variables == []
    # What was said before is what fit then makes.
    model.fit(images(64), np.zeros(64), verbose=0)
    assert work_of(model, capsys) == [flops, arena]


def test_figures_of_the_plan_last_trained(capsys):
    model = model_of()
    model.compile("sgd", "crossentropy")
    assert "training" not in "".join(work_of(model, capsys))  # labels or one-hot rows?
    model.fit(images(10), np.eye(10), batch_size=5, verbose=0)
    flops, arena = work_of(model, capsys)
    assert flops.endswith(f"(training: {TRAINING:,})")
    assert arena.endswith("(training, batch of 5)")


def test_frozen_layers_need_no_gradient(capsys):
    model = model_of()
    model.get_layer("hidden").trainable = False
    model.compile("sgd", "mse")
    only_out = FORWARD + 2 * 128 * 10
    assert work_of(model, capsys)[0] == f"FLOPs per example: {FORWARD:,} (training: {only_out:,})"


@pytest.mark.parametrize("loss", [None, ["mse", "mae"], {"nobody": "mse"}])
def test_no_figures_of_a_training_that_cannot_be(loss, capsys):
    model = model_of()
    model.compile("sgd", loss)
    assert work_of(model, capsys)[0] == f"FLOPs per example: {FORWARD:,}"


def test_a_model_without_products(capsys):
    model = hotloop.Sequential([Input((3,)), Flatten()])
    model.compile("sgd", "mse")
    assert work_of(model, capsys)[0] == "FLOPs per example: 0 (training: 0)"


def test_looking_ahead_leaves_no_trace(capsys):
    model = model_of()
    model.compile("sgd", "mse")
    work_of(model, capsys)
    assert model.metrics_names == ["loss"]
    assert not model._plans
