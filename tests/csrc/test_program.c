/* Programs: every function that only they have, and inputs that are broadcast, cast and told. */
#include "check.h"

#include <string.h>

#define ENTRY(NAME, value, arity) {HL_##NAME, #value, arity},
static const struct {
    hl_function kind;
    const char *name;
    int arity;
} functions[] = {HL_VECTOR_FUNCTIONS(ENTRY) HL_LIBRARY_FUNCTIONS(ENTRY)};

static double next_after(double a, double b) {
    return K->itemsize == 4 ? nextafterf((float)a, (float)b) : nextafter(a, b);
}

static double expected(hl_function kind, double a, double b) {
    const double larger = a > b ? a : b, smaller = a > b ? b : a;
    switch (kind) {
    case HL_FN_EXPM1: return expm1(a);
    case HL_FN_LOG: return log(a);
    case HL_FN_LOG1P: return log1p(a);
    case HL_FN_SQRT: return sqrt(a);
    case HL_FN_RSQRT: return 1 / rounded(sqrt(a));
    case HL_FN_SQUARE: return a * a;
    case HL_FN_RECIPROCAL: return 1 / a;
    case HL_FN_NEGATIVE: return -a;
    case HL_FN_SIGN: return isnan(a) ? a : (a > 0) - (a < 0);
    case HL_FN_FLOOR: return floor(a);
    case HL_FN_CEIL: return ceil(a);
    case HL_FN_ROUND: return rint(a);
    case HL_FN_TRUNC: return trunc(a);
    case HL_FN_SIN: return sin(a);
    case HL_FN_COS: return cos(a);
    case HL_FN_ERF: return erf(a);
    case HL_FN_ISNAN: return isnan(a);
    case HL_FN_ISINF: return isinf(a) != 0;
    case HL_FN_ISFINITE: return isfinite(a) != 0;
    case HL_FN_ISPOSINF: return a == INFINITY;
    case HL_FN_ISNEGINF: return a == -INFINITY;
    case HL_FN_SIGNBIT: return signbit(a) != 0;
    case HL_FN_LOGICAL_NOT: return a == 0;
    case HL_FN_DIVIDE: return a / b;
    case HL_FN_LOGADDEXP:
        if (isnan(a) || isnan(b))
            return NAN;
        return a == b ? a + log(2) : larger + log1p(exp(smaller - larger));
    case HL_FN_FMAX: return fmax(a, b);
    case HL_FN_FMIN: return fmin(a, b);
    case HL_FN_HEAVISIDE: return isnan(a) ? a : a == 0 ? b : a > 0;
    case HL_FN_EQUAL: return a == b;
    case HL_FN_NOT_EQUAL: return a != b;
    case HL_FN_LESS: return a < b;
    case HL_FN_LESS_EQUAL: return a <= b;
    case HL_FN_GREATER: return a > b;
    case HL_FN_GREATER_EQUAL: return a >= b;
    case HL_FN_LOGICAL_AND: return a != 0 && b != 0;
    case HL_FN_LOGICAL_OR: return a != 0 || b != 0;
    case HL_FN_LOGICAL_XOR: return (a != 0) != (b != 0);
    case HL_FN_EXP2: return exp2(a);
    case HL_FN_LOG2: return log2(a);
    case HL_FN_LOG10: return log10(a);
    case HL_FN_CBRT: return cbrt(a);
    case HL_FN_TAN: return tan(a);
    case HL_FN_ARCSIN: return asin(a);
    case HL_FN_ARCCOS: return acos(a);
    case HL_FN_ARCTAN: return atan(a);
    case HL_FN_SINH: return sinh(a);
    case HL_FN_COSH: return cosh(a);
    case HL_FN_ARCSINH: return asinh(a);
    case HL_FN_ARCCOSH: return acosh(a);
    case HL_FN_ARCTANH: return atanh(a);
    case HL_FN_ERFC: return erfc(a);
    case HL_FN_SINC: return a == 0 ? 1 : sin(M_PI * a) / (M_PI * a);
    case HL_FN_FMOD: return fmod(a, b);
    case HL_FN_POWER: return pow(a, b);
    case HL_FN_ARCTAN2: return atan2(a, b);
    case HL_FN_HYPOT: return hypot(a, b);
    case HL_FN_NEXTAFTER: return next_after(a, b);
    case HL_FN_LOGADDEXP2:
        if (isnan(a) || isnan(b))
            return NAN;
        return a == b ? a + 1 : larger + log2(1 + exp2(smaller - larger));
    case HL_FN_FLOOR_DIVIDE:
    case HL_FN_MOD:
    case HL_FN_ERFINV: return NAN; /* by what they are for, below */
    }
    return NAN;
}

