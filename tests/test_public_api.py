"""The face: modules, names and the order of positional arguments are those of Keras 3."""

from __future__ import annotations

import importlib
import inspect
import types

import pytest

import hotloop
import hotloop as keras

# Positional parameters in Keras 3's order, as far as a program may count on them.
RECORDED = """\
activations.celu: x, alpha
activations.elu: x, alpha
activations.exponential: x
activations.gelu: x, approximate
activations.get: identifier
activations.glu: x, axis
activations.hard_shrink: x, threshold
activations.hard_sigmoid: x
activations.hard_silu: x
activations.hard_swish: x
activations.hard_tanh: x
activations.leaky_relu: x, negative_slope
activations.linear: x
activations.log_sigmoid: x
activations.log_softmax: x, axis
activations.mish: x
activations.relu: x, negative_slope, max_value, threshold
activations.relu6: x
activations.selu: x
activations.sigmoid: x
activations.silu: x
activations.soft_shrink: x, threshold
activations.softmax: x, axis
activations.softplus: x
activations.softsign: x
activations.sparse_plus: x
activations.sparse_sigmoid: x
activations.sparsemax: x, axis
activations.squareplus: x, b
activations.swish: x
activations.tanh: x
activations.tanh_shrink: x
activations.threshold: x, threshold, default_value
callbacks.BackupAndRestore: backup_dir, save_freq, double_checkpoint, delete_checkpoint
callbacks.CSVLogger: filename, separator, append
callbacks.Callback:
callbacks.EarlyStopping: monitor, min_delta, patience, verbose, mode, baseline,
  restore_best_weights, start_from_epoch
callbacks.History:
callbacks.LambdaCallback: on_epoch_begin, on_epoch_end, on_train_begin, on_train_end,
  on_train_batch_begin, on_train_batch_end
callbacks.LearningRateScheduler: schedule, verbose
callbacks.ModelCheckpoint: filepath, monitor, verbose, save_best_only, save_weights_only, mode,
  save_freq, initial_value_threshold
callbacks.ReduceLROnPlateau: monitor, factor, patience, verbose, mode, min_delta, cooldown,
  min_lr
callbacks.TensorBoard: log_dir, histogram_freq, write_graph, write_images,
  write_steps_per_second, update_freq, profile_batch, embeddings_freq, embeddings_metadata
callbacks.TerminateOnNaN: raise_error
initializers.Constant: value
initializers.GlorotNormal: seed, input_axes, output_axes
initializers.GlorotUniform: seed, input_axes, output_axes
initializers.HeNormal: seed, input_axes, output_axes
initializers.HeUniform: seed, input_axes, output_axes
initializers.Identity: gain
initializers.IdentityInitializer: gain
initializers.Initializer:
initializers.LecunNormal: seed, input_axes, output_axes
initializers.LecunUniform: seed, input_axes, output_axes
initializers.Ones:
initializers.Orthogonal: gain, seed
initializers.OrthogonalInitializer: gain, seed
initializers.RandomNormal: mean, stddev, seed
initializers.RandomUniform: minval, maxval, seed
initializers.STFT: side, window, scaling, periodic
initializers.STFTInitializer: side, window, scaling, periodic
initializers.TruncatedNormal: mean, stddev, seed
initializers.VarianceScaling: scale, mode, distribution, seed, input_axes, output_axes
initializers.Zeros:
initializers.constant: value
initializers.get: identifier
initializers.glorot_normal: seed, input_axes, output_axes
initializers.glorot_uniform: seed, input_axes, output_axes
initializers.he_normal: seed, input_axes, output_axes
initializers.he_uniform: seed, input_axes, output_axes
initializers.identity: gain
initializers.lecun_normal: seed, input_axes, output_axes
initializers.lecun_uniform: seed, input_axes, output_axes
initializers.ones:
initializers.orthogonal: gain, seed
initializers.random_normal: mean, stddev, seed
initializers.random_uniform: minval, maxval, seed
initializers.stft: side, window, scaling, periodic
initializers.truncated_normal: mean, stddev, seed
initializers.variance_scaling: scale, mode, distribution, seed, input_axes, output_axes
initializers.zeros:
layers.Activation: activation
layers.Add:
layers.AlphaDropout: rate, noise_shape, seed
layers.Average:
layers.BatchNormalization: axis, momentum, epsilon, center, scale, beta_initializer,
  gamma_initializer, moving_mean_initializer, moving_variance_initializer, beta_regularizer,
  gamma_regularizer, beta_constraint, gamma_constraint, renorm, renorm_clipping, renorm_momentum,
  synchronized
layers.CategoryEncoding: num_tokens, output_mode, sparse
layers.Concatenate: axis
layers.Dense: units, activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer,
  bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint, lora_rank, lora_alpha,
  quantization_config
layers.Discretization: bin_boundaries, num_bins, epsilon, output_mode, sparse, dtype, name
layers.Dot: axes, normalize
layers.Dropout: rate, noise_shape, seed
layers.ELU: alpha
layers.Embedding: input_dim, output_dim, embeddings_initializer, embeddings_regularizer,
  embeddings_constraint, mask_zero, weights, lora_rank, lora_alpha, quantization_config
layers.Flatten: data_format
layers.GaussianDropout: rate, seed
layers.GaussianNoise: stddev, seed
layers.GlobalAveragePooling1D: data_format, keepdims
layers.GlobalMaxPooling1D: data_format, keepdims
layers.Identity:
layers.Input: shape, batch_size, dtype, sparse, ragged, batch_shape, name
layers.InputLayer: shape, batch_size, dtype, sparse, ragged, batch_shape, input_tensor, optional,
  name
layers.IntegerLookup: max_tokens, num_oov_indices, mask_token, oov_token, vocabulary,
  vocabulary_dtype, idf_weights, invert, output_mode, sparse, pad_to_max_tokens, oov_method, salt,
  name
layers.Lambda: function, output_shape, mask, arguments
layers.Layer:
layers.LayerNormalization: axis, epsilon, center, scale, beta_initializer, gamma_initializer,
  beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint
layers.LeakyReLU: negative_slope
layers.Maximum:
layers.Minimum:
layers.Multiply:
layers.PReLU: alpha_initializer, alpha_regularizer, alpha_constraint, shared_axes
layers.RMSNormalization: axis, epsilon
layers.Normalization: axis, mean, variance, invert
layers.Permute: dims
layers.ReLU: max_value, negative_slope, threshold
layers.RepeatVector: n
layers.Rescaling: scale, offset
layers.Reshape: target_shape
layers.Softmax: axis
layers.StringLookup: max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights,
  invert, output_mode, pad_to_max_tokens, sparse, encoding, name, salt
layers.Subtract:
layers.UnitNormalization: axis
layers.add: inputs
layers.average: inputs
layers.concatenate: inputs, axis
layers.dot: inputs, axes
layers.maximum: inputs
layers.minimum: inputs
layers.multiply: inputs
layers.subtract: inputs
losses.BinaryCrossentropy: from_logits, label_smoothing, axis, reduction, name, dtype
losses.BinaryFocalCrossentropy: apply_class_balancing, alpha, gamma, from_logits,
  label_smoothing, axis, reduction, name, dtype
losses.CTC: reduction, name, dtype
losses.CategoricalCrossentropy: from_logits, label_smoothing, axis, reduction, name, dtype
losses.CategoricalFocalCrossentropy: alpha, gamma, from_logits, label_smoothing, axis,
  reduction, name, dtype
losses.CategoricalGeneralizedCrossEntropy: q, reduction, name, dtype
losses.CategoricalHinge: reduction, name, dtype
losses.Circle: gamma, margin, remove_diagonal, reduction, name, dtype
losses.CosineSimilarity: axis, reduction, name, dtype
losses.Dice: reduction, name, axis, dtype
losses.Hinge: reduction, name, dtype
losses.Huber: delta, reduction, name, dtype
losses.KLDivergence: reduction, name, dtype
losses.LogCosh: reduction, name, dtype
losses.Loss: name, reduction, dtype
losses.MeanAbsoluteError: reduction, name, dtype
losses.MeanAbsolutePercentageError: reduction, name, dtype
losses.MeanSquaredError: reduction, name, dtype
losses.MeanSquaredLogarithmicError: reduction, name, dtype
losses.Poisson: reduction, name, dtype
losses.SparseCategoricalCrossentropy: from_logits, ignore_class, reduction, axis, name, dtype
losses.SquaredHinge: reduction, name, dtype
losses.Tversky: alpha, beta, reduction, name, axis, dtype
losses.binary_crossentropy: y_true, y_pred, from_logits, label_smoothing, axis
losses.binary_focal_crossentropy: y_true, y_pred, apply_class_balancing, alpha, gamma,
  from_logits, label_smoothing, axis
losses.categorical_crossentropy: y_true, y_pred, from_logits, label_smoothing, axis
losses.categorical_focal_crossentropy: y_true, y_pred, alpha, gamma, from_logits,
  label_smoothing, axis
losses.categorical_generalized_cross_entropy: y_true, y_pred, q
losses.categorical_hinge: y_true, y_pred
losses.circle: y_true, y_pred, ref_labels, ref_embeddings, remove_diagonal, gamma, margin
losses.cosine_similarity: y_true, y_pred, axis
losses.ctc: y_true, y_pred
losses.dice: y_true, y_pred, axis
losses.get: identifier
losses.hinge: y_true, y_pred
losses.huber: y_true, y_pred, delta
losses.kl_divergence: y_true, y_pred
losses.log_cosh: y_true, y_pred
losses.mean_absolute_error: y_true, y_pred
losses.mean_absolute_percentage_error: y_true, y_pred
losses.mean_squared_error: y_true, y_pred
losses.mean_squared_logarithmic_error: y_true, y_pred
losses.poisson: y_true, y_pred
losses.sparse_categorical_crossentropy: y_true, y_pred, from_logits, ignore_class, axis
losses.squared_hinge: y_true, y_pred
losses.tversky: y_true, y_pred, alpha, beta, axis
metrics.AUC: num_thresholds, curve, summation_method, name, dtype, thresholds, multi_label,
  num_labels, label_weights, from_logits
metrics.Accuracy: name, dtype
metrics.BinaryAccuracy: name, dtype, threshold
metrics.BinaryCrossentropy: name, dtype, from_logits, label_smoothing
metrics.BinaryIoU: target_class_ids, threshold, name, dtype
metrics.CategoricalAccuracy: name, dtype
metrics.CategoricalCrossentropy: name, dtype, from_logits, label_smoothing, axis
metrics.CategoricalHinge: name, dtype
metrics.ConcordanceCorrelation: name, dtype, axis
metrics.CosineSimilarity: name, dtype, axis
metrics.F1Score: average, threshold, name, dtype
metrics.FBetaScore: average, beta, threshold, name, dtype
metrics.FalseNegatives: thresholds, name, dtype
metrics.FalsePositives: thresholds, name, dtype
metrics.Hinge: name, dtype
metrics.IoU: num_classes, target_class_ids, name, dtype, ignore_class, sparse_y_true,
  sparse_y_pred, axis
metrics.KLDivergence: name, dtype
metrics.LogCoshError: name, dtype
metrics.Mean: name, dtype
metrics.MeanAbsoluteError: name, dtype
metrics.MeanAbsolutePercentageError: name, dtype
metrics.MeanIoU: num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis
metrics.MeanMetricWrapper: fn, name, dtype
metrics.MeanSquaredError: name, dtype
metrics.MeanSquaredLogarithmicError: name, dtype
metrics.Metric: dtype, name
metrics.OneHotIoU: num_classes, target_class_ids, name, dtype, ignore_class, sparse_y_pred,
  axis
metrics.OneHotMeanIoU: num_classes, name, dtype, ignore_class, sparse_y_pred, axis
metrics.PearsonCorrelation: name, dtype, axis
metrics.Poisson: name, dtype
metrics.Precision: thresholds, top_k, class_id, name, dtype
metrics.PrecisionAtRecall: recall, num_thresholds, class_id, name, dtype
metrics.R2Score: class_aggregation, num_regressors, name, dtype
metrics.Recall: thresholds, top_k, class_id, name, dtype
metrics.RecallAtPrecision: precision, num_thresholds, class_id, name, dtype
metrics.RootMeanSquaredError: name, dtype
metrics.SensitivityAtSpecificity: specificity, num_thresholds, class_id, name, dtype
metrics.SparseCategoricalAccuracy: name, dtype
metrics.SparseCategoricalCrossentropy: name, dtype, from_logits, ignore_class, axis
metrics.SparseTopKCategoricalAccuracy: k, name, dtype, from_sorted_ids
metrics.SpecificityAtSensitivity: sensitivity, num_thresholds, class_id, name, dtype
metrics.SquaredHinge: name, dtype
metrics.Sum: name, dtype
metrics.TopKCategoricalAccuracy: k, name, dtype
metrics.TrueNegatives: thresholds, name, dtype
metrics.TruePositives: thresholds, name, dtype
metrics.binary_accuracy: y_true, y_pred, threshold
metrics.categorical_accuracy: y_true, y_pred
metrics.concordance_correlation: y_true, y_pred, axis
metrics.pearson_correlation: y_true, y_pred, axis
metrics.sparse_categorical_accuracy: y_true, y_pred
metrics.sparse_top_k_categorical_accuracy: y_true, y_pred, k, from_sorted_ids
metrics.top_k_categorical_accuracy: y_true, y_pred, k
metrics.get: identifier
models.clone_model: model, input_tensors, clone_function, call_function, recursive
models.load_model: filepath, custom_objects, compile, safe_mode
models.model_from_json: json_string, custom_objects
models.save_model: model, filepath, overwrite, zipped
optimizers.MultiOptimizer: optimizer_map, loss_scale_factor, name
optimizers.OptimizerMap: default_optimizer, optimizer_map
callbacks.RemoteMonitor: root, path, field, headers, send_as_json
callbacks.SwapEMAWeights: swap_on_epoch
layers.ActivityRegularization: l1, l2
layers.EinsumDense: equation, output_shape, activation, bias_axes, kernel_initializer,
  bias_initializer, kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint
layers.GlobalAvgPool1D: data_format, keepdims
layers.GlobalMaxPool1D: data_format, keepdims
layers.InputSpec: dtype, shape, ndim, max_ndim, min_ndim, axes, allow_last_axis_squeeze, name,
  optional
layers.Wrapper: layer
regularizers.OrthogonalRegularizer: factor, mode
regularizers.orthogonal_regularizer: factor, mode
utils.Progbar: target, width, verbose, interval, stateful_metrics, stateless_metrics, unit_name
utils.PyDataset: workers, use_multiprocessing, max_queue_size
utils.get_file: fname, origin, untar, md5_hash, file_hash, cache_subdir, hash_algorithm, extract,
  archive_format, cache_dir, force_download
utils.normalize: x, axis, order
utils.pad_sequences: sequences, maxlen, dtype, padding, truncating, value
utils.split_dataset: dataset, left_size, right_size, shuffle, seed, preferred_backend
activations.deserialize: config, custom_objects
activations.serialize: activation
constraints.deserialize: config, custom_objects
constraints.serialize: constraint
initializers.deserialize: config, custom_objects
initializers.serialize: initializer
layers.deserialize: config, custom_objects
layers.serialize: layer
losses.deserialize: name, custom_objects
losses.serialize: loss
metrics.deserialize: config, custom_objects
metrics.serialize: metric
optimizers.deserialize: config, custom_objects
optimizers.schedules.deserialize: config, custom_objects
optimizers.schedules.serialize: learning_rate_schedule
optimizers.serialize: optimizer
regularizers.deserialize: config, custom_objects
regularizers.serialize: regularizer
saving.CustomObjectScope: custom_objects
saving.deserialize_keras_object: config, custom_objects, safe_mode
saving.get_custom_objects:
saving.get_registered_name: obj
saving.get_registered_object: name, custom_objects, module_objects
saving.load_model: filepath, custom_objects, compile, safe_mode
saving.register_keras_serializable: package, name
saving.serialize_keras_object: obj
constraints.Constraint:
constraints.MaxNorm: max_value, axis
constraints.MinMaxNorm: min_value, max_value, rate, axis
constraints.NonNeg:
constraints.UnitNorm: axis
constraints.get: identifier
constraints.max_norm: max_value, axis
constraints.min_max_norm: min_value, max_value, rate, axis
constraints.non_neg:
constraints.unit_norm: axis
optimizers.Adafactor: learning_rate, beta_2_decay, epsilon_1, epsilon_2, clip_threshold,
  relative_step, weight_decay, clipnorm
optimizers.Adadelta: learning_rate, rho, epsilon, weight_decay, clipnorm
optimizers.Adamax: learning_rate, beta_1, beta_2, epsilon, weight_decay, clipnorm
optimizers.Ftrl: learning_rate, learning_rate_power, initial_accumulator_value,
  l1_regularization_strength, l2_regularization_strength, l2_shrinkage_regularization_strength,
  beta, weight_decay, clipnorm
optimizers.Lamb: learning_rate, beta_1, beta_2, epsilon, weight_decay, clipnorm
optimizers.Lion: learning_rate, beta_1, beta_2, weight_decay, clipnorm
optimizers.Muon: learning_rate, adam_beta_1, adam_beta_2, adam_weight_decay, epsilon, weight_decay,
  clipnorm
optimizers.Nadam: learning_rate, beta_1, beta_2, epsilon, weight_decay, clipnorm
optimizers.Adagrad: learning_rate, initial_accumulator_value, epsilon, weight_decay, clipnorm
optimizers.Adam: learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, clipnorm
optimizers.AdamW: learning_rate, weight_decay, beta_1, beta_2, epsilon, amsgrad, clipnorm
optimizers.RMSprop: learning_rate, rho, momentum, epsilon, centered, weight_decay, clipnorm
optimizers.SGD: learning_rate, momentum, nesterov, weight_decay, clipnorm
optimizers.ScheduleFreeAdamW: learning_rate, beta_1, beta_2, epsilon, warmup_steps, weight_decay,
  clipnorm
optimizers.get: identifier
regularizers.L1: l1
regularizers.L1L2: l1, l2
regularizers.L2: l2
regularizers.Regularizer:
regularizers.get: identifier
regularizers.l1: l1
regularizers.l1_l2: l1, l2
regularizers.l2: l2
utils.model_to_dot: model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi,
  subgraph, show_layer_activations, show_trainable, splines
utils.plot_model: model, to_file, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested,
  dpi, show_layer_activations, show_trainable, splines
utils.set_random_seed: seed
utils.to_categorical: x, num_classes
Input: shape, batch_size, dtype, sparse, ragged, batch_shape, name
Sequential: layers, trainable, name
Model.compile: optimizer, loss, loss_weights, metrics, weighted_metrics, run_eagerly,
  steps_per_execution, jit_compile, auto_scale_loss
Model.fit: x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle,
  class_weight, sample_weight, initial_epoch, steps_per_epoch, validation_steps,
  validation_batch_size, validation_freq
Model.evaluate: x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict
Model.predict: x, batch_size, verbose, steps, callbacks
Model.train_on_batch: x, y, sample_weight, class_weight, return_dict
Model.test_on_batch: x, y, sample_weight, return_dict
Model.predict_on_batch: x
Model.get_layer: name, index
Model.summary: line_length, positions, print_fn, expand_nested, show_trainable, layer_range
Model.save_weights: filepath, overwrite, max_shard_size
Model.load_weights: filepath, skip_mismatch
Model.set_weights: weights
Sequential.add: layer, rebuild
callbacks.Callback.on_batch_begin: batch, logs
callbacks.Callback.on_batch_end: batch, logs
callbacks.Callback.on_epoch_begin: epoch, logs
callbacks.Callback.on_epoch_end: epoch, logs
callbacks.Callback.on_predict_batch_begin: batch, logs
callbacks.Callback.on_predict_batch_end: batch, logs
callbacks.Callback.on_predict_begin: logs
callbacks.Callback.on_predict_end: logs
callbacks.Callback.on_test_batch_begin: batch, logs
callbacks.Callback.on_test_batch_end: batch, logs
callbacks.Callback.on_test_begin: logs
callbacks.Callback.on_test_end: logs
callbacks.Callback.on_train_batch_begin: batch, logs
callbacks.Callback.on_train_batch_end: batch, logs
callbacks.Callback.on_train_begin: logs
callbacks.Callback.on_train_end: logs
callbacks.Callback.set_model: model
callbacks.Callback.set_params: params
metrics.Mean.update_state: values, sample_weight
metrics.Mean.result:
metrics.Mean.reset_state:
losses.Loss.__call__: y_true, y_pred, sample_weight
"""

