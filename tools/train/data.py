"""Data sets in YOLO format: finding pictures, reading labels, holding the pictures in memory, person-free windows."""
import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch

from console import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
PAD = 114  # grey of the letterbox border


class Dataset:
    """Paths of the training and validation pictures and the class names {id: name}."""

    def __init__(self, train, val, names):
        self.train, self.val, self.names = train, val, names
        self.remap = {c: c for c in names}  # id in the label files -> id of the network

    def select(self, ids):
        """Learn only these classes, numbered in this order."""
        self.remap = {c: i for i, c in enumerate(ids)}
        return {i: self.names[c] for i, c in enumerate(ids)}

    def class_ids(self, text):
        """Class names or numbers separated by commas -> ids."""
        number = {n: c for c, n in self.names.items()}
        ids = []
        for word in (w.strip() for w in text.split(",")):
            c = number.get(word, int(word) if word.isdigit() else -1)
            if c not in self.names:
                raise UserError(f"no class '{word}' in the data set; it has {', '.join(self.names.values())}")
            ids.append(c)
        return ids


def pictures_in(path):
    """All pictures of a folder (recursively), or those a .txt list names."""
    if os.path.isfile(path) and path.endswith(".txt"):
        base = os.path.dirname(path)
        with open(path) as f:
            return [os.path.normpath(os.path.join(base, l.strip())) for l in f if l.strip()]
    if not os.path.isdir(path):
        raise UserError(f"{path}: no such folder of pictures")
    found = []
    for root, _, files in os.walk(path):
        found += [os.path.join(root, f) for f in files if f.lower().endswith(SUFFIXES)]
    if not found:
        raise UserError(f"{path}: no pictures in it (looked for {', '.join(SUFFIXES)})")
    return sorted(found)


def label_path(picture):
    """.../images/x.jpg -> .../labels/x.txt; without an images folder the label lies beside the picture."""
    parts = os.path.splitext(os.path.abspath(picture))[0].split(os.sep)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            return os.sep.join(parts[:i] + ["labels"] + parts[i + 1:]) + ".txt"
    return os.sep.join(parts) + ".txt"


def read_labels(picture, classes=None, remap=None):
    """[(class, x0, y0, x1, y1)] in fractions of the picture; no label file means nothing in it.

    Lines with a class that `remap` lacks are left out."""
    path = label_path(picture)
    if not os.path.exists(path):
        return []
    out = []
    with open(path) as f:
        for number, line in enumerate(f, 1):
            t = line.split()
            if not t:
                continue
            try:
                c, v = int(t[0]), [float(x) for x in t[1:]]
            except ValueError:
                raise UserError(f"{path}:{number}: not numbers: {line.strip()[:60]}") from None
            if len(v) == 4:
                box = (v[0] - v[2] / 2, v[1] - v[3] / 2, v[0] + v[2] / 2, v[1] + v[3] / 2)
            elif len(v) >= 6 and len(v) % 2 == 0:  # a polygon: take its box
                box = (min(v[0::2]), min(v[1::2]), max(v[0::2]), max(v[1::2]))
            else:
                raise UserError(f"{path}:{number}: expected 'class cx cy w h', found {len(t)} fields")
            if classes is not None and not 0 <= c < classes:
                raise UserError(f"{path}:{number}: class {c}, but the data set names only {classes} classes")
            if max(v) > 1.01 or min(v) < -0.01:
                raise UserError(f"{path}:{number}: coordinates must be fractions of the picture (0 to 1)")
            if remap is None or c in remap:
                out.append((remap[c] if remap else c, *(min(max(x, 0.0), 1.0) for x in box)))
    return out


def read_yaml(path):
    try:
        import yaml
    except ImportError:
        raise UserError("reading data.yaml needs PyYAML: pip install pyyaml") from None
    try:
        with open(path) as f:
            d = yaml.safe_load(f)
    except yaml.YAMLError as e:
        raise UserError(f"{path}: not valid YAML: {str(e).splitlines()[0]}") from None
    if not isinstance(d, dict) or "train" not in d or "names" not in d:
        raise UserError(f"{path}: needs the keys 'train' and 'names'")
    return d


