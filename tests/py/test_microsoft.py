"""Operators that ONNX Runtime's optimiser, quantiser and transformer tools put into models (com.microsoft), on random
data beside ONNX Runtime; whole networks that went through these tools."""

import logging
import pathlib
import tempfile
import unittest

import numpy as np
import onnx
from onnx import helper

import reference
import slipway
import zoo

DOMAIN = "com.microsoft"


class Operators(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.random = np.random.default_rng(0)

    def floats(self, *shape, scale=1.0):
        return (self.random.standard_normal(shape) * scale).astype(np.float32)

    def integers(self, *shape, dtype=np.uint8):
        return self.random.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)

    def model(self, op, inputs, kept, n_out, domain, attributes):
        """A model of one node: inputs named x0, x1, ... (None: absent), those from `kept` on as constants."""
        names = [f"x{i}" if value is not None else "" for i, value in enumerate(inputs)]
        outputs = [f"y{i}" for i in range(n_out)] if isinstance(n_out, int) else n_out
        node = helper.make_node(op, names, outputs, domain=domain, **attributes)
        arrays = {name: np.asarray(value) for name, value in zip(names, inputs) if name}
        first = list(arrays)[:kept]
        ports = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(arrays[n].dtype), arrays[n].shape)
            for n in first
        ]
        results = [helper.make_empty_tensor_value_info(name) for name in outputs if name]
        constants = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items() if name not in first]
        graph = helper.make_graph([node], "g", ports, results, constants)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
        path = self.folder / "m.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        return path, {name: arrays[name] for name in first}

    def check(self, op, inputs, kept=1, n_out=1, domain=DOMAIN, quanta=1, **attributes):
        """Beside ONNX Runtime: floats to 1e-5 of the scale, integers to `quanta`, with few that differ at all."""
        path, given = self.model(op, inputs, kept, n_out, domain, attributes)
        want = reference.run_onnx(path, given)
        got = slipway.run_model(path, given, self.folder)
        for name, array in want.items():
            self.assertEqual((got[name].shape, got[name].dtype), (array.shape, array.dtype))
            if array.dtype.kind == "f":
                self.assertLess(zoo.worst_error(got[name], array), 1e-5, f"{op} {attributes}")
                continue
            apart = np.abs(got[name].astype(int) - array)
            self.assertLessEqual(apart.max(), quanta, f"{op} {attributes}")
            self.assertLess((apart > 0).mean(), 0.05, f"{op} {attributes}")

    def scale(self, value=0.02):
        return np.float32(value)

    def test_fused_convolution_and_products(self):
        x, w, b = self.floats(1, 4, 9, 7), self.floats(6, 4, 3, 3), self.floats(6)
        sides = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        for activation, params in (
            ("Relu", []),
            ("LeakyRelu", [0.2]),
            ("Clip", [-0.5, 2.0]),
            ("HardSigmoid", [0.3, 0.4]),
        ):
            more = {"activation_params": params} if params else {}
            self.check("FusedConv", [x, w, b], activation=activation, **more, **sides)
        for activation in ("Tanh", "Sigmoid"):
            self.check("FusedConv", [x, w], activation=activation, strides=[2, 2], **sides)
        self.check("FusedConv", [x, w, b, self.floats(1, 6, 9, 7)], kept=1, activation="Relu", **sides)
        a, k = self.floats(2, 5, 8), self.floats(2, 6, 8)
        self.check("FusedMatMul", [a, k], kept=2, transB=1, alpha=0.25)
        self.check("FusedMatMul", [a, self.floats(2, 5, 3)], kept=2, transA=1)
        self.check(
            "FusedMatMul", [self.floats(5, 2, 3, 8), self.floats(8, 2, 3, 4)], kept=2, transBatchA=1, transBatchB=1
        )
        turned = {"transA": 1, "transB": 1, "transBatchA": 1, "transBatchB": 1}
        self.check("FusedMatMul", [self.floats(8, 2, 3, 5), self.floats(4, 2, 3, 8)], kept=2, **turned)
        self.check(
            "FusedGemm",
            [self.floats(3, 8), self.floats(8, 5), self.floats(5)],
            activation="LeakyRelu",
            activation_alpha=0.1,
        )
        self.check("FusedGemm", [self.floats(3, 8), self.floats(5, 8)], activation="Relu", transB=1, alpha=0.5)

    def test_activations_and_norms(self):
        x, b = self.floats(2, 5, 16), self.floats(16)
        self.check("Gelu", [x])
        self.check("BiasGelu", [x, b])
        self.check("FastGelu", [x])
        self.check("FastGelu", [x, b])
        self.check("QuickGelu", [x])
        self.check("QuickGelu", [x], alpha=1.0)
        scale, shift, skip = self.floats(16), self.floats(16), self.floats(2, 5, 16)
        self.check("SkipLayerNormalization", [x, skip, scale, shift], epsilon=1e-5)
        self.check("SkipLayerNormalization", [x, skip, scale, shift, b], n_out=["y0", "", "", "y3"], epsilon=1e-6)
        self.check("SkipLayerNormalization", [x, skip, scale], kept=2)
        self.check("SkipSimplifiedLayerNormalization", [x, skip, scale], epsilon=1e-5)
        self.check("SkipSimplifiedLayerNormalization", [x, skip, scale, b], n_out=["y0", "", "", "y3"], epsilon=1e-5)
        self.check("SimplifiedLayerNormalization", [x, scale], domain="", epsilon=1e-5, axis=-1)

    def test_attention(self):
        x, w, b = self.floats(2, 7, 12), self.floats(12, 48, scale=0.3), self.floats(48)
        self.check("Attention", [x, w, b], num_heads=4)
        self.check("Attention", [x, w, b], num_heads=4, unidirectional=1, scale=0.4)
        self.check("Attention", [x, w, b], num_heads=2, qkv_hidden_sizes=[12, 12, 24])
        self.check("Attention", [x, w, b, None, None, self.floats(2, 4, 7, 7)], kept=1, num_heads=4)
        q, k, v = self.floats(2, 7, 12), self.floats(2, 9, 12), self.floats(2, 9, 20)
        self.check("MultiHeadAttention", [q, k, v], kept=3, num_heads=2)
        self.check("MultiHeadAttention", [q, k, v, self.floats(44)], kept=3, num_heads=4, scale=0.2)
        self.check("MultiHeadAttention", [q, k, v, None, None, self.floats(1, 4, 7, 9)], kept=3, num_heads=4)

    def test_quantised_elements(self):
        for dtype, zero in ((np.uint8, np.uint8(120)), (np.int8, np.int8(-3))):
            x, y = self.integers(2, 3, 5, 6, dtype=dtype), self.integers(3, 1, 6, dtype=dtype)
            a, b, c = (x, self.scale(), zero), (y, self.scale(0.013), zero), (self.scale(0.03), zero)
            self.check("QLinearAdd", [*a, *b, *c], kept=1)
            self.check("QLinearMul", [*a, *b, *c], kept=1)
            self.check("QLinearSigmoid", [*a, self.scale(0.004), zero])
            self.check("QLinearLeakyRelu", [*a, *c], alpha=0.1)
            self.check("QLinearSoftmax", [*a, self.scale(1 / 256), dtype(np.iinfo(dtype).min)], axis=-1, opset=13)
            self.check("QLinearSoftmax", [*a, self.scale(1 / 256), dtype(np.iinfo(dtype).min)], axis=2, opset=11)
            self.check("QLinearConcat", [*c, *a, *[x[:, :2], self.scale(0.05), zero]], kept=1, axis=1)
            self.check("QuantizeLinear", [self.floats(3, 4), self.scale(), zero])
            self.check("DequantizeLinear", [x, self.scale(), zero])
        x, y = self.integers(2, 3, 4), self.integers(2, 3, 4)
        a, b, c = (x, self.scale(), np.uint8(3)), (y, self.scale(0.013), np.uint8(7)), (self.scale(0.03), np.uint8(1))
        self.check("QLinearWhere", [x > 99, *a, *b, *c])

    def test_quantised_pools(self):
        zero = np.uint8(7)
        x = self.integers(1, 4, 9, 8)
        given = [x, self.scale(), zero, self.scale(0.03), np.uint8(9)]
        windows = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        self.check("QLinearAveragePool", given, **windows)
        self.check("QLinearAveragePool", given, count_include_pad=1, **windows)
        self.check("QLinearAveragePool", given, channels_last=1, **windows)
        self.check("QLinearGlobalAveragePool", given)
        self.check("QLinearGlobalAveragePool", given, channels_last=1)
        self.check("NhwcMaxPool", [x], quanta=0, **windows)

    def test_quantised_products(self):
        a, b, zero = self.integers(5, 16), self.integers(16, 6, dtype=np.int8), np.uint8(11)
        c = self.random.integers(-3000, 3000, 6, np.int32)
        factors = [a, self.scale(), zero, b, self.scale(0.01), np.int8(2)]
        self.check("QGemm", [*factors, c, self.scale(0.2), np.uint8(128)])
        self.check("QGemm", [*factors, c], alpha=0.5)
        turned = [a, self.scale(), zero, np.ascontiguousarray(b.T), self.floats(6) ** 2 + 0.01, np.zeros(6, np.int8)]
        self.check("QGemm", [*turned, None, self.scale(0.2), np.uint8(128)], transB=1)
        x, bias = self.floats(2, 5, 16), self.floats(6)
        self.check("DynamicQuantizeMatMul", [x, b, self.scale(0.01)])
        self.check("DynamicQuantizeMatMul", [x, b, self.floats(6) ** 2 + 0.01, np.full(6, 2, np.int8), bias])
        scales = [self.scale(), self.scale(0.01)]
        self.check("MatMulIntegerToFloat", [a, b, *scales, zero, np.int8(2), bias])
        self.check("MatMulIntegerToFloat", [a, b, *scales])

    def test_quantised_lstm(self):
        """ONNX Runtime also quantises the activations on the way: beside it only roughly, beside float weights well."""
        hidden, x = 8, self.floats(5, 2, 6)
        w, r = (self.integers(2, n, 4 * hidden, dtype=np.int8) for n in (6, hidden))
        scales, bias = (self.scale(0.005), self.scale(0.004)), self.floats(2, 8 * hidden)
        zeros = [np.full(2, z, np.int8) for z in (3, -2)]
        both = [np.full(2, s, np.float32) for s in scales]
        given = [x, w, r, bias, None, None, None, None, both[0], zeros[0], both[1], zeros[1]]
        options = {"hidden_size": hidden, "direction": "bidirectional"}
        path, named = self.model("DynamicQuantizeLSTM", given, 1, 3, DOMAIN, options)
        rough, got = reference.run_onnx(path, named), slipway.run_model(path, named, self.folder)
        plain = [((v.astype(np.float32) - z[0]) * s).transpose(0, 2, 1) for v, z, s in zip((w, r), zeros, scales)]
        path, named = self.model("LSTM", [x, *plain, bias], 1, 3, "", options)
        for name, want in reference.run_onnx(path, named).items():
            self.assertLess(zoo.worst_error(got[name], want), 1e-5)
            self.assertLess(zoo.worst_error(got[name], rough[name]), 0.05)

    def refused(self, sentence, *arguments, **attributes):
        path, _ = self.model(*arguments, DOMAIN, attributes)
        self.assertIn(sentence, slipway.run("inspect", path, expect=2).stderr)

    def test_refusals(self):
        x, w = self.floats(2, 7, 12), self.floats(12, 36)
        mask = np.ones((2, 7), np.int32)
        self.refused("a mask by key is not supported", "Attention", [x, w, self.floats(36), mask], 1, 1, num_heads=4)
        self.refused("num_heads is missing", "Attention", [x, w], 1, 1)
        self.refused("one tensor for query, key and value", "MultiHeadAttention", [x], 1, 1, num_heads=4)
        self.refused("input 3 is absent; SkipLayerNormalization needs it", "SkipLayerNormalization", [x, x], 2, 1)
        self.refused("the activation 'Elu' is not supported", "FusedGemm", [x[0], w], 1, 1, activation="Elu")
        self.refused("the attribute 'colour' is not supported", "Gelu", [x], 1, 1, colour=1)
        self.refused("unsupported operator: com.microsoft.BeamSearch", "BeamSearch", [x], 1, 1)


