"""Operators of TensorFlow Lite files that other converters write and `slipway export` does not: files made here, against NumPy,
and against LiteRT where it is installed."""

import pathlib
import tempfile
import unittest

import numpy as np

import slipway
from test_tflite import HAVE_LITERT
from tflite_file import Model

I32 = np.int32


def ints(*values):
    return np.array(values, I32)


class Cases:
    """Many operators in one file. Those that read the map read it twice: as it comes in, channels last, and as a convolution
    leaves it behind, which the importer holds channels first."""

    def __init__(self):
        self.model, self.outputs, self.want = Model(), [], {}
        self.random = np.random.default_rng(0)
        self.x = self.random.standard_normal((2, 4, 6, 8)).astype(np.float32)
        self.input = self.model.tensor("x", self.x.shape)
        identity, zeros = np.eye(8, dtype=np.float32).reshape(8, 1, 1, 8), np.zeros(8, np.float32)
        self.behind = self.model.tensor("conv", self.x.shape)
        conv = [self.input, self.model.const(identity), self.model.const(zeros)]
        self.model.add("CONV_2D", conv, [self.behind], {0: ("i8", 1), 1: 1, 2: 1, 4: 1, 5: 1})

    def value(self, operand, x):
        if operand is None:
            return -1
        return x if isinstance(operand, str) else self.model.const(operand) if not isinstance(operand, int) else operand

    def tensor(self, array, **more):
        """Of what an operator gives; noted as an output of the file."""
        name = f"y{len(self.outputs)}"
        made = self.model.tensor(name, array.shape, array.dtype.name, **more)
        self.outputs.append(made)
        self.want[name] = array
        return made

    def add(self, operator, operands, want, options=None, version=1):
        """operands: "x" for the map, constants, numbers of tensors, None where absent. want: what comes out, one or several."""
        want = want if isinstance(want, (list, tuple)) else [want]
        for x in (self.input, self.behind) if any(isinstance(o, str) for o in operands) else (None,):
            made = [self.tensor(np.asarray(array)) for array in want]
            self.model.add(operator, [self.value(operand, x) for operand in operands], made, options, version)

    def made(self, operator, operands, array, options=None, version=1, **more):
        """An operator whose result others read; returns its tensor."""
        made = self.model.tensor(f"t{len(self.model.tensors)}", array.shape, array.dtype.name, **more)
        self.model.add(operator, [self.value(o, self.input) for o in operands], [made], options, version)
        return made


def one(kind, value):
    return (kind, value)


def add_elements(c):
    x, y = c.x, c.random.standard_normal(8).astype(np.float32)
    c.add("SQUARE", ["x"], x * x)
    c.add("RSQRT", [np.abs(x) + 1], 1 / np.sqrt(np.abs(x) + 1))
    c.add("SIGN", ["x"], np.sign(x))
    c.add("ROUND", [np.float32([0.5, 1.5, -0.5, -2.5, 2.4])], np.float32([0, 2, 0, -2, 2]))
    c.add("RELU_N1_TO_1", ["x"], x.clip(-1, 1))
    c.add("RELU_0_TO_1", ["x"], x.clip(0, 1))
    c.add("LEAKY_RELU", ["x"], np.where(x < 0, np.float32(0.3) * x, x), {0: one("f32", 0.3)})
    c.add("PRELU", ["x", y.reshape(1, 1, 8)], np.where(x < 0, y * x, x))
    c.add("SQUARED_DIFFERENCE", ["x", y], (x - y) ** 2)
    c.add("FLOOR_MOD", ["x", np.float32(0.75)], np.mod(x, np.float32(0.75)))
    c.add("FLOOR_DIV", [ints(7, -7, 8), ints(2, 2, -3)], ints(3, -4, -3), version=2)
    c.add("ADD", ["x", y], (x + y).clip(0, 6), {0: one("i8", 3)})
    c.add("SUB", ["x", y], (x - y).clip(-1, 1), {0: one("i8", 2)})
    c.add("MUL", [y, "x"], (x * y).clip(0, None), {0: one("i8", 1)})
    c.add("ADD_N", ["x", "x", "x"], 3 * x)
    c.add("ZEROS_LIKE", ["x"], 0 * x)
    less = c.made("LESS", ["x", np.float32(0)], x < 0)
    c.add("SELECT_V2", [less, np.float32(2), "x"], np.where(x < 0, np.float32(2), x))
    c.add("SELECT", [less, "x", -x], np.where(x < 0, x, -x))
    c.add("LOGICAL_NOT", [less], x >= 0)
    c.add("REDUCE_ANY", [less, ints(3)], (x < 0).any(3), {0: False})
    c.add("REDUCE_ALL", [less, ints(1, 2)], (x < 0).all((1, 2), keepdims=True), {0: True})
    c.add("SOFTMAX", ["x"], softmax(2 * x), {0: one("f32", 2)})
    c.add("L2_NORMALIZATION", ["x"], x / np.sqrt((x * x).sum(3, keepdims=True)))
    near = sum(np.pad(x * x, ((0, 0),) * 3 + ((2, 2),))[..., i : i + 8] for i in range(5))
    options = {0: 2, 1: one("f32", 1.5), 2: one("f32", 0.25), 3: one("f32", 0.75)}
    c.add("LOCAL_RESPONSE_NORMALIZATION", ["x"], x / (1.5 + 0.25 * near) ** 0.75, options)


