/* All kernels of one element type, and their table. */
#include "vector.h"
#include "functions.h"

#include "gemm.h"
#include "pack.h"
#include "elementwise.h"
#include "rows.h"
#include "narrow.h"
#include "losses.h"
#include "metrics.h"
#include "optimizers.h"
#include "gemm_update.h"
#include "weights.h"
#include "network.h"
#include "gather.h"

const hl_kernels HL_TABLE(HL_ISA, T_SUFFIX) = {
    .isa = HL_STRING(HL_ISA),
    .itemsize = sizeof(T),
    .vl = VL,
    .mr = MR,
    .nr = 2 * VL,
    .gemm = N(gemm),
    .gemm_row = N(gemm_row),
    .pack = N(pack),
    .unpack = N(unpack),
    .sum_rows = N(sum_rows),
    .add_parts = N(add_parts),
    .activation = N(activation),
    .activation_gradient = N(activation_gradient),
    .add_bias = N(add_bias),
    .merge = N(merge),
    .choice_gradient = N(choice_gradient),
    .scale = N(scale),
    .dropout = N(dropout),
    .softmax = N(softmax),
    .log_softmax = N(log_softmax),
    .softmax_gradient = N(softmax_gradient),
    .log_softmax_gradient = N(log_softmax_gradient),
    .loss = N(loss),
    .crossentropy = N(crossentropy),
    .softmax_crossentropy = N(softmax_crossentropy),
    .metric = N(metric),
    .update = N(update),
    .gemm_update = N(gemm_update),
    .penalty = N(penalty),
    .penalty_gradient = N(penalty_gradient),
    .clip = N(clip),
    .blend = N(blend),
    .limit_norms = N(limit_norms),
    .train_network = N(train_network),
    .network_scratch = N(network_scratch),
    .gather = N(gather),
};
