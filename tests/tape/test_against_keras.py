"""Programs of one's own, step for step beside Keras with PyTorch's gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch

import hotloop
from hotloop import ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 16)
NOISE = RNG.normal(size=(16, 2)).astype(np.float32)


def network(of, *units, activation="tanh"):
    """Dense layers from the first number on."""
    hidden = [of.layers.Dense(n, activation) for n in units[1:-1]]
    return of.Sequential([of.Input((units[0],)), *hidden, of.layers.Dense(units[-1])])


def twins(*units, **options):
    ours, theirs = network(hotloop, *units, **options), network(keras, *units, **options)
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def step_of_torch(optimizer, loss, weights):
    """A step of Keras's, whose loss is returned."""
    gradients = torch.autograd.grad(loss, [v.value for v in weights])
    with torch.no_grad():
        optimizer.apply(gradients, weights)
    return float(loss.detach())


def check(ours, theirs, losses, expected, rtol=1e-4):
    np.testing.assert_allclose(losses, expected, rtol)
    for a, b in zip(ours, theirs, strict=True):
        for v, w in zip(a.get_weights(), b.get_weights(), strict=True):
            np.testing.assert_allclose(v, w, 1e-3, 1e-5)


def test_a_variational_autoencoder(backend):
    encoder, e = twins(4, 6, 4)
    decoder, d = twins(2, 6, 4)

    class VAE(hotloop.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = encoder, decoder
            self.tracker = hotloop.metrics.Mean(name="loss")

        @property
        def metrics(self):
            return [self.tracker]

        def train_step(self, data):
            x, noise = data
            with hotloop.GradientTape() as tape:
                moments = self.encoder(x)
                mean, log_var = moments[:, :2], moments[:, 2:]
                z = mean + ops.exp(0.5 * log_var) * noise
                rebuilt = self.decoder(z)
                mse = ops.mean(ops.sum(ops.square(x - rebuilt), axis=1))
                kl = -0.5 * (1 + log_var - ops.square(mean) - ops.exp(log_var))
                loss = mse + ops.mean(ops.sum(kl, axis=1))
            gradients = tape.gradient(loss, self.trainable_weights)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
            self.tracker.update_state(loss)
            return {"loss": self.tracker.result()}

    model = VAE()
    model.compile("adam")
    optimizer = keras.optimizers.Adam()
    expected = []
    for _ in range(3):
        of_epoch = []
        for start in (0, 8):
            x, noise = (torch.tensor(a[start : start + 8]) for a in (X, NOISE))
            moments = e(x)
            mean, log_var = moments[:, :2], moments[:, 2:]
            rebuilt = d(mean + torch.exp(0.5 * log_var) * noise)
            kl = -0.5 * (1 + log_var - mean**2 - torch.exp(log_var))
            loss = ((x - rebuilt) ** 2).sum(1).mean() + kl.sum(1).mean()
            weights = e.trainable_weights + d.trainable_weights
            of_epoch.append(step_of_torch(optimizer, loss, weights))
        expected.append(np.mean(of_epoch))
    history = model.fit((X, NOISE), batch_size=8, epochs=3, shuffle=False, verbose=0)
    check((encoder, decoder), (e, d), history.history["loss"], expected)


def test_distillation_by_compute_loss(backend):
    teacher, t = twins(4, 6, 3)
    student, s = twins(4, 3)

    class Distiller(hotloop.Model):
        def __init__(self):
            super().__init__()
            self.teacher, self.student = teacher, student
            teacher.trainable = False

        def call(self, x):
            return self.student(x)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            soft = ops.softmax(self.teacher(x, training=False) / 3.0, axis=1)
            student = super().compute_loss(x, y, y_pred, sample_weight)
            apart = hotloop.losses.KLDivergence()(soft, ops.softmax(y_pred / 3.0, axis=1))
            return 0.1 * student + 0.9 * apart

    model = Distiller()
    model.compile("sgd", hotloop.losses.SparseCategoricalCrossentropy(from_logits=True))
    optimizer = keras.optimizers.SGD()
    of_labels = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = []
    for start in (0, 8):
        x = torch.tensor(X[start : start + 8])
        soft = torch.softmax(t(x) / 3.0, 1).detach()
        loss = 0.1 * of_labels(Y[start : start + 8], s(x))
        loss = loss + 0.9 * keras.losses.KLDivergence()(soft, torch.softmax(s(x) / 3.0, 1))
        expected.append(step_of_torch(optimizer, loss, s.trainable_weights))
    history = model.fit(X, Y, 8, shuffle=False, verbose=0).history
    check((teacher, student), (t, s), history["loss"], [np.mean(expected)])


def test_a_siamese_net_with_a_contrastive_loss(backend):
    """Each example of one half belongs to that of the other: all others of the batch do not."""
    tower, t = twins(4, 6, 3)
    optimizer, of_keras = hotloop.optimizers.Adam(0.01), keras.optimizers.Adam(0.01)
    found, expected = [], []
    for step in range(3):
        with hotloop.GradientTape() as tape:
            one = ops.normalize(tower(X + 0.1 * step))
            two = ops.normalize(tower(X * 0.9))
            scores = ops.matmul(one, ops.transpose(two)) / 0.5
            logs = ops.log_softmax(scores, axis=-1)
            loss = -ops.mean(ops.sum(logs * ops.eye(16), axis=1))
        gradients = tape.gradient(loss, tower.trainable_weights)
        optimizer.apply(gradients, tower.trainable_weights)
        found.append(float(loss))
        a, b = (
            torch.nn.functional.normalize(t(torch.tensor(x)), dim=-1)
            for x in (X + np.float32(0.1 * step), X * np.float32(0.9))
        )
        logs = torch.log_softmax(a @ b.T / 0.5, -1)
        expected.append(step_of_torch(of_keras, -logs.diagonal().mean(), t.trainable_weights))
    check((tower,), (t,), found, expected)


def test_a_physics_informed_net(backend):
    """u'' = -u: second derivatives of the output by the input stand in the loss."""
    net, n = twins(1, 8, 8, 1)
    optimizer, of_keras = hotloop.optimizers.Adam(0.01), keras.optimizers.Adam(0.01)
    points = np.linspace(0.0, 3.0, 12, dtype=np.float32).reshape(-1, 1)
    found, expected = [], []
    for _ in range(3):
        with hotloop.GradientTape() as tape:
            with hotloop.GradientTape() as outer:
                x = outer.watch(points)
                with hotloop.GradientTape() as inner:
                    inner.watch(x)
                    u = net(x)
                first = inner.gradient(u, x)
            second = outer.gradient(first, x)
            start = net(np.zeros((1, 1), np.float32))
            loss = ops.mean(ops.square(second + u)) + ops.sum(ops.square(start - 1.0))
        optimizer.apply(tape.gradient(loss, net.trainable_weights), net.trainable_weights)
        found.append(float(loss))
        x = torch.tensor(points, requires_grad=True)
        u = n(x)
        (first,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
        loss = ((second + u) ** 2).mean() + ((n(torch.zeros(1, 1)) - 1.0) ** 2).sum()
        expected.append(step_of_torch(of_keras, loss, n.trainable_weights))
    check((net,), (n,), found, expected)


def test_a_step_of_meta_learning(backend):
    """The loss on some examples after a step on others, differentiated through that step."""
    w = hotloop.Variable(RNG.normal(size=(4, 3)).astype(np.float32), "w")
    b = hotloop.Variable(np.zeros(3, np.float32), "b")
    tw, tb = (torch.tensor(v.numpy(), requires_grad=True) for v in (w, b))
    targets = RNG.normal(size=(16, 3)).astype(np.float32)

    def loss_of(x, y, w, b):
        return ops.mean(ops.square(ops.tanh(ops.matmul(x, w) + b) - y))

    for _ in range(2):
        with hotloop.GradientTape() as outer:
            with hotloop.GradientTape() as inner:
                before = loss_of(X[:10], targets[:10], w, b)
            slopes = inner.gradient(before, [w, b])
            after = loss_of(X[10:], targets[10:], w - 0.5 * slopes[0], b - 0.5 * slopes[1])
        found = outer.gradient(after, [w, b])

        def of_torch(x, y, w, b):
            return ((torch.tanh(torch.tensor(x) @ w + b) - torch.tensor(y)) ** 2).mean()

        first = torch.autograd.grad(
            of_torch(X[:10], targets[:10], tw, tb), [tw, tb], create_graph=True
        )
        later = of_torch(X[10:], targets[10:], tw - 0.5 * first[0], tb - 0.5 * first[1])
        expected = torch.autograd.grad(later, [tw, tb])
        assert float(after) == pytest.approx(later.item(), rel=1e-5)
        for a, e in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, e, 1e-4, 1e-6)


def test_a_gradient_penalty(backend):
    """The critic's gradient by its input is to have a length of 1."""
    critic, c = twins(4, 6, 1)
    optimizer, of_keras = hotloop.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)
    found, expected = [], []
    for _ in range(2):
        with hotloop.GradientTape() as tape:
            with hotloop.GradientTape() as inner:
                x = inner.watch(X)
                score = critic(x, training=True)
            slope = inner.gradient(score, [x])[0]
            norm = ops.sqrt(ops.sum(ops.square(slope), axis=1))
            loss = ops.mean((norm - 1.0) ** 2) - ops.mean(score)
        optimizer.apply(tape.gradient(loss, critic.trainable_weights), critic.trainable_weights)
        found.append(float(loss))
        x = torch.tensor(X, requires_grad=True)
        score = c(x)
        (slope,) = torch.autograd.grad(score.sum(), x, create_graph=True)
        loss = ((slope.square().sum(1).sqrt() - 1.0) ** 2).mean() - score.mean()
        gradients = torch.autograd.grad(
            loss, [v.value for v in c.trainable_weights], allow_unused=True
        )
        with torch.no_grad():
            pairs = zip(gradients, c.trainable_weights, strict=True)
            of_keras.apply(
                [torch.zeros_like(v.value) if g is None else g for g, v in pairs],
                c.trainable_weights,
            )
        expected.append(loss.item())
    check((critic,), (c,), found, expected)


