/* The thread pool: see hl_pool_run.
 *
 * Workers are started when first needed and then kept. Between runs each spins for a while and
 * then sleeps on a condition variable of its own. One caller at a time owns the pool; whoever finds
 * it owned, or is itself inside a task, works alone: no waiting, so no deadlock.
 *
 * Within a run, too, whoever waits spins for a while and then sleeps. On a busy machine the thread
 * that is waited for may have no CPU: one that spins on, or offers its CPU by sched_yield, uses up
 * time slices that the team needs later, and each gets one when the other has none. A network of
 * 784-256-128-10 took 8 times as long on two CPUs with two other busy processes as it does now.
 *
 * A worker that finds itself on the CPU of another thread of the pool moves. Schedulers leave two
 * threads that run by turns together for seconds, taking their caches for warm, and not all place a
 * thread that they wake on an idle CPU: guests of a hypervisor may take one that it has put to rest
 * for busy. By turns, two threads take longer than one.
 */
#define _GNU_SOURCE
#include "hotloop.h"
#include "placement.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#if defined __linux__ && __has_include(<linux/futex.h>)
#define FUTEX 1
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum {
    MAX_THREADS = 256,
    /* About 50 to 200 microseconds of pause instructions: longer than the gaps between the parts of
     * a training step, and between the steps of a program that trains one by one from Python, as
     * waking costs some ten microseconds; shorter than a time slice. */
    SPINS = 5000,
    /* The others are a few microseconds away, unless they have no CPU: then this thread may be what
     * keeps them from it. */
    SPINS_BEFORE_A_MOVE = 100,
    /* A move costs some ten microseconds, and may be in vain where all CPUs are busy. */
    NANOSECONDS_BETWEEN_MOVES = 1000000,
};

struct hl_team {
    hl_task task;
    void *argument;
    int n_threads;
    int spins;                     /* 0 with more threads than CPUs: then spinning only delays */
    atomic_int sleepers;           /* threads that may sleep within a run */
    _Alignas(64) atomic_int inside; /* workers that have not finished */
    _Alignas(64) atomic_int waiting; /* threads at the barrier */
    atomic_int phase;              /* counts barriers passed */
};

typedef struct worker {
    _Alignas(64) atomic_uint runs; /* counts the runs this worker was called to */
    atomic_int asleep;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    _Alignas(64) atomic_int cpu; /* where the thread last saw itself; HL_NOWHERE while it sleeps */
} worker;

static worker workers[MAX_THREADS]; /* workers[i] is thread i of a team; 0 is the caller */
static atomic_int n_workers;
static int n_cpus;
static atomic_flag owned = ATOMIC_FLAG_INIT;
static hl_team team;
static _Thread_local int inside_task;
static _Thread_local int me; /* which of the workers this thread is */

static inline void relax(void) {
#if defined __x86_64__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("isb" ::: "memory"); /* "yield" does nothing on most cores */
#endif
}

static void note_cpu(int cpu) {
    atomic_store_explicit(&workers[me].cpu, cpu, memory_order_relaxed);
}

/* A caller notes its CPU for its workers, but stays: it is the program's own thread. */
static void keep_apart(void) {
    const int cpu = hl_current_cpu();
    note_cpu(cpu);
    if (me == 0 || cpu == HL_NOWHERE)
        return;
    int taken[MAX_THREADS];
    int shares = 0;
    const int n_threads = atomic_load_explicit(&n_workers, memory_order_acquire) + 1;
    for (int i = 0; i < n_threads; i++) {
        taken[i] = atomic_load_explicit(&workers[i].cpu, memory_order_relaxed);
        shares |= i != me && taken[i] == cpu;
    }
    if (!shares)
        return;
    static _Thread_local long long last_move;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const long long time = now.tv_sec * 1000000000LL + now.tv_nsec;
    if (time - last_move < NANOSECONDS_BETWEEN_MOVES)
        return;
    last_move = time;
    hl_move_off(taken, n_threads);
    note_cpu(hl_current_cpu());
}

/* Sleeps until `wake` if *word still is that value, or for no time at all. */
static void sleep_while(atomic_int *word, int value) {
#if defined FUTEX
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
#else
    (void)word, (void)value;
    sched_yield();
#endif
}

static void wake(atomic_int *word) {
#if defined FUTEX
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, MAX_THREADS, NULL, NULL, 0);
#else
    (void)word;
#endif
}

/* Waits until *word is no longer that value. */
static void wait_while(hl_team *t, atomic_int *word, int value) {
    for (int turn = 0; turn < t->spins; turn++) {
        if (atomic_load_explicit(word, memory_order_acquire) != value)
            return;
        if (turn == SPINS_BEFORE_A_MOVE)
            keep_apart();
        relax();
    }
    /* Sequentially consistent, as in `changed`: either we see the change before we sleep, or who
     * makes it sees a sleeper. */
    atomic_fetch_add(&t->sleepers, 1);
    while (atomic_load(word) == value)
        sleep_while(word, value);
    atomic_fetch_sub(&t->sleepers, 1);
}

