#include "hotloop.h"

#include <math.h>

enum { POWERS = sizeof ((hl_powers *)0)->low / sizeof(double) };

/* Makes base^n one of those that are kept. */
static __attribute__((noinline)) void keep_power(hl_powers *kept, double base, int64_t n) {
    if (kept->base != base || kept->low[0] == 0)
        for (int i = 0; i < POWERS; i++)
            kept->low[i] = pow(base, i);
    kept->base = base;
    kept->start = n / POWERS * POWERS;
    kept->high = pow(base, (double)kept->start);
}

/* Inlined: a small network makes tens of steps a microsecond, and each asks for two. */
static inline double power_of(hl_powers *kept, double base, int64_t n) {
    if (kept->base != base || kept->low[0] == 0 || (uint64_t)(n - kept->start) >= POWERS)
        keep_power(kept, base, n);
    return kept->high * kept->low[n - kept->start];
}

double hl_power(hl_powers *kept, double base, int64_t n) {
    return power_of(kept, base, n);
}

/* Dozat 2016: momentum that warms up, beta_1 (1 - 0.96^t / 2). */
static double nadam_momentum(double beta_1, int64_t t) {
    return beta_1 * (1 - 0.5 * pow(0.96, (double)t));
}

/* The product of 1 - 0.96^i / 2 for i <= t; of terms that are not 1, there are fewer than 1000. */
static double nadam_product(int64_t t) {
    double product = 1, power = 1;
    for (int64_t i = 1; i <= t && i < 1000; i++)
        product *= 1 - 0.5 * (power *= 0.96);
    return product;
}

void hl_optimizer_prepare(hl_optimizer kind, const double *hyper, int64_t iteration,
                          hl_powers kept[2], double *h) {
    const double learning_rate = hyper[0];
    for (int i = 0; i < HL_MAX_HYPER; i++)
        h[i] = 0;
    h[0] = learning_rate;
    switch (kind) {
    case HL_SGD:
    case HL_KEEP_GRADIENT:
        break;
    case HL_SGD_MOMENTUM:
    case HL_SGD_NESTEROV:
        h[1] = hyper[1];
        break;
    case HL_ADAM:
    case HL_ADAM_AMSGRAD: {
        const double beta_1 = hyper[1], beta_2 = hyper[2];
        h[0] = learning_rate * sqrt(1 - power_of(&kept[1], beta_2, iteration)) /
               (1 - power_of(&kept[0], beta_1, iteration));
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
    case HL_ADADELTA:
        h[1] = hyper[1];
        h[2] = 1 - hyper[1];
        h[3] = hyper[2];
        break;
    case HL_ADAMAX:
        h[0] = learning_rate / (1 - power_of(&kept[0], hyper[1], iteration));
        h[1] = 1 - hyper[1];
        h[2] = hyper[2];
        h[3] = hyper[3];
        break;
    case HL_NADAM: {
        /* v's correction is taken out of the root and into what is divided. */
        const double root = sqrt(1 - power_of(&kept[1], hyper[2], iteration));
        const double now = nadam_momentum(hyper[1], iteration);
        const double next = nadam_momentum(hyper[1], iteration + 1);
        const double product =
            power_of(&kept[0], hyper[1], iteration) * nadam_product(iteration);
        h[0] = learning_rate * root * next / (1 - product * next);
        h[1] = 1 - hyper[1];
        h[2] = 1 - hyper[2];
        h[3] = hyper[3] * root;
        h[4] = learning_rate * root * (1 - now) / (1 - product);
        break;
    }
    case HL_LION:
        h[1] = hyper[1];
        h[2] = 1 - hyper[1];
        h[3] = hyper[2];
        h[4] = 1 - hyper[2];
        break;
    case HL_FTRL:
        h[1] = -hyper[1];
        h[2] = hyper[2];
        h[3] = 2 * hyper[3] + hyper[5] / learning_rate;
        h[4] = 2 * hyper[4];
        break;
    case HL_SCHEDULE_FREE_ADAMW: {
        /* v's correction is taken out of the root, as in Nadam. Of the mean of all z so far, the
         * new one is a share of 1 / t. */
        const double root = sqrt(1 - power_of(&kept[1], hyper[2], iteration));
        const double warm = hyper[4] > (double)iteration ? (double)iteration / hyper[4] : 1;
        h[0] = learning_rate * warm * root;
        h[1] = 1 - hyper[2];
        h[2] = hyper[3] * root;
        h[3] = 1 / (double)iteration;
        h[4] = 1 - hyper[1] * (1 - h[3]);
        break;
    }
    case HL_ADAFACTOR:
        h[0] = fmin(learning_rate, 1 / sqrt((double)iteration));
        h[1] = pow((double)iteration, hyper[1]);
        h[2] = hyper[2];
        h[3] = hyper[3];
        h[4] = hyper[4];
        break;
    case HL_LAMB: {
        /* v's correction is taken out of the root, as in Nadam. */
        const double root = sqrt(1 - power_of(&kept[1], hyper[2], iteration));
        h[1] = 1 - hyper[1];
        h[2] = 1 - hyper[2];
        h[3] = hyper[3] * root;
        h[4] = root / (1 - power_of(&kept[0], hyper[1], iteration));
        break;
    }
    case HL_MUON: {
        const double beta_1 = hyper[8], beta_2 = hyper[9], momentum = hyper[1];
        h[0] = learning_rate * hyper[11] * sqrt(1 - power_of(&kept[1], beta_2, iteration)) /
               (1 - power_of(&kept[0], beta_1, iteration));
        h[1] = 1 - beta_1;
        h[2] = 1 - beta_2;
        h[3] = hyper[10];
        h[5] = learning_rate;
        h[6] = momentum;
        h[7] = hyper[2] != 0;
        h[8] = hyper[2] != 0 ? momentum : 1;
        h[9] = hyper[3];
        h[10] = hyper[4];
        h[11] = hyper[5];
        h[12] = hyper[6];
        h[13] = hyper[7];
        break;
    }
    }
}
