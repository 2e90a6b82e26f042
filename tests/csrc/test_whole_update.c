/* Updates of whole weights, in panels and row after row, against sums in double; in one part and in
 * several, bit by bit the same. */
#include "check.h"

/* A weight, its gradient and what is kept of them, as they were, and in double what becomes of
 * them. */
typedef struct {
    hl_whole f;
    ptrdiff_t room; /* elements of w and of g, padding included */
    const void *w, *row, *column, *m, *v;
} problem;

static ptrdiff_t at(const hl_whole *f, ptrdiff_t matrix, ptrdiff_t i, ptrdiff_t j) {
    if (!f->packed)
        return (matrix * f->rows + i) * f->cols + j;
    const ptrdiff_t panel = j / K->nr * K->nr, rest = f->cols - panel;
    return panel * f->rows + i * panel_width(rest < K->nr ? rest : K->nr) + j - panel;
}

static ptrdiff_t elements(const hl_whole *f) {
    if (!f->packed)
        return f->matrices * f->rows * f->cols;
    const ptrdiff_t full = f->cols / K->nr * K->nr;
    return f->rows * (full + (f->cols > full ? panel_width(f->cols - full) : 0));
}

/* The weight and its gradient. */
static problem new_weight(hl_optimizer kind, ptrdiff_t matrices, ptrdiff_t rows, ptrdiff_t cols,
                          int packed) {
    problem p = {.f = {kind, .matrices = matrices, .rows = rows, .cols = cols, .packed = packed}};
    p.room = elements(&p.f);
    void *g = room(p.room);
    p.f.g = g;
    p.f.w = room(p.room);
    for (ptrdiff_t m = 0; m < matrices; m++)
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < cols; j++) {
                fill((char *)g + at(&p.f, m, i, j) * K->itemsize, 1, -1, 1);
                fill((char *)p.f.w + at(&p.f, m, i, j) * K->itemsize, 1, -1, 1);
            }
    p.w = copy_of(p.f.w, p.room);
    return p;
}

static problem new_problem(ptrdiff_t matrices, ptrdiff_t rows, ptrdiff_t cols, int packed,
                           int vector) {
    problem p = new_weight(HL_ADAFACTOR, matrices, rows, cols, packed);
    p.f.column = room(matrices * cols);
    fill(p.f.column, matrices * cols, 0.01, 1);
    if (!vector) {
        p.f.row = room(matrices * rows);
        fill(p.f.row, matrices * rows, 0.01, 1);
        p.row = copy_of(p.f.row, matrices * rows);
    }
    p.column = copy_of(p.f.column, matrices * cols);
    return p;
}

static void run(hl_whole *f, const double *h, int parts) {
    f->room = room_of((ptrdiff_t)((K->whole_update_room(f) + 7) / 8), 8);
    for (int stage = 0; stage < K->whole_update_stages(f, h); stage++)
        for (int part = 0; part < parts; part++)
            K->whole_update(f, h, stage, part, parts);
}

/* What gradients are divided by, and what is kept of them, which is checked. */
static double *velocities(const problem *p, const double *h) {
    const hl_whole *f = &p->f;
    double *v = room_of(f->matrices * f->rows * f->cols, sizeof *v);
    const double slack = (double)(f->rows + f->cols + 8) * epsilon();
    for (ptrdiff_t m = 0; m < f->matrices; m++) {
        double *r = room_of(f->rows, sizeof *r), mean = 0;
        for (ptrdiff_t i = 0; i < f->rows; i++) {
            double squares = 0;
            for (ptrdiff_t j = 0; j < f->cols; j++)
                squares += pow(get(f->g, at(f, m, i, j)), 2) + h[2];
            r[i] = 1;
            if (f->row) {
                const double before = get(p->row, m * f->rows + i);
                r[i] = (1 - h[1]) * before + h[1] * squares / (double)f->cols;
                expect_near("row", i, get(f->row, m * f->rows + i), r[i], slack * r[i]);
            }
            mean += r[i] / (double)f->rows;
        }
        for (ptrdiff_t j = 0; j < f->cols; j++) {
            double squares = 0;
            for (ptrdiff_t i = 0; i < f->rows; i++)
                squares += pow(get(f->g, at(f, m, i, j)), 2) + h[2];
            const double before = get(p->column, m * f->cols + j);
            const double c = (1 - h[1]) * before + h[1] * squares / (double)f->rows;
            expect_near("column", j, get(f->column, m * f->cols + j), c, slack * c);
            for (ptrdiff_t i = 0; i < f->rows; i++)
                v[(m * f->rows + i) * f->cols + j] = r[i] / mean * c;
        }
    }
    return v;
}

