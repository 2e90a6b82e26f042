"""Data set tests see no data of this machine and no network beyond a server of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hotloop.datasets import boston_housing, fashion_mnist, files, mnist


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and keeps its log to itself."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, no data folder, no installed copies, and addresses that refuse."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HOTLOOP_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def unplugged(source: files.Source) -> files.Source:
        return replace(source, system=(), url=f"http://127.0.0.1:9/{source.name}")

    sources = tuple(unplugged(source) for source in fashion_mnist._SOURCES)
    boston = unplugged(boston_housing._source())
    monkeypatch.setattr(mnist, "_SOURCE", unplugged(mnist._SOURCE))
    monkeypatch.setattr(fashion_mnist, "_SOURCES", sources)
    monkeypatch.setattr(boston_housing, "_source", lambda: boston)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield folder, f"http://127.0.0.1:{httpd.server_port}/"
        finally:
            httpd.shutdown()
            thread.join()
