/* json_print.c — printing JSON as Python's json.dumps does. See json.h.
 *
 * Takes trees as jansson holds them, in insertion order or sorted by key. Refuses (out->failed) a tree over
 * 1024 levels deep. */
#include "base/json.h"
#include "base/reader.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_CAP = 1024 };

/* ---- numbers ----------------------------------------------------------------------------- */

/* digits[0] . digits[1..count) x 10^exponent; the digits as characters. */
struct decimal {
    char digits[24];
    int count, exponent;
};

/* printf writes "d" separator "ddd" "e" sign "dd"; only the separator depends on the locale and it is skipped. */
static void read_decimal(const char *text, struct decimal *d)
{
    d->count = 0;
    const char *p = text;
    for (; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9') d->digits[d->count++] = *p;
    d->exponent = (int)strtol(p + 1, NULL, 10);
    while (d->count > 1 && d->digits[d->count - 1] == '0') d->count--;
}

/* Adds one in the last place of "d.ddde+xx"; false when that carries past the first digit. */
static bool bump(char *text)
{
    for (char *p = strchr(text, 'e'); p-- > text;) {
        if (*p < '0' || *p > '9') continue;
        if (*p != '9') return ++*p, true;
        *p = '0';
    }
    return false;
}

/* The shortest digits that read back as `value`, the nearest of those. strtod reads what printf wrote a moment
 * before in the same locale. Below a power of two doubles lie closer than above: there the nearest decimal of
 * some length may miss while the next one up hits. */
static void shortest(double value, struct decimal *d)
{
    char text[64];
    for (int digits = value < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value || (bump(text) && strtod(text, NULL) == value)) break;
    }
    read_decimal(text, d);
}

static void print_digits(struct text *out, const struct decimal *d, int from, int to) /* zeros past the last */
{
    for (int i = from; i < to; i++) text_add(out, i < d->count ? &d->digits[i] : "0", 1);
}

void json_print_number(struct text *out, double value)
{
    if (isnan(value)) return text_puts(out, "NaN");
    if (signbit(value)) text_puts(out, "-");
    if (isinf(value)) return text_puts(out, "Infinity");

    struct decimal d = {"0", 1, 0};
    if (value != 0) shortest(fabs(value), &d);
    if (d.exponent < -4 || d.exponent >= 16) {
        print_digits(out, &d, 0, 1);
        if (d.count > 1) text_puts(out, ".");
        print_digits(out, &d, 1, d.count);
        text_printf(out, "e%c%02d", d.exponent < 0 ? '-' : '+', abs(d.exponent));
    } else if (d.exponent < 0) {
        text_add(out, "0.0000", (size_t)(1 - d.exponent));
        print_digits(out, &d, 0, d.count);
    } else {
        int whole = d.exponent + 1;
        print_digits(out, &d, 0, whole);
        text_puts(out, ".");
        print_digits(out, &d, whole, d.count > whole ? d.count : whole + 1);
    }
}

/* ---- strings ----------------------------------------------------------------------------- */

static void print_unit(struct text *out, uint32_t unit)
{
    text_printf(out, "\\u%04x", (unsigned)unit);
}

static void print_code(struct text *out, uint32_t code, const char *bytes, size_t length, bool ascii)
{
    static const char escapes[] = "\"\"\\\\\nn\rr\tt\ff\bb"; /* character, letter, character, letter ... */
    const char *escape = NULL;
    for (size_t i = 0; i + 1 < sizeof escapes && !escape; i += 2)
        if ((uint32_t)escapes[i] == code) escape = &escapes[i + 1];
    if (escape) {
        text_puts(out, "\\");
        text_add(out, escape, 1);
    } else if (code < 0x20 || (ascii && code >= 0x7F && code < 0x10000)) {
        print_unit(out, code);
    } else if (ascii && code >= 0x10000) {
        print_unit(out, 0xD7C0 + (code >> 10)); /* 0xD800 + ((code - 0x10000) >> 10) */
        print_unit(out, 0xDC00 + (code & 0x3FF));
    } else {
        text_add(out, bytes, length);
    }
}

