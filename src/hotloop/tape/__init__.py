"""Computations of the user's own: recorded the first time, found again and run compiled later.

In a training step of one's own, and under a `GradientTape`, arrays are tensors
(`hotloop.tape.tensor`): values that will have numbers. Each call on tensors is looked up in a tree
of what was done before in this place (`hotloop.tape.recorder`). Where it is new, it becomes nodes
of a graph; later it is no more than that look-up. When somebody asks for numbers, the plan for the
way through the tree is run (`hotloop.tape.program`), which was compiled the first time.
"""

from .functions import grad, value_and_grad
from .gradient_tape import GradientTape
from .tensor import Tensor

__all__ = ["GradientTape", "Tensor", "grad", "value_and_grad"]
