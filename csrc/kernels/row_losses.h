/* Losses with several options, and those that need a whole row or all rows: see hl_row_loss. */

/* u^gamma. A base below 0, of a prediction that is no probability, has a power where gamma is whole. */
static HL_RARE vec N(power)(vec u, T gamma) {
    if (gamma == 0)
        return splat(1);
    if (gamma == (T)0.5)
        return vsqrt(u);
    if (gamma == 1)
        return u;
    if (gamma == 2)
        return u * u;
    const vec size = vexp(vlog(vabs(u)) * gamma);
    const T parity = (T)fabs(fmod((double)gamma, 2));
    const vec of_negative = parity == 0 ? size : parity == 1 ? -size : splat((T)NAN);
    return select((ivec)(u < 0), of_negative, size);
}

/* gamma u^(gamma - 1) */
static HL_INLINE vec N(power_slope)(vec u, T gamma) {
    return gamma == 0 ? splat(0) : N(power)(u, gamma - 1) * gamma;
}

static HL_RARE N(term) N(binary_focal)(vec y, vec p, const double *option) {
    const T gamma = (T)option[0];
    const vec positive = splat((T)option[1]), smoothing = splat((T)option[3]);
    const vec t = mul_add(y, 1 - smoothing, smoothing * (T)0.5);
    const vec rest = 1 - t, balance = mul_add(t, positive, rest * (T)option[2]);
    const N(term) plain = N(binary_crossentropy)(y, p, smoothing);
    const vec u = mul_add(t, 1 - p, rest * p);
    const vec focus = N(power)(u, gamma);
    const vec slope =
        mul_add(N(power_slope)(u, gamma) * (rest - t), plain.value, focus * plain.slope);
    return (N(term)){balance * focus * plain.value, balance * slope};
}

static HL_RARE N(term) N(binary_focal_logits)(vec y, vec x, const double *option) {
    const vec p = vsigmoid(x);
    const N(term) term = N(binary_focal)(y, p, option);
    return (N(term)){term.value, term.slope * (p * vsigmoid(-x))};
}

/* Rows of one element are taken VL at a time. */
static HL_RARE void N(binary_focal_rows)(N(term) (*f)(vec y, vec p, const double *option),
                                         const double *option, const T *y, const T *p,
                                         const T *weight, ptrdiff_t group, double scale, T *values,
                                         T *gradient, ptrdiff_t rows, ptrdiff_t cols) {
    const T slope_scale = (T)(scale / (double)cols);
    const ptrdiff_t at_once = cols == 1 ? VL : 1;
    for (ptrdiff_t i = 0; i < rows; i += at_once) {
        const int count = cols == 1 ? lanes_left(rows - i) : 1;
        const vec w = cols == 1 ? N(row_weights)(weight, group, i, count)
                                : splat(N(row_weight)(weight, group, i));
        vec sum = splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int filled = cols == 1 ? count : lanes_left(cols - j);
            const ptrdiff_t at = i * cols + j;
            const N(term) term = f(load_n(y + at, filled), load_n(p + at, filled), option);
            sum += only(first_lanes(filled), term.value);
            if (gradient)
                store_n(gradient + at, term.slope * (w * slope_scale), filled);
        }
        if (cols > 1)
            sum = splat(sum_lanes(sum) / (T)cols);
        store_n(values + i, sum * w, count);
    }
}

/* One class's share of the categorical focal loss, and its slope with respect to its probability. */
static HL_RARE N(term) N(focal_class)(vec t, vec p, T gamma, T alpha) {
    const vec q = clamp(p, EPSILON, ONE_MINUS_EPSILON), rest = 1 - q;
    const vec log_q = vlog(q), focus = N(power)(rest, gamma);
    const vec scaled = t * -alpha;
    const vec slope = scaled * mul_add(-N(power_slope)(rest, gamma), log_q, focus / q);
    return (N(term)){scaled * focus * log_q, only(N(within)(p, EPSILON, ONE_MINUS_EPSILON), slope)};
}

/* Probabilities from column j on: x / divisor, or, of logits, exp(x - shift) / divisor. */
static HL_INLINE vec N(shares)(int logits, const T *x, T shift, T divisor, int count) {
    vec v = load_n(x, count);
    if (logits)
        v = vexp(v - shift);
    v /= divisor;
    return count == VL ? v : only(first_lanes(count), v);
}

