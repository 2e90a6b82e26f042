/* On which CPU the calling thread runs. Linux alone tells and decides; elsewhere these do nothing. */
#ifndef HL_PLACEMENT_H
#define HL_PLACEMENT_H

enum { HL_NOWHERE = -1 };

/* The CPU's number; HL_NOWHERE if unknown. */
int hl_current_cpu(void);

/* Moves the thread to a CPU that it may use and that is none of these, if there is one. Where the
 * thread may run from then on stays as it was. */
void hl_move_off(const int *cpus, int n_cpus);

#endif
