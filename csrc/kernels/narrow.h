/* Rows of a few columns, such as class scores: as many rows as a vector has lanes, side by side.
 *
 * What needs all columns of a row is then done lane by lane, without folding lanes onto each
 * other, and one log or division serves all the rows. */

/* Most columns of such rows. */
#undef NARROW
#define NARROW 32

/* out[j] holds column j of up to VL rows, zero in the lanes that have no row. */
static HL_INLINE void N(rows_to_lanes)(const T *x, int rows, int cols, vec out[NARROW]) {
    if (cols == 2) {
        const vec low = load_n(x, lanes_left(2 * rows));
        const vec high = 2 * rows > VL ? load_n(x + VL, 2 * rows - VL) : splat(0);
        out[0] = every_second(low, high, 0);
        out[1] = every_second(low, high, 1);
        return;
    }
    for (int j = 0; j < cols; j += VL) {
        const int columns = lanes_left(cols - j);
        N(transpose_to)(x + j, cols, rows, columns, (T *)&out[j], VL, columns, VL);
    }
}

static HL_INLINE void N(lanes_to_rows)(const vec x[NARROW], T *out, int rows, int cols) {
    for (int j = 0; j < cols; j += VL) {
        const int columns = lanes_left(cols - j);
        N(transpose_to)((const T *)&x[j], VL, columns, rows, out + j, cols, rows, columns);
    }
}

/* Class numbers of up to VL rows; -1 in the lanes that have no row. */
static HL_INLINE ivec N(labels_to_lanes)(const int32_t *label, int rows) {
    T_INT lanes[VL];
    for (int l = 0; l < VL; l++)
        lanes[l] = l < rows ? label[l] : -1;
    ivec v;
    memcpy(&v, lanes, sizeof v);
    return v;
}
