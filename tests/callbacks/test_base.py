import numpy as np
import pytest

from hotloop.callbacks import Callback, CallbackList, EarlyStopping, History, ProgressBar

HOOKS = [name for name in vars(Callback) if name.startswith("on_")]


class Recorder(Callback):
    def __init__(self):
        self.calls = []


def _record(name):
    def hook(self, *arguments):
        self.calls.append((name, *arguments))

    return hook


for _name in HOOKS:
    setattr(Recorder, _name, _record(_name))


class Model:
    history = None


def test_the_protocol_is_that_of_keras():
    whole = {f"on_{phase}_{end}" for phase in ("train", "test", "predict", "epoch", "batch")
             for end in ("begin", "end")}  # fmt: skip
    batches = {f"on_{phase}_batch_{end}" for phase in ("train", "test", "predict")
               for end in ("begin", "end")}  # fmt: skip
    assert set(HOOKS) == whole | batches


@pytest.mark.parametrize("hook", HOOKS)
def test_a_list_calls_each_hook_of_each_callback_in_order(hook):
    first, second = Recorder(), Recorder()
    hooks = CallbackList([first, second], Model())
    counted = "batch" in hook or "epoch" in hook
    position = (3,) if counted else ()
    getattr(hooks, hook)(*position, {"b": 1.0, "a": np.float32(0.5)})
    assert first.calls == [(hook, *position, {"a": 0.5, "b": 1.0})]
    assert second.calls == first.calls
    assert list(first.calls[0][-1]) == ["a", "b"]
    assert type(first.calls[0][-1]["a"]) is float


def test_no_logs_are_an_empty_dict():
    recorder = Recorder()
    CallbackList([recorder]).on_epoch_end(0)
    assert recorder.calls == [("on_epoch_end", 0, {})]


def test_what_one_callback_adds_to_the_logs_is_seen_by_the_next_and_by_history():
    class Adds(Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["extra"] = 1.5

    own = {"loss": 1.0}
    hooks = CallbackList([Adds()])
    hooks.on_epoch_end(0, own)
    assert hooks.history.history == {"loss": [1.0], "extra": [1.5]}
    assert own == {"loss": 1.0}


def test_older_batch_hooks_are_called_for_training_batches():
    class Older(Callback):
        def __init__(self):
            self.calls = []

        def on_batch_begin(self, batch, logs=None):
            self.calls.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            self.calls.append(("end", batch, logs))

    older = Older()
    hooks = CallbackList([older])
    assert hooks.wants_train_batches
    assert not hooks.wants_test_batches
    hooks.on_train_batch_begin(4)
    hooks.on_train_batch_end(4, {"loss": 1.0})
    assert older.calls == [("begin", 4), ("end", 4, {"loss": 1.0})]


@pytest.mark.parametrize("kind", ["train", "test", "predict"])
@pytest.mark.parametrize("end", ["begin", "end"])
def test_a_list_knows_who_looks_at_batches(kind, end):
    looks = type("Looks", (Callback,), {f"on_{kind}_batch_{end}": lambda *a, **k: None})
    hooks = CallbackList([Callback(), looks()])
    for other in ("train", "test", "predict"):
        assert getattr(hooks, f"wants_{other}_batches") == (other == kind)


def test_a_hook_set_on_an_instance_counts():
    callback = Callback()
    seen = []
    callback.on_train_batch_end = lambda batch, logs=None: seen.append(batch)
    hooks = CallbackList([callback])
    assert hooks.wants_train_batches
    hooks.on_train_batch_end(2)
    assert seen == [2]


@pytest.mark.parametrize(
    ("callbacks", "wanted"),
    [
        ([], False),
        ([History(), ProgressBar(0)], False),
        ([Callback()], False),
        ([ProgressBar(1)], True),
        ([ProgressBar(2)], True),
        ([EarlyStopping()], True),
        ([Recorder()], True),
    ],
)
def test_a_list_knows_whether_anybody_looks_at_epochs(callbacks, wanted):
    hooks = CallbackList(callbacks)
    assert hooks.wants_epochs is wanted
    if not any(isinstance(callback, Recorder) for callback in callbacks):
        assert not hooks.wants_train_batches


def test_history_is_always_there_once():
    assert isinstance(CallbackList().history, History)
    mine = History()
    hooks = CallbackList([mine])
    assert hooks.history is mine
    assert list(hooks) == [mine]


def test_model_and_settings_are_passed_on():
    recorder, model = Recorder(), Model()
    CallbackList(recorder, model, {"epochs": 3})
    assert recorder.model is model
    assert recorder.params == {"epochs": 3}
    assert model.history is None


def test_lists_may_be_nested():
    a, b, c = Callback(), Callback(), Callback()
    assert list(CallbackList([a, (b, [c])]))[:3] == [a, b, c]
    assert next(iter(CallbackList(CallbackList([a])))) is a


def test_a_subclass_need_not_call_the_base_constructor():
    class Bare(Callback):
        def __init__(self):
            pass

    bare = Bare()
    assert bare.model is None
    CallbackList([bare], Model(), {})
    assert isinstance(bare.model, Model)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            [EarlyStopping],
            r"got the class EarlyStopping; pass an instance, EarlyStopping\(\.\.\.\)",
        ),
        (["early_stopping"], "'early_stopping' of type str; derive its class from Callback"),
        ([Callback(), print], "derive its class from Callback"),
        (3, "of type int"),
    ],
)
def test_what_is_no_callback_is_refused(given, message):
    with pytest.raises(TypeError, match=message):
        CallbackList(given)
