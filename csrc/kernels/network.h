/* Small networks, trained batch after batch in one call: see hl_kernels.train_network.
 *
 * Where layers have a few units each, calling one kernel after another takes longer than the
 * arithmetic. Here one function does all of a batch, VL rows side by side in the lanes. A linear
 * model has its weights in the lanes instead: one row alone makes use of them. */

/* What the batches of one call share. */
typedef struct {
    const hl_network *network;
    const T *x;
    N(targets) targets;
    const T *weight; /* of each row, or NULL */
    T *values;
    T *y_pred;
} N(examples);

/* Whether all of the first lanes are finite. */
static HL_INLINE int N(is_finite)(vec v, int count) {
    return !any_lane(first_lanes(count) & ((ivec)(v - v != 0)));
}

/* The loss of up to VL rows from row i on: writes values, predictions and dy, the slope with
 * respect to the output y of the last layer, zero in lanes without a row. Returns whether all
 * values are finite. */
static int N(loss_in_lanes)(const N(examples) *e, ptrdiff_t i, int rows, double scale, int cols,
                            vec y[NARROW], vec dy[NARROW]) {
    const hl_network *network = e->network;
    const vec w = N(row_weights)(e->weight, 1, i, rows);
    vec loss, e_y[NARROW];
    const vec *predicted = y;
    if (network->softmax) {
        memcpy(e_y, y, (size_t)cols * sizeof *y);
        loss = N(softmax_crossentropy_in_lanes)(network->clip, &e->targets, i, w, (T)scale, e_y,
                                                dy, rows, cols);
        if (network->clip)
            predicted = e_y;
        for (int j = 0; j < cols; j++)
            dy[j] = only(first_lanes(rows), dy[j]);
    } else {
        const int mean = N(is_mean)(network->loss);
        const vec slope_scale = w * (T)(mean ? scale / cols : scale);
        const T *y_true = e->targets.y_true + i * cols;
        if (cols == 1)
            dy[0] = load_n(y_true, rows);
        else
            N(rows_to_lanes)(y_true, rows, cols, dy);
        loss = splat(0);
        for (int j = 0; j < cols; j++) {
            const N(term) term = N(term_of)(network->loss, dy[j], y[j], splat((T)network->param));
            loss += term.value;
            dy[j] = only(first_lanes(rows), term.slope * slope_scale);
        }
        loss *= mean ? w / (T)cols : w;
    }
    store_n(e->values + i, loss, rows);
    if (e->y_pred && cols == 1)
        store_n(e->y_pred + i, predicted[0], rows);
    else if (e->y_pred)
        N(lanes_to_rows)(predicted, e->y_pred + i * cols, rows, cols);
    return N(is_finite)(loss, rows);
}

/* ---------------------------------------------------------- layers, rows in the lanes */

/* Groups of VL rows that go through the layers side by side, for one not to wait for itself: of
 * `groups` of them, each has its units one behind the other, and then comes the next. */
#undef GROUPS
#define GROUPS 2

/* Columns whose sums are formed side by side. */
#undef ABREAST
#define ABREAST (VL < 4 ? VL : 4)

/* y = x w + b for columns j .. j + count - 1 of w, whose rows are units apart. */
static HL_INLINE void N(layer_forward_part)(const int groups, const int count, ptrdiff_t units,
                                            ptrdiff_t inputs, const T *w, const T *b, const vec *x,
                                            ptrdiff_t j, vec *y) {
    vec sum[GROUPS][ABREAST];
    HL_UNROLL for (int g = 0; g < groups; g++)
        HL_UNROLL for (int q = 0; q < count; q++)
            sum[g][q] = splat(b ? b[j + q] : 0);
    for (ptrdiff_t i = 0; i < inputs; i++)
        HL_UNROLL for (int g = 0; g < groups; g++)
            HL_UNROLL for (int q = 0; q < count; q++)
                sum[g][q] = mul_add(x[g * inputs + i], splat(w[i * units + j + q]), sum[g][q]);
    HL_UNROLL for (int g = 0; g < groups; g++)
        HL_UNROLL for (int q = 0; q < count; q++)
            y[g * units + j + q] = sum[g][q];
}

