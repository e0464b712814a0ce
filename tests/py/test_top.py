"""`slipway top`: a server watched from the terminal."""

import json
import os
import pathlib
import pty
import signal
import subprocess
import tempfile
import threading
import unittest

import serving
import slipway


class Top(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.server = serving.Server(serving.identity_model(pathlib.Path(temporary.name) / "echo.onnx"))
        cls.addClassCleanup(cls.server.stop)
        cls.ports = ["--http-port", cls.server.http, "--metrics-port", cls.server.metrics]

    def setUp(self):
        stop = threading.Event()
        thread = threading.Thread(target=self.load, args=(stop,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stop.set)

    def load(self, stop):
        """Requests with two rows, one in ten of them wrong."""
        body = json.dumps({"inputs": [{"name": "INPUT0", "shape": [2, 16], "datatype": "FP32", "data": [1] * 32}]}).encode()
        while not stop.is_set():
            self.assertEqual(self.server.get("/v2/models/echo/infer", body)[0], 200)

    def test_json(self):
        (line,) = slipway.run("top", *self.ports, "--once", "--json", "--interval", "0.5").stdout.splitlines()
        look = json.loads(line)
        self.assertGreater(look["seconds"], 0.4)
        (model,) = look["models"]
        self.assertEqual([model[key] for key in ("model", "version", "state")], ["echo", "1", "READY"])
        self.assertGreater(model["requests_a_second"], 0)
        self.assertGreaterEqual(model["requests"], model["requests_a_second"] * 0.4)
        self.assertEqual(model["batch"], 2)
        self.assertAlmostEqual(model["inferences_a_second"], 2 * model["requests_a_second"], delta=5)
        self.assertGreater(model["p50_ms"], 0)
        self.assertGreaterEqual(model["p99_ms"], model["p50_ms"])

    def test_a_table_in_a_pipe(self):
        said = slipway.run("top", *self.ports, "--once", "--interval", "0.2").stdout
        self.assertTrue(said.isascii() and said.replace("\n", " ").isprintable(), said)
        head, row = said.splitlines()
        self.assertEqual(head.split()[:4], ["model", "version", "state", "plan"])
        self.assertEqual(row.split()[:3], ["echo", "1", "READY"])

    def test_tables_follow_each_other_until_nobody_reads(self):
        command = [slipway.PROGRAM, "top", *map(str, self.ports), "--interval", "0.1"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=slipway.ENVIRONMENT)
        heads = 0
        while heads < 3:
            heads += process.stdout.readline().startswith("model ")
        process.stdout.close()
        process.wait(30)

    def test_on_a_terminal(self):
        main, other = pty.openpty()
        command = [slipway.PROGRAM, "top", *map(str, self.ports), "--interval", "0.1"]
        heed = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # which who runs the tests in the background ignores
        process = subprocess.Popen(command, stdout=other, env=slipway.ENVIRONMENT, preexec_fn=heed)
        os.close(other)
        said = b""
        while said.count(b"\x1b[H\x1b[J") < 4:
            said += os.read(main, 4096)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        os.close(main)
        text = said.decode(errors="replace")
        self.assertIn("p99 over time", text)
        self.assertRegex(text, "[▁▂▃▄▅▆▇█]")

    def test_no_server(self):
        said = slipway.run("top", "--metrics-port", "1", "--once", expect=3).stderr
        self.assertIn("cannot connect", said)
        said = slipway.run("top", "--metrics-port", self.server.grpc, "--once", "--interval", "0.1", expect=None).stderr
        self.assertTrue(said)


if __name__ == "__main__":
    unittest.main()
