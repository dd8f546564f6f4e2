/* json.c — reading JSON over jansson, and typed access to objects. See json.h; printing is json_print.c.
 *
 * jansson refuses some of what real files hold. A lexical pass before it rewrites just those tokens: integers
 * over 64 bits get ".0", lone surrogates become \uFFFD, and NaN and the infinities become marker numbers, whose
 * values are put back into the parsed tree. A text without such tokens is parsed where it stands. */
#include "base/json.h"
#include "base/os.h"

#include <math.h>
#include <string.h>

enum { DEPTH_CAP = 512 };

/* ---- numbers that JSON has no word for --------------------------------------------------- */

/* The markers are surrounded by spaces, so that "1NaN" stays an error. They are looked for only in texts that
 * hold one of the words, and no program prints these values. */
static const struct word {
    const char *name, *marker;
    double marker_value, value;
} words[] = {{"NaN", " 2.6180339887498948e-291 ", 2.6180339887498948e-291, NAN},
             {"Infinity", " 2.6180339887498948e-292 ", 2.6180339887498948e-292, INFINITY},
             {"-Infinity", " 2.6180339887498948e-293 ", 2.6180339887498948e-293, -INFINITY}};
enum { WORDS = sizeof words / sizeof *words };

static const struct word *find_word(const char *at, size_t left)
{
    for (const struct word *w = words; w < words + WORDS; w++)
        if (strlen(w->name) <= left && memcmp(at, w->name, strlen(w->name)) == 0) return w;
    return NULL;
}

/* jansson's setters refuse such values, though its trees, accessors and this library's printer hold them well.
 * In every jansson so far a real is a json_t and a double behind it: checked before it is written to. */
static bool set_real(json_t *real, double value)
{
    double held = json_real_value(real), found;
    char *place = (char *)real + sizeof(json_t);
    memcpy(&found, place, sizeof found);
    if (found != held) return false;
    memcpy(place, &value, sizeof value);
    return true;
}

static bool restore_words(json_t *value)
{
    size_t i;
    const char *key;
    json_t *item;
    bool good = true;
    if (json_is_array(value)) {
        json_array_foreach(value, i, item) good = good && restore_words(item);
    } else if (json_is_object(value)) {
        json_object_foreach(value, key, item) good = good && restore_words(item);
    } else if (json_is_real(value)) {
        double held = json_real_value(value);
        for (const struct word *w = words; w < words + WORDS; w++)
            if (held == w->marker_value) return set_real(value, w->value);
    }
    return good;
}

/* ---- the lexical pass -------------------------------------------------------------------- */

struct pass {
    const char *text;
    size_t length, at;
    size_t copied;   /* text[0 .. copied) went to `out`, perhaps changed */
    struct text out; /* stays empty while nothing had to change */
    size_t depth;
    bool words, too_deep;
};

/* The next `skip` bytes of the text are replaced. */
static void replace(struct pass *p, size_t skip, const char *by)
{
    text_add(&p->out, p->text + p->copied, p->at - p->copied);
    text_puts(&p->out, by);
    p->at += skip;
    p->copied = p->at;
}

