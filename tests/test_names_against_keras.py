"""Every public name of Keras's modules, and the arguments of its classes and functions.

Each is here too, or stands in `hotloop.absent` with its reason, and so in the docs, and in the
error for the name. `ops` and `random` have tests of their own.
"""

from __future__ import annotations

import inspect
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import hotloop
from hotloop import absent

keras = pytest.importorskip("keras")

MODULES = (
    "",
    *("activations", "backend", "callbacks", "config", "constraints", "datasets", "initializers"),
    *("layers", "losses", "metrics", "models", "optimizers", "optimizers.schedules"),
    *("regularizers", "saving", "tree", "utils"),
)
ELSEWHERE = {"ops", "random"}  # modules that have tests of their own
ARGUMENTS = {name for names, _ in absent.ARGUMENTS for name in names.split()}
# Arguments that come next.
ARGUMENTS |= {"batch_shape", "call_function", "recursive"}
# What has other arguments, and says so in its documentation.
OTHERS = {"callbacks.CallbackList", "config.set_backend", "version"}


def at(root, path):
    for name in filter(None, path.split(".")):
        root = getattr(root, name)
    return root


def public(module):
    names = [name for name in dir(at(keras, module)) if not name.startswith("_")]
    return [f"{module}.{name}".lstrip(".") for name in names]


NAMES = [path for module in MODULES for path in public(module) if path not in ELSEWHERE]


def is_here(path):
    try:
        at(hotloop, path)
    except AttributeError:
        return False
    return True


@pytest.mark.parametrize("module", MODULES)
def test_every_name_is_here_or_has_a_reason(module):
    names = [path for path in public(module) if path not in ELSEWHERE]
    assert len(names) > 1
    assert [p for p in names if not is_here(p) and absent.reason(p) is None] == []
    for path in names:
        if not is_here(path):
            with pytest.raises(AttributeError, match="Keras has it, hotloop has not: "):
                at(hotloop, path)


@pytest.mark.parametrize("patterns", [patterns for patterns, _ in absent.ROWS])
def test_no_reason_is_left_over(patterns):
    missing = [path for path in NAMES if not is_here(path)]
    for pattern in patterns.split():
        assert any(fnmatchcase(path, pattern) for path in missing), pattern


def accepted(thing):
    """Names of the arguments of a function or class, those that it passes on included."""
    if not inspect.isclass(thing):
        return set(inspect.signature(thing).parameters)
    return {
        name
        for base in thing.__mro__
        if "__init__" in vars(base) and base is not object
        for name in inspect.signature(base.__init__).parameters
    }


def positional(thing):
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in inspect.signature(thing).parameters.values() if p.kind in kinds]


def has_signature(path):
    thing = at(keras, path)
    return callable(thing) and path not in OTHERS


@pytest.mark.parametrize("module", MODULES)
def test_every_class_and_function_takes_the_same_arguments(module):
    wrong = {}
    for path in public(module):
        if path in ELSEWHERE or not is_here(path) or not has_signature(path):
            continue
        ours, theirs = at(hotloop, path), at(keras, path)
        names = {
            name
            for name, parameter in inspect.signature(theirs).parameters.items()
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        }
        if lacking := names - accepted(ours) - ARGUMENTS:
            wrong[path] = lacking
        order = [name for name in positional(theirs) if name in accepted(ours)]
        mine = [name for name in positional(ours) if name in order]
        if mine != order[: len(mine)]:
            wrong[path] = (mine, order)
    assert wrong == {}


def test_what_is_misspelt():
    for path, meant in {
        "layers.Dence": "Dense",
        "Sequental": "Sequential",
        "losses.MeanSquareError": "MeanSquaredError",
        "callbacks.EarlyStoping": "EarlyStopping",
        "utils.pad_sequence": "pad_sequences",
        "optimizers.schedules.CosineDeccay": "CosineDecay",
        "activations.rellu": "relu",
        "saving.loadmodel": "load_model",
        "tree.mapstructure": "map_structure",
        "config.floatz": "floatx",
        "models.load_modell": "load_model",
        "metrics.Acuracy": "Accuracy",
        "initializers.HeNorml": "HeNormal",
        "regularizers.L1l": "L1",
        "constraints.MaxNrm": "MaxNorm",
        "backend.floatz": "floatx",
        "datasets.mnst": "mnist",
        "optimizers.Adm": "Adam",
        "ops.einsm": "einsum",
    }.items():
        with pytest.raises(AttributeError, match=f"Did you mean '{meant}'"):
            at(hotloop, path)
    for path in ("layers.qqqq", "layers.__wrapped__", "zzz"):
        with pytest.raises(AttributeError, match=r"has no attribute '[a-z_]*'$"):
            at(hotloop, path)


def test_the_docs_show_the_same_rows():
    page = Path(__file__).parents[1] / "docs" / "coming-from-keras.md"
    for section, wanted in (
        ("Missing", absent.ROWS),
        ("Arguments that are not taken", absent.ARGUMENTS),
    ):
        part = page.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
        rows = re.findall(r"^\| (`.*?) \|(.*)\|$", part, re.MULTILINE)
        shown = [(" ".join(re.findall(r"`([^`]+)`", names)), why.strip()) for names, why in rows]
        assert shown == list(wanted)
