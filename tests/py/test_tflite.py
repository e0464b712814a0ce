"""TensorFlow Lite files, in and out.

Networks of tests/zoo are exported and read back; LiteRT runs them, too, where it is installed (a wheel that unpacks to 60 MB
and that tests/py/requirements.txt does not ask for)."""

import importlib.util
import json
import pathlib
import tempfile
import unittest
import zipfile

import numpy as np
import onnx

import reference
import slipway
import test_export_ops
import zoo

HAVE_LITERT = importlib.util.find_spec("ai_edge_litert") is not None
FP16_TOLERANCE = 1e-2  # of the scale of a row group
HALF = ("mobilenet_v3_small_64", "yolo11n_96", "shufflenet_v2_x0_5_64")
LARGE = ("convnext_tiny_64", "resnet50_64", "vit_b_16_64")  # 100 MB and more: where they are looked at for good


def last(array):
    """Maps are channels-last in these files."""
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)) if array.ndim == 4 else array


def first(array):
    return array.transpose(0, 3, 1, 2) if array.ndim == 4 else array


def run_litert(path, inputs):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(str(path), num_threads=2).get_signature_runner()(**inputs)


def in_pixels(array, path, size):
    """Boxes of YOLO models are fractions of the sides in these files: as Ultralytics reads them back."""
    if not zipfile.is_zipfile(path):
        return array
    with zipfile.ZipFile(path) as archive:
        metadata = json.loads(archive.read("metadata.json"))
    if array.ndim != 3 or metadata.get("coordinates") != "normalized" or metadata.get("head") == "RTDETRDecoder":
        return array
    array = array.copy()
    rows = array if metadata.get("end2end") else array.transpose(0, 2, 1)  # boxes along the first
    rows[:, :, :4] *= np.array([size[1], size[0]] * 2, np.float32)
    if "kpt_shape" in metadata:
        points, step = metadata["kpt_shape"]
        for axis in range(2):
            rows[:, :, rows.shape[2] - points * step + axis :: step] *= size[1 - axis]
    return array


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)


class Zoo(Case):
    def close(self, name, out, got, want, tolerance, size):
        for index, (output, array) in enumerate(want.items()):
            found = first(np.asarray(got[output], array.dtype))
            found = in_pixels(found, out, size) if index == 0 else found
            self.assertEqual(found.shape, array.shape)
            kept = zoo.load_golden(name)[output]
            pair = zoo.chosen(found, kept), zoo.chosen(array, kept)
            self.assertLess(zoo.worst_error(*pair, *zoo.cut_of(name, array)), tolerance, f"{name}: {output}")

    def check(self, name):
        if name in LARGE and not HAVE_LITERT:
            self.skipTest("large: checked where ai-edge-litert is installed")
        path = self.folder / f"{name}.onnx"
        onnx.save(zoo.fill(onnx.load(zoo.models()[name])), path)
        inputs = zoo.inputs_of(onnx.load(path))
        want, fed = reference.run_onnx(path, inputs), {port: last(array) for port, array in inputs.items()}
        size = next(iter(inputs.values())).shape[2:]
        for tolerance, options in ((zoo.TOLERANCE, []), (FP16_TOLERANCE, ["--half"]))[: 1 + (name in HALF)]:
            out = self.folder / "out.tflite"
            slipway.export( path, "--to", "tflite", "-o", out, "--force", *options)
            back = slipway.run_model(out, fed, self.folder)
            self.close(name, out, {o: back[slipway.file_name(o)] for o in want}, want, tolerance, size)
            if HAVE_LITERT:
                self.close(name, out, run_litert(out, fed), want, tolerance, size)


for model_name in zoo.models():
    setattr(Zoo, f"test_{model_name}", lambda self, name=model_name: self.check(name))


def add_recurrent(b):
    """Cells, which become steps: both directions, states given and not."""
    sequence = b.add("Reshape", test_export_ops.ints(8, 2, 60))
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        more = {"linear_before_reset": 1} if op == "GRU" else {}
        outputs = 3 if op == "LSTM" else 2
        for direction in ("forward", "reverse", "bidirectional"):
            n = 1 + (direction == "bidirectional")
            weights = [0.2 * b.floats(n, gates * 5, 60), 0.2 * b.floats(n, gates * 5, 5), b.floats(n, 2 * gates * 5)]
            states = [] if direction == "reverse" else [None] + [b.floats(n, 2, 5)] * (outputs - 1)
            more |= {"direction": direction, "hidden_size": 5}
            b.add(op, *weights, *states, x=sequence, tag=direction, outputs=outputs, **more)


def add_samples(b):
    grid = b.random.uniform(-1.5, 1.5, (2, 7, 5, 2)).astype(np.float32)
    grid[0, 0, :4] = [[-1, -1], [1, 1], [-1, 1], [9, -9]]
    for mode in ("linear", "nearest"):
        for padding in ("zeros", "border"):
            for corners in (0, 1):
                b.add("GridSample", grid, mode=mode, padding_mode=padding, align_corners=corners, tag=f"{mode}{padding}")