LOGITS = RNG.normal(size=(6, 3)).astype(np.float64)
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
ONE_HOT = np.eye(3)[RNG.integers(0, 3, 6)]
LABELS = ONE_HOT.argmax(1)
SECONDS = {
    "MeanSquaredError": ({}, ONE_HOT, LOGITS),
    "MeanAbsoluteError": ({}, ONE_HOT, LOGITS),
    "BinaryCrossentropy": ({"label_smoothing": 0.1}, ONE_HOT, SHARES * 0.9),
    "BinaryCrossentropy from logits": ({"from_logits": True}, ONE_HOT, LOGITS),
    "CategoricalCrossentropy": ({"label_smoothing": 0.1}, ONE_HOT, SHARES * 0.9),
    "CategoricalCrossentropy from logits": ({"from_logits": True}, ONE_HOT, LOGITS),
    "SparseCategoricalCrossentropy": ({}, LABELS, SHARES * 0.9),
    "SparseCategoricalCrossentropy from logits": ({"from_logits": True}, LABELS, LOGITS),
}


@pytest.mark.parametrize("name", SECONDS)
def test_losses_are_differentiated_twice(backend, name):
    """As a function of p^2, so that the first derivative counts in the second one too."""
    options, y, p = SECONDS[name]
    kind, weight = name.partition(" ")[0], RNG.uniform(0.5, 2.0, 6)
    direction = RNG.normal(size=p.shape)
    with hotloop.GradientTape() as outer:
        x = outer.watch(p)
        with hotloop.GradientTape() as inner:
            inner.watch(x)
            loss = getattr(hotloop.losses, kind)(**options)(y, x * x, weight)
        slope = inner.gradient(loss, x)
        value = ops.sum(slope * direction)
    found = outer.gradient(value, x)
    t = torch.tensor(p, requires_grad=True)
    of_keras = getattr(keras.losses, kind)(**options, dtype="float64")
    expected = of_keras(torch.tensor(y), t * t, torch.tensor(weight))
    (first,) = torch.autograd.grad(expected, t, create_graph=True)
    (second,) = torch.autograd.grad((first * torch.tensor(direction)).sum(), t)
    np.testing.assert_allclose(slope, first.detach(), 1e-6, 1e-9)
    np.testing.assert_allclose(found, second, 1e-5, 1e-8)
