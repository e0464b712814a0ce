"""Train a detector on pictures with YOLO labels and export it for Slipway.

    python train.py --data mydata/data.yaml --out run1                     # 300 epochs, GPU if there is one
    python train.py --data mydata --out run1 --epochs 50 --batch 16        # a folder with images/ and labels/
    python train.py --data mydata --out run1 --weights ../../models/person.onnx   # start from a trained detector
    python train.py --data mydata --out run1 --resume                      # go on where it was stopped
    python train.py --data coco.yaml --out run2 --keep person --teacher run1/model.pt   # distil
    python train.py --data mydata --out run3 --weights run1/model.pt --qat --epochs 20
    python train.py --data mydata --out run4 --weights run1/model.pt --prune 0.3 --epochs 100

The result is OUT/model.onnx (for slipway) and OUT/model.pt (for further training); OUT/curve.json has the curve.
"""
import argparse
import os
import time

from console import Progress, UserError, run


def parse(argv=None):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="\n".join(__doc__.splitlines()[1:]),
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    g = p.add_argument_group("data")
    g.add_argument("--data", required=True, help="data.yaml, or a folder with images/ and labels/")
    g.add_argument("--classes", help="learn only these (names or numbers with commas); default: all")
    g.add_argument("--keep", help="classes of the exported model; the others only help training; default: all")
    g.add_argument("--val-split", type=float, default=0.1, help="share set aside if the data has no val part (0.1)")
    g = p.add_argument_group("network")
    g.add_argument("--size", type=int, default=416, help="input size in training, a multiple of 32 (416)")
    g.add_argument("--width", type=float, default=1.0, help="1.0 is nano; 2.0 has twice the channels")
    g.add_argument("--weights", help="start from this .pt or Slipway .onnx of this trainer")
    g.add_argument("--teacher", help="distil from this .pt (same classes)")
    g.add_argument("--prune", type=float, metavar="RATIO", help="first remove this share of --weights' arithmetic")
    g.add_argument("--qat", action="store_true", help="fine-tune --weights for 8-bit integers")
    g = p.add_argument_group("training")
    g.add_argument("--out", required=True, help="folder for the results")
    g.add_argument("--resume", action="store_true", help="go on from OUT/last.pt")
    g.add_argument("--epochs", type=int, default=300)
    g.add_argument("--minutes", type=float, help="train this long instead of --epochs")
    g.add_argument("--batch", type=int, default=64)
    g.add_argument("--lr", type=float, help="default 2e-3; 2e-4 with --weights, 5e-5 with --qat, 1e-3 with --prune")
    g.add_argument("--decay", type=float, default=0.05, help="weight decay (0.05)")
    g.add_argument("--most", type=int, default=64, help="most boxes learnt in one training picture (64)")
    g.add_argument("--points", type=int, help="evaluations during the run (default: one an epoch, at most 20)")
    g.add_argument("--seed", type=int, default=0)
    g.add_argument("--device", help="cuda, cpu; default: cuda if there is one")
    g.add_argument("--no-graph", action="store_true", help="do not replay the step as a CUDA graph")
    g = p.add_argument_group("augmentation")
    g.add_argument("--mosaic", type=float, default=0.85)
    g.add_argument("--mixup", type=float, default=0.1)
    g.add_argument("--scale", type=float, nargs=2, default=(0.5, 1.6), metavar=("LOW", "HIGH"))
    g.add_argument("--background", type=float, default=0.1, help="share of windows free of the kept classes")
    g = p.add_argument_group("export")
    g.add_argument("--conf", type=float, default=0.25, help="default score threshold written into the model (0.25)")
    return check(p.parse_args(argv))


def check(a):
    if a.size % 32 or a.size < 64:
        raise UserError(f"--size {a.size}: must be a multiple of 32, at least 64")
    if a.batch < 2 or a.epochs < 1:
        raise UserError("--batch must be at least 2 and --epochs at least 1")
    if (a.qat or a.prune is not None) and not a.weights and not a.resume:
        raise UserError("--qat and --prune need a trained network: --weights run1/model.pt")
    if a.qat and a.prune is not None:
        raise UserError("--prune and --qat one after the other: prune and train first, then --qat its model.pt")
    if a.prune is not None and not 0 < a.prune < 0.9:
        raise UserError(f"--prune {a.prune}: must lie between 0 and 0.9")
    if a.qat:
        a.no_graph = True  # PyTorch's rounding by channel cannot be captured
    if a.lr is None:
        a.lr = 5e-5 if a.qat else 1e-3 if a.prune is not None else 2e-4 if a.weights else 2e-3
    if a.points is None:
        a.points = 20 if a.minutes else min(20, a.epochs)
    return a


