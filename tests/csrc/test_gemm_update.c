/* gemm_update: bit by bit what gemm and update give one after the other. */
#include "check.h"

static const int slots_of[] = {
    [HL_SGD] = 0, [HL_SGD_MOMENTUM] = 1, [HL_SGD_NESTEROV] = 1, [HL_ADAM] = 2,
    [HL_ADAM_AMSGRAD] = 3, [HL_RMSPROP] = 1, [HL_RMSPROP_MOMENTUM] = 2, [HL_RMSPROP_CENTERED] = 2,
    [HL_RMSPROP_CENTERED_MOMENTUM] = 3, [HL_ADAGRAD] = 1, [HL_ADADELTA] = 2, [HL_ADAMAX] = 2,
    [HL_NADAM] = 2, [HL_LION] = 1, [HL_FTRL] = 2,
    [HL_SCHEDULE_FREE_ADAMW] = 2, [HL_KEEP_GRADIENT] = 1,
};

static void one_case(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, hl_optimizer kind, ptrdiff_t count) {
    begin("gemm_update m=%td n=%td k=%td kind=%d count=%td", m, n, k, kind, count);
    const double h[HL_MAX_HYPER] = {0.01, 0.1, 0.05, 1e-3, 0.001};
    const ptrdiff_t offset = below(3), stride = offset + m + below(3), w = panel_width(n);
    const ptrdiff_t length = k == 0 ? 0 : (k - 1) * stride + offset + m;
    char *a = room(length);
    void *b = room(k * w), *c = room(m * n), *c_want = room(m * n);
    const void *columns[33];
    for (ptrdiff_t p = 0; p < k; p++)
        columns[p] = a + (k - 1 - p) * stride * K->itemsize;
    fill(a, length, -1, 1);
    fill(b, k * w, -1, 1);
    void *weights = room(count), *g = room(count), *slot[3] = {0}, *slot_want[3] = {0};
    fill(weights, count, -1, 1);
    fill(g, count, -1, 1);
    void *weights_want = copy_of(weights, count);
    for (int s = 0; s < slots_of[kind]; s++) {
        slot[s] = room(count);
        fill(slot[s], count, 2, 3);
        slot_want[s] = copy_of(slot[s], count);
    }
    K->gemm(m, n, k, columns, offset, 1, b, NULL, 0, c_want, n);
    K->update(kind, h, weights_want, g, slot_want[0], slot_want[1], slot_want[2], count);
    K->gemm_update(m, n, k, columns, offset, b, c, kind, h, weights, g, slot[0], slot[1], slot[2],
                   count);
    expect_equal("c", c, c_want, m * n);
    expect_equal("w", weights, weights_want, count);
    for (int s = 0; s < slots_of[kind]; s++)
        expect_equal("slot", slot[s], slot_want[s], count);
    end();
}

void test_gemm_update(void) {
    static const ptrdiff_t depths[] = {0, 1, 3, 17, 33};
    for (int d = 0; d < COUNT(depths); d++) {
        const ptrdiff_t k = depths[d];
        /* Fewer, as many and more vectors of weights than steps of the product. */
        const ptrdiff_t counts[] = {0, 1, K->vl, K->vl * k, K->vl * k + 1, K->vl * (k + 5), 257};
        for (int c = 0; c < COUNT(counts); c++) {
            one_case(K->mr, K->nr, k, HL_ADAM, counts[c]);
            one_case(K->mr - 1, K->nr, k, HL_ADAM, counts[c]);
            one_case(K->mr, K->nr - 1, k, HL_ADAM, counts[c]);
            one_case(1 + below(K->mr), 1 + below(K->nr), k, HL_ADAM, counts[c]);
            for (int kind = HL_SGD; kind <= HL_KEEP_GRADIENT; kind++)
                one_case(K->mr, K->nr, k, (hl_optimizer)kind, counts[c]);
        }
    }
}
