"""The command line: help, exit codes, what lands in which file, what a broken source among good ones does."""

import csv
import io
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper

import slipway

VERBS = "predict detect val build refit diff profile report run inspect ops devices version".split()
MODEL = slipway.SAMPLE_MODEL


def scene(width=320, height=240, seed=0):
    """A picture with shapes in it: nothing that a detector must find, but something to look at."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)
    for _ in range(8):
        cx, cy, r = random.integers(0, width), random.integers(0, height), random.integers(10, 60)
        picture[(x - cx) ** 2 + (y - cy) ** 2 < r * r] = random.integers(0, 256, 3)
    return picture


class Folder(unittest.TestCase):
    """A fresh folder a test, with a picture of each format in it."""

    def setUp(self):
        import cv2

        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)
        self.jpg, self.png = self.folder / "a.jpg", self.folder / "b.png"
        cv2.imwrite(str(self.jpg), scene())
        cv2.imwrite(str(self.png), scene(200, 150, 1))

    def names(self, folder=None):
        return sorted(path.name for path in (folder or self.folder).iterdir())


class Help(unittest.TestCase):
    def test_every_verb_has_help_with_an_example(self):
        for verb in VERBS:
            with self.subTest(verb=verb):
                text = slipway.run(verb, "--help").stdout
                self.assertIn("Exit codes: 0 good, 1 wrong use, 2 bad model", text)
                self.assertIn(f"slipway {verb}", text)
                self.assertRegex(text, r"(?i)example")
                self.assertEqual(text, slipway.run("help", verb).stdout)

    def test_help_lists_the_verbs(self):
        for arguments in (("--help",), ("help",)):
            text = slipway.run(*arguments).stdout
            for verb in VERBS:
                self.assertRegex(text, rf"(?m)^\s+{verb}\b")

    def test_manual_pages(self):
        for verb in ((), ("detect",), ("run",), ("inspect",), ("ops",), ("version",)):
            with self.subTest(verb=verb):
                page = slipway.run("help", "--man", *verb).stdout
                self.assertRegex(page, r"(?m)^\.TH ")
                self.assertIn(".SH NAME", page)

    def test_version(self):
        self.assertRegex(slipway.run("version").stdout, r"^slipway \d+\.\d+\.\d+")
        self.assertEqual(slipway.run("--version").stdout.split("\n")[0], slipway.run("version").stdout.split("\n")[0])
        self.assertGreater(len(slipway.run("version", "--cpu").stdout), 20)

    def test_ops_lists_operators(self):
        text = slipway.run("ops").stdout
        for operator in ("Conv", "Softmax", "Resize", "Letterbox"):
            self.assertRegex(text, rf"(?m)^\s*{operator}\b")


class WrongUse(Folder):
    """Exit code 1, a sentence that names what was wrong on stderr, nothing on stdout."""

    def refuse(self, *arguments, word=None):
        process = slipway.run(*arguments, expect=1)
        self.assertEqual(process.stdout, "")
        self.assertTrue(process.stderr.strip())
        if word:
            self.assertIn(word, process.stderr)

    def test_verb(self):
        self.refuse(word="slipway")
        self.refuse("detetc", word="detetc")
        self.refuse("help", "nothing", word="nothing")

    def test_option(self):
        self.refuse("detect", MODEL, self.jpg, "--confidence", "0.5", word="--confidence")
        self.refuse("inspect", MODEL, "--what", word="--what")
        self.refuse("build", MODEL, "--compat", "sm", word="--device cuda")

    def test_missing_arguments(self):
        self.refuse("detect", word="MODEL")
        self.refuse("detect", MODEL)
        self.refuse("run")
        self.refuse("inspect")
        self.refuse("detect", MODEL, self.jpg, "--conf", word="--conf")

    def test_values(self):
        for option, value in (
            ("--conf", "high"),
            ("--conf", "1.5"),
            ("--conf", "nan"),
            ("--iou", "-1"),
            ("--imgsz", "0"),
            ("--imgsz", "99999999999999999999"),
            ("--imgsz", "640x"),
            ("--imgsz", "640x640x640"),
            ("--imgsz", "x"),
            ("--max-det", "x"),
            ("--threads", "-3"),
            ("--classes", "nobody"),
            ("--conf", ""),
            ("--conf", "0.5x"),
        ):
            with self.subTest(option=option, value=value):
                self.refuse("detect", MODEL, self.jpg, option, value, word=option)

    def test_run_inputs(self):
        self.refuse("run", MODEL, "--input", "no-equals-sign", "--output-dir", self.folder)
        self.refuse("run", MODEL, "--input", "nobody=x.npy", "--output-dir", self.folder, word="nobody")


class Failures(Folder):
    """Codes 2 to 4 for models, inputs and resources; the message names the file."""

    def test_model_that_is_not_there(self):
        self.assertIn("none.onnx", slipway.run("detect", "none.onnx", self.jpg, expect=2).stderr)

    def test_broken_model(self):
        broken = self.folder / "broken.onnx"
        broken.write_bytes(MODEL.read_bytes()[:100_000])
        for verb in (("detect", broken, self.jpg), ("inspect", broken), ("run", broken, "--output-dir", self.folder)):
            with self.subTest(verb=verb[0]):
                self.assertIn("broken.onnx", slipway.run(*verb, expect=2).stderr)

    def test_model_that_is_no_detector(self):
        graph = helper.make_graph(
            [helper.make_node("Neg", ["x"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", T.FLOAT, [3])],
            [helper.make_tensor_value_info("y", T.FLOAT, [3])],
        )
        path = self.folder / "neg.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        self.assertIn("neg.onnx", slipway.run("detect", path, self.jpg, expect=2).stderr)

    def test_picture_that_is_not_there(self):
        self.assertIn("none.jpg", slipway.run("detect", MODEL, self.folder / "none.jpg", expect=3).stderr)

    def test_broken_picture_among_good_ones(self):
        """The rest is done, the broken one reported."""
        broken = self.folder / "broken.jpg"
        broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
        out = self.folder / "out"
        process = slipway.run(
            "detect", MODEL, self.jpg, broken, self.png, "-o", out, "--json", "-", "--quiet", expect=3
        )
        self.assertIn("broken.jpg", process.stderr)
        self.assertEqual([pathlib.Path(r["source"]).name for r in json.loads(process.stdout)], ["a.jpg", "b.png"])
        self.assertEqual(self.names(out), ["a.jpg", "b.png"])

    def test_input_array_that_does_not_fit(self):
        np.save(self.folder / "x.npy", np.zeros((1, 4, 320, 320), np.float32))
        process = slipway.run(
            "run", MODEL, "--input", f"images={self.folder}/x.npy", "--output-dir", self.folder, expect=3
        )
        self.assertIn("images", process.stderr)
        np.save(self.folder / "x.npy", np.zeros((1, 3, 320, 320), np.int32))
        process = slipway.run(
            "run", MODEL, "--input", f"images={self.folder}/x.npy", "--output-dir", self.folder, expect=3
        )
        self.assertIn("int32", process.stderr)

    def test_full_disk(self):
        """What cannot be written is an error, even when only the last flush says so."""
        for option in ("--json", "--csv"):
            with self.subTest(option=option):
                process = slipway.run("detect", MODEL, self.jpg, option, "/dev/full", "--quiet", expect=3)
                self.assertIn("/dev/full", process.stderr)
        with open("/dev/full", "wb") as full:
            process = subprocess.run(
                [slipway.PROGRAM, "detect", MODEL, self.jpg, "--json", "-", "--quiet"],
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=60,
            )
        self.assertEqual(process.returncode, 3)
        with open("/dev/full", "wb") as full:
            process = subprocess.run([slipway.PROGRAM, "ops"], stdout=full, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(process.returncode, 3)

    def test_full_disk_leaves_no_partial_file(self):
        with tempfile.TemporaryDirectory() as mount:
            if (
                os.geteuid()
                or subprocess.run(
                    ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", mount], capture_output=True
                ).returncode
            ):
                self.skipTest("cannot mount a small file system")
            try:
                process = slipway.run("detect", MODEL, self.jpg, "-o", f"{mount}/out.png", expect=3)
                self.assertIn("out.png", process.stderr)
                self.assertEqual(os.listdir(mount), [])
            finally:
                subprocess.run(["umount", mount], check=True)

    def test_output_folder_that_cannot_be(self):
        (self.folder / "file").write_text("")
        slipway.run("detect", MODEL, self.jpg, self.png, "-o", self.folder / "file/sub", expect=3)

    def test_closed_pipe(self):
        """`slipway ops | head -1` ends quietly."""
        process = subprocess.run(
            ["bash", "-c", f"set -o pipefail; '{slipway.PROGRAM}' ops | head -n 1"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(process.stderr, "")


class Detect(Folder):
    def test_json(self):
        """The schema of the manual, in a file and on stdout."""
        path = self.folder / "d.json"
        slipway.run("detect", MODEL, self.jpg, "--json", path, "--conf", "0.001", "--quiet")
        results = json.loads(path.read_text())
        self.assertEqual(len(results), 1)
        result = results[0]
        self.assertEqual(list(result), ["source", "width", "height", "detections", "times_ms"])
        self.assertEqual((result["source"], result["width"], result["height"]), (str(self.jpg), 320, 240))
        self.assertEqual(list(result["times_ms"]), ["decode", "preprocess", "inference", "postprocess"])
        self.assertTrue(all(time >= 0 for time in result["times_ms"].values()))
        for detection in result["detections"]:
            self.assertEqual(list(detection), ["class_id", "class", "confidence", "box"])
            x1, y1, x2, y2 = detection["box"]
            self.assertTrue(0 <= x1 <= x2 <= 320 and 0 <= y1 <= y2 <= 240, detection)
            self.assertTrue(0.001 < detection["confidence"] <= 1)
        again = json.loads(slipway.run("detect", MODEL, self.jpg, "--json", "-", "--conf", "0.001").stdout)
        self.assertEqual(again[0]["detections"], result["detections"])

    def test_agrees_with_the_plain_description(self):
        """As NumPy, OpenCV and ONNX Runtime find on generated pictures, at a threshold that lets some in."""
        import cv2

        import reference

        compared = 0
        for path in (self.jpg, self.png):
            rows = reference.detect(MODEL, cv2.imread(str(path)), conf=0.002)
            want = [{"class_id": int(r[0]), "confidence": r[1], "box": list(r[2:])} for r in rows]
            (result,) = json.loads(slipway.run("detect", MODEL, path, "--json", "-", "--conf", "0.002").stdout)
            self.assertEqual(reference.unmatched(result["detections"], want), [])
            compared += len(want)
        self.assertGreater(compared, 0)

    def test_txt_and_csv(self):
        txt, table = self.folder / "txt", self.folder / "d.csv"
        process = slipway.run(
            "detect",
            MODEL,
            self.jpg,
            self.png,
            "--txt",
            txt,
            "--csv",
            table,
            "--conf",
            "0.001",
            "--json",
            "-",
            "--quiet",
        )
        results = json.loads(process.stdout)
        self.assertEqual(self.names(txt), ["a.txt", "b.txt"])
        for result in results:
            lines = (txt / (pathlib.Path(result["source"]).stem + ".txt")).read_text().splitlines()
            self.assertEqual(len(lines), len(result["detections"]))
            for line, detection in zip(lines, result["detections"]):
                numbers = line.split()
                self.assertEqual(int(numbers[0]), detection["class_id"])
                x1, y1, x2, y2 = detection["box"]
                w, h = result["width"], result["height"]
                want = [(x1 + x2) / 2 / w, (y1 + y2) / 2 / h, (x2 - x1) / w, (y2 - y1) / h]
                np.testing.assert_allclose([float(n) for n in numbers[1:5]], want, atol=1e-3)
        rows = list(csv.DictReader(io.StringIO(table.read_text())))
        self.assertEqual(len(rows), sum(len(r["detections"]) for r in results))
        self.assertTrue(
            {"source", "class_id", "class", "confidence", "x1", "y1", "x2", "y2"}
            <= set(rows[0] if rows else table.read_text().strip().split(","))
        )

    def test_annotated_picture(self):
        """Same size; to a file in the format of its name, or into a folder under the source's name."""
        import cv2

        for target in ("out.jpg", "out.png"):
            slipway.run("detect", MODEL, self.jpg, "-o", self.folder / target, "--conf", "0.001")
            self.assertEqual(cv2.imread(str(self.folder / target)).shape, (240, 320, 3))
        self.assertEqual((self.folder / "out.png").read_bytes()[:4], b"\x89PNG")
        self.assertEqual((self.folder / "out.jpg").read_bytes()[:2], b"\xff\xd8")
        slipway.run("detect", MODEL, self.jpg, self.png, "-o", self.folder / "out")
        self.assertEqual(self.names(self.folder / "out"), ["a.jpg", "b.png"])

    def test_nothing_else_is_written(self):
        before = self.names()
        slipway.run("detect", MODEL, self.jpg, cwd=self.folder)
        self.assertEqual(self.names(), before)

    def test_the_source_is_never_overwritten(self):
        """-o into the folder of the source would replace it."""
        before = self.jpg.read_bytes()
        slipway.run("detect", MODEL, self.jpg, "-o", self.folder, expect=None)
        self.assertEqual(self.jpg.read_bytes(), before)

    def test_folder_glob_and_stdin(self):
        def sources(*arguments, **more):
            results = json.loads(slipway.run("detect", MODEL, *arguments, "--json", "-", "--quiet", **more).stdout)
            return [pathlib.Path(result["source"]).name for result in results]

        (self.folder / "notes.txt").write_text("no picture")
        self.assertEqual(sources(self.folder), ["a.jpg", "b.png"])
        self.assertEqual(sources(f"{self.folder}/*.p?g"), ["b.png"])
        self.assertEqual(sources(f"{self.folder}/[ab].*"), ["a.jpg", "b.png"])
        self.assertEqual(sources("-", input=self.png.read_bytes()), ["-"])
        self.assertIn("*.gif", slipway.run("detect", MODEL, f"{self.folder}/*.gif", expect=3).stderr)

    def test_quiet(self):
        process = slipway.run("detect", MODEL, self.jpg, "--quiet")
        self.assertEqual((process.stdout, process.stderr), ("", ""))

    def test_options_limit_the_detections(self):
        def count(*options):
            (result,) = json.loads(slipway.run("detect", MODEL, self.jpg, "--json", "-", "--quiet", *options).stdout)
            return len(result["detections"])

        everything = count("--conf", "0.0005")
        self.assertGreater(everything, 3)
        self.assertEqual(count("--conf", "0.0005", "--max-det", "3"), 3)
        self.assertEqual(count("--conf", "0.0005", "--classes", "0"), everything)
        self.assertLessEqual(count("--conf", "0.0005", "--iou", "0.1"), everything)
        self.assertEqual(count("--conf", "0.9999"), 0)

    def test_threads_do_not_change_the_result(self):
        outputs = {
            json.dumps(
                json.loads(
                    slipway.run("detect", MODEL, self.jpg, "--json", "-", "--conf", "0.001", "--threads", n).stdout
                )[0]["detections"]
            )
            for n in (1, 2, 3)
        }
        self.assertEqual(len(outputs), 1)


