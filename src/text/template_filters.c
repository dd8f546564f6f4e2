/* template_filters.c — filters on one value: text, numbers, JSON. Those on sequences are in template_sequence.c. */
#include "text/template_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool integer_argument(struct render *r, struct call *c, int place, int64_t fallback, int64_t *value)
{
    struct value v = c->arg[place];
    *value = v.kind == V_ABSENT ? fallback : integer_of(v);
    return v.kind == V_ABSENT || is_integer(v) || wants(r, c, "an integer", v);
}

/* ---- text -------------------------------------------------------------------------------- */

static bool filter_string(struct render *r, struct call *c, struct value *result)
{
    if (c->self.kind == V_STR) return *result = c->self, true;
    *result = (struct value){.kind = V_STR};
    return to_str(r, c->self, &result->text);
}

static bool filter_safe(struct render *r, struct call *c, struct value *result)
{
    if (!filter_string(r, c, result)) return false;
    return result->safe = true;
}

static bool filter_escape(struct render *r, struct call *c, struct value *result)
{
    return escape_html(r, c->self, result);
}

static bool filter_forceescape(struct render *r, struct call *c, struct value *result)
{
    c->self.safe = false;
    return escape_html(r, c->self, result);
}

static bool change_case(struct render *r, struct call *c, enum letter_case to, struct value *result)
{
    struct str s;
    if (!to_str(r, c->self, &s)) return false;
    struct text t = builder(r);
    print_case(&t, s, to);
    if (!builder_end(r, &t, result)) return false;
    result->safe = c->self.kind == V_STR && c->self.safe;
    return true;
}

static bool filter_upper(struct render *r, struct call *c, struct value *result)
{
    return change_case(r, c, CASE_UPPER, result);
}
static bool filter_lower(struct render *r, struct call *c, struct value *result)
{
    return change_case(r, c, CASE_LOWER, result);
}
static bool filter_capitalize(struct render *r, struct call *c, struct value *result)
{
    return change_case(r, c, CASE_CAPITAL, result);
}

static bool begins_word(char c)
{
    return c && strchr("-({[<", c);
}

/* Each word with a capital; words begin after space and after - ( { [ <. */
static bool filter_title(struct render *r, struct call *c, struct value *result)
{
    struct str s;
    if (!to_str(r, c->self, &s)) return false;
    struct text t = builder(r);
    for (size_t at = 0, from; at < s.length;) {
        for (from = at; at < s.length;) {
            size_t next = at;
            if (!is_space(str_next(s, &next)) && !begins_word(s.at[at])) break;
            at = next;
        }
        if (at > from) text_add(&t, s.at + from, at - from);
        for (from = at; at < s.length;) {
            size_t next = at;
            if (is_space(str_next(s, &next)) || begins_word(s.at[at])) break;
            at = next;
        }
        size_t first = from;
        if (from < s.length) str_next(s, &first);
        if (at > from) print_case(&t, str_slice(s, from, first), CASE_UPPER);
        if (at > first) print_case(&t, str_slice(s, first, at), CASE_LOWER);
    }
    return builder_end(r, &t, result);
}

static bool filter_trim(struct render *r, struct call *c, struct value *result)
{
    struct value set = c->arg[0];
    if (set.kind > V_NONE && set.kind != V_STR) return wants(r, c, "a string", set);
    if (!filter_string(r, c, result) || !work_bytes(r, result->text.length)) return false;
    result->text = str_strip(result->text, set.kind == V_STR ? &set.text : NULL, true, true);
    return true;
}

static bool filter_replace(struct render *r, struct call *c, struct value *result)
{
    struct str s, old, new;
    int64_t count = -1;
    if (c->arg[2].kind != V_NONE && !integer_argument(r, c, 2, -1, &count)) return false;
    return to_str(r, c->self, &s) && to_str(r, c->arg[0], &old) && to_str(r, c->arg[1], &new) &&
           replace_text(r, s, old, new, count, result);
}

/* Every line but the first moves in; empty ones do not, unless `blank`. */
static bool filter_indent(struct render *r, struct call *c, struct value *result)
{
    struct value width = c->arg[0], first = c->arg[1], blank = c->arg[2], spaces = v_str(STR("    "));
    if (c->self.kind != V_STR) return wants(r, c, "a string", c->self);
    if (width.kind == V_STR)
        spaces = width;
    else if (width.kind != V_ABSENT && (!is_integer(width) || !operate(r, OP_MUL, v_str(STR(" ")), width, &spaces)))
        return wants(r, c, "an integer", width);
    struct str s = c->self.text;
    struct text t = builder(r);
    for (size_t at = 0, number = 0; at < s.length || !number; number++) {
        size_t next, end = str_line(s, at, &next);
        if (number) text_puts(&t, "\n");
        if (number ? end > at || truth(blank) : truth(first)) text_add(&t, spaces.text.at, spaces.text.length);
        text_add(&t, end > at ? s.at + at : "", end - at);
        bool last = next == s.length && end < next; /* the text ends in a newline: an empty line follows */
        if (last) text_puts(&t, "\n");
        if (last && truth(blank)) text_add(&t, spaces.text.at, spaces.text.length);
        at = next;
        if (t.length > OUTPUT_LIMIT)
            return text_free(&t), host_fail(&r->host, LORAC_UNSUPPORTED, "a text exceeds %zu MiB", OUTPUT_LIMIT >> 20);
    }
    return builder_end(r, &t, result);
}

