"""A bar for loops of the user's own."""

import pytest

from hotloop import utils


def test_lines(capsys):
    bar = utils.Progbar(10, verbose=2, stateful_metrics=["rate"], unit_name="batch")
    for _ in range(5):
        bar.add(2, [("loss", 1.0), ("rate", 0.5)])
    bar = utils.Progbar(3, verbose=1, stateless_metrics=["loss"])
    bar.update(1, [("loss", 1.0), ("last", 1.0)])
    bar.update(3, [("loss", 4.0), ("last", 2.0)])
    utils.Progbar(1, verbose=0).update(1)
    utils.Progbar(None, verbose=2).update(7, finalize=True)
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("10/10 - 0s ")
    assert first.endswith("ms/batch - loss: 1.0000 - rate: 0.5000")
    assert second.startswith("3/3 [====================] - 0s")
    assert second.endswith("loss: 3.0000 - last: 2.0000")
    assert third.startswith("7 - 0s")
    with pytest.raises(ValueError, match="not both"):
        utils.Progbar(1, stateful_metrics=[], stateless_metrics=[])
