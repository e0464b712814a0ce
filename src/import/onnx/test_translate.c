/* Older opsets and operators that become others. */
#include "import/onnx/test_model.h"
#include "unit.h"

typedef struct sw__case {
    const char *model, *want;
} sw__case;

static void check_all(const sw__case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const char *got = sw__test_import(cases[i].model);
        if (strcmp(got, cases[i].want) != 0)
            sw_test_fail(__FILE__, __LINE__, "%s\n      gives     %s\n      expected: %s", cases[i].model, got,
                         cases[i].want);
    }
}
#define CHECK_ALL(cases) check_all(cases, sizeof cases / sizeof *cases)
#define X                "in x f32 1 2 4 6\nout y\n"

SW_TEST(onnx_axes_become_inputs) {
    static const sw__case cases[] = {
        {"opset 11\n" X "node Squeeze x -> y | axes=is:0,2\n", "Squeeze(x, i[0 2]) -> y"},
        {"opset 11\n" X "node Squeeze x -> y\n", "Squeeze(x) -> y"},
        {"opset 12\n" X "node Unsqueeze x -> y | axes=is:1\n", "Unsqueeze(x, i[1]) -> y"},
        {"opset 13\n" X "init a i64 1 : 1\nnode Unsqueeze x a -> y\n", "Unsqueeze(x, i[1]) -> y"},
        {"opset 12\n" X "node ReduceSum x -> y | axes=is:-1 | keepdims=i:0\n", "ReduceSum(x, i[-1]) keepdims=0 -> y"},
        {"opset 17\n" X "node ReduceMean x -> y | axes=is:2,3\n", "ReduceMean(x, i[2 3]) -> y"},
        {"opset 17\n" X "node ReduceL2 x -> y\n", "ReduceL2(x) -> y"},
        {"opset 18\n" X "node ReduceMean x -> y | axes=is:2,3\n",
         "2 m, node 'y' (ReduceMean): the attribute 'axes' is not supported"},
        {"opset 13\n" X "node ReduceSum x -> y | axes=is:2,3\n",
         "2 m, node 'y' (ReduceSum): the attribute 'axes' is not supported"},
        {"opset 11\n" X "node Unsqueeze x -> y\n", "2 m, node 'y' (Unsqueeze): it has 1 inputs; Unsqueeze takes 2"},
    };
    CHECK_ALL(cases);
}

SW_TEST(onnx_softmax_flattens_until_12) {
    static const sw__case cases[] = {
        {"opset 11\n" X "node Softmax x -> y\n", "Softmax(x) axis=1 to_end=1 -> y"},
        {"opset 12\n" X "node LogSoftmax x -> y | axis=i:3\n", "LogSoftmax(x) -> y"},
        {"opset 12\n" X "node Hardmax x -> y | axis=i:-1\n", "Hardmax(x) -> y"},
        {"opset 12\n" X "node Relu x -> a\nnode Softmax a -> y | axis=i:3\n", "Relu(x) -> a; Softmax(a) -> y"},
        {"opset 13\n" X "node Softmax x -> y\n", "Softmax(x) -> y"},
        {"opset 13\n" X "node Softmax x -> y | axis=i:1\n", "Softmax(x) axis=1 -> y"},
    };
    CHECK_ALL(cases);
}