/* The code unit of "\uXXXX" at `at`, or -1. */
static int read_escape(const struct pass *p, size_t at)
{
    int unit = 0;
    if (p->length - at < 6 || p->text[at] != '\\' || p->text[at + 1] != 'u') return -1;
    for (size_t i = at + 2; i < at + 6; i++) {
        char c = p->text[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static void pass_escape(struct pass *p)
{
    int unit = read_escape(p, p->at);
    if (unit < 0xD800 || unit > 0xDFFF) {
        p->at += 2; /* also for \" and \\, whose second byte must not be looked at again */
        return;
    }
    int next = unit < 0xDC00 && p->length - p->at >= 6 ? read_escape(p, p->at + 6) : -1;
    if (next >= 0xDC00 && next <= 0xDFFF)
        p->at += 12;
    else
        replace(p, 6, "\\uFFFD");
}

static void pass_string(struct pass *p)
{
    p->at++;
    while (p->at < p->length && p->text[p->at] != '"') {
        if (p->text[p->at] == '\\')
            pass_escape(p);
        else
            p->at++;
    }
    p->at++;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Whether the digits are over 64 bits. 2^63 itself is jansson's limit for both signs but one number. */
static bool is_wide(const char *digits, size_t count, bool negative)
{
    const char *limit = negative ? "9223372036854775808" : "9223372036854775807";
    return count > 19 || (count == 19 && memcmp(digits, limit, 19) > 0);
}

static void pass_number(struct pass *p)
{
    bool negative = p->text[p->at] == '-', whole = true;
    size_t start = p->at + negative, end = start;
    while (end < p->length && is_digit(p->text[end])) end++;
    if (end < p->length && (p->text[end] == '.' || p->text[end] == 'e' || p->text[end] == 'E')) whole = false;
    if (whole && end - start > 309) { /* the largest double has 309 digits */
        replace(p, end - p->at, words[negative ? 2 : 1].marker);
        p->words = true;
        return;
    }
    bool wide = whole && is_wide(p->text + start, end - start, negative);
    p->at = end;
    if (wide) replace(p, 0, ".0");
    while (!whole && p->at < p->length && p->text[p->at] != 0 && strchr("0123456789.eE+-", p->text[p->at])) p->at++;
}

static void pass_token(struct pass *p)
{
    char c = p->text[p->at];
    const struct word *word = c == 'N' || c == 'I' || c == '-' ? find_word(p->text + p->at, p->length - p->at) : NULL;
    if (word) {
        replace(p, strlen(word->name), word->marker);
        p->words = true;
    } else if (c == '"') {
        pass_string(p);
    } else if (c == '-' || is_digit(c)) {
        pass_number(p);
    } else {
        if (c == '[' || c == '{') p->too_deep |= ++p->depth > DEPTH_CAP;
        if ((c == ']' || c == '}') && p->depth) p->depth--;
        p->at++;
    }
}

static void pass_text(struct pass *p)
{
    if (p->length >= 3 && memcmp(p->text, "\xEF\xBB\xBF", 3) == 0) p->text += 3, p->length -= 3;
    while (p->at < p->length && !p->too_deep && !p->out.failed) pass_token(p);
    if (p->at > p->length) p->at = p->length; /* an unfinished string or escape, which jansson then names */
    if (p->copied) replace(p, 0, "");
}

/* ---- reading ----------------------------------------------------------------------------- */

static lorac_status parse(struct pass *p, const char *name, size_t flags, json_t **value, lorac_error *err)
{
    json_error_t error;
    if (p->too_deep) return fail(err, LORAC_FORMAT, name, "the JSON is nested over %d levels deep", DEPTH_CAP);
    if (p->out.failed) return fail_memory(err, "a JSON text", p->length);
    *value = json_loadb(p->copied ? p->out.data : p->text, p->copied ? p->out.length : p->length,
                        flags | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!*value && json_error_code(&error) == json_error_out_of_memory)
        return fail_memory(err, "a JSON tree", p->length);
    if (!*value) return fail(err, LORAC_FORMAT, name, "is no valid JSON: line %d: %s", error.line, error.text);
    if (!p->words || restore_words(*value)) return LORAC_OK;
    json_decref(*value);
    *value = NULL;
    return fail(err, LORAC_UNSUPPORTED, name, "holds NaN or Infinity, which this build's jansson cannot keep");
}

static lorac_status read_text(struct memory *m, const char *text, size_t length, const char *name, size_t flags,
                              json_t **value, lorac_error *err)
{
    struct pass p = {.text = text, .length = length, .out.memory = m};
    *value = NULL;
    pass_text(&p);
    lorac_status status = parse(&p, name, flags, value, err);
    text_free(&p.out);
    return status;
}

lorac_status json_read(struct memory *m, const char *text, size_t length, const char *name, json_t **value,
                       lorac_error *err)
{
    return read_text(m, text, length, name, 0, value, err);
}

lorac_status json_read_unique(struct memory *m, const char *text, size_t length, const char *name, json_t **value,
                              lorac_error *err)
{
    return read_text(m, text, length, name, JSON_REJECT_DUPLICATES, value, err);
}

lorac_status json_read_file(struct memory *m, const char *path, size_t cap, json_t **value, lorac_error *err)
{
    char *text = NULL;
    size_t length = 0;
    *value = NULL;
    TRY(os_read(m, path, cap, &text, &length, err));
    lorac_status status = json_read(m, text, length, path, value, err);
    mem_free(m, text);
    return status;
}

/* ---- typed fields ------------------------------------------------------------------------ */

static lorac_status fail_type(const json_t *found, const char *key, const char *expected, const char *file,
                              lorac_error *err)
{
    static const char *const names[] = {"an object", "a list", "a string", "an integer",
                                        "a number",  "true",   "false",    "null"};
    return fail(err, LORAC_FORMAT, file, "\"%s\" should be %s and is %s", key, expected, names[json_typeof(found)]);
}

/* NULL when missing or null. */
static const json_t *find(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

lorac_status json_get_size(const json_t *object, const char *key, size_t fallback, size_t *value, const char *file,
                           lorac_error *err)
{
    const json_t *found = find(object, key);
    if (!found) return *value = fallback, LORAC_OK;
    if (!json_is_number(found)) return fail_type(found, key, "a non-negative integer", file, err);
    double real = json_number_value(found);
    if (!(real >= 0) || real != floor(real) || (json_is_real(found) && real > 0x1p53))
        return fail(err, LORAC_FORMAT, file, "\"%s\" should be a non-negative integer and is %.17g", key, real);
    *value = json_is_integer(found) ? (size_t)json_integer_value(found) : (size_t)real;
    return LORAC_OK;
}

lorac_status json_get_float(const json_t *object, const char *key, double fallback, double *value, const char *file,
                            lorac_error *err)
{
    const json_t *found = find(object, key);
    if (!found) return *value = fallback, LORAC_OK;
    if (!json_is_number(found)) return fail_type(found, key, "a number", file, err);
    *value = json_number_value(found);
    return LORAC_OK;
}

lorac_status json_get_bool(const json_t *object, const char *key, bool fallback, bool *value, const char *file,
                           lorac_error *err)
{
    const json_t *found = find(object, key);
    if (!found) return *value = fallback, LORAC_OK;
    if (!json_is_boolean(found)) return fail_type(found, key, "true or false", file, err);
    *value = json_is_true(found);
    return LORAC_OK;
}

lorac_status json_get_text(const json_t *object, const char *key, const char *fallback, const char **value,
                           const char *file, lorac_error *err)
{
    const json_t *found = find(object, key);
    if (!found) return *value = fallback, LORAC_OK;
    if (!json_is_string(found)) return fail_type(found, key, "a string", file, err);
    if (strlen(json_string_value(found)) != json_string_length(found))
        return fail(err, LORAC_FORMAT, file, "\"%s\" holds a NUL character", key);
    *value = json_string_value(found);
    return LORAC_OK;
}
