"""Functions as hooks."""

import numpy as np
import pytest

import hotloop
from hotloop import layers
from hotloop.callbacks import CallbackList, LambdaCallback


def test_each_function_is_called_where_its_hook_is():
    heard = []

    def hear(name):
        return lambda *given: heard.append((name, given[:-1]))

    named = ["on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end"]
    named += ["on_test_begin", "on_test_end", "on_epoch_end", "on_train_end"]
    hooks = {name: hear(name) for name in named}
    model = hotloop.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((4, 2))
    model.fit(
        x, x[:, 0], 2, verbose=0, callbacks=[LambdaCallback(**hooks)], validation_data=(x, x[:, 0])
    )
    assert heard == [
        ("on_train_begin", ()),
        ("on_epoch_begin", (0,)),
        ("on_train_batch_begin", (0,)),
        ("on_train_batch_end", (0,)),
        ("on_train_batch_begin", (1,)),
        ("on_train_batch_end", (1,)),
        ("on_test_begin", ()),
        ("on_test_end", ()),
        ("on_epoch_end", (0,)),
        ("on_train_end", ()),
    ]


def test_hooks_that_are_not_given_cost_nothing():
    found = CallbackList([LambdaCallback(on_train_end=print)])
    assert not found.wants_train_batches
    assert not found.wants_epochs
    assert CallbackList([LambdaCallback(on_train_batch_end=print)]).wants_train_batches


@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        ({"on_epoch_ends": print}, "no hook 'on_epoch_ends'"),
        ({"set_model": print}, "no hook 'set_model'"),
        ({"on_epoch_end": 3}, "on_epoch_end must be a function, not 3"),
    ],
)
def test_what_is_no_hook_or_no_function_is_refused(hooks, message):
    with pytest.raises(TypeError, match=message):
        LambdaCallback(**hooks)
