#!/usr/bin/env python3
"""The demo: the same held-out questions before and after training, and a training run as long as this machine allows.

usage: demo/demo.py LORAC MODEL FOLDER     FOLDER gets the adapter and its plot

Everything is fitted to the measured speed, so that the whole takes at most three minutes: how many iterations, how many
examples a batch, how many questions. A slow machine learns less; the demo then says so.
"""
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

LIMIT = 168.0        # seconds for all of it
TRAINING = 105.0     # at most, of these
ROUNDS = 2.5         # most times that each example is seen
COUNTING = 12.0      # seconds for the held-out rows that are only counted, before and again after
DATA = pathlib.Path(os.path.relpath(pathlib.Path(__file__).resolve().parent))
START = time.monotonic()


def left():
    return LIMIT - (time.monotonic() - START)


# ---- what people see ----------------------------------------------------------------------------

def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def title(text):
    print("\n" + paint("1", text), flush=True)


def shorten(text, width):
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def show_command(words):
    print(paint("2", "$ " + " ".join(shlex.quote(str(w)) for w in words)), flush=True)


# ---- asking -------------------------------------------------------------------------------------

class Asker:
    """Answers questions with or without the adapter, and knows how long one takes."""

    def __init__(self, lorac, model):
        self.command = [lorac, "generate", "--model", model, "--json", "--max-tokens", "32"]
        self.seconds = 0.0

    def ask(self, question, adapter=None):
        start = time.monotonic()
        words = self.command + ["--prompt", question] + (["--adapter-path", adapter] if adapter else [])
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"demo: generate failed ({done.returncode})")
        self.seconds = max(self.seconds, time.monotonic() - start)
        return json.loads(done.stdout)["text"].strip()


def choose(rows, count):
    """`count` rows of different commands."""
    chosen = {}
    for row in rows:
        chosen.setdefault(json.loads(row["completion"])["do"], row)
    return list(chosen.values())[:count]


def show(rows, answers, name):
    width = max(60, shutil.get_terminal_size().columns - 12)
    for row, answer in zip(rows, answers):
        right = answer == row["completion"]
        print(f"  asked   {row['prompt']}")
        print(f"  wanted  {row['completion']}")
        print(f"  {name:7} {paint('32' if right else '31', shorten(answer, width))}{'  (right)' if right else ''}\n", flush=True)


def count_right(asker, rows, adapter=None):
    """How many are answered exactly, of how many there was time for."""
    end, right, asked = time.monotonic() + COUNTING, 0, 0
    for row in rows:
        if time.monotonic() + asker.seconds > end:
            break
        right += asker.ask(row["prompt"], adapter) == row["completion"]
        asked += 1
    return right, asked


# ---- training -----------------------------------------------------------------------------------

def training(lorac, model, folder, iterations, batch, rate, extra):
    return [lorac, "train", "--model", model, "--data", str(DATA), "--mask-prompt", "--adapter-path", str(folder),
            "--iters", str(iterations), "--batch-size", str(batch), "--learning-rate", str(rate), "--save-every", "0"] + extra


def seconds_per_iteration(lorac, model, folder, batch, iterations, patience):
    """The shortest iteration of a short run; the first one alone where it takes longer than `patience`."""
    words = training(lorac, model, folder, iterations, batch, 1e-3,
                     ["--json", "--steps-per-report", "1", "--steps-per-eval", "0"])
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    shortest, last = float("inf"), None
    for line in process.stdout:
        now = time.monotonic()
        if json.loads(line).get("event") == "train":
            shortest = min(shortest, now - last)
            if shortest > patience:
                process.kill()
                break
        last = now
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)
    if shortest == float("inf"):
        sys.exit(f"demo: a trial run failed: {' '.join(words)}")
    return shortest


