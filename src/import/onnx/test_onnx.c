/* Graphs, names, tensors, functions, branches, external data. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/os.h"
#include "import/onnx/onnx.h"
#include "import/onnx/test_model.h"
#include "unit.h"

static sw_graph *import(const char *text, sw_buf *bytes) {
    sw_graph *graph;
    *bytes = sw__test_model(text);
    if (sw_onnx_parse(bytes->data, bytes->size, NULL, "m", NULL, NULL, &sw_test_diag, &graph) != SW_OK)
        sw_test_fail(__FILE__, __LINE__, "%s", sw_test_message());
    return graph;
}

/* ---- Graphs ---------------------------------------------------------------------------------------------- */

SW_TEST(onnx_inputs_outputs_and_metadata) {
    sw_buf bytes;
    sw_graph *g = import("opset 20\nin x f32 batch 3 ? batch\nin z i64 *\nout y\nout z2\n"
                         "node Relu@act x -> y\nnode Neg z -> z2\nmeta names {0:'a'}\nmeta task detect\n",
                         &bytes);
    if (!g) return;
    CHECK_INT(g->n_inputs, 2);
    CHECK_INT(g->n_outputs, 2);
    CHECK_STR(g->inputs[0]->name, "x");
    CHECK_INT(g->inputs[0]->type.dtype, SW_F32);
    CHECK_INT(g->inputs[0]->type.rank, 4);
    CHECK_STR(sw_graph_dim_name(g, g->inputs[0]->type.dims[0]), "batch");
    CHECK_INT(g->inputs[0]->type.dims[1], 3);
    CHECK_INT(g->inputs[0]->type.dims[2], SW_DIM_UNKNOWN);
    CHECK_INT(g->inputs[0]->type.dims[3], g->inputs[0]->type.dims[0]);
    CHECK_INT(g->inputs[1]->type.rank, SW_RANK_UNKNOWN);
    CHECK_STR(g->outputs[1]->name, "z2");
    CHECK_STR(g->first->name, "act");
    CHECK_STR(sw_graph_meta(g, "names"), "{0:'a'}");
    CHECK_STR(sw_graph_meta(g, "task"), "detect");
    CHECK_STR(g->format, "ONNX, opset 20");
    sw_graph_destroy(g);
    sw_buf_free(&bytes);
}

SW_TEST(onnx_initializers_are_no_inputs) {
    sw_buf bytes;
    sw_graph *g =
        import("ir 3\nopset 9\nin x f32 2\nin w f32 2\ninit w f32 2 : 1 2\nout y\nnode Add x w -> y\n", &bytes);
    if (!g) return;
    CHECK_INT(g->n_inputs, 1);
    CHECK_STR(sw__test_describe(g), "Add(x, [1 2]) -> y");
    sw_graph_destroy(g);
    sw_buf_free(&bytes);
}

SW_TEST(onnx_constants_lie_in_the_file) {
    sw_buf bytes;
    sw_graph *g = import("opset 17\nin x f32 2\ninit w u8 3 : 1 2 3\nout y\nnode Cast w -> y | to=i:1\n", &bytes);
    if (!g) return;
    const uint8_t *data = g->first->in[0]->type.data;
    CHECK(data >= bytes.data && data + 3 <= bytes.data + bytes.size);
    sw_graph_destroy(g);
    sw_buf_free(&bytes);
}

SW_TEST(onnx_identity_of_constants) {
    CHECK_STR(sw__test_import("opset 17\nin x f32 1\ninit w f32 1 : 2\nout y\n"
                              "node Identity w -> a\nnode Identity a -> b\nnode Add x b -> y\n"),
              "Add(x, [2]) -> y");
    CHECK_STR(sw__test_import("opset 17\ninit w f32 1 : 2\nout y\nnode Identity w -> y\n"), "Identity([2]) -> y");
}

