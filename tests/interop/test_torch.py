"""Weights between hotloop and PyTorch: the same predictions, or a clear error and no change."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import hotloop
from hotloop import layers

torch = pytest.importorskip("torch")
nn = torch.nn

from hotloop.interop.torch import from_state_dict, load_module, to_state_dict  # noqa: E402


def ours():
    return hotloop.Sequential(
        [
            layers.Dense(7, "relu", input_dim=5, name="fc1"),
            layers.Dropout(0.2),
            layers.Dense(4, "tanh", name="fc2"),
            layers.Dense(3, use_bias=False, name="out"),
        ]
    )


class Theirs(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(5, 7), nn.Linear(7, 4)
        self.out = nn.Linear(4, 3, bias=False)

    def forward(self, x):
        return self.out(torch.tanh(self.fc2(torch.relu(self.fc1(x)))))


def same(model, module, shape=(9, 5)):
    x = np.random.default_rng(0).normal(size=shape).astype("f4")
    module.eval()
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-5)


def unchanged(model, call):
    """Runs what must fail, and looks that it changed nothing; returns the error's text."""
    before = model.get_weights()
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    return str(caught.value)


def test_by_name_both_ways(backend):
    model, module = ours(), Theirs()
    from_state_dict(model, module.state_dict())
    same(model, module)
    x, y = np.random.default_rng(1).normal(size=(20, 5)), np.zeros((20, 3))
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    module.load_state_dict(to_state_dict(model))
    same(model, module)
    from_state_dict(model, Theirs().state_dict())  # after training too
    assert to_state_dict(model)["fc1.weight"].shape == (7, 5)


def test_names_of_an_nn_sequential():
    module = nn.Sequential(
        nn.Linear(5, 7), nn.ReLU(), nn.Dropout(0.2), nn.Linear(7, 4), nn.Tanh(),
        nn.Linear(4, 3, bias=False),
    )  # fmt: skip
    model, mapping = ours(), {"fc1": "0", "fc2": "3", "out": "5"}
    from_state_dict(model, module.state_dict(), mapping)
    same(model, module)
    other = ours()
    module.load_state_dict(to_state_dict(other, mapping))
    same(other, module)
    load_module(model, module)
    same(model, module)


def test_models_within_models():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.head = Theirs(), nn.Linear(3, 2)

        def forward(self, x):
            return self.head(self.encoder(x)) + self.head(self.encoder(-x))

    x = hotloop.Input((5,))
    inner = ours()
    inner.name = "encoder"
    head = layers.Dense(2, name="head")
    y = layers.Add()([head(inner(x)), head(inner(layers.Rescaling(-1.0)(x)))])
    model, module = hotloop.Model(x, y), Outer()
    from_state_dict(model, module.state_dict())
    same(model, module)
    assert to_state_dict(model).keys() == module.state_dict().keys()
    model.get_layer("head").set_weights([np.ones((3, 2)), np.ones(2)])
    load_module(model, module)
    same(model, module)


NORMALISED = [
    ("BatchNormalization", lambda: nn.BatchNorm1d(7, eps=1e-3)),
    ("LayerNormalization", lambda: nn.LayerNorm(7, eps=1e-3)),
    ("PReLU", lambda: nn.PReLU(7)),
]


@pytest.mark.parametrize(("name", "make"), NORMALISED)
def test_layers_of_other_weights(name, make):
    module = nn.Sequential(nn.Linear(5, 7), make(), nn.Linear(7, 2))
    module(torch.randn(64, 5))  # running statistics that are not the first ones
    layer = getattr(layers, name)()
    model = hotloop.Sequential([layers.Dense(7, input_dim=5), layer, layers.Dense(2)])
    load_module(model, module)
    same(model, module)
    copy = nn.Sequential(nn.Linear(5, 7), make(), nn.Linear(7, 2))
    names = {one.name: str(i) for i, one in enumerate(model.layers)}
    copy.load_state_dict(to_state_dict(model, names), strict=False)
    same(model, copy)
    if hasattr(module[1], "eps"):
        module[1].eps = 1e-5
        assert "epsilon=1e-05, not 0.001" in unchanged(model, lambda: load_module(model, module))


def test_embedding():
    module = nn.Sequential(nn.Embedding(6, 3), nn.Flatten(), nn.Linear(12, 2))
    chain = [layers.Embedding(6, 3), layers.Flatten(), layers.Dense(2)]
    model = hotloop.Sequential([hotloop.Input((4,)), *chain])
    load_module(model, module)
    x = np.random.default_rng(0).integers(0, 6, (8, 4))
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-5)


def test_dtypes():
    model = hotloop.Sequential([layers.Dense(7, input_dim=5, dtype="float64", name="fc1")])
    assert to_state_dict(model)["fc1.weight"].dtype == torch.float64
    state = {name: t.to(torch.bfloat16) for name, t in Theirs().state_dict().items()}
    from_state_dict(ours(), state)
    state["fc1.weight"].requires_grad_(True)
    float32 = ours()
    from_state_dict(float32, state)
    kernel = state["fc1.weight"].detach().float().numpy().T
    np.testing.assert_array_equal(float32.get_weights()[0], kernel)


def test_copies_share_no_memory():
    model = ours()
    before = model.get_weights()[1]
    to_state_dict(model)["fc1.bias"] += 1
    np.testing.assert_array_equal(model.get_weights()[1], before)


def test_names_and_shapes_that_do_not_fit():
    model, state = ours(), Theirs().state_dict()
    state["last.weight"] = state.pop("out.weight")
    text = unchanged(model, lambda: from_state_dict(model, state))
    assert "no out.weight; the model has no last.weight; pass mapping=" in text
    from_state_dict(model, state, {"out": "last"})
    state["last.weight"] = torch.zeros(4, 3)
    text = unchanged(model, lambda: from_state_dict(model, state, {"out": "last"}))
    assert "last.weight has shape (4, 3), expected (3, 4) for 'out/kernel'" in text
    text = unchanged(model, lambda: from_state_dict(model, state, {"end": "last"}))
    assert "has no layer end; it has fc1, dropout" in text
    text = unchanged(model, lambda: to_state_dict(model, {"fc1": "a", "fc2": "a"}))
    assert "two weights of Sequential" in text
    text = unchanged(model, lambda: load_module(model, nn.Sequential(nn.Linear(5, 7), nn.ReLU())))
    assert "3 layers with weights (fc1, fc2, out), the module 1 (0: Linear)" in text
    other = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 4, bias=False), nn.Linear(4, 3))
    text = unchanged(model, lambda: load_module(model, other))
    assert "Dense 'fc2' and Linear '1' differ: one has weight, bias, the other weight" in text
    with pytest.raises(ValueError, match="no weights yet"):
        to_state_dict(hotloop.Sequential([layers.Dense(2)]))


def test_torch_is_imported_only_there():
    code = (
        "import sys, hotloop; assert 'torch' not in sys.modules; import hotloop.interop; "
        "assert 'torch' not in sys.modules; sys.modules['torch'] = None\n"
        "try: import hotloop.interop.torch\nexcept ImportError as error: print(error)"
    )
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install torch" in text.stdout