def add_activated(b):
    """What runs into an activation: some operators take it over."""
    for op, constants in (("Concat", [b.floats(2, 6, 8, 10)]), ("Add", [b.floats(6, 1, 1)]), ("Div", [b.floats(1) + 5])):
        made = b.add(op, *constants, **({"axis": 1} if op == "Concat" else {}))
        b.outputs.pop()
        b.add("Relu", x=made)
    for low, high in ((0, 6), (-1, 1), (-2, 3), (0, 3)):
        made = b.add("Conv", b.floats(4, 6, 1, 1))
        b.outputs.pop()
        b.add("Clip", np.float32(low), np.float32(high), x=made)


def is_refused(node):
    """Of the operators of test_export_ops, those that docs/export.md says are not written."""
    lacking = "Gemm ScatterND ScatterElements NonZero Tan Atan Sinh Cosh Asinh Erf QuantizeLinear".split()
    cubic = any(a.s == b"cubic" for a in node.attribute)
    grouped = node.op_type == "ConvTranspose"
    cut = node.op_type == "Mod" and node.attribute  # with the sign of the dividend
    return node.op_type in lacking or cubic or grouped or bool(cut)


def add_formulas(b):
    for op, attributes in (("Celu", {"alpha": 0.5}), ("Elu", {"alpha": 2.0}), ("Selu", {"gamma": 2.0})):
        b.add(op, **attributes)
    b.add("ReduceSumSquare", test_export_ops.ints(1), keepdims=0)
    for op in ("Sum", "Mean", "Max", "Min"):
        b.add(op, b.floats(6, 1, 1), b.floats(2, 6, 8, 10), tag="_three")
    for ceil, pads in ((0, [0, 1, 0, 1]), (1, [0, 0, 0, 0]), (1, [2, 1, 0, 1])):
        b.add("AveragePool", kernel_shape=[3, 4], strides=[2, 3], pads=pads, ceil_mode=ceil)
    for nearest in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
        scales = np.array([1, 1, 0.5, 1.7], np.float32)
        b.add("Resize", None, scales, mode="nearest", nearest_mode=nearest, tag=nearest)
    b.add("Pad", test_export_ops.ints(0, 0, 3, 2, 0, 0, 12, 1), mode="wrap")
    for equation, shape in (("bchw, bdhw -> bhcd", (2, 3, 8, 10)), ("bchw,wk->bkch", (10, 3)), ("bchw,hb->cwhb", (8, 2))):
        b.add("Einsum", b.floats(*shape), equation=equation)
    b.add("Slice", *map(test_export_ops.ints, (-1, -100, 3, -1)), tag="_flip")


class Operators(Case):
    """Those that are written as several, and those that no network of the zoo has."""

    def check(self, *adders):
        builder = test_export_ops.Builder()
        for add in adders:
            add(builder)
        builder.without(is_refused)
        path, out = self.folder / "m.onnx", self.folder / "m.tflite"
        onnx.save(builder.model(), path)
        want = reference.run_onnx(path, {"x": builder.x})
        slipway.export( path, "--to", "tflite")
        read_back = slipway.run_model(out, {"x": last(builder.x)}, self.folder)
        results = [{name: read_back[slipway.file_name(name)] for name in want}]
        results += [run_litert(out, {"x": last(builder.x)})] if HAVE_LITERT else []
        for got in results:
            for name, array in want.items():
                np.testing.assert_allclose(first(got[name]), array, rtol=1e-4, atol=1e-4, err_msg=name)

    def test_recurrent(self):
        self.check(add_recurrent)

    def test_all(self):
        self.check(test_export_ops.add_layers, test_export_ops.add_movement, test_export_ops.add_elements)

    def test_formulas(self):
        self.check(add_formulas)

    def test_activated(self):
        self.check(add_activated)

    def test_grid_sample(self):
        self.check(add_samples)

    def refused(self, sentence, op, *constants, **attributes):
        builder = test_export_ops.Builder()
        builder.add(op, *constants, **attributes)
        onnx.save(builder.model(), self.folder / "m.onnx")
        self.assertIn(sentence, slipway.export( self.folder / "m.onnx", "--to", "tflite", expect=2).stderr)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["m.onnx"])

    def test_refusals(self):
        lacking = "node 'Hardmax_0' (Hardmax): there is no such operator in tflite files; it can be written with --to onnx"
        self.refused(lacking, "Hardmax")
        grid = np.zeros((2, 3, 3, 2), np.float32)
        self.refused("(GridSample): only maps of known size, linear or nearest", "GridSample", grid, mode="cubic")