static void print_string(struct text *out, const char *s, size_t length, bool ascii)
{
    text_puts(out, "\"");
    for (size_t at = 0; at < length;) {
        uint32_t code = 0xFFFD; /* jansson holds well-formed UTF-8 only, unless told not to check */
        size_t n = utf8_decode((const uint8_t *)s + at, length - at, &code);
        if (n)
            print_code(out, code, s + at, n, ascii);
        else
            print_code(out, code, "\xEF\xBF\xBD", 3, ascii);
        at += n ? n : 1;
    }
    text_puts(out, "\"");
}

/* ---- values ------------------------------------------------------------------------------ */

static void print_value(struct text *out, const json_t *value, struct json_style style, int depth);

/* What stands before item `i` of a container, and (last) before its closing bracket. */
static void print_gap(struct text *out, struct json_style style, size_t i, int depth, bool last)
{
    if (i && !last) text_puts(out, style.compact || style.indent ? "," : ", ");
    if (!style.indent) return;
    text_puts(out, "\n");
    for (int k = 0; k < style.indent * depth; k++) text_puts(out, " ");
}

static void print_array(struct text *out, const json_t *array, struct json_style style, int depth)
{
    size_t count = json_array_size(array);
    text_puts(out, "[");
    for (size_t i = 0; i < count; i++) {
        print_gap(out, style, i, depth + 1, false);
        print_value(out, json_array_get(array, i), style, depth + 1);
    }
    if (count) print_gap(out, style, count, depth, true);
    text_puts(out, "]");
}

struct member {
    const char *key;
    const json_t *value;
};

/* Bytes of UTF-8 sort as code points do, which is Python's order. */
static int compare_members(const void *a, const void *b)
{
    return strcmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static struct member *list_members(struct memory *m, const json_t *object, bool sorted)
{
    struct member *members = mem_array(m, json_object_size(object), sizeof *members);
    size_t count = 0;
    const char *key;
    json_t *value;
    if (!members) return NULL;
    json_object_foreach((json_t *)object, key, value) members[count++] = (struct member){key, value};
    if (sorted && count) qsort(members, count, sizeof *members, compare_members);
    return members;
}

static void print_object(struct text *out, const json_t *object, struct json_style style, int depth)
{
    size_t count = json_object_size(object);
    struct member *members = list_members(out->memory, object, style.sort_keys);
    if (!members) {
        out->failed = true;
        return;
    }
    text_puts(out, "{");
    for (size_t i = 0; i < count; i++) {
        print_gap(out, style, i, depth + 1, false);
        print_string(out, members[i].key, strlen(members[i].key), style.ascii);
        text_puts(out, style.compact ? ":" : ": ");
        print_value(out, members[i].value, style, depth + 1);
    }
    if (count) print_gap(out, style, count, depth, true);
    text_puts(out, "}");
    mem_free(out->memory, members);
}

static void print_value(struct text *out, const json_t *value, struct json_style style, int depth)
{
    if (depth > DEPTH_CAP) out->failed = true;
    if (out->failed) return;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return print_object(out, value, style, depth);
    case JSON_ARRAY:
        return print_array(out, value, style, depth);
    case JSON_STRING:
        return print_string(out, json_string_value(value), json_string_length(value), style.ascii);
    case JSON_INTEGER:
        return text_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL:
        return json_print_number(out, json_real_value(value));
    case JSON_TRUE:
        return text_puts(out, "true");
    case JSON_FALSE:
        return text_puts(out, "false");
    case JSON_NULL:
        return text_puts(out, "null");
    }
}

void json_print(struct text *out, const json_t *value, struct json_style style)
{
    print_value(out, value, style, 0);
}

lorac_status json_hand_out(struct memory *m, const json_t *value, char **json, lorac_error *err)
{
    struct text text = {.memory = m};
    json_print(&text, value, (struct json_style){0});
    *json = text_release(&text);
    lorac_status status = *json ? LORAC_OK : fail_memory(err, "a description", text.length);
    text_free(&text);
    return status;
}
