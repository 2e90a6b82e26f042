"""Logs that a server is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..console import warn_user
from .base import Callback, Logs


class RemoteMonitor(Callback):
    """Sends the logs of each epoch to a server, as an HTTP POST.

    A server that cannot be reached is a warning, and no reason for a fit to fail.

    Parameters
    ----------
    root : str
        URL of the server.
    path : str
        Where on it.
    field : str
        The field of the form that has the logs as JSON.
    headers : mapping, optional
        Of the request.
    send_as_json : bool
        Whether the logs are the body of the request, and not in a form.

    Examples
    --------
    >>> RemoteMonitor("http://localhost:9000").field
    'data'
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Sends the epoch and its logs."""
        import json
        from urllib.error import URLError
        from urllib.parse import urlencode
        from urllib.request import Request, urlopen

        numbers: dict[str, Any] = {name: float(value) for name, value in (logs or {}).items()}
        text = json.dumps({"epoch": epoch} | numbers)
        kind, body = "application/json", text
        if not self.send_as_json:
            kind, body = "application/x-www-form-urlencoded", urlencode({self.field: text})
        headers = {"Content-Type": kind} | dict(self.headers or {})
        request = Request(self.root + self.path, body.encode(), headers, method="POST")
        try:
            with urlopen(request, timeout=_TIMEOUT_SECONDS):
                pass
        except (URLError, OSError) as error:
            warn_user(f"RemoteMonitor: {self.root} cannot be reached ({error})")


_TIMEOUT_SECONDS = 10.0
