"""slipway serve with Triton's own clients."""

import pathlib
import tempfile
import unittest

import numpy as np
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

import serving


class Serving(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        folder = pathlib.Path(cls.temporary.name)
        cls.server = serving.Server(serving.identity_model(folder / "identity.onnx"))
        cls.addClassCleanup(cls.server.stop)


class Http(Serving):
    def setUp(self):
        self.client = triton_http.InferenceServerClient(self.server.url)
        self.addCleanup(self.client.close)

    def test_status(self):
        client = self.client
        self.assertTrue(client.is_server_live() and client.is_server_ready() and client.is_model_ready("identity"))
        self.assertFalse(client.is_model_ready("identity", "2"))
        metadata = client.get_server_metadata()
        self.assertEqual(metadata["name"], "slipway")
        self.assertIn("binary_tensor_data", metadata["extensions"])
        port = {"name": "INPUT0", "datatype": "FP32", "shape": [-1, 16]}
        model = client.get_model_metadata("identity")
        self.assertEqual((model["name"], model["versions"], model["inputs"]), ("identity", ["1"], [port]))
        self.assertEqual(client.get_model_repository_index(), [{"name": "identity", "version": "1", "state": "READY"}])

    def infer(self, x, binary=True, **options):
        tensor = triton_http.InferInput("INPUT0", x.shape, "FP32")
        tensor.set_data_from_numpy(x, binary_data=binary)
        return self.client.infer("identity", [tensor], **options)

    def test_tensors_come_back(self):
        x = np.random.default_rng(1).standard_normal((3, 16)).astype(np.float32)
        for binary in (True, False):
            wanted = [triton_http.InferRequestedOutput("OUTPUT0", binary_data=binary)]
            for outputs in (None, wanted):
                answer = self.infer(x, binary, outputs=outputs, request_id="7")
                np.testing.assert_array_equal(answer.as_numpy("OUTPUT0"), x)
                self.assertEqual(answer.get_response()["id"], "7")
            for coding in ("gzip", "deflate"):
                answer = self.infer(
                    x, binary, request_compression_algorithm=coding, response_compression_algorithm=coding
                )
                np.testing.assert_array_equal(answer.as_numpy("OUTPUT0"), x)

    def test_classes(self):
        x = np.array([[5, 3, 9, 9] + [0] * 12], np.float32)
        answer = self.infer(x, outputs=[triton_http.InferRequestedOutput("OUTPUT0", class_count=3)])
        self.assertEqual(answer.as_numpy("OUTPUT0").tolist(), [b"9.000000:2", b"9.000000:3", b"5.000000:0"])

    def test_unknown_model(self):
        with self.assertRaises(InferenceServerException) as failure:
            self.client.get_model_metadata("foo")
        self.assertEqual(failure.exception.status(), "404")
        self.assertTrue(failure.exception.message().startswith("Request for unknown model: 'foo' is not found"))


class Stop(unittest.TestCase):
    def test_stop(self):
        with tempfile.TemporaryDirectory() as folder:
            server = serving.Server(serving.identity_model(pathlib.Path(folder, "identity.onnx")))
            code, log = server.stop()
            self.assertEqual(code, 0)
            self.assertIn("Waiting for in-flight requests to complete.", log)


if __name__ == "__main__":
    unittest.main()
