"""If, Loop and Scan that data decides, and lists of tensors, against ONNX Runtime: from the model, from its plan, from a
stripped plan, and exported again."""

import pathlib
import tempfile
import unittest

import numpy as np
import onnx
import onnx.parser

import reference
import slipway

HEAD = '<ir_version: 8, opset_import: ["" : 17]>\n'

BRANCHES = """agraph (float[n, 3] x, bool flag) => (float[a, b] y, float[n, 3] z) <float[3] w = {1, 2, 3}> {
    scaled = Mul(x, w)
    y, z = If(flag) <
        then_branch = yes () => (float[a, b] ya, float[n, 3] za) { ya = Concat<axis = 1>(scaled, x)  za = Neg(scaled) },
        else_branch = no () => (float[a, b] yb, float[n, 3] zb) { yb = Abs(x)  zb = Identity(x) }>
}"""

# Maps before, in and after the branches: convolutions in the layout of fast kernels.
MAPS = """agraph (float[1, 3, 12, 12] x, bool flag) => (float[1, 8, 12, 12] y) {
    a = Conv<pads = [1, 1, 1, 1]>(x, w1)
    b = If(flag) <
        then_branch = yes () => (float[1, 8, 12, 12] c) { c0 = Conv<pads = [1, 1, 1, 1]>(a, w2)  c = Relu(c0) },
        else_branch = no () => (float[1, 8, 12, 12] d) { d = Sigmoid(a) }>
    both = Add(a, b)
    y = Conv<pads = [1, 1, 1, 1]>(both, w2)
}"""

# Ends when the sum exceeds the limit, at the latest after `n` turns.
SUMS = """agraph (int64 n, bool go, float[2] start, float limit) => (float[2] end, float[t, 2] all, int64[t] turns) {
    end, all, turns = Loop(n, go, start) <
        body = b (int64 i, bool c, float[2] s) => (bool again, float[2] t, float[2] o, int64 j) {
        step = Cast<to = 1>(i)
        t = Add(s, step)
        total = ReduceSum<keepdims = 0>(t)
        again = Less(total, limit)
        o = Mul(t, start)
        j = Identity(i)
    }>
}"""

# A while loop without a count whose value grows, and one without a condition.
GROWTH = """agraph (float[k] x, int64 n) => (float[m] y, float[2] z) {
    zero = Constant<value = float {0.0}>()
    truth = Constant<value = bool {1}>()
    one = Constant<value = int64[1] {1}>()
    y = Loop(, truth, x) <body = b (int64 i, bool c, float[m] s) => (bool again, float[m2] t) {
        t = Concat<axis = 0>(s, x)
        shape = Shape(t)
        size = Squeeze(shape)
        most = Constant<value = int64 {7}>()
        again = Less(size, most)
    }>
    first = Slice(x, zero_i, one)
    pair = Concat<axis = 0>(first, first)
    z = Loop(n, , pair) <
        body = c (int64 i, bool c, float[2] s) => (bool same, float[2] t) { same = Identity(c)  t = Add(s, s) }>
}"""

NESTED = """agraph (float[4] x, int64 n) => (float[4] y, float[a, b, 4] all) {
    truth = Constant<value = bool {1}>()
    half = Constant<value = float {0.5}>()
    y, all = Loop(n, truth, x) <body = outer (int64 i, bool c, float[4] s) => (bool c2, float[4] t, float[b, 4] rows) {
        c2 = Identity(c)
        t, rows = Loop(n, c, s) <body = inner (int64 j, bool d, float[4] u) => (bool d2, float[4] v, float[4] row) {
            d2 = Identity(d)
            even = Constant<value = int64 {2}>()
            turn = Add(i, j)
            rest = Mod(turn, even)
            odd = Cast<to = 9>(rest)
            v = If(odd) <then_branch = yes () => (float[4] p) { p0 = Mul(u, half)  p = Sub(p0, s) },
                         else_branch = no () => (float[4] q) { q = Add(u, x) }>
            row = Mul(v, half)
        }>
    }>
}"""

SCANS = """agraph (float[2] s, float[2, 5] a, float[5, 2] b) => (float[2] end, float[2, 5] c, float[5, 2] d) {
    end, c, d = Scan(s, a, b) <num_scan_inputs = 2, scan_input_axes = [1, 0], scan_input_directions = [0, 1],
        scan_output_axes = [1, 0], scan_output_directions = [1, 0],
        body = g (float[2] u, float[2] p, float[2] q) => (float[2] v, float[2] e, float[2] f) {
        v = Add(u, p)  e = Mul(v, q)  f = Sub(v, q)
    }>
}"""

SWAP = """agraph (float[2] a, float[2] b, int64 n) => (float[2] c, float[2] d) {
    truth = Constant<value = bool {1}>()
    c, d = Loop(n, truth, a, b) <body = g (int64 i, bool t, float[2] p, float[2] q) => (bool t2, float[2] r, float[2] s) {
        t2 = Identity(t)  r = Identity(q)  s = Identity(p)
    }>
}"""