def _from_yaml(path):
    d = read_yaml(path)
    base = os.path.join(os.path.dirname(os.path.abspath(path)), d.get("path") or "")
    names = d["names"]
    names = {int(k): str(v) for k, v in (names.items() if isinstance(names, dict) else enumerate(names))}
    if sorted(names) != list(range(len(names))):
        raise UserError(f"{path}: class ids in 'names' must be 0, 1, 2 … without holes")

    def gather(entry):
        entries = entry if isinstance(entry, list) else [entry] if entry else []
        return [p for e in entries for p in pictures_in(os.path.join(base, e))]

    return Dataset(gather(d["train"]), gather(d.get("val")), names)


def _from_folder(path):
    images = os.path.join(path, "images")
    if not os.path.isdir(images):
        raise UserError(f"{path}: expected a data.yaml, or a folder with images/ and labels/ in it")
    if os.path.isdir(os.path.join(images, "train")):
        val = os.path.join(images, "val")
        train, val = pictures_in(os.path.join(images, "train")), pictures_in(val) if os.path.isdir(val) else []
    else:
        train, val = pictures_in(images), []
    listed = os.path.join(path, "classes.txt")
    if os.path.exists(listed):
        with open(listed) as f:
            return Dataset(train, val, dict(enumerate(l.strip() for l in f if l.strip())))
    top = max((l[0] for p in train for l in read_labels(p)), default=0)
    return Dataset(train, val, {i: f"class{i}" for i in range(top + 1)})


def find_dataset(path, val_split=0.0, seed=0):
    """A data.yaml or a folder -> Dataset; without validation pictures `val_split` of the others are set aside."""
    if not os.path.exists(path):
        raise UserError(f"{path}: no such file or folder")
    found = _from_folder(path) if os.path.isdir(path) else _from_yaml(path)
    if not found.val and val_split > 0:
        order = np.random.default_rng(seed).permutation(len(found.train))
        n = max(1, round(val_split * len(order)))
        found.val = [found.train[i] for i in sorted(order[:n])]
        found.train = [found.train[i] for i in sorted(order[n:])]
    if not any(os.path.exists(label_path(p)) for p in found.train):
        raise UserError(f"no label files found: expected for example {label_path(found.train[0])}")
    return found


def read_picture(path):
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{path}: cannot be read as a picture")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def shrink(image, side):
    """Scale down so that the long side is at most `side`."""
    h, w = image.shape[:2]
    r = side / max(h, w)
    if r >= 1:
        return image
    return cv2.resize(image, (max(1, round(w * r)), max(1, round(h * r))), interpolation=cv2.INTER_AREA)


def free_windows(boxes, width, height, smallest=96.0, most=4):
    """The largest windows of a picture that touch none of `boxes` (x0, y0, x1, y1): scenes without the class.

    For every pair of vertical cuts the tallest free band between the boxes in that strip is a candidate.
    """
    smallest = min(smallest, 0.4 * max(width, height))
    if len(boxes) == 0 or len(boxes) > 24:
        return []
    b = np.asarray(boxes, np.float64)
    found = []
    for x0 in [0.0, *b[:, 2]]:
        for x1 in [float(width), *b[:, 0]]:
            if x1 - x0 < smallest:
                continue
            hit = b[(b[:, 0] < x1) & (b[:, 2] > x0)]
            edge, gap = 0.0, (0.0, 0.0)
            for y0, y1 in sorted(map(tuple, hit[:, 1::2])) + [(float(height), float(height))]:
                gap = max(gap, (edge, y0), key=lambda g: g[1] - g[0])
                edge = max(edge, y1)
            if gap[1] - gap[0] >= smallest:
                found.append((x0, gap[0], x1, gap[1]))
    found.sort(key=lambda f: -(f[2] - f[0]) * (f[3] - f[1]))
    distinct = []
    for f in found:
        if all(_common(f, d) < 0.7 for d in distinct):
            distinct.append(f)
    return distinct[:most]


