"""hotloop's models as scikit-learn estimators.

Needs scikit-learn, which ``pip install scikit-learn`` installs; ``import hotloop`` does not
import this package.
"""

try:
    from sklearn.utils.validation import validate_data as _  # noqa: F401
except ImportError as error:
    raise ImportError(
        "hotloop.sklearn needs scikit-learn 1.6 or newer: pip install scikit-learn"
    ) from error

from .classifier import MLPClassifier
from .keras_style import KerasStyleClassifier, KerasStyleRegressor
from .regressor import MLPRegressor

__all__ = ["KerasStyleClassifier", "KerasStyleRegressor", "MLPClassifier", "MLPRegressor"]
