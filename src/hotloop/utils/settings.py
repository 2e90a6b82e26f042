"""A bag of settings with names."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView
from typing import Any


class Config:
    """Settings by name, as attributes and as a dict, which `freeze` makes read-only.

    Parameters
    ----------
    **kwargs

    Raises
    ------
    ValueError
        Where a frozen one is changed.

    Examples
    --------
    >>> settings = Config(rate=0.1)
    >>> settings.units = 8
    >>> settings["rate"], settings.as_dict()
    (0.1, {'rate': 0.1, 'units': 8})
    """

    def __init__(self, **kwargs: Any) -> None:
        self.__dict__["_settings"] = dict(kwargs)
        self.__dict__["_frozen"] = False

    def freeze(self) -> None:
        """No change from here on."""
        self.__dict__["_frozen"] = True

    def unfreeze(self) -> None:
        """Changes are possible again."""
        self.__dict__["_frozen"] = False

    @property
    def frozen(self) -> bool:
        """Whether it cannot be changed."""
        return bool(self.__dict__["_frozen"])

    def _check(self) -> None:
        if self.frozen:
            raise ValueError("this Config is frozen: call unfreeze() before it is changed")

    def as_dict(self) -> dict[str, Any]:
        """The settings; a copy."""
        return dict(self.__dict__["_settings"])

    def to_json(self) -> str:
        """The settings as JSON."""
        import json

        return json.dumps(self.__dict__["_settings"])

    def keys(self) -> KeysView[str]:
        """Names."""
        return self.as_dict().keys()

    def items(self) -> ItemsView[str, Any]:
        """Names and settings."""
        return self.as_dict().items()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As of a dict."""
        self._check()
        self.__dict__["_settings"].update(*args, **kwargs)

    def pop(self, *args: Any) -> Any:
        """As of a dict."""
        self._check()
        return self.__dict__["_settings"].pop(*args)

    def __getattr__(self, name: str) -> Any:
        settings = self.__dict__.get("_settings", {})
        if name not in settings:
            raise AttributeError(f"Config has no setting {name!r}; it has {', '.join(settings)}")
        return settings[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self._check()
        self.__dict__["_settings"][name] = value

    def __delattr__(self, name: str) -> None:
        self._check()
        del self.__dict__["_settings"][name]

    def __getitem__(self, name: str) -> Any:
        return self.__dict__["_settings"][name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.__setattr__(name, value)

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__["_settings"]

    def __iter__(self) -> Iterator[str]:
        return iter(self.as_dict())

    def __len__(self) -> int:
        return len(self.__dict__["_settings"])

    def __repr__(self) -> str:
        return f"<Config {self.as_dict()}>"
