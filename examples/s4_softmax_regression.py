"""S4: softmax regression by plain gradient descent, 1,000 steps.

Needs Fashion-MNIST: downloaded once (30 MB), or Debian's package dataset-fashion-mnist.
With Keras: replace the import line by `import keras`; its `load_data()` is the same call.
"""

import hotloop as keras

(x_train, y_train), (x_test, y_test) = keras.datasets.fashion_mnist.load_data()
x_train = x_train.reshape(-1, 784).astype("float32") / 255
x_test = x_test.reshape(-1, 784).astype("float32") / 255
y_train = keras.utils.to_categorical(y_train, 10)
y_test = keras.utils.to_categorical(y_test, 10)

model = keras.Sequential(
    [keras.Input((784,)), keras.layers.Dense(10, activation="softmax", kernel_initializer="zeros")]
)
model.compile(
    optimizer=keras.optimizers.SGD(learning_rate=0.5),
    loss="categorical_crossentropy",
    metrics=["accuracy"],
)
model.fit(x_train, y_train, batch_size=100, epochs=5, steps_per_epoch=200, verbose=2)

loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"test accuracy: {accuracy:.4f}")
