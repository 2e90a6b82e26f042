/* The thread pool: every thread runs, barriers order what the threads write, nested and concurrent
 * callers work, a worker leaves its caller's CPU, and a forked child has a pool of its own. */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 8, BARRIERS = 300 };

/* ------------------------------------------------------------------- barriers */

/* In each round every thread writes its own cell, and after the barrier reads all of them: plain
 * memory, so that ThreadSanitizer sees a barrier that orders nothing. */
typedef struct {
    long cell[2][MOST];
    long wrong[MOST];
    int seen[MOST]; /* how often each thread number ran */
    int n_threads;
} rounds;

static void barrier_task(void *argument, hl_team *team, int thread, int n_threads) {
    rounds *r = argument;
    r->seen[thread]++;
    if (thread == 0)
        r->n_threads = n_threads;
    for (long round = 0; round < BARRIERS; round++) {
        long *cell = r->cell[round % 2];
        cell[thread] = round * 100 + thread;
        hl_team_barrier(team);
        for (int t = 0; t < n_threads; t++)
            r->wrong[thread] += cell[t] != round * 100 + t;
        /* The next round writes the other cells, so one barrier a round is enough. */
    }
}

/* Whether all threads of one team did what they should; at most asked of them. */
static int run_rounds(int asked) {
    rounds r = {0};
    hl_pool_run(barrier_task, &r, asked);
    int right = r.n_threads >= 1 && r.n_threads <= (asked > 1 ? asked : 1);
    for (int t = 0; t < MOST; t++)
        right &= r.seen[t] == (t < r.n_threads) && r.wrong[t] == 0;
    return right && (r.n_threads == asked || asked < 1);
}

static void test_teams(void) {
    static const int teams[] = {1, 2, 3, 8, 2, 1, 8, 0, -1};
    for (int i = 0; i < COUNT(teams); i++) {
        begin("a team of %d", teams[i]);
        expect(run_rounds(teams[i]), "each thread runs once and sees the others' work");
    }
    expect(hl_pool_size() >= MOST - 1, "workers are kept");
}

static void test_wake(void) {
    begin("a team after a pause");
    for (int i = 0; i < 20; i++) {
        usleep(i % 2 ? 200 : 20000); /* workers still look for work, or sleep */
        expect(run_rounds(3), "sleeping workers wake");
    }
}

/* Short runs one after the other: what the caller wrote last must reach every worker. */
typedef struct {
    long sent, received[MOST];
} message;

static void receive_task(void *argument, hl_team *team, int thread, int n_threads) {
    (void)team;
    (void)n_threads;
    message *m = argument;
    m->received[thread] = m->sent;
}

static void test_messages(void) {
    begin("many short runs");
    message m = {0};
    long wrong = 0;
    for (long run = 1; run <= 5000; run++) {
        m.sent = run;
        hl_pool_run(receive_task, &m, 3);
        for (int t = 0; t < 3; t++)
            wrong += m.received[t] != run;
    }
    expect(wrong == 0, "every run's message reaches every thread");
}

static void count_task(void *argument, hl_team *team, int thread, int n_threads) {
    (void)team;
    (void)thread;
    atomic_store((atomic_int *)argument, n_threads);
}

#if defined __linux__
/* What a thread's waiting for one that is late costs it, in seconds of its CPU's time. */
typedef struct {
    int late; /* which thread */
    double waited[MOST];
} lateness;

static double cpu_seconds(void) {
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}

static void late_task(void *argument, hl_team *team, int thread, int n_threads) {
    (void)n_threads;
    lateness *l = argument;
    const double before = cpu_seconds();
    if (thread == l->late)
        usleep(100000);
    hl_team_barrier(team);
    l->waited[thread] = cpu_seconds() - before;
    if (thread == l->late)
        usleep(100000);
}

static void test_waiting(void) {
    for (int late = 0; late < 3; late++) {
        begin("thread %d is late", late);
        lateness l = {.late = late};
        const double before = cpu_seconds();
        hl_pool_run(late_task, &l, 3);
        expect(cpu_seconds() - before < 0.05, "who waits for the last worker sleeps");
        for (int t = 0; t < 3; t++)
            expect(l.waited[t] < 0.05, "who waits at a barrier sleeps");
    }
}
#else
static void test_waiting(void) {}
#endif

/* Last of all, as the pool keeps them. */
static void test_most(void) {
    begin("more threads than the pool has");
    atomic_int n_threads = 0;
    hl_pool_run(count_task, &n_threads, 1000);
    expect(n_threads > 1 && n_threads <= 256, "a team has at most 256 threads");
    expect(hl_pool_size() <= 255, "the pool has at most 255 workers");
    expect(run_rounds(MOST), "a small team still works");
}

/* --------------------------------------------------------- nested, concurrent */

typedef struct {
    int inner_threads[MOST];
    int inner_right[MOST];
} nest;

static void inner_task(void *argument, hl_team *team, int thread, int n_threads) {
    hl_team_barrier(team);
    *(int *)argument = n_threads + thread;
}

