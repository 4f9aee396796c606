"""What the trainings of CIFAR-10 have in common: data, augmentation, the loop with its checkpoints, the report, the export."""
import os

import numpy as np
import torch
from torch.nn import functional

# Mean and standard deviation of the training pixels in [0, 1], by channel.
MEAN, SCALE = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def add_options(parser, epochs, batch, rate, decay):
    parser.add_argument("data", help="CIFAR-10 as .npz")
    parser.add_argument("output", help="the .onnx to write")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--rate", type=float, default=rate, help=f"the highest (default {rate})")
    parser.add_argument("--decay", type=float, default=decay)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--float32", action="store_true", help="no bfloat16")
    parser.add_argument("--checkpoint", help="written after every epoch; gone on from if it is there")


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


def train(network, images, labels, options, rate_at, look=augment):
    """Nesterov's momentum; `rate_at(epoch, step)` is the learning rate after so many epochs, a real number, where a step is so much of one, and
    `look(images, generator)` what a batch looks like."""
    steps = len(labels) // options.batch
    trained = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1]
    other = [p for p in trained if p.ndim == 1]
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
            batch = look(images[chosen], generator)
            for group in optimiser.param_groups:
                group["lr"] = rate_at(epoch + step / steps, 1 / steps)
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


def report_and_export(network, options):
    print(f"test images: {accuracy(network, *load(options.data, 'test')):.2f} %")
    network = network.to(memory_format=torch.contiguous_format).eval()
    torch.onnx.export(network, torch.zeros(1, 3, 32, 32), options.output, input_names=["input"], output_names=["logits"], opset_version=13,
                      dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}})
