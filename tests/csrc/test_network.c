/* Small networks, trained in one call. Each batch by itself against a scalar reference in double,
 * in which every number carries how far K's may be from it; then all batches in one call, or in
 * two, bit by bit what one after another gives. */
#include "references.h"

#include <stdio.h>

enum { MAX_BATCH = 40, SOFTMAX_LOSSES = 5, LOSSES = HL_HINGE + SOFTMAX_LOSSES };

/* A network, and rows to train it on. */
typedef struct {
    hl_network network;
    update_rule rule;
    int64_t steps; /* batches trained before */
    ptrdiff_t rows, batch_size;
    void *x, *y_true, *weight, *scratch;
    int32_t *label;
} problem;

/* -------------------------------------------------------------------- weights */

/* Weights of each layer, and what is kept of them; the row after its inputs holds the bias. */
typedef weight_state weights[HL_MAX_LAYERS][HL_MAX_UNITS + 1][HL_MAX_UNITS];

static ptrdiff_t inputs_of(const hl_network *network, int l) {
    return l ? network->layer[l - 1].units : network->inputs;
}

static ptrdiff_t outputs_of(const hl_network *network) {
    return network->layer[network->depth - 1].units;
}

static ptrdiff_t rows_of_weights(const hl_network *network, int l) {
    return inputs_of(network, l) + (network->layer[l].b != NULL);
}

/* Where w[i, j] stands. */
static ptrdiff_t packed_at(ptrdiff_t inputs, ptrdiff_t units, ptrdiff_t i, ptrdiff_t j) {
    const ptrdiff_t panel = j / K->nr * K->nr, rest = units - panel;
    return panel * inputs + i * panel_width(rest < K->nr ? rest : K->nr) + j - panel;
}

static ptrdiff_t packed_length(ptrdiff_t inputs, ptrdiff_t units) {
    return packed_at(inputs, units, inputs, (units - 1) / K->nr * K->nr);
}

static void exchange(double *number, void *x, ptrdiff_t i, int out) {
    if (x && out)
        put(x, i, *number);
    else
        *number = x ? get(x, i) : 0;
}

static void exchange_weights(const hl_network *network, weights all, int out) {
    for (int l = 0; l < network->depth; l++) {
        const hl_layer *layer = &network->layer[l];
        const ptrdiff_t inputs = inputs_of(network, l), units = layer->units;
        for (ptrdiff_t i = 0; i < rows_of_weights(network, l); i++)
            for (ptrdiff_t j = 0; j < units; j++) {
                const int biased = i == inputs;
                const ptrdiff_t at = biased ? j : packed_at(inputs, units, i, j);
                exchange(&all[l][i][j].w, biased ? layer->b : layer->w, at, out);
                for (int s = 0; s < 3; s++)
                    exchange(&all[l][i][j].s[s], (biased ? layer->b_state : layer->w_state)[s],
                             at, out);
            }
    }
}

static void read_weights(const problem *p, weights all) {
    exchange_weights(&p->network, all, 0);
}

static void write_weights(const problem *p, weights all) {
    exchange_weights(&p->network, all, 1);
}

static ptrdiff_t number_of(int l, ptrdiff_t i, ptrdiff_t j) {
    return (l * (HL_MAX_UNITS + 1) + i) * HL_MAX_UNITS + j;
}

static void expect_weights(const problem *p, const char *what, weights want) {
    static weights got;
    read_weights(p, got);
    for (int l = 0; l < p->network.depth; l++)
        for (ptrdiff_t i = 0; i < rows_of_weights(&p->network, l); i++)
            for (ptrdiff_t j = 0; j < p->network.layer[l].units; j++) {
                expect_same(what, number_of(l, i, j), got[l][i][j].w, want[l][i][j].w);
                for (int s = 0; s < 3; s++)
                    expect_same(what, number_of(l, i, j), got[l][i][j].s[s],
                                want[l][i][j].s[s]);
            }
}

/* ------------------------------------------------------------------ reference */

typedef struct {
    double value, error; /* K's number is at most that far from it */
} number;

/* How much a function changes between what its argument may be at least and at most; twice, as it
 * is nowhere told to be monotone. */
static double change(double at, double at_least, double at_most) {
    return 2 * fmax(fabs(at_least - at), fabs(at_most - at));
}

