/* What does not depend on the instruction set: random bits and orders, sums, powers, denormals, the
 * tables. */
#include "check.h"

#include <pthread.h>
#include <string.h>

static void test_random_bits(void) {
    begin("hl_random_bits");
    /* SplitMix64 seeded with 0: its first numbers, as published with it. */
    expect(hl_random_bits(0, 0) == UINT64_C(0xE220A8397B1DCDAF), "first number");
    expect(hl_random_bits(0, 1) == UINT64_C(0x6E789E6AA1B965F4), "second number");
    expect(hl_random_bits(0, 2) == UINT64_C(0x06C45D188009454F), "third number");
    for (int i = 0; i < 1000; i++) {
        const uint64_t key = random_word(), index = random_word();
        expect(hl_random_bits(key, index) ==
                   hl_random_bits(key + index * UINT64_C(0x9E3779B97F4A7C15), 0),
               "the key's state moves by one constant an index");
    }
}

/* bits * n / 2^64, rounded down, for n < 2^32. */
static int64_t fraction_of(uint64_t bits, uint64_t n) {
    return (int64_t)(((bits >> 32) * n + ((bits & UINT32_MAX) * n >> 32)) >> 32);
}

static void order_case(uint64_t key, int64_t n) {
    begin("hl_random_order key=%llu n=%lld", (unsigned long long)key, (long long)n);
    int64_t *order = room_of(n, sizeof *order), *want = room_of(n, sizeof *want);
    char *found = room_of(n, 1);
    hl_random_order(key, n, order);
    memset(found, 0, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        const int64_t place = fraction_of(hl_random_bits(key, (uint64_t)i), (uint64_t)i + 1);
        want[i] = want[place];
        want[place] = i;
    }
    int same = 1, permuted = 1;
    for (int64_t i = 0; i < n; i++) {
        same &= order[i] == want[i];
        permuted &= order[i] >= 0 && order[i] < n && found[order[i]]++ == 0;
    }
    expect(permuted, "each number stands in the order once");
    expect(same, "places are fractions of hl_random_bits");
    end();
}

/* Each of the six orders of three about as often: 1000 times, and 5 standard deviations are 145. */
static void orders_of_three(void) {
    begin("hl_random_order, all orders of three");
    int times[27] = {0};
    for (uint64_t key = 0; key < 6000; key++) {
        int64_t order[3];
        hl_random_order(key, 3, order);
        times[9 * order[0] + 3 * order[1] + order[2]]++;
    }
    static const int orders[] = {5, 7, 11, 15, 19, 21}; /* 012, 021, 102, 120, 201, 210 */
    for (int i = 0; i < COUNT(orders); i++)
        expect_near("times", orders[i], times[orders[i]], 1000, 145);
}

static void test_random_order(void) {
    static const int64_t lengths[] = {0, 1, 2, 3, 17, 1000};
    begin("hl_random_order, first numbers");
    /* By hand from the numbers above and the two after them, 0xF8.. and 0x1B..: places 0 of 1,
     * 0 of 2, 0 of 3, 3 of 4, 0 of 5. */
    static const int64_t first[] = {4, 0, 1, 3, 2};
    int64_t order[COUNT(first)];
    hl_random_order(0, COUNT(first), order);
    expect(memcmp(order, first, sizeof first) == 0, "the order of five for key 0");
    for (int place = 0; place < PLACES; place++) {
        use_place(place);
        for (int i = 0; i < COUNT(lengths); i++)
            order_case(random_word(), lengths[i]);
    }
    orders_of_three();
}

static void sum_case(hl_dtype type, ptrdiff_t n) {
    K = hl_kernels_for("baseline", type);
    begin("hl_sum n=%td", n);
    void *x = room(n);
    fill(x, n, -1, 1);
    double want = 0, size = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        want += get(x, i);
        size += fabs(get(x, i));
    }
    /* n sums in double here and there, each off by half an epsilon of what it has so far. */
    expect_near("sum", 0, hl_sum(x, K->itemsize, n), want, (double)n * 0x1p-52 * size);
    if (n > 0) {
        put(x, below(n), NAN);
        expect_near("sum with NaN", 0, hl_sum(x, K->itemsize, n), NAN, 0);
    }
    end();
}

static void test_sum(void) {
    for (int place = 0; place < PLACES; place++) {
        use_place(place);
        for (int s = 0; s < COUNT(sizes); s++) {
            sum_case(HL_F32, sizes[s]);
            sum_case(HL_F64, sizes[s]);
        }
        sum_case(HL_F32, 0);
    }
    K = NULL;
}

