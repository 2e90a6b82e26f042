"""Pictures of models: their layers as boxes and what they read as arrows, drawn by Graphviz."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files.whole import written_whole
from ..graph.trace import Use, Value, calls
from ..layers.base import Layer
from .model import Model
from .order import in_order
from .sequential import Sequential

if TYPE_CHECKING:
    from graphviz import Digraph

_HEAD, _TRAINED, _FROZEN = "#243b53", "#1b7f4d", "#a4343a"


def plot_model(
    model: Model,
    to_file: str | PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "spline",
) -> Digraph:
    """Draws a model into a file: a box for each layer, an arrow for what it reads.

    Needs the package graphviz, ``pip install graphviz``, and, but for ``.dot`` files, the
    program ``dot`` of Graphviz.

    Parameters
    ----------
    model : Model
        That knows its input shape.
    to_file : path-like
        Its ending says what is written: ``.png``, ``.svg``, ``.pdf`` or what else Graphviz knows;
        ``.dot`` is Graphviz's own language. Without one it is a PNG.
    show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable : bool
        What the boxes tell besides the layer's class.
    rankdir : {"TB", "LR", "BT", "RL"}
        Where the arrows point: from top to bottom, or from left to right ...
    expand_nested : bool
        Whether models that are layers are drawn as frames around their own layers.
    dpi : int
        Dots per inch.
    splines : str
        How arrows run: ``"spline"``, ``"ortho"``, ``"curved"``, ``"polyline"`` or ``"line"``.
        Keras begins with "ortho", over which some versions of Graphviz crash.

    Returns
    -------
    graphviz.Digraph
        Which a notebook shows.

    Raises
    ------
    ImportError
        If the package graphviz is not installed.
    RuntimeError
        If the program dot is not found, or fails.
    ValueError
        If the model does not know its input shape, or Graphviz writes no such files.
    """
    graph = model_to_dot(
        model,
        show_shapes,
        show_dtype,
        show_layer_names,
        rankdir,
        expand_nested,
        dpi,
        show_layer_activations=show_layer_activations,
        show_trainable=show_trainable,
        splines=splines,
    )
    path = Path(to_file)
    content = _rendered(graph, path.suffix[1:].lower() or "png", path)
    with written_whole(path) as file:
        file.write(content)
    return graph


def model_to_dot(
    model: Model,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    *,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "spline",
) -> Digraph:
    """What `plot_model` draws, as a graph of the package graphviz.

    Parameters
    ----------
    model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi, \
show_layer_activations, show_trainable, splines
        As in `plot_model`.

    Returns
    -------
    graphviz.Digraph
        Its ``source`` is the text of a ``.dot`` file.

    Raises
    ------
    ImportError
        If the package graphviz is not installed.
    ValueError
        If the model does not know its input shape.
    """
    try:
        import graphviz  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "a picture of a model needs the package graphviz, which is not installed: "
            "pip install graphviz"
        ) from error
    if not isinstance(model, Model):
        raise TypeError(f"expected a model, got {type(model).__name__}")
    if not model.built:
        raise ValueError(
            f"{model.describe()} does not know its input shape yet, so it cannot be drawn; build() "
            "it or call it on data first"
        )

    from .digraph import Diagram

    graph = Diagram(
        _quoted(model.name),
        graph_attr={"rankdir": rankdir, "dpi": str(dpi), "splines": splines, "nodesep": "0.4"},
        node_attr={"shape": "plain", "fontname": "Helvetica"},
        edge_attr={"color": "#52606d"},
    )
    box = _Box(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    drawing = _Drawing(box, expand_nested)
    drawing.add(graph, model)
    graph.edges(dict.fromkeys(drawing.arrows(model)))
    return graph


def _rendered(graph: Digraph, kind: str, path: Path) -> bytes:
    """The content of a file of this kind."""
    import graphviz

    if kind in ("dot", "gv"):
        return str(graph.source).encode()
    if kind not in graphviz.FORMATS:
        raise ValueError(
            f"{path.name}: Graphviz does not write .{kind} files; use .png, .svg, .pdf or .dot"
        )
    try:
        content: bytes = graph.pipe(kind)
    except graphviz.ExecutableNotFound:
        raise RuntimeError(
            f"{path.name} needs Graphviz's program dot, which was not found: install Graphviz "
            "(on Debian: apt install graphviz), or write a .dot file"
        ) from None
    except graphviz.CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").strip()
        raise RuntimeError(
            f"Graphviz's program dot failed to draw {path.name}; other splines may help. It said: "
            f"{said or error}"
        ) from None
    return content


@dataclass
class _Box:
    """The box of a layer: a table in Graphviz's HTML."""

    shapes: bool
    dtype: bool
    names: bool
    activations: bool
    trainable: bool

    def of(self, layer: Layer, uses: Sequence[Use]) -> str:
        kind = _text(type(layer).__name__)
        title = f"<b>{_text(layer.name)}</b> ({kind})" if self.names else f"<b>{kind}</b>"
        activation = getattr(layer, "activation", None)
        if self.activations and activation is not None:
            name = getattr(activation, "__name__", type(activation).__name__)
            title += f"<br/><i>{_text(name)}</i>"
        outputs = uses[-1].outputs if uses else [layer.output]
        cells = []
        if self.shapes:
            if uses:
                cells.append(_cell("Input", (value.shape for value in uses[-1].inputs)))
            cells.append(_cell("Output", (value.shape for value in outputs)))
        if self.dtype:
            cells.append(_cell("Dtype", dict.fromkeys(value.dtype for value in outputs)))
        if self.trainable and layer.weights:
            word, colour = ("Trainable", _TRAINED) if layer.trainable else ("Frozen", _FROZEN)
            cells.append(f'<td bgcolor="{colour}"><font color="white">{word}</font></td>')
        rows = f"<tr>{''.join(cells)}</tr>" if cells else ""
        return (
            '<<table border="0" cellborder="1" cellspacing="0" cellpadding="6" color="#52606d">'
            f'<tr><td bgcolor="{_HEAD}" colspan="{max(len(cells), 1)}">'
            f'<font color="white">{title}</font></td></tr>{rows}</table>>'
        )