/* sum += a * b, being one of n terms in any order. */
static void add_product(number *sum, number a, number b, ptrdiff_t n) {
    sum->value += a.value * b.value;
    sum->error += a.error * fabs(b.value) + fabs(a.value) * b.error + a.error * b.error +
                  (double)(n + 4) * epsilon() * fabs(a.value * b.value);
}

static number exactly(double value) {
    return (number){value, 0};
}

static number activated(const hl_layer *layer, number z) {
    const hl_activation f = layer->activation;
    const double y = expected_activation(f, layer->alpha, z.value);
    return (number){y, activation_slack(f, z.value, y) +
                           change(y, expected_activation(f, layer->alpha, z.value - z.error),
                                  expected_activation(f, layer->alpha, z.value + z.error))};
}

static double slope_at(const hl_layer *layer, double saved) {
    double slack;
    return expected_gradient(layer->activation, layer->alpha, 1, saved, &slack);
}

static number before_activation(const hl_layer *layer, number dy, number z, number y) {
    const number saved = keeps_input(layer->activation) ? z : y;
    const double slope = slope_at(layer, saved.value);
    const double jump = change(slope, slope_at(layer, saved.value - saved.error),
                               slope_at(layer, saved.value + saved.error));
    number dz;
    dz.value = expected_gradient(layer->activation, layer->alpha, dy.value, saved.value, &dz.error);
    dz.error += fabs(dy.value) * jump + dy.error * (fabs(slope) + jump);
    return dz;
}

/* The loss of one row before it is weighted, and dy, its slopes times scale. */
static number elementwise_loss(const hl_network *network, const double *y_true, double scale,
                               const number *y, number *dy) {
    const ptrdiff_t cols = outputs_of(network);
    const double share = network->loss == HL_KL_DIVERGENCE ? 1 : 1 / (double)cols;
    number loss = {0, 0};
    for (ptrdiff_t j = 0; j < cols; j++) {
        term at[3];
        for (int k = 0; k < 3; k++)
            at[k] = expected_loss(network->loss, network->param, y_true[j],
                                  y[j].value + (k - 1) * y[j].error);
        const term e = at[1];
        loss.value += share * e.value;
        loss.error += share * (change(e.value, at[0].value, at[2].value) +
                               (double)(cols + 8) * epsilon() * e.value_size);
        dy[j].value = scale * share * e.slope;
        dy[j].error = scale * share *
                      (change(e.slope, at[0].slope, at[2].slope) +
                       8 * epsilon() * (fabs(e.slope) + e.slope_size));
    }
    return loss;
}

static int is_inside(double q) {
    return q >= rounded(1e-7) && q <= rounded(1 - 1e-7);
}

static double clipped(double q) {
    return fmin(fmax(q, rounded(1e-7)), rounded(1 - 1e-7));
}

/* The same of softmax(y), which q receives. targets are smoothed already. */
static number softmax_loss(int clip, const double *target, double scale, ptrdiff_t cols,
                           const number *y, number *q, number *dy) {
    double top = -INFINITY, sum = 0, furthest = 0, error = 0;
    for (ptrdiff_t j = 0; j < cols; j++)
        top = isnan(y[j].value) ? NAN : fmax(top, y[j].value);
    for (ptrdiff_t j = 0; j < cols; j++) {
        sum += exp(y[j].value - top);
        furthest = fmax(furthest, fabs(y[j].value - top));
        error = fmax(error, y[j].error);
    }
    /* Of each probability, relative to it. */
    const double relative = 4 * error + epsilon() * ((double)cols + 10 + furthest);
    number loss = {0, 0}, mass = {0, 0}, own[HL_MAX_UNITS];
    for (ptrdiff_t j = 0; j < cols; j++) {
        const double t = target[j], log_q = y[j].value - top - log(sum);
        q[j] = (number){exp(log_q), relative * exp(log_q) + 2 * tiny()};
        const int inside = !clip || is_inside(q[j].value);
        const double taken = clip ? log(clipped(q[j].value)) : log_q;
        loss.value -= t == 0 ? 0 : t * taken;
        loss.error += relative * t * (1 + fabs(taken));
        /* Next to a bound, rounding decides whether a term has a gradient. */
        const int decided = !clip || (is_inside(q[j].value - q[j].error) == inside &&
                                      is_inside(q[j].value + q[j].error) == inside);
        own[j] = (number){inside ? t : 0, decided ? 0 : t};
        mass.value += own[j].value;
        mass.error += own[j].error;
    }
    for (ptrdiff_t j = 0; j < cols; j++)
        dy[j] = (number){scale * (q[j].value * mass.value - own[j].value),
                         scale * (relative * (q[j].value * mass.value + own[j].value) +
                                  q[j].value * mass.error + own[j].error + 2 * tiny())};
    return loss;
}

