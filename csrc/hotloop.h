/* hotloop: everything the compiled core offers to the Cython layer.
 *
 * Kernels are written once (kernels/) and compiled once per instruction set; each
 * compilation yields one hl_kernels table per element type. The runtime (runtime/)
 * picks the table for this CPU and owns the threads. Nothing here knows Python.
 *
 * README.md in this folder is the contract: naming, alignment, aliasing, threads,
 * determinism.
 */
#ifndef HOTLOOP_H
#define HOTLOOP_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/elementwise.h"
#include "kernels/program.h"

/* ------------------------------------------------------------------ names */

/* Element types that a user's array may have; the core itself computes in
 * HL_F32 or HL_F64. */
typedef enum hl_dtype {
    HL_F32, HL_F64, HL_F16,
    HL_I8, HL_I16, HL_I32, HL_I64,
    HL_U8, HL_U16, HL_U32, HL_U64,
    HL_BOOL
} hl_dtype;

/* What becomes of each element, and of two: see the lists in kernels/elementwise.h. HL_LINEAR leaves
 * it as it is. */
typedef enum hl_activation { HL_LINEAR, HL_ACTIVATIONS(HL_ENUMERATOR) } hl_activation;
typedef enum hl_merge { HL_MERGES(HL_ENUMERATOR) } hl_merge;

/* What programs do besides: see kernels/program.h. Those of one element read a, of two a and b. */
typedef enum hl_function {
    HL_VECTOR_FUNCTIONS(HL_ENUMERATOR) HL_LIBRARY_FUNCTIONS(HL_ENUMERATOR)
} hl_function;

/* Losses whose value of one row is a mean or a sum over its elements.
 * param is the loss's one option: see each line. */
typedef enum hl_loss {
    HL_MEAN_SQUARED_ERROR,
    HL_MEAN_ABSOLUTE_ERROR,
    HL_MEAN_ABSOLUTE_PERCENTAGE_ERROR,
    HL_MEAN_SQUARED_LOGARITHMIC_ERROR,
    HL_HUBER,                      /* param = delta */
    HL_LOG_COSH,
    HL_BINARY_CROSSENTROPY,        /* param = label smoothing; y_pred are probabilities */
    HL_BINARY_CROSSENTROPY_LOGITS, /* param = label smoothing; y_pred are logits */
    HL_KL_DIVERGENCE,              /* a sum, not a mean, over the elements */
    HL_POISSON,
    HL_HINGE,                      /* labels 0/1 are read as -1/+1 when all of y_true is 0 or 1 */
    HL_SQUARED_HINGE               /* the same */
} hl_loss;

/* Losses with several options, and those that are no mean or sum over elements. q is y_pred clipped
 * to [1e-7, 1 - 1e-7], t is y_true smoothed: see each line. */
typedef enum hl_row_loss {
    /* Mean of (t positive + (1 - t) negative) u^gamma H, with H = -t log(q) - (1 - t) log(1 - q)
     * and u = t (1 - y_pred) + (1 - t) y_pred. option = gamma, positive, negative, smoothing. */
    HL_BINARY_FOCAL_CROSSENTROPY,
    HL_BINARY_FOCAL_CROSSENTROPY_LOGITS, /* the same of sigmoid(y_pred) */
    /* -alpha sum_j t_j (1 - q_j)^gamma log(q_j), y_pred being divided by its sum first.
     * option = gamma, alpha, smoothing. */
    HL_CATEGORICAL_FOCAL_CROSSENTROPY,
    HL_CATEGORICAL_FOCAL_CROSSENTROPY_LOGITS, /* the same of softmax(y_pred) */
    HL_GENERALIZED_CROSSENTROPY, /* (1 - y_pred[label]^q) / q; option = q */
    HL_CATEGORICAL_HINGE,        /* max(1 + max_j (1 - y_j) p_j - sum_j y_j p_j, 0) */
    HL_COSINE_SIMILARITY,        /* minus the cosine; a vector shorter than 1e-7 has length 1e-7 */
    /* 1 - I / (I + alpha sum (1 - p) y + beta sum p (1 - y) + epsilon), with I = sum y p: over each
     * row, or over all rows of the call, whose one value all have. option = alpha, beta, epsilon. */
    HL_TVERSKY,
    HL_BATCH_TVERSKY
} hl_row_loss;

#define HL_MAX_OPTIONS 4

/* Per-row metric values. */
typedef enum hl_metric {
    HL_BINARY_ACCURACY,             /* param = threshold; mean over the row's elements */
    HL_CATEGORICAL_ACCURACY,        /* argmax y_true == argmax y_pred */
    HL_SPARSE_CATEGORICAL_ACCURACY, /* label == argmax y_pred */
    HL_TOP_K_ACCURACY,              /* param = k; label is the argmax of y_true */
    HL_SPARSE_TOP_K_ACCURACY,       /* param = k */
    HL_PEARSON_CORRELATION,         /* of y_true and y_pred, over the row's elements */
    HL_CONCORDANCE_CORRELATION      /* 2 covariance / (variances + (difference of means)^2 + 1e-7) */
} hl_metric;

