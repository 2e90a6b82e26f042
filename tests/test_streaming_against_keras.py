"""The same batches, one at a time, in Keras and in hotloop: logs, weights and predictions agree."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import hotloop

keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

ROWS, FEATURES, CLASSES, SIZE = 37, 5, 3, 8
STEPS = 5  # the last batch of each pass has 5 rows


def parts(arrays, times):
    for _ in range(times):
        for start in range(0, ROWS, SIZE):
            yield tuple(array[start : start + SIZE] for array in arrays)


class Numbered(keras.utils.PyDataset):
    """A data set of Keras's own, in which hotloop sees what it needs."""

    def __init__(self, arrays, calls=None):
        super().__init__()
        self.arrays = arrays
        self.calls = [] if calls is None else calls

    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        return tuple(a[index * SIZE : (index + 1) * SIZE] for a in self.arrays)

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


class Endless(keras.utils.PyDataset):
    """One without an end."""

    def __init__(self, arrays):
        super().__init__()
        self.arrays = arrays

    @property
    def num_batches(self):
        return None

    def __getitem__(self, index):
        start = index % STEPS * SIZE
        return tuple(a[start : start + SIZE] for a in self.arrays)


def loader(arrays, times):
    data = torch.utils.data.TensorDataset(*map(torch.from_numpy, arrays))
    return torch.utils.data.DataLoader(data, batch_size=SIZE)


# In Keras, too, each of them gives the same batches epoch after epoch.
SOURCES = {
    "generator": (parts, {"steps_per_epoch": STEPS}),
    "generator, fewer steps": (parts, {"steps_per_epoch": 3}),
    "data set": (lambda arrays, times: Numbered(arrays), {}),
    "data set, fewer steps": (lambda arrays, times: Numbered(arrays), {"steps_per_epoch": 2}),
    "data set without end": (lambda arrays, times: Endless(arrays), {"steps_per_epoch": 4}),
    "DataLoader": (loader, {}),
    "DataLoader, fewer steps": (loader, {"steps_per_epoch": 3}),
    "DataLoader, too many steps": (loader, {"steps_per_epoch": 7}),
}


def pair(rng, **options):
    weights, found = None, []
    for k in (hotloop, keras):
        model = k.Sequential(
            [
                k.layers.Input((FEATURES,)),
                k.layers.Dense(7, "tanh"),
                k.layers.Dense(CLASSES, "softmax"),
            ]
        )
        weights = weights or [rng.normal(0, 0.4, w.shape) for w in model.get_weights()]
        model.set_weights(weights)
        model.compile("adam", "sparse_categorical_crossentropy", **options)
        found.append(model)
    return found


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def arrays(rng):
    x = rng.normal(size=(ROWS, FEATURES)).astype("float32")
    return x, rng.integers(0, CLASSES, ROWS), rng.uniform(0.1, 3, ROWS).astype("float32")


def same_logs(ours, theirs):
    assert list(ours) == list(theirs)
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], 1e-4, 1e-4, err_msg=name)


def same_weights(ours, theirs):
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-4)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_is_that_of_keras(source, weighted, rng, arrays):
    make, options = source
    given = arrays if weighted else arrays[:2]
    models = pair(rng, metrics=["accuracy"], weighted_metrics=["accuracy"] if weighted else None)
    histories = [
        model.fit(make(given, 3), epochs=3, shuffle=False, verbose=0, **options) for model in models
    ]
    assert histories[0].epoch == histories[1].epoch
    same_logs(histories[0].history, histories[1].history)
    same_weights(*models)
    assert models[0].optimizer.iterations == int(models[1].optimizer.iterations)


@pytest.mark.parametrize(
    "make", [lambda given: Numbered(given), lambda given: loader(given, 1)], ids=["own", "torch"]
)
@pytest.mark.parametrize("steps", [None, 3])
def test_validation_is_that_of_keras(make, steps, rng, arrays):
    models = pair(rng, metrics=["accuracy"])
    x, y, _ = arrays
    histories = [
        model.fit(
            x, y, SIZE, 3, shuffle=False, verbose=0,
            validation_data=make(arrays), validation_steps=steps,
        )
        for model in models
    ]  # fmt: skip
    same_logs(histories[0].history, histories[1].history)


@pytest.mark.parametrize("steps", [None, 2])
def test_evaluate_and_predict_are_those_of_keras(steps, rng, arrays):
    models = pair(rng, metrics=["accuracy"])
    for make in (lambda given: parts(given, 1), Numbered, lambda given: loader(given, 1)):
        logs = [
            model.evaluate(make(arrays), steps=steps, return_dict=True, verbose=0)
            for model in models
        ]
        same_logs(*logs)
        found = [model.predict(make(arrays), steps=steps, verbose=0) for model in models]
        assert len(found[0]) == (ROWS if steps is None else steps * SIZE)
        np.testing.assert_allclose(*found, 1e-5, 1e-5)


def test_class_weights_are_those_of_keras(rng, arrays):
    models = pair(rng, weighted_metrics=["accuracy"])
    options = {"epochs": 2, "class_weight": {0: 2.0, 2: 0.5}, "shuffle": False, "verbose": 0}
    histories = [model.fit(Numbered(arrays[:2]), **options).history for model in models]
    same_logs(*histories)
    same_weights(*models)


def test_a_data_set_hears_of_epochs_as_in_keras(rng, arrays):
    calls = []
    for model in pair(rng):
        calls.append([])
        data = Numbered(arrays, calls[-1])
        model.fit(data, epochs=2, verbose=0)
    assert calls[0] == ["begin", "end"] * 2
    # Keras also looks at one batch first, to build the model, and counts that as an epoch.
    assert calls[1][2:] == calls[0]


def test_an_endless_generator(rng, arrays):
    options = {"epochs": 2, "steps_per_epoch": 4, "verbose": 0}
    models = pair(rng)
    histories = [
        model.fit((batch for batch in itertools.cycle([arrays])), **options).history
        for model in models
    ]
    same_logs(*histories)
    same_weights(*models)