/* What one row's forward pass leaves: before and after each activation. */
typedef struct {
    number z[HL_MAX_LAYERS][HL_MAX_UNITS], y[HL_MAX_LAYERS + 1][HL_MAX_UNITS];
} pass;

static void forward(const problem *p, weights w, ptrdiff_t r, pass *at) {
    const hl_network *network = &p->network;
    for (ptrdiff_t i = 0; i < network->inputs; i++)
        at->y[0][i] = exactly(get(p->x, r * network->inputs + i));
    for (int l = 0; l < network->depth; l++) {
        const ptrdiff_t inputs = inputs_of(network, l);
        for (ptrdiff_t j = 0; j < network->layer[l].units; j++) {
            number z = {0, 0};
            for (ptrdiff_t i = 0; i < rows_of_weights(network, l); i++)
                add_product(&z, i < inputs ? at->y[l][i] : exactly(1), exactly(w[l][i][j].w),
                            inputs);
            at->z[l][j] = z;
            at->y[l + 1][j] = activated(&network->layer[l], z);
        }
    }
}

/* The weighted loss of row r; dy, its slopes times scale; and what y_pred receives. */
static number row_loss(const problem *p, ptrdiff_t r, double scale, const number *y, number *dy,
                       number *y_pred) {
    const hl_network *network = &p->network;
    const ptrdiff_t cols = outputs_of(network);
    const double w = p->weight ? get(p->weight, r) : 1;
    double target[HL_MAX_UNITS];
    for (ptrdiff_t j = 0; j < cols; j++) {
        y_pred[j] = y[j];
        target[j] = p->label ? p->label[r] == j : get(p->y_true, r * cols + j);
        if (network->softmax && !p->label)
            target[j] = target[j] * (1 - network->param) + network->param / (double)cols;
    }
    number q[HL_MAX_UNITS], loss;
    if (network->softmax)
        loss = softmax_loss(network->clip, target, w * scale, cols, y, q, dy);
    else
        loss = elementwise_loss(network, target, w * scale, y, dy);
    for (ptrdiff_t j = 0; j < cols && network->softmax && network->clip; j++)
        y_pred[j] = q[j];
    return (number){w * loss.value, w * (loss.error + epsilon() * fabs(loss.value))};
}

typedef number gradients[HL_MAX_LAYERS][HL_MAX_UNITS + 1][HL_MAX_UNITS];

/* Adds one row's gradients to those of its batch. */
static void backward(const problem *p, weights w, ptrdiff_t size, const pass *at, number *dy,
                     gradients g) {
    const hl_network *network = &p->network;
    for (int l = network->depth - 1; l >= 0; l--) {
        const ptrdiff_t inputs = inputs_of(network, l), units = network->layer[l].units;
        for (ptrdiff_t j = 0; j < units; j++) {
            dy[j] = before_activation(&network->layer[l], dy[j], at->z[l][j], at->y[l + 1][j]);
            for (ptrdiff_t i = 0; i < rows_of_weights(network, l); i++)
                add_product(&g[l][i][j], i < inputs ? at->y[l][i] : exactly(1), dy[j], size);
        }
        number dx[HL_MAX_UNITS] = {{0, 0}};
        for (ptrdiff_t i = 0; i < inputs; i++)
            for (ptrdiff_t j = 0; j < units; j++)
                add_product(&dx[i], dy[j], exactly(w[l][i][j].w), units);
        for (ptrdiff_t i = 0; i < inputs; i++)
            dy[i] = dx[i];
    }
}

/* -------------------------------------------------------------------- batches */

static void *from_row(const void *x, ptrdiff_t row, ptrdiff_t cols) {
    return x ? (char *)x + row * cols * K->itemsize : NULL;
}