static HL_RARE void N(categorical_focal)(int logits, const double *option, const T *y_true,
                                         const T *y_pred, const T *weight, ptrdiff_t group,
                                         double scale, T *values, T *gradient, ptrdiff_t rows,
                                         ptrdiff_t cols) {
    const T gamma = (T)option[0], alpha = (T)option[1];
    const N(targets) t = N(targets_of)(y_true, NULL, option[2], cols);
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T w = N(row_weight)(weight, group, i);
        const T *x = y_pred + i * cols;
        const T shift = logits ? N(row_max)(x, cols) : 0;
        T divisor;
        if (logits) {
            divisor = N(sum_exp)(x, shift, NULL, cols);
        } else {
            vec total = splat(0);
            for (ptrdiff_t j = 0; j < cols; j += VL)
                total += load_n(x + j, lanes_left(cols - j));
            divisor = sum_lanes(total);
        }

        vec loss = splat(0), dot = splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec p = N(shares)(logits, x + j, shift, divisor, count);
            const N(term) term =
                N(focal_class)(N(targets_at)(&t, i, j, cols, count), p, gamma, alpha);
            loss += term.value;
            dot = mul_add(term.slope, p, dot);
        }
        values[i] = sum_lanes(loss) * w;
        if (!gradient)
            continue;

        const T mean_slope = sum_lanes(dot), factor = w * (T)scale;
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec p = N(shares)(logits, x + j, shift, divisor, count);
            const N(term) term =
                N(focal_class)(N(targets_at)(&t, i, j, cols, count), p, gamma, alpha);
            const vec slope = (term.slope - mean_slope) * factor;
            store_n(gradient + i * cols + j, logits ? slope * p : slope / divisor, count);
        }
    }
}

static void N(generalized_crossentropy)(T power, const int32_t *label, const T *y_pred,
                                        const T *weight, ptrdiff_t group, double scale, T *values,
                                        T *gradient, ptrdiff_t rows, ptrdiff_t cols) {
    const N(targets) t = N(targets_of)(NULL, label, 0, cols);
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T w = N(labelled_weight)(&t, N(row_weight)(weight, group, i), i, cols);
        const ptrdiff_t own = label[i] >= 0 && label[i] < cols ? label[i] : 0;
        const vec p = splat(y_pred[i * cols + own]);
        values[i] = (1 - N(power)(p, power)[0]) / power * w;
        if (!gradient)
            continue;
        const T factor = w * (T)scale;
        for (ptrdiff_t j = 0; j < cols; j++)
            gradient[i * cols + j] = 0 * factor;
        gradient[i * cols + own] = -N(power)(p, power - 1)[0] * factor;
    }
}

static void N(categorical_hinge)(const T *y_true, const T *y_pred, const T *weight, ptrdiff_t group,
                                 double scale, T *values, T *gradient, ptrdiff_t rows,
                                 ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T w = N(row_weight)(weight, group, i);
        const T *y = y_true + i * cols, *p = y_pred + i * cols;
        vec own = splat(0), other = splat(-(T)INFINITY);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec y_j = load_n(y + j, count), p_j = load_n(p + j, count);
            own = mul_add(y_j, p_j, own);
            other = vmax(select(first_lanes(count), (1 - y_j) * p_j, other), other);
        }
        const T most = max_lanes(other), margin = most - sum_lanes(own) + 1;
        values[i] = (margin <= 0 ? 0 : margin) * w;
        if (!gradient)
            continue;

        ivec ties = (ivec)splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec wrong = (1 - load_n(y + j, count)) * load_n(p + j, count);
            ties -= (ivec)(wrong == most) & first_lanes(count);
        }
        const T factor = margin > 0 ? w * (T)scale : 0, share = 1 / (T)add_lanes(ties);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec y_j = load_n(y + j, count), rest = 1 - y_j;
            const vec up = only((ivec)(rest * load_n(p + j, count) == most), rest * share);
            store_n(gradient + i * cols + j, (up - y_j) * factor, count);
        }
    }
}

static void N(cosine_similarity)(const T *y_true, const T *y_pred, const T *weight, ptrdiff_t group,
                                 double scale, T *values, T *gradient, ptrdiff_t rows,
                                 ptrdiff_t cols) {
    for (ptrdiff_t i = 0; i < rows; i++) {
        const T w = N(row_weight)(weight, group, i);
        const T *y = y_true + i * cols, *p = y_pred + i * cols;
        vec yy = splat(0), pp = splat(0), yp = splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec y_j = load_n(y + j, count), p_j = load_n(p + j, count);
            yy = mul_add(y_j, y_j, yy);
            pp = mul_add(p_j, p_j, pp);
            yp = mul_add(y_j, p_j, yp);
        }
        const T of_p = N(inverse_length)(p, sum_lanes(pp), cols);
        const T of_y = N(inverse_length)(y, sum_lanes(yy), cols);
        T cosine = sum_lanes(yp) * of_y * of_p;
        if (!isfinite(cosine))
            cosine = N(unit_product)(y, of_y, p, of_p, cols);
        values[i] = -cosine * w;
        if (!gradient)
            continue;

        /* dcosine/dp = (y / |y| - cosine p / |p|) / |p|; a length that is fixed adds nothing. */
        const T own = of_p < 1 / EPSILON ? cosine * of_p : 0;
        const T factor = -w * (T)scale * of_p;
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec away = load_n(p + j, count) * -own;
            const vec slope = mul_add(load_n(y + j, count), splat(of_y), away);
            store_n(gradient + i * cols + j, slope * factor, count);
        }
    }
}

