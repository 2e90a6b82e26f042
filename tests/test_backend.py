"""Keras's `backend` module."""

import numpy as np
import pytest

import hotloop
from hotloop import backend

keras = pytest.importorskip("keras")


def test_names_begin_anew():
    backend.clear_session()
    assert hotloop.layers.Dense(1).name == "dense"
    assert hotloop.layers.Dense(1).name == "dense_1"
    hotloop.utils.clear_session(free_memory=False)
    assert hotloop.layers.Dense(1).name == "dense"
    for module in (backend, keras.backend):
        module.clear_session()
        assert [module.get_uid("x"), module.get_uid("x"), module.get_uid()] == [1, 2, 1]


@pytest.mark.parametrize(
    "dtype", [None, "float32", "float64", "int32", "bool", int, float, bool, str, np.float16,
              np.dtype("uint8"), np.int64, "string", "bfloat16", "nothing", 3]
)  # fmt: skip
def test_dtypes_are_called_as_in_keras(dtype):
    for name in ("standardize_dtype", "is_float_dtype", "is_int_dtype"):
        try:
            wanted = getattr(keras.backend, name)(dtype)
        except (ValueError, TypeError):
            if name == "standardize_dtype":
                with pytest.raises(ValueError, match="is no dtype"):
                    backend.standardize_dtype(dtype)
            continue
        assert getattr(backend, name)(dtype) == wanted


def test_settings():
    assert backend.epsilon() == keras.backend.epsilon() == 1e-7
    backend.set_epsilon(1e-7)
    with pytest.raises(ValueError, match="argument epsilon of their own"):
        backend.set_epsilon(1e-5)
    assert backend.image_data_format() == "channels_last"
    hotloop.config.set_image_data_format("channels_first")
    assert backend.image_data_format() == "channels_first"
    backend.set_image_data_format("channels_last")
    with pytest.raises(ValueError, match="data_format"):
        backend.set_image_data_format("last")
    assert backend.backend() == hotloop.config.backend()


def test_what_is_symbolic():
    x = hotloop.Input((3,))
    assert backend.is_keras_tensor(x)
    assert backend.is_keras_tensor(hotloop.layers.Dense(1)(x))
    assert not backend.is_keras_tensor(np.ones(3))
    assert not backend.is_keras_tensor(hotloop.Variable([1.0]))


def test_what_is_printed_may_go_to_a_log(caplog, capsys):
    caplog.set_level("INFO", "hotloop")
    model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=2)])
    model.compile("sgd", "mse")
    hotloop.config.disable_interactive_logging()
    try:
        assert not hotloop.utils.is_interactive_logging_enabled()
        model.fit(np.ones((4, 2)), np.ones(4), epochs=2)
    finally:
        hotloop.config.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    assert [record.message[:9] for record in caplog.records] == ["Epoch 1/2", "Epoch 2/2"]
