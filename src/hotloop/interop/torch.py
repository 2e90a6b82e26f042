"""Weights to and from PyTorch, by name or by order.

PyTorch's names of weights are used: a Dense layer has ``weight``, of shape (outputs, inputs), the
transpose of hotloop's kernel, and ``bias``; a normalising layer ``weight`` and ``bias``, and
``running_mean`` and ``running_var`` if it keeps them; an Embedding or PReLU ``weight``. A name is
that of the layer, after those of the models that it is in, a dot, and the weight's:
``dense.weight``, ``encoder.dense_1.bias``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import torch
except ImportError:
    raise ImportError("hotloop.interop.torch needs PyTorch: pip install torch") from None

from ..layers.base import Layer
from ..models.model import Model
from ..variables import Variable

# What PyTorch calls a weight, by hotloop's name; others have the same one.
_NAMES = {
    "alpha": "weight",
    "beta": "bias",
    "embeddings": "weight",
    "gamma": "weight",
    "kernel": "weight",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# Kept by PyTorch beside the weights; nothing is computed from it.
_COUNTER = "num_batches_tracked"
# Attributes that change predictions and are no weights, and hotloop's names for them.
_SETTINGS = {"eps": "epsilon"}


def to_state_dict(
    model: Model, mapping: Mapping[str, str] | None = None
) -> dict[str, torch.Tensor]:
    """The weights of a model as PyTorch holds them: what ``module.load_state_dict`` takes.

    Parameters
    ----------
    model : Model
    mapping : dict of str to str, optional
        What PyTorch calls a layer, by its name here (``"encoder.dense_1"`` in a model within
        the model); of an ``nn.Sequential``, these are numbers: ``{"dense": "0", "dense_1": "2"}``.

    Returns
    -------
    dict of str to Tensor
        Copies, of the model's dtype.

    Raises
    ------
    ValueError
        If the model has no weights yet, or no layer of a name in the mapping.

    Examples
    --------
    >>> import hotloop
    >>> from hotloop.interop.torch import to_state_dict
    >>> model = hotloop.Sequential([hotloop.layers.Dense(3, input_dim=2, name="out")])
    >>> {name: tuple(tensor.shape) for name, tensor in to_state_dict(model).items()}
    {'out.weight': (3, 2), 'out.bias': (3,)}
    """
    return {
        name: torch.from_numpy(np.ascontiguousarray(_turned(weight, weight.numpy())))
        for name, weight in _named(model, mapping).items()
    }


def from_state_dict(
    model: Model,
    state_dict: Mapping[str, torch.Tensor],
    mapping: Mapping[str, str] | None = None,
) -> None:
    """Gives a model the weights in a state dict; all or nothing.

    Parameters
    ----------
    model : Model
        Its optimizer's state, if it was trained, stays as it is.
    state_dict : dict of str to Tensor
        From ``module.state_dict()``, or a file that `torch.load` read.
    mapping : dict of str to str, optional
        As in `to_state_dict`.

    Raises
    ------
    ValueError
        If a name is missing or one too many, or a shape differs; names all of them.

    Examples
    --------
    >>> import hotloop, torch
    >>> from hotloop.interop.torch import from_state_dict
    >>> model = hotloop.Sequential([hotloop.layers.Dense(3, input_dim=2)])
    >>> module = torch.nn.Sequential(torch.nn.Linear(2, 3))
    >>> from_state_dict(model, module.state_dict(), {model.layers[0].name: "0"})
    >>> x = torch.ones(1, 2)
    >>> bool(torch.allclose(torch.tensor(model.predict(x, verbose=0)), module(x), atol=1e-6))
    True
    """
    named = _named(model, mapping)
    given = {name: value for name, value in state_dict.items() if not name.endswith(_COUNTER)}
    missing = [name for name in named if name not in given]
    extra = [name for name in given if name not in named]
    if missing or extra:
        raise ValueError(
            f"{model.describe()} and the state dict differ in names"
            + (f"; the state dict has no {', '.join(missing)}" if missing else "")
            + (f"; the model has no {', '.join(extra)}" if extra else "")
            + "; pass mapping={layer of the model: module of PyTorch}"
        )
    _assign([(name, weight, given[name]) for name, weight in named.items()])


def load_module(model: Model, module: torch.nn.Module) -> None:
    """Gives a model the weights of a PyTorch module, layer by layer in order; all or nothing.

    The layers of the model that have weights are paired with the parts of the module that have
    some, in the order in which the module was put together (for `torch.nn.Sequential`, that of
    computation). What has no weights is not compared: activations, dropout and reshaping must be
    the same for predictions to be.

    Parameters
    ----------
    model : Model
    module : torch.nn.Module
        For instance an `torch.nn.Sequential` of Linear, BatchNorm1d, LayerNorm, Embedding and
        PReLU, and of what has no weights.

    Raises
    ------
    ValueError
        If numbers of layers, names of weights, shapes or epsilons differ; names the first pair.

    Examples
    --------
    >>> import hotloop, torch
    >>> from hotloop.interop.torch import load_module
    >>> nn = torch.nn
    >>> module = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 1))
    >>> layers = [hotloop.layers.Dense(5, "relu", input_dim=2), hotloop.layers.Dense(1)]
    >>> model = hotloop.Sequential(layers)
    >>> load_module(model, module)
    >>> x = torch.ones(1, 2)
    >>> bool(torch.allclose(torch.tensor(model.predict(x, verbose=0)), module(x), atol=1e-6))
    True
    """
    layers = [(name, layer) for name, layer in _layers(model) if layer.weights]
    parts = [(name, part, _own_tensors(part)) for name, part in module.named_modules()]
    parts = [(name, part, tensors) for name, part, tensors in parts if tensors]
    if len(layers) != len(parts):
        raise ValueError(
            f"{model.describe()} has {len(layers)} layers with weights "
            f"({', '.join(name for name, _ in layers)}), the module {len(parts)} "
            f"({', '.join(f'{name}: {type(part).__name__}' for name, part, _ in parts)})"
        )
    pairs: list[tuple[str, Variable, torch.Tensor]] = []
    for (_, layer), (name, part, tensors) in zip(layers, parts, strict=True):
        who = f"{layer.describe()} and {type(part).__name__} '{name}'"
        weights = {_NAMES.get(weight.name, weight.name): weight for weight in layer.weights}
        if weights.keys() != tensors.keys():
            raise ValueError(
                f"{who} differ: one has {', '.join(weights)}, the other {', '.join(tensors)}"
            )
        for theirs, ours in _SETTINGS.items():
            one, other = getattr(layer, ours, None), getattr(part, theirs, None)
            if one is not None and other is not None and one != other:
                raise ValueError(f"{who} differ: make the layer with {ours}={other}, not {one}")
        pairs += [(f"{name}.{key}", weights[key], tensor) for key, tensor in tensors.items()]
    _assign(pairs)


def _layers(model: Model, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """The layers with their names; those of a model within the model instead of that."""
    for layer in model.layers:
        if isinstance(layer, Model):
            yield from _layers(layer, f"{prefix}{layer.name}.")
        else:
            yield prefix + layer.name, layer


def _named(model: Model, mapping: Mapping[str, str] | None) -> dict[str, Variable]:
    """The weights by PyTorch's names, each once."""
    if not model.built:
        raise ValueError(f"{model.describe()} has no weights yet: give it an input shape first")
    layers = dict(_layers(model))
    mapping = mapping or {}
    unknown = [name for name in mapping if name not in layers]
    if unknown:
        raise ValueError(
            f"mapping: {model.describe()} has no layer {', '.join(unknown)}; it has "
            f"{', '.join(layers)}"
        )
    named: dict[str, Variable] = {}
    seen: set[int] = set()
    for name, layer in layers.items():
        for weight in layer.weights:
            if id(weight) in seen:
                continue
            seen.add(id(weight))
            key = f"{mapping.get(name, name)}.{_NAMES.get(weight.name, weight.name)}"
            if key in named:
                raise ValueError(f"mapping: two weights of {model.describe()} are called {key}")
            named[key] = weight
    return named


def _own_tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers of a module, those of its parts left out."""
    found = dict(module.named_parameters(recurse=False))
    found |= dict(module.named_buffers(recurse=False))
    return {name: tensor for name, tensor in found.items() if name != _COUNTER}


def _assign(pairs: list[tuple[str, Variable, torch.Tensor]]) -> None:
    """Sets weights after a look at all shapes."""
    values = [
        _turned(weight, tensor.detach().cpu().to(torch.float64).numpy())
        for _, weight, tensor in pairs
    ]
    wrong = [
        f"{name} has shape {tuple(tensor.shape)}, expected "
        f"{_turned(weight, np.broadcast_to(0, weight.shape)).shape} for '{weight.path}'"
        for (name, weight, tensor), value in zip(pairs, values, strict=True)
        if value.shape != weight.shape
    ]
    if wrong:
        raise ValueError("; ".join(wrong))
    for (_, weight, _), value in zip(pairs, values, strict=True):
        weight.assign(value)


def _turned(weight: Variable, value: NDArray[Any]) -> NDArray[Any]:
    """Between (inputs, outputs) and (outputs, inputs)."""
    return value.T if weight.name == "kernel" and value.ndim == 2 else value
