/* Connectionist temporal classification (Graves et al., 2006): the probability of all alignments of
 * an example's steps with its labels.
 *
 * An alignment walks through states: blanks stand between all labels and around them, a step stays
 * in its state or moves on by one, and over a blank between different labels by two. Logs of
 * probabilities are kept relative to the largest of their step, which makes them small where they
 * count; UNREACHED stands for the log of 0, so that no difference of infinities comes up.
 */

#undef UNREACHED
#define UNREACHED ((T)-1e30)

/* Elements in a row of states, two in front and two behind them included that nobody reaches. */
static HL_INLINE ptrdiff_t N(ctc_row)(ptrdiff_t length) {
    return (2 * length + VL) / VL * VL + 4;
}

/* The rows in an example's room. */
typedef struct N(ctc_rows) {
    ptrdiff_t states; /* of this example */
    ptrdiff_t row;    /* elements from one row to the next */
    T *skip;          /* 0 where a state can be reached over one, or UNREACHED */
    T *emitted;       /* a row for each step: log of the probability of the state's class */
    T *before;        /* the same: log of the probability to have come here */
    T *after[2];      /* to end from here, at one step and at the next */
    T *norm;          /* of each step: log of the sum of exp */
} N(ctc_rows);

static size_t N(ctc_room)(ptrdiff_t steps, ptrdiff_t length) {
    return (size_t)(N(ctc_row)(length) * (2 * steps + 3) + steps) * sizeof(T);
}

static N(ctc_rows) N(ctc_place)(ptrdiff_t steps, ptrdiff_t length, ptrdiff_t labels, T *room) {
    const ptrdiff_t row = N(ctc_row)(length);
    N(ctc_rows) r = {.states = 2 * labels + 1, .row = row, .skip = room + 2};
    r.emitted = r.skip + row;
    r.before = r.emitted + steps * row;
    r.after[0] = r.before + steps * row;
    r.after[1] = r.after[0] + row;
    r.norm = r.after[1] + row - 2;
    for (ptrdiff_t i = 0; i < row * (2 * steps + 3); i++)
        room[i] = UNREACHED;
    return r;
}

/* log(exp(a) + exp(b) + exp(c)). */
static HL_RARE vec N(log_sum_3)(vec a, vec b, vec c) {
    const vec most = vmax(a, vmax(b, c));
    return most + vlog(vexp(a - most) + vexp(b - most) + vexp(c - most));
}

static HL_INLINE T N(most_of)(const T *x, ptrdiff_t n) {
    vec most = splat(UNREACHED);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const int count = lanes_left(n - i);
        most = vmax(most, select(first_lanes(count), load_n(x + i, count), most));
    }
    return max_lanes(most);
}

static T N(log_sum)(const T *x, ptrdiff_t n) {
    const T most = N(most_of)(x, n);
    vec sum = splat(0);
    for (ptrdiff_t i = 0; i < n; i += VL) {
        const int count = lanes_left(n - i);
        sum += only(first_lanes(count), vexp(load_n(x + i, count) - most));
    }
    return most + vlog(splat(sum_lanes(sum)))[0];
}

static void N(ctc_emit)(const N(ctc_rows) *r, const int32_t *label, const T *x, ptrdiff_t steps,
                        ptrdiff_t cols) {
    for (ptrdiff_t s = 3; s < r->states; s += 2)
        r->skip[s] = label[s / 2] != label[s / 2 - 1] ? 0 : UNREACHED;
    for (ptrdiff_t t = 0; t < steps; t++, x += cols) {
        T *emitted = r->emitted + t * r->row;
        r->norm[t] = N(log_sum)(x, cols);
        for (ptrdiff_t s = 0; s < r->states; s++)
            emitted[s] = x[s % 2 ? label[s / 2] : 0] - r->norm[t];
    }
}

/* Fills the rows `before`; returns the log of the probability of all alignments. */
static double N(ctc_forward)(const N(ctc_rows) *r, ptrdiff_t steps) {
    double likelihood = 0;
    T *now = r->before;
    for (ptrdiff_t s = 0; s < r->states && s < 2; s++)
        now[s] = r->emitted[s];
    for (ptrdiff_t t = 1; t < steps; t++) {
        const T *was = now, *emitted = r->emitted + t * r->row;
        const T most = N(most_of)(was, r->states);
        likelihood += (double)most;
        now += r->row;
        for (ptrdiff_t s = 0; s < r->states; s += VL) {
            const vec reached = N(log_sum_3)(load(was + s), load(was + s - 1),
                                          load(was + s - 2) + load(r->skip + s));
            store_n(now + s, reached - most + load(emitted + s), lanes_left(r->states - s));
        }
    }
    const ptrdiff_t end = r->states - 1;
    return likelihood + (double)N(log_sum)(now + (end ? end - 1 : 0), end ? 2 : 1);
}

