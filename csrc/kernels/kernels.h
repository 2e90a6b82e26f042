/* All kernels of one element type, and their table. */
#include "vector.h"
#include "functions.h"

#include "gemm.h"
#include "pack.h"
#include "gemm_row.h"
#include "elementwise.h"
#include "program.h"
#include "noise.h"
#include "rows.h"
#include "normalization.h"
#include "prelu.h"
#include "narrow.h"
#include "losses.h"
#include "row_losses.h"
#include "metrics.h"
#include "optimizers.h"
#include "blocks.h"
#include "adafactor.h"
#include "lamb.h"
#include "muon.h"
#include "whole_update.h"
#include "gemm_update.h"
#include "weights.h"
#include "network.h"
#include "gather.h"
#include "indices.h"
#include "steps.h"
#include "ctc.h"
#include "circle.h"

#undef HL_WORD
#define HL_WORD(NAME, value, ...) " " #value

const hl_kernels HL_TABLE(HL_ISA, T_SUFFIX) = {
    .isa = HL_STRING(HL_ISA),
    .itemsize = sizeof(T),
    .vl = VL,
    .mr = MR,
    .nr = 2 * VL,
    .activations = "linear" HL_ACTIVATIONS(HL_WORD),
    .merges = HL_MERGES(HL_WORD),
    .functions = HL_VECTOR_FUNCTIONS(HL_WORD) HL_LIBRARY_FUNCTIONS(HL_WORD),
    .gemm = N(gemm),
    .gemm_row = N(gemm_row),
    .gemm_row_transposed = N(gemm_row_transposed),
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
    .program = N(program),
    .dropout = N(dropout),
    .alpha_dropout = N(alpha_dropout),
    .gaussian = N(gaussian),
    .prelu = N(prelu),
    .prelu_gradient = N(prelu_gradient),
    .prelu_alpha_gradient = N(prelu_alpha_gradient),
    .softmax = N(softmax),
    .log_softmax = N(log_softmax),
    .softmax_gradient = N(softmax_gradient),
    .sparsemax = N(sparsemax),
    .sparsemax_gradient = N(sparsemax_gradient),
    .glu = N(glu),
    .glu_gradient = N(glu_gradient),
    .log_softmax_gradient = N(log_softmax_gradient),
    .column_moments = N(column_moments),
    .normalize = N(normalize),
    .normalize_scale_gradient = N(normalize_scale_gradient),
    .normalize_gradient = N(normalize_gradient),
    .moving_average = N(moving_average),
    .layer_norm = N(layer_norm),
    .layer_norm_scale_gradient = N(layer_norm_scale_gradient),
    .layer_norm_gradient = N(layer_norm_gradient),
    .loss = N(loss),
    .crossentropy = N(crossentropy),
    .softmax_crossentropy = N(softmax_crossentropy),
    .row_loss = N(row_loss),
    .ctc = N(ctc),
    .ctc_room = N(ctc_room),
    .circle = N(circle),
    .circle_room = N(circle_room),
    .metric = N(metric),
    .update = N(update),
    .whole_update = N(whole_update),
    .whole_update_stages = N(whole_update_stages),
    .whole_update_room = N(whole_update_room),
    .gemm_update = N(gemm_update),
    .penalty = N(penalty),
    .penalty_gradient = N(penalty_gradient),
    .clip = N(clip),
    .limit_norms = N(limit_norms),
    .exchange_network = N(exchange_network),
    .train_network = N(train_network),
    .network_scratch = N(network_scratch),
    .gather = N(gather),
    .lookup = N(lookup),
    .lookup_gradient = N(lookup_gradient),
    .encode = N(encode),
    .repeat_steps = N(repeat_steps),
    .max_steps = N(max_steps),
    .max_steps_gradient = N(max_steps_gradient),
    .unit_rows = N(unit_rows),
    .unit_rows_gradient = N(unit_rows_gradient),
    .standardize = N(standardize),
};
