#define _GNU_SOURCE
#include "placement.h"

#if defined __linux__
#include <sched.h>

int hl_current_cpu(void) {
    return sched_getcpu();
}

/* The scheduler moves a thread at once when its CPU is taken from its affinity, and leaves it where
 * it is when the CPU is given back. A set of fixed size is too small on machines of over 1,024
 * CPUs: there the first call fails and nothing happens. */
void hl_move_off(const int *cpus, int n_cpus) {
    cpu_set_t own, left;
    if (sched_getaffinity(0, sizeof own, &own) != 0)
        return;
    left = own;
    for (int i = 0; i < n_cpus; i++)
        if (cpus[i] >= 0 && cpus[i] < CPU_SETSIZE)
            CPU_CLR(cpus[i], &left);
    if (CPU_COUNT(&left) == 0)
        return;
    sched_setaffinity(0, sizeof left, &left);
    sched_setaffinity(0, sizeof own, &own);
}
#else
int hl_current_cpu(void) {
    return HL_NOWHERE;
}

void hl_move_off(const int *cpus, int n_cpus) {
    (void)cpus;
    (void)n_cpus;
}
#endif