static bool filter_center(struct render *r, struct call *c, struct value *result)
{
    struct value s = {.kind = V_STR}, center;
    bool found;
    if (!to_str(r, c->self, &s.text) || !find_method(r, s, STR("center"), &center, &found)) return false;
    struct value width = c->arg[0].kind == V_ABSENT ? v_int(80) : c->arg[0];
    struct call inner = {.count = 1, .arguments = &width};
    return call_value(r, center, &inner, result);
}

/* truncate(length, killwords, end, leeway): what is a little longer stays whole. */
static bool filter_truncate(struct render *r, struct call *c, struct value *result)
{
    struct str s = c->self.text, end = STR("...");
    int64_t length, leeway;
    size_t count;
    if (!length_of(r, c->self, &count) || !integer_argument(r, c, 0, 255, &length)) return false;
    if (c->arg[3].kind == V_NONE) c->arg[3].kind = V_ABSENT;
    if (!integer_argument(r, c, 3, 5, &leeway)) return false;
    if (c->arg[2].kind != V_ABSENT && c->arg[2].kind != V_STR) return wants(r, c, "a string as end", c->arg[2]);
    if (c->arg[2].kind == V_STR) end = c->arg[2].text;
    int64_t room = length - (int64_t)str_characters(end), space = -1;
    if (room < 0 || leeway < 0) return host_fail(&r->host, LORAC_FORMAT, "truncate takes no length below its end's");
    if ((int64_t)count <= length + leeway) return *result = c->self, true;
    if (c->self.kind != V_STR) return wants(r, c, "a string", c->self);
    struct str kept = str_slice(s, 0, str_offset(s, (size_t)room));
    for (size_t i = 0; !truth(c->arg[1]) && i < kept.length; i++)
        if (kept.at[i] == ' ') space = (int64_t)i;
    *result = v_str(space >= 0 ? str_slice(kept, 0, (size_t)space) : kept);
    return str_join2(r, result->text, end, &result->text);
}

/* Percent signs for all but letters, digits and _.-~; of a path its slashes stay, in a query a space is a plus sign. */
static bool add_quoted(struct render *r, struct text *t, struct value v, bool query)
{
    struct str s;
    if (!to_str(r, v, &s) || !work_bytes(r, s.length * 3)) return false;
    for (size_t i = 0; i < s.length; i++) {
        unsigned char b = (unsigned char)s.at[i];
        bool plain = (b >= '0' && b <= '9') || ((b | 32) >= 'a' && (b | 32) <= 'z') || (b && strchr("_.-~", b));
        if (plain || (b == '/' && !query))
            text_add(t, s.at + i, 1);
        else if (b == ' ' && query)
            text_puts(t, "+");
        else
            text_printf(t, "%%%02X", b);
    }
    return true;
}

/* Pairs as "a=b&c=d". */
static bool add_query(struct render *r, struct text *t, struct value pairs)
{
    struct items *items, *pair;
    if (!iterate(r, pairs, &items)) return false;
    for (size_t i = 0; i < items->count; i++) {
        if (!iterate(r, items->at[i], &pair)) return false;
        if (pair->count != 2)
            return host_fail(&r->host, LORAC_FORMAT, "urlencode takes pairs, not %zu values", pair->count);
        if (i) text_puts(t, "&");
        if (!add_quoted(r, t, pair->at[0], true)) return false;
        text_puts(t, "=");
        if (!add_quoted(r, t, pair->at[1], true)) return false;
    }
    return true;
}

static bool filter_urlencode(struct render *r, struct call *c, struct value *result)
{
    bool several = is_iterable(c->self) && c->self.kind != V_STR && c->self.kind != V_UNDEFINED;
    struct value pairs = c->self;
    struct call items = {.self = c->self};
    if (c->self.kind == V_DICT && !find_filter(STR("items"))->body(r, &items, &pairs)) return false;
    struct text t = builder(r);
    if (several)
        add_query(r, &t, pairs);
    else
        add_quoted(r, &t, c->self, false);
    return builder_end(r, &t, result);
}

