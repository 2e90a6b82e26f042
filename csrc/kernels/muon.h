/* Muon: see hl_kernels.whole_update. h from 5 on: learning rate, momentum, shares of g and of m,
 * three coefficients, steps of the iteration, rms_rate or 0.
 *
 * The matrix X that is made orthogonal stands row after row, like the weight. With S the product of
 * its rows with each other, or of its columns where there are fewer, Newton-Schulz takes X to
 * a X + (b S + c S S) X, or to a X + X (b S + c S S). Products are made by hl_kernels.gemm, so that
 * no sum depends on how they are shared out. */

#undef HL_MUON_STAGES_OF_STEP
#define HL_MUON_STAGES_OF_STEP 6

typedef struct N(polar) {
    ptrdiff_t rows, cols, side; /* side: of S */
    int tall;                   /* whether S is of columns */
    ptrdiff_t blocks;
    double *squares;   /* of each block's directions */
    const void **row;  /* addresses of the rows of X */
    T *x[2];           /* before and behind a step, in turns */
    T *gram, *mixture; /* S and b S + c S S */
    T *panels;         /* the second factor of a product, packed */
} N(polar);

/* Columns of a packed matrix of n columns, padding included. */
static ptrdiff_t N(packed_cols)(ptrdiff_t n) {
    return n / (2 * VL) * (2 * VL) + N(panel_width)(n % (2 * VL));
}

static N(polar) N(muon_of)(const hl_whole *weight) {
    N(polar) o = {.rows = weight->rows, .cols = weight->cols};
    o.tall = o.rows > o.cols;
    o.side = o.tall ? o.cols : o.rows;
    o.blocks = N(blocks_of_weight)(weight);
    return o;
}

static size_t N(muon_room)(const hl_whole *weight) {
    const N(polar) o = N(muon_of)(weight);
    const ptrdiff_t rows = N(packed_cols)(o.rows), cols = N(packed_cols)(o.cols);
    const ptrdiff_t upright = o.rows * cols, across = o.cols * rows;
    const ptrdiff_t panels = o.tall || upright > across ? upright : across;
    const ptrdiff_t numbers = 2 * o.rows * o.cols + 2 * o.side * o.side + panels;
    return (size_t)o.blocks * sizeof(double) + (size_t)o.rows * sizeof(void *) +
           (size_t)numbers * sizeof(T);
}

static void N(muon_place)(N(polar) *o, void *room) {
    o->squares = room;
    o->row = (const void **)(o->squares + o->blocks);
    o->x[0] = (T *)(o->row + o->rows);
    o->x[1] = o->x[0] + o->rows * o->cols;
    o->gram = o->x[1] + o->rows * o->cols;
    o->mixture = o->gram + o->side * o->side;
    o->panels = o->mixture + o->side * o->side;
}

static HL_INLINE vec N(muon_direction)(const T *h, vec m, vec g) {
    return mul_add(m, splat(h[8]), g * h[7]);
}

static vec N(muon_directions_at)(const hl_whole *weight, const T *h, ptrdiff_t at, int count) {
    return N(muon_direction)(h, load_n((const T *)weight->m + at, count),
                             load_n((const T *)weight->g + at, count));
}

/* The block's new m, and the squares of its directions. */
static void N(muon_momentum)(const hl_whole *weight, const N(polar) *o, const T *h,
                             ptrdiff_t number) {
    const N(block) block = N(block_of)(weight, number);
    const T *g = weight->g;
    T *m = weight->m;
    double squares = 0;
    for (ptrdiff_t c = 0; c < weight->cols; c += N(cols_of_area)(weight)) {
        const N(area) area = N(area_of)(weight, block, c);
        for (ptrdiff_t i = 0; i < area.rows; i++) {
            vec sum = splat(0);
            for (ptrdiff_t j = 0; j < area.cols; j += VL) {
                const ptrdiff_t at = area.at + i * area.ld + j;
                const int count = lanes_left(area.cols - j);
                const vec g_i = load_n(g + at, count);
                const vec m_i = mul_add(load_n(m + at, count), splat(h[6]), g_i);
                store_n(m + at, m_i, count);
                const vec x = N(muon_direction)(h, m_i, g_i);
                sum = mul_add(x, x, sum);
            }
            squares += (double)sum_lanes(sum);
        }
    }
    if (N(lacks_squares)(squares))
        squares = N(wide_squares)(weight, h, number, N(muon_directions_at));
    o->squares[number] = squares;
}

