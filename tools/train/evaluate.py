"""Mean average precision in the COCO protocol, false detections on empty pictures, and bootstrap noise.

    python evaluate.py person.onnx --data val_folder --size 416
    python evaluate.py person.onnx --annotations instances.json --images val/images --size 416 --bootstrap 1000
    python evaluate.py person.onnx --data val_folder --size 416 --empty calib_folder --conf 0.35
"""
import argparse
import ast
import itertools
import json
import os

import numpy as np

from console import UserError, run
from data import find_dataset, letterbox, pictures_in, read_labels, read_picture

IOUS = np.linspace(0.5, 0.95, 10)
AREAS = {"small": (0, 32 ** 2), "medium": (32 ** 2, 96 ** 2), "large": (96 ** 2, 1e10)}  # pixels, as COCO has them


class Truth:
    """True boxes of a picture set: rows of (picture, class, crowd, x0, y0, x1, y1) in pixels."""

    def __init__(self, paths, rows, names):
        self.paths, self.names = paths, names
        self.rows = np.asarray(rows, np.float64).reshape(-1, 7)

    @classmethod
    def from_yolo(cls, paths, names, remap=None):
        rows = []
        for i, p in enumerate(paths):
            labels = read_labels(p, len(names), remap)
            if labels:
                h, w = read_picture(p).shape[:2]
                rows += [(i, c, 0, x0 * w, y0 * h, x1 * w, y1 * h) for c, x0, y0, x1, y1 in labels]
        return cls(paths, rows, names)

    @classmethod
    def from_coco(cls, annotations, images):
        try:
            with open(annotations) as f:
                d = json.load(f)
            categories = sorted(d["categories"], key=lambda c: c["id"])
            number = {c["id"]: i for i, c in enumerate(categories)}
            order = {im["id"]: i for i, im in enumerate(d["images"])}
            rows = [(order[a["image_id"]], number[a["category_id"]], a.get("iscrowd", 0), a["bbox"][0], a["bbox"][1],
                     a["bbox"][0] + a["bbox"][2], a["bbox"][1] + a["bbox"][3]) for a in d["annotations"]]
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise UserError(f"{annotations}: not a COCO annotation file ({e})") from None
        paths = [os.path.join(images, im["file_name"]) for im in d["images"]]
        return cls(paths, rows, {i: c["name"] for i, c in enumerate(categories)})


def overlaps(a, b):
    """IoU matrix of x0 y0 x1 y1 boxes."""
    wh = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2]), 0, None)
    inter = wh[..., 0] * wh[..., 1]
    return inter / np.maximum(areas(a)[:, None] + areas(b)[None] - inter, 1e-12)


def suppress(boxes, scores, iou):
    """Greedy non-maximum suppression -> indices kept, best first."""
    order = np.argsort(-scores, kind="stable")
    over = overlaps(boxes[order], boxes[order]) > iou
    alive, kept = np.ones(len(order), bool), []
    for i in range(len(order)):
        if alive[i]:
            kept.append(order[i])
            alive &= ~over[i]
    return np.array(kept, int)


def detections(output, places, sizes, conf=0.001, iou=0.7, most=300, before=1000):
    """Network output (N, 4 + C, A) -> per picture rows of (class, score, x0, y0, x1, y1) in picture pixels."""
    result = []
    for out, (gx, gy, left, top), (h, w) in zip(output, places, sizes):
        rows = []
        for c in range(out.shape[0] - 4):
            pick = np.where(out[4 + c] > conf)[0]
            pick = pick[np.argsort(-out[4 + c, pick], kind="stable")[:before]]
            if not len(pick):
                continue
            cx, cy, bw, bh = out[:4, pick].astype(np.float64)
            b = np.stack([cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2], 1)
            kept = suppress(b, out[4 + c, pick], iou)
            b = (b[kept] - [left, top, left, top]) / [gx, gy, gx, gy]
            b = np.clip(b, 0, [w, h, w, h])
            rows.append(np.column_stack([np.full(len(kept), c), out[4 + c, pick[kept]], b]))
        rows = np.concatenate(rows) if rows else np.zeros((0, 6))
        result.append(rows[np.argsort(-rows[:, 1], kind="stable")][:most])
    return result


