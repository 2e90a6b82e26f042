"""The C side, as csrc/hotloop.h declares it."""

from libc.stdint cimport int32_t, int64_t, uint64_t

cdef extern from "hotloop.h" nogil:
    ctypedef enum hl_dtype:
        HL_F32, HL_F64, HL_F16
        HL_I8, HL_I16, HL_I32, HL_I64
        HL_U8, HL_U16, HL_U32, HL_U64
        HL_BOOL

    ctypedef enum hl_activation:
        HL_LINEAR, HL_RELU, HL_CLIPPED_RELU, HL_THRESHOLD, HL_HARD_SHRINK, HL_SOFT_SHRINK
        HL_LEAKY_RELU, HL_ELU, HL_CELU, HL_SELU, HL_GELU, HL_GELU_TANH, HL_SILU, HL_HARD_SILU
        HL_MISH, HL_SOFTPLUS, HL_LOG_SIGMOID, HL_SQUAREPLUS, HL_SPARSE_PLUS, HL_SOFTSIGN
        HL_SIGMOID, HL_HARD_SIGMOID, HL_SPARSE_SIGMOID, HL_TANH, HL_HARD_TANH, HL_TANH_SHRINK
        HL_EXPONENTIAL

    ctypedef enum hl_merge:
        HL_ADD, HL_SUBTRACT, HL_MULTIPLY, HL_MAXIMUM, HL_MINIMUM

    ctypedef enum hl_loss:
        HL_MEAN_SQUARED_ERROR, HL_MEAN_ABSOLUTE_ERROR, HL_MEAN_ABSOLUTE_PERCENTAGE_ERROR
        HL_MEAN_SQUARED_LOGARITHMIC_ERROR, HL_HUBER, HL_LOG_COSH
        HL_BINARY_CROSSENTROPY, HL_BINARY_CROSSENTROPY_LOGITS, HL_KL_DIVERGENCE, HL_POISSON
        HL_HINGE, HL_SQUARED_HINGE

    ctypedef enum hl_row_loss:
        HL_BINARY_FOCAL_CROSSENTROPY, HL_BINARY_FOCAL_CROSSENTROPY_LOGITS
        HL_CATEGORICAL_FOCAL_CROSSENTROPY, HL_CATEGORICAL_FOCAL_CROSSENTROPY_LOGITS
        HL_GENERALIZED_CROSSENTROPY, HL_CATEGORICAL_HINGE, HL_COSINE_SIMILARITY
        HL_TVERSKY, HL_BATCH_TVERSKY

    enum:
        HL_MAX_OPTIONS

    ctypedef enum hl_metric:
        HL_BINARY_ACCURACY, HL_CATEGORICAL_ACCURACY, HL_SPARSE_CATEGORICAL_ACCURACY
        HL_TOP_K_ACCURACY, HL_SPARSE_TOP_K_ACCURACY, HL_PEARSON_CORRELATION
        HL_CONCORDANCE_CORRELATION

    ctypedef enum hl_optimizer:
        HL_SGD, HL_SGD_MOMENTUM, HL_SGD_NESTEROV, HL_ADAM, HL_ADAM_AMSGRAD
        HL_RMSPROP, HL_RMSPROP_MOMENTUM, HL_RMSPROP_CENTERED, HL_RMSPROP_CENTERED_MOMENTUM
        HL_ADAGRAD
        HL_ADADELTA
        HL_ADAMAX
        HL_NADAM
        HL_LION
        HL_FTRL
        HL_SCHEDULE_FREE_ADAMW
        HL_KEEP_GRADIENT
        HL_ADAFACTOR
        HL_LAMB
        HL_MUON

    enum:
        HL_MAX_HYPER
        HL_MAX_RANK

    ctypedef struct hl_whole:
        hl_optimizer kind
        ptrdiff_t matrices
        ptrdiff_t rows
        ptrdiff_t cols
        int packed
        void *w
        const void *g
        void *row
        void *column
        void *m
        void *v
        void *room

    ctypedef struct hl_source:
        const char *data
        hl_dtype dtype
        int swapped
        int rank
        ptrdiff_t row_stride
        ptrdiff_t dim[8]
        ptrdiff_t stride[8]

    enum:
        HL_MAX_LAYERS

    ctypedef struct hl_layer:
        ptrdiff_t units
        hl_activation activation
        double alpha
        void *w
        void *w_state[3]
        void *b
        void *b_state[3]

    ctypedef struct hl_network:
        ptrdiff_t inputs
        int depth
        hl_layer layer[8]
        int softmax
        int clip
        hl_loss loss
        double param
        double loss_weight
        hl_optimizer rule

    ctypedef struct hl_powers:
        pass

    ctypedef struct hl_kernels:
        const char *isa
        int itemsize
        int vl
        int mr
        int nr
        void (*gemm)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *const *a, ptrdiff_t at,
                     int transposed, const void *b, const void *init, int accumulate, void *c,
                     ptrdiff_t c_row) noexcept nogil
        void (*gemm_row)(int panels, ptrdiff_t k, const void *a, const void *b, ptrdiff_t b_panel,
                         const void *init, void *c) noexcept nogil
        void (*gemm_row_transposed)(ptrdiff_t first, ptrdiff_t n, ptrdiff_t units,
                                    ptrdiff_t inputs, const void *dy, const void *w,
                                    void *dx) noexcept nogil
        void (*pack)(ptrdiff_t k, ptrdiff_t n, const void *x, ptrdiff_t row, ptrdiff_t col,
                     void *out) noexcept nogil
        void (*unpack)(ptrdiff_t k, ptrdiff_t n, const void *packed, void *x, ptrdiff_t row,
                       ptrdiff_t col) noexcept nogil
        void (*add_parts)(const void *x, int parts, ptrdiff_t part, ptrdiff_t ld, ptrdiff_t rows,
                          ptrdiff_t cols, void *y) noexcept nogil
        void (*sum_rows)(const void *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols,
                         void *out) noexcept nogil
        void (*activation)(hl_activation kind, double alpha, const void *x, ptrdiff_t x_ld,
                           void *y, ptrdiff_t y_ld, ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        void (*activation_gradient)(hl_activation kind, double alpha, const void *dy,
                                    const void *saved, void *dx, ptrdiff_t ld,
                                    ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        void (*add_bias)(const void *x, const void *b, void *y, ptrdiff_t rows,
                         ptrdiff_t cols) noexcept nogil
        void (*merge)(hl_merge kind, const void *a, const void *b, void *y,
                      ptrdiff_t n) noexcept nogil
        void (*choice_gradient)(hl_merge kind, const void *dy, const void *a, const void *b,
                                void *da, ptrdiff_t n) noexcept nogil
        void (*scale)(double factor, double offset, const void *x, void *y,
                      ptrdiff_t n) noexcept nogil
        void (*dropout)(double rate, uint64_t key, ptrdiff_t first, const void *x, void *y,
                        ptrdiff_t n) noexcept nogil
        void (*alpha_dropout)(double rate, double factor, double offset, double dropped,
                              uint64_t key, ptrdiff_t first, const void *x, void *y,
                              ptrdiff_t n) noexcept nogil
        void (*gaussian)(int multiply, double stddev, uint64_t key, ptrdiff_t first,
                         const void *x, void *y, ptrdiff_t n) noexcept nogil
        void (*prelu)(const void *x, const void *alpha, void *y, ptrdiff_t rows,
                      ptrdiff_t cols) noexcept nogil
        void (*prelu_gradient)(const void *dy, const void *x, const void *alpha, void *dx,
                               ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        void (*prelu_alpha_gradient)(const void *dy, const void *x, ptrdiff_t ld, ptrdiff_t rows,
                                     ptrdiff_t cols, void *dalpha) noexcept nogil
        void (*softmax)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        void (*log_softmax)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        void (*softmax_gradient)(const void *dy, const void *y, void *dx, ptrdiff_t rows,
                                 ptrdiff_t cols) noexcept nogil
        void (*log_softmax_gradient)(const void *dy, const void *y, void *dx, ptrdiff_t rows,
                                     ptrdiff_t cols) noexcept nogil
        void (*column_moments)(const void *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols,
                               void *mean, void *variance) noexcept nogil
        void (*normalize)(double epsilon, const void *x, const void *mean, const void *variance,
                          const void *gamma, const void *beta, void *y, ptrdiff_t rows,
                          ptrdiff_t cols) noexcept nogil
        void (*normalize_scale_gradient)(double epsilon, const void *dy, const void *x,
                                         const void *mean, const void *variance, ptrdiff_t ld,
                                         ptrdiff_t rows, ptrdiff_t cols,
                                         void *dgamma) noexcept nogil
        void (*normalize_gradient)(double epsilon, ptrdiff_t total, const void *dy, const void *x,
                                   const void *mean, const void *variance, const void *gamma,
                                   const void *dgamma, const void *dbeta, void *dx,
                                   ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        void (*moving_average)(double momentum, const void *value, void *average,
                               ptrdiff_t n) noexcept nogil
        void (*layer_norm)(int centered, double epsilon, const void *x, const void *gamma,
                           const void *beta, void *y, void *mean, void *inverse, ptrdiff_t rows,
                           ptrdiff_t cols) noexcept nogil
        void (*layer_norm_scale_gradient)(const void *dy, const void *x, const void *mean,
                                          const void *inverse, ptrdiff_t ld, ptrdiff_t rows,
                                          ptrdiff_t cols, void *dgamma) noexcept nogil
        void (*layer_norm_gradient)(int centered, const void *dy, const void *x, const void *mean,
                                    const void *inverse, const void *gamma, void *dx,
                                    ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        void (*sparsemax)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        void (*sparsemax_gradient)(const void *dy, const void *y, void *dx, ptrdiff_t rows,
                                   ptrdiff_t cols) noexcept nogil
        void (*glu)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        void (*glu_gradient)(const void *dy, const void *x, void *dx, ptrdiff_t rows,
                             ptrdiff_t cols) noexcept nogil
        void (*loss)(hl_loss kind, double param, const void *y_true, const void *y_pred,
                     const void *weight, ptrdiff_t group, double scale, void *values,
                     void *gradient, ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        void (*crossentropy)(double smoothing, const void *y_true, const int32_t *label,
                             const void *y_pred, const void *weight, ptrdiff_t group,
                             double scale, void *values, void *gradient, ptrdiff_t rows,
                             ptrdiff_t cols) noexcept nogil
        void (*softmax_crossentropy)(int clip, double smoothing, const void *y_true,
                                     const int32_t *label, const void *x, const void *weight,
                                     ptrdiff_t group, double scale, void *values,
                                     void *probability, void *gradient, ptrdiff_t rows,
                                     ptrdiff_t cols) noexcept nogil
        void (*row_loss)(hl_row_loss kind, const double *option, const void *y_true,
                         const int32_t *label, const void *y_pred, const void *weight,
                         ptrdiff_t group, double scale, void *values, void *gradient,
                         ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        void (*ctc)(ptrdiff_t steps, ptrdiff_t length, const int32_t *label, const void *logits,
                    const void *weight, double scale, void *values, void *gradient, void *room,
                    ptrdiff_t examples, ptrdiff_t cols) noexcept nogil
        size_t (*ctc_room)(ptrdiff_t steps, ptrdiff_t length) noexcept nogil
        void (*circle)(const double *option, const int32_t *label, const void *x,
                       const void *weight, double scale, void *values, void *gradient, void *room,
                       ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        size_t (*circle_room)(ptrdiff_t rows) noexcept nogil
        void (*metric)(hl_metric kind, double param, const void *y_true, const int32_t *label,
                       const void *y_pred, const void *weight, ptrdiff_t group, void *values,
                       ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        void (*update)(hl_optimizer kind, const double *h, void *w, const void *g, void *s0,
                       void *s1, void *s2, ptrdiff_t n) noexcept nogil
        void (*gemm_update)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *const *a,
                            ptrdiff_t at, const void *b, void *c,
                            hl_optimizer kind, const double *h, void *w, const void *g,
                            void *s0, void *s1, void *s2, ptrdiff_t count) noexcept nogil
        void (*whole_update)(const hl_whole *weight, const double *h, int stage, int part,
                             int parts) noexcept nogil
        int (*whole_update_stages)(const hl_whole *weight, const double *h) noexcept nogil
        size_t (*whole_update_room)(const hl_whole *weight) noexcept nogil
        double (*penalty)(double l1, double l2, const void *w, ptrdiff_t n) noexcept nogil
        void (*penalty_gradient)(double l1, double l2, const void *w, void *g,
                                 ptrdiff_t n) noexcept nogil
        void (*clip)(double limit, const void *x, void *y, ptrdiff_t n) noexcept nogil
        void (*limit_norms)(double low, double high, double rate, ptrdiff_t k, ptrdiff_t n,
                            ptrdiff_t ld, void *w) noexcept nogil
        void (*exchange_network)(int out, const hl_network *network, void *scratch) noexcept nogil
        ptrdiff_t (*train_network)(const hl_network *network, const double *hyper, int64_t steps,
                                   hl_powers *kept, ptrdiff_t rows, ptrdiff_t batch_size,
                                   const void *x, const void *y_true, const int32_t *label,
                                   const void *weight, void *values, void *y_pred,
                                   void *scratch) noexcept nogil
        size_t (*network_scratch)(const hl_network *network) noexcept nogil
        void (*gather)(const hl_source *source, const int64_t *order, ptrdiff_t first,
                       ptrdiff_t n, void *out) noexcept nogil
        void (*lookup)(const int32_t *index, ptrdiff_t n, const void *table, ptrdiff_t rows,
                       ptrdiff_t cols, void *y) noexcept nogil
        void (*lookup_gradient)(const int32_t *index, ptrdiff_t n, const void *dy, ptrdiff_t rows,
                                ptrdiff_t cols, int part, int parts, void *dw) noexcept nogil
        void (*encode)(int counts, const int32_t *index, ptrdiff_t rows, ptrdiff_t n,
                       ptrdiff_t depth, void *y) noexcept nogil
        void (*repeat_steps)(const void *x, ptrdiff_t rows, ptrdiff_t steps, ptrdiff_t cols,
                             void *y) noexcept nogil
        void (*max_steps)(const void *x, ptrdiff_t rows, ptrdiff_t steps, ptrdiff_t cols,
                          void *y) noexcept nogil
        void (*max_steps_gradient)(const void *dy, const void *x, const void *y, ptrdiff_t rows,
                                   ptrdiff_t steps, ptrdiff_t cols, void *dx) noexcept nogil
        void (*row_products)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *a, const void *b,
                             void *y) noexcept nogil
        void (*unit_rows)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols) noexcept nogil
        void (*unit_rows_gradient)(const void *dy, const void *x, void *dx, ptrdiff_t rows,
                                   ptrdiff_t cols) noexcept nogil
        void (*standardize)(int invert, const void *x, const void *mean, const void *variance,
                            ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t run,
                            void *y) noexcept nogil

    void hl_gather_labels(const hl_source *source, const int64_t *order, ptrdiff_t first,
                          ptrdiff_t n, int32_t *out) noexcept
    double hl_sum(const void *x, int itemsize, ptrdiff_t n) noexcept

    const char *const *hl_isa_available() noexcept
    const hl_kernels *hl_kernels_for(const char *isa, hl_dtype dtype) noexcept
    const char *hl_cpu_name() noexcept
    int hl_cpu_count() noexcept
    uint64_t hl_random_bits(uint64_t key, uint64_t index) noexcept
    void hl_random_order(uint64_t key, int64_t n, int64_t *order) noexcept
    uint64_t hl_flush_denormals() noexcept
    void hl_restore_denormals(uint64_t before) noexcept
    void hl_optimizer_prepare(hl_optimizer kind, const double *hyper, int64_t iteration,
                              hl_powers *kept, double *h) noexcept

    ctypedef struct hl_team:
        pass
    ctypedef void (*hl_task)(void *argument, hl_team *team, int thread,
                             int n_threads) noexcept nogil
    void hl_pool_run(hl_task task, void *argument, int n_threads) noexcept
    void hl_team_barrier(hl_team *team) noexcept
    int hl_pool_size() noexcept