static void check(const problem *p, const double *h) {
    const hl_whole *f = &p->f;
    const double *v = velocities(p, h), size = (double)(f->matrices * f->rows * f->cols);
    double weights = 0, steps = 0;
    for (ptrdiff_t m = 0, e = 0; m < f->matrices; m++)
        for (ptrdiff_t i = 0; i < f->rows; i++)
            for (ptrdiff_t j = 0; j < f->cols; j++, e++) {
                weights += pow(get(p->w, at(f, m, i, j)), 2) / size;
                steps += pow(get(f->g, at(f, m, i, j)), 2) / v[e] / size;
            }
    const double rate = h[0] * fmax(sqrt(weights), h[3]) / fmax(1, sqrt(steps) / h[4]);
    const double slack = (double)(2 * (f->rows + f->cols) + 16) * epsilon();
    for (ptrdiff_t m = 0, e = 0; m < f->matrices; m++)
        for (ptrdiff_t i = 0; i < f->rows; i++)
            for (ptrdiff_t j = 0; j < f->cols; j++, e++) {
                const ptrdiff_t k = at(f, m, i, j);
                const double step = rate * get(f->g, k) / sqrt(v[e]), w = get(p->w, k);
                expect_near("w", k, get(f->w, k), w - step,
                            slack * fabs(step) + epsilon() * fabs(w));
            }
}

static void one_case(ptrdiff_t matrices, ptrdiff_t rows, ptrdiff_t cols, int packed, int vector) {
    begin("adafactor %td x %td x %td packed=%d vector=%d", matrices, rows, cols, packed, vector);
    /* A step that is scaled down, or is not; weights that count as larger than they are, or not. */
    const double h[HL_MAX_HYPER] = {0.1, uniform(0.1, 1), 1e-30, below(2) ? 1e-3 : 2,
                                    below(2) ? 0.5 : 10};
    problem p = new_problem(matrices, rows, cols, packed, vector);
    hl_whole cut = p.f;
    cut.w = copy_of(p.f.w, p.room);
    cut.column = copy_of(p.f.column, matrices * cols);
    if (!vector)
        cut.row = copy_of(p.f.row, matrices * rows);
    run(&p.f, h, 1);
    check(&p, h);
    run(&cut, h, 2 + (int)below(5));
    expect_equal("w in parts", cut.w, p.f.w, p.room);
    expect_equal("column in parts", cut.column, p.f.column, matrices * cols);
    if (!vector)
        expect_equal("row in parts", cut.row, p.f.row, matrices * rows);
    end();
}

/* Rows and columns without a gradient stay where they are; a NaN reaches all weights. */
static void extreme_case(ptrdiff_t rows, ptrdiff_t cols, int packed, double special) {
    begin("adafactor %td x %td packed=%d with %g", rows, cols, packed, special);
    const double h[HL_MAX_HYPER] = {0.1, 1, 1e-30, 1e-3, 1};
    problem p = new_problem(1, rows, cols, packed, 0);
    void *g = copy_of(p.f.g, p.room);
    p.f.g = g;
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++) {
            const int spoilt = special == 0 ? i == 1 || j == 2 : i == 1 && j == 2;
            const double enough = (below(2) ? 1 : -1) * uniform(0.1, 1); /* to move any weight */
            put(g, at(&p.f, 0, i, j), spoilt ? special : enough);
        }
    run(&p.f, h, 1);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++) {
            const ptrdiff_t k = at(&p.f, 0, i, j);
            const double w = get(p.f.w, k), before = get(p.w, k);
            if (special != 0)
                expect_same("w", k, w, NAN);
            else if (i == 1 || j == 2)
                expect_same("w", k, w, before);
            else
                expect(w != before && isfinite(w), "other weights move");
        }
    end();
}

