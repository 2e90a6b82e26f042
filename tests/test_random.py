import random as python_random
import threading
import time

import numpy as np
import pytest
from concurrency import in_threads

from hotloop import random


def _draws():
    return (
        python_random.random(),
        np.random.random(),  # noqa: NPY002 - the global generator is seeded too
        random.generator().random(),
        random.next_key(),
    )


def test_one_seed_sets_all_three_generators():
    random.set_random_seed(5)
    first = _draws()
    random.set_random_seed(5)
    assert _draws() == first
    random.set_random_seed(6)
    assert all(a != b for a, b in zip(_draws(), first, strict=True))


@pytest.mark.parametrize("seed", [0, 2**32 - 1, np.int64(3)])
def test_every_seed_of_numpy_is_taken(seed):
    random.set_random_seed(seed)
    assert 0 <= random.next_key() < 2**64


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None, 2**32])
def test_other_seeds_are_refused_and_change_nothing(seed):
    random.set_random_seed(5)
    before = random.generator()
    with pytest.raises(ValueError, match="seed must be"):
        random.set_random_seed(seed)
    assert random.generator() is before


def test_keys_use_all_64_bits():
    random.set_random_seed(0)
    seen_one = seen_zero = 0
    for _ in range(200):
        key = random.next_key()
        seen_one |= key
        seen_zero |= ~key
    everything = 2**64 - 1
    assert seen_one == everything
    assert seen_zero & everything == everything


def test_threads_never_get_the_same_key():
    drawn = in_threads(*[lambda: [random.next_key() for _ in range(500)]] * 4)
    assert len({key for keys in drawn for key in keys}) == 2000


def test_drawing_from_a_source_leaves_the_generator_as_it_was():
    random.set_random_seed(3)
    expected = [random.next_key() for _ in range(2)]
    random.set_random_seed(3)
    found = [random.next_key()]
    with random.drawing_from(np.random.default_rng(9)):
        own = (random.next_key(), random.orders(5, 1).tolist())
        with random.drawing_from(np.random.default_rng(1)):
            random.next_key()
        assert random.next_key() != own[0]
    found.append(random.next_key())
    assert found == expected
    with random.drawing_from(np.random.default_rng(9)):
        assert (random.next_key(), random.orders(5, 1).tolist()) == own


def test_another_thread_draws_from_the_generator():
    random.set_random_seed(3)
    expected = random.next_key()
    random.set_random_seed(3)
    found = []
    with random.drawing_from(np.random.default_rng(9)):
        thread = threading.Thread(target=lambda: found.append(random.next_key()))
        thread.start()
        thread.join()
    assert found == [expected]


def test_threads_that_draw_first_share_one_generator(monkeypatch):
    made = []
    first = np.random.default_rng

    def slow(*seed):
        made.append(first(*seed))
        time.sleep(0.01)
        return made[-1]

    monkeypatch.setattr(random, "_generator", None)
    monkeypatch.setattr(np.random, "default_rng", slow)
    found = in_threads(*[random.generator] * 4)
    assert len(made) == 1
    assert all(generator is made[0] for generator in found)
