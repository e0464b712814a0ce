"""slipway serve and system shared memory: Triton's clients unchanged, and regions that are not what they seem."""

import json
import os
import pathlib
import struct
import tempfile
import time
import unittest

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

import serving

SLOW = """name: "slow" backend: "identity" max_batch_size: 0
input { name: "INPUT0" data_type: TYPE_FP32 dims: [ 16 ] } output { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 16 ] }
parameters { key: "execute_delay_ms" value { string_value: "800" } }
"""
TEXTS = """name: "texts" backend: "identity" max_batch_size: 0
input { name: "INPUT0" data_type: TYPE_STRING dims: [ -1 ] } output { name: "OUTPUT0" data_type: TYPE_STRING dims: [ -1 ] }
"""
X = np.arange(16, dtype=np.float32).reshape(1, 16)


class Memory(unittest.TestCase):
    """Regions "in" and "out" of 128 bytes; the input lies 64 bytes into "in"."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        root = pathlib.Path(cls.temporary.name)
        for name, config in (("slow", SLOW), ("texts", TEXTS)):
            (root / name / "1").mkdir(parents=True)
            (root / name / "config.pbtxt").write_text(config)
        model = serving.identity_model(root / "identity.onnx")
        pair = serving.identity_model(root / "pair.onnx", n=2)
        cls.server = serving.Server(model, pair, "--model-repository", root, *("--allow-client-shm", "true"))
        cls.addClassCleanup(cls.server.stop)
        cls.keys = [f"/slipway-test-{os.getpid()}-{name}" for name in ("in", "out")]

    def setUp(self):
        self.regions = [shm.create_shared_memory_region(n, k, 128) for n, k in zip(("in", "out"), self.keys)]
        for region in self.regions:
            self.addCleanup(shm.destroy_shared_memory_region, region)
        shm.set_shared_memory_region(self.regions[0], [X], offset=64)

    def clients(self):
        for module, url in ((triton_http, self.server.url), (triton_grpc, self.server.grpc_url)):
            client = module.InferenceServerClient(url)
            self.addCleanup(client.close)
            client.unregister_system_shared_memory()
            for name, key in zip(("in", "out"), self.keys):
                client.register_system_shared_memory(name, key, 128)
            with self.subTest(protocol=module.__name__):
                yield module, client
            client.unregister_system_shared_memory()

    @staticmethod
    def names(client):
        rows = client.get_system_shared_memory_status()
        return sorted(row["name"] for row in rows) if isinstance(rows, list) else sorted(rows.regions)

    @staticmethod
    def tensors(module, where=("in", 64, 64), to=("out", 64, 0)):
        x = module.InferInput("INPUT0", [1, 16], "FP32")
        x.set_shared_memory(*where)
        y = module.InferRequestedOutput("OUTPUT0")
        y.set_shared_memory(*to)
        return {"inputs": [x], "outputs": [y]}

    def refused(self, call, part, code=None):
        with self.assertRaises(InferenceServerException) as failure:
            call()
        self.assertIn(part, failure.exception.message())
        if code:
            self.assertIn(failure.exception.status(), code)

    def test_tensors(self):
        for module, client in self.clients():
            shm.set_shared_memory_region(self.regions[1], [np.zeros(32, np.float32)])
            answer = client.infer("identity", **self.tensors(module, to=("out", 64, 32)))
            back = shm.get_contents_as_numpy(self.regions[1], np.float32, [1, 32])
            np.testing.assert_array_equal(back[:, 8:24], X)
            self.assertFalse(back[:, :8].any() or back[:, 24:].any())
            output = answer.get_output("OUTPUT0")
            if module is triton_http:
                self.assertEqual(output, {"name": "OUTPUT0", "datatype": "FP32", "shape": [1, 16]})  # as Triton's answer
            else:
                self.assertFalse(output.parameters)

    def test_beside_tensors_in_the_request(self):
        for module, client in self.clients():
            inputs = [module.InferInput(f"INPUT{i}", [1, 16], "FP32") for i in range(2)]
            inputs[0].set_shared_memory("in", 64, 64)
            inputs[1].set_data_from_numpy(X + 100)
            outputs = [module.InferRequestedOutput(f"OUTPUT{i}") for i in range(2)]
            outputs[0].set_shared_memory("out", 64)
            answer = client.infer("pair", inputs, outputs=outputs)
            np.testing.assert_array_equal(answer.as_numpy("OUTPUT1"), X + 100)
            np.testing.assert_array_equal(shm.get_contents_as_numpy(self.regions[1], np.float32, [1, 16]), X)

    def test_texts(self):
        words = np.array([b"", b"one", "zw\u00f6lf".encode()], np.object_)
        for module, client in self.clients():
            packed = b"".join(struct.pack("<I", len(word)) + word for word in words)
            shm.set_shared_memory_region(self.regions[0], [np.frombuffer(packed, np.uint8)])
            size = len(packed)
            x = module.InferInput("INPUT0", [3], "BYTES")
            x.set_shared_memory("in", size)
            y = module.InferRequestedOutput("OUTPUT0")
            y.set_shared_memory("out", 128)
            client.infer("texts", [x], outputs=[y])
            back = shm.get_contents_as_numpy(self.regions[1], np.object_, [3])
            self.assertEqual(back.tolist(), words.tolist())
            x.set_shared_memory("in", size - 1)
            self.refused(lambda: client.infer("texts", [x]), "string elements for inference input 'INPUT0'")
            shm.set_shared_memory_region(self.regions[0], [X], offset=64)

    def test_status_and_unregister(self):
        for module, client in self.clients():
            self.assertEqual(self.names(client), ["in", "out"])
            row = client.get_system_shared_memory_status("in")
            row = row[0] if module is triton_http else row.regions["in"]
            get = row.get if module is triton_http else lambda name: getattr(row, name)
            expected = ["in", self.keys[0], 0, 128]
            self.assertEqual([get(name) for name in ("name", "key", "offset", "byte_size")], expected)
            self.refused(
                lambda: client.get_system_shared_memory_status("none"),
                "Unable to find system shared memory region: 'none'",
                ("404", "StatusCode.NOT_FOUND"),
            )
            client.unregister_system_shared_memory("none")
            client.unregister_system_shared_memory("in")
            self.assertEqual(self.names(client), ["out"])
            self.refused(
                lambda: client.infer("identity", **self.tensors(module)), "Unable to find shared memory region: 'in'"
            )
            client.register_system_shared_memory("in", self.keys[0], 64, 64)  # the offset need not be a page's
            client.infer("identity", **self.tensors(module, where=("in", 64)))
            client.unregister_system_shared_memory()
            self.assertEqual(self.names(client), [])

    def test_registering_what_cannot_be(self):
        largest = 2**64 - 1
        for _, client in self.clients():
            register = client.register_system_shared_memory
            for arguments, part, code in (
                (("in", self.keys[0], 128), "shared memory region 'in' already in manager", "ALREADY_EXISTS"),
                (("a", "/slipway-none", 64), "Unable to open shared memory region: '/slipway-none'", "INTERNAL"),
                (("a", "/../../etc/passwd", 64), "Unable to open shared memory region", "INTERNAL"),
                (("a", "/", 64), "Unable to open shared memory region", "INTERNAL"),
                (("a", self.keys[0], 129), "failed to register shared memory region 'a': invalid args", "INVALID"),
                (("a", self.keys[0], 128, 1), "failed to register shared memory region 'a': invalid args", "INVALID"),
                (("a", self.keys[0], 64, largest - 31), "'a': invalid args", "INVALID"),
                (("a", self.keys[0], largest, 64), "'a': invalid args", "INVALID"),
                (("a", self.keys[0], 0), "byte_size must be more than 0", "INVALID"),
                (
                    ("a", "/triton_python_backend_shm_region_x", 64),
                    "cannot register shared memory region 'a' with key '/triton_python_backend_shm_region_x' as the key "
                    "contains the reserved prefix 'triton_python_backend_shm_region_'",
                    "INVALID",
                ),
            ):
                self.refused(lambda: register(*arguments), part)
            self.assertEqual(self.names(client), ["in", "out"])
        for body in (b"", b"[]", b"{}", b'{"key":"/x"}', b'{"key":7,"byte_size":1}', b'{"key":"/x","byte_size":-1}'):
            path = "/v2/systemsharedmemory/region/a/register"
            status, _, answer = self.server.get(path, body, method="POST")
            self.assertEqual((status, "error" in json.loads(answer)), (400, True))

    def test_bounds(self):
        for module, client in self.clients():
            beyond = 2**64 - 32 if module is triton_http else 2**63 - 1
            for arguments, part in (
                ({"where": ("in", 64, 65)}, "Invalid offset + byte size for shared memory region: 'in'"),
                ({"where": ("in", 64, 128)}, "Invalid offset for shared memory region: 'in'"),
                ({"to": ("out", 64, beyond)}, "Invalid offset for shared memory region: 'out'"),
                ({"to": ("out", 129, 0)}, "Invalid offset + byte size for shared memory region: 'out'"),
                ({"where": ("none", 64)}, "Unable to find shared memory region: 'none'"),
                ({"where": ("in", 60)}, "input byte size mismatch for input 'INPUT0'"),
                (
                    {"to": ("out", 60)},
                    "shared memory size specified with the request for output 'OUTPUT0' (60 bytes) should be at least "
                    "64 bytes to hold the results",
                ),
            ):
                self.refused(lambda: client.infer("identity", **self.tensors(module, **arguments)), part)
        self.assertEqual(self.server.get("/v2/health/live")[0], 200)

    def test_parameters_without_region(self):
        place = {"shared_memory_byte_size": 64}
        body = {"inputs": [{"name": "INPUT0", "shape": [1, 16], "datatype": "FP32", "parameters": place}]}
        status, _, answer = self.server.get("/v2/models/identity/infer", json.dumps(body).encode())
        self.assertEqual(status, 400)
        self.assertIn("'INPUT0' has no parameter 'shared_memory_region'", json.loads(answer)["error"])

    def test_memory_that_shrinks(self):
        for module, client in self.clients():
            for index, arguments in enumerate(({}, {"where": ("in", 64, 0), "to": ("out", 64, 64)})):
                path = "/dev/shm" + self.keys[index]
                os.truncate(path, 64)
                self.refused(lambda: client.infer("identity", **self.tensors(module, **arguments)), "become smaller")
                self.assertEqual(os.path.getsize(path), 64)
                os.truncate(path, 128)
            shm.set_shared_memory_region(self.regions[0], [X], offset=64)
            client.infer("identity", **self.tensors(module))

    def test_unregister_during_inference(self):
        for module, client in self.clients():
            tensors = self.tensors(module)
            for tensor in tensors["inputs"]:
                tensor.set_shape([16])
            other = triton_http.InferenceServerClient(self.server.url)
            self.addCleanup(other.close)
            shm.set_shared_memory_region(self.regions[1], [np.zeros(16, np.float32)])
            answers = []
            if module is triton_http:
                waiting = client.async_infer("slow", **tensors)
            else:
                client.async_infer("slow", callback=lambda result, error: answers.append(error), **tensors)
            deadline = time.monotonic() + 20
            time.sleep(0.3)  # until it is read
            other.unregister_system_shared_memory()
            self.assertEqual(self.names(other), ["in", "out"])  # as long as the request is under way
            self.refused(lambda: other.infer("identity", **self.tensors(triton_http)), "Unable to find")
            if module is triton_http:
                waiting.get_result()
            while self.names(other):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
            self.assertEqual(answers, [None] * len(answers))
            np.testing.assert_array_equal(shm.get_contents_as_numpy(self.regions[1], np.float32, [1, 16]), X)

    def test_cuda(self):
        for module, client in self.clients():
            self.assertFalse(self.server.get("/v2/cudasharedmemory/status")[2] != b"[]")
            if module is triton_http:
                call = lambda: client.register_cuda_shared_memory("a", b"x" * 64, 0, 64)
            else:
                call = lambda: client.register_cuda_shared_memory("a", b"\xff" * 64, 0, 64)
            self.refused(call, "failed to register CUDA shared memory region: 'a', GPUs not supported")
            client.unregister_cuda_shared_memory()


if __name__ == "__main__":
    unittest.main()
