"""What all optimizers share: hyper-parameters, state, lookup, errors."""

from __future__ import annotations

import numpy as np
import pytest

import hotloop
from hotloop import optimizers
from hotloop.layers import Dense
from hotloop.variables import Variable

ALL = [
    optimizers.SGD,
    optimizers.Adam,
    optimizers.AdamW,
    optimizers.RMSprop,
    optimizers.Adagrad,
    optimizers.Adadelta,
    optimizers.Adafactor,
    optimizers.Adamax,
    optimizers.Nadam,
    optimizers.Lamb,
    optimizers.Lion,
    optimizers.Muon,
    optimizers.Ftrl,
    optimizers.ScheduleFreeAdamW,
]


@pytest.mark.parametrize("cls", ALL)
def test_by_name_class_object_and_config(cls):
    for name in (cls.__name__, cls.__name__.lower(), cls.__name__.upper()):
        assert type(optimizers.get(name)) is cls
    assert type(optimizers.get(cls)) is cls
    optimizer = cls(0.5)
    assert optimizers.get(optimizer) is optimizer
    again = optimizers.get({"class_name": cls.__name__, "config": optimizer.get_config()})
    assert again.get_config() == optimizer.get_config()
    assert again.learning_rate == 0.5


@pytest.mark.parametrize(
    ("cls", "name", "rate"),
    [
        (optimizers.SGD, "SGD", 0.01),
        (optimizers.Adam, "adam", 0.001),
        (optimizers.AdamW, "adamw", 0.001),
        (optimizers.RMSprop, "rmsprop", 0.001),
        (optimizers.Adagrad, "adagrad", 0.001),
        (optimizers.Adadelta, "adadelta", 0.001),
        (optimizers.Adafactor, "adafactor", 0.001),
        (optimizers.Adamax, "adamax", 0.001),
        (optimizers.Nadam, "nadam", 0.001),
        (optimizers.Lamb, "lamb", 0.001),
        (optimizers.Lion, "lion", 0.001),
        (optimizers.Muon, "muon", 0.001),
        (optimizers.Ftrl, "ftrl", 0.001),
        (optimizers.ScheduleFreeAdamW, "schedule_free_adam_w", 0.0025),
    ],
)
def test_defaults_are_those_of_keras(cls, name, rate):
    assert cls().name == name
    assert cls().learning_rate == rate
    epsilon = 1e-8 if cls is optimizers.ScheduleFreeAdamW else 1e-7
    assert cls().get_config().get("epsilon", epsilon) == epsilon


@pytest.mark.parametrize(
    ("identifier", "error", "words"),
    [
        ("adamm", ValueError, "Unknown optimizer 'adamm'. Did you mean 'adam'"),
        ("adafactory", ValueError, "Did you mean 'adafactor'.*Known: adadelta, adafactor, adagrad"),
        (3, ValueError, "Could not interpret 3"),
        (len, TypeError, "an optimizer must be a name"),
        (int, TypeError, "an optimizer must be a name"),
    ],
)
def test_what_is_no_optimizer(identifier, error, words):
    with pytest.raises(error, match=words):
        optimizers.get(identifier)


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("rate", [-1.0, np.nan, np.inf])
def test_bad_learning_rates(cls, rate):
    with pytest.raises(ValueError, match=f"{cls.__name__}: learning_rate must be at least 0"):
        cls(rate)
    optimizer = cls()
    with pytest.raises(ValueError, match="learning_rate must be at least 0"):
        optimizer.learning_rate = rate
    assert optimizer.learning_rate == cls().learning_rate


@pytest.mark.parametrize("rate", ["0.1", b"1"])
def test_learning_rates_that_are_no_numbers(rate):
    with pytest.raises(TypeError, match="learning_rate must be a number"):
        optimizers.SGD(rate)