static void test_power(void) {
    static const double bases[] = {0.9, 0.999, 0.5, 1, 1.01, 0};
    begin("hl_power");
    hl_powers roaming = {0};
    for (int i = 0; i < 3000; i++) {
        const double base = bases[below(COUNT(bases))];
        const int64_t n = below(2) ? below(200) : below(20000);
        hl_powers fresh = {0};
        const double got = hl_power(&roaming, base, n), want = pow(base, (double)n);
        expect_same("power, whatever was asked before", n, got, hl_power(&fresh, base, n));
        /* Two powers of at most one unit each, and their product. */
        expect_near("power", n, got, want, 3 * 0x1p-52 * want + 0x1p-1022);
    }
}

static void expect_step(hl_optimizer kind, const double *hyper, int64_t iteration,
                        const double *want) {
    hl_powers kept[2] = {{0}};
    double *h = room_of(HL_MAX_HYPER, sizeof *h);
    hl_optimizer_prepare(kind, hyper, iteration, kept, h);
    /* 1 - 0.99^t of a power that is off by three units loses seven bits at most. */
    for (int i = 0; i < HL_MAX_HYPER; i++)
        expect_near("h", i, h[i], want[i], 0x1p-44 * fabs(want[i]));
    end();
}

static void test_prepare(void) {
    begin("hl_optimizer_prepare");
    const double hyper[HL_MAX_HYPER] = {0.01, 0.9, 0.99, 1e-7, 0.004, 9, 9, 9};
    for (int64_t t = 1; t <= 1000; t = 3 * t + 1) {
        const double grown = 0.01 * sqrt(-expm1((double)t * log(0.99))) /
                             -expm1((double)t * log(0.9));
        const double adam[HL_MAX_HYPER] = {grown, 1 - 0.9, 1 - 0.99, 1e-7, 0.004 * 0.01};
        const double sgd[HL_MAX_HYPER] = {0.01}, two[HL_MAX_HYPER] = {0.01, 0.9};
        const double rmsprop[HL_MAX_HYPER] = {0.01, 0.9, 1 - 0.9, 0.99, 1e-7};
        expect_step(HL_SGD, hyper, t, sgd);
        expect_step(HL_KEEP_GRADIENT, hyper, t, sgd);
        expect_step(HL_SGD_MOMENTUM, hyper, t, two);
        expect_step(HL_SGD_NESTEROV, hyper, t, two);
        expect_step(HL_ADAGRAD, hyper, t, two);
        expect_step(HL_ADAM, hyper, t, adam);
        expect_step(HL_ADAM_AMSGRAD, hyper, t, adam);
        for (int kind = HL_RMSPROP; kind <= HL_RMSPROP_CENTERED_MOMENTUM; kind++)
            expect_step((hl_optimizer)kind, hyper, t, rmsprop);

        const double power = pow(0.9, (double)t), root = sqrt(-expm1((double)t * log(0.99)));
        const double adamax[HL_MAX_HYPER] = {0.01 / (1 - power), 1 - 0.9, 0.99, 1e-7};
        double now = 0, product = 1;
        for (int i = 1; i <= t; i++)
            product *= now = 0.9 * (1 - 0.5 * pow(0.96, i));
        const double next = 0.9 * (1 - 0.5 * pow(0.96, (double)t + 1));
        const double nadam[HL_MAX_HYPER] = {
            0.01 * root * next / (1 - product * next), 1 - 0.9, 1 - 0.99, 1e-7 * root,
            0.01 * root * (1 - now) / (1 - product),
        };
        const double adadelta[HL_MAX_HYPER] = {0.01, 0.9, 1 - 0.9, 0.99};
        const double lion[HL_MAX_HYPER] = {0.01, 0.9, 1 - 0.9, 0.99, 1 - 0.99};
        const double ftrl[HL_MAX_HYPER] = {0.01, -0.9, 0.99, 2 * 1e-7 + 9 / 0.01, 2 * 0.004};
        expect_step(HL_ADADELTA, hyper, t, adadelta);
        expect_step(HL_ADAMAX, hyper, t, adamax);
        expect_step(HL_NADAM, hyper, t, nadam);
        expect_step(HL_LION, hyper, t, lion);
        expect_step(HL_FTRL, hyper, t, ftrl);

        const double share = 1 / (double)t, warm = t < 9 ? (double)t / 9 : 1;
        const double schedule_free[HL_MAX_HYPER] = {
            0.01 * warm * root, 1 - 0.99, 1e-7 * root, share, 0.1 + 0.9 * share,
        };
        const double warming[HL_MAX_HYPER] = {0.01, 0.9, 0.99, 1e-7, 9};
        expect_step(HL_SCHEDULE_FREE_ADAMW, warming, t, schedule_free);

        const double decaying[HL_MAX_HYPER] = {0.05, -0.8, 1e-30, 1e-3, 0.5};
        const double adafactor[HL_MAX_HYPER] = {
            t > 400 ? 1 / sqrt((double)t) : 0.05, exp(-0.8 * log((double)t)), 1e-30, 1e-3, 0.5,
        };
        expect_step(HL_ADAFACTOR, decaying, t, adafactor);

        const double lamb[HL_MAX_HYPER] = {
            0.01, 1 - 0.9, 1 - 0.99, 1e-7 * root, root / (1 - power),
        };
        expect_step(HL_LAMB, hyper, t, lamb);

        const double of_muon[HL_MAX_HYPER] = {0.01, 0.95, 1, 3, -4, 2, 5, 0.2, 0.9, 0.99, 1e-7, 0.5};
        const double muon[HL_MAX_HYPER] = {
            0.5 * grown, 1 - 0.9, 1 - 0.99, 1e-7, 0, 0.01, 0.95, 1, 0.95, 3, -4, 2, 5, 0.2,
        };
        expect_step(HL_MUON, of_muon, t, muon);
        const double plain_hyper[HL_MAX_HYPER] = {0.01, 0.95, 0, 3, -4, 2, 5, 0, 0.9, 0.99, 1e-7, 1};
        const double plain[HL_MAX_HYPER] = {
            grown, 1 - 0.9, 1 - 0.99, 1e-7, 0, 0.01, 0.95, 0, 1, 3, -4, 2, 5, 0,
        };
        expect_step(HL_MUON, plain_hyper, t, plain);
    }
}

