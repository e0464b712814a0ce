"""The training loop: batches made on the device, one static training step (a CUDA graph on a GPU), averaged weights,
cosine schedule over epochs or minutes, evaluation while training, resume."""
import copy
import json
import math
import os
import time

import numpy as np
import torch

from augment import Policy, make_batch
from console import UserError
from evaluate import TorchModel, letterboxed, predict, score
from loss import Criterion
from model import read_checkpoint

AVERAGE = 0.9995  # decay of the averaged weights
CALM_FROM = 0.85  # share of the run after which mosaic, mixup and erasing end


class Step:
    """Forward, assignment, losses, backward and optimiser on static buffers: a GPU can replay it as one graph."""

    def __init__(self, net, opt, teacher=None):
        self.net, self.opt, self.teacher = net, opt, teacher
        dev = next(net.parameters()).device
        self.dev, self.cuda = dev, dev.type == "cuda"
        self.params = [p for p in net.parameters() if p.requires_grad]
        heavy = [p for p in self.params if p.ndim > 1]
        light = [p for p in self.params if p.ndim <= 1]
        self.lr = torch.tensor(0.0, device=dev) if self.cuda else 0.0
        extra = dict(fused=True, capturable=True) if self.cuda else {}
        groups = [dict(params=heavy, weight_decay=opt.decay), dict(params=light, weight_decay=0.0)]
        self.optimiser = torch.optim.AdamW(groups, self.lr, betas=(0.9, 0.99), **extra)
        self.criterion = Criterion((opt.size, opt.size), dev)
        b, m, s = opt.batch, opt.most, opt.size
        self.x = torch.zeros(b, 3, s, s, device=dev).contiguous(memory_format=torch.channels_last)
        self.boxes = torch.zeros(b, m, 4, device=dev)
        self.classes = torch.zeros(b, m, dtype=torch.long, device=dev)
        self.present = torch.zeros(b, m, dtype=torch.bool, device=dev)
        self.parts = torch.zeros(3, device=dev)
        self.graph = None

    def set_lr(self, value):
        if self.cuda:
            self.lr.fill_(value)
        else:
            for group in self.optimiser.param_groups:
                group["lr"] = value

    def load(self, batch):
        for mine, new in zip((self.x, self.boxes, self.classes, self.present), batch):
            mine.copy_(new)

    def compute(self):
        with torch.autocast(self.dev.type, torch.bfloat16, enabled=self.cuda, cache_enabled=False):
            raw = self.net(self.x)
            if self.teacher is not None:
                with torch.no_grad():
                    taught = self.teacher(self.x)
        loss, parts = self.criterion(raw, self.boxes, self.classes, self.present)
        if self.teacher is not None:
            loss = loss + self.criterion.distil(raw, taught)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.params, 10.0)
        self.optimiser.step()
        self.parts.copy_(parts)

    def capture(self, make):
        """Record the step as a CUDA graph; `make` gives batches for the warm-up."""
        saved = copy.deepcopy(self.net.state_dict())
        moments = copy.deepcopy(self.optimiser.state_dict()["state"])
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(4):
                self.load(make())
                self.optimiser.zero_grad(set_to_none=True)
                self.compute()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        self.optimiser.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.compute()
        self._restore(saved, moments)

    @torch.no_grad()
    def _restore(self, saved, moments):
        """Undo what the warm-up learnt, in place: the graph holds the addresses."""
        for key, value in self.net.state_dict().items():
            value.copy_(saved[key])
        for i, p in enumerate(p for g in self.optimiser.param_groups for p in g["params"]):
            for key, value in self.optimiser.state[p].items():
                value.copy_(moments[i][key]) if i in moments else value.zero_()

    def __call__(self, batch):
        self.load(batch)
        if self.graph is not None:
            self.graph.replay()
        else:
            self.optimiser.zero_grad(set_to_none=True)
            self.compute()


class Averaged:
    """Exponential moving average of all weights and statistics, young weights counting more at the start."""

    def __init__(self, net):
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self.mine = [v for v in self.net.state_dict().values() if v.dtype.is_floating_point]

    @torch.no_grad()
    def update(self, net, step):
        keep = AVERAGE * (1 - math.exp(-step / (0.15 / (1 - AVERAGE) + 200)))
        torch._foreach_lerp_(self.mine, [v for v in net.state_dict().values() if v.dtype.is_floating_point], 1 - keep)


