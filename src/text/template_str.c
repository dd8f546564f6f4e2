/* template_str.c — methods of str: case, space, what a text consists of, padding. */
#include "text/template_impl.h"

/* ---- str: case and space ----------------------------------------------------------------- */

static bool change_case(struct render *r, struct call *c, enum letter_case to, struct value *result)
{
    struct text t = builder(r);
    print_case(&t, c->self.text, to);
    return builder_end(r, &t, result);
}

static bool str_upper(struct render *r, struct call *c, struct value *result)
{
    return change_case(r, c, CASE_UPPER, result);
}
static bool str_lower(struct render *r, struct call *c, struct value *result)
{
    return change_case(r, c, CASE_LOWER, result);
}
static bool str_title(struct render *r, struct call *c, struct value *result)
{
    return change_case(r, c, CASE_TITLE, result);
}
static bool str_capitalize(struct render *r, struct call *c, struct value *result)
{
    return change_case(r, c, CASE_CAPITAL, result);
}
static bool str_casefold(struct render *r, struct call *c, struct value *result)
{
    return change_case(r, c, CASE_FOLD, result);
}
static bool str_swapcase(struct render *r, struct call *c, struct value *result)
{
    return change_case(r, c, CASE_SWAP, result);
}

static bool strip(struct render *r, struct call *c, bool left, bool right, struct value *result)
{
    struct value set = c->arg[0];
    if (set.kind != V_ABSENT && set.kind != V_NONE && set.kind != V_STR) return wants(r, c, "a string", set);
    *result = v_str(str_strip(c->self.text, set.kind == V_STR ? &set.text : NULL, left, right));
    return work_bytes(r, c->self.text.length);
}

static bool str_strip_both(struct render *r, struct call *c, struct value *result)
{
    return strip(r, c, true, true, result);
}
static bool str_lstrip(struct render *r, struct call *c, struct value *result)
{
    return strip(r, c, true, false, result);
}
static bool str_rstrip(struct render *r, struct call *c, struct value *result)
{
    return strip(r, c, false, true, result);
}

static bool str_isupper(struct render *r, struct call *c, struct value *result)
{
    return *result = v_bool(str_has_case(c->self.text, CASE_UPPER)), true;
}
static bool str_islower(struct render *r, struct call *c, struct value *result)
{
    return *result = v_bool(str_has_case(c->self.text, CASE_LOWER)), true;
}

/* All characters are of a kind, and there is one. */
static bool all_are(struct render *r, struct str s, bool (*kind)(uint32_t), struct value *result)
{
    bool all = s.length;
    for (size_t at = 0; all && at < s.length;) all = kind(str_next(s, &at));
    return *result = v_bool(all), work_bytes(r, s.length);
}

static bool str_isspace(struct render *r, struct call *c, struct value *result)
{
    return all_are(r, c->self.text, is_space, result);
}
static bool str_isalpha(struct render *r, struct call *c, struct value *result)
{
    return all_are(r, c->self.text, is_alphabetic, result);
}
static bool str_isalnum(struct render *r, struct call *c, struct value *result)
{
    return all_are(r, c->self.text, is_alphanumeric, result);
}
static bool str_isdigit(struct render *r, struct call *c, struct value *result)
{
    return all_are(r, c->self.text, is_digit, result);
}
static bool str_isdecimal(struct render *r, struct call *c, struct value *result)
{
    return all_are(r, c->self.text, is_decimal, result);
}

static bool str_isnumeric(struct render *r, struct call *c, struct value *result)
{
    return all_are(r, c->self.text, is_numeric, result);
}

/* These two are also true of the empty string. */
static bool str_isprintable(struct render *r, struct call *c, struct value *result)
{
    return !c->self.text.length ? (*result = v_bool(true), true) : all_are(r, c->self.text, is_printable, result);
}
static bool str_isascii(struct render *r, struct call *c, struct value *result)
{
    *result = v_bool(str_characters(c->self.text) == c->self.text.length);
    return work_bytes(r, c->self.text.length);
}

static bool str_istitle(struct render *r, struct call *c, struct value *result)
{
    return *result = v_bool(str_has_case(c->self.text, CASE_TITLE)), work_bytes(r, c->self.text.length);
}

static bool str_isidentifier(struct render *r, struct call *c, struct value *result)
{
    return *result = v_bool(is_identifier(c->self.text)), work_bytes(r, c->self.text.length);
}

/* ---- width --------------------------------------------------------------------------------- */

/* Pads to a width: `left` and `right` say on which sides. */
static bool pad(struct render *r, struct call *c, bool left, bool right, struct value *result)
{
    struct str fill = c->arg[1].kind == V_STR ? c->arg[1].text : STR(" ");
    size_t count = str_characters(c->self.text);
    if (!is_integer(c->arg[0])) return wants(r, c, "an integer", c->arg[0]);
    if ((c->arg[1].kind != V_ABSENT && c->arg[1].kind != V_STR) || str_characters(fill) != 1)
        return wants(r, c, "one character to fill with", c->arg[1]);
    int64_t width = integer_of(c->arg[0]);
    if (width > (int64_t)OUTPUT_LIMIT / 4)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "a text exceeds %zu MiB", OUTPUT_LIMIT >> 20);
    size_t room = width > (int64_t)count ? (size_t)width - count : 0;
    size_t before = !left ? 0 : !right ? room : room / 2 + (room & (size_t)width & 1);
    struct text t = builder(r);
    for (size_t i = 0; i < before; i++) text_add(&t, fill.at, fill.length);
    text_add(&t, c->self.text.at, c->self.text.length);
    for (size_t i = before; i < room; i++) text_add(&t, fill.at, fill.length);
    return builder_end(r, &t, result);
}

