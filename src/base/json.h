/* json.h — JSON in and out, over jansson; the only place that parses or prints it.
 *
 * Reading accepts what real files hold and jansson refuses: integers over 64 bits (become reals),
 * NaN, Infinity and -Infinity (become reals of that value), lone surrogates (become U+FFFD), a byte-order mark.
 * Depth is capped at 512 and size by the caller. Values are jansson's json_t and its accessors are used as they are. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/memory.h"
#include <jansson.h>

/* `name` is what errors call the text (a file name, may be NULL). The result is released with json_decref.
 * Duplicate keys: the last wins in json_read and are an error in json_read_unique. */
lorac_status json_read(struct memory *m, const char *text, size_t length, const char *name, json_t **value,
                       lorac_error *err);
lorac_status json_read_unique(struct memory *m, const char *text, size_t length, const char *name, json_t **value,
                              lorac_error *err);
lorac_status json_read_file(struct memory *m, const char *path, size_t cap, json_t **value, lorac_error *err);

/* How to print: Python's json.dumps is the model. Numbers print shortest round-trip as Python's repr does (0.1,
 * 1e-05, 2.0). */
struct json_style {
    int indent; /* 0: one line */
    bool sort_keys;
    bool ascii;   /* escape non-ASCII as \uXXXX; otherwise UTF-8 as is */
    bool compact; /* "," and ":" instead of ", " and ": " */
};
void json_print(struct text *out, const json_t *value, struct json_style style);
void json_print_number(struct text *out, double value); /* as Python's repr(float); NaN, Infinity, -Infinity */

/* The value on one line, for a caller of the public API to release with lorac_free. */
lorac_status json_hand_out(struct memory *m, const json_t *value, char **json, lorac_error *err);

/* Fields of an object with a type. Missing or null gives `fallback`; a wrong type is an error naming file, key,
 * expected, found. */
lorac_status json_get_size(const json_t *object, const char *key, size_t fallback, size_t *value, const char *file,
                           lorac_error *err); /* a non-negative integer, also written as 2.0 */
lorac_status json_get_float(const json_t *object, const char *key, double fallback, double *value, const char *file,
                            lorac_error *err);
lorac_status json_get_bool(const json_t *object, const char *key, bool fallback, bool *value, const char *file,
                           lorac_error *err);
/* Borrowed from the object. */
lorac_status json_get_text(const json_t *object, const char *key, const char *fallback, const char **value,
                           const char *file, lorac_error *err);

#endif
