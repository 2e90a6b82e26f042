/* Adafactor: see hl_kernels.whole_update. */

/* An area of a weight, and what gradients there are multiplied by, or what their squares are added
 * to. */
typedef struct N(patch) {
    ptrdiff_t rows, cols, ld, at;
    T *row, *column;
} N(patch);

/* Row and column stand for the block's first of each. */
static N(patch) N(patch_of)(const hl_whole *weight, N(block) block, ptrdiff_t j, T *row,
                            T *column) {
    const N(area) area = N(area_of)(weight, block, j);
    if (area.ld == 1)
        /* A single column has its elements side by side, as a row has them. */
        return (N(patch)){1, area.rows, area.rows, area.at, column + j, row};
    return (N(patch)){area.rows, area.cols, area.ld, area.at, row, column + j};
}

/* Where things stand in the room: sums over each block in double, then T. */
typedef struct N(blocks) {
    ptrdiff_t count;
    double *weights; /* squares of the weights */
    double *means;   /* mean squares of rows */
    double *steps;   /* squares of what the weights are to move by, before that is scaled */
    T *columns;      /* squares of the gradients in each column */
    T *column, *row; /* what gradients are multiplied by; the latter first takes their squares */
} N(blocks);

static N(blocks) N(blocks_of)(const hl_whole *weight) {
    N(blocks) blocks = {.count = N(blocks_of_weight)(weight)};
    blocks.weights = weight->room;
    blocks.means = blocks.weights + blocks.count;
    blocks.steps = blocks.means + blocks.count;
    blocks.columns = (T *)(blocks.steps + blocks.count);
    blocks.column = blocks.columns + blocks.count * weight->cols;
    blocks.row = blocks.column + weight->matrices * weight->cols;
    return blocks;
}

static size_t N(adafactor_room)(const hl_whole *weight) {
    const ptrdiff_t blocks = N(blocks_of_weight)(weight);
    const ptrdiff_t columns = (blocks + weight->matrices) * weight->cols;
    const ptrdiff_t rows = weight->matrices * weight->rows;
    return (size_t)blocks * 3 * sizeof(double) + (size_t)(columns + rows) * sizeof(T);
}

/* Two vectors of columns, or what is left of a row, in all rows of a patch. */
static HL_INLINE void N(add_squares)(const N(patch) *t, ptrdiff_t j, const int count,
                                     const int second, const T *g, const T *w, double *weights) {
    vec column = load_n(t->column + j, count), column_2 = load_n(t->column + j + count, second);
    vec of_w = splat(0), of_w_2 = splat(0);
    for (ptrdiff_t i = 0; i < t->rows; i++) {
        const ptrdiff_t at = t->at + i * t->ld + j;
        const vec g_i = load_n(g + at, count), g_i_2 = load_n(g + at + count, second);
        const vec w_i = load_n(w + at, count), w_i_2 = load_n(w + at + count, second);
        const vec square = g_i * g_i, square_2 = g_i_2 * g_i_2;
        column += square;
        column_2 += square_2;
        t->row[i] += sum_lanes(square + square_2);
        of_w = mul_add(w_i, w_i, of_w);
        of_w_2 = mul_add(w_i_2, w_i_2, of_w_2);
    }
    store_n(t->column + j, column, count);
    store_n(t->column + j + count, column_2, second);
    *weights += (double)sum_lanes(of_w + of_w_2);
}

static HL_INLINE vec N(direction)(vec g, T row, vec column) {
    return g * row * column;
}

static HL_INLINE void N(add_steps)(const N(patch) *t, ptrdiff_t j, const int count,
                                   const int second, const T *g, double *steps) {
    const vec column = load_n(t->column + j, count);
    const vec column_2 = load_n(t->column + j + count, second);
    vec sum = splat(0), sum_2 = splat(0);
    for (ptrdiff_t i = 0; i < t->rows; i++) {
        const ptrdiff_t at = t->at + i * t->ld + j;
        const vec u = N(direction)(load_n(g + at, count), t->row[i], column);
        const vec u_2 = N(direction)(load_n(g + at + count, second), t->row[i], column_2);
        sum = mul_add(u, u, sum);
        sum_2 = mul_add(u_2, u_2, sum_2);
    }
    *steps += (double)sum_lanes(sum + sum_2);
}

static HL_INLINE void N(take_step)(const N(patch) *t, ptrdiff_t j, const int count, T rate,
                                   const T *g, T *w) {
    const vec column = load_n(t->column + j, count);
    for (ptrdiff_t i = 0; i < t->rows; i++) {
        const ptrdiff_t at = t->at + i * t->ld + j;
        const vec u = N(direction)(load_n(g + at, count), t->row[i], column);
        store_n(w + at, mul_add(-u, splat(rate), load_n(w + at, count)), count);
    }
}

/* A mean over steps: both terms positive, so that none is lost in a difference. */
static HL_INLINE vec N(faded)(const double *h, vec before, vec now) {
    return mul_add(before, splat((T)(1 - h[1])), now * (T)h[1]);
}

