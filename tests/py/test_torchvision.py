"""Detectors of torchvision, exported to ONNX where torch and torchvision are installed: their suppression lies in the
model, their outputs are lists of boxes, labels and scores. Outputs beside ONNX Runtime, detections beside torchvision."""

import json
import pathlib
import tempfile
import unittest
import warnings

import numpy as np

import reference
import slipway

SIDE = 192


def packages():
    warnings.filterwarnings("ignore")
    try:
        import onnxruntime  # noqa: F401
        import torch
        import torchvision
    except ImportError as missing:
        raise unittest.SkipTest(f"no {missing.name}") from None
    torch.set_num_threads(2)
    return torch, torchvision


class Detectors(unittest.TestCase):
    def setUp(self):
        self.torch, self.torchvision = packages()
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def settled(self, model, x):
        """With statistics of normalisations that fit their weights, so that scores differ."""
        nn = self.torch.nn
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.train().momentum = 1.0
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)
        for name, values in model.named_parameters():
            if name.endswith("cls_logits.weight"):
                values.data *= 0.01  # else all scores are 0 or 1
        with self.torch.no_grad():
            model([x, 1 - x])
        for norm in norms:
            norm.eval()
        return model

    def check(self, model, x, picture):
        """Boxes, labels and scores of the model on the picture, which has the size of the model's input."""
        with self.torch.no_grad():
            want = model([x])[0]
        self.assertGreater(len(want["boxes"]), 5)
        path = self.folder / "detector.onnx"
        self.torch.onnx.export(model, ([x],), path, opset_version=17, dynamo=False, input_names=["images"])
        images = x.numpy()
        outputs = reference.run_onnx(path, {"images": images})
        got = slipway.run_model(path, {"images": images}, self.folder)
        for name, array in outputs.items():
            self.assertEqual(got[slipway.file_name(name)].shape, array.shape)
        report = slipway.run("inspect", path).stdout
        self.assertIn("boxes n x 4, labels n, scores n", report)
        least = float(want["scores"].median())
        result = json.loads(slipway.run("predict", path, picture, "--quiet", "--json", "-", "--conf", least).stdout)[0]
        rows = [(d["class_id"], d["confidence"], *d["box"]) for d in result["detections"]]
        keep = want["scores"] > least
        theirs = np.column_stack([want[key][keep].numpy() for key in ("labels", "scores", "boxes")]).astype(float)
        self.assertLessEqual(abs(len(rows) - len(theirs)), 2)
        apart = np.abs(np.array(rows)[:, None] - theirs[None]) / [0.5, 1e-3, 1, 1, 1, 1]
        lonely = (apart.max(2).min(1) > 1).sum()
        self.assertLessEqual(lonely, 2, "detections without a partner: rounding may set a few scores in another order")

    def picture(self):
        """A picture of soft spots, as a file and as the model takes it."""
        import cv2

        pixels = cv2.resize(np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8), (SIDE, SIDE))
        path = self.folder / "picture.png"
        cv2.imwrite(str(path), pixels)
        rgb = np.ascontiguousarray(pixels[:, :, ::-1].transpose(2, 0, 1))
        return self.torch.from_numpy(rgb).float() / 255, path

    def made(self, name, **options):
        self.torch.manual_seed(1)
        options = {"weights": None, "weights_backbone": None, "num_classes": 6, **options}
        return getattr(self.torchvision.models.detection, name)(**options).eval()

    def test_ssd(self):
        x, path = self.picture()
        model = self.made("ssdlite320_mobilenet_v3_large", topk_candidates=20, detections_per_img=40)
        model.transform.fixed_size = (SIDE, SIDE)
        self.check(self.settled(model, x), x, path)

    def test_faster_rcnn(self):
        x, path = self.picture()
        sizes = {"min_size": SIDE, "max_size": SIDE, "rpn_post_nms_top_n_test": 30, "box_detections_per_img": 20}
        model = self.made("fasterrcnn_mobilenet_v3_large_320_fpn", rpn_score_thresh=0.0, box_score_thresh=0.0, **sizes)
        self.check(self.settled(model, x), x, path)

    def test_retinanet(self):
        x, path = self.picture()
        detection = self.torchvision.models.detection
        self.torch.manual_seed(1)
        backbone = detection.backbone_utils.resnet_fpn_backbone(
            backbone_name="resnet18", weights=None, norm_layer=self.torch.nn.BatchNorm2d
        )
        anchors = detection.anchor_utils.AnchorGenerator(((16,), (32,), (64,), (128,), (160,)), ((0.5, 1.0, 2.0),) * 5)
        sizes = {"min_size": SIDE, "max_size": SIDE, "topk_candidates": 50, "detections_per_img": 30}
        model = detection.RetinaNet(backbone, 6, anchor_generator=anchors, score_thresh=0.0, **sizes).eval()
        self.check(self.settled(model, x), x, path)


if __name__ == "__main__":
    unittest.main()
