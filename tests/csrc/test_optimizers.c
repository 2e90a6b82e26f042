/* Update rules, what one step needs, and weight penalties. */
#include "references.h"

#include <string.h>

weight_state expected_update(hl_optimizer kind, const double *h, double g, weight_state now,
                             weight_state *size) {
    weight_state next = now;
    double step = 0, step_size = 0;
    *size = (weight_state){0};
    switch (kind) {
    case HL_SGD:
        step = h[0] * g;
        break;
    case HL_SGD_MOMENTUM:
    case HL_SGD_NESTEROV:
        next.s[0] = h[1] * now.s[0] - h[0] * g;
        size->s[0] = fabs(h[1] * now.s[0]) + fabs(h[0] * g);
        step = kind == HL_SGD_NESTEROV ? h[0] * g - h[1] * next.s[0] : -next.s[0];
        step_size = size->s[0] + fabs(h[0] * g);
        break;
    case HL_ADAM:
    case HL_ADAM_AMSGRAD: {
        next.s[0] = now.s[0] + (g - now.s[0]) * h[1];
        next.s[1] = now.s[1] + (g * g - now.s[1]) * h[2];
        size->s[0] = fabs(now.s[0]) + fabs(g) * h[1];
        size->s[1] = now.s[1] + g * g * h[2];
        double v = next.s[1];
        if (kind == HL_ADAM_AMSGRAD) {
            v = next.s[2] = now.s[2] > v ? now.s[2] : v;
            size->s[2] = fmax(now.s[2], size->s[1]);
        }
        next.w -= now.w * h[4];
        step = h[0] * next.s[0] / (sqrt(v) + h[3]);
        step_size = h[0] * size->s[0] / (sqrt(v) + h[3]);
        break;
    }
    case HL_RMSPROP:
    case HL_RMSPROP_MOMENTUM:
    case HL_RMSPROP_CENTERED:
    case HL_RMSPROP_CENTERED_MOMENTUM: {
        const int centered = kind == HL_RMSPROP_CENTERED || kind == HL_RMSPROP_CENTERED_MOMENTUM;
        next.s[0] = size->s[0] = h[1] * now.s[0] + h[2] * g * g;
        double spread = next.s[0] + h[3];
        if (centered) {
            next.s[1] = h[1] * now.s[1] + h[2] * g;
            size->s[1] = fabs(h[1] * now.s[1]) + fabs(h[2] * g);
            spread -= next.s[1] * next.s[1];
        }
        step = h[0] * g / sqrt(spread);
        /* What the spread lost when the mean's square was taken off. */
        step_size = fabs(step) * (1 + next.s[0] / spread);
        if (kind == HL_RMSPROP_MOMENTUM || kind == HL_RMSPROP_CENTERED_MOMENTUM) {
            const int slot = centered ? 2 : 1;
            step += h[4] * now.s[slot];
            step_size += fabs(h[4] * now.s[slot]);
            next.s[slot] = step;
            size->s[slot] = step_size;
        }
        break;
    }
    case HL_ADAGRAD:
        next.s[0] = size->s[0] = now.s[0] + g * g;
        step = h[0] * g / sqrt(next.s[0] + h[1]);
        break;
    case HL_ADADELTA: {
        next.s[0] = size->s[0] = h[1] * now.s[0] + h[2] * g * g;
        const double move = sqrt((now.s[1] + h[3]) / (next.s[0] + h[3])) * g;
        next.s[1] = size->s[1] = h[1] * now.s[1] + h[2] * move * move;
        step = h[0] * move;
        break;
    }
    case HL_ADAMAX:
        next.s[0] = now.s[0] + (g - now.s[0]) * h[1];
        size->s[0] = fabs(now.s[0]) + fabs(g) * h[1];
        next.s[1] = isnan(g) ? g : fmax(h[2] * now.s[1], fabs(g));
        size->s[1] = next.s[1];
        step = h[0] * next.s[0] / (next.s[1] + h[3]);
        step_size = h[0] * size->s[0] / (next.s[1] + h[3]);
        break;
    case HL_NADAM:
        next.s[0] = now.s[0] + (g - now.s[0]) * h[1];
        next.s[1] = now.s[1] + (g * g - now.s[1]) * h[2];
        size->s[0] = fabs(now.s[0]) + fabs(g) * h[1];
        size->s[1] = now.s[1] + g * g * h[2];
        step = (h[0] * next.s[0] + h[4] * g) / (sqrt(next.s[1]) + h[3]);
        step_size = (h[0] * size->s[0] + h[4] * fabs(g)) / (sqrt(next.s[1]) + h[3]);
        break;
    case HL_LION: {
        const double way = h[1] * now.s[0] + h[2] * g;
        next.s[0] = h[3] * now.s[0] + h[4] * g;
        size->s[0] = fabs(h[3] * now.s[0]) + fabs(h[4] * g);
        step = h[0] * (isnan(way) ? way : (way > 0) - (way < 0));
        break;
    }
    case HL_FTRL: {
        next.s[0] = size->s[0] = now.s[0] + g * g;
        const double root = pow(next.s[0], h[1]), was = pow(now.s[0], h[1]);
        next.s[1] = now.s[1] + g + h[4] * now.w - (root - was) / h[0] * now.w;
        size->s[1] = fabs(now.s[1]) + fabs(g) + fabs(h[4] * now.w) +
                     (root + was) / h[0] * fabs(now.w);
        const double clipped = fmin(fmax(next.s[1], -h[2]), h[2]);
        const double curvature = root / h[0] + h[3];
        next.w = isnan(next.s[1]) ? next.s[1] : (clipped - next.s[1]) / curvature;
        step_size = (size->s[1] + h[2]) / curvature;
        break;
    }
    case HL_SCHEDULE_FREE_ADAMW: {
        next.s[1] = now.s[1] + (g * g - now.s[1]) * h[1];
        size->s[1] = now.s[1] + g * g * h[1];
        const double move = h[0] * g / (sqrt(next.s[1]) + h[2]);
        next.s[0] = now.s[0] - move;
        size->s[0] = fabs(now.s[0]) + fabs(move);
        step = h[4] * move - (now.s[0] - now.w) * h[3];
        step_size = fabs(h[4] * move) + (fabs(now.s[0]) + fabs(now.w)) * h[3];
        break;
    }
    case HL_KEEP_GRADIENT:
        next.s[0] = size->s[0] = g;
        break;
    case HL_ADAFACTOR: /* they take whole weights: test_whole_update.c */
    case HL_LAMB:
    case HL_MUON:
        break;
    }
    next.w -= step;
    size->w = fabs(now.w) + fabs(step) + step_size;
    return next;
}