/* Update rules. Slots s0, s1, s2 are the optimizer's state of the same shape as
 * the weights; hyper[] is what the user set, h[] is what one step needs (see
 * hl_optimizer_prepare). */
typedef enum hl_optimizer {
    HL_SGD,            /* hyper: learning_rate */
    HL_SGD_MOMENTUM,   /* hyper: learning_rate, momentum; s0 = velocity */
    HL_SGD_NESTEROV,   /* hyper: learning_rate, momentum; s0 = velocity */
    HL_ADAM,           /* hyper: learning_rate, beta_1, beta_2, epsilon, weight_decay;
                          s0 = m, s1 = v */
    HL_ADAM_AMSGRAD,   /* as HL_ADAM; s2 = largest v so far */
    HL_RMSPROP,        /* hyper: learning_rate, rho, epsilon; s0 = mean square */
    HL_RMSPROP_MOMENTUM,          /* and momentum; s0 = mean square, s1 = velocity */
    HL_RMSPROP_CENTERED,          /* as HL_RMSPROP; s0 = mean square, s1 = mean gradient */
    HL_RMSPROP_CENTERED_MOMENTUM, /* and momentum; s0 and s1 as above, s2 = velocity */
    HL_ADAGRAD,        /* hyper: learning_rate, epsilon; s0 = sum of squares */
    HL_ADADELTA,       /* hyper: learning_rate, rho, epsilon; s0 = mean square of the gradient,
                          s1 = that of the step */
    HL_ADAMAX,         /* hyper: learning_rate, beta_1, beta_2, epsilon; s0 = m, s1 = largest
                          gradient, fading */
    HL_NADAM,          /* hyper: learning_rate, beta_1, beta_2, epsilon; s0 = m, s1 = v */
    HL_LION,           /* hyper: learning_rate, beta_1, beta_2; s0 = m */
    HL_FTRL,           /* hyper: learning_rate, learning_rate_power, l1, l2, l2_shrinkage, beta;
                          s0 = sum of squares, s1 = linear */
    HL_SCHEDULE_FREE_ADAMW, /* hyper: learning_rate, beta_1, beta_2, epsilon, warmup_steps;
                          s0 = z, at first the weights; s1 = v */
    HL_KEEP_GRADIENT,  /* s0 = the gradient; weights stay */
    /* These take whole weights: hl_kernels.whole_update, not update. */
    HL_ADAFACTOR,      /* hyper: learning_rate, beta_2_decay, epsilon_1, epsilon_2, clip_threshold */
    HL_LAMB,           /* hyper: learning_rate, beta_1, beta_2, epsilon */
    HL_MUON            /* hyper: learning_rate, momentum, nesterov, a, b, c, ns_steps, rms_rate (0:
                          none), and for other weights, to which HL_ADAM takes the same h, beta_1,
                          beta_2, epsilon, ratio of their learning rate */
} hl_optimizer;

#define HL_MAX_HYPER 16
#define HL_MAX_RANK 8

/* A weight that is updated as a whole, its gradient, and what is kept of them. */
typedef struct hl_whole {
    hl_optimizer kind;
    /* The weight's last two axes, and how many such matrices it is; a vector is a single row. */
    ptrdiff_t matrices, rows, cols;
    int packed; /* w, g, m and v are one matrix in panels; otherwise they stand row after row */
    void *w;
    const void *g;
    void *row;    /* Adafactor's, of each row of each matrix; NULL for a vector */
    void *column; /* and of each column of each matrix */
    void *m, *v;  /* Lamb's, of each element; Muon has m alone */
    void *room;   /* whole_update_room bytes that start where a double may */
} hl_whole;

/* One of the user's arrays, read in place row by row. Strides are in bytes. A row has as few
 * dimensions as its memory needs: none of 1 unless alone, no two that lie one after the other. */
typedef struct hl_source {
    const char *data;
    hl_dtype dtype;
    int swapped; /* byte order is the other one */
    int rank;    /* of one row, at least 1 */
    ptrdiff_t row_stride;
    ptrdiff_t dim[HL_MAX_RANK];
    ptrdiff_t stride[HL_MAX_RANK];
} hl_source;

/* One dense layer of a small network: y = f(x w + b). */
typedef struct hl_layer {
    ptrdiff_t units;
    hl_activation activation;
    double alpha;
    void *w;          /* packed */
    void *w_state[3]; /* what the optimizer keeps of w; NULL where it keeps less */
    void *b;          /* NULL: no bias */
    void *b_state[3];
} hl_layer;

#define HL_MAX_LAYERS 8
/* Most inputs and units of a layer in it. */
#define HL_MAX_UNITS 32
/* Of a single layer of one unit with up to so many inputs, weights and bias fit HL_MAX_UNITS. */
#define HL_MAX_LINEAR_INPUTS (HL_MAX_UNITS - 1)

