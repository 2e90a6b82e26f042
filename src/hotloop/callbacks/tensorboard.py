"""Metrics and weights for TensorBoard."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files.models import model_files
from .base import Callback, Logs

_BUCKETS = 30  # as many as TensorBoard shows


class TensorBoard(Callback):
    """Write event files that TensorBoard shows: ``tensorboard --logdir=logs``.

    In the folder ``train`` there are, for each epoch, ``epoch_loss``, ``epoch_<metric>`` and
    ``epoch_learning_rate``, in ``validation`` the values of validation under the same names, and
    ``evaluation_<metric>_vs_iterations`` against the optimizer's steps. Names and steps are
    Keras's. It needs TensorBoard alone, not TensorFlow (``pip install tensorboard``).

    Parameters
    ----------
    log_dir : path-like
        Made if it is not there. Each training adds a file; give each one a folder of its own to
        compare them.
    histogram_freq : int
        After each so many epochs, histograms of all weights are written, as
        ``<layer>/<weight>/histogram``; 0 writes none.
    write_graph : bool
        Whether the layers and their connections are written when training begins: the
        conceptual graph of TensorBoard's tab Graphs.
    write_images : bool
        Only False: histograms show weights better.
    write_steps_per_second : bool
        Whether ``epoch_steps_per_second`` is written too, and ``batch_steps_per_second`` where
        batches are.
    update_freq : "epoch", "batch" or int
        With a number, ``batch_loss`` and ``batch_<metric>`` are written after each so many
        batches too, with the values of the epoch so far; "batch" is 1. It makes training return
        to Python after each batch.
    profile_batch, embeddings_freq : int
        Only 0: ``model.profile`` tells where time goes.
    embeddings_metadata : None

    Raises
    ------
    ValueError
        For arguments out of range, and those that are not supported.
    ImportError
        When training begins, without TensorBoard.

    Examples
    --------
    >>> import hotloop, os, tempfile
    >>> model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=1)])
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     board = TensorBoard(folder)
    ...     history = model.fit([[1.0]], [[2.0]], verbose=0, callbacks=[board])
    ...     os.listdir(folder)
    ['train']
    """

    def __init__(
        self,
        log_dir: str | PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: None = None,
    ) -> None:
        given = {
            "write_images": write_images,
            "profile_batch": profile_batch,
            "embeddings_freq": embeddings_freq,
            "embeddings_metadata": embeddings_metadata,
        }
        for name, value in given.items():
            if value:
                raise ValueError(f"TensorBoard: {name}={value!r} is not supported")
        if not isinstance(histogram_freq, int) or histogram_freq < 0:
            raise ValueError(
                "TensorBoard: histogram_freq must be a whole number of epochs, or 0, not "
                f"{histogram_freq!r}"
            )
        self._every = 1 if update_freq == "batch" else update_freq
        by_batches = isinstance(self._every, int) and not isinstance(self._every, bool)
        if self._every != "epoch" and (not by_batches or int(self._every) < 1):
            raise ValueError(
                "TensorBoard: update_freq must be 'epoch', 'batch' or a whole number of batches "
                f"of at least 1, not {update_freq!r}"
            )
        self.log_dir = fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_steps_per_second = write_steps_per_second
        self._files: dict[str, _EventFile] = {}
        self._trains = False
        self._batches = 0
        self._epoch_began, self._batch_began = (0.0, 0), 0.0
        if by_batches:
            # Of the instance: a hook of batches costs speed, see Callback.overrides.
            self.on_train_batch_begin = self._begin_batch  # type: ignore[method-assign]
            self.on_train_batch_end = self._end_batch  # type: ignore[method-assign]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Write the graph."""
        self._close()
        self._trains = True
        self._batches = 0
        train = self._file("train")
        if self.write_graph:
            train.graph("keras", self.model)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the clock."""
        self._epoch_began = time.perf_counter(), self.model.optimizer.iterations

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the metrics, and histograms where it is time for them."""
        train = self._file("train")
        values = {name: v for name, v in (logs or {}).items() if not name.startswith("val_")}
        values["learning_rate"] = self.model.optimizer.learning_rate
        if self.write_steps_per_second:
            began, steps = self._epoch_began
            took = time.perf_counter() - began
            values["steps_per_second"] = (self.model.optimizer.iterations - steps) / took
        for name, value in values.items():
            train.scalar(f"epoch_{name}", value, epoch)
        for name, value in (logs or {}).items():
            if name.startswith("val_"):
                name = name.removeprefix("val_")
                self._file("validation").scalar(f"epoch_{name}", value, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for weight in self.model.weights:
                train.histogram(f"{weight.path}/histogram", weight.numpy(), epoch)
        self._flush()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Write the values of an evaluation, or of validation."""
        if self.model.optimizer is None:
            return
        step = self.model.optimizer.iterations
        for name, value in (logs or {}).items():
            self._file("validation").scalar(f"evaluation_{name}_vs_iterations", value, step)
        if not self._trains:
            self._close()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the files."""
        self._trains = False
        self._close()

    def get_state(self) -> dict[str, Any]:
        """The batches so far."""
        return {"batches": self._batches}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on counting from there."""
        self._batches = state["batches"]

    def _begin_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batch_began = time.perf_counter()

    def _end_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches % int(self._every):
            return
        train = self._file("train")
        if self.write_steps_per_second:
            rate = 1.0 / (time.perf_counter() - self._batch_began)
            train.scalar("batch_steps_per_second", rate, self._batches)
        for name, value in (logs or {}).items():
            train.scalar(f"batch_{name}", value, self._batches)

    def _file(self, folder: str) -> _EventFile:
        """The file in a folder of log_dir, begun when something is to be written."""
        if folder not in self._files:
            self._files[folder] = _EventFile(Path(self.log_dir) / folder)
        return self._files[folder]

    def _flush(self) -> None:
        for file in self._files.values():
            file.flush()

    def _close(self) -> None:
        while self._files:
            self._files.popitem()[1].close()


class _EventFile:
    """What TensorBoard reads, written by TensorBoard's own code."""

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise ImportError(
                "the callback TensorBoard needs TensorBoard: pip install tensorboard"
            ) from None
        self._writer = EventFileWriter(str(folder))
        self.flush, self.close = self._writer.flush, self._writer.close

    def scalar(self, tag: str, value: float, step: int) -> None:
        from tensorboard.plugins.scalar import metadata

        about = metadata.create_summary_metadata(display_name=None, description=None)
        self._write(tag, np.float32(value), step, about)

    def histogram(self, tag: str, values: NDArray[Any], step: int) -> None:
        """Rows of left edge, right edge and count."""
        from tensorboard.plugins.histogram import metadata

        counts, edges = np.histogram(values, _BUCKETS)
        about = metadata.create_summary_metadata(display_name=None, description=None)
        self._write(tag, np.stack([edges[:-1], edges[1:], counts], axis=1), step, about)

    def graph(self, tag: str, model: Any) -> None:
        """Layers and connections, as Keras describes them."""
        from tensorboard.compat.proto import summary_pb2

        about = summary_pb2.SummaryMetadata()
        about.plugin_data.plugin_name = "graph_keras_model"
        about.plugin_data.content = b"1"
        self._write(tag, np.array(json.dumps(model_files().described(model)).encode()), 0, about)

    def _write(self, tag: str, value: Any, step: int, about: Any) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.util import tensor_util

        tensor = tensor_util.make_tensor_proto(value)
        one = summary_pb2.Summary.Value(tag=tag, tensor=tensor, metadata=about)
        summary = summary_pb2.Summary(value=[one])
        self._writer.add_event(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))