static problem new_lamb(ptrdiff_t matrices, ptrdiff_t rows, ptrdiff_t cols, int packed) {
    problem p = new_weight(HL_LAMB, matrices, rows, cols, packed);
    p.f.m = room(p.room);
    p.f.v = room(p.room);
    fill(p.f.m, p.room, -1, 1);
    fill(p.f.v, p.room, 0.1, 1);
    p.m = copy_of(p.f.m, p.room);
    p.v = copy_of(p.f.v, p.room);
    return p;
}

/* What is kept of each element, which is checked, its step, and the norms of weights and steps. */
static double *lamb_steps(const problem *p, const double *h, double *of_weight, double *of_step) {
    const hl_whole *f = &p->f;
    double *u = room_of(p->room, sizeof *u);
    *of_weight = *of_step = 0;
    for (ptrdiff_t m = 0; m < f->matrices; m++)
        for (ptrdiff_t i = 0; i < f->rows; i++)
            for (ptrdiff_t j = 0; j < f->cols; j++) {
                const ptrdiff_t k = at(f, m, i, j);
                const double g = get(f->g, k), was = get(p->m, k), square = get(p->v, k);
                const double mean = was + (g - was) * h[1], v = square + (g * g - square) * h[2];
                expect_near("m", k, get(f->m, k), mean, 4 * epsilon() * (fabs(was) + fabs(g)));
                expect_near("v", k, get(f->v, k), v, 4 * epsilon() * (square + g * g));
                u[k] = h[4] * mean / (sqrt(v) + h[3]);
                *of_weight += pow(get(p->w, k), 2);
                *of_step += u[k] * u[k];
            }
    *of_weight = sqrt(*of_weight);
    *of_step = sqrt(*of_step);
    return u;
}

static void lamb_case(ptrdiff_t matrices, ptrdiff_t rows, ptrdiff_t cols, int packed) {
    begin("lamb %td x %td x %td packed=%d", matrices, rows, cols, packed);
    const double h[HL_MAX_HYPER] = {0.1, uniform(0.1, 1), uniform(0.1, 0.5), below(2) ? 1e-3 : 0,
                                    uniform(0.1, 2)};
    problem p = new_lamb(matrices, rows, cols, packed);
    hl_whole cut = p.f;
    cut.w = copy_of(p.f.w, p.room);
    cut.m = copy_of(p.f.m, p.room);
    cut.v = copy_of(p.f.v, p.room);
    run(&p.f, h, 1);
    double of_weight, of_step;
    const double *u = lamb_steps(&p, h, &of_weight, &of_step);
    for (ptrdiff_t m = 0; m < matrices; m++)
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < cols; j++) {
                const ptrdiff_t k = at(&p.f, m, i, j);
                const double w = get(p.w, k), longest = h[0] * of_weight / of_step;
                /* m may be the small rest of a difference; the root of v is at least 0.2. */
                expect_near("w", k, get(p.f.w, k), w - longest * u[k],
                            epsilon() * (fabs(w) + longest * (80 * fabs(u[k]) + 40 * h[4])));
            }
    run(&cut, h, 2 + (int)below(5));
    expect_equal("w in parts", cut.w, p.f.w, p.room);
    expect_equal("m in parts", cut.m, p.f.m, p.room);
    expect_equal("v in parts", cut.v, p.f.v, p.room);
    end();
}

