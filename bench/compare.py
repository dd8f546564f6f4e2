#!/usr/bin/env python3
"""lorac beside its peers on one machine, in turns: training (PEFT, bf16) and inference (llama.cpp) on the same GGUF file.

usage: compare.py --lorac EXE --model FILE.gguf --peers DIR [--python PY] [--rounds 3] [--only train,prefill,decode] [--out FILE.md]
DIR holds peft_speed.py and llama_speed.py; PY is a Python with their packages. Settings are theirs: training 4 × 512 random tokens, rank 8,
all linears of the last 16 layers; prefill 512 tokens; decoding 96 tokens after 8. Every round runs each program once, so that a machine that
slows down or speeds up does so for all. Written: a table of medians with their spread (least–most) and the ratio of the medians."""
import argparse, json, os, re, statistics, subprocess, sys

TASKS = {  # name: (lorac's flags, peer, peer's script, pattern of its figure)
    "train": ("--only train --train-batch 4 --train-tokens 512 --rank 8 --num-layers 16", "PEFT bf16", "peft_speed.py", r"median ([\d.]+)"),
    "prefill": ("--only prefill --prompt-tokens 512", "llama.cpp", "llama_speed.py", r"prefill ([\d.]+)"),
    "decode": ("--only decode --prompt-tokens 8 --generation-tokens 96", "llama.cpp", "llama_speed.py", r"decode ([\d.]+)"),
}


def output(*command, cwd=None):
    p = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    if p.returncode: sys.exit(f"{' '.join(command[:3])}: exit {p.returncode}: {(p.stdout + p.stderr)[-400:]}")
    return p.stdout


def one_round(a, tasks, seen):
    """Each program once; figures are appended to seen[task, program]. Returns lorac's machine record."""
    said = {}  # a peer's script answers for several tasks
    for task in tasks:
        flags, peer, script, pattern = TASKS[task]
        bench = json.loads(output(a.lorac, "bench", "--model", a.model, "--json", *flags.split()).splitlines()[-1])
        if script not in said: said[script] = output(a.python, os.path.join(a.peers, script), a.model, cwd=a.peers)
        seen.setdefault((task, "lorac"), []).append(bench[task]["tokens_per_second"])
        seen.setdefault((task, peer), []).append(float(re.search(pattern, said[script]).group(1)))
        print(f"{task}: lorac {seen[task, 'lorac'][-1]:.1f}, {peer} {seen[task, peer][-1]:.1f} tokens/s", file=sys.stderr, flush=True)
    return bench.get("machine", {})


def spread(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f}–{max(values):.1f})"


def table(tasks, seen, machine, rounds):
    lines = ["| tokens a second | lorac | peer | ratio |", "| --- | --- | --- | --- |"]
    for task in tasks:
        ours, theirs, peer = seen[task, "lorac"], seen[task, TASKS[task][1]], TASKS[task][1]
        lines.append(f"| {task} | {spread(ours)} | {peer} {spread(theirs)} | {statistics.median(ours) / statistics.median(theirs):.2f} |")
    g = lambda key, unit: f"{machine.get(key, 0) / 1e9:.0f} {unit}"
    lines += ["", f"Median of {rounds} interleaved rounds (least–most). {machine.get('cpu', '?')}, {machine.get('threads', '?')} threads, {machine.get('isa', '?')}; measured limits: "
              f"{g('read_bandwidth_bytes_per_second', 'GB/s')} read, {g('peak_f32_flops', 'GFLOP/s')} f32, {g('peak_bf16_flops', 'GFLOP/s')} bf16, {g('peak_int8_ops', 'GOP/s')} int8."]
    return "\n".join(lines) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--lorac", required=True); p.add_argument("--model", required=True); p.add_argument("--peers", required=True)
    p.add_argument("--python", default=sys.executable); p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--only", default=",".join(TASKS)); p.add_argument("--out")
    a, seen = p.parse_args(), {}
    a.lorac, a.model, a.peers = map(os.path.abspath, (a.lorac, a.model, a.peers))
    for _ in range(a.rounds): machine = one_round(a, a.only.split(","), seen)
    text = table(a.only.split(","), seen, machine, a.rounds)
    print(text, end="")
    if a.out: open(a.out, "w").write(text)


if __name__ == "__main__": main()
