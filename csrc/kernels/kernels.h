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
#include "kernel_table.h" /* one line for each kernel of hl_kernels: see declare.py */
};
