"""Operators through the exporters: one model with a branch for each, written as ONNX in several opsets and as OpenVINO IR, run
in ONNX Runtime, in OpenVINO where it is installed, and read back by Slipway."""

import pathlib
import tempfile
import unittest

import numpy as np
import onnx
from onnx import helper, numpy_helper

import reference
import slipway
import test_export

UNARY = (
    "Abs Neg Sign Exp Floor Ceil Sin Cos Tan Atan Sinh Cosh Tanh Asinh Erf Sigmoid Relu Softplus Softsign HardSwish Mish "
    "Round HardSigmoid Elu LeakyRelu Selu GlobalAveragePool GlobalMaxPool Softmax LogSoftmax Identity Gelu"
).split()


class Builder:
    """Collects branches; each has outputs of its own and constants of its own."""

    def __init__(self):
        self.nodes, self.constants, self.outputs = [], [], []
        self.random = np.random.default_rng(0)
        self.x = self.random.standard_normal((2, 6, 8, 10)).astype(np.float32)

    def add(self, op, *constants, outputs=1, x="x", tag="", **attributes):
        name = f"{op}{tag}_{len(self.nodes)}"
        inputs = [x] if x else []
        for i, value in enumerate(constants):
            inputs.append("" if value is None else f"{name}_c{i}")
            if value is not None:
                self.constants.append(numpy_helper.from_array(np.asarray(value), inputs[-1]))
        made = [f"{name}_o{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, made, name, **attributes))
        self.outputs += made
        return made[0]

    def floats(self, *shape):
        return self.random.standard_normal(shape).astype(np.float32)

    def without(self, refused):
        """Leaves out nodes (refused: a predicate), and all that read them."""
        gone = set()
        for node in self.nodes:
            if refused(node) or gone & set(node.input):
                gone |= set(node.output)
        self.nodes = [node for node in self.nodes if not gone & set(node.output)]
        self.outputs = [name for name in self.outputs if name not in gone]
        used = {name for node in self.nodes for name in node.input}
        self.constants = [tensor for tensor in self.constants if tensor.name in used]

    def model(self):
        empty = helper.make_empty_tensor_value_info
        x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, self.x.shape)
        graph = helper.make_graph(self.nodes, "ops", [x], [empty(name) for name in self.outputs], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        return onnx.shape_inference.infer_shapes(model)


def ints(*values):
    return np.array(values, np.int64)


def add_layers(b):
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    b.add("Conv", b.floats(9, 2, 3, 3), b.floats(9), group=3, pads=[1, 0, 2, 1], strides=[2, 1], dilations=[1, 2])
    b.add("Conv", b.floats(4, 6, 3, 3), tag="_same", auto_pad="SAME_UPPER", strides=[2, 2])
    both = {"strides": [2, 2], "pads": [1, 1, 0, 0], "output_padding": [1, 1]}
    b.add("ConvTranspose", b.floats(6, 4, 3, 3), b.floats(8), group=2, **both)
    b.add("MatMul", b.floats(10, 4))
    flat = b.add("Flatten", axis=2)
    b.add("Flatten", axis=0, tag="_all")
    b.add("Gemm", b.floats(4, 12), b.floats(4), x=flat, transA=1, transB=1, alpha=0.5, beta=2.0)
    for ceil in (0, 1):
        b.add("MaxPool", ceil_mode=ceil, **window)
        b.add("AveragePool", ceil_mode=ceil, **window)
    b.add("AveragePool", tag="_padded", count_include_pad=1, **window)
    b.add("BatchNormalization", *(b.random.random((4, 6)).astype(np.float32) + 0.5))
    b.add("LayerNormalization", b.floats(8, 10), b.floats(8, 10), axis=-2)
    b.add("InstanceNormalization", b.floats(6), b.floats(6))
    for mode in ("nearest", "linear", "cubic"):
        for places in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
            more = {"coordinate_transformation_mode": places, "nearest_mode": "floor"}
            b.add("Resize", None, np.array([1, 1, 1.5, 2], np.float32), mode=mode, tag=f"_{mode}_{places}", **more)
        b.add("Resize", None, None, ints(2, 6, 13, 7), mode=mode, tag=f"_{mode}_sizes")
    b.add("Einsum", b.floats(6, 3), equation="bchw, cd -> bdhw")


def add_movement(b):
    b.add("Transpose")
    b.add("Reshape", ints(0, -1, 4))
    b.add("Split", axis=3, num_outputs=3, outputs=3)
    b.add("Split", ints(3, 7), tag="_lengths", axis=-1, outputs=2)
    b.add("Slice", ints(-1, 1), ints(-100, 7), ints(3, 2), ints(-2, 3))
    b.add("Slice", ints(1, 2), ints(9, 5), tag="_plain")
    b.add("Pad", ints(0, 0, 1, 2, 0, 0, 3, 1), np.float32(3))
    for mode in ("reflect", "edge"):
        b.add("Pad", ints(0, 0, 1, 2, 0, 0, 3, 1), mode=mode, tag=f"_{mode}")
    b.add("Pad", ints(1, 2), None, ints(-1), tag="_axes")
    b.add("Gather", ints(-1, 0, 3).reshape(1, 3), axis=2)
    b.add("GatherElements", b.random.integers(0, 10, (2, 6, 8, 4)), axis=3)
    b.add("GatherND", ints(0, 1, 1, 2).reshape(2, 2))
    b.add("ScatterND", ints(0, 1, 1, 2).reshape(2, 2), b.floats(2, 8, 10))
    b.add("ScatterElements", ints(1, 3).reshape(1, 2, 1, 1), b.floats(1, 2, 1, 1), axis=1)
    b.add("Expand", ints(2, 2, 6, 8, 10))
    b.add("Tile", ints(1, 2, 1, 2))
    row = b.add("Unsqueeze", ints(0, -1))
    b.add("Squeeze", ints(0), x=row)
    b.add("SpaceToDepth", blocksize=2)
    depth = b.add("Concat", b.floats(2, 2, 8, 10), axis=1)
    for mode in ("DCR", "CRD"):
        b.add("DepthToSpace", x=depth, blocksize=2, mode=mode, tag=mode)
    b.add("CumSum", np.array(2), reverse=1)
    b.add("GridSample", b.random.uniform(-1.2, 1.2, (2, 5, 5, 2)).astype(np.float32), padding_mode="border")
    b.add("NonZero")


def add_elements(b):
    for op in UNARY:
        b.add(op)
    for op in "Add Sub Mul Div Min Max Mean Sum PRelu".split():
        b.add(op, b.random.random((6, 1, 1)).astype(np.float32) + 0.5)
    positive = b.add("Abs", tag="_root")
    b.add("Sqrt", x=positive)
    b.add("Pow", np.float32(2.5), x=positive)
    b.add("Clip", None, np.float32(0.5))
    b.add("Greater", np.float32(0))
    for op in "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2".split():
        for keep in (0, 1):
            b.add(op, ints(1, -1), keepdims=keep, tag=keep)
    for op in ("ArgMax", "ArgMin"):
        for keep in (0, 1):
            b.add(op, axis=2, keepdims=keep)
    b.add("TopK", ints(3), axis=-1, outputs=2)
    whole = b.add("Cast", to=onnx.TensorProto.INT32)
    b.add("Mod", np.int32(3), x=whole)
    b.add("Mod", np.int32(3), x=whole, fmod=1, tag="_f")
    b.add("Div", np.int32(3), x=whole, tag="_int")
    steps = b.add("QuantizeLinear", np.float32(0.02), np.uint8(100))
    b.add("DequantizeLinear", np.float32(0.02), np.uint8(100), x=steps)


class Operators(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        builder = Builder()
        for add in (add_layers, add_movement, add_elements):
            add(builder)
        onnx.save(builder.model(), cls.folder / "m.onnx")
        cls.inputs = {"x": builder.x}
        cls.want = reference.run_onnx(cls.folder / "m.onnx", cls.inputs)

    def check(self, got):
        for name, want in self.want.items():
            self.assertEqual(got[name].shape, want.shape, name)
            step = 1 if name.startswith("QuantizeLinear") else 0.02 if name.startswith("Dequantize") else 0
            np.testing.assert_allclose(
                got[name].astype(np.float64), want.astype(np.float64), rtol=1e-4, atol=step + 1e-4, err_msg=name
            )

    def test_onnx(self):
        for opset in (16, 18, 20, 22):
            out = self.folder / f"{opset}.onnx"
            slipway.export( self.folder / "m.onnx", "--opset", opset, "-o", out)
            onnx.checker.check_model(str(out), full_check=True)
            self.check(test_export.run_ort(out, self.inputs))

    def test_openvino(self):
        folder = self.folder / "m_openvino_model"
        slipway.export( self.folder / "m.onnx", "--to", "openvino")
        back = slipway.run_model(folder, self.inputs, self.folder)
        self.check({name: back[slipway.file_name(name)] for name in self.want})
        if test_export.HAVE_OPENVINO:
            self.check(test_export.run_openvino(folder, self.inputs))
