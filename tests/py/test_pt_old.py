"""Checkpoints of older releases: modules without the attributes that later ones have, and those of the YOLOv5 repository,
whose classes are written down here as far as a checkpoint shows them."""

import copy
import pathlib
import sys
import tempfile
import types
import unittest
import unittest.mock

import numpy as np

import slipway
import test_pt
import zoo

# What releases before 8.4 did not write.
LATER = ("n", "add", "scale", "max_det", "end2end", "_end2end", "legacy", "xyxy", "shape", "agnostic_nms", "format")
SIZE = (1, 3, 96, 128)


def repository(torch):
    """The modules `models.yolo` and `models.common` of the YOLOv5 repository: what they compute, after its documentation."""
    nn = torch.nn

    class Conv(nn.Module):
        def __init__(self, c1, c2, k=3, s=1):
            super().__init__()
            self.conv, self.bn, self.act = nn.Conv2d(c1, c2, k, s, k // 2, bias=False), nn.BatchNorm2d(c2), nn.SiLU()

        def forward(self, x):
            return self.act(self.bn(self.conv(x)))

    class Proto(nn.Module):
        def __init__(self, c1, masks):
            super().__init__()
            self.cv1, self.upsample = Conv(c1, 16), nn.Upsample(scale_factor=2, mode="nearest")
            self.cv2, self.cv3 = Conv(16, 16), Conv(16, masks, 1)

        def forward(self, x):
            return self.cv3(self.cv2(self.upsample(self.cv1(x))))

    class Bottleneck(nn.Module):
        def forward(self, x):
            y = self.cv2(self.cv1(x))
            return x + y if self.add else y

    class C3(nn.Module):
        def forward(self, x):
            return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))

    class SPPF(nn.Module):
        def forward(self, x):
            pooled = [self.cv1(x)]
            for _ in range(3):
                pooled.append(self.m(pooled[-1]))
            return self.cv2(torch.cat(pooled, 1))

    class Concat(nn.Module):
        def forward(self, x):
            return torch.cat(x, self.d)

    class Detect(nn.Module):
        def forward(self, maps):
            rows = []
            for level, (conv, x) in enumerate(zip(self.m, maps)):
                y = conv(x)
                batch, _, height, width = y.shape
                y = y.view(batch, self.na, self.no, height, width).permute(0, 1, 3, 4, 2)
                v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
                xy = (y[..., :2].sigmoid() * 2 - 0.5 + torch.stack((u, v), 2)) * self.stride[level]
                wh = (y[..., 2:4].sigmoid() * 2) ** 2 * (self.anchors[level] * self.stride[level]).view(1, -1, 1, 1, 2)
                scores = y[..., 4 : 5 + self.nc].sigmoid()
                y = torch.cat((xy, wh, scores, y[..., 5 + self.nc :]), 4)
                rows.append(y.reshape(batch, -1, self.no))
            return torch.cat(rows, 1)

    class Segment(Detect):
        def __init__(self, classes, anchors, widths, masks):
            super().__init__()
            self.nc, self.nm, self.nl, self.na = classes, masks, len(anchors), len(anchors[0]) // 2
            self.no, self.npr = 5 + classes + masks, 16
            self.register_buffer("anchors", torch.tensor(anchors).float().view(self.nl, -1, 2))
            self.stride = torch.tensor([8.0, 16.0])
            self.m = nn.ModuleList(nn.Conv2d(width, self.no * self.na, 1) for width in widths)
            self.proto = Proto(widths[0], masks)

        def forward(self, maps):
            return super().forward(maps), self.proto(maps[0])

    class Classify(nn.Module):
        def __init__(self, c1, classes):
            super().__init__()
            self.conv, self.pool, self.drop = Conv(c1, 32, 1), nn.AdaptiveAvgPool2d(1), nn.Dropout(p=0.0)
            self.linear = nn.Linear(32, classes)

        def forward(self, x):
            return self.linear(self.drop(self.pool(self.conv(x)).flatten(1)))

    class Model(nn.Module):
        def forward(self, x):
            outputs = []
            for layer in self.model:
                sources = layer.f if isinstance(layer.f, list) else [layer.f]
                x = [x if i == -1 else outputs[i] for i in sources]
                x = layer(x if isinstance(layer.f, list) else x[0])
                outputs.append(x)
            return x

    class SegmentationModel(Model):
        def __init__(self, layers, froms, names):
            super().__init__()
            self.model, self.yaml, self.names = nn.Sequential(*layers), {"ch": 3, "nc": len(names)}, names
            self.save, self.stride = [2, 3], torch.tensor([8.0, 16.0])
            for index, (layer, source) in enumerate(zip(layers, froms)):
                layer.i, layer.f, layer.type = index, source, type(layer).__name__

    class ClassificationModel(SegmentationModel):
        pass

    modules = {"models": (), "models.common": (Conv, Proto, Classify, Bottleneck, C3, SPPF, Concat)}
    modules["models.yolo"] = (Detect, Segment, Model, SegmentationModel, ClassificationModel)
    made = {}
    for name, classes in modules.items():
        made[name] = types.ModuleType(name)
        for each in classes:
            each.__module__, each.__qualname__ = name, each.__name__
            setattr(made[name], each.__name__, each)
    return made


