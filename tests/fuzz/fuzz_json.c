/* fuzz_json.c — any bytes as JSON: no crash, no leak; what was read prints to a text that reads and prints the same. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

static void print(struct text *out, const json_t *value, struct json_style style)
{
    json_print(out, value, style);
    if (out->failed) abort();
}

static void check_round_trip(struct memory *m, const json_t *value, struct json_style style)
{
    struct text first = {.memory = m}, second = {.memory = m};
    json_t *again;
    lorac_error err;
    print(&first, value, style);
    if (json_read(m, first.data, first.length, NULL, &again, &err) != LORAC_OK) abort();
    print(&second, again, style);
    if (first.length != second.length || memcmp(first.data, second.data, first.length) != 0) abort();
    json_decref(again);
    text_free(&first);
    text_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory m = {0};
    json_t *value;
    lorac_error err = {.message = ""};
    lorac_status status = json_read(&m, (const char *)data, size, "fuzz", &value, &err);
    if (m.used || (status != LORAC_OK && (value || !*err.message))) abort();
    if (status != LORAC_OK) return 0;
    check_round_trip(&m, value, (struct json_style){0});
    check_round_trip(&m, value, (struct json_style){.sort_keys = true, .ascii = true, .compact = true});
    json_decref(value);
    if (m.used) abort();
    return 0;
}