SW_TEST(onnx_constant_nodes) {
    static const struct {
        const char *value, *want;
    } forms[] = {
        {"value=t:f32,2,:,1,2", "Add(x, [1 2]) -> y"},
        {"value=t:i64,:,7", "Add(x, i7) -> y"},
        {"value_float=f:0.5", "Add(x, 0.5) -> y"},
        {"value_floats=fs:0.5,1", "Add(x, [0.5 1]) -> y"},
        {"value_int=i:-3", "Add(x, i-3) -> y"},
        {"value_ints=is:4,5,6", "Add(x, i[4 5 6]) -> y"},
        {"value_string=s:text", "2 m, node 'c' (Constant): a constant given as 'value_string' is not supported"},
        {"value_strings=ss:a,b", "2 m, node 'c' (Constant): a constant given as 'value_strings' is not supported"},
        {"value=t:str,:", "2 m: tensor 'c' has type STRING, which Slipway does not support"},
        {"value=f:1", "2 m, node 'c' (Constant): the attribute 'value' is of type FLOAT; expected: TENSOR"},
        {"value_float=f:1 | value_int=i:1",
         "2 m, node 'c' (Constant): a Constant has no input, one output and one value; found: 0, 1 and 2"},
        {"other=f:1", "2 m, node 'c' (Constant): the attribute 'other' is not supported"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char model[256];
        snprintf(model, sizeof model, "opset 17\nin x f32 2\nout y\nnode Constant -> c | %s\nnode Add x c -> y\n",
                 forms[i].value);
        CHECK_STR(sw__test_import(model), forms[i].want);
    }
    /* an output of the model keeps its name */
    sw_buf bytes;
    sw_graph *g = import("opset 17\nout y\nnode Constant -> y | value_float=f:2\n", &bytes);
    if (!g) return;
    CHECK_STR(g->outputs[0]->name, "y");
    CHECK(sw_value_is_const(g->outputs[0]));
    sw_graph_destroy(g);
    sw_buf_free(&bytes);
}

SW_TEST(onnx_optional_ports) {
    CHECK_STR(sw__test_import("opset 17\nin x f32 1 1 4 4\nout y\ninit m f32 : 6\nnode Clip x - m -> y\n"),
              "Clip(x, -, 6) -> y");
    CHECK_STR(sw__test_import("opset 17\nin x f32 1 1 4 4\nout y\nnode Clip x - - -> y\n"), "Clip(x) -> y");
    CHECK_STR(sw__test_import("opset 17\nin x f32 1 1 4 4\nout i\nnode MaxPool x -> - i | kernel_shape=is:2,2\n"),
              "MaxPool(x) kernel_shape=[2 2] -> - i");
    CHECK_STR(sw__test_import("opset 17\nin x f32 4\nout y\nnode Relu x -> -\nnode Abs x -> y\n"), "Abs(x) -> y");
}

SW_TEST(onnx_attributes_of_all_types) {
    CHECK_STR(
        sw__test_import("opset 17\nin x f32 1 1 4 4\nin w f32 1 1 3 3\nout y\n"
                        "node Conv x w -> y | strides=is:2,2 | auto_pad=s:VALID | group=i:1 | consumed_inputs=is:1\n"),
        "Conv(x, w) auto_pad=VALID strides=[2 2] -> y");
    CHECK_STR(sw__test_import("opset 17\nin x i64 1\nout y\nnode ConstantOfShape x -> y | value=t:i64,1,:,7\n"),
              "ConstantOfShape(x) value=i[7] -> y");
    CHECK_STR(sw__test_import("opset 17\nin x f32 1\nout y\nnode LeakyRelu x -> y | alpha=f:0.5\n"),
              "LeakyRelu(x) alpha=0.5 -> y");
    CHECK_STR(sw__test_import("opset 17\nin x f32 1\nout y\nnode LeakyRelu x -> y | alpha=i:1\n"),
              "2 m, node 'y' (LeakyRelu): the attribute 'alpha' is of type INT; expected: FLOAT");
    CHECK_STR(sw__test_import("opset 17\nin x f32 1\nout y\nnode Relu@r x -> y | negative_slope=f:1\n"),
              "2 m, node 'r' (Relu): the attribute 'negative_slope' is not supported");
}

SW_TEST(onnx_nodes_are_sorted) {
    CHECK_STR(sw__test_import(
                  "opset 17\nin x f32 1\nout y\nnode Abs b -> c\nnode Relu x -> a\nnode Neg a -> b\nnode Exp c -> y\n"),
              "Relu(x) -> a; Neg(a) -> b; Abs(b) -> c; Exp(c) -> y");
    CHECK_STR(
        sw__test_import("opset 17\nin x f32 1\nout y\nnode Add@first x c -> b\nnode Relu b -> c\nnode Exp c -> y\n"),
        "2 m: the graph: nodes wait for each other in a circle, through node 'first' (Add)");
    CHECK_STR(
        sw__test_import("opset 17\nin x f32 1\nout y\ninit t bool : 1\ngraph a\nout late\nend\ngraph b\nout x\nend\n"
                        "node If t -> y | then_branch=g:a | else_branch=g:b\nnode Relu x -> late\n"),
        "Relu(x) -> late; Identity(late) -> y");
}

SW_TEST(onnx_unknown_operators_in_one_message) {
    CHECK_STR(
        sw__test_import(
            "opset 17\nopset com.x 1\nin x f32 1\nout y\nnode Foo@n1 x -> a\nnode Foo a -> b\nnode com.x::Bar b -> c\n"
            "node ai.onnx::Abs c -> d\nnode Foo d -> y\n"),
        "2 m: unsupported operators: Foo (3 nodes, first 'n1'), com.x.Bar (1 node, 'c')");
    CHECK_STR(
        sw__test_import("opset 17\nopset com.microsoft 1\nin x f32 1\nout y\nnode com.microsoft::Sampling@g x -> y\n"),
        "2 m: unsupported operator: com.microsoft.Sampling (1 node, 'g')");
    CHECK_STR(sw__test_import("opset 17\nin x f32 1\nout y\nnode Loop@l x -> y\n"),
              "2 m, node 'l' (Loop): the attribute 'body' is missing or no graph");
}

SW_TEST(onnx_versions) {
    CHECK_STR(sw__test_import("ir 99\nopset 27\nin x f32 1\nout y\nnode Relu x -> y\n"), "Relu(x) -> y");
    CHECK_STR(sw_test_message(), "m: the model uses opset 27; Slipway knows up to 26 and reads it as that");
    CHECK_STR(sw__test_import("ir 99\nopset 26\nin x f32 1\nout y\nnode Relu x -> y\n"), "Relu(x) -> y");
    CHECK_STR(sw_test_message(), "m: the model has IR version 99; Slipway knows up to 12 and reads it as that");
    CHECK_STR(sw__test_import("ir 2\nopset 9\nin x f32 1\nout y\nnode Relu x -> y\n"),
              "2 m: the model has IR version 2; Slipway reads 3 to 12");
    CHECK_STR(sw__test_import("opset com.x 1\nin x f32 1\nout y\nnode Relu x -> y\n"),
              "2 m, node 'y' (Relu): the model does not say which opset it uses");
}

/* ---- Functions and branches ------------------------------------------------------------------------------ */

SW_TEST(onnx_functions_are_inlined) {
    static const char two[] = "opset 17\nopset f 1\nin x f32 1\nout y\n"
                              "func f::Twice a -> b\nopset 17\nnode Relu a -> t\nnode Neg t -> b\nend\n";
    char model[1024];
    snprintf(model, sizeof model, "%snode f::Twice@p x -> m\nnode f::Twice@q m -> y\n", two);
    CHECK_STR(sw__test_import(model), "Relu(x) -> p/t; Neg(p/t) -> m; Relu(m) -> q/t; Neg(q/t) -> y");
    snprintf(model, sizeof model, "%snode f::Twice x -> m\nnode f::Twice m -> y\n", two);
    CHECK_STR(sw__test_import(model),
              "Relu(x) -> Twice/t; Neg(Twice/t) -> m; Relu(m) -> Twice/t#1; Neg(Twice/t#1) -> y");
}

SW_TEST(onnx_functions_nest_and_keep_their_opset) {
    CHECK_STR(
        sw__test_import("opset 17\nopset f 1\nin x f32 2 3\nout y\n"
                        "func f::Inner a -> b\nopset 11\nnode Unsqueeze a -> b | axes=is:0\nend\n"
                        "func f::Outer a -> b\nopset 17\nopset f 1\nnode f::Inner@i a -> t\nnode Softmax t -> b\nend\n"
                        "node f::Outer@o x -> y\n"),
        "Unsqueeze(x, i[0]) -> o/t; Softmax(o/t) -> y");
}

SW_TEST(onnx_attributes_of_functions) {
    static const char scale[] =
        "opset 17\nopset f 1\nin x f32 1\nout y\n"
        "func f::Act a -> b | slope | kind=f:2\nopset 17\nnode LeakyRelu a -> t | alpha=ref:slope\n"
        "node Elu t -> s | alpha=ref:kind\nnode Selu s -> b | alpha=ref:none\nend\n";
    char model[1024];
    snprintf(model, sizeof model, "%snode f::Act@p x -> y | slope=f:0.25\n", scale);
    CHECK_STR(sw__test_import(model), "LeakyRelu(x) alpha=0.25 -> p/t; Elu(p/t) alpha=2 -> p/s; Selu(p/s) -> y");
    snprintf(model, sizeof model, "%snode f::Act@p x -> y | slope=f:0.25 | kind=f:3\n", scale);
    CHECK_STR(sw__test_import(model), "LeakyRelu(x) alpha=0.25 -> p/t; Elu(p/t) alpha=3 -> p/s; Selu(p/s) -> y");
    snprintf(model, sizeof model, "%snode f::Act@p x -> y\n", scale);
    CHECK_STR(sw__test_import(model), "LeakyRelu(x) -> p/t; Elu(p/t) alpha=2 -> p/s; Selu(p/s) -> y");
    CHECK_STR(sw__test_import("opset 17\nin x f32 1\nout y\nnode LeakyRelu x -> y | alpha=ref:slope\n"),
              "2 m, node 'y' (LeakyRelu): the attribute 'alpha' refers to 'slope' of a function, but is in none");
    /* handed on through two calls */
    CHECK_STR(sw__test_import("opset 17\nopset f 1\nin x f32 1\nout y\n"
                              "func f::In a -> b | s\nopset 17\nnode LeakyRelu a -> b | alpha=ref:s\nend\n"
                              "func f::Out a -> b | t\nopset f 1\nnode f::In a -> b | s=ref:t\nend\n"
                              "node f::Out x -> y | t=f:0.125\n"),
              "LeakyRelu(x) alpha=0.125 -> y");
}

SW_TEST(onnx_ports_of_functions) {
    /* an input passed through, an output given twice; then an absent input */
    CHECK_STR(sw__test_import("opset 17\nopset f 1\nin x f32 1\nout y\nout z\nout w\n"
                              "func f::G a -> b a\nopset 17\nnode Relu a -> b\nend\n"
                              "func f::H a -> b b\nopset 17\nnode Relu a -> b\nend\n"
                              "node f::G x -> y g\nnode f::H g -> z w\n"),
              "Relu(x) -> y; Identity(x) -> g; Relu(g) -> z; Identity(z) -> w");
    CHECK_STR(sw__test_import("opset 17\nopset f 1\nin x f32 1\nout y\n"
                              "func f::F a lo hi -> q\nopset 17\nnode Clip a lo hi -> q\nend\n"
                              "init six f32 : 6\nnode f::F x - six -> y\n"),
              "Clip(x, -, 6) -> y");
    CHECK_STR(
        sw__test_import("opset 17\nopset f 1\nin x f32 1\nout y\nfunc f::F a -> q\nopset 17\nnode Abs a -> q\nend\n"
                        "node f::F@n x x -> y\n"),
        "2 m, node 'n' (F): it has 2 inputs and 1 outputs, the function has 1 and 1");
}

SW_TEST(onnx_functions_override_operators) {
    CHECK_STR(sw__test_import("opset 17\nin x f32 1\nout y\nfunc ai.onnx::Gelu a -> b\nopset 17\nnode Erf a -> b\nend\n"
                              "node Gelu x -> y\n"),
              "Erf(x) -> y");
}

SW_TEST(onnx_functions_that_never_end) {
    CHECK_STR(
        sw__test_import("opset 17\nopset f 1\nin x f32 1\nout y\nfunc f::A a -> b\nopset f 1\nnode f::B@b a -> b\nend\n"
                        "func f::B a -> b\nopset f 1\nnode f::A@a a -> b\nend\nnode f::A@top x -> y\n"),
        "2 m, node 'top/b/a' (A): the function 'A' calls itself");
    char model[8192] = "opset 17\nopset f 1\nin x f32 1\nout y\n"; /* 16 calls of 16 calls of ... */
    for (int level = 0; level < 8; level++) {
        size_t at = strlen(model);
        at += (size_t)snprintf(model + at, sizeof model - at, "func f::F%d a -> b15\nopset f 1\n", level);
        for (int k = 0; k < 16; k++)
            at += (size_t)snprintf(model + at, sizeof model - at, "node f::F%d a -> b%d\n", level + 1, k);
        snprintf(model + at, sizeof model - at, "end\n");
    }
    snprintf(model + strlen(model), sizeof model - strlen(model),
             "func f::F8 a -> a\nopset 17\nend\nnode f::F0 x -> y\n");
    CHECK_STR(sw__test_import(model), "4 m: functions and branches give more than 262144 nodes");
}

SW_TEST(onnx_constant_if) {
    static const char branches[] = "graph yes\ninit one f32 1 : 1\nnode Add x one -> t\nnode Relu t -> r\nout r\nend\n"
                                   "graph no\nnode Neg x -> t\nout t\nend\n";
    char model[1024];
    snprintf(
        model, sizeof model,
        "opset 17\nin x f32 1\nout y\ninit c bool : 1\n%snode If@i c -> y | then_branch=g:yes | else_branch=g:no\n",
        branches);
    CHECK_STR(sw__test_import(model), "Add(x, [1]) -> i/t; Relu(i/t) -> y");
    snprintf(model, sizeof model,
             "opset 17\nin x f32 1\nout y\nnode Constant -> c | value=t:bool,:,0\nnode Identity c -> d\n%s"
             "node If@i d -> y | then_branch=g:yes | else_branch=g:no\n",
             branches);
    CHECK_STR(sw__test_import(model), "Neg(x) -> y");
    snprintf(model, sizeof model,
             "opset 17\nin x f32 1\nin c bool\nout y\n%snode If@i c -> y | then_branch=g:yes | else_branch=g:no\n",
             branches);
    CHECK_STR(sw__test_import(model), "If(c, x, x) -> y"); /* each branch captured x */
    snprintf(model, sizeof model,
             "opset 17\nin x f32 1\nout y\ninit c bool 2 : 1 1\n%snode If@i c -> y | then_branch=g:yes\n", branches);
    CHECK_STR(sw__test_import(model), "2 m, node 'i' (If): the condition is no single truth value");
    snprintf(model, sizeof model,
             "opset 17\nin x f32 1\nout y\ninit c bool : 0\n%snode If@i c -> y | then_branch=g:yes\n", branches);
    CHECK_STR(sw__test_import(model), "2 m, node 'i' (If): the attribute 'else_branch' is missing or no graph");
}

/* An If whose condition `c` the lines `nodes` make of the input `x` with the given dims: what is imported. */
static const char *decide(const char *dims, const char *nodes, const char *extra) {
    char model[1024];
    snprintf(model, sizeof model,
             "opset 17\nin x f32 %s\nout y\ninit one i64 : 1\n"
             "graph yes\nnode Neg x -> t\nout t\nend\ngraph no\nnode Abs x -> t\nout t\nend\n%s"
             "node If@i c -> y | then_branch=g:yes | else_branch=g:no\n%s",
             dims, nodes, extra);
    return sw__test_import_computing(model);
}

SW_TEST(onnx_if_decided_by_a_shape) {
    /* As PyTorch writes squeeze: is dim 1 one? */
    static const char squeeze[] = "node Shape x -> s\nnode Gather s one -> d\nnode Equal d one -> c\n";
    static const char unknown[] = "Shape(x) -> s; Gather(s, i1) -> d; Equal(d, i1) -> c; If(c, x, x) -> y";
    CHECK_STR(decide("2 1 3", squeeze, ""), "Neg(x) -> y");
    CHECK_STR(decide("2 2 3", squeeze, ""), "Abs(x) -> y");
    CHECK_STR(decide("2 N 3", squeeze, ""), unknown);
    CHECK_STR(decide("2 ? 3", squeeze, ""), unknown);
    CHECK_STR(decide("*", squeeze, ""), unknown);
    /* A free batch does not hide the other dims; the Shape stays and is dead. */
    CHECK_STR(decide("N 1 3", squeeze, ""), "Shape(x) -> s; Neg(x) -> y");
    CHECK_STR(decide("N ? 1", "node Shape x -> s | start=i:-2\nnode Gather s one -> d\nnode Equal d one -> c\n", ""),
              "Shape(x) start=-2 -> s; Neg(x) -> y");
    /* Arithmetic in between, floats included, and shape rules that learn from it. */
    CHECK_STR(decide("2 3",
                     "node Size x -> n\nnode Cast n -> f | to=i:1\nnode Sqrt f -> r\nnode Cast r -> k | to=i:7\n"
                     "node Greater k one -> c\n",
                     ""),
              "Neg(x) -> y");
    CHECK_STR(decide("2 3",
                     "init minus i64 1 : -1\nnode Size x -> n\nnode Unsqueeze n zero -> u\ninit zero i64 1 : 0\n"
                     "node Concat u minus -> k | axis=i:0\nnode Reshape x k -> r\nnode Shape r -> s\n"
                     "node Gather s one -> d\nnode Equal d one -> c\n",
                     ""),
              "Reshape(x, i[6 -1]) -> r; Neg(x) -> y");
}

SW_TEST(onnx_computes_what_is_small_and_known) {
    CHECK_STR(
        sw__test_import_computing("opset 17\nin x f32 2 3\nout s\nout y\nnode Shape x -> s\nnode Cast s -> f | to=i:1\n"
                                  "node Add f one -> y\ninit one f32 : 1\n"),
        "");
    /* An index out of bounds stays for the kernel to report; so does what is large or no arithmetic on shapes. */
    CHECK_STR(sw__test_import_computing(
                  "opset 17\nin x f32 2 3\nout y\ninit i i64 : 7\nnode Shape x -> s\nnode Gather s i -> y\n"),
              "Gather(i[2 3], i7) -> y");
    CHECK_STR(sw__test_import_computing("opset 17\nout y\ninit n i64 1 : 4096\nnode ConstantOfShape n -> y\n"),
              "ConstantOfShape(i[4096]) -> y");
    CHECK_STR(sw__test_import_computing("opset 17\nout y\ninit n f32 1 : 1\nnode Exp n -> y\n"), "Exp([1]) -> y");
}

SW_TEST(onnx_without_evaluator_only_constants_decide) {
    sw_buf bytes;
    sw_graph *g = import("opset 17\nin x f32 2 3\nout s\nnode Shape x -> s\n", &bytes);
    CHECK(g && g->n_nodes == 1);
    sw_graph_destroy(g);
    sw_buf_free(&bytes);
}

SW_TEST(onnx_branches_in_functions_see_both) {
    CHECK_STR(
        sw__test_import(
            "opset 17\nopset f 1\nin x f32 1\nout y\n"
            "graph leaf\nnode LeakyRelu t -> r | alpha=ref:s\nout r\nend\n"
            "graph outer\nnode Abs a -> t\nnode If@in c -> q | then_branch=g:leaf | else_branch=g:leaf\nout q\nend\n"
            "func f::F a c -> b | s\nopset 17\nnode If@out c -> b | then_branch=g:outer | else_branch=g:leaf\nend\n"
            "init c bool : 1\nnode f::F@f x c -> y | s=f:0.5\n"),
        "Abs(x) -> f/out/t; LeakyRelu(f/out/t) alpha=0.5 -> y");
}

/* ---- Tensors --------------------------------------------------------------------------------------------- */

static sw_buf tensor(int type, int64_t n) {
    sw_buf t = sw_buf_make(NULL, 0);
    if (n >= 0) sw_pb_put_varint(&t, 1, (uint64_t)n);
    sw_pb_put_varint(&t, 2, (uint64_t)type);
    sw_pb_put_text(&t, 8, "w");
    return t;
}

static void check_tensor(sw_buf *t, const char *want) {
    CHECK_STR(sw__test_import_tensor(t, NULL), want);
    sw_buf_free(t);
}

SW_TEST(onnx_typed_fields_unpacked) {
    sw_buf t = tensor(1, 2);
    sw_pb_put_float(&t, 4, 1.5f);
    sw_pb_put_float(&t, 4, -2);
    check_tensor(&t, "Add([1.5 -2], [1.5 -2]) -> y");
    static const struct {
        int type;
        uint32_t field;
        const char *want;
    } ints[] = {{2, 5, "uint8"}, {3, 5, "int8"}, {4, 5, "uint16"},   {5, 5, "int16"},
                {6, 5, "int32"}, {7, 7, "i"},    {12, 11, "uint32"}, {13, 11, "uint64"}};
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) {
        char want[64];
        t = tensor(ints[i].type, 2);
        sw_pb_put_varint(&t, ints[i].field, 100);
        sw_pb_put_varint(&t, ints[i].field, 3);
        snprintf(want, sizeof want, "Add(%s[100 3], %s[100 3]) -> y", ints[i].want, ints[i].want);
        check_tensor(&t, want);
    }
    t = tensor(11, -1);
    sw_pb_put_fixed64(&t, 10, 0x3ff8000000000000u);
    check_tensor(&t, "Add(float641.5, float641.5) -> y");
    t = tensor(10, 2); /* float16 comes as its bits */
    sw_pb_put_varint(&t, 5, 0x3c00);
    sw_pb_put_varint(&t, 5, 0xc000);
    check_tensor(&t, "Add(float16[1 -2], float16[1 -2]) -> y");
    t = tensor(16, 1);
    sw_pb_put_varint(&t, 5, 0x3fc0);
    check_tensor(&t, "Add(bfloat16[1.5], bfloat16[1.5]) -> y");
    t = tensor(3, 1);
    sw_pb_put_varint(&t, 5, (uint64_t)-7);
    check_tensor(&t, "Add(int8[-7], int8[-7]) -> y");
    t = tensor(9, 2);
    sw_pb_put_varint(&t, 5, 1);
    sw_pb_put_varint(&t, 5, 0);
    check_tensor(&t, "Add(bool[1 0], bool[1 0]) -> y");
}

