/* Sequences and optionals: nothing of them is left in the graph. */
#include "import/onnx/test_model.h"
#include "unit.h"

#define M                                                                                                              \
    "opset 18\nin x f32 2 6\nin z f32 2 6\nin k i64\n"                                                                 \
    "init zero i64 : 0\ninit one i64 : 1\ninit two i64 : 2\ninit last i64 : -1\nout y\n"

static void check(const char *nodes, const char *want) {
    char model[1000];
    snprintf(model, sizeof model, M "%s", nodes);
    const char *got = sw__test_import_computing(model);
    if (strcmp(got, want) != 0)
        sw_test_fail(__FILE__, __LINE__, "%s\n      gives     %s\n      expected: %s", nodes, got, want);
}

SW_TEST(onnx_sequences_become_tensors) {
    check("node SequenceConstruct x z -> s\nnode SequenceAt s last -> a\nnode Relu a -> y\n", "Relu(z) -> y");
    check("node SequenceConstruct x z -> s\nnode SequenceAt s zero -> y\n", "Identity(x) -> y");
    check("node SequenceEmpty -> e\nnode SequenceInsert e x -> s\nnode SequenceInsert s z zero -> t\n"
          "node SequenceAt t zero -> a\nnode SequenceAt t one -> b\nnode Sub a b -> y\n",
          "Sub(z, x) -> y");
    check("node SequenceConstruct x z x -> s\nnode SequenceErase s -> t\nnode SequenceErase t zero -> u\n"
          "node SequenceAt u zero -> a\nnode Relu a -> y\n",
          "Relu(z) -> y");
    check(
        "node SequenceConstruct x z -> s\nnode Identity s -> t\nnode SequenceLength t -> n\nnode Cast n -> f | to=i:1\n"
        "node Mul x f -> y\n",
        "Mul(x, 2) -> y");
    check("node SequenceConstruct x z -> s\nnode ConcatFromSequence s -> y | axis=i:1\n", "Concat(x, z) axis=1 -> y");
    check("node SequenceConstruct x z -> s\nnode ConcatFromSequence s -> y | axis=i:0 | new_axis=i:1\n",
          "Unsqueeze(x, i[0]) -> y/item; Unsqueeze(z, i[0]) -> y/item#1; Concat(y/item, y/item#1) axis=0 -> y");
}

SW_TEST(onnx_tensors_are_split_into_sequences) {
    check("node SplitToSequence x -> s | axis=i:0 | keepdims=i:0\nnode SequenceAt s one -> a\nnode Relu a -> y\n",
          "Split(x, i[1 1]) -> s/part s/part#1; Squeeze(s/part, i[0]) -> s/item; Squeeze(s/part#1, i[0]) -> s/item#2; "
          "Relu(s/item#2) -> y");
    check("init by i64 : 4\nnode SplitToSequence x by -> s | axis=i:-1 | keepdims=i:0\n"
          "node SequenceAt s one -> a\nnode Relu a -> y\n",
          "Split(x, i[4 2]) axis=1 -> s/part s/part#1; Relu(s/part#1) -> y");
    check(
        "init by i64 2 : 1 5\nnode SplitToSequence x by -> s | axis=i:1\nnode SequenceAt s zero -> a\nnode Relu a -> y\n",
        "Split(x, i[1 5]) axis=1 -> s/part s/part#1; Relu(s/part) -> y");
}

SW_TEST(onnx_optionals_are_what_they_hold) {
    check("node Optional x -> o\nnode OptionalGetElement o -> a\nnode Relu a -> y\n", "Relu(x) -> y");
    check(
        "graph yes\nnode OptionalGetElement o -> b\nout b\nend\ngraph no\nnode Neg x -> c\nout c\nend\n"
        "node Optional z -> o\nnode OptionalHasElement o -> h\nnode If h -> y | then_branch=g:yes | else_branch=g:no\n",
        "Identity(z) -> y");
    check("graph yes\nnode OptionalGetElement o -> b\nout b\nend\ngraph no\nnode Neg x -> c\nout c\nend\n"
          "node Optional -> o\nnode OptionalHasElement o -> h\nnode If h -> y | then_branch=g:yes | else_branch=g:no\n",
          "Neg(x) -> y");
}

SW_TEST(onnx_sequences_go_through_functions_and_bodies) {
    check("func f::Pair a b -> s\nopset 18\nnode SequenceConstruct a b -> s\nend\nopset f 1\n"
          "node f::Pair x z -> s\nnode SequenceAt s one -> a\nnode Relu a -> y\n",
          "Relu(z) -> y");
    check("graph yes\nnode SequenceAt s one -> b\nnode Relu b -> c\nout c\nend\ngraph no\nnode Neg x -> d\nout d\nend\n"
          "in q bool\nnode SequenceConstruct x z -> s\nnode If q -> y | then_branch=g:yes | else_branch=g:no\n",
          "If(q, x, z, x) -> y");
}

SW_TEST(onnx_sequences_that_data_decides_are_refused) {
    check("node SequenceConstruct x z -> s\nnode SequenceAt s k -> y\n",
          "2 m, node 'y' (SequenceAt): the place in the sequence is no constant whole number");
    check("init f f32 : 1\nnode SequenceConstruct x z -> s\nnode SequenceAt s f -> y\n",
          "2 m, node 'y' (SequenceAt): the place in the sequence is no constant whole number");
    check("init f f32 1 : 1\nnode SplitToSequence x f -> s\nnode SequenceAt s zero -> y\n",
          "2 m, node 's' (SplitToSequence): the lengths of the parts are no constant whole numbers");
    check("node SequenceConstruct x z -> s\nnode SequenceAt s two -> y\n",
          "2 m, node 'y' (SequenceAt): place 2 of a sequence that has 2");
    check("node SequenceConstruct x z -> s\nnode Relu s -> y\n",
          "2 m, node 'y' (Relu): input 1 is a sequence; expected: a tensor");
    check("node SequenceAt x zero -> y\n", "2 m, node 'y' (SequenceAt): input 1 is no sequence; expected: a sequence");
    check("node SequenceConstruct x z -> y\n", "2 m: the output 'y' is a sequence, which Slipway does not support");
    check("node SequenceEmpty -> s\nnode ConcatFromSequence s -> y | axis=i:0\n",
          "2 m, node 'y' (ConcatFromSequence): the sequence is empty");
    check("node SplitToSequence x k -> s\nnode SequenceAt s zero -> y\n",
          "2 m, node 's' (SplitToSequence): the lengths of the parts are no constant whole numbers");
    check(
        "in o f32 2 N\nnode SplitToSequence o -> s | axis=i:1\nnode SequenceAt s zero -> y\n",
        "2 m, node 's' (SplitToSequence): how many parts there are depends on a dimension that is open; fix it in the model");
    check("init by i64 : 0\nnode SplitToSequence x by -> s\nnode SequenceAt s zero -> y\n",
          "2 m, node 's' (SplitToSequence): parts of length 0");
    check("node Optional -> o\nnode OptionalGetElement o -> y\n",
          "2 m, node 'y' (OptionalGetElement): the optional is empty");
    check(
        "graph yes\nnode SequenceConstruct x -> b\nout b\nend\ngraph no\nnode SequenceConstruct z -> c\nout c\nend\nin q bool\n"
        "node If q -> s | then_branch=g:yes | else_branch=g:no\nnode SequenceAt s zero -> y\n",
        "2 m, node 's' (If): its result 1 is a sequence, which only branches known beforehand may have");
}
