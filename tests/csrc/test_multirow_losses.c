/* CTC and circle loss. A CTC's probability is added up here alignment by alignment. */
#include "check.h"

enum { MOST_STEPS = 6, MOST_CLASSES = 4, MOST_EXAMPLES = 5, MOST_ROWS = 33 };

/* Whether an alignment reads as the labels: repetitions taken out, then blanks. */
static int reads_as(const int *alignment, ptrdiff_t steps, const int32_t *label, ptrdiff_t labels) {
    ptrdiff_t found = 0;
    for (ptrdiff_t t = 0; t < steps; t++) {
        if (alignment[t] == 0 || (t > 0 && alignment[t] == alignment[t - 1]))
            continue;
        if (found == labels || label[found] != alignment[t])
            return 0;
        found++;
    }
    return found == labels;
}

/* The probability of the labels, and how much of it has class k at step t. */
static double all_alignments(const double *p, ptrdiff_t steps, ptrdiff_t cols, const int32_t *label,
                             ptrdiff_t labels, double *with) {
    int alignment[MOST_STEPS] = {0};
    double whole = 0;
    for (ptrdiff_t i = 0; i < steps * cols; i++)
        with[i] = 0;
    for (;;) {
        if (reads_as(alignment, steps, label, labels)) {
            double probability = 1;
            for (ptrdiff_t t = 0; t < steps; t++)
                probability *= p[t * cols + alignment[t]];
            whole += probability;
            for (ptrdiff_t t = 0; t < steps; t++)
                with[t * cols + alignment[t]] += probability;
        }
        ptrdiff_t t = 0;
        while (t < steps && ++alignment[t] == cols)
            alignment[t++] = 0;
        if (t == steps)
            return whole;
    }
}

static ptrdiff_t count_labels(const int32_t *label, ptrdiff_t length) {
    ptrdiff_t labels = 0;
    while (labels < length && label[labels])
        labels++;
    return labels;
}

static void ctc_case(ptrdiff_t examples, ptrdiff_t steps, ptrdiff_t cols, ptrdiff_t length,
                     int asked) {
    const int weighted = (int)below(2);
    const double scale = uniform(0.1, 2);
    begin("ctc examples=%td steps=%td cols=%td length=%td weighted=%d gradient=%d", examples, steps,
          cols, length, weighted, asked);
    const ptrdiff_t each = steps * cols;
    void *x = room(examples * each), *values = room(examples);
    void *weight = weighted ? room(examples) : NULL;
    int32_t *label = room_of(examples * length, sizeof *label);
    fill(x, examples * each, -3, 3);
    for (ptrdiff_t i = 0; i < examples * length; i++)
        label[i] = cols > 1 && below(4) ? 1 + (int32_t)below(cols - 1) : 0;
    if (weighted)
        fill(weight, examples, 0.1, 2);
    const void *x_was = copy_of(x, examples * each);
    void *gradient = asked == 0 ? NULL : asked == 1 ? room(examples * each) : x;
    void *space = room((ptrdiff_t)K->ctc_room(steps, length) / K->itemsize);
    K->ctc(steps, length, label, x, weight, scale, values, gradient, space, examples, cols);

    const double relative = K->itemsize == 4 ? 1e-5 : 1e-13;
    for (ptrdiff_t i = 0; i < examples; i++) {
        double p[MOST_STEPS * MOST_CLASSES], with[MOST_STEPS * MOST_CLASSES];
        for (ptrdiff_t t = 0; t < steps; t++) {
            double sum = 0;
            for (ptrdiff_t k = 0; k < cols; k++)
                sum += p[t * cols + k] = exp(get(x_was, i * each + t * cols + k));
            for (ptrdiff_t k = 0; k < cols; k++)
                p[t * cols + k] /= sum;
        }
        const ptrdiff_t labels = count_labels(label + i * length, length);
        const double whole = all_alignments(p, steps, cols, label + i * length, labels, with);
        const double w = weighted ? get(weight, i) : 1, want = -log(whole);
        expect_near("values", i, get(values, i), w * want, relative * (1 + want) * w);
        for (ptrdiff_t j = 0; j < each && gradient; j++)
            expect_near("gradient", i * each + j, get(gradient, i * each + j),
                        whole > 0 ? w * scale * (p[j] - with[j] / whole) : NAN,
                        4 * relative * scale * w);
    }
    end();
}

