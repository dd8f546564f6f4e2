"""compare_tasks.py — what is compared: one entry a row of the table, with its figures and what they should reach.

Figures by name: "lorac" (the row's own), "peer" (one, or several of which the fastest counts), "share" (per cent of the measured limit), "memory" and
"peer memory" (bytes); other names serve the targets only. A target is a function of the figures' medians."""
import dataclasses

from compare_run import Command, field, match, peak_memory


@dataclasses.dataclass
class Target:
    what: str
    value: object         # medians → number
    must: float
    most: bool = False    # must is an upper bound
    aim: float = None


@dataclasses.dataclass
class Task:
    name: str
    title: str
    figures: dict
    targets: list
    unit: str = "tokens/s"
    either: bool = False  # one of the targets is enough
    rounds: int = 1 << 30  # long tasks: rounds after which it is left out


def ratio(must, aim=None): return Target("× peer", lambda m: m["lorac"] / m["peer"], must, aim=aim)
def share(must, aim=None, of="peak"): return Target(f"% of {of}", lambda m: m["share"], must, aim=aim)
def at_most(what, must, aim=None, scale=1, key="lorac"): return Target(what, lambda m: m[key] / scale, must, most=True, aim=aim)


# ---- commands ---------------------------------------------------------------------------------

SETTING = "--train-batch 4 --train-tokens 512 --rank 8 --num-layers 16"
DECODE = "--only decode --prompt-tokens 8 --generation-tokens 96 --num-trials 5"
LLAMA_WEIGHTS, SMOLLM2_WEIGHTS = 6.738e9, 134.5e6  # parameters that are multiplied with for each token
AVX2 = "LORAC_ISA=avx2 ATEN_CPU_CAPABILITY=avx2"


def kind_of(model): return model.rsplit("-", 1)[1]
def train(model, args=SETTING, env=""): return Command("bench", model, f"--only train {args}", env=env)
def prefill(model, args="--prompt-tokens 512"): return Command("bench", model, f"--only prefill {args}")
def decode(model, args="", adapters=0): return Command("bench", model, f"{DECODE} {args}".strip(), adapters)
def peft(env=""): return Command("peft_speed.py", "smollm2-q4_1", env=env)
def llama(model): return Command("llama_speed.py", model)


def of_train(c):
    return {"lorac": field("lorac", c, "train.tokens_per_second"), "share": field("share", c, "train.percent_of_peak"),
            "memory": field("memory", c, "train.peak_rss_bytes")}


def of_peer(label, c, pattern=r"median ([\d.]+)"): return {"peer": match(label, c, pattern), "peer memory": peak_memory(label, c)}


def of_prefill(c): return {"lorac": field("lorac", c, "prefill.tokens_per_second"), "share": field("share", c, "prefill.percent_of_peak")}
def of_decode(c): return {"lorac": field("lorac", c, "decode.tokens_per_second"), "share": field("share", c, "decode.percent_of_bandwidth")}
def of_llama(what, *models): return {"peer": [match(f"llama.cpp {kind_of(m).upper()}", llama(m), what + r" ([\d.]+)") for m in models]}


# ---- the tasks --------------------------------------------------------------------------------

def four_bits(model):
    """The 4-bit files of the same shape: llama.cpp is free to choose among them."""
    return [model.rsplit("-", 1)[0] + "-" + kind for kind in (("q4_0", "q4_1", "q4_k_m") if "-768-" in model else ("q4_0", "q4_1"))]


def training_tasks():
    bf16 = train("smollm2-bf16")
    yield Task("train-bf16", "LoRA training, bf16, 4 × 512, r 8, last 16 layers", of_train(bf16) | of_peer("PEFT bf16", peft()),
               [ratio(1.5, 1.8), share(0, 65), Target("× peer's memory", lambda m: m["memory"] / m["peer memory"], 0.25, most=True)])
    for model in ("smollm2-q4_1", "smollm2-q4_0", "smollm2-q8_0", "smollm2-768-q4_k_m"):
        peer = of_peer("PEFT + bitsandbytes NF4", Command("bnb_speed.py", "smollm2-q4_1"))
        yield Task("train-" + kind_of(model), f"QLoRA training on {label(model)}, the same setting", of_train(train(model)) | peer, [share(53, 65)])
    flags = "--data {data} --iters 100 --batch-size 4 --learning-rate 1e-4 --steps-per-report 100 --steps-per-eval 0 --val-batches 0 --save-every 0 --adapter-path {scratch}/a"
    ours = Command("train", "smollm2-bf16", flags)
    theirs = Command("peft_wikisql.py", "", "{data}", until=r"^100 ")
    yield Task("train-wikisql", "WikiSQL rows as they come, 100 iterations of 4", {"lorac": field("lorac", ours, "train.tokens_per_second"),
               "memory": field("memory", ours, "train.peak_rss_bytes")} | of_peer("PEFT bf16", theirs, r"(\d+) target tok/s"), [ratio(1.7, 2)], unit="target tokens/s")
    c = train("smollm2-bf16", env=AVX2)
    yield Task("train-avx2", "LoRA training with AVX2 alone", of_train(c) | of_peer("PEFT bf16, ATEN avx2", peft(AVX2)), [ratio(1.4), share(65, of="f32 peak")])
    # ATen's variable does not reach oneDNN, which goes on multiplying with whatever the processor has.
    yield Task("train-avx2-both", "the same, oneDNN held to AVX2 too", of_train(c) | of_peer("PEFT bf16, all avx2", peft(AVX2 + " ONEDNN_MAX_CPU_ISA=AVX2")), [ratio(1.4)], rounds=1)


