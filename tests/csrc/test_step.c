/* Training steps put together from kernels on a team of threads, as the executor does: rows and
 * tiles dealt out, barriers between the parts. The same weights, bit by bit, on any number of
 * threads, beside other callers and in a forked child. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROWS = 96, BATCH = 33, INPUTS = 17, HIDDEN = 71, CLASSES = 10, STEPS = 12 };

/* An arena in small. Row-major throughout but for the panels. */
typedef struct {
    float x[ROWS * INPUTS];
    int64_t order[BATCH * STEPS];
    int32_t y[ROWS];
    float w1[INPUTS * HIDDEN], b1[HIDDEN], w2[HIDDEN * CLASSES], b2[CLASSES];
    float slots[2][INPUTS * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES];
    float dw1[INPUTS * HIDDEN], db1[HIDDEN], dw2[HIDDEN * CLASSES], db2[CLASSES];
    float batch[BATCH * INPUTS], h[BATCH * HIDDEN], dh[BATCH * HIDDEN];
    float z[BATCH * CLASSES], losses[BATCH];
    int32_t labels[BATCH];
    float panels[8][(HIDDEN + BATCH) * 64]; /* one a thread */
} model;

typedef struct {
    model *m;
    hl_team *team;
    int thread, n_threads;
} worker;

/* Rows first .. last - 1 of n are this thread's. */
static void share(const worker *me, ptrdiff_t n, ptrdiff_t *first, ptrdiff_t *last) {
    *first = n * me->thread / me->n_threads;
    *last = n * (me->thread + 1) / me->n_threads;
}

/* c = a b for m x k and k x n; strides as pack and gemm have them. Panels are dealt out in turn. */
static void product(const worker *me, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const float *a,
                    ptrdiff_t a_row, ptrdiff_t a_col, const float *b, ptrdiff_t b_row,
                    ptrdiff_t b_col, float *c) {
    float *panel = me->m->panels[me->thread];
    const int transposed = a_col != 1;
    const void *lines[HIDDEN]; /* the largest of all sizes */
    for (ptrdiff_t l = 0; l < (transposed ? k : m); l++)
        lines[l] = a + l * (transposed ? a_col : a_row);
    for (ptrdiff_t j = me->thread * K->nr; j < n; j += me->n_threads * K->nr) {
        const ptrdiff_t cols = n - j < K->nr ? n - j : K->nr;
        K->pack(k, cols, b + j * b_col, b_row, b_col, panel);
        for (ptrdiff_t i = 0; i < m; i += K->mr) {
            const ptrdiff_t rows = m - i < K->mr ? m - i : K->mr;
            K->gemm(rows, cols, k, transposed ? lines : lines + i, transposed ? i : 0, transposed,
                    panel, NULL, 0, c + i * n + j, n);
        }
    }
}

static void forward(const worker *me, int step) {
    model *m = me->m;
    const hl_source rows = {.data = (const char *)m->x,
                            .dtype = HL_F32,
                            .rank = 1,
                            .row_stride = sizeof(float) * INPUTS,
                            .dim = {INPUTS},
                            .stride = {sizeof(float)}};
    const hl_source labels = {.data = (const char *)m->y,
                              .dtype = HL_I32,
                              .rank = 1,
                              .row_stride = sizeof(int32_t),
                              .dim = {1},
                              .stride = {sizeof(int32_t)}};
    ptrdiff_t first, last;
    share(me, BATCH, &first, &last);
    K->gather(&rows, m->order, step * BATCH + first, last - first, m->batch + first * INPUTS);
    hl_gather_labels(&labels, m->order, step * BATCH + first, last - first, m->labels + first);
    hl_team_barrier(me->team);
    product(me, BATCH, HIDDEN, INPUTS, m->batch, INPUTS, 1, m->w1, HIDDEN, 1, m->h);
    hl_team_barrier(me->team);
    const ptrdiff_t n = last - first;
    float *h = m->h + first * HIDDEN, *z = m->z + first * CLASSES;
    K->add_bias(h, m->b1, h, n, HIDDEN);
    K->activation(HL_RELU, 0, h, HIDDEN, h, HIDDEN, n, HIDDEN);
    hl_team_barrier(me->team);
    product(me, BATCH, CLASSES, HIDDEN, m->h, HIDDEN, 1, m->w2, CLASSES, 1, m->z);
    hl_team_barrier(me->team);
    K->add_bias(z, m->b2, z, n, CLASSES);
    K->softmax_crossentropy(0, 0, NULL, m->labels + first, z, NULL, 1, 1.0 / BATCH,
                            m->losses + first, NULL, z, n, CLASSES);
    hl_team_barrier(me->team);
}