/* The block's rows of the first X: directions of at most length 1 together. */
static void N(muon_start)(const hl_whole *weight, const N(polar) *o, const T *h, T factor,
                          ptrdiff_t number) {
    const N(block) block = N(block_of)(weight, number);
    const T *m = weight->m, *g = weight->g;
    for (ptrdiff_t c = 0; c < weight->cols; c += N(cols_of_area)(weight)) {
        const N(area) area = N(area_of)(weight, block, c);
        for (ptrdiff_t i = 0; i < area.rows; i++)
            for (ptrdiff_t j = 0; j < area.cols; j += VL) {
                const ptrdiff_t at = area.at + i * area.ld + j;
                const int count = lanes_left(area.cols - j);
                const vec x = N(muon_direction)(h, load_n(m + at, count), load_n(g + at, count));
                store_n(o->x[0] + (block.row + i) * o->cols + c + j, x * factor, count);
            }
    }
}

static void N(muon_update)(const hl_whole *weight, const N(polar) *o, const T *x, T rate,
                           ptrdiff_t number) {
    const N(block) block = N(block_of)(weight, number);
    T *w = weight->w;
    for (ptrdiff_t c = 0; c < weight->cols; c += N(cols_of_area)(weight)) {
        const N(area) area = N(area_of)(weight, block, c);
        for (ptrdiff_t i = 0; i < area.rows; i++)
            for (ptrdiff_t j = 0; j < area.cols; j += VL) {
                const ptrdiff_t at = area.at + i * area.ld + j;
                const int count = lanes_left(area.cols - j);
                const vec x_i = load_n(x + (block.row + i) * o->cols + c + j, count);
                store_n(w + at, mul_add(-x_i, splat(rate), load_n(w + at, count)), count);
            }
    }
}

/* A part's share of the panels of a matrix of k rows and n columns, elements of a row being col
 * apart. */
static void N(muon_pack)(const N(polar) *o, ptrdiff_t k, ptrdiff_t n, const T *x, ptrdiff_t row,
                         ptrdiff_t col, int part, int parts) {
    const ptrdiff_t panels = (n + 2 * VL - 1) / (2 * VL);
    for (ptrdiff_t q = panels * part / parts; q < panels * (part + 1) / parts; q++) {
        const ptrdiff_t j = q * 2 * VL, left = n - j;
        N(pack)(k, left < 2 * VL ? left : 2 * VL, x + j * col, row, col, o->panels + j * k);
    }
}

/* A part's share of out = factor * y + other * (a b), matrices of m rows and n columns; b, of k
 * rows, is what was packed. Row i of a stands at a + i * k; of a transposed matrix, row p at
 * o->row[p]. Without y, out = a b. */