def softmax(x):
    e = np.exp(x - x.max(3, keepdims=True))
    return e / e.sum(3, keepdims=True)


def add_reductions(c):
    x = c.x
    for axes, keep in (((1, 2), True), ((1, 2), False), ((3,), False), ((-1, 0), True)):
        c.add("MEAN", ["x", ints(*axes)], x.mean(axes, keepdims=keep), {0: keep})
        c.add("REDUCE_PROD", ["x", ints(*axes)], x.prod(axes, keepdims=keep), {0: keep})
    c.add("SUM", ["x", np.array(2, I32)], x.sum(2), {0: False})
    c.add("ARG_MAX", ["x", ints(3)], x.argmax(3).astype(I32), {0: one("i8", 2)})
    c.add("CUMSUM", ["x", np.array(2, I32)], x[:, :, ::-1].cumsum(2)[:, :, ::-1], {0: False, 1: True})
    c.add("CUMSUM", ["x", np.array(-1, I32)], x.cumsum(3) - x, {0: True, 1: False})
    order = np.argsort(-x, 3, kind="stable")[..., :3]
    c.add("TOPK_V2", ["x", np.array(3, I32)], [np.take_along_axis(x, order, 3), order.astype(I32)])


def add_moves(c):
    x, n = c.x, np.newaxis
    c.add("EXPAND_DIMS", ["x", np.array(1, I32)], x[:, n])
    c.add("PACK", ["x", "x"], np.stack([x, x], 2), {0: 2, 1: 2}, version=2)
    c.add("UNPACK", ["x"], list(np.moveaxis(x, 2, 0)), {0: 6, 1: 2})
    c.add("SPLIT", [np.array(3, I32), "x"], np.split(x, 4, 3), {0: 4})
    c.add("SPLIT_V", ["x", ints(1, 3), np.array(1, I32)], [x[:, :1], x[:, 1:]], {0: 2})
    c.add("CONCATENATION", ["x", "x"], np.concatenate([x, x], 2), {0: -2})
    c.add("TRANSPOSE", ["x", ints(3, 0, 2, 1)], x.transpose(3, 0, 2, 1))
    c.add("RESHAPE", ["x", ints(2, -1, 16)], x.reshape(2, 12, 16))
    c.add("SLICE", ["x", ints(0, 1, 2, 3), ints(-1, 2, -1, 4)], x[:, 1:3, 2:, 3:7])
    c.add("STRIDED_SLICE", ["x", ints(0, 3, 0, -2), ints(2, 0, 5, 8), ints(1, -1, 2, 1)], x[0:2, 3:0:-1, 0:5:2, -2:8])
    masks = {0: 1, 1: 2, 2: 0, 3: 0, 4: 8}
    c.add("STRIDED_SLICE", ["x", ints(1, 1, 1, 5), ints(2, 2, 4, 6), ints(1, 1, 1, 1)], x[:2, 1:, 1:4, 5], masks)
    c.add("PADV2", ["x", np.array([[0, 0], [1, 2], [0, 1], [0, 0]], I32), np.float32(7)],
          np.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)), constant_values=7))  # fmt: skip
    pads = np.array([[0, 0], [1, 2], [2, 1], [0, 0]], I32)
    c.add("MIRROR_PAD", ["x", pads], np.pad(x, pads, "reflect"), {0: one("i8", 0)})
    c.add("MIRROR_PAD", ["x", pads], np.pad(x, pads, "symmetric"), {0: one("i8", 1)})
    c.add("TILE", ["x", ints(1, 2, 1, 3)], np.tile(x, (1, 2, 1, 3)))
    c.add("BROADCAST_TO", [x[:1, :1], ints(2, 4, 6, 8)], np.broadcast_to(x[:1, :1], x.shape), version=2)
    c.add("REVERSE_V2", ["x", ints(2)], x[:, :, ::-1], version=1)
    blocks = x.reshape(2, 2, 2, 3, 2, 8).transpose(0, 1, 3, 2, 4, 5).reshape(2, 2, 3, 32)
    c.add("SPACE_TO_DEPTH", ["x"], blocks, {0: 2})
    back = x.reshape(2, 4, 6, 2, 2, 2).transpose(0, 1, 3, 2, 4, 5).reshape(2, 8, 12, 2)
    c.add("DEPTH_TO_SPACE", ["x"], back, {0: 2})
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    spread = padded.reshape(2, 2, 2, 4, 2, 8).transpose(2, 4, 0, 1, 3, 5).reshape(8, 2, 4, 8)
    made = c.made("SPACE_TO_BATCH_ND", ["x", ints(2, 2), np.array([[0, 0], [1, 1]], I32)], spread)
    c.add("BATCH_TO_SPACE_ND", [made, ints(2, 2), np.array([[0, 0], [1, 1]], I32)], x)
    c.add("SQUEEZE", [x[:, :1, :, :1]], x[:, 0, :, 0], {0: ints(1, 3)})
    c.add("GATHER", ["x", ints(5, 0, 0)], x[:, :, [5, 0, 0]], {0: 2})
    picks = ints(1, 0, 3, 2).reshape(2, 2)
    c.add("GATHER", ["x", picks], np.stack([x[i][picks[i]] for i in range(2)]), {0: 1, 1: 1}, version=5)
    c.add("GATHER_ND", ["x", ints(1, 3, 0, 2).reshape(2, 2)], x[[1, 0], [3, 2]])
    scattered = np.zeros((3, 2), np.float32)
    scattered[[2, 0]] = [[1, 2], [3, 4]]
    c.add("SCATTER_ND", [ints(2, 0).reshape(2, 1), np.float32([[1, 2], [3, 4]]), ints(3, 2)], scattered)
    hot = np.where(np.arange(4) == np.array([1, 3])[:, n], np.float32(5), np.float32(-1))
    c.add("ONE_HOT", [ints(1, 3), np.array(4, I32), np.float32(5), np.float32(-1)], hot, {0: -1})
    c.add("SHAPE", ["x"], ints(2, 4, 6, 8), {0: one("i8", 2)})
    c.add("RANK", ["x"], np.array(4, I32))
    c.add("FILL", [ints(2, 3), np.float32(1.5)], np.full((2, 3), 1.5, np.float32))
    c.add("RANGE", [np.float32(1), np.float32(3), np.float32(0.5)], np.arange(1, 3, 0.5, np.float32))
    c.add("CAST", ["x"], x.astype(I32), {0: one("i8", 0), 1: one("i8", 2)})