KERAS: dict[str, list[str]] = {}
for line in RECORDED.replace("\n  ", " ").splitlines():
    path, _, names = line.partition(":")
    KERAS[path] = [name.strip() for name in names.split(",") if name.strip()]

MODULES = [
    "activations",
    "callbacks",
    "constraints",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "utils",
]

# Public names that Keras does not have, or has with another meaning.
OWN = {
    "activations.OwnActivation",
    "activations.absolute",
    "activations.is_of_keras",
    "activations.register",
    "activations.registered",
    "callbacks.CallbackList",
    "callbacks.MonitorCallback",
    "callbacks.ProgbarLogger",
    "callbacks.ProgressBar",
    "losses.ArrayLoss",
    "losses.ScalarLoss",
    "losses.register",
    "losses.LossFunctionWrapper",
    "losses.registered",
    "metrics.MeanRowMetric",
    "metrics.resolve",
    "metrics.resolve_accuracy",
    "metrics.resolve_crossentropy",
    "metrics.target_kind",
    "initializers.RandomInitializer",
    "initializers.compute_fans",
    "optimizers.Optimizer",
    "constraints.NormConstraint",
    "models.Model",
    "models.Sequential",
}


def found(path):
    thing = hotloop
    for name in path.split("."):
        thing = getattr(thing, name)
    return thing


