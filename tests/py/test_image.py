"""The image that tools/oci-image writes: what it says is true, and it runs."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

import serving
import slipway

MOST_BYTES = 30e6
TOOL = slipway.ROOT / "tools/oci-image"


def make(*arguments):
    subprocess.run(
        [sys.executable, TOOL, "--program", slipway.PROGRAM, *arguments], check=True, capture_output=True, timeout=120
    )


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if "sanitize" in slipway.run("version").stdout:
            raise unittest.SkipTest("a program under sanitizers is no program to ship")
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.model = serving.identity_model(cls.folder / "identity.onnx")
        cls.path = cls.folder / "image.tar"
        make(cls.path, "--model", cls.model, "--tag", "slipway:test")
        cls.root = cls.folder / "root"
        make("--root", cls.root, "--model", cls.model)
        with tarfile.open(cls.path) as archive:
            cls.files = {info.name: archive.extractfile(info).read() for info in archive if info.isfile()}

    def blob(self, what):
        """The bytes of a descriptor, whose size and digest must be right."""
        data = self.files["blobs/" + what["digest"].replace(":", "/")]
        self.assertEqual((len(data), f"sha256:{hashlib.sha256(data).hexdigest()}"), (what["size"], what["digest"]))
        return data

    def manifest(self):
        (entry,) = json.loads(self.files["index.json"])["manifests"]
        self.assertEqual(entry["mediaType"], "application/vnd.oci.image.manifest.v1+json")
        self.assertEqual(entry["annotations"]["org.opencontainers.image.ref.name"], "slipway:test")
        return json.loads(self.blob(entry))

    def test_layout(self):
        self.assertLess(self.path.stat().st_size, MOST_BYTES)
        self.assertEqual(json.loads(self.files["oci-layout"]), {"imageLayoutVersion": "1.0.0"})
        manifest = self.manifest()
        config = json.loads(self.blob(manifest["config"]))
        self.assertEqual((manifest["schemaVersion"], config["os"]), (2, "linux"))
        self.assertEqual(config["config"]["User"], "65532:65532")
        tars = [gzip.decompress(self.blob(layer)) for layer in manifest["layers"]]
        self.assertEqual(config["rootfs"]["diff_ids"], [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars])
        self.assertEqual(len(self.files), 3 + 2 + len(tars))  # nothing that nobody refers to
        (docker,) = json.loads(self.files["manifest.json"])
        self.assertEqual(self.files[docker["Config"]], self.blob(manifest["config"]))
        self.assertEqual([self.files[name] for name in docker["Layers"]], [self.blob(one) for one in manifest["layers"]])
        names = set()
        for tar in tars:
            with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
                for info in archive:
                    parent = str(pathlib.PurePosixPath(info.name).parent)
                    self.assertTrue(parent == "." or parent in names, info.name)
                    self.assertEqual((info.mtime, info.issym() or info.islnk()), (0, False))
                    names.add(info.name)
        for name in ("usr/bin/slipway", "models/identity/1/model.onnx", "tmp", "usr/share/doc/slipway/LICENSE"):
            self.assertIn(name, names)

    def test_same_bytes_again(self):
        again = self.folder / "again.tar"
        make(again, "--model", self.model, "--tag", "slipway:test")
        self.assertEqual(again.read_bytes(), self.path.read_bytes())

    def test_tools_of_others_read_it(self):
        """As an OCI archive, and as one of docker save."""
        if not shutil.which("skopeo"):
            self.skipTest("no skopeo")
        for kind in ("oci-archive", "docker-archive"):
            found = subprocess.run(["skopeo", "inspect", f"{kind}:{self.path}"], check=True, capture_output=True, timeout=60)
            found = json.loads(found.stdout)
            self.assertEqual((found["Os"], len(found["Layers"])), ("linux", len(self.manifest()["layers"])))

    def test_libraries_are_all_there(self):
        """The loader of the image finds everything in the image."""
        root = self.root
        (loader,) = root.glob("lib*/ld-linux*")
        folders = ":".join(sorted({str(path.parent) for path in root.rglob("*.so.*")}))
        command = [loader, "--inhibit-cache", "--library-path", folders]
        found = subprocess.run(
            [*command, "--list", root / "usr/bin/slipway"], check=True, capture_output=True, text=True, timeout=60
        ).stdout
        libraries = re.findall(r"=> (\S+)", found)
        self.assertGreater(len(libraries), 5)
        for path in libraries:
            self.assertTrue(path.startswith(str(root)), path)
        version = subprocess.run([*command, root / "usr/bin/slipway", "--version"], check=True, capture_output=True, timeout=60)
        self.assertIn(b"slipway", version.stdout)

    def test_it_serves(self):
        """In its own root, as its user."""
        if os.geteuid() != 0:
            self.skipTest("only root may change the root folder")
        root = self.root
        manifest = self.manifest()
        config = json.loads(self.blob(manifest["config"]))["config"]

        def enter():
            os.chroot(root)
            os.chdir(config["WorkingDir"])
            os.setgid(int(config["User"].split(":")[1]))
            os.setuid(int(config["User"].split(":")[0]))

        ports = ["--http-port", "-1", "--grpc-port", "-1", "--metrics-port", "-1", "--unix", "/tmp/socket"]
        self.folder.chmod(0o755)
        try:
            process = subprocess.Popen(
                [*config["Entrypoint"], *config["Cmd"], *ports],
                preexec_fn=enter,
                env=dict(text.split("=", 1) for text in config["Env"]),
                stderr=subprocess.PIPE,
                text=True,
            )
        except (PermissionError, subprocess.SubprocessError):
            self.skipTest("the root folder cannot be changed here")
        try:
            answer = self.ask(root / "tmp/socket", process)
        finally:
            process.terminate()
            log = process.communicate(timeout=60)[1]
        self.assertIn(b'"name":"identity"', answer, log)
        self.assertEqual(process.returncode, 0, log)
        self.assertNotIn("not kept", log)  # the cache can be written

    @staticmethod
    def ask(path, process):
        for _ in range(3000):
            with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
                connection.connect(str(path))
                connection.sendall(b"GET /v2/models/identity HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answer = b"".join(iter(lambda: connection.recv(4096), b""))  # pylint: disable=cell-var-from-loop
                if b" 200 " in answer:
                    return answer
            if process.poll() is not None:
                break
            time.sleep(0.01)
        return b""


if __name__ == "__main__":
    unittest.main()
