/* template_print.c — values as text: Python's str(), repr() and json.dumps(). */
#include "text/template_impl.h"

#include <math.h>
#include <string.h>

static bool print_inside(struct render *r, struct text *t, struct value v, bool quoted);

bool too_deep(struct render *r)
{
    return r->depth >= EVAL_DEPTH + VALUE_DEPTH &&
           !host_fail(&r->host, LORAC_UNSUPPORTED, "a value nests too deep to be printed");
}

/* ---- repr -------------------------------------------------------------------------------- */

static void print_code(struct text *t, struct str s, size_t from, size_t to, uint32_t c, char quote)
{
    static const char escaped[] = "\\\\\nn\rr\tt";
    for (const char *e = escaped; *e; e += 2)
        if ((uint32_t)*e == c) return text_printf(t, "\\%c", e[1]);
    if (c == (uint32_t)quote)
        text_printf(t, "\\%c", quote);
    else if (is_printable(c))
        text_add(t, s.at + from, to - from);
    else
        text_printf(t, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
}

/* In single quotes, unless it holds some and no double ones. */
static void print_quoted(struct text *t, struct str s)
{
    bool single = s.length && memchr(s.at, '\'', s.length), twice = s.length && memchr(s.at, '"', s.length);
    char quote = single && !twice ? '"' : '\'';
    text_add(t, &quote, 1);
    for (size_t at = 0, from = 0; at < s.length; from = at) {
        uint32_t c = str_next(s, &at);
        print_code(t, s, from, at, c, quote);
    }
    text_add(t, &quote, 1);
}

static void print_float(struct text *t, double value)
{
    if (isnan(value))
        text_puts(t, "nan");
    else if (isinf(value))
        text_puts(t, value > 0 ? "inf" : "-inf");
    else
        json_print_number(t, value);
}

static bool print_items(struct render *r, struct text *t, const struct items *items, const char *open,
                        const char *close)
{
    text_puts(t, open);
    for (size_t i = 0; i < items->count; i++) {
        if (i) text_puts(t, ", ");
        if (!print_inside(r, t, items->at[i], true)) return false;
    }
    text_puts(t, close);
    return true;
}

static bool print_dict(struct render *r, struct text *t, const struct dict *d)
{
    text_puts(t, "{");
    for (size_t i = 0; i < d->count; i++) {
        if (i) text_puts(t, ", ");
        if (!print_inside(r, t, d->at[i].key, true)) return false;
        text_puts(t, ": ");
        if (!print_inside(r, t, d->at[i].value, true)) return false;
    }
    text_puts(t, "}");
    return true;
}

static bool print_view(struct render *r, struct text *t, const struct items *items)
{
    text_puts(t, items->type);
    return print_items(r, t, items, "([", "])");
}

static bool print_namespace(struct render *r, struct text *t, const struct dict *d)
{
    text_puts(t, "<Namespace ");
    bool ok = print_dict(r, t, d);
    text_puts(t, ">");
    return ok;
}

static void print_range(struct text *t, const struct range *range)
{
    text_printf(t, "range(%lld, %lld", (long long)range->start, (long long)range->stop);
    if (range->step != 1) text_printf(t, ", %lld", (long long)range->step);
    text_puts(t, ")");
}

static void print_macro(struct text *t, struct str name)
{
    text_puts(t, "<Macro ");
    name.length ? print_quoted(t, name) : text_puts(t, "anonymous"); /* what a call block hands over */
    text_puts(t, ">");
}

static bool print_value(struct render *r, struct text *t, struct value v, bool quoted)
{
    switch (v.kind) {
    case V_ABSENT:
    case V_UNDEFINED:
        return text_puts(t, quoted ? "Undefined" : ""), true;
    case V_NONE:
        return text_puts(t, "None"), true;
    case V_BOOL:
        return text_puts(t, v.boolean ? "True" : "False"), true;
    case V_INT:
        return text_printf(t, "%lld", (long long)v.integer), true;
    case V_FLOAT:
        return print_float(t, v.real), true;
    case V_STR:
        if (quoted && v.safe) text_puts(t, "Markup(");
        if (quoted)
            print_quoted(t, v.text);
        else
            text_add(t, v.text.at, v.text.length);
        if (quoted && v.safe) text_puts(t, ")");
        return true;
    case V_LIST:
        return print_items(r, t, v.items, "[", "]");
    case V_TUPLE:
        return print_items(r, t, v.items, "(", v.items->count == 1 ? ",)" : ")");
    case V_VIEW:
        return print_view(r, t, v.items);
    case V_RANGE:
        return print_range(t, v.range), true;
    case V_DICT:
        return print_dict(r, t, v.dict);
    case V_NAMESPACE:
        return print_namespace(r, t, v.dict);
    case V_LOOP:
        return text_printf(t, "<LoopContext %zu/%zu>", v.loop->index + 1, v.loop->items->count), true;
    case V_MACRO:
        return print_macro(t, v.macro->node->text), true;
    default:
        return host_fail(&r->host, LORAC_UNSUPPORTED,
                         "a %s cannot be printed (is a call's '()' or a '| list' missing?)", type_name(v));
    }
}

static bool print_inside(struct render *r, struct text *t, struct value v, bool quoted)
{
    if (!work(r, 1) || too_deep(r)) return false;
    if (t->length > OUTPUT_LIMIT)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "a text exceeds %zu MiB", OUTPUT_LIMIT >> 20);
    r->depth++;
    bool ok = print_value(r, t, v, quoted);
    r->depth--;
    return ok;
}