SW_TEST(onnx_clip_slice_pad_split_topk) {
    static const sw__case cases[] = {
        {"opset 10\n" X "node Clip x -> y | min=f:0 | max=f:6\n", "Clip(x, 0, 6) -> y"},
        {"opset 7\n" X "node Clip x -> y | max=f:6\n", "Clip(x, -, 6) -> y"},
        {"opset 7\nin x f16 2\nout y\nnode Clip x -> y | min=f:0.5\n", "Clip(x, float160.5) -> y"},
        {"opset 9\n" X "node Slice x -> y | starts=is:1 | ends=is:3 | axes=is:2\n", "Slice(x, i[1], i[3], i[2]) -> y"},
        {"opset 9\n" X "node Slice x -> y | starts=is:0,1 | ends=is:1,2\n", "Slice(x, i[0 1], i[1 2]) -> y"},
        {"opset 2\n" X "node Pad x -> y\n",
         "2 m, node 'y' (Pad): the model uses opset 2; Slipway reads 7 to 26 (onnx.version_converter can raise it)"},
        {"opset 10\n" X "node Pad x -> y | pads=is:0,0,1,1,0,0,1,1 | value=f:0.5\n",
         "Pad(x, i[0 0 1 1 0 0 1 1], 0.5) -> y"},
        {"opset 10\n" X "node Pad x -> y | pads=is:0,0,1,1,0,0,1,1 | mode=s:reflect\n",
         "Pad(x, i[0 0 1 1 0 0 1 1]) mode=reflect -> y"},
        {"opset 11\n" X "node Split x -> y z | axis=i:1 | split=is:1,1\n", "Split(x, i[1 1]) axis=1 -> y z"},
        {"opset 13\n" X "node Split x -> y z | axis=i:3\n", "Split(x) axis=3 num_outputs=2 -> y z"},
        {"opset 13\n" X "init s i64 2 : 2 4\nnode Split x s -> y z | axis=i:3\n", "Split(x, i[2 4]) axis=3 -> y z"},
        {"opset 18\n" X "node Split x -> y z | axis=i:3 | num_outputs=i:2\n", "Split(x) axis=3 num_outputs=2 -> y z"},
        {"opset 9\n" X "node TopK x -> y i | k=i:3\n", "TopK(x, i[3]) -> y i"},
        {"opset 11\n" X "init k i64 1 : 3\nnode TopK x k -> y i | largest=i:0\n", "TopK(x, i[3]) largest=0 -> y i"},
        {"opset 10\n" X "init s i64 4 : 0 0 0 0\nin i i64 1 2 1 1\nnode Scatter x i x -> y | axis=i:2\n",
         "ScatterElements(x, i, x) axis=2 -> y"},
    };
    CHECK_ALL(cases);
}

#define WAS_10 " coordinate_transformation_mode=asymmetric"

SW_TEST(onnx_resize_of_all_ages) {
    static const sw__case cases[] = {
        {"opset 8\n" X "node Upsample x -> y | scales=fs:1,1,2,2\n",
         "Resize(x, -, [1 1 2 2])" WAS_10 " nearest_mode=floor -> y"},
        {"opset 9\n" X "init s f32 4 : 1 1 2 2\nnode Upsample x s -> y | mode=s:linear\n",
         "Resize(x, -, [1 1 2 2])" WAS_10 " mode=linear nearest_mode=floor -> y"},
        {"opset 10\n" X "init s f32 4 : 1 1 0.5 0.5\nnode Resize x s -> y\n",
         "Resize(x, -, [1 1 0.5 0.5])" WAS_10 " nearest_mode=ceil -> y"},
        {"opset 10\n" X "init s f32 4 : 1 1 0.5 2\nnode Resize x s -> y\n",
         "Resize(x, -, [1 1 0.5 1])" WAS_10 " nearest_mode=ceil -> y/down; "
         "Resize(y/down, -, [1 1 1 2])" WAS_10 " nearest_mode=floor -> y"},
        {"opset 11\n" X "init s f32 4 : 1 1 2 2\ninit e f32 0 :\nnode Resize x e s -> y | mode=s:linear\n",
         "Resize(x, -, [1 1 2 2]) mode=linear -> y"},
        {"opset 11\n" X "init z i64 4 : 1 2 8 12\ninit e f32 0 :\nnode Resize x e e z -> y\n",
         "Resize(x, -, -, i[1 2 8 12]) -> y"},
        {"opset 11\n" X "init s f32 4 : 1 1 2 2\ninit r f32 8 : 0 0 0 0 1 1 1 1\nnode Resize x r s -> y\n",
         "Resize(x, -, [1 1 2 2]) -> y"},
        {"opset 11\n" X "init s f32 4 : 1 1 2 2\ninit r f32 8 : 0 0 0 0 1 1 1 1\n"
         "node Resize x r s -> y | coordinate_transformation_mode=s:tf_crop_and_resize\n",
         "Resize(x, [0 0 0 0 1 1 1 1], [1 1 2 2]) coordinate_transformation_mode=tf_crop_and_resize -> y"},
        {"opset 11\n" X "init s f32 4 : 1 1 2 2\n"
         "node Resize x - s -> y | coordinate_transformation_mode=s:tf_half_pixel_for_nn | nearest_mode=s:floor\n",
         "Resize(x, -, [1 1 2 2]) nearest_mode=round_prefer_ceil -> y"},
        {"opset 11\n" X "init s f32 4 : 1 1 2 2\n"
         "node Resize x - s -> y | coordinate_transformation_mode=s:tf_half_pixel_for_nn\n",
         "2 m, node 'y' (Resize): tf_half_pixel_for_nn is supported with mode=nearest, nearest_mode=floor"},
        {"opset 19\n" X "init s f32 4 : 1 1 2 2\nnode Resize x - s -> y | antialias=i:1 | axes=is:0,1,2,3\n",
         "Resize(x, -, [1 1 2 2]) antialias=1 axes=[0 1 2 3] -> y"},
    };
    CHECK_ALL(cases);
    CHECK_STR(sw__test_import("opset 10\n" X "in s f32 4\nnode Resize x s -> y\n"),
              "Resize(x, -, s)" WAS_10 " nearest_mode=floor -> y");
    CHECK_STR(sw_test_message(),
              "m, node 'y' (Resize): the scales are computed: nearest pixels are chosen as for enlarging");
}