def areas(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def match(dets, truth, crowd, ignore):
    """For each IoU threshold which detections are true (10, D) and which only meet an ignored region."""
    hit, ignored = np.zeros((10, len(dets)), bool), np.zeros((10, len(dets)), bool)
    if not len(truth) or not len(dets):
        return hit, ignored
    order = np.argsort(ignore, kind="stable")
    truth, crowd, ignore = truth[order], crowd[order], ignore[order]
    iou = overlaps(dets, truth)
    if crowd.any():  # a crowd region is met by the share of the detection inside it
        wh = np.clip(np.minimum(dets[:, None, 2:], truth[None, :, 2:]) - np.maximum(dets[:, None, :2],
                                                                                    truth[None, :, :2]), 0, None)
        iou = np.where(crowd[None], wh[..., 0] * wh[..., 1] / np.maximum(areas(dets), 1e-12)[:, None], iou)
    for t, level in enumerate(IOUS):
        used = np.zeros(len(truth), bool)
        for d in range(len(dets)):
            best, found = min(level, 1 - 1e-10), -1
            for g in np.where(iou[d] >= best)[0]:
                if used[g] and not crowd[g]:
                    continue
                if found >= 0 and ignore[g] and not ignore[found]:
                    break
                if iou[d, g] >= best:
                    best, found = iou[d, g], g
            if found >= 0:
                used[found] = True
                hit[t, d], ignored[t, d] = not ignore[found], ignore[found]
    return hit, ignored


def matches(dets, truth, det_class, true_class, most=100, area=None):
    """Per picture (scores, hit, ignored, number of true boxes) of one class: what average precision is made of.

    With `area` (low, high) boxes of other areas are ignored."""
    low, high = area or (0, np.inf)
    out = []
    for i, d in enumerate(dets):
        d = d[d[:, 0] == det_class]
        d = d[np.argsort(-d[:, 1], kind="stable")][:most]
        t = truth.rows[(truth.rows[:, 0] == i) & (truth.rows[:, 1] == true_class)]
        crowd = t[:, 2] > 0
        ignore = crowd | (areas(t[:, 3:7]) < low) | (areas(t[:, 3:7]) > high)
        hit, ignored = match(d[:, 2:6], t[:, 3:7], crowd, ignore)
        outside = (areas(d[:, 2:6]) < low) | (areas(d[:, 2:6]) > high)
        out.append((d[:, 1], hit, ignored | (~hit & outside), int((~ignore).sum())))
    return out


def average_precision(parts):
    """101-point average precision at the ten IoU thresholds; NaN without true boxes."""
    total = sum(p[3] for p in parts)
    if not total:
        return np.full(10, np.nan)
    score = np.concatenate([p[0] for p in parts])
    order = np.argsort(-score, kind="mergesort")
    hit = np.concatenate([p[1] for p in parts], 1)[:, order]
    ignored = np.concatenate([p[2] for p in parts], 1)[:, order]
    ap = np.zeros(10)
    for t in range(10):
        good, bad = np.cumsum(hit[t]).astype(float), np.cumsum(~hit[t] & ~ignored[t]).astype(float)
        recall, precision = good / total, good / np.maximum(good + bad, 1e-9)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
        ap[t] = np.where(at < len(precision), np.append(precision, 0)[np.minimum(at, len(precision))], 0).mean()
    return ap


def precision_recall(parts, conf):
    """Precision and recall at IoU 0.5 for detections above `conf`."""
    good = sum(int((p[1][0] & (p[0] > conf)).sum()) for p in parts)
    bad = sum(int((~p[1][0] & ~p[2][0] & (p[0] > conf)).sum()) for p in parts)
    return good / max(good + bad, 1), good / max(sum(p[3] for p in parts), 1)


def bootstrap(parts, rounds, seed=0):
    """Standard deviations of AP50 and AP50-95 when the pictures are drawn again with replacement."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(rounds):
        ap = average_precision([parts[i] for i in rng.integers(0, len(parts), len(parts))])
        drawn.append((ap[0], ap.mean()))
    return np.nanstd(drawn, 0)


class OnnxModel:
    """Runs an .onnx file with onnxruntime, one picture at a time, and knows its names and default threshold."""

    def __init__(self, path, threads=0):
        try:
            import onnxruntime
        except ImportError:
            raise UserError("evaluating an .onnx file needs onnxruntime: pip install onnxruntime") from None
        if not os.path.exists(path):
            raise UserError(f"{path}: no such file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]
        meta = self.session.get_modelmeta().custom_metadata_map
        self.names = ast.literal_eval(meta["names"]) if "names" in meta else None
        rows = self.session.get_outputs()[0].shape[1]
        self.classes = rows - 4 if isinstance(rows, int) else None
        self.conf = float(meta.get("conf", 0.25))
        size = ast.literal_eval(meta.get("imgsz", "[640, 640]"))
        fixed = [d for d in self.input.shape[2:] if isinstance(d, int)]
        self.size = tuple(fixed) if len(fixed) == 2 else tuple(size)

    def __call__(self, batch):
        return np.concatenate([self.session.run(None, {self.input.name: x[None]})[0] for x in batch])


class TorchModel:
    """The same for a network of this trainer; `keep` limits the output to some of its classes."""

    def __init__(self, net, names, size, device="cpu", half=False, keep=None):
        self.net, self.size, self.device, self.half = net, tuple(size), device, half
        self.keep = list(names) if keep is None else keep
        self.names = {i: names[c] for i, c in enumerate(self.keep)}
        self.classes, self.conf = len(self.keep), 0.25

    def __call__(self, batch):
        import torch
        from assign import cells
        from loss import decode
        from model import BINS
        x = torch.from_numpy(np.ascontiguousarray(batch)).to(self.device)
        with torch.no_grad(), torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.half):
            raw = self.net(x)
        raw = raw.float()
        b = decode(raw, *cells(*x.shape[2:], x.device))
        wh = b[..., 2:] - b[..., :2]
        out = torch.cat([b[..., :2] + wh / 2, wh, raw[..., 4 * BINS:][..., self.keep].sigmoid()], -1)
        return out.transpose(1, 2).cpu().numpy()


def letterboxed(paths, size):
    """(picture, place, original size) of every path, one after the other."""
    for path in paths:
        image = read_picture(path)
        yield (*letterbox(image, *size), image.shape[:2])


def predict(model, items, conf=0.001, iou=0.7, batch=16):
    """Detections for every item of `letterboxed`."""
    found, items = [], iter(items)
    while group := list(itertools.islice(items, batch)):
        found += _run(model, group, conf, iou)
    return found


def _run(model, group, conf, iou):
    x = np.stack([g[0] for g in group]).transpose(0, 3, 1, 2).astype(np.float32) / 255
    return detections(model(x), [g[1] for g in group], [g[2] for g in group], conf, iou)


def pair_classes(model_names, true_names, classes=None):
    """[(class in the model, class in the data)] by name; by number when the model carries no names."""
    if model_names is None:
        return [(c, c) for c in true_names if classes is None or c < classes]
    where = {n: c for c, n in true_names.items()}
    pairs = [(m, where[n]) for m, n in model_names.items() if n in where]
    if not pairs:
        known = list(model_names.values())[:5]
        raise UserError(f"the model knows {known}, the data {list(where)[:5]}: no class in common")
    return pairs


def score(dets, truth, pairs):
    """{model class: (matches, AP at ten thresholds)}."""
    out = {}
    for m, t in pairs:
        parts = matches(dets, truth, m, t)
        out[m] = (parts, average_precision(parts))
    return out


def false_alarms(model, folder, size, empty_ids, conf_levels):
    """On the pictures of `folder` labelled with none of `empty_ids`: how many show a detection above each level."""
    paths = [p for p in pictures_in(folder) if not {l[0] for l in read_labels(p)} & set(empty_ids)]
    found = predict(model, letterboxed(paths, size), min(conf_levels) / 2)
    best = [max(d[d[:, 0] == 0][:, 1], default=0.0) for d in found]
    return len(paths), [sum(b > c for b in best) for c in conf_levels]


def open_model(path, size):
    if path.endswith(".onnx"):
        model = OnnxModel(path)
    else:
        from model import load_weights
        net, names = load_weights(path)
        model = TorchModel(net.fuse(), names, (size or 416,) * 2)
    return model, ((size, size) if size else model.size)


def parse():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="\n".join(__doc__.splitlines()[2:]),
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", help=".onnx file or .pt of this trainer")
    p.add_argument("--data", help="data.yaml or folder with images/ and labels/ (its validation part if it has one)")
    p.add_argument("--annotations", help="COCO annotation file instead of --data (crowd regions are ignored)")
    p.add_argument("--images", help="folder of the pictures of --annotations")
    p.add_argument("--size", type=int, help="square input size; default: the model's")
    p.add_argument("--iou", type=float, default=0.7, help="IoU of the non-maximum suppression (default 0.7)")
    p.add_argument("--conf", type=float, help="threshold for precision, recall and --empty; default: the model's")
    p.add_argument("--areas", action="store_true", help="also by box area in the picture: small, medium, large")
    p.add_argument("--bootstrap", type=int, default=0, metavar="N", help="noise from N redrawn picture sets")
    p.add_argument("--empty", help="folder with pictures on which the model's first class may be absent")
    p.add_argument("--empty-ids", default="0", help="label ids of that class there, with commas (default 0)")
    return p.parse_args()


def main():
    a = parse()
    model, size = open_model(a.model, a.size)
    conf = model.conf if a.conf is None else a.conf
    if a.annotations:
        truth = Truth.from_coco(a.annotations, a.images or os.path.join(os.path.dirname(a.annotations), "images"))
    elif a.data:
        d = find_dataset(a.data)
        truth = Truth.from_yolo(d.val or d.train, d.names, d.remap)
    else:
        raise UserError("name the data: --data FOLDER or --annotations FILE")
    dets = predict(model, letterboxed(truth.paths, size), iou=a.iou)
    pairs = pair_classes(model.names, truth.names, model.classes)
    result = score(dets, truth, pairs)
    print(f"{a.model}: {len(truth.paths)} pictures at {size[1]}x{size[0]}")
    for c, (parts, ap) in result.items():
        if np.isnan(ap[0]):
            continue
        name = model.names[c] if model.names else truth.names[c]
        noise = " (s.d. {:.3f} / {:.3f})".format(*bootstrap(parts, a.bootstrap)) if a.bootstrap else ""
        precision, recall = precision_recall(parts, conf)
        print(f"{name}: AP50 {ap[0]:.3f} AP50-95 {ap.mean():.3f}{noise}, {sum(p[3] for p in parts)} boxes; "
              f"at score {conf}: precision {precision:.3f} recall {recall:.3f}")
        for size_name, area in AREAS.items() if a.areas else ():
            part = matches(dets, truth, c, dict(pairs)[c], area=area)
            ap = average_precision(part)
            print(f"  {size_name}: AP50 {ap[0]:.3f} AP50-95 {ap.mean():.3f}, {sum(p[3] for p in part)} boxes")
    ap = np.array([r[1] for r in result.values()])
    if len(ap) > 1:
        print(f"mean of {int((~np.isnan(ap[:, 0])).sum())} classes: AP50 {np.nanmean(ap[:, 0]):.3f} "
              f"AP50-95 {np.nanmean(ap):.3f}")
    if a.empty:
        levels = sorted({conf, 0.25, 0.35, 0.5})
        n, counts = false_alarms(model, a.empty, size, [int(i) for i in a.empty_ids.split(",")], levels)
        words = ", ".join(f"{k} above {l}" for l, k in zip(levels, counts))
        print(f"false detections on {n} empty pictures: {words}")
    return 0


if __name__ == "__main__":
    run(main)