static void outer_task(void *argument, hl_team *team, int thread, int n_threads) {
    (void)n_threads;
    nest *n = argument;
    hl_pool_run(inner_task, &n->inner_threads[thread], 8);
    hl_team_barrier(team);
    n->inner_right[thread] = run_rounds(1);
}

static void test_nested(void) {
    begin("a run inside a run");
    nest n = {0};
    hl_pool_run(outer_task, &n, 3);
    for (int t = 0; t < 3; t++) {
        expect(n.inner_threads[t] == 1, "an inner run has one thread");
        expect(n.inner_right[t], "an inner team of one passes its barriers");
    }
    expect(run_rounds(3), "the pool is whole afterwards");
}

/* Whoever finds the pool in use runs alone: right either way. */
static void *call_often(void *argument) {
    long *wrong = argument;
    for (int run = 0; run < 200; run++) {
        rounds r = {0};
        hl_pool_run(barrier_task, &r, 3);
        *wrong += r.n_threads != 1 && r.n_threads != 3;
        for (int t = 0; t < MOST; t++)
            *wrong += r.seen[t] != (t < r.n_threads) || r.wrong[t] != 0;
    }
    return NULL;
}

static void test_concurrent(void) {
    enum { callers = 4 };
    begin("concurrent callers");
    pthread_t thread[callers];
    long wrong[callers] = {0};
    for (int i = 0; i < callers; i++)
        pthread_create(&thread[i], NULL, call_often, &wrong[i]);
    for (int i = 0; i < callers; i++) {
        pthread_join(thread[i], NULL);
        expect(wrong[i] == 0, "each caller's runs are whole");
    }
    expect(run_rounds(3), "the pool is whole afterwards");
}

/* ------------------------------------------------------------------ placement */

#if defined __linux__
/* The worker is put on the caller's CPU, and may leave it. */
typedef struct {
    cpu_set_t callers, all, workers; /* affinities: of one CPU, of the process, at the end */
    int cpu[2];
    int together; /* barriers at which both were seen on one CPU */
} pair;

static void pair_task(void *argument, hl_team *team, int thread, int n_threads) {
    pair *p = argument;
    if (thread == 1) {
        sched_setaffinity(0, sizeof p->callers, &p->callers);
        sched_setaffinity(0, sizeof p->all, &p->all);
    }
    for (int round = 0; round < 2 * BARRIERS && n_threads == 2; round++) {
        p->cpu[thread] = sched_getcpu();
        hl_team_barrier(team);
        if (thread == 0)
            p->together += p->cpu[0] == p->cpu[1];
        hl_team_barrier(team);
    }
    if (thread == 1)
        sched_getaffinity(0, sizeof p->workers, &p->workers);
}

static void test_placement(void) {
    begin("a worker on its caller's CPU");
    pair p = {0};
    if (sched_getaffinity(0, sizeof p.all, &p.all) != 0 || CPU_COUNT(&p.all) < 2)
        return;
    CPU_SET(sched_getcpu(), &p.callers);
    sched_setaffinity(0, sizeof p.callers, &p.callers);
    /* Others may keep all CPUs busy for a moment. */
    int parts = 0;
    for (int attempt = 0; attempt < 20 && !parts; attempt++) {
        p.together = 0;
        hl_pool_run(pair_task, &p, 2);
        parts = p.together < BARRIERS / 10;
        usleep(2000);
    }
    sched_setaffinity(0, sizeof p.all, &p.all);
    expect(parts, "leaves it");
    expect(CPU_EQUAL(&p.workers, &p.all), "keeps its affinity");
}
#endif

/* ----------------------------------------------------------------------- fork */

static int child_works(void) {
    if (hl_pool_size() != 0)
        return 0;
    for (int i = 0; i < 20; i++)
        if (!run_rounds(3))
            return 0;
    return hl_pool_size() == 2;
}

static void expect_child(const char *what) {
    const pid_t child = fork();
    if (child == 0)
        _exit(child_works() ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, what);
}

typedef struct {
    atomic_int inside, leave;
} hold;

static void hold_task(void *argument, hl_team *team, int thread, int n_threads) {
    (void)team;
    (void)thread;
    (void)n_threads;
    hold *h = argument;
    atomic_fetch_add(&h->inside, 1);
    while (!atomic_load(&h->leave))
        usleep(100);
}

static void *hold_pool(void *argument) {
    hl_pool_run(hold_task, argument, 3);
    return NULL;
}

static void test_fork(void) {
    begin("fork");
    expect(run_rounds(3), "the parent's pool before");
    expect_child("a child's pool starts empty and works");
    expect(run_rounds(3), "the parent's pool after");

    hold h = {0};
    pthread_t owner;
    pthread_create(&owner, NULL, hold_pool, &h);
    while (atomic_load(&h.inside) < 3)
        usleep(100);
    expect_child("so does one whose parent's pool was in use");
    atomic_store(&h.leave, 1);
    pthread_join(owner, NULL);
    expect(run_rounds(3), "the parent's pool after that");
}

void test_pool(int with_fork) {
    test_teams();
    test_messages();
    test_waiting();
    test_wake();
    test_nested();
    test_concurrent();
#if defined __linux__
    test_placement();
#endif
    if (with_fork)
        test_fork();
    test_most();
}
