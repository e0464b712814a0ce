/* Attention blocks of the YOLO families, of YOLOv5's transformer and of RT-DETR's encoder. */
#include <math.h>
#include <string.h>

#include "import/pt/net.h"

/* x + y where the module adds (it does unless it says otherwise), else y. */
static sw_value *residual(sw_net *net, const sw_pickle *module, sw_value *x, sw_value *y) {
    return sw_net_int(module, "add", 1) ? sw_net_add(net, x, y) : y;
}

/* softmax(q' * k * scale) of q, k: ..., channels, positions; transposed for a product with v: ..., positions, positions. */
static sw_value *scores_of(sw_net *net, sw_value *q, sw_value *k, float scale, const int64_t *swap, int rank) {
    sw_value *scores = SW_NET_APPLY(net, SW_OP_MatMul, sw_net_transpose(net, q, swap, rank), k);
    scores = sw_net_mul(net, scores, sw_net_scalar(net, scale));
    return sw_net_transpose(net, sw_net_softmax(net, scores, -1), swap, rank);
}

/* ---- YOLO11 and v10 ------------------------------------------------------------------------------------------------ */

/* Multi-head self-attention over the positions of a map, with a depthwise convolution of v as position encoding.
 * qkv: batch, heads * (2 * key + head), height, width. */
static sw_value *attention(sw_net *net, const sw_pickle *module, sw_value *x) {
    int64_t heads = sw_net_int(module, "num_heads", 0), key = sw_net_int(module, "key_dim", 0),
            head = sw_net_int(module, "head_dim", 0);
    if (heads < 1 || key < 1 || head < 1) return sw_net_fail(net, SW_E_MODEL, NULL, "the attention has no heads");
    sw_value *shape = SW_NET_APPLY(net, SW_OP_Shape, x), *parts[3];
    sw_value *qkv =
        sw_net_reshape(net, sw_net_sub(net, module, "qkv", x), (int64_t[]){0, heads, 2 * key + head, -1}, 4);
    sw_net_split(net, qkv, 2, 3, (int64_t[]){key, key, head}, parts);
    float scale = (float)sw_net_float(module, "scale", 1 / sqrt((double)key));
    sw_value *scores = scores_of(net, parts[0], parts[1], scale, (int64_t[]){0, 1, 3, 2}, 4);
    sw_value *mixed = SW_NET_APPLY(net, SW_OP_Reshape, SW_NET_APPLY(net, SW_OP_MatMul, parts[2], scores), shape);
    sw_value *place = sw_net_sub(net, module, "pe", SW_NET_APPLY(net, SW_OP_Reshape, parts[2], shape));
    return sw_net_sub(net, module, "proj", sw_net_add(net, mixed, place));
}

static sw_value *psa_block(sw_net *net, const sw_pickle *module, sw_value *x) {
    x = residual(net, module, x, sw_net_sub(net, module, "attn", x));
    return residual(net, module, x, sw_net_sub(net, module, "ffn", x));
}

/* cv1 cut in two; the second half runs through m; cv2 over both. */
static sw_value *c2psa(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *parts[2];
    sw_net_split(net, sw_net_sub(net, module, "cv1", x), 1, 2, NULL, parts);
    parts[1] = sw_net_sub(net, module, "m", parts[1]);
    return sw_net_sub(net, module, "cv2", sw_net_concat(net, 1, 2, parts));
}

/* The same with one block written out. */
static sw_value *psa(sw_net *net, const sw_pickle *module, sw_value *x) {
    sw_value *parts[2];
    sw_net_split(net, sw_net_sub(net, module, "cv1", x), 1, 2, NULL, parts);
    parts[1] = sw_net_add(net, parts[1], sw_net_sub(net, module, "attn", parts[1]));
    parts[1] = sw_net_add(net, parts[1], sw_net_sub(net, module, "ffn", parts[1]));
    return sw_net_sub(net, module, "cv2", sw_net_concat(net, 1, 2, parts));
}

/* ---- YOLO12 -------------------------------------------------------------------------------------------------------- */

/* Attention within `area` equal stretches of the positions (in row-major order). qkv holds q, k and v of each head side by
 * side. */
