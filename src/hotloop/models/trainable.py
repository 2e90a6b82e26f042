"""What examples, plans and runs ask of a model: for type checks alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..callbacks import History
    from ..graph.recording import Effect
    from ..graph.trace import Value
    from ..layers.base import Layer
    from ..optimizers import Optimizer
    from ..random import Counter
    from ..variables import Variable
    from .forms import Forms

    class Trainable:
        """A model, as far as this folder's parts know it."""

        inputs: list[Value]
        outputs: list[Value]
        input_form: Any
        output_form: Any
        built: bool
        dtype: str
        name: str
        history: History | None
        stop_training: bool
        stop_evaluating: bool
        stop_predicting: bool
        build: Callable[[Any], None]
        in_order: Callable[[Any], Any]
        describe: Callable[[], str]
        drawing_parts: Callable[[], list[Layer]]
        counter: Counter
        in_output_form: Callable[[list[Any]], Any]
        own_steps: dict[str, Any]
        overrides: Callable[[str], bool]
        reset_metrics: Callable[[], None]

        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

        @property
        def records_call(self) -> bool: ...

        @property
        def effects(self) -> list[Effect]: ...

        @property
        def forms(self) -> Forms: ...

        @property
        def input_names(self) -> list[str]: ...

        @property
        def output_names(self) -> list[str]: ...

        @property
        def layers(self) -> list[Layer]: ...

        @property
        def weights(self) -> list[Variable]: ...

        @property
        def trainable_weights(self) -> list[Variable]: ...

        @property
        def changed_weights(self) -> list[Variable]: ...

        @property
        def optimizer(self) -> Optimizer | None: ...
