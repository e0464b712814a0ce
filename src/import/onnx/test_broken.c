/* Files that are no models, and models that are broken: each ends in its sentence. */
#include "import/onnx/onnx.h"
#include "import/onnx/test_model.h"
#include "unit.h"

SW_TEST(onnx_sniffs_models) {
    sw_buf model = sw__test_model("opset 17\nin x f32 2\nout y\nnode Relu x -> y\n");
    CHECK(sw_onnx_sniff(model.data, model.size));
    CHECK(sw_onnx_sniff(model.data, 64));
    sw_buf_free(&model);
    CHECK(sw_onnx_sniff("\x08\x08\x12\x07pytorch\x1a\x03"
                        "1.7\x3a\xff\xff\x03",
                        20));                            /* goes on behind the end */
    CHECK(sw_onnx_sniff("\x12\x07pytorch\x3a\x05", 11)); /* no version first */
    CHECK(!sw_onnx_sniff("", 0));
    CHECK(!sw_onnx_sniff("hello world", 11));
    CHECK(!sw_onnx_sniff("\x89PNG\r\n\x1a\n", 8));
    CHECK(!sw_onnx_sniff("\x08\x00", 2));
    CHECK(!sw_onnx_sniff("\x12\x07pyt", 5));
}

SW_TEST(onnx_says_what_a_file_is) {
    static const struct {
        const char *bytes;
        size_t size;
        const char *what;
    } files[] = {
        {"", 0, "an empty file"},
        {"\xff\xd8\xff\xe0\0\x10JFIF", 10, "a JPEG picture"},
        {"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16, "a PNG picture"},
        {"PK\3\4\0\0\0\0", 8, "a zip archive (a .pt checkpoint of PyTorch is one)"},
        {"\x1c\0\0\0TFL3", 8, "a TensorFlow Lite model"},
        {"\x93NUMPY\1\0", 8, "a NumPy array"},
        {"\x80\x02}q\0", 5, "a Python pickle (an old .pt checkpoint is one)"},
        {"version https://git-lfs.github.com/spec/v1\n", 43,
         "a Git LFS pointer: the model itself was not downloaded (git lfs pull)"},
        {"\x40\0\0\0\0\0\0\0{\"a\":{", 14, "a safetensors file: weights without the model that they belong to"},
        {"<?xml version=\"1.0\"?>", 21, "an XML file (OpenVINO keeps its models so)"},
        {"<!DOCTYPE html>", 15, "a web page"},
        {"just words\n", 11, "a text file"},
        {"\1\2\3\4", 4, NULL},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char want[240];
        snprintf(want, sizeof want,
                 "2 m: this is no model that Slipway reads (ONNX, PyTorch, TensorFlow Lite, OpenVINO, plans)%s%s",
                 files[i].what ? "; it looks like " : "", files[i].what ? files[i].what : "");
        CHECK_STR(sw__test_import_bytes(files[i].bytes, files[i].size, NULL), want);
    }
}

#define IR "\x08\x08"

SW_TEST(onnx_broken_bytes) {
    static const struct {
        const char *bytes;
        size_t size;
        const char *want;
    } files[] = {
        {IR, 2, "2 m: the model has no graph"},
        {IR "\x3a\x00", 4, "2 m: the graph has no outputs"},
        {IR "\x3a\x00\x3a\x00", 6, "2 m: the model has more than one graph"},
        {IR "\x3a\x7f\x0a", 5, "2 m: byte 2: field 7 wants 127 bytes, but only 1 are left; is the file cut?"},
        {IR "\x3a\x02\x0b\x00", 6, "2 m: byte 4: groups are not supported"},
        {IR "\x3a\x02\x08\x01", 6, "2 m: byte 4: field 1 holds a varint, expected bytes"},
        {IR "\x3a\x04\x0a\x02\x0a\x05", 8, "2 m: byte 6: field 1 wants 5 bytes, but only 0 are left; is the file cut?"},
        {IR "\x3a\x05\x0a\x03\x0a\x01\xff", 9, "2 m: byte 6: the text of field 1 is no UTF-8"},
        {IR "\x3a\x05\x0a\x03\x0a\x01\x00", 9, "2 m: byte 6: the text of field 1 has a zero byte in it"},
        {IR "\x3a\x02\x7a\x00", 6, "2 m: the graph has sparse initializers, which Slipway does not support"},
        {IR "\x3a\x02\x2a\x00", 6, "2 m: tensor '' has the unknown type 0"},
        {IR "\x3a\x04\x2a\x02\x10\x01", 8, "2 m: tensor '' holds 0 elements, its shape asks for 1"},
        {IR "\x3a\x07\x2a\x05\x10\x02\x28\x01\x08", 11, "2 m: byte 8: the file ends inside a value; is it cut?"},
        {IR "\x3a\x02\x5a\x00", 6, "2 m: input 1 has no name"},
        {IR "\x3a\x05\x5a\x03\x0a\x01x", 9, "2 m: input 'x' has no type"},
        {IR "\x3a\x09\x5a\x07\x0a\x01x\x12\x02\x22\x00", 13,
         "2 m: input 'x' is a sequence, which Slipway does not support"},
        {IR "\x3a\x09\x5a\x07\x0a\x01x\x12\x02\x4a\x00", 13,
         "2 m: input 'x' is an optional, which Slipway does not support"},
        {IR "\x3a\x0b\x5a\x09\x0a\x01x\x12\x04\x0a\x02\x08\x08", 15,
         "2 m: input 'x' has type STRING, which Slipway does not support"},
        {IR "\x3a\x08\x0a\x06\x2a\x04\xa0\x01\x63\x00", 12,
         "2 m: byte 11: field number 0 is not allowed; is this a protobuf file?"},
        {IR "\x3a\x07\x0a\x05\x2a\x03\xa0\x01\x63", 11, "2 m: attribute '' has the unknown type 99"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        CHECK_STR(sw__test_import_bytes(files[i].bytes, files[i].size, NULL), files[i].want);
}

#define HEAD "opset 17\nin x f32 2\n"

SW_TEST(onnx_broken_graphs) {
    static const struct {
        const char *model, *want;
    } cases[] = {
        {HEAD "out y\nnode Relu@r a -> y\n", "2 m, node 'r' (Relu): input 1 is 'a', which nothing makes"},
        {HEAD "out y\nout z\nnode Relu x -> y\n", "2 m: output 2 is 'z', which nothing makes"},
        {HEAD "out y\nout y\nnode Relu x -> y\n", "2 m: the output 'y' is listed twice"},
        {HEAD "in x f32 2\nout y\nnode Relu x -> y\n", "2 m: the value 'x' is made twice"},
        {HEAD "init w f32 : 1\ninit w f32 : 1\nout y\nnode Relu x -> y\n", "2 m: the value 'w' is made twice"},
        {HEAD "out y\nnode Relu x -> x\nnode Relu x -> y\n",
         "2 m: the graph: nodes wait for each other in a circle, through node 'x' (Relu)"},
        {HEAD "out y\nnode Relu x -> y\nnode Neg@n x -> y\n",
         "2 m: the graph: the value 'y' is made twice, by node '' (Relu) and by node 'n' (Neg)"},
        {HEAD "out y\nnode Relu@r x x -> y\n", "2 m, node 'r' (Relu): it has 2 inputs; Relu takes 1"},
        {HEAD "out y\nnode Relu@r x -> y z\n", "2 m, node 'r' (Relu): it has 2 outputs; Relu gives 1"},
        {HEAD "out y\nnode Add@a - x -> y\n", "2 m, node 'a' (Add): input 1 is absent; Add needs it"},
        {HEAD "out y\nnode Concat@c x - x -> y | axis=i:0\n",
         "2 m, node 'c' (Concat): input 2 is absent; Concat needs it"},
        {HEAD "out y\nnode Concat@c x -> y\n", "2 m, node 'c' (Concat): the attribute 'axis' is missing"},
        {HEAD "out y\nin s str 2\nnode Relu x -> y\n",
         "2 m: input 's' has type STRING, which Slipway does not support"},
        {HEAD "in z f32 1 1 1 1 1 1 1 1 1\nout y\nnode Relu x -> y\n", "2 m: input 'z' has more than 8 dimensions"},
        {"opset 17\nopset f 1\nfunc f::A a -> b\nend\nfunc f::A a -> b\nend\nin x f32\nout y\nnode Relu x -> y\n",
         "2 m: the function 'A' is defined twice"},
        {"opset 17\nopset f 1\nfunc f::A a -> b\nend\nin x f32\nout y\nnode f::A@n x -> y\n",
         "2 m, node 'n' (A): its output 1 is 'b' inside, which nothing makes"},
        {HEAD "out y\ninit c bool : 1\ngraph g\nend\nnode If@i c -> y | then_branch=g:g\n",
         "2 m, node 'i' (If): its then_branch has 0 outputs, the node has 1"},
        {HEAD "out y\ninit c bool : 1\ngraph g\nnode Relu x -> x\nout x\nend\nnode If@i c -> y | then_branch=g:g\n",
         "2 m: a branch: nodes wait for each other in a circle, through node 'x' (Relu)"},
        {HEAD "out y\ninit c bool : 1\ngraph g\nnode Relu q -> r\nout r\nend\nnode If@i c -> y | then_branch=g:g\n",
         "2 m, node 'i/r' (Relu): input 1 is 'q', which nothing makes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) CHECK_STR(sw__test_import(cases[i].model), cases[i].want);
}

SW_TEST(onnx_deep_graphs) {
    sw_buf graph = sw_buf_make(NULL, 0), model = graph; /* a graph in an attribute of a node of a graph ... */
    for (int i = 0; i < 100; i++) {
        sw_buf attr = sw_buf_make(NULL, 0), node = attr;
        sw_pb_put_bytes(&attr, 6, graph.data ? graph.data : (const uint8_t *)"", graph.size);
        sw_pb_put_bytes(&node, 5, attr.data, attr.size);
        sw_buf_clear(&graph);
        sw_pb_put_bytes(&graph, 1, node.data, node.size);
        sw_buf_free(&attr);
        sw_buf_free(&node);
    }
    sw_pb_put_varint(&model, 1, 8);
    sw_pb_put_bytes(&model, 7, graph.data, graph.size);
    CHECK_STR(sw__test_import_bytes(model.data, model.size, NULL), "4 m: graphs are nested more than 24 deep");
    sw_buf_free(&graph);
    sw_buf_free(&model);
}

/* Every allocation fails once: no leak, no crash, and a sentence (this test means most under a sanitizer). */
typedef struct scarce {
    int left;
} scarce;

static void *scarce_alloc(void *ctx, size_t size) {
    scarce *s = ctx;
    return s->left-- > 0 ? sw_alloc(NULL, size) : NULL;
}

static void scarce_free(void *ctx, void *block) {
    (void)ctx;
    sw_free(NULL, block);
}

static void check_scarce(const char *text) {
    sw_buf model = sw__test_model(text);
    int at = 0;
    for (sw_status status = SW_E_NOMEM; status != SW_OK && at < 2000; at++) {
        scarce s = {.left = at};
        sw_allocator allocator = {scarce_alloc, scarce_free, &s};
        sw_graph *graph;
        status = sw_onnx_parse(model.data, model.size, NULL, "m", sw__test_evaluate, &allocator, &sw_test_diag, &graph);
        CHECK(status == SW_OK || status == SW_E_NOMEM);
        CHECK((graph != NULL) == (status == SW_OK));
        if (status != SW_OK) CHECK_STR(sw_test_message(), "m: out of memory");
        sw_graph_destroy(graph);
    }
    CHECK(at > 4 && at < 2000);
    sw_buf_free(&model);
}

SW_TEST(onnx_out_of_memory) {
    check_scarce(
        "opset 11\nopset f 1\nin x f32 batch 3 4 4\nout y\nmeta a b\ninit c bool : 1\n"
        "graph g\ninit w f32 1 : 2\nnode Mul x w -> r\nout r\nend\n"
        "func f::F a -> b | s\nopset 10\nnode LeakyRelu a -> t | alpha=ref:s\nnode Clip t -> b | min=f:0\nend\n"
        "node Shape x -> i\nnode Gather i two -> j\ninit two i64 : 2\nnode Less j two -> k\n"
        "node If@i c -> z | then_branch=g:g\nnode f::F z -> v | s=f:1\nnode Unsqueeze v -> y | axes=is:0\n");
    check_scarce(
        "opset 17\nopset com.microsoft 1\nin x f32 2 7 4\nin w f32 4 12\nin b f32 12\nin s f32\nin z u8\nout y\n"
        "node com.microsoft::Attention x w b -> a | num_heads=i:2\n"
        "node com.microsoft::FusedMatMul a x -> p | alpha=f:0.5 | transB=i:1\n"
        "node QuantizeLinear p s z -> q\nnode com.microsoft::QLinearConcat s z q s z q s z -> c | axis=i:1\n"
        "node com.microsoft::QLinearAdd c s z c s z s z -> y\n");
}