/* Weights or steps of no length, and a step that is no number: the ratio is 1. */
static void ratio_case(ptrdiff_t rows, ptrdiff_t cols, int packed, int zero_weights,
                       double gradient) {
    begin("lamb %td x %td packed=%d zero=%d g=%g", rows, cols, packed, zero_weights, gradient);
    const double h[HL_MAX_HYPER] = {0.5, 1, 1, 1e-3, 1};
    problem p = new_lamb(1, rows, cols, packed);
    void *g = copy_of(p.f.g, p.room);
    p.f.g = g;
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++) {
            put(g, at(&p.f, 0, i, j), isnan(gradient) && (i || j) ? 1 : gradient);
            if (zero_weights)
                put(p.f.w, at(&p.f, 0, i, j), 0);
        }
    p.w = copy_of(p.f.w, p.room);
    run(&p.f, h, 1);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++) {
            const ptrdiff_t k = at(&p.f, 0, i, j);
            const double x = get(g, k), step = 0.5 * x / (fabs(x) + 1e-3);
            if (isnan(x))
                expect_same("w", k, get(p.f.w, k), NAN);
            else
                expect_near("w", k, get(p.f.w, k), get(p.w, k) - step, 8 * epsilon());
        }
    end();
}

static void test_lamb(void) {
    for (int s = 0; s < COUNT(sizes); s++) {
        const ptrdiff_t n = sizes[s];
        for (int packed = 0; packed < 2; packed++) {
            lamb_case(1, n, 1, packed);
            lamb_case(1, 1, n, packed);
            lamb_case(1, n, 1 + below(3 * K->nr), packed);
            lamb_case(1, 3, 2 * K->nr + 1 + below(K->nr), packed);
            lamb_case(1, n, 2 * K->nr, packed);
            ratio_case(n + 1, 1 + below(2 * K->nr), packed, 1, -3);
            ratio_case(n + 1, 1 + below(2 * K->nr), packed, 0, 0);
            ratio_case(n + 1, 1 + below(2 * K->nr), packed, 0, NAN);
        }
        lamb_case(1 + below(4), n, 1 + below(50), 0);
    }
    /* More rows than one block has. */
    for (int packed = 0; packed < 2; packed++) {
        lamb_case(1, 3000, 1, packed);
        lamb_case(1, 2500, 3, packed);
        lamb_case(1, 300, 2 * K->nr + 3, packed);
    }
    lamb_case(3, 1100, 5, 0);
    lamb_case(1, 1, 3000, 0);
}

/* x, of rows x cols, after the iteration of Newton and Schulz, all in double. */
static double *iterated(const double *h, ptrdiff_t rows, ptrdiff_t cols, double *x) {
    const int tall = rows > cols;
    const ptrdiff_t side = tall ? cols : rows, other = tall ? rows : cols;
    /* Element (i, k) of x, or of its transpose. */
#define AT(i, k) (tall ? (k) * cols + (i) : (i) * cols + (k))
    double *s = room_of(side * side, sizeof *s), *mix = room_of(side * side, sizeof *mix);
    for (int step = 0; step < (int)h[12]; step++) {
        double *next = room_of(rows * cols, sizeof *next);
        for (ptrdiff_t i = 0; i < side; i++)
            for (ptrdiff_t j = 0; j < side; j++) {
                s[i * side + j] = 0;
                for (ptrdiff_t k = 0; k < other; k++)
                    s[i * side + j] += x[AT(i, k)] * x[AT(j, k)];
            }
        for (ptrdiff_t i = 0; i < side; i++)
            for (ptrdiff_t j = 0; j < side; j++) {
                mix[i * side + j] = h[10] * s[i * side + j];
                for (ptrdiff_t k = 0; k < side; k++)
                    mix[i * side + j] += h[11] * s[i * side + k] * s[k * side + j];
            }
        for (ptrdiff_t i = 0; i < side; i++)
            for (ptrdiff_t k = 0; k < other; k++) {
                next[AT(i, k)] = h[9] * x[AT(i, k)];
                for (ptrdiff_t j = 0; j < side; j++)
                    next[AT(i, k)] += mix[i * side + j] * x[AT(j, k)];
            }
        x = next;
    }
#undef AT
    return x;
}

