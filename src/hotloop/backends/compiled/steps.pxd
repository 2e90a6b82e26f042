from libc.stdint cimport int64_t, uint64_t

from .csrc cimport (
    HL_MAX_HYPER,
    HL_MAX_OPTIONS,
    hl_kernels,
    hl_network,
    hl_powers,
    hl_source,
    hl_whole,
)
from .worker cimport Worker


cdef enum Code:
    GATHER
    GATHER_LABELS
    DENSE
    ADD_BIAS
    INPUT_GRADIENT
    WEIGHT_GRADIENT
    BIAS_GRADIENT
    WEIGHT_UPDATE
    BIAS_UPDATE
    UPDATE
    WHOLE_UPDATE
    ACTIVATION
    ACTIVATION_GRADIENT
    MERGE
    CHOICE_GRADIENT
    SCALE
    CONCATENATE
    COLUMNS
    DROPOUT
    ALPHA_DROPOUT
    GAUSSIAN
    PRELU
    PRELU_GRADIENT
    PRELU_ALPHA_GRADIENT
    COLUMN_MOMENTS
    NORMALIZE
    NORMALIZE_SCALE_GRADIENT
    NORMALIZE_GRADIENT
    MOVING_AVERAGE
    LAYER_NORM
    LAYER_NORM_SCALE_GRADIENT
    LAYER_NORM_GRADIENT
    SOFTMAX
    LOG_SOFTMAX
    SOFTMAX_GRADIENT
    LOG_SOFTMAX_GRADIENT
    SPARSEMAX
    SPARSEMAX_GRADIENT
    GLU
    GLU_GRADIENT
    LOSS
    ROW_LOSS
    CROSSENTROPY
    SOFTMAX_CROSSENTROPY
    CTC
    CIRCLE
    METRIC
    ACCUMULATE
    PENALTY
    PENALTY_GRADIENT
    ACCUMULATE_GRADIENT
    SQUARE_SUM
    CLIP_BY_NORM
    CLIP_BY_VALUE
    DECAY
    AVERAGE
    OVERWRITE
    CONSTRAIN
    NETWORK
    # From here to STANDARDIZE, inputs and outputs have rows of different lengths.
    INDICES
    LOOKUP
    LOOKUP_GRADIENT
    ENCODE
    PERMUTE
    SUM_STEPS
    REPEAT_STEPS
    MAX_STEPS
    MAX_STEPS_GRADIENT
    ROW_PRODUCTS
    UNIT_ROWS
    UNIT_ROWS_GRADIENT
    STANDARDIZE
    OWN_ACTIVATION
    OWN_ACTIVATION_GRADIENT
    OWN_LOSS
    PYTHON
    COPY_OUT

# Numbers that a loss of the user's own is computed of at a time.
cdef enum:
    OWN_LOSS_BLOCK = 1024


# One step of a plan with every address known. What the fields mean depends on the code;
# in and out are addresses, dimensions are of one example where rows_per_example says so.
cdef struct Step:
    int code
    int kind  # activation, loss, metric or update rule; whether noise multiplies
    bint wait  # for the whole team before this step
    bint verdict  # after that wait it is known whether the loss is finite
    bint check  # what it adds up, or whether it raises an error, decides that
    bint by_one  # one thread does all of it
    bint sparse  # targets are class numbers
    bint summed  # the loss is a sum, not a mean, over rows
    bint clip
    bint packed  # the weight stands in panels, not row after row
    bint centered
    bint shared  # all threads have read the weights that it updates
    int turns  # done only at each so many-th batch; 0: at every one
    int frequency  # and only at each so many-th update
    bint in_place  # the rows that a product reads are the user's own: see Worker
    int slot
    ptrdiff_t group  # rows in one example; 0 where there is no batch
    ptrdiff_t inputs
    ptrdiff_t cols
    double low, high  # limits of a norm
    double option  # alpha, param, smoothing, rate, epsilon or loss weight: see run_step
    double factor
    double offset
    double dropped
    double options[HL_MAX_OPTIONS]  # of a loss that has several
    uint64_t seed
    char *in0
    char *in1
    char *in2
    char *out0
    char *out1
    char *out2
    # What an optimizer keeps of a weight; of a normalisation its mean, its variance or inverse
    # deviation, and gamma. Beta or its gradient is in2 then, and gamma's gradient out1.
    char *state[3]
    hl_network *network
    hl_whole whole  # the weight of a whole update
    hl_source source  # how the numbers of an example stand that are moved one by one
    void *value  # loops of the user's own functions: see hotloop.backends.own
    void *gradient
    void *node  # of a step that Python does


# What the steps of one batch share.
cdef struct Batch:
    const hl_kernels *kernels
    const hl_source *sources
    const int64_t *order
    ptrdiff_t first  # position of its first row in the epoch
    ptrdiff_t rows
    # Batches that those rows are: several where a small network is trained in one step. A loss
    # that is not finite makes it fewer.
    ptrdiff_t count
    bint last  # the run ends with it; known when it is done
    ptrdiff_t size  # rows of one, but for the last of an epoch
    int64_t iteration  # batches done before
    int64_t updates  # of the weights, done before
    const double *hyper
    hl_powers *powers
    double h[HL_MAX_HYPER]
    double learning_rate
    double *sums
    bint *finite  # set to False by a loss that is not
    const int64_t *next_order  # of the batch after it; NULL if there is none or it is in order
    ptrdiff_t next_rows
    char **outputs  # where the plan's outputs go, for position outputs_first on
    ptrdiff_t outputs_first
    void *python  # does the steps that only Python can do


cdef void run_step(const Step *step, Batch *batch, Worker *worker) noexcept nogil
cdef describe_whole(Step *step, tuple shape)
