/* Matrix-product tiles, panels, and sums over rows. */
#include "check.h"

#include <string.h>

/* a[i, p], i < m, p < k: rows, or columns where transposed, that stand in no order, with a gap now
 * and then; what is used of each begins with element `offset`. */
typedef struct {
    const void *lines[257];
    ptrdiff_t offset;
    int transposed;
} matrix;

static matrix random_matrix(ptrdiff_t m, ptrdiff_t k, int transposed) {
    const ptrdiff_t lines = transposed ? k : m, length = transposed ? m : k;
    matrix a = {.offset = below(3), .transposed = transposed};
    const ptrdiff_t stride = a.offset + length + below(4), used = lines * length;
    const ptrdiff_t n = used == 0 ? 0 : (lines - 1) * stride + a.offset + length;
    char *data = room(n);
    fill(data, n, -1, 1);
    if (n > 0 && below(10) == 0)
        put(data, below(n), below(2) ? INFINITY : NAN);
    const ptrdiff_t turn = lines > 0 ? below((int)lines) : 0;
    for (ptrdiff_t l = 0; l < lines; l++)
        a.lines[l] = data + (used == 0 ? 0 : (l + turn) % lines * stride * K->itemsize);
    return a;
}

static double at(const matrix *a, ptrdiff_t i, ptrdiff_t p) {
    return a->transposed ? get(a->lines[p], a->offset + i) : get(a->lines[i], a->offset + p);
}

/* Rows of w, of which n are random and the rest NaN: padding must not matter. */
static void *random_panel(ptrdiff_t k, ptrdiff_t n) {
    const ptrdiff_t w = panel_width(n);
    void *b = room(k * w);
    for (ptrdiff_t p = 0; p < k; p++)
        for (ptrdiff_t j = 0; j < n; j++)
            put(b, p * w + j, uniform(-1, 1));
    return b;
}

static void expect_gap(const char *what, const void *x, ptrdiff_t rows, ptrdiff_t cols,
                       ptrdiff_t ld) {
    int clean = 1;
    for (ptrdiff_t i = 0; i + 1 < rows && cols > 0; i++)
        for (ptrdiff_t j = cols; j < ld; j++)
            clean &= is_untouched(x, i * ld + j);
    expect(clean, what);
}

/* Every order that the contract fixes is checked bit by bit. Dot products may sum in any order: k
 * products and k sums, each off by half an epsilon of the terms' sizes. */
static void check_product(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const matrix *a, const void *b,
                          const double *start, const void *c, ptrdiff_t c_row) {
    const int exact = n > 1 || a->transposed;
    const ptrdiff_t w = panel_width(n);
    for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < n; j++) {
            double sum = start[i * n + j], size = fabs(sum);
            for (ptrdiff_t p = 0; p < k; p++) {
                const double x = at(a, i, p), y = get(b, p * w + j);
                sum = exact ? multiply_add(x, y, sum) : sum + x * y;
                size += fabs(x * y);
            }
            const double got = get(c, i * c_row + j);
            if (exact)
                expect_same("c", i * n + j, got, sum);
            else
                expect_near("c", i * n + j, got, sum, (double)(k + 1) * epsilon() * size);
        }
}

static void gemm_case(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, int transposed) {
    static double start[257 * 64];
    for (int from = 0; from < 4; from++) {
        const int accumulate = from & 1, with_init = from & 2;
        begin("gemm m=%td n=%td k=%td transposed=%d accumulate=%d init=%d", m, n, k, transposed,
              accumulate, with_init != 0);
        const matrix a = random_matrix(m, k, transposed);
        const void *b = random_panel(k, n);
        void *init = with_init ? random_panel(1, n) : NULL;
        const ptrdiff_t c_row = n + below(3);
        void *c = room(m == 0 || n == 0 ? 0 : (m - 1) * c_row + n);
        for (ptrdiff_t i = 0; i < m; i++)
            for (ptrdiff_t j = 0; j < n; j++) {
                if (accumulate)
                    put(c, i * c_row + j, uniform(-1, 1));
                start[i * n + j] = accumulate  ? get(c, i * c_row + j)
                                   : with_init ? get(init, j)
                                               : 0;
            }
        K->gemm(m, n, k, a.lines, a.offset, transposed, b, init, accumulate, c, c_row);
        check_product(m, n, k, &a, b, start, c, c_row);
        expect_gap("gemm leaves what lies between rows", c, m, n, c_row);
        end();
    }
}

