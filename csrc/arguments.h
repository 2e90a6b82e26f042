/* Steps: what each takes, and how threads divide it. For the Cython layer alone, which runs them; no
 * kernel knows of steps.
 *
 * A struct is for one op, or for a family whose ops take the very same arguments. Addresses are
 * those of a batch's first example; NULL where there is nothing, or nobody reads it. `rows` are
 * rows of one example, `cols` what one row has, `size` what one example has.
 */
#ifndef HOTLOOP_ARGUMENTS_H
#define HOTLOOP_ARGUMENTS_H

#include "hotloop.h"

/* How a team's threads divide a step. Each does consecutive ones. */
typedef enum hl_share {
    HL_BY_EXAMPLE, /* of the batch */
    HL_BY_ROW,     /* of these examples; the args then speak of one row as of an example */
    HL_BY_COLUMN,  /* each over all rows of the batch */
    HL_BY_ELEMENT, /* of an array that has no batch */
    HL_BY_ONE,     /* thread 0 does all of it */
    HL_BY_ALL      /* all threads walk it, and it divides itself: panels, tiles, stages */
} hl_share;

/* -------------------------------------------------------------- data, outputs */

typedef struct hl_gather_args {
    int source; /* which of the user's arrays */
    ptrdiff_t size;
    char *out; /* numbers of the core, int32_t or uint8_t */
} hl_gather_args;

typedef struct hl_copy_out_args {
    int output; /* which of the plan's */
    ptrdiff_t bytes; /* of an example */
    const char *x;
} hl_copy_out_args;

/* ------------------------------------------------------------ matrix products */

/* The rows of a product's first matrix. They may stand in the user's own array instead. */
typedef struct hl_rows {
    const char *data;
    int in_place;
    ptrdiff_t rows, cols;
    ptrdiff_t panels; /* of the weight that they meet */
    ptrdiff_t parts;  /* that the sums over the columns are cut into */
} hl_rows;

/* y = f(x w + bias) */
typedef struct hl_dense_args {
    hl_rows x;
    ptrdiff_t units;
    const char *w, *bias;
    hl_activation activation;
    double alpha;
    char *y;
    char *partial; /* room for sums that are cut into parts */
} hl_dense_args;

/* dx = f'(saved) * dy w^T */
typedef struct hl_input_gradient_args {
    ptrdiff_t rows, inputs, units;
    const char *dy, *w, *saved;
    hl_activation activation;
    double alpha;
    char *dx;
} hl_input_gradient_args;

/* dw = x^T dy */
typedef struct hl_weight_gradient_args {
    hl_rows x;
    ptrdiff_t units;
    const char *dy;
    char *dw;
} hl_weight_gradient_args;

/* A weight, what its optimizer keeps of it, and the rule. */
typedef struct hl_updated {
    hl_optimizer rule;
    char *w;
    char *state[3];
} hl_updated;

/* The update of w by x^T dy. */
typedef struct hl_weight_update_args {
    hl_rows x;
    ptrdiff_t units;
    const char *dy;
    hl_updated weight;
    char *dw;        /* room for it while blocks of rows are summed; NULL: they are one block */
    int read_by_all; /* threads have read the weights that others update */
} hl_weight_update_args;

/* y (m, n) = a (m, k) times b (k, n), for each matrix of each example */
typedef struct hl_batch_matmul_args {
    ptrdiff_t matrices; /* of an example */
    ptrdiff_t m, n, k;
    int transpose_a, transpose_b; /* they stand as (k, m) and as (n, k) */
    const char *a, *b;
    char *y;
} hl_batch_matmul_args;

/* ------------------------------------------------------- biases, and elements */

typedef struct hl_add_bias_args {
    ptrdiff_t rows, cols;
    const char *x, *b;
    char *y;
} hl_add_bias_args;

typedef struct hl_bias_gradient_args {
    ptrdiff_t rows, cols;
    const char *dy;
    char *db;
} hl_bias_gradient_args;

typedef struct hl_bias_update_args {
    ptrdiff_t rows, cols;
    const char *dy;
    hl_updated bias;
} hl_bias_update_args;

typedef struct hl_activation_args {
    hl_activation kind;
    double alpha;
    ptrdiff_t size;
    const char *x;
    char *y;
} hl_activation_args;

typedef struct hl_activation_gradient_args {
    hl_activation kind;
    double alpha;
    ptrdiff_t size;
    const char *dy, *saved;
    char *dx;
} hl_activation_gradient_args;