def generation_tasks():
    for model in ("smollm2-q4_0", "smollm2-q4_1", "smollm2-q8_0", "smollm2-768-q4_k_m"):
        yield Task("prefill-" + kind_of(model), f"prefill 512, {label(model)}, against the best 4-bit type", of_prefill(prefill(model)) | of_llama("prefill", *four_bits(model)),
                   [ratio(2.2), share(0, 50)])
    one = decode("smollm2-q4_1")
    yield Task("decode-135m", "decode, SmolLM2 Q4_1", of_decode(one) | of_llama("decode", "smollm2-q4_1"), [ratio(1.7), share(80, 90, "bandwidth")], either=True)
    big = "tinyllama-1.1b-q4_0"
    yield Task("decode-1.1b", "decode, 1.1 B shape, Q4_0", of_decode(decode(big)) | of_llama("decode", big), [ratio(1.15), share(0, 90, "bandwidth")])
    eight = decode("smollm2-q4_1", "--batch 8")
    figures = of_decode(eight) | {"one": field("one", one, "decode.tokens_per_second"), "peak": field("peak", eight, "machine.peak_int8_ops")}
    yield Task("decode-batch8", "decode, 8 rows, SmolLM2 Q4_1", figures, [Target("× one row", lambda m: m["lorac"] / m["one"], 4),
               Target("% of int8 peak", lambda m: 100 * 2 * SMOLLM2_WEIGHTS * m["lorac"] / m["peak"], 35)], either=True)


def adapter_tasks():
    for size, model, alone, eight in (("135m", "smollm2-q4_1", 12, 40), ("1.1b", "tinyllama-1.1b-q4_0", 6, 15)):
        slower = lambda c: {"lorac": field("lorac", c, "adapter.slowdown_percent"), "speed": field("lorac", c, "decode.tokens_per_second")}
        c = decode(model, adapters=1)
        yield Task(f"adapter-{size}", f"an r-16 adapter on all linears, decode, {label(model)}", slower(c), [at_most("% slower", alone)], unit="% slower")
        yield Task(f"switch-{size}", f"switching resident adapters, {label(model)}", {"lorac": field("lorac", c, "adapter.switch_microseconds")}, [at_most("µs", 20)], unit="µs")
        yield Task(f"rows8-{size}", f"8 rows under 8 different r-16 adapters, {label(model)}", slower(decode(model, "--batch 8", adapters=8)), [at_most("% slower", eight)],
                   unit="% slower")
    idle = Command("bench_resident", "smollm2-q4_1", "64", adapters=8)
    yield Task("resident", "decode beside 64 adapters that no row uses", {"lorac": field("lorac", idle, "slowdown_percent")}, [at_most("% slower", 1)], unit="% slower")


def machine_tasks():
    yield Task("open", "new process to first token, 16-token prompt", {"lorac": field("lorac", Command("process", "smollm2-q4_1"), "first_token_ms")},
               [at_most("ms", 150, 60)], unit="ms")
    for name, path, args, peak in (("train", "train.tokens_per_second", f"--only train {SETTING}", "peak_bf16_flops"),
                                   ("prefill", "prefill.tokens_per_second", "--only prefill --prompt-tokens 512", "peak_int8_ops")):
        one, two = (Command("bench", "smollm2-q4_1", f"{args} --threads {n}") for n in (1, 2))
        figures = {"lorac": field("lorac", two, path), "one": field("one", one, path), "peak 1": field("peak", one, "machine." + peak), "peak 2": field("peak", two, "machine." + peak)}
        yield Task(f"threads-{name}", f"{name}: from 1 to 2 threads", figures,
                   [Target("of the dot products' scaling", lambda m: m["lorac"] / m["one"] / (m["peak 2"] / m["peak 1"]), 0.95)])


def large_tasks():
    for name, args, bytes_, least in (("train-7b", "", 6.0, 50), ("train-7b-recompute", " --grad-checkpoint", 4.9, 38)):
        c = train("llama-2-7b-q4_0", "--train-batch 1 --train-tokens 512 --rank 16 --num-layers -1" + args)
        figures = of_train(c) | {"peak": field("peak", c, "machine.peak_bf16_flops")}
        targets = [at_most("GB", bytes_, 4.5, 1e9, "memory"), Target("% of peak at 4 FLOPs", lambda m: 100 * 4 * LLAMA_WEIGHTS * m["lorac"] / m["peak"], least)]
        yield Task(name, "QLoRA on a 7 B shape, r 16, all layers, 1 × 512" + (", recomputed" if args else ""), figures, targets, rounds=1)
    for model, gigabytes in (("llama-2-7b-q4_0", 2.3), ("mistral-7b-q4_0", 0.6)):
        long, short = (prefill(model, f"--kv-bits 8 --num-trials 1 --prompt-tokens {n}") for n in (8192, 512))
        figures = of_prefill(long) | {"memory": field("memory", long, "prefill.peak_rss_bytes"), "short": field("short", short, "prefill.peak_rss_bytes"),
                                      "short share": field("share", short, "prefill.percent_of_peak")}
        cache = Target("GB of cache", lambda m: (m["memory"] - m["short"]) * 8192 / (8192 - 512) / 1e9, gigabytes, most=True)
        yield Task(f"context-8k-{model.split('-')[0]}", f"prefill 8192, 8-bit cache, {label(model)}", figures,
                   [cache, Target("of prefill 512's rate", lambda m: m["share"] / m["short share"], 0.75)], rounds=1)


def label(model):
    shape, kind = model.rsplit("-", 1)
    return {"smollm2": "", "smollm2-768": "padded ", "tinyllama-1.1b": "1.1 B ", "llama-2-7b": "Llama-2-7B shape ", "mistral-7b": "Mistral-7B shape "}[shape] + kind.upper()


TASKS = {task.name: task for tasks in (training_tasks, generation_tasks, adapter_tasks, machine_tasks, large_tasks) for task in tasks()}
