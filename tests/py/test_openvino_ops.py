"""Layer types of OpenVINO's files that become several nodes: files made here, against NumPy, and against OpenVINO where it is
installed."""

import pathlib
import tempfile
import unittest
from xml.sax.saxutils import quoteattr

import numpy as np

import slipway
from test_export import HAVE_OPENVINO, run_openvino

PRECISIONS = {"float32": ("f32", "FP32"), "int64": ("i64", "I64"), "int32": ("i32", "I32"), "bool": ("boolean", "BOOL")}


class Net:
    """Layers one after the other; each knows its output's array, so that ports can be written."""

    def __init__(self):
        self.layers, self.edges, self.weights, self.want = [], [], bytearray(), {}
        self.random = np.random.default_rng(0)
        self.x = self.random.standard_normal((2, 8, 6, 4)).astype(np.float32)
        self.input = self.layer("x", "Parameter", {"shape": "2,8,6,4", "element_type": "f32"}, [], [self.x])[0]

    def port(self, index, array, name=""):
        dims = "".join(f"<dim>{n}</dim>" for n in array.shape)
        return f'<port id="{index}" precision="{PRECISIONS[array.dtype.name][1]}"{name}>{dims}</port>'

    def layer(self, name, kind, data, inputs, outputs, version="opset1"):
        """inputs: what `layer` returned; returns one handle an output."""
        number = len(self.layers)
        text = "".join(f" {key}={quoteattr(str(value))}" for key, value in data.items())
        ports = "".join(self.port(i, array) for i, (_, _, array) in enumerate(inputs))
        made = [(number, len(inputs) + i, array) for i, array in enumerate(outputs)]
        out = "".join(self.port(port, array, f' names="{name}.{i}"') for i, (_, port, array) in enumerate(made))
        self.layers.append(
            f'<layer id="{number}" name="{name}" type="{kind}" version="{version}"><data{text}/>'
            f"<input>{ports}</input><output>{out}</output></layer>"
        )
        self.edges += [(source, port, number, i) for i, (source, port, _) in enumerate(inputs)]
        return made

    def const(self, array):
        array = np.asarray(array)
        shape = ",".join(map(str, array.shape))
        data = {"element_type": PRECISIONS[array.dtype.name][0], "shape": shape}
        data |= {"offset": len(self.weights), "size": array.nbytes}
        self.weights += array.tobytes() + bytes(-array.nbytes % 64)
        return self.layer(f"c{len(self.layers)}", "Const", data, [], [array])[0]

    def add(self, kind, operands, want, version="opset1", **data):
        """operands: handles, or arrays that become constants. `want`: arrays of the outputs; each gets a Result."""
        inputs = [operand if isinstance(operand, tuple) else self.const(operand) for operand in operands]
        want = want if isinstance(want, list) else [want]
        name = f"{kind}_{len(self.layers)}"
        for i, made in enumerate(self.layer(name, kind, data, inputs, want, version)):
            self.layer(f"r{len(self.layers)}", "Result", {}, [made], [])
            self.want[f"{name}.{i}"] = want[i]

    def save(self, folder):
        edges = "".join(
            f'<edge from-layer="{a}" from-port="{b}" to-layer="{c}" to-port="{d}"/>' for a, b, c, d in self.edges
        )
        text = f'<net name="n" version="11"><layers>{"".join(self.layers)}</layers><edges>{edges}</edges></net>'
        pathlib.Path(folder, "m.xml").write_text(text)
        pathlib.Path(folder, "m.bin").write_bytes(self.weights)


def i64(*values):
    return np.array(values, np.int64)