static bool str_ljust(struct render *r, struct call *c, struct value *result)
{
    return pad(r, c, false, true, result);
}
static bool str_rjust(struct render *r, struct call *c, struct value *result)
{
    return pad(r, c, true, false, result);
}
static bool str_center(struct render *r, struct call *c, struct value *result)
{
    return pad(r, c, true, true, result);
}

static bool str_zfill(struct render *r, struct call *c, struct value *result)
{
    struct str s = c->self.text;
    bool sign = s.length && (s.at[0] == '-' || s.at[0] == '+');
    struct value digits, zero = v_str(STR("0"));
    if (!is_integer(c->arg[0])) return wants(r, c, "an integer", c->arg[0]);
    struct call inner = {.function = c->function,
                         .self = v_str(str_slice(s, sign, s.length)),
                         .arg = {v_int(integer_of(c->arg[0]) - (integer_of(c->arg[0]) > 0 && sign)), zero}};
    if (!pad(r, &inner, true, false, &digits)) return false;
    *result = v_str(str_slice(s, 0, sign));
    return operate(r, OP_ADD, *result, digits, result);
}

/* Tabs to spaces, up to columns that are multiples of a size. */
static bool str_expandtabs(struct render *r, struct call *c, struct value *result)
{
    struct str s = c->self.text;
    if (c->arg[0].kind != V_ABSENT && !is_integer(c->arg[0])) return wants(r, c, "an integer", c->arg[0]);
    int64_t size = c->arg[0].kind == V_ABSENT ? 8 : integer_of(c->arg[0]), column = 0;
    if (size > 4096) return host_fail(&r->host, LORAC_UNSUPPORTED, "tabs of more than 4096 columns");
    struct text t = builder(r);
    for (size_t at = 0, from = 0; at < s.length && t.length <= OUTPUT_LIMIT; from = at) {
        uint32_t code = str_next(s, &at);
        int64_t spaces = code == '\t' && size > 0 ? size - column % size : 0;
        column = code == '\n' || code == '\r' ? 0 : column + (code == '\t' ? spaces : 1);
        if (code != '\t') text_add(&t, s.at + from, at - from);
        while (spaces--) text_puts(&t, " ");
    }
    return builder_end(r, &t, result);
}

/* format, its names in a mapping. */
static bool str_format_map(struct render *r, struct call *c, struct value *result)
{
    const struct dict *d = c->arg[0].dict;
    if (c->arg[0].kind != V_DICT) return wants(r, c, "a mapping", c->arg[0]);
    struct call inner = {.function = c->function, .self = c->self};
    inner.keywords = host_array(&r->host, d->count, sizeof *inner.keywords);
    for (size_t i = 0; inner.keywords && i < d->count; i++)
        if (d->at[i].key.kind == V_STR)
            inner.keywords[inner.keyword_count++] = (struct keyword){d->at[i].key.text, d->at[i].value};
    return inner.keywords && format_braces(r, &inner, result);
}

static const struct function methods[] = {
    {"strip", str_strip_both, 0, "/chars"},
    {"lstrip", str_lstrip, 0, "/chars"},
    {"rstrip", str_rstrip, 0, "/chars"},
    {"upper", str_upper, 0, ""},
    {"lower", str_lower, 0, ""},
    {"title", str_title, 0, ""},
    {"capitalize", str_capitalize, 0, ""},
    {"swapcase", str_swapcase, 0, ""},
    {"isspace", str_isspace, 0, ""},
    {"isalpha", str_isalpha, 0, ""},
    {"isalnum", str_isalnum, 0, ""},
    {"isdigit", str_isdigit, 0, ""},
    {"isupper", str_isupper, 0, ""},
    {"islower", str_islower, 0, ""},
    {"ljust", str_ljust, 1, "/width fillchar"},
    {"rjust", str_rjust, 1, "/width fillchar"},
    {"center", str_center, 1, "/width fillchar"},
    {"zfill", str_zfill, 1, "/width"},
    {"format", format_braces, 0, NULL},
    {"format_map", str_format_map, 1, "/mapping"},
    {"isnumeric", str_isnumeric, 0, ""},
    {"casefold", str_casefold, 0, ""},
    {"expandtabs", str_expandtabs, 0, "tabsize"},
    {"isascii", str_isascii, 0, ""},
    {"isdecimal", str_isdecimal, 0, ""},
    {"isprintable", str_isprintable, 0, ""},
    {"istitle", str_istitle, 0, ""},
    {"isidentifier", str_isidentifier, 0, ""},
};

const struct function *find_str_method(struct str name)
{
    const struct function *f = find_function(methods, sizeof methods / sizeof *methods, name);
    if (!f) f = find_str_part_method(name);
    return f ? f : find_str_table_method(name);
}