/* To be called by who has changed *word. */
static void changed(hl_team *t, atomic_int *word) {
    if (atomic_load(&t->sleepers))
        wake(word);
}

/* ------------------------------------------------------------------- workers */

static void wait_for_run(worker *self, unsigned seen) {
    for (int turn = 0; turn < SPINS; turn++) {
        if (atomic_load_explicit(&self->runs, memory_order_acquire) != seen)
            return;
        if (turn == SPINS_BEFORE_A_MOVE)
            keep_apart();
        relax();
    }
    /* Sequentially consistent, as in call_worker: either we see the new run before we sleep, or
     * the caller sees us asleep and signals. */
    note_cpu(HL_NOWHERE);
    pthread_mutex_lock(&self->mutex);
    atomic_store(&self->asleep, 1);
    while (atomic_load(&self->runs) == seen)
        pthread_cond_wait(&self->wake, &self->mutex);
    atomic_store(&self->asleep, 0);
    pthread_mutex_unlock(&self->mutex);
}

static void call_worker(worker *w) {
    atomic_fetch_add(&w->runs, 1);
    if (atomic_load(&w->asleep)) {
        pthread_mutex_lock(&w->mutex);
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->mutex);
    }
}

static void *work(void *argument) {
    worker *self = argument;
#if defined __APPLE__
    pthread_setname_np("hotloop");
#elif defined __linux__
    pthread_setname_np(pthread_self(), "hotloop");
#endif
    inside_task = 1;
    me = (int)(self - workers);
    for (unsigned seen = 0;; seen++) {
        wait_for_run(self, seen);
        team.task(team.argument, &team, me, team.n_threads);
        atomic_fetch_sub(&team.inside, 1);
        changed(&team, &team.inside);
    }
    return NULL;
}

static int start_worker(int i) {
    worker *w = &workers[i];
    atomic_init(&w->runs, 0);
    atomic_init(&w->asleep, 0);
    atomic_init(&w->cpu, HL_NOWHERE);
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->wake, NULL);

    /* Signals belong to the program's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    const int failed = pthread_create(&thread, NULL, work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return 0;
    /* Never joined: at exit the process ends them wherever they wait. */
    pthread_detach(thread);
    return 1;
}

/* A forked child has none of its parent's workers, and waits for none of them. Their slots are
 * filled anew when needed; the pool is free even if another thread of the parent owned it. Who forked
 * inside a task comes back to a team of one. */
static void forget_workers(void) {
    atomic_store(&n_workers, 0);
    team.n_threads = 1;
    atomic_store(&team.inside, 0);
    atomic_store(&team.waiting, 0);
    atomic_store(&team.sleepers, 0);
    atomic_flag_clear(&owned);
}

static void prepare(void) {
    n_cpus = hl_cpu_count();
    pthread_atfork(NULL, NULL, forget_workers);
}

/* How many threads there are for a team of n_threads, starting workers as needed. */
static int gather_team(int n_threads) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    if (n_threads > MAX_THREADS)
        n_threads = MAX_THREADS;
    int ready = atomic_load(&n_workers) + 1;
    while (ready < n_threads && start_worker(ready))
        atomic_store(&n_workers, ready++);
    return ready < n_threads ? ready : n_threads;
}

/* ------------------------------------------------------------------- callers */

static void run_alone(hl_task task, void *argument) {
    hl_team alone = {.n_threads = 1};
    const int outer = inside_task;
    inside_task = 1;
    task(argument, &alone, 0, 1);
    inside_task = outer;
}

void hl_pool_run(hl_task task, void *argument, int n_threads) {
    if (n_threads <= 1 || inside_task || atomic_flag_test_and_set(&owned)) {
        run_alone(task, argument);
        return;
    }
    n_threads = gather_team(n_threads);
    team.task = task;
    team.argument = argument;
    team.n_threads = n_threads;
    team.spins = n_threads <= n_cpus ? SPINS : 0;
    atomic_store_explicit(&team.inside, n_threads - 1, memory_order_relaxed);
    note_cpu(hl_current_cpu());
    for (int i = 1; i < n_threads; i++)
        call_worker(&workers[i]);

    inside_task = 1;
    task(argument, &team, 0, n_threads);
    inside_task = 0;

    for (int left; (left = atomic_load_explicit(&team.inside, memory_order_acquire)) > 0;)
        wait_while(&team, &team.inside, left);
    atomic_flag_clear(&owned);
}

void hl_team_barrier(hl_team *t) {
    if (t->n_threads == 1)
        return;
    /* The last one in opens the barrier for all by changing the phase. */
    const int phase = atomic_load_explicit(&t->phase, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&t->waiting, 1, memory_order_acq_rel) == t->n_threads - 1) {
        atomic_store_explicit(&t->waiting, 0, memory_order_relaxed);
        atomic_store(&t->phase, phase + 1);
        changed(t, &t->phase);
    } else {
        wait_while(t, &t->phase, phase);
    }
}

int hl_pool_size(void) {
    return atomic_load(&n_workers);
}
