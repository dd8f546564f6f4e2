#!/usr/bin/env python3
"""From a new process to its first token: a whole run of `lorac generate` for one token, template and tokenizer included, the page cache warm.

usage: first_token.py LORAC MODEL [RUNS]     prints {"first_token_ms": median, "least": …, "most": …}"""
import json, statistics, subprocess, sys, time

PROMPT = "Tell me in one short sentence what the weather will be like on Monday in Oslo"  # 16 tokens for SmolLM2


def milliseconds(lorac, model):
    start = time.monotonic()
    subprocess.run([lorac, "generate", "--model", model, "--prompt", PROMPT, "--max-tokens", "1"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return 1000 * (time.monotonic() - start)


lorac, model, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 9
milliseconds(lorac, model)  # the page cache is warm from here on
times = [milliseconds(lorac, model) for _ in range(runs)]
print(json.dumps({"first_token_ms": statistics.median(times), "least": min(times), "most": max(times)}))
