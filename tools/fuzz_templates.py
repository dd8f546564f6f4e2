#!/usr/bin/env python3
"""Random templates, derived from Jinja's grammar, over random variables: jinja2 in transformers' environment against
lorac, in text, generation marks and failure.

usage: fuzz_templates.py RENDER_TEMPLATES [--count 5000] [--seed 0] [--show 5]
RENDER_TEMPLATES is the program of that name in the build folder. A template that lorac refuses as one beyond its
documented limits (integers of 64 bits and the like) is counted apart. Exit status 0 when all others agree."""
import argparse
import random
import re
import sys

from template_peer import Lorac, reference

UNSUPPORTED = 5  # LORAC_UNSUPPORTED is found by its status, not by its words
STRINGS = ["", "a", "abc", "Hello World", " x ", "a,b,,c", "é", "İß", "ﬁn", "日本語", "👩‍👩‍👧", "\n", "a\nb\r\nc", "\t x\n", "<b>&\"'", "{{ x }}", "%s", "12", "-3", "0x1f", "3.50", "1e3",
           "nan", "True", "key", "role", "user", "\u00a0y\u2003", "aXbXc", "it's", 'say "hi"', "back\\slash", "\x07\x7f", "ALL CAPS", "camelCase", "a-b c_d", "²", "\u0301e", "<p>a &lt; b</p> <!-- c --> &#65;&notin", "see (http://a.com/x?y), www.b.org or me@b.org.", "a well-known, long-ish sentence -- with foo-bar-baz words"]
WORDS = ["a", "b", "key", "role", "user", "content", "x"]


