/* template_spec.c — format specifications: what follows the colon in "{:>8.2f}".
 *
 * [[fill]align][sign][#][0][width][, or _][.precision][type] for str, int and float, as Python's format() has them.
 * Refuses widths over 4096, precisions over 300, and the types c, b and n. */
#include "text/template_impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct spec {
    struct str fill;
    char align, sign, grouping, type; /* 0: not given */
    bool alternate, zero;
    int64_t width, precision; /* -1: not given */
};

static bool bad_spec(struct render *r, struct str s)
{
    return host_fail(&r->host, LORAC_FORMAT, "invalid format specification '%.*s'", STR_ARG(s));
}

static char peek(struct str s, size_t at)
{
    return at < s.length ? s.at[at] : 0;
}

static bool is_in(char c, const char *set)
{
    return c && strchr(set, c);
}

static int64_t take_number(struct str s, size_t *at)
{
    int64_t n = -1;
    for (; peek(s, *at) >= '0' && peek(s, *at) <= '9'; ++*at)
        if (n < 100000) n = (n < 0 ? 0 : n * 10) + (s.at[*at] - '0');
    return n;
}

static bool parse_spec(struct render *r, struct str s, struct spec *spec)
{
    size_t at = 0, second = 0;
    *spec = (struct spec){.fill = STR(" ")};
    if (s.length) str_next(s, &second);
    if (is_in(peek(s, second), "<>=^")) {
        spec->fill = str_slice(s, 0, second);
        at = second;
    }
    if (is_in(peek(s, at), "<>=^")) spec->align = s.at[at++];
    if (is_in(peek(s, at), "+- ")) spec->sign = s.at[at++];
    spec->alternate = peek(s, at) == '#';
    at += spec->alternate;
    if (peek(s, at) == '0') {
        spec->zero = true;
        if (!second || at < second || spec->fill.at[0] == ' ') spec->fill = STR("0");
        at++;
    }
    spec->width = take_number(s, &at);
    if (is_in(peek(s, at), ",_")) spec->grouping = s.at[at++];
    spec->precision = -1;
    if (peek(s, at) == '.') {
        at++;
        if ((spec->precision = take_number(s, &at)) < 0) return bad_spec(r, s);
    }
    if (at < s.length) spec->type = s.at[at++];
    if (at < s.length) return bad_spec(r, s);
    if (spec->width > 4096 || spec->precision > 300)
        return host_fail(&r->host, LORAC_UNSUPPORTED, "a format is wider than lorac allows");
    return true;
}

/* `sign` stays in front of the fill where the alignment is '='. */
static void add_aligned(struct text *t, const struct spec *spec, char align, struct str sign, struct str body)
{
    int64_t room = spec->width - (int64_t)str_characters(sign) - (int64_t)str_characters(body);
    int64_t before = align == '<' ? 0 : align == '^' ? room / 2 : room;
    if (align == '=') text_add(t, sign.at, sign.length);
    for (int64_t i = 0; i < before; i++) text_add(t, spec->fill.at, spec->fill.length);
    if (align != '=') text_add(t, sign.at, sign.length);
    text_add(t, body.at, body.length);
    for (int64_t i = before; i < room; i++) text_add(t, spec->fill.at, spec->fill.length);
}

static bool spec_text(struct render *r, struct text *t, const struct spec *spec, struct str s, struct str source)
{
    if ((spec->type && spec->type != 's') || spec->sign || spec->grouping || spec->alternate || spec->align == '=')
        return bad_spec(r, source);
    if (spec->precision >= 0) s = str_slice(s, 0, str_offset(s, (size_t)spec->precision));
    add_aligned(t, spec, spec->align ? spec->align : '<', STR(""), s);
    return true;
}

/* Puts a separator between groups of digits of the whole part. */
static struct str group_digits(char *to, struct str digits, char separator, int size)
{
    size_t whole = 0, n = 0;
    while (whole < digits.length && is_in(digits.at[whole], "0123456789abcdefABCDEF")) whole++;
    if (!separator) return digits;
    for (size_t i = 0; i < digits.length; i++) {
        if (i && i < whole && (whole - i) % (size_t)size == 0) to[n++] = separator;
        to[n++] = digits.at[i];
    }
    return (struct str){to, n};
}

