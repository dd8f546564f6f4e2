#!/usr/bin/env python3
"""Renders real chat templates over a set of conversations with transformers' jinja2 environment and with lorac, and
compares the text, what the generation blocks printed, and which of them fail.

usage: judge_templates.py RENDER_TEMPLATES PATH... [--show N]
RENDER_TEMPLATES is the program of that name in the build folder. A PATH is a .jinja file, a tokenizer_config.json, or
a folder that is searched for both. Exit status 0 when all agree."""
import argparse
import itertools
import json
import os
import sys

from template_peer import Lorac, chat_variables, reference

CALL = {"id": "call12345", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}}
CALL_TEXT = {"id": "abcdefghi", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2.5}'}}
CALL_ODD = {"id": "zzzzzzzz9", "type": "function", "function": {"name": "f", "arguments": {"x": None, "y": [1, {"z": "é"}], "t": True, "s": "a\"b\n"}}}


def user(content): return {"role": "user", "content": content}
def system(content): return {"role": "system", "content": content}
def answer(content, **more): return {"role": "assistant", "content": content, **more}
def result(content, **more): return {"role": "tool", "content": content, **more}


CONVERSATIONS = {
    "one question": [user("Hi")],
    "one turn": [user("Hi"), answer("Hello!")],
    "system": [system("Be brief."), user("Hi")],
    "system and turns": [system("Be brief."), user("Hi"), answer("Hello!"), user("How are you?"), answer("Fine.")],
    "many turns": [m for i in range(6) for m in (user(f"question {i}"), answer(f"answer {i}"))] + [user("last")],
    "space around": [system("  Be brief.\n\n"), user("\n Hi \t"), answer("  Hello!  \n"), user(" ")],
    "empty contents": [system(""), user(""), answer(""), user("")],
    "lines": [user("a\nb\r\nc\n\n\nd"), answer("```c\nint x;\n```\n")],
    "non-ASCII": [system("Réponds en français. 日本語"), user("Größe? 👩‍👩‍👧 \u00a0\u2003x"), answer("Ω≈ç√\u200d")],
    "markup": [user("<|im_start|>{{ x }}{% if %} <b>&amp;\"'</b> [INST] <s>"), answer("</s><think>no</think>{}")],
    "numbers": [user("1e5 0.1 -0 00"), answer("3.0")],
    "thinking": [user("2+2?"), answer("<think>\nfour\n</think>\n\n4"), user("3+3?"), answer("<think>six</think>6"), user("and?")],
    "reasoning": [user("2+2?"), answer("4", reasoning_content="It is four."), user("3+3?"), answer("6", reasoning_content="\nsix\n")],
    "thinking field": [user("2+2?"), answer("4", thinking="four"), user("x"), answer("", thinking="t", tool_calls=[CALL])],
    "a call": [user("Weather in Paris?"), answer("", tool_calls=[CALL]), result('{"temp": 21.5}', name="get_weather", tool_call_id="call12345"), answer("21.5 °C.")],
    "a call without content": [user("Weather?"), {"role": "assistant", "tool_calls": [CALL]}, result("sunny", name="get_weather", tool_call_id="call12345")],
    "null content": [user("Weather?"), answer(None, tool_calls=[CALL]), result("sunny", name="get_weather", tool_call_id="call12345")],
    "call as text": [user("1+2.5?"), answer("", tool_calls=[CALL_TEXT]), result("3.5", name="add", tool_call_id="abcdefghi"), answer("3.5")],
    "two calls": [system("Use tools."), user("Both"), answer("Sure.", tool_calls=[CALL, CALL_ODD]), result("1", name="get_weather", tool_call_id="call12345"),
                  result("2", name="f", tool_call_id="zzzzzzzz9"), answer("Done."), user("Thanks")],
    "odd call": [user("x"), answer("", tool_calls=[CALL_ODD]), result({"a": [1.0, None, False]}, name="f", tool_call_id="zzzzzzzz9")],
    "bare call": [user("x"), answer("", tool_calls=[{"name": "f", "arguments": {"a": 1}}]), result("ok")],
    "call at end": [user("x"), answer("Let me see.", tool_calls=[CALL])],
    "thinking and call": [user("x"), answer("<think>hm</think>", tool_calls=[CALL]), result("1", name="get_weather", tool_call_id="call12345"), answer("<think>so</think>y")],
    "ipython": [user("x"), answer("print(1)"), {"role": "ipython", "content": "1"}, answer("1")],
    "developer": [{"role": "developer", "content": "Rules."}, user("x"), answer("y")],
    "parts": [user([{"type": "text", "text": "What is "}, {"type": "image"}, {"type": "text", "text": "this?"}]), answer([{"type": "text", "text": "A cat."}])],
    "parts with url": [user([{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": "?"}])],
    "system parts": [system([{"type": "text", "text": "Be brief."}]), user([{"type": "text", "text": "Hi"}])],
    "two users": [user("a"), user("b")],
    "assistant first": [answer("Hello, I am here."), user("Hi")],
    "only system": [system("Be brief.")],
    "late system": [user("Hi"), system("Be brief."), user("Go")],
    "two answers": [user("Hi"), answer("a"), answer("b")],
    "unknown role": [{"role": "narrator", "content": "It rained."}, user("Hi")],
    "no content": [{"role": "user"}],
    "no role": [{"content": "Hi"}],
    "content is a number": [user(3.5), answer(7)],
    "content is a dict": [user({"a": 1})],
    "named": [{"role": "user", "name": "Ann", "content": "Hi"}, {"role": "assistant", "name": "Bot", "content": "Yo"}],
    "prefix": [user("Hi"), answer("Hel", prefix=True)],
    "not trained": [user("Hi"), answer("a", train=False), user("b"), answer("c")],
}

WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Get the weather.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "The city"}, "days": {"type": "integer", "default": 1},
                                     "unit": {"type": "string", "enum": ["C", "F"]}}, "required": ["city"]}, "return": {"type": "string"}}}