static void N(muon_product)(const N(polar) *o, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const T *a,
                            T other, T factor, const T *y, T *out, int part, int parts) {
    const ptrdiff_t tiles = (m + MR - 1) / MR;
    const ptrdiff_t first = tiles * part / parts, end = tiles * (part + 1) / parts;
    for (ptrdiff_t j = 0; j < n; j += 2 * VL) {
        const ptrdiff_t cols = n - j < 2 * VL ? n - j : 2 * VL;
        for (ptrdiff_t t = first; t < end; t++) {
            const ptrdiff_t i = t * MR, rows = m - i < MR ? m - i : MR;
            const void *address[MR] = {0};
            for (ptrdiff_t l = 0; a && l < rows; l++)
                address[l] = a + (i + l) * k;
            N(gemm)(rows, cols, k, a ? address : o->row, a ? 0 : i, !a,
                    o->panels + j * k, NULL, 0, out + i * n + j, n);
            for (ptrdiff_t l = 0; y && l < rows; l++)
                for (ptrdiff_t c = 0; c < cols; c += VL) {
                    const ptrdiff_t at = (i + l) * n + j + c;
                    const int count = lanes_left(cols - c);
                    const vec product = load_n(out + at, count) * other;
                    const vec y_i = load_n(y + at, count);
                    store_n(out + at, mul_add(y_i, splat(factor), product), count);
                }
        }
    }
}

/* One stage of a step from x to next. */
static void N(muon_iterate)(const N(polar) *o, const T *h, int stage, const T *x, T *next, int part,
                            int parts) {
    const ptrdiff_t rows = o->rows, cols = o->cols, side = o->side;
    switch (stage) {
    case 0:
        if (o->tall) {
            for (ptrdiff_t i = rows * part / parts; i < rows * (part + 1) / parts; i++)
                o->row[i] = x + i * cols;
            N(muon_pack)(o, rows, cols, x, cols, 1, part, parts);
        } else {
            N(muon_pack)(o, cols, rows, x, 1, cols, part, parts);
        }
        break;
    case 1:
        N(muon_product)(o, side, side, o->tall ? rows : cols, o->tall ? NULL : x, 1, 0, NULL,
                        o->gram, part, parts);
        break;
    case 2:
        N(muon_pack)(o, side, side, o->gram, side, 1, part, parts);
        break;
    case 3:
        N(muon_product)(o, side, side, side, o->gram, h[11], h[10], o->gram, o->mixture, part,
                        parts);
        break;
    case 4:
        if (o->tall)
            N(muon_pack)(o, side, side, o->mixture, side, 1, part, parts);
        else
            N(muon_pack)(o, rows, cols, x, cols, 1, part, parts);
        break;
    case 5:
        N(muon_product)(o, rows, cols, side, o->tall ? x : o->mixture, 1, h[9], x, next, part,
                        parts);
        break;
    }
}

static int N(muon_stages)(const double *h) {
    return 2 + (int)h[12] * HL_MUON_STAGES_OF_STEP + 1;
}

static void N(muon)(const hl_whole *weight, const double *h_, int stage, int part, int parts) {
    T h[HL_MAX_HYPER];
    for (int i = 0; i < HL_MAX_HYPER; i++)
        h[i] = (T)h_[i];
    N(polar) o = N(muon_of)(weight);
    N(muon_place)(&o, weight->room);
    const int steps = (int)h_[12], last = N(muon_stages)(h_) - 1;
    if (stage >= 2 && stage < last) {
        const int step = (stage - 2) / HL_MUON_STAGES_OF_STEP;
        N(muon_iterate)(&o, h, (stage - 2) % HL_MUON_STAGES_OF_STEP, o.x[step % 2],
                        o.x[(step + 1) % 2], part, parts);
        return;
    }
    const ptrdiff_t first = o.blocks * part / parts, end = o.blocks * (part + 1) / parts;
    const double longest = (double)(o.tall ? o.rows : o.cols);
    const T rate = (T)(h_[5] * (h_[13] > 0 ? sqrt(longest) * h_[13] : 1));
    const double norm = stage == 1 ? sqrt(N(sum_of_blocks)(o.squares, o.blocks)) : 0;
    for (ptrdiff_t number = first; number < end; number++)
        if (stage == 0)
            N(muon_momentum)(weight, &o, h, number);
        else if (stage == 1)
            N(muon_start)(weight, &o, h, (T)(1 / (norm + 1e-7)), number);
        else
            N(muon_update)(weight, &o, o.x[steps % 2], rate, number);
}