#define BN "init s f32 2 : 1 1\nnode BatchNormalization x s s s s -> y"

SW_TEST(onnx_batch_norm) {
    static const sw__case cases[] = {
        {"opset 9\n" X BN "\n", "BatchNormalization(x, [1 1], [1 1], [1 1], [1 1]) -> y"},
        {"opset 9\n" X BN " a b c d | epsilon=f:0.5\n",
         "BatchNormalization(x, [1 1], [1 1], [1 1], [1 1]) epsilon=0.5 -> y"},
        {"opset 8\n" X BN " | spatial=i:1\n", "BatchNormalization(x, [1 1], [1 1], [1 1], [1 1]) -> y"},
        {"opset 8\n" X BN " | spatial=i:0\n", "2 m, node 'y' (BatchNormalization): spatial=0 is not supported"},
        {"opset 15\n" X BN " a - | training_mode=i:1\n",
         "ReduceMean(x, i[0 2 3]) -> y/mean; Sub(x, y/mean) -> y/centred; Mul(y/centred, y/centred) -> y/square; "
         "ReduceMean(y/square, i[0 2 3]) -> y/variance; Reshape(y/mean, i[-1]) -> y/means; "
         "Reshape(y/variance, i[-1]) -> y/variances; Mul([1 1], 0.9) -> y/kept; Mul(y/means, 0.1) -> y/added; "
         "Add(y/kept, y/added) -> a; BatchNormalization(x, [1 1], [1 1], y/means, y/variances) -> y"},
        {"opset 15\nin x f32 *\nout y\n" BN " a b | training_mode=i:1\n",
         "2 m, node 'y' (BatchNormalization): training_mode=1 on an input of unknown rank"},
        {"opset 9\n" X "init s f32 2 : 1 1\nnode BatchNormalization x s s s s -> z a\nnode Relu a -> y\n",
         "2 m, node 'y' (Relu): input 1 is 'a', which is only made in training"},
    };
    CHECK_ALL(cases);
}

SW_TEST(onnx_reads_operators_of_opset_1_that_are_as_later) {
    static const sw__case cases[] = {
        {"opset 1\n" X "node Transpose x -> y\n", "Transpose(x) -> y"},
        {"opset 1\n" X "node Add x x -> y\n",
         "2 m, node 'y' (Add): the model uses opset 1; Slipway reads 7 to 26 (onnx.version_converter can raise it)"},
    };
    CHECK_ALL(cases);
}

