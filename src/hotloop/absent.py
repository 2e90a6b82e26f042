"""What Keras has and hotloop does not, with what is there instead: one row for each reason.

Names are as after ``keras.``; ``*`` stands for any characters. `docs/coming-from-keras.md` shows
the same rows, and an `AttributeError` for such a name says its reason.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

_NEXT = "comes next"
ROWS: tuple[tuple[str, str], ...] = (
    (
        "layers.*Conv* layers.*Pool*D layers.*Pooling2D layers.*Pooling3D layers.*Pooling1D "
        "layers.UpSampling* layers.ZeroPadding* layers.Cropping* layers.SpatialDropout*",
        f"{_NEXT}: convolution and pooling",
    ),
    (
        "layers.*LSTM* layers.*GRU* layers.*RNN* layers.Bidirectional layers.TimeDistributed",
        f"{_NEXT}: recurrent layers; `Dense` works on the last axis of sequences",
    ),
    ("layers.*Attention layers.ReversibleEmbedding", f"{_NEXT}: attention"),
    ("layers.Masking", f"{_NEXT}: masks"),
    ("layers.GroupNormalization layers.SpectralNormalization", f"{_NEXT}: with convolutions"),
    (
        "layers.Random* layers.RandAugment layers.AugMix layers.AutoContrast layers.CenterCrop "
        "layers.ContrastLimited* layers.CutMix layers.Equalization layers.MixUp layers.Resizing "
        "layers.Solarization layers.Pipeline layers.MaxNumBoundingBoxes layers.*Spectrogram "
        "utils.bounding_boxes utils.*_img utils.img_to_array visualization",
        "images and sound: prepare them before the model",
    ),
    (
        "layers.Hashing layers.HashedCrossing layers.TextVectorization utils.FeatureSpace",
        "`StringLookup`, `IntegerLookup` and `CategoryEncoding`; `hotloop.tabular` for tables",
    ),
    (
        "utils.*_dataset_from_directory datasets.california_housing datasets.cifar* datasets.imdb "
        "datasets.reuters",
        "`PyDataset`, `get_file`, and the data sets of `hotloop.datasets`",
    ),
    (
        "layers.JaxLayer layers.FlaxLayer layers.TFSMLayer layers.TorchModuleWrapper export "
        "callbacks.OrbaxCheckpoint saving.KerasFileEditor",
        "programs of other libraries do not run here; `hotloop.interop.torch` exchanges weights",
    ),
    (
        "*DTypePolicy* mixed_precision dtype_policies quantizers Quantizer config.*dtype_policy "
        "optimizers.LossScaleOptimizer",
        "float32, or float64 everywhere",
    ),
    ("distribution device", "the CPUs of one machine"),
    ("applications preprocessing distillation", "models and steps of one's own"),
    ("wrappers", "`hotloop.sklearn`"),
    (
        "Function Operation KerasTensor RematScope StatelessScope SymbolicScope name_scope remat",
        "what computes is not Python: a `Layer` or a `Model` states it once",
    ),
    (
        "config.*flash_attention* config.is_nnx_enabled config.*traceback_filtering* "
        "config.enable_unsafe_deserialization config.*max_epochs config.*max_steps_per_epoch",
        "would change nothing: files are never executed, tracebacks are whole; `fit` takes epochs",
    ),
    ("legacy *.legacy src", "what Keras itself keeps for older programs"),
)

# Arguments that no class or function of hotloop's has.
ARGUMENTS: tuple[tuple[str, str], ...] = (
    (
        "lora_rank lora_alpha quantization_config gptq_unpacked_column_size loss_scale_factor",
        "float32, or float64 everywhere",
    ),
    ("renorm renorm_clipping renorm_momentum synchronized", "`BatchNormalization` as in its paper"),
    ("sparse ragged optional", "inputs are arrays; `hotloop.sklearn` takes sparse matrices"),
    ("tensor input_tensor", "`Model(value, ...)` begins with any value"),
    ("autocast aggregation synchronization layout", "one machine, one dtype"),
    ("zipped max_shard_size", "a file is one archive, or one file of weights"),
    ("subgraph", "`plot_model` draws nested models with `expand_nested`"),
    ("mask", "comes next: masks"),
    ("add_history add_progbar", "`fit` adds both"),
)


def reason(path: str) -> str | None:
    """Why there is no such name, if Keras has it; None if nothing is known of it.

    Examples
    --------
    >>> reason("layers.Masking")
    'comes next: masks'
    >>> reason("layers.Dence") is None
    True
    """
    for patterns, why in ROWS:
        if any(fnmatchcase(path, pattern) for pattern in patterns.split()):
            return why
    return None