class Fuzz:
    def __init__(self, r):
        self.r = r
        self.macros, self.loops, self.spaces = [], 0, []

    def pick(self, *options): return self.r.choice(options)
    def chance(self, p): return self.r.random() < p

    # ---- variables ---------------------------------------------------------------------------

    def value(self, depth=0):
        r = self.r
        kind = r.randrange(9 if depth < 3 else 6)
        if kind == 0: return r.choice([None, True, False])
        if kind == 1: return r.choice([0, 1, -1, 2, 3, 7, 10, 100, -12, 2**31, 2**53 + 1])
        if kind == 2: return r.choice([0.0, -0.0, 0.1, 1.5, -2.5, 1e16, 1e-5, 123456789.125, 1e300, 2.0, 3.14159])
        if kind < 6: return r.choice(STRINGS)
        if kind == 6: return {r.choice(WORDS + STRINGS[:4]): self.value(depth + 1) for _ in range(r.randrange(4))}
        if kind == 7: return [self.value(depth + 1) for _ in range(r.randrange(5))]
        like = r.randrange(3)
        return [r.choice(STRINGS) if like == 0 else r.randrange(-5, 20) if like == 1 else {"role": r.choice(WORDS), "x": r.randrange(9), "content": r.choice(STRINGS)}
                for _ in range(r.randrange(5))]

    def variables(self):
        return {"s": self.r.choice(STRINGS), "t": self.r.choice(STRINGS), "i": self.r.randrange(-9, 30), "f": self.r.choice([0.5, -1.25, 2.0, 1e22, 0.1]), "b": self.chance(0.5), "n": None,
                "l": [self.value(1) for _ in range(self.r.randrange(5))], "ints": [self.r.randrange(-9, 9) for _ in range(self.r.randrange(6))],
                "strs": [self.r.choice(STRINGS) for _ in range(self.r.randrange(5))], "d": {w: self.value(1) for w in self.r.sample(WORDS, self.r.randrange(5))}, "v": self.value(), "m": {"role": "tool", "content": self.r.choice(STRINGS)},
                **({w: self.r.choice(STRINGS) for w in "xyk"} if self.chance(0.8) else {}), "pairs": [["a", self.value(1)], [self.r.choice(STRINGS), 2]],
                "msgs": [{"role": self.pick("user", "system", "assistant"), "content": self.r.choice(STRINGS), **({"x": self.r.randrange(5)} if self.chance(0.5) else {})}
                         for _ in range(self.r.randrange(4))]}

    # ---- expressions -------------------------------------------------------------------------

    def quoted(self, s):
        q = self.pick("'", '"')
        out = ""
        for c in s:
            if c == q or c == "\\": out += "\\" + c
            elif c in "\n\r\t\x07": out += {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x07": "\\x07"}[c]
            elif ord(c) > 126 and self.chance(0.2): out += "\\u%04x" % ord(c) if ord(c) < 0x10000 else "\\U%08x" % ord(c)
            else: out += c
        return q + out + q

    def literal_str(self): return self.quoted(self.r.choice(STRINGS))
    def literal_int(self): return str(self.pick(0, 1, 2, 3, 4, 7, 10, 12, 255, "0x1F", "0b101", "0o17", "1_000"))

    def any(self, d):
        if self.chance(0.06): return self.odd(d)
        return self.pick(self.str, self.str, self.int, self.float, self.bool, self.list, self.dict)(d)

    def args(self, d, low, high):
        return ", ".join(self.any(d) for _ in range(self.r.randint(low, high)))

    def str(self, d):
        r = self.r
        if d <= 0: return self.pick("s", "t", "'abc'", "m.role", "m.content", "x" if self.chance(0.3) else "s", "strs[0]" if self.chance(0.1) else "t", self.literal_str(), self.literal_str())
        k = r.randrange(20)
        e = self.str
        if k == 0: return f"{e(d-1)} ~ {self.any(d-1)}"
        if k == 1: return f"{e(d-1)} + {e(d-1)}"
        if k == 2: return f"({e(d-1)} * {self.int(d-1)})" if self.chance(0.5) else f"({e(d-1)} * {self.pick(0, 1, 2, 3, -1)})"
        if k == 3: return f"({e(d-1)})[{self.int(0)}]"
        if k == 4: return f"({e(d-1)})[{self.slice()}]"
        if k < 9:
            return f"({e(d-1)})." + self.pick("upper()", "lower()", "title()", "capitalize()", "swapcase()", "strip()", "lstrip()", "rstrip()", f"strip({self.literal_str()})", f"lstrip({self.literal_str()})",
                f"rstrip({self.literal_str()})", f"replace({self.literal_str()}, {self.literal_str()})", f"replace({self.literal_str()}, {self.literal_str()}, {self.pick(-1, 0, 1, 2)})", f"removeprefix({self.literal_str()})",
                f"removesuffix({self.literal_str()})", f"center({self.pick(0, 3, 8, 9)})", f"ljust({self.pick(2, 7)}, 'é')", f"rjust({self.pick(2, 7)})", f"zfill({self.pick(0, 2, 6)})", f"join({self.pick('strs', 'd', 's')})",
                "casefold()", "expandtabs(4)", f"translate(s.maketrans({self.literal_str()}, {self.literal_str()}))", f"translate({self.dict(0)})", f"translate({{97: {self.any(0)}, 32: none}})", f"translate(s.maketrans('abe', 'xé ', {self.literal_str()}))")
        if k < 14:
            return f"({self.any(d-1)}) | " + self.pick("string", "upper", "lower", "title", "capitalize", "trim", f"trim({self.literal_str()})", f"replace({self.literal_str()}, {self.literal_str()})", "tojson", f"tojson(indent={self.pick(0, 2, 'none')})",
                "tojson(ensure_ascii=true)", "tojson(separators=(',', ':'))", "tojson(sort_keys=true)", "escape", "e", "safe", "safe | string", "indent", f"indent({self.pick(2, 0)}, {self.pick('true', 'false')}, blank={self.pick('true', 'false')})", "default('z')",
                "default('z', true)", "d(" + self.literal_str() + ", boolean=true)", "wordcount | string", "forceescape", "join", f"join({self.literal_str()})", "first", "last", "center", f"center({self.pick(5, 12)})", "filesizeformat", "filesizeformat(true)", "xmlattr", "nonsense" if self.chance(0.2) else "string",
                f"truncate({self.pick(4, 8, 20)})", f"truncate({self.pick(4, 8)}, true)", "urlencode", "reverse | join('.')", "list | join(',')",
                "pprint", "pprint", "striptags", f"wordwrap({self.pick(1, 4, 9, 20, self.int(0))})", f"wordwrap(8, {self.pick('true', 'false')}, {self.literal_str()}, {self.pick('true', 'false')})", "urlize", f"urlize({self.pick(4, 12, 'none')}, {self.pick('true', 'false')}, {self.literal_str()}, rel={self.literal_str()})")
        if k == 14: return f"({e(d-1)} if {self.bool(d-1)} else {e(d-1)})"
        if k == 15:
            one = lambda: self.pick("%s", "%r", "%5s", "%-4s|", "%.2s") + "\0" + self.any(d-1) if self.chance(0.5) else self.pick("%d", "%5d", "%-5d|", "%x", "%X", "%o", "%i", "%+d", "% d", "%05d", "%#x") + "\0" + self.int(d-1) if self.chance(0.5) else self.pick("%f", "%.2f", "%e", "%g", "%8.3f", "%G") + "\0" + self.float(d-1)
            parts = [one().split("\0") for _ in range(self.r.randint(1, 3))]
            form, given = self.quoted(self.pick(" ", "", "%%").join(x for x, _ in parts)), ", ".join(y for _, y in parts)
            return f"({form} % ({given},))" if self.chance(0.6) else f"({form} | format({given}))"
        if k == 16: return f"({self.dict(d-1)}).get({self.literal_str()}, {e(d-1)})"
        if k == 17 and self.macros: return f"{self.r.choice(self.macros)}({self.args(d-1, 0, 2)})"
        if k == 18: return self.quoted(self.pick("{}", "{0}{0}", "{}-{}", "{!r}", "{x}", "{{}}", "{1}{0}", "{!s}", "{:5}|", "{:>6}", "{:^7}|", "{:*<5}")) + f".format({self.pick('s', self.str(d-1))}, {self.any(d-1)}, x=1)"
        return self.pick("namespace(a=1).a", "dict(a='x').a", "'a' 'b'", "loop.cycle('p', 'q')" if self.loops else "'c'", "'d'", "(msgs | map(attribute='role') | join)")

    def slice(self):
        n = lambda: self.pick("", "", "0", "1", "2", "-1", "-2", "5", "i", "-9")
        return n() + ":" + n() + self.pick("", ":" + self.pick("", "1", "2", "-1", "-2", "3"))

    def int(self, d):
        if d <= 0: return self.pick("i", self.literal_int(), self.literal_int(), "-1", "loop.index" if self.loops else "2", "l | length", "ints[0]")
        a, b = self.int, self.int
        return self.pick(lambda: f"({a(d-1)} {self.pick('+', '-', '*', '//', '%')} {b(d-1)})", lambda: f"{a(d-1)} {self.pick('+', '-', '*', '//', '%', '**')} {self.pick(0, 1, 2, 3)}", lambda: f"({self.pick(self.str, self.list, self.dict)(d-1)}) | length", lambda: f"-{a(d-1)}", lambda: f"+{a(d-1)}",
            lambda: f"({self.any(d-1)}) | int", lambda: f"({self.any(d-1)}) | int({self.pick(7, -1)}, {self.pick(10, 16, 2)})", lambda: f"({self.str(d-1)}).{self.pick('find', 'rfind', 'count') if self.chance(0.9) else self.pick('index', 'rindex')}({self.literal_str()}{self.pick('', ', 1', ', -2', ', 0, 2')})",
            lambda: f"({self.pick('ints', '[3, 1]', self.list(d-1))}) | {self.pick('sum', 'min', 'max', 'first', 'last', 'count')}", lambda: f"({self.list(d-1)}).count({self.any(d-1)})", lambda: f"({a(d-1)}) | abs", lambda: f"(s | wordcount)",
            lambda: f"loop.{self.pick('index', 'index0', 'revindex', 'revindex0', 'length', 'depth', 'depth0')}" if self.loops else "3")()

    def float(self, d):
        if d <= 0: return self.pick("f", "1.5", "0.1", "2.0", "1e3", "1.25e-2", "1_0.5")
        return self.pick(lambda: f"({self.any(d-1)}) | float", lambda: f"({self.float(d-1)} {self.pick('+', '-', '*', '/', '//', '%')} {self.pick(self.int, self.float)(d-1)})", lambda: f"{self.int(d-1)} / {self.int(d-1)}", lambda: f"({self.float(d-1)}) | round",
            lambda: f"({self.float(d-1)}) | round({self.pick(0, 1, 2, 3, -1)}{self.pick('', chr(44) + ' ' + chr(39) + 'ceil' + chr(39), chr(44) + ' ' + chr(39) + 'floor' + chr(39))})", lambda: f"-{self.float(d-1)}", lambda: f"({self.float(d-1)}) ** {self.pick(0, 1, 2, -1)}", lambda: f"({self.float(d-1)}) | abs")()

    def bool(self, d):
        if d <= 0: return self.pick("b", "true", "false", "True", "False", "n is none", "x is defined", "not b", "loop.first" if self.loops else "b", "loop.last" if self.loops else "true")
        test = lambda: self.pick("defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string", "mapping", "iterable", "sequence", "callable", "odd", "even", "divisibleby 3", "divisibleby(2)", "lower", "upper",
                                 f"eq({self.any(0)})", f"equalto {self.pick('1', 's', chr(39) + 'a' + chr(39))}", f"in {self.pick('l', '[1, 2]', 'd', 's')}", f"sameas {self.pick('none', 'true', 'l', 'd', '1')}", f"gt {self.pick('1', '2')}", "escaped", "filter", "test", f"ne(2)", "lt(3)", "ge(1.0)", "le(i)", "nonsense" if self.chance(0.2) else "defined")
        return self.pick(lambda: f"{self.any(d-1)} {self.pick('==', '!=')} {self.any(d-1)}", lambda: f"{self.int(d-1)} {self.pick('<', '<=', '>', '>=')} {self.pick(self.int, self.float)(d-1)}", lambda: f"{self.str(d-1)} {self.pick('<', '<=', '>', '>=')} {self.str(d-1)}",
            lambda: f"({self.any(d-1)}) is {self.pick('', 'not ')}{test()}", lambda: f"({self.any(d-1)}) is {self.pick('', 'not ')}{test()}", lambda: f"{self.any(d-1)} {self.pick('in', 'not in')} {self.pick(self.list, self.str, self.dict)(d-1)}", lambda: f"({self.bool(d-1)} {self.pick('and', 'or')} {self.any(d-1)})",
            lambda: f"not {self.any(d-1)}", lambda: f"{self.int(d-1)} < {self.int(d-1)} < {self.int(d-1)}", lambda: f"({self.str(d-1)}).{self.pick('startswith', 'endswith')}({self.pick(self.literal_str(), '(' + self.literal_str() + ', ' + self.literal_str() + ')')})",
            lambda: f"({self.str(d-1)}).{self.pick('isdigit', 'isalpha', 'isalnum', 'isspace', 'isupper', 'islower', 'istitle', 'isdecimal', 'isascii', 'isprintable', 'isnumeric', 'isidentifier')}()")()

    def list(self, d):
        if d <= 0: return self.pick("l", "ints", "strs", "msgs", "[1, 2, 3]", "['a', 'B', 'c']", "[]", "range(3)", "(1, 'x')", "[3, 1, 2]")
        attribute = lambda: self.pick("'role'", "'role'", "'content'", "'x'" if self.chance(0.2) else "'content'", "'a.b'" if self.chance(0.1) else "'role'", "0" if self.chance(0.1) else "'role,content'")
        return self.pick(lambda: f"[{self.args(d-1, 0, 3)}]", lambda: f"({self.args(d-1, 1, 2)},)", lambda: f"({self.list(d-1)} + {self.list(d-1)})", lambda: f"({self.list(d-1)})[{self.slice()}]", lambda: f"({self.str(d-1)}).{self.pick('split', 'rsplit')}({self.pick('', self.literal_str(), self.literal_str() + ', 1', 'none, 1', 'maxsplit=1')})",
            lambda: f"({self.str(d-1)}).splitlines({self.pick('', 'true')})", lambda: f"({self.str(d-1)}).{self.pick('partition', 'rpartition')}({self.literal_str()})", lambda: f"range({self.pick('3', '1, 4', '5, 0, -2', 'i', '0')})", lambda: f"({self.any(d-1)}) | list",
            lambda: f"({self.list(d-1)}) | " + self.pick("sort", "sort(reverse=true)", "sort(case_sensitive=true)", f"map('string') | sort", "unique | list", f"unique(attribute={attribute()}) | list", "reverse | list", f"batch({self.pick(1, 2, 3)}) | list", f"batch(2, {self.any(0)}) | list", f"slice({self.pick(1, 2, 3)}) | list",
                f"map({self.pick(chr(39) + 'upper' + chr(39), chr(39) + 'string' + chr(39), chr(39) + 'int' + chr(39), chr(39) + 'length' + chr(39), chr(39) + 'trim' + chr(39) + ', ' + chr(39) + 'a' + chr(39), chr(39) + 'default' + chr(39) + ', 1')}) | list", f"map(attribute={attribute()}) | list", f"map(attribute={attribute()}, default={self.any(0)}) | list",
                f"{self.pick('select', 'reject')}({self.pick('', chr(39) + 'string' + chr(39), chr(39) + 'odd' + chr(39), chr(39) + 'in' + chr(39) + ', [1, 2]', chr(39) + 'equalto' + chr(39) + ', 1')}) | list", f"{self.pick('selectattr', 'rejectattr')}({attribute()}{self.pick('', ', ' + chr(39) + 'equalto' + chr(39) + ', ' + chr(39) + 'user' + chr(39), ', ' + chr(39) + 'defined' + chr(39))}) | list",
                f"groupby({attribute()}) | list", f"groupby({attribute()}, default='z') | list", "list", "dictsort", "items | list", "sum(start=[])"),
            lambda: "msgs | " + self.pick(f"sort(attribute={attribute()})", f"map(attribute={attribute()}) | list", f"groupby({attribute()}) | list", f"groupby({attribute()}, default='z') | map('first') | list", f"groupby({attribute()}) | map(attribute='list') | list", f"selectattr({attribute()}) | list",
                f"selectattr({attribute()}, 'equalto', 'user') | list", f"rejectattr({attribute()}, 'in', ['user', 'tool']) | map(attribute='content') | list", f"unique(attribute={attribute()}) | list"),
            lambda: f"({self.dict(d-1)}).{self.pick('keys', 'values', 'items')}() | list", lambda: f"({self.dict(d-1)}) | {self.pick('items | list', 'dictsort', 'dictsort(by=' + chr(39) + 'value' + chr(39) + ')', 'dictsort(true)', 'dictsort(reverse=true)', 'list')}", lambda: f"{self.list(d-1)} * {self.pick(0, 1, 2)}", lambda: f"({self.list(d-1)}).copy()")()

    def dict(self, d):
        if d <= 0: return self.pick("d", "{}", "{'a': 1}", "{'b': [1], 'a': none}", "m", "dict(x=1, y='z')", "msgs[0]", "{1: 2, 'k': 1.0}")
        pair = lambda: f"{self.pick(self.literal_str(), self.int(0), self.str(0))}: {self.any(d-1)}"
        return self.pick(lambda: "{" + ", ".join(pair() for _ in range(self.r.randrange(4))) + "}", lambda: f"dict({self.dict(d-1)}, {self.pick('a', 'q')}={self.any(d-1)})", lambda: f"dict({self.pick('pairs', '[(1, 2)]', 'd', 'd.items()', 'd | dictsort', '(' + self.str(0) + ',)')})", lambda: f"({self.dict(d-1)}).copy()", lambda: f"dict(({self.dict(d-1)}).items())",
                         lambda: f"dict.fromkeys({self.list(d-1)}, {self.any(d-1)})" if self.chance(0.3) else "{'r': 1}")()

    def odd(self, d):
        r = self.pick("n", "v", "nope", "v.a", "v[0]", "d.key", "d['x']", "l[0]", "l[-1]", "nope.x", "none", "m", "loop", "caller", "v.items()", "d.get('a')", "d.items", "s.upper", "namespace", "ns.a", "ns", "l.append(1)", "d.update({})", "s.nope", "l.0", "self.x", "d | attr('a')", "v | items | list",
                      "().x", "msgs | map(attribute='role')", "l | select", "range", "varargs", "kwargs", "j()", "j()", "c.next()", "c.current", "c.reset()", "c.x", "joiner('-')()", "('{a}').format_map(d)", "loop.previtem", "loop.nextitem", "loop.changed(i)", "namespace(a=1)", "l | first", "d.keys()", "d.values()", "v is mapping and v.a", "v.x.y", "v['a']['b']", "(v if b)", "(v if b).x")
        return r if d <= 0 or self.chance(0.5) else f"({r}){self.pick('.a', '[0]', '[' + self.str(0) + ']', '.role', '[' + self.slice() + ']', '', '.items()', '.0')}"

    # ---- statements --------------------------------------------------------------------------

    def open(self): return self.pick("{%", "{%", "{%-", "{%-", "{%+")
    def close(self): return self.pick("%}", "%}", "-%}", "-%}", "+%}")

    def data(self):
        return self.pick("", "", " ", "\n", "text", "  \n", "\n  ", " a\n", "\n\n", "\tx ", "é ", "{ }", "% }", "# line\n", "<b>", "{# note #}", "{#- note -#}", "\n  {# c #}\n", "\r\n", "{% raw %}{{ x }}{% endraw %}", "{%- raw -%} {% y %} {%- endraw -%}", "\u00a0")

    def tag(self, inside): return f"{self.open()} {inside} {self.close()}"

    def print(self, d): return self.pick("{{", "{{", "{{-", "{{+" if self.chance(0.2) else "{{") + " " + self.any(d) + " " + self.pick("}}", "}}", "-}}")

    def body(self, depth):
        return "".join(self.data() + self.statement(depth - 1) for _ in range(self.r.randint(1, 2))) + self.data()

    def assignment(self, d):
        if self.chance(0.15): return self.pick("x, y", "(x, y)", "ns.a, y", "ns.a, ns.b") + " = " + self.pick(f"{self.any(d)}, {self.any(d)}", "pairs[0]", "[1, 2]", "'ab'", self.any(d))
        target, kind = self.pick(("x", self.any), ("y", self.any), ("s", self.str), ("i", self.int), ("ns.a", self.any), ("ns.b", self.str), ("l", self.list), ("d", self.dict))
        return f"{target} = {kind(d)}"

    def statement(self, depth):
        d, k = self.pick(1, 1, 2, 2, 3), self.r.randrange(26)
        if depth <= 0 or k < 9: return self.print(d)
        if k < 12: return self.tag(f"set {self.assignment(d)}")
        if k == 12: return self.tag("set x" + self.pick("", " | upper", " | trim | length", " | replace('a', 'b')")) + self.body(depth) + self.tag("endset")
        if k < 16:
            s = self.tag(f"if {self.pick(self.bool, self.any)(d)}") + self.body(depth)
            if self.chance(0.3): s += self.tag(f"elif {self.bool(d)}") + self.body(depth)
            if self.chance(0.5): s += self.tag("else") + self.body(depth)
            return s + self.tag("endif")
        if k < 20:
            names, over = self.pick(("m", "msgs"), ("x", self.list(d)), ("x", self.pick(self.str, self.dict, self.any)(d)), ("k, y", f"({self.dict(d)}).items()"), ("x", "ints"), ("k, y", f"({self.dict(d)}) | {self.pick('items', 'dictsort')}"), ("x, y", self.pick("pairs", "d | dictsort", "msgs", "[(1, 2)]", self.list(d))))
            condition = f" if {self.bool(1)}" if self.chance(0.25) else ""
            recursive = " recursive" if self.chance(0.1) else ""
            self.loops += 1
            s = self.tag(f"for {names} in {over}{condition}{recursive}") + self.body(depth)
            if recursive: s += "{% if loop.depth < 3 %}{{ loop(" + self.pick("x", "[1]", "x.content") + ") }}{% endif %}"
            if self.chance(0.2): s += self.tag("if " + self.bool(1)) + self.tag(self.pick("break", "continue")) + self.tag("endif") + self.data()
            self.loops -= 1
            if self.chance(0.2): s += self.tag("else") + self.body(depth)
            return s + self.tag("endfor")
        if k < 22:
            name = self.pick("f", "g", "h")
            known, loops = list(self.macros), self.loops
            self.loops = 0
            body = self.body(depth) + self.pick("", "", "{{ caller() }}", "{{ varargs }}", "{{ kwargs }}", "{{ p }}{{ q }}", "{{ caller(p) if caller else '' }}")
            self.macros, self.loops = known + [name], loops
            s = self.tag(f"macro {name}({self.pick('', 'p', 'p, q=2', 'p=[], q=' + self.any(1), 'p, q=p', 'p, q=p', 'p, q')})") + body + self.tag("endmacro")
            return s + self.pick("", "{{ " + name + "(" + self.pick("", "1", "1, 2", "q=3", "p='a'", "1, 2, 3" if self.chance(0.3) else "2", "*ints[:2]", "**{'p': 1}", "1, z=2" if self.chance(0.2) else "s", "p=1, q=2") + ") }}")
        if k == 22 and self.macros: return self.tag(f"call{self.pick('', '(z)')} {self.r.choice(self.macros)}({self.args(1, 0, 2)})") + self.body(depth) + self.tag("endcall")
        if k == 23: return self.tag(f"filter {self.pick('upper', 'trim', 'replace(' + chr(39) + 'a' + chr(39) + ', s)', 'indent(2)', 'length', 'title | trim', 'tojson')}") + self.body(depth) + self.tag("endfilter")
        if k == 24: return self.tag(f"with {self.pick('', 'x = ' + self.any(d), 'x = 1, y = x', 'x, y = ' + self.list(d))}") + self.body(depth) + self.tag("endwith")
        return "{%" + self.pick("", "-") + " generation " + self.pick("", "-") + "%}" + self.body(depth) + "{%" + self.pick("", "-") + " endgeneration " + self.pick("", "-") + "%}"

    def template(self):
        head = self.pick("", "{% set ns = namespace(a=[]) %}", *["{% set ns = namespace(a=1, b='x') %}"] * 6)
        source = head + "".join(self.data() + self.statement(3) for _ in range(self.r.randint(1, 2))) + self.data()
        if self.chance(0.02): # breaks the syntax
            at = self.r.randrange(len(source) + 1)
            source = source[:at] + self.pick("{%", "%}", "{{", "}}", "'", "(", ")", "|", ".", " is ", " if ", "{#", "=", ",", "~", "not ") + source[at + self.r.randrange(3):]
        return self.pick("", "{% set j = joiner() %}{% set c = cycler(1, 's', t) %}") + source


def is_beyond(text):
    """Output that no two runs of the reference share, or values that lorac does not have."""
    return text is not None and re.search(r" at 0x|<(class|built-in|bound|function)|\ud800", text)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("program")
    arguments.add_argument("--count", type=int, default=5000)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--show", type=int, default=5)
    a = arguments.parse_args()
    lorac, counts, reasons = Lorac(a.program), {"text": 0, "failure": 0, "refused": 0, "skipped": 0, "differ": 0}, {}
    for number in range(a.count):
        fuzz = Fuzz(random.Random(f"{a.seed} {number}"))
        source, variables = fuzz.template(), fuzz.variables()
        expected = reference(source, variables)
        found = lorac.render(source, variables)
        if is_beyond(expected[0]): kind = "skipped"
        elif expected[:2] == found[:2]: kind = "text" if expected[2] is None else "failure"
        elif found[2] and lorac.status == UNSUPPORTED: kind = "refused"
        else: kind = "differ"
        counts[kind] += 1
        if kind == "refused":
            reason = re.sub(r"^.*?line \d+: ", "", found[2])
            reasons[reason] = reasons.get(reason, 0) + 1
        if kind == "differ" and counts[kind] <= a.show:
            print(f"--- {a.seed} {number}\n{source!r}\n  {variables}\n  reference {expected}\n  lorac     {found}")
    for reason, times in sorted(reasons.items(), key=lambda item: -item[1])[:30]:
        print(f"refused {times} times: {reason}")
    print(f"{a.count} templates, seed {a.seed}: {counts['text']} equal texts, {counts['failure']} equal failures, {counts['refused']} beyond lorac's limits, "
          f"{counts['skipped']} without a fixed answer, {counts['differ']} differ")
    return 1 if lorac.close() or counts["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
