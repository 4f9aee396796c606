"""Programs that time one model each, taking turns: each is a process of its own, and while one runs the others wait."""
import pathlib
import statistics
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
DIMS = (1, 3, 224, 224)


class Contestant:
    def __init__(self, command, model, threads, folder, label):
        self.output = pathlib.Path(folder) / f"{label}.raw"
        self.process = subprocess.Popen([*command, str(model), str(threads), ",".join(map(str, DIMS)), f"{folder}/input.raw", str(self.output)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        answer = self.process.stdout.readline().split()
        if answer[:1] != ["ready"]:
            raise SystemExit(f"{label} could not run {model}")
        self.loading = float(answer[1])  # seconds
        self.times = []

    def ask(self, line, answers):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return [float(self.process.stdout.readline()) for _ in range(answers)]

    def run(self, count):
        self.times += self.ask(count, count)

    def milliseconds(self):
        return 1000 * statistics.median(self.times)

    def close(self):
        peak = self.ask("memory", 1)[0]
        self.process.stdin.close()
        self.process.wait()
        return peak / 1e6


def take_turns(contestants, rounds):
    """Fills in the times of all: `rounds` times about a quarter of a second each."""
    for contestant in contestants:
        contestant.run(2)
    count = max(1, min(40, int(0.25 / max(contestant.times[-1] for contestant in contestants))))
    for contestant in contestants:
        contestant.times.clear()
    for _ in range(rounds):
        for contestant in contestants:
            contestant.run(count)
            time.sleep(0.05)  # until the threads of this one sleep, too
