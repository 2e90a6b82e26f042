"""What a model is to do, for each purpose."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

import hotloop
from hotloop.layers import Dense
from hotloop.models.arrays import Arrays
from hotloop.models.plans import Purpose
from hotloop.models.task import Task

x = np.arange(20.0).reshape(10, 2).astype("f4")
y = x[:, :1]


def task_for(purpose):
    model = hotloop.Sequential([Dense(1, input_dim=2)])
    model.compile("sgd", "mse")
    return Task(model, model._plans, purpose, model._compilation)


@pytest.mark.parametrize("purpose", get_args(Purpose))
def test_a_task_of_any_purpose_can_be_stopped_and_begun(purpose):
    task = task_for(purpose)
    flags = [name for name in vars(task.model) if name.startswith("stop_")]
    for flag in flags:
        setattr(task.model, flag, True)
    assert task.is_stopped()
    task.begin()
    assert not task.is_stopped()
    assert sum(getattr(task.model, flag) for flag in flags) == len(flags) - 1


@pytest.mark.parametrize("purpose", ["train", "evaluate", "gradients"])
def test_a_part_is_a_whole_batch_with_its_plan(purpose):
    task = task_for(purpose)
    part = task.part(x[:5], y[:5], None, {0: 2.0})
    assert part.ready.plan.batch_size == 8
    assert (part.first, part.count, part.rows(1)) == (0, 1, 5)
    assert part.data.weight is not None
    assert part.ready is task.ready(part.data.form, 8, part.objective)


@pytest.mark.parametrize(
    ("batch_size", "steps", "batches"), [(4, None, 3), (4, 2, 2), (None, 5, 5)]
)
def test_arrays_run_as_many_batches_as_there_are_or_fewer(batch_size, steps, batches):
    task = task_for("evaluate")
    source = Arrays(task, task.read(x, y, None), batch_size, steps)
    [part] = source.parts()
    assert (source.steps, part.count) == (batches, batches)
    assert part.objective is source.objective is not None
