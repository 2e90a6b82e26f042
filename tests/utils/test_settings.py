"""A bag of settings, beside Keras's."""

import pytest

from hotloop import utils

keras = pytest.importorskip("keras")


def test_it_does_what_keras_does():
    for module in (utils, keras.utils):
        config = module.Config(rate=0.1)
        config.units = 3
        config["depth"] = 2
        config.update({"name": "x"}, more=1)
        assert config.pop("more") == 1
        assert config.as_dict() == {"rate": 0.1, "units": 3, "depth": 2, "name": "x"}
        assert config["units"] == config.units == 3
        assert "name" in config
        assert config.pop("name") == "x"
        assert list(config.keys()) == ["rate", "units", "depth"]
        assert len(config) == 3
        assert '"units": 3' in config.to_json()
        config.freeze()
        assert config.frozen
        for change in (lambda c: setattr(c, "x", 1), lambda c: c.pop("rate"), lambda c: c.update()):
            with pytest.raises(ValueError, match="frozen"):
                change(config)
        config.unfreeze()
        config.x = 1
        with pytest.raises(AttributeError, match="nothing"):
            _ = config.nothing
