#!/usr/bin/python3
"""Trains the 32-layer ResNet of He et al. (2015) on CIFAR-10 and exports it.

Three stages of five blocks with 16, 32 and 64 channels, projection shortcuts where channels change: 464,432 weights of convolutions and the
linear layer; BatchNormalization is folded into the convolutions on export. Needs Debian's python3-torch (1.13) and CIFAR-10 as an .npz, which
models/cifar10.py makes: x_train and x_test as bytes, [N, 3, 32, 32] or [N, 32, 32, 3], y_train and y_test as integers.

    models/cifar10.py cifar10.npz
    /usr/bin/python3 models/train_resnet32.py cifar10.npz resnet32-cifar10.onnx

All 50,000 training images are trained with, for a number of epochs fixed beforehand; nothing is chosen by looking at the test images,
which are used once, for the final report. Convolutions compute in bfloat16 where the processor does (--float32: never): weights,
their updates and the exported network are float.
"""
import argparse
import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional

# Mean and standard deviation of the training pixels in [0, 1], by channel.
MEAN, SCALE = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def load(path, part):
    """Images [N, 3, 32, 32] as float, normalised, and labels [N]."""
    with np.load(path) as arrays:
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
    if images.dtype != np.uint8 or images.shape[1:] not in ((3, 32, 32), (32, 32, 3)):
        raise SystemExit(f"{path}: x_{part} is {images.dtype} {images.shape}, not uint8 [N, 3, 32, 32] or [N, 32, 32, 3]")
    if images.shape[1] != 3:
        images = images.transpose(0, 3, 1, 2)
    images = (images.astype(np.float32) / 255 - np.float32(MEAN)[:, None, None]) / np.float32(SCALE)[:, None, None]
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64).ravel())


class Block(nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Identity()
        if before != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """6 * count + 2 layers, with `width` times the channels of He et al."""

    def __init__(self, count, width):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        blocks, before = [], 16
        for channels, stride in ((16 * width, 1), (32 * width, 2), (64 * width, 2)):
            for number in range(count):
                blocks.append(Block(before, channels, stride if number == 0 else 1))
                before = channels
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(before, 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image):
        x = self.blocks(functional.relu(self.norm(self.conv(image))))
        return self.linear(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))


def augment(images, generator):
    """Half of the images mirrored, each shifted by up to four pixels; channels last."""
    count = images.shape[0]
    flip = (torch.rand(count, generator=generator) < 0.5).tolist()
    shift = torch.randint(0, 9, (2, count), generator=generator).tolist()
    padded = functional.pad(images, (4, 4, 4, 4))
    batch = torch.empty_like(images, memory_format=torch.channels_last)
    for i in range(count):
        row, column = shift[0][i], shift[1][i]
        image = padded[i, :, row:row + 32, column:column + 32]
        batch[i] = image.flip(2) if flip[i] else image
    return batch


def rate_at(options, step, steps_per_epoch):
    """The learning rate: up in a straight line for `warmup` epochs, then down to zero along a cosine."""
    epoch = step / steps_per_epoch
    if epoch < options.warmup:
        return options.rate * (epoch + 1 / steps_per_epoch) / options.warmup
    return options.rate * 0.5 * (1 + np.cos(np.pi * (epoch - options.warmup) / (options.epochs - options.warmup)))


def train(network, images, labels, options):
    steps = len(labels) // options.batch
    decayed = [p for p in network.parameters() if p.ndim > 1]
    other = [p for p in network.parameters() if p.ndim == 1]
    optimiser = torch.optim.SGD([{"params": decayed, "weight_decay": options.decay}, {"params": other, "weight_decay": 0}],
                                lr=options.rate, momentum=0.9, nesterov=True)
    first = 0
    if options.checkpoint and os.path.exists(options.checkpoint):
        state = torch.load(options.checkpoint)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["epoch"]
    for epoch in range(first, options.epochs):
        generator = torch.Generator().manual_seed(options.seed * 1000 + epoch)
        order = torch.randperm(len(labels), generator=generator)
        network.train()
        total, correct = 0.0, 0
        for step in range(steps):
            chosen = order[step * options.batch:(step + 1) * options.batch]
            batch = augment(images[chosen], generator)
            for group in optimiser.param_groups:
                group["lr"] = rate_at(options, epoch * steps + step, steps)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not options.float32):
                outputs = network(batch)
            loss = functional.cross_entropy(outputs.float(), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item()
            correct += (outputs.argmax(1) == labels[chosen]).sum().item()
        print(f"epoch {epoch + 1}: loss {total / steps:.4f}, {100 * correct / (steps * options.batch):.2f} % of the augmented images",
              flush=True)
        if options.checkpoint:
            torch.save({"network": network.state_dict(), "optimiser": optimiser.state_dict(), "epoch": epoch + 1},
                       options.checkpoint + ".new")
            os.replace(options.checkpoint + ".new", options.checkpoint)


def accuracy(network, images, labels):
    network.eval()
    with torch.no_grad():
        correct = sum((network(images[i:i + 500].contiguous(memory_format=torch.channels_last)).argmax(1) == labels[i:i + 500]).sum().item()
                      for i in range(0, len(labels), 500))
    return 100.0 * correct / len(labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", help="CIFAR-10 as .npz")
    parser.add_argument("output", help="the .onnx to write")
    parser.add_argument("--blocks", type=int, default=5, help="in each of the three stages (default 5)")
    parser.add_argument("--width", type=int, default=1, help="times as many channels (default 1); 2 makes a teacher for mary tune")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--warmup", type=float, default=4, help="epochs in which the rate rises (default 4)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.2)
    parser.add_argument("--decay", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--float32", action="store_true", help="no bfloat16")
    parser.add_argument("--checkpoint", help="written after every epoch; gone on from if it is there")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)

    network = ResNet(options.blocks, options.width).to(memory_format=torch.channels_last)
    train(network, *load(options.data, "train"), options)
    print(f"test images: {accuracy(network, *load(options.data, 'test')):.2f} %")

    network = network.to(memory_format=torch.contiguous_format).eval()
    torch.onnx.export(network, torch.zeros(1, 3, 32, 32), options.output, input_names=["input"], output_names=["logits"], opset_version=13,
                      dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}})


if __name__ == "__main__":
    main()
