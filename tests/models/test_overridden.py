"""Methods of a user's class that Keras would call are refused, not ignored."""

import numpy as np
import pytest

import hotloop
from hotloop import layers

X, Y = np.ones((4, 3), "f4"), np.ones((4, 1), "f4")
TRAINS = [lambda m: m.fit(X, Y, verbose=0), lambda m: m.train_on_batch(X, Y)]
TESTS = [lambda m: m.evaluate(X, Y, verbose=0), lambda m: m.test_on_batch(X, Y)]
PREDICTS = [lambda m: m.predict(X, verbose=0), lambda m: m.predict_on_batch(X)]
USES = {
    "train_step": TRAINS,
    "make_train_function": TRAINS,
    "test_step": [*TESTS, lambda m: m.fit(X, Y, validation_data=(X, Y), verbose=0)],
    "predict_step": PREDICTS,
    "compute_loss": TRAINS + TESTS,
    "compute_metrics": TRAINS + TESTS,
    "metrics": TRAINS + TESTS,
}


@pytest.mark.parametrize("name", USES)
def test_what_would_be_ignored_is_refused(name):
    body = property(lambda self: []) if name == "metrics" else lambda self, *given: None
    kind = type("Own", (hotloop.Sequential,), {name: body})
    model = type("Derived", (kind,), {})([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    for use in USES[name]:
        with pytest.raises(NotImplementedError, match=rf"Own\.{name} is never called"):
            use(model)