bool print_str(struct render *r, struct text *t, struct value v)
{
    return print_inside(r, t, v, false);
}
bool print_repr(struct render *r, struct text *t, struct value v)
{
    return print_inside(r, t, v, true);
}

bool to_str(struct render *r, struct value v, struct str *result)
{
    if (v.kind == V_STR) return *result = v.text, true;
    struct text t = builder(r);
    struct value text = {0};
    print_str(r, &t, v);
    bool ok = builder_end(r, &t, &text);
    *result = text.text;
    return ok;
}

/* What |escape makes of a value; what is safe already stays. */
bool escape_html(struct render *r, struct value v, struct value *result)
{
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&#34;"}, {'\'', "&#39;"}};
    struct str s;
    if (!to_str(r, v, &s)) return false;
    struct text t = builder(r);
    for (size_t i = 0; i < s.length; i++) {
        const char *entity = NULL;
        for (size_t e = 0; e < 5 && !v.safe; e++)
            if (entities[e].c == s.at[i]) entity = entities[e].entity;
        if (entity)
            text_puts(&t, entity);
        else
            text_add(&t, s.at + i, 1);
    }
    bool ok = builder_end(r, &t, result);
    result->safe = true;
    return ok;
}

/* ---- JSON -------------------------------------------------------------------------------- */

static bool json_value(struct render *r, struct text *t, struct value v, const struct json_form *form, int level);

static void print_json_string(struct text *t, struct str s, bool ascii)
{
    static const char escaped[] = "\"\"\\\\\nn\rr\tt\bb\ff";
    text_puts(t, "\"");
    for (size_t at = 0, from = 0; at < s.length; from = at) {
        uint32_t c = str_next(s, &at);
        const char *e = escaped;
        while (*e && (uint32_t)*e != c) e += 2;
        if (*e)
            text_printf(t, "\\%c", e[1]);
        else if (c >= 0x10000 && ascii)
            text_printf(t, "\\u%04x\\u%04x", (unsigned)(0xD7C0 + (c >> 10)), (unsigned)(0xDC00 + (c & 0x3FF)));
        else if (c < 0x20 || (c > 0x7E && ascii))
            text_printf(t, "\\u%04x", (unsigned)c);
        else
            text_add(t, s.at + from, at - from);
    }
    text_puts(t, "\"");
}