ADD = {"type": "function", "function": {"name": "add", "description": "Adds \"two\" <numbers> & more.\nReally.", "parameters": {
    "type": "object", "properties": {"a": {"type": "number"}, "b": {"type": ["number", "null"]}, "l": {"type": "array", "items": {"type": "string"}},
                                     "o": {"type": "object", "properties": {"k": {"type": "boolean"}}}}, "required": ["a", "b"], "additionalProperties": False}}}
NOTHING = {"type": "function", "function": {"name": "nothing", "description": "", "parameters": {"type": "object", "properties": {}}}}
BARE = {"name": "bare", "description": "d", "parameters": {"type": "object", "properties": {"x": {"type": "integer", "minimum": 1e-7}}}}
DOCUMENTS = [{"title": "Lore", "text": "A llama is an animal."}, {"title": "Ö", "text": "Zwei\nZeilen", "contents": "c", "content": "d", "doc_id": 7}]

OPTIONS = [
    {"add_generation_prompt": True},
    {"add_generation_prompt": False},
    {"add_generation_prompt": True, "tools": [WEATHER]},
    {"add_generation_prompt": False, "tools": [WEATHER, ADD, NOTHING]},
    {"add_generation_prompt": True, "tools": [BARE]},
    {"add_generation_prompt": True, "tools": []},
    {"add_generation_prompt": True, "documents": DOCUMENTS},
    {"add_generation_prompt": True, "enable_thinking": False, "thinking": False, "reasoning_effort": "low", "date_string": "26 Jul 2024"},
    {"add_generation_prompt": True, "enable_thinking": True, "thinking": True, "controls": {"length": "short"}, "xml_tools": ["x"], "python_tools": ["y"],
     "builtin_tools": ["brave_search", "python"], "tools_in_user_message": False, "tools": [ADD], "model_identity": "You are X.", "citation_mode": "fast",
     "current_date": "2025-01-01", "keep_past_thinking": True, "custom_tools": [WEATHER], "preserve_thinking": True},
]
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def templates(path):
    """(name, source) of every template in a file or below a folder."""
    if os.path.isdir(path):
        for entry in sorted(os.listdir(path)):
            yield from templates(os.path.join(path, entry))
    elif path.endswith(".jinja"):
        with open(path, encoding="utf-8", newline="") as f:
            yield os.path.join(os.path.basename(os.path.dirname(path)), os.path.basename(path)), f.read()
    elif path.endswith(".json"):
        with open(path, encoding="utf-8") as f:
            config = json.load(f)
        found = config.get("chat_template") if isinstance(config, dict) else None
        name = os.path.basename(os.path.dirname(path))
        for one in found if isinstance(found, list) else [{"name": "default", "template": found}] if found else []:
            yield f"{name}:{one['name']}", one["template"]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program")
    arguments.add_argument("paths", nargs="+")
    arguments.add_argument("--show", type=int, default=10)
    a = arguments.parse_args()
    lorac, seen = Lorac(a.program), set()
    texts = failures = differ = marks = 0
    for name, source in itertools.chain.from_iterable(map(templates, a.paths)):
        if source in seen:
            continue
        seen.add(source)
        wrong = fine = failed = 0
        for (label, messages), options in itertools.product(CONVERSATIONS.items(), OPTIONS):
            variables = {**TOKENS, **chat_variables({"messages": messages, **options})}
            expected, found = reference(source, variables), lorac.render(source, variables)
            if expected[:2] == found[:2]:
                fine += expected[2] is None
                failed += expected[2] is not None
                marks += bool(expected[1])
                continue
            wrong += 1
            if differ + wrong <= a.show:
                print(f"{name}, {label}, {options}\n  reference {expected}\n  lorac     {found}")
        texts, failures, differ = texts + fine, failures + failed, differ + wrong
        if wrong:
            print(f"{name}: {fine} equal texts, {failed} equal failures, {wrong} differ")
    print(f"{len(seen)} templates: {texts} equal texts ({marks} with generation marks), {failures} equal failures, {differ} differ")
    return 1 if lorac.close() or differ or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