def _common(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(w, 0) * max(h, 0) / ((a[2] - a[0]) * (a[3] - a[1]))


class Pictures:
    """Pictures of one set, scaled to at most `side`, and their labels, ready to be gathered by index.

    The pixels lie on the device if they fit into half of its free memory, else in host memory if they fit
    into half of that, else they are decoded again for every batch.
    """

    def __init__(self, paths, side, device, keep=None, classes=None, remap=None):
        self.paths, self.device = paths, device
        self.pool = ThreadPoolExecutor(min(16, os.cpu_count() or 1))
        self.n = len(paths)
        sizes = list(self.pool.map(lambda p: read_picture(p).shape[:2], paths[:64]))
        self.side = min(side, max(max(s) for s in sizes))
        self.where = self._place()
        self.size = torch.zeros(self.n, 2)  # width, height as stored
        store = None
        if self.where != "disk":
            store = torch.full((self.n, 3, self.side, self.side), PAD, dtype=torch.uint8)

        def load(i):
            image = shrink(read_picture(paths[i]), self.side)
            self.size[i] = torch.tensor([image.shape[1], image.shape[0]])
            if store is not None:
                store[i, :, :image.shape[0], :image.shape[1]] = torch.from_numpy(image).permute(2, 0, 1)
            return [(c, x0 * image.shape[1], y0 * image.shape[0], x1 * image.shape[1], y1 * image.shape[0])
                    for c, x0, y0, x1, y1 in read_labels(paths[i], classes, remap)]

        labels = list(self.pool.map(load, range(self.n)))
        self.store = store.to(device) if self.where == "device" else store
        self._tables(labels, keep)

    def _place(self):
        need = self.n * 3 * self.side ** 2
        if self.device.type == "cuda" and need < torch.cuda.mem_get_info(self.device)[0] / 2:
            return "device"
        host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
        return "host" if need < host / 2 else "disk"

    def _tables(self, labels, keep):
        """Labels and free windows as padded tensors on the device."""
        most = max(1, max(len(k) for k in labels))
        self.box, self.cls = torch.zeros(self.n, most, 4), torch.zeros(self.n, most, dtype=torch.long)
        self.present = torch.zeros(self.n, most, dtype=torch.bool)
        self.window = torch.zeros(self.n, 5, 4)
        self.windows = torch.zeros(self.n)
        for i, rows in enumerate(labels):
            if rows:
                t = torch.tensor(rows)
                self.cls[i, :len(rows)], self.box[i, :len(rows)] = t[:, 0].long(), t[:, 1:]
                self.present[i, :len(rows)] = True
            w, h = self.size[i].tolist()
            shown = [r[1:] for r in rows if keep is None or r[0] in keep]
            free = free_windows(shown, w, h) if shown else [(0, 0, w, h)]
            self.window[i, 0] = torch.tensor([0, 0, w, h])
            for j, f in enumerate(free, 1):
                self.window[i, j] = torch.tensor(f)
            self.windows[i] = len(free)
        for name in ("size", "box", "cls", "present", "window", "windows"):
            setattr(self, name, getattr(self, name).to(self.device))

    def gather(self, index):
        """uint8 pictures (..., 3, side, side) on the device for a tensor of indices."""
        if self.where == "device":
            return self.store[index]
        flat = index.flatten().cpu()
        if self.where == "host":
            out = self.store[flat]
        else:
            out = torch.full((len(flat), 3, self.side, self.side), PAD, dtype=torch.uint8)

            def load(k):
                image = shrink(read_picture(self.paths[int(flat[k])]), self.side)
                out[k, :, :image.shape[0], :image.shape[1]] = torch.from_numpy(image).permute(2, 0, 1)

            list(self.pool.map(load, range(len(flat))))
        return out.to(self.device).view(*index.shape, 3, self.side, self.side)


def letterbox(image, height, width):
    """Fit into height x width, bilinear, centred on grey. -> (picture, (x gain, y gain, left, top))."""
    h, w = image.shape[:2]
    r = min(height / h, width / w)
    nw, nh = round(w * r), round(h * r)
    if (nw, nh) != (w, h):
        image = cv2.resize(image, (nw, nh), interpolation=cv2.INTER_LINEAR)
    left, top = round((width - nw) / 2 - 0.1), round((height - nh) / 2 - 0.1)
    out = np.full((height, width, 3), PAD, np.uint8)
    out[top:top + nh, left:left + nw] = image
    return out, (nw / w, nh / h, left, top)
