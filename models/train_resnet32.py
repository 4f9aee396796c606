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

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from training import add_options, load, report_and_export, train


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


class ResNet32(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        blocks, before = [], 16
        for channels, stride in ((16, 1), (32, 2), (64, 2)):
            for number in range(5):
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_options(parser, epochs=50, batch=128, rate=0.2, decay=5e-4)
    parser.add_argument("--warmup", type=float, default=4, help="epochs in which the rate rises (default 4)")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)

    def rate_at(epoch, step):
        """Up in a straight line, then down to zero along a cosine."""
        if epoch < options.warmup:
            return options.rate * (epoch + step) / options.warmup
        return options.rate * 0.5 * (1 + np.cos(np.pi * (epoch - options.warmup) / (options.epochs - options.warmup)))

    network = ResNet32().to(memory_format=torch.channels_last)
    train(network, *load(options.data, "train"), options, rate_at)
    report_and_export(network, options)


if __name__ == "__main__":
    main()
