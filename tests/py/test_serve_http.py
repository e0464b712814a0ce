"""slipway serve: what comes over raw sockets, good and hostile; pictures; limits."""

import concurrent.futures
import http.client
import json
import pathlib
import re
import socket
import struct
import tempfile
import time
import unittest
import zlib

import numpy as np
from onnx import TensorProto as T

import serving
import slipway

ONES = b'{"inputs":[{"name":"INPUT0","shape":[1,16],"datatype":"FP32","data":[%s]}]}' % b",".join([b"1"] * 16)
INFER = "/v2/models/identity/infer"


def read_all(connection):
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


class Serving(unittest.TestCase):
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = pathlib.Path(cls.temporary.name)
        models = [
            serving.identity_model(cls.folder / "identity.onnx"),
            serving.identity_model(cls.folder / "pair.onnx", n=2),
            serving.identity_model(cls.folder / "square.onnx", shape=(1, "n", "m")),
            serving.identity_model(cls.folder / "bytes8.onnx", T.INT8, (1, None)),
        ]
        cls.server = serving.Server(*models, *cls.arguments)
        cls.addClassCleanup(cls.server.stop)

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.server.http), 20)
        self.addCleanup(connection.close)
        return connection

    def say(self, data, half_close=True):
        """All that comes back for these bytes until the server ends the connection."""
        connection = self.connect()
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        return read_all(connection)

    def alive(self):
        self.assertEqual(self.server.get("/v2/health/live")[0], 200)

    def infer(self, body, model="identity", **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        status, answer_headers, answer = self.server.get(f"/v2/models/{model}/infer", body, names)
        return status, answer_headers, answer

    def error(self, body, model="identity", **headers):
        status, _, answer = self.infer(body, model, **headers)
        return status, json.loads(answer)["error"]


class Requests(Serving):
    def post(self, body, path=INFER, headers=b""):
        return b"POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s" % (
            path.encode(),
            headers,
            len(body),
            body,
        )

    def test_pipelined(self):
        answers = self.say(self.post(ONES) * 50 + b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(answers.count(b"HTTP/1.1 200 OK"), 51)
        self.assertEqual(answers.count(b'"data":[1,1,1'), 50)

    def test_byte_by_byte(self):
        connection = self.connect()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in self.post(ONES):
            connection.sendall(bytes([byte]))
        connection.shutdown(socket.SHUT_WR)
        self.assertIn(b'"data":[1,1,1', read_all(connection))

    def test_chunked(self):
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(ONES[i : i + 7]), ONES[i : i + 7]) for i in range(0, len(ONES), 7))
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % INFER.encode()
        self.assertIn(b'"data":[1,1,1', self.say(head + chunks + b"0\r\n\r\n"))
        many = self.say(head + b"1\r\n{\r\n" * 70000, half_close=False)
        self.assertTrue(many.startswith(b"HTTP/1.1 400 "), many[:100])
        self.assertIn(b"too many chunks", many)

    def test_continue(self):
        connection = self.connect()
        head, body = self.post(ONES, headers=b"Expect: 100-continue\r\n").split(b"\r\n\r\n", 1)
        connection.sendall(head + b"\r\n\r\n")
        self.assertEqual(connection.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(body)
        self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 200 OK"))

    def test_keep_alive_and_close(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.http, timeout=20)
        self.addCleanup(connection.close)
        for path, status in (("/v2", 200), ("/nothing", 404), ("/v2/models/foo", 404), ("/v2/health/ready", 200)):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            self.assertEqual((answer.status, answer.will_close), (status, False))
        for head in (b"GET /v2 HTTP/1.0\r\n\r\n", b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
            self.assertIn(b"\r\nConnection: close\r\n", self.say(head, half_close=False))

    def test_head_and_wrong_methods(self):
        self.assertTrue(self.say(b"HEAD /v2 HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"\r\n\r\n"))
        for method, path, allowed in (
            ("POST", "/v2", "GET, HEAD"),
            ("GET", INFER, "POST"),
            ("DELETE", "/v2/models/identity/detect", "POST, PUT"),
            ("PUT", "/v2/logging", "GET, HEAD, POST"),
        ):
            status, headers, _ = self.server.get(path, method=method)
            self.assertEqual((status, headers["Allow"]), (405, allowed))

    def test_smuggling_is_refused(self):
        hidden = b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n"
        length = b"%d" % len(hidden)
        for headers in (
            b"Content-Length: " + length + b"\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: " + length + b"\r\n",
            b"Content-Length: 0\r\nContent-Length: " + length + b"\r\n",
            b"Transfer-Encoding: xchunked\r\n",
            b"Transfer-Encoding : chunked\r\n",
            b"Content-Length: 0\n\r\n",
        ):
            answer = self.say(b"POST /v2 HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n0\r\n\r\n" + hidden)
            self.assertEqual(answer.count(b"HTTP/1.1 "), 1, headers)
            self.assertIn(answer.split()[1], (b"400", b"501"))
            self.assertIn(b"Connection: close", answer)

    def test_paths_stay_inside(self):
        for path in (
            "/v2/models/../../etc/passwd",
            "/v2/models/%2e%2e%2fetc/ready",
            "/v2/models/a%00b",
            "/%",
            "/v2/models/%ff",
        ):
            answer = self.say(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
            self.assertIn(answer.split()[1], (b"400", b"404"), path)
        self.alive()

    def test_broken_bodies(self):
        cases = {
            b"": "failed to parse the request JSON buffer",
            b"{": "failed to parse the request JSON buffer",
            b"[]": "'request': it must be an object",
            b"{}": "has no 'inputs'",
            b'{"inputs":{}}': "it must be an array",
            b'{"inputs":[1]}': "an array of objects",
            b'{"inputs":[{}]}': "an input has no 'name'",
            ONES.replace(b"[1,16]", b"[1,15]"): "Shape does not match true shape of 'data'",
            ONES.replace(b"[1,16]", b"[-1,-16]"): "negative dimension",
            ONES.replace(
                b"[1,16]", b"[16,1152921504606846978]"
            ): "causes total element count to exceed maximum size of",
            ONES.replace(b"[1,16]", b"[4,1152921504606846978]"): "byte size overflow for input 'INPUT0'",
            ONES.replace(b"[1,16]", b"[1,1,1,1,1,1,1,1,16]"): "more than 8 dimensions",
            ONES.replace(b"FP32", b"FP99"): "unknown datatype 'FP99'",
            ONES.replace(b"FP32", b"FP16"): "sending FP16 data via JSON is not supported",
            ONES.replace(b"1,1]}", b'1,"a"]}'): "Unable to parse 'data' of input 'INPUT0'",
            ONES.replace(b"1,1]}", b"1,,1]}"): "Unable to parse 'data' of input 'INPUT0'",
            ONES.replace(b"INPUT0", b"NOPE"): "NOPE",
            ONES.replace(
                b"]}]}", b']}],"outputs":[{"name":"OUTPUT0"},{"name":"OUTPUT0"}]}'
            ): "output 'OUTPUT0' already exists",
            ONES.replace(b"]}]}", b']}],"outputs":[{"name":"NOPE"}]}'): "NOPE",
            ONES + b"x": "failed to parse the request JSON buffer",
        }
        for body, part in cases.items():
            with self.subTest(body=body):
                status, error = self.error(body)
                self.assertEqual(status, 400)
                self.assertIn(part, error)
        self.alive()

    def test_depth_of_json(self):
        for depth, status in ((50, 200), (120, 400), (250000, 400)):
            body = ONES.replace(b'"data":[', b'"data":' + b"[" * (depth - 3)).replace(
                b"]}]}", b"]" * (depth - 3) + b"}]}"
            )
            self.assertEqual(self.infer(body)[0], status)
        for depth in (120, 250000):
            status, _, answer = self.server.get("/v2/repository/index", b'{"a":' + b"[" * depth)
            self.assertEqual(status, 400)
            self.assertIn("JSON nesting depth exceeds maximum allowed limit (100)", json.loads(answer)["error"])
        self.alive()

    def test_special_numbers(self):
        data = b"NaN,Infinity,-Infinity,1e-45,3.4e38,0.1,-0.0" + b",1" * 9
        answer = self.infer(ONES.replace(b",".join([b"1"] * 16), data))[2]
        values = np.array(json.loads(answer)["outputs"][0]["data"], np.float32)
        np.testing.assert_array_equal(values, np.array([float(x) for x in data.split(b",")], np.float32))

    def test_binary_bounds(self):
        def ask(size, shape, tail, json_size=None):
            head = json.dumps(
                {
                    "inputs": [
                        {"name": "INPUT0", "shape": shape, "datatype": "FP32", "parameters": {"binary_data_size": size}}
                    ]
                }
            ).encode()
            return self.error(head + tail, Inference_Header_Content_Length=str(json_size or len(head)))

        self.assertIn("but 63 bytes follow", ask(64, [1, 16], bytes(63))[1])
        self.assertIn("unexpected additional input data for model 'identity'", ask(64, [1, 16], bytes(65))[1])
        self.assertIn("INPUT0", ask(60, [1, 16], bytes(60))[1])
        self.assertIn("Inference-Header-Content-Length is 9999", ask(64, [1, 16], bytes(64), 9999)[1])
        self.assertEqual(self.error(b"{}", Inference_Header_Content_Length="-1")[0], 400)

    def test_raw_binary(self):
        x = np.arange(16, dtype=np.float32).tobytes()
        status, headers, answer = self.infer(x, Inference_Header_Content_Length="0")
        size = int(headers["Inference-Header-Content-Length"])
        self.assertEqual((status, answer[size:]), (200, x))
        status, headers, answer = self.infer(x * 3, Inference_Header_Content_Length="0", model="bytes8")
        self.assertEqual(
            json.loads(answer[: int(headers["Inference-Header-Content-Length"])])["outputs"][0]["shape"], [1, 192]
        )
        self.assertIn(
            "Raw request must only have 1 input (found 1) to be deduced but got 2 inputs in",
            self.error(x, "pair", Inference_Header_Content_Length="0")[1],
        )
        self.assertIn("more than one variable-sized", self.error(x, "square", Inference_Header_Content_Length="0")[1])

    def test_codings(self):
        packed = zlib.compress(ONES)
        status, _, answer = self.infer(packed, Content_Encoding="deflate")
        self.assertEqual((status, json.loads(answer)["outputs"][0]["data"]), (200, [1] * 16))
        self.assertEqual(self.error(packed[:-3], Content_Encoding="deflate")[0], 400)
        self.assertEqual(self.infer(packed, Content_Encoding="br")[0], 415)

    def test_half_closed_clients_are_answered(self):
        self.assertIn(b'"data":[1,1,1', self.say(self.post(ONES)))

    def test_who_leaves_midway_costs_nothing(self):
        for cut in (10, 40, 200):
            connection = self.connect()
            connection.sendall(self.post(ONES)[:cut])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        self.alive()

    def test_every_request_is_answered_once(self):
        def ask(i):
            body = ONES.replace(b'{"inputs"', b'{"id":"%d","inputs"' % i)
            return [json.loads(self.infer(body)[2])["id"] for _ in range(20)] == [str(i)] * 20

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            self.assertTrue(all(pool.map(ask, range(64))))

    def test_many_idle_connections_are_cheap(self):
        def resident():
            status = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
            return int(status.split("VmRSS:")[1].split()[0])

        self.infer(ONES)
        before, idle = resident(), []
        for _ in range(400):
            idle.append(self.connect())
        for connection in idle[::2]:
            connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertTrue(connection.recv(1000).startswith(b"HTTP/1.1 200"))
        self.assertLess(resident() - before, 2048)  # KiB: a few hundred bytes each
        self.alive()


class Limits(Serving):
    arguments = ("--http-max-input-size", 4096, "--request-timeout-secs", 1)

    def test_too_large(self):
        for size, status in ((4096, 400), (4097, 400)):
            answer = self.error(b"[" + b" " * (size - 1))
            self.assertEqual(answer[0], status)
            sentence = "exceeds the maximum allowed value of 4096 bytes; the server can raise it by --http-max-input-size"
            self.assertEqual(sentence in answer[1], size > 4096)
        bomb = zlib.compress(bytes(1 << 20))
        self.assertIn("exceeds the maximum allowed value", self.error(bomb, Content_Encoding="deflate")[1])
        self.assertIn("exceeds the maximum allowed value", self.error(b" " * (32 << 20))[1])
        grown = b'{"inputs":[{"name":"INPUT0","shape":[1900],"datatype":"FP64","data":[1%s]}]}' % (b",1" * 1899)
        self.assertIn("exceeds the maximum allowed value", self.error(grown)[1])

    def test_slow_senders_are_cut_off(self):
        connections = [self.connect() for _ in range(3)]
        for connection, start in zip(
            connections, (b"GET /v2 HT", b"POST /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1", b"G")
        ):
            connection.sendall(start)
        began = time.monotonic()
        for connection in connections:
            read_all(connection)
        self.assertLess(time.monotonic() - began, 10)
        self.alive()

    def test_slow_senders_over_grpc_are_cut_off(self):
        import grpc

        def drip():
            while True:
                time.sleep(0.3)
                yield b""

        channel = grpc.insecure_channel(self.server.grpc_url)
        self.addCleanup(channel.close)
        began = time.monotonic()
        with self.assertRaises(grpc.RpcError) as failure:
            channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")(drip(), timeout=20)
        self.assertIn("took too long to come", failure.exception.details())
        self.assertLess(time.monotonic() - began, 10)
        self.alive()

    def test_idle_connections_stay(self):
        connection = self.connect()
        time.sleep(2.5)
        connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 200"))


class Pictures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        import cv2

        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.server = serving.Server(slipway.SAMPLE_MODEL)
        cls.addClassCleanup(cls.server.stop)
        noise = np.random.default_rng(1).integers(0, 255, (120, 160, 3), np.uint8)
        cls.picture = cls.folder / "noise.png"
        cv2.imwrite(str(cls.picture), noise)
        cls.path = "/v2/models/person/detect"

    def expected(self, path, *options):
        found = json.loads(slipway.run("detect", slipway.SAMPLE_MODEL, path, "--json", "-", *options).stdout)[0]
        return found["detections"]

    def test_what_is_found(self):
        pictures = [self.picture]
        try:
            pictures.append(slipway.data("images", "bus.jpg"))
        except unittest.SkipTest:
            pass
        for picture in pictures:
            for method in ("POST", "PUT"):
                status, headers, answer = self.server.get(self.path + "?conf=0.1", picture.read_bytes(), method=method)
                self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
                self.assertEqual(json.loads(answer)["detections"], self.expected(picture, "--conf", "0.1"))

    def test_annotated(self):
        import cv2

        for query, kind in (("annotate=1", "image/jpeg"), ("annotate=1&format=png&conf=0", "image/png")):
            status, headers, answer = self.server.get(f"{self.path}?{query}", self.picture.read_bytes())
            self.assertEqual((status, headers["Content-Type"]), (200, kind))
            self.assertEqual(cv2.imdecode(np.frombuffer(answer, np.uint8), 1).shape, (120, 160, 3))

    def multipart(self, *parts):
        body = b"".join(
            b'--XX\r\nContent-Disposition: form-data; name="f"; filename="%s"\r\n\r\n%s\r\n' % (name, data)
            for name, data in parts
        )
        return self.server.get(self.path, body + b"--XX--\r\n", {"Content-Type": "multipart/form-data; boundary=XX"})

    def test_several(self):
        data = self.picture.read_bytes()
        status, _, answer = self.multipart((b"a.png", data), (b"b.png", data))
        self.assertEqual((status, [row["source"] for row in json.loads(answer)]), (200, ["a.png", "b.png"]))
        status, _, answer = self.multipart((b"a.png", data), (b"b.png", data[:100]))
        self.assertEqual(status, 400)
        self.assertIn("b.png", json.loads(answer)["error"])
        self.assertEqual(self.multipart()[0], 400)
        self.assertEqual(self.server.get(self.path, data, {"Content-Type": "multipart/form-data; boundary=YY"})[0], 400)

    def test_no_pictures(self):
        for body, part in (
            (b"", "body is empty"),
            (b"hello", "is not a picture"),
            (self.picture.read_bytes()[:60], "picture: "),
        ):
            status, _, answer = self.server.get(self.path, body)
            self.assertEqual(status, 400)
            self.assertIn(part, json.loads(answer)["error"])
        status, _, answer = self.server.get(self.path + "?conf=7", b"x")
        self.assertEqual(status, 400)
        self.assertIn("'conf' is '7', expected a number from 0 to 1", json.loads(answer)["error"])

    def test_at_once(self):
        data = self.picture.read_bytes()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: self.server.get(self.path, data)[0], range(24)))
        self.assertEqual(answers, [200] * 24)


class Keys(Serving):
    arguments = (
        *("--http-restricted-api", "health,model-repository:Admin-Key=secret"),
        *("--grpc-restricted-protocol", "inference:key=other"),
    )

    def test_http(self):
        for headers, status in (({}, 403), ({"Admin-Key": "secre"}, 403), ({"admin-key": "secret"}, 200)):
            self.assertEqual(self.server.get("/v2/health/ready", headers=headers)[0], status)
            self.assertEqual(self.server.get("/v2/repository/index", b"", headers)[0], status)
        self.assertEqual(self.infer(ONES)[0], 200)
        self.assertIn(b"This API is restricted, expecting header 'admin-key'", self.server.get("/v2/health/live")[2])

    def test_grpc(self):
        import tritonclient.grpc as triton_grpc
        from tritonclient.utils import InferenceServerException

        client = triton_grpc.InferenceServerClient(self.server.grpc_url)
        self.addCleanup(client.close)
        x = triton_grpc.InferInput("INPUT0", [1, 16], "FP32")
        x.set_data_from_numpy(np.zeros((1, 16), np.float32))
        self.assertTrue(client.is_server_ready())
        for key in (None, "wrong"):
            with self.assertRaises(InferenceServerException) as failure:
                client.infer("identity", [x], headers={"triton-grpc-protocol-key": key} if key else None)
            self.assertIn("This protocol is restricted", failure.exception.message())
        client.infer("identity", [x], headers={"triton-grpc-protocol-key": "other"})

    def test_wrong_use(self):
        for value in ("nonsense:a=b", "health", "health:a", "health:=b", "health,health:a=b"):
            process = slipway.run("serve", "x.onnx", "--http-restricted-api", value, expect=1)
            self.assertIn("--http-restricted-api", process.stderr)


def in_source(path, pattern):
    found = re.findall(pattern, (slipway.ROOT / "src/serve" / path).read_text())
    assert len(found) > 5, pattern
    return found


class AllKeys(Serving):
    """No route and no method goes without its key, whatever is added to the tables."""

    groups = ",".join(in_source("server/server.h", r'X\(SW_GROUP_\w+, "([a-z-]+)"\)'))
    arguments = (
        *("--http-restricted-api", groups + ":Admin-Key=secret"),
        *("--grpc-restricted-protocol", groups + ":key=other"),
    )

    def test_http(self):
        routes = in_source("server/routes.c", r'\{"([A-Z]+)", "([^"]*)", SW_GROUP_')
        for method, pattern in [*routes, ("GET", "../page/metrics")]:
            path = "/v2/" + pattern.replace("MODEL", "models/identity").replace("*", "x")
            path = path.replace("/v2/../", "/").removesuffix("/")
            with self.subTest(method=method, path=path):
                body = None if method == "GET" else b"{}"
                status, _, answer = self.server.get(path, body, method=method)
                self.assertEqual(status, 403)
                self.assertIn(b"This API is restricted, expecting header 'admin-key'", answer)
                self.assertNotEqual(self.server.get(path, body, {"Admin-Key": "secret"}, method)[0], 403)

    def test_grpc(self):
        import grpc

        channel = grpc.insecure_channel(self.server.grpc_url)
        self.addCleanup(channel.close)
        methods = in_source("grpc/rpc.c", r'SERVICE "(\w+)"')
        for path in ["/grpc.health.v1.Health/Check", *("/inference.GRPCInferenceService/" + name for name in methods)]:
            with self.subTest(path=path):
                with self.assertRaises(grpc.RpcError) as failure:
                    channel.unary_unary(path)(b"", timeout=20)
                self.assertEqual(failure.exception.code(), grpc.StatusCode.UNAVAILABLE)
                self.assertIn("This protocol is restricted", failure.exception.details())
                try:
                    channel.unary_unary(path)(b"", timeout=20, metadata=(("triton-grpc-protocol-key", "other"),))
                except grpc.RpcError as error:
                    self.assertNotIn("restricted", error.details())


class Ports(unittest.TestCase):
    def test_one_port_and_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            path = pathlib.Path(folder, "socket")
            model = serving.identity_model(pathlib.Path(folder, "identity.onnx"))
            server = serving.Server(model, "--port", port, "--unix", path)
            self.addCleanup(server.stop)
            self.assertEqual((server.http, server.grpc, server.metrics), (port, port, port))
            import tritonclient.grpc as triton_grpc

            for url in (server.grpc_url, f"unix:{path}"):
                client = triton_grpc.InferenceServerClient(url)
                self.assertTrue(client.is_server_ready())
                client.close()
            self.assertEqual(server.get("/metrics")[0], 200)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                connection.sendall(b"GET /v2/health/live HTTP/1.0\r\n\r\n")
                self.assertTrue(read_all(connection).startswith(b"HTTP/1.1 200"))
            taken = slipway.run("serve", model, "--port", port, expect=3)
            self.assertIn("Address already in use", taken.stderr)
            self.assertEqual(server.stop()[0], 0)
            self.assertFalse(path.exists())

    def test_models_that_fail(self):
        with tempfile.TemporaryDirectory() as folder:
            bad, good = pathlib.Path(folder, "bad.onnx"), pathlib.Path(folder, "good.onnx")
            bad.write_bytes(b"nonsense")
            serving.identity_model(good)
            ports = ["--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
            self.assertIn("1 model could not be loaded", slipway.run("serve", bad, good, *ports, expect=2).stderr)
            server = serving.Server(bad, good, "--exit-on-error", "false", "--strict-readiness", "false")
            self.addCleanup(server.stop)
            while server.get("/v2/models/good/ready")[0] != 200:
                time.sleep(0.01)
            self.assertEqual(server.get("/v2/models/bad/ready")[0], 400)

    def test_broken_models_beside_good_ones(self):
        """The index tells why, also of what has no version yet; ensembles of what is not there are not ready."""
        ports = 'input { name: "A" data_type: TYPE_FP32 dims: 16 } output { name: "B" data_type: TYPE_FP32 dims: 16 }'
        step = 'input_map { key: "INPUT0" value: "A" } output_map { key: "OUTPUT0" value: "B" }'
        ensemble = 'platform: "ensemble" %s ensemble_scheduling { step { model_name: "%%s" model_version: -1 %s } }'
        configs = {
            "good": "",
            "syntax": "max_batch_size: 8 input [ { name: ",
            "warned": "dynamic_batching { } instance_group { rate_limiter { priority: 2 } } response_cache { enable: true }",
            "gpu": "instance_group { kind: KIND_GPU }",
            "lonely": ensemble % (ports, step) % "nobody",
            "of_broken": ensemble % (ports, step) % "syntax",
            "of_good": ensemble % (ports, step) % "good",
            "wrong_name": ensemble % (ports, step.replace("OUTPUT0", "OUTPUT1")) % "good",
            "wrong_type": ensemble % (ports.replace("FP32", "INT8", 1), step) % "good",
        }
        with tempfile.TemporaryDirectory() as folder:
            for name, config in configs.items():
                path = pathlib.Path(folder, name, "1")
                path.mkdir(parents=True)
                serving.identity_model(path / "model.onnx", shape=(16,))
                (path.parent / "config.pbtxt").write_text(config)
            environment = slipway.ENVIRONMENT | {"SLIPWAY_CUDA_DRIVER": "/nonexistent"}
            options = ["--exit-on-error", "false", "--strict-readiness", "false"]
            server = serving.Server("--model-repository", folder, *options, env=environment)
            self.addCleanup(server.stop)
            ready = {name: server.get(f"/v2/models/{name}/ready")[0] == 200 for name in configs}
            self.assertEqual({name for name in configs if ready[name]}, {"good", "warned", "of_good"})
            rows = {row["name"]: row for row in json.loads(server.get("/v2/repository/index", b"{}")[2])}
            self.assertEqual(list(rows), sorted(configs))
            for name, part in (
                ("syntax", "config.pbtxt: line 1, column 35: "),
                ("gpu", "there is no NVIDIA driver .*; the model's instance_group is of KIND_GPU: with KIND_CPU"),
                ("wrong_name", "in ensemble 'wrong_name', model 'good' has no output 'OUTPUT1'"),
                ("wrong_type", "tensor 'A' is INT8, but input 'INPUT0' of model 'good' is FP32"),
                ("lonely", "ensemble 'lonely' contains models that are not available: 'nobody'"),
            ):
                self.assertEqual(rows[name]["state"], "UNAVAILABLE")
                self.assertRegex(rows[name]["reason"], part)
            _, log = server.stop()
            for key in ("dynamic_batching makes no batches", "rate_limiter has no effect", "response_cache has no effect"):
                self.assertRegex(log, rf"warning: .*warned/config.pbtxt: line 1, column \d+: {key}")

    def test_repositories_laid_out_wrongly(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for path in ("loose/a.onnx", "first/a/1/model.onnx", "second/a/1/model.onnx"):
                (folder / path).parent.mkdir(parents=True)
                serving.identity_model(folder / path)
            words = ["serve", folder / "loose/a.onnx", folder / "first/a/1/model.onnx", folder / "second/a/1/model.onnx"]
            self.assertRegex(slipway.run(*words, expect=1).stderr, "would have the name 'model', as .*/first/a/1/model.onnx")
            for repositories, parts in (
                (["loose"], ["a.onnx: is not served: .* lies in .*/loose/a/1/", "loose: there is no model: expected"]),
                (["first", "second"], ["second/a: is not served: .*/first/a has the same name"]),
            ):
                words = [word for one in repositories for word in ("--model-repository", folder / one)]
                server = serving.Server(*words)
                self.addCleanup(server.stop)
                _, log = server.stop()
                for part in parts:
                    self.assertRegex(log, f"warning: .*{part}")

    def test_repository_under_control_of_clients(self):
        import tritonclient.http as triton_http

        with tempfile.TemporaryDirectory() as folder:
            for version in ("1", "3"):
                pathlib.Path(folder, "a", version).mkdir(parents=True)
                serving.identity_model(pathlib.Path(folder, "a", version, "model.onnx"))
            server = serving.Server("--model-repository", folder, "--model-control-mode", "explicit")
            self.addCleanup(server.stop)
            client = triton_http.InferenceServerClient(server.url)
            self.addCleanup(client.close)
            self.assertFalse(client.is_model_ready("a"))
            client.load_model("a")
            self.assertTrue(client.is_model_ready("a"))
            self.assertEqual(client.get_model_metadata("a")["versions"], ["3"])
            self.assertEqual(client.get_model_config("a")["name"], "a")
            client.unload_model("a")
            while client.is_model_ready("a"):
                time.sleep(0.01)
            status, _, answer = server.get("/v2/repository/models/none/load", b"")
            self.assertEqual(status, 500)  # as Triton
            self.assertIn("failed to load 'none'", json.loads(answer)["error"])
            status, _, answer = server.get("/v2/repository/models/..%2Fa/load", b"")
            self.assertEqual(status, 400)

    def test_wrong_use(self):
        for arguments, part in (
            (["serve"], "nothing to serve"),
            (["serve", "x.onnx", "--model-control-mode", "magic"], "expected none, poll or explicit"),
            (["serve", "x.onnx", "--load-model", "x"], "--load-model needs"),
            (["serve", "x.onnx", "--exit-on-error", "maybe"], "expected true or false"),
            (["serve", "x.onnx", "--http-max-input-size", "0"], "--http-max-input-size"),
            (["serve", "x.onnx", "--http-max-input-size", "-5"], "--http-max-input-size"),
        ):
            self.assertIn(part, slipway.run(*arguments, expect=1).stderr)


if __name__ == "__main__":
    unittest.main()