/* Loops of a function of the user's own, of n numbers; the last pointer is written. */
typedef void (*hl_unary_loop)(const char *x, char *y, ptrdiff_t n);
typedef void (*hl_binary_loop)(const char *a, const char *b, char *y, ptrdiff_t n);

typedef struct hl_own_activation_args {
    hl_unary_loop loop;
    ptrdiff_t size;
    const char *x;
    char *y;
} hl_own_activation_args;

typedef struct hl_own_activation_gradient_args {
    hl_binary_loop loop;
    ptrdiff_t size;
    const char *dy, *x;
    char *dx;
} hl_own_activation_gradient_args;

/* How operands are broadcast to an output: along its axes, of which those that all operands pass
 * alike are one. The last axis has strides of 1 and 0. */
typedef struct hl_broadcast {
    int operands, rank;
    ptrdiff_t dim[HL_MAX_BROADCAST];
    hl_strides of[3];
} hl_broadcast;

/* Arrays without a batch have a size of 1: their threads divide elements. strides is NULL where all
 * go alike, number after number. */
typedef struct hl_merge_args {
    hl_merge kind;
    const hl_broadcast *strides;
    ptrdiff_t size;
    const char *a, *b;
    char *y;
} hl_merge_args;

typedef struct hl_choice_gradient_args {
    hl_merge kind;
    const hl_broadcast *strides;
    ptrdiff_t size;
    const char *dy, *a, *b;
    char *da;
} hl_choice_gradient_args;

/* Of what has no batch, an example is one element. */
typedef struct hl_program_args {
    ptrdiff_t size;
    const hl_program *program;
} hl_program_args;

typedef struct hl_scale_args {
    double factor, offset;
    ptrdiff_t size;
    const char *x;
    char *y;
} hl_scale_args;

/* Of arrays without a batch. */
typedef struct hl_over_examples_args {
    const char *x;
    char *y;
} hl_over_examples_args;

typedef struct hl_prelu_args {
    ptrdiff_t rows, cols;
    const char *x, *alpha;
    char *y;
} hl_prelu_args;

typedef struct hl_prelu_gradient_args {
    ptrdiff_t rows, cols;
    const char *dy, *x, *alpha;
    char *dx;
} hl_prelu_gradient_args;

typedef struct hl_prelu_alpha_gradient_args {
    ptrdiff_t rows, cols;
    const char *dy, *x;
    char *dalpha;
} hl_prelu_alpha_gradient_args;

/* ---------------------------------------------------------------- random bits */

/* The key of a batch is drawn by its number, or is the seed itself where that is `final`. */
typedef struct hl_draws {
    uint64_t seed;
    int final;
} hl_draws;

typedef struct hl_dropout_args {
    double rate;
    hl_draws draws;
    ptrdiff_t size;
    const char *x;
    char *y;
} hl_dropout_args;

typedef struct hl_alpha_dropout_args {
    double rate, factor, offset, dropped;
    hl_draws draws;
    ptrdiff_t size;
    const char *x;
    char *y;
} hl_alpha_dropout_args;

typedef struct hl_gaussian_args {
    int multiply;
    double stddev;
    hl_draws draws;
    ptrdiff_t size;
    const char *x;
    char *y;
} hl_gaussian_args;

/* ------------------------------------------------- over the columns of each row */

/* softmax, log_softmax, sparsemax, unit_rows */
typedef struct hl_row_args {
    void (*kernel)(const void *x, void *y, ptrdiff_t rows, ptrdiff_t cols);
    ptrdiff_t rows, cols;
    const char *x;
    char *y;
} hl_row_args;

/* Their gradients; saved is the input or the output, as the kernel says. */
typedef struct hl_row_gradient_args {
    void (*kernel)(const void *dy, const void *saved, void *dx, ptrdiff_t rows, ptrdiff_t cols);
    ptrdiff_t rows, cols;
    const char *dy, *saved;
    char *dx;
} hl_row_gradient_args;

/* x has 2 * cols columns. */
typedef struct hl_glu_args {
    ptrdiff_t rows, cols;
    const char *x;
    char *y;
} hl_glu_args;

typedef struct hl_glu_gradient_args {
    ptrdiff_t rows, cols;
    const char *dy, *x;
    char *dx;
} hl_glu_gradient_args;

/* -------------------------------------------------------------- normalisation */

typedef struct hl_column_moments_args {
    ptrdiff_t rows, cols;
    const char *x;
    char *mean, *variance;
} hl_column_moments_args;