static ptrdiff_t batches_of(const problem *p, ptrdiff_t rows) {
    return (rows + p->batch_size - 1) / p->batch_size;
}

/* Trains the weights in scratch on the rows from the first on, a batch's first; values and y_pred
 * are those of all. */
static ptrdiff_t train_in_scratch(const problem *p, ptrdiff_t first, ptrdiff_t rows, void *values,
                                  void *y_pred) {
    const ptrdiff_t cols = outputs_of(&p->network);
    hl_powers kept[2] = {{0}};
    return K->train_network(&p->network, p->rule.hyper, p->steps + batches_of(p, first), kept,
                            rows, p->batch_size, from_row(p->x, first, p->network.inputs),
                            from_row(p->y_true, first, cols), p->label ? p->label + first : NULL,
                            from_row(p->weight, first, 1), from_row(values, first, 1),
                            from_row(y_pred, first, cols), p->scratch);
}

static ptrdiff_t train(const problem *p, ptrdiff_t first, ptrdiff_t rows, void *values,
                       void *y_pred) {
    K->exchange_network(0, &p->network, p->scratch);
    const ptrdiff_t done = train_in_scratch(p, first, rows, values, y_pred);
    K->exchange_network(1, &p->network, p->scratch);
    return done;
}

static void expect_updates(const problem *p, int64_t iteration, weights before, gradients g) {
    static weights got;
    double h[HL_MAX_HYPER];
    hl_powers kept[2] = {{0}};
    hl_optimizer_prepare(p->rule.kind, p->rule.hyper, iteration, kept, h);
    read_weights(p, got);
    for (int l = 0; l < p->network.depth; l++)
        for (ptrdiff_t i = 0; i < rows_of_weights(&p->network, l); i++)
            for (ptrdiff_t j = 0; j < p->network.layer[l].units; j++) {
                const number g_ij = g[l][i][j];
                weight_state at[3], size[3];
                for (int k = 0; k < 3; k++)
                    at[k] = expected_update(p->rule.kind, h, g_ij.value + (k - 1) * g_ij.error,
                                            before[l][i][j], &size[k]);
                expect_near("w", number_of(l, i, j), got[l][i][j].w, at[1].w,
                            4 * epsilon() * size[1].w + change(at[1].w, at[0].w, at[2].w));
                /* Adadelta's squared step is rounded ten times, its quotient counting twice. */
                for (int s = 0; s < p->rule.slots; s++)
                    expect_near("slot", number_of(l, i, j), got[l][i][j].s[s], at[1].s[s],
                                8 * epsilon() * size[1].s[s] +
                                    change(at[1].s[s], at[0].s[s], at[2].s[s]));
            }
}

/* One batch, against the reference from the weights that are there. */
static void train_batch(const problem *p, ptrdiff_t first, void *values, void *y_pred) {
    static weights before;
    static gradients g;
    static number losses[MAX_BATCH], predictions[MAX_BATCH][HL_MAX_UNITS];
    const ptrdiff_t rest = p->rows - first, cols = outputs_of(&p->network);
    const ptrdiff_t size = rest < p->batch_size ? rest : p->batch_size;
    const double scale = p->network.loss_weight / (double)size;
    read_weights(p, before);
    for (int l = 0; l < p->network.depth; l++)
        for (ptrdiff_t i = 0; i < rows_of_weights(&p->network, l); i++)
            for (ptrdiff_t j = 0; j < p->network.layer[l].units; j++)
                g[l][i][j] = exactly(0);
    int finite = 1;
    for (ptrdiff_t r = 0; r < size; r++) {
        static pass at;
        number dy[HL_MAX_UNITS];
        forward(p, before, first + r, &at);
        losses[r] = row_loss(p, first + r, scale, at.y[p->network.depth], dy, predictions[r]);
        finite &= isfinite(losses[r].value);
        backward(p, before, size, &at, dy, g);
    }
    const ptrdiff_t done = train(p, first, size, values, y_pred);
    expect(done == finite, "a batch is trained if its loss is finite");
    for (ptrdiff_t r = 0; r < size; r++) {
        expect_near("values", first + r, get(values, first + r), losses[r].value, losses[r].error);
        for (ptrdiff_t j = 0; j < cols && y_pred; j++) {
            const ptrdiff_t at = (first + r) * cols + j;
            expect_near("y_pred", at, get(y_pred, at), predictions[r][j].value,
                        predictions[r][j].error);
        }
    }
    if (done)
        expect_updates(p, p->steps + first / p->batch_size + 1, before, g);
    else
        expect_weights(p, "w without an update", before);
}

