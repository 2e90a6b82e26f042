"""Nested structures, beside Keras's."""

from collections import OrderedDict, namedtuple

import pytest

from hotloop import tree

keras = pytest.importorskip("keras")

Pair = namedtuple("Pair", "b a")
STRUCTURES = [
    1,
    None,
    [],
    {},
    [1, (2, {"b": 3, "a": [4, None]})],
    {"z": 1, "a": (2, 3)},
    OrderedDict([("z", 1), ("a", 2)]),
    Pair(1, [2, Pair(3, 4)]),
    {2: "x", 1: ("y",)},
]


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_every_function_does_what_keras_does(structure):
    theirs = keras.tree
    assert tree.is_nested(structure) == theirs.is_nested(structure)
    leaves = tree.flatten(structure)
    assert leaves == theirs.flatten(structure)
    if not isinstance(structure, Pair):  # whose fields Keras takes in another order there
        assert tree.flatten_with_path(structure) == theirs.flatten_with_path(structure)
    for name, arguments in {
        "map_structure": (lambda x: [x], structure),
        "pack_sequence_as": (structure, [f"l{i}" for i in range(len(leaves))]),
        "lists_to_tuples": (structure,),
        "traverse": (lambda x: x if isinstance(x, tuple) else None, structure),
        "map_structure_up_to": (structure, str, structure),
    }.items():
        ours, wanted = (getattr(module, name)(*arguments) for module in (tree, theirs))
        assert ours == wanted, name
        assert type(ours) is type(wanted), name
        if isinstance(ours, dict) and name == "map_structure":
            assert list(ours) == list(wanted), name
    for module in (tree, theirs):
        assert module.map_structure(lambda a, b: (a, b), structure, structure) is not structure
        module.assert_same_structure(structure, structure)
        module.assert_same_paths(structure, structure)


def test_none_may_stay():
    for module in (tree, keras.tree):
        found = module.map_structure(lambda x: x + 1, [1, None], none_is_leaf=False)
        assert found == [2, None]
        shapes = {"a": (None, 3), "b": [(1, 2), (3,)]}
        assert module.map_shape_structure(len, shapes) == {"a": 2, "b": [2, 1]}
        bottom = module.traverse(
            lambda x: sum(x) if isinstance(x, list) else None, [[1, 2], [3]], top_down=False
        )
        assert bottom == 6
        nothing = module.MAP_TO_NONE
        gone = module.traverse(lambda x, nothing=nothing: nothing if x == 1 else None, [1, 2])
        assert gone == [None, 2]


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.pack_sequence_as([1, 2], [1]),
        lambda m: m.pack_sequence_as(1, [1, 2]),
        lambda m: m.map_structure(str, [1], [1, 2]),
        lambda m: m.map_structure(str, {"a": 1}, {"b": 1}),
        lambda m: m.map_structure(str),
        lambda m: m.map_structure("no function", 1),
        lambda m: m.assert_same_structure([1], 1),
        lambda m: m.assert_same_structure([1], (1,)),
        lambda m: m.assert_same_structure([1], [1, 2]),
        lambda m: m.assert_same_paths([1], [1, 2]),
        lambda m: m.map_structure_up_to([1, 2], str, [1]),
        lambda m: m.map_structure_up_to([1, [2]], str, [1, 2]),
    ],
)
def test_structures_that_do_not_fit(call):
    for module in (keras.tree, tree):
        with pytest.raises((ValueError, TypeError)):
            call(module)