const update_rule rules[RULES] = {
    {HL_SGD, 0, {0.1}},
    {HL_SGD_MOMENTUM, 1, {0.1, 0.9}},
    {HL_SGD_NESTEROV, 1, {0.1, 0.9}},
    {HL_ADAM, 2, {0.01, 0.9, 0.999, 1e-7, 0}},
    {HL_ADAM, 2, {0.01, 0.9, 0.999, 1e-7, 10}},
    {HL_ADAM_AMSGRAD, 3, {0.01, 0.9, 0.999, 1e-7, 0.01}},
    {HL_RMSPROP, 1, {0.01, 0.9, 1e-7}},
    {HL_RMSPROP_MOMENTUM, 2, {0.01, 0.9, 1e-7, 0.8}},
    {HL_RMSPROP_CENTERED, 2, {0.01, 0.9, 1e-7}},
    {HL_RMSPROP_CENTERED_MOMENTUM, 3, {0.01, 0.9, 1e-7, 0.8}},
    {HL_ADAGRAD, 1, {0.1, 1e-7}},
    {HL_ADADELTA, 2, {0.1, 0.95, 1e-7}},
    {HL_ADAMAX, 2, {0.01, 0.9, 0.999, 1e-7}},
    {HL_NADAM, 2, {0.01, 0.9, 0.999, 1e-7}},
    {HL_LION, 1, {0.01, 0.9, 0.99}},
    {HL_FTRL, 2, {0.1, -0.5, 0.01, 0.02, 0.03, 0.1}},
    {HL_FTRL, 2, {0.1, -0.7, 0.01, 0.02, 0, 0}},
    {HL_SCHEDULE_FREE_ADAMW, 2, {0.01, 0.9, 0.999, 1e-8, 0}},
    {HL_SCHEDULE_FREE_ADAMW, 2, {0.01, 0.8, 0.99, 1e-8, 500}},
    {HL_KEEP_GRADIENT, 1, {0}},
};

/* Squares at least twice the squared mean, so that no spread is the small rest of a difference;
 * what is a square or a size is above zero. */
