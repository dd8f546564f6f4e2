"""What judge_templates.py and fuzz_templates.py share: rendering by jinja2 in transformers' environment, and by lorac's
render_templates program."""
import datetime
import json
import os
import subprocess

from transformers.utils.chat_template_utils import _alias_reasoning_fields, _compile_jinja_template, _normalize_chat_messages

EPOCH = 1738368000  # 1 February 2025: the day that both sides take for today


def today(form):
    return datetime.datetime.fromtimestamp(EPOCH, datetime.timezone.utc).replace(tzinfo=None).strftime(form)


def chat_variables(chat):
    """A chat as apply_chat_template hands it to the template."""
    messages = _alias_reasoning_fields(_normalize_chat_messages(chat["messages"]))
    return {"tools": None, "documents": None, "add_generation_prompt": False, **chat, "messages": messages}


def reference(source, variables):
    """(text, generation spans in bytes, None), or (None, None, the error)."""
    try:
        template = _compile_jinja_template(source)
        template.globals["strftime_now"] = today
        blocks, spans = [], []
        with template.environment.activate_tracker(blocks, spans):
            for block in template.generate(**variables):
                blocks.append(block)
        text = "".join(blocks)
        text.encode()
    except Exception as e:  # whatever jinja2 or Python raises
        return None, None, f"{type(e).__name__}: {e}"
    return text, [[len(text[:a].encode()), len(text[:b].encode())] for a, b in spans], None


class Lorac:
    """A running render_templates. No answer within its own limits is impossible; a crash is an exception here."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)})

    def render(self, source, variables):
        self.process.stdin.write(json.dumps({"template": source, "variables": variables}).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"render_templates died (status {self.process.wait()})")
        answer = json.loads(line)
        self.status = answer.get("status", 0)
        return answer.get("text"), answer.get("generation"), answer.get("error")

    def close(self):
        self.process.stdin.close()
        return self.process.wait()