static void backward(const worker *me) {
    model *m = me->m;
    ptrdiff_t first, last;
    share(me, BATCH, &first, &last);
    product(me, HIDDEN, CLASSES, BATCH, m->h, 1, HIDDEN, m->z, CLASSES, 1, m->dw2);
    product(me, BATCH, HIDDEN, CLASSES, m->z, CLASSES, 1, m->w2, 1, CLASSES, m->dh);
    hl_team_barrier(me->team);
    float *dh = m->dh + first * HIDDEN;
    K->activation_gradient(HL_RELU, 0, dh, m->h + first * HIDDEN, dh, HIDDEN, last - first, HIDDEN);
    hl_team_barrier(me->team);
    product(me, INPUTS, HIDDEN, BATCH, m->batch, 1, INPUTS, m->dh, HIDDEN, 1, m->dw1);
    if (me->thread == 0) {
        K->sum_rows(m->z, CLASSES, BATCH, CLASSES, m->db2);
        K->sum_rows(m->dh, HIDDEN, BATCH, HIDDEN, m->db1);
    }
    hl_team_barrier(me->team);
}

static void update(const worker *me, int step) {
    model *m = me->m;
    const double hyper[HL_MAX_HYPER] = {0.01, 0.9, 0.999, 1e-7, 0};
    hl_powers kept[2] = {{0}};
    double h[HL_MAX_HYPER];
    hl_optimizer_prepare(HL_ADAM, hyper, step + 1, kept, h);
    const struct {
        float *w, *g;
        ptrdiff_t n;
    } variables[] = {{m->w1, m->dw1, INPUTS * HIDDEN},
                     {m->b1, m->db1, HIDDEN},
                     {m->w2, m->dw2, HIDDEN * CLASSES},
                     {m->b2, m->db2, CLASSES}};
    ptrdiff_t slot = 0;
    for (int v = 0; v < COUNT(variables); v++) {
        ptrdiff_t first, last;
        share(me, variables[v].n, &first, &last);
        K->update(HL_ADAM, h, variables[v].w + first, variables[v].g + first,
                  m->slots[0] + slot + first, m->slots[1] + slot + first, NULL, last - first);
        slot += variables[v].n;
    }
    hl_team_barrier(me->team);
}

static void fit_task(void *argument, hl_team *team, int thread, int n_threads) {
    const worker me = {argument, team, thread, n_threads};
    const uint64_t denormals = hl_flush_denormals();
    for (int step = 0; step < STEPS; step++) {
        forward(&me, step);
        backward(&me);
        update(&me, step);
    }
    hl_restore_denormals(denormals);
}

static void initialize(model *m) {
    memset(m, 0, sizeof *m);
    fill(m->x, ROWS * INPUTS, -1, 1);
    fill(m->w1, INPUTS * HIDDEN, -0.3, 0.3);
    fill(m->w2, HIDDEN * CLASSES, -0.3, 0.3);
    for (int i = 0; i < ROWS; i++)
        m->y[i] = (int32_t)below(CLASSES);
    for (int i = 0; i < BATCH * STEPS; i++)
        m->order[i] = below(ROWS);
}

static int same_weights(const model *a, const model *b) {
    return !memcmp(a->w1, b->w1, sizeof a->w1) && !memcmp(a->w2, b->w2, sizeof a->w2) &&
           !memcmp(a->b1, b->b1, sizeof a->b1) && !memcmp(a->b2, b->b2, sizeof a->b2);
}

static model start, want; /* before the fit and, fitted on one thread, after it */

static void *fit_again(void *argument) {
    model *m = argument;
    *m = start;
    hl_pool_run(fit_task, m, 3);
    return NULL;
}

static void test_fits(int with_fork) {
    enum { callers = 3 };
    static const int teams[] = {2, 3, 8};
    static model fitted[callers];
    begin("a fit");
    initialize(&start);
    want = start;
    hl_pool_run(fit_task, &want, 1);
    expect(!same_weights(&start, &want) && isfinite(want.losses[0]), "a fit changes the weights");
    for (int i = 0; i < COUNT(teams); i++) {
        fitted[0] = start;
        hl_pool_run(fit_task, &fitted[0], teams[i]);
        expect(same_weights(&fitted[0], &want), "the same bits on any number of threads");
    }
    pthread_t thread[callers];
    for (int i = 0; i < callers; i++)
        pthread_create(&thread[i], NULL, fit_again, &fitted[i]);
    for (int i = 0; i < callers; i++) {
        pthread_join(thread[i], NULL);
        expect(same_weights(&fitted[i], &want), "the same bits beside other callers");
    }
    if (!with_fork)
        return;
    const pid_t child = fork();
    if (child == 0) {
        fit_again(&fitted[0]);
        _exit(same_weights(&fitted[0], &want) ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the same bits in a forked child");
}

void test_step(int with_fork) {
    for (const char *const *name = hl_isa_available(); *name; name++) {
        K = hl_kernels_for(*name, HL_F32);
        test_fits(with_fork);
    }
}
