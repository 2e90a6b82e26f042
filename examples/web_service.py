"""A web service that learns while it serves, on the standard library's HTTP server.

Needs nothing but hotloop: the digits come with it.

python web_service.py         asks itself: sends digits to learn, and digits to read
python web_service.py 8000    serves on port 8000 until Ctrl-C:

curl localhost:8000/read  -d '{"pixels": [64 numbers from 0 to 16]}'
curl localhost:8000/learn -d '{"pixels": [64 numbers from 0 to 16], "label": 7}'
"""

import json
import queue
import sys
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from hotloop.datasets import digits
from hotloop.layers import Dense
from hotloop.models import Sequential, clone_model

KEPT = 2000  # the newest examples, which each round of training repeats


class Reader:
    """A model that reads digits, and a thread that trains a copy of it on what it is told.

    Requests only ever read `self.model`. It is replaced, never changed: a request that began
    before sees the old weights to its end.
    """

    def __init__(self):
        self.learner = Sequential([Dense(64, "relu", input_dim=64), Dense(10, "softmax")])
        self.learner.compile("adam", "sparse_categorical_crossentropy")
        self.model = clone_model(self.learner)
        self.learned = 0
        self._told = queue.Queue()
        self._thread = threading.Thread(target=self._learn, daemon=True)
        self._thread.start()

    def read(self, pixels):
        [chances] = self.model(image(pixels)[None])
        return {"digit": int(chances.argmax()), "chance": round(float(chances.max()), 4)}

    def tell(self, pixels, label):
        if label not in range(10):
            raise ValueError(f"label must be a digit, not {label!r}")
        self._told.put((image(pixels), label))

    def close(self):
        """Learns what it was told, and ends the thread."""
        self.learner.stop_training = True
        self._told.put(None)
        self._thread.join()

    def _learn(self):
        x, y = np.empty((0, 64)), np.empty(0, "int64")
        over = False
        while not over:
            news = [self._told.get()]
            while not self._told.empty():
                news.append(self._told.get())
            over = None in news
            news = [one for one in news if one is not None]
            if news:
                x = np.concatenate([x, [pixels for pixels, _ in news]])[-KEPT:]
                y = np.concatenate([y, [label for _, label in news]])[-KEPT:]
                self.learner.fit(x, y, epochs=5, verbose=0)
                model = clone_model(self.learner)
                model.set_weights(self.learner.get_weights())
                self.model = model
                self.learned += len(news)


def image(pixels):
    """What a request says, as the model takes it."""
    numbers = np.asarray(pixels, "float32")
    if numbers.shape != (64,) or not np.isfinite(numbers).all():
        raise ValueError("pixels must be 64 numbers")
    return numbers / 16


def server(reader, port=0):
    """An HTTP server with a thread for each request; port 0 is any that is free."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            try:
                length = int(self.headers.get("Content-Length", 0))
                asked = json.loads(self.rfile.read(length))
                if self.path == "/read":
                    self.answer(200, reader.read(asked["pixels"]))
                elif self.path == "/learn":
                    reader.tell(asked["pixels"], asked["label"])
                    self.answer(202, {"learned": reader.learned})
                else:
                    self.answer(404, {"error": "there are /read and /learn"})
            except (KeyError, TypeError, ValueError) as error:
                self.answer(400, {"error": repr(error)})

        def answer(self, status, content):
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def ask(port, path, **question):
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, json.dumps(question))
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


def accuracy(port, images, labels):
    right = 0
    for image, label in zip(images, labels, strict=True):
        status, content = ask(port, "/read", pixels=image.ravel().tolist())
        assert status == 200, content
        right += content["digit"] == label
    return right / len(labels)


def demonstrate():
    (x, y), (x_test, y_test) = digits.load_data()
    reader = Reader()
    http = server(reader)
    port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        print(f"accuracy before: {accuracy(port, x_test[:100], y_test[:100]):.2f}")
        for image, label in zip(x, y, strict=True):
            status, content = ask(port, "/learn", pixels=image.ravel().tolist(), label=int(label))
            assert status == 202, content
        print(f"accuracy meanwhile: {accuracy(port, x_test[:100], y_test[:100]):.2f}")
        reader.close()
        print(f"accuracy at the end: {accuracy(port, x_test, y_test):.2f}")
        print(f"a question that is none: {ask(port, '/read', pixels=[1, 2])}")
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with server(Reader(), int(sys.argv[1])) as http:
            http.serve_forever()
    else:
        demonstrate()
