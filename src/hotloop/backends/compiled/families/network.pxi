# Small networks, which one step trains on whole batches: see hotloop.graph.network.


cdef void run_network(const void *args, ptrdiff_t first, ptrdiff_t n, Batch *batch,
                      Worker *worker) noexcept nogil:
    """All batches up to one whose loss is not finite; the steps behind see the rows of those."""
    cdef const hl_network_args *a = <const hl_network_args *> args
    cdef ptrdiff_t done = batch.kernels.train_network(
        &a.network, batch.hyper, batch.iteration, batch.powers, batch.rows, batch.size, a.x,
        a.y_true, a.label, a.weight, a.values, a.y_pred, a.room,
    )
    if done < batch.count:
        batch.finite[0] = False
        batch.count = done
        batch.rows = done * batch.size


@lowers("network_update")
def _network_update(Lowering to, list inputs, list outputs, dict attributes):
    cdef hl_network_args *a = <hl_network_args *> to.fill(
        run_network, HL_BY_ONE, sizeof(hl_network_args)
    )
    cdef hl_network *network = &a.network
    cdef hl_layer *layer
    cdef Operand x, y_true, values = outputs[0], y_pred = outputs[1]
    options, kind = attributes["options"], attributes["kind"]
    variables = [v for v in inputs if (<Operand> v).variable is not None]
    given = [v for v in inputs if (<Operand> v).variable is None]
    x, y_true = given[:2]
    network.inputs = x.size
    network.depth = len(attributes["layers"])
    for i, layered in enumerate(attributes["layers"]):
        layer = &network.layer[i]
        layer.units = layered.shape[1]
        layer.activation = <hl_activation> <int> ACTIVATIONS[layered.activation]
        layer.alpha = layered.alpha
        layer.w = _take_weight(to, variables, layer.w_state)
        if layered.b is not None:
            layer.b = _take_weight(to, variables, layer.b_state)
    network.softmax = kind in CROSSENTROPIES
    if network.softmax:
        network.clip = options.get("clip", False)
        network.param = options.get("smoothing", 0.0)
    else:
        network.loss = <hl_loss> <int> LOSSES[kind]
        network.param = options.get("param", 0.0)
    network.loss_weight = attributes["loss_weight"]
    network.rule = <hl_optimizer> <int> UPDATES[to.optimizer.op]
    if y_true.dtype == HL_I32:
        a.label = <const int32_t *> y_true.data
    else:
        a.y_true = y_true.data
    a.x, a.weight = x.data, _of(given, 2).data
    a.values, a.y_pred = values.data, y_pred.data
    a.room = to.room(to.kernels.network_scratch(network))
    to.network = a


cdef void *_take_weight(Lowering to, list variables, void **state) except NULL:
    """Address of the first of these variables; takes it and its state from the list."""
    cdef int i
    cdef Operand weight = variables.pop(0)
    for i in range(len(to.optimizer.slot_values())):
        state[i] = (<Operand> variables.pop(0)).data
    return weight.data
