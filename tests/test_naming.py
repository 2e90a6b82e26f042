import re

import pytest
from concurrency import in_threads

from hotloop import naming

TABLE = {"relu": 1, "leaky_relu": 2, "elu": 3, "GlorotUniform": 4}


@pytest.mark.parametrize(
    ("name", "entry"),
    [("relu", 1), ("ReLU", 1), ("leaky_relu", 2), ("LeakyReLU", 2), ("glorot_uniform", 4)],
)
def test_lookup_ignores_case_and_underscores(name, entry):
    assert naming.lookup("activation", name, TABLE) == entry


def test_lookup_prefers_the_exact_name():
    assert naming.lookup("thing", "AB", {"ab": 1, "AB": 2}) == 2


def test_lookup_names_the_nearest_and_all_others():
    message = (
        "Unknown activation 'rellu'. Did you mean 'relu'? "
        "Known: elu, GlorotUniform, leaky_relu, relu"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        naming.lookup("activation", "rellu", TABLE)


def test_lookup_makes_no_far_fetched_guess():
    with pytest.raises(ValueError, match=r"^Unknown activation 'qqqq'\. Known: "):
        naming.lookup("activation", "qqqq", TABLE)


def test_lookup_refuses_what_is_no_name():
    with pytest.raises(TypeError, match="name of one activation"):
        naming.lookup("activation", 3, TABLE)


class Thing:
    def __init__(self, size=1):
        self.size = size

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def test_instantiate_takes_names_classes_configurations_and_callables():
    table = {"thing": Thing}
    assert naming.instantiate("thing", "Thing", table).size == 1
    assert naming.instantiate("thing", Thing, table).size == 1
    config = {"class_name": "Thing", "config": {"size": 3}}
    assert naming.instantiate("thing", config, table).size == 3
    assert naming.instantiate("thing", {"class_name": "thing"}, table).size == 1
    assert naming.instantiate("thing", len, table) is len


@pytest.mark.parametrize("identifier", [3, None, {"config": {}}])
def test_instantiate_refuses_anything_else(identifier):
    with pytest.raises(ValueError, match="one thing"):
        naming.instantiate("thing", identifier, {"thing": Thing})


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("Dense", "dense"),
        ("Sequential", "sequential"),
        ("BatchNormalization", "batch_normalization"),
        ("ReLU", "re_lu"),
        ("AUC", "auc"),
        ("TopKCategoricalAccuracy", "top_k_categorical_accuracy"),
        ("<lambda>", "lambda"),
    ],
)
def test_snake_case(name, snake):
    assert naming.snake_case(name) == snake


def test_unique_names_count_each_prefix_from_the_bare_one():
    naming.clear_names()
    assert [naming.unique_name("dense") for _ in range(3)] == ["dense", "dense_1", "dense_2"]
    assert naming.unique_name("sequential") == "sequential"
    naming.clear_names()
    assert naming.unique_name("dense") == "dense"


def test_unique_names_are_unique_among_threads():
    naming.clear_names()
    found = in_threads(*[lambda: [naming.unique_name("a") for _ in range(500)]] * 4)
    names = [name for some in found for name in some]
    assert len(set(names)) == len(names) == 2000