/* ------------------------------------------------------------------- problems */

/* Scratch begins on a whole vector; where its room does not, in a wider one. */
static void *scratch_room(size_t bytes) {
    const size_t vector = (size_t)K->vl * (size_t)K->itemsize;
    char *scratch = room_of((ptrdiff_t)bytes, 1);
    if ((uintptr_t)scratch % vector != 0) {
        scratch = room_of((ptrdiff_t)(bytes + vector), 1);
        scratch += vector - (uintptr_t)scratch % vector;
    }
    return scratch;
}

static void add_layer(problem *p, ptrdiff_t units, hl_activation activation, int biased) {
    const int l = p->network.depth++;
    hl_layer *layer = &p->network.layer[l];
    *layer = (hl_layer){.units = units, .activation = activation, .alpha = 0.25};
    const ptrdiff_t length = packed_length(inputs_of(&p->network, l), units);
    layer->w = room(length);
    layer->b = biased ? room(units) : NULL;
    for (int s = 0; s < p->rule.slots; s++) {
        layer->w_state[s] = room(length);
        layer->b_state[s] = biased ? room(units) : NULL;
    }
    /* What a panel has beyond its columns must not matter: NaN, or zero as packing leaves it. */
    for (ptrdiff_t i = 0; i < length && below(2); i++) {
        put(layer->w, i, 0);
        for (int s = 0; s < p->rule.slots; s++)
            put(layer->w_state[s], i, 0);
    }
}

/* Outputs are about as far apart as inputs, however many there are. */
static void fill_weights(const problem *p, int zero_state) {
    static weights w;
    for (int l = 0; l < p->network.depth; l++)
        for (ptrdiff_t i = 0; i < rows_of_weights(&p->network, l); i++)
            for (ptrdiff_t j = 0; j < p->network.layer[l].units; j++) {
                w[l][i][j].w = uniform(-1, 1) / sqrt((double)inputs_of(&p->network, l));
                for (int s = 0; s < 3; s++)
                    w[l][i][j].s[s] = zero_state ? 0 : uniform(0.005, 0.01);
            }
    write_weights(p, w);
}

/* One of LOSSES: the elementwise ones, then softmax cross-entropy in all its ways. */
static void choose_loss(hl_network *network, int loss) {
    network->softmax = loss >= HL_HINGE;
    network->clip = network->softmax && (loss - HL_HINGE) & 1;
    network->loss = network->softmax ? HL_MEAN_SQUARED_ERROR : (hl_loss)loss;
    const int smoothed = network->softmax || loss == HL_BINARY_CROSSENTROPY ||
                         loss == HL_BINARY_CROSSENTROPY_LOGITS;
    network->param = loss == HL_HUBER ? 0.75 : smoothed && below(2) ? 0.125 : 0;
    network->loss_weight = below(2) ? 1 : uniform(0.5, 2);
}

static int has_labels(int loss) {
    return loss == HL_HINGE || loss == HL_HINGE + 1;
}

/* A last layer whose outputs the loss is meant for. */
static hl_activation last_activation(int loss, hl_activation any) {
    switch (loss) {
    case HL_BINARY_CROSSENTROPY:
    case HL_KL_DIVERGENCE: return HL_SIGMOID;
    case HL_MEAN_SQUARED_LOGARITHMIC_ERROR: return HL_SOFTPLUS;
    case HL_POISSON: return any == HL_EXPONENTIAL || any == HL_SIGMOID ? any : HL_SOFTPLUS;
    default: return any;
    }
}

