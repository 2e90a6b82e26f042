/* Rows of users' arrays: every type, byte order and layout, exactly as C casts them. */
#include "check.h"
#include "sources.h"

#include <string.h>

static void check_rows(const hl_source *source, const int64_t *order, ptrdiff_t first, ptrdiff_t n,
                       const void *out) {
    const ptrdiff_t length = row_length(source);
    for (ptrdiff_t i = 0; i < n; i++) {
        const ptrdiff_t row = order ? (ptrdiff_t)order[first + i] : first + i;
        ptrdiff_t index[HL_MAX_RANK] = {0};
        for (ptrdiff_t j = 0; j < length; j++) {
            const long double value = source_value(source, row, index);
            const double want = K->itemsize == 4 ? (double)(float)value : (double)value;
            expect_same("out", i * length + j, get(out, i * length + j), want);
            next_index(source, index);
        }
    }
}

static void gather_case(hl_source source, ptrdiff_t rows, int ordered) {
    const ptrdiff_t first = below(rows), n = ordered ? any_size() % 40 : rows - first;
    const int64_t *order = ordered ? random_order(first, n, rows) : NULL;
    void *out = room(n * row_length(&source));
    K->gather(&source, order, first, n, out);
    check_rows(&source, order, first, n, out);
    end();
}

static void random_case(hl_dtype dtype, int swapped, int rank, int ordered) {
    ptrdiff_t dim[HL_MAX_RANK], rows = 1 + below(9);
    for (int d = 0; d < rank; d++)
        dim[d] = rank == HL_MAX_RANK ? 2 : 2 + below(rank > 3 ? 3 : 8);
    if (rank == 1)
        dim[0] = any_size();
    begin("gather dtype=%d swapped=%d rank=%d rows=%td ordered=%d", dtype, swapped, rank, rows,
          ordered);
    gather_case(random_source(dtype, swapped, rows, rank, dim), rows, ordered);
}

static void plain_case(hl_dtype dtype, int swapped, ptrdiff_t length, int ordered) {
    const ptrdiff_t rows = 1 + below(9);
    begin("gather dtype=%d swapped=%d length=%td rows=%td ordered=%d", dtype, swapped, length, rows,
          ordered);
    gather_case(plain_source(dtype, swapped, rows, length), rows, ordered);
}

/* Denormal halves are numbers also while denormal floats count as zero. */
static void all_halves(int flushing) {
    begin("gather all half-precision numbers, flushing=%d", flushing);
    enum { rows = 64, length = 1024 };
    hl_source source = plain_source(HL_F16, 0, rows, length);
    uint16_t *halves = room_of(rows * length, sizeof *halves);
    for (int i = 0; i < rows * length; i++)
        halves[i] = (uint16_t)i;
    source.data = (const char *)halves;
    void *out = room(rows * length);
    const uint64_t before = flushing ? hl_flush_denormals() : 0;
    K->gather(&source, NULL, 0, rows, out);
    if (flushing)
        hl_restore_denormals(before);
    check_rows(&source, NULL, 0, rows, out);
    end();
}

static void empty_cases(void) {
    begin("gather nothing");
    hl_source source = plain_source(HL_F32, 0, 3, 0);
    int64_t *order = random_order(0, 0, 3);
    void *out = room(0);
    K->gather(&source, NULL, 0, 3, out);
    source = plain_source(HL_F32, 0, 3, 7);
    K->gather(&source, NULL, 1, 0, out);
    K->gather(&source, order, 0, 0, out);
    end();
}

void test_gather(void) {
    for (int dtype = 0; dtype < DTYPES; dtype++)
        for (int mode = 0; mode < 4; mode++) {
            const hl_dtype type = (hl_dtype)dtype;
            for (int s = 0; s < COUNT(sizes); s++)
                plain_case(type, mode & 1, sizes[s], mode >> 1);
            for (int rank = 1; rank <= 4; rank++)
                random_case(type, mode & 1, rank, mode >> 1);
            random_case(type, mode & 1, HL_MAX_RANK, mode >> 1);
        }
    all_halves(0);
    all_halves(1);
    empty_cases();
}
