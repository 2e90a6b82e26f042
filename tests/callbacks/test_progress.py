import io
import re
import subprocess
import sys
import threading
from contextlib import redirect_stdout

import pytest

from hotloop.callbacks import CallbackList, ProgressBar

FINAL = {"loss": 0.25, "accuracy": 0.875, "val_loss": 1e-5, "val_accuracy": 0.0}


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def _fit(verbose, epochs=2, updates=(3, 7)):
    hooks = CallbackList([bar := ProgressBar(verbose)], params={"epochs": epochs, "steps": 10})
    hooks.on_train_begin()
    for epoch in range(epochs):
        hooks.on_epoch_begin(epoch)
        for step in updates:
            bar.update(step, 10, {"loss": 1.0 / step})
        hooks.on_test_begin()
        bar.update(1, 2, {"loss": 99.0})
        hooks.on_test_end({"loss": 98.0})
        hooks.on_epoch_end(epoch, FINAL)
    hooks.on_train_end()


def _evaluate(verbose, steps=10):
    hooks = CallbackList([bar := ProgressBar(verbose)], params={"epochs": None, "steps": steps})
    hooks.on_test_begin()
    bar.update(4, steps, {"loss": 2.0})
    hooks.on_test_end({"loss": 3.0})


def _predict(verbose, steps=10):
    hooks = CallbackList([bar := ProgressBar(verbose)], params={"epochs": None, "steps": steps})
    hooks.on_predict_begin()
    bar.update(4, steps)
    hooks.on_predict_end({"outputs": object()})


def _on_terminal(run, *arguments, **keywords):
    """What a run writes to a terminal."""
    with redirect_stdout(Terminal()) as screen:
        run(*arguments, **keywords)
    return screen.getvalue()


def _shown(text):
    """What is left on each line after carriage returns."""
    return [line.split("\r")[-1].rstrip() for line in text.split("\n")[:-1]]


@pytest.mark.parametrize("run", [_fit, _evaluate, _predict])
def test_0_shows_nothing_anywhere(run, capfd):
    run(0)
    assert capfd.readouterr() == ("", "")
    assert _on_terminal(run, 0) == ""
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [1, 2, "auto"])
def test_a_file_gets_one_line_for_each_epoch(verbose, capfd):
    _fit(verbose)
    out, err = capfd.readouterr()
    assert err == ""
    metrics = "accuracy: 0.8750 - loss: 0.2500 - val_accuracy: 0.0000 - val_loss: 1.0000e-05"
    assert re.fullmatch(
        rf"Epoch 1/2 - \d+\.\d\ds - {metrics}\nEpoch 2/2 - \d+\.\d\ds - {metrics}\n", out
    )


def test_a_file_gets_one_line_for_evaluation_and_prediction(capfd):
    _evaluate(1)
    _predict(2)
    out, _ = capfd.readouterr()
    assert re.fullmatch(r"Evaluation - \d+\.\d\ds - loss: 3\.0000\nPrediction - \d+\.\d\ds\n", out)


def test_2_shows_lines_in_a_terminal_too():
    text = _on_terminal(_fit, 2)
    assert "\r" not in text
    assert [line[:10] for line in text.splitlines()] == ["Epoch 1/2 ", "Epoch 2/2 "]


def test_a_terminal_gets_a_bar_that_is_left_finished():
    text = _on_terminal(_fit, 1)
    lines = _shown(text)
    assert (lines[0], lines[2], len(lines)) == ("Epoch 1/2", "Epoch 2/2", 4)
    for line in (lines[1], lines[3]):
        assert re.fullmatch(
            r"10/10 \|█{20}\| \d+\.\d\ds - [\d.]+(us|ms|s)/step - accuracy: 0.8750 - loss: 0.2500"
            r" - val_accuracy: 0.0000 - val_loss: 1.0000e-05",
            line,
        )
    assert "3/10 |" in text
    assert "loss: 0.3333" in text


def test_validation_is_silent_within_training():
    text = _on_terminal(_fit, 1)
    assert "99.0" not in text
    assert "98.0" not in text
    assert "1/2 |" not in text


def test_a_single_epoch_has_no_title_and_a_fast_one_still_a_bar():
    (line,) = _shown(_on_terminal(_fit, 1, epochs=1, updates=()))
    assert line.startswith("10/10 |████████████████████| ")


@pytest.mark.parametrize(("steps", "done"), [(10, "10/10"), (None, "4/4")])
def test_bars_of_evaluation_and_prediction(steps, done):
    (evaluation,) = _shown(_on_terminal(_evaluate, 1, steps))
    (prediction,) = _shown(_on_terminal(_predict, 1, steps))
    assert evaluation.startswith(f"{done} |████████████████████| ")
    assert evaluation.endswith("/step - loss: 3.0000")
    assert prediction.startswith(f"{done} |████████████████████| ")
    assert prediction.endswith("/step")


def test_after_training_evaluation_shows_again(capfd):
    hooks = CallbackList([ProgressBar(1)], params={"epochs": 1, "steps": 1})
    hooks.on_train_begin()
    hooks.on_train_end()
    hooks.on_test_begin()
    hooks.on_test_end({"loss": 1.0})
    assert "loss: 1.0000" in capfd.readouterr().out


def test_a_bar_left_in_the_middle_ends_its_line():
    bar = ProgressBar(1)
    bar.set_params({"epochs": 1, "steps": 10})
    with redirect_stdout(Terminal()) as screen:
        bar.on_epoch_begin(0)
        bar.update(3, 10, {"loss": 1.0})
        assert not screen.getvalue().endswith("\n")
        bar.close()
        assert _shown(screen.getvalue())[0].startswith("3/10 |██████")
        once = screen.getvalue()
        bar.close()
        assert screen.getvalue() == once


def test_the_bar_asks_for_no_batches_and_leaves_no_thread():
    hooks = CallbackList([ProgressBar(1)])
    assert not hooks.wants_train_batches
    assert not hooks.wants_test_batches
    assert not hooks.wants_predict_batches
    before = threading.active_count()
    _on_terminal(_fit, 1)
    assert threading.active_count() == before


def test_tqdm_is_not_imported_before_a_bar_is_shown():
    code = "import sys, hotloop.callbacks as c; c.ProgressBar(1); print('tqdm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("verbose", [3, -1, "yes", None])
def test_verbose_is_checked(verbose):
    with pytest.raises(ValueError, match="verbose must be 0, 1, 2 or 'auto'"):
        ProgressBar(verbose)