static void fill_slots(hl_optimizer kind, void **slot, ptrdiff_t n) {
    for (int s = 0; s < 3 && slot[s]; s++)
        fill(slot[s], n, s == 0 ? -1 : 0.1, 1);
    if (kind >= HL_RMSPROP && kind <= HL_ADADELTA) {
        fill(slot[0], n, 0.6, 1);
        for (int s = 1; s < 3 && slot[s]; s++)
            fill(slot[s], n, kind == HL_ADADELTA ? 0.1 : -0.5, 0.5);
    }
    if (kind == HL_FTRL) {
        fill(slot[0], n, 0.1, 1);
        fill(slot[1], n, -1, 1);
    }
}

static void update_case(int r, ptrdiff_t n) {
    const hl_optimizer kind = rules[r].kind;
    const int slots = rules[r].slots;
    const int64_t iteration = 1 + below(2000);
    begin("update kind=%d iteration=%lld n=%td", kind, (long long)iteration, n);
    double *h = room_of(HL_MAX_HYPER, sizeof *h);
    hl_powers kept[2] = {{0}};
    hl_optimizer_prepare(kind, rules[r].hyper, iteration, kept, h);
    void *w = room(n), *g = room(n), *slot[3] = {0};
    const void *slot_was[3] = {0};
    fill(w, n, -1, 1);
    fill(g, n, -1, 1);
    if (n > 0 && below(3) == 0)
        put(g, below(n), (double[]){NAN, INFINITY, -INFINITY, 0}[below(4)]);
    for (int s = 0; s < slots; s++)
        slot[s] = room(n);
    fill_slots(kind, slot, n);
    for (int s = 0; s < slots; s++)
        slot_was[s] = copy_of(slot[s], n);
    const void *w_was = copy_of(w, n);
    K->update(kind, h, w, g, slot[0], slot[1], slot[2], n);
    for (ptrdiff_t i = 0; i < n; i++) {
        weight_state now = {.w = get(w_was, i)}, size;
        for (int s = 0; s < slots; s++)
            now.s[s] = get(slot_was[s], i);
        const weight_state want = expected_update(kind, h, get(g, i), now, &size);
        /* At most eight roundings each, those of h to K's type included. */
        expect_near("w", i, get(w, i), want.w, 4 * epsilon() * size.w);
        for (int s = 0; s < slots; s++)
            expect_near("slot", i, get(slot[s], i), want.s[s], 4 * epsilon() * size.s[s]);
    }
    end();
}

/* Weights do not notice where the range was cut. Gradients outweigh what is kept of them or are
 * nothing beside it, and weights are of all sizes around those of the steps, so that the last bits
 * of what is added to anything are not always rounded away. */
static void cut_case(int r, ptrdiff_t n) {
    const hl_optimizer kind = rules[r].kind;
    begin("update in pieces, kind=%d n=%td", kind, n);
    double h[HL_MAX_HYPER];
    hl_powers kept[2] = {{0}};
    hl_optimizer_prepare(kind, rules[r].hyper, 3, kept, h);
    void *w = room(n), *g = room(n), *slot[3] = {0}, *slot_cut[3] = {0};
    fill_sizes(w, n, -20, 4);
    fill_sizes(g, n, -8, 6);
    for (int s = 0; s < rules[r].slots; s++)
        slot[s] = room(n);
    fill_slots(kind, slot, n);
    for (int s = 0; s < rules[r].slots; s++)
        slot_cut[s] = copy_of(slot[s], n);
    void *w_cut = copy_of(w, n);
    K->update(kind, h, w, g, slot[0], slot[1], slot[2], n);
    for (ptrdiff_t i = 0, count; i < n; i += count) {
        count = any_piece(n - i);
        void *part[3] = {0};
        for (int s = 0; s < rules[r].slots; s++)
            part[s] = (char *)slot_cut[s] + i * K->itemsize;
        K->update(kind, h, (char *)w_cut + i * K->itemsize, (char *)g + i * K->itemsize, part[0],
                  part[1], part[2], count);
    }
    expect_equal("w", w_cut, w, n);
    for (int s = 0; s < rules[r].slots; s++)
        expect_equal("slot", slot_cut[s], slot[s], n);
    end();
}