static void fill_targets(problem *p, int loss) {
    const ptrdiff_t cols = outputs_of(&p->network);
    if (has_labels(loss)) {
        p->label = room_of(p->rows, sizeof *p->label);
        for (ptrdiff_t r = 0; r < p->rows; r++)
            p->label[r] = (int32_t)below(cols);
        return;
    }
    p->y_true = room(p->rows * cols);
    for (ptrdiff_t i = 0; i < p->rows * cols; i++)
        put(p->y_true, i,
            loss >= HL_HINGE || loss == HL_KL_DIVERGENCE ? 0
            : loss == HL_POISSON                         ? (double)below(5)
            : loss == HL_MEAN_ABSOLUTE_PERCENTAGE_ERROR || loss == HL_MEAN_SQUARED_LOGARITHMIC_ERROR
                ? uniform(1, 2)
            : loss == HL_BINARY_CROSSENTROPY || loss == HL_BINARY_CROSSENTROPY_LOGITS
                ? (double)below(2)
                : uniform(-2, 2));
    for (ptrdiff_t r = 0; r < p->rows && (loss >= HL_HINGE || loss == HL_KL_DIVERGENCE); r++)
        put(p->y_true, r * cols + below(cols), 1);
}

static problem new_problem(ptrdiff_t inputs, ptrdiff_t rows, ptrdiff_t batch_size, int loss,
                           int rule) {
    problem p = {.network = {.inputs = inputs}, .rule = rules[rule], .steps = below(300),
                 .rows = rows, .batch_size = batch_size};
    p.rule.hyper[0] = 0.01; /* no step so long that the next one overflows */
    p.network.rule = p.rule.kind;
    choose_loss(&p.network, loss);
    p.x = room(rows * inputs);
    fill(p.x, rows * inputs, -1, 1);
    if (below(2)) {
        p.weight = room(rows);
        fill(p.weight, rows, 0.1, 2);
        if (rows > 0 && below(4) == 0)
            put(p.weight, below(rows), 0);
    }
    return p;
}

/* Behind the last layer. */
static void complete(problem *p, int loss, int zero_state) {
    fill_targets(p, loss);
    fill_weights(p, zero_state);
    p->scratch = scratch_room(K->network_scratch(&p->network));
}

/* Makes the loss of a row infinite or NaN. */
static void spoil(problem *p, ptrdiff_t row) {
    const ptrdiff_t cols = outputs_of(&p->network), inputs = p->network.inputs;
    switch (below(3)) {
    case 0:
        if (p->label)
            p->label[row] = below(2) ? -1 : (int32_t)cols;
        else
            put(p->y_true, row * cols + below(cols), NAN);
        break;
    case 1:
        if (p->weight) {
            put(p->weight, row, below(2) ? NAN : INFINITY);
            break;
        } /* fall through */
    default: put(p->x, row * inputs + below(inputs), NAN);
    }
}

/* ---------------------------------------------------------------------- cases */

/* The weights are those after the batches before a spoilt one; nothing behind it is touched. */
static void spoilt_case(problem *p, weights start, const void *values) {
    static weights before;
    const ptrdiff_t row = below(p->rows), batches = row / p->batch_size;
    const ptrdiff_t good = batches * p->batch_size;
    void *got = room(p->rows);
    write_weights(p, start);
    train(p, 0, good, got, NULL);
    read_weights(p, before);
    write_weights(p, start);
    spoil(p, row);
    expect(train(p, 0, p->rows, got, NULL) == batches, "batches before one that is not finite");
    expect_weights(p, "w after a spoilt batch", before);
    expect_equal("values before a spoilt batch", got, values, good);
    expect(!isfinite(get(got, row)), "a spoilt row's loss is not finite");
    int clean = 1;
    for (ptrdiff_t i = good + p->batch_size; i < p->rows; i++)
        clean &= is_untouched(got, i);
    expect(clean, "no value is written behind a spoilt batch");
}

/* All the rows, cut into two calls before the given one, with or without a look at the weights
 * between them. */
static void pieces_case(const problem *p, ptrdiff_t cut, weights start, weights want,
                        const void *values, const void *y_pred) {
    const ptrdiff_t outputs = p->rows * outputs_of(&p->network), last = p->rows - cut;
    void *got = room(p->rows), *got_pred = y_pred ? room(outputs) : NULL;
    write_weights(p, start);
    K->exchange_network(0, &p->network, p->scratch);
    ptrdiff_t done = train_in_scratch(p, 0, cut, got, got_pred);
    if (below(2)) {
        K->exchange_network(1, &p->network, p->scratch);
        K->exchange_network(0, &p->network, p->scratch);
    }
    done += train_in_scratch(p, cut, last, got, got_pred);
    K->exchange_network(1, &p->network, p->scratch);
    expect(done == batches_of(p, p->rows), "all batches are trained");
    expect_weights(p, cut ? "w in two calls" : "w in one call", want);
    expect_equal("values", got, values, p->rows);
    if (y_pred)
        expect_equal("y_pred", got_pred, y_pred, outputs);
}