static sw_value *area_attention(sw_net *net, const sw_pickle *module, sw_value *x) {
    int64_t heads = sw_net_int(module, "num_heads", 0), head = sw_net_int(module, "head_dim", 0),
            areas = sw_net_int(module, "area", 1);
    if (heads < 1 || head < 1 || areas < 1)
        return sw_net_fail(net, SW_E_MODEL, NULL, "the attention has no heads or areas");
    sw_value *parts[3];
    sw_value *qkv =
        sw_net_reshape(net, sw_net_sub(net, module, "qkv", x), (int64_t[]){0, heads, 3 * head, areas, -1}, 5);
    qkv = sw_net_transpose(net, qkv, (int64_t[]){0, 3, 1, 2, 4}, 5);
    sw_net_split(net, qkv, 3, 3, (int64_t[]){head, head, head}, parts);
    float scale = (float)(1 / sqrt((double)head));
    sw_value *scores = scores_of(net, parts[0], parts[1], scale, (int64_t[]){0, 1, 2, 4, 3}, 5);
    sw_value *shape = sw_net_concat(
        net, 0, 3,
        (sw_value *[]){SW_NET_DIMS(net, 0, heads * head), sw_net_extent(net, x, 2), sw_net_extent(net, x, 3)});
    sw_value *both[2] = {SW_NET_APPLY(net, SW_OP_MatMul, parts[2], scores), parts[2]};
    for (int i = 0; i < 2; i++)
        both[i] =
            SW_NET_APPLY(net, SW_OP_Reshape, sw_net_transpose(net, both[i], (int64_t[]){0, 2, 3, 1, 4}, 5), shape);
    return sw_net_sub(net, module, "proj", sw_net_add(net, both[0], sw_net_sub(net, module, "pe", both[1])));
}

static sw_value *area_block(sw_net *net, const sw_pickle *module, sw_value *x) {
    x = sw_net_add(net, x, sw_net_sub(net, module, "attn", x));
    return sw_net_add(net, x, sw_net_sub(net, module, "mlp", x));
}

/* ---- torch.nn.MultiheadAttention, transformers --------------------------------------------------------------------- */

/* x * weight' + bias with rows from:from + n of the joint projection. */
static sw_value *project(sw_net *net, sw_value *x, sw_value *weight, sw_value *bias, int64_t from, int64_t n) {
    weight = sw_net_transpose(net, sw_net_slice(net, weight, 0, from, from + n, 1), (int64_t[]){1, 0}, 2);
    x = SW_NET_APPLY(net, SW_OP_MatMul, x, weight);
    return bias ? sw_net_add(net, x, sw_net_slice(net, bias, 0, from, from + n, 1)) : x;
}

sw_value *sw__pt_multihead(sw_net *net, const sw_pickle *module, sw_value *query, sw_value *key, sw_value *value) {
    int64_t dim = sw_net_int(module, "embed_dim", 0), heads = sw_net_int(module, "num_heads", 0);
    sw_value *weight = sw_net_param(net, module, "in_proj_weight"), *bias = sw_net_param(net, module, "in_proj_bias");
    if (dim < 1 || heads < 1 || dim % heads || !weight)
        return sw_net_fail(net, SW_E_UNSUPPORTED, NULL, "the attention has no joint projection of whole heads");
    sw_value *in[3] = {query, key, value};
    for (int i = 0; i < 3; i++) {
        in[i] = project(net, in[i], weight, bias, i * dim, dim);
        in[i] = sw_net_reshape(net, in[i], (int64_t[]){0, 0, heads, dim / heads}, 4);
        in[i] = sw_net_transpose(net, in[i], i == 1 ? (int64_t[]){0, 2, 3, 1} : (int64_t[]){0, 2, 1, 3}, 4);
    }
    in[0] = sw_net_mul(net, in[0], sw_net_scalar(net, (float)sqrt((double)heads / (double)dim)));
    sw_value *scores = sw_net_softmax(net, SW_NET_APPLY(net, SW_OP_MatMul, in[0], in[1]), -1);
    sw_value *y = sw_net_transpose(net, SW_NET_APPLY(net, SW_OP_MatMul, scores, in[2]), (int64_t[]){0, 2, 1, 3}, 4);
    return sw_net_sub(net, module, "out_proj", sw_net_reshape(net, y, (int64_t[]){0, 0, dim}, 3));
}