# Lists of tensors, of which it is known what is in them.
LISTS = """agraph (float[2, 6] x, bool flag) => (float[2, a] y, float[2, 3, 2] z, int64 n) {
    parts = SplitToSequence<axis = 1>(x, two)
    last = SequenceAt(parts, minus)
    more = SequenceInsert(parts, last, zero)
    some = SequenceErase(more, one)
    z = ConcatFromSequence<axis = 1, new_axis = 1>(some)
    n = SequenceLength(more)
    y = If(flag) <
        then_branch = yes () => (float[2, b] ya) { ya = ConcatFromSequence<axis = -1>(more) },
        else_branch = no () => (float[2, c] yb) { rows = SplitToSequence<axis = -1, keepdims = 0>(x)
            i = SequenceAt(rows, one)  yb = Unsqueeze(i, axes) }>
}"""


def model_of(text, **constants):
    model = onnx.parser.parse_model(HEAD + text)
    for name, array in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.checker.check_model(model)
    return model


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def count(n):
    return np.array(n, np.int64)


class Control(unittest.TestCase):
    def check(self, model, *runs):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            names = "m.onnx", "m.slip", "bare.slip", "whole.slip", "again.onnx"
            path, plan, bare, whole, again = (folder / name for name in names)
            onnx.save(model, path)
            slipway.run("build", path, "-o", plan)
            slipway.run("build", path, "-o", bare, "--strip")
            slipway.run("refit", bare, path, "-o", whole)
            slipway.export( path, "--to", "onnx", "-o", again)
            onnx.checker.check_model(onnx.load(again), full_check=True)
            for inputs in runs:
                want = reference.run_onnx(path, inputs)
                for program in (path, plan, whole, again):
                    got = slipway.run_model(program, inputs, folder)
                    self.compare(got, want)
                self.compare(reference.run_onnx(again, inputs), want)

    def compare(self, got, want):
        self.assertEqual(set(got), set(want))
        for output, array in want.items():
            self.assertEqual((got[output].dtype, got[output].shape), (array.dtype, array.shape), output)
            np.testing.assert_allclose(got[output], array, rtol=0, atol=2e-5, err_msg=output)

    def test_if(self):
        x = random(4, 3)
        self.check(model_of(BRANCHES), *({"x": x, "flag": np.array(flag)} for flag in (True, False)))

    def test_if_between_maps(self):
        weights = {"w1": random(8, 3, 3, 3, seed=1) / 5, "w2": random(8, 8, 3, 3, seed=2) / 9}
        x = random(1, 3, 12, 12)
        self.check(model_of(MAPS, **weights), *({"x": x, "flag": np.array(flag)} for flag in (True, False)))

    def test_loop(self):
        start = np.array([0.5, 1], np.float32)
        runs = [(9, True, 6.0), (3, True, 100.0), (5, False, 6.0), (0, True, 6.0), (-2, True, 6.0)]
        self.check(
            model_of(SUMS),
            *({"n": count(n), "go": np.array(go), "start": start, "limit": np.array(top, np.float32)} for n, go, top in runs),
        )

    def test_loop_without_count_or_condition(self):
        model = model_of(GROWTH, zero_i=np.zeros(1, np.int64))
        self.check(model, *({"x": random(k), "n": count(n)} for k, n in ((1, 3), (2, 0), (5, 1))))

    def test_nested(self):
        self.check(model_of(NESTED), {"x": random(4), "n": count(3)}, {"x": random(4), "n": count(1)})

    def test_values_that_change_places(self):
        self.check(model_of(SWAP), *({"a": random(2), "b": random(2, seed=1), "n": count(n)} for n in (1, 2)))

    def test_lists_that_are_known(self):
        numbers = {"zero": count(0), "one": count(1), "two": count(2), "minus": count(-1), "axes": np.array([1])}
        self.check(model_of(LISTS, **numbers), *({"x": random(2, 6), "flag": np.array(flag)} for flag in (True, False)))

    def test_scan(self):
        self.check(model_of(SCANS), {"s": random(2), "a": random(2, 5), "b": random(5, 2, seed=1)})

    def test_what_goes_wrong_says_where(self):
        growing = SUMS.replace("o = Mul(t, start)", "till = Unsqueeze(i, nil)  o = Slice(t, nil, till)")
        cases = {
            "its condition is no single truth value": SUMS.replace("Less(total, limit)", "Less(t, start)"),
            "result 2 changes its shape between turns": growing,
        }
        for sentence, text in cases.items():
            with self.subTest(sentence), tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder, "m.onnx")
                onnx.save(model_of(text, nil=np.zeros(1, np.int64)), path)
                inputs = {"n": count(9), "go": np.array(True), "start": random(2), "limit": np.array(100, np.float32)}
                with self.assertRaisesRegex(AssertionError, sentence):
                    slipway.run_model(path, inputs, folder)


if __name__ == "__main__":
    unittest.main()