SW_TEST(onnx_dropout_is_identity) {
    static const sw__case cases[] = {
        {"opset 7\n" X "node Dropout x -> y | ratio=f:0.3\n", "Identity(x) -> y"},
        {"opset 7\n" X "node Dropout x -> y mask\n", "Identity(x) -> y"},
        {"opset 10\n" X "node Dropout@d x -> y mask\n",
         "Shape(x) -> d/shape; ConstantOfShape(d/shape) value=bool[1] -> mask; Identity(x) -> y"},
        {"opset 13\n" X "init r f32 : 0.5\ninit t bool : 0\nnode Dropout x r t -> y | seed=i:3\n", "Identity(x) -> y"},
        {"opset 13\n" X "init r f32 : 0.5\ninit t bool : 1\nnode Dropout x r t -> y\n",
         "2 m, node 'y' (Dropout): training_mode=1 is not supported"},
        {"opset 13\n" X "init r f32 : 0.5\nin t bool\nnode Dropout x r t -> y\n",
         "2 m, node 'y' (Dropout): training_mode is computed; it must be a constant"},
        {"opset 13\n" X "node Dropout x -> y | ratio=i:3\n",
         "2 m, node 'y' (Dropout): the attribute 'ratio' is of type INT; expected: FLOAT"},
    };
    CHECK_ALL(cases);
}

SW_TEST(onnx_group_norm) {
    CHECK_STR(
        sw__test_import("opset 18\nin x f32 1 4 2 2\nout y\ninit s f32 2 : 1 2\n"
                        "node GroupNormalization@g x s s -> y | num_groups=i:2 | epsilon=f:0.5\n"),
        "Reshape(x, i[0 2 -1]) -> g/grouped; InstanceNormalization(g/grouped, [1 2], [1 2]) epsilon=0.5 -> g/normal; "
        "Shape(x) -> g/shape; Reshape(g/normal, g/shape) -> y");
    CHECK_STR(
        sw__test_import("opset 21\nin x f16 1 4 2 2\nout y\ninit s f16 4 : 1 2 3 4\n"
                        "node GroupNormalization@g x s s -> y | num_groups=i:2\n"),
        "Reshape(x, i[0 2 -1]) -> g/grouped; Expand(float161, i[2]) -> g/ones#1; Expand(float160, i[2]) -> g/zeros#3; "
        "InstanceNormalization(g/grouped, g/ones#1, g/zeros#3) -> g/normal; Shape(float16[1 2 3 4]) -> g/channels; "
        "Concat(i[0], g/channels, i[-1]) axis=0 -> g/dims; Reshape(g/normal, g/dims) -> g/flat; "
        "Unsqueeze(float16[1 2 3 4], i[1]) -> g/scale; Unsqueeze(float16[1 2 3 4], i[1]) -> g/bias; "
        "Mul(g/flat, g/scale) -> g/scaled; Add(g/scaled, g/bias) -> g/shifted; Shape(x) -> g/shape; "
        "Reshape(g/shifted, g/shape) -> y");
    CHECK_STR(sw__test_import("opset 21\n" X "init s f32 2 : 1 2\nnode GroupNormalization@g x s s -> y\n"),
              "2 m, node 'g' (GroupNormalization): num_groups is missing or below 1");
    CHECK_STR(sw__test_import("opset 21\n" X
                              "init s f32 2 : 1 2\nnode GroupNormalization@g x s s -> y | num_groups=i:1 | a=i:1\n"),
              "2 m, node 'g' (GroupNormalization): the attribute 'a' is not supported");
}

SW_TEST(onnx_mean_variance_norm) {
    CHECK_STR(sw__test_import("opset 13\n" X "node MeanVarianceNormalization@m x -> y | axes=is:1\n"),
              "ReduceMean(x, i[1]) -> m/mean; Mul(m/mean, m/mean) -> m/mean2; Mul(x, x) -> m/square; "
              "ReduceMean(m/square, i[1]) -> m/square_mean; Sub(m/square_mean, m/mean2) -> m/variance; "
              "Sqrt(m/variance) -> m/deviation; Add(m/deviation, 1e-09) -> m/divisor; Sub(x, m/mean) -> m/centred; "
              "Div(m/centred, m/divisor) -> y");
}