SW_TEST(onnx_typed_fields_packed) {
    sw_buf t = tensor(1, 2);
    sw_pb_put_bytes(&t, 4, "\0\0\xc0\x3f\0\0\0\xc0", 8);
    check_tensor(&t, "Add([1.5 -2], [1.5 -2]) -> y");
    t = tensor(7, 3); /* partly packed, partly not */
    sw_pb_put_bytes(&t, 7, "\xac\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12);
    sw_pb_put_varint(&t, 7, 5);
    check_tensor(&t, "Add(i[300 -1 5], i[300 -1 5]) -> y");
    t = tensor(11, 1);
    sw_pb_put_bytes(&t, 10, "\0\0\0\0\0\0\xf8\x3f", 8);
    check_tensor(&t, "Add(float64[1.5], float64[1.5]) -> y");
}

SW_TEST(onnx_raw_booleans_are_0_or_1) {
    sw_buf t = tensor(9, 3);
    sw_pb_put_bytes(&t, 9, "\0\2\xff", 3);
    check_tensor(&t, "Add(bool[0 1 1], bool[0 1 1]) -> y");
}

SW_TEST(onnx_empty_tensors) {
    sw_buf t = tensor(1, 0);
    check_tensor(&t, "Add([], []) -> y");
    t = tensor(1, 0);
    sw_pb_put_bytes(&t, 9, "", 0);
    check_tensor(&t, "Add([], []) -> y");
}

SW_TEST(onnx_raw_data_in_any_place) {
    for (int shift = 0; shift < 9; shift++) { /* aligned or not, the same */
        sw_buf t = tensor(1, 2);
        char doc[16] = "";
        memset(doc, 'd', (size_t)shift);
        sw_pb_put_text(&t, 12, doc);
        sw_pb_put_bytes(&t, 9, "\0\0\xc0\x3f\0\0\0\xc0", 8);
        check_tensor(&t, "Add([1.5 -2], [1.5 -2]) -> y");
    }
}

SW_TEST(onnx_tensors_that_lie) {
    sw_buf t = tensor(1, 3);
    sw_pb_put_float(&t, 4, 1);
    check_tensor(&t, "2 m: tensor 'w' holds 1 elements, its shape asks for 3");
    t = tensor(1, 1);
    sw_pb_put_float(&t, 4, 1);
    sw_pb_put_float(&t, 4, 1);
    check_tensor(&t, "2 m: tensor 'w' holds 2 or more elements, its shape asks for 1");
    t = tensor(7, 3); /* three bytes, two numbers */
    sw_pb_put_bytes(&t, 7, "\xac\x02\x01", 3);
    check_tensor(&t, "2 m: tensor 'w' holds 2 elements, its shape asks for 3");
    t = tensor(1, 3);
    sw_pb_put_bytes(&t, 9, "abcd", 4);
    check_tensor(&t, "2 m: tensor 'w' has 4 bytes of data, its type and shape ask for 12");
    t = tensor(2, 1);
    sw_pb_put_varint(&t, 5, 300);
    check_tensor(&t, "2 m: tensor 'w': element 0 is 300, which is no uint8");
    t = tensor(1, 1);
    sw_pb_put_varint(&t, 7, 1);
    check_tensor(&t, "2 m: tensor 'w' is float32, but its data is in a field of another type");
    t = tensor(1, -1);
    for (int i = 0; i < 8; i++) sw_pb_put_varint(&t, 1, 1u << 30);
    check_tensor(&t, "2 m: tensor 'w' has a shape with a negative or overflowing size");
    t = tensor(1, -5);
    sw_pb_put_varint(&t, 1, (uint64_t)-5);
    check_tensor(&t, "2 m: tensor 'w' has a shape with a negative or overflowing size");
    t = tensor(1, 1 << 30); /* asks for 4 GiB, brings 4 bytes */
    sw_pb_put_float(&t, 4, 1);
    check_tensor(&t, "2 m: tensor 'w' holds 1 elements, its shape asks for 1073741824");
    t = tensor(1, 1);
    for (int i = 0; i < 8; i++) sw_pb_put_varint(&t, 1, 1);
    check_tensor(&t, "2 m: tensor 'w' has 9 dimensions; Slipway supports 8");
    t = tensor(1, 1);
    sw_pb_put_bytes(&t, 3, "", 0);
    check_tensor(&t, "2 m: tensor 'w' is a segment, which Slipway does not support");
}

SW_TEST(onnx_tensor_types_refused_by_name) {
    static const char *const names[] = {
        [0] = NULL, [8] = "STRING", [14] = "COMPLEX64", [15] = "COMPLEX128", [25] = "UINT2", [26] = "INT2"};
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        char want[128];
        if (!names[i]) continue;
        snprintf(want, sizeof want, "2 m: tensor 'w' has type %s, which Slipway does not support", names[i]);
        sw_buf t = tensor(i, 1);
        check_tensor(&t, want);
    }
    sw_buf t = tensor(0, 1);
    check_tensor(&t, "2 m: tensor 'w' has the unknown type 0");
    t = tensor(77, 1);
    check_tensor(&t, "2 m: tensor 'w' has the unknown type 77");
}

