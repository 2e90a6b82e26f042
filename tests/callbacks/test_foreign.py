"""Callbacks that are not of hotloop's class."""

import numpy as np
import pytest

import hotloop
from hotloop.callbacks import CallbackList
from hotloop.callbacks.foreign import HOOKS, Foreign, is_foreign


class Base:
    """As another package's."""

    def on_epoch_end(self, epoch, logs=None):
        pass

    def on_train_batch_end(self, batch, logs=None):
        self.on_batch_end(batch, logs)

    def on_batch_end(self, batch, logs=None):
        pass


Base.__name__ = "Callback"


class Own(Base):
    def __init__(self):
        self.seen = []

    def set_model(self, model):
        self.seen.append(type(model).__name__)

    def set_params(self, params):
        self.seen.append(sorted(params))

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((epoch, sorted(logs)))


class Batches(Base):
    def on_batch_end(self, batch, logs=None):
        self.last = batch


def test_only_hooks_that_do_something_cost():
    assert is_foreign(Own())
    assert not is_foreign(Own)
    assert not is_foreign(3)
    assert not CallbackList([Own()]).wants_train_batches
    assert CallbackList([Own()]).wants_epochs
    assert CallbackList([Batches()]).wants_train_batches
    on_object = Base()
    on_object.on_test_batch_end = print
    assert CallbackList([on_object]).wants_test_batches
    assert not CallbackList([Base()]).wants_epochs
    assert "on_train_batch_end" in HOOKS


def test_hooks_are_called_as_keras_calls_them():
    model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=2)])
    model.compile("sgd", "mse")
    own, batches = Own(), Batches()
    model.fit(np.ones((6, 2)), np.ones(6), 2, verbose=0, epochs=2, callbacks=[own, [batches]])
    assert own.seen == [
        "Sequential",
        ["epochs", "steps", "verbose"],
        (0, ["loss"]),
        (1, ["loss"]),
    ]
    assert batches.last == 2
    wrapped = Foreign(own)
    wrapped.on_epoch_end(5, logs={"a": 1})
    wrapped.on_epoch_end(6)
    assert own.seen[-2:] == [(5, ["a"]), (6, [])]


def test_what_is_no_callback():
    with pytest.raises(TypeError, match=r"expected instances of hotloop\.callbacks\.Callback"):
        CallbackList([object()])