static bool filter_wordcount(struct render *r, struct call *c, struct value *result)
{
    struct str s;
    int64_t count = 0;
    bool inside = false;
    if (!to_str(r, c->self, &s)) return false;
    for (size_t at = 0; at < s.length;) {
        bool word = is_alphanumeric(str_next(s, &at)) || s.at[at - 1] == '_';
        count += word && !inside;
        inside = word;
    }
    return *result = v_int(count), work_bytes(r, s.length);
}

static bool filter_format(struct render *r, struct call *c, struct value *result)
{
    struct str s;
    if (c->count && c->keyword_count)
        return host_fail(&r->host, LORAC_FORMAT, "format takes either plain or named arguments");
    struct items items = {.count = c->count, .at = c->arguments};
    struct value arguments = v_items(V_TUPLE, &items);
    if (c->keyword_count) {
        struct dict *d = dict_new(r, c->keyword_count);
        for (size_t i = 0; d && i < c->keyword_count; i++)
            if (!dict_set(r, d, v_str(c->keywords[i].name), c->keywords[i].value)) return false;
        if (!d) return false;
        arguments = (struct value){.kind = V_DICT, .dict = d};
    }
    return to_str(r, c->self, &s) && format_percent(r, s, arguments, result);
}

/* ---- numbers ----------------------------------------------------------------------------- */

static bool filter_abs(struct render *r, struct call *c, struct value *result)
{
    if (!is_number(c->self)) return wants(r, c, "a number", c->self);
    if (c->self.kind == V_FLOAT) return *result = v_float(fabs(c->self.real)), true;
    return negate(r, c->self, integer_of(c->self) < 0, result);
}

static bool is_undefined(struct render *r, struct value v)
{
    return v.kind == V_UNDEFINED && !host_fail(&r->host, LORAC_FORMAT, "%.*s", STR_ARG(v.text));
}

static bool filter_float(struct render *r, struct call *c, struct value *result)
{
    double v;
    if (is_undefined(r, c->self)) return false;
    if (is_number(c->self)) return *result = v_float(real_of(c->self)), true;
    if (c->self.kind == V_STR && parse_float(r->host.arena.memory, c->self.text, &v)) return *result = v_float(v), true;
    *result = c->arg[0].kind == V_ABSENT ? v_float(0) : c->arg[0];
    return true;
}

static bool truncate_float(struct render *r, double v, struct value *result)
{
    if (!(fabs(v) < 0x1p63)) return host_fail(&r->host, LORAC_UNSUPPORTED, "an integer exceeds 64 bits");
    return *result = v_int((int64_t)v), true;
}

/* "42.9" gives 42; what is no number gives the default. */
static bool filter_int(struct render *r, struct call *c, struct value *result)
{
    int64_t base, whole;
    double v;
    if (is_undefined(r, c->self) || !integer_argument(r, c, 1, 10, &base)) return false;
    if (base < 2 || base > 36) return host_fail(&r->host, LORAC_UNSUPPORTED, "int takes a base of 2 to 36");
    if (is_integer(c->self)) return *result = v_int(integer_of(c->self)), true;
    if (c->self.kind == V_FLOAT && isfinite(c->self.real)) return truncate_float(r, c->self.real, result);
    if (c->self.kind == V_STR && parse_int(c->self.text, (int)base, &whole)) return *result = v_int(whole), true;
    if (c->self.kind == V_STR && parse_float(r->host.arena.memory, c->self.text, &v) && isfinite(v))
        return truncate_float(r, v, result);
    *result = c->arg[0].kind == V_ABSENT ? v_int(0) : c->arg[0];
    return true;
}

/* To a number of decimals as Python rounds: the exact value's digits, ties to even. */
static bool round_digits(struct render *r, double v, int64_t digits, double *result)
{
    char text[400];
    if (digits > 300 || !isfinite(v)) return *result = v, true;
    if (digits < 0) {
        double unit = pow(10, (double)-digits);
        return *result = digits < -308 ? 0 * v : nearbyint(v / unit) * unit, true;
    }
    int n = snprintf(text, sizeof text, "%.*f", (int)digits, v);
    if (n < 0 || (size_t)n >= sizeof text) return *result = v, true;
    for (char *t = text; *t; t++)
        if ((*t < '0' || *t > '9') && *t != '-') *t = '.'; /* some locales have a comma */
    return parse_float(r->host.arena.memory, (struct str){text, (size_t)n}, result);
}

