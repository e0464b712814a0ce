"""slipway serve with Triton's own clients."""

import asyncio
import json
import pathlib
import queue
import socket
import tempfile
import threading
import time
import unittest

import numpy as np
import tritonclient.grpc as triton_grpc
import tritonclient.grpc.aio as triton_grpc_aio
import tritonclient.http as triton_http
import tritonclient.http.aio as triton_http_aio
from tritonclient.utils import InferenceServerException

import serving
import slipway


class Serving(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        folder = pathlib.Path(cls.temporary.name)
        wide = serving.identity_model(folder / "wide.onnx", shape=(1, "n"))
        cls.server = serving.Server(serving.identity_model(folder / "identity.onnx"), wide)
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
        self.assertIn({"name": "identity", "version": "1", "state": "READY"}, client.get_model_repository_index())

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
        self.assertEqual(answer.as_numpy("OUTPUT0").tolist(), [[b"9.000000:2", b"9.000000:3", b"5.000000:0"]])

    def test_unknown_model(self):
        with self.assertRaises(InferenceServerException) as failure:
            self.client.get_model_metadata("foo")
        self.assertEqual(failure.exception.status(), "404")
        self.assertTrue(failure.exception.message().startswith("Request for unknown model: 'foo' is not found"))


def tensor(module, x, name="INPUT0", datatype="FP32"):
    made = module.InferInput(name, x.shape, datatype)
    made.set_data_from_numpy(x)
    return made


class Grpc(Serving):
    def setUp(self):
        self.client = triton_grpc.InferenceServerClient(self.server.grpc_url)
        self.addCleanup(self.client.close)

    def test_status(self):
        client = self.client
        self.assertTrue(client.is_server_live() and client.is_server_ready() and client.is_model_ready("identity"))
        self.assertFalse(client.is_model_ready("identity", "2"))
        metadata = client.get_server_metadata(as_json=True)
        self.assertEqual(metadata["name"], "slipway")
        self.assertIn("binary_tensor_data", metadata["extensions"])
        model = client.get_model_metadata("identity", as_json=True)
        port = {"name": "INPUT0", "datatype": "FP32", "shape": ["-1", "16"]}
        self.assertEqual((model["name"], model["versions"], model["inputs"]), ("identity", ["1"], [port]))
        rows = client.get_model_repository_index(as_json=True)["models"]
        self.assertIn({"name": "identity", "version": "1", "state": "READY"}, rows)

    def test_tensors_come_back(self):
        x = np.random.default_rng(1).standard_normal((3, 16)).astype(np.float32)
        for coding in (None, "gzip", "deflate"):
            for outputs in (None, [triton_grpc.InferRequestedOutput("OUTPUT0")]):
                answer = self.client.infer(
                    "identity", [tensor(triton_grpc, x)], outputs=outputs, request_id="7", compression_algorithm=coding
                )
                np.testing.assert_array_equal(answer.as_numpy("OUTPUT0"), x)
                self.assertEqual(answer.get_response().id, "7")

    def test_large_tensors(self):
        x = np.random.default_rng(1).standard_normal((1, 1600000)).astype(np.float32)
        answer = self.client.infer("wide", [tensor(triton_grpc, x)])
        np.testing.assert_array_equal(answer.as_numpy("OUTPUT0"), x)

    def test_classes(self):
        x = np.array([[5, 3, 9, 9] + [0] * 12], np.float32)
        outputs = [triton_grpc.InferRequestedOutput("OUTPUT0", class_count=2)]
        answer = self.client.infer("identity", [tensor(triton_grpc, x)], outputs=outputs)
        self.assertEqual(answer.as_numpy("OUTPUT0").tolist(), [[b"9.000000:2", b"9.000000:3"]])

    def test_errors(self):
        x = np.zeros((1, 16), np.float32)
        for call, code in (
            (lambda: self.client.infer("foo", [tensor(triton_grpc, x)]), "NOT_FOUND"),
            (lambda: self.client.infer("identity", [tensor(triton_grpc, x, name="X")]), "INVALID_ARGUMENT"),
            (lambda: self.client.get_model_metadata("identity", "9"), "NOT_FOUND"),
            (lambda: self.client.get_model_metadata("identity", "nine"), "INVALID_ARGUMENT"),
        ):
            with self.assertRaises(InferenceServerException) as failure:
                call()
            self.assertEqual(failure.exception.status(), f"StatusCode.{code}")

    def test_stream_answers_in_order(self):
        answers = queue.Queue()
        self.client.start_stream(callback=lambda result, error: answers.put((result, error)))
        for i in range(200):
            x = np.full((1, 16), i, np.float32)
            name = "foo" if i == 100 else "identity"
            self.client.async_stream_infer(name, [tensor(triton_grpc, x)], request_id=str(i))
        for i in range(200):
            result, error = answers.get(timeout=20)
            if i == 100:
                self.assertIn("Request for unknown model: 'foo' is not found", str(error))
                continue
            self.assertIsNone(error)
            self.assertEqual(result.get_response().id, str(i))
            self.assertEqual(result.as_numpy("OUTPUT0")[0, 0], i)
        self.client.stop_stream()


CONFIG = """name: "%s" backend: "identity" max_batch_size: 8
input { name: "INPUT0" data_type: TYPE_%s dims: [ -1 ] }
output { name: "OUTPUT0" data_type: TYPE_%s dims: [ -1 ] }
"""
TYPES = {
    "BOOL": np.bool_,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}


class Types(unittest.TestCase):
    """Every data type through the identity backend, from a repository with configurations."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        for name in TYPES:
            folder = pathlib.Path(cls.temporary.name, name)
            (folder / "1").mkdir(parents=True)
            kind = "STRING" if name == "BYTES" else name
            (folder / "config.pbtxt").write_text(CONFIG % (name, kind, kind))
        cls.server = serving.Server("--model-repository", cls.temporary.name)
        cls.addClassCleanup(cls.server.stop)

    def values(self, name):
        if name == "BYTES":
            return np.array([[b"", '\u00e9\n"'.encode(), b"x" * 300], [b"1", b"2", b"3"]], np.object_)
        if name == "BOOL" or name.startswith("FP"):
            return np.array([[0, 1, 0.5], [1, 2.5, 0]], TYPES[name])
        limits = np.iinfo(TYPES[name])
        return np.array([[limits.min, limits.max, 0], [1, 2, 3]], TYPES[name])

    def test_http(self):
        client = triton_http.InferenceServerClient(self.server.url)
        self.addCleanup(client.close)
        for name in TYPES:
            for binary in (True, False) if name != "FP16" else (True,):
                with self.subTest(name=name, binary=binary):
                    x = self.values(name)
                    made = triton_http.InferInput("INPUT0", x.shape, name)
                    made.set_data_from_numpy(x, binary_data=binary)
                    wanted = [triton_http.InferRequestedOutput("OUTPUT0", binary_data=binary)]
                    back = client.infer(name, [made], outputs=wanted).as_numpy("OUTPUT0")
                    if name == "BYTES" and not binary:
                        back = np.array([[text.encode() for text in row] for row in back], np.object_)
                    np.testing.assert_array_equal(back, x)

    def test_grpc(self):
        client = triton_grpc.InferenceServerClient(self.server.grpc_url)
        self.addCleanup(client.close)
        for name in TYPES:
            with self.subTest(name=name):
                x = self.values(name)
                back = client.infer(name, [tensor(triton_grpc, x, datatype=name)]).as_numpy("OUTPUT0")
                np.testing.assert_array_equal(back, x)

    def test_texts_that_lie_about_their_length(self):
        for data in (b"\xff\xff\xff\xff", b"\5\0\0\0abc", b"\1\0\0", b"\1\0\0\0ab"):
            head = json.dumps(
                {
                    "inputs": [
                        {
                            "name": "INPUT0",
                            "shape": [1, 1],
                            "datatype": "BYTES",
                            "parameters": {"binary_data_size": len(data)},
                        }
                    ]
                }
            ).encode()
            headers = {"Inference-Header-Content-Length": str(len(head))}
            self.assertEqual(self.server.get("/v2/models/BYTES/infer", head + data, headers)[0], 400)


class SharedMemory(Serving):
    def test_there_is_none(self):
        for module, url in ((triton_http, self.server.url), (triton_grpc, self.server.grpc_url)):
            client = module.InferenceServerClient(url)
            self.addCleanup(client.close)
            for kind in ("system", "cuda"):
                status = getattr(client, f"get_{kind}_shared_memory_status")()
                self.assertFalse(status if module is triton_http else status.regions)
                getattr(client, f"unregister_{kind}_shared_memory")()
            with self.assertRaises(InferenceServerException) as failure:
                client.register_system_shared_memory("a", "/a", 64)
            self.assertIn("Client shared memory is disabled", failure.exception.message())
            x = module.InferInput("INPUT0", [1, 16], "FP32")
            x.set_shared_memory("a", 64)
            with self.assertRaises(InferenceServerException) as failure:
                client.infer("identity", [x])
            self.assertIn("Client shared memory is disabled", failure.exception.message())


class Aio(Serving):
    async def check(self, module, url):
        client = module.InferenceServerClient(url)
        x = np.arange(32, dtype=np.float32).reshape(2, 16)
        inputs = [tensor(triton_http if module is triton_http_aio else triton_grpc, x)]
        self.assertTrue(await client.is_server_ready() and await client.is_model_ready("identity"))
        for answer in await asyncio.gather(*(client.infer("identity", inputs) for _ in range(20))):
            np.testing.assert_array_equal(answer.as_numpy("OUTPUT0"), x)
        await client.get_model_config("identity")
        await client.get_inference_statistics("identity")
        await client.close()

    def test_http(self):
        asyncio.run(self.check(triton_http_aio, self.server.url))

    def test_grpc(self):
        asyncio.run(self.check(triton_grpc_aio, self.server.grpc_url))


class Client(Serving):
    def test_load(self):
        ports = ["--http-port", self.server.http, "--grpc-port", self.server.grpc]
        for options in ([], ["--encoding", "json"], ["--grpc"], ["--rate", "200"]):
            arguments = ["client", "identity", *ports, "--seconds", "0.2", "--connections", "1,4", "--json", *options]
            rows = json.loads(slipway.run(*arguments).stdout)
            self.assertEqual([row["connections"] for row in rows], [1, 4])
            for row in rows:
                self.assertGreater(row["answered"], 0)
                self.assertEqual(row["failed"], 0)
                self.assertLessEqual(row["p50_us"], row["p99_us"])

    def test_answers_of_many_packets(self):
        with tempfile.TemporaryDirectory() as folder:
            server = serving.Server(serving.identity_model(pathlib.Path(folder, "large.onnx"), shape=(1, 500000)))
            arguments = ["client", "large", "--http-port", server.http, "--json", "--seconds", "0.3", "--connections", "1"]
            [row] = json.loads(slipway.run(*arguments).stdout)
            server.stop()
        self.assertGreater(row["answered"], 0)
        self.assertEqual(row["failed"], 0)

    def test_once(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            x = np.arange(32, dtype=np.float32).reshape(2, 16)
            np.save(folder / "x.npy", x)
            ports = ["--http-port", self.server.http, "--grpc-port", self.server.grpc]
            once = ["client", "identity", *ports, "--once", "--input"]
            text = slipway.run(*once, folder / "x.npy", "--output-dir", folder / "out").stdout
            self.assertRegex(text, r"OUTPUT0 +float32 +2 x 16 +0 +15.5 +31\n")
            np.testing.assert_array_equal(np.load(folder / "out/OUTPUT0.npy"), x)
            for words, part in (
                ([f"INPUT={folder}/x.npy"], "names no input of the model; there are INPUT0"),
                ([folder / "x.npy", "--grpc"], "--once asks for a model over HTTP"),
                ([folder / "x.npy", "--encoding", "json"], "--once asks for a model over HTTP with binary tensors"),
                ([folder / "x.npy", "--input", folder / "x.npy"], "the input 'INPUT0' is given twice"),
            ):
                self.assertIn(part, slipway.run(*once, *words, expect=1).stderr)
            np.save(folder / "x.npy", x.astype(np.float64))
            self.assertIn("400 ", slipway.run(*once, folder / "x.npy", expect=3).stderr)
            for options in ([], ["--grpc"]):  # the same as load
                words = ["client", "identity", *ports, "--input", f"INPUT0={folder}/x.npy", "--seconds", "0.1", *options]
                self.assertIn("the first: ", slipway.run(*words, "--connections", "1", expect=3).stderr)

    def test_unknown_model(self):
        process = slipway.run("client", "foo", "--http-port", self.server.http, expect=3)
        self.assertIn("Request for unknown model: 'foo' is not found", process.stderr)

    def test_no_answer_in_time(self):
        def answer_late():
            connection = late.accept()[0]
            time.sleep(0.6)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            connection.recv(1)
            connection.close()

        with socket.create_server(("127.0.0.1", 0)) as late:
            thread = threading.Thread(target=answer_late)
            thread.start()
            arguments = ["client", "--http-port", late.getsockname()[1], "--seconds", "0.1", "--connections", "1"]
            process = slipway.run(*arguments, expect=3)
            self.assertIn("no answer came within 0.1 s: measure for longer", process.stderr)
            thread.join()

    def test_failures_are_told(self):
        arguments = ["client", "identity", "--http-port", self.server.http, "--seconds", "0.1", "--connections", "1"]
        for shape in "INPUT0=1x5", "1x5":
            process = slipway.run(*arguments, "--shapes", shape, expect=3)
            self.assertIn("the first: 400", process.stderr)
            self.assertIn("no request was answered", process.stderr)
        self.assertIn("names no input", slipway.run(*arguments, "--shapes", "OTHER=1x5", expect=1).stderr)


class Stop(unittest.TestCase):
    def late(self, delay_us, *arguments):
        """A server whose model gathers a batch for so long, with a request waiting in it; SIGTERM was sent."""
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        version = pathlib.Path(temporary.name, "late", "1")
        version.mkdir(parents=True)
        serving.identity_model(version / "model.onnx")
        config = f"max_batch_size: 8 dynamic_batching {{ max_queue_delay_microseconds: {delay_us} }}"
        (version.parent / "config.pbtxt").write_text(config)
        server = serving.Server("--model-repository", temporary.name, *arguments)
        self.addCleanup(server.stop)
        answers = []

        def ask():
            inputs = [{"name": "INPUT0", "shape": [1, 16], "datatype": "FP32", "data": [1] * 16}]
            try:
                answers.append(server.get("/v2/models/late/infer", json.dumps({"inputs": inputs}).encode())[0])
            except OSError as error:
                answers.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        while b'count{model="late",version="1"} 1' not in server.get("/metrics", port=server.metrics)[2]:
            time.sleep(0.005)  # it waits
        server.process.terminate()
        return server, thread, answers

    def test_requests_under_way_are_answered(self):
        server, thread, answers = self.late(700000)
        while not any("Waiting for in-flight requests to complete." in line for line in server.log):
            time.sleep(0.005)
        with self.assertRaises(OSError):  # nobody else is let in
            if server.get("/v2/health/ready")[0] != 200:
                raise ConnectionRefusedError
        thread.join(30)
        code, log = server.stop()
        self.assertEqual((code, answers), (0, [200]), log)
        self.assertNotIn("not done in time", log)

    def test_a_stop_has_a_limit(self):
        server, thread, answers = self.late(60000000, "--exit-timeout-secs", 1)
        code, log = server.stop()
        thread.join(30)
        self.assertEqual((code, len(answers)), (0, 1), log)
        self.assertNotEqual(answers, [200])
        self.assertIn("1 requests were not done in time and are dropped", log)

    def test_stop(self):
        with tempfile.TemporaryDirectory() as folder:
            server = serving.Server(serving.identity_model(pathlib.Path(folder, "identity.onnx")))
            code, log = server.stop()
            self.assertEqual(code, 0)
            self.assertIn("Waiting for in-flight requests to complete.", log)


if __name__ == "__main__":
    unittest.main()
