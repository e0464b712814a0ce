"""Random damage to models, pictures and arrays: the program ends with a code and a sentence, never with a crash, after
5 s or beyond 1 GiB. Meant for a build with sanitizers (make check-san). SLIPWAY_MUTATIONS: how many a format (default 50).

Each case is made from a seed; to look at one again: `test_mutations.py FORMAT SEED FILE` writes the damaged file.
`test_mutations.py --good FOLDER` writes the files that are damaged, for the fuzzers to begin with."""

import concurrent.futures
import functools
import io
import json
import os
import pathlib
import pickle
import random
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile
import zlib

import numpy as np
import onnx
import onnx.parser
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import serving
import slipway

COUNT = int(os.environ.get("SLIPWAY_MUTATIONS", "50"))
TWICE = {"slip": 2}  # plans come from others, and are used where they lie
LIMIT_S = 5
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


def tiny_detector():
    """A YOLO-shaped network for 32 x 32 pixels: three strides, 4 + 2 rows, 21 anchors."""
    random_ = np.random.default_rng(3)
    nodes, parts, constants = [], [], [("shape", np.array([1, 6, -1], np.int64))]
    for stride in (8, 16, 32):
        constants += [
            (f"w{stride}", random_.standard_normal((6, 3, 1, 1)).astype(np.float32)),
            (f"b{stride}", np.array([12, 14, 20, 20, 0, 0], np.float32)),
        ]
        nodes += [
            helper.make_node(
                "AveragePool", ["images"], [f"a{stride}"], kernel_shape=[stride] * 2, strides=[stride] * 2
            ),
            helper.make_node("Conv", [f"a{stride}", f"w{stride}", f"b{stride}"], [f"c{stride}"]),
            helper.make_node("Reshape", [f"c{stride}", "shape"], [f"r{stride}"]),
        ]
        parts.append(f"r{stride}")
    constants.append(("split", np.array([4, 2], np.int64)))
    nodes += [
        helper.make_node("Concat", parts, ["raw"], axis=2),
        helper.make_node("Split", ["raw", "split"], ["box", "cls"], axis=1),
        helper.make_node("Sigmoid", ["cls"], ["score"]),
        helper.make_node("Concat", ["box", "score"], ["output0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", T.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("output0", T.FLOAT, [1, 6, 21])],
        [numpy_helper.from_array(array, name) for name, array in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in (
        ("names", "{0: 'bat', 1: \"cat's\"}"),
        ("stride", "32"),
        ("task", "detect"),
        ("imgsz", "[32, 32]"),
    ):
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def busy_model():
    """A small graph with a bit of everything that a reader must read."""
    branch = [
        helper.make_graph(
            [helper.make_node(op, ["t"], [f"{op}_out"])],
            op,
            [],
            [helper.make_tensor_value_info(f"{op}_out", T.FLOAT, [None, None])],
        )
        for op in ("Neg", "Abs")
    ]
    function = helper.make_function(
        "f",
        "Scale",
        ["a"],
        ["b"],
        [helper.make_node("Constant", [], ["k"], value_float=2.0), helper.make_node("Mul", ["a", "k"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    nodes = [
        helper.make_node("Scale", ["x"], ["s"], domain="f"),
        helper.make_node("Shape", ["s"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["n"]),
        helper.make_node("Concat", ["n", "minus"], ["target"], axis=0),
        helper.make_node("Reshape", ["s", "target"], ["t"]),
        helper.make_node("If", ["yes"], ["u"], then_branch=branch[0], else_branch=branch[1]),
        helper.make_node("Gemm", ["u", "w", "b"], ["v"], transB=1, alpha=0.5),
        helper.make_node("Softmax", ["v"], ["p"], axis=-1),
        helper.make_node("TopK", ["p", "two"], ["values", "where"]),
        helper.make_node("Resize", ["x4", "", "scales"], ["big"], mode="linear"),
        helper.make_node("MaxPool", ["big"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
    ]
    r = np.random.default_rng(4)
    constants = [
        ("zero", np.array([0], np.int64)),
        ("one", np.array([1], np.int64)),
        ("minus", np.array([-1], np.int64)),
        ("two", np.array([2], np.int64)),
        ("yes", np.array(True)),
        ("w", r.standard_normal((5, 12)).astype(np.float32)),
        ("b", r.standard_normal(5).astype(np.float16).astype(np.float32)),
        ("scales", np.array([1, 1, 2, 2], np.float32)),
        ("x4", r.standard_normal((1, 2, 4, 4)).astype(np.float32)),
    ]
    graph = helper.make_graph(
        nodes,
        "busy",
        [helper.make_tensor_value_info("x", T.FLOAT, ["n", 3, 4])],
        [
            helper.make_tensor_value_info(name, dtype, [None] * rank)
            for name, dtype, rank in (("values", T.FLOAT, 2), ("where", T.INT64, 2), ("y", T.FLOAT, 4))
        ],
        [numpy_helper.from_array(array, name) for name, array in constants],
    )
    return helper.make_model(
        graph,
        functions=[function],
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("f", 1)],
    ).SerializeToString()


CONTROL = """<ir_version: 8, opset_import: ["" : 17]>
agraph (float[1, 3, 32, 32] images) => (float[4, 3] output0, float[4, m] all) <float zero = {0.0}> {
    maps = AveragePool<kernel_shape = [16, 16], strides = [16, 16]>(images)
    rows = Reshape(maps, shape)
    mean = ReduceMean<keepdims = 0>(rows)
    bright = Greater(mean, zero)
    a = If(bright) <
        then_branch = yes () => (float[4, 3] y) { y = Mul(rows, mean) },
        else_branch = no () => (float[4, 3] z) { z = Sub(rows, mean) }>
    output0 = Loop(turns, bright, a) <body = b (int64 i, bool c, float[4, 3] s) => (bool d, float[4, 3] t) {
        d = Identity(c)  t = Add(s, rows) }>
    start = ReduceMax<axes = [0], keepdims = 0>(output0)
    last, all = Scan(start, output0) <num_scan_inputs = 1, scan_output_directions = [1],
        body = g (float[3] u, float[3] v) => (float[3] w, float[m] r) { w = Add(u, v)  r = Concat<axis = 0>(u, v) }>
}"""


def control_model():
    """Branches and loops that data decides."""
    model = onnx.parser.parse_model(CONTROL)
    for name, array in (("shape", np.array([4, 3], np.int64)), ("turns", np.array(3, np.int64))):
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model.SerializeToString()


FUSED = """<ir_version: 8, opset_import: ["" : 23, "com.microsoft" : 1]>
agraph (float[1, 3, 32, 32] images) => (float[1, 4, 16] output0, uint8[1, 8, 16] y) <float s = {0.1}, uint8 z = {9}> {
    maps = AveragePool<kernel_shape = [8, 8], strides = [8, 8]>(images)
    normal = BatchNormalization(maps, c, c, c, c)
    fused = com.microsoft.FusedConv<activation: string = "Clip", activation_params: floats = [0.0, 6.0]>(normal, w, b)
    deep = Unsqueeze(fused, axis)
    wide = Conv<pads = [1, 1, 0, 1, 1, 0]>(deep, d)
    flat = Squeeze(wide, axis)
    mean = ReduceMean<keepdims = 1>(flat, pixels)
    sum = Einsum<equation = "bchw,bcxy->bchw">(flat, mean)
    rows = Reshape(flat, shape)
    skipped = com.microsoft.SkipLayerNormalization<epsilon: float = 0.001>(rows, rows, g)
    heads = com.microsoft.MultiHeadAttention<num_heads: int = 4>(skipped, skipped, rows)
    product = com.microsoft.FusedMatMul<transB: int = 1, alpha: float = 0.5>(heads, rows)
    narrow = MatMul(product, rows)
    output0 = com.microsoft.QuickGelu(narrow)
    q = QuantizeLinear(output0, s, z)
    both = com.microsoft.QLinearConcat<axis: int = 1>(s, z, q, s, z, q, s, z)
    y = com.microsoft.QLinearAdd(both, s, z, both, s, z, s, z)
}"""


def fused_model():
    """Operators of ONNX Runtime's optimiser, and those that passes take apart."""
    model = onnx.parser.parse_model(FUSED)
    floats = {"c": (3,), "w": (4, 3, 1, 1), "b": (4,), "d": (1, 1, 3, 3, 1), "g": (16,)}
    numbers = {"axis": [1], "pixels": [2, 3], "shape": [1, 4, 16]}
    constants = {n: np.linspace(0.1, 1, int(np.prod(s)), dtype=np.float32).reshape(s) for n, s in floats.items()}
    for name, array in (constants | {n: np.array(v, np.int64) for n, v in numbers.items()}).items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model.SerializeToString()


def encoded(extension):
    import cv2

    y, x = np.mgrid[0:37, 0:53]
    picture = np.stack([x * 4, y * 6, (x * y) % 256], -1).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1] if extension == ".progressive.jpg" else []
    return cv2.imencode(extension.replace(".progressive", ""), picture, options)[1].tobytes()


def array_file():
    with tempfile.TemporaryFile() as file:
        np.save(file, np.random.default_rng(5).standard_normal((2, 3, 4)).astype(np.float32))
        file.seek(0)
        return file.read()


@functools.cache
def plan_of(model):
    with tempfile.TemporaryDirectory() as folder:
        path, plan = pathlib.Path(folder, "m.onnx"), pathlib.Path(folder, "m.slip")
        path.write_bytes(model)
        slipway.run("build", path, "-o", plan, "--opt-level", 0)
        return plan.read_bytes()


@functools.cache
def plan_file():
    """A plan of a network with joins that are views, packed weights, and rows."""
    r = np.random.default_rng(6)
    nodes, constants = [], []

    def conv(x, y, inputs, outputs, kernel=3):
        constants.append((f"w_{y}", r.standard_normal((outputs, inputs, kernel, kernel)).astype(np.float32)))
        constants.append((f"b_{y}", r.standard_normal(outputs).astype(np.float32)))
        nodes.append(helper.make_node("Conv", [x, f"w_{y}", f"b_{y}"], [f"c_{y}"], pads=[kernel // 2] * 4))
        nodes.append(helper.make_node("Sigmoid", [f"c_{y}"], [f"s_{y}"]))
        nodes.append(helper.make_node("Mul", [f"c_{y}", f"s_{y}"], [y]))

    conv("images", "a", 3, 16)
    nodes.append(helper.make_node("Split", ["a"], ["p", "q"], axis=1, num_outputs=2))
    conv("q", "d", 8, 8)
    nodes.append(helper.make_node("Concat", ["p", "q", "d"], ["e"], axis=1))
    conv("e", "f", 24, 8, 1)
    nodes.append(helper.make_node("MaxPool", ["f"], ["g"], kernel_shape=[2, 2], strides=[2, 2]))
    nodes.append(helper.make_node("Reshape", ["g", "shape"], ["output0"]))
    constants.append(("shape", np.array([1, 8, -1], np.int64)))
    graph = helper.make_graph(
        nodes,
        "plan",
        [helper.make_tensor_value_info("images", T.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("output0", T.FLOAT, [1, 8, 256])],
        [numpy_helper.from_array(array, name) for name, array in constants],
    )
    return plan_of(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
    )


@functools.cache
def openvino_files():
    """The detector as OpenVINO keeps models: .xml and .bin."""
    with tempfile.TemporaryDirectory() as folder:
        model, out = pathlib.Path(folder, "m.onnx"), pathlib.Path(folder, "m_openvino_model")
        model.write_bytes(tiny_detector())
        slipway.export(model, "--to", "openvino", "-o", out)
        return (out / "m.xml").read_bytes(), (out / "m.bin").read_bytes()


@functools.cache
def tflite_file():
    """The detector as TensorFlow Lite keeps models."""
    with tempfile.TemporaryDirectory() as folder:
        model, out = pathlib.Path(folder, "m.onnx"), pathlib.Path(folder, "m.tflite")
        model.write_bytes(tiny_detector())
        slipway.export(model, "--to", "tflite", "-o", out)
        return out.read_bytes()


MODEL_CONFIG = """# all kinds of values
name: 'm' "odel" platform: "onnxruntime_onnx" max_batch_size: 0x10
input [ { name: "x", data_type: TYPE_FP32, dims: [ 3, -1 ] },
        { name: "y" data_type: TYPE_STRING dims: 1 reshape: { shape: [ ] } } ]
output < name: "z\\n\\x41\\102\\u00e9" data_type: 11 dims: 2; dims: 3 label_filename: 'l.txt' >
dynamic_batching {
  preferred_batch_size: [ 8, 4 ] max_queue_delay_microseconds: 100 priority_levels: 2 default_priority_level: 2
  default_queue_policy { timeout_action: DELAY max_queue_size: 5 }
  priority_queue_policy { key: 1 value: { default_timeout_microseconds: 7 } } }
version_policy: { specific { versions: [1, 3] } } instance_group [ { count: 2 kind: KIND_CPU } ]
parameters { key: "slo_p99_ms" value { string_value: "12.5" } }
model_warmup { name: 'w' inputs { key: 'x' value { data_type: TYPE_FP32 dims: [3, 5] zero_data: true } } }
"""

# One that loads: the identity backend needs no file.
LOADABLE_CONFIG = """name: "m" backend: 'identity' max_batch_size: 8 # batches
input [ { name: "x", data_type: TYPE_FP32, dims: [ 3, -1 ] }, { name: "y" data_type: TYPE_STRING dims: 1 optional: true } ]
output < name: "z" data_type: 11 dims: 3; dims: -1; > output { name: "t" data_type: TYPE_STRING dims: [ 1 ] }
dynamic_batching { preferred_batch_size: [ 8, 4 ] max_queue_delay_microseconds: 100 priority_levels: 2
  default_priority_level: 2 priority_queue_policy { key: 1 value: { default_timeout_microseconds: 7 } } }
version_policy: { specific { versions: [ 1 ] } } instance_group [ { count: 2 kind: KIND_CPU } ]
parameters { key: "execute_delay_ms" value { string_value: "1" } }
model_warmup { name: 'w' inputs { key: 'x' value { data_type: TYPE_FP32 dims: [ 3, 5 ] zero_data: true } }
  inputs { key: 'y' value { data_type: TYPE_STRING dims: 1 zero_data: true } } }
"""

# Format -> the good files that are damaged in turn.
SEEDS = {
    "onnx": lambda: [tiny_detector(), busy_model(), control_model(), fused_model()],
    "jpg": lambda: [encoded(".jpg"), encoded(".progressive.jpg")],
    "png": lambda: [encoded(".png")],
    "npy": lambda: [array_file()],
    "slip": lambda: [plan_file(), plan_of(control_model())],
    "xml": lambda: [openvino_files()[0]],
    "tflite": lambda: [tflite_file()],
}


def damage(data, chance):
    """One to eight changes: bytes, bits, numbers, cuts, copies, truncation. Half of them hit the beginning."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 4, 8))):
        if not data:
            break
        limit = len(data) if chance.random() < 0.5 else min(len(data), 256)
        at = chance.randrange(limit)
        kind = chance.randrange(8)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            data[at] = chance.choice(INTERESTING)
        elif kind == 3:
            data[at : at + 4] = chance.choice(
                (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f")
            )
        elif kind == 4:
            del data[at : at + chance.choice((1, 2, 4, 16, 64))]
        elif kind == 5:
            data[at:at] = data[max(0, at - chance.choice((1, 4, 16, 64))) : at]
        elif kind == 6:
            data[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice((1, 2, 8))))
        elif kind == 7 and chance.random() < 0.3:
            del data[at:]
    return bytes(data)


def damage_plan(data, chance):
    """Mostly within the control part, with its checksum and sizes put right, so that the damage is read."""
    if chance.random() < 0.2:
        return damage(data, chance)
    size = int.from_bytes(data[24:32], "little")
    weights = data[int.from_bytes(data[32:40], "little") :]
    control = damage(data[64 : 64 + size], chance)
    start = (64 + len(control) + 4095) // 4096 * 4096
    numbers = [start + len(weights), len(control), start, len(weights)]
    header = data[:12] + zlib.crc32(control).to_bytes(4, "little") + b"".join(n.to_bytes(8, "little") for n in numbers)
    return (header + bytes(16) + control).ljust(start, b"\0") + weights


def mutant(kind, seed):
    good = SEEDS[kind]()
    chance = random.Random(f"{kind} {seed}")
    return (damage_plan if kind == "slip" else damage)(chance.choice(good), chance)


class Mutations(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)
        (self.folder / "tiny.onnx").write_bytes(tiny_detector())
        neg = helper.make_graph(
            [helper.make_node("Neg", ["x"], ["y"])],
            "neg",
            [helper.make_tensor_value_info("x", T.FLOAT, ["a", "b", "c"])],
            [helper.make_tensor_value_info("y", T.FLOAT, ["a", "b", "c"])],
        )
        onnx.save(
            helper.make_model(neg, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), self.folder / "neg.onnx"
        )
        np.save(self.folder / "x.npy", np.ones((2, 3, 4), np.float32))
        np.save(self.folder / "images.npy", np.ones((1, 3, 32, 32), np.float32))
        np.save(self.folder / "images_last.npy", np.ones((1, 32, 32, 3), np.float32))

    def command(self, kind, path, out):
        if kind == "slip":
            return ["run", path, "--input", f"images={self.folder}/images.npy", "--output-dir", out, "--threads", "1"]
        if kind == "xml":
            path.with_suffix(".bin").write_bytes(openvino_files()[1])
            return ["run", path, "--input", f"images={self.folder}/images.npy", "--output-dir", out, "--threads", "1"]
        if kind == "tflite":
            port = f"images={self.folder}/images_last.npy"
            return ["run", path, "--input", port, "--output-dir", out, "--threads", "1"]
        if kind == "onnx":
            image = b"images" in path.read_bytes()
            port = f"images={self.folder}/images.npy" if image else f"x={self.folder}/x.npy"
            return ["run", path, "--input", port, "--output-dir", out, "--threads", "1"]
        if kind == "npy":
            return ["run", self.folder / "neg.onnx", "--input", f"x={path}", "--output-dir", out, "--threads", "1"]
        return [
            "detect",
            self.folder / "tiny.onnx",
            path,
            "-o",
            out / "annotated.png",
            "--conf",
            "0.01",
            "--threads",
            "1",
        ]

    def judge(self, kind, seed, data):
        """None when the program took it well, else a line that says what was wrong. `seed` None: must succeed."""
        path = self.folder / f"{seed}.{kind}"
        path.write_bytes(data)
        out = self.folder / f"out_{kind}_{seed}"
        out.mkdir()
        started = time.monotonic()
        try:
            process = subprocess.run(
                [slipway.PROGRAM, *map(str, self.command(kind, path, out))],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=LIMIT_S * 4,
            )
        except subprocess.TimeoutExpired:
            return f"{kind} {seed}: ran longer than {LIMIT_S * 4} s"
        took = time.monotonic() - started
        error = process.stderr.decode(errors="replace")
        path.unlink()
        if process.returncode not in ((0,) if seed is None else range(5)):
            return f"{kind} {seed}: exit code {process.returncode}: {error[-3000:]}"
        if took > LIMIT_S:
            return f"{kind} {seed}: took {took:.1f} s"
        if process.returncode and len(error.split()) < 3:
            return f"{kind} {seed}: exit code {process.returncode} without a sentence"
        return None

    def check_format(self, kind):
        for good in SEEDS[kind]():
            self.assertIsNone(self.judge(kind, None, good))
            (self.folder / f"out_{kind}_None").rename(self.folder / f"out_{kind}_{len(good)}_good")
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            verdicts = pool.map(lambda seed: self.judge(kind, seed, mutant(kind, seed)), range(COUNT * TWICE.get(kind, 1)))
        self.assertEqual([verdict for verdict in verdicts if verdict], [])


INFER_JSON = (
    b'{"id":"1","parameters":{"priority":1},"inputs":[{"name":"INPUT0","shape":[1,4],"datatype":"FP32",'
    b'"data":[[1,2.5,-3e2,4]]}],'
    b'"outputs":[{"name":"OUTPUT0","parameters":{"classification":2}}]}'
)
INFER_BINARY = (
    b'{"inputs":[{"name":"INPUT0","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}]}' + bytes(16)
)


def infer_message():
    """A ModelInferRequest, by hand: the messages of tritonclient are no part of these tests."""

    def field(number, data):
        return bytes([number << 3 | 2, len(data)]) + data

    tensor = field(1, b"INPUT0") + field(2, b"FP32") + field(3, bytes([1, 4]))
    parameter = field(4, field(1, b"priority") + field(2, bytes([2 << 3, 1])))
    return field(1, b"identity") + field(3, b"9") + parameter + field(5, tensor) + field(7, bytes(16))


def h2_frames():
    """What a gRPC client sends behind the preface: settings, headers without compression, one message."""

    def frame(kind, flags, stream, data):
        return len(data).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + data

    def header(name, value):
        return bytes([0, len(name)]) + name + bytes([len(value)]) + value

    headers = b"".join(
        header(name, value)
        for name, value in (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/inference.GRPCInferenceService/ModelInfer"),
            (b":authority", b"x"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        )
    )
    message = infer_message()
    body = b"\0" + len(message).to_bytes(4, "big") + message
    return frame(4, 0, 0, b"") + frame(1, 4, 1, headers) + frame(0, 1, 1, body)


def http_requests():
    head = b"POST /v2/models/identity/infer HTTP/1.1\r\nHost: x\r\n"
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(INFER_JSON[i : i + 50]), INFER_JSON[i : i + 50]) for i in range(0, 250, 50)
    )
    binary = b"Inference-Header-Content-Length: %d\r\n" % (len(INFER_BINARY) - 16)
    return [
        head + b"Content-Length: %d\r\n\r\n%s" % (len(INFER_JSON), INFER_JSON),
        head + binary + b"Content-Length: %d\r\n\r\n%s" % (len(INFER_BINARY), INFER_BINARY),
        head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n",
        b"GET /v2/models/identity/stats HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n",
    ]


class ConfigMutations(unittest.TestCase):
    """One server is told to load models whose config.pbtxt is damaged: it loads them or says why not, and lives."""

    def test_pbtxt(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        config = pathlib.Path(temporary.name, "m", "config.pbtxt")
        (config.parent / "1").mkdir(parents=True)
        server = serving.Server("--model-repository", temporary.name, "--model-control-mode", "explicit")
        self.addCleanup(server.stop)
        good, loaded = LOADABLE_CONFIG.encode(), 0
        for seed in (None, *range(4 * COUNT)):
            config.write_bytes(good if seed is None else damage(good, random.Random(f"pbtxt {seed}")))
            status, _, answer = server.get("/v2/repository/models/m/load", b"")
            self.assertIsNone(server.process.poll(), f"pbtxt {seed}: the server ended: {server.log}")
            loaded += status == 200
            if seed is None:
                self.assertEqual((status, answer), (200, b""))
            elif status != 200:
                self.assertGreater(len(json.loads(answer)["error"].split()), 2, f"pbtxt {seed}: no sentence")
        self.assertGreater(loaded, 1)
        self.assertEqual(server.get("/v2/models/m/ready")[0], 200)  # a version that loaded stays
        self.assertEqual(server.stop()[0], 0)


class ServerMutations(unittest.TestCase):
    """One server is sent damaged requests: it answers or ends the connection, and lives."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        model = serving.identity_model(pathlib.Path(temporary.name, "identity.onnx"), shape=("n", 4))
        self.server = serving.Server(model)
        self.addCleanup(self.server.stop)

    def send(self, port, data):
        with socket.create_connection(("127.0.0.1", port), LIMIT_S) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except ConnectionError:
                pass

    def check(self, kind, port, goods, start=b""):
        for seed in range(4 * COUNT):
            chance = random.Random(f"{kind} {seed}")
            self.send(port, start + damage(chance.choice(goods), chance))
            self.assertIsNone(self.server.process.poll(), f"{kind} {seed}: the server ended: {self.server.log}")
        self.assertEqual(self.server.get("/v2/health/live")[0], 200)
        self.assertEqual(self.server.stop()[0], 0)

    def test_http(self):
        self.check("http", self.server.http, http_requests())

    def test_h2(self):
        self.check("h2", self.server.grpc, [h2_frames()], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")


for format_name in SEEDS:
    setattr(Mutations, f"test_{format_name}", lambda self, kind=format_name: self.check_format(kind))


def write_good(folder):
    """FOLDER/<fuzz target>/*, as tools/check wants it."""
    timings = pathlib.Path(folder, "fuzz_timing_cache")
    timings.mkdir(parents=True, exist_ok=True)
    lines = b"slipway timing cache 1\nkernels k1\ndevice x86_64\nconv 8x8\tdirect\t20 21\nconv 8x8\tplain\t90 91\n"
    (timings / "0.txt").write_bytes(lines + b"end 2 %08x\n" % zlib.crc32(lines))
    configs = pathlib.Path(folder, "fuzz_config")
    configs.mkdir(parents=True, exist_ok=True)
    (configs / "0.pbtxt").write_text(MODEL_CONFIG)
    load = b'{"parameters":{"config":"{}","file:1/m":"AQID"}}'
    for target, goods in {
        "http": [b"\7" + request for request in http_requests()],
        "kserve": [
            b"\0\1" + INFER_JSON,
            b"\0\xd8" + INFER_BINARY,
            b"\1\0" + bytes(64),
            b"\2\0" + load,
            b'\3\0{"ready":true}',
            b'\4\1{"key":"/a","offset":8,"byte_size":64}',
            b'\4\0{"trace_level":["OFF"],"trace_rate":"7","log_info":true,"log_verbose_level":1,"trace_count":null}',
        ],
        "grpc": [
            b"\0" + infer_message(),
            b"\2\x0a\1m\x12\1" + b"1",
            b"\3\x0a\1a\x12\2/a\x18\1\x20\x40",  # a region
            b"\3\x0a\x0b\x0a\1a\x12\6\x0a\1b\x0a\1c\x12\1m",  # settings
            b"\4\x12\1m",
        ],
        "h2": [h2_frames()],
    }.items():
        place = pathlib.Path(folder, f"fuzz_{target}")
        place.mkdir(parents=True, exist_ok=True)
        for index, data in enumerate(goods):
            (place / str(index)).write_bytes(data)
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as members:
            members.writestr("m/data.pkl", pickle.dumps({"model": [1, 2.5, None, "x", (3,)]}, protocol=2))
            members.writestr("m/data/0", bytes(64))
        archive = file.getvalue()
    for target, data in (("zip", archive), ("pickle", pickle.dumps({"a": [1, (2.0, "b"), {3}]}, protocol=2))):
        place = pathlib.Path(folder, f"fuzz_{target}")
        place.mkdir(parents=True, exist_ok=True)
        (place / "0").write_bytes(data)
    for kind, make in SEEDS.items():
        name = {"jpg": "image", "png": "image", "xml": "openvino"}.get(kind, kind)
        target = pathlib.Path(folder, f"fuzz_{name}")
        target.mkdir(parents=True, exist_ok=True)
        for index, data in enumerate(make()):
            if kind == "xml":
                data += b"\0" + openvino_files()[1]
            (target / f"{index}.{kind}").write_bytes(data)


if __name__ == "__main__":
    if sys.argv[1] == "--good":
        write_good(sys.argv[2])
    else:
        pathlib.Path(sys.argv[3]).write_bytes(mutant(sys.argv[1], sys.argv[2]))