static void train_case(problem *p) {
    static weights start, trained;
    void *values = room(p->rows);
    void *y_pred = below(2) ? room(p->rows * outputs_of(&p->network)) : NULL;
    read_weights(p, start);
    for (ptrdiff_t first = 0; first < p->rows; first += p->batch_size)
        train_batch(p, first, values, y_pred);
    read_weights(p, trained);
    pieces_case(p, 0, start, trained, values, y_pred);
    const ptrdiff_t cut = p->batch_size * below(batches_of(p, p->rows) + 1);
    pieces_case(p, cut < p->rows ? cut : p->rows, start, trained, values, y_pred);
    if (p->rows > 0)
        spoilt_case(p, start, values);
    end();
}

static const ptrdiff_t batch_sizes[] = {1, 3, 17, MAX_BATCH};

/* Three batches, the last one rarely whole. */
static ptrdiff_t some_rows(ptrdiff_t batch_size) {
    return 2 * batch_size + 1 + below(batch_size);
}

static void linear_case(int number, ptrdiff_t inputs, ptrdiff_t rows, ptrdiff_t batch_size,
                        int biased) {
    const int loss = number % HL_HINGE, rule = number % RULES;
    const hl_activation f = last_activation(loss, activations[number % ACTIVATIONS]);
    begin("train_network linear inputs=%td bias=%d activation=%d loss=%d rule=%d rows=%td "
          "batch_size=%td",
          inputs, biased, f, loss, rule, rows, batch_size);
    problem p = new_problem(inputs, rows, batch_size, loss, rule);
    add_layer(&p, 1, f, biased);
    complete(&p, loss, (int)below(2));
    train_case(&p);
}

static ptrdiff_t width_or_any(ptrdiff_t width) {
    return width ? width : (ptrdiff_t[]){1, 2, 3, 5, 7, 9, 13, 17, 21, 31, HL_MAX_UNITS}[below(11)];
}

/* width: of all layers and the inputs, or 0 for each its own. */
static void chain_case(int number, int depth, ptrdiff_t width, int loss, ptrdiff_t rows,
                       ptrdiff_t batch_size) {
    const int rule = number % RULES;
    const ptrdiff_t inputs = width_or_any(width);
    char name[160];
    int length = snprintf(name, sizeof name, "loss=%d rule=%d rows=%td batch_size=%td inputs=%td",
                          loss, rule, rows, batch_size, inputs);
    begin("train_network %s", name);
    problem p = new_problem(inputs, rows, batch_size, loss, rule);
    for (int l = 0; l < depth; l++) {
        const hl_activation any = activations[(5 * number + l) % ACTIVATIONS];
        const hl_activation f = l + 1 < depth ? any : last_activation(loss, any);
        /* A single layer of a single unit is a linear model, unless its loss is a softmax. */
        const ptrdiff_t units = width_or_any(width) + (depth == 1 && loss < HL_HINGE);
        const int biased = below(4) != 0;
        add_layer(&p, units > HL_MAX_UNITS ? HL_MAX_UNITS : units, f, biased);
        length += snprintf(name + length, sizeof name - (size_t)length, " %td:%d:%d",
                           p.network.layer[l].units, f, biased);
        begin("train_network %s", name);
    }
    complete(&p, loss, (int)below(2));
    train_case(&p);
}

