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


def lines_of(model, **options):
    said = []
    assert model.summary(print_fn=said.append, **options) is None
    (text,) = said
    return text.splitlines()


def two_inputs():
    hotloop.naming.clear_names()
    a, b = Input((4,), name="a"), Input((3,), name="b")
    wide = Dense(5, name="wide")
    joined = hotloop.layers.Concatenate(name="join")([wide(a), b])
    return hotloop.Model([a, b], Dense(2, name="out")(joined * 2), name="net")


def test_what_each_layer_reads_where_they_are_no_chain():
    lines = lines_of(two_inputs())
    table = [line.split() for line in lines[3:9]]
    assert table[0] == ["a", "(InputLayer)", "(None,", "4)", "0", "-"]
    reads = {row[0]: " ".join(row[5:]) for row in table}
    assert reads == {
        "a": "-",
        "b": "-",
        "wide": "a",
        "join": "wide, b",
        "multiply": "join",
        "out": "multiply",
    }
    assert max(map(len, lines)) == 80


def test_outputs_after_the_first_have_their_number():
    x = Input((4,), name="x")
    inner = hotloop.Model(x, [Dense(2, name="p")(x), Dense(3, name="q")(x)], name="inner")
    y = Input((4,), name="y")
    model = hotloop.Model(y, hotloop.layers.concatenate(inner(y), name="join"))
    lines = lines_of(model)
    assert next(line for line in lines if line.startswith("join")).endswith("inner, inner[1]")
    assert "[(None, 2), (None, 3)]" in "\n".join(lines_of(model, line_length=110))


def test_many_sources_go_on_below():
    x = Input((4,), name="x")
    parts = [Dense(2, name=f"branch_number_{i}")(x) for i in range(5)]
    model = hotloop.Model(x, hotloop.layers.concatenate(parts, name="join"))
    lines = lines_of(model)
    start = next(i for i, line in enumerate(lines) if line.startswith("join"))
    assert lines[start].endswith("  branch_number_0,")
    assert [line.strip() for line in lines[start + 1 : start + 5]] == [
        "branch_number_1,",
        "branch_number_2,",
        "branch_number_3,",
        "branch_number_4",
    ]
    column = lines[start].index("branch_number_0")
    assert all(line.index("branch") == column for line in lines[start + 1 : start + 5])


def test_models_inside_and_what_is_trained():
    inner = hotloop.Sequential(
        [Dense(3, input_dim=4, name="first"), Dense(2, name="second")], name="inner"
    )
    model = hotloop.Sequential([inner, Dropout(0.5, name="drop"), Dense(1, name="out")])
    inner.layers[0].trainable = False
    lines = lines_of(model, expand_nested=True, show_trainable=True)
    assert [line.split()[0] for line in lines[3:8]] == ["inner", "└", "└", "drop", "out"]
    assert [line.split()[1] for line in lines[4:6]] == ["first", "second"]
    assert [line.split()[-1] for line in lines[3:8]] == ["Y", "N", "Y", "-", "Y"]
    assert lines[1].endswith("Trainable")
    assert max(map(len, lines)) == 80


def test_before_the_input_shape_is_known():
    lines = lines_of(hotloop.Sequential([Dense(3, name="one"), Flatten(name="two")]))
    assert [line.split() for line in lines[3:5]] == [
        ["one", "(Dense)", "?", "0", "(unbuilt)"],
        ["two", "(Flatten)", "?", "0", "(unbuilt)"],
    ]
    assert lines[-1] == "Non-trainable params: 0 (0.00 B)"


def test_a_range_of_layers():
    model = model_of()
    assert [line.split()[0] for line in lines_of(model, layer_range=("hid", "drop"))[3:5]] == [
        "hidden",
        "drop",
    ]
    for wrong in (("out", "flat"), ("nobody", "out"), ("out",), (1, 2)):
        with pytest.raises(ValueError, match="layer_range"):
            model.summary(layer_range=wrong)


def test_positions():
    lines = lines_of(model_of(), positions=[0.5, 0.8, 1.0], line_length=60)
    assert lines[1].index("Output") == 30
    assert lines[2] == "-" * 60
    for wrong in ([0.5, 1.0], [0.5, 0.51, 1.0], [0.5, 0.4, 1.0]):
        with pytest.raises(ValueError, match="positions must be 3 rising ends"):
            model_of().summary(positions=wrong)
    with pytest.raises(ValueError, match="line_length=20 is too short"):
        model_of().summary(line_length=20)


def test_a_layer_used_by_two_models_shows_the_shape_of_each():
    layer = Dense(2, name="shared")
    first = hotloop.Sequential([Input((4,)), layer])
    hotloop.Sequential([Input((7, 4)), layer])
    assert "(None, 2)" in lines_of(first)[3]


def test_a_class_of_ones_own_lists_its_attributes():
    class Net(hotloop.Model):
        def __init__(self):
            super().__init__()
            self.out = Dense(2, name="out")
            self.parts = [Dense(3, name="hidden")]
            self.spare = Dense(4, name="spare")

        def call(self, x):
            return self.out(self.parts[0](x))

    model = Net()
    assert "?" in lines_of(model)[3]
    model(np.ones((1, 4)))
    assert [line.split() for line in lines_of(model)[3:6]] == [
        ["out", "(Dense)", "(None,", "2)", "8"],
        ["hidden", "(Dense)", "(None,", "3)", "15"],
        ["spare", "(Dense)", "?", "0", "(unbuilt)"],
    ]
    assert lines_of(model)[-5] == "Total params: 23 (92.00 B)"


def test_the_counts_are_those_of_keras():

    keras = pytest.importorskip("keras")
    found = []
    for k in (hotloop, keras):
        x = k.Input((4,))
        inner = k.Sequential([k.layers.Dense(3, input_shape=(4,)), k.layers.Dense(4)])
        model = k.Model(x, k.layers.Dense(2)(inner(inner(x)) + x))
        inner.layers[1].trainable = False
        text = []
        model.summary(print_fn=lambda line, *_, text=text, **__: text.append(line))
        counts = [line.strip() for line in "\n".join(text).splitlines() if " params: " in line]
        found.append(counts)
    assert found[0] == found[1]
    assert found[0][1].startswith("Trainable params: 25 ")
