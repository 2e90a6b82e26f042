"""Models that say themselves what a training step is: Keras's guide, step for step beside Keras."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch

import hotloop
from hotloop import layers, losses, metrics
from hotloop.graph import ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(22, 4)).astype(np.float32)
Y = RNG.normal(size=(22, 1)).astype(np.float32)
W = RNG.uniform(0.5, 2.0, 22).astype(np.float32)


class Tape(hotloop.Model):
    """As the guide writes it for TensorFlow."""

    def train_step(self, data):
        x, y, *weight = data
        with hotloop.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=next(iter(weight), None))
        trainable_vars = self.trainable_variables
        gradients = tape.gradient(loss, trainable_vars)
        self.optimizer.apply_gradients(zip(gradients, trainable_vars, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


class OfTorch(keras.Model):
    """The same as the guide writes it for PyTorch."""

    def train_step(self, data):
        x, y, *weight = data
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred, sample_weight=next(iter(weight), None))
        loss.backward()
        trainable_weights = list(self.trainable_weights)
        gradients = [v.value.grad for v in trainable_weights]
        with torch.no_grad():
            self.optimizer.apply(gradients, trainable_weights)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


def network(of, kind):
    inputs = of.Input((4,))
    hidden = of.layers.Dense(6, "tanh")(inputs)
    return kind(inputs, of.layers.Dense(1)(hidden))


def pair(kind, kind_of_keras):
    """One of ours and one of Keras's with the same weights."""
    ours, theirs = network(hotloop, kind), network(keras, kind_of_keras)
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def same(ours, theirs):
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_guide_s_step_trains_as_in_keras(backend, weighted):
    ours, theirs = pair(Tape, OfTorch)
    histories = []
    for model in (ours, theirs):
        model.compile(optimizer="adam", loss="mse", metrics=["mae"])
        options = {"sample_weight": W} if weighted else {}
        history = model.fit(X, Y, 8, epochs=3, shuffle=False, verbose=0, **options)
        histories.append(history.history)
    assert set(histories[0]) == {"loss", "mae"}
    for name in ("loss", "mae"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], 1e-4)
    same(ours, theirs)
    assert ours.optimizer.iterations == 9
    np.testing.assert_allclose(
        ours.evaluate(X, Y, verbose=0), theirs.evaluate(X, Y, verbose=0), 1e-4
    )


def test_metrics_of_ones_own_are_reset_for_each_epoch(backend):
    def model_of(of, base, step):
        class Own(base):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.loss_tracker = of.metrics.Mean(name="loss")
                self.mae_metric = of.metrics.MeanAbsoluteError(name="mae")
                self.loss_fn = of.losses.MeanSquaredError()

            @property
            def metrics(self):
                return [self.loss_tracker, self.mae_metric]

            def test_step(self, data):
                x, y = data
                y_pred = self(x, training=False)
                self.loss_tracker.update_state(self.loss_fn(y, y_pred))
                self.mae_metric.update_state(y, y_pred)
                return {m.name: m.result() for m in self.metrics}

            train_step = step

        return Own

    def ours_step(self, data):
        x, y = data
        with hotloop.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.loss_fn(y, y_pred)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply(gradients, self.trainable_weights)
        self.loss_tracker.update_state(loss)
        self.mae_metric.update_state(y, y_pred)
        return {"loss": self.loss_tracker.result(), "mae": self.mae_metric.result()}

    def torch_step(self, data):
        x, y = data
        self.zero_grad()
        y_pred = self(x, training=True)
        loss = self.loss_fn(y, y_pred)
        loss.backward()
        with torch.no_grad():
            weights = list(self.trainable_weights)
            self.optimizer.apply([v.value.grad for v in weights], weights)
        self.loss_tracker.update_state(loss)
        self.mae_metric.update_state(y, y_pred)
        return {"loss": self.loss_tracker.result(), "mae": self.mae_metric.result()}

    ours, theirs = pair(
        model_of(hotloop, hotloop.Model, ours_step), model_of(keras, keras.Model, torch_step)
    )
    histories = []
    for model in (ours, theirs):
        model.compile(optimizer="sgd")
        history = model.fit(
            X, Y, 8, epochs=3, shuffle=False, verbose=0, validation_data=(X[:9], Y[:9])
        )
        histories.append(history.history)
    for name in ("loss", "mae", "val_loss", "val_mae"):
        np.testing.assert_allclose(histories[0][name], histories[1][name], 1e-4)
    same(ours, theirs)
    assert ours.evaluate(X, Y, verbose=0, return_dict=True).keys() == {"loss", "mae"}


def test_compute_loss_and_compute_metrics_alone(backend):
    def model_of(base):
        class Own(base):
            def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
                loss = super().compute_loss(x, y, y_pred, sample_weight)
                return loss * 3.0

            def compute_metrics(self, x, y, y_pred, sample_weight=None):
                found = super().compute_metrics(x, y, y_pred, sample_weight)
                return found | {"twice": 2.0}

        return Own

    ours, theirs = pair(model_of(hotloop.Model), model_of(keras.Model))
    histories = []
    for model in (ours, theirs):
        model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
        history = model.fit(
            X, Y, 8, epochs=2, shuffle=False, verbose=0, validation_data=(X, Y), class_weight=None
        )
        histories.append(history.history)
    assert set(histories[0]) == set(histories[1])
    for name, values in histories[1].items():
        np.testing.assert_allclose(histories[0][name], values, 1e-4, err_msg=name)
    same(ours, theirs)


