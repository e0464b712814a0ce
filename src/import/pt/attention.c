/* Attention blocks of the YOLO families. */
#include "import/pt/net.h"

/* x + y where the module adds (it does unless it says otherwise), else y. */
static sw_value *residual(sw_net *net, const sw_pickle *module, sw_value *x, sw_value *y) {
    return sw_net_int(module, "add", 1) ? sw_net_add(net, x, y) : y;
}

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
    const int64_t swap[] = {0, 1, 3, 2};
    sw_value *scores = SW_NET_APPLY(net, SW_OP_MatMul, sw_net_transpose(net, parts[0], swap, 4), parts[1]);
    scores = sw_net_mul(net, scores, sw_net_scalar(net, (float)sw_net_float(module, "scale", 1)));
    scores = sw_net_transpose(net, sw_net_softmax(net, scores, -1), swap, 4);
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

const sw_net_class_row sw__pt_attention[] = {
    {"Attention", attention},
    {"PSABlock", psa_block},
    {"C2PSA", c2psa},
    {NULL, NULL},
};