static double half_of(double x) {
    volatile double half = x;
    half *= 0.5;
    return half;
}

static float half_of_float(float x) {
    volatile float half = x;
    half *= 0.5f;
    return half;
}

static void *denormals_elsewhere(void *result) {
    *(double *)result = half_of(0x1p-1022);
    return NULL;
}

static void test_denormals(void) {
    begin("hl_flush_denormals");
    expect(half_of(0x1p-1022) == 0x1p-1023, "denormals are kept at first");
    const uint64_t before = hl_flush_denormals();
    const double flushed = half_of(0x1p-1022);
    const float flushed_float = half_of_float(0x1p-126f);
    const uint64_t inner = hl_flush_denormals();
    hl_restore_denormals(inner);
    const double still = half_of(0x1p-1022);
    volatile float argument = 0x1p-140f;
    argument *= 0x1p100f;
    hl_restore_denormals(before);
    expect(flushed == 0 && flushed_float == 0, "denormal results are taken for zero");
    expect(argument == 0, "denormal arguments are taken for zero");
    expect(still == 0, "an inner pair leaves the outer one's state");
    expect(half_of(0x1p-1022) == 0x1p-1023, "denormals come back");

    double elsewhere = 1;
    pthread_t thread;
    pthread_create(&thread, NULL, denormals_elsewhere, &elsewhere);
    pthread_join(thread, NULL);
    expect(elsewhere == 0x1p-1023, "other threads are as they were");
}

static void test_tables(void) {
    begin("the tables");
    const char *const *names = hl_isa_available();
    expect(names[0] != NULL, "there is an instruction set");
    expect(hl_kernels_for(NULL, HL_F32) == hl_kernels_for(names[0], HL_F32), "the best is first");
    expect(hl_kernels_for("none such", HL_F32) == NULL, "an unknown set has no table");
    expect(hl_kernels_for(NULL, HL_F16) == NULL, "only float and double have tables");
    int baseline = 0;
    for (; *names; names++) {
        baseline = !strcmp(*names, "baseline");
        for (int type = HL_F32; type <= HL_F64; type++) {
            const hl_kernels *table = hl_kernels_for(*names, (hl_dtype)type);
            expect(!strcmp(table->isa, *names), "a table has its set's name");
            expect(table->itemsize == (type == HL_F32 ? 4 : 8), "itemsize");
            expect(table->vl >= 2 && table->nr == 2 * table->vl && table->mr >= 1, "tile sizes");
        }
    }
    expect(baseline, "the last set is the baseline");
    expect(hl_cpu_count() >= 1, "there is a CPU");
    expect(hl_cpu_name() == hl_cpu_name(), "the CPU's name is found once");
}

void test_runtime(void) {
    test_random_bits();
    test_random_order();
    test_sum();
    test_power();
    test_prepare();
    test_denormals();
    test_tables();
}
