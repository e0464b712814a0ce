"""slipway serve with TLS: Triton's clients, certificates on both sides, files that are none."""

import asyncio
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
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

X = np.random.default_rng(1).standard_normal((1, 400000)).astype(np.float32)  # of many records


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_certificates(folder):
    """ca.pem, and server and client (.pem and .key) by it; other.pem and other.key by nobody; locked.key with a password."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for name in ("ca", "other"):
        openssl("req", "-x509", *key, "-subj", f"/CN={name}", "-days", 2, *out(folder, name))
    for name in ("server", "client"):
        names = folder / "names"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
        openssl("req", *key, "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / "request")
        authority = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial")
        openssl(
            *("x509", "-req", "-in", folder / "request", *authority, "-days", 2, "-extfile", names),
            *("-out", folder / f"{name}.pem"),
        )
    openssl("ec", "-in", folder / "server.key", "-aes256", "-passout", "pass:secret", "-out", folder / "locked.key")
    (folder / "text.pem").write_text("no certificate")


def out(folder, name):
    return ("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")


def tensor(module, x=X):
    made = module.InferInput("INPUT0", x.shape, "FP32")
    made.set_data_from_numpy(x)
    return [made]


class Tls(unittest.TestCase):
    mutual = False

    @classmethod
    def setUpClass(cls):
        if not shutil.which("openssl"):
            raise unittest.SkipTest("no program openssl, which makes certificates")
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = pathlib.Path(cls.temporary.name)
        make_certificates(cls.folder)
        cls.model = serving.identity_model(cls.folder / "wide.onnx", shape=(1, "n"))

    def file(self, name):
        return str(self.folder / name)

    def options(self, *protocols, cert="server", mutual=False):
        chosen = []
        for protocol in protocols:
            chosen += [f"--{protocol}-use-ssl", "true", f"--{protocol}-server-cert", self.file(cert + ".pem")]
            chosen += [f"--{protocol}-server-key", self.file(cert + ".key")]
            if mutual:
                chosen += [f"--{protocol}-use-ssl-mutual", "true", f"--{protocol}-root-cert", self.file("ca.pem")]
        return chosen

    def context(self, client=None):
        context = ssl.create_default_context(cafile=self.file("ca.pem"))
        if client:
            context.load_cert_chain(self.file(client + ".pem"), self.file(client + ".key"))
        return context

    def serve(self, *arguments, client=None):
        server = serving.Server(self.model, *arguments, context=self.context(client))
        self.addCleanup(server.stop)
        return server

    def http(self, server, client=None):
        made = triton_http.InferenceServerClient(
            f"127.0.0.1:{server.http}", ssl=True, ssl_context_factory=lambda: self.context(client)
        )
        self.addCleanup(made.close)
        return made

    def grpc(self, server, client=None, module=triton_grpc):
        files = {"root_certificates": self.file("ca.pem")}
        if client:
            files.update(private_key=self.file(client + ".key"), certificate_chain=self.file(client + ".pem"))
        return module.InferenceServerClient(f"localhost:{server.grpc}", ssl=True, **files)

    def check(self, server, client=None):
        for module, made in ((triton_http, self.http(server, client)), (triton_grpc, self.grpc(server, client))):
            self.assertTrue(made.is_server_ready())
            np.testing.assert_array_equal(made.infer("wide", tensor(module)).as_numpy("OUTPUT0"), X)
            made.close()

    def test_both_protocols(self):
        server = self.serve(*self.options("http", "grpc"))
        self.check(server)
        self.assertEqual(server.get("/metrics", port=server.metrics)[0], 200)  # metrics have none
        self.assertEqual(server.stop()[0], 0)

    def test_aio(self):
        async def ask(server):
            for module, client in (
                (
                    triton_http,
                    triton_http_aio.InferenceServerClient(server.url, ssl=True, ssl_context=self.context()),
                ),
                (triton_grpc, self.grpc(server, module=triton_grpc_aio)),
            ):
                inputs = tensor(module)
                for answer in await asyncio.gather(*(client.infer("wide", inputs) for _ in range(8))):
                    np.testing.assert_array_equal(answer.as_numpy("OUTPUT0"), X)
                await client.close()

        asyncio.run(ask(self.serve(*self.options("http", "grpc"))))

    def test_one_port(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.check(self.serve("--port", port, *self.options("http", "grpc")))

    def test_clients_with_certificates(self):
        server = self.serve(*self.options("http", "grpc", mutual=True), client="client")
        self.check(server, "client")
        for client in (None, "other"):
            with self.assertRaises((ssl.SSLError, OSError)):
                self.http(server, client).is_server_ready()
            refused = self.grpc(server, client)
            with self.assertRaises(InferenceServerException) as failure:
                refused.infer("wide", tensor(triton_grpc), client_timeout=5)
            self.assertIn(failure.exception.status(), ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED"))
            refused.close()
        self.check(server, "client")

    def test_protocols_of_the_handshake(self):
        server = self.serve(*self.options("http", "grpc"))
        for port, offered, chosen in (
            (server.http, ["h2", "http/1.1"], "http/1.1"),
            (server.grpc, ["h2", "http/1.1"], "h2"),
            (server.http, [], None),
        ):
            context = self.context()
            if offered:
                context.set_alpn_protocols(offered)
            with socket.create_connection(("127.0.0.1", port), 20) as plain:
                with context.wrap_socket(plain, server_hostname="localhost") as session:
                    self.assertEqual(session.selected_alpn_protocol(), chosen)
                    self.assertIn(session.version(), ("TLSv1.2", "TLSv1.3"))
        old = self.context()
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", server.http), 20) as plain:
            with self.assertRaises((ssl.SSLError, OSError)):
                old.wrap_socket(plain, server_hostname="localhost")
        context = self.context()
        context.set_alpn_protocols(["h2"])  # which the port of HTTP does not speak
        with socket.create_connection(("127.0.0.1", server.http), 20) as plain:
            with self.assertRaises((ssl.SSLError, OSError)):
                context.wrap_socket(plain, server_hostname="localhost")
        self.check(server)

    def test_who_speaks_no_tls(self):
        server = self.serve(*self.options("http"), "--request-timeout-secs", 1)
        began = time.monotonic()
        for first in (b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01", b""):
            with socket.create_connection(("127.0.0.1", server.http), 20) as plain:
                plain.sendall(first)
                try:
                    self.assertNotIn(b"200", b"".join(iter(lambda: plain.recv(100), b"")))
                except ConnectionResetError:
                    pass
        self.assertLess(time.monotonic() - began, 12)  # handshakes have the time of a request
        self.assertEqual(server.get("/v2/health/live")[0], 200)

    def test_slow_readers(self):
        server = self.serve(*self.options("http"))
        head = b"POST /v2/models/wide/infer HTTP/1.1\r\nHost: x\r\nInference-Header-Content-Length: 0\r\n"
        size = 24 << 20
        with socket.create_connection(("127.0.0.1", server.http), 20) as plain:
            with self.context().wrap_socket(plain, server_hostname="localhost") as session:
                body = bytes(range(256)) * (size // 256)
                session.sendall(head + b"Content-Length: %d\r\n\r\n" % size + body)
                time.sleep(0.3)  # the answer does not fit, and is written in pieces
                answer = bytearray()
                while not answer.endswith(body[-256:]) or len(answer) < size:
                    part = session.recv(1 << 16)
                    self.assertTrue(part)
                    answer += part
                self.assertEqual(answer[-size:], body)

    def test_new_certificates_on_sighup(self):
        live = self.folder / "live.pem"
        for kind in ("pem", "key"):
            shutil.copy(self.folder / f"server.{kind}", self.folder / f"live.{kind}")
        server = self.serve(*self.options("http", cert="live"))

        def certificate():
            with socket.create_connection(("127.0.0.1", server.http), 20) as plain:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                with context.wrap_socket(plain) as session:
                    return ssl.DER_cert_to_PEM_cert(session.getpeercert(True))

        old = certificate()
        self.assertIn(old.strip(), (self.folder / "server.pem").read_text())
        live.write_text("broken")
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 20
        while not any("stay in use" in line for line in server.log):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.assertEqual(certificate(), old)
        for kind in ("pem", "key"):
            shutil.copy(self.folder / f"other.{kind}", self.folder / f"live.{kind}")
        server.process.send_signal(signal.SIGHUP)
        while certificate() == old:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.assertIn(certificate().strip(), (self.folder / "other.pem").read_text())

    def test_wrong_files(self):
        ports = ["--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]
        for cert, key, root, code, part in (
            ("none.pem", "server.key", None, 3, "there is no such file, which should hold the server's certificate"),
            ("server.pem", "none.key", None, 3, "there is no such file, which should hold the server's private key"),
            ("text.pem", "server.key", None, 3, "cannot be used as the server's certificate"),
            ("server.pem", "text.pem", None, 3, "cannot be used as the server's private key"),
            ("server.pem", "other.key", None, 3, "cannot be used as the server's private key: key values mismatch"),
            ("server.pem", "locked.key", None, 3, "cannot be used as the server's private key"),
            ("server.pem", "server.key", "text.pem", 3, "cannot be used as certificates of authorities"),
            ("server.pem", None, None, 1, "--grpc-use-ssl needs --grpc-server-cert and --grpc-server-key"),
            ("server.pem", "server.key", "", 1, "--grpc-use-ssl-mutual needs --grpc-root-cert"),
        ):
            with self.subTest(cert=cert, key=key, root=root):
                options = ["--grpc-use-ssl", "true", "--grpc-server-cert", self.file(cert)]
                options += ["--grpc-server-key", self.file(key)] if key else []
                options += ["--grpc-use-ssl-mutual", "true"] if root is not None else []
                options += ["--grpc-root-cert", self.file(root)] if root else []
                process = slipway.run("serve", self.model, *ports, *options, expect=code)
                self.assertIn(part, process.stderr)
        broken = self.folder / "libssl.so.3"  # found before the system's, and no library
        broken.write_text("")
        options = [*self.options("http"), *ports]
        missing = slipway.run("serve", self.model, *options, expect=3, env={"LD_LIBRARY_PATH": self.file("")})
        self.assertIn("the library OpenSSL is missing", missing.stderr)
        unused = slipway.run("serve", self.model, "--http-server-cert", self.file("server.pem"), expect=1)
        self.assertIn("not --http-use-ssl true", unused.stderr)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        mixed = slipway.run("serve", self.model, "--port", port, *self.options("grpc"), expect=1)
        self.assertIn("HTTP and gRPC on one port have one certificate, or none", mixed.stderr)


if __name__ == "__main__":
    unittest.main()
