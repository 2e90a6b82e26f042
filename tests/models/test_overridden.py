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
    "make_train_function": TRAINS,
    "make_test_function": TESTS,
    "make_predict_function": PREDICTS,
    "compute_loss_and_updates": TRAINS + TESTS,
    "stateless_compute_loss": TRAINS,
}


@pytest.mark.parametrize("name", USES)
def test_what_would_be_ignored_is_refused(name):
    kind = type("Own", (hotloop.Sequential,), {name: lambda self, *given: None})
    model = type("Derived", (kind,), {})([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    for use in USES[name]:
        with pytest.raises(NotImplementedError, match=rf"Own\.{name} is never called"):
            use(model)


@pytest.mark.parametrize("name", USES)
def test_a_method_set_on_the_model_is_refused(name):
    model = hotloop.Sequential([layers.Input((3,)), layers.Dense(1)])
    with pytest.raises(NotImplementedError, match=rf"Sequential\.{name} is never called"):
        setattr(model, name, lambda *given: None)


def test_a_call_of_a_model_whose_layers_are_given_is_refused():
    class Chain(hotloop.Sequential):
        def call(self, x):
            return x

    class Functional(hotloop.Model):
        def call(self, x):
            return x

    x = hotloop.Input((3,))
    with pytest.raises(NotImplementedError, match=r"Chain\.call is never called"):
        Chain([layers.Dense(1)])
    with pytest.raises(NotImplementedError, match=r"Functional\.call is never called"):
        Functional(x, layers.Dense(1)(x))
    model = hotloop.Model(x, layers.Dense(1)(x))
    with pytest.raises(NotImplementedError, match=r"Model\.call is never called"):
        model.call = lambda x: x


@pytest.mark.parametrize("name", ["apply_gradients", "build", "apply"])
@pytest.mark.parametrize("base", [hotloop.optimizers.SGD, hotloop.optimizers.Adam])
def test_an_optimizer_with_an_update_of_its_own_is_refused(base, name):
    kind = type("Own", (base,), {name: lambda self, *given: None})
    for use in TRAINS:
        model = hotloop.Sequential([layers.Input((3,)), layers.Dense(1)])
        model.compile(kind(), "mse")
        with pytest.raises(NotImplementedError, match=rf"Own\.{name} is never called"):
            use(model)


@pytest.mark.parametrize("base", [hotloop.optimizers.SGD, hotloop.optimizers.Adam])
def test_an_update_step_of_its_own_is_the_optimizers(base):
    class Own(base):
        def update_step(self, gradient, variable, learning_rate):
            variable.assign(variable - 0.5 * learning_rate * gradient)

    for use in TRAINS:
        model = hotloop.Sequential([layers.Input((3,)), layers.Dense(1, "linear", False, "zeros")])
        model.compile(Own(0.1), "mse")
        use(model)  # the gradient of (0 - 1)^2 is -2
        np.testing.assert_allclose(model.get_weights()[0], np.full((3, 1), 0.1), 1e-6)


def test_an_update_set_on_the_optimizer_is_refused_also_after_a_fit():
    model = hotloop.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    model.optimizer.update_step = lambda *given: None
    with pytest.raises(NotImplementedError, match=r"SGD\.update_step is never called"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("name", ["__call__", "values"])
def test_a_loss_that_computes_something_else_is_refused(name):
    kind = type("Own", (hotloop.losses.MeanSquaredError,), {name: lambda self, *given: 0.0})
    model = hotloop.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", kind())
    for use in TRAINS + TESTS:
        with pytest.raises(NotImplementedError, match=rf"Own\.{name} is never called"):
            use(model)


def test_a_metric_given_another_update_is_heeded():
    metric = hotloop.metrics.MeanSquaredError()
    metric.update_state = lambda *given, **options: metric.absorb(42.0, 1.0)
    model = hotloop.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[metric])
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert logs["mean_squared_error"] == 42.0
