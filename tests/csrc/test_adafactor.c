/* Adafactor on whole weights, in panels and row after row, against sums in double; in one part and
 * in several, bit by bit the same. */
#include "check.h"

/* A weight, its gradient and what is kept of them, as they were, and in double what becomes of
 * them. */
typedef struct {
    hl_factored f;
    ptrdiff_t room; /* elements of w and of g, padding included */
    const void *w, *row, *column;
} problem;

static ptrdiff_t at(const hl_factored *f, ptrdiff_t matrix, ptrdiff_t i, ptrdiff_t j) {
    if (!f->packed)
        return (matrix * f->rows + i) * f->cols + j;
    const ptrdiff_t panel = j / K->nr * K->nr, rest = f->cols - panel;
    return panel * f->rows + i * panel_width(rest < K->nr ? rest : K->nr) + j - panel;
}

static ptrdiff_t elements(const hl_factored *f) {
    if (!f->packed)
        return f->matrices * f->rows * f->cols;
    const ptrdiff_t full = f->cols / K->nr * K->nr;
    return f->rows * (full + (f->cols > full ? panel_width(f->cols - full) : 0));
}

static problem new_problem(ptrdiff_t matrices, ptrdiff_t rows, ptrdiff_t cols, int packed,
                           int vector) {
    problem p = {.f = {.matrices = matrices, .rows = rows, .cols = cols, .packed = packed}};
    p.room = elements(&p.f);
    void *g = room(p.room);
    p.f.g = g;
    p.f.w = room(p.room);
    p.f.column = room(matrices * cols);
    fill(p.f.column, matrices * cols, 0.01, 1);
    if (!vector) {
        p.f.row = room(matrices * rows);
        fill(p.f.row, matrices * rows, 0.01, 1);
        p.row = copy_of(p.f.row, matrices * rows);
    }
    for (ptrdiff_t m = 0; m < matrices; m++)
        for (ptrdiff_t i = 0; i < rows; i++)
            for (ptrdiff_t j = 0; j < cols; j++) {
                fill((char *)g + at(&p.f, m, i, j) * K->itemsize, 1, -1, 1);
                fill((char *)p.f.w + at(&p.f, m, i, j) * K->itemsize, 1, -1, 1);
            }
    p.w = copy_of(p.f.w, p.room);
    p.column = copy_of(p.f.column, matrices * cols);
    return p;
}

static void run(hl_factored *f, const double *h, int parts) {
    f->room = room_of((ptrdiff_t)((K->adafactor_room(f) + 7) / 8), 8);
    for (int stage = 0; stage < HL_ADAFACTOR_STAGES; stage++)
        for (int part = 0; part < parts; part++)
            K->adafactor(f, h, stage, part, parts);
}

/* What gradients are divided by, and what is kept of them, which is checked. */
static double *velocities(const problem *p, const double *h) {
    const hl_factored *f = &p->f;
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
    const hl_factored *f = &p->f;
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
    hl_factored cut = p.f;
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

void test_adafactor(void) {
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
