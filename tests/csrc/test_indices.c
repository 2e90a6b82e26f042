/* Rows of a table by their numbers, the gradient of that, and encodings of numbers. */
#include "check.h"

#include <string.h>

/* n numbers, one in eight of which is no row of a table: negative, too large or far too large. */
static int32_t *random_index(ptrdiff_t n, ptrdiff_t rows) {
    int32_t *index = room_of(n, sizeof *index);
    for (ptrdiff_t i = 0; i < n; i++) {
        const int32_t wrong[] = {-1, (int32_t)rows, INT32_MIN, INT32_MAX};
        index[i] = below(8) && rows ? (int32_t)below(rows) : wrong[below(4)];
    }
    return index;
}

static int is_row(int32_t number, ptrdiff_t rows) {
    return number >= 0 && number < rows;
}

/* Where element (row, col) of a packed matrix stands. */
static ptrdiff_t place_in(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t row, ptrdiff_t col) {
    const ptrdiff_t panel = col / K->nr * K->nr;
    const ptrdiff_t width = panel_width(cols - panel < K->nr ? cols - panel : K->nr);
    return rows * panel + row * width + col - panel;
}

static ptrdiff_t packed_size(ptrdiff_t rows, ptrdiff_t cols) {
    const ptrdiff_t whole = cols / K->nr * K->nr;
    return rows * (whole + (cols > whole ? panel_width(cols - whole) : 0));
}

static void lookup_case(ptrdiff_t n, ptrdiff_t rows, ptrdiff_t cols) {
    begin("lookup n=%td rows=%td cols=%td", n, rows, cols);
    const int32_t *index = random_index(n, rows);
    void *table = room(packed_size(rows, cols)), *y = room(n * cols);
    fill_special(table, packed_size(rows, cols), -1, 1);
    K->lookup(index, n, table, rows, cols, y);
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t j = 0; j < cols; j++)
            expect_same("y", i * cols + j, get(y, i * cols + j),
                        is_row(index[i], rows) ? get(table, place_in(rows, cols, index[i], j))
                                               : NAN);
    end();
}

static void gradient_case(ptrdiff_t n, ptrdiff_t rows, ptrdiff_t cols, int parts) {
    begin("lookup_gradient n=%td rows=%td cols=%td parts=%d", n, rows, cols, parts);
    const ptrdiff_t size = packed_size(rows, cols);
    const int32_t *index = random_index(n, rows);
    void *dy = room(n * cols), *dw = room(size), *want = room(size);
    fill(dy, n * cols, -1, 1);
    for (ptrdiff_t i = 0; i < size; i++)
        put(want, i, 0);
    for (ptrdiff_t i = 0; i < n; i++)
        for (ptrdiff_t j = 0; j < cols && is_row(index[i], rows); j++) {
            const ptrdiff_t at = place_in(rows, cols, index[i], j);
            put(want, at, get(want, at) + get(dy, i * cols + j));
        }
    for (int part = parts - 1; part >= 0; part--)
        K->lookup_gradient(index, n, dy, rows, cols, part, parts, dw);
    for (ptrdiff_t i = 0; i < size; i++)
        expect_same("dw", i, get(dw, i), get(want, i));
    end();
}

static void encode_case(int counts, ptrdiff_t rows, ptrdiff_t n, ptrdiff_t depth) {
    begin("encode counts=%d rows=%td n=%td depth=%td", counts, rows, n, depth);
    const int32_t *index = random_index(rows * n, depth);
    void *y = room(rows * depth);
    K->encode(counts, index, rows, n, depth, y);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t k = 0; k < depth; k++) {
            double often = 0;
            for (ptrdiff_t p = 0; p < n; p++)
                often += index[i * n + p] == k;
            expect_same("y", i * depth + k, get(y, i * depth + k), counts ? often : often > 0);
        }
    end();
}

void test_indices(void) {
    for (int s = 0; s < COUNT(sizes); s++) {
        lookup_case(any_size(), any_size(), sizes[s]);
        lookup_case(any_size(), 1, sizes[s]);
        for (int parts = 1; parts <= 8; parts++)
            gradient_case(any_size(), any_size(), sizes[s], parts);
        for (int counts = 0; counts < 2; counts++)
            encode_case(counts, 1 + below(9), below(9), sizes[s]);
    }
    lookup_case(0, 7, 5);
    lookup_case(7, 0, 5);
    lookup_case(7, 5, 0);
    gradient_case(0, 40, 5, 3);
    gradient_case(7, 0, 5, 2);
    encode_case(1, 0, 3, 4);
    encode_case(0, 3, 4, 0);
}