/* Where a rule's epsilon is among its hyper-parameters; -1 where it has none. */
static int place_of_epsilon(hl_optimizer kind) {
    switch (kind) {
    case HL_ADAM:
    case HL_ADAM_AMSGRAD:
    case HL_ADAMAX:
    case HL_NADAM:
    case HL_SCHEDULE_FREE_ADAMW: return 3;
    case HL_RMSPROP:
    case HL_RMSPROP_MOMENTUM:
    case HL_RMSPROP_CENTERED:
    case HL_RMSPROP_CENTERED_MOMENTUM:
    case HL_ADADELTA: return 2;
    case HL_ADAGRAD: return 1;
    case HL_SGD:
    case HL_SGD_MOMENTUM:
    case HL_SGD_NESTEROV:
    case HL_LION:
    case HL_FTRL:
    case HL_KEEP_GRADIENT:
    case HL_ADAFACTOR:
    case HL_LAMB:
    case HL_MUON: return -1;
    }
    return -1;
}

/* With an epsilon of 0, a gradient of 0 divides 0 by 0. Where the padding of panels and vectors
 * does, no weight sees it; a weight that does itself is NaN, alone, and ends the next batch. */
static void epsilon_case(int rule, int depth, int dead_input) {
    begin("train_network without epsilon rule=%d depth=%d dead input=%d", rule, depth, dead_input);
    problem p = new_problem(5, 9, 3, HL_MEAN_SQUARED_ERROR, rule);
    p.rule.hyper[place_of_epsilon(p.rule.kind)] = 0;
    for (int l = 0; l < depth; l++)
        add_layer(&p, depth == 1 ? 1 : 3, HL_TANH, 1);
    complete(&p, HL_MEAN_SQUARED_ERROR, 1);
    if (!dead_input) {
        train_case(&p);
        return;
    }
    static weights trained;
    void *values = room(p.rows);
    for (ptrdiff_t r = 0; r < p.rows; r++)
        put(p.x, r * p.network.inputs + 2, 0);
    train_batch(&p, 0, values, NULL);
    read_weights(&p, trained);
    for (int l = 0; l < depth; l++)
        for (ptrdiff_t i = 0; i < rows_of_weights(&p.network, l); i++)
            for (ptrdiff_t j = 0; j < p.network.layer[l].units; j++)
                expect(isnan(trained[l][i][j].w) == (l == 0 && i == 2),
                       "weights of the dead input alone are NaN");
    train_batch(&p, p.batch_size, values, NULL);
    end();
}

/* Lanes without a row compute too: what overflows there must not reach the sums. */
static void absent_rows_case(ptrdiff_t rows) {
    begin("train_network, infinite where there is no row, rows=%td", rows);
    static weights w;
    problem p = new_problem(1, rows, rows, HL_MEAN_SQUARED_ERROR, 0);
    add_layer(&p, 3, HL_EXPONENTIAL, 1);
    add_layer(&p, 2, HL_LINEAR, 1);
    complete(&p, HL_MEAN_SQUARED_ERROR, 1);
    read_weights(&p, w);
    for (ptrdiff_t j = 0; j < 3; j++) {
        w[0][0][j].w = -1000;
        w[0][1][j].w = 999;
    }
    write_weights(&p, w);
    for (ptrdiff_t r = 0; r < rows; r++)
        put(p.x, r, 1);
    train_case(&p);
}

void test_network(void) {
    int number = 0;
    for (ptrdiff_t inputs = 1; inputs <= HL_MAX_LINEAR_INPUTS; inputs++)
        for (int biased = 0; biased < 2; biased++)
            for (int b = 0; b < COUNT(batch_sizes); b++)
                linear_case(number++, inputs, some_rows(batch_sizes[b]), batch_sizes[b], biased);
    for (int loss = 0; loss < LOSSES; loss++)
        for (int depth = 1; depth <= 4; depth++) {
            const ptrdiff_t batch_size = batch_sizes[number % COUNT(batch_sizes)];
            chain_case(number++, depth, 0, loss, some_rows(batch_size), batch_size);
        }
    chain_case(number++, HL_MAX_LAYERS, HL_MAX_UNITS, HL_HINGE + 3, some_rows(3), 3);
    linear_case(number++, 7, 0, 3, 1);
    chain_case(number++, 2, 0, HL_HINGE, 0, 3);
    for (int rule = 0; rule < RULES; rule++)
        for (int depth = 1; depth <= 2; depth++)
            for (int dead = 0; dead < 2 && place_of_epsilon(rules[rule].kind) >= 0; dead++)
                epsilon_case(rule, depth, dead);
    absent_rows_case(1);
    absent_rows_case(2 * K->vl + 1);
}