def test_a_function_without_arguments_is_asked_for_the_learning_rate():
    rates = [0.25]
    model = hotloop.Sequential([hotloop.Input((1,)), Dense(1, use_bias=False)])
    model.set_weights([[[0.0]]])
    model.compile(optimizers.SGD(lambda: rates[-1]), "mae")
    for _ in range(2):  # the slope is -1
        model.fit([[1.0]], [[9.0]], verbose=0)
        rates.append(0.5)
    assert model.get_weights()[0][0, 0] == 0.75
    assert model.optimizer.learning_rate == 0.5
    rates.append(-1.0)
    with pytest.raises(ValueError, match="learning rate of at least 0"):
        model.fit([[1.0]], [[9.0]], verbose=0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: optimizers.SGD(momentum=1.0), "momentum must be at least 0 and below 1"),
        (lambda: optimizers.Adam(beta_1=-0.1), "beta_1 must be at least 0 and below 1"),
        (lambda: optimizers.Adam(beta_2=1.0), "beta_2 must be"),
        (lambda: optimizers.Adam(epsilon=-1e-7), "epsilon must be at least 0"),
        (lambda: optimizers.Adam(weight_decay=-1.0), "weight_decay must be at least 0"),
        (lambda: optimizers.AdamW(weight_decay=None), "weight_decay must be a number"),
        (lambda: optimizers.RMSprop(rho=1.0), "rho must be"),
        (lambda: optimizers.RMSprop(momentum=-0.5), "momentum must be"),
        (lambda: optimizers.Adagrad(initial_accumulator_value=-1), "initial_accumulator_value"),
        (lambda: optimizers.Adadelta(rho=1.0), "rho must be"),
        (lambda: optimizers.Adafactor(beta_2_decay=0.1), "beta_2_decay must be at most 0, not 0.1"),
        (lambda: optimizers.Adafactor(epsilon_1=-1.0), "epsilon_1 must be at least 0"),
        (lambda: optimizers.Adafactor(epsilon_2=np.nan), "epsilon_2 must be at least 0"),
        (lambda: optimizers.Adafactor(clip_threshold=0), "clip_threshold must be above 0, not 0"),
        (lambda: optimizers.Lamb(beta_1=1.0), "beta_1 must be at least 0 and below 1"),
        (lambda: optimizers.Lamb(epsilon=-1.0), "epsilon must be at least 0"),
        (lambda: optimizers.Muon(momentum=1.0), "momentum must be at least 0 and below 1"),
        (lambda: optimizers.Muon(ns_steps=-1), "ns_steps must be a whole number"),
        (lambda: optimizers.Muon(rms_rate=0.0), "rms_rate must be above 0 or None"),
        (lambda: optimizers.Muon(muon_a=np.nan), "muon_a must be at least -inf"),
        (lambda: optimizers.Muon(adam_beta_2=1.0), "adam_beta_2 must be"),
        (lambda: optimizers.Lion(beta_1=0.0), "beta_1 must be above 0"),
        (lambda: optimizers.Ftrl(learning_rate_power=0.1), "learning_rate_power must be at most 0"),
        (lambda: optimizers.ScheduleFreeAdamW(beta_1=1.0), "beta_1 must be at least 0 and below 1"),
        (lambda: optimizers.ScheduleFreeAdamW(warmup_steps=-1), "warmup_steps must be a whole"),
        (lambda: optimizers.ScheduleFreeAdamW(warmup_steps=0.5), "warmup_steps must be a whole"),
        (lambda: optimizers.Ftrl(l1_regularization_strength=-1.0), "l1_regularization_strength"),
    ],
)
def test_bad_hyper_parameters(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("cls", [cls for cls in ALL if cls is not optimizers.Ftrl])
def test_weights_far_apart_move_apart(cls, backend):
    a, b = Variable([1.0, 2.0]), Variable([[3.0]])
    optimizer = cls(0.1)
    optimizer.apply([[1.0, 0.0], [[0.0]]], [a, b])
    assert a.numpy()[0] < 1.0
    assert a.numpy()[1] == pytest.approx(2.0, abs=1e-3)
    assert optimizer.iterations == 1
    shapes = [*optimizer.slot_shapes((2,)).values(), *optimizer.slot_shapes((1, 1)).values()]
    assert [slot.shape for slot in optimizer.variables] == shapes


def test_a_gradient_of_another_shape():
    weight = Variable([1.0, 2.0])
    with pytest.raises(ValueError, match=r"shape \(3,\); expected \(2,\)"):
        optimizers.Adam().apply([[1.0, 2.0, 3.0]], [weight])
    np.testing.assert_array_equal(weight.numpy(), [1.0, 2.0])


@pytest.mark.parametrize("cls", ALL)
def test_apply_is_what_fit_does(cls, backend):
    x, y = np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]])
    model = hotloop.Sequential([Dense(1, input_dim=1)])
    model.set_weights([[[2.0]], [0.5]])
    model.compile(cls(0.05), "mse")
    kernel, bias = Variable(np.array([[2.0]], "f4")), Variable(np.array([0.5], "f4"))
    alone = cls(0.05)
    for _ in range(3):
        error = x @ kernel.numpy() + bias.numpy() - y
        alone.apply([x.T @ error, error.sum(axis=0)], [kernel, bias])
        model.train_on_batch(x, y)
    np.testing.assert_allclose(model.get_weights()[0], kernel.numpy(), rtol=1e-5)
    np.testing.assert_allclose(model.get_weights()[1], bias.numpy(), rtol=1e-5)
    assert model.optimizer.iterations == alone.iterations == 3


def test_one_optimizer_for_two_models_keeps_their_state_apart():
    optimizer = optimizers.Adam()
    for units in (1, 2):
        model = hotloop.Sequential([Dense(units, input_dim=3)])
        model.compile(optimizer, "mse")
        model.fit(np.ones((4, 3)), np.ones((4, units)), verbose=0)
    assert [v.shape for v in optimizer.variables][::2] == [(3, 1), (1,), (3, 2), (2,)]
    assert optimizer.iterations == 2
