/* RNN, GRU, LSTM: what shape rule and kernel need to know. */
#ifndef SLIPWAY_OPS_RECURRENT_H
#define SLIPWAY_OPS_RECURRENT_H

#include "ops/op.h"

typedef enum sw_gate_act {
    SW_GATE_AFFINE,
    SW_GATE_ELU,
    SW_GATE_HARD_SIGMOID,
    SW_GATE_LEAKY_RELU,
    SW_GATE_RELU,
    SW_GATE_SCALED_TANH,
    SW_GATE_SIGMOID,
    SW_GATE_SOFTPLUS,
    SW_GATE_SOFTSIGN,
    SW_GATE_TANH,
    SW_GATE_THRESHOLDED_RELU
} sw_gate_act;

/* Extents; in shape rules they may be unknown. */
typedef struct sw_recurrent {
    int gates;      /* of a cell: 1, 3 or 4 */
    int acts;       /* activation functions of a cell: 1, 2 or 3 */
    int directions; /* 1 or 2 */
    bool reverse;   /* the first direction runs backwards */
    bool batch_first;
    int64_t steps, batch, input, hidden;
    sw_gate_act act[2][3]; /* by direction */
    float alpha[2][3], beta[2][3];
} sw_recurrent;

SW_MUST_USE sw_status sw_call_recurrent(const sw_call *c, sw_recurrent *r);

#endif