/* Layers one after another, a loss and an optimizer: all that training needs. */
typedef struct hl_network {
    ptrdiff_t inputs;
    int depth;
    hl_layer layer[HL_MAX_LAYERS];
    int softmax; /* the loss is softmax cross-entropy of the last layer's output, not loss */
    int clip;    /* see hl_kernels.softmax_crossentropy */
    hl_loss loss; /* not HL_HINGE nor HL_SQUARED_HINGE */
    double param; /* of the loss; label smoothing */
    double loss_weight;
    hl_optimizer rule;
} hl_network;

/* Powers of one base: what hl_power keeps between calls; all zero at first. */
typedef struct hl_powers {
    double base;
    int64_t start;
    double high;    /* base^start */
    double low[64]; /* base^0 .. base^63 */
} hl_powers;

/* As many axes as NumPy's arrays had for long. */
#define HL_MAX_BROADCAST 32

/* Elements from one index to the next, 0 where an operand stays, and from one example to the next. */
typedef struct hl_strides {
    ptrdiff_t axis[HL_MAX_BROADCAST];
    ptrdiff_t example;
} hl_strides;

/* What an instruction of a program does, for every element. */
typedef enum hl_family {
    HL_DO_LOAD,                /* y = input `kind`, cast and broadcast */
    HL_DO_FILL,                /* y = alpha */
    HL_DO_ACTIVATION,          /* y = hl_activation `kind` of a, with alpha */
    HL_DO_ACTIVATION_GRADIENT, /* y = a times its derivative, at what b saved */
    HL_DO_MERGE,               /* y = hl_merge `kind` of a and b */
    HL_DO_CHOICE_GRADIENT,     /* y = see hl_kernels.choice_gradient, of a, b and c */
    HL_DO_SCALE,               /* y = a * alpha + offset */
    HL_DO_FUNCTION,            /* y = hl_function `kind` of a, or of a and b */
    HL_DO_CHOOSE,              /* y = b where a is not 0, else c */
    HL_DO_TELL,                /* output `kind` = a != 0, in a byte */
    HL_DO_SUM                  /* output `kind` = the sum of each row of a, divided by alpha */
} hl_family;

#define HL_MAX_PLACES 256

/* y, a, b and c are places: registers, then inputs, then outputs. y may be any of the others. */
typedef struct hl_instruction {
    hl_family family;
    int kind;
    int y, a, b, c;
    double alpha, offset;
} hl_instruction;

/* Of T, HL_I32, HL_U8 or HL_BOOL. It must be loaded unless it has T and the output's shape. */
typedef struct hl_program_input {
    const char *data;
    hl_dtype dtype;
    int loaded, broadcast;
    hl_strides strides; /* of one that is broadcast */
} hl_program_input;

typedef struct hl_program_output {
    char *data;
    int apart; /* of HL_DO_TELL or HL_DO_SUM, so that no register stands there */
} hl_program_output;

/* Inputs are broadcast to one shape, whose axes of an example have these lengths; outputs have it. */
typedef struct hl_program {
    int length, registers, inputs, outputs;
    const hl_instruction *instruction;
    const hl_program_input *input;
    const hl_program_output *output;
    int rank;
    ptrdiff_t dim[HL_MAX_BROADCAST];
    ptrdiff_t block; /* elements of a register that are worked on: whole rows, where there are sums */
    ptrdiff_t stride; /* from one register to the next, at least as many */
    ptrdiff_t row;    /* elements that each sum is of */
    /* Of packed matrices: where the last panel begins, its width and how many of its columns there
     * are; a width of 0 elsewhere. */
    ptrdiff_t panel, panel_width, panel_columns;
} hl_program;

/* ---------------------------------------------------------------- kernels */

/* The table of one instruction set and one element type T (float or double).
 * Every void pointer points to elements of T unless a comment says otherwise;
 * lengths and strides count elements. */
