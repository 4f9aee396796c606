#!/usr/bin/python3
"""Trains a wide, shallow network on CIFAR-10 in half an hour on two cores, and exports it: a teacher for mary tune.

Seven layers after two published fast trainings: Page, "How to train your ResNet" (2018), and Jordan, "94 % on CIFAR-10 in 3.29 seconds"
(arXiv:2404.00498). The first layer is not trained but whitens patches of 2 x 2 pixels, convolutions begin as identities, pooling follows
the first convolution of every stage, and a triangular schedule at a large rate does the rest. Needs Debian's python3-torch (1.13) and
CIFAR-10 as models/cifar10.py makes it.

    /usr/bin/python3 models/train_teacher.py cifar10.npz teacher.onnx

Labels are not smoothed: a teacher that was trained with smoothed ones tells less of how alike classes are. All training images are used; the
test images for the report at the end.
"""
import argparse

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from training import add_options, augment, load, report_and_export, train


def whitening(images, count=5000):
    """Filters [24, 3, 2, 2] that make the patches' 12 directions equally strong, and their negatives: what ReLU would lose of one, the other keeps."""
    patches = images[:count].unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / torch.sqrt(values + 5e-4)).T.reshape(12, 3, 2, 2).flip(0)
    return torch.cat((filters, -filters))


class Stage(nn.Module):
    def __init__(self, before, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, 1, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        for conv in (self.conv1, self.conv2):
            nn.init.dirac_(conv.weight[:conv.in_channels])

    def forward(self, x):
        x = functional.relu(self.norm1(functional.max_pool2d(self.conv1(x), 2)))
        return functional.relu(self.norm2(self.conv2(x)))


class Teacher(nn.Module):
    def __init__(self, filters, widths):
        super().__init__()
        self.whiten = nn.Conv2d(3, len(filters), 2)
        self.whiten.weight.data[:] = filters
        self.whiten.weight.requires_grad_(False)
        nn.init.zeros_(self.whiten.bias)
        stages, before = [], len(filters)
        for channels in widths:
            stages.append(Stage(before, channels))
            before = channels
        self.stages = nn.Sequential(*stages)
        self.linear = nn.Linear(before, 10, bias=False)

    def forward(self, image):
        x = self.stages(functional.relu(self.whiten(image)))
        return self.linear(torch.flatten(functional.max_pool2d(x, 3), 1)) / 9


def cut(images, side, generator):
    """A square of every image set to the mean (zero)."""
    rows, columns = torch.randint(0, 33 - side, (2, len(images)), generator=generator).tolist()
    for image, row, column in zip(images, rows, columns):
        image[:, row:row + side, column:column + side] = 0
    return images


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_options(parser, epochs=24, batch=512, rate=0.8, decay=1e-3)
    parser.add_argument("--widths", type=int, nargs=3, default=(64, 256, 256), help="channels of the stages (default 64 256 256)")
    parser.add_argument("--start", help="a checkpoint whose weights the training begins with: a second, gentler one")
    parser.add_argument("--cut", type=int, default=8, help="side of the square that is cut from every image (default 8)")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)

    def rate_at(epoch, _):
        """Up from a fifth over the first fifth of the epochs, then down to zero, in straight lines."""
        return options.rate * np.interp(epoch / options.epochs, [0, 0.2, 1], [0.2, 1, 0])

    def look(images, generator):
        return cut(augment(images, generator), options.cut, generator)

    images, labels = load(options.data, "train")
    network = Teacher(whitening(images), options.widths).to(memory_format=torch.channels_last)
    if options.start:
        network.load_state_dict(torch.load(options.start)["network"])
    train(network, images, labels, options, rate_at, look)
    report_and_export(network, options)


if __name__ == "__main__":
    main()