/* One value for rows that are taken together. */
static void N(tversky_of)(const double *option, const T *y_true, const T *y_pred, const T *weight,
                          ptrdiff_t group, ptrdiff_t first, double scale, T *values, T *gradient,
                          ptrdiff_t rows, ptrdiff_t cols) {
    const double alpha = option[0], beta = option[1], epsilon = option[2];
    double both = 0, of_y = 0, of_p = 0, weights = 0;
    for (ptrdiff_t i = first; i < first + rows; i++) {
        vec yp = splat(0), y_sum = splat(0), p_sum = splat(0);
        for (ptrdiff_t j = 0; j < cols; j += VL) {
            const int count = lanes_left(cols - j);
            const vec y = load_n(y_true + i * cols + j, count);
            const vec p = load_n(y_pred + i * cols + j, count);
            yp = mul_add(y, p, yp);
            y_sum += y;
            p_sum += p;
        }
        both += (double)sum_lanes(yp);
        of_y += (double)sum_lanes(y_sum);
        of_p += (double)sum_lanes(p_sum);
        weights += (double)N(row_weight)(weight, group, i);
    }
    const double whole = both + alpha * (of_y - both) + beta * (of_p - both) + epsilon;
    const T value = (T)(1 - both / whole);
    for (ptrdiff_t i = first; i < first + rows; i++)
        values[i] = value * N(row_weight)(weight, group, i);
    if (!gradient)
        return;

    /* d(both / whole)/dp = (y whole - both (y (1 - alpha) + beta (1 - y))) / whole^2 */
    const double factor = weights * scale / (whole * whole);
    const vec of_target = splat((T)(factor * (both * (1 - alpha - beta) - whole)));
    const vec constant = splat((T)(factor * both * beta));
    for (ptrdiff_t at = first * cols; at < (first + rows) * cols; at += VL) {
        const int count = lanes_left((first + rows) * cols - at);
        store_n(gradient + at, mul_add(load_n(y_true + at, count), of_target, constant), count);
    }
}

static HL_RARE void N(row_loss)(hl_row_loss kind, const double *option, const void *y,
                                const int32_t *label, const void *p, const void *w,
                                ptrdiff_t group, double scale, void *values, void *gradient,
                                ptrdiff_t rows, ptrdiff_t cols) {
    switch (kind) {
    case HL_BINARY_FOCAL_CROSSENTROPY:
        N(binary_focal_rows)(N(binary_focal), option, y, p, w, group, scale, values, gradient, rows,
                             cols);
        break;
    case HL_BINARY_FOCAL_CROSSENTROPY_LOGITS:
        N(binary_focal_rows)(N(binary_focal_logits), option, y, p, w, group, scale, values,
                             gradient, rows, cols);
        break;
    case HL_CATEGORICAL_FOCAL_CROSSENTROPY:
        N(categorical_focal)(0, option, y, p, w, group, scale, values, gradient, rows, cols);
        break;
    case HL_CATEGORICAL_FOCAL_CROSSENTROPY_LOGITS:
        N(categorical_focal)(1, option, y, p, w, group, scale, values, gradient, rows, cols);
        break;
    case HL_GENERALIZED_CROSSENTROPY:
        N(generalized_crossentropy)((T)option[0], label, p, w, group, scale, values, gradient, rows,
                                    cols);
        break;
    case HL_CATEGORICAL_HINGE:
        N(categorical_hinge)(y, p, w, group, scale, values, gradient, rows, cols);
        break;
    case HL_COSINE_SIMILARITY:
        N(cosine_similarity)(y, p, w, group, scale, values, gradient, rows, cols);
        break;
    case HL_TVERSKY:
        for (ptrdiff_t i = 0; i < rows; i++)
            N(tversky_of)(option, y, p, w, group, i, scale, values, gradient, 1, cols);
        break;
    case HL_BATCH_TVERSKY:
        N(tversky_of)(option, y, p, w, group, 0, scale, values, gradient, rows, cols);
        break;
    }
}