typedef struct hl_normalize_args {
    double epsilon;
    ptrdiff_t rows, cols;
    const char *x, *mean, *variance, *gamma, *beta;
    char *y;
} hl_normalize_args;

typedef struct hl_normalize_scale_gradient_args {
    double epsilon;
    ptrdiff_t rows, cols;
    const char *dy, *x, *mean, *variance;
    char *dgamma;
} hl_normalize_scale_gradient_args;

typedef struct hl_normalize_gradient_args {
    double epsilon;
    ptrdiff_t rows, cols;
    ptrdiff_t of_example; /* rows, where `rows` are those that threads divide */
    const char *dy, *x, *mean, *variance, *gamma, *dgamma, *dbeta;
    char *dx;
} hl_normalize_gradient_args;

typedef struct hl_moving_average_args {
    double momentum;
    const char *value;
    char *average;
} hl_moving_average_args;

typedef struct hl_layer_norm_args {
    int centered;
    double epsilon;
    ptrdiff_t rows, cols;
    const char *x, *gamma, *beta;
    char *y, *mean, *inverse;
} hl_layer_norm_args;

typedef struct hl_layer_norm_scale_gradient_args {
    ptrdiff_t rows, cols;
    const char *dy, *x, *mean, *inverse;
    char *dgamma;
} hl_layer_norm_scale_gradient_args;

typedef struct hl_layer_norm_gradient_args {
    int centered;
    ptrdiff_t rows, cols;
    const char *dy, *x, *mean, *inverse, *gamma;
    char *dx;
} hl_layer_norm_gradient_args;

/* ---------------------------------------------- columns, and rows by their numbers */

/* y = [a b]; left and cols, those of y, are bytes. */
typedef struct hl_concatenate_args {
    ptrdiff_t rows, left, cols;
    const char *a, *b;
    char *y;
} hl_concatenate_args;

/* y = x[:, first : first + cols], x having `wide` columns; all of them are bytes. */
typedef struct hl_columns_args {
    ptrdiff_t rows, wide, first, cols;
    const char *x;
    char *y;
} hl_columns_args;

/* y[i] = x[places[i]] for `moved` numbers of `item` bytes, or those of `fill` where a place is -1;
 * back: y[places[i]] += x[i] instead, y having `size` numbers. */
typedef struct hl_move_args {
    ptrdiff_t size, moved, item;
    const int64_t *places;
    char fill[8];
    const char *x;
    char *y;
} hl_move_args;

/* The same bytes for each example. */
typedef struct hl_each_example_args {
    ptrdiff_t bytes;
    const char *x;
    char *y;
} hl_each_example_args;

/* Numbers of one dtype as those of another. x is as the user's arrays are. */
typedef struct hl_cast_args {
    hl_source x;
    ptrdiff_t size;
    char *y;
} hl_cast_args;

/* The numbers of x one by one, as the source says that an example's stand: cast to int32_t, or as
 * they are. */
typedef struct hl_permute_args {
    hl_source x;
    ptrdiff_t size;
    char *y;
} hl_permute_args;

/* The table, w, is packed; there are `size` numbers in an example. */
typedef struct hl_lookup_args {
    ptrdiff_t size, rows, cols;
    const int32_t *index;
    const char *w;
    char *y;
} hl_lookup_args;

typedef struct hl_lookup_gradient_args {
    ptrdiff_t size, rows, cols;
    const int32_t *index;
    const char *dy;
    char *dw;
} hl_lookup_gradient_args;

typedef struct hl_encode_args {
    int counts;
    ptrdiff_t rows, n, depth;
    const int32_t *index;
    char *y;
} hl_encode_args;

/* -------------------------------------------------------- examples of several rows */

/* Between `rows` times `steps` rows and `rows` rows */
typedef struct hl_steps_args {
    ptrdiff_t rows, steps, cols;
    const char *x;
    char *y;
} hl_steps_args;

typedef struct hl_max_steps_gradient_args {
    ptrdiff_t rows, steps, cols;
    const char *dy, *x, *y;
    char *dx;
} hl_max_steps_gradient_args;

typedef struct hl_standardize_args {
    int invert;
    ptrdiff_t rows, cols, run;
    const char *x, *mean, *variance;
    char *y;
} hl_standardize_args;

/* ---------------------------------------------------------------- losses, metrics */

/* What losses and metrics compare, and the value of each row. One of y_true and label is NULL. */
typedef struct hl_compared {
    const char *y_true;
    const int32_t *label;
    const char *y_pred;
    const char *weight; /* of each example */
    ptrdiff_t rows, cols;
    char *values;
} hl_compared;

