"""`slipway serve` under a service manager: sockets handed over, what the manager is told, the units."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import serving
import slipway

# Puts the sockets where the protocol wants them, and becomes the program.
LAUNCH = """import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",")]
spare = [os.dup(fd) for fd in fds]
for i, fd in enumerate(spare):
    os.dup2(fd, 3 + i)
    os.set_inheritable(3 + i, True)
os.closerange(3 + len(spare), 64)
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), str(len(fds))
os.execv(sys.argv[2], sys.argv[2:])
"""
QUESTION = b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
METRICS = QUESTION.replace(b"/v2/health/ready", b"/metrics")


def listener(backlog=16):
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen(backlog)
    return made


def ask(port, question=QUESTION):
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(question)
        return b"".join(iter(lambda: connection.recv(4096), b""))


class Service(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.model = serving.identity_model(self.folder / "identity.onnx")

    def launch(self, sockets, *arguments, names=None, notify=None):
        more = {"LISTEN_FDNAMES": names, "NOTIFY_SOCKET": notify}
        environment = {**slipway.ENVIRONMENT, **{key: text for key, text in more.items() if text}}
        fds = [made.fileno() for made in sockets]
        command = [sys.executable, "-c", LAUNCH, ",".join(map(str, fds)), slipway.PROGRAM, "serve", *arguments]
        process = subprocess.Popen(
            list(map(str, command)), pass_fds=fds, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate(timeout=30)

    def test_sockets_handed_over(self):
        first, second = listener(), listener()
        early = socket.create_connection(first.getsockname())  # waits until somebody serves it
        early.sendall(QUESTION)
        process = self.launch([first, second], self.model)
        self.assertIn(b"HTTP/1.1", early.recv(100))
        early.close()
        ports = [made.getsockname()[1] for made in (first, second)]
        while b" 200 " not in ask(ports[0]):
            time.sleep(0.01)
        for port in ports:  # each speaks everything
            self.assertIn(b"nv_inference_count", ask(port, METRICS))
        first.close()
        second.close()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), 0)
        log = process.stderr.read()
        self.assertIn(f"HTTP on port {ports[0]}, gRPC on {ports[0]}, metrics on {ports[0]}", log)  # and no other ports

    def test_names_say_what_sockets_are_for(self):
        http, metrics = listener(), listener()
        self.launch([http, metrics], self.model, names="http:metrics")
        ports = [made.getsockname()[1] for made in (http, metrics)]
        while b" 200 " not in ask(ports[0]):
            time.sleep(0.01)
        self.assertIn(b" 404 ", ask(ports[0], METRICS))
        self.assertIn(b"nv_inference_count", ask(ports[1], METRICS))
        self.assertIn(b" 404 ", ask(ports[1]))

    def test_ports_asked_for_are_opened_too(self):
        given = listener()
        process = self.launch([given], self.model, "--http-port", "0")
        line = next(line for line in process.stderr if "HTTP on port" in line)
        own = int(line.split("HTTP on port ")[1].split(",")[0])
        self.assertNotEqual(own, given.getsockname()[1])
        for port in (own, given.getsockname()[1]):
            self.assertIn(b"HTTP/1.1", ask(port))

    def test_what_cannot_be_served_is_refused(self):
        with socket.socket(type=socket.SOCK_DGRAM) as made:
            made.bind(("127.0.0.1", 0))
            process = self.launch([made], self.model, names="http")
            self.assertEqual(process.wait(30), 1)
            said = process.stderr.read()
        self.assertIn("descriptor 3, handed over as 'http', is no socket that listens for connections", said)

    def test_sockets_of_another_process_are_left_alone(self):
        environment = {**slipway.ENVIRONMENT, "LISTEN_PID": "1", "LISTEN_FDS": "1"}
        server = serving.Server(self.model, env=environment)
        self.assertEqual(server.get("/v2/health/live")[0], 200)
        self.assertEqual(server.stop()[0], 0)

    def heard(self, notify):
        notify.settimeout(30)
        return notify.recv(4096).decode().split("\n")

    def test_the_manager_is_told(self):
        for path in (str(self.folder / "notify"), f"@slipway-test-{os.getpid()}"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
                notify.bind(path.replace("@", "\0"))
                process = self.launch([listener()], self.model, notify=path)
                self.assertEqual(self.heard(notify), ["READY=1"])
                process.send_signal(signal.SIGHUP)
                reloading = self.heard(notify)
                self.assertEqual(reloading[0], "RELOADING=1")
                self.assertRegex(reloading[1], r"^MONOTONIC_USEC=\d+$")
                self.assertEqual(self.heard(notify), ["READY=1"])
                process.send_signal(signal.SIGTERM)
                self.assertEqual(self.heard(notify), ["STOPPING=1"])
                self.assertEqual(process.wait(30), 0)

    def test_a_start_that_fails_is_never_ready(self):
        (self.folder / "broken.onnx").write_bytes(b"no model")
        path = str(self.folder / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            process = self.launch([listener()], self.folder / "broken.onnx", notify=path)
            self.assertEqual(process.wait(30), 2)
            self.assertEqual(self.heard(notify), ["STOPPING=1"])


    def test_started_by_the_first_connection(self):
        """By systemd's own tool for that, as its socket units do it."""
        if not shutil.which("systemd-socket-activate"):
            self.skipTest("no systemd-socket-activate")
        free = listener()
        port = free.getsockname()[1]
        free.close()
        process = subprocess.Popen(
            ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", slipway.PROGRAM, "serve", self.model],
            env=slipway.ENVIRONMENT,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        self.assertIn("Listening on", process.stderr.readline())
        self.assertIn(b" 200 ", ask(port, QUESTION.replace(b"ready", b"live")))
        self.assertIn("Communication attempt", process.stderr.readline())


class Units(unittest.TestCase):
    def test_units(self):
        """What `make install` installs is right in the eyes of systemd."""
        if not shutil.which("systemd-analyze"):
            self.skipTest("no systemd-analyze")
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            service = (slipway.ROOT / "packaging/systemd/slipway.service.in").read_text()
            service = service.replace("@bindir@/slipway", str(slipway.PROGRAM)).replace("Documentation=", "#")
            (folder / "slipway.service").write_text(service)
            socket_unit = (slipway.ROOT / "packaging/systemd/slipway.socket").read_text()
            (folder / "slipway.socket").write_text(socket_unit.replace("Documentation=", "#"))
            units = [folder / "slipway.service", folder / "slipway.socket"]
            done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60)
            if "Failed to initialize manager" in done.stderr:
                self.skipTest("systemd-analyze does not work here")
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