class Older(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def test_attributes_that_came_later(self):
        torch, ultralytics = test_pt.packages()
        images = zoo.uniform("images", SIZE, 0, 1).astype(np.float32)
        for name in ("yolov8n", "yolov8n-seg", "yolov8n-pose", "yolov8n-obb", "yolov8n-cls", "yolov10n", "yolo11n"):
            with self.subTest(name):
                model = test_pt.make_model(torch, ultralytics, name)
                old = copy.deepcopy(model)
                for module in old.modules():
                    for attribute in LATER if not isinstance(module, torch.nn.LayerNorm) else ():
                        if attribute != "add" or type(module).__name__ == "SPPF":
                            module.__dict__.pop(attribute, None)
                old.yaml = {key: value for key, value in old.yaml.items() if key != "channels"}
                path = self.folder / "old.pt"
                torch.save({"epoch": -1, "best_fitness": None, "model": old.half(), "optimizer": None}, path)
                wants = test_pt.reference_outputs(torch, model.half().float(), images)
                got = slipway.run_model(path, {"images": images}, self.folder)
                for index, want in enumerate(wants):
                    self.assertLess(test_pt.output_error(got[f"output{index}"], want), test_pt.TOLERANCE)

    def test_checkpoint_of_the_yolov5_repository(self):
        torch, _ = test_pt.packages()
        path = slipway.data("models/yolov5n.pt")
        with unittest.mock.patch.dict(sys.modules, repository(torch)):
            model = torch.load(path, map_location="cpu", weights_only=False)["model"].float().eval()
        for module in model.modules():
            if isinstance(module, torch.nn.Upsample):
                module.recompute_scale_factor = None  # what the PyTorch that wrote it did not have
        images = zoo.uniform("images", (1, 3, 320, 416), 0, 1).astype(np.float32)
        with torch.no_grad():
            want = model(torch.from_numpy(images)).numpy()
        got = slipway.run_model(path, {"images": images}, self.folder)["output0"]
        self.assertEqual(want.shape, (1, 3 * (40 * 52 + 20 * 26 + 10 * 13), 85))
        self.assertLess(zoo.worst_error(got, want, 2, (4, 5)), test_pt.TOLERANCE)

    def saved(self, torch, modules, model):
        path = self.folder / "best.pt"
        with unittest.mock.patch.dict(sys.modules, modules):
            torch.save({"epoch": 3, "model": model.half(), "ema": None, "opt": {"imgsz": 96}}, path)
        model.float()
        return path

    def test_segmentation_of_the_yolov5_repository(self):
        torch, _ = test_pt.packages()
        torch.manual_seed(0)
        modules = repository(torch)
        conv, yolo = modules["models.common"].Conv, modules["models.yolo"]
        head = yolo.Segment(3, [[1, 2, 2, 1], [2, 3, 3, 2]], (24, 32), 8)
        layers = [conv(3, 16, 3, 2), conv(16, 16, 3, 2), conv(16, 24, 3, 2), conv(24, 32, 3, 2), head]
        model = yolo.SegmentationModel(layers, [-1, -1, -1, -1, [2, 3]], ["cat", "dog", "cow"]).eval()
        path = self.saved(torch, modules, model)
        images = zoo.uniform("images", SIZE, 0, 1).astype(np.float32)
        with torch.no_grad():
            rows, masks = (output.numpy() for output in model(torch.from_numpy(images)))
        got = slipway.run_model(path, {"images": images}, self.folder)
        self.assertLess(zoo.worst_error(got["output0"], rows, 2, (4, 8)), test_pt.TOLERANCE)
        self.assertLess(zoo.worst_error(got["output1"], masks), test_pt.TOLERANCE)
        report = slipway.run("inspect", path).stdout
        for word in ("segment", "cow"):
            self.assertIn(word, report)

    def test_classification_of_the_yolov5_repository(self):
        torch, _ = test_pt.packages()
        torch.manual_seed(0)
        modules = repository(torch)
        common, yolo = modules["models.common"], modules["models.yolo"]
        layers = [common.Conv(3, 16, 3, 2), common.Conv(16, 16, 3, 2), common.Classify(16, 4)]
        model = yolo.ClassificationModel(layers, [-1] * 3, {i: f"class{i}" for i in range(4)}).eval()
        path = self.saved(torch, modules, model)
        images = zoo.uniform("images", SIZE, 0, 1).astype(np.float32)
        with torch.no_grad():
            want = model(torch.from_numpy(images)).softmax(1).numpy()
        got = slipway.run_model(path, {"images": images}, self.folder)["output0"]
        self.assertLess(zoo.worst_error(got, want), test_pt.TOLERANCE)
        self.assertIn("classify", slipway.run("inspect", path).stdout)


if __name__ == "__main__":
    unittest.main()