static HL_INLINE void N(layer_forward)(const int groups, ptrdiff_t units, ptrdiff_t inputs,
                                       const T *w, const T *b, const vec *x, vec *y) {
    ptrdiff_t j = 0;
    for (; j + ABREAST <= units; j += ABREAST)
        N(layer_forward_part)(groups, ABREAST, units, inputs, w, b, x, j, y);
    for (; j < units; j++)
        N(layer_forward_part)(groups, 1, units, inputs, w, b, x, j, y);
}

/* dx = dy w^T for inputs i .. i + count - 1 of the layer. */
static HL_INLINE void N(layer_backward_part)(const int groups, const int count, ptrdiff_t units,
                                             ptrdiff_t inputs, const T *w, const vec *dy,
                                             ptrdiff_t i, vec *dx) {
    vec sum[GROUPS][ABREAST] = {{{0}}};
    for (ptrdiff_t j = 0; j < units; j++)
        HL_UNROLL for (int g = 0; g < groups; g++)
            HL_UNROLL for (int q = 0; q < count; q++)
                sum[g][q] = mul_add(dy[g * units + j], splat(w[(i + q) * units + j]), sum[g][q]);
    HL_UNROLL for (int g = 0; g < groups; g++)
        HL_UNROLL for (int q = 0; q < count; q++)
            dx[g * inputs + i + q] = sum[g][q];
}

static HL_INLINE void N(layer_backward)(const int groups, ptrdiff_t units, ptrdiff_t inputs,
                                        const T *w, const vec *dy, vec *dx) {
    ptrdiff_t i = 0;
    for (; i + ABREAST <= inputs; i += ABREAST)
        N(layer_backward_part)(groups, ABREAST, units, inputs, w, dy, i, dx);
    for (; i < inputs; i++)
        N(layer_backward_part)(groups, 1, units, inputs, w, dy, i, dx);
}

/* Adds x^T dy, and the sum of dy where there is a bias, each lane by itself and the groups one
 * after the other. */
static HL_INLINE void N(layer_sums)(const int groups, int begin, int biased, ptrdiff_t inputs,
                                    ptrdiff_t units, const vec *x, const vec *dy, vec *sums) {
    for (ptrdiff_t i = 0; i < inputs; i++, sums += units)
        for (ptrdiff_t j = 0; j < units; j++) {
            vec sum = begin ? x[i] * dy[j] : mul_add(x[i], dy[j], sums[j]);
            HL_UNROLL for (int g = 1; g < groups; g++)
                sum = mul_add(x[g * inputs + i], dy[g * units + j], sum);
            sums[j] = sum;
        }
    for (ptrdiff_t j = 0; biased && j < units; j++) {
        vec sum = begin ? dy[j] : sums[j] + dy[j];
        HL_UNROLL for (int g = 1; g < groups; g++)
            sum += dy[g * units + j];
        sums[j] = sum;
    }
}

static ptrdiff_t N(layer_inputs)(const hl_network *network, int l) {
    return l ? network->layer[l - 1].units : network->inputs;
}

/* Weights and biases of layer l. */
static ptrdiff_t N(layer_weights)(const hl_network *network, int l) {
    const hl_layer *layer = &network->layer[l];
    return (N(layer_inputs)(network, l) + (layer->b != NULL)) * layer->units;
}

/* Those of all layers, rounded up to whole vectors. */
static ptrdiff_t N(network_weights)(const hl_network *network) {
    ptrdiff_t weights = 0;
    for (int l = 0; l < network->depth; l++)
        weights += N(layer_weights)(network, l);
    return (weights + VL - 1) / VL * VL;
}

/* Copies all weights (which = 0), or what the optimizer keeps of them (1 to 3), into one array, or
 * back: the last layer first, of each layer its matrix row by row, then its bias. One array is one
 * update for all. */