static void json_newline(struct text *t, const struct json_form *form, int level)
{
    if (!form->pretty) return;
    text_puts(t, "\n");
    for (int i = 0; i < level; i++) text_add(t, form->indent.at, form->indent.length);
}

static bool json_items(struct render *r, struct text *t, const struct items *items, const struct json_form *form,
                       int level)
{
    if (!items->count) return text_puts(t, "[]"), true;
    text_puts(t, "[");
    for (size_t i = 0; i < items->count; i++) {
        if (i) text_add(t, form->item_separator.at, form->item_separator.length);
        json_newline(t, form, level + 1);
        if (!json_value(r, t, items->at[i], form, level + 1)) return false;
    }
    json_newline(t, form, level);
    text_puts(t, "]");
    return true;
}

/* Keys that are no strings become some. */
static bool json_key(struct render *r, struct text *t, struct value key, const struct json_form *form)
{
    if (key.kind == V_STR) return print_json_string(t, key.text, form->ascii), true;
    if (key.kind != V_NONE && !is_number(key))
        return host_fail(&r->host, LORAC_FORMAT, "a JSON key cannot be a %s", type_name(key));
    text_puts(t, "\"");
    bool ok = json_value(r, t, key, form, 0);
    text_puts(t, "\"");
    return ok;
}

bool sort_pairs(struct render *r, const struct dict *d, const struct pair **order,
                bool (*before)(struct render *r, struct value a, struct value b, bool *result))
{
    for (size_t i = 0; i < d->count; i++) {
        size_t to = i;
        for (; to; to--) {
            bool earlier;
            if (!before(r, d->at[i].key, order[to - 1]->key, &earlier)) return false;
            if (!earlier) break;
            order[to] = order[to - 1];
        }
        order[to] = &d->at[i];
    }
    return true;
}

static bool json_dict(struct render *r, struct text *t, const struct dict *d, const struct json_form *form, int level)
{
    if (!d->count) return text_puts(t, "{}"), true;
    const struct pair **order = host_array(&r->host, d->count, sizeof *order);
    if (!order) return false;
    for (size_t i = 0; i < d->count; i++) order[i] = &d->at[i];
    if (form->sort && !sort_pairs(r, d, order, less)) return false;
    text_puts(t, "{");
    for (size_t i = 0; i < d->count; i++) {
        if (i) text_add(t, form->item_separator.at, form->item_separator.length);
        json_newline(t, form, level + 1);
        if (!json_key(r, t, order[i]->key, form)) return false;
        text_add(t, form->key_separator.at, form->key_separator.length);
        if (!json_value(r, t, order[i]->value, form, level + 1)) return false;
    }
    json_newline(t, form, level);
    text_puts(t, "}");
    return true;
}

static bool json_value(struct render *r, struct text *t, struct value v, const struct json_form *form, int level)
{
    if (!work(r, 1)) return false;
    if (level > VALUE_DEPTH) return host_fail(&r->host, LORAC_UNSUPPORTED, "a value nests too deep for JSON");
    if (t->length > OUTPUT_LIMIT)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "a text exceeds %zu MiB", OUTPUT_LIMIT >> 20);
    switch (v.kind) {
    case V_NONE:
        return text_puts(t, "null"), true;
    case V_BOOL:
        return text_puts(t, v.boolean ? "true" : "false"), true;
    case V_INT:
        return text_printf(t, "%lld", (long long)v.integer), true;
    case V_FLOAT:
        return json_print_number(t, v.real), true;
    case V_STR:
        return print_json_string(t, v.text, form->ascii), true;
    case V_LIST:
    case V_TUPLE:
        return json_items(r, t, v.items, form, level);
    case V_DICT:
        return json_dict(r, t, v.dict, form, level);
    default:
        return host_fail(&r->host, LORAC_FORMAT, "Object of type %s is not JSON serializable", type_name(v));
    }
}

bool print_json(struct render *r, struct text *t, struct value v, const struct json_form *form)
{
    return json_value(r, t, v, form, 0);
}