/* Long sequences, whose probabilities no number could hold: bits as one by one, sums of 0. */
static void ctc_cut_case(ptrdiff_t steps, ptrdiff_t cols, ptrdiff_t length) {
    begin("ctc in pieces, steps=%td cols=%td length=%td", steps, cols, length);
    const ptrdiff_t examples = 4, each = steps * cols, item = K->itemsize;
    void *x = room(examples * each), *values[2], *gradient[2];
    int32_t *label = room_of(examples * length, sizeof *label);
    fill(x, examples * each, -30, 30);
    for (ptrdiff_t i = 0; i < examples * length; i++)
        label[i] = 1 + (int32_t)below(cols - 1);
    for (int piece = 0; piece < 2; piece++)
        values[piece] = room(examples), gradient[piece] = room(examples * each);
    void *space = room((ptrdiff_t)K->ctc_room(steps, length) / K->itemsize);
    K->ctc(steps, length, label, x, NULL, 1, values[0], gradient[0], space, examples, cols);
    for (ptrdiff_t i = 0; i < examples; i++)
        K->ctc(steps, length, label + i * length, (char *)x + i * each * item, NULL, 1,
               (char *)values[1] + i * item, (char *)gradient[1] + i * each * item, space, 1, cols);
    expect_equal("values", values[1], values[0], examples);
    expect_equal("gradient", gradient[1], gradient[0], examples * each);
    for (ptrdiff_t row = 0; row < examples * steps; row++) {
        double sum = 0;
        for (ptrdiff_t k = 0; k < cols; k++)
            sum += get(gradient[0], row * cols + k);
        /* The log of a sum is up to 32, and its rounding a part of each probability. */
        expect_near("sum of gradient", row, sum, 0, (double)(cols + 2 * length + 32) * epsilon());
    }
    end();
}

static void ctc_odd_labels(void) {
    begin("ctc of labels that are none");
    void *x = room(3 * 4 * 3), *values = room(3), *gradient = room(3 * 4 * 3);
    int32_t *label = room_of(6, sizeof *label);
    fill(x, 3 * 4 * 3, -1, 1);
    const int32_t given[6] = {1, 2, (int32_t[]){3, -1, INT32_MAX, INT32_MIN}[below(4)], 1, 2, 0};
    for (int i = 0; i < 6; i++)
        label[i] = given[i];
    put(x, 2 * 12 + below(12), NAN);
    void *space = room((ptrdiff_t)K->ctc_room(4, 2) / K->itemsize);
    K->ctc(4, 2, label, x, NULL, 1, values, gradient, space, 3, 3);
    expect(isfinite(get(values, 0)), "an example is not spoilt by others");
    expect(isnan(get(values, 1)) && isnan(get(gradient, 12)), "a label out of range gives NaN");
    expect(isnan(get(values, 2)), "and so does a NaN");
    end();
}

typedef struct circle {
    const double *option;
    const int32_t *label;
    ptrdiff_t rows, cols;
} circle;

static double distance(const circle *c, const double *x, ptrdiff_t i, ptrdiff_t j) {
    double product = 0;
    for (ptrdiff_t k = 0; k < c->cols; k++)
        product += x[i * c->cols + k] * x[j * c->cols + k];
    return fmax(1 - product, 0);
}

static double circle_row(const circle *c, const double *x, ptrdiff_t i) {
    const double gamma = c->option[0], margin = c->option[1];
    double pull = 0, push = 0;
    for (ptrdiff_t j = 0; j < c->rows; j++) {
        const double d = distance(c, x, i, j);
        if (c->label[i] != c->label[j])
            push += exp(gamma * fmax(1 + margin - d, 0) * (1 - margin - d));
        else if (i != j || c->option[2] == 0)
            pull += exp(gamma * (d + margin) * (d - margin));
    }
    return log1p(pull * push);
}

static double circle_sum(const circle *c, const double *x, const double *weight) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < c->rows; i++)
        sum += weight[i] * circle_row(c, x, i);
    return sum;
}

