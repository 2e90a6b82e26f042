#include "hotloop.h"

double hl_sum(const void *x, int itemsize, ptrdiff_t n) {
    double sum = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        sum += itemsize == 4 ? (double)((const float *)x)[i] : ((const double *)x)[i];
    return sum;
}
