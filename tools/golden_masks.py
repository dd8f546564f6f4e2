"""Which tokens of chats are targets, by transformers and mlx-lm: writes tests/golden/masks/cases.json.

    python tools/golden_masks.py

The tokenizer is that of tests/golden/models/plain; the templates were written for this test. `assistant` is the mask of
apply_chat_template(return_assistant_tokens_mask=True). A template without marks is held against the same one with
marks, so that finding messages by rendering beginnings must give what the marks give. `last` is mlx-lm's mask_prompt."""
import json
import os

import transformers
from mlx_lm.tuner.datasets import ChatDataset, CompletionsDataset
from reference import manifest

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "tests", "golden")

# The header is the prompt's; what is marked goes on to the end of the turn.
CHATML = """{% if messages[0].role != 'system' %}<|im_start|>system
Be kind.<|im_end|>
{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}
{% if message.role == 'assistant' %}{% generation %}{{ message.content }}<|im_end|>
{% endgeneration %}{% else %}{{ message.content }}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

# Thoughts before the last question are left out, and contents are trimmed: beginnings are not stable.
FORGETS = """{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor -%}
{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}
{%- if m.role == 'assistant' %}{% generation %}
{%- set parts = m.content.split('</think>') %}
{%- if loop.index0 > ns.last and parts | length > 1 %}{{ parts[0] ~ '</think>' }}{% endif %}
{{- parts[-1] | trim + '<|im_end|>\\n' }}{% endgeneration %}
{%- else %}{{ m.content | trim + '<|im_end|>\\n' }}{% endif %}
{%- endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

# Tools stand at the last question, and the header that asks for an answer says more than the one of an answer.
TOOLS = """{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor -%}
{% for m in messages %}{% if loop.index0 == ns.last and tools %}{{ '[tools]' + tools | tojson + '[/tools]' }}{% endif %}{{ m.role + ': ' }}
{%- if m.role == 'assistant' %}{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}
{%- else %}{{ m.content + '\\n' }}{% endif %}
{%- endfor %}{% if add_generation_prompt %}{{ 'assistant: [go]' }}{% endif %}"""


def unmarked(source):
    for tag in ("{% generation %}", "{% endgeneration %}"):
        source = source.replace(tag, "")
    return source


def messages(*turns):
    return [{"role": "assistant" if i % 2 else "user", "content": content} for i, content in enumerate(turns)]


CHATS = [{"messages": m, **({"tools": [{"name": "f"}]} if tools else {})} for tools in (0, 1) for m in (
    messages("Hi", "Hello!"),
    messages("a", "one", "b", "two"),
    messages("a", "one", "b"),
    messages("a", "[x]", "b", "[gone]"),
    messages("2+2?", "<think>four</think>4", "3+3?", "<think>six</think> 6 "),
    messages("é日本", "Größe 👍", "", "ok", "x", "y z"),
    [{"role": "system", "content": "Brief."}, *messages("q", "a")],
    messages("a", "")[:1] + [{"role": "assistant", "content": "one"}, {"role": "assistant", "content": "two"}],
)]


def main():
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(os.path.join(GOLDEN, "models", "plain"))
    templates = [f(t) for t in (CHATML, FORGETS, TOOLS) for f in (lambda t: t, unmarked)]
    cases = []
    for number, source in enumerate(templates):
        for chat in CHATS:
            tokenizer.chat_template = templates[number & ~1]
            out = tokenizer.apply_chat_template(chat["messages"], tools=chat.get("tools"), return_assistant_tokens_mask=True, return_dict=True)
            cases.append({"template": number, "train_on": "assistant", "row": chat, "tokens": out["input_ids"], "targets": [0] + out["assistant_masks"][1:]})
            tokenizer.chat_template = source
            text = lambda m, **more: tokenizer.apply_chat_template(m, tools=chat.get("tools"), tokenize=False, **more)
            if not text(chat["messages"]).startswith(text(chat["messages"][:-1], add_generation_prompt=chat["messages"][-1]["role"] == "assistant")):
                continue  # mlx-lm counts the tokens of another text
            tokens, offset = ChatDataset([chat], tokenizer, mask_prompt=True).process(chat)
            cases.append({"template": number, "train_on": "last", "row": chat, "tokens": tokens, "targets": [int(i >= offset) for i in range(len(tokens))]})
    row = {"prompt": "2+2?", "completion": "4"}
    tokenizer.chat_template = templates[1]
    tokens, offset = CompletionsDataset([row], tokenizer, "prompt", "completion", True).process(row)
    cases.append({"template": 1, "train_on": "last", "row": row, "tokens": tokens, "targets": [int(i >= offset) for i in range(len(tokens))]})
    folder = os.path.join(GOLDEN, "masks")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "cases.json"), "w") as f:
        f.write('{"templates": ' + json.dumps(templates) + ',\n"cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n]}\n")
    manifest(folder, "tools/golden_masks.py", ["transformers", "tokenizers", "jinja2", "mlx-lm"])
    print(len(cases), "cases")


main()