def test_a_predict_step_of_ones_own(backend):
    class Own(hotloop.Model):
        def predict_step(self, data):
            y = self(data, training=False)
            return {"y": y, "half": y * 0.5}

    model = network(hotloop, Own)
    found = model.predict(X, batch_size=8, verbose=0)
    np.testing.assert_allclose(found["half"], found["y"] / 2)
    assert found["y"].shape == (22, 1)
    np.testing.assert_allclose(found["y"], model(X), 1e-5, 1e-6)
    np.testing.assert_allclose(model.predict_on_batch(X)["half"], found["half"], 1e-5, 1e-6)
    batches = (X[i : i + 4] for i in range(0, 20, 4))
    assert model.predict(batches, verbose=0)["y"].shape == (20, 1)


def test_a_model_without_own_steps_runs_as_before():
    model = network(hotloop, hotloop.Model)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    assert [metric.name for metric in model.metrics] == ["mae"]
    assert model.own_steps == {}


def test_single_batches_callbacks_streams_and_bars(backend, capsys):
    seen = []

    class Watch(hotloop.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, float(logs["loss"])))
            if batch == 1:
                self.model.stop_training = True

    model = network(hotloop, Tape)
    model.compile("adam", "mse", metrics=["mae"])
    history = model.fit(X, Y, 8, callbacks=[Watch()], epochs=2, verbose=2)
    assert [batch for batch, _ in seen] == [0, 1]
    assert "loss" in capsys.readouterr().out
    assert history.history["loss"] == [seen[-1][1]]
    loss, mae = model.train_on_batch(X, Y)
    assert model.train_on_batch(X, Y, return_dict=True)["loss"] < loss
    assert mae > 0
    batches = [(X[i : i + 8], Y[i : i + 8]) for i in (0, 8, 14)]
    assert len(model.fit(iter(batches), verbose=0, epochs=1).history["loss"]) == 1
    model.fit(X, Y, validation_split=0.25, verbose=0)


def test_what_pytorch_does_is_told_what_to_write():
    class Own(hotloop.Model):
        def train_step(self, data):
            self.zero_grad()

    class Backward(hotloop.Model):
        def train_step(self, data):
            x, y = data
            self.compute_loss(y=y, y_pred=self(x, training=True)).backward()

    for kind, message in ((Own, "with hotloop.GradientTape"), (Backward, "tape.gradient")):
        model = network(hotloop, kind)
        model.compile("sgd", "mse")
        with pytest.raises(NotImplementedError, match=message):
            model.fit(X, Y, verbose=0)


def test_a_mistake_in_a_step_is_raised_and_the_next_fit_works():
    class Own(Tape):
        broken = True

        def train_step(self, data):
            found = super().train_step(data)
            if self.broken:
                raise KeyError("mine")
            return found

    model = network(hotloop, Own)
    model.compile("sgd", "mse")
    with pytest.raises(KeyError, match="mine"):
        model.fit(X, Y, verbose=0)
    model.broken = False
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


def test_regularizers_count_in_the_loss(backend):
    def build(of, kind):
        inputs = of.Input((4,))
        hidden = of.layers.Dense(3, "tanh", bias_regularizer="l2", bias_initializer="ones")(inputs)
        return kind(
            inputs, of.layers.Dense(1, bias_regularizer=of.regularizers.L1L2(0.1, 0.2))(hidden)
        )

    ours, theirs = build(hotloop, Tape), build(keras, OfTorch)
    theirs.set_weights(ours.get_weights())
    for model in (ours, theirs):
        model.compile("sgd", "mse")
    a, b = (m.fit(X, Y, 8, 2, shuffle=False, verbose=0).history["loss"] for m in (ours, theirs))
    np.testing.assert_allclose(a, b, 1e-4)
    same(ours, theirs)