typedef struct hl_kernels {
    const char *isa; /* "baseline", "avx2", "avx512", "neon" */
    int itemsize;    /* sizeof(T) */
    int vl;          /* elements in one vector */
    int mr;          /* most rows of a matrix-product tile */
    int nr;          /* most columns of a tile: 2 * vl */
    /* The names of all of hl_activation, hl_merge and hl_function in their order, spaces between
     * them. */
    const char *activations, *merges, *functions;

    /* -- matrix product ------------------------------------------------ */

    /* Matrices are packed in panels of up to nr columns. A panel of n columns occupies w = 1
     * where n is 1, vl where n <= vl, else nr: the width of every panel below.
     *
     * c[i, j] = start + sum_p a[i, p] * b[p, j] for i < m <= mr, j < n <= nr; any m where n is 1.
     * a holds the addresses of m rows, a[i, p] standing at a[i][at + p], or, where transposed, of
     * k columns, a[i, p] standing at a[p][at + i].
     * b is a packed panel: b[p, j] at b[p * w + j].
     * start is c itself if accumulate, else init[j] (w readable values), else 0
     * where init is NULL. c[i, j] at c[i * c_row + j]; only j < n is written.
     * The sum runs over p in increasing order, one fused multiply-add a term; where n is 1 and
     * a is not transposed, in an order that depends on k alone. */
    void (*gemm)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *const *a, ptrdiff_t at,
                 int transposed, const void *b, const void *init, int accumulate, void *c,
                 ptrdiff_t c_row);

    /* gemm of one row, k elements at a, by panels whole panels, which begin b_panel elements apart
     * from b on; the same bits. init, where it is not NULL, and c have panels * nr elements. */
    void (*gemm_row)(int panels, ptrdiff_t k, const void *a, const void *b, ptrdiff_t b_panel,
                     const void *init, void *c);

    /* dx[i] = sum_j dy[j] * w[first + i, j] for i < n, j < units: one row by the transpose of a
     * weight of inputs x units in panels, column j at w + j * inputs. Sums run in an order that
     * units alone decides. */
    void (*gemm_row_transposed)(ptrdiff_t first, ptrdiff_t n, ptrdiff_t units, ptrdiff_t inputs,
                                const void *dy, const void *w, void *dx);

    /* Packs one panel: out[p * w + j] = x[p * row + j * col] for p < k, j < n <= nr,
     * and zero for n <= j < w. Fast where row or col is 1. */
    void (*pack)(ptrdiff_t k, ptrdiff_t n, const void *x, ptrdiff_t row, ptrdiff_t col, void *out);

    /* The inverse: x[p * row + j * col] = packed[p * w + j] for j < n. */
    void (*unpack)(ptrdiff_t k, ptrdiff_t n, const void *packed, void *x, ptrdiff_t row,
                   ptrdiff_t col);

    /* out[j] = sum_i x[i * ld + j] for j < cols, i in increasing order. */
    void (*sum_rows)(const void *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols, void *out);

    /* y[i * y_ld + j] = sum_q x[q * part + i * ld + j] for i < rows, j < cols, q < parts in
     * increasing order. */
    void (*add_parts)(const void *x, int parts, ptrdiff_t part, ptrdiff_t ld, ptrdiff_t rows,
                      ptrdiff_t cols, void *y, ptrdiff_t y_ld);

    /* -- elementwise --------------------------------------------------- */

    /* y = f(x) on a rows x cols block; y may be x. */
    void (*activation)(hl_activation kind, double alpha, const void *x, ptrdiff_t x_ld, void *y,
                       ptrdiff_t y_ld, ptrdiff_t rows, ptrdiff_t cols);

    /* dx = dy * f'(.) on rows x cols blocks, all with rows ld apart; saved is y or x as
     * HL_ACTIVATIONS says; dx may be dy. */
    void (*activation_gradient)(hl_activation kind, double alpha, const void *dy,
                                const void *saved, void *dx, ptrdiff_t ld, ptrdiff_t rows,
                                ptrdiff_t cols);

    /* y[i, j] = x[i, j] + b[j]; y may be x. */
    void (*add_bias)(const void *x, const void *b, void *y, ptrdiff_t rows, ptrdiff_t cols);

    /* y[i] = f(a[i], b[i]); y may be a or b. */
    void (*merge)(hl_merge kind, const void *a, const void *b, void *y, ptrdiff_t n);

    /* The gradient of HL_MAXIMUM or HL_MINIMUM: da[i] is dy[i] where a[i] was chosen, half of it
     * where a[i] = b[i], else 0; da may be dy. That of b is the same with a and b exchanged. */
    void (*choice_gradient)(hl_merge kind, const void *dy, const void *a, const void *b, void *da,
                            ptrdiff_t n);

    /* y[i] = x[i] * factor + offset, rounded as a product and a sum are in gemm; y may be x. */
    void (*scale)(double factor, double offset, const void *x, void *y, ptrdiff_t n);

    /* Elements first .. first + n - 1 of what a program computes, counted over all examples. The
     * registers stand in room, registers * stride elements. No output may be an input. Where there
     * are sums, first and n are whole rows. */
    void (*program)(const hl_program *program, ptrdiff_t first, ptrdiff_t n, void *room);

    /* y[i] = x[i] * keep(first + i) / (1 - rate), where keep is drawn by
     * hl_random_bits(key, index); y may be x. */
    void (*dropout)(double rate, uint64_t key, ptrdiff_t first, const void *x, void *y,
                    ptrdiff_t n);

    /* y[i] = x[i] * factor + offset where dropout keeps element i, else dropped; y may be x. */
    void (*alpha_dropout)(double rate, double factor, double offset, double dropped, uint64_t key,
                          ptrdiff_t first, const void *x, void *y, ptrdiff_t n);

    /* y[i] = x[i] + noise, or, where multiply, x[i] * (1 + noise): noise is stddev times a normal
     * number that hl_random_bits(key, first + i) gives; y may be x. */
    void (*gaussian)(int multiply, double stddev, uint64_t key, ptrdiff_t first, const void *x,
                     void *y, ptrdiff_t n);

    /* y[i, j] = x[i, j], times alpha[j] where it is below 0; y may be x. */
    void (*prelu)(const void *x, const void *alpha, void *y, ptrdiff_t rows, ptrdiff_t cols);

    /* Its gradients: dx, 0 where x is 0, which may be dy; and dalpha, a sum over rows that stand
     * ld apart. */
    void (*prelu_gradient)(const void *dy, const void *x, const void *alpha, void *dx,
                           ptrdiff_t rows, ptrdiff_t cols);
    void (*prelu_alpha_gradient)(const void *dy, const void *x, ptrdiff_t ld, ptrdiff_t rows,
                                 ptrdiff_t cols, void *dalpha);

    /* -- over the columns of each row ---------------------------------- */

    /* y = softmax(x) or log_softmax(x) of each row; y may be x. */
    void (*softmax)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols);
    void (*log_softmax)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols);

    /* dx = y * (dy - sum(dy * y)); dx may be dy. */
    void (*softmax_gradient)(const void *dy, const void *y, void *dx, ptrdiff_t rows,
                             ptrdiff_t cols);

    /* The point of the unit simplex that is nearest to x of each row; y may be x. */
    void (*sparsemax)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols);

    /* dx = dy - mean(dy) where y > 0, the mean being over those, else 0; dx may be dy. */
    void (*sparsemax_gradient)(const void *dy, const void *y, void *dx, ptrdiff_t rows,
                               ptrdiff_t cols);

    /* y[i, j] = x[i, j] * sigmoid(x[i, cols + j]), x having 2 * cols columns. */
    void (*glu)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols);

    /* dx, of x's shape, may be x. */
    void (*glu_gradient)(const void *dy, const void *x, void *dx, ptrdiff_t rows, ptrdiff_t cols);

    /* dx = dy - exp(y) * sum(dy), y being log_softmax's output; dx may be dy. */
    void (*log_softmax_gradient)(const void *dy, const void *y, void *dx, ptrdiff_t rows,
                                 ptrdiff_t cols);

    /* -- normalisation -------------------------------------------------
     * gamma may be NULL, which means ones, and beta, zeros. */

    /* Mean and biased variance of each column, over rows that stand ld apart. */
    void (*column_moments)(const void *x, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t cols, void *mean,
                           void *variance);

    /* y[i, j] = (x[i, j] - mean[j]) / sqrt(variance[j] + epsilon) * gamma[j] + beta[j]; y may be
     * x. */
    void (*normalize)(double epsilon, const void *x, const void *mean, const void *variance,
                      const void *gamma, const void *beta, void *y, ptrdiff_t rows,
                      ptrdiff_t cols);

    /* dgamma[j] = sum_i dy[i, j] * (x[i, j] - mean[j]) / sqrt(variance[j] + epsilon), over rows
     * that stand ld apart. */
    void (*normalize_scale_gradient)(double epsilon, const void *dy, const void *x,
                                     const void *mean, const void *variance, ptrdiff_t ld,
                                     ptrdiff_t rows, ptrdiff_t cols, void *dgamma);

    /* dx of some of the batch's rows, mean and variance being those of all `total` rows, and
     * dgamma and dbeta sums over all; or, where those two are NULL, mean and variance being
     * constants. dx may be dy. */
    void (*normalize_gradient)(double epsilon, ptrdiff_t total, const void *dy, const void *x,
                               const void *mean, const void *variance, const void *gamma,
                               const void *dgamma, const void *dbeta, void *dx, ptrdiff_t rows,
                               ptrdiff_t cols);

    /* average[i] = average[i] * momentum + value[i] * (1 - momentum). */
    void (*moving_average)(double momentum, const void *value, void *average, ptrdiff_t n);

    /* y[i, j] = (x[i, j] - mean[i]) * inverse[i] * gamma[j] + beta[j], mean[i] being that of the
     * row, or 0 unless centered, and inverse[i] = 1 / sqrt(mean_j (x[i, j] - mean[i])^2 + epsilon).
     * mean and inverse receive those where they are not NULL. y may be x. */
    void (*layer_norm)(int centered, double epsilon, const void *x, const void *gamma,
                       const void *beta, void *y, void *mean, void *inverse, ptrdiff_t rows,
                       ptrdiff_t cols);

    /* dgamma[j] = sum_i dy[i, j] * (x[i, j] - mean[i]) * inverse[i], over rows that stand ld
     * apart. */
    void (*layer_norm_scale_gradient)(const void *dy, const void *x, const void *mean,
                                      const void *inverse, ptrdiff_t ld, ptrdiff_t rows,
                                      ptrdiff_t cols, void *dgamma);

    /* dx may be dy. */
    void (*layer_norm_gradient)(int centered, const void *dy, const void *x, const void *mean,
                                const void *inverse, const void *gamma, void *dx, ptrdiff_t rows,
                                ptrdiff_t cols);

    /* -- losses --------------------------------------------------------
     * Each writes values[i] = weight[i / group] * loss(row i), and, where gradient
     * is not NULL, gradient[i, :] = scale * weight[i / group] * dloss/dy_pred.
     * weight NULL means ones. gradient may be y_pred. */

    void (*loss)(hl_loss kind, double param, const void *y_true, const void *y_pred,
                 const void *weight, ptrdiff_t group, double scale, void *values, void *gradient,
                 ptrdiff_t rows, ptrdiff_t cols);

    /* -sum_j t_j log(clip(q_j)) with q = y_pred / sum(y_pred), clip to [1e-7, 1 - 1e-7], and
     * t = y_true * (1 - smoothing) + smoothing / cols; where y_true is NULL, t is 1 for the label
     * and 0 for the rest. */
    void (*crossentropy)(double smoothing, const void *y_true, const int32_t *label,
                         const void *y_pred, const void *weight, ptrdiff_t group, double scale,
                         void *values, void *gradient, ptrdiff_t rows, ptrdiff_t cols);

    /* The same of softmax(x), in one pass, the gradient being with respect to x.
     * clip: probabilities are clipped as above, and clipped terms have no gradient
     * (a model with a softmax layer); otherwise exact (from_logits).
     * probability (may be NULL) receives softmax(x). */
    void (*softmax_crossentropy)(int clip, double smoothing, const void *y_true,
                                 const int32_t *label, const void *x, const void *weight,
                                 ptrdiff_t group, double scale, void *values, void *probability,
                                 void *gradient, ptrdiff_t rows, ptrdiff_t cols);

    /* label for HL_GENERALIZED_CROSSENTROPY, y_true for all others. */
    void (*row_loss)(hl_row_loss kind, const double *option, const void *y_true,
                     const int32_t *label, const void *y_pred, const void *weight, ptrdiff_t group,
                     double scale, void *values, void *gradient, ptrdiff_t rows, ptrdiff_t cols);

    /* Losses of several rows. weight may be NULL, and gradient too; room is ctc_room or circle_room
     * bytes, whose contents do not matter.
     *
     * values[i] = weight[i] * -log of the probability of all alignments of example i, steps rows of
     * logits, with its labels, those of `length` before the first 0; class 0 is the blank. Infinite,
     * and the gradient NaN, where no alignment fits into the steps. gradient may be logits. */
    void (*ctc)(ptrdiff_t steps, ptrdiff_t length, const int32_t *label, const void *logits,
                const void *weight, double scale, void *values, void *gradient, void *room,
                ptrdiff_t examples, ptrdiff_t cols);
    size_t (*ctc_room)(ptrdiff_t steps, ptrdiff_t length);

    /* values[i] = weight[i] * log(1 + sum exp(a_j) sum exp(b_j)), over the rows j of the same label
     * and over the others: with d = max(1 - x_i . x_j, 0), a = gamma (d + margin) (d - margin) and
     * b = gamma max(1 + margin - d, 0) (1 - margin - d); 0 where there are none of either.
     * option = gamma, margin, whether a row is no pair of its own, whether values and gradient are
     * multiplied by rows / rows above 0. gradient is not x. */
    void (*circle)(const double *option, const int32_t *label, const void *x, const void *weight,
                   double scale, void *values, void *gradient, void *room, ptrdiff_t rows,
                   ptrdiff_t cols);
    size_t (*circle_room)(ptrdiff_t rows);

    /* values[i] = weight[i / group] * metric(row i). */
    void (*metric)(hl_metric kind, double param, const void *y_true, const int32_t *label,
                   const void *y_pred, const void *weight, ptrdiff_t group, void *values,
                   ptrdiff_t rows, ptrdiff_t cols);

    /* -- optimizers ---------------------------------------------------- */

    /* One step on n weights in place; h from hl_optimizer_prepare; unused slots NULL. */
    void (*update)(hl_optimizer kind, const double *h, void *w, const void *g, void *s0, void *s1,
                   void *s2, ptrdiff_t n);

    /* One step on a whole weight; h from hl_optimizer_prepare.
     * HL_ADAFACTOR: row and column, r and c, become (1 - h[1]) r + h[1] mean(g^2 + h[2]), the mean
     * being over the row or the column; with u = g / sqrt(r c / mean(r)), or g / sqrt(c) of a
     * vector, and rms(x) the root of the mean of x^2, w -= h[0] max(rms(w), h[3]) / max(rms(u) /
     * h[4], 1) u.
     * HL_LAMB: m += (g - m) h[1], v += (g^2 - v) h[2]; with u = h[4] m / (sqrt(v) + h[3]),
     * w -= h[0] |w| / |u| u, or h[0] u unless both norms are above 0.
     * HL_MUON, of one matrix: m = h[6] m + g; x = h[7] g + h[8] m, divided by its norm + 1e-7; h[12]
     * times, with S = x x', or x' x of more rows than columns, x = h[9] x + (h[10] S + h[11] S S) x,
     * or x = h[9] x + x (h[10] S + h[11] S S); w -= h[5] h[13] sqrt(max(rows, cols)) x, or h[5] x if
     * h[13] is 0.
     * The stages 0 .. whole_update_stages - 1 are done one after the other. Of several parts each
     * does a share of a stage, and together they do it; how many they are changes no bit. */
    void (*whole_update)(const hl_whole *weight, const double *h, int stage, int part, int parts);

    int (*whole_update_stages)(const hl_whole *weight, const double *h);

    /* Bytes of the room that it needs, whose contents do not matter. */
    size_t (*whole_update_room)(const hl_whole *weight);

    /* gemm of a transposed, from 0, into c, whose rows are n apart, and update on count weights
     * whose gradient is g, at once. c and g are different memory. */
    void (*gemm_update)(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const void *const *a,
                        ptrdiff_t at, const void *b, void *c, hl_optimizer kind,
                        const double *h, void *w, const void *g, void *s0, void *s1, void *s2,
                        ptrdiff_t count);

    /* l1 * sum|w| + l2 * sum w^2, summed in double, in a fixed order. */
    double (*penalty)(double l1, double l2, const void *w, ptrdiff_t n);

    /* g += l1 * sign(w) + 2 * l2 * w. */
    void (*penalty_gradient)(double l1, double l2, const void *w, void *g, ptrdiff_t n);

    /* y[i] = x[i] limited to [-limit, limit]; NaN stays NaN; y may be x. */
    void (*clip)(double limit, const void *x, void *y, ptrdiff_t n);

    /* Each column of k x n numbers, rows ld apart, times c / (norm + 1e-7), in place, with
     * c = rate * (norm limited to [low, high]) + (1 - rate) * norm. */
    void (*limit_norms)(double low, double high, double rate, ptrdiff_t k, ptrdiff_t n,
                        ptrdiff_t ld, void *w);

    /* -- small networks ------------------------------------------------ */

    /* Brings the weights, and what the optimizer keeps of them, into scratch, which starts on a
     * whole vector, or with out from there to where the layers have them. */
    void (*exchange_network)(int out, const hl_network *network, void *scratch);

    /* Trains the weights in scratch on rows, batch_size at a time (the last batch may be smaller):
     * the whole of each batch's forward and backward pass and update. The loss is the mean over a
     * batch's rows. Stops before the update of a batch whose loss is not finite; returns the number
     * of batches before it. Writes values[i] as hl_kernels.loss does, and y_pred: the last layer's
     * output, or its softmax where network->softmax and clip. label or y_true may be NULL, and
     * weight. hyper, steps (batches trained before) and kept are for hl_optimizer_prepare. */
    ptrdiff_t (*train_network)(const hl_network *network, const double *hyper, int64_t steps,
                               hl_powers kept[2], ptrdiff_t rows, ptrdiff_t batch_size,
                               const void *x, const void *y_true, const int32_t *label,
                               const void *weight, void *values, void *y_pred, void *scratch);

    /* Bytes of scratch that both need. */
    size_t (*network_scratch)(const hl_network *network);

    /* -- data ---------------------------------------------------------- */

    /* Rows order[first + i] (or first + i where order is NULL), i < n, of the
     * source, cast to T, contiguous. */
    void (*gather)(const hl_source *source, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                   void *out);

    /* -- rows by their numbers ------------------------------------------- */

    /* y[i, :] = table[index[i], :] for i < n, the table being a packed matrix of rows x cols; NaN
     * where there is no such row. */
    void (*lookup)(const int32_t *index, ptrdiff_t n, const void *table, ptrdiff_t rows,
                   ptrdiff_t cols, void *y);

    /* Its gradient: dw[r, :] = sum of dy[i, :] over all i with index[i] = r, i in increasing order,
     * padding being 0. Of several parts each writes rows of its own, and together they write all;
     * how many they are changes no bit. */
    void (*lookup_gradient)(const int32_t *index, ptrdiff_t n, const void *dy, ptrdiff_t rows,
                            ptrdiff_t cols, int part, int parts, void *dw);

    /* y[i, k] says whether, or where counts is not 0 how often, k is among the n numbers
     * index[i, :], for k < depth. */
    void (*encode)(int counts, const int32_t *index, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t depth,
                   void *y);

    /* -- examples of several rows ------------------------------------------ */

    /* y[i, t, :] = x[i, :] for t < steps. */
    void (*repeat_steps)(const void *x, ptrdiff_t rows, ptrdiff_t steps, ptrdiff_t cols, void *y);

    /* y[i, j] = max_t x[i, t, j]; NaN where one of them is. steps is at least 1. */
    void (*max_steps)(const void *x, ptrdiff_t rows, ptrdiff_t steps, ptrdiff_t cols, void *y);

    /* Its gradient: all steps that equal y share dy evenly, others get 0. */
    void (*max_steps_gradient)(const void *dy, const void *x, const void *y, ptrdiff_t rows,
                               ptrdiff_t steps, ptrdiff_t cols, void *dx);

    /* y[i, t, :] = sum of x[i, s, :] over s = 0 .. t, or, where reverse is not 0, over s = steps - 1
     * down to t, added in that order; y may be x. */
    void (*cumulative_sum)(int reverse, const void *x, ptrdiff_t rows, ptrdiff_t steps,
                           ptrdiff_t cols, void *y);

    /* y = x / max(|x|, 10^-7) of each row, |x| being its Euclidean length; y may be x. */
    void (*unit_rows)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols);

    /* Its gradient; dx may be dy or x. */
    void (*unit_rows_gradient)(const void *dy, const void *x, void *dx, ptrdiff_t rows,
                               ptrdiff_t cols);

    /* y[i, j, :] = (x[i, j, :] - mean[j]) / s, or x[i, j, :] * s + mean[j] where invert is not 0,
     * with s = max(sqrt(variance[j]), 10^-7), for rows x cols runs of so many elements. mean NULL
     * means zeros; y may be x. */
    void (*standardize)(int invert, const void *x, const void *mean, const void *variance,
                        ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t run, void *y);
} hl_kernels;