SW_TEST(onnx_two_elements_a_byte) {
    static const char raw[2] = {(char)0x8f, 0x07}; /* -1, -8, 7 */
    sw_buf t = tensor(22, 3);
    sw_pb_put_bytes(&t, 9, raw, 2);
    check_tensor(&t, "Add(int4[-1 -8 7], int4[-1 -8 7]) -> y");
    t = tensor(21, 3);
    for (int i = 0; i < 2; i++) sw_pb_put_varint(&t, 5, (uint8_t)raw[i]);
    check_tensor(&t, "Add(uint4[15 8 7], uint4[15 8 7]) -> y");
    t = tensor(21, 5);
    sw_pb_put_bytes(&t, 9, raw, 2);
    check_tensor(&t, "2 m: tensor 'w' has 2 bytes of data, its type and shape ask for 3");
    t = tensor(23, 3);
    sw_pb_put_varint(&t, 5, 256);
    sw_pb_put_varint(&t, 5, 0);
    check_tensor(&t, "2 m: tensor 'w': element 0 is 256, which is no uint8");
}

/* ---- External data --------------------------------------------------------------------------------------- */

static sw_buf external(const char *location, const char *offset, const char *length) {
    sw_buf t = tensor(1, 2);
    const char *const entries[][2] = {{"location", location}, {"offset", offset}, {"length", length}};
    for (size_t i = 0; i < 3; i++) {
        if (!entries[i][1]) continue;
        sw_buf entry = sw_buf_make(NULL, 0);
        sw_pb_put_text(&entry, 1, entries[i][0]);
        sw_pb_put_text(&entry, 2, entries[i][1]);
        sw_pb_put_bytes(&t, 13, entry.data, entry.size);
        sw_buf_free(&entry);
    }
    sw_pb_put_varint(&t, 14, 1);
    return t;
}