def test_two_models_and_two_optimizers_as_in_a_gan(backend):
    """The discriminator sees made and real examples, twice as many, then the generator trains."""
    hotloop.utils.set_random_seed(5)
    noise = RNG.normal(size=(16, 3)).astype(np.float32)

    def parts(of):
        generator = of.Sequential([of.Input((3,)), of.layers.Dense(4, "tanh"), of.layers.Dense(4)])
        discriminator = of.Sequential(
            [of.Input((4,)), of.layers.Dense(5, "tanh"), of.layers.Dense(1)]
        )
        return generator, discriminator

    class Gan(hotloop.Model):
        def __init__(self, generator, discriminator):
            super().__init__()
            self.generator, self.discriminator = generator, discriminator
            self.d_loss = metrics.Mean(name="d_loss")
            self.g_loss = metrics.Mean(name="g_loss")

        def compile(self, d_optimizer, g_optimizer, loss_fn):
            super().compile()
            self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

        @property
        def metrics(self):
            return [self.d_loss, self.g_loss]

        def train_step(self, data):
            real, noise = data
            n = real.shape[0]
            labels = np.concatenate([np.ones((n, 1)), np.zeros((n, 1))]).astype("f4")
            made = self.generator(noise)
            both = ops.concatenate(made, real, 0)
            with hotloop.GradientTape() as tape:
                d_loss = self.loss_fn(labels, self.discriminator(both))
            weights = self.discriminator.trainable_weights
            self.d_optimizer.apply_gradients(
                zip(tape.gradient(d_loss, weights), weights, strict=True)
            )
            with hotloop.GradientTape() as tape:
                predictions = self.discriminator(self.generator(noise))
                g_loss = self.loss_fn(np.zeros((n, 1), "f4"), predictions)
            weights = self.generator.trainable_weights
            self.g_optimizer.apply_gradients(
                zip(tape.gradient(g_loss, weights), weights, strict=True)
            )
            self.d_loss.update_state(d_loss)
            self.g_loss.update_state(g_loss)
            return {"d_loss": self.d_loss.result(), "g_loss": self.g_loss.result()}

    generator, discriminator = parts(hotloop)
    model = Gan(generator, discriminator)
    model.compile(
        hotloop.optimizers.Adam(0.01),
        hotloop.optimizers.SGD(0.1),
        losses.BinaryCrossentropy(from_logits=True),
    )
    g, d = parts(keras)
    g.set_weights(generator.get_weights())
    d.set_weights(discriminator.get_weights())
    d_optimizer, g_optimizer = keras.optimizers.Adam(0.01), keras.optimizers.SGD(0.1)
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
    expected = []

    def step(optimizer, loss, weights):
        gradients = torch.autograd.grad(loss, [v.value for v in weights])
        with torch.no_grad():
            optimizer.apply(gradients, weights)
        return float(loss.detach())

    for start in (0, 8):
        real, z = torch.tensor(X[start : start + 8]), torch.tensor(noise[start : start + 8])
        labels = torch.cat([torch.ones(8, 1), torch.zeros(8, 1)])
        both = torch.cat([g(z).detach(), real])
        d_loss = step(d_optimizer, loss_fn(labels, d(both)), d.trainable_weights)
        g_loss = step(g_optimizer, loss_fn(torch.zeros(8, 1), d(g(z))), g.trainable_weights)
        expected.append((d_loss, g_loss))
    history = model.fit((X[:16], noise), batch_size=8, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["d_loss"], np.mean([a for a, _ in expected]), 1e-4)
    np.testing.assert_allclose(history["g_loss"], np.mean([b for _, b in expected]), 1e-4)
    for ours, theirs in ((generator, g), (discriminator, d)):
        same(ours, theirs)


def test_layers_that_train_otherwise_do_so(backend):
    """Dropout and batch statistics go by training=."""

    class Own(hotloop.Sequential):
        def train_step(self, data):
            x = data[0]
            still = self(x)
            moving = self(x, training=True)
            return {"still": losses.MeanSquaredError()(still, moving), "loss": 1.0}

    model = Own([layers.Input((4,)), layers.Dropout(0.5)])
    model.compile()
    assert model.fit(X, Y, verbose=0).history["still"][0] > 0.01
    assert isinstance(model.layers[0], layers.Dropout)


def test_a_profile_shows_python_s_share_and_changes_nothing(backend):
    model = network(hotloop, Tape)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    before = [v.numpy() for v in (*model.weights, *model.optimizer.variables)]
    results = model.get_metrics_result()
    profile = model.profile(X, Y, batch_size=8, steps=3)
    assert (profile.rows[0].op, profile.rows[0].layer) == ("python", "train_step")
    assert profile.rows[0].time_us > 0
    assert {"mean_squared_error", "input_gradient"} <= {row.op for row in profile.rows}
    assert sum(row.share for row in profile.rows) == pytest.approx(1)
    assert "train_step" in str(profile)
    after = [v.numpy() for v in (*model.weights, *model.optimizer.variables)]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.get_metrics_result() == results
    assert model.optimizer.iterations == 1
    fresh = network(hotloop, Tape)
    fresh.compile("adam", "mse")
    fresh.profile(X, Y, batch_size=8, steps=2)
    assert fresh.optimizer.iterations == 0
    assert not any(v.numpy().any() for v in fresh.optimizer.variables)


def test_loss_and_gradients_are_those_of_the_own_loss(backend):
    class Twice(hotloop.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return 2.0 * super().compute_loss(x, y, y_pred, sample_weight)

    own = network(hotloop, Twice)
    plain = network(hotloop, hotloop.Model)
    plain.set_weights(own.get_weights())
    for model in (own, plain):
        model.compile("sgd", "mse")
    loss, gradients = own.loss_and_gradients(X, Y, sample_weight=W)
    expected, slopes = plain.loss_and_gradients(X, Y, sample_weight=W)
    assert loss == pytest.approx(2 * expected, rel=1e-5)
    for a, b in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(a, 2 * b, 1e-4, 1e-6)