static void N(exchange_layers)(int out, const hl_network *network, int which, T *all) {
    for (int l = network->depth - 1; l >= 0; l--) {
        const hl_layer *layer = &network->layer[l];
        const ptrdiff_t inputs = N(layer_inputs)(network, l), units = layer->units;
        T *w = which ? layer->w_state[which - 1] : layer->w;
        T *b = which ? layer->b_state[which - 1] : layer->b;
        if (!w)
            return;
        for (ptrdiff_t j = 0; j < units; j += 2 * VL) {
            const ptrdiff_t n = units - j < 2 * VL ? units - j : 2 * VL;
            if (out)
                N(pack)(inputs, n, all + j, units, 1, w + j * inputs);
            else
                N(unpack)(inputs, n, w + j * inputs, all + j, units, 1);
        }
        if (b)
            memcpy(out ? b : all + inputs * units, out ? all + inputs * units : b,
                   (size_t)units * sizeof(T));
        all += N(layer_weights)(network, l);
    }
}

/* What a batch's rows go through, and the weights, which stay from batch to batch. */
typedef struct N(layers) {
    const hl_network *network;
    const T *w_of[HL_MAX_LAYERS];
    vec *before[HL_MAX_LAYERS], *after[HL_MAX_LAYERS + 1];
    vec *dy, *dx, *sums;
    T *gradient, *all[4]; /* of all layers: weights, then what the optimizer keeps of them */
} N(layers);

/* Scratch: weights and the optimizer's three arrays; the gradient; the columns of x; each layer's
 * before and after its activation; two columns of slopes; the sums of the gradient. */
static size_t N(network_scratch)(const hl_network *network) {
    const size_t weights = (size_t)N(network_weights)(network);
    const size_t vectors = GROUPS * NARROW * (3 + 2 * (size_t)network->depth) + weights;
    return 5 * weights * sizeof(T) + vectors * sizeof(vec);
}

static N(layers) N(layers_in)(const hl_network *network, void *scratch) {
    const ptrdiff_t weights = N(network_weights)(network);
    N(layers) t = {.network = network};
    T *at = scratch;
    for (int s = 0; s < 4; s++, at += weights)
        t.all[s] = at;
    t.gradient = at;
    vec *next = (vec *)(at + weights);
    t.after[0] = next; /* after layer l - 1: the input of l */
    next += GROUPS * NARROW;
    for (int l = 0; l < network->depth; l++, next += 2 * GROUPS * NARROW) {
        t.before[l] = next;
        t.after[l + 1] =
            network->layer[l].activation == HL_LINEAR ? next : next + GROUPS * NARROW;
    }
    t.dy = next;
    t.dx = t.dy + GROUPS * NARROW;
    t.sums = t.dx + GROUPS * NARROW;
    at = t.all[0];
    for (int l = network->depth - 1; l >= 0; l--) {
        t.w_of[l] = at;
        at += N(layer_weights)(network, l);
    }
    return t;
}

/* Adds what rows i .. i + rows - 1, up to VL a group, add to a batch's gradient. Returns whether
 * their losses are finite. */