/* A program of one instruction, or of more, on n elements at once or in pieces. */
static void run(const hl_program *p, ptrdiff_t n) {
    void *registers = room(p->registers * p->stride);
    for (ptrdiff_t at = 0, count; at < n; at += count) {
        count = any_piece(n - at);
        K->program(p, at, count, registers);
    }
}

static void function_case(int which, ptrdiff_t n, int in_place) {
    const hl_function kind = functions[which].kind;
    begin("program of %s n=%td in place=%d", functions[which].name, n, in_place);
    void *a = room(n), *b = room(n);
    fill_special(a, n, -4, 4);
    fill_special(b, n, -4, 4);
    const void *a_was = copy_of(a, n);
    void *y = in_place ? a : room(n);
    const hl_program_input input[] = {{.data = a}, {.data = b}};
    const hl_program_output output = {y, 0};
    const hl_instruction one = {.family = HL_DO_FUNCTION, .kind = (int)kind, .y = 2, .b = 1};
    const hl_program p = {.length = 1, .inputs = 2, .outputs = 1, .instruction = &one,
                          .input = input, .output = &output, .block = 1 + below(100)};
    run(&p, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        const double x = get(a_was, i), z = get(b, i), got = get(y, i);
        if (kind == HL_FN_ERFINV) {
            if (fabs(x) < 1)
                expect_near("erf(y)", i, erf(got), x, 4 * epsilon());
            else
                expect_same("y", i, got, fabs(x) > 1 ? NAN : fabs(x) == 1 ? x * INFINITY : x);
        } else if (kind == HL_FN_MOD || kind == HL_FN_FLOOR_DIVIDE) {
            if (isfinite(x) && isfinite(z) && fabs(x / z) < 1e3) {
                const double want = kind == HL_FN_MOD ? x - z * floor(x / z) : floor(x / z);
                /* Where the quotient is nearly whole, rounding decides which whole number it is. */
                if (fabs(x / z - rint(x / z)) > 1e-6)
                    expect_near("y", i, got, want, 1e4 * epsilon() * fabs(z) + 4 * epsilon() * fabs(want));
            }
        } else {
            const double want = expected(kind, x, z);
            expect_near("y", i, got, want, 4 * epsilon() * (fabs(want) + 0.25) + tiny());
        }
    }
    end();
}

/* y = where(flag, x * column + row, number), and whether that is above 0.5; x of (outer, cols), row
 * of (outer, 1), column of (cols) for each example, number and flag for all. */
static void broadcast_case(ptrdiff_t examples, ptrdiff_t outer, ptrdiff_t cols) {
    const ptrdiff_t size = outer * cols, n = examples * size;
    begin("program broadcast examples=%td outer=%td cols=%td", examples, outer, cols);
    void *x = room(n), *row = room(outer), *column = room(examples * cols), *y = room(n);
    int32_t *number = room_of(1, 4);
    uint8_t *flag = room_of(n, 1), *told = room_of(n, 1);
    fill(x, n, -1, 1);
    fill(row, outer, -1, 1);
    fill(column, examples * cols, -1, 1);
    *number = 7;
    for (ptrdiff_t i = 0; i < n; i++)
        flag[i] = (uint8_t)below(2);
    const hl_dtype own = K->itemsize == 4 ? HL_F32 : HL_F64;
    const hl_program_input input[] = {
        {.data = x, .dtype = own},
        {.data = row, .dtype = own, .loaded = 1, .broadcast = 1, .strides = {.axis = {1, 0}}},
        {.data = column, .dtype = own, .loaded = 1, .broadcast = 1,
         .strides = {.axis = {0, 1}, .example = cols}},
        {.data = (const char *)number, .dtype = HL_I32, .loaded = 1, .broadcast = 1},
        {.data = (const char *)flag, .dtype = HL_BOOL, .loaded = 1},
    };
    const hl_program_output output[] = {{y, 0}, {(char *)told, 1}};
    enum { R0, R1, R2, X, OF_ROW, OF_COLUMN, OF_NUMBER, OF_FLAG, Y, TOLD };
    const hl_instruction code[] = {
        {.family = HL_DO_LOAD, .kind = 2, .y = R0},
        {.family = HL_DO_MERGE, .kind = HL_MULTIPLY, .y = R0, .a = X, .b = R0},
        {.family = HL_DO_LOAD, .kind = 1, .y = R1},
        {.family = HL_DO_MERGE, .kind = HL_ADD, .y = R0, .a = R0, .b = R1},
        {.family = HL_DO_LOAD, .kind = 3, .y = R1},
        {.family = HL_DO_LOAD, .kind = 4, .y = R2},
        {.family = HL_DO_CHOOSE, .y = Y, .a = R2, .b = R0, .c = R1},
        {.family = HL_DO_FILL, .y = R1, .alpha = 0.5},
        {.family = HL_DO_FUNCTION, .kind = HL_FN_GREATER, .y = R1, .a = Y, .b = R1},
        {.family = HL_DO_TELL, .kind = 1, .y = R1, .a = R1},
    };
    const ptrdiff_t block = 1 + below(50);
    const hl_program p = {.length = COUNT(code), .registers = 3, .inputs = 5, .outputs = 2,
                          .instruction = code, .input = input, .output = output,
                          .rank = 2, .dim = {outer, cols}, .block = block,
                          .stride = block + below(3)};
    run(&p, n);
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t j = i % cols, r = i / cols % outer, e = i / size;
        const double product = rounded(get(x, i) * get(column, e * cols + j));
        const double want = flag[i] ? rounded(product + get(row, r)) : 7;
        expect_same("y", i, get(y, i), want);
        expect(told[i] == (want > 0.5), "what is told");
    }
    end();
}

