"""S0: linear regression on Boston housing.

Needs mlxtend, which holds the data, and scikit-learn: pip install mlxtend scikit-learn
With Keras: write `keras` for `hotloop` in the two import lines.
"""

from mlxtend.data import boston_housing_data
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from hotloop.layers import Dense
from hotloop.models import Sequential

x, y = boston_housing_data()
x = StandardScaler().fit_transform(x)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=42)

model = Sequential()
model.add(Dense(1, input_dim=13, activation="linear"))
model.compile(loss="mean_squared_error", optimizer="adam")
model.fit(x_train, y_train, epochs=100, batch_size=1, verbose=0)

predicted = model.predict(x_test, verbose=0)
print(f"test MSE: {mean_squared_error(y_test, predicted):.2f}")
