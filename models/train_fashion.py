#!/usr/bin/python3
"""Trains the sample model of this folder, fashion-lenet5.onnx, on Fashion-MNIST.

The network has the size of Caffe's LeNet-5: convolutions of 20 and 50 channels, 5x5, each followed by a 2x2 max pooling, then
500 hidden units and 10 outputs: 431,080 parameters. Needs Debian's python3-torch and dataset-fashion-mnist:

    apt install python3-torch dataset-fashion-mnist
    /usr/bin/python3 models/train_fashion.py models/fashion-lenet5.onnx

The last 5,000 training images are held out for choosing the epoch; the test images are looked at once, for the final report.
"""
import argparse
import gzip
import struct

import numpy as np
import torch
from torch import nn
from torch.nn import functional

# Mean and standard deviation of the training pixels in [0, 1].
MEAN, SCALE = 0.2860, 0.3530
HELD_OUT = 5000


def read_idx(path):
    """An IDX file of unsigned bytes as an array: [images, rows, columns] or [labels]."""
    with gzip.open(path, "rb") as stream:
        zero, kind, rank = struct.unpack(">HBB", stream.read(4))
        if zero != 0 or kind != 8:
            raise SystemExit(f"{path}: not an IDX file of unsigned bytes")
        dims = struct.unpack(f">{rank}I", stream.read(4 * rank))
        return np.frombuffer(stream.read(), dtype=np.uint8).reshape(dims)


def load(folder, part):
    """Images [N, 1, 28, 28] as float, normalised, and labels [N]."""
    images = read_idx(f"{folder}/{part}-images-idx3-ubyte.gz").astype(np.float32)
    labels = read_idx(f"{folder}/{part}-labels-idx1-ubyte.gz").astype(np.int64)
    return (torch.from_numpy((images / 255 - MEAN) / SCALE).unsqueeze(1), torch.from_numpy(labels))


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(800, 500)
        self.fc2 = nn.Linear(500, 10)

    def forward(self, image):
        image = functional.max_pool2d(functional.relu(self.conv1(image)), 2)
        image = functional.max_pool2d(functional.relu(self.conv2(image)), 2)
        hidden = functional.relu(self.fc1(functional.dropout(torch.flatten(image, 1), 0.25, self.training)))
        return self.fc2(functional.dropout(hidden, 0.4, self.training))


def augment(images):
    """Half of the images mirrored, each shifted by up to two pixels."""
    count = images.shape[0]
    flip = torch.rand(count) < 0.5
    images = torch.where(flip[:, None, None, None], images.flip(3), images)
    padded = functional.pad(images, (2, 2, 2, 2), value=-MEAN / SCALE)
    row = torch.randint(0, 5, (count, 1, 1)) + torch.arange(28)[None, :, None]
    column = torch.randint(0, 5, (count, 1, 1)) + torch.arange(28)[None, None, :]
    return padded[torch.arange(count)[:, None, None], 0, row, column].unsqueeze(1)


def accuracy(network, images, labels):
    network.eval()
    with torch.no_grad():
        correct = sum((network(images[i:i + 1000]).argmax(1) == labels[i:i + 1000]).sum().item()
                      for i in range(0, len(labels), 1000))
    return 100.0 * correct / len(labels)


def train(network, images, labels, held_out, options):
    """Leaves the weights of the epoch that was best on the held-out images in `network`."""
    batches = (len(labels) + options.batch - 1) // options.batch
    optimiser = torch.optim.SGD(network.parameters(), lr=options.rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, batches * options.epochs)
    best, best_state = -1.0, None
    for epoch in range(options.epochs):
        network.train()
        order = torch.randperm(len(labels))
        for start in range(0, len(labels), options.batch):
            chosen = order[start:start + options.batch]
            optimiser.zero_grad()
            loss = functional.cross_entropy(network(augment(images[chosen])), labels[chosen])
            loss.backward()
            optimiser.step()
            schedule.step()
        score = accuracy(network, *held_out)
        print(f"epoch {epoch + 1}: loss of the last batch {loss.item():.4f}, held-out top-1 {score:.2f} %", flush=True)
        if score > best:
            best, best_state = score, {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(best_state)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output")
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    images, labels = load(options.data, "train")
    held_out = images[-HELD_OUT:], labels[-HELD_OUT:]
    network = LeNet5()
    print("parameters:", sum(parameter.numel() for parameter in network.parameters()))
    best = train(network, images[:-HELD_OUT], labels[:-HELD_OUT], held_out, options)
    print(f"held-out top-1 {best:.2f} %, test top-1 {accuracy(network, *load(options.data, 't10k')):.2f} %")

    network.eval()
    torch.onnx.export(network, torch.zeros(1, 1, 28, 28), options.output, opset_version=13, input_names=["input"],
                      output_names=["logits"], dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}})


if __name__ == "__main__":
    main()