/* A dot product's bits depend on k alone: not on the row, nor on where it lies. */
static void dot_bits_case(ptrdiff_t k) {
    enum { rows = 5 };
    begin("gemm, one column, bits, k=%td", k);
    char *a = room(rows * k);
    const void *lines[rows] = {a};
    void *b = room(k), *c = room(rows);
    fill(b, k, -1, 1);
    fill(a, k, -1, 1);
    for (int i = 1; i < rows; i++)
        lines[i] = memcpy(a + i * k * K->itemsize, a, (size_t)(k * K->itemsize));
    K->gemm(rows, 1, k, lines, 0, 0, b, NULL, 0, c, 1);
    for (int i = 1; i < rows; i++)
        expect_same("c", i, get(c, i), get(c, 0));
    end();
}

/* gemm_row gives the bits of gemm, panel after panel. */
static void row_case(int panels, ptrdiff_t k, int with_init) {
    begin("gemm_row panels=%d k=%td init=%d", panels, k, with_init);
    const ptrdiff_t n = panels * K->nr, b_panel = (k + 3) * K->nr;
    void *a = room(k), *b = room(panels * b_panel), *c = room(n), *want = room(n);
    void *init = with_init ? room(n) : NULL;
    fill(a, k, -1, 1);
    fill(b, panels * b_panel, -1, 1);
    if (init)
        fill(init, n, -1, 1);
    K->gemm_row(panels, k, a, b, b_panel, init, c);
    const void *rows[] = {a};
    for (int q = 0; q < panels; q++) {
        const ptrdiff_t at = q * K->nr * K->itemsize;
        K->gemm(1, K->nr, k, rows, 0, 0, (char *)b + q * b_panel * K->itemsize, init ? (char *)init + at : NULL, 0,
                (char *)want + at, K->nr);
    }
    expect_equal("c", c, want, n);
    end();
}

/* One row by the transpose of a packed weight, wherever its rows are cut. */
static void transposed_row_case(ptrdiff_t inputs, ptrdiff_t units) {
    begin("gemm_row_transposed inputs=%td units=%td", inputs, units);
    const ptrdiff_t nr = K->nr, whole = units / nr * nr;
    const ptrdiff_t packed = inputs * (whole + (units > whole ? panel_width(units - whole) : 0));
    void *w = room(inputs * units), *b = room(packed), *dy = room(units);
    void *dx = room(inputs), *pieces = room(inputs);
    fill(w, inputs * units, -1, 1);
    fill(dy, units, -1, 1);
    for (ptrdiff_t u = 0; u < units; u += nr)
        K->pack(inputs, units - u < nr ? units - u : nr, (char *)w + u * K->itemsize, units, 1,
                (char *)b + u * inputs * K->itemsize);
    K->gemm_row_transposed(0, inputs, units, inputs, dy, b, dx);
    for (ptrdiff_t i = 0; i < inputs; i++) {
        double want = 0, size = 0;
        for (ptrdiff_t j = 0; j < units; j++) {
            want += get(dy, j) * get(w, i * units + j);
            size += fabs(get(dy, j) * get(w, i * units + j));
        }
        expect_near("dx", i, get(dx, i), want, (double)(units + 8) * epsilon() * size);
    }
    for (ptrdiff_t i = 0, n; i < inputs; i += n) {
        n = any_piece(inputs - i);
        K->gemm_row_transposed(i, n, units, inputs, dy, b, (char *)pieces + i * K->itemsize);
    }
    expect_equal("dx in pieces", pieces, dx, inputs);
    end();
}

static void test_gemm(void) {
    static const ptrdiff_t depths[] = {0, 1, 2, 3, 7, 33};
    for (int transposed = 0; transposed < 2; transposed++) {
        for (ptrdiff_t m = 1; m <= K->mr; m++)
            for (ptrdiff_t n = 2; n <= K->nr; n++)
                gemm_case(m, n, depths[below(COUNT(depths))], transposed);
        for (int d = 0; d < COUNT(depths); d++)
            for (ptrdiff_t m = 1; m <= K->mr; m++) {
                gemm_case(m, K->nr, depths[d], transposed);
                gemm_case(m, 2 + below(K->nr - 1), depths[d], transposed);
            }
        for (int s = 0; s < COUNT(sizes); s++)
            for (int d = 0; d < COUNT(sizes); d++)
                gemm_case(sizes[s], 1, sizes[d], transposed);
        gemm_case(K->mr, K->nr, 257, transposed);
        gemm_case(7, 1, 0, transposed);
        gemm_case(0, 3, 7, transposed);
        gemm_case(3, 0, 7, transposed);
    }
    for (int panels = 0; panels <= 9; panels++)
        for (int d = 0; d < COUNT(depths); d++) {
            row_case(panels, depths[d], 0);
            row_case(panels, depths[d], 1);
        }
    for (int s = 0; s < COUNT(sizes); s++)
        dot_bits_case(sizes[s]);
    for (int s = 0; s < COUNT(sizes); s++)
        for (int d = 0; d < COUNT(sizes); d++)
            transposed_row_case(sizes[s], sizes[d]);
}

