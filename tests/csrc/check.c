#define _GNU_SOURCE
#include "check.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const ptrdiff_t sizes[8] = {1, 2, 3, 7, 17, 31, 33, 257};

/* ------------------------------------------------------- the table under test */

const hl_kernels *K;

double get(const void *x, ptrdiff_t i) {
    return K->itemsize == 4 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

void put(void *x, ptrdiff_t i, double value) {
    if (K->itemsize == 4)
        ((float *)x)[i] = (float)value;
    else
        ((double *)x)[i] = value;
}

double rounded(double value) {
    return K && K->itemsize == 4 ? (double)(float)value : value;
}

double epsilon(void) {
    return K->itemsize == 4 ? 0x1p-23 : 0x1p-52;
}

double tiny(void) {
    return K->itemsize == 4 ? 0x1p-149 : 0x1p-1074;
}

double multiply_add(double a, double b, double c) {
#ifdef __x86_64__
    if (!strcmp(K->isa, "baseline"))
        return rounded(rounded(a * b) + c);
#endif
    return K->itemsize == 4 ? (double)fmaf((float)a, (float)b, (float)c) : fma(a, b, c);
}

ptrdiff_t panel_width(ptrdiff_t n) {
    return n <= 1 ? n : n <= K->vl ? K->vl : K->nr;
}

/* ------------------------------------------------------------- random numbers */

static uint64_t random_state;

void seed_random(uint64_t seed) {
    random_state = seed;
}

/* xorshift64* over a Weyl sequence: not the generator under test. */
uint64_t random_word(void) {
    random_state += UINT64_C(0xB5AD4ECEDA1CE2A9);
    uint64_t z = random_state;
    z = (z ^ (z >> 32)) * UINT64_C(0xD6E8FEB86659FD93);
    z = (z ^ (z >> 32)) * UINT64_C(0xD6E8FEB86659FD93);
    return z ^ (z >> 32);
}

double uniform(double low, double high) {
    return low + (high - low) * ((double)(random_word() >> 11) * 0x1p-53);
}

ptrdiff_t below(ptrdiff_t n) {
    return (ptrdiff_t)(random_word() % (uint64_t)n);
}

ptrdiff_t any_size(void) {
    return sizes[below(COUNT(sizes))];
}

ptrdiff_t any_piece(ptrdiff_t left) {
    return 1 + below(left < 2 * K->vl ? left : 2 * K->vl);
}

void fill(void *x, ptrdiff_t n, double low, double high) {
    for (ptrdiff_t i = 0; i < n; i++)
        put(x, i, uniform(low, high));
}

void fill_sizes(void *x, ptrdiff_t n, double least, double most) {
    for (ptrdiff_t i = 0; i < n; i++)
        put(x, i, (below(2) ? 1 : -1) * exp2(uniform(least, most)));
}

void fill_special(void *x, ptrdiff_t n, double low, double high) {
    static const double special[] = {0.0,  -0.0,  INFINITY, -INFINITY, NAN,
                                     1e30, -1e30, 1e-42,    -1e-42};
    fill(x, n, low, high);
    for (ptrdiff_t i = 0; i < n; i++)
        if (below(8) == 0)
            put(x, i, special[below(COUNT(special))]);
}

/* --------------------------------------------------------------------- memory */

enum { HEAP, SHIFTED, BEFORE_FENCE, AFTER_FENCE };
static const char *const place_names[PLACES] = {"on the heap", "shifted", "before a fence",
                                                "after a fence"};
static int place;

void use_place(int new_place) {
    place = new_place;
}

/* Each slot lies between two unreadable pages. The open side of a room in it has GUARD bytes that
 * nobody may write. */
enum { SLOTS = 80, SLOT_BYTES = 1 << 20, GUARD = 64, CANARY = 0xA5 };

static unsigned char *slot_start(int slot) {
    static unsigned char *slots[SLOTS];
    if (!slots[slot]) {
        const size_t page = (size_t)sysconf(_SC_PAGESIZE);
        unsigned char *all = mmap(NULL, SLOT_BYTES + 2 * page, PROT_NONE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED || mprotect(all + page, SLOT_BYTES, PROT_READ | PROT_WRITE) != 0) {
            perror("mmap");
            exit(2);
        }
        slots[slot] = all + page;
    }
    return slots[slot];
}

typedef struct {
    unsigned char *heap; /* to be freed; NULL in a slot */
    unsigned char *guard;
    size_t guard_bytes;
} taken_room;

static taken_room taken[SLOTS];
static int n_taken;

void *room_of(ptrdiff_t n, ptrdiff_t itemsize) {
    const size_t bytes = (size_t)(n * itemsize);
    if (n_taken == SLOTS || bytes + GUARD > SLOT_BYTES) {
        fprintf(stderr, "a test case needs more memory than check.c has\n");
        exit(2);
    }
    taken_room *r = &taken[n_taken];
    unsigned char *start;
    if (place == HEAP || place == SHIFTED) {
        r->guard_bytes = place == SHIFTED ? (size_t)itemsize : 0;
        r->heap = r->guard = malloc(bytes + r->guard_bytes);
        start = r->heap + r->guard_bytes;
    } else {
        r->heap = NULL;
        r->guard_bytes = GUARD;
        unsigned char *slot = slot_start(n_taken);
        start = place == BEFORE_FENCE ? slot + SLOT_BYTES - bytes : slot;
        r->guard = place == BEFORE_FENCE ? start - GUARD : start + bytes;
    }
    n_taken++;
    memset(r->guard, CANARY, r->guard_bytes);
    memset(start, 0xFF, bytes);
    return start;
}

void *room(ptrdiff_t n) {
    return room_of(n, K->itemsize);
}

void *copy_of(const void *x, ptrdiff_t n) {
    void *copy = room(n);
    memcpy(copy, x, (size_t)(n * K->itemsize));
    return copy;
}

int is_untouched(const void *x, ptrdiff_t i) {
    const unsigned char *at = (const unsigned char *)x + i * K->itemsize;
    for (int b = 0; b < K->itemsize; b++)
        if (at[b] != 0xFF)
            return 0;
    return 1;
}

/* ---------------------------------------------------------------------- cases */

static char case_name[256];
static long n_failures, n_checks, n_silent;
static int n_told;

static void name_case(void) {
    const char during[] = "stopped during: ";
    ssize_t written = write(STDOUT_FILENO, during, sizeof during - 1);
    written += write(STDOUT_FILENO, case_name, strlen(case_name));
    written += write(STDOUT_FILENO, "\n", 1);
    (void)written;
}

/* The sanitizers call these with their reports. */
void __asan_on_error(void);
void __asan_on_error(void) {
    name_case();
}
void __ubsan_on_report(void);
void __ubsan_on_report(void) {
    name_case();
}

/* Names the case, then lets the instruction trap again, for whoever handled it before. */
static struct sigaction handled_before[NSIG];

static void on_trap(int number) {
    name_case();
    sigaction(number, &handled_before[number], NULL);
}

void name_case_on_trap(void) {
    static const int traps[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    const struct sigaction action = {.sa_handler = on_trap};
    for (int i = 0; i < COUNT(traps); i++)
        sigaction(traps[i], &action, &handled_before[traps[i]]);
}

void begin(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(case_name, sizeof case_name, format, arguments);
    va_end(arguments);
}

void end(void) {
    for (int i = 0; i < n_taken; i++) {
        for (size_t b = 0; b < taken[i].guard_bytes; b++)
            if (taken[i].guard[b] != CANARY) {
                fail("wrote outside buffer %d", i);
                break;
            }
        free(taken[i].heap);
    }
    n_taken = 0;
}

void fail(const char *format, ...) {
    enum { most_told = 8 }; /* in a row: one fault often shows in thousands of elements */
    n_failures++;
    if (n_told == most_told) {
        n_silent++;
        return;
    }
    n_told++;
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED %s", case_name);
    if (K)
        printf(" [%s f%d, %s]", K->isa, 8 * K->itemsize, place_names[place]);
    printf(": ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

void tell_rest(void) {
    if (n_silent > 0)
        printf("       and %ld more\n", n_silent);
    n_told = 0;
    n_silent = 0;
}

void expect(int ok, const char *what) {
    n_checks++;
    if (!ok)
        fail("%s", what);
}

void expect_same(const char *what, ptrdiff_t i, double got, double want) {
    n_checks++;
    const int same = isnan(want) ? isnan(got) : got == want && !signbit(got) == !signbit(want);
    if (!same)
        fail("%s[%td] is %.17g, not %.17g", what, i, got, want);
}

void expect_near(const char *what, ptrdiff_t i, double got, double want, double slack) {
    n_checks++;
    if (isinf(rounded(want)))
        want = rounded(want);
    const int near = isnan(want) ? isnan(got)
                     : got == want ||
                           (isfinite(want) && isfinite(slack) && fabs(got - want) <= slack);
    if (!near)
        fail("%s[%td] is %.17g, not %.17g: off by %.3g, allowed %.3g", what, i, got, want,
             fabs(got - want), slack);
}

void expect_equal(const char *what, const void *got, const void *want, ptrdiff_t n) {
    n_checks++;
    for (ptrdiff_t i = 0; i < n; i++)
        if (memcmp((const char *)got + i * K->itemsize, (const char *)want + i * K->itemsize,
                   (size_t)K->itemsize) != 0) {
            fail("%s[%td] is %.17g, not bitwise %.17g", what, i, get(got, i), get(want, i));
            return;
        }
}

long failures(void) {
    return n_failures;
}

long checks(void) {
    return n_checks;
}