/* The block's share in all sums, and the mean squares of its rows. */
static void N(adafactor_squares)(const hl_whole *weight, const N(blocks) *blocks,
                                 const double *h, ptrdiff_t number) {
    const N(block) block = N(block_of)(weight, number);
    T *squares = blocks->row + block.row, *columns = blocks->columns + number * weight->cols;
    memset(squares, 0, (size_t)block.rows * sizeof(T));
    memset(columns, 0, (size_t)weight->cols * sizeof(T));
    double weights = 0, means = 0;
    for (ptrdiff_t c = 0; c < weight->cols; c += N(cols_of_area)(weight)) {
        const N(patch) patch = N(patch_of)(weight, block, c, squares, columns);
        ptrdiff_t j = 0;
        for (; patch.cols - j >= 2 * VL; j += 2 * VL)
            N(add_squares)(&patch, j, VL, VL, weight->g, weight->w, &weights);
        for (; j < patch.cols; j += VL)
            N(add_squares)(&patch, j, lanes_left(patch.cols - j), 0, weight->g, weight->w,
                           &weights);
    }
    if (weight->row) {
        T *r = (T *)weight->row + block.row;
        for (ptrdiff_t i = 0; i < block.rows; i += VL) {
            const int count = lanes_left(block.rows - i);
            const vec mean = load_n(squares + i, count) / (T)weight->cols + (T)h[2];
            const vec faded = N(faded)(h, load_n(r + i, count), mean);
            store_n(r + i, faded, count);
            for (int l = 0; l < count; l++)
                means += (double)faded[l];
        }
    }
    if (N(lacks_squares)(weights))
        weights = N(wide_squares)(weight, NULL, number, N(weights_at));
    blocks->weights[number] = weights;
    blocks->means[number] = means;
}

/* Mean squares of columns. */
static void N(adafactor_columns)(const hl_whole *weight, const N(blocks) *blocks,
                                 const double *h, ptrdiff_t first, ptrdiff_t end) {
    const ptrdiff_t cols = weight->cols, parts = N(blocks_of_matrix)(weight);
    for (ptrdiff_t m = 0; m < weight->matrices; m++)
        for (ptrdiff_t j = first; j < end; j += VL) {
            const int count = lanes_left(end - j);
            vec mean = splat(0);
            for (ptrdiff_t q = 0; q < parts; q++)
                mean += load_n(blocks->columns + (m * parts + q) * cols + j, count);
            mean = mean / (T)weight->rows + (T)h[2];
            T *c = (T *)weight->column + m * cols + j;
            const vec faded = N(faded)(h, load_n(c, count), mean);
            store_n(c, faded, count);
            store_n(blocks->column + m * cols + j, 1 / vsqrt(faded), count);
        }
}

static void N(adafactor_steps)(const hl_whole *weight, const N(blocks) *blocks,
                               ptrdiff_t number) {
    const N(block) block = N(block_of)(weight, number);
    const ptrdiff_t parts = N(blocks_of_matrix)(weight);
    T *row = blocks->row + block.row;
    const double all = N(sum_of_blocks)(blocks->means + block.matrix * parts, parts);
    const T root = (T)sqrt(all / (double)weight->rows);
    for (ptrdiff_t i = 0; i < block.rows; i += VL) {
        const int count = lanes_left(block.rows - i);
        vec factor = splat(1);
        if (weight->row)
            factor = root / vsqrt(load_n((T *)weight->row + block.row + i, count));
        store_n(row + i, factor, count);
    }
    double steps = 0;
    for (ptrdiff_t c = 0; c < weight->cols; c += N(cols_of_area)(weight)) {
        T *column = blocks->column + block.matrix * weight->cols;
        const N(patch) patch = N(patch_of)(weight, block, c, row, column);
        ptrdiff_t j = 0;
        for (; patch.cols - j >= 2 * VL; j += 2 * VL)
            N(add_steps)(&patch, j, VL, VL, weight->g, &steps);
        for (; j < patch.cols; j += VL)
            N(add_steps)(&patch, j, lanes_left(patch.cols - j), 0, weight->g, &steps);
    }
    blocks->steps[number] = steps;
}

/* The larger one; NaN if x is. */
static double N(at_least)(double x, double low) {
    return x < low ? low : x;
}

/* What the directions of all weights are multiplied by. */
static T N(adafactor_rate)(const hl_whole *weight, const N(blocks) *blocks, const double *h) {
    const double size = (double)(weight->matrices * weight->rows * weight->cols);
    const double of_weights = sqrt(N(sum_of_blocks)(blocks->weights, blocks->count) / size);
    const double of_steps = sqrt(N(sum_of_blocks)(blocks->steps, blocks->count) / size);
    return (T)(h[0] * N(at_least)(of_weights, h[3]) / N(at_least)(of_steps / h[4], 1));
}

static void N(adafactor_update)(const hl_whole *weight, const N(blocks) *blocks, T rate,
                                ptrdiff_t number) {
    const N(block) block = N(block_of)(weight, number);
    T *column = blocks->column + block.matrix * weight->cols;
    for (ptrdiff_t c = 0; c < weight->cols; c += N(cols_of_area)(weight)) {
        const N(patch) patch = N(patch_of)(weight, block, c, blocks->row + block.row, column);
        for (ptrdiff_t j = 0; j < patch.cols; j += VL)
            N(take_step)(&patch, j, lanes_left(patch.cols - j), rate, weight->g, weight->w);
    }
}

static void N(adafactor)(const hl_whole *weight, const double *h, int stage, int part,
                         int parts) {
    const N(blocks) blocks = N(blocks_of)(weight);
    const ptrdiff_t things = stage == 1 ? weight->cols : blocks.count;
    const ptrdiff_t first = things * part / parts, end = things * (part + 1) / parts;
    if (stage == 1) {
        N(adafactor_columns)(weight, &blocks, h, first, end);
        return;
    }
    const T rate = stage == 3 ? N(adafactor_rate)(weight, &blocks, h) : 0;
    for (ptrdiff_t number = first; number < end; number++)
        if (stage == 0)
            N(adafactor_squares)(weight, &blocks, h, number);
        else if (stage == 2)
            N(adafactor_steps)(weight, &blocks, number);
        else
            N(adafactor_update)(weight, &blocks, rate, number);
}
