/* json_out.c — builds and prints the command's JSON. */
#include "json_out.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define STYLE (JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9))

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_float(float value)
{
    char digits[32];
    for (int precision = 6; precision <= 9 && isfinite(value); precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, (double)value);
        double shortest = strtod(digits, NULL);
        if ((float)shortest == value) return json_real(shortest);
    }
    return json_number((double)value);
}

/* The length of the well-formed UTF-8 character at `s`, 0 if there is none (Unicode 15, table 3-7). */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : s[0] < 0xF5 ? 4 : 0;
    if (!n || n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F)) return 0;
    if ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F)) return 0;
    return n;
}

json_t *json_text(const char *text, size_t length)
{
    char *clean = malloc(3 * length + 1);
    size_t used = 0;
    if (!clean) return NULL;
    for (size_t i = 0; i < length;) {
        size_t n = utf8_length((const unsigned char *)text + i, length - i);
        memcpy(clean + used, n ? text + i : "\xEF\xBF\xBD", n ? n : 3);
        used += n ? n : 3;
        i += n ? n : 1;
    }
    json_t *value = json_stringn(clean, used);
    free(clean);
    return value;
}

json_t *json_ids(const int32_t *ids, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(array, json_integer(ids[i]));
    return array;
}

char *json_line(const json_t *value)
{
    return json_dumps(value, STYLE);
}

void json_print_line(FILE *out, json_t *value)
{
    json_dumpf(value, out, STYLE);
    fputc('\n', out);
    fflush(out);
    json_decref(value);
}