class Files(Case):
    def test_same_bytes_twice_and_after_a_round_trip(self):
        out = [self.folder / f"{i}.tflite" for i in range(2)]
        for path in out:
            slipway.export( slipway.SAMPLE_MODEL, "--to", "tflite", "-o", path)
        self.assertEqual(out[0].read_bytes(), out[1].read_bytes())
        again = self.folder / "again.tflite"
        slipway.export( out[0], "--to", "tflite", "-o", again)
        x = np.random.default_rng(0).random((1, 416, 416, 3), np.float32)
        a, b = (slipway.run_model(path, {"images": x}, self.folder)["output0"] for path in (out[0], again))
        self.assertLess(zoo.worst_error(a, b), 1e-5)

    def test_transposes_are_counted(self):
        process = slipway.export( slipway.SAMPLE_MODEL, "--to", "tflite", "-o", self.folder / "x.tflite")
        self.assertRegex(process.stderr, r"\d+ transposes")
        told = int(process.stderr.split(" transposes")[0].split()[-1])
        for target in ("tflite", "onnx"):
            process = slipway.export( slipway.SAMPLE_MODEL, "--to", target, "-o", self.folder / "x", "--force", "--json")
            (entry,) = json.loads(process.stdout)
            nodes = onnx.load(self.folder / "x").graph.node if target == "onnx" else None
            want = told if nodes is None else sum(node.op_type == "Transpose" for node in nodes)
            self.assertEqual(entry["transposes"], want)

    def test_detections_are_those_of_the_model(self):
        picture = slipway.data("images", "bus.jpg")
        slipway.export( slipway.SAMPLE_MODEL, "--to", "tflite", "-o", self.folder / "x.tflite")
        found = []
        for model in (slipway.SAMPLE_MODEL, self.folder / "x.tflite"):
            out = self.folder / f"{pathlib.Path(model).suffix}.json"
            slipway.run("detect", model, picture, "--json", out)
            found.append(json.loads(out.read_text())[0]["detections"])
        self.assertTrue(found[0])
        # The model of open size looks at the smallest canvas, the file of fixed size at a square one.
        self.assertEqual(reference.unmatched(found[1], found[0], min_iou=0.97), [])

    def test_boxes_are_pixels_again_in_other_formats(self):
        picture = slipway.data("images", "bus.jpg")
        slipway.export( slipway.SAMPLE_MODEL, "--to", "tflite", "-o", self.folder / "x.tflite")
        slipway.export( self.folder / "x.tflite", "--to", "onnx,openvino", "-o", self.folder)
        found = []
        for model in ("x.tflite", "x.onnx", "x_openvino_model"):
            out = self.folder / "found.json"
            slipway.run("detect", self.folder / model, picture, "--json", out)
            found.append(json.loads(out.read_text())[0]["detections"])
        self.assertTrue(found[0])
        for others in found[1:]:
            self.assertEqual(reference.unmatched(others, found[0], min_iou=0.999, confidence=1e-4), [])
        metadata = {entry.key: entry.value for entry in onnx.load(self.folder / "x.onnx").metadata_props}
        self.assertEqual(metadata["coordinates"], "pixels")

    def test_broken_files(self):
        path = self.folder / "x.tflite"
        slipway.export( slipway.SAMPLE_MODEL, "--to", "tflite", "-o", path)
        good = path.read_bytes()
        for data, sentence in (
            (good[:8], "a table begins outside the file; is it cut?"),
            (good[:2000], "is it cut?"),
            (b"\xff\xff\xff\x7f" + good[4:], "a table begins outside the file"),
        ):
            path.write_bytes(data)
            self.assertIn(sentence, slipway.run("inspect", path, expect=2).stderr)


class Shared(Case):
    """Files of others, if they are at hand."""

    def test_uint8_mobilenet(self):
        path = slipway.data("models", "mobilenet_v2_quant.tflite")
        x = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
        (got,) = slipway.run_model(path, {"input": x}, self.folder).values()
        self.assertEqual((got.dtype, got.shape), (np.dtype(np.uint8), (1, 1001)))
        if not HAVE_LITERT:
            self.skipTest("ai-edge-litert is not installed")
        from ai_edge_litert.interpreter import Interpreter

        runtime = Interpreter(str(path))
        runtime.allocate_tensors()
        runtime.set_tensor(runtime.get_input_details()[0]["index"], x)
        runtime.invoke()
        want = runtime.get_tensor(runtime.get_output_details()[0]["index"])
        self.assertLessEqual(np.abs(got.astype(int) - want).max(), 1)
        self.assertEqual(got.argmax(), want.argmax())

    def test_uint8_mobilenet_classifies(self):
        model, picture = slipway.data("models", "mobilenet_v2_quant.tflite"), slipway.data("images", "dog.jpg")
        (found,) = json.loads(slipway.run("predict", model, picture, "--json", "-").stdout)
        best = found["classes"][0]
        self.assertEqual(best["class"], "malamute, malemute, Alaskan malamute")
        self.assertAlmostEqual(best["confidence"], 0.32, delta=0.05)

    def test_int8_yolo_finds_what_the_float_model_finds(self):
        found = []
        for name in ("yolo11n_int8.tflite", "yolo11n.onnx"):
            out = self.folder / f"{name}.json"
            slipway.run("detect", slipway.data("models", name), slipway.data("images", "bus.jpg"), "--json", out)
            found.append(json.loads(out.read_text())[0]["detections"])
        self.assertEqual(reference.unmatched(*found, min_iou=0.97, confidence=0.02), [])


if __name__ == "__main__":
    unittest.main()
