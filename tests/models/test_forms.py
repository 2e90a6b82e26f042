"""Where data decide a length, a model computes what it would with that length given."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import hotloop
from hotloop import Input, Model, Sequential, layers
from hotloop.models import forms, objective, plans

SIZE = 8
rng = np.random.default_rng(0)
x = rng.normal(size=(40, 5, SIZE)).astype("float32")
classes = rng.integers(0, 3, (40, 5))
numbers = rng.normal(size=(40, 1)).astype("float32")


def two_outputs(steps):
    """Classes of each step, and a number for all of them."""
    hotloop.utils.set_random_seed(1)
    inputs = Input((steps, SIZE), name="steps")
    hidden = layers.Dense(12, "relu")(inputs)
    hidden = layers.LayerNormalization()(hidden)
    hidden = layers.Add()([hidden, layers.Dense(12)(inputs)])
    hidden = layers.BatchNormalization()(layers.Dropout(0.3)(hidden))
    of_steps = layers.Dense(3, "softmax", name="of_steps")(hidden)
    of_all = layers.Dense(1, name="of_all")(layers.GlobalAveragePooling1D()(hidden))
    model = Model(inputs, [of_steps, of_all])
    model.compile(
        "adam",
        ["sparse_categorical_crossentropy", "mse"],
        metrics=[["accuracy"], ["mae", hotloop.metrics.R2Score()]],
    )
    return model


ONE_LAYER = {
    "dense": lambda: layers.Dense(3, "gelu"),
    "normalization": lambda: layers.LayerNormalization(),
    "rms": lambda: layers.RMSNormalization(),
    "unit": lambda: layers.UnitNormalization(),
    "prelu": lambda: layers.PReLU(shared_axes=[1]),
    "softmax": lambda: layers.Softmax(),
    "noise": lambda: layers.GaussianNoise(0.1),
    "rescaling": lambda: layers.Rescaling(2.0, 1.0),
    "mean": lambda: layers.GlobalAveragePooling1D(),
    "mean of steps that come last": lambda: layers.GlobalAveragePooling1D("channels_first"),
    "max": lambda: layers.GlobalMaxPooling1D(),
    "max keeping steps": lambda: layers.GlobalMaxPooling1D(keepdims=True),
    "flatten": lambda: layers.Flatten(),
    "reshape": lambda: layers.Reshape((-1, 4)),
    "lambda": lambda: layers.Lambda(lambda a: a[:, ::2] * 2.0),
    "model": lambda: Sequential([Input((None, SIZE)), layers.Dense(3), layers.Flatten()]),
    "activation": lambda: layers.Activation(lambda a: np.maximum(a, 0.1 * a)),
}


@pytest.mark.parametrize("name", ONE_LAYER)
def test_a_layer_of_any_length(name, backend):
    """The same array from a model of any length as from one of this length."""
    hotloop.utils.set_random_seed(1)
    inputs = Input((None, SIZE))
    outputs = ONE_LAYER[name]()(inputs)
    model = Model(inputs, outputs)
    for steps in (5, 1, 2, 5):
        part = x[:7, :steps]
        hotloop.utils.set_random_seed(1)
        given = Input((steps, SIZE))
        same = Model(given, ONE_LAYER[name]()(given))
        same.set_weights(model.get_weights())
        got, expected = model.predict(part, verbose=0), same.predict(part, verbose=0)
        np.testing.assert_array_equal(got, expected)
        assert all(
            open_ in (None, length)
            for open_, length in zip(model.output_shape, expected.shape, strict=True)
        )


MERGES = {
    "add": layers.Add(),
    "multiply, broadcast": lambda pair: layers.Multiply()(
        [pair[0], layers.GlobalMaxPooling1D(keepdims=True)(pair[1])]
    ),
    "side by side": layers.Concatenate(),
    "one after the other": layers.Concatenate(axis=1),
    "dot": layers.Dot(axes=2),
}


@pytest.mark.parametrize("name", MERGES)
def test_merged_inputs_of_any_length(name):
    a, b = Input((None, SIZE)), Input((None, SIZE))
    model = Model([a, b], MERGES[name]([a, b]))
    for steps in (1, 3, 5):
        pair = [x[:6, :steps], x[6:12, :steps]]
        given = [Input((steps, SIZE)), Input((steps, SIZE))]
        same = Model(given, MERGES[name](given))
        np.testing.assert_array_equal(model(pair), same(pair))


def test_of_several_inputs_each_has_its_lengths():
    a, b = Input((None, SIZE)), Input((None, SIZE))
    dot = Model([a, b], layers.Dot(axes=2)([a, b]))
    assert dot.output_shape == (None, None, None)
    assert dot([x[:6, :2], x[:6]]).shape == (6, 2, 5)
    with pytest.raises(
        ValueError, match=r"^Add 'add.*': add needs values .* not of \(None, 2, 8\) and"
    ):
        Model([a, b], layers.Add()([a, b]))([x[:6, :2], x[:6]])


def test_training_is_that_of_the_length_given(backend):
    results = []
    for steps in (None, 5):
        model = two_outputs(steps)
        hotloop.utils.set_random_seed(2)
        history = model.fit(
            x, [classes, numbers], epochs=3, verbose=0, validation_split=0.2, batch_size=7
        ).history
        loss, gradients = model.loss_and_gradients(x, [classes, numbers])
        scores = model.evaluate(x, [classes, numbers], verbose=0)
        results.append((history, model.get_weights(), loss, gradients, scores))
    (history, weights, loss, gradients, scores), other = results
    # The parallel loops of numba add up in no fixed order.
    precise = 1e-5 if backend == "numba" else 0.0
    assert scores == pytest.approx(other[4], rel=precise, abs=0.0)
    assert loss == pytest.approx(other[2], rel=precise, abs=0.0)
    for name, values in history.items():
        assert values == pytest.approx(other[0][name], rel=precise, abs=0.0)
    for arrays, others in ((weights, other[1]), (gradients, other[3])):
        for got, expected in zip(arrays, others, strict=True):
            np.testing.assert_allclose(got, expected, rtol=precise, atol=0.1 * precise)


def test_training_is_that_of_keras():
    keras = pytest.importorskip("keras")
    models = []
    for library in (hotloop, keras):
        inputs = library.layers.Input((None, SIZE))
        hidden = library.layers.Dense(6, "tanh")(inputs)
        hidden = library.layers.Concatenate(axis=1)([hidden, hidden])
        hidden = library.layers.LayerNormalization()(hidden)
        models.append(library.Model(inputs, library.layers.Dense(2)(hidden)))
        models[-1].compile("sgd", "mse")
    model, theirs = models
    theirs.set_weights(model.get_weights())
    for steps in (3, 1, 5, 3):
        y = rng.normal(size=(6, 2 * steps, 2)).astype("float32")
        losses = [m.train_on_batch(x[:6, :steps], y) for m in models]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    np.testing.assert_allclose(
        model.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-3, atol=1e-5
    )


def batches(lengths):
    for i, steps in enumerate(lengths):
        rows = slice(8 * i, 8 * i + 8)
        yield x[rows, :steps], [classes[rows, :steps], numbers[rows]]


def test_batches_of_several_lengths(backend):
    """In one epoch, as when each is trained on alone."""
    lengths = (3, 5, 1, 3)
    one, other = two_outputs(None), two_outputs(None)
    history = one.fit(batches(lengths), verbose=0).history
    losses = [other.train_on_batch(*batch, return_dict=True)["loss"] for batch in batches(lengths)]
    assert history["loss"] == [pytest.approx(np.mean(losses), rel=1e-6)]
    for got, expected in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)

    scores = one.evaluate(batches(lengths), verbose=0, return_dict=True)
    accuracies = []
    for part, (labels, _) in batches(lengths):
        accuracies.append(np.mean(one(part)[0].argmax(-1) == labels))
    assert scores["of_steps_accuracy"] == pytest.approx(np.mean(accuracies))


def test_predictions_that_make_no_one_array():
    model = Sequential([Input((None, SIZE)), layers.Dense(2)])
    parts = [x[:4, :3], x[:6, :5]]
    with pytest.raises(ValueError, match=r"batch 2: .* \(6, 5, 2\), .* first batch \(4, 3, 2\)"):
        model.predict(iter(parts), verbose=0)
    pooled = Sequential([model, layers.GlobalMaxPooling1D()])
    assert pooled.predict(iter(parts), verbose=0).shape == (10, 2)


@pytest.mark.parametrize(
    ("given", "read_as"),
    [((6, 7), (7, 1)), ((6, 7, 1), (7, 1)), ((6, 7, 1, 1), (7, 1))],
)
def test_an_axis_of_length_1_may_be_missing(given, read_as):
    model = Sequential([Input((None, 1)), layers.Dense(2)])
    assert model(np.ones(given)).shape == (6, *read_as[:1], 2)


@pytest.mark.parametrize("given", [(6, 5, 7), (6, 5), (6,), (6, 0, SIZE), (6, 5, SIZE, 2)])
def test_other_arrays_are_refused(given):
    model = Sequential([Input((None, SIZE)), layers.Dense(2)])
    with pytest.raises(ValueError, match=r"expects an array of shape \(None, None, 8\)"):
        model.predict(np.ones(given), verbose=0)


@pytest.mark.parametrize("forget", ["keep", "clone", ".hotloop", ".keras", "json"])
def test_it_is_saved_and_cloned_with_lengths_open(forget, tmp_path):
    model = two_outputs(None)
    if forget == "clone":
        copy = hotloop.models.clone_model(model)
    elif forget == "json":
        copy = hotloop.models.model_from_json(model.to_json())
    elif forget == "keep":
        copy = Model.from_config(model.get_config())
    else:
        model.save(tmp_path / f"m{forget}")
        copy = hotloop.models.load_model(tmp_path / f"m{forget}")
    assert copy.input_shape == model.input_shape == (None, None, SIZE)
    copy.set_weights(model.get_weights())
    for steps in (2, 5):
        for got, expected in zip(copy(x[:, :steps]), model(x[:, :steps]), strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sequential([layers.Dense(2, input_shape=(None, SIZE))]),
        lambda: built(Sequential([layers.Dense(2)]), (None, None, SIZE)),
        lambda: Sequential([Sequential([Input((None, SIZE)), layers.Dense(2)])]),
        lambda: built(OfSteps(), (None, None, SIZE)),
    ],
    ids=["input_shape", "build", "a model first", "a class of one's own"],
)
def test_every_way_to_say_it(make):
    model = make()
    assert model.output_shape == (None, None, 2)
    assert [model(x[:, :steps]).shape[1] for steps in (1, 4)] == [1, 4]
    model.summary(print_fn=print)


def built(model, shape):
    model.build(shape)
    return model


class OfSteps(Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, inputs):
        assert inputs.shape == (None, None, SIZE)
        return self.dense(inputs) * 2


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (layers.PReLU, r"PReLU .* 'alpha' would have shape \(None, 8\)"),
        (lambda: layers.Normalization(axis=1), r"length data decide, of inputs of shape"),
        (lambda: Sequential([layers.Flatten(), layers.Dense(2)]), r"Dense .* got \(None, None\)"),
        (lambda: Sequential([Input((5, SIZE)), layers.Dense(2)]), r"expects .* \(None, 5, 8\)"),
    ],
)
def test_what_needs_a_length_says_so(layer, why):
    with pytest.raises(ValueError, match=why):
        layer()(Input((None, SIZE)))


def test_lengths_that_a_layer_cannot_take_name_it():
    model = Sequential([Input((None, SIZE)), layers.Reshape((-1, 16), name="pairs")])
    assert model(x[:, :4]).shape == (40, 2, 16)
    with pytest.raises(ValueError, match=r"^Reshape 'pairs': cannot reshape \(5, 8\)"):
        model(x)


def test_layers_are_not_called_again(monkeypatch):
    model = two_outputs(None)
    monkeypatch.setattr(layers.Dense, "call", None)
    model.fit(x, [classes, numbers], verbose=0)
    model.predict(x[:, :2], verbose=0)


def test_forms_and_plans_are_bounded(monkeypatch):
    for module in (forms, objective):
        monkeypatch.setattr(module, "KEPT", 20)
    monkeypatch.setattr(plans, "MOST_KEPT", 30)
    model = two_outputs(None)
    for steps in range(1, 60):
        part = rng.normal(size=(2, steps, SIZE))
        model.predict(part, verbose=0)
        model.evaluate(part, [np.zeros((2, steps)), numbers[:2]], verbose=0)
    assert len(list(model.forms)) == 1 + forms.KEPT
    assert len(list(model._plans)) == plans.MOST_KEPT
    assert len(model._compilation._bound) == 2 * forms.KEPT


def test_a_plan_for_each_length_is_made_once():
    model = Sequential([Input((None, SIZE)), layers.Dense(2)])
    for _ in range(3):
        for steps in (1, 2, 3):
            model(x[:, :steps])
    assert len(list(model._plans)) == 3


def test_seeds_that_a_backup_brings_back_reach_every_form(tmp_path):
    """A fit that goes on in a new model draws what it would have drawn."""
    results = []
    for interrupted in (False, True):
        model = two_outputs(None)
        backup = hotloop.callbacks.BackupAndRestore(tmp_path / str(interrupted))
        if interrupted:
            first = two_outputs(None)
            hotloop.utils.set_random_seed(3)
            stop = hotloop.callbacks.LambdaCallback(on_epoch_end=stopped_after_2)
            with pytest.raises(KeyboardInterrupt):
                first.fit(x, [classes, numbers], epochs=4, verbose=0, callbacks=[backup, stop])
            stop = hotloop.callbacks.LambdaCallback()
            hotloop.utils.set_random_seed(99)
            model = two_outputs(None)
            hotloop.utils.set_random_seed(98)
            for layer in model.drawing_parts():
                layer.random_key = 7
            model.predict(x, verbose=0)
        else:
            stop = hotloop.callbacks.LambdaCallback()
            hotloop.utils.set_random_seed(3)
        model.fit(x, [classes, numbers], epochs=4, verbose=0, callbacks=[backup, stop])
        results.append(model.get_weights())
    for got, expected in zip(*results, strict=True):
        np.testing.assert_array_equal(got, expected)


def stopped_after_2(epoch, logs):
    if epoch == 1:
        raise KeyboardInterrupt


def test_inputs_that_cannot_be_joined_are_refused():
    """As with lengths given, though they have as many elements."""
    a, b = Input((None, None, 2)), Input((None, None, 2))
    model = Model([a, b], layers.Concatenate(name="joined")([a, b]))
    assert model([np.zeros((1, 2, 6, 2)), np.ones((1, 2, 6, 2))]).shape == (1, 2, 6, 4)
    with pytest.raises(ValueError, match=r"^Concatenate 'joined': .* differ in axis 3 only"):
        model([np.zeros((1, 2, 6, 2)), np.ones((1, 3, 4, 2))])


def test_a_length_may_turn_out_to_be_1():
    a, b = Input((None, SIZE)), Input((None, SIZE))
    model = Model([a, b], [layers.Add()([a, b]), layers.Concatenate(axis=1)([a, b])])
    for first, second in ((1, 3), (3, 1), (3, 3)):
        pair = [x[:2, :first], x[2:4, :second]]
        added, joined = model(pair)
        np.testing.assert_array_equal(added, pair[0] + pair[1])
        np.testing.assert_array_equal(joined, np.concatenate(pair, axis=1))


def test_metrics_of_two_kinds_are_no_one_result():
    model = Sequential([Input((None,)), layers.Rescaling(1.0)])
    model.compile("sgd", hotloop.losses.Circle(), metrics=["mae", "accuracy"])
    labels = np.array([0, 1, 0, 1])
    with pytest.raises(ValueError, match="metrics must be of one kind"):
        model.evaluate(((rng.normal(size=(4, steps)), labels) for steps in (1, 5)), verbose=0)


def test_metrics_are_those_of_the_run_that_ended_last():
    model = Sequential([Input((None, SIZE)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    for steps in (3, 5, 3):
        y = rng.normal(size=(6, steps, 1))
        _, error = model.evaluate(x[:6, :steps], y, verbose=0)
        assert model.metrics[0].result() == error


def test_a_lambda_that_loses_an_axis_is_named():
    inputs = Input((None, SIZE))
    layer = layers.Lambda(lambda a: a.sum(1), output_shape=(None, SIZE), name="sums")
    with pytest.raises(ValueError, match=r"^Lambda 'sums': its output was to have the shape"):
        Model(inputs, layer(inputs))(x)


def test_the_33rd_length_makes_no_plans_anew():
    model = Sequential([Input((None, SIZE)), layers.Dense(2)])
    for _ in range(2):
        for steps in range(1, 41):
            model(np.ones((2, steps, SIZE)))
    assert len(list(model._plans)) == 40


def test_threads_that_come_first_have_one_form():
    for _ in range(20):
        model = Sequential([Input((None, SIZE)), layers.Dense(2)])
        found = []
        threads = [threading.Thread(target=ask, args=(model, found)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(map(id, found))) == 1


def ask(model, found):
    found.append(model.forms)


def test_an_output_of_no_example_is_refused():
    class Own(layers.Layer):
        def build(self, input_shape):
            self.k = self.add_weight((3,))

        def call(self, inputs):
            return hotloop.graph.ops.scale(hotloop.graph.trace.parameter(self.k), 2.0)

    inputs = Input((3,))
    with pytest.raises(
        ValueError, match=r"^Own 'own.* has an output of shape \(3,\) that is of no"
    ):
        Model(inputs, Own()(inputs)).predict(np.ones((2, 3)), verbose=0)
    with pytest.raises(
        ValueError, match=r"^Own 'own.* has an output of shape \(3,\) that is of no"
    ):
        Own()(np.ones((2, 3)))
