"""`slipway export`: what it writes runs in the runtimes that it is for, with the numbers of the model.

ONNX files are checked by onnx.checker and run by ONNX Runtime, OpenVINO's by OpenVINO where it is installed (a wheel of
50 MB that tests/py/requirements.txt does not ask for). Networks of tests/zoo are exported in both precisions.
"""

import importlib.util
import json
import os
import pathlib
import resource
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

import numpy as np
import onnx

import reference
import slipway
import zoo

HAVE_OPENVINO = importlib.util.find_spec("openvino") is not None
FP16_TOLERANCE = 1e-2  # of the scale of a row group


def small_model(path, dims=("batch", 3, "height", "width"), metadata=True):
    """A convolution and SiLU over pictures of open size, as a checkpoint would be."""
    helper, weights = onnx.helper, np.linspace(-1, 1, 3 * 3 * 3 * 3, dtype=np.float32).reshape(3, 3, 3, 3)
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["c"], ["s"], "sigmoid"),
        helper.make_node("Mul", ["c", "s"], ["m"], "mul"),
        helper.make_node("ReduceMean", ["m", "axes"], ["output0"], "mean"),
    ]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("output0", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(np.array([2, 3]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    if metadata:
        helper.set_model_props(model, {"task": "detect", "imgsz": "[64, 64]", "stride": "32", "author": "Ultralytics"})
    onnx.save(model, path)


def run_ort(path, inputs):
    """Outputs by name; float16 inputs and outputs are converted."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    feed = {i.name: inputs[i.name].astype(np.float16) if "float16" in i.type else inputs[i.name] for i in session.get_inputs()}
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed)))


def run_openvino(folder, inputs):
    """Outputs by name, in float32 whatever the CPU would rather have."""
    import openvino

    core = openvino.Core()
    (xml,) = pathlib.Path(folder).glob("*.xml")
    compiled = core.compile_model(core.read_model(xml), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(inputs)
    return {output.get_any_name(): results[output] for output in compiled.outputs}


def filled(name, folder):
    """A network of the zoo with weights; its path and inputs."""
    model = zoo.fill(onnx.load(zoo.models()[name]))
    path = pathlib.Path(folder, f"{name}.onnx")
    onnx.save(model, path)
    return path, zoo.inputs_of(model)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def close(self, name, got, want, tolerance):
        """Each output, by groups of rows. In a ranking, only rows whose place does not hang on rounding; in float16, only
        the scores."""
        for output, array in want.items():
            found, cut, rows = np.asarray(got[output], np.float32), zoo.cut_of(name, array), zoo.clear_rows(name, array)
            if rows is not None and tolerance > zoo.TOLERANCE:
                found, array, cut = found[:, :, 4], array[:, :, 4], ()
            elif rows is not None:
                found, array = found[:, rows], array[:, rows]
            self.assertLess(zoo.worst_error(found, array, *cut), tolerance, f"{name}: {output}")


class Zoo(Case):
    def check(self, name):
        """In both precisions, and the same bytes when exported again."""
        path, inputs = filled(name, self.folder)
        want = reference.run_onnx(path, inputs)
        for tolerance, options in ((zoo.TOLERANCE, []), (FP16_TOLERANCE, ["--half"])):
            out, again = self.folder / "out.onnx", self.folder / "again.onnx"
            slipway.export( path, "-o", out, "--force", *options)
            onnx.checker.check_model(str(out), full_check=True)
            self.close(name, run_ort(out, inputs), want, tolerance)
            slipway.export( out, "-o", again, "--force")
            self.assertEqual(out.read_bytes(), again.read_bytes())
            folder = self.folder / "out_openvino_model"
            slipway.export( path, "--to", "openvino", "-o", folder, "--force", *options)
            if HAVE_OPENVINO:
                self.close(name, run_openvino(folder, inputs), want, tolerance)
            read_back = slipway.run_model(folder, inputs, self.folder)
            self.close(name, {output: read_back[slipway.file_name(output)] for output in want}, want, tolerance)


class Onnx(Case):
    def test_opsets(self):
        small_model(self.folder / "m.onnx")
        x = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
        want = reference.run_onnx(self.folder / "m.onnx", {"images": x})["output0"]
        for opset in range(13, 23):
            out = self.folder / f"{opset}.onnx"
            slipway.export( self.folder / "m.onnx", "--opset", opset, "-o", out)
            model = onnx.load(out)
            onnx.checker.check_model(model, full_check=True)
            self.assertEqual(model.opset_import[0].version, opset)
            mean = next(node for node in model.graph.node if node.op_type == "ReduceMean")
            self.assertEqual(len(mean.input), 1 if opset < 18 else 2)
            np.testing.assert_allclose(run_ort(out, {"images": x})["output0"], want, rtol=1e-5)

    def test_resize_says_its_mode(self):
        """pnnx does not know Resize without it."""
        helper = onnx.helper
        graph = helper.make_graph(
            [helper.make_node("Resize", ["x", "", "scales"], ["y"], "up", coordinate_transformation_mode="asymmetric")],
            "main",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 2, 3, 4])],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
            [onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")],
        )
        model, out = self.folder / "m.onnx", self.folder / "out.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), model)
        slipway.export(model, "-o", out)
        said = {a.name: helper.get_attribute_value(a) for a in onnx.load(out).graph.node[0].attribute}
        self.assertEqual(said["mode"], b"nearest")

    def test_metadata_and_sizes(self):
        small_model(self.folder / "yolo.onnx")
        out = self.folder / "out.onnx"
        slipway.export( f"model={self.folder / 'yolo.onnx'}", "-o", out, "imgsz=96,32", "batch=2")
        model = onnx.load(out)
        dims = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        self.assertEqual(dims, [2, 3, 96, 32])
        props = {p.key: p.value for p in model.metadata_props}
        self.assertEqual(props["imgsz"], "[96, 32]")
        self.assertEqual(props["batch"], "2")
        self.assertEqual(props["description"], "Ultralytics YOLO model")
        self.assertIn("'dynamic': False", props["args"])
        slipway.export( self.folder / "yolo.onnx", "-o", out, "--dynamic", "--force")
        dims = [d.dim_param for d in onnx.load(out).graph.input[0].type.tensor_type.shape.dim]
        self.assertEqual(dims, ["batch", "", "height", "width"])

    def test_weights_of_four_bits(self):
        """Two a byte, an odd number of them; opsets that lack the type are refused by name."""
        helper, kept = onnx.helper, onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.INT4)
        weights = np.arange(15).reshape(5, 3).astype(np.int8).astype(kept)
        scales = np.array([0.5, 0.25, 0.125], np.float32)
        graph = helper.make_graph(
            [
                helper.make_node("DequantizeLinear", ["w", "s"], ["f"], axis=1),
                helper.make_node("MatMul", ["x", "f"], ["y"]),
            ],
            "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, 5])],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, 3])],
            [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(scales, "s")],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), self.folder / "m.onnx")
        refusal = slipway.export(self.folder / "m.onnx", "-o", self.folder / "out.onnx", expect=2)
        self.assertIn("opset 18 has no int4; --opset 21", refusal.stderr)
        slipway.export(self.folder / "m.onnx", "--opset", 21, "-o", self.folder / "out.onnx")
        (kept_weights,) = [t for t in onnx.load(self.folder / "out.onnx").graph.initializer if list(t.dims) == [5, 3]]
        self.assertEqual(len(kept_weights.raw_data), 8)
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(kept_weights), weights)

    def test_half(self):
        small_model(self.folder / "m.onnx")
        x = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
        want = reference.run_onnx(self.folder / "m.onnx", {"images": x})["output0"]
        for options, kind in ((["half=True"], onnx.TensorProto.FLOAT), (["--half-io"], onnx.TensorProto.FLOAT16)):
            out = self.folder / "half.onnx"
            slipway.export( self.folder / "m.onnx", "-o", out, "--force", *options)
            model = onnx.load(out)
            onnx.checker.check_model(model, full_check=True)
            self.assertEqual(model.graph.input[0].type.tensor_type.elem_type, kind)
            self.assertEqual(model.graph.output[0].type.tensor_type.elem_type, kind)
            self.assertIn(onnx.TensorProto.FLOAT16, [t.data_type for t in model.graph.initializer])
            np.testing.assert_allclose(run_ort(out, {"images": x})["output0"], want, rtol=1e-2, atol=1e-3)

    def test_float16_models_become_float32(self):
        """OpenVINO and LiteRT compute in float32: ports too, while weights stay as small as they are."""
        small_model(self.folder / "m.onnx")
        x = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
        want = reference.run_onnx(self.folder / "m.onnx", {"images": x})["output0"]
        slipway.run("export", self.folder / "m.onnx", "-o", self.folder / "half.onnx", "--half-io")
        slipway.run("export", self.folder / "half.onnx", "--to", "openvino,tflite", "-o", self.folder)
        slipway.run("export", self.folder / "half.onnx", "-o", self.folder / "wide.onnx", "--precision", "fp32")
        for name in ("half_openvino_model", "half.tflite", "wide.onnx"):
            feed = x.transpose(0, 2, 3, 1) if name == "half.tflite" else x
            got = slipway.run_model(self.folder / name, {"images": feed}, self.folder)["output0"]
            self.assertEqual(got.dtype, np.float32)
            np.testing.assert_allclose(got.reshape(want.shape), want, rtol=1e-2, atol=1e-3)
        precisions = (self.folder / "half_openvino_model/half.xml").read_text()
        self.assertIn('element_type="f16"', precisions)

    def test_external_data(self):
        small_model(self.folder / "m.onnx")
        model = onnx.load(self.folder / "m.onnx")
        model.graph.initializer[0].CopyFrom(
            onnx.numpy_helper.from_array(np.ones((300, 3, 1, 1), np.float32), "w")
        )
        onnx.save(model, self.folder / "m.onnx")
        out = self.folder / "out.onnx"
        slipway.export( self.folder / "m.onnx", "-o", out, "--external-data")
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["m.onnx", "out.onnx", "out.onnx.data"])
        self.assertGreaterEqual((self.folder / "out.onnx.data").stat().st_size, 3600)
        onnx.checker.check_model(str(out), full_check=True)
        x = np.ones((1, 3, 64, 64), np.float32)
        want = reference.run_onnx(self.folder / "m.onnx", {"images": x})["output0"]
        np.testing.assert_allclose(run_ort(out, {"images": x})["output0"], want, rtol=1e-5)


class OpenVino(Case):
    def test_folder(self):
        small_model(self.folder / "yolo.onnx")
        slipway.export( self.folder / "yolo.onnx", "--to", "openvino", "format=openvino")
        out = self.folder / "yolo_openvino_model"
        self.assertEqual(sorted(p.name for p in out.iterdir()), ["metadata.yaml", "yolo.bin", "yolo.xml"])
        self.assertIn("task: detect\n", (out / "metadata.yaml").read_text())
        self.assertIn("imgsz:\n- 64\n- 64\n", (out / "metadata.yaml").read_text())
        net = xml.etree.ElementTree.parse(out / "yolo.xml").getroot()
        self.assertEqual(net.get("version"), "11")
        kinds = [layer.get("type") for layer in net.find("layers")]
        self.assertEqual(kinds.count("Swish"), 1)
        self.assertEqual(kinds[-1], "Result")
        self.assertEqual(len(set(layer.get("name") for layer in net.find("layers"))), len(kinds))
        size = sum(int(data.get("size")) for data in net.iterfind("layers/layer[@type='Const']/data"))
        self.assertGreaterEqual(size, (out / "yolo.bin").stat().st_size - 64)

    def test_half_is_half_as_large(self):
        sizes = []
        path, _ = filled("yolo11n-cls_64", self.folder)
        for options in ([], ["--half"]):
            out = self.folder / "m_openvino_model"
            slipway.export( path, "--to", "openvino", "-o", out, "--force", *options)
            sizes.append((out / "yolo11n-cls_64.bin").stat().st_size)
        self.assertLess(sizes[1], 0.51 * sizes[0])

    @unittest.skipUnless(HAVE_OPENVINO, "openvino is not installed")
    def test_open_sizes(self):
        small_model(self.folder / "m.onnx")
        slipway.export( self.folder / "m.onnx", "--to", "openvino", "--dynamic")
        for shape in ((1, 3, 64, 64), (2, 3, 32, 96)):
            x = np.random.default_rng(0).random(shape, dtype=np.float32)
            want = reference.run_onnx(self.folder / "m.onnx", {"images": x})["output0"]
            got = run_openvino(self.folder / "m_openvino_model", {"images": x})["output0"]
            np.testing.assert_allclose(got, want, rtol=1e-4)

    def test_operator_that_it_lacks(self):
        helper = onnx.helper
        graph = helper.make_graph(
            [helper.make_node("Det", ["x"], ["y"], "determinant")],
            "main",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, 2])],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [])],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), self.folder / "m.onnx")
        process = slipway.export( self.folder / "m.onnx", "--to", "openvino", expect=2)
        self.assertIn("node 'determinant' (Det): there is no such operator in openvino files", process.stderr)
        self.assertIn("it can be written with --to onnx", process.stderr)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["m.onnx"])


class Nms(Case):
    def model(self, pictures, anchors):
        """Raw detector output in, through one node, out: what --nms appends to is then in the test's hands."""
        helper, dims = onnx.helper, [pictures, 6, anchors]
        graph = helper.make_graph(
            [helper.make_node("Relu", ["raw"], ["output0"])],
            "main",
            [helper.make_tensor_value_info("raw", onnx.TensorProto.FLOAT, dims)],
            [helper.make_tensor_value_info("output0", onnx.TensorProto.FLOAT, dims)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        helper.set_model_props(model, {"task": "detect", "names": "{0: 'cat', 1: 'dog'}", "end2end": "False"})
        onnx.save(model, self.folder / "m.onnx")

    def raw(self, pictures, anchors):
        r = np.random.default_rng(1)
        boxes = np.concatenate([r.uniform(20, 300, (pictures, 2, anchors)), r.uniform(30, 120, (pictures, 2, anchors))], 1)
        return np.concatenate([boxes, r.random((pictures, 2, anchors)) ** 2], 1).astype(np.float32)

    def check(self, outputs, raw, conf, iou, max_det):
        self.assertEqual(outputs.shape, (len(raw), max_det, 6))
        for rows, picture in zip(outputs, raw):
            want = reference.detections(picture, (1, 1), (0, 0), (10000, 10000), conf, iou, max_det)
            np.testing.assert_allclose(rows[: len(want), [5, 4]], want[:, :2], rtol=1e-5)
            np.testing.assert_allclose(np.clip(rows[: len(want), :4], 0, None), want[:, 2:], atol=1e-3)
            self.assertFalse(rows[len(want) :].any())

    def test_boxes_as_by_reference(self):
        for pictures, options in ((1, (0.25, 0.7, 300)), (2, (0.1, 0.45, 40))):
            self.model(pictures, 200)
            raw = self.raw(pictures, 200)
            conf, iou, max_det = options
            arguments = ["--nms", "--conf", conf, "--iou", iou, "--max-det", max_det, "--force"]
            slipway.export( self.folder / "m.onnx", "-o", self.folder / "n.onnx", *arguments)
            onnx.checker.check_model(str(self.folder / "n.onnx"), full_check=True)
            self.check(run_ort(self.folder / "n.onnx", {"raw": raw})["output0"], raw, *options)
            slipway.export( self.folder / "m.onnx", "--to", "openvino", *arguments)
            folder = self.folder / "m_openvino_model"
            self.check(slipway.run_model(folder, {"raw": raw}, self.folder)["output0"], raw, *options)
            if HAVE_OPENVINO:
                self.check(run_openvino(folder, {"raw": raw})["output0"], raw, *options)

    def test_refusals(self):
        small_model(self.folder / "m.onnx", metadata=False)
        process = slipway.export( self.folder / "m.onnx", "--nms", "-o", self.folder / "n.onnx", expect=2)
        self.assertIn("--nms: the model is no detector of upright boxes", process.stderr)
        process = slipway.export( self.folder / "m.onnx", "nms=True", "dynamic=True", expect=1)
        self.assertIn("--nms and --dynamic contradict each other", process.stderr)


# Of yolo11n_int8_ov.xml by OpenVINO 2026.4 in float32 between the int8 layers: class, confidence, box.
INT8_BUS = (
    (5, 0.926, 13.1, 228.1, 797.3, 735.2),
    (0, 0.896, 48.2, 398.5, 242.5, 903.5),
    (0, 0.834, 669.9, 392.7, 810.0, 880.4),
    (0, 0.829, 222.5, 406.1, 344.9, 859.5),
    (0, 0.483, 0.8, 554.9, 63.4, 873.7),
)


class Int8(Case):
    def test_detections_of_openvino(self):
        """The int8 file of NNCF finds what OpenVINO finds with it, and keeps its integers."""
        model, picture = slipway.data("models", "yolo11n_int8_ov.xml"), slipway.data("images", "bus.jpg")
        out = self.folder / "found.json"
        slipway.run("detect", model, picture, "--json", out)
        found = json.loads(out.read_text())[0]["detections"]
        self.assertEqual(len(found), len(INT8_BUS))
        for want in INT8_BUS:
            box = np.array(want[2:])
            overlaps = [reference.iou(box, np.array([f["box"]]))[0] for f in found if f["class_id"] == want[0]]
            confidences = [f["confidence"] for f in found if f["class_id"] == want[0]]
            best = int(np.argmax(overlaps))
            self.assertGreater(overlaps[best], 0.97, want)
            self.assertAlmostEqual(confidences[best], want[1], delta=0.02)
        dump = slipway.run("inspect", model, "--passes", "none").stdout
        self.assertEqual(dump.count(" = QuantizeLinear("), 100)
        self.assertEqual(dump.count(":int8["), 87)


class Checkpoints(Case):
    """Checkpoints, exported: the numbers that the program itself has for them."""

    def check(self, name, side, *options):
        checkpoint = slipway.data("models", f"{name}.pt")
        inputs = {"images": np.random.default_rng(2).random((1, 3, side, side), dtype=np.float32)}
        want = slipway.run_model(checkpoint, inputs, self.folder)["output0"]
        slipway.export( checkpoint, "--to", "onnx,openvino", "-o", self.folder, *options)
        results = [run_ort(self.folder / f"{name}.onnx", inputs)]
        if HAVE_OPENVINO:
            results.append(run_openvino(self.folder / f"{name}_openvino_model", inputs))
        for got in results:
            cut = (1, (4,)) if want.ndim == 3 else ()
            self.assertLess(zoo.worst_error(got["output0"], want, *cut), zoo.TOLERANCE)
        return onnx.load(self.folder / f"{name}.onnx")

    def test_yolo11n(self):
        model = self.check("yolo11n", 640)
        props = {p.key: p.value for p in model.metadata_props}
        keys = "description author date version license docs stride task head batch imgsz names args channels end2end"
        self.assertEqual(list(props), keys.split())
        self.assertEqual(props["description"], "Ultralytics YOLO11n model")
        self.assertEqual(props["imgsz"], "[640, 640]")

    def test_yolo11n_of_open_size(self):
        self.check("yolo11n", 320, "--dynamic")

    def test_yolo11n_cls(self):
        self.check("yolo11n-cls-10", 224, "--imgsz", "224")


class Refusals(Case):
    def refused(self, sentence, *arguments, code=1):
        process = slipway.export( *arguments, expect=code)
        self.assertIn(sentence, process.stderr)
        self.assertEqual(process.stderr.count("\n"), 1, process.stderr)

    def test_wrong_use(self):
        model = self.folder / "m.onnx"
        small_model(model, dims=(1, 3, 64, 64))
        before = sorted(self.folder.iterdir())
        self.refused("there is no format 'onx' to export to; did you mean 'onnx'?", model, "--to", "onx")
        self.refused("--to names onnx twice", model, "--to", "onnx,onnx", "-o", self.folder / "x.onnx")
        self.refused("is the model itself", model, "--force")
        self.refused("--dynamic: all sizes of the model are fixed", model, "--dynamic", "-o", self.folder / "x.onnx")
        self.refused("the model's height is fixed at 64", model, "--imgsz", "96", "-o", self.folder / "x.onnx")
        self.refused("contradict each other", model, "--half", "--precision", "fp32", "-o", self.folder / "x.onnx")
        self.refused("there is no setting 'halve'", model, "halve=True", "-o", self.folder / "x.onnx")
        self.refused("half=maybe: expected True or False", model, "half=maybe", "-o", self.folder / "x.onnx")
        self.refused("MODEL is missing", "format=onnx")
        self.refused("--dynamic: tflite files cannot have that", model, "--dynamic", "--to", "onnx,tflite")
        self.refused("--nms: tflite files cannot have that", model, "nms=True", "format=tflite")
        self.refused("--opset means nothing for openvino", model, "--opset", 15, "--to", "openvino,tflite")
        self.refused("--half-io means nothing for tflite", model, "--half-io", "--to", "tflite")
        self.refused("--external-data means nothing for openvino", model, "--external-data", "--to", "openvino")
        self.assertEqual(sorted(self.folder.iterdir()), before)

    def test_options_of_nms_without_it(self):
        small_model(self.folder / "m.onnx")
        process = slipway.export(self.folder / "m.onnx", "--conf", "0.5", "-o", self.folder / "x.onnx", "--no-verify")
        self.assertIn("m.onnx: --conf has no effect without --nms", process.stderr)

    def test_what_is_there_stays_without_force(self):
        small_model(self.folder / "m.onnx")
        (self.folder / "x.onnx").write_text("mine")
        self.refused("is there already", self.folder / "m.onnx", "-o", self.folder / "x.onnx")
        self.assertEqual((self.folder / "x.onnx").read_text(), "mine")

    def test_no_room(self):
        """A file that may not grow beyond 4 KiB stands for a full disk: a sentence, and nothing is left."""
        small_model(self.folder / "m.onnx")
        model = onnx.load(self.folder / "m.onnx")
        weights = onnx.numpy_helper.from_array(np.ones((3000, 3, 1, 1), np.float32), "w")
        model.graph.initializer[0].CopyFrom(weights)
        onnx.save(model, self.folder / "m.onnx")
        small = ["--imgsz", "64", "--batch", "1"]
        for target in ("onnx", "openvino", "tflite"):
            process = subprocess.run(
                [slipway.PROGRAM, "export", "m.onnx", "--to", target, "-o", "x", *small],
                cwd=self.folder,
                capture_output=True,
                text=True,
                restore_signals=False,  # Python ignores SIGXFSZ, and so does the program then
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
            )
            self.assertEqual(process.returncode, 3, process.stderr)
            self.assertRegex(process.stderr, r"x(/m.bin)?: cannot be written: File too large\n$")
            self.assertEqual([p.name for p in self.folder.iterdir()], ["m.onnx"])

    def test_options_of_one_format_leave_others_alone(self):
        small_model(self.folder / "m.onnx", dims=(1, 3, 64, 64))
        slipway.run("export", self.folder / "m.onnx", "--opset", 15, "--to", "onnx,openvino", "-o", self.folder / "out")
        self.assertEqual(onnx.load(self.folder / "out/m.onnx").opset_import[0].version, 15)
        self.assertTrue((self.folder / "out/m_openvino_model/m.xml").exists())

    def test_sizes_that_tflite_wants(self):
        small_model(self.folder / "m.onnx", metadata=False)
        self.refused("give the sizes with --imgsz and --batch", self.folder / "m.onnx", "--to", "tflite", code=2)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["m.onnx"])

    def test_folder_that_cannot_be_made(self):
        small_model(self.folder / "m.onnx")
        (self.folder / "file").write_text("")
        self.refused("file: is a file, expected a folder", self.folder / "m.onnx", "-o", self.folder / "file/x.onnx", code=3)

    def test_young_operator(self):
        helper = onnx.helper
        graph = helper.make_graph(
            [helper.make_node("BitwiseNot", ["x"], ["y"], "inverted")],
            "main",
            [helper.make_tensor_value_info("x", onnx.TensorProto.INT32, [4])],
            [helper.make_tensor_value_info("y", onnx.TensorProto.INT32, [4])],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        onnx.save(model, self.folder / "m.onnx")
        out = self.folder / "x.onnx"
        self.refused("node 'inverted' (BitwiseNot): opset 13 has no such operator", self.folder / "m.onnx",
                     "--opset", 13, "-o", out, code=2)
        self.assertFalse(out.exists())


class Results(Case):
    def test_json(self):
        small_model(self.folder / "m.onnx")
        process = slipway.export( self.folder / "m.onnx", "-o", self.folder / "x.onnx", "--json")
        (entry,) = json.loads(process.stdout)
        self.assertEqual(entry["format"], "onnx")
        self.assertEqual(entry["bytes"], (self.folder / "x.onnx").stat().st_size)


# Families whose graphs differ; with SLIPWAY_ZOO=all, all of them.
FAMILIES = (
    "mobilenet_v3_small_64 shufflenet_v2_x0_5_64 swin_t_64 yolo11n-cls_64 yolo11n-obb_64 yolo11n-seg_64 yolo26n_64 yolov5n_64"
).split()
for model_name in zoo.models() if os.environ.get("SLIPWAY_ZOO") == "all" else FAMILIES:
    setattr(Zoo, f"test_{model_name}", lambda self, name=model_name: self.check(name))