def _cell(label: str, things: Any) -> str:
    text = "<br/>".join(_text(str(thing)) for thing in things)
    return f'<td bgcolor="white">{label}: {text}</td>'


def _text(text: str) -> str:
    """Text inside of a table; Graphviz would replace what follows a backslash."""
    return escape(text).replace("\\", "\\\\")


@dataclass
class _Drawing:
    """Boxes and arrows of a model, and of those inside it if it is so wished."""

    box: _Box
    expand: bool
    names: dict[Layer | Value, str] = field(default_factory=dict)
    frames: int = 0

    def add(self, graph: Digraph, model: Model) -> None:
        """Draws the boxes."""
        uses: dict[Layer, list[Use]] = {}
        for use in calls(model.outputs, known=model.inputs):
            uses.setdefault(use.layer, []).append(use)
        if model.records_call:
            for value in model.inputs:
                graph.node(self._name(value), _quoted(value.name), shape="box")
            layers = in_order(model.inputs, model.outputs)
        else:
            layers = model.layers
        for layer in layers:
            if not self._is_frame(layer):
                graph.node(self._name(layer), self.box.of(layer, uses.get(layer, ())))
                continue
            assert isinstance(layer, Model)
            self.frames += 1
            with graph.subgraph(name=f"cluster_{self.frames}") as frame:
                frame.attr(label=_quoted(layer.name), style="rounded,dashed", color="#829ab1")
                frame.attr(fontname="Helvetica", labeljust="l")
                self.add(frame, layer)

    def arrows(self, model: Model) -> Iterator[tuple[str, str]]:
        for use in calls(model.outputs, known=model.inputs):
            for i, value in enumerate(use.inputs):
                for source in self._sources(value):
                    for target in self._targets(use.layer, i):
                        yield source, target
        for layer in in_order(model.inputs, model.outputs):
            if self._is_frame(layer):
                assert isinstance(layer, Model)
                yield from self.arrows(layer)

    def _is_frame(self, layer: Layer) -> bool:
        return self.expand and isinstance(layer, Model) and layer.built

    def _name(self, thing: Layer | Value) -> str:
        return self.names.setdefault(thing, f"n{len(self.names)}")

    def _sources(self, value: Value) -> Iterator[str]:
        """The boxes that a value comes from."""
        if value.use is None:
            if value.layer is not None or value in self.names:
                yield self._name(value.layer or value)
            for before in value.node.inputs if value.node else ():
                yield from self._sources(before)
            return
        use, output = value.use
        if self._is_frame(use.layer):
            assert isinstance(use.layer, Model)
            yield from self._sources(use.layer.outputs[output])
        else:
            yield self._name(use.layer)

    def _targets(self, layer: Layer, index: int) -> Iterator[str]:
        """The boxes that read a layer's input."""
        if not self._is_frame(layer):
            yield self._name(layer)
            return
        assert isinstance(layer, Model)
        value = layer.inputs[index]
        if not isinstance(layer, Sequential) and (value.layer or value in self.names):
            yield self._name(value.layer or value)
            return
        for use in calls(layer.outputs, known=layer.inputs):
            for i, read in enumerate(use.inputs):
                if read is value:
                    yield from self._targets(use.layer, i)


def _quoted(text: str) -> str:
    """A text that Graphviz takes as it is."""
    from graphviz import escape as escaped

    quoted: str = escaped(text)  # of a kind of its own, which no <brackets> make HTML
    return quoted
