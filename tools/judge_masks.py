#!/usr/bin/env python3
"""Which tokens of chats are targets, against the reference programs:

  assistant  the assistant mask of transformers' apply_chat_template, for templates with generation marks
  last       mlx-lm's mask_prompt: tokens of all messages but the last, and the header that asks for the answer, are none

usage: judge_masks.py DATA_ROWS TOKENIZER_FOLDER TEMPLATE.jinja... [--show N]
DATA_ROWS is the program of that name in the build folder. For `last`, chats whose beginning is not the beginning of the
whole (which mlx-lm counts wrong) are counted apart. Exit status 0 when all agree."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

import transformers
from judge_templates import ADD, CONVERSATIONS, WEATHER
from mlx_lm.tuner.datasets import ChatDataset

OPTIONS = [{}, {"tools": [WEATHER, ADD]}]


def rows(program, folder, mode, chats):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as f:
        f.write("".join(json.dumps(c) + "\n" for c in chats))
        f.flush()
        out = subprocess.run([program, folder, mode, f.name], capture_output=True, text=True, env={**os.environ, "SOURCE_DATE_EPOCH": str(int(__import__("time").time()))})
    if out.returncode:
        raise RuntimeError(out.stderr)
    return [json.loads(line) for line in out.stdout.splitlines()]


def assistant(tokenizer, chat):
    out = tokenizer.apply_chat_template(chat["messages"], tools=chat.get("tools"), return_assistant_tokens_mask=True, return_dict=True)
    return out["input_ids"], [0] * bool(out["input_ids"]) + out["assistant_masks"][1:], True


def last(tokenizer, chat):
    tokens, offset = ChatDataset([chat], tokenizer, mask_prompt=True).process(chat)
    before = tokenizer.apply_chat_template(chat["messages"][:-1], tools=chat.get("tools"), tokenize=False, add_generation_prompt=chat["messages"][-1].get("role") == "assistant")
    whole = tokenizer.apply_chat_template(chat["messages"], tools=chat.get("tools"), tokenize=False)
    return tokens, [0] + [int(i >= offset) for i in range(1, len(tokens))], whole.startswith(before)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program")
    arguments.add_argument("folder")
    arguments.add_argument("templates", nargs="+")
    arguments.add_argument("--show", type=int, default=5)
    a = arguments.parse_args()
    chats = [{"messages": messages, **options} for label, messages in CONVERSATIONS.items() if label != "not trained" for options in OPTIONS]
    counts = {"equal": 0, "not stable": 0, "fail": 0, "differ": 0}
    for path in a.templates:
        source = open(path, encoding="utf-8", newline="").read()
        with tempfile.TemporaryDirectory() as folder:
            for name in ("tokenizer.json", "tokenizer_config.json"):
                shutil.copy(os.path.join(a.folder, name), folder)
            config = json.load(open(os.path.join(folder, "tokenizer_config.json")))
            config.pop("chat_template", None)
            json.dump(config, open(os.path.join(folder, "tokenizer_config.json"), "w"))
            open(os.path.join(folder, "chat_template.jinja"), "w", encoding="utf-8", newline="").write(source)
            tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
            tokenizer.chat_template = source
            modes = [("last", last)] + ([("assistant", assistant)] if "endgeneration" in source else [])
            for mode, judge in modes:
                for chat, row in zip(chats, rows(a.program, folder, mode, chats)):
                    try:
                        tokens, mask, stable = judge(tokenizer, chat)
                    except Exception as e:  # the template refuses the chat, or its beginning
                        counts["fail"] += 1
                        continue
                    if not stable: kind = "not stable"
                    elif row.get("tokens") == tokens and row.get("targets") == mask: kind = "equal"
                    else: kind = "differ"
                    counts[kind] += 1
                    if kind == "differ" and counts[kind] <= a.show:
                        show = lambda m: "".join(tokenizer.decode([t]) if m[i] else "·" for i, t in enumerate(tokens[:len(m)]))
                        print(f"{os.path.basename(path)} {mode} {json.dumps(chat)[:300]}\n  reference {show(mask)!r}\n  lorac     {row.get('error') or show(row['targets'])!r}")
    print(", ".join(f"{n} {k}" for k, n in counts.items()))
    return 1 if counts["differ"] or not counts["equal"] else 0


if __name__ == "__main__":
    sys.exit(main())