def add_elements(n):
    x, row = n.x, n.random.standard_normal(4).astype(np.float32)
    n.add("SquaredDifference", [n.input, row], (x - row) ** 2, auto_broadcast="numpy")
    rounded = n.layer("rounded", "Round", {"mode": "half_to_even"}, [n.input], [np.round(x)], "opset5")[0]
    n.add("NotEqual", [rounded, np.zeros(1, np.float32)], np.round(x) != 0, auto_broadcast="numpy")
    whole = n.layer("whole", "Convert", {"destination_type": "i32"}, [n.input], [x.astype(np.int32)])[0]
    n.add("Floor", [whole], x.astype(np.int32))
    above = n.layer("above", "Greater", {"auto_broadcast": "numpy"}, [n.input, n.const(np.float32(-1))], [x > -1])[0]
    n.add("ReduceLogicalAnd", [above, i64(1, 3)], (x > -1).all((1, 3)), keep_dims="false")
    n.add("ReduceLogicalOr", [above, i64(2)], (x > -1).any(2, keepdims=True), keep_dims="true")


def add_normalisations(n):
    x = n.x
    squares = (x * x).sum(1, keepdims=True)
    n.add("NormalizeL2", [n.input, i64(1)], x / np.sqrt(squares + np.float32(0.1)), eps=0.1, eps_mode="add")
    n.add("NormalizeL2", [n.input, i64(1)], x / np.sqrt(np.maximum(squares, 7)), eps=7, eps_mode="max")
    near = sum(np.pad(x * x, ((0, 0), (2, 2), (0, 0), (0, 0)))[:, i : i + 8] for i in range(5))
    # OpenVINO 2026.4 leaves the bias out on CPUs: 1 is what it then has.
    n.add("LRN", [n.input, i64(1)], x / (1 + 0.3 / 5 * near) ** np.float32(0.75), alpha=0.3, beta=0.75, bias=1, size=5)
    scale, shift = n.random.standard_normal((2, 8)).astype(np.float32)
    groups = x.reshape(2, 4, -1)
    normal = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + np.float32(1e-3))
    want = normal.reshape(x.shape) * scale[:, None, None] + shift[:, None, None]
    n.add("GroupNormalization", [n.input, scale, shift], want, "opset12", num_groups=4, epsilon=1e-3)


def add_moves(n):
    x = n.x
    n.add("AdaptiveAvgPool", [n.input, i64(3, 2)], x.reshape(2, 8, 3, 2, 2, 2).mean((3, 5)), "opset8")
    n.add("AdaptiveAvgPool", [n.input, i64(1, 1)], x.mean((2, 3), keepdims=True), "opset8")
    bins = lambda side, out: [slice(i * side // out, -(-(i + 1) * side // out)) for i in range(out)]
    uneven = [[x[:, :, rows, columns].mean((2, 3)) for columns in bins(4, 5)] for rows in bins(6, 4)]
    uneven = np.stack([np.stack(row, 2) for row in uneven], 2)
    n.add("AdaptiveAvgPool", [n.input, i64(4, 5)], uneven, "opset8")
    shuffled = x.reshape(2, 2, 4, 6, 4).transpose(0, 2, 1, 3, 4).reshape(x.shape)
    n.add("ShuffleChannels", [n.input], shuffled, axis=1, group=2)
    n.add("Roll", [n.input, i64(2, -1), i64(2, -1)], np.roll(x, (2, -1), (2, 3)), "opset7")


def attention(q, k, v, scale, mask=0):
    scores = q @ k.swapaxes(-1, -2) * scale + mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True)) @ v


def add_attention(n):
    k, v = n.random.standard_normal((2, 2, 8, 5, 4)).astype(np.float32)
    half, numbers = np.float32(0.5), n.random.standard_normal((6, 5)).astype(np.float32)
    name = "ScaledDotProductAttention"
    n.add(name, [n.input, k, v], attention(n.x, k, v, half), "opset13", causal="false")
    n.add(name, [n.input, k, v, numbers], attention(n.x, k, v, half, numbers), "opset13", causal="false")
    kept = numbers > -1
    want = attention(n.x, k, v, np.float32(2), np.where(kept, 0, -np.inf).astype(np.float32))
    n.add(name, [n.input, k, v, kept, np.float32(2)], want, "opset13", causal="false")