def positional(function):
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind in kinds and p.name != "self"]


@pytest.mark.parametrize("path", KERAS)
def test_positional_arguments_in_keras_order(path):
    names = positional(found(path))
    assert names == KERAS[path][: len(names)]


def test_the_table_is_complete():
    for module in MODULES:
        package = getattr(hotloop, module)
        for name, thing in vars(package).items():
            own = getattr(thing, "__module__", "").startswith(package.__name__)
            if callable(thing) and own and not name.startswith("_"):
                assert f"{module}.{name}" in KERAS or f"{module}.{name}" in OWN


@pytest.mark.parametrize("name", MODULES)
def test_modules(name):
    assert isinstance(getattr(keras, name), types.ModuleType)
    assert importlib.import_module(f"hotloop.{name}") is getattr(keras, name)


def test_names_at_the_top():
    assert sorted(hotloop.__all__) == sorted(set(hotloop.__all__))
    for name in hotloop.__all__:
        assert getattr(hotloop, name) is not None
    assert hotloop.Sequential is hotloop.models.Sequential
    assert hotloop.Model is hotloop.models.Model
    assert hotloop.Input is hotloop.layers.Input
    for name in ("Initializer", "Layer", "Metric", "Optimizer", "Regularizer"):
        assert getattr(hotloop, name) is getattr(getattr(hotloop, f"{name.lower()}s"), name)
    assert hotloop.Loss is hotloop.losses.Loss
    assert issubclass(hotloop.NonFiniteError, ArithmeticError)
    assert hotloop.__version__


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("layers", "Activation Dense Dropout Flatten Input InputLayer Layer Reshape"),
        (
            "activations",
            "linear relu leaky_relu elu selu gelu silu softplus softsign sigmoid hard_sigmoid "
            "tanh exponential softmax log_softmax relu6 celu hard_silu hard_swish mish log_sigmoid "
            "squareplus sparse_plus sparse_sigmoid hard_tanh tanh_shrink hard_shrink soft_shrink "
            "threshold sparsemax glu absolute",
        ),
        (
            "losses",
            "MeanSquaredError MeanAbsoluteError Huber LogCosh BinaryCrossentropy "
            "CategoricalCrossentropy SparseCategoricalCrossentropy KLDivergence Poisson Hinge "
            "MeanAbsolutePercentageError MeanSquaredLogarithmicError CosineSimilarity SquaredHinge "
            "CategoricalHinge BinaryFocalCrossentropy CategoricalFocalCrossentropy Dice Tversky",
        ),
        ("optimizers", "SGD Adam AdamW RMSprop Adagrad"),
        (
            "metrics",
            "BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy "
            "TopKCategoricalAccuracy SparseTopKCategoricalAccuracy Precision Recall F1Score AUC "
            "MeanSquaredError RootMeanSquaredError MeanAbsoluteError R2Score MeanIoU IoU BinaryIoU "
            "OneHotIoU OneHotMeanIoU TruePositives TrueNegatives FalsePositives FalseNegatives "
            "PrecisionAtRecall RecallAtPrecision SensitivityAtSpecificity SpecificityAtSensitivity "
            "MeanAbsolutePercentageError MeanSquaredLogarithmicError CosineSimilarity "
            "PearsonCorrelation ConcordanceCorrelation Hinge SquaredHinge CategoricalHinge",
        ),
        (
            "callbacks",
            "BackupAndRestore CSVLogger Callback EarlyStopping History LambdaCallback "
            "LearningRateScheduler ModelCheckpoint ReduceLROnPlateau TensorBoard TerminateOnNaN",
        ),
        ("utils", "set_random_seed to_categorical"),
        ("datasets", "mnist fashion_mnist boston_housing digits"),
        ("regularizers", "L1 L2 L1L2"),
        ("initializers", "GlorotUniform HeNormal Zeros Ones Constant RandomNormal RandomUniform"),
        ("sklearn", "KerasStyleClassifier KerasStyleRegressor MLPClassifier MLPRegressor"),
    ],
)
def test_what_is_promised(module, names):
    for name in names.split():
        assert hasattr(getattr(hotloop, module), name)