static const char *sign_text(const struct spec *spec, bool negative)
{
    return negative ? "-" : spec->sign == '+' ? "+" : spec->sign == ' ' ? " " : "";
}

static bool add_number(struct render *r, struct text *t, const struct spec *spec, const char *sign, const char *prefix,
                       struct str digits, int group)
{
    char grouped[1024], front[8];
    int n = snprintf(front, sizeof front, "%s%s", sign, prefix);
    if (digits.length > 600) return host_fail(&r->host, LORAC_UNSUPPORTED, "a format gives too many digits");
    char align = spec->align ? spec->align : spec->zero ? '=' : '>';
    if (spec->zero && spec->grouping && align == '=')
        return host_fail(&r->host, LORAC_UNSUPPORTED, "a format with zeros and separators");
    add_aligned(t, spec, align, (struct str){front, (size_t)n}, group_digits(grouped, digits, spec->grouping, group));
    return true;
}

static bool spec_int(struct render *r, struct text *t, const struct spec *spec, int64_t v, struct str source)
{
    char digits[80];
    if (spec->precision >= 0 || (spec->type && !strchr("dxXo", spec->type)) ||
        (spec->grouping == ',' && spec->type && spec->type != 'd'))
        return spec->type && strchr("bcn", spec->type)
                   ? host_fail(&r->host, LORAC_UNSUPPORTED, "the format type '%c'", spec->type)
                   : bad_spec(r, source);
    uint64_t size = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    const char *pattern = spec->type == 'x' ? "%llx" : spec->type == 'X' ? "%llX" : spec->type == 'o' ? "%llo" : "%llu";
    const char *prefix = !spec->alternate ? "" : spec->type == 'x' ? "0x" : spec->type == 'X' ? "0X" : "0o";
    if (!spec->type || spec->type == 'd') prefix = "";
    int n = snprintf(digits, sizeof digits, pattern, (unsigned long long)size);
    return add_number(r, t, spec, sign_text(spec, v < 0), prefix, (struct str){digits, (size_t)n},
                      *pattern && pattern[3] == 'u' ? 3 : 4);
}

static bool spec_float(struct render *r, struct text *t, const struct spec *spec, double v, struct str source)
{
    char pattern[16], digits[512];
    char type = spec->type == '%' ? 'f' : spec->type;
    if (type && !strchr("eEfFgG", type))
        return type == 'n' ? host_fail(&r->host, LORAC_UNSUPPORTED, "the format type 'n'") : bad_spec(r, source);
    if (spec->alternate || (!type && spec->precision >= 0))
        return host_fail(&r->host, LORAC_UNSUPPORTED, "a format of a float with '#', or a precision without a type");
    double size = fabs(v) * (spec->type == '%' ? 100 : 1);
    struct str body;
    struct value text = {0};
    if (type) {
        snprintf(pattern, sizeof pattern, "%%.%d%c", (int)(spec->precision < 0 ? 6 : spec->precision), type);
        int n = snprintf(digits, sizeof digits - 1, pattern, size);
        if (n < 0 || n >= (int)sizeof digits - 1) return bad_spec(r, source);
        for (char *c = digits; *c; c++)
            if (*c == ',') *c = '.'; /* some locales have a comma */
        if (spec->type == '%') digits[n++] = '%';
        body = (struct str){digits, (size_t)n};
    } else if (to_str(r, v_float(size), &text.text)) {
        body = text.text;
    } else {
        return false;
    }
    return add_number(r, t, spec, sign_text(spec, signbit(v) && !isnan(v)), "", body, 3);
}

bool format_spec(struct render *r, struct text *t, struct value v, struct str source)
{
    struct spec spec;
    if (!source.length) return print_str(r, t, v);
    if (v.kind != V_STR && !is_number(v))
        return host_fail(&r->host, LORAC_FORMAT, "unsupported format string passed to %s.__format__", type_name(v));
    if (!parse_spec(r, source, &spec)) return false;
    if (v.kind == V_STR) return spec_text(r, t, &spec, v.text, source);
    bool whole = is_integer(v) && !is_in(spec.type, "eEfFgG%");
    return whole ? spec_int(r, t, &spec, integer_of(v), source) : spec_float(r, t, &spec, real_of(v), source);
}