class Trainer:
    """Runs a whole training; `opt` are the command's options, `names` the classes, `keep` the ids that count."""

    def __init__(self, net, data, val, names, keep, opt, progress, teacher=None):
        self.opt, self.names, self.keep, self.progress, self.data = opt, names, keep, progress, data
        self.net = net.train()
        self.step = Step(net, opt, teacher)
        self.averaged = Averaged(net)
        self.first = torch.tensor(keep, device=data.device) if len(keep) < len(names) else None
        self.loud = Policy(opt.mosaic, tuple(opt.scale), background=opt.background, mixup=opt.mixup)
        self.val, self.seen = val, None
        self.done, self.seconds, self.curve = 0, 0.0, []
        self.per_epoch = max(1, data.n // opt.batch)

    def share(self):
        """How much of the run is done, 0 to 1."""
        if self.opt.minutes:
            return min(1.0, self.seconds / (60 * self.opt.minutes))
        return self.done / (self.opt.epochs * self.per_epoch)

    def batch(self):
        policy = self.loud if self.share() < CALM_FROM else self.loud.calm()
        size = (self.opt.size, self.opt.size)
        return make_batch(self.data, self.opt.batch, size, policy, self.opt.most, self.first)

    def learning_rate(self, share):
        """Linear warm-up over the first 2.5 % of the run, then a cosine down to 1 %."""
        return self.opt.lr * (0.01 + 0.495 * (1 + math.cos(math.pi * share))) * min(1.0, share / 0.025 + 0.01)

    def run(self):
        if self.step.cuda and not self.opt.no_graph:
            self.step.capture(self.batch)
        reported = int(self.share() * self.opt.points + 1e-9)
        clock = time.monotonic()
        while self.share() < 1:
            self.step.set_lr(self.learning_rate(self.share()))
            self.step(self.batch())
            self.done += 1
            self.averaged.update(self.net, self.done)
            if self.step.cuda and self.done % 20 == 0:
                torch.cuda.synchronize()  # else the clock runs ahead of the device
            self.seconds += -clock + (clock := time.monotonic())
            self._tick()
            if int(self.share() * self.opt.points + 1e-9) > reported:
                reported = int(self.share() * self.opt.points + 1e-9)
                self._report()
                self.seconds += -clock + (clock := time.monotonic())
        return self.averaged.net

    def _tick(self):
        if self.progress.live:
            epoch = self.done / self.per_epoch
            rate = self.done * self.opt.batch / max(self.seconds, 1e-9)
            left = self.seconds * (1 / max(self.share(), 1e-9) - 1)
            done = f"epoch {epoch:.1f}  {100 * self.share():.0f} %"
            self.progress.step(f"{done}  {rate:.0f} pictures/s  {left:.0f} s left")

    def _report(self):
        parts = self.step.parts.tolist()
        if not all(math.isfinite(p) for p in parts):
            raise UserError("the loss is no longer a number; try a lower --lr")
        row = dict(epoch=round(self.done / self.per_epoch, 1), seconds=round(self.seconds, 1),
                   box=round(parts[0], 4), cls=round(parts[1], 4), bins=round(parts[2], 4))
        if self.val is not None:
            row |= self.measure()
        self.curve.append(row)
        words = "  ".join(f"{k} {v}" for k, v in row.items() if k != "classes")
        self.progress.note(f"{words}  lr {self.learning_rate(self.share()):.2e}")
        self.save()

    def measure(self):
        """AP of the averaged weights on the validation pictures, mean over the classes that count."""
        size = (self.opt.size, self.opt.size)
        if self.seen is None:
            self.seen = list(letterboxed(self.val.paths, size))
        model = TorchModel(self.averaged.net, self.names, size, self.step.dev, self.step.cuda, self.keep)
        result = score(predict(model, self.seen), self.val, list(enumerate(self.keep)))
        ap = {model.names[c]: r[1] for c, r in result.items() if not np.isnan(r[1][0])}
        if not ap:
            return {}
        each = {n: [round(float(a[0]), 4), round(float(a.mean()), 4)] for n, a in ap.items()}
        return dict(AP50=round(float(np.mean([a[0] for a in ap.values()])), 4),
                    AP=round(float(np.mean([a.mean() for a in ap.values()])), 4), classes=each)

    def save(self):
        """last.pt: everything needed to resume; its `state` are the averaged weights."""
        path = os.path.join(self.opt.out, "last.pt")
        state = dict(kind="slipway-detector", state=self.averaged.net.state_dict(), widths=self.net.widths,
                     names=self.names, keep=self.keep, net=self.net.state_dict(), done=self.done,
                     seconds=self.seconds, optimiser=self.step.optimiser.state_dict()["state"], curve=self.curve,
                     random=torch.get_rng_state())
        torch.save(state, path + ".new")
        os.replace(path + ".new", path)  # a kill while writing leaves the last good one
        with open(os.path.join(self.opt.out, "curve.json"), "w") as f:
            json.dump(self.curve, f, indent=1)

    def resume(self, path):
        s = read_checkpoint(path)
        if "optimiser" not in s or s["names"] != self.names:
            raise UserError(f"{path} cannot be resumed with these classes; start in a new --out")
        try:
            self.net.load_state_dict(s["net"])
        except RuntimeError:
            raise UserError(f"{path} was trained with another --qat setting; repeat that run's options") from None
        self.averaged.net.load_state_dict(s["state"])
        groups = self.step.optimiser.state_dict()["param_groups"]
        self.step.optimiser.load_state_dict(dict(state=s["optimiser"], param_groups=groups))
        self.done, self.seconds, self.curve = s["done"], s["seconds"], s["curve"]
        torch.set_rng_state(s["random"])
