#include "hotloop.h"

#include <math.h>

double hl_power(hl_powers *kept, double base, int64_t n) {
    enum { room = sizeof kept->low / sizeof kept->low[0] };
    const int64_t start = n / room * room;
    if (kept->base != base || kept->low[0] == 0) {
        for (int i = 0; i < room; i++)
            kept->low[i] = pow(base, i);
        kept->base = base;
        kept->start = -1;
    }
    if (kept->start != start) {
        kept->high = pow(base, (double)start);
        kept->start = start;
    }
    return kept->high * kept->low[n - start];
}

void hl_optimizer_prepare(hl_optimizer kind, const double *hyper, int64_t iteration,
                          hl_powers kept[2], double *h) {
    const double learning_rate = hyper[0];
    for (int i = 0; i < HL_MAX_HYPER; i++)
        h[i] = 0;
    h[0] = learning_rate;
    switch (kind) {
    case HL_SGD:
        break;
    case HL_SGD_MOMENTUM:
    case HL_SGD_NESTEROV:
        h[1] = hyper[1];
        break;
    case HL_ADAM:
    case HL_ADAM_AMSGRAD: {
        const double beta_1 = hyper[1], beta_2 = hyper[2];
        h[0] = learning_rate * sqrt(1 - hl_power(&kept[1], beta_2, iteration)) /
               (1 - hl_power(&kept[0], beta_1, iteration));
        h[1] = 1 - beta_1;
        h[2] = 1 - beta_2;
        h[3] = hyper[3];
        h[4] = hyper[4] * learning_rate;
        break;
    }
    case HL_RMSPROP:
    case HL_RMSPROP_MOMENTUM:
    case HL_RMSPROP_CENTERED:
    case HL_RMSPROP_CENTERED_MOMENTUM:
        h[1] = hyper[1];
        h[2] = 1 - hyper[1];
        h[3] = hyper[2];
        h[4] = hyper[3];
        break;
    case HL_ADAGRAD:
        h[1] = hyper[1];
        break;
    }
}