static HL_INLINE int N(train_rows)(const int groups, const N(examples) *e, const N(layers) *t,
                                   ptrdiff_t i, ptrdiff_t rows, int begin, double scale) {
    const hl_network *network = t->network;
    const int depth = network->depth, outputs = (int)network->layer[depth - 1].units;
    ptrdiff_t inputs = network->inputs;
    for (int g = 0; g < groups; g++) {
        const int count = lanes_left(rows - g * VL);
        vec *x = t->after[0] + g * inputs;
        N(rows_to_lanes)(e->x + (i + g * VL) * inputs, count, (int)inputs, x);
        /* Zeros in lanes without a row could overflow where no row does, and 0 * infinity would get
         * into the sums: such lanes compute what the first row does. */
        for (ptrdiff_t j = 0; count < VL && j < inputs; j++)
            x[j] = select(first_lanes(count), x[j], splat(x[j][0]));
    }
    for (int l = 0; l < depth; l++) {
        const hl_layer *layer = &network->layer[l];
        const T *b = layer->b ? t->w_of[l] + inputs * layer->units : NULL;
        N(layer_forward)(groups, layer->units, inputs, t->w_of[l], b, t->after[l], t->before[l]);
        inputs = layer->units;
        const ptrdiff_t n = groups * inputs * VL;
        if (layer->activation != HL_LINEAR)
            N(activation)(layer->activation, layer->alpha, t->before[l], n, t->after[l + 1], n, 1,
                          n);
    }
    int finite = 1;
    vec *dy = t->dy, *dx = t->dx, *end = t->sums;
    for (int g = 0; g < groups; g++)
        finite &= N(loss_in_lanes)(e, i + g * VL, lanes_left(rows - g * VL), scale, outputs,
                                   t->after[depth] + g * outputs, dy + g * outputs);
    for (int l = depth - 1; l >= 0; l--) {
        const hl_layer *layer = &network->layer[l];
        const ptrdiff_t units = layer->units, n = groups * units * VL;
        inputs = N(layer_inputs)(network, l);
        if (layer->activation != HL_LINEAR)
            N(activation_gradient)(
                layer->activation, layer->alpha, dy,
                N(gradient_reads_input)(layer->activation) ? t->before[l] : t->after[l + 1], dy, n,
                1, n);
        N(layer_sums)(groups, begin, layer->b != NULL, inputs, units, t->after[l], dy, end);
        end += N(layer_weights)(network, l);
        if (l) {
            N(layer_backward)(groups, units, inputs, t->w_of[l], dy, dx);
            vec *swapped = dy;
            dy = dx;
            dx = swapped;
        }
    }
    return finite;
}

static ptrdiff_t N(train_layers)(const N(examples) *e, const double *hyper, int64_t steps,
                                 hl_powers kept[2], ptrdiff_t rows, ptrdiff_t batch_size,
                                 void *scratch) {
    const hl_network *network = e->network;
    const ptrdiff_t weights = N(network_weights)(network);
    const N(layers) t = N(layers_in)(network, scratch);
    /* Lanes that no weight has. */
    for (ptrdiff_t p = weights - VL; p < weights; p++)
        t.sums[p] = splat(0);

    ptrdiff_t done = 0;
    for (ptrdiff_t first = 0; first < rows; first += batch_size, done++) {
        const ptrdiff_t size = rows - first < batch_size ? rows - first : batch_size;
        const double scale = network->loss_weight / (double)size;
        int finite = 1;
        for (ptrdiff_t r = 0; r < size; r += GROUPS * VL)
            finite &= size - r > VL
                          ? N(train_rows)(GROUPS, e, &t, first + r, size - r, r == 0, scale)
                          : N(train_rows)(1, e, &t, first + r, size - r, r == 0, scale);
        if (!finite)
            break;
        for (ptrdiff_t p = 0; p < weights; p += VL) {
            vec some[VL];
            HL_UNROLL for (int q = 0; q < VL; q++)
                some[q] = t.sums[p + q];
            store(t.gradient + p, N(sums_of_lanes)(some));
        }
        double h[HL_MAX_HYPER];
        hl_optimizer_prepare(network->rule, hyper, steps + done + 1, kept, h);
        N(update)(network->rule, h, t.all[0], t.gradient, t.all[1], t.all[2], t.all[3], weights);
    }
    return done;
}

/* ------------------------------------------- a linear model, weights in the lanes */

/* An activation, and its gradient, of one vector. By value: what a caller lends the address of, it
 * keeps in memory, and that is on the way from one row to the next. */
static __attribute__((noinline)) vec N(activated)(const hl_layer *layer, vec z) {
    N(activation)(layer->activation, layer->alpha, &z, VL, &z, VL, 1, VL);
    return z;
}

static __attribute__((noinline)) vec N(activated_slope)(const hl_layer *layer, vec dy, vec z,
                                                        vec y) {
    N(activation_gradient)(layer->activation, layer->alpha, &dy,
                           N(gradient_reads_input)(layer->activation) ? &z : &y, &dy, VL, 1, VL);
    return dy;
}

/* A vector of weights, and what the optimizer keeps of them. */
typedef struct {
    vec of[4];
} N(kept_vectors);