/* Each row's sum of squares, and mean: of so many rows at once, in any pieces, the same bits. */
static void sum_case(ptrdiff_t rows, ptrdiff_t cols) {
    begin("program of sums rows=%td cols=%td", rows, cols);
    void *x = room(rows * cols), *sum = room(rows), *mean = room(rows), *again = room(rows);
    fill(x, rows * cols, -1, 1);
    const hl_program_input input = {.data = x};
    const hl_program_output output[] = {{sum, 1}, {mean, 1}};
    const hl_instruction code[] = {
        {.family = HL_DO_MERGE, .kind = HL_MULTIPLY, .a = 1, .b = 1},
        {.family = HL_DO_SUM, .kind = 0, .alpha = 1},
        {.family = HL_DO_SUM, .kind = 1, .alpha = (double)cols},
    };
    hl_program p = {.length = 3, .registers = 1, .inputs = 1, .outputs = 2, .instruction = code,
                    .input = &input, .output = output, .row = cols};
    p.block = p.stride = cols * (1 + below(3));
    void *registers = room(p.stride);
    K->program(&p, 0, rows * cols, registers);
    memcpy(again, sum, (size_t)(rows * K->itemsize));
    for (ptrdiff_t i = 0; i < rows; i++)
        K->program(&p, i * cols, cols, registers);
    expect_equal("sum", sum, again, rows);
    for (ptrdiff_t i = 0; i < rows; i++) {
        double want = 0;
        for (ptrdiff_t j = 0; j < cols; j++)
            want += get(x, i * cols + j) * get(x, i * cols + j);
        expect_near("sum", i, get(sum, i), want, (double)cols * epsilon() * want);
        expect_near("mean", i, get(mean, i), want / (double)cols, (double)cols * epsilon() * want);
    }
    end();
}

/* Padding of a packed matrix stays 0, whatever exp makes of it. */
static void padding_case(ptrdiff_t rows, ptrdiff_t cols) {
    const ptrdiff_t whole = cols / K->nr * K->nr, rest = cols - whole;
    const ptrdiff_t width = panel_width(rest), n = rows * (whole + (rest ? width : 0));
    begin("program of a packed matrix rows=%td cols=%td", rows, cols);
    void *x = room(n), *y = room(n);
    memset(x, 0, (size_t)(n * K->itemsize));
    const hl_program_input input = {.data = x};
    const hl_program_output output = {y, 0};
    const hl_instruction one = {
        .family = HL_DO_ACTIVATION, .kind = HL_EXPONENTIAL, .y = 1};
    const hl_program p = {.length = 1, .inputs = 1, .outputs = 1, .instruction = &one,
                          .input = &input, .output = &output, .block = 1 + below(50),
                          .panel = whole * rows, .panel_width = rest ? width : 0,
                          .panel_columns = rest};
    run(&p, n);
    for (ptrdiff_t i = 0; i < n; i++)
        expect_same("y", i, get(y, i), i < whole * rows || (i - whole * rows) % width < rest);
    end();
}

void test_program(void) {
    for (int which = 0; which < COUNT(functions); which++)
        for (int i = 0; i < COUNT(sizes); i++)
            function_case(which, sizes[i], i % 2);
    for (int i = 0; i < 20; i++) {
        broadcast_case(below(4), 1 + below(5), 1 + any_size());
        padding_case(1 + below(5), 1 + any_size());
        sum_case(below(5), 1 + any_size());
    }
}
