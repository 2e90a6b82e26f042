"""Logs that a server is sent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import numpy as np
import pytest

import hotloop


@pytest.fixture
def server():
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((self.path, self.headers, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", received
        running.shutdown()
        thread.join()


def fit(monitor):
    model = hotloop.Sequential([hotloop.layers.Dense(1, input_dim=2)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model.fit(np.ones((4, 2)), np.ones(4), epochs=2, verbose=0, callbacks=[monitor]).history


@pytest.mark.parametrize("as_json", [False, True])
def test_a_server_gets_the_logs(as_json, server):
    root, received = server
    history = fit(
        hotloop.callbacks.RemoteMonitor(
            root, "/here/", field="logs", headers={"X-Mine": "1"}, send_as_json=as_json
        )
    )
    assert len(received) == 2
    for epoch, (path, headers, body) in enumerate(received):
        assert path == "/here/"
        assert headers["X-Mine"] == "1"
        found = json.loads(body if as_json else parse_qs(body)["logs"][0])
        assert found == {"epoch": epoch} | {name: values[epoch] for name, values in history.items()}


def test_a_server_that_is_not_there_is_a_warning():
    with pytest.warns(UserWarning, match="cannot be reached"):
        fit(hotloop.callbacks.RemoteMonitor("http://127.0.0.1:9"))
