#!/usr/bin/env python3
"""lorac beside its peers on one machine, in turns.

usage: compare.py [--lorac EXE] [--peers DIR] [--python PY] [--models DIR] [--data DIR] [--rounds 5] [--only NAME,…] [--out NAME] [--render] [--list]

Every round runs each program once, in the opposite order every other time, so that a machine that slows down or speeds up does so for all; lorac
measures the machine's limits in each of its runs. Written: NAME.json (every raw figure, after every round), NAME.md (medians, spread, ratios, targets)
and NAME.svg. --only takes names or beginnings of names of compare_tasks.py; what was measured before is kept in NAME.json and goes on counting.
DIR of --peers holds the peers' scripts (peft_speed.py, llama_speed.py …), PY is a Python with their packages; models are made in --models when missing.
--prefix CMD runs every program under CMD (taskset, numactl, a lock). --render only writes the table and the chart again. What cannot run is left out,
with the reason. Needs nothing but Python itself."""
import argparse, json, os, signal, sys

import compare_render
from compare_models import Models
from compare_run import HERE, Runner, Skipped
from compare_tasks import TASKS

CACHE = os.path.expanduser(os.environ.get("PEERS", "~/.cache/lorac-peers"))


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--lorac", default=os.path.join(HERE, "../build/release/lorac"))
    p.add_argument("--peers", default=os.path.join(HERE, "../../shared/peers"))
    p.add_argument("--python", default=os.path.join(CACHE, "v/bin/python"))
    p.add_argument("--models", default=os.path.join(CACHE, "models"))
    p.add_argument("--data", default=os.path.join(HERE, "../../shared/data/wikisql"), help="WikiSQL: train.jsonl, valid.jsonl")
    p.add_argument("--out", default=os.path.join(HERE, "../build/compare"))
    p.add_argument("--rounds", type=int, default=5); p.add_argument("--threads", type=int, default=2)
    p.add_argument("--limit", type=float, default=900, help="seconds that one program may take")
    p.add_argument("--only", default=""); p.add_argument("--prefix", default="")
    p.add_argument("--render", action="store_true"); p.add_argument("--list", action="store_true")
    a = p.parse_args()
    for name in ("lorac", "peers", "models", "data", "out"): setattr(a, name, os.path.abspath(getattr(a, name)))
    return a


def chosen(only):
    begins = only.split(",")
    names = [name for name in TASKS if any(name.startswith(b) for b in begins)]
    if not names: sys.exit(f"--only {only}: there are {', '.join(TASKS)}")
    return names


def new_record(path):
    if os.path.exists(path):
        with open(path) as file: return json.load(file)
    return {"rounds": 0, "tasks": {}, "machines": [], "skipped": {}}


# ---- measuring --------------------------------------------------------------------------------

class Round:
    """One turn of everything: a command that several tasks need runs once."""
    def __init__(self, runner): self.runner, self.results = runner, {}

    def value(self, figure):
        if figure.command not in self.results:
            print(f"  {figure.command.program} {figure.command.model} {figure.command.args} {figure.command.env}", file=sys.stderr, flush=True)
            try: self.results[figure.command] = self.runner.run(figure.command)
            except Skipped as why: self.results[figure.command] = why
        result = self.results[figure.command]
        if isinstance(result, Skipped): raise result
        try: return figure.find(result)
        except (KeyError, IndexError, TypeError, ValueError): raise Skipped(f"no figure in what {figure.command.program} said")


def measure(task, turn, record, backwards):
    """One value for each of the task's figures; a peer that is missing leaves its own figures out, lorac's own the whole task."""
    seen = record["tasks"].setdefault(task.name, {})
    items = list(task.figures.items())
    for key, figures in reversed(items) if backwards else items:
        for figure in figures if isinstance(figures, list) else [figures]:
            try: value = turn.value(figure)
            except Skipped as why:
                record["skipped"][task.name if not key.startswith("peer") else f"{task.name}, {figure.label}"] = str(why)
                if not key.startswith("peer"): return
                continue
            if key == "peer": seen.setdefault(key, {}).setdefault(figure.label, []).append(value)
            else: seen.setdefault(key, []).append(value)
            if key in ("lorac", "peer"): print(f"{task.name}: {figure.label} {compare_render.number(value)}", file=sys.stderr, flush=True)


def save(record, out):
    with open(out + ".json", "w") as file: json.dump(record, file, indent=1)
    for suffix, text in ((".md", compare_render.markdown(record)), (".svg", compare_render.svg(record))):
        with open(out + suffix, "w") as file: file.write(text)


def main():
    a = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the program that runs is ended too
    if a.list: return print("\n".join(f"{name:20} {task.title}" for name, task in TASKS.items()))
    record = new_record(a.out + ".json")
    names = [] if a.render else chosen(a.only)
    for name in names: record["skipped"] = {key: why for key, why in record["skipped"].items() if key.split(",")[0] != name}
    runner = Runner(a, Models(a.models, a.python, a.peers))
    runner.machines = record["machines"]
    for i in range(0 if a.render else a.rounds):
        print(f"round {i + 1} of {a.rounds}", file=sys.stderr, flush=True)
        turn = Round(runner)
        for name in reversed(names) if i % 2 else names:
            if i < TASKS[name].rounds and name not in record["skipped"]: measure(TASKS[name], turn, record, i % 2 == 1)
        record["rounds"] = max(len(seen.get("lorac", [])) for seen in record["tasks"].values())
        save(record, a.out)
    save(record, a.out)
    print(compare_render.markdown(record), end="")


if __name__ == "__main__": main()
