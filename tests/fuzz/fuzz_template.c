/* fuzz_template.c — a template, a zero byte, and its variables as JSON. Whatever they are: text or an error, no leak.
 */
#include "text/template.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory m = {.limit = (size_t)64 << 20};
    struct text out = {.memory = &m};
    struct list spans = {.memory = &m, .size = sizeof(struct text_span)};
    struct chat_template *t = NULL;
    json_t *variables = NULL;
    lorac_error err;
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t length = zero ? (size_t)(zero - data) : size;
    if (zero) json_read(&m, (const char *)zero + 1, size - length - 1, "variables", &variables, NULL);
    if (!variables) variables = json_object();
    if (template_parse(&m, (const char *)data, length, "template", &t, &err) == LORAC_OK)
        template_render(t, variables, &out, &spans, &err);
    template_free(t);
    text_free(&out);
    list_free(&spans);
    json_decref(variables);
    if (m.used) abort();
    return 0;
}
