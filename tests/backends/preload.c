/* What tests put in front of the C library (LD_PRELOAD): it counts allocations, and lets the
 * environment say which CPUs and control groups there are. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static atomic_long allocations;

long preload_allocations(void) {
    return allocations;
}

void *malloc(size_t size) {
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
    allocations++;
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size) {
    allocations++;
    return __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    *out = aligned_alloc(alignment, size);
    return *out ? 0 : ENOMEM;
}

/* Files about control groups come from below PRELOAD_ROOT. */
FILE *fopen(const char *path, const char *mode) {
    FILE *(*real)(const char *, const char *) = dlsym(RTLD_NEXT, "fopen");
    const char *root = getenv("PRELOAD_ROOT");
    char other[4096];
    const int known =
        !strncmp(path, "/sys/fs/cgroup", 14) || !strncmp(path, "/proc/self/cgroup", 17);
    if (root && known) {
        snprintf(other, sizeof other, "%s%s", root, path);
        path = other;
    }
    return real(path, mode);
}

/* The process may use PRELOAD_CPUS CPUs. */
int sched_getaffinity(pid_t process, size_t size, cpu_set_t *set) {
    int (*real)(pid_t, size_t, cpu_set_t *) = dlsym(RTLD_NEXT, "sched_getaffinity");
    const char *cpus = getenv("PRELOAD_CPUS");
    if (!cpus)
        return real(process, size, set);
    CPU_ZERO_S(size, set);
    for (int i = 0; i < atoi(cpus); i++)
        CPU_SET_S(i, size, set);
    return 0;
}