/* One step of any rule. By value, as above. */
static HL_RARE N(kept_vectors) N(updated)(hl_optimizer rule, const double *h, N(kept_vectors) all,
                                          vec g) {
    N(update)(rule, h, &all.of[0], &g, &all.of[1], &all.of[2], &all.of[3], VL);
    return all;
}

/* Copies weights and bias into one array, or back. */
static void N(exchange_linear)(int out, ptrdiff_t inputs, T *both, T *w, T *b) {
    if (!w)
        return;
    memcpy(out ? w : both, out ? both : w, (size_t)inputs * sizeof(T));
    if (b && out)
        *b = both[inputs];
    else if (b)
        both[inputs] = *b;
}

/* Scratch of a linear model: weights and bias, then what the optimizer keeps of them. */
typedef T N(linear)[4][HL_MAX_UNITS] __attribute__((aligned(HL_VECTOR_BYTES)));

/* With one_row, every batch is one: nothing is counted then, and no row goes through memory. */
static HL_INLINE ptrdiff_t N(train_linear_in)(const int one_row, const int vecs,
                                              const N(examples) *e, const double *hyper,
                                              int64_t steps, hl_powers kept[2], ptrdiff_t rows,
                                              ptrdiff_t batch_size, N(linear) *scratch) {
    const hl_network *network = e->network;
    const hl_layer *layer = &network->layer[0];
    const ptrdiff_t inputs = network->inputs;
    const int linear = layer->activation == HL_LINEAR;
    N(linear) all; /* a copy: nothing else can point to it */
    memcpy(all, scratch, sizeof all);
    T *const w = all[0];
    vec one[HL_MAX_UNITS / VL]; /* what the bias is multiplied by */
    ivec used[HL_MAX_UNITS / VL];
    int count_of[HL_MAX_UNITS / VL];
    for (int v = 0; v < vecs; v++) {
        const T_INT at = (T_INT)(inputs - v * VL);
        count_of[v] = at < 0 ? 0 : lanes_left(at);
        used[v] = (ivec)(lane_numbers() < at + (layer->b != NULL));
        one[v] = layer->b ? only((ivec)(lane_numbers() == at), splat(1)) : splat(0);
    }

    if (one_row)
        batch_size = 1;
    ptrdiff_t done = 0;
    for (ptrdiff_t first = 0; first < rows; first += batch_size, done++) {
        const ptrdiff_t size = one_row || rows - first > batch_size ? batch_size : rows - first;
        const double scale = network->loss_weight / (double)size;
        int finite = 1;
        vec g[HL_MAX_UNITS / VL] = {{0}};
        for (ptrdiff_t r = first; r < first + size; r += VL) {
            const int count = lanes_left(first + size - r);
            const T *x = e->x + r * inputs;
            T each[VL] = {0};
            vec z = splat(0);
            for (int l = 0; l < count; l++, x += inputs) {
                vec sum = splat(0);
                for (int v = 0; v < vecs; v++) {
                    const vec x_v = load_n(x + v * VL, count_of[v]) + one[v];
                    sum += only(used[v], x_v * load(w + v * VL));
                }
                z = splat_sum(sum);
                if (count > 1)
                    each[l] = z[0];
            }
            /* One row alone stays in all lanes: it goes through no memory. */
            const int alone = count == 1;
            if (!alone)
                z = load(each);
            const vec y = linear ? z : N(activated)(layer, z);

            const T *target = e->targets.y_true + r;
            const vec y_true = alone ? splat(*target) : load_n(target, count);
            const vec weight = alone ? splat(N(row_weight)(e->weight, 1, r))
                                     : N(row_weights)(e->weight, 1, r, count);
            const N(term) term = N(term_of)(network->loss, y_true, y, splat((T)network->param));
            const vec loss = term.value * weight;
            vec dy = term.slope * (weight * (T)scale);
            store_n(e->values + r, loss, count);
            if (e->y_pred)
                store_n(e->y_pred + r, y, count);
            finite &= N(is_finite)(loss, count);
            if (!linear)
                dy = N(activated_slope)(layer, dy, z, y);
            if (!alone)
                store(each, dy);
            x = e->x + r * inputs;
            for (int l = 0; l < count; l++, x += inputs)
                for (int v = 0; v < vecs; v++)
                    g[v] = mul_add(load_n(x + v * VL, count_of[v]) + one[v],
                                   alone ? dy : splat(each[l]), g[v]);
        }
        if (!finite)
            break;
        double h_[HL_MAX_HYPER];
        hl_optimizer_prepare(network->rule, hyper, steps + done + 1, kept, h_);
        const T h[] = {(T)h_[0], (T)h_[1], (T)h_[2], (T)h_[3], (T)h_[4]};
#undef HL_UPDATE_LINEAR
#define HL_UPDATE_LINEAR(rule)                                                                     \
    case rule:                                                                                     \
        for (int v = 0; v < vecs; v++)                                                             \
            N(update_vector)(rule, h, w, g[v], all[1], all[2], all[3], v * VL, VL);                \
        break;
        switch (network->rule) {
            HL_UPDATE_LINEAR(HL_SGD)
            HL_UPDATE_LINEAR(HL_SGD_MOMENTUM)
            HL_UPDATE_LINEAR(HL_SGD_NESTEROV)
            HL_UPDATE_LINEAR(HL_ADAM)
            HL_UPDATE_LINEAR(HL_RMSPROP)
        default:
            for (int v = 0; v < vecs; v++) {
                N(kept_vectors) part;
                for (int s = 0; s < 4; s++)
                    part.of[s] = load(all[s] + v * VL);
                part = N(updated)(network->rule, h_, part, g[v]);
                for (int s = 0; s < 4; s++)
                    store(all[s] + v * VL, part.of[s]);
            }
        }
    }
    memcpy(scratch, all, sizeof all);
    return done;
}

