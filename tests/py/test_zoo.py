"""Whole networks with generated weights against ONNX Runtime: live, and against committed samples of its outputs."""

import importlib.util
import pathlib
import tempfile
import unittest

import numpy as np
import onnx

import reference
import slipway
import zoo

HAVE_ONNXRUNTIME = importlib.util.find_spec("onnxruntime") is not None


class Zoo(unittest.TestCase):
    def check_model(self, name):
        """All outputs within zoo.TOLERANCE of each row group's scale, by fast kernels and by reference kernels."""
        model = zoo.fill(onnx.load(zoo.models()[name]))
        inputs = zoo.inputs_of(model)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, f"{name}.onnx")
            onnx.save(model, path)
            runs = [slipway.run_model(path, inputs, folder, *options) for options in ((), ("--reference",))]
            want = reference.run_onnx(path, inputs) if HAVE_ONNXRUNTIME else {}
        for got in runs:
            self.check_outputs(name, got, want)

    def check_outputs(self, name, got, want):
        golden = zoo.load_golden(name)
        self.assertEqual(set(got), {slipway.file_name(output) for output in golden})
        for output, kept in golden.items():
            array = got[slipway.file_name(output)]
            self.assertEqual(list(array.shape), kept["shape"])
            self.assertLess(zoo.golden_error(name, output, array, kept), zoo.TOLERANCE, f"{output} against its golden")
            if output in want:
                pair = zoo.chosen(array, kept), zoo.chosen(want[output], kept)
                self.assertLess(zoo.worst_error(*pair, *zoo.cut_of(name, array)), zoo.TOLERANCE, output)


for model_name in zoo.models():
    setattr(Zoo, f"test_{model_name}", lambda self, name=model_name: self.check_model(name))


class Generator(unittest.TestCase):
    def test_splitmix64_as_published(self):
        """First outputs for seed 1234567, as in the literature."""
        self.assertEqual(
            zoo.splitmix64(1234567, 3).tolist(), [6457827717110365317, 3203168211198807973, 9817491932198370423]
        )

    def test_fnv1a_as_published(self):
        self.assertEqual(zoo.fnv1a(""), 0xCBF29CE484222325)
        self.assertEqual(zoo.fnv1a("foobar"), 0x85944171F73967E8)

    def test_no_weights_in_the_repository(self):
        for name, path in zoo.models().items():
            self.assertLess(path.stat().st_size, 200_000, name)

    def test_only_clear_places_of_a_ranking_count(self):
        rows = np.zeros((1, 6, 6), np.float32)
        rows[0, :, 4] = (0.9, 0.8, 0.7, 0.69999, 0.5, 0.4)
        self.assertEqual(zoo.clear_rows("yolo26n_64", rows), [0, 1, 4])
        self.assertIsNone(zoo.clear_rows("yolo11n_64", rows))

    def test_error_is_measured_per_row_group(self):
        want = np.ones((1, 6, 3), np.float32)
        want[:, :4] *= 1000
        got = want.copy()
        got[0, 5, 0] += 0.01
        self.assertAlmostEqual(zoo.worst_error(got, want), 1e-5, places=7)
        self.assertAlmostEqual(zoo.worst_error(got, want, 1, (4,)), 1e-2, places=4)
        got[0, 0, 0] = np.nan
        self.assertEqual(zoo.worst_error(got, want), np.inf)