class Inspect(unittest.TestCase):
    def test_text_names_inputs_outputs_and_size(self):
        text = slipway.run("inspect", MODEL).stdout
        for word in ("images", "output0", "float32", "GFLOP"):
            self.assertIn(word, text)

    def test_json(self):
        report = json.loads(slipway.run("inspect", MODEL, "--json").stdout)
        self.assertEqual(report["inputs"][0]["name"], "images")
        self.assertEqual(report["outputs"][0]["name"], "output0")
        parameters = sum(int(np.prod(t.dims)) for t in onnx.load(MODEL).graph.initializer)
        self.assertLess(abs(report["parameters"] - parameters) / parameters, 0.05)

    def test_shapes(self):
        value = onnx.helper.make_tensor_value_info
        x, w, y = (value(n, onnx.TensorProto.FLOAT, s) for n, s in (("x", ["n", 8]), ("w", [8, 5]), ("y", ["n", 5])))
        graph = onnx.helper.make_graph([onnx.helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x, w], [y])
        with tempfile.TemporaryDirectory() as folder:
            model = pathlib.Path(folder, "m.onnx")
            onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), model)
            for option in "--shapes", "--shape":  # the second is an older name
                for shape, rows in ("x=1x8", 1), ("x=1:3:4x8", 3):
                    report = json.loads(slipway.run("inspect", model, "--json", option, shape).stdout)
                    self.assertAlmostEqual(report["gflops"] * 1e9, rows * 8 * 5 * 2, places=3)
            self.assertIn("has no input 'z'", slipway.run("inspect", model, "--shapes", "z=1x8", expect=1).stderr)
            self.assertIn("dim 1 is fixed", slipway.run("inspect", model, "--shapes", "x=1x9", expect=1).stderr)
        self.assertNotIn("--shape ", slipway.run("inspect", "--help").stdout)

    def test_passes_and_dot(self):
        with tempfile.TemporaryDirectory() as folder:
            dot = pathlib.Path(folder, "g.dot")
            slipway.run("inspect", MODEL, "--dot", dot)
            text = dot.read_text()
        self.assertTrue(re.match(r"\s*digraph\b", text) and text.rstrip().endswith("}"))
        self.assertIn("Conv", text)


class Run(Folder):
    def test_outputs_by_name(self):
        x = np.random.default_rng(1).random((1, 3, 320, 320), np.float32)
        got = slipway.run_model(MODEL, {"images": x}, self.folder)
        self.assertEqual({name: array.shape for name, array in got.items()}, {"output0": (1, 5, 2100)})

    def test_fortran_order_and_big_endian_arrays(self):
        """npy files as NumPy may write them."""
        x = np.random.default_rng(1).random((1, 3, 320, 320), np.float32)
        want = slipway.run_model(MODEL, {"images": x}, self.folder)["output0"]
        got = slipway.run_model(MODEL, {"images": np.asfortranarray(x)}, self.folder)["output0"]
        np.testing.assert_array_equal(got, want)
