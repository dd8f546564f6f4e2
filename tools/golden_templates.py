"""Renders chat templates and small expressions with jinja2 in the environment that transformers gives chat
templates, and writes tests/golden/templates/cases.json.

    python tools/golden_templates.py MODEL.gguf

MODEL.gguf is the default model: its own template is one of those rendered. All other templates were written for
this test; they use the constructs that published ones use. Needs transformers, jinja2, gguf."""
import datetime
import itertools
import json
import os
import sys

import gguf
import jinja2
import transformers
from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "..", "tests", "golden", "templates", "cases.json")

# ---- templates ----------------------------------------------------------------------------------

# In the manner of Llama 3: headers, trimmed contents, optional system text.
HEADERS = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_first is defined %}
    {%- set tools_first = true %}
{%- endif %}
{%- if not date is defined %}
    {%- if strftime_now is defined and false %}
        {%- set date = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date = "01 Feb 2025" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}

{#- The system text leaves the list. -#}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
{{- "<|head|>system<|/head|>\\n\\n" }}
{%- if builtin is defined or tools is not none %}
    {{- "Environment: shell\\n" }}
{%- endif %}
{%- if builtin is defined %}
    {{- "Tools: " + builtin | reject('equalto', 'interpreter') | join(", ") + "\\n\\n" }}
{%- endif %}
{{- "Today: " + date + "\\n\\n" }}
{%- if tools is not none and not tools_first %}
    {{- "Answer with a call such as " }}{{- '{"name": name, "parameters": {}}' }}{{- ".\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system }}
{{- "<|end|>" }}

{%- if tools_first and not tools is none %}
    {%- if messages | length != 0 %}
        {%- set first = messages[0]['content']|trim %}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- raise_exception("Cannot put tools in the first user message: there is none!") }}
    {%- endif %}
    {{- '<|head|>user<|/head|>\\n\\n' -}}
    {{- "These functions can be called.\\n\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
    {{- first + "<|end|>" }}
{%- endif %}

{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|head|>' + message['role'] + '<|/head|>\\n\\n' + message['content'] | trim + '<|end|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("Only single tool-calls at once!") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {%- if builtin is defined and call.name in builtin %}
            {{- '<|head|>assistant<|/head|>\\n\\n' -}}
            {{- "<|code|>" + call.name + ".call(" }}
            {%- for name, value in call.arguments | items %}
                {{- name + '="' + value + '"' }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- endif %}
            {%- endfor %}
            {{- ")" }}
        {%- else %}
            {{- '<|head|>assistant<|/head|>\\n\\n' -}}
            {{- '{"name": "' + call.name + '", ' }}
            {{- '"parameters": ' }}
            {{- call.arguments | tojson }}
            {{- "}" }}
        {%- endif %}
        {%- if builtin is defined %}{{- "<|more|>" }}{%- else %}{{- "<|end|>" }}{%- endif %}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|head|>ipython<|/head|>\\n\\n" }}
        {%- if message.content is mapping or (message.content is iterable and message.content is not string) %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|end|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|/head|>\\n\\n' }}
{%- endif %}
"""

# In the manner of Qwen 2.5: turns, tools as JSON lines, tool results gathered under one user turn.
TURNS = """{%- if tools %}
    {{- '<|start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are a test.' }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n{\\"name\\": <name>, \\"arguments\\": <object>}<|stop|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|start|>system\\n' + messages[0]['content'] + '<|stop|>\\n' }}
    {%- else %}
        {{- '<|start|>system\\nYou are a test.<|stop|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|start|>' + message.role + '\\n' + message.content + '<|stop|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</call>' }}
        {%- endfor %}
        {{- '<|stop|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|start|>user' }}
        {%- endif %}
        {{- '\\n<result>\\n' }}
        {{- message.content }}
        {{- '\\n</result>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|stop|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant\\n' }}
{%- endif %}
"""

# In the manner of Qwen 3: the last question is looked for from the end; thoughts before it are dropped.
THOUGHTS = """{%- set ns = namespace(searching=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == "user" and message.content is string and not(message.content.startswith('<result>') and message.content.endswith('</result>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or thought) %}
            {{- '<|start|>' + message.role + '\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
                {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
                {{- '<call>' ~ tool_call.name ~ ':' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '</call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|stop|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|start|>user' }}{%- endif %}
        {{- '\\n<result>\\n' }}{{- content }}{{- '\\n</result>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|stop|>\\n' }}{%- endif %}
    {%- else %}
        {{- '<|start|>' + message.role + '\\n' + content + '<|stop|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

# In the manner of Mistral: alternating turns, tools before the last question, checks that raise.
ALTERNATING = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("Roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[RESULT] {"content": ' + content|string + "}[/RESULT]" }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
"""

# Macros that print JSON schemas as types, previtem and nextitem, generation blocks, break and continue.
MACROS = """{%- macro kind(schema, depth=0, required=[]) -%}
    {%- if schema.type == "object" -%}
        {{- "{" -}}
        {%- for name, part in schema.properties | dictsort -%}
            {{- name -}}{{- "" if name in required else "?" -}}{{- ": " -}}{{- kind(part, depth=depth + 1, required=part.required or []) -}}
            {{- ", " if not loop.last -}}
        {%- endfor -%}
        {{- "}" -}}
    {%- elif schema.type == "array" -%}
        {{- kind(schema["items"], depth + 1) + "[]" -}}
    {%- elif schema.enum -%}
        {{- schema.enum | map("tojson") | join(" | ") -}}
    {%- elif schema.type is sequence and schema.type is not string -%}
        {{- schema.type | join(" | ") -}}
    {%- else -%}
        {{- schema.type | default("any") -}}
    {%- endif -%}
{%- endmacro -%}
{%- macro tool_text(tool) %}
{% set f = tool.function or tool %}
// {{ f.description | default("no description", true) | replace("\\n", " ") }}
type {{ f.name }} = (_: {{ kind(f.parameters, required=f.parameters.required or []) }}) => any;
{% endmacro -%}
{{ bos_token }}{% for tool in tools or [] %}{{ tool_text(tool) }}{% else %}no tools
{% endfor %}
{% for message in messages %}
    {% if message.role == "skip" %}{% continue %}{% endif %}
    {% if message.role == "end" %}{% break %}{% endif %}
    {% if loop.previtem is not defined or loop.previtem.role != message.role %}
[{{ message.role | upper }}#{{ loop.index }}/{{ loop.length }}]
    {%- endif %}
    {% if message.role == "assistant" %}
        {% generation %}
            {%- if message.content is not none and message.content is not string %}
                {%- for part in message.content if part.type == "text" %}{{ part.text }}{% endfor %}
            {%- else %}{{ message.content or "" }}{% endif %}
        {% endgeneration %}
        {% for call in message.tool_calls or [] %}
call {{ loop.index }}: {{ call.function.name }}({% for k, v in call.function.arguments.items() %}{{ k }}={{ v | tojson }}{{ ", " if not loop.last }}{% endfor %})
        {% endfor %}
    {% else %}
{{ message.content if message.content is string else message.content | tojson(indent=2) }}
    {% endif %}
    {% if loop.nextitem is undefined %}
(the end)
    {% endif %}
{% endfor %}
"""

# Lists of content parts, block sets, filters on blocks, with, call.
PARTS = """{% set ns = namespace(images=0, text='') %}
{% macro turn(role) %}<{{ role }}>{{ caller(role | length) }}</{{ role }}>
{% endmacro %}
{% for m in messages %}
{% set body %}
{% if m.content is string %}
{{ m.content }}
{%- elif m.content is iterable %}
{% for p in m.content %}
{% if p.type == 'image' %}{% set ns.images = ns.images + 1 %}[image {{ ns.images }}]{% elif 'text' in p %}{{ p['text'] }}{% endif %}
{% endfor %}
{%- endif %}
{% endset %}
{% call(n) turn(m['role']) %}{{ n }}:{{ body | trim }}{% endcall %}
{% with a = loop.index0, b = m.role %}{% set ns.text = ns.text ~ a ~ b[0] %}{% endwith %}
{% endfor %}
{% filter upper %}{{ ns.text }} {{ ns.images }}{% endfilter %}

{{- ns.images if ns.images > 0 }}
{% if add_generation_prompt -%} <assistant> {%- endif +%}
 end
"""

# ---- message lists ------------------------------------------------------------------------------

WEATHER = {"type": "function", "function": {"name": "weather", "description": "The weather's \"state\"\nof <a> place & time",
           "parameters": {"type": "object", "properties": {
               "city": {"type": "string", "description": "Zürich, 東京 …"},
               "unit": {"type": "string", "enum": ["°C", "°F"]},
               "days": {"type": "array", "items": {"type": "integer"}},
               "where": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": ["number", "null"]}}, "required": ["lat"]}},
               "required": ["city"]}, "return": {"type": "number"}}}
PLAIN = {"type": "function", "function": {"name": "now", "description": "", "parameters": {"type": "object", "properties": {}}}}


def call(name, arguments, number="abcdef123"):
    return {"type": "function", "id": number, "function": {"name": name, "arguments": arguments}}


USER = {"role": "user", "content": "Hello, what's \"up\"?"}
REPLY = {"role": "assistant", "content": "Not much: <b>bold</b> & 'quoted' \\ back\tslash"}
SYSTEM = {"role": "system", "content": "  Be kind.\n\n"}
CONVERSATIONS = {
    "user": [USER],
    "system": [SYSTEM, USER],
    "turns": [SYSTEM, USER, REPLY, {"role": "user", "content": " more\n"}, {"role": "assistant", "content": ""}, USER],
    "unicode": [{"role": "user", "content": "naïve 日本語 🦙 \u00a0\u2003x\u3000"}, {"role": "assistant", "content": "\u00e9\u0301 ß ﬁ İ ΑΣ"}],
    "call": [USER, {"role": "assistant", "content": None, "tool_calls": [call("weather", {"city": "Zürich \"5\"", "days": [1, 2], "where": {"lat": 47.0, "lon": None}})]},
             {"role": "tool", "content": "{\"sun\": true}"}, REPLY],
    "calls": [SYSTEM, USER, {"role": "assistant", "content": "Let me see.", "tool_calls": [
        call("weather", {"city": "東京", "exact": True, "x": 0.1, "y": 1e-7, "z": 1e22, "none": None, "nested": {"a": [{"b": []}, {}]}}),
        call("now", {}, "123456789")]}, {"role": "tool", "content": "17 °C"}, {"role": "tool", "content": "noon <UTC>"}, REPLY, USER],
    "result": [USER, {"role": "assistant", "tool_calls": [call("search", {"query": "llamas", "page": "2"})]},
               {"role": "tool", "content": {"content": [1, 2.5, False, "é"]}}, {"role": "ipython", "content": ["a", {"b": 1.0}]}],
    "thought": [USER, {"role": "assistant", "content": "<think>\nhm\n\n</think>\n\nYes."}, USER,
                {"role": "assistant", "content": "\n\nNo.", "reasoning_content": "\nwell\n", "tool_calls": [call("now", {})["function"]]},
                {"role": "user", "content": "<result>x</result>"}, {"role": "assistant", "content": "<think>a</think>b"}],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "image"}, {"type": "image", "url": "x"}, {"type": "text", "text": "this?"}]},
              {"role": "assistant", "content": [{"type": "text", "text": "A llama."}]}],
    "odd": [USER, USER, {"role": "skip", "content": "never"}, {"role": "system", "content": "late"}, {"role": "end", "content": ""}, REPLY],
    "empty": [],
}
OPTIONS = [
    {"add_generation_prompt": True, "tools": None},
    {"add_generation_prompt": False, "tools": [WEATHER, PLAIN]},
    {"add_generation_prompt": True, "tools": [WEATHER], "tools_first": False, "builtin": ["interpreter", "search"], "enable_thinking": False},
    {"add_generation_prompt": True, "enable_thinking": True},
]
COMMON = {"bos_token": "<s>", "eos_token": "</s>"}

# ---- expressions --------------------------------------------------------------------------------

VALUES = {
    "i": 7, "n": -3, "z": 0, "f": 2.5, "big": 1e300, "t": True, "no": False, "nil": None, "s": "Hello World", "e": "", "u": "Straße ÉCOLE 日本 🦙 ΟΔΟΣ ǆ",
    "sp": "  pad\t\n", "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "el": [], "d": {"b": 1, "a": "x", "items": [1], "nested": {"k": [10, 20, {"z": 5}]}},
    "ed": {}, "people": [{"name": "Zoe", "age": 30, "tags": ["x"]}, {"name": "adam", "age": 25, "tags": []}, {"name": "Bob", "age": 30}],
    "mixed": [1, "1", 1.0, True, None, [1], {"a": 1}], "html": "<a href=\"x\">T&C's</a>", "q": "it's \"both\"", "ctl": "a\u0001b\u007f\u00a0\u200b\u2028é\\",
    "lines": "one\n\ntwo\r\nthree\n", "fl": [0.1, 1e-7, 1e16, 123456789.125, -0.0, 1e22, 5e-324],
}
EXPRESSIONS = r"""
i|n|f|t|nil|s|l|d|el|ed|mixed|fl|u|q|ctl|html
1 + 2 * 3|(1 + 2) * 3|7 // 2|-7 // 2|7 % 3|-7 % 3|7 % -3|7 / 2|6 / 3|2 ** 10|2 ** -1|2 ** 3 ** 2|-2 ** 2|7.5 // 2|-7.5 % 2|7.0 % -2|1e3|1_000|0x1F|0o17|0b101|1.5e-3
i + f|i * t|t + t|-t|+n|- - 3|1 - -1|0.1 + 0.2|1 / 3|1e16|1e15|123456789012345680.0|-0.0|2.0 ** 0.5|10 ** 18|0 ** 0|5 // 0.3|1e308 * 10|-1e308 * 10|(1e308 * 10) - (1e308 * 10)
i / 0|i // 0|i % 0|1.0 / 0|0 ** -1|s + 1|1 + s|l + 1|nil + 1|s - s|nope + 1|1 + nope|-s|nope.x|nope['x']|nope()|nil.x|nil['x']|i.x|s.x|d.x|d.x.y|d['x']
s + '!'|'a' 'b'|"a" 'b' + "c"|s * 2|2 * s|s * 0|s * -1|l + [4]|l * 2|[0] * 3|(1, 2) + (3,)|(1,)|()|(1)|1, 2|[1, [2, (3,)], {'a': None}]|{'a': 1, 'b': [True]}|{1: 2, 'x': {}}|{1: 'a', 1.0: 'b', True: 'c'}|[1, 2,]|{'a': 1,}
'a' ~ 1 ~ none ~ true ~ 1.0|s ~ nope ~ '|' ~ l|1 ~ 2|i ~ f + 1 if false else 'x'|1 + 2 ~ 3 + 4|1 ~ 2 * 3
1 < 2|1 < 2 < 3|3 > 2 > 2|1 == 1.0|1 == true|'1' == 1|nil == none|l == [3, 1, 2]|(1, 2) == [1, 2]|d == d|nope == nope2|nope == nil|nope == ''|1 != 2|1 <= 1|2 >= 3|'a' < 'b'|'a' < 'B'|'é' > 'z'|[1, 2] < [1, 3]|[1] < [1, 0]|(1, 'a') < (1, 'b')|1 < 'a'|nil < 1|nope < 1|d < d|l < nil|1 == 1 == 1|1 < 3 > 2|true > false|9007199254740993 == 9007199254740992.0|9007199254740993 > 9007199254740992.0
1 in l|4 in l|4 not in l|'World' in s|'x' in s|'' in s|'a' in d|'z' not in d|1 in s|1 in nope|1 in nil|1 in 5|[1] in mixed|'a' in ['a'] and not 'b' in ['a']|not 1 in l|none in mixed|'k' in d.nested|2 in range(5)|[1] in d
t and no|t or no|not t|not not t|nope or 'x'|e or 'x'|l and s|el or 0|0 or none|nil and 1|no or el|not el|not nope and 1|1 and 2 or 3|(no or nil) is none
'a' if t else 'b'|'a' if no else 'b'|'a' if no|('a' if no) is defined|'a' if t else 'b' if no else 'c'|'x' if el else 'y' if ed else 'z'|1 if 2 if no else 3
s[0]|s[-1]|s[100]|s[1:3]|s[::-1]|s[::2]|s[-3:]|s[:-3]|s[10:2:-3]|s[5:100]|s[none:2]|u[4]|u[:6]|u[::-1]|u[12:15]|l[0]|l[-1]|l[3]|l[-4]|l[1:]|l[:0]|l[::-1]|l[::-2]|l[-100:100]|l[true]|l['x']|l[nope]|l[0:2:0]|l['a':]|(1, 2, 3)[1:]|range(10)[2:8:3]|range(10)[-1]|range(5)[::-1]|d[0]|d[l]|d[1:2]|nope[1:]|nil[1:]|5[0]|e[0]|e[:3]|e[::-1]|people[0].name|people[0]['name']|people.0.name|d.nested.k[2].z|d.nested['k'].1|d['nested']['k'][-1]|d.items|d.b|d['items']|s['upper']()|d.get('a')|d.get('q')|d.get('q', 5)|d.get(l)
s|upper;s|lower;s|title;s|capitalize;u|upper;u|lower;u|title;u|capitalize;s.upper();u.upper();u.lower();u.title();u.swapcase();u.capitalize();'foo-bar baz(qux) [x'|title;"it's o'neil"|title;"it's o'neil".title();'ΑΣ ΑΣΑ Σ'|lower;'ŉ ǰ ﬀ ﬁ'|upper;'İI'|lower;'ß'|capitalize;nil|upper;5|upper;l|upper;nope|upper
sp|trim;sp.strip();sp.lstrip();sp.rstrip();'xxhixx'|trim('x');'xyhiyx'.strip('yx');'  a '.lstrip(' ');'abc'.rstrip('cb');'\u3000 a\u2003'|trim;nil|trim;5|trim;'a'.strip(none);'éaé'.strip('é');'a'.strip(1)
s.split();s.split('o');s.split('o', 1);' a  b '.split();' a  b '.split(' ');' a b c '.split(none, 1);'a,b,c'.rsplit(',', 1);'a b  c'.rsplit(none, 1);''.split();''.split(',');s.split('');lines.splitlines();lines.splitlines(true);'a=b=c'.partition('=');'a=b=c'.rpartition('=');'abc'.partition('=');'abc'.rpartition('=');'a'.split(1);'a,b'.split(sep=',');'a,b,c'.split(',', maxsplit=1)
s.startswith('Hell');s.startswith('x');s.startswith(('x', 'H'));s.endswith('ld');s.endswith('o', 0, 5);s.startswith('World', 6);s.startswith('', 20);s.startswith(1);s.find('o');s.find('o', 5);s.find('zz');s.rfind('o');s.index('World');s.index('zz');s.rindex('l');u.find('日');s.count('l');s.count('');s.count('o', 5);e.count('');s.removeprefix('Hello ');s.removesuffix('World');s.replace('l', 'L');s.replace('l', 'L', 2);s.replace('', '-');e.replace('', '-');s.replace('o', '');u.replace('', '.');s.replace(1, 2)
s|replace('o', '0');s|replace('o', '0', 1);i|replace(7, 8);s|replace('l', none);s|replace('l');s|replace(old='l', new='L');s.replace(old='l', new='L');s.strip(chars='d');d.get('q', default=1);d.get(key='a');', '.join(ls);'-'.join('abc');'-'.join([1]);''.join([]);','.join(d);','.join(nope);s.isupper();s.islower();'ABC'.isupper();'abc1'.islower();''.isupper();'abc'.isalpha();'a1'.isalnum();'12'.isdigit();' \n'.isspace();''.isspace();'7'.zfill(3);'-7'.zfill(4);'a'.ljust(3) ~ '|';'a'.rjust(3, '*');'ab'.center(5, '.');'abc'.center(6, '.');'abc'.rjust(1);s.nonsense();s.nonsense;'%s' % 5;'%d-%s' % (1, 'a');'%5.2f|%-5s|%05d' % (3.14159, 'ab', 42);'%x %X %o' % (255, 255, 8);'%r' % q;'%%' % ();'%s' % nil;'%s %s' % (1,);'%s' % (1, 2);'%d' % 'a';'%(a)s' % {'a': 1};'%s %s'|format('a', 2);'%(x)s'|format(x=1);'{} {}'.format(1, 'b');'{0}{1}{0}'.format('a', 'b');'{x}'.format(x=l);'{{}}'.format();'{}'.format();'{x.a} {x[a]} {x[b]!r}'.format(x={'a': 1, 'b': 'c'});'%+d % d' % (3, 4);'%e' % 12345.678;'%g' % 0.0001;'%.3s|' % 'abcdef';'%c' % 'x'
l|length;s|length;u|length;d|length;e|length;nope|length;i|length;nil|length;range(4)|length;d.items()|length;l|map('string')|length;l|count
l|first;l|last;s|first;s|last;el|first;el|last;d|first;d|last;nope|first;i|first;l|reverse|first;l|map('string')|first;l|map('string')|last;range(3)|last;nope|last
l|list;s|list;d|list;nope|list;range(3)|list;(1, 2)|list;d.items()|list;d.keys()|list;d.values()|list;i|list;nil|list;d|items|list;nope|items|list;l|items|list;ed|items|list
l|join;l|join(', ');ls|join('-');mixed|join('|');people|join(', ', attribute='name');s|join('.');d|join(',');nope|join(',');i|join;l|join(1);[]|join(',');people|map(attribute='age')|join('/');range(3)|join
l|sort;ls|sort;ls|sort(case_sensitive=true);ls|sort(reverse=true);ls|sort(true);people|sort(attribute='name')|map(attribute='name')|list;people|sort(attribute='age,name')|map(attribute='name')|list;people|sort(attribute='age', reverse=true)|map(attribute='name')|list;mixed|sort;d|sort;'hello'|sort;el|sort;[1.5, 1, true]|sort;nope|sort;[[2, 1], [1, 2], [1, 1]]|sort
d.nested|dictsort;{'b': 1, 'A': 3, 'c': 2}|dictsort;{'b': 1, 'A': 3, 'c': 2}|dictsort(true);{'b': 1, 'A': 3, 'c': 2}|dictsort(by='value');{'b': 1, 'A': 3}|dictsort(false, 'key', true);d|dictsort(by='x');l|dictsort
l|reverse|list;s|reverse;d|reverse|list;(1, 2)|reverse|list;nope|reverse|list;i|reverse;l|map('string')|reverse;range(3)|reverse|list;l|min;l|max;ls|min;ls|max;el|min;ls|max(case_sensitive=true);people|max(attribute='age');l|sum;[]|sum;[1.5, 2]|sum;people|sum(attribute='age');l|sum(start=10);ls|sum;[[1], [2]]|sum(start=[])
ls|unique|list;['a', 'A', 'b', 'a']|unique|list;['a', 'A']|unique(case_sensitive=true)|list;[1, 1.0, true, 2]|unique|list;people|unique(attribute='age')|map(attribute='name')|list;mixed|unique|list;l|batch(2)|list;l|batch(2, 'x')|list;[]|batch(2)|list
ls|map('upper')|list;l|map('string')|list;people|map(attribute='name')|list;people|map(attribute='tags.0')|list;people|map(attribute='tags', default='none')|list;ls|map('replace', 'a', 'z')|list;l|map('nonsense')|list;l|map|list;nope|map('upper')|list;nil|map('upper')|list;s|map('upper')|join;l|map('tojson')|join;[' a ']|map('trim')|list;[[1, 2], [3]]|map('length')|list;[[1, 2], [3]]|map('join', '-')|list;d|map('upper')|list;l|map(attribute='x')|list;people|map(attribute='name', x=1)|list
l|select('odd')|list;l|reject('odd')|list;mixed|select('string')|list;mixed|select|list;mixed|reject('none')|list;l|select('gt', 1)|list;l|select('>', 1)|list;l|select('in', [1, 2])|list;people|selectattr('age', 'equalto', 30)|map(attribute='name')|list;people|rejectattr('age', 'eq', 30)|map(attribute='name')|list;people|selectattr('tags')|map(attribute='name')|list;people|selectattr('tags', 'defined')|list|length;people|rejectattr('tags')|list|length;l|select('nonsense')|list;l|selectattr|list;nope|select|list;nil|select|list;people|selectattr('tags', 'undefined')|map(attribute='name')|first;(l|select('odd')) is defined;(el|select) is iterable;'x' if (el|select) else 'y';l|select('divisibleby', 3)|list;l|select('sameas', 1)|list
d|tojson;l|tojson;s|tojson;u|tojson;q|tojson;ctl|tojson;html|tojson;fl|tojson;mixed|tojson;nil|tojson;t|tojson;i|tojson;f|tojson;el|tojson;ed|tojson;e|tojson;nope|tojson;range(3)|tojson;(1, 2)|tojson;d|tojson(indent=2);d|tojson(indent=0);d|tojson(indent='--');d|tojson(indent=none);el|tojson(indent=4);[[], {}, [1]]|tojson(indent=4);d|tojson(separators=(',', ':'));d|tojson(indent=1, separators=(', ', '='));d|tojson(sort_keys=true);u|tojson(ensure_ascii=true);u|tojson(true);d|tojson(nonsense=1);{1: 2, 2.5: 3, true: 4, none: 5}|tojson;{(1, 2): 3}|tojson;d.items()|tojson;l|map('string')|tojson;1e308 * 10|tojson;(1e308 * 10)|tojson;d|tojson|length;d|tojson|safe;people|tojson(indent=4)
nope|default;nope|default('x');nope|d('y');nil|default('x');nil|default('x', true);e|default('x', true);e|default('x');z|default(5, boolean=true);d.q|default('none');l|default(1, 2, 3);nope.x|default('y')
'42'|int;'4.7'|int;'abc'|int;'abc'|int(-1);' 7 '|int;'-5'|int;'1_000'|int;'0x1f'|int(0, 16);'ff'|int(base=16);'11'|int(0, 2);4.9|int;-4.9|int;t|int;nil|int;l|int;nope|int;''|int;'1e3'|int;'+3'|int;'٣'|length
'1.5'|float;'abc'|float;'abc'|float(2.5);'1e3'|float;' .5 '|float;'5.'|float;'-0'|float;'inf'|float;'nan'|float;'-Infinity'|float;i|float;t|float;nil|float;nope|float;'1_0.5'|float;'1__0'|float;'e5'|float;'.'|float;'007.50'|float
2.5|round;3.5|round;-2.5|round;2.675|round(2);2.55|round(1);1234.567|round(-2);i|round;i|round(2);2.1|round(method='ceil');2.9|round(method='floor');2.123|round(2, 'ceil');2.129|round(2, 'floor');2.5|round(1, 'nonsense');s|round;1e300|round(2);15|round(-1);25|round(-1);t|round;-5|abs;-2.5|abs;t|abs;s|abs;nope|abs
s|string;i|string;l|string;nil|string;nope|string;t|string|length;f|string ~ '!';html|escape;html|e;html|safe;(html|safe) + '<';'<' + (html|safe);('<'|e) ~ '<';(html|e)|e;html|forceescape;l|escape;(html|safe)|upper;[html|safe];(html|safe) is string;s|wordcount;'a-b c_d 1'|wordcount
lines|indent;lines|indent(2);lines|indent(2, true);lines|indent(2, true, true);lines|indent('> ');lines|indent(width=1, blank=true);e|indent;'a'|indent;'a\n'|indent(2, false, true);'a\n\n'|indent;i|indent;s|attr('upper')();d|attr('b')|default('no');people[0]|attr('name')|default('no')
nope is defined;i is defined;nope is undefined;d.q is defined;d.a is defined;nope is not defined;i is not defined;nil is none;nil is not none;nope is none;i is none;s is string;i is string;e is string;d is mapping;l is mapping;l is iterable;s is iterable;i is iterable;nil is iterable;d is iterable;nope is iterable;range(3) is iterable;l is sequence;s is sequence;d is sequence;i is sequence;range(3) is sequence;d.items() is sequence;nope is sequence;(l|map('string')) is sequence;i is number;f is number;t is number;s is number;i is integer;t is integer;f is integer;f is float;i is float;t is boolean;i is boolean;t is true;t is false;no is false;z is false;i is true;i is odd;i is even;z is even;f is odd;s is odd;i is divisibleby 7;i is divisibleby(2);i is divisibleby 0;i is eq 7;i is equalto 7;i is == 7;i is ne 7;i is gt 5;i is lt 5;i is ge 7;i is le(6);i is greaterthan 1;i is lessthan 1;i is in [7];i is in(l);'a' is in d;s is lower;'abc' is lower;'ABC' is upper;i is sameas 7;nil is sameas none;l is sameas l;range is callable;i is callable;s is callable;s.upper is callable;html|safe is escaped;s is escaped;'upper' is filter;'nonsense' is filter;'odd' is test;i is nonsense;not i is odd;i is odd and i is number;i is defined and nope is not defined;i is not none and s is string;i + 1 is number;i is odd is even
range(3);range(0);range(1, 4)|list;range(5, 0, -2)|list;range(3) == range(0, 3);range('a');range(1, 2, 0);range();range(2) + [1];dict(a=1, b=2);dict([('a', 1)]);dict(d, z=1);dict(1);namespace(a=1).a;namespace(a=1).b;namespace({'x': 1}).x;namespace(a=1);namespace(_a=1);raise_exception('no ' ~ i);raise_exception();strftime_now is defined;strftime_now('%Y')|length;strftime_now(1);nonsense(1);i();s();lipsum2 is defined
d.keys();d.values();d.nested.items();d.items()|first;d.copy();d.pop('a');d.update({});l.append(1);l.append is defined;l.index(1);l.index(9);l.count(3);(1, 1).count(1);d.keys()[0];d.keys()|list|first;d.nested.k|last;d.items() == d.items()|list;'a' in d.keys();('b', 1) in d.items();s.__class__;d.__len__;''.__class__.__mro__;s._x
'\n'|length;'\t|'|e;'a\\b';'\x41\u00e9\U0001f999\101';'it\'s';"say \"x\"";'\q';'a\
b';"{{ x }}";'{% x %}';'}}';'%}'
"""

# What stands between semicolons in the later lines of EXPRESSIONS holds pipes; in the first lines pipes separate.
STATEMENTS = [
    "{% for x in l %}{{ x }}{% endfor %}", "{% for x in el %}{{ x }}{% else %}none{% endfor %}", "{% for x in nope %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in nil %}{% endfor %}", "{% for x in 5 %}{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}",
    "{% for c in u %}{{ c }}.{% endfor %}", "{% for a, b in [(1, 2), [3, 4], 'xy'] %}{{ a }}{{ b }} {% endfor %}", "{% for a, b in [(1, 2, 3)] %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% endfor %}", "{% for x in l if x > 5 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}",
    "{% for x in l %}[{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}]{% endfor %}", "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for x in l %}{{ loop.previtem.name }}{% endfor %}", "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{% endfor %}", "{% for x in l %}{{ loop.nonsense }}{% endfor %}",
    "{% for x in l %}{% for y in ls %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}", "{% for x in l %}{% set outer = loop %}{% for y in [1, 2] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "{% for x in l %}{{ loop }}{% endfor %}", "{{ loop }}", "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}done",
    "{% for x in [1, 2] %}{% for y in [1, 2, 3] %}{% if y == 2 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}",
    "{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}", "{% for x in l %}{{ loop(x) }}{% endfor %}",
    "{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}", "{% set x = 1 %}{% for i in l %}{{ x }}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}", "{% for i in l %}{% set x = i %}{% endfor %}{{ x is defined }}",
    "{% set ns = namespace(n=0) %}{% for i in l %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b }}|{{ ns }}", "{% set d.a = 1 %}", "{% set nope.a = 1 %}", "{% set ns = namespace() %}{% set ns._a = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set a, b = [1] %}", "{% set (a, b) = 'xy' %}{{ b }}{{ a }}", "{% set ns = namespace() %}{% set ns.a, b = 1, 2 %}{{ ns.a }}{{ b }}",
    "{% if i > 5 %}a{% elif i > 3 %}b{% else %}c{% endif %}", "{% if z %}a{% elif i > 3 %}b{% else %}c{% endif %}", "{% if z %}a{% elif e %}b{% else %}c{% endif %}", "{% if z %}a{% elif e %}b{% endif %}.", "{% if l %}{% if ed %}x{% else %}y{% endif %}{% endif %}",
    "{% if t %}{% set v = 1 %}{% endif %}{{ v }}", "{% if no %}{% set s = 1 %}{% endif %}{{ s }}", "{% if nope.x %}{% endif %}", "{% if x is defined: %}a{% else: %}b{% endif %}",
    "{% set v %}a{{ i }}{% endset %}[{{ v }}]", "{% set v | upper %}a{{ i }}b{% endset %}[{{ v }}]", "{% set v | replace('a', 'x') | upper %}abc{% endset %}{{ v }}", "{% set v %}{% set w = 1 %}{% endset %}{{ w is defined }}", "{% set ns = namespace() %}{% set ns.v %}abc{% endset %}{{ ns.v }}",
    "{% filter upper %}abc{{ s }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}banana{% endfilter %}", "{% with a = 1, b = i %}{{ a + b }}{% endwith %}{{ a is defined }}", "{% with %}{% set q2 = 1 %}{% endwith %}{{ q2 is defined }}", "{% with i = 1, j = i %}{{ i }}{{ j }}{% endwith %}",
    "{% macro m(a, b=2, c='x') %}[{{ a }}|{{ b }}|{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c='z') }}{{ m() }}{{ m(b=5, a=4) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=1) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=1) }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m() %}{{ i }}{{ late }}{% endmacro %}{% set late = 'L' %}{{ m() }}", "{% macro m() %}{{ x }}{% endmacro %}{% for x in l %}{{ m() }}.{% endfor %}", "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(5) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}", "{% macro m(a) %}{{ a }}{{ varargs|length }}{% endmacro %}{{ m(1, 2, 3) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(*[1]) }}{{ m(**{'a': 2}) }}", "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{% endcall %}",
    "{% macro m(l) %}{% for x in l %}{{ caller(x) }};{% endfor %}{% endmacro %}{% call(x) m(l) %}{{ x * 2 }}{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}", "{% macro m() %}a{% endmacro %}{{ m }}", "{% macro m() %}a{% endmacro %}{{ m.name }}{{ m is callable }}", "{% macro m() %}  a\n{% endmacro %}[{{ m() | trim }}]{{ m()|length }}",
    "{% macro a(x) %}{{ x }}{% endmacro %}{% macro b(x) %}<{{ a(x) }}>{% endmacro %}{{ b('q') + b('r') }}", "{% macro m(a, a2=[]) %}{{ a2 + [a] }}{% endmacro %}{{ m(1) }}{{ m(2) }}", "{% for x in [1] %}{% macro m() %}{{ x }}{{ loop.index }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% generation %}a{{ i }}{% endgeneration %}b", "{% generation %}{% set g = 1 %}{% endgeneration %}{{ g is defined }}", "{% for x in l %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}", "{% print i, s %}", "{% print i %}",
    "{% raw %}{{ x }}{% if %}{% endraw %}", "{%- raw -%}  {{ x }}  {%- endraw -%}  z", "a {% raw %} b {% endraw %} c", "a\n  {% raw %}\n b\n  {% endraw %}\n c", "{# comment #}a", "a{#- x -#} b", "a {# {{ x }} {% y %} #}b", "a\n  {# x #}\n  b", "a\n  {#- x #}\n  b", "a {##} b", "{#-#} a",
    "a\n  {% if t %}\n  b\n  {% endif %}\n  c\n", "a\n  {%- if t %}\n  b\n  {%- endif %}\n  c\n\n", "a\n  {% if t -%}\n  b\n  {% endif -%}\n  c", "a\n  {%+ if t %}\n  b\n  {%+ endif %}\n  c", "a\n  {% if t +%}\n  b{% endif +%}\n  c", "  {{ i }}  \n  {{- i }}\n {{ i -}}  \n x", "{{ i }}\n{{ i }}\n", "{% if t %}\n\n{% endif %}\n\nx",
    "x {% if t %} y {% endif %} z", "x\t {%- if t -%} \n y \n {%- endif -%} \t z", "\n  {% set a = 1 %}  \n  b", "  {% if t %}a{% endif %}", "a{% if t %}\r\nb\r\n  {% endif %}\r\nc\rd", "a\u00a0{%- if t -%}\u2003b{% endif %}", "{{- ' a ' -}}  b", "{{-1}}", "{{ -1 }}", "{{ {'a': {'b': 1}}.a.b }}", "{{ {'a': {'b': 1}}}}", "{{'}}'}}", "text only\n", "text\n\n", "", "\n", "\n\n", "a{% if t %}{# x #}{% endif %}\nb",
    "{{ }}", "{{ 1 + }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{{ 'a }}", "{% if %}{% endif %}", "{% if t %}", "{% endif %}", "{% for x l %}{% endfor %}", "{% for %}", "{% nonsense %}", "{% set %}", "{% set 1 = 2 %}", "{% set x = %}", "{{ x", "{% if t", "{# x", "{% raw %}x", "{{ a b }}", "{{ 1 if }}", "{{ d. }}", "{{ d.'a' }}", "{{ s | }}", "{{ s is }}", "{{ f(a=1, 2) }}", "{{ 1 = 2 }}", "{{ a ? b }}", "{{ $ }}", "{% macro %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% else %}", "{% for x in l %}{% elif %}{% endfor %}", "{{ 012 }}",
    "{% if t %}a{% else %}b{% elif %}c{% endif %}", "{{ s.upper()|lower }}", "{{ (s.upper)() }}", "{{ {'f': s.upper}.f() }}", "{{ people|map(attribute='name')|map('upper')|join(',') }}", "{% set it = l|map('string') %}{{ it|join }}{{ it|join }}|", "{% set it = l|select('odd') %}{% for x in it %}{{ x }}{% endfor %}{% for x in it %}{{ x }}{% endfor %}", "{% set it = d|items %}{{ it|first }}{{ it|list|length }}", "{% set r = l|reverse %}{{ r|list }}{{ r|list }}", "{% set it = l|map('string') %}{{ it[0] }}|{{ it is defined }}",
    "{% for x in l|map('string') %}{{ loop.length }}{{ loop.last }}{{ x }} {% endfor %}", "{% for x in range(3) %}{{ x }}{% endfor %}", "{% for x in l|sort %}{{ x }}{% endfor %}", "{% for a in d.nested.items() recursive %}{{ a[0] }}{% endfor %}", "{% for i in range(3) if i is odd %}{{ i }}{% endfor %}{{ i }}", "{% for p in people|rejectattr('tags') %}{{ p.name }}{% endfor %}", "{% for x in l %}{% if loop.first %}{% set y = 5 %}{% endif %}{{ y }}{% endfor %}",
    "{% for k, v in {'b': 1, 'a': 2}|dictsort %}{{ k }}{{ v }}{% endfor %}", "{% for x in s.split(' ') %}<{{ x }}>{% endfor %}", "{{ s.split(' ')|last }}", "{{ (l + [9])[-1] }}", "{{ l[1:] + l[:1] }}", "{{ messages is defined and messages }}", "{% set l = l + [4] %}{{ l }}", "{% for x in l %}{% set l = [] %}{{ l }}{% endfor %}{{ l }}", "{{ '%s' }}{{ '{' }}", "{{ \"\u00e9\" ~ 'é' }}", "é{{ i }}日本🦙",
    # Whose a name is; what a loop's else and a recursive loop do; marks inside captured blocks
    "{% for x in l %}{% for y in [1] %}{{ i }}{% endfor %}{% set i = x %}{% endfor %}", "{% if t %}{% set i = 1 %}{% endif %}{% for x in [1] %}{{ i }}{% endfor %}", "{% set i %}{{ i }}{% endset %}{{ i }}", "{% for x in [1] %}{{ i }}{% endfor %}{% set i = 3 %}", "{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% set i = 3 %}{{ m() }}",
    "{% for x in [1] %}{{ s }}{% set s = 1 %}{{ s }}{% endfor %}{{ s }}", "{% filter upper %}{{ s }}{% endfilter %}{% set s = 'q' %}", "{% with s = s %}{{ s }}{% endwith %}", "{% for x in l %}{% if x %}{% break %}{% endif %}{% else %}none{% endfor %}", "{% for x in l %}{% continue %}{% else %}none{% endfor %}", "{% for x in l %}{% if loop.last %}{% break %}{% endif %}{% else %}none{% endfor %}",
    "{% filter length %}abc{% endfilter %}", "{% filter first %}{% endfilter %}", "{% macro a() %}{% macro b() %}{{ kwargs }}{% endmacro %}{{ b(x=1) }}{% endmacro %}{{ a(y=2) }}", "{% macro m() %}{{ caller }}{{ caller.name }}{% endmacro %}{% call m() %}{% endcall %}", "{% generation %}{{ varargs }}{{ kwargs }}{% endgeneration %}", "{{ self.x is defined }}{{ self.y }}", "{{ self() }}",
    "{{ dict.fromkeys('ab', 1) }}{{ dict.fromkeys(l) }}", "{{ dict.x }}", "{{ dict(nope) }}", "{{ [] is filter }}", "{{ range(5).count(2) }}{{ range(5).index(3) }}", "{{ (-0.5)|round(0, 'ceil') }}", "{% for k, v in people|groupby('name') %}{{ k }}{{ v|length }}{% endfor %}", "{% for g in people|groupby('nope', default='z') %}{{ g.grouper }}{{ g.list|length }}{{ g }}{% endfor %}",
    "{{ [1, 2, 3, 4, 5]|slice(3)|list }}{{ [1, 2, 3, 4]|slice(3, 0)|list }}", "{{ 'ab'|center(7) }}|{{ 'ab'|center }}", "{{ 'Hello wide world'|truncate(9) }}|{{ 'Hello wide world'|truncate(9, true) }}|{{ 'Hello wide world'|truncate(9, leeway=0, end='~') }}|{{ 'Hello wide world'|truncate(12) }}", "{{ 5|truncate }}", "{{ 'a b/é?&'|urlencode }}",
    "{{ 'Straße ﬁ'.casefold() }}{{ 'a\\tbc\\td'.expandtabs(4) }}{{ 'a\\tb'.expandtabs() }}", "{{ 'Ab Cd'.istitle() }}{{ 'AB'.istitle() }}{{ ''.istitle() }}{{ '²'.isdigit() }}{{ '²'.isdecimal() }}{{ 'é'.isascii() }}{{ ''.isascii() }}{{ 'a\\n'.isprintable() }}",
    "{{ '{:>6}|{:<6}|{:^6}|{:*^7}|{:6}|{:6}'.format('ab', 'ab', 'ab', 'ab', 'ab', 12) }}", "{{ '{:.2f} {:8.3f} {:+d} {:05d} {:x} {:#o} {:,} {:_} {:e} {:%} {:.1%}'.format(1.005, 2, 3, 42, 255, 8, 1234567, 1234567, 12345.678, 0.5, 0.256) }}", "{{ '{:d}'.format(1.5) }}", "{{ '{:s}'.format(1) }}", "{{ '{:.2}|{!r:>6}|{:5}'.format('abc', 'a', true) }}", "{{ '{:5}'.format(none) }}", "{{ '{:,.2f}|{: d}|{:<+7.1f}|'.format(1234567.891, 5, 2.25) }}",
    # Filters and tests that are none: refused at once, but in an `if`
    "{% if no %}{{ s|nonsense }}{% endif %}a", "{% if no %}{{ s is nonsense }}{% elif no %}{{ s|nonsense }}{% else %}b{% endif %}", "{% if t %}{{ s|nonsense }}{% endif %}", "{{ 'a' if t else s|nonsense }}", "{{ (s|nonsense) if no else 'a' }}", "{% for x in [] %}{{ x|nonsense }}{% endfor %}",
    "{% for x in l|nonsense %}{% endfor %}", "{% if no %}{% for x in l|nonsense %}{% endfor %}{% endif %}a", "{% if no %}{% for x in l %}{{ x|nonsense }}{% endfor %}{% endif %}a", "{% if no %}{% for x in l if x is nonsense %}{% endfor %}{% endif %}a", "{% if no %}{% set x = s|nonsense %}{% endif %}a",
    "{% if no %}{% set x %}{{ s|nonsense }}{% endset %}{% endif %}a", "{% if no %}{% set x | nonsense %}{% endset %}{% endif %}a", "{% macro m() %}{{ s|nonsense }}{% endmacro %}a", "{% if no %}{% macro m(a=s|nonsense) %}{% endmacro %}{% endif %}a", "{% if no %}{% with x = s|nonsense %}{% endwith %}{% endif %}a",
    "{% if no %}{% with %}{{ s|nonsense }}{% endwith %}{% endif %}a", "{% if no %}{% filter nonsense %}{% endfilter %}{% endif %}a", "{% if no %}{% call m(s|nonsense) %}{% endcall %}{% endif %}a", "{% if no %}{% call m() %}{{ s|nonsense }}{% endcall %}{% endif %}a", "{% if no %}{% generation %}{{ s|nonsense }}{% endgeneration %}{% endif %}a",
    "{{ true or s|nonsense }}", "{{ false and s|nonsense }}", "{{ t or s|nonsense }}", "{{ (1 and s|nonsense) }}", "{{ [s|nonsense] }}", "{% if no %}{{ [1, {'a': s|nonsense}] }}{% endif %}a", "{% if s|nonsense %}{% endif %}", "{% if no %}{% if s is nonsense %}{% endif %}{% endif %}a",
    # joiner, cycler, and filters that few use
    "{% set j = joiner() %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}{{ j() }}", "{% set j = joiner(sep=' | ') %}{{ j() }}{{ j() }}{{ j(1) }}", "{% set j = joiner(1) %}{{ j() }}{{ j() }}{{ j is callable }}{{ j.x is defined }}", "{{ joiner()() }}{{ joiner(1, 2) }}",
    "{% set c = cycler('a', 'b', 3) %}{% for x in range(5) %}{{ c.next() }}{{ c.current }}{% endfor %}{{ c.reset() }}{{ c.current }}", "{{ cycler() }}", "{{ cycler(a=1) }}", "{% set c = cycler(1) %}{{ c() }}", "{% set c = cycler(1) %}{{ c.nope is defined }}{{ c.next() }}{{ c['current'] }}{{ c.next(1) }}",
    "{{ [0, 1, 2, 999, 1000, 1500, 999999, 10**9, 2.5, '1e10', true, -5, 10**15]|map('filesizeformat')|join(', ') }}", "{{ [1023, 1024, 1536, 2**30]|map('filesizeformat', true)|join(', ') }}|{{ 1e30|filesizeformat }}", "{{ 'x'|filesizeformat }}", "{{ nil|filesizeformat }}", "{{ nope|filesizeformat }}",
    "<a{{ {'a': 1, 'b': none, 'c': '<\"', 'd': nope, 'é': [1]}|xmlattr }}>", "{{ {'a': 1, 'b': 2}|xmlattr(false) }}|{{ {}|xmlattr }}|", "{{ {'a b': 1}|xmlattr }}", "{{ {'a b': 'c d/é', 1: none}|urlencode }}|{{ [('a', '+'), 'xy']|urlencode }}|{{ []|urlencode }}|{{ nope|urlencode }}|{{ 5|urlencode }}", "{{ l|urlencode }}", "{{ [(1, 2, 3)]|urlencode }}", "{{ {'a=': none}|xmlattr }}", "{{ {1: 1}|xmlattr }}", "{{ l|xmlattr }}",
    "{{ '{a}-{b[0]}-{a!r}'.format_map({'a': 'x', 'b': [1]}) }}", "{{ '{}'.format_map({}) }}", "{{ '{q}'.format_map({'a': 1}) }}", "{{ '½Ⅷ四'.isnumeric() }}{{ '１2'.isnumeric() }}{{ 'a'.isnumeric() }}{{ ''.isnumeric() }}{{ '-1'.isnumeric() }}",
    "{% set x = '<a>'|e %}{{ [x, x.upper(), x.split('a')] }}", "{% macro m() %}<{% generation %}a{% endgeneration %}>{% endmacro %}é{{ m() }}{% generation %}b{% endgeneration %}", "{% for x in [1, 2] recursive %}{% generation %}{{ x }}{% endgeneration %}{% endfor %}",
    "{{ [none, none]|sort }}{{ [nope, nope]|sort|length }}{{ people|sort(attribute='nope')|length }}{{ [d, d]|sort == [d, d] }}{{ [{'z': 2}, {'z': 1}]|sort(attribute='y,z') }}", "{{ {'a': none, 'b': none}|dictsort(by='value') }}", "{{ [none, 1]|sort }}",
    # Values and texts laid out
    "{{ {'b': 1, 'a': none, 1: 2.5, none: '', true: [], (1, 2): ()}|pprint }}", "{{ people|pprint }}|{{ d|pprint }}|{{ s|pprint }}|{{ nope|pprint }}|{{ [l]|pprint }}|{{ range(3)|pprint }}", "{{ range(40)|list|pprint }}", "{{ range(30)|map('string')|list|pprint }}",
    "{{ ('one two ' * 20)|pprint }}", "{{ ('x' * 90)|pprint }}|{{ ['x' * 90]|pprint }}|{{ ('x' * 90,)|pprint }}", "{{ {'key': 'line one is long enough\n' * 5, 'it\\'s': 'a  b ' * 30}|pprint }}", "{{ [[('a b' * 40)], {'k': {'k': ('é\t' * 40,)}}]|pprint }}",
    "{{ [('y' * 60)|e, {}, [], ()]|pprint }}", "{{ (people|groupby('name')|list * 3)|pprint }}", "{{ ('a \\n' * 30 ~ 'q' * 80 ~ ' ')|pprint }}", "{{ {'a': {'z' * 70: {'y' * 70: [1, 2]}}}|pprint }}", "{{ {'b': {'d': 1, 'c': 2}, 'a': [{'f': 1, 'e': 2}]}|pprint }}",
    "{% for n in range(66, 76, 2) %}{{ {'k': ['a', 'z' * n]}|pprint }}{{ {'k': {'r': 'z ' * (n // 2 - 1)}}|pprint }}{{ (('a', 'z' * (n + 1)),)|pprint }}{{ ('a ' * (n // 2 + 2))|pprint }}{{ ['a ' * (n // 2 + 2)]|pprint }}{% endfor %}", "{% for n in [57, 58, 59] %}{{ {'k': {'r': ['a', 'z' * n]}}|pprint }}{% endfor %}", "{{ ('l' * 70 ~ '\\n' ~ 'b' * 40 ~ ' ' ~ 'c' * 36)|pprint }}",
    "{% for n in [1, 3, 5, 8, 14] %}{{ 'Look, goof-ball -- use the -b option! a-b-cd-e x-yz ab-c--d'|wordwrap(n) }}/{% endfor %}", "{% for n in [1, 3, 5, 8, 14] %}{{ 'long-hyphenated-words-here and verylongunbrokenword -----'|wordwrap(n, true) }}/{% endfor %}", "{% for n in [1, 3, 5, 8, 14] %}{{ 'long-hyphenated-words-here and verylongunbrokenword a-b-cd'|wordwrap(n, false, '|') }}/{% endfor %}", "{% for n in [1, 3, 5, 8, 14] %}{{ 'one  two\n\n  three\tfour\r\nfive\n'|wordwrap(n, break_on_hyphens=false) }}/{% endfor %}",
    "{% for n in [1, 3, 5, 8, 14] %}{{ ' é-日本-ab \u00a0\u2003 x'|wordwrap(n, break_on_hyphens=1) }}/{% endfor %}", "{{ 'a'|wordwrap(0) }}", "{{ ''|wordwrap(0) }}|{{ 'a b'|wordwrap(3, wrapstring=none) }}", "{{ 5|wordwrap }}", "{{ 'a'|wordwrap('2') }}", "{{ 'a b'|wordwrap(1, true, 5) }}", "{{ ('word ' * 40)|wordwrap }}",
    "{{ '<p>a &amp;  b</p>\n<!-- <x> --> c&lt;d &#65;&#x42; &#x80;&#0;&#1;&#xD800;&#99999999;&#xFFFF;&#x1FFFE;&#xFDD0;&#xFDF0;&not;in &notit; &nosuch; & &#; &#x; <'|striptags }}", "{{ '<!-- open <b>x</b>'|striptags }}|{{ 'a<b<c>d'|striptags }}|{{ '<!--->-->'|striptags }}|{{ ('<i>'|e)|striptags }}|{{ 5|striptags }}|{{ nope|striptags }}", "{{ '&CounterClockwiseContourIntegral;&nGt;&ThickSpace;&AElig&ampx;&fjlig;&Tab;&zwnj;&zz;&'|striptags }}",
    "{{ 'see http://a.example.com/x?y=(1), (www.b.org) <https://c.de>. HTTPS://D.EU:80/ a.com b.example x.mil/q'|urlize }}", "{{ 'mail me@x.org, mailto:me@x.org, @a@b.c a@b a@b.c:1 www.a@b.c'|urlize }}", "{{ 'http://127.0.0.1:8080/ http://1.2.3 http://[::1]/ http://[fe80::1:2] http://[1:2:3:4:5:6:7:8:9] http://[1:2:3:4:5:6:7:8] http://xn--p1ai http://xn--a http://a..b http://localhost:x'|urlize }}",
    "{{ 'https://example.com/a/long/path'|urlize(12, true, '_blank', rel='me noopener') }}", "{{ 'https://example.com/a'|urlize(-3, target='<', rel='\"') }}", "{{ 'tel:1 x:y ftp://h/ tel:'|urlize(extra_schemes=['tel:', 'ftp://', 'x1:']) }}", "{{ 'a'|urlize(extra_schemes=['bad']) }}", "{{ 'a'|urlize(extra_schemes='ab:') }}", "{{ 'www.a.com'|urlize('x') }}", "{{ 'a'|urlize(rel=3) }}", "{{ 5|urlize }}{{ nope|urlize }}{{ ('<http://a.com>'|e)|urlize }}{{ ('(<http://a.com/(b)>).'|safe)|urlize }}", "{{ 'http://a.ſe http://ab.K w\u2003www.x.İnfo é.com éé.org a_b.com'|urlize }}",
    "{% for x in ['a', 'é1', '_', '', '1a', 'a b', '日本', 'á', 'ﹰ', '℘', 'a·', 'class', 'ⅷ', 'a٣', 'ⸯ', 'ﾞ', 'aﾞ'] %}{{ x.isidentifier() }}{% endfor %}",
    "{{ 'abé'.maketrans('ab', 'xé', 'q') }}{{ ''.maketrans({'a': 1, 98: none, 'é': 'zz'}) }}{{ 'x'.maketrans('', '') }}", "{{ 'a'.maketrans('ab', 'c') }}", "{{ 'a'.maketrans({'ab': 1}) }}", "{{ 'a'.maketrans({1.5: 1}) }}", "{{ 'a'.maketrans('a') }}", "{{ 'a'.maketrans('a', 'b', none) }}", "{{ 'a'.maketrans({}, none) }}",
    "{{ 'abcé'.translate('x'.maketrans('ab', 'xé', 'c')) }}|{{ 'ab'.translate({97: 'zz', 98: 0x1F600}) }}|{{ 'ab'.translate({}) }}|{{ ('<a>'|safe).translate({97: '<b>'}) }}|{{ ['<'|e, ('a<'|e).translate({38: 'x'})] }}|{{ 'ab'.translate('x' * 98) }}|{{ 'ab'.translate(range(5, 103)) }}|{{ ''.translate(5) }}", "{{ 'a'.translate(5) }}", "{{ 'a'.translate(nope) }}", "{{ 'a'.translate({97: 1.5}) }}", "{{ 'a'.translate({97: 0x110000}) }}", "{{ 'a'.translate({97: -1}) }}", "{{ 'a'.translate() }}",
]

DATE_FORMATS = ["%d %b %Y", "%B %d, %Y", "%Y-%m-%d %H:%M:%S", "%A %a %j %U %W %w %u", "%-d/%-m/%y %I:%M %p", "%e|%k|%l", "%F %T %R %D", "%c|%x|%X", "%f", "%%|%n|%t|%z|%Z", "%C %h", "%_d %_H", "100%"]
DATES = [0, 1738368000, 1767225599, 1709164801, 951782400, 1735689600]


def render(source, variables):
    try:
        template, blocks, spans = _compile_jinja_template(source), [], []
        with template.environment.activate_tracker(blocks, spans):
            for block in template.generate(**variables):
                blocks.append(block)
        text = "".join(blocks)
    except Exception as e:  # whatever jinja2 or Python raises is what the case expects
        raised = str(e) if type(e) is jinja2.exceptions.TemplateError else None
        return {"error": f"{type(e).__name__}: {e}", **({"raised": raised} if raised else {})}
    if " at 0x" in text:
        return {"error": "prints an address: lorac refuses"}
    marks = [[len(text[:a].encode()), len(text[:b].encode())] for a, b in spans]
    return {"text": text, **({"generation": marks} if marks else {})}


def expressions():
    for line in EXPRESSIONS.strip("\n").replace("\\\n", "\\\0").split("\n"):
        line = line.replace("\\\0", "\\\n")
        for one in line.split(";" if ";" in line else "|"):
            yield "{{ " + one + " }}"


def main():
    fields = gguf.GGUFReader(sys.argv[1]).fields
    templates = [fields["tokenizer.chat_template"].contents(), HEADERS, TURNS, THOUGHTS, ALTERNATING, MACROS, PARTS]
    variables, cases = [VALUES], []
    for messages, options in itertools.product(CONVERSATIONS.values(), OPTIONS):
        variables.append({"messages": messages, **options, **COMMON})
        for number, source in enumerate(templates):
            cases.append({"template": number, "variables": len(variables) - 1, **render(source, variables[-1])})
    for source in itertools.chain(expressions(), STATEMENTS):
        cases.append({"template": source, "variables": 0, **render(source, VALUES)})
    dates = [{"utc": utc, "format": f, "text": datetime.datetime.utcfromtimestamp(utc).replace(microsecond=1234).strftime(f)}
             for utc in DATES for f in DATE_FORMATS]
    os.makedirs(os.path.dirname(OUT), exist_ok=True)
    with open(OUT, "w") as f:
        head = {"made_by": "tools/golden_templates.py", "transformers": transformers.__version__, "jinja2": jinja2.__version__,
                "default_model": os.path.basename(sys.argv[1])}
        lists = {"templates": templates, "variables": variables, "cases": cases, "dates": dates}
        f.write(json.dumps(head)[:-1])
        for name, items in lists.items():
            f.write(f',\n"{name}": [\n' + ",\n".join(json.dumps(i) for i in items) + "\n]")
        f.write("}\n")
    print(len(cases), "cases,", sum("error" in c for c in cases), "errors,", os.path.getsize(OUT), "bytes")


main()