static void penalty_case(ptrdiff_t n) {
    const double l1 = uniform(0, 1), l2 = uniform(0, 1);
    begin("penalty l1=%g l2=%g n=%td", l1, l2, n);
    char *w = room(n), *g = room(n);
    fill(w, n, -1, 1);
    fill(g, n, -1, 1);
    if (n > 1)
        put(w, below(n), 0);
    if (n > 0 && below(4) == 0)
        put(w, below(n), NAN);
    const void *g_was = copy_of(g, n);
    char *g_cut = copy_of(g, n);
    double size = 0, square = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        size += fabs(get(w, i));
        square += get(w, i) * get(w, i);
    }
    const double want = l1 * size + l2 * square;
    /* Both sums are in double and their terms positive: half an epsilon for each of n. */
    const double penalty = K->penalty(l1, l2, w, n);
    expect_near("penalty", 0, penalty, want, (double)(n + 4) * 0x1p-52 * want);
    const hl_kernels *baseline = hl_kernels_for("baseline", K->itemsize == 4 ? HL_F32 : HL_F64);
    expect_same("penalty on every instruction set", 0, penalty, baseline->penalty(l1, l2, w, n));
    K->penalty_gradient(l1, l2, w, g, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double w_i = get(w, i), push = l1 * ((w_i > 0) - (w_i < 0)), pull = 2 * l2 * w_i;
        expect_near("g", i, get(g, i), get(g_was, i) + push + pull,
                    2 * epsilon() * (fabs(get(g_was, i)) + fabs(push) + fabs(pull)));
    }
    for (ptrdiff_t i = 0, count; i < n; i += count) {
        count = any_piece(n - i);
        K->penalty_gradient(l1, l2, w + i * K->itemsize, g_cut + i * K->itemsize, count);
    }
    expect_equal("g in pieces", g_cut, g, n);
    end();
}

static void clip_case(ptrdiff_t n) {
    const double limit = uniform(0, 1);
    begin("clip limit=%g n=%td", limit, n);
    void *x = room(n), *y = room(n);
    fill(x, n, -1, 1);
    if (n > 0)
        put(x, below(n), (double[]){NAN, INFINITY, -INFINITY, 0}[below(4)]);
    K->clip(limit, x, y, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double x_i = get(x, i), clipped = fmin(fmax(x_i, -limit), limit);
        expect_near("y", i, get(y, i), isnan(x_i) ? x_i : clipped, epsilon() * limit);
    }
    end();
}

static void norms_case(ptrdiff_t k, ptrdiff_t n, ptrdiff_t ld) {
    const double low = uniform(0, 1), high = low + uniform(0, 1), rate = uniform(0, 1);
    begin("limit_norms low=%g high=%g rate=%g k=%td n=%td ld=%td", low, high, rate, k, n, ld);
    const ptrdiff_t size = k > 0 ? (k - 1) * ld + n : 0;
    void *w = room(size);
    fill(w, size, -1, 1);
    if (k > 0)
        put(w, below(k) * ld, 0);
    const void *w_was = copy_of(w, size);
    K->limit_norms(low, high, rate, k, n, ld, w);
    for (ptrdiff_t p = 0; p < k - 1; p++)
        for (ptrdiff_t j = n; j < ld; j++)
            expect_same("between rows", p * ld + j, get(w, p * ld + j), get(w_was, p * ld + j));
    for (ptrdiff_t j = 0; j < n; j++) {
        double squares = 0;
        for (ptrdiff_t p = 0; p < k; p++)
            squares += get(w_was, p * ld + j) * get(w_was, p * ld + j);
        const double norm = sqrt(squares), limited = fmin(fmax(norm, low), high);
        const double factor = (rate * limited + (1 - rate) * norm) / (norm + 1e-7);
        for (ptrdiff_t p = 0; p < k; p++)
            expect_near("w", p * ld + j, get(w, p * ld + j), get(w_was, p * ld + j) * factor,
                        (double)(k + 8) * epsilon() * fabs(get(w_was, p * ld + j) * factor));
    }
    end();
}

void test_optimizers(void) {
    for (int r = 0; r < RULES; r++) {
        update_case(r, 0);
        for (int s = 0; s < COUNT(sizes); s++) {
            update_case(r, sizes[s]);
            cut_case(r, sizes[s]);
        }
    }
    clip_case(0);
    norms_case(0, 1, 1);
    for (int s = 0; s < COUNT(sizes); s++) {
        clip_case(sizes[s]);
        norms_case(sizes[s], 1, 1);
        norms_case(sizes[s], K->nr, K->nr);
        const ptrdiff_t n = 1 + below(K->nr);
        norms_case(sizes[s], n, n + below(3));
    }
    penalty_case(0);
    for (int s = 0; s < COUNT(sizes); s++)
        penalty_case(sizes[s]);
}
