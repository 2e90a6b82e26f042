"""Averages in place of weights, beside Keras's callback."""

import numpy as np
import pytest

import hotloop

keras = pytest.importorskip("keras")

X = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
Y = X @ np.ones((3, 1), "float32")


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_it_evaluates_what_keras_does(swap_on_epoch):
    seen = []
    for k in (hotloop, keras):
        model = k.Sequential([k.layers.Input((3,)), k.layers.Dense(1)])
        model.set_weights([np.zeros((3, 1)), np.zeros(1)])
        model.compile(k.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8), "mse")
        weights = []
        look = k.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs, m=model, w=weights: w.append(m.get_weights()[0])
        )
        swap = k.callbacks.SwapEMAWeights(swap_on_epoch)
        fit = model.fit(
            X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0, validation_data=(X, Y),
            callbacks=[swap, look],
        )  # fmt: skip
        score = model.evaluate(X, Y, verbose=0, callbacks=[k.callbacks.SwapEMAWeights()])
        seen.append((fit.history, weights, model.get_weights(), score))
    ours, theirs = seen
    for name, values in theirs[0].items():
        np.testing.assert_allclose(ours[0][name], values, 1e-4, err_msg=name)
    np.testing.assert_allclose(ours[1], theirs[1], 1e-4)
    for one, other in zip(ours[2], theirs[2], strict=True):
        np.testing.assert_allclose(one, other, 1e-4)
    assert ours[3] == pytest.approx(theirs[3], 1e-3)


def test_it_needs_averages():
    model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=3)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="use_ema=True"):
        model.evaluate(X, Y, callbacks=[hotloop.callbacks.SwapEMAWeights()], verbose=0)