class Plan:
    """Batch size, iterations and validation rows that fit into `seconds`."""

    def __init__(self, lorac, model, folder, seconds, examples, valid):
        self.batch = 1
        self.pace = seconds_per_iteration(lorac, model, folder, 1, 2, 2.0)
        if self.pace < 1.5:
            self.batch = 4
            self.pace = seconds_per_iteration(lorac, model, folder, 4, 3, 4.0)
        # Validations before, after and, where there is time, twice between: forward alone, about 0.4 of a batch's time.
        self.validations = 4 if self.batch > 1 else 2
        affordable = seconds * 0.2 / (self.validations * 0.4 * self.pace)
        self.val_batches = max(1, min(valid // self.batch, int(affordable)))
        rest = seconds - self.validations * 0.4 * self.pace * self.val_batches
        self.iterations = max(2, min(int(0.9 * rest / self.pace), int(ROUNDS * examples / self.batch)))


def run(words, seconds):
    """Runs with the terminal; after `seconds` it gets the signal of Ctrl-C, on which it saves and ends."""
    process = subprocess.Popen(words)
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        sys.exit(130)


def valid_losses(folder):
    events = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    return [e["loss"] for e in events if e["event"] == "valid"]


# ---- the demo -----------------------------------------------------------------------------------

def main(lorac, model, folder):
    folder = pathlib.Path(folder)
    adapter = folder / "adapter"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = {split: [json.loads(l) for l in (DATA / f"{split}.jsonl").read_text().splitlines()]
            for split in ("train", "valid", "test")}

    print(f"The task: turn a request into one command of a smart home, in a JSON schema that was invented for this demo.\n"
          f"{len(rows['train'])} examples to learn from; the questions below ask for combinations that are not among them.")

    title("Before: what the model answers")
    asker = Asker(lorac, model)
    questions = choose(rows["test"], 4)
    first = asker.ask(questions[0]["prompt"])
    if asker.seconds > 4:
        questions = questions[:2]
    before = [first] + [asker.ask(q["prompt"]) for q in questions[1:]]
    show(questions, before, "before")
    others = [r for r in rows["test"] if r not in questions]
    right_before, asked_before = count_right(asker, others)

    title("Training")
    after_cost = (len(questions) + 1) * asker.seconds * 1.3 + min(COUNTING, asker.seconds * len(others)) * (asked_before > 0)
    plan = Plan(lorac, model, folder / "trial", min(TRAINING, left() - after_cost - 20), len(rows["train"]), len(rows["valid"]))
    print(f"One iteration of {plan.batch} example{'s' * (plan.batch > 1)} takes {plan.pace:.2f} s here, so {plan.iterations} fit.")
    words = training(lorac, model, adapter, plan.iterations, plan.batch, 1e-3,
                     ["--lr-schedule", "cosine", "--warmup", str(max(1, plan.iterations // 20)), "--val-batches", str(plan.val_batches),
                      "--steps-per-eval", str(max(1, -(-plan.iterations // (plan.validations - 1)))), "--plot", str(folder / "loss.svg")])
    show_command(words)
    code = run(words, max(10.0, left() - after_cost))
    if code not in (0, 130):
        sys.exit(f"demo: training failed ({code})")

    title("After: the same questions with the adapter")
    after = [asker.ask(q["prompt"], adapter) for q in questions]
    show(questions, after, "after")
    right_after, asked_after = count_right(asker, others[:asked_before], adapter)

    title("What was learned")
    losses = valid_losses(adapter)
    right_before += sum(a == q["completion"] for a, q in zip(before, questions))
    right_after += sum(a == q["completion"] for a, q in zip(after, questions))
    shown = len(questions)
    print(f"  held-out loss     {losses[0]:.3f} before, {losses[-1]:.3f} after" if len(losses) > 1 else "  held-out loss     not measured: training was cut short")
    print(f"  answered exactly  {right_before} of {asked_before + shown} before, {right_after} of {asked_after + shown} after")
    if right_after < (asked_after + shown) / 2:
        print(f"  This machine had time for {plan.iterations} iterations of {plan.batch}: too few to learn the task"
              f"{', though the loss fell' if len(losses) > 1 and losses[-1] < losses[0] else ''}. Train longer with the command above and larger --iters.")
    print(f"  adapter           {adapter}")
    print(f"  plot of the loss  {folder / 'loss.svg'}")
    print(f"  time              {time.monotonic() - START:.0f} s")
    title("Now try")
    show_command([lorac, "generate", "--adapter-path", adapter, "--prompt", "Set the attic light to 35%."])
    show_command([lorac, "chat", "--adapter-path", adapter])
    show_command([lorac, "inspect", adapter])


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