/* --------------------------------------------------------------------- panels */

static void pack_case(ptrdiff_t k, ptrdiff_t n, ptrdiff_t row, ptrdiff_t col) {
    begin("pack k=%td n=%td row=%td col=%td", k, n, row, col);
    const ptrdiff_t w = panel_width(n);
    const ptrdiff_t length = k == 0 || n == 0 ? 0 : (k - 1) * row + (n - 1) * col + 1;
    void *x = room(length), *packed = room(k * w), *back = room(length);
    fill_special(x, length, -1, 1);
    K->pack(k, n, x, row, col, packed);
    for (ptrdiff_t p = 0; p < k; p++)
        for (ptrdiff_t j = 0; j < w; j++)
            expect_same("packed", p * w + j, get(packed, p * w + j),
                        j < n ? get(x, p * row + j * col) : 0);
    /* What unpacking reads beyond column n must not show. */
    for (ptrdiff_t p = 0; p < k; p++)
        for (ptrdiff_t j = n; j < w; j++)
            put(packed, p * w + j, 3);
    K->unpack(k, n, packed, back, row, col);
    ptrdiff_t written = 0;
    for (ptrdiff_t p = 0; p < k; p++)
        for (ptrdiff_t j = 0; j < n; j++) {
            const ptrdiff_t i = p * row + j * col;
            expect_same("unpacked", i, get(back, i), get(x, i));
            put(back, i, 3);
        }
    for (ptrdiff_t i = 0; i < length; i++)
        written += !is_untouched(back, i);
    expect(written == k * n, "unpack leaves what lies between elements");
    end();
}

static void test_panels(void) {
    for (ptrdiff_t n = 0; n <= K->nr; n++)
        for (int s = -1; s < COUNT(sizes); s++) {
            const ptrdiff_t k = s < 0 ? 0 : sizes[s];
            if (k == 257 && n != 1 && n != K->vl && n != K->nr)
                continue;
            pack_case(k, n, n + below(3) + (n == 0), 1);
            pack_case(k, n, 1, k + below(3) + (k == 0));
            pack_case(k, n, 2, 2 * k + 1);
        }
}

/* ------------------------------------------------------------------------ sums */

/* x ends with its last element. */
static void add_parts_case(int parts, ptrdiff_t rows, ptrdiff_t cols) {
    begin("add_parts parts=%d rows=%td cols=%td", parts, rows, cols);
    const ptrdiff_t ld = cols + below(K->vl), part = rows * ld + below(3);
    const ptrdiff_t length = rows == 0 ? 0 : (parts - 1) * part + (rows - 1) * ld + cols;
    const ptrdiff_t y_ld = cols + below(5), size = rows == 0 ? 0 : (rows - 1) * y_ld + cols;
    void *x = room(length), *y = room(size), *want = room(size);
    fill(x, length, -1, 1);
    fill(y, size, -1, 1);
    for (ptrdiff_t i = 0; i < size; i++)
        put(want, i, get(y, i)); /* what lies between the rows stays */
    K->add_parts(x, parts, part, ld, rows, cols, y, y_ld);
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < cols; j++) {
            put(want, i * y_ld + j, get(x, i * ld + j));
            for (int q = 1; q < parts; q++)
                put(want, i * y_ld + j,
                    get(want, i * y_ld + j) + get(x, q * part + i * ld + j));
        }
    expect_equal("y", y, want, size);
    end();
}

static void sum_rows_case(ptrdiff_t rows, ptrdiff_t cols) {
    begin("sum_rows rows=%td cols=%td", rows, cols);
    const ptrdiff_t ld = cols + below(3);
    const ptrdiff_t length = rows == 0 || cols == 0 ? 0 : (rows - 1) * ld + cols;
    void *x = room(length), *out = room(cols);
    fill(x, length, -1, 1);
    if (length > 0 && below(4) == 0)
        put(x, below(length), NAN);
    K->sum_rows(x, ld, rows, cols, out);
    for (ptrdiff_t j = 0; j < cols; j++) {
        double sum = 0;
        for (ptrdiff_t i = 0; i < rows; i++)
            sum = rounded(sum + get(x, i * ld + j));
        expect_same("out", j, get(out, j), sum);
    }
    end();
}

void test_products(void) {
    test_gemm();
    test_panels();
    for (int r = 0; r < COUNT(sizes); r++)
        for (int c = 0; c < COUNT(sizes); c++)
            sum_rows_case(sizes[r], sizes[c]);
    for (int parts = 1; parts <= 4; parts++)
        for (int c = 0; c < COUNT(sizes); c++) {
            add_parts_case(parts, c, sizes[c]);
            add_parts_case(parts, 7, sizes[c]);
        }
    sum_rows_case(0, 33);
    sum_rows_case(7, 0);
}