class Networks(unittest.TestCase):
    """Of the zoo, as ONNX Runtime's optimiser writes them, floating and quantised."""

    def check(self, name, tolerance, quantise=False):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        model = zoo.fill(onnx.load(zoo.models()[name]))
        images = zoo.inputs_of(model)
        with tempfile.TemporaryDirectory() as folder:
            path, made = f"{folder}/m.onnx", f"{folder}/optimised.onnx"
            onnx.save(model, path)
            if quantise:
                self.quantise(path, images)
            options.optimized_model_filepath = made
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            self.assertIn(DOMAIN, {node.domain for node in onnx.load(made).graph.node})
            want = reference.run_onnx(made, images)
            got = slipway.run_model(made, images, folder)
        for output, array in want.items():
            self.assertLess(zoo.worst_error(got[slipway.file_name(output)], array), tolerance, name)

    def quantise(self, path, images):
        logging.disable(logging.WARNING)
        self.addCleanup(logging.disable, logging.NOTSET)
        from onnxruntime import quantization

        class Once(quantization.CalibrationDataReader):
            rest = iter([images])

            def get_next(self):
                return next(self.rest, None)

        quantization.quantize_static(path, path, Once(), quant_format=quantization.QuantFormat.QDQ)

    def test_optimised(self):
        self.check("mobilenet_v3_small_64", zoo.TOLERANCE)

    def test_quantised(self):
        self.check("shufflenet_v2_x0_5_64", 0.01, quantise=True)


if __name__ == "__main__":
    unittest.main()
