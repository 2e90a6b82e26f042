/* Tests of the compiled core: every kernel of every instruction set that runs here, against plain
 * scalar references, at odd sizes and unaligned addresses; the runtime; the thread pool.
 *
 *     csrc_tests [--seed N] [--isa NAME] [--every K] [--no-fork] [PART ...]
 *     csrc_tests --list
 *
 * All parts run unless some are named. The seed is printed: give it again to repeat a run. --every
 * says how many float32 numbers "accuracy" steps over; 1 takes them all. --no-fork leaves out the
 * forked children, in which neither ThreadSanitizer nor QEMU's user mode can start threads. --list
 * prints the instruction sets that run here. Exit status 1 and a line each for what fails. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t every = 997;
static int with_fork = 1;

static void accuracy(void) {
    test_accuracy(every);
}
static void pool(void) {
    test_pool(with_fork);
}
static void step(void) {
    test_step(with_fork);
}

static const struct {
    const char *name;
    void (*run)(void);
    int per_table;
} parts[] = {
    {"products", test_products, 1},     {"gemm_update", test_gemm_update, 1},
    {"elementwise", test_elementwise, 1}, {"program", test_program, 1},
    {"noise", test_noise, 1},
    {"rows", test_rows, 1},             {"normalization", test_normalization, 1},
    {"losses", test_losses, 1},         {"row_losses", test_row_losses, 1},
    {"multirow_losses", test_multirow_losses, 1},
    {"metrics", test_metrics, 1},
    {"optimizers", test_optimizers, 1}, {"whole_update", test_whole_update, 1},
    {"network", test_network, 1},
    {"gather", test_gather, 1},         {"indices", test_indices, 1},
    {"steps", test_steps, 1},           {"labels", test_labels, 0},
    {"runtime", test_runtime, 0},       {"pool", pool, 0},
    {"step", step, 0},                  {"accuracy", accuracy, 0},
};

static void run_per_table(void (*run)(void), const char *isa) {
    static const hl_dtype types[] = {HL_F32, HL_F64};
    for (const char *const *name = hl_isa_available(); *name; name++)
        for (int t = 0; t < 2 && (!isa || !strcmp(isa, *name)); t++)
            for (int place = 0; place < PLACES; place++) {
                K = hl_kernels_for(*name, types[t]);
                use_place(place);
                run();
                tell_rest();
            }
}

static void run_part(int part, const char *isa) {
    const long before = checks();
    const clock_t start = clock();
    if (parts[part].per_table)
        run_per_table(parts[part].run, isa);
    else
        parts[part].run();
    tell_rest();
    K = NULL;
    use_place(0);
    printf("%-12s %10ld checks, %.1f s\n", parts[part].name, checks() - before,
           (double)(clock() - start) / CLOCKS_PER_SEC);
}

static int part_named(const char *name) {
    for (int i = 0; i < COUNT(parts); i++)
        if (!strcmp(parts[i].name, name))
            return i;
    fprintf(stderr, "csrc_tests: no part is called \"%s\"\n", name);
    exit(2);
}

static void print_instruction_sets(void) {
    for (const char *const *name = hl_isa_available(); *name; name++)
        printf("%s%s", *name, name[1] ? " " : "\n");
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "--list")) {
        print_instruction_sets();
        return 0;
    }
    uint64_t seed = (uint64_t)time(NULL);
    const char *isa = NULL;
    int chosen[COUNT(parts)] = {0}, any_chosen = 0;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            chosen[part_named(argv[i])] = any_chosen = 1;
            continue;
        }
        if (!strcmp(argv[i], "--no-fork")) {
            with_fork = 0;
            continue;
        }
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--seed"))
            seed = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--every") && atoll(value) > 0)
            every = atoll(value);
        else if (!strcmp(argv[i], "--isa") && hl_kernels_for(value, HL_F32))
            isa = value;
        else {
            fprintf(stderr, "csrc_tests: cannot use %s %s\n", argv[i], value);
            return 2;
        }
        i++;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    name_case_on_trap();
    printf("seed %llu; instruction sets: ", (unsigned long long)seed);
    print_instruction_sets();
    for (int i = 0; i < COUNT(parts); i++)
        if (chosen[i] || !any_chosen) {
            /* Each part by itself repeats what it did among the others. */
            seed_random(seed);
            run_part(i, isa);
        }
    if (failures())
        printf("%ld failures with --seed %llu\n", failures(), (unsigned long long)seed);
    return failures() != 0;
}