/* y[i] = a function that the C library works out, of a[i], or of a[i] and b[i]; b may be anything
 * for those of one element. The dtype is HL_F32 or HL_F64. y may be a or b. */
void hl_library_function(hl_function kind, hl_dtype dtype, const void *a, const void *b, void *y,
                         ptrdiff_t n);

/* As hl_kernels.gather, cast to uint8: masks. What is too small, too large or NaN becomes the
 * nearest number, NaN 0. */
void hl_gather_masks(const hl_source *source, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                     uint8_t *out);

/* As hl_kernels.gather, cast to truth values: 0 of 0, and 1 of all others, NaN among them. */
void hl_gather_booleans(const hl_source *source, const int64_t *order, ptrdiff_t first,
                        ptrdiff_t n, uint8_t *out);

/* As hl_kernels.gather, cast to int32 in the same way, but NaN becomes the smallest number: class
 * labels, and whole numbers of any meaning. */
void hl_gather_labels(const hl_source *source, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                      int32_t *out);

/* sum_i x[i] in double, in an order that depends on n alone; T by itemsize (4 or 8). */
double hl_sum(const void *x, int itemsize, ptrdiff_t n);

/* ---------------------------------------------------------------- runtime */

/* Names of the instruction sets that are compiled in and that this CPU runs, best
 * first, NULL-terminated. */
