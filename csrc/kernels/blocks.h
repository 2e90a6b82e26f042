/* Updates of whole weights: how they are shared out.
 *
 * The rows of a weight are cut into blocks that one part works on at a time. What is summed over
 * more than one block is summed over each first and then from block to block, so the order of all
 * sums depends on the weight's shape alone. */

/* Enough of a weight for its sums to be few, and little enough for all threads to have work. */
static ptrdiff_t N(rows_of_block)(const hl_whole *weight) {
    const ptrdiff_t rows = weight->cols ? 16384 / weight->cols : 1024;
    return rows < 16 ? 16 : rows > 1024 ? 1024 : rows;
}

static ptrdiff_t N(blocks_of_matrix)(const hl_whole *weight) {
    const ptrdiff_t rows = N(rows_of_block)(weight);
    return (weight->rows + rows - 1) / rows;
}

static ptrdiff_t N(blocks_of_weight)(const hl_whole *weight) {
    return weight->matrices * N(blocks_of_matrix)(weight);
}

/* The rows of one block. */
typedef struct N(block) {
    ptrdiff_t matrix;
    ptrdiff_t first; /* within the matrix */
    ptrdiff_t rows;
    ptrdiff_t row; /* number of the first among the rows of all matrices */
} N(block);

static N(block) N(block_of)(const hl_whole *weight, ptrdiff_t number) {
    const ptrdiff_t each = N(rows_of_block)(weight), blocks = N(blocks_of_matrix)(weight);
    N(block) block = {.matrix = number / blocks, .first = number % blocks * each};
    const ptrdiff_t left = weight->rows - block.first;
    block.rows = left < each ? left : each;
    block.row = block.matrix * weight->rows + block.first;
    return block;
}

/* Some rows and columns of a weight: each row's stand side by side, and the rows ld apart. */
typedef struct N(area) {
    ptrdiff_t rows, cols, ld;
    ptrdiff_t at; /* of the first element */
} N(area);

/* Columns that one area has at most. */
static ptrdiff_t N(cols_of_area)(const hl_whole *weight) {
    return weight->packed ? 2 * VL : weight->cols;
}

/* A block's rows of the columns from j on. */
static N(area) N(area_of)(const hl_whole *weight, N(block) block, ptrdiff_t j) {
    const ptrdiff_t most = N(cols_of_area)(weight), left = weight->cols - j;
    N(area) area = {.rows = block.rows, .cols = left < most ? left : most};
    if (weight->packed) {
        area.ld = N(panel_width)(area.cols);
        area.at = j * weight->matrices * weight->rows + block.row * area.ld;
    } else {
        area.ld = weight->cols;
        area.at = block.row * area.ld;
    }
    return area;
}

/* Whether a block's sum of squares was made of squares that T has not: then it is made again. */
static int N(lacks_squares)(double sum) {
    return T_BITS == 32 && (!isfinite(sum) || N(is_minute)((T)sum));
}

/* The sum of the squares of what `numbers` gives for a block's elements, in double. */
static double N(wide_squares)(const hl_whole *weight, const T *h, ptrdiff_t number,
                              vec (*numbers)(const hl_whole *weight, const T *h, ptrdiff_t at,
                                             int count)) {
    const N(block) block = N(block_of)(weight, number);
    double sum = 0;
    for (ptrdiff_t c = 0; c < weight->cols; c += N(cols_of_area)(weight)) {
        const N(area) area = N(area_of)(weight, block, c);
        for (ptrdiff_t i = 0; i < area.rows; i++)
            for (ptrdiff_t j = 0; j < area.cols; j += VL) {
                const int count = lanes_left(area.cols - j);
                const vec x = numbers(weight, h, area.at + i * area.ld + j, count);
                for (int l = 0; l < count; l++)
                    sum += (double)x[l] * (double)x[l];
            }
    }
    return sum;
}

static vec N(weights_at)(const hl_whole *weight, const T *h, ptrdiff_t at, int count) {
    (void)h;
    return load_n((const T *)weight->w + at, count);
}

/* In double, block after block. */
static double N(sum_of_blocks)(const double *sums, ptrdiff_t count) {
    double sum = 0;
    for (ptrdiff_t q = 0; q < count; q++)
        sum += sums[q];
    return sum;
}