static void check_external(const char *folder, const char *location, const char *offset, const char *length,
                           const char *want) {
    sw_buf t = external(location, offset, length);
    CHECK_STR(sw__test_import_tensor(&t, folder), want);
    sw_buf_free(&t);
}

static void path_in(char *path, size_t size, const char *folder, const char *name) {
    snprintf(path, size, "%s/%s", folder, name);
}

#define OUTSIDE "which is outside of the folder of the model"

SW_TEST(onnx_external_data_stays_in_its_folder) {
    char root[] = "/tmp/slipway-onnx-XXXXXX", dir[64], data[80], secret[80], link_out[80], link_in[80];
    if (!mkdtemp(root)) {
        sw_test_skip("no temporary folder");
        return;
    }
    path_in(dir, sizeof dir, root, "model");
    path_in(data, sizeof data, dir, "w.bin");
    path_in(secret, sizeof secret, root, "secret");
    path_in(link_out, sizeof link_out, dir, "out");
    path_in(link_in, sizeof link_in, dir, "in");
    static const float numbers[] = {1, 2, 3, 4};
    CHECK_INT(sw_dir_make(dir, &sw_test_diag), SW_OK);
    CHECK_INT(sw_file_write(data, numbers, sizeof numbers, &sw_test_diag), SW_OK);
    CHECK_INT(sw_file_write(secret, numbers, sizeof numbers, &sw_test_diag), SW_OK);
    CHECK(symlink("../secret", link_out) == 0);
    CHECK(symlink("w.bin", link_in) == 0);

    check_external(dir, "w.bin", NULL, NULL, "Add([1 2], [1 2]) -> y");
    check_external(dir, "w.bin", "8", "8", "Add([3 4], [3 4]) -> y");
    check_external(dir, "./w.bin", "4", NULL, "Add([2 3], [2 3]) -> y");
    check_external(dir, "in", "8", NULL, "Add([3 4], [3 4]) -> y");
    check_external(dir, "w.bin", "12", NULL,
                   "2 m: tensor 'w' has external data at bytes 12 to 20 of 'w.bin', which has 16");
    check_external(dir, "w.bin", "9223372036854775807", NULL,
                   "2 m: tensor 'w' has external data at bytes 9223372036854775807 to 9223372036854775815 of 'w.bin', "
                   "which has 16");
    check_external(dir, "w.bin", "0", "12",
                   "2 m: tensor 'w' has 12 bytes of external data, its type and shape ask for 8");
    check_external(dir, "w.bin", "-4", NULL,
                   "2 m: tensor 'w' has external data with the offset '-4', which is no byte count");
    check_external(dir, "w.bin", "x", NULL,
                   "2 m: tensor 'w' has external data with the offset 'x', which is no byte count");
    check_external(dir, "../secret", NULL, NULL, "2 m: tensor 'w' has external data in '../secret', " OUTSIDE);
    check_external(dir, "a/../w.bin", NULL, NULL, "2 m: tensor 'w' has external data in 'a/../w.bin', " OUTSIDE);
    check_external(dir, "/etc/passwd", NULL, NULL, "2 m: tensor 'w' has external data in '/etc/passwd', " OUTSIDE);
    check_external(dir, "out", NULL, NULL, "2 m: tensor 'w' has external data in 'out', " OUTSIDE);
    check_external(dir, "none", NULL, NULL,
                   "2 m: tensor 'w' has external data in 'none', which is not beside the model");
    check_external(dir, "", NULL, NULL, "2 m: tensor 'w' has external data in '', " OUTSIDE);
    check_external(dir, NULL, NULL, NULL, "2 m: tensor 'w' has external data without a location");
    check_external(NULL, "w.bin", NULL, NULL,
                   "2 m: tensor 'w' has external data, but the model did not come from a file");

    CHECK(unlink(link_out) == 0 && unlink(link_in) == 0 && unlink(data) == 0 && unlink(secret) == 0);
    CHECK(rmdir(dir) == 0 && rmdir(root) == 0);
}

SW_TEST(onnx_loads_files) {
    char path[] = "/tmp/slipway-onnx-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0) {
        sw_test_skip("no temporary file");
        return;
    }
    close(fd);
    sw_buf model = sw__test_model("opset 17\nin x f32 2\ninit w f32 2 : 1 2\nout y\nnode Add x w -> y\n");
    CHECK_INT(sw_file_write(path, model.data, model.size, &sw_test_diag), SW_OK);
    sw_graph *g;
    CHECK_INT(sw_onnx_load(path, NULL, NULL, &sw_test_diag, &g), SW_OK);
    if (g) CHECK_STR(sw__test_describe(g), "Add(x, [1 2]) -> y");
    sw_graph_destroy(g);
    CHECK_INT(sw_onnx_load("/tmp", NULL, NULL, &sw_test_diag, &g), SW_E_IO);
    CHECK(!g && strstr(sw_test_message(), "folder"));
    CHECK_INT(sw_onnx_load("/nowhere/x.onnx", NULL, NULL, &sw_test_diag, &g), SW_E_IO);
    CHECK(!g);
    CHECK(unlink(path) == 0);
    sw_buf_free(&model);
}