/* YOLOv5's layer, without normalisation; over batch, positions, channels. */
static sw_value *transformer_layer(sw_net *net, const sw_pickle *module, sw_value *x) {
    const sw_pickle *attn = sw_net_child(module, "ma");
    x = sw_net_add(net, x,
                   sw__pt_multihead(net, attn, sw_net_sub(net, module, "q", x), sw_net_sub(net, module, "k", x),
                                    sw_net_sub(net, module, "v", x)));
    return sw_net_add(net, x, sw_net_sub(net, module, "fc2", sw_net_sub(net, module, "fc1", x)));
}

static sw_value *transformer_block(sw_net *net, const sw_pickle *module, sw_value *x) {
    if (sw_net_child(module, "conv")) x = sw_net_sub(net, module, "conv", x);
    sw_value *y = sw_net_tokens(net, x);
    y = sw_net_sub(net, module, "tr", sw_net_add(net, y, sw_net_sub(net, module, "linear", y)));
    return sw_net_map(net, y, x);
}

/* Sines and cosines of row and column of the positions of a map (Vaswani et al. 2017, in two dimensions): 1, positions,
 * channels. */
static sw_value *sines(sw_net *net, sw_value *x, int64_t channels) {
    float omega[1024];
    int64_t quarter = channels / 4;
    if (quarter < 1 || quarter > 1024 || channels % 4)
        return sw_net_fail(net, SW_E_UNSUPPORTED, NULL, "the encoder has an unusual width");
    for (int64_t i = 0; i < quarter; i++) omega[i] = (float)(1 / pow(10000, (double)i / (double)quarter));
    sw_value *frequency = sw_net_floats(net, "omega", omega, 2, (int64_t[]){1, quarter}), *parts[4];
    sw_value *size = sw_net_concat(net, 0, 2, (sw_value *[]){sw_net_extent(net, x, 2), sw_net_extent(net, x, 3)});
    for (int i = 0; i < 2; i++) {
        sw_value *place =
            sw_net_reshape(net, sw_net_steps(net, x, 2 + i, 0), i == 0 ? (int64_t[]){-1, 1} : (int64_t[]){1, -1}, 2);
        place = sw_net_reshape(net, SW_NET_APPLY(net, SW_OP_Expand, place, size), (int64_t[]){-1, 1}, 2);
        place = sw_net_mul(net, place, frequency);
        parts[2 * i] = SW_NET_APPLY(net, SW_OP_Sin, place);
        parts[2 * i + 1] = SW_NET_APPLY(net, SW_OP_Cos, place);
    }
    return sw_net_unsqueeze(net, sw_net_concat(net, 1, 4, parts), 0);
}

/* RT-DETR's encoder layer over a map, normalising behind each sum (or before, where the module says so). */
static sw_value *aifi(sw_net *net, const sw_pickle *module, sw_value *x) {
    const sw_pickle *attn = sw_net_child(module, "ma");
    int64_t dim = sw_net_int(attn, "embed_dim", 0);
    bool before = sw_net_int(module, "normalize_before", 0);
    sw_value *y = sw_net_tokens(net, x), *place = sines(net, x, dim);
    sw_value *inner = before ? sw_net_sub(net, module, "norm1", y) : y, *at = sw_net_add(net, inner, place);
    y = sw_net_add(net, y, sw__pt_multihead(net, attn, at, at, inner));
    if (!before) y = sw_net_sub(net, module, "norm1", y);
    inner = before ? sw_net_sub(net, module, "norm2", y) : y;
    inner = sw_net_sub(net, module, "act", sw_net_sub(net, module, "fc1", inner));
    y = sw_net_add(net, y, sw_net_sub(net, module, "fc2", inner));
    if (!before) y = sw_net_sub(net, module, "norm2", y);
    return sw_net_map(net, y, x);
}

const sw_net_class_row sw__pt_attention[] = {
    {"Attention", attention},
    {"PSABlock", psa_block},
    {"C2PSA", c2psa},
    {"PSA", psa},
    {"AAttn", area_attention},
    {"ABlock", area_block},
    {"TransformerLayer", transformer_layer},
    {"TransformerBlock", transformer_block},
    {"AIFI", aifi},
    {NULL, NULL},
};
