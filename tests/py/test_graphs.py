"""Small graphs by hand: element types, old opsets, control, functions, ways to store constants, unknown dims. Expected
values come from ONNX Runtime, or from NumPy where it has no kernel."""

import pathlib
import tempfile
import unittest

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper, numpy_helper

import reference
import slipway


def value(name, dtype, shape):
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(nodes, inputs, outputs, constants=(), opset=17, functions=(), imports=()):
    graph = helper.make_graph(
        nodes,
        "g",
        inputs,
        outputs,
        [numpy_helper.from_array(a, n) if isinstance(a, np.ndarray) else a for n, a in constants],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset), *imports],
        functions=list(functions),
        ir_version=8 if opset < 21 else 10,
    )


def random(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def transposed_model(kernel, act, shape=("n", 3, "h", "w"), **attributes):
    """A transposed convolution among maps."""
    constants = [
        ("w0", random(6, 3, 3, 3, seed=1) / 4),
        ("w", random(6, 5, *kernel, seed=2) / 4),
        ("b", random(5, seed=3)),
        ("w2", random(4, 5, 1, 1, seed=4)),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["a"], pads=[1] * 4),
        helper.make_node("ConvTranspose", ["a", "w", "b"], ["c"], kernel_shape=kernel, **attributes),
        helper.make_node(act, ["c"], ["d"]),
        helper.make_node("Conv", ["d", "w2"], ["y"]),
    ]
    return model_of(nodes, [value("x", T.FLOAT, shape)], [value("y", T.FLOAT, None)], constants)