/* The gradient of a loss: factor times that of the sum over rows, or of their mean. */
typedef struct hl_slope {
    int summed;
    double factor;
    char *gradient;
} hl_slope;

typedef struct hl_loss_args {
    hl_compared of;
    hl_slope slope;
    hl_loss kind;
    double param;
} hl_loss_args;

typedef struct hl_row_loss_args {
    hl_compared of;
    hl_slope slope;
    hl_row_loss kind;
    double option[HL_MAX_OPTIONS];
} hl_row_loss_args;

typedef struct hl_crossentropy_args {
    hl_compared of;
    hl_slope slope;
    double smoothing;
} hl_crossentropy_args;

typedef struct hl_softmax_crossentropy_args {
    hl_compared of;
    hl_slope slope;
    double smoothing;
    int clip;
    char *probability;
} hl_softmax_crossentropy_args;

typedef struct hl_ctc_args {
    hl_compared of; /* its rows are the steps of an example, which has one value */
    hl_slope slope;
    ptrdiff_t length; /* labels of an example */
} hl_ctc_args;

typedef struct hl_circle_args {
    hl_compared of;
    hl_slope slope;
    double option[HL_MAX_OPTIONS];
} hl_circle_args;

typedef struct hl_own_loss_args {
    hl_compared of;
    hl_slope slope;
    hl_binary_loop value, derivative;
} hl_own_loss_args;

typedef struct hl_metric_args {
    hl_compared of;
    hl_metric kind;
    double param;
} hl_metric_args;

/* sum += the total or the mean of x, times the batch's examples */
typedef struct hl_accumulate_args {
    int sum;    /* which of the plan's */
    int summed; /* the total, not the mean */
    int check;  /* what is not finite ends the run */
    ptrdiff_t size;
    const char *x;
} hl_accumulate_args;

/* ----------------------------------------------------------- around an update */

/* w is one matrix in panels, or a row. */
typedef struct hl_penalty_args {
    int sum;
    double l1, l2;
    ptrdiff_t rows, cols;
    const char *w;
} hl_penalty_args;

typedef struct hl_penalty_gradient_args {
    double l1, l2;
    const char *g, *w;
    char *out;
} hl_penalty_gradient_args;

/* total += g; at every so many-th batch, mean = total / batches and total = 0. */
typedef struct hl_accumulate_gradient_args {
    int batches;
    const char *g;
    char *total, *mean;
} hl_accumulate_gradient_args;

/* sum = before + the squares of x, a matrix in panels, or a row */
typedef struct hl_square_sum_args {
    ptrdiff_t rows, cols;
    const char *x;
    const double *before;
    double *sum;
} hl_square_sum_args;

/* y = x * limit / max(sqrt(squares), limit) */
typedef struct hl_clip_by_norm_args {
    double limit;
    const double *squares;
    const char *x;
    char *y;
} hl_clip_by_norm_args;

typedef struct hl_clip_by_value_args {
    double limit;
    const char *x;
    char *y;
} hl_clip_by_value_args;

/* The whole update's are hl_whole. */
typedef struct hl_update_args {
    const char *g;
    hl_updated weight;
} hl_update_args;

typedef struct hl_decay_args {
    double weight_decay;
    char *w;
} hl_decay_args;

typedef struct hl_overwrite_args {
    const char *value;
    char *w;
} hl_overwrite_args;

/* A packed weight of rows x cols that its rule reads one number after another: w, g and m of `plain`
 * are copies of the packed ones. */
typedef struct hl_plain_whole {
    hl_whole plain;
    ptrdiff_t rows, cols;
    char *w, *m;
    const char *g;
} hl_plain_whole;

/* w = value: bytes as they are, or those of a matrix of rows x cols that only one of them packs. */
typedef struct hl_assign_args {
    ptrdiff_t item, rows, cols;
    int packs;
    const char *value;
    char *w;
} hl_assign_args;

/* Norms go over each `apart`-th row of each column; not_negative sets numbers below 0 to 0 instead.
 */
typedef struct hl_constrain_args {
    int packed, not_negative;
    double low, high, rate;
    ptrdiff_t rows, cols, apart;
    char *w;
} hl_constrain_args;

/* ----------------------------------------------------------------- whole plans */

typedef struct hl_network_args {
    hl_network network;
    const char *x, *y_true;
    const int32_t *label;
    const char *weight;
    char *values, *y_pred;
    char *room;
} hl_network_args;

/* A step that only Python can do: its node. */
typedef struct hl_python_args {
    void *node;
} hl_python_args;

#endif
