"""S2: a small network on 100 random points and labels.

Needs nothing but hotloop.
With Keras: write `keras` for `hotloop` in the two import lines.
"""

import numpy as np

from hotloop.layers import Dense
from hotloop.models import Sequential

rng = np.random.default_rng(0)
x = rng.random((100, 2))
y = rng.integers(0, 2, (100, 1))

model = Sequential()
model.add(Dense(5, input_dim=2, activation="relu"))
model.add(Dense(1, activation="sigmoid"))
model.compile(loss="mean_squared_error", optimizer="adam", metrics=["accuracy"])
model.fit(x, y, epochs=100, batch_size=32, verbose=0)

score = model.evaluate(x, y, verbose=0)
print(f"training loss: {score[0]:.4f}, training accuracy: {score[1]:.2f}")
