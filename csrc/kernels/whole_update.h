/* Updates of whole weights, by rule. */

static int N(whole_update_stages)(const hl_whole *weight, const double *h) {
    return weight->kind == HL_LAMB ? 2 : weight->kind == HL_MUON ? N(muon_stages)(h) : 4;
}

static size_t N(whole_update_room)(const hl_whole *weight) {
    return weight->kind == HL_LAMB   ? N(lamb_room)(weight)
           : weight->kind == HL_MUON ? N(muon_room)(weight)
                                     : N(adafactor_room)(weight);
}

static HL_RARE void N(whole_update)(const hl_whole *weight, const double *h, int stage, int part,
                                    int parts) {
    if (weight->kind == HL_LAMB)
        N(lamb)(weight, h, stage, part, parts);
    else if (weight->kind == HL_MUON)
        N(muon)(weight, h, stage, part, parts);
    else
        N(adafactor)(weight, h, stage, part, parts);
}