static bool filter_round(struct render *r, struct call *c, struct value *result)
{
    int64_t digits;
    double v = real_of(c->self);
    struct str method = c->arg[1].kind == V_STR ? c->arg[1].text : STR("common");
    if (is_undefined(r, c->self) || !integer_argument(r, c, 0, 0, &digits)) return false;
    if (!is_number(c->self)) return wants(r, c, "a number", c->self);
    if (c->arg[1].kind > V_NONE && c->arg[1].kind != V_STR) return wants(r, c, "a method's name", c->arg[1]);
    if (str_is(method, "common")) {
        if (is_integer(c->self) && digits >= 0) return *result = v_int(integer_of(c->self)), true;
        if (!round_digits(r, v, digits, &v)) return host_fail(&r->host, LORAC_FORMAT, "a number cannot be rounded");
        return is_integer(c->self) ? truncate_float(r, v, result) : (*result = v_float(v), true);
    }
    bool up = str_is(method, "ceil");
    if (!isfinite(v)) return host_fail(&r->host, LORAC_FORMAT, "only finite numbers round up or down");
    if (!up && !str_is(method, "floor"))
        return host_fail(&r->host, LORAC_FORMAT, "method must be common, ceil or floor");
    double unit = pow(10, (double)digits);
    return *result = v_float(((up ? ceil(v * unit) : floor(v * unit)) + 0.0) / unit), true; /* no -0 */
}

/* ---- JSON, default ----------------------------------------------------------------------- */

static bool json_separators(struct render *r, struct call *c, struct json_form *form)
{
    struct value v = c->arg[2];
    if (v.kind <= V_NONE) return true;
    bool pair = (v.kind == V_TUPLE || v.kind == V_LIST) && v.items->count == 2;
    if (!pair || v.items->at[0].kind != V_STR || v.items->at[1].kind != V_STR)
        return wants(r, c, "two strings as separators", v);
    form->item_separator = v.items->at[0].text;
    form->key_separator = v.items->at[1].text;
    return true;
}

static bool filter_tojson(struct render *r, struct call *c, struct value *result)
{
    struct json_form form = {.ascii = truth(c->arg[0]), .sort = truth(c->arg[3]), .key_separator = STR(": ")};
    struct value indent = c->arg[1], spaces = v_str(STR(""));
    form.pretty = indent.kind > V_NONE;
    form.item_separator = form.pretty ? STR(",") : STR(", ");
    if (indent.kind == V_STR)
        spaces = indent;
    else if (form.pretty && (!is_integer(indent) || !operate(r, OP_MUL, v_str(STR(" ")), indent, &spaces)))
        return wants(r, c, "an integer as indent", indent);
    form.indent = spaces.text;
    if (!json_separators(r, c, &form)) return false;
    struct text t = builder(r);
    print_json(r, &t, c->self, &form);
    return builder_end(r, &t, result);
}

static bool filter_default(struct render *r, struct call *c, struct value *result)
{
    bool missing = c->self.kind == V_UNDEFINED || (truth(c->arg[1]) && !truth(c->self));
    *result = !missing ? c->self : c->arg[0].kind == V_ABSENT ? v_str(STR("")) : c->arg[0];
    return true;
}

static bool filter_attr(struct render *r, struct call *c, struct value *result)
{
    if (c->arg[0].kind != V_STR) return wants(r, c, "a name", c->arg[0]);
    if (c->self.kind == V_DICT)
        return v_undefined(r, result, "'dict object' has no attribute '%.*s'", STR_ARG(c->arg[0].text));
    return get_attribute(r, c->self, c->arg[0].text, result);
}

static const struct function filters[] = {
    {"string", filter_string, 0, ""},
    {"safe", filter_safe, 0, ""},
    {"escape", filter_escape, 0, ""},
    {"e", filter_escape, 0, ""},
    {"forceescape", filter_forceescape, 0, ""},
    {"upper", filter_upper, 0, ""},
    {"lower", filter_lower, 0, ""},
    {"capitalize", filter_capitalize, 0, ""},
    {"title", filter_title, 0, ""},
    {"trim", filter_trim, 0, "chars"},
    {"replace", filter_replace, 2, "old new count"},
    {"indent", filter_indent, 0, "width first blank"},
    {"wordcount", filter_wordcount, 0, ""},
    {"center", filter_center, 0, "width"},
    {"truncate", filter_truncate, 0, "length killwords end leeway"},
    {"urlencode", filter_urlencode, 0, ""},
    {"format", filter_format, 0, NULL},
    {"abs", filter_abs, 0, ""},
    {"int", filter_int, 0, "default base"},
    {"float", filter_float, 0, "default"},
    {"round", filter_round, 0, "precision method"},
    {"tojson", filter_tojson, 0, "ensure_ascii indent separators sort_keys"},
    {"default", filter_default, 0, "default_value boolean"},
    {"d", filter_default, 0, "default_value boolean"},
    {"attr", filter_attr, 1, "name"},
};

const struct function *find_filter(struct str name)
{
    const struct function *f = find_function(filters, sizeof filters / sizeof *filters, name);
    return f ? f : find_sequence_filter(name);
}