def add_regions(n):
    rois = np.array([[1, 1, 3, 3]] * 2, np.float32)
    # One sample in the middle of each pixel: bins of one pixel are the pixels themselves, or the mean of four.
    want = n.x[[1, 0], :, 1:3, 1:3]
    means = sum(n.x[[1, 0], :, 1 + y : 3 + y, 1 + x : 3 + x] for y in range(2) for x in range(2)) / 4
    data = {"pooled_h": 2, "pooled_w": 2, "sampling_ratio": 1, "spatial_scale": 1, "mode": "avg"}
    for mode, array in (("half_pixel_for_nn", want), ("asymmetric", means)):
        n.add("ROIAlign", [n.input, rois, np.array([1, 0], np.int32)], array, "opset9", aligned_mode=mode, **data)


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def add_recurrent(n):
    x = n.x.reshape(2, 12, 16)
    data = {"special_zero": "false"}
    sequence = n.layer("sequence", "Reshape", data, [n.input, n.const(i64(2, 12, 16))], [x])[0]
    hidden, lengths = 5, np.array([12, 12], np.int32)
    first = n.random.standard_normal((2, 2, hidden)).astype(np.float32)
    for kind, gates, more in (("RNNSequence", 1, 0), ("GRUSequence", 3, 0), ("GRUSequence", 3, 1)):
        shapes = (2, gates * hidden, 16), (2, gates * hidden, hidden), (2, (gates + more) * hidden)
        w, r, b = (0.3 * n.random.standard_normal(shape).astype(np.float32) for shape in shapes)
        found, ends = np.zeros((2, 2, 12, hidden), np.float32), np.zeros((2, 2, hidden), np.float32)
        for d in range(2):
            h = first[:, d]
            for step in range(12) if d == 0 else range(11, -1, -1):
                of_x, of_h = x[:, step] @ w[d].T, h @ r[d].T
                if gates == 1:
                    h = np.tanh(of_x + of_h + b[d])
                else:
                    parts = [slice(i * hidden, (i + 1) * hidden) for i in range(4)]
                    z, reset = (sigmoid(of_x[:, p] + of_h[:, p] + b[d][p]) for p in parts[:2])
                    p = parts[2]
                    product = reset * (of_h[:, p] + b[d][parts[3]]) if more else (reset * h) @ r[d][p].T
                    h = (1 - z) * np.tanh(of_x[:, p] + product + b[d][p]) + z * h
                found[:, d, step] = h
            ends[:, d] = h
        options = {"hidden_size": hidden, "direction": "bidirectional", "clip": 0}
        options |= {"linear_before_reset": "true" if more else "false"} if gates == 3 else {}
        options["activations"] = "tanh" if gates == 1 else "sigmoid, tanh"
        n.add(kind, [sequence, first, lengths, w, r, b], [found, ends], "opset5", **options)


class Layers(unittest.TestCase):
    def check(self, add):
        with tempfile.TemporaryDirectory() as folder:
            net = Net()
            add(net)
            net.save(folder)
            results = [slipway.run_model(pathlib.Path(folder, "m.xml"), {"x.0": net.x}, folder)]
            results += [run_openvino(folder, {"x.0": net.x})] if HAVE_OPENVINO else []
        for got in results:
            for name, want in net.want.items():
                self.assertEqual(got[name].shape, want.shape, name)
                np.testing.assert_allclose(got[name], want, rtol=1e-4, atol=1e-5, err_msg=name)

    def test_elements(self):
        self.check(add_elements)

    def test_normalisations(self):
        self.check(add_normalisations)

    def test_moves(self):
        self.check(add_moves)

    def test_attention(self):
        self.check(add_attention)

    def test_regions(self):
        self.check(add_regions)

    def test_recurrent(self):
        self.check(add_recurrent)


if __name__ == "__main__":
    unittest.main()