def add_layers(c):
    x = c.x
    means = (x * x).reshape(2, 2, 2, 3, 2, 8).mean((2, 4))
    c.add("L2_POOL_2D", ["x"], np.sqrt(means), {0: one("i8", 1), 1: 2, 2: 2, 3: 2, 4: 2})
    # SAME leaves what is outside of the map out of means
    ones = np.pad(np.ones_like(x), ((0, 0), (0, 1), (0, 1), (0, 0)))
    sums = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    windows = lambda v: v[:, :4, :6] + v[:, 1:, :6] + v[:, :4, 1:] + v[:, 1:, 1:]
    c.add("AVERAGE_POOL_2D", ["x"], windows(sums) / windows(ones), {0: one("i8", 0), 1: 1, 2: 1, 3: 2, 4: 2})
    w, b = c.random.standard_normal((1, 1, 1, 16)).astype(np.float32), np.arange(16, dtype=np.float32)
    options = {0: one("i8", 1), 1: 1, 2: 1, 3: 2, 4: one("i8", 1), 5: 1, 6: 1}
    c.add("DEPTHWISE_CONV_2D", ["x", w, b], (np.repeat(x, 2, 3) * w + b).clip(0, None), options)
    full = c.random.standard_normal((5, 8)).astype(np.float32)
    c.add("FULLY_CONNECTED", ["x", full, None], x @ full.T, {0: one("i8", 0), 1: one("i8", 0), 2: True}, version=5)


def add_products(c):
    a, b = (c.random.standard_normal(s).astype(np.float32) for s in ((2, 3, 4), (2, 5, 4)))
    c.add("BATCH_MATMUL", [a, b], a @ b.transpose(0, 2, 1), {0: False, 1: True})
    c.add("BATCH_MATMUL", [a.transpose(0, 2, 1).copy(), b], a @ b.transpose(0, 2, 1), {0: True, 1: True})
    flat = c.random.standard_normal((3, 8)).astype(np.float32)
    c.add("FULLY_CONNECTED", ["x", flat, np.ones(3, np.float32)], c.x.reshape(-1, 8) @ flat.T + 1, {0: one("i8", 0)})
    # A transposed convolution spreads each pixel over its stride where windows do not meet.
    w = c.random.standard_normal((3, 2, 2, 8)).astype(np.float32)
    want = np.einsum("nhwc,oijc->nhiwjo", c.x, w).reshape(2, 8, 12, 3)
    for padding in (0, 1):
        c.add("TRANSPOSE_CONV", [ints(2, 8, 12, 3), w, "x"], want, {0: one("i8", padding), 1: 2, 2: 2})


