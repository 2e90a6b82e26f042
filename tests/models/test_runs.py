"""Arrays and streams go through one loop: callbacks, results and stops are the same."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import hotloop
from hotloop.callbacks import Callback
from hotloop.layers import BatchNormalization, Dense, Dropout

SIZE, BATCHES = 8, 5
rng = np.random.default_rng(0)
x = rng.normal(size=(SIZE * BATCHES - 3, 4)).astype("f4")  # the last batch is smaller
y = (x[:, :1] + x[:, 1:2] > 0).astype("f4")
weight = rng.uniform(0.5, 2.0, len(x))


class Batches:
    """The same batches as `batch_size=SIZE` makes of the arrays."""

    def __init__(self, *arrays: np.ndarray) -> None:
        self.arrays = arrays

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        for start in range(0, len(x), SIZE):
            yield tuple(array[start : start + SIZE] for array in self.arrays)


def new_model(metrics: Any = ("accuracy",)) -> hotloop.Sequential:
    hotloop.utils.set_random_seed(3)
    parts = [Dense(6, "tanh", input_dim=4), BatchNormalization(), Dropout(0.2), Dense(1, "sigmoid")]
    model = hotloop.Sequential(parts)
    model.compile("adam", "binary_crossentropy", metrics=list(metrics), weighted_metrics=["mse"])
    return model


class Watched(Callback):
    """Writes down every hook that is called, and ends the run in a batch."""

    def __init__(self, ends: tuple[str, str, int] | None = None) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.ends = ends

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_") or name in ("on_batch_begin", "on_batch_end"):
            return super().__getattribute__(name)

        def note(*arguments: Any) -> None:
            self.seen.append((name, *arguments))
            if self.ends is not None and (name, arguments[0]) == self.ends[1:]:
                setattr(self.model, self.ends[0], True)

        return note

    def overrides(self, *hooks: str) -> bool:
        return True


METRICS = {
    "in the plan": ["accuracy"],
    "in Python": ["accuracy", lambda: hotloop.metrics.AUC(name="auc")],
}


@pytest.mark.parametrize("metrics", METRICS)
@pytest.mark.parametrize("ends", [None, ("stop_training", "on_train_batch_end", 2)])
def test_fit_of_arrays_and_of_batches(metrics, ends, backend):
    found = []
    for given, options in (
        ((x, y, SIZE), {"sample_weight": weight, "shuffle": False}),
        ((Batches(x, y, weight),), {}),
    ):
        model = new_model([m() if callable(m) else m for m in METRICS[metrics]])
        watched = Watched(ends)
        history = model.fit(
            *given, epochs=3, verbose=0, callbacks=[watched], **options,
            validation_data=(x, y) if options else Batches(x, y),
            **({"validation_batch_size": SIZE} if options else {}),
        )  # fmt: skip
        found.append((watched.seen, history.history, model.get_weights()))
    (seen, history, weights), (seen_2, history_2, weights_2) = found
    assert [entry[:-1] for entry in seen] == [entry[:-1] for entry in seen_2]
    for one, two in zip(seen, seen_2, strict=True):
        assert one[-1] == pytest.approx(two[-1], rel=1e-6), one[:-1]
    assert history.keys() == history_2.keys()
    for name in history:
        np.testing.assert_allclose(history[name], history_2[name], rtol=1e-6)
    for one, two in zip(weights, weights_2, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("ends", [None, ("stop_evaluating", "on_test_batch_end", 1)])
def test_evaluate_of_arrays_and_of_batches(ends, backend):
    model = new_model(["accuracy", hotloop.metrics.AUC()])
    found = []
    for arguments in ((x, y, SIZE), (Batches(x, y),)):
        watched = Watched(ends)
        found.append((model.evaluate(*arguments, verbose=0, callbacks=[watched]), watched.seen))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)
    assert [e[:-1] for e in found[0][1]] == [e[:-1] for e in found[1][1]]
    assert len(found[0][1]) == 2 + 2 * (BATCHES if ends is None else 2)


@pytest.mark.parametrize("ends", [None, ("stop_predicting", "on_predict_batch_end", 1)])
def test_predict_of_arrays_and_of_batches(ends, backend):
    model = new_model()
    found = []
    for arguments in ((x, SIZE), (Batches(x),)):
        watched = Watched(ends)
        found.append((model.predict(*arguments, verbose=0, callbacks=[watched]), watched.seen))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert len(found[0][0]) == (len(x) if ends is None else 2 * SIZE)
    for one, two in zip(found[0][1], found[1][1], strict=True):
        assert one[:-1] == two[:-1]
        assert one[-1].keys() == two[-1].keys()
        for name in one[-1]:
            np.testing.assert_array_equal(one[-1][name], two[-1][name])


def test_a_loss_that_is_nan_in_arrays_and_in_batches(backend):
    bad = x.copy()
    bad[2 * SIZE + 1, 3] = np.nan
    found = []
    for arguments, options in (((bad, y, SIZE), {"shuffle": False}), ((Batches(bad, y),), {})):
        model, watched = new_model(), Watched()
        with pytest.raises(hotloop.NonFiniteError) as caught:
            model.fit(*arguments, verbose=0, callbacks=[watched], **options)
        found.append((watched.seen, caught.value.logs, model.get_weights()))
        assert "epoch 1, batch 3: " in str(caught.value)
    assert [e[:-1] for e in found[0][0]] == [e[:-1] for e in found[1][0]]
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-6, nan_ok=True)
    for one, two in zip(found[0][2], found[1][2], strict=True):
        np.testing.assert_array_equal(one, two)


# ------------------------------------------------------------------------- warnings


def places(call: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        call()
    return [warning.filename for warning in told]


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.fit(x, y, SIZE, steps_per_epoch=3, epochs=2, verbose=0),
        lambda model: model.fit(Batches(x, y), steps_per_epoch=9, verbose=0),
        lambda model: model.fit(iter(Batches(x, y)), epochs=2, verbose=0),
        lambda model: model.evaluate(Batches(x, y), steps=9, verbose=0),
        lambda model: model.predict(Batches(x), steps=9, verbose=0),
        lambda model: model.fit(x, y, verbose=0, validation_data=Batches(x, y), validation_steps=9),
    ],
)
def test_a_warning_points_at_the_call(call):
    model = new_model()
    assert places(lambda: call(model)) == [__file__]
