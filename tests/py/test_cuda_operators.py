"""Steps of their own on the GPU, in the emulator (tests/cuda_emu), against the CPU: odd shapes, offsets, batches, types."""

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper
from test_cuda import Emulated, anywhere

import slipway


@anywhere
class Operators(Emulated):
    """Steps of their own: all on the GPU, as on the CPU. `w` are weights of 8 channels."""

    def check(
        self,
        nodes,
        shape=(1, 8, 6, 5),
        bound=2e-2,
        steps=0,
        outputs=(("y", T.FLOAT),),
        precision=None,
        opset=20,
        **weights,
    ):
        """Input x, in so many different values, or any; outputs by name and type; constants by name."""
        x = np.random.default_rng(7).uniform(0.1, 1, shape).astype(np.float32)
        if steps:
            x = np.round(x * steps) / np.float32(steps)
        tensors = []
        for name, value in weights.items():
            value = np.asarray(value)
            kind = {"int64": T.INT64, "int32": T.INT32, "bool": T.BOOL}.get(value.dtype.name, T.FLOAT)
            tensors.append(helper.make_tensor(name, kind, value.shape, value.ravel()))
        port = lambda name, kind, dims=None: helper.make_tensor_value_info(name, kind, dims)  # noqa: E731
        graph = helper.make_graph(nodes, "g", [port("x", T.FLOAT, shape)], [port(*out) for out in outputs], tensors)
        path = self.folder / "m.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]), path)
        np.save(self.folder / "x.npy", x)
        found, plan = [], path
        if precision:
            plan = self.folder / "m.slip"
            words = ("--device", "cuda", "--precision", precision, "-O", "0", "--timing-cache", "none")
            slipway.run("build", path, "-o", plan, *words, env=self.env)
        for what, device in ((path, ("cpu",)), (plan, ("cuda", "--no-fallback"))):
            words = ("run", what, "-i", self.folder / "x.npy", "-o", self.folder / "out", "--device", *device)
            slipway.run(*words, env=self.env)
            found.append([np.load(self.folder / "out" / f"{name}.npy") for name, _ in outputs])
        for want, got in zip(*found):
            self.assertEqual((got.shape, got.dtype), (want.shape, want.dtype))
            difference = np.abs(got.astype(np.float64) - want)
            same = (got == want) | (np.isnan(got) & np.isnan(want))
            self.assertLessEqual(np.where(same, 0, difference).max(initial=0), bound)

    def test_functions(self):
        ops = "Gelu Exp Log Sqrt Reciprocal Sin Cos Tan Atan Tanh Erf Neg Abs Floor Ceil Round Sign Softplus Softsign Mish Elu"
        nodes = [helper.make_node("Sub", ["x", "half"], ["h"])]
        for op in ops.split():
            nodes.append(helper.make_node(op, ["x" if op in ("Log", "Sqrt", "Reciprocal") else "h"], [op]))
        self.check(nodes, (3, 7), 1e-5, outputs=[(op, T.FLOAT) for op in ops.split()], half=np.float32(0.5))
        self.check([helper.make_node("Gelu", ["x"], ["y"], approximate="tanh")], (3, 7), 1e-5)
        limits = {"low": np.float32(0.3), "high": np.float32(0.6)}
        self.check([helper.make_node("Clip", ["x", "low", "high"], ["y"])], (3, 7), 1e-6, **limits)
        self.check([helper.make_node("Clip", ["x", "", "high"], ["y"])], (3, 7), 1e-6, high=limits["high"])

    def test_norms_and_reductions(self):
        for axis in (0, 1, -1):
            self.check([helper.make_node("LogSoftmax", ["x"], ["y"], axis=axis)], (3, 40, 7), 1e-5)
        scale, bias = np.linspace(0.5, 2, 35, dtype=np.float32).reshape(5, 7), np.full((5, 7), 0.25, np.float32)
        node = helper.make_node("LayerNormalization", ["x", "s", "b"], ["y"], axis=-2)
        self.check([node], (3, 5, 7), 1e-4, s=scale, b=bias)
        self.check([helper.make_node("LayerNormalization", ["x", "s"], ["y"])], (3, 5, 7), 1e-4, s=scale[0])
        for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"):
            for axes, keep in (([1], 1), ([-1], 0), ([0, 1], 0), ([1, 2], 1)):
                with self.subTest(op=op, axes=axes):
                    self.check([helper.make_node(op, ["x", "a"], ["y"], keepdims=keep)], (3, 40, 7), 1e-4, a=np.int64(axes))

    def test_shuffled_channels(self):
        """Of maps between convolutions, with a join before and a split behind, and of rows."""
        eye = lambda n: np.random.default_rng(n).uniform(-0.3, 0.3, (n, n, 1, 1)).astype(np.float32)  # noqa: E731
        for groups, channels in ((2, 48), (3, 48), (2, 20), (5, 20)):
            shapes = {"split": [2, groups, channels // groups, 5, 7], "whole": [2, channels, 5, 7]}
            cuts = {"half": [channels // 2], "zero": [0], "end": [channels], "one": [1]}
            nodes = [
                helper.make_node("Conv", ["x", "w"], ["a"]),
                helper.make_node("Conv", ["a", "w"], ["b"]),
                helper.make_node("Concat", ["a", "b"], ["j"], axis=1),
                helper.make_node("Reshape", ["j", "split"], ["r"]),
                helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 1, 3, 4]),
                helper.make_node("Reshape", ["t", "whole"], ["s"]),
                helper.make_node("Slice", ["s", "zero", "half", "one"], ["p"]),
                helper.make_node("Slice", ["s", "half", "end", "one"], ["q"]),
                helper.make_node("Conv", ["q", "w"], ["v"]),
                helper.make_node("Mul", ["p", "v"], ["y"]),
            ]
            for precision in (None, "fp32"):
                with self.subTest(groups=groups, channels=channels, precision=precision):
                    weights = {name: np.int64(value) for name, value in (shapes | cuts).items()}
                    bound = 2e-2 if precision is None else 1e-5
                    self.check(nodes, (2, channels // 2, 5, 7), bound, precision=precision, w=eye(channels // 2), **weights)

    def test_rows_of_several_steps(self):
        """Few kernels for what heads do with maps of several levels: joins, cuts, turns, functions, arithmetic with
        broadcasts; results that others read, too."""
        draw = lambda *shape: np.random.default_rng(5).uniform(-0.4, 0.4, shape).astype(np.float32)  # noqa: E731
        node = lambda op, ins, out, **more: helper.make_node(op, ins.split(), out.split(), **more)  # noqa: E731
        ints = {"flat": [2, 24, -1], "points": [2, 4, 6, -1], "back": [2, 24, -1], "one": [1], "two": [2], "none": [0]}
        ints |= {"three": [3], "end": [999], "parts": [5, 19]}
        nodes = [
            node("Conv", "x w", "a"),
            node("MaxPool", "a", "b", kernel_shape=[2, 2], strides=[2, 2]),
            node("Reshape", "a flat", "ra"),
            node("Reshape", "b flat", "rb"),
            node("Concat", "ra rb", "j", axis=2),
            node("Split", "j parts", "p q", axis=1),
            node("Sigmoid", "p", "s"),
            node("Mul", "q row", "m"),
            node("Sub", "m half", "d"),
            node("Concat", "s d", "k", axis=1),
            node("Reshape", "k points", "g"),
            node("Slice", "g none end two two", "e"),  # every second
            node("Slice", "g one end two three", "f"),
            node("Slice", "f one three one", "h"),
            node("Div", "h two_and", "v"),
            node("Transpose", "v", "t", perm=[0, 3, 2, 1]),
            node("Exp", "g", "y0"),
            node("Neg", "e", "y1"),
            node("Add", "t t", "y2"),
            node("ReduceSum", "k one", "y3", keepdims=0),
            node("Slice", "g two end one three", "y4"),
        ]
        outputs = [(f"y{i}", T.FLOAT) for i in range(5)]
        weights = {"w": draw(24, 8, 1, 1), "row": draw(1, 6 * 8 + 3 * 4), "half": np.float32(0.5), "two_and": draw(2, 1) + 2}
        weights |= {name: np.int64(value) for name, value in ints.items()}
        for precision, bound in ((None, 1e-2), ("fp32", 1e-5)):
            self.check(nodes, (2, 8, 6, 8), bound, outputs=outputs, precision=precision, **weights)
        found = slipway.run("inspect", self.folder / "m.onnx", "--device", "cuda", "--layers", env=self.env).stdout
        self.assertRegex(found, "Concat +expression")

    def test_squeeze_and_excite(self):
        """In one kernel with both convolutions, or with the second; and where somebody else reads the gate."""
        draw = lambda *shape: np.random.default_rng(4).uniform(-0.4, 0.4, shape).astype(np.float32)  # noqa: E731
        cases = ((24, 6, "Sigmoid", 0), (256, 248, "HardSigmoid", 0), (8, 8, "Sigmoid", 1))
        for channels, hidden, gate, also in cases:
            nodes = [
                helper.make_node("Conv", ["x", "w"], ["m"]),
                helper.make_node("GlobalAveragePool", ["m"], ["g"]),
                helper.make_node("Conv", ["g", "w1", "b1"], ["h"]),
                helper.make_node("Relu", ["h"], ["r"]),
                helper.make_node("Conv", ["r", "w2"], ["t"]),
                helper.make_node(gate, ["t"], ["s"]),
                helper.make_node("Mul", ["s", "m"] if also else ["m", "s"], ["y"]),
            ]
            weights = {"w": draw(channels, 8, 1, 1), "w1": draw(hidden, channels, 1, 1), "b1": draw(hidden)}
            weights["w2"] = draw(channels, hidden, 1, 1)
            outputs = [("y", T.FLOAT), ("s", T.FLOAT)][: 1 + also]
            with self.subTest(channels=channels):
                self.check(nodes, (2 if hidden < 9 else 1, 8, 33, 32), 1e-2, outputs=outputs, **weights)

    def test_products_of_few_rows(self):
        rng = np.random.default_rng(3)
        weights = {"w": rng.uniform(-1, 1, (36, 21)).astype(np.float32), "b": rng.uniform(-1, 1, 21).astype(np.float32)}
        for batch, turned in ((1, 0), (5, 1), (17, 1)):  # the last has another kernel
            with self.subTest(batch=batch):
                nodes = [
                    helper.make_node("GlobalAveragePool", ["x"], ["m"]),
                    helper.make_node("Flatten", ["m"], ["f"]),
                    helper.make_node("Gemm", ["f", "w", "b"], ["h"], transB=turned, alpha=0.5),
                    helper.make_node("HardSwish", ["h"], ["s"]),
                    helper.make_node("Gemm", ["s", "v"], ["y"]),
                ]
                weights |= {"w": weights["w"].reshape((21, 36) if turned else (36, 21)), "v": np.eye(21, dtype=np.float32)}
                self.check(nodes, (batch, 36, 5, 7), 1e-3, **weights)
        clip = [helper.make_node("Gemm", ["x", "w"], ["h"]), helper.make_node("Clip", ["h", "low"], ["y"])]
        self.check(clip, (2, 36), 1e-4, w=weights["w"].reshape(36, 21), low=np.float32(0.5))
        both = [helper.make_node("Gemm", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
        self.check(both, (2, 36), 1e-4, outputs=[("h", T.FLOAT), ("y", T.FLOAT)], w=weights["w"].reshape(36, 21))

    def test_rows_of_halves(self):
        """A block of a transformer over 37 tokens: shifted windows, masks, heads of 8, products of any columns."""
        rng = np.random.default_rng(3)
        draw = lambda *shape: rng.uniform(-0.3, 0.3, shape).astype(np.float32)  # noqa: E731
        node = helper.make_node
        nodes = [
            node("LayerNormalization", ["x", "scale", "bias"], ["n"], axis=-1),
            node("Slice", ["n", "five", "end", "one"], ["back"]),
            node("Slice", ["n", "zero", "five", "one"], ["front"]),
            node("Concat", ["back", "front"], ["rolled"], axis=1),
            node("MatMul", ["rolled", "w_qkv"], ["qkv0"]),
            node("Add", ["qkv0", "b_qkv"], ["qkv"]),
            node("Reshape", ["qkv", "heads"], ["split"]),
            node("Transpose", ["split"], ["turned"], perm=[2, 0, 3, 1, 4]),
            *(node("Gather", ["turned", f"part{i}"], [name], axis=0) for i, name in enumerate("qkv")),
            node("Transpose", ["k"], ["k_t"], perm=[0, 1, 3, 2]),
            node("Mul", ["q", "root"], ["q_scaled"]),
            node("MatMul", ["q_scaled", "k_t"], ["s0"]),
            node("Add", ["s0", "mask"], ["s1"]),
            node("Softmax", ["s1"], ["s2"], axis=-1),
            node("MatMul", ["s2", "v"], ["heads_out"]),
            node("Transpose", ["heads_out"], ["side_by_side"], perm=[0, 2, 1, 3]),
            node("Reshape", ["side_by_side", "flat"], ["att"]),
            node("MatMul", ["att", "w_out"], ["out"]),
            node("Add", ["out", "b_out"], ["out_b"]),
            node("Add", ["out_b", "x"], ["sum"]),
            node("LayerNormalization", ["sum", "scale"], ["n2"], axis=-1),
            node("MatMul", ["n2", "w_up"], ["up0"]),
            node("Add", ["up0", "b_up"], ["up1"]),
            node("Gelu", ["up1"], ["up"]),
            node("MatMul", ["up", "w_down"], ["down"]),
            node("Add", ["sum", "down"], ["y"]),
            node("MatMul", ["n2", "w_odd"], ["odd"]),
        ]
        weights = {
            **{"scale": draw(24) + 1, "bias": draw(24), "w_qkv": draw(24, 72), "b_qkv": draw(72), "mask": draw(3, 37, 37) * 9},
            **{"w_out": draw(24, 24), "b_out": draw(24), "w_up": draw(24, 44), "b_up": draw(44), "w_down": draw(44, 24)},
            **{"w_odd": draw(24, 5), "root": np.float32(8**-0.5)},
            **{"heads": np.array([2, 37, 3, 3, 8]), "flat": np.array([2, 37, 24])},
            **{"zero": np.array([0]), "one": np.array([1]), "five": np.array([5]), "end": np.array([37])},
            **{f"part{i}": np.array(i) for i in range(3)},
        }
        outputs = (("y", T.FLOAT), ("odd", T.FLOAT))
        for precision in ("fp16", "bf16", "fp32"):
            with self.subTest(precision):
                bound = {"fp16": 5e-3, "bf16": 4e-2, "fp32": 1e-4}[precision]
                self.check(nodes, (2, 37, 24), bound, outputs=outputs, precision=precision, **weights)

    def test_halves_of_inputs_and_constants(self):
        """Inputs go straight to tensor cores; so do queries, keys and values that are constant."""
        rng = np.random.default_rng(6)
        draw = lambda *shape: rng.uniform(-1, 1, shape).astype(np.float32)  # noqa: E731
        shape, w, few, many = (1, 2, 16, 8), draw(8, 24), draw(1, 2, 5, 8), draw(1, 2, 16, 8)
        by_shape = [  # a constant that only the shape gives
            helper.make_node("Shape", ["x"], ["s"]),
            helper.make_node("ConstantOfShape", ["s"], ["ones"], value=helper.make_tensor("v", T.FLOAT, [1], [0.5])),
            helper.make_node("Attention", ["x", "ones", "x"], ["y"]),
        ]
        for precision in ("fp16", "bf16", "fp32"):
            bound = {"fp16": 5e-3, "bf16": 4e-2, "fp32": 1e-4}[precision]
            options = {"bound": bound, "precision": precision, "opset": 23}
            with self.subTest(precision):
                self.check([helper.make_node("MatMul", ["x", "w"], ["y"])], (2, 37, 8), **options, w=w)
                self.check([helper.make_node("Attention", ["x", "x", "x"], ["y"])], shape, **options)
                self.check([helper.make_node("Attention", ["x", "k", "k"], ["y"])], shape, **options, k=few)
                self.check([helper.make_node("Attention", ["q", "x", "v"], ["y"])], shape, **options, q=few, v=many)
                self.check(by_shape, shape, **options)

    def test_patches(self):
        """Patches of a picture as tokens and back as a map; a sum behind reshapes; a large depthwise window."""
        rng = np.random.default_rng(4)
        draw = lambda *shape: rng.uniform(-0.2, 0.2, shape).astype(np.float32)  # noqa: E731
        node = helper.make_node
        nodes = [
            node("Conv", ["x", "w", "b"], ["map"], kernel_shape=[8, 9], strides=[8, 9]),
            node("Reshape", ["map", "flat"], ["columns"]),
            node("Transpose", ["columns"], ["tokens"], perm=[0, 2, 1]),
            node("Reshape", ["tokens", "rows"], ["all"]),
            node("Gemm", ["all", "w2", "b"], ["product"]),
            node("Reshape", ["product", "apart"], ["apart0"]),
            node("Reshape", ["apart0", "back"], ["apart1"]),
            node("Add", ["apart1", "tokens"], ["sum"]),
            node("LayerNormalization", ["sum", "scale"], ["normed"], axis=-1),
            node("Reshape", ["normed", "pixels"], ["pixels0"]),
            node("Transpose", ["pixels0"], ["map2"], perm=[0, 3, 1, 2]),
            node("Conv", ["map2", "w7"], ["wide"], kernel_shape=[7, 7], pads=[3, 3, 3, 3], group=16),
            node("Add", ["wide", "map2"], ["y"]),
        ]
        weights = {"w": draw(16, 3, 8, 9), "b": draw(16), "w2": draw(16, 16), "scale": draw(16) + 1, "w7": draw(16, 1, 7, 7)}
        shapes = {"flat": [2, 16, -1], "rows": [-1, 16], "apart": [2, 5, 3, 16], "back": [2, 15, 16], "pixels": [2, 5, 3, 16]}
        weights |= {name: np.array(shape) for name, shape in shapes.items()}
        for precision in ("fp16", "bf16"):
            self.check(nodes, (2, 3, 40, 27), 1e-2 if precision == "fp16" else 8e-2, precision=precision, **weights)

    def test_shifted_windows(self):
        """Rows and columns rolled, cut into windows, put back; neighbours side by side: each one gather."""
        node, nodes = helper.make_node, []

        def roll(name, axis, by):
            for part, first, last in (("end", by, "end"), ("begin", "zero", by)):
                nodes.append(node("Slice", [name, first, last, axis], [f"{name}_{axis}_{part}"]))
            parts = [f"{name}_{axis}_end", f"{name}_{axis}_begin"]
            nodes.append(node("Concat", parts, [f"{name}_{axis}"], axis=1 if axis == "down" else 2))
            return f"{name}_{axis}"

        nodes.append(node("LayerNormalization", ["x", "scale"], ["n"], axis=-1))
        rolled = roll(roll("n", "down", "three"), "across", "three")
        nodes.append(node("Reshape", [rolled, "cut"], ["r0"]))
        nodes.append(node("Transpose", ["r0"], ["r1"], perm=[0, 1, 3, 2, 4, 5]))
        nodes.append(node("Reshape", ["r1", "windows"], ["r2"]))
        nodes.append(node("MatMul", ["r2", "w"], ["m"]))
        nodes.append(node("Reshape", ["m", "back"], ["b0"]))
        nodes.append(node("Transpose", ["b0"], ["b1"], perm=[0, 1, 3, 2, 4, 5]))
        nodes.append(node("Reshape", ["b1", "map"], ["b2"]))
        again = roll(roll("b2", "down", "five"), "across", "five")
        nodes.append(node("Add", [again, "x"], ["sum"]))
        for i, (y, x) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
            nodes.append(node("Slice", ["sum", f"from{y}", "far", "down", "two"], [f"half{i}"]))
            nodes.append(node("Slice", [f"half{i}", f"from{x}", "far", "across", "two"], [f"quarter{i}"]))
        nodes.append(node("Concat", [f"quarter{i}" for i in range(4)], ["merged"], axis=-1))
        nodes.append(node("MatMul", ["merged", "w4"], ["y"]))
        draw = lambda *shape: np.random.default_rng(5).uniform(-0.3, 0.3, shape).astype(np.float32)  # noqa: E731
        weights = {"scale": draw(16) + 1, "w": draw(16, 16), "w4": draw(64, 24)}
        numbers = {"three": 3, "five": 5, "zero": 0, "end": 8, "down": 1, "across": 2}
        numbers |= {"from0": 0, "from1": 1, "far": 99, "two": 2}
        shapes = {"cut": [2, 2, 4, 2, 4, 16], "windows": [8, 16, 16], "back": [2, 2, 2, 4, 4, 16], "map": [2, 8, 8, 16]}
        weights |= {name: np.array([value]) for name, value in numbers.items()}
        weights |= {name: np.array(shape) for name, shape in shapes.items()}
        self.check(nodes, (2, 8, 8, 16), 1e-2, precision="fp16", **weights)
        passes = slipway.run("inspect", self.folder / "m.slip", "--layers", env=self.env).stdout
        self.assertEqual((passes.count(" Gather "), passes.count(" Concat ")), (3, 0))

    def test_topk(self):
        cases = [((3, 40, 7), 1, 5, 1), ((2, 1300), -1, 1300, 0), ((5,), 0, 1, 1), ((300, 4), 0, 9, 0)]
        cases += [((1300, 2), 0, 7, 1), ((33000,), 0, 300, 0), ((513,), 0, 513, 1)]  # in one block
        for shape, axis, k, largest in cases:
            with self.subTest(shape=shape):
                node = helper.make_node("TopK", ["x", "k"], ["y", "at"], axis=axis, largest=largest)
                outputs = [("y", T.FLOAT), ("at", T.INT64)]
                self.check([node], shape, 0, 11, outputs=outputs, k=np.int64([k]))  # 11 steps: many are equal
        for op, options in (("ArgMax", {"axis": 1}), ("ArgMin", {"axis": -1, "keepdims": 0, "select_last_index": 1})):
            self.check([helper.make_node(op, ["x"], ["y"], **options)], (3, 40, 7), 0, 5, outputs=[("y", T.INT64)])

    def test_topk_of_what_is_no_number(self):
        root = helper.make_node("Log", ["minus"], ["n"])
        minus = helper.make_node("Sub", ["x", "half"], ["minus"])
        for largest in (0, 1):
            node = helper.make_node("TopK", ["n", "k"], ["y", "at"], axis=0, largest=largest)
            outputs = [("y", T.FLOAT), ("at", T.INT64)]
            self.check([minus, root, node], (50,), 1e-5, outputs=outputs, half=np.float32(0.5), k=np.int64([50]))
            self.check([minus, root, node], (900,), 1e-5, outputs=outputs, half=np.float32(0.5), k=np.int64([500]))

    def test_places_that_the_data_gives(self):
        """The places of the largest of rows as such, counted from the end, and as rows of another array."""
        topk = helper.make_node("TopK", ["x", "k"], ["best", "at"], axis=1)
        less = helper.make_node("Sub", ["at", "n"], ["below"])
        table = np.random.default_rng(1).uniform(-1, 1, (40, 3)).astype(np.float32)
        for op, inputs in (
            ("GatherElements", ["x", "at"]),
            ("GatherElements", ["x", "below"]),
            ("GatherElements", ["whole", "below"]),
            ("Gather", ["t", "at"]),
            ("Gather", ["t", "below"]),
            ("Gather", ["whole_t", "at"]),
        ):
            with self.subTest(op=op, inputs=inputs):
                axis = {"axis": 1} if op == "GatherElements" else {}
                nodes = [topk, less, helper.make_node(op, inputs, ["p"], **axis)]
                nodes.append(helper.make_node("Cast", ["p"], ["y"], to=T.FLOAT))
                if inputs[0] == "whole":
                    nodes.insert(0, helper.make_node("Cast", ["x20"], ["whole"], to=T.INT64))
                    nodes.insert(0, helper.make_node("Mul", ["x", "twenty"], ["x20"]))
                weights = {"k": np.int64([5]), "n": np.int64(40), "t": table, "twenty": np.float32(20)}
                weights["whole_t"] = np.arange(80).reshape(40, 2)
                self.check(nodes, (3, 40), 0, **weights)
        at = np.arange(100) * 7 % 40  # more places than copies are made of
        self.check([helper.make_node("Gather", ["x", "at"], ["y"], axis=1)], (3, 40, 2), 0, at=at)

    def test_integers_and_bools(self):
        """x to whole numbers from -8 to 10; all results as they are."""
        nodes = [
            helper.make_node("Mul", ["x", "twenty"], ["a"]),
            helper.make_node("Sub", ["a", "ten"], ["f"]),
            helper.make_node("Cast", ["f"], ["i"], to=T.INT64),
            helper.make_node("Cast", ["f"], ["b"], to=T.BOOL),
            helper.make_node("Cast", ["i"], ["c"], to=T.BOOL),
            helper.make_node("Cast", ["b"], ["bool_to_float"], to=T.FLOAT),
            helper.make_node("Cast", ["b"], ["bool_to_whole"], to=T.INT64),
        ]
        outputs = [("bool_to_float", T.FLOAT), ("bool_to_whole", T.INT64), ("i", T.INT64), ("b", T.BOOL)]

        def add(op, inputs, kind, **options):
            name = f"o{len(nodes)}"
            nodes.append(helper.make_node(op, inputs, [name], **options))
            outputs.append((name, kind))

        for op in ("Add", "Sub", "Mul", "Div", "Min", "Max", "Mod"):
            add(op, ["i", "w"], T.INT64)
            add(op, ["w", "i"], T.INT64)
            add(op, ["f", "r"], T.FLOAT, **({"fmod": 1} if op == "Mod" else {}))
        add("Mod", ["i", "w"], T.INT64, fmod=1)
        add("Pow", ["x", "r"], T.FLOAT)
        add("PRelu", ["f", "r"], T.FLOAT)
        for op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
            add(op, ["i", "w"], T.BOOL)
            add(op, ["f", "r"], T.BOOL)
        for op in ("And", "Or", "Xor"):
            add(op, ["b", "t"], T.BOOL)
        add("Not", ["c"], T.BOOL)
        add("IsNaN", ["f"], T.BOOL)
        for pair, kind in ((("i", "w"), T.INT64), (("f", "r"), T.FLOAT), (("b", "t"), T.BOOL)):
            add("Where", ["t", *pair], kind)
        for name, kind in (("int32", T.INT32), ("uint8", T.UINT8), ("half", T.FLOAT16)):
            for source in "fib":
                add("Cast", [source], kind, to=kind)
                add("Cast", [outputs[-1][0]], T.FLOAT, to=T.FLOAT)
            add("Cast", ["far"], kind, to=kind)
        add("Cast", ["f"], T.INT32, to=T.INT32)
        add("Mod", [outputs[-1][0], "w32"], T.INT32)
        add("Concat", [outputs[-1][0], outputs[-2][0]], T.INT32, axis=0)
        add("Gather", ["x", "at32"], T.FLOAT, axis=1)
        weights = {"twenty": np.float32(20), "ten": np.float32(9.5), "w": np.int64([-3, 0, 7, 2, -1])}
        weights |= {"far": np.float32([300, -300, 7e4, 1e12, -2147483648]), "w32": np.int32([3, -4, 0, 7, 1])}
        weights["at32"] = np.int32([2, -1, 0])
        weights["r"] = np.float32([-3, 0.5, 7, 2, -1])
        weights["t"] = np.array([[True], [False], [True]])
        self.check(nodes, (2, 3, 5), 1e-4, outputs=outputs, **weights)

    def test_moves_of_all_types(self):
        nodes, outputs = [], []
        for name, kind in (("f", T.FLOAT), ("i", T.INT64), ("b", T.BOOL)):
            nodes.append(helper.make_node("Cast", ["x"], [name], to=kind))
            for op, inputs, options in (
                ("Transpose", [name], {"perm": [2, 0, 1]}),
                ("Slice", [name, "from", "to", "axes"], {}),
                ("Concat", [name, name], {"axis": 1}),
                ("Expand", [name, "wide"], {}),
                ("Tile", [name, "often"], {}),
                ("Gather", [name, "last"], {"axis": 1}),
                ("Unsqueeze", [name, "last"], {}),
            ):
                outputs.append((f"{name}_{op}", kind))
                nodes.append(helper.make_node(op, inputs, [f"{name}_{op}"], **options))
            outputs += [(f"{name}_low", kind), (f"{name}_high", kind)]
            nodes.append(helper.make_node("Split", [name, "parts"], [f"{name}_low", f"{name}_high"], axis=2))
        ints = {"from": [1], "to": [3], "axes": [1], "wide": [4, 1, 3, 5], "often": [2, 1, 3], "last": [-1], "parts": [2, 3]}

        self.check(nodes, (1, 3, 5), 0, 1, outputs, **{name: np.int64(value) for name, value in ints.items()})

    def test_resizes(self):
        coords = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]
        for shape, sizes in (((2, 3, 5, 7), [2, 3, 11, 9]), ((1, 2, 6, 1), [1, 2, 1, 4]), ((3, 2, 5), [3, 2, 12])):
            nodes, outputs = [], []
            for mode in ("linear", "nearest"):
                for i, how in enumerate(coords):
                    rounding = ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil", "floor"][i]
                    options = {"coordinate_transformation_mode": how, "nearest_mode": rounding, "mode": mode}
                    nodes.append(helper.make_node("Resize", ["x", "", "", "sizes"], [f"{mode}_{how}"], **options))
                    outputs.append((f"{mode}_{how}", T.FLOAT))
            with self.subTest(shape=shape):
                self.check(nodes, shape, 1e-5, outputs=outputs, sizes=np.int64(sizes))

    def test_grid_sample(self):
        nodes, outputs = [], []
        for mode in ("linear", "nearest"):
            for padding in ("zeros", "border", "reflection"):
                for corners in (0, 1):
                    options = {"mode": mode, "padding_mode": padding, "align_corners": corners}
                    name = f"{mode}_{padding}_{corners}"
                    grid = "near" if padding == "reflection" else "grid"
                    nodes.append(helper.make_node("GridSample", ["x", grid], [name], **options))
                    outputs.append((name, T.FLOAT))
        grid = np.random.default_rng(2).uniform(-1.7, 1.7, (2, 3, 5, 2)).astype(np.float32)
        near = grid.copy()
        near[0, 0, 0], grid[0, 0, 0] = [-9.3, 7.1], [np.nan, 1e30]
        self.check(nodes, (2, 3, 4, 7), 1e-5, outputs=outputs, grid=grid, near=near)

    def test_lstm(self):
        noise = np.random.default_rng(3)
        draw = lambda *shape: noise.uniform(-0.5, 0.5, shape).astype(np.float32)  # noqa: E731
        outputs = [(name, T.FLOAT) for name in ("y", "h", "c")]
        for direction, n, layout, state in (("bidirectional", 2, 0, True), ("forward", 1, 1, False), ("reverse", 1, 0, False)):
            weights = {"w": draw(n, 36, 5), "r": draw(n, 36, 9)}
            inputs = ["x", "w", "r"]
            if state:
                weights |= {"b": draw(n, 72), "h0": draw(n, 3, 9), "c0": draw(n, 3, 9)}
                inputs += ["b", "", "h0", "c0"]
            options = {"direction": direction, "layout": layout, "hidden_size": 9}
            with self.subTest(direction=direction):
                node = helper.make_node("LSTM", inputs, ["y", "h", "c"], **options)
                self.check([node], (4, 3, 5), 1e-5, outputs=outputs, **weights)
        for n, steps, depth in ((9, 4, 5), (64, 26, 37), (66, 3, 5)):  # more than a block computes at once; another kernel
            node = helper.make_node("LSTM", ["x", "w", "r"], ["", "h"], hidden_size=n)
            self.check([node], (steps, 2, depth), 1e-5, outputs=outputs[1:2], w=draw(1, 4 * n, depth), r=draw(1, 4 * n, n) / 4)

    def test_empty_batches(self):
        w, v = np.ones((16, 8, 3, 3), np.float32), np.ones((16, 10), np.float32)
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
            helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[5, 5], pads=[2, 2, 2, 2]),
            helper.make_node("GlobalAveragePool", ["b"], ["c"]),
            helper.make_node("Flatten", ["c"], ["d"]),
            helper.make_node("MatMul", ["d", "v"], ["y"]),
        ]
        self.check(nodes, (0, 8, 6, 5), w=w, v=v)

    def test_lstm_with_computed_weights(self):
        """Its kernel reads weights before the kernels before it have ended."""
        draw = lambda *shape: np.random.default_rng(4).uniform(-0.5, 0.5, shape).astype(np.float32)  # noqa: E731
        nodes = [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("Mul", ["r", "most"], ["computed"]),
            helper.make_node("LSTM", ["x", "w", "computed"], ["y"], hidden_size=9),
        ]
        with self.assertRaisesRegex(AssertionError, "its weights are computed"):
            self.check(nodes, (4, 3, 5), w=draw(1, 36, 5), r=draw(1, 36, 9))

    def test_a_place_outside_is_told(self):
        node = helper.make_node("Gather", ["x", "at"], ["y"], name="the pick")
        with self.assertRaisesRegex(AssertionError, "the pick"):
            self.check([node], (3, 4), at=np.int64([3]))

    def test_gather(self):
        for axis, at in ((1, 2), (0, [2, 0]), (-1, [[1, -1], [3, 3]])):
            with self.subTest(axis=axis):
                self.check([helper.make_node("Gather", ["x", "at"], ["y"], axis=axis)], (3, 4, 5), 1e-6, at=np.int64(at))

    def test_pads(self):
        pads, value = np.int64([1, 0, 2, 0, 3, -1]), np.float32(0.25)
        self.check([helper.make_node("Pad", ["x", "p", "v"], ["y"])], (2, 3, 4), 1e-6, p=pads, v=value)
        node = helper.make_node("Pad", ["x", "p", "", "axes"], ["y"])
        self.check([node], (2, 3, 4), 1e-6, p=np.int64([2, 1]), axes=np.int64([-1]))

    def test_maps(self):
        conv = helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[1, 1])
        w = {"w": np.eye(8, dtype=np.float32).reshape(8, 8, 1, 1)}
        pool = lambda **options: [conv, helper.make_node("AveragePool", ["a"], ["y"], **options)]  # noqa: E731
        self.check(pool(kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]), **w)
        self.check(pool(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], count_include_pad=1, ceil_mode=1), **w)
        odd = {f"w{n}": np.eye(n, 8, dtype=np.float32).reshape(n, 8, 1, 1) for n in (4, 1, 5)}
        parts = [helper.make_node("Conv", ["x", f"w{n}"], [f"c{n}"], kernel_shape=[1, 1]) for n in (4, 1, 5)]
        third = helper.make_node("MaxPool", ["j"], ["y"], kernel_shape=[2, 2])
        self.check([*parts, helper.make_node("Concat", ["c4", "c1", "c5"], ["j"], axis=1), third], (2, 8, 6, 5), **odd)
        self.check([conv, *parts, helper.make_node("Concat", ["c1", "c5", "a", "c4"], ["j"], axis=1), third], **odd, **w)
        cut = helper.make_node("Split", ["a", "at"], ["s0", "s1", "s2"], axis=1)
        ends = [helper.make_node("MaxPool", [f"s{i}"], [f"p{i}"], kernel_shape=[2, 2]) for i in range(3)]
        three = [(f"p{i}", T.FLOAT) for i in range(3)]
        self.check([conv, cut, *ends], (2, 8, 6, 5), outputs=three, at=np.int64([3, 1, 4]), **w)
        ones = helper.make_node("GlobalAveragePool", ["a"], ["b"])
        for order in (["a", "b"], ["b", "a"]):
            self.check([conv, ones, helper.make_node("Mul", order, ["y"])], **w)
        norm = {name: np.linspace(0.5, 1.5, 8, dtype=np.float32) for name in "gbmv"}
        max_pool = helper.make_node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2])
        self.check([conv, max_pool, helper.make_node("BatchNormalization", ["p", *"gbmv"], ["y"])], **w, **norm)
        up = np.linspace(-0.5, 0.5, 8 * 8 * 4, dtype=np.float32).reshape(8, 8, 2, 2)
        turned = helper.make_node("ConvTranspose", ["a", "u"], ["y"], kernel_shape=[2, 2], strides=[2, 2])
        self.check([conv, turned], u=up, **w)


    def planes(self, nodes, shape, precision="fp32", bound=1e-5, **weights):
        noise = np.random.default_rng(9)
        weights = {name: noise.uniform(-0.3, 0.3, dims).astype(np.float32) for name, dims in weights.items()}
        self.check(nodes, shape, bound, precision=precision, **weights)

    def test_planes_of_float32(self):
        """Several tiles of channels and pixels, rests of each, borders; all that ends a convolution."""
        conv = lambda out="y", **options: helper.make_node("Conv", ["x", "w", "b"], [out], **options)  # noqa: E731
        same = {"pads": [1, 1, 1, 1]}
        act = lambda op, **options: [conv("c", **same), helper.make_node(op, ["c"], ["y"], **options)]  # noqa: E731
        silu = [conv("c", **same), helper.make_node("Sigmoid", ["c"], ["s"]), helper.make_node("Mul", ["c", "s"], ["y"])]
        add = helper.make_node("Add", ["c", "x"], ["d"])
        for nodes, shape, w in (
            ([conv(**same)], (2, 7, 11, 13), (70, 7, 3, 3)),
            ([conv(strides=[2, 1], dilations=[1, 2], pads=[0, 3, 1, 0])], (3, 5, 10, 17), (3, 5, 3, 2)),
            ([conv(group=3, **same)], (2, 6, 5, 9), (9, 2, 3, 3)),
            ([conv(group=8, strides=[2, 2])], (1, 8, 11, 6), (8, 1, 5, 5)),
            (act("LeakyRelu", alpha=0.2), (1, 4, 6, 6), (8, 4, 3, 3)),
            (silu, (1, 4, 6, 6), (8, 4, 3, 3)),
            ([conv("c", **same), add, helper.make_node("Relu", ["d"], ["y"])], (2, 4, 6, 6), (4, 4, 3, 3)),
            ([conv("c", **same), helper.make_node("Relu", ["c"], ["r"]), helper.make_node("Add", ["r", "x"], ["y"])],
             (2, 4, 6, 6), (4, 4, 3, 3)),
        ):
            for precision, bound in (("fp32", 1e-5), ("tf32", 5e-3)):
                with self.subTest(shape=shape, w=w, precision=precision):
                    self.planes(nodes, shape, precision, bound, w=w, b=(w[0],))

    def test_pools_of_float32(self):
        pool = lambda op, **options: [helper.make_node(op, ["x"], ["y"], **options)]  # noqa: E731
        self.planes(pool("MaxPool", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]), (2, 3, 9, 8))
        self.planes(pool("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1), (1, 5, 7, 6))
        self.planes(pool("AveragePool", kernel_shape=[2, 3], pads=[1, 1, 0, 0], count_include_pad=1), (1, 5, 7, 6))
        self.planes(pool("GlobalAveragePool"), (2, 5, 7, 6))
        for pads in ([0, 0, 0, 0], [1, 1, 1, 1]):
            up = helper.make_node("ConvTranspose", ["x", "w"], ["y"], kernel_shape=[4, 4], strides=[2, 2], pads=pads)
            self.planes([up], (2, 5, 4, 3), w=(5, 3, 4, 4))