def states(c, inputs, hidden, gates):
    """Weights of input and state of each gate, and biases."""
    shapes = [(hidden, inputs)] * gates + [(hidden, hidden)] * gates + [(hidden,)] * gates
    return [(0.4 * c.random.standard_normal(shape)).astype(np.float32) for shape in shapes]


def lstm(x, weights):
    """Steps first; gates input, forget, cell, output."""
    w, r, b = weights[:4], weights[4:8], weights[8:]
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    h = c = np.zeros((x.shape[1], len(b[0])))
    found = []
    for step in x:
        i, f, g, o = (step @ w[k].T + h @ r[k].T + b[k] for k in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        found.append(h)
    return np.stack(found).astype(np.float32)


def add_recurrent(c):
    x = c.x.reshape(2, 12, 16)
    sequence = c.made("RESHAPE", ["x", ints(2, 12, 16)], x)
    for time_major in (False, True):
        by_step = x if time_major else x.transpose(1, 0, 2)
        batch = by_step.shape[1]
        variables = lambda n: [c.model.tensor(f"s{len(c.model.tensors)}", (batch, 5), variable=True) for _ in range(n)]
        order = (0, 1, 2) if time_major else (1, 0, 2)
        one_way, other = states(c, 16, 5, 4), states(c, 16, 5, 4)
        want = lstm(by_step, one_way).transpose(order)
        lists = [sequence, *one_way[:8], None, None, None, *one_way[8:], None, None, *variables(2)]
        options = {0: one("i8", 4), 3: time_major}
        c.add("UNIDIRECTIONAL_SEQUENCE_LSTM", lists, want, options)
        back = lstm(by_step[::-1], other)[::-1].transpose(order)
        ways = [[*w[:8], None, None, None, *w[8:], None, None] for w in (one_way, other)]
        lists = [sequence, *ways[0], *ways[1], *variables(4), *[None] * 9]
        for merged in (False, True)[: 1 + time_major]:  # LiteRT 2.3 mixes the pictures of merged ones that are batch first
            outputs = np.concatenate([want, back], 2) if merged else [want, back]
            options = {0: one("i8", 4), 3: merged, 4: time_major}
            lists[35:39] = variables(4)
            c.add("BIDIRECTIONAL_SEQUENCE_LSTM", lists, outputs, options)
        w, r, b = states(c, 16, 5, 1)
        for activation, name in ((np.tanh, 4), (lambda v: v.clip(0, None), 1)):
            h, found = 0, []
            for step in by_step:
                h = activation(step @ w.T + (h @ r.T if found else 0) + b)
                found.append(h)
            options = {0: time_major, 1: one("i8", name)}
            c.add("UNIDIRECTIONAL_SEQUENCE_RNN", [sequence, w, r, b, *variables(1)],
                  np.stack(found).transpose(order), options)  # fmt: skip


class Operators(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name, "m.tflite")

    def check(self, add):
        cases = Cases()
        add(cases)
        cases.model.save(self.path, [cases.input], cases.outputs)
        results = [slipway.run_model(self.path, {"x": cases.x}, self.path.parent)]
        if HAVE_LITERT:
            results.append(self.by_litert(cases))
        for got in results:
            for name, want in cases.want.items():
                self.assertEqual((got[name].shape, got[name].dtype), (want.shape, want.dtype), name)
                np.testing.assert_allclose(got[name], want, rtol=1e-4, atol=1e-5, err_msg=name)

    def by_litert(self, cases):
        from ai_edge_litert.interpreter import Interpreter

        runtime = Interpreter(str(self.path))
        runtime.allocate_tensors()
        runtime.set_tensor(runtime.get_input_details()[0]["index"], cases.x)
        runtime.invoke()
        return {detail["name"]: runtime.get_tensor(detail["index"]) for detail in runtime.get_output_details()}

    def test_too_many_elements(self):
        model = Model()
        made = [model.tensor(name, (2**31 - 1,) * rank) for name, rank in (("x", 3), ("y", 1))]
        model.add("RESHAPE", [made[0], model.const(ints(-1))], [made[1]])
        model.save(self.path, made[:1], made[1:])
        self.assertIn("tensor 'x' has too many elements", slipway.run("inspect", self.path, expect=None).stderr)

    def test_elements(self):
        self.check(add_elements)

    def test_reductions(self):
        self.check(add_reductions)

    def test_moves(self):
        self.check(add_moves)

    def test_layers(self):
        self.check(add_layers)

    def test_products(self):
        self.check(add_products)

    def test_recurrent(self):
        self.check(add_recurrent)


if __name__ == "__main__":
    unittest.main()