def pick_device(name):
    import torch
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("--device cuda: this PyTorch sees no GPU")
    device = torch.device(name)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    return device


def start_from(path, names, pictures):
    """A network with the weights of `path`; classes that it knows by name keep their scores, others start afresh."""
    import torch
    from model import Detector, load_weights
    if path.endswith(".onnx"):
        from export import load_onnx
        net, old = load_onnx(path, pictures())
    else:
        net, old = load_weights(path)
    if list(old.values()) == list(names.values()):
        return net
    fresh = Detector(len(names), net.widths)
    state = {k: v for k, v in net.state_dict().items() if fresh.state_dict()[k].shape == v.shape}
    fresh.load_state_dict(state, strict=False)
    row = {n: c for c, n in old.items()}
    known = [(i, row[n]) for i, n in names.items() if n in row]
    with torch.no_grad():
        for mine, its in zip(fresh.cls, net.cls):
            for i, c in known:
                mine[-1].weight[i] = its[-1].weight[c]
                mine[-1].bias[i] = its[-1].bias[c]
    return fresh


def build(a, names, data, device):
    """The network to train: fresh, as it was saved, from weights, pruned or prepared for integers."""
    import torch
    from augment import PLAIN, make_batch
    from model import Detector, plain_widths, read_checkpoint

    def batches(n):
        return [make_batch(data, min(32, a.batch), (a.size, a.size), PLAIN)[0] for _ in range(n)]

    if a.resume:
        net = Detector(len(names), read_checkpoint(os.path.join(a.out, "last.pt"))["widths"])
    elif a.weights:
        net = start_from(a.weights, names, lambda: torch.cat(batches(2)).cpu())
    else:
        net = Detector(len(names), plain_widths(a.width))
    net = net.to(device)
    if a.prune is not None and not a.resume:
        from prune import prune
        net = prune(net, a.prune, a.size)
    if a.qat:
        from quantise import prepare
        net = prepare(net, batches(8))
    return net


def load_teacher(path, names, device):
    import torch
    from model import load_weights
    net, old = load_weights(path)
    if old != names:
        raise UserError(f"{path}: the teacher knows other classes than this run ({len(old)}, here {len(names)})")
    return net.fuse().to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)


def finish(a, net, names, keep):
    """Write model.pt and model.onnx."""
    from export import export
    from model import save_weights
    net = net.cpu().float()
    if not a.qat:  # an integer network is final: train its float parent instead
        save_weights(os.path.join(a.out, "model.pt"), net, names)
    path = os.path.join(a.out, "model.onnx")
    export(net, names, path, size=(a.size, a.size), keep=keep, conf=a.conf, half=not a.qat)
    return path


def main(argv=None):
    a = parse(argv)
    try:
        import torch
    except ImportError:
        raise UserError("training needs PyTorch: pip install torch") from None
    from data import Pictures, find_dataset
    from evaluate import Truth
    from trainer import Trainer
    device = pick_device(a.device)
    torch.manual_seed(a.seed)
    progress, start = Progress(), time.monotonic()
    dataset = find_dataset(a.data, a.val_split, a.seed)
    names = dataset.select(dataset.class_ids(a.classes) if a.classes else list(dataset.names))
    keep = [dataset.remap[c] for c in dataset.class_ids(a.keep) if c in dataset.remap] if a.keep else list(names)
    if not keep:
        raise UserError("--keep names none of the classes in --classes")
    data = Pictures(dataset.train, a.size, device, keep, len(dataset.names), dataset.remap)
    if not data.present.any():
        raise UserError("no label of the wanted classes in the training pictures")
    val = Truth.from_yolo(dataset.val, dataset.names, dataset.remap) if dataset.val else None
    os.makedirs(a.out, exist_ok=True)
    if not a.resume and os.path.exists(os.path.join(a.out, "last.pt")):
        raise UserError(f"{a.out} already holds a run: add --resume or choose another --out")
    net = build(a, names, data, device).to(memory_format=torch.channels_last)
    teacher = load_teacher(a.teacher, names, device) if a.teacher else None
    trainer = Trainer(net, data, val, names, keep, a, progress, teacher)
    if a.resume:
        trainer.resume(os.path.join(a.out, "last.pt"))
    progress.note(f"{data.n} pictures, {int(data.present.sum())} boxes, {len(names)} classes; "
                  f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters; {device.type}, "
                  f"pixels on {data.where}; ready in {time.monotonic() - start:.1f} s")
    path = finish(a, trainer.run(), names, keep)
    progress.note(f"{trainer.done} steps in {trainer.seconds:.0f} s "
                  f"({trainer.done * a.batch / max(trainer.seconds, 1e-9):.0f} pictures/s); wrote {path}")
    return 0


if __name__ == "__main__":
    run(main)
