/* Scalar references in double that the test of whole networks shares with the tests of the kernels
 * they describe. Sizes are those of what was added up: errors are in epsilons of them. */
#ifndef REFERENCES_H
#define REFERENCES_H

#include "check.h"

/* test_elementwise.c: every function that there is. */
#define ONE_MORE(...) +1
enum { ACTIVATIONS = 1 HL_ACTIVATIONS(ONE_MORE) };
extern const hl_activation activations[ACTIVATIONS];

/* slack: how far K's result for these very arguments may be off. */
double expected_activation(hl_activation kind, double alpha, double x);
double activation_slack(hl_activation kind, double x, double y);
double expected_gradient(hl_activation kind, double alpha, double dy, double saved, double *slack);
int keeps_input(hl_activation kind); /* whether saved is x, not y */

/* test_losses.c: one element's loss and slope. param as hl_loss says; for hinge, whether labels are
 * 0 and 1. */
typedef struct {
    double value, slope, value_size, slope_size;
} term;

term expected_loss(hl_loss kind, double param, double y, double p);

/* test_optimizers.c: one weight and what is kept of it, and one step on it. */
typedef struct {
    double w, s[3];
} weight_state;

weight_state expected_update(hl_optimizer kind, const double *h, double g, weight_state now,
                             weight_state *size);

typedef struct {
    hl_optimizer kind;
    int slots;
    double hyper[HL_MAX_HYPER];
} update_rule;

enum { RULES = 20 };
extern const update_rule rules[RULES];

#endif
