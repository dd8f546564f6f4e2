#!/usr/bin/env python3
"""Chats through whole tokenizers: `lorac tokenize --chat` against transformers' apply_chat_template, text and tokens, with
what each gathers for the template (special tokens, which of several templates, reasoning under its names).

usage: judge_chats.py LORAC TOKENIZER_FOLDER...
Exit status 0 when all agree. Folders without a chat template, and tokenizers that lorac does not open, are named."""
import json
import os
import subprocess
import sys
import tempfile
import time

import transformers
from judge_templates import ADD, CONVERSATIONS, WEATHER

SKIP = {"content is a number", "content is a dict", "no role", "no content", "parts with url", "two users", "numbers", "lines", "many turns"}
OPTIONS = [{}, {"tools": [WEATHER, ADD]}]


def today():
    return {**os.environ, "TZ": "UTC", "SOURCE_DATE_EPOCH": str(int(time.time()))}


def render(lorac, folder, chat):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump(chat, f)
        f.flush()
        out = subprocess.run([lorac, "tokenize", "--tokenizer", folder, "--chat", f.name, "--json"], capture_output=True, text=True, env=today())
    found = json.loads(out.stdout.splitlines()[-1])
    return (found["text"], found["tokens"], None) if "text" in found else (None, None, found["error"]["message"])


def judge(tokenizer, chat):
    try:
        arguments = {"tools": chat.get("tools"), "add_generation_prompt": True}
        return tokenizer.apply_chat_template(chat["messages"], tokenize=False, **arguments), tokenizer.apply_chat_template(chat["messages"], return_dict=False, **arguments), None
    except Exception as e:  # whatever the template raises
        return None, None, f"{type(e).__name__}: {e}"


def main():
    lorac, total = sys.argv[1], {"equal": 0, "equal failures": 0, "differ": 0}
    for folder in sys.argv[2:]:
        name = os.path.basename(folder.rstrip("/"))
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        except Exception as e:
            print(f"{name}: transformers does not open it: {str(e)[:100]}")
            continue
        if not tokenizer.chat_template:
            continue
        if render(lorac, folder, {"messages": [{"role": "user", "content": "Hi"}]})[2] and judge(tokenizer, {"messages": [{"role": "user", "content": "Hi"}]})[0]:
            print(f"{name}: {render(lorac, folder, {'messages': [{'role': 'user', 'content': 'Hi'}]})[2][:150]}")
            continue
        counts = dict.fromkeys(total, 0)
        for label, messages in CONVERSATIONS.items():
            if label in SKIP: continue
            for options in OPTIONS:
                chat = {"messages": messages, **options}
                expected, found = judge(tokenizer, chat), render(lorac, folder, chat)
                kind = "differ" if expected[:2] != found[:2] else "equal" if expected[2] is None else "equal failures"
                counts[kind] += 1
                if kind == "differ" and counts[kind] < 3:
                    print(f"{name}, {label}, {list(options)}\n  reference {expected[0]!r} {expected[2]}\n  lorac     {found[0]!r} {found[2]}" if expected[0] != found[0] else f"{name}, {label}: other tokens for {found[0]!r}")
        print(name, counts)
        for k in total: total[k] += counts[k]
    print("all", total)
    return 1 if total["differ"] or not total["equal"] else 0


if __name__ == "__main__":
    sys.exit(main())