SW_TEST(onnx_operators_of_microsoft) {
#define M "opset 17\nopset com.microsoft 1\n" X "in w f32 3 2 3 3\n"
    static const sw__case cases[] = {
        {M
         "node com.microsoft::FusedConv@f x w -> y | activation=s:LeakyRelu | activation_params=fs:0.5 | pads=is:1,1,1,1\n",
         "Conv(x, w) pads=[1 1 1 1] -> f/conv; LeakyRelu(f/conv) alpha=0.5 -> y"},
        {M "node com.microsoft::QuickGelu x -> y\n", "Swish(x) alpha=1.702 -> y"},
        {M "node com.microsoft::FusedMatMul@f x x -> y | transB=i:1 | alpha=f:0.5\n",
         "Transpose(x) perm=[0 1 3 2] -> f/b; MatMul(x, f/b) -> f/product; Mul(f/product, 0.5) -> y"},
        {M "init s f32 : 1\ninit z u8 : 3\nin q u8 1 4\n"
           "node com.microsoft::QLinearAdd@f q s z q s z s z -> y\n",
         "DequantizeLinear(q, 1, uint83) -> f/a; DequantizeLinear(q, 1, uint83) -> f/b; Add(f/a, f/b) -> f/float; "
         "QuantizeLinear(f/float, 1, uint83) -> y"},
        {M "node com.microsoft::FusedConv@f x - -> y\n",
         "2 m, node 'f' (FusedConv): input 2 is absent; FusedConv needs it"},
    };
#undef M
    CHECK_ALL(cases);
}

SW_TEST(onnx_types_that_slipway_lacks) {
    static const sw__case cases[] = {
        {"opset 19\n" X "node Cast@c x -> y | to=i:10\n", "Cast(x) to=10 -> y"},
        {"opset 19\n" X "node Cast@c x -> y | to=i:17\n", "Cast(x) to=17 -> y"},
        {"opset 19\n" X "node Cast@c x -> y | to=i:14\n",
         "2 m: the output of node 'c' (Cast) has type COMPLEX64, which Slipway does not support"},
        {"opset 19\n" X "node Cast@c x -> y | to=i:99\n", "2 m: the output of node 'c' (Cast) has the unknown type 99"},
        {"opset 19\n" X "node Cast@c x -> y\n", "2 m, node 'c' (Cast): the attribute 'to' is missing"},
        {"opset 6\n" X "node Cast@c x -> y | to=s:FLOAT\n",
         "2 m, node 'c' (Cast): the model uses opset 6; Slipway reads 7 to 26 (onnx.version_converter can raise it)"},
        {"opset 9\n" X "node EyeLike@e x -> y | dtype=i:8\n",
         "2 m: the output of node 'e' (EyeLike) has type STRING, which Slipway does not support"},
    };
    CHECK_ALL(cases);
}

SW_TEST(onnx_cells_transforms_regions) {
    static const sw__case cases[] = {
        {"opset 14\nin x f32 2 1 3\nin w f32 1 4 3\nin r f32 1 4 4\nout y\n"
         "node RNN x w r -> y | hidden_size=i:4 | activations=ss:Relu\n",
         "RNN(x, w, r) activations=Relu hidden_size=4 -> y"},
        {"opset 14\nin x f32 2 1 3\nin w f32 2 12 3\nin r f32 2 12 4\nout y\n"
         "node GRU x w r -> y | direction=s:bidirectional | hidden_size=i:4 | activations=ss:Sigmoid,Tanh,Relu,Elu\n",
         "GRU(x, w, r) activations=Sigmoid,Tanh,Relu,Elu direction=bidirectional hidden_size=4 -> y"},
        {"opset 17\nin x f32 2 8 1\nout y\nnode DFT x -> y\n", "DFT(x, -, i[1]) -> y"},
        {"opset 20\nin x f32 2 8 1\nout y\nnode DFT x -> y\n", "DFT(x) -> y"},
        {"opset 10\nin x f32 1 1 4 4\nin r f32 1 4\nin b i64 1\nout y\nnode RoiAlign x r b -> y\n",
         "RoiAlign(x, r, b) coordinate_transformation_mode=output_half_pixel -> y"},
        {"opset 16\nin x f32 1 1 4 4\nin r f32 1 4\nin b i64 1\nout y\nnode RoiAlign x r b -> y\n",
         "RoiAlign(x, r, b) -> y"},
    };
    CHECK_ALL(cases);
}