class Graphs(unittest.TestCase):
    def check(self, model, inputs, want=None, tolerance=1e-5):
        """Runs the model; `want`: outputs by name, ONNX Runtime's when None. Integers and bools must be equal."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "m.onnx")
            if isinstance(model, onnx.ModelProto):
                onnx.save(model, path)
            else:
                path = model(folder)
            got = slipway.run_model(path, inputs, folder)
            want = reference.run_onnx(path, inputs) if want is None else want
        self.assertEqual(set(got), set(want))
        for name, array in want.items():
            self.assertEqual(got[name].dtype, array.dtype, name)
            self.assertEqual(got[name].shape, array.shape, name)
            if array.dtype.kind == "f":
                scale = max(float(np.abs(array.astype(np.float64)).max(initial=0)), 1e-6)
                np.testing.assert_allclose(
                    got[name].astype(np.float64), array.astype(np.float64), rtol=0, atol=tolerance * scale
                )
            else:
                np.testing.assert_array_equal(got[name], array)

    def test_condition_that_an_open_shape_decides(self):
        """A dim that only the input's array fixes cannot choose a branch before the run."""
        nodes = [
            helper.make_node("Size", ["x"], ["n"]),
            helper.make_node("Equal", ["n", "one"], ["is_one"]),
            helper.make_node("If", ["is_one"], ["y"], **self.branches()),
        ]
        constants = [("c", np.array(3, np.float32)), ("one", np.array(1, np.int64))]
        model = model_of(nodes, [value("x", T.FLOAT, ["rows"])], [value("y", T.FLOAT, None)], constants)
        for rows in (1, 2):
            self.check(model, {"x": random(rows)})

    def test_transposed_convolutions_among_maps(self):
        x = random(2, 3, 5, 7)
        fixed = [2, 3, 5, 7]
        for kernel, act, attributes in (
            ([2, 2], "Relu", {"strides": [2, 2]}),
            ([4, 4], "LeakyRelu", {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
            ([3, 3], "Sigmoid", {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
            ([5, 3], "Tanh", {"strides": [1, 3], "pads": [4, 0, 2, 1]}),
            ([3, 4], "Relu", {"strides": [2, 2], "dilations": [2, 1]}),
            ([3, 4], "Relu", {"strides": [2, 3], "auto_pad": "SAME_UPPER", "shape": fixed}),
            ([4, 3], "Relu", {"strides": [3, 2], "output_shape": [14, 14], "shape": fixed}),
        ):
            with self.subTest(kernel=kernel, **attributes):
                self.check(transposed_model(kernel, act, **attributes), {"x": x}, tolerance=1e-5)

    def test_parts_of_maps_that_nobody_reads(self):
        constants = [("w", random(8, 3, 3, 3)), ("lengths", np.array([3, 1, 4])), ("v0", random(4, 3, 1, 1))]
        constants += [("v1", random(4, 1, 1, 1)), ("v2", random(4, 4, 1, 1)), ("v", random(4, 2, 1, 1))]
        for split, weights in (["a", "lengths"], "v0 v1 v2".split()), (["a"], ["v"] * 4):
            parts = [f"p{i}" for i in range(len(weights))]
            for read in range(len(parts)):
                nodes = [
                    helper.make_node("Conv", ["x", "w"], ["a"]),
                    helper.make_node("Split", split, parts, axis=1),
                    helper.make_node("Conv", [parts[read], weights[read]], ["y"]),
                ]
                model = model_of(
                    nodes, [value("x", T.FLOAT, [2, 3, 5, 7])], [value("y", T.FLOAT, None)], constants
                )
                self.check(model, {"x": random(2, 3, 5, 7)})

    def test_constants_added_to_maps(self):
        """A constant as large as the map, one a row, one a channel: in whatever layout the map is."""
        for shape in ((1, 6, 9, 7), (1, 1, 9, 7), (6, 1, 1), (9, 7), (1, 6, 9, 1)):
            for op in ("Add", "Mul"):
                constants = [
                    ("w", random(6, 4, 3, 3, seed=1)),
                    ("z", random(*shape, seed=2)),
                    ("v", random(5, 6, 1, 1, seed=3)),
                ]
                nodes = [
                    helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
                    helper.make_node(op, ["a", "z"], ["b"]),
                    helper.make_node("Relu", ["b"], ["c"]),
                    helper.make_node("Conv", ["c", "v"], ["y"]),
                ]
                ports = [value("x", T.FLOAT, (1, 4, 9, 7))], [value("y", T.FLOAT, (1, 5, 9, 7))]
                self.check(model_of(nodes, *ports, constants), {"x": random(1, 4, 9, 7, seed=4)})

    def test_einsum(self):
        """Of two factors in all orders of axes, with open dims, and what stays Einsum."""
        sizes = {"b": 2, "h": 3, "w": 4, "c": 5, "k": 6}
        equations = (
            *(
                "bhwc,hkc->bhwk",
                "bhwc,wkc->bhwk",
                "bhc,bkc->bhk",
                "hc,kc->hk",
                "bhw,bwk->bkh",
                "bchw,bkhw->bck",
                "hw,wk->kh",
            ),
            *("bhwc,bc->bhw", "c,ck->k", "hc,c->h", "bhwc,kc->bkhw", "b h c , h c k -> b h k"),
            *(
                "bhc,bhk->bch",
                "bc,bc->bc",
                "bh,wk->bhwk",
                "bhc,bhc->b",
                "bhc,kw->bk",
                "bb,bc->bc",
                "bhc,bhc",
                "...hc,ck->...hk",
            ),
        )
        for equation in equations:
            terms = equation.replace(" ", "").split("->")[0].replace("...", "bw").split(",")
            arrays = [random(*(sizes[label] for label in term), seed=i) for i, term in enumerate(terms)]
            for open_dims in (False, True) if equation in equations[:4] else (True,):
                shapes = [[f"{label}_" if open_dims and label in "bw" else sizes[label] for label in t] for t in terms]
                ports = [value(f"x{i}", T.FLOAT, shape) for i, shape in enumerate(shapes)]
                node = helper.make_node("Einsum", ["x0", "x1"], ["y"], equation=equation)
                with self.subTest(equation=equation, open_dims=open_dims):
                    model = model_of([node], ports, [value("y", T.FLOAT, None)])
                    self.check(model, {"x0": arrays[0], "x1": arrays[1]})

    def test_attention_with_masks(self):
        """Constant masks of numbers and of truth values: some, all, none of a row; computed ones."""
        some = random(1, 1, 5, 7, seed=4) > 0
        some[..., 0] = True
        empty_row = some.copy()
        empty_row[0, 0, 2] = False
        no_numbers = np.where(empty_row, random(1, 1, 5, 7, seed=6), np.float32(-np.inf))
        for mask in (random(2, 5, 7, seed=3), some, np.ones((5, 7), bool), empty_row, no_numbers):
            for constant in (True, False):
                shapes = {"q": (2, 2, 5, 4), "k": (2, 2, 7, 4), "v": (2, 2, 7, 6)}
                inputs = {name: random(*shape, seed=i) for i, (name, shape) in enumerate(shapes.items())}
                ports = [value(name, T.FLOAT, shape) for name, shape in shapes.items()]
                node = helper.make_node("Attention", ["q", "k", "v", "m"], ["y"])
                if not constant:
                    inputs["m"] = mask
                    ports.append(value("m", helper.np_dtype_to_tensor_dtype(mask.dtype), mask.shape))
                constants = [("m", mask)] if constant else []
                model = model_of([node], ports, [value("y", T.FLOAT, None)], constants, opset=23)
                with self.subTest(mask=mask.dtype, shape=mask.shape, constant=constant):
                    self.check(model, inputs)

    def test_normalisation_that_stands_alone(self):
        """Of maps, of rows, and of rows that are flattened behind a product; an activation or an addition behind it."""
        numbers = [(name, random(6, seed=i) ** 2 + 0.1) for i, name in enumerate("sbmv")]
        for shape in ((2, 6, 5, 4), (3, 6), (2, 6, 7), (2, 6, 3, 4, 5)):
            nodes = [
                helper.make_node("Sin", ["x"], ["a"]),
                helper.make_node("BatchNormalization", ["a", "s", "b", "m", "v"], ["n"], epsilon=0.01),
                helper.make_node("Relu", ["n"], ["r"]),
                helper.make_node("Add", ["r", "x"], ["y"]),
            ]
            model = model_of(nodes, [value("x", T.FLOAT, shape)], [value("y", T.FLOAT, shape)], numbers)
            self.check(model, {"x": random(*shape, seed=5)})
        for flatten in ("Flatten", "Reshape"):
            more = [("w", random(8, 6, seed=7)), ("d", np.array([-1, 6])), ("e", np.array([0, 5, 6]))]
            nodes = [
                helper.make_node("MatMul", ["x", "w"], ["p"]),
                helper.make_node(flatten, ["p", "d"] if flatten == "Reshape" else ["p"], ["f"]),
                helper.make_node("BatchNormalization", ["f", "s", "b", "m", "v"], ["n"]),
                helper.make_node("HardSwish", ["n"], ["y"]),
            ]
            if flatten == "Flatten":
                nodes[1].attribute.append(helper.make_attribute("axis", 2))
            model = model_of(nodes, [value("x", T.FLOAT, ("n", 5, 8))], [value("y", T.FLOAT, None)], [*numbers, *more])
            self.check(model, {"x": random(2, 5, 8)})

    def test_convolutions_over_three_axes(self):
        for kernel, options in (
            ((3, 3, 3), {"pads": [1] * 6}),
            ((2, 4, 4), {"strides": [2, 4, 4]}),
            ((1, 3, 3), {"pads": [0, 1, 1, 0, 1, 1]}),
            ((3, 1, 1), {"pads": [2, 0, 0, 1, 0, 0], "strides": [2, 1, 1]}),
            ((3, 2, 3), {"dilations": [2, 1, 2], "pads": [2, 1, 0, 2, 0, 1]}),
            ((3, 3, 3), {"pads": [1] * 6, "group": 2}),
            ((2, 3, 3), {"auto_pad": "SAME_UPPER"}),
        ):
            nodes = [
                helper.make_node("Conv", ["x", "w", "b"], ["c"], kernel_shape=kernel, **options),
                helper.make_node("Relu", ["c"], ["y"]),
            ]
            constants = [("w", random(6, 4 // options.get("group", 1), *kernel, seed=1)), ("b", random(6, seed=2))]
            for batch in (2, "n"):
                ports = [value("x", T.FLOAT, (batch, 4, 6, 8, 9))], [value("y", T.FLOAT, None)]
                with self.subTest(kernel=kernel, batch=batch, **options):
                    self.check(model_of(nodes, *ports, constants), {"x": random(2, 4, 6, 8, 9)})

    def test_levels_of_a_batch_that_runs_in_groups(self):
        """Some pictures at a time, the join of levels, too, while what is flattened before it holds all pictures."""
        constants = [("w", random(64, 16, 3, 3, seed=1) / 8), ("v", random(64, 64, 3, 3, seed=2) / 16)]
        constants += [("u", random(64, 64, 1, 1, seed=3) / 8), ("flat", np.array([8, 64, -1]))]
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Conv", ["b", "v"], ["c"], pads=[1] * 4),
            helper.make_node("Relu", ["c"], ["d"]),
            helper.make_node("Conv", ["d", "u"], ["e"]),
            helper.make_node("Conv", ["b", "v"], ["f"], pads=[1] * 4, strides=[2, 2]),
            helper.make_node("Conv", ["f", "u"], ["g"]),
            helper.make_node("Reshape", ["e", "flat"], ["h"]),
            helper.make_node("Reshape", ["g", "flat"], ["i"]),
            helper.make_node("Concat", ["h", "i"], ["j"], axis=2),
            helper.make_node("LeakyRelu", ["j"], ["k"], alpha=0.25),
            helper.make_node("Sin", ["k"], ["y"]),
        ]
        model = model_of(nodes, [value("x", T.FLOAT, (8, 16, 64, 64))], [value("y", T.FLOAT, (8, 64, 5120))], constants)
        self.check(model, {"x": random(8, 16, 64, 64)}, tolerance=1e-4)

    def test_levels_whose_join_begins_a_group(self):
        """What is joined lies in the join already, for later pictures of the batch, too."""
        constants = [("w", random(16, 3, 3, 3, seed=1) / 4), ("u", random(8, 16, 1, 1, seed=2) / 4)]
        constants += [("v", random(16, 16, 3, 3, seed=3) / 12), ("flat", np.array([0, 8, -1]))]
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
            helper.make_node("Conv", ["a", "v"], ["b"], pads=[1] * 4, strides=[2, 2]),
            helper.make_node("Conv", ["a", "u"], ["c"]),
            helper.make_node("Conv", ["b", "u"], ["d"]),
            helper.make_node("Reshape", ["c", "flat"], ["e"]),
            helper.make_node("Reshape", ["d", "flat"], ["f"]),
            helper.make_node("Concat", ["e", "f"], ["g"], axis=2),
            helper.make_node("Conv", ["b", "v"], ["h"], pads=[1] * 4),
            helper.make_node("Relu", ["h"], ["i"]),
            helper.make_node("Conv", ["i", "u"], ["z"]),
            helper.make_node("Sin", ["g"], ["y"]),
        ]
        ports = [value("x", T.FLOAT, (8, 3, 20, 12))], [value("y", T.FLOAT, (8, 8, 300)), value("z", T.FLOAT, (8, 8, 10, 6))]
        self.check(model_of(nodes, *ports, constants), {"x": random(8, 3, 20, 12)}, tolerance=1e-4)

    def test_zeros_around_maps(self):
        """As TensorFlow's padding is exported; other numbers, and pads of channels, stay."""
        for pads, number in (
            ([0, 0, 0, 0, 0, 0, 1, 1], None),
            ([0, 0, 1, 2, 0, 0, 0, 3], 0),
            ([0, 0, 1, 1, 0, 0, 1, 1], 2),
            ([0, 1, 0, 0, 0, 0, 1, 1], 0),
            ([0, 0, -1, 0, 0, 0, 1, 1], 0),
        ):
            channels = 4 + pads[1] + pads[5]
            nodes = [
                helper.make_node("Pad", ["x", "p"] + (["k"] if number is not None else []), ["a"]),
                helper.make_node("Conv", ["a", "w"], ["y"], strides=[2, 2], pads=[0, 1, 0, 0]),
            ]
            constants = [
                ("p", np.array(pads)),
                ("k", np.array(number or 0, np.float32)),
                ("w", random(6, channels, 3, 3)),
            ]
            for dims in ((1, 4, 9, 8), (1, 4, "h", "w")):
                model = model_of(nodes, [value("x", T.FLOAT, dims)], [value("y", T.FLOAT, None)], constants)
                with self.subTest(pads=pads, number=number, dims=dims):
                    self.check(model, {"x": random(1, 4, 9, 8)})

    def test_means_of_maps(self):
        for axes, keep in (((2, 3), 1), ((-1, -2), 1), ((3, 2), 0), ((1, 2), 1), ((0, 2, 3), 0)):
            nodes = [
                helper.make_node("Conv", ["x", "w"], ["a"]),
                helper.make_node("ReduceMean", ["a"], ["y"], axes=axes, keepdims=keep),
            ]
            constants = [("w", random(6, 3, 3, 3))]
            model = model_of(nodes, [value("x", T.FLOAT, ("n", 3, "h", "w"))], [value("y", T.FLOAT, None)], constants)
            self.check(model, {"x": random(2, 3, 9, 7)})

    def test_convolution_float64(self):
        """ONNX Runtime has no such kernel; float64 agrees with its float32 to float32's accuracy."""
        x, w = random(1, 4, 9, 7), random(6, 2, 3, 3, seed=1)
        node = helper.make_node("Conv", ["x", "w"], ["y"], group=2, strides=[2, 1], pads=[1, 0, 2, 1])
        single = model_of([node], [value("x", T.FLOAT, x.shape)], [value("y", T.FLOAT, None)], [("w", w)])
        double = model_of(
            [node], [value("x", T.DOUBLE, x.shape)], [value("y", T.DOUBLE, None)], [("w", w.astype(np.float64))]
        )
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "single.onnx")
            onnx.save(single, path)
            want = reference.run_onnx(path, {"x": x})["y"]
        self.check(double, {"x": x.astype(np.float64)}, {"y": want.astype(np.float64)}, 1e-5)

    def test_float16(self):
        x = random(3, 5, dtype=np.float16)
        nodes = [
            helper.make_node("Mul", ["x", "c"], ["t"]),
            helper.make_node("Sigmoid", ["t"], ["s"]),
            helper.make_node("Add", ["s", "x"], ["y"]),
        ]
        c = np.array([2, -1, 0.5, 3, 1], np.float16)
        t = x * c
        s = (1 / (1 + np.exp(-t.astype(np.float32)))).astype(np.float16)
        self.check(
            model_of(nodes, [value("x", T.FLOAT16, [3, 5])], [value("y", T.FLOAT16, [3, 5])], [("c", c)]),
            {"x": x},
            {"y": s + x},
            1e-3,
        )

    def test_bfloat16(self):
        """Rounds to nearest, ties to even, at each step."""

        def bf16(array):
            bits = array.astype(np.float32).view(np.uint32).astype(np.uint64)
            return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)

        x = random(4, 6)
        nodes = [
            helper.make_node("Cast", ["x"], ["b"], to=T.BFLOAT16),
            helper.make_node("Mul", ["b", "b"], ["m"]),
            helper.make_node("Cast", ["m"], ["y"], to=T.FLOAT),
        ]
        self.check(
            model_of(nodes, [value("x", T.FLOAT, [4, 6])], [value("y", T.FLOAT, [4, 6])]),
            {"x": x},
            {"y": bf16(bf16(x) * bf16(x))},
            0,
        )

    def test_integers(self):
        """Division truncates, Mod takes the divisor's sign, extremes wrap; all integer types."""
        for onnx_type, dtype in ((T.INT64, np.int64), (T.INT32, np.int32), (T.INT8, np.int8), (T.UINT8, np.uint8)):
            with self.subTest(dtype=dtype.__name__):
                info = np.iinfo(dtype)
                x = np.array([7, 100, info.max, info.min + 1, 0, 13], dtype)
                d = np.array([2, 3, 7, 5, 1, 4], dtype)
                nodes = [
                    helper.make_node("Div", ["x", "d"], ["q"]),
                    helper.make_node("Mod", ["x", "d"], ["r"]),
                    helper.make_node("Add", ["x", "d"], ["a"]),
                    helper.make_node("Max", ["x", "d"], ["m"]),
                ]
                quotient = np.array(
                    [
                        int(int(a) / int(b)) if abs(int(a)) < 2**52 else (abs(int(a)) // int(b)) * (1 if a > 0 else -1)
                        for a, b in zip(x, d)
                    ],
                    dtype,
                )
                with np.errstate(over="ignore"):
                    total = x + d
                self.check(
                    model_of(
                        nodes, [value("x", onnx_type, [6])], [value(o, onnx_type, [6]) for o in "qram"], [("d", d)]
                    ),
                    {"x": x},
                    {"q": quotient, "r": x % d, "a": total, "m": np.maximum(x, d)},
                )

    def test_narrow_types(self):
        """Floats of 8 and 4 bits and integers of 4: stored, moved, cut, joined, and cast back."""
        x = random(1, 6, 4, 5, seed=1) * 4
        for dtype in (T.FLOAT8E4M3FN, T.FLOAT8E5M2, T.FLOAT8E4M3FNUZ, T.FLOAT8E5M2FNUZ, T.FLOAT4E2M1, T.INT4, T.UINT4):
            kept = helper.tensor_dtype_to_np_dtype(dtype)
            constant = numpy_helper.from_array(np.round(np.abs(random(1, 7, 4, 5, seed=2)) * 2).astype(kept), "k")
            nodes = [
                helper.make_node("Cast", ["x"], ["a"], to=dtype),
                helper.make_node("Concat", ["a", "k"], ["b"], axis=1),
                helper.make_node("Transpose", ["b"], ["c"], perm=[0, 2, 3, 1]),
                helper.make_node("Slice", ["c", "one", "three", "two"], ["d"]),
                helper.make_node("Reshape", ["d", "flat"], ["e"]),
                helper.make_node("Cast", ["e"], ["y"], to=T.FLOAT),
            ]
            numbers = [("one", [1]), ("three", [3]), ("two", [2]), ("flat", [-1, 2])]
            constants = [("k", constant)] + [(name, np.array(v, np.int64)) for name, v in numbers]
            model = model_of(nodes, [value("x", T.FLOAT, x.shape)], [value("y", T.FLOAT, None)], constants, opset=23)
            cast = np.clip(x, -240, 240)
            if dtype in (T.INT4, T.UINT4):  # wrap around
                cast = (np.trunc(np.abs(x) + 0.5) * np.sign(x)).astype(np.int8)
                cast = (cast & 15) if dtype == T.UINT4 else ((cast & 15) ^ 8) - 8
            joined = np.concatenate([cast.astype(kept).astype(np.float32), numpy_helper.to_array(constant)], 1)
            want = joined.astype(np.float32).transpose(0, 2, 3, 1)[:, :, 1:3].reshape(-1, 2)
            with self.subTest(kept):
                self.check(model, {"x": x}, {"y": want}, 0)

    def test_weights_of_four_bits(self):
        """As quantisers of transformers write them: blocks along the first axis, packed."""
        chance = np.random.default_rng(3)
        for dtype, low, high in ((T.INT4, -8, 8), (T.UINT4, 0, 16)):
            kept = helper.tensor_dtype_to_np_dtype(dtype)
            weights = chance.integers(low, high, (32, 5)).astype(np.int8).astype(kept)
            scales, zeros = np.abs(random(2, 5, seed=4)) + 0.1, np.full((2, 5), 3, np.int8).astype(kept)
            model = model_of(
                [
                    helper.make_node("DequantizeLinear", ["w", "s", "z"], ["f"], axis=0, block_size=16),
                    helper.make_node("MatMul", ["x", "f"], ["y"]),
                ],
                [value("x", T.FLOAT, ["n", 32])],
                [value("y", T.FLOAT, ["n", 5])],
                [
                    ("w", numpy_helper.from_array(weights, "w")),
                    ("s", scales),
                    ("z", numpy_helper.from_array(zeros, "z")),
                ],
                opset=21,
            )
            x, wide = random(3, 32), weights.astype(np.float32).reshape(2, 16, 5) - 3
            self.check(model, {"x": x}, {"y": x @ (wide * scales[:, None]).reshape(32, 5)})

    def test_bool_and_comparison(self):
        x = np.arange(-4, 4, dtype=np.int64)
        nodes = [
            helper.make_node("Greater", ["x", "z"], ["g"]),
            helper.make_node("Not", ["g"], ["n"]),
            helper.make_node("Where", ["g", "x", "z"], ["w"]),
        ]
        self.check(
            model_of(
                nodes,
                [value("x", T.INT64, [8])],
                [value("g", T.BOOL, [8]), value("n", T.BOOL, [8]), value("w", T.INT64, [8])],
                [("z", np.array(1, np.int64))],
            ),
            {"x": x},
        )

    def test_opset_7_upsample(self):
        x = random(1, 3, 4, 5)
        node = helper.make_node("Upsample", ["x"], ["y"], mode="nearest", scales=[1.0, 1.0, 2.0, 2.0])
        self.check(
            model_of([node], [value("x", T.FLOAT, x.shape)], [value("y", T.FLOAT, [1, 3, 8, 10])], opset=7),
            {"x": x},
            {"y": x.repeat(2, 2).repeat(2, 3)},
        )

    def test_opset_9_upsample_scales_as_input(self):
        x = random(1, 2, 3, 3)
        node = helper.make_node("Upsample", ["x", "s"], ["y"], mode="nearest")
        self.check(
            model_of(
                [node],
                [value("x", T.FLOAT, x.shape)],
                [value("y", T.FLOAT, None)],
                [("s", np.array([1, 1, 3, 2], np.float32))],
                opset=9,
            ),
            {"x": x},
            {"y": x.repeat(3, 2).repeat(2, 3)},
        )

    def test_old_attributes_that_became_inputs(self):
        """Slice, Clip, Squeeze, Unsqueeze, Pad, ReduceSum, TopK, Dropout as they were in opsets 7 to 10."""
        x = random(1, 4, 6)
        nodes = [
            helper.make_node("Slice", ["x"], ["a"], axes=[2], starts=[1], ends=[-1]),
            helper.make_node("Clip", ["a"], ["b"], min=-0.5, max=0.75),
            helper.make_node("Squeeze", ["b"], ["c"], axes=[0]),
            helper.make_node("Unsqueeze", ["c"], ["d"], axes=[1]),
            helper.make_node("Pad", ["d"], ["e"], mode="constant", value=2.0, pads=[0, 0, 1, 0, 0, 2]),
            helper.make_node("Dropout", ["e"], ["f"]),
            helper.make_node("ReduceSum", ["f"], ["y"], axes=[2], keepdims=0),
        ]
        self.check(model_of(nodes, [value("x", T.FLOAT, x.shape)], [value("y", T.FLOAT, None)], opset=9), {"x": x})

    def test_softmax_before_and_after_opset_13(self):
        x = random(2, 3, 4)
        node = helper.make_node("Softmax", ["x"], ["y"], axis=1)
        for opset in (11, 13):
            with self.subTest(opset=opset):
                self.check(
                    model_of([node], [value("x", T.FLOAT, x.shape)], [value("y", T.FLOAT, x.shape)], opset=opset),
                    {"x": x},
                )

    def test_local_functions(self):
        """A function that calls a function, with an attribute handed on."""
        inner = helper.make_function(
            "f",
            "Leaky",
            ["a"],
            ["b"],
            [self.with_reference(helper.make_node("LeakyRelu", ["a"], ["b"]), "alpha", "slope")],
            [helper.make_opsetid("", 17)],
            ["slope"],
        )
        outer = helper.make_function(
            "f",
            "Twice",
            ["p"],
            ["q"],
            [
                self.with_reference(helper.make_node("Leaky", ["p"], ["t"], domain="f"), "slope", "s"),
                self.with_reference(helper.make_node("Leaky", ["t"], ["q"], domain="f"), "slope", "s"),
            ],
            [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)],
            ["s"],
        )
        x = random(3, 4)
        nodes = [helper.make_node("Twice", ["x"], ["t"], domain="f", s=0.5), helper.make_node("Neg", ["t"], ["y"])]
        model = model_of(
            nodes,
            [value("x", T.FLOAT, [3, 4])],
            [value("y", T.FLOAT, [3, 4])],
            functions=[inner, outer],
            imports=[helper.make_opsetid("f", 1)],
        )
        self.check(model, {"x": x}, {"y": -np.where(x < 0, x * np.float32(0.25), x)})

    @staticmethod
    def with_reference(node, name, outer_name):
        node.attribute.append(onnx.AttributeProto(name=name, ref_attr_name=outer_name, type=onnx.AttributeProto.FLOAT))
        return node

    @staticmethod
    def branches():
        return {
            f"{name}_branch": helper.make_graph(
                [helper.make_node(op, ["x", "c"], [f"{name}_y"])], name, [], [value(f"{name}_y", T.FLOAT, None)]
            )
            for name, op in (("then", "Add"), ("else", "Sub"))
        }

    def test_constant_if(self):
        """The branch reads a value of the outer graph."""
        x = random(2, 3)
        for yes, want in ((True, x + np.float32(3)), (False, x - np.float32(3))):
            nodes = [helper.make_node("If", ["yes"], ["y"], **self.branches())]
            constants = [("c", np.array(3, np.float32)), ("yes", np.array(yes))]
            self.check(
                model_of(nodes, [value("x", T.FLOAT, [2, 3])], [value("y", T.FLOAT, [2, 3])], constants),
                {"x": x},
                {"y": want},
            )

    def test_if_decided_by_a_known_shape(self):
        """As PyTorch writes it for squeeze: the condition is arithmetic on a shape that the model fixes."""
        for rows, op in ((2, np.add), (5, np.subtract)):
            x = random(rows, 3)
            nodes = [
                helper.make_node("Shape", ["x"], ["s"]),
                helper.make_node("Gather", ["s", "zero"], ["rows"], axis=0),
                helper.make_node("Equal", ["rows", "two"], ["is_two"]),
                helper.make_node("If", ["is_two"], ["y"], **self.branches()),
            ]
            constants = [
                ("c", np.array(3, np.float32)),
                ("zero", np.array(0, np.int64)),
                ("two", np.array(2, np.int64)),
            ]
            self.check(
                model_of(nodes, [value("x", T.FLOAT, x.shape)], [value("y", T.FLOAT, x.shape)], constants),
                {"x": x},
                {"y": op(x, np.float32(3))},
            )

    def test_squeeze_as_pytorch_writes_it(self):
        """The dim that is squeezed is fixed, the batch is open."""
        x = random(2, 1, 3)
        branches = {
            "then_branch": helper.make_graph(
                [helper.make_node("Squeeze", ["x", "one"], ["a"])], "then", [], [value("a", T.FLOAT, None)]
            ),
            "else_branch": helper.make_graph(
                [helper.make_node("Identity", ["x"], ["b"])], "else", [], [value("b", T.FLOAT, None)]
            ),
        }
        nodes = [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Gather", ["s", "one"], ["d"], axis=0),
            helper.make_node("Equal", ["d", "one"], ["is_one"]),
            helper.make_node("If", ["is_one"], ["y"], **branches),
        ]
        self.check(
            model_of(
                nodes,
                [value("x", T.FLOAT, ["n", 1, 3])],
                [value("y", T.FLOAT, None)],
                [("one", np.array([1], np.int64))],
            ),
            {"x": x},
            {"y": x[:, 0]},
        )

    def test_external_data(self):
        x, w, b = random(2, 70), random(70, 30, seed=1), random(30, seed=2)

        def save(folder):
            model = model_of(
                [helper.make_node("MatMul", ["x", "w"], ["t"]), helper.make_node("Add", ["t", "b"], ["y"])],
                [value("x", T.FLOAT, [2, 70])],
                [value("y", T.FLOAT, [2, 30])],
                [("w", w), ("b", b)],
            )
            path = pathlib.Path(folder, "external.onnx")
            onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
            return path

        self.check(save, {"x": x})

    def test_external_data_stays_inside_the_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            inside = pathlib.Path(folder, "inside")
            inside.mkdir()
            pathlib.Path(folder, "secret.bin").write_bytes(bytes(16))
            tensor = onnx.TensorProto(name="w", data_type=T.FLOAT, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
            for location in ("../secret.bin", str(pathlib.Path(folder, "secret.bin"))):
                del tensor.external_data[:]
                tensor.external_data.add(key="location", value=location)
                model = model_of(
                    [helper.make_node("Add", ["x", "w"], ["y"])],
                    [value("x", T.FLOAT, [4])],
                    [value("y", T.FLOAT, [4])],
                    [("w", tensor)],
                )
                path = inside / "m.onnx"
                path.write_bytes(model.SerializeToString())
                process = slipway.run("inspect", path, expect=2)
                self.assertIn("secret.bin", process.stderr)

    def test_constants_in_typed_fields(self):
        """float_data, int32_data (for float16, too), int64_data, double_data instead of raw_data; a Constant node."""
        constants = [
            ("f", helper.make_tensor("f", T.FLOAT, [3], [1.5, -2, 0.25])),
            ("i", helper.make_tensor("i", T.INT64, [1], [-7])),
            ("h", helper.make_tensor("h", T.FLOAT16, [3], np.array([1, 2, -3], np.float16))),
            ("u", helper.make_tensor("u", T.UINT8, [1], [200])),
        ]
        nodes = [
            helper.make_node("Cast", ["h"], ["hf"], to=T.FLOAT),
            helper.make_node("Cast", ["i"], ["if"], to=T.FLOAT),
            helper.make_node("Cast", ["u"], ["uf"], to=T.FLOAT),
            helper.make_node("Constant", [], ["k"], value_floats=[4.0, 5.0, 6.0]),
            helper.make_node("Sum", ["x", "f", "hf", "if", "uf", "k"], ["y"]),
        ]
        x = random(2, 3)
        want = (
            x
            + np.array([1.5, -2, 0.25], np.float32)
            + np.array([1, 2, -3], np.float32)
            - 7
            + 200
            + np.array([4, 5, 6], np.float32)
        )
        self.check(
            model_of(nodes, [value("x", T.FLOAT, [2, 3])], [value("y", T.FLOAT, [2, 3])], constants),
            {"x": x},
            {"y": want.astype(np.float32)},
        )

    def test_weight_behind_identity(self):
        x, w = random(1, 3, 8, 8), random(4, 3, 3, 3, seed=1)
        nodes = [
            helper.make_node("Identity", ["w0"], ["w1"]),
            helper.make_node("Identity", ["w1"], ["w2"]),
            helper.make_node("Conv", ["x", "w2"], ["y"], pads=[1, 1, 1, 1]),
        ]
        self.check(model_of(nodes, [value("x", T.FLOAT, x.shape)], [value("y", T.FLOAT, None)], [("w0", w)]), {"x": x})

    def test_batch_norm_folded_or_not(self):
        """After a convolution (folded) and before one (not folded)."""
        x, w = random(1, 3, 6, 6), random(3, 3, 3, 3, seed=1)
        stats = [(name, (np.abs(random(3, seed=i)) + 0.5).astype(np.float32)) for i, name in enumerate("sbmv")]
        nodes = [
            helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["n"], epsilon=1e-3),
            helper.make_node("Conv", ["n", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["y"]),
        ]
        self.check(
            model_of(nodes, [value("x", T.FLOAT, x.shape)], [value("y", T.FLOAT, x.shape)], [("w", w), *stats]),
            {"x": x},
        )

    def test_unknown_dims(self):
        """One model, several batch sizes and lengths; the reshape follows the shape of the input."""
        nodes = [
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
            helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
            helper.make_node("Concat", ["n1", "minus"], ["shape"], axis=0),
            helper.make_node("Reshape", ["x", "shape"], ["flat"]),
            helper.make_node("Relu", ["flat"], ["y"]),
        ]
        constants = [
            ("zero", np.array(0, np.int64)),
            ("axes", np.array([0], np.int64)),
            ("minus", np.array([-1], np.int64)),
        ]
        model = model_of(
            nodes, [value("x", T.FLOAT, ["batch", 3, "length"])], [value("y", T.FLOAT, ["batch", "flat"])], constants
        )
        for shape in ((1, 3, 4), (2, 3, 5), (7, 3, 1)):
            with self.subTest(shape=shape):
                self.check(model, {"x": random(*shape)})

    def test_output_that_is_an_input_or_a_constant(self):
        nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Identity", ["c"], ["z"])]
        self.check(
            model_of(
                nodes,
                [value("x", T.FLOAT, [2])],
                [value("y", T.FLOAT, [2]), value("z", T.FLOAT, [3])],
                [("c", random(3, seed=5))],
            ),
            {"x": random(2)},
        )

    def test_names_with_slashes(self):
        x = random(2, 2)
        model = model_of(
            [helper.make_node("Neg", ["/in/x"], ["/out/y"])],
            [value("/in/x", T.FLOAT, [2, 2])],
            [value("/out/y", T.FLOAT, [2, 2])],
        )
        self.check(model, {"/in/x": x}, {"_out_y": -x})

    def test_empty_and_scalar_tensors(self):
        nodes = [
            helper.make_node("Concat", ["x", "e"], ["y"], axis=0),
            helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        ]
        self.check(
            model_of(
                nodes,
                [value("x", T.FLOAT, [3])],
                [value("y", T.FLOAT, [3]), value("s", T.FLOAT, [])],
                [("e", np.zeros(0, np.float32))],
            ),
            {"x": random(3)},
        )

    def test_resize_modes(self):
        x = random(1, 2, 5, 6)
        for mode, transform in (
            ("linear", "half_pixel"),
            ("linear", "align_corners"),
            ("cubic", "half_pixel"),
            ("nearest", "asymmetric"),
        ):
            with self.subTest(mode=mode, transform=transform):
                node = helper.make_node(
                    "Resize",
                    ["x", "", "s"],
                    ["y"],
                    mode=mode,
                    nearest_mode="floor",
                    coordinate_transformation_mode=transform,
                )
                self.check(
                    model_of(
                        [node],
                        [value("x", T.FLOAT, x.shape)],
                        [value("y", T.FLOAT, None)],
                        [("s", np.array([1, 1, 1.7, 0.6], np.float32))],
                    ),
                    {"x": x},
                )

    def test_reference_option_gives_the_same(self):
        x, w = random(1, 3, 16, 16), random(8, 3, 3, 3, seed=1)
        model = model_of(
            [
                helper.make_node("Conv", ["x", "w"], ["c"]),
                helper.make_node("Sigmoid", ["c"], ["s"]),
                helper.make_node("Mul", ["c", "s"], ["y"]),
            ],
            [value("x", T.FLOAT, x.shape)],
            [value("y", T.FLOAT, None)],
            [("w", w)],
        )
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "m.onnx")
            onnx.save(model, path)
            fast, plain = (
                slipway.run_model(path, {"x": x}, folder, *options)["y"] for options in ((), ("--reference",))
            )
        np.testing.assert_allclose(fast, plain, atol=1e-5)


class Refusals(unittest.TestCase):
    """What is no model of ours ends with exit code 2 and a sentence that names it."""

    def refuse(self, model, *words):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "m.onnx")
            path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
            process = slipway.run("inspect", path, expect=2)
        self.assertGreater(len(process.stderr.split()), 3, "a sentence")
        for word in words:
            self.assertIn(word.lower(), process.stderr.lower())

    def test_types_by_name(self):
        self.refuse(
            model_of(
                [helper.make_node("Identity", ["x"], ["y"])], [value("x", T.STRING, [1])], [value("y", T.STRING, [1])]
            ),
            "string",
        )
        self.refuse(
            model_of(
                [helper.make_node("Cast", ["x"], ["y"], to=T.COMPLEX64)],
                [value("x", T.FLOAT, [1])],
                [value("y", T.COMPLEX64, [1])],
                opset=19,
            ),
            "complex64",
        )

    def test_unknown_operator(self):
        self.refuse(
            model_of(
                [helper.make_node("Frobnicate", ["x"], ["y"])], [value("x", T.FLOAT, [1])], [value("y", T.FLOAT, [1])]
            ),
            "Frobnicate",
        )

    def test_function_that_calls_itself(self):
        function = helper.make_function(
            "f",
            "Loop",
            ["a"],
            ["b"],
            [helper.make_node("Loop", ["a"], ["b"], domain="f")],
            [helper.make_opsetid("f", 1)],
        )
        self.refuse(
            model_of(
                [helper.make_node("Loop", ["x"], ["y"], domain="f")],
                [value("x", T.FLOAT, [1])],
                [value("y", T.FLOAT, [1])],
                functions=[function],
                imports=[helper.make_opsetid("f", 1)],
            ),
            "Loop",
        )

    def test_not_onnx(self):
        self.refuse(b"\x89PNG\r\n\x1a\n" + bytes(64), "m.onnx")
        self.refuse(b"hello, this is a text\n" * 10, "m.onnx")

    def test_value_that_nobody_makes(self):
        self.refuse(
            model_of(
                [helper.make_node("Neg", ["nowhere"], ["y"])], [value("x", T.FLOAT, [1])], [value("y", T.FLOAT, [1])]
            ),
            "nowhere",
        )

    def test_cycle(self):
        self.refuse(
            model_of(
                [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Neg", ["a"], ["b"])],
                [value("x", T.FLOAT, [1])],
                [value("b", T.FLOAT, [1])],
            )
        )

    def test_weight_shorter_than_its_dims(self):
        tensor = onnx.TensorProto(name="short_one", data_type=T.FLOAT, dims=[1000], raw_data=bytes(16))
        self.refuse(
            model_of(
                [helper.make_node("Add", ["x", "short_one"], ["y"])],
                [value("x", T.FLOAT, [1000])],
                [value("y", T.FLOAT, [1000])],
                [("short_one", tensor)],
            ),
            "short_one",
        )
