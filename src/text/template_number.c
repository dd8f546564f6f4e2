/* template_number.c — text as numbers: Python's float(str) and int(str, base). */
#include "text/template_impl.h"

#include <math.h>
#include <string.h>

static bool is_digit_byte(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits without the underscores between them, appended to `t`; *at moves on. */
static bool take_digits(struct text *t, struct str s, size_t *at)
{
    size_t from = *at;
    while (*at < s.length && (is_digit_byte(s.at[*at]) || (s.at[*at] == '_' && *at > from && s.at[*at - 1] != '_'))) {
        if (is_digit_byte(s.at[*at])) text_add(t, s.at + *at, 1);
        ++*at;
    }
    if (*at > from && s.at[*at - 1] == '_') --*at;
    return *at > from;
}

static bool word_is(struct str s, const char *word)
{
    if (s.length != strlen(word)) return false;
    for (size_t i = 0; i < s.length; i++)
        if ((s.at[i] | 32) != word[i]) return false;
    return true;
}

static bool special_float(struct str s, double *value)
{
    bool minus = s.length && s.at[0] == '-';
    if (s.length && (minus || s.at[0] == '+')) s = str_slice(s, 1, s.length);
    bool infinite = word_is(s, "inf") || word_is(s, "infinity");
    if (!infinite && !word_is(s, "nan")) return false;
    *value = infinite ? (minus ? -INFINITY : INFINITY) : NAN;
    return true;
}

/* A decimal as Python writes it, rewritten as JSON: "[-0012.e5]" and ".5" are none there. */
static bool rewrite_float(struct text *t, struct str s)
{
    size_t at = 0;
    text_puts(t, "[");
    if (at < s.length && (s.at[at] == '-' || s.at[at] == '+')) {
        if (s.at[at] == '-') text_puts(t, "-");
        at++;
    }
    while (at + 1 < s.length && s.at[at] == '0' && is_digit_byte(s.at[at + 1])) at++;
    bool whole = take_digits(t, s, &at), part = false;
    if (!whole) text_puts(t, "0");
    text_puts(t, ".");
    if (at < s.length && s.at[at] == '.') {
        at++;
        part = take_digits(t, s, &at);
    }
    if (!part) text_puts(t, "0");
    if ((whole || part) && at < s.length && (s.at[at] | 32) == 'e') {
        text_puts(t, "e");
        at++;
        if (at < s.length && (s.at[at] == '-' || s.at[at] == '+')) text_add(t, s.at + at++, 1);
        if (!take_digits(t, s, &at)) return false;
    }
    text_puts(t, "]");
    return (whole || part) && at == s.length;
}

bool parse_float(struct memory *m, struct str s, double *value)
{
    s = str_strip(s, NULL, true, true);
    if (special_float(s, value)) return true;
    struct text t = {.memory = m};
    json_t *array = NULL;
    bool ok = rewrite_float(&t, s) && !t.failed && json_read(m, t.data, t.length, NULL, &array, NULL) == LORAC_OK;
    if (ok) *value = json_number_value(json_array_get(array, 0));
    json_decref(array);
    text_free(&t);
    return ok;
}

static int digit_value(char c)
{
    return is_digit_byte(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'z' ? (c | 32) - 'a' + 10 : 99;
}

static bool skip_prefix(struct str *s, int base)
{
    static const char letters[] = "b\2o\10x\20";
    for (const char *l = letters; *l; l += 2)
        if (l[1] == base && s->length > 2 && s->at[0] == '0' && (s->at[1] | 32) == *l)
            return *s = str_slice(*s, 2, s->length), true;
    return false;
}

bool parse_int(struct str s, int base, int64_t *value)
{
    s = str_strip(s, NULL, true, true);
    bool minus = s.length && s.at[0] == '-';
    if (s.length && (minus || s.at[0] == '+')) s = str_slice(s, 1, s.length);
    bool digit = skip_prefix(&s, base) && s.at[0] == '_'; /* 0x_ff is fine */
    *value = 0;
    for (size_t i = 0; i < s.length; i++) {
        if (s.at[i] == '_' && (digit || (!i && s.length > 1 && digit))) {
            digit = false;
            continue;
        }
        int d = digit_value(s.at[i]);
        if (d >= base || __builtin_mul_overflow(*value, (int64_t)base, value)) return false;
        if (minus ? __builtin_sub_overflow(*value, (int64_t)d, value)
                  : __builtin_add_overflow(*value, (int64_t)d, value))
            return false;
        digit = true;
    }
    return digit;
}