const char *const *hl_isa_available(void);

/* The table for dtype HL_F32 or HL_F64; isa NULL means the best. NULL if there is
 * no such instruction set here. */
const hl_kernels *hl_kernels_for(const char *isa, hl_dtype dtype);

/* What this CPU calls itself; an empty string where it does not say. */
const char *hl_cpu_name(void);

/* Cores that this process may use: affinity and cgroup quota respected, at least 1. */
int hl_cpu_count(void);

/* Uniform 64 random bits for one (key, index): SplitMix64's output function at
 * state key + (index + 1) * 0x9E3779B97F4A7C15. */
uint64_t hl_random_bits(uint64_t key, uint64_t index);

/* The numbers 0 .. n - 1 in a random order: each i takes the place j <= i that hl_random_bits(key,
 * i) falls on as a fraction of i + 1, and what stood there moves to the end (Fisher and Yates,
 * inside out). */
void hl_random_order(uint64_t key, int64_t n, int64_t *order);

/* From now on this thread's arithmetic takes denormal numbers for zero, on which CPUs work many
 * times more slowly; an optimizer's moments decay into them wherever a gradient stays zero.
 * Returns what hl_restore_denormals needs to undo it. */
uint64_t hl_flush_denormals(void);
void hl_restore_denormals(uint64_t before);

/* base^n, n >= 0, the same bits whatever was asked before. */
double hl_power(hl_powers *kept, double base, int64_t n);

/* h[] of one step from hyper[] (hl_optimizer's comments) and iteration, counted from 1. */
void hl_optimizer_prepare(hl_optimizer kind, const double *hyper, int64_t iteration,
                          hl_powers kept[2], double *h);

/* -- threads ----------------------------------------------------------- */

/* A team runs one function on n threads at once; the caller is thread 0. */
typedef struct hl_team hl_team;
typedef void (*hl_task)(void *argument, hl_team *team, int thread, int n_threads);

/* Runs task on at most n_threads threads and returns when all are done. Where the
 * pool is in use by another caller, runs on the calling thread alone: n_threads as
 * the task sees it is what it got. */
void hl_pool_run(hl_task task, void *argument, int n_threads);

/* Waits until every thread of the team is here; returns at once in a team of one. */
void hl_team_barrier(hl_team *team);

/* Threads that the pool holds now, besides callers. */
int hl_pool_size(void);

#endif