/* The probability of each state at a step, given the labels: before + after, made to sum to 1. */
static void N(ctc_posterior)(const N(ctc_rows) *r, const T *before, const T *after, T *share) {
    for (ptrdiff_t s = 0; s < r->states; s += VL)
        store_n(share + s, load(before + s) + load(after + s), lanes_left(r->states - s));
    const T most = N(most_of)(share, r->states);
    vec sum = splat(0);
    for (ptrdiff_t s = 0; s < r->states; s += VL) {
        const int count = lanes_left(r->states - s);
        const vec e = vexp(load_n(share + s, count) - most);
        store_n(share + s, e, count);
        sum += only(first_lanes(count), e);
    }
    const T whole = sum_lanes(sum);
    for (ptrdiff_t s = 0; s < r->states; s++)
        share[s] /= whole;
}

/* From the last step to the first: factor (softmax(x) - the probability of each class given the
 * labels). The row of a step in `emitted` ends as that of its states' probabilities. */
static void N(ctc_backward)(const N(ctc_rows) *r, const int32_t *label, double factor, const T *x,
                            T *gradient, ptrdiff_t steps, ptrdiff_t cols) {
    for (ptrdiff_t t = steps - 1; t >= 0; t--) {
        T *emitted = r->emitted + t * r->row;
        T *after = r->after[t % 2], *coming = r->after[(t + 1) % 2];
        if (t == steps - 1) {
            for (ptrdiff_t s = r->states - 1; s >= 0 && s >= r->states - 2; s--)
                after[s] = 0;
        } else {
            /* `coming` holds after + emitted of the next step. */
            const T most = N(most_of)(coming, r->states);
            for (ptrdiff_t s = 0; s < r->states; s += VL) {
                const vec reached = N(log_sum_3)(load(coming + s), load(coming + s + 1),
                                              load(coming + s + 2) + load(r->skip + s + 2));
                store_n(after + s, reached - most, lanes_left(r->states - s));
            }
        }
        for (ptrdiff_t s = 0; s < r->states; s += VL) {
            const int count = lanes_left(r->states - s);
            const vec own = load_n(after + s, count), e = load_n(emitted + s, count);
            store_n(coming + s, own, count);
            store_n(after + s, own + e, count);
        }
        N(ctc_posterior)(r, r->before + t * r->row, coming, emitted);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec p = vexp(load_n(x + t * cols + j, count) - r->norm[t]);
            store_n(gradient + t * cols + j, p * (T)factor, count);
        }
        for (ptrdiff_t s = 0; s < r->states; s++)
            gradient[t * cols + (s % 2 ? label[s / 2] : 0)] -= emitted[s] * (T)factor;
    }
}

static HL_RARE void N(ctc)(ptrdiff_t steps, ptrdiff_t length, const int32_t *label, const void *x_,
                   const void *weight, double scale, void *values, void *gradient_, void *room,
                   ptrdiff_t examples, ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < examples; i++, label += length) {
        const T *x = (const T *)x_ + i * steps * cols;
        T *gradient = gradient_ ? (T *)gradient_ + i * steps * cols : NULL;
        const T w = weight ? ((const T *)weight)[i] : 1;
        ptrdiff_t labels = 0;
        int known = 1;
        for (; labels < length && label[labels]; labels++)
            known &= label[labels] > 0 && label[labels] < cols;
        double likelihood = (double)NAN;
        if (known) {
            const N(ctc_rows) r = N(ctc_place)(steps, length, labels, room);
            N(ctc_emit)(&r, label, x, steps, cols);
            likelihood = N(ctc_forward)(&r, steps);
            if (likelihood < (double)UNREACHED / 2)
                likelihood = -(double)INFINITY;
            else if (gradient)
                N(ctc_backward)(&r, label, (double)w * scale, x, gradient, steps, cols);
        }
        ((T *)values)[i] = (T)-likelihood * w;
        if (gradient && !(likelihood > -(double)INFINITY))
            for (ptrdiff_t j = 0; j < steps * cols; j++)
                gradient[j] = (T)NAN;
    }
}
