#include "hotloop.h"

/* Eight sums side by side: one alone would wait for each addition. */
enum { LANES = 8 };

#define HL_SUM(name, type)                                                                         \
    static double name(const type *x, ptrdiff_t n) {                                               \
        double lane[LANES] = {0};                                                                  \
        ptrdiff_t i = 0;                                                                           \
        for (; i + LANES <= n; i += LANES)                                                         \
            for (int l = 0; l < LANES; l++)                                                        \
                lane[l] += (double)x[i + l];                                                       \
        for (int l = 0; i + l < n; l++)                                                            \
            lane[l] += (double)x[i + l];                                                           \
        return ((lane[0] + lane[1]) + (lane[2] + lane[3])) +                                       \
               ((lane[4] + lane[5]) + (lane[6] + lane[7]));                                        \
    }
HL_SUM(sum_f32, float)
HL_SUM(sum_f64, double)

double hl_sum(const void *x, int itemsize, ptrdiff_t n) {
    if (n == 1) /* the loss of a batch of one row */
        return itemsize == 4 ? (double)*(const float *)x : *(const double *)x;
    return itemsize == 4 ? sum_f32(x, n) : sum_f64(x, n);
}