static void circle_case(ptrdiff_t rows, ptrdiff_t cols, int asked) {
    const int weighted = (int)below(2);
    const double scale = uniform(0.1, 2);
    const double option[4] = {uniform(1, 8), uniform(0, 0.5), (double)below(2), (double)below(2)};
    begin("circle rows=%td cols=%td weighted=%d gradient=%d remove_diagonal=%g over_positive=%g",
          rows, cols, weighted, asked, option[2], option[3]);
    static double x_was[MOST_ROWS * MOST_ROWS], weights[MOST_ROWS];
    void *x = room(rows * cols), *values = room(rows), *weight = weighted ? room(rows) : NULL;
    void *gradient = asked ? room(rows * cols) : NULL;
    int32_t *label = room_of(rows, sizeof *label);
    for (ptrdiff_t i = 0; i < rows; i++) {
        double squares = 0;
        for (ptrdiff_t k = 0; k < cols; k++) {
            x_was[i * cols + k] = uniform(-1, 1);
            squares += x_was[i * cols + k] * x_was[i * cols + k];
        }
        /* A little shorter than 1, for distances to stay clear of 0. */
        for (ptrdiff_t k = 0; k < cols; k++) {
            put(x, i * cols + k, 0.9 * x_was[i * cols + k] / sqrt(squares));
            x_was[i * cols + k] = get(x, i * cols + k);
        }
        label[i] = (int32_t)below(3) * 1000000000;
        if (weighted)
            put(weight, i, uniform(0.1, 2));
        weights[i] = weighted ? get(weight, i) : 1;
    }
    void *space = room((ptrdiff_t)K->circle_room(rows) / K->itemsize);
    K->circle(option, label, x, weight, scale, values, gradient, space, rows, cols);

    const circle c = {option, label, rows, cols};
    double positive = 0;
    for (ptrdiff_t i = 0; i < rows; i++)
        positive += circle_row(&c, x_was, i) > 0;
    const double factor = option[3] != 0 && positive > 0 ? (double)rows / positive : 1;
    const double relative = K->itemsize == 4 ? 1e-4 : 1e-12;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const double want = factor * weights[i] * circle_row(&c, x_was, i);
        expect_near("values", i, get(values, i), want, relative * (1 + want));
    }
    const double step = 1e-6;
    int smooth = 1; /* no pair is where it stops to count, for steps to cross */
    for (ptrdiff_t i = 0; i < rows * rows; i++)
        smooth &= fabs(1 + option[1] - distance(&c, x_was, i / rows, i % rows)) > 1e-5;
    for (ptrdiff_t at = 0; gradient && smooth && at < rows * cols; at += 1 + below(cols)) {
        const double was = x_was[at];
        x_was[at] = was + step;
        const double up = circle_sum(&c, x_was, weights);
        x_was[at] = was - step;
        const double down = circle_sum(&c, x_was, weights);
        x_was[at] = was;
        const double want = factor * scale * (up - down) / (2 * step);
        const double slack = K->itemsize == 4 ? 1e-3 : 1e-5;
        expect_near("gradient", at, get(gradient, at), want,
                    slack * factor * scale * (double)rows * (1 + fabs(want)));
    }
    end();
}

static void circle_of_nan(void) {
    begin("circle of NaN");
    void *x = room(3 * 4), *values = room(3), *gradient = room(3 * 4);
    int32_t *label = room_of(3, sizeof *label);
    fill(x, 3 * 4, 0.1, 0.5);
    put(x, 4 + below(4), NAN);
    label[0] = label[1] = 7, label[2] = 0;
    void *space = room((ptrdiff_t)K->circle_room(3) / K->itemsize);
    K->circle((double[]){80, 0.4, 1, 1}, label, x, NULL, 1, values, gradient, space, 3, 4);
    expect(isnan(get(values, 0)) && isnan(get(values, 1)), "a NaN is in all rows that see it");
    end();
}

void test_multirow_losses(void) {
    for (int asked = 0; asked < 3; asked++)
        for (ptrdiff_t steps = 1; steps <= MOST_STEPS; steps++)
            for (ptrdiff_t cols = 1; cols <= MOST_CLASSES; cols++)
                ctc_case(1 + below(MOST_EXAMPLES), steps, cols, below(steps + 2), asked);
    for (int s = 0; s < COUNT(sizes) && sizes[s] <= 65; s++)
        ctc_cut_case(2 * sizes[s], 2 + below(40), sizes[s]);
    ctc_odd_labels();
    for (int asked = 0; asked < 2; asked++)
        for (int s = 0; s < COUNT(sizes); s++)
            if (sizes[s] <= MOST_ROWS) {
                circle_case(sizes[s], 1 + below(MOST_ROWS), asked);
                circle_case(1 + below(MOST_ROWS), sizes[s], asked);
            }
    circle_of_nan();
}
