"""Pictures of models: boxes, arrows, frames and files."""

from __future__ import annotations

import copy
import html
import os
import pickle
import re
import shutil
import sys

import numpy as np
import pytest

import hotloop
from hotloop.layers import Add, Dense, Dropout, Input
from hotloop.utils import model_to_dot, plot_model

graphviz = pytest.importorskip("graphviz")


@pytest.fixture
def dot():
    if shutil.which("dot") is None:
        if "CI" in os.environ:
            raise RuntimeError("the program dot is missing: apt install graphviz")
        pytest.skip("no program dot")


def chain():
    return hotloop.Sequential(
        [Dense(3, "relu", input_dim=4, name="one"), Dropout(0.5, name="drop"), Dense(2, name="two")]
    )


def residual():
    a, b = Input((4,), name="a"), Input((4,), name="b")
    layer = Dense(4, name="shared")
    y = Add(name="sum")([layer(a), layer(b), a])
    return hotloop.Model([a, b], Dense(4, name="out")(y))


def nested():
    x = Input((4,), name="x")
    inner = residual()
    inner.name = "inner"
    ends = chain()
    ends.name = "ends"
    return hotloop.Model(x, ends(inner([Dense(4, name="first")(x), x])) * 2)


def labels(source):
    """Names of boxes by what Graphviz calls them."""
    found = re.findall(r"(n\d+) \[label=<.*?<b>(.*?)</b>", source)
    return dict(found)


def arrows(source):
    names = labels(source)
    return {(names.get(a, a), names.get(b, b)) for a, b in re.findall(r"(n\d+) -> (n\d+)", source)}


def test_a_chain():
    source = model_to_dot(chain()).source
    assert list(labels(source).values()) == ["one", "drop", "two"]
    assert arrows(source) == {("one", "drop"), ("drop", "two")}


def test_inputs_residuals_and_a_shared_layer():
    source = model_to_dot(residual()).source
    assert sorted(labels(source).values()) == ["a", "b", "out", "shared", "sum"]
    assert arrows(source) == {
        ("a", "shared"),
        ("b", "shared"),
        ("shared", "sum"),
        ("a", "sum"),
        ("sum", "out"),
    }
    assert source.count("->") == 5


def test_a_model_as_one_box_or_as_a_frame():
    source = model_to_dot(nested()).source
    outer = {name for name in labels(source).values() if not name.startswith("multiply")}
    assert outer == {"x", "first", "inner", "ends"}
    assert ("first", "inner") in arrows(source)
    assert "cluster" not in source
    source = model_to_dot(nested(), expand_nested=True).source
    assert source.count("subgraph cluster_") == 2
    assert {("first", "a"), ("x", "b"), ("out", "one"), ("a", "shared")} <= arrows(source)
    last = {b for a, b in arrows(source) if a == "two"}
    assert len(last) == 1
    assert "inner" not in labels(source).values()


def test_a_class_of_ones_own():
    class Net(hotloop.Model):
        def __init__(self):
            super().__init__()
            self.out = Dense(2, name="out")

        def call(self, inputs):
            return self.out(inputs["p"] + inputs["q"])

    model = Net()
    model({"p": np.ones((1, 3)), "q": np.ones((1, 3))})
    source = model_to_dot(model).source
    assert "label=p" in source
    assert "label=q" in source
    assert sum(b.startswith("add") for _, b in arrows(source)) == 2
    x = Input((3,))
    outer = hotloop.Model(x, model({"p": x, "q": x}))
    source = model_to_dot(outer, expand_nested=True).source
    assert "cluster_1" in source
    assert sum(b.startswith("add") for _, b in arrows(source)) == 2


def test_what_boxes_tell():
    model = chain()
    model.layers[2].trainable = False
    plain = model_to_dot(model, show_layer_names=False).source
    assert "<b>Dense</b>" in plain
    assert "one" not in plain
    full = model_to_dot(
        model,
        show_shapes=True,
        show_dtype=True,
        show_layer_activations=True,
        show_trainable=True,
    ).source
    for words in (
        "Input: (None, 4)",
        "Output: (None, 3)",
        "Dtype: float32",
        "<i>relu</i>",
        ">Trainable<",
        ">Frozen<",
    ):
        assert words in full
        assert words not in plain


def test_names_are_escaped():
    model = hotloop.Sequential([Dense(1, input_dim=1, name='a<b>&"c"')], name='m"<&')
    source = model_to_dot(model).source
    assert "a&lt;b&gt;&amp;&quot;c&quot;" in source
    assert "a<b>" not in source


def test_files(tmp_path, dot):
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "dot": b"digraph"}
    for suffix, start in starts.items():
        graph = plot_model(nested(), tmp_path / f"m.{suffix}", True, expand_nested=True)
        assert (tmp_path / f"m.{suffix}").read_bytes().startswith(start)
        assert isinstance(graph, graphviz.Digraph)
    plot_model(residual(), str(tmp_path / "bare"))
    assert (tmp_path / "bare").read_bytes().startswith(b"\x89PNG")
    odd = hotloop.Sequential([Dense(1, input_dim=1, name='a<b>&"c"\\N')], name='m"<&\\')
    plot_model(odd, tmp_path / "odd.svg", show_layer_names=True)
    assert 'a<b>&"c"\\N' in html.unescape((tmp_path / "odd.svg").read_text())


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"m.xyz: Graphviz does not write .xyz files"):
        plot_model(chain(), tmp_path / "m.xyz")
    with pytest.raises(ValueError, match="does not know its input shape"):
        plot_model(hotloop.Sequential([Dense(1)]), tmp_path / "m.dot")
    with pytest.raises(TypeError, match="expected a model, got Dense"):
        plot_model(Dense(1), tmp_path / "m.dot")
    assert not list(tmp_path.iterdir())


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(ImportError, match=r"pip install graphviz"):
        model_to_dot(chain())


def test_without_the_program(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"m.png needs Graphviz's program dot.*\.dot file"):
        plot_model(chain(), tmp_path / "m.png")
    plot_model(chain(), tmp_path / "m.dot")
    (tmp_path / "dot").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    (tmp_path / "dot").chmod(0o755)
    with pytest.raises(RuntimeError, match=r"failed to draw m\.png;.*broken"):
        plot_model(chain(), tmp_path / "m.png")
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == ["m.dot"]


def test_diagrams_can_be_pickled_and_copied(dot):
    diagram = model_to_dot(chain(), dpi=90)
    for again in (pickle.loads(pickle.dumps(diagram)), copy.deepcopy(diagram)):
        assert again.source == diagram.source
        assert again.pipe("svg") == diagram.pipe("svg")