static int N(is_linear)(const hl_network *network) {
    return network->depth == 1 && network->layer[0].units == 1 && !network->softmax &&
           network->inputs <= HL_MAX_LINEAR_INPUTS;
}

static ptrdiff_t N(train_network)(const hl_network *network, const double *hyper, int64_t steps,
                                  hl_powers kept[2], ptrdiff_t rows, ptrdiff_t batch_size,
                                  const void *x, const void *y_true, const int32_t *label,
                                  const void *weight, void *values, void *y_pred, void *scratch) {
    const ptrdiff_t outputs = network->layer[network->depth - 1].units;
    const N(examples) e = {
        network, x, N(targets_of)(y_true, label, network->softmax ? network->param : 0, outputs),
        weight, values, y_pred,
    };
    if (!N(is_linear)(network))
        return N(train_layers)(&e, hyper, steps, kept, rows, batch_size, scratch);
    const int vecs = (int)(network->inputs / VL + 1);
    if (batch_size == 1)
        return vecs == 1 ? N(train_linear_in)(1, 1, &e, hyper, steps, kept, rows, 1, scratch)
                         : N(train_linear_in)(1, vecs, &e, hyper, steps, kept, rows, 1, scratch);
    return vecs == 1
               ? N(train_linear_in)(0, 1, &e, hyper, steps, kept, rows, batch_size, scratch)
               : N(train_linear_in)(0, vecs, &e, hyper, steps, kept, rows, batch_size, scratch);
}

static void N(exchange_network)(int out, const hl_network *network, void *scratch) {
    if (N(is_linear)(network)) {
        const hl_layer *layer = &network->layer[0];
        N(linear) *const all = scratch;
        if (!out)
            memset(all, 0, sizeof *all);
        N(exchange_linear)(out, network->inputs, (*all)[0], layer->w, layer->b);
        for (int s = 0; s < 3; s++)
            N(exchange_linear)(out, network->inputs, (*all)[s + 1], layer->w_state[s],
                               layer->b_state[s]);
        return;
    }
    const ptrdiff_t weights = N(network_weights)(network);
    const N(layers) t = N(layers_in)(network, scratch);
    for (int s = 0; s < 4; s++) {
        if (!out) /* lanes that no weight has */
            store(t.all[s] + weights - VL, splat(0));
        N(exchange_layers)(out, network, s, t.all[s]);
    }
}