static void muon_case(ptrdiff_t rows, ptrdiff_t cols, int packed, int steps) {
    begin("muon %td x %td packed=%d steps=%d", rows, cols, packed, steps);
    const double momentum = 0.9, nesterov = below(2);
    const double h[HL_MAX_HYPER] = {
        0, 0, 0, 0, 0, 0.1, momentum, nesterov, nesterov ? momentum : 1,
        3.4445, -4.775, 2.0315, steps, below(2) ? 0.2 : 0,
    };
    problem p = new_weight(HL_MUON, 1, rows, cols, packed);
    p.f.m = room(p.room);
    fill(p.f.m, p.room, -1, 1);
    p.m = copy_of(p.f.m, p.room);
    hl_whole cut = p.f;
    cut.w = copy_of(p.f.w, p.room);
    cut.m = copy_of(p.f.m, p.room);
    run(&p.f, h, 1);
    double *x = room_of(rows * cols, sizeof *x), norm = 0;
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++) {
            const ptrdiff_t k = at(&p.f, 0, i, j);
            const double g = get(p.f.g, k), m = momentum * get(p.m, k) + g;
            expect_near("m", k, get(p.f.m, k), m, 4 * epsilon());
            x[i * cols + j] = nesterov ? g + momentum * m : m;
            norm += pow(x[i * cols + j], 2);
        }
    for (ptrdiff_t i = 0; i < rows * cols; i++)
        x[i] /= sqrt(norm) + 1e-7;
    const double *want = iterated(h, rows, cols, x);
    const double longest = (double)(rows > cols ? rows : cols);
    const double rate = h[5] * (h[13] > 0 ? h[13] * sqrt(longest) : 1);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++) {
            const ptrdiff_t k = at(&p.f, 0, i, j);
            const double w = get(p.w, k);
            /* Each step makes what is small, errors too, up to 3.4445 times larger. */
            expect_near("w", k, get(p.f.w, k), w - rate * want[i * cols + j],
                        epsilon() * (fabs(w) + rate * 64 * pow(3.4445, steps)));
        }
    run(&cut, h, 2 + (int)below(5));
    expect_equal("w in parts", cut.w, p.f.w, p.room);
    expect_equal("m in parts", cut.m, p.f.m, p.room);
    end();
}

static void test_muon(void) {
    for (int packed = 0; packed < 2; packed++) {
        for (ptrdiff_t n = 1; n <= 2 * K->nr + 3; n += 1 + below(4)) {
            muon_case(n, n, packed, (int)below(6));
            muon_case(n, 1, packed, (int)below(6));
            muon_case(1, n, packed, (int)below(6));
            muon_case(n, 1 + below(40), packed, (int)below(6));
        }
        /* More rows than one block has. */
        muon_case(2500, 3, packed, 5);
        muon_case(3, 1500, packed, 5);
    }
}

void test_whole_update(void) {
    test_lamb();
    test_muon();
    for (int s = 0; s < COUNT(sizes); s++) {
        const ptrdiff_t n = sizes[s];
        one_case(1, 1, n, 0, 1);
        for (int packed = 0; packed < 2; packed++) {
            one_case(1, n, 1, packed, 0);
            one_case(1, 1, n, packed, 0);
            one_case(1, n, 1 + below(3 * K->nr), packed, 0);
            one_case(1, 3, 2 * K->nr + 1 + below(K->nr), packed, 0);
            extreme_case(n + 2, 3 + below(2 * K->nr), packed, 0);
            extreme_case(n + 2, 3 + below(2 * K->nr), packed, NAN);
        }
        one_case(1 + below(4), n, 1 + below(50), 0, 0);
    }
    /* More rows than one block has. */
    for (int packed = 0; packed < 2; packed++) {
        one_case(1, 3000, 1, packed, 0);
        one_case(1, 2500, 3, packed, 0);
        one_case(1, 300, 2 * K->nr + 3, packed, 0);
    }
    one_case(3, 1100, 5, 0, 0);
    one_case(1, 1, 3000, 0, 1);
}
