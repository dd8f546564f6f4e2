/* json_out.h — what the command prints as JSON, over jansson.
 *
 * Reals print with nine digits, enough to tell any two floats apart; a number that JSON cannot hold is null. */
#ifndef CLI_JSON_OUT_H
#define CLI_JSON_OUT_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

json_t *json_number(double value);
json_t *json_float(float value);                    /* the shortest decimal that reads back as this float */
json_t *json_text(const char *text, size_t length); /* malformed UTF-8 becomes U+FFFD */
json_t *json_ids(const int32_t *ids, size_t count);

/* One line, flushed; takes the value over. */
void json_print_line(FILE *out, json_t *value);
/* The line as text without its end, released with free; NULL when out of memory. The value stays the caller's. */
char *json_line(const json_t *value);

#endif
