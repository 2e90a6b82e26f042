/* What this CPU is and can do, and how much of it is ours. */
#define _GNU_SOURCE
#include "hotloop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif
#ifdef __x86_64__
#include <cpuid.h>
#endif

/* ---------------------------------------------------------- instruction sets */

#define DECLARE(isa) extern const hl_kernels hl_kernels_##isa##_f32, hl_kernels_##isa##_f64;
DECLARE(baseline)
#ifdef HL_HAVE_AVX2
DECLARE(avx2)
#endif
#ifdef HL_HAVE_AVX512
DECLARE(avx512)
#endif
#ifdef HL_HAVE_NEON
DECLARE(neon)
#endif

/* __builtin_cpu_supports also asks whether the operating system saves the registers. */
static int always(void) {
    return 1;
}
#ifdef HL_HAVE_AVX2
static int has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif
#ifdef HL_HAVE_AVX512
static int has_avx512(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("fma");
}
#endif

/* Best first. */
static const struct {
    int (*runs_here)(void);
    const hl_kernels *f32, *f64;
} instruction_sets[] = {
#ifdef HL_HAVE_AVX512
    {has_avx512, &hl_kernels_avx512_f32, &hl_kernels_avx512_f64},
#endif
#ifdef HL_HAVE_AVX2
    {has_avx2, &hl_kernels_avx2_f32, &hl_kernels_avx2_f64},
#endif
#ifdef HL_HAVE_NEON
    {always, &hl_kernels_neon_f32, &hl_kernels_neon_f64},
#endif
    {always, &hl_kernels_baseline_f32, &hl_kernels_baseline_f64},
};

enum { N_SETS = sizeof instruction_sets / sizeof instruction_sets[0] };

const hl_kernels *hl_kernels_for(const char *isa, hl_dtype dtype) {
    if (dtype != HL_F32 && dtype != HL_F64)
        return NULL;
    for (int i = 0; i < N_SETS; i++) {
        const hl_kernels *table =
            dtype == HL_F32 ? instruction_sets[i].f32 : instruction_sets[i].f64;
        if ((!isa || strcmp(isa, table->isa) == 0) && instruction_sets[i].runs_here())
            return table;
    }
    return NULL;
}

static const char *isa_names[N_SETS + 1]; /* the last one stays NULL */

static void list_isas(void) {
    int n = 0;
    for (int i = 0; i < N_SETS; i++)
        if (instruction_sets[i].runs_here())
            isa_names[n++] = instruction_sets[i].f32->isa;
}

const char *const *hl_isa_available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, list_isas);
    return isa_names;
}

/* ---------------------------------------------------------------------- name */

#if defined __linux__ && !defined __x86_64__
static void read_name(char *name, size_t size) {
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (colon && (!strncmp(line, "model name", 10) || !strncmp(line, "Hardware", 8))) {
            snprintf(name, size, "%s", colon + 1);
            break;
        }
    }
    if (file)
        fclose(file);
}
#elif defined __APPLE__
static void read_name(char *name, size_t size) {
    if (sysctlbyname("machdep.cpu.brand_string", name, &size, NULL, 0) != 0)
        name[0] = '\0';
}
#elif defined __x86_64__
static void read_name(char *name, size_t size) {
    unsigned word[12] = {0};
    for (unsigned i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002u + i, &word[4 * i], &word[4 * i + 1], &word[4 * i + 2],
                         &word[4 * i + 3]))
            return;
    snprintf(name, size, "%.48s", (const char *)word);
}
#else
static void read_name(char *name, size_t size) {
    (void)name;
    (void)size;
}
#endif

static char cpu_name[128];

static void find_name(void) {
    char text[sizeof cpu_name] = "";
    read_name(text, sizeof text);
    const char *start = text + strspn(text, " \t");
    size_t length = strlen(start);
    while (length > 0 && strchr(" \t\n", start[length - 1]))
        length--;
    memcpy(cpu_name, start, length);
}

const char *hl_cpu_name(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_name);
    return cpu_name;
}

/* --------------------------------------------------------------------- count */

#ifdef __linux__
static int affinity_count(void) {
    /* A kernel with more CPUs than the mask holds says EINVAL: ask with a larger one. */
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        if (!set)
            break;
        const size_t size = CPU_ALLOC_SIZE((size_t)cpus);
        const int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return count;
    }
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* The first one or two numbers of a file; how many there were. "max" is no number. */
static int read_numbers(const char *folder, const char *name, double *first, double *second) {
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    const int found = fscanf(file, "%lf %lf", first, second);
    fclose(file);
    return found > 0 ? found : 0;
}

/* CPUs' worth of time that one control group allows; a large number where it sets no limit. */
static double group_quota(const char *folder, int version) {
    double quota = -1, period = 0, unused;
    if (version == 2) {
        if (read_numbers(folder, "cpu.max", &quota, &period) < 2)
            quota = -1;
    } else if (!read_numbers(folder, "cpu.cfs_quota_us", &quota, &unused) ||
               !read_numbers(folder, "cpu.cfs_period_us", &period, &unused)) {
        quota = -1;
    }
    return quota > 0 && period > 0 ? quota / period : 1e9;
}

/* The smallest quota from the group at mount + path up to the root of the mount. Inside a
 * container the path may name folders that only the host sees; the root then holds our limit. */
static double tree_quota(const char *mount, char *path, int version) {
    double least = 1e9;
    for (;;) {
        char folder[1100];
        snprintf(folder, sizeof folder, "%s%s", mount, path);
        const double quota = group_quota(folder, version);
        if (quota < least)
            least = quota;
        char *slash = strrchr(path, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

/* Whether a comma-separated list holds a word. */
static int list_has(const char *list, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (!strncmp(at, word, length) && (at[length] == ',' || at[length] == '\0'))
            return 1;
    }
    return 0;
}

/* Lines of /proc/self/cgroup are id:controllers:path; version 2 has id 0 and no controllers. */
static double quota_count(void) {
    FILE *file = fopen("/proc/self/cgroup", "r");
    double least = 1e9;
    char line[1024];
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *controllers++ = '\0';
        *path++ = '\0';
        double quota = 1e9;
        if (!strcmp(line, "0") && !*controllers)
            quota = tree_quota("/sys/fs/cgroup", path, 2);
        else if (list_has(controllers, "cpu"))
            quota = tree_quota("/sys/fs/cgroup/cpu", path, 1);
        if (quota < least)
            least = quota;
    }
    if (file)
        fclose(file);
    return least;
}

int hl_cpu_count(void) {
    const int cpus = affinity_count();
    const double quota = quota_count();
    /* A part of a CPU counts as one: 1.5 CPUs' time keeps two threads busier than one. */
    const int allowed = quota < cpus ? (int)(quota + 0.999) : cpus;
    return allowed > 1 ? allowed : 1;
}
#else
int hl_cpu_count(void) {
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus > 1 ? (int)cpus : 1;
}
#endif