@pytest.mark.parametrize(
    "name",
    [
        "add",
        "build",
        "compile",
        "count_params",
        "evaluate",
        "fit",
        "get_layer",
        "get_weights",
        "layers",
        "load_weights",
        "metrics_names",
        "pop",
        "predict",
        "predict_on_batch",
        "save_weights",
        "set_weights",
        "summary",
        "test_on_batch",
        "train_on_batch",
        "trainable_weights",
        "weights",
    ],
)
def test_what_a_model_has(name):
    assert hasattr(hotloop.Sequential, name)


def test_defaults_that_programs_rely_on():
    fit = inspect.signature(hotloop.Model.fit).parameters
    assert {n: fit[n].default for n in ("epochs", "batch_size", "shuffle", "verbose")} == {
        "epochs": 1,
        "batch_size": None,
        "shuffle": True,
        "verbose": "auto",
    }
    compile_ = inspect.signature(hotloop.Model.compile).parameters
    assert compile_["optimizer"].default == "rmsprop"
    assert inspect.signature(hotloop.layers.Dense).parameters["use_bias"].default is True


def test_names_of_later_arguments_are_keywords_only():
    with pytest.raises(TypeError, match="positional"):
        keras.optimizers.SGD(0.1, 0.9, True, 0.01)
    with pytest.raises(TypeError, match="positional"):
        keras.Input((3,), None, None, "x")
