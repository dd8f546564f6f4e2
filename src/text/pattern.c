/* pattern.c — finding and replacing. See pattern.h. */
#include "text/pattern.h"

#include "base/reader.h"
#include <string.h>

lorac_status pattern_make(struct pattern *p, struct memory *m, const char *text, size_t length, bool literal,
                          const char *file, lorac_error *err)
{
    *p = (struct pattern){.literal.memory = m};
    if (!literal) return regex_compile(m, text, length, false, file, &p->regex, err);
    if (!length) return fail(err, LORAC_FORMAT, file, "a Replace looks for an empty text");
    text_add(&p->literal, text, length);
    return p->literal.failed ? fail_memory(err, "a pattern", length) : LORAC_OK;
}

void pattern_free(struct pattern *p)
{
    regex_free(p->regex);
    if (p->literal.memory) text_free(&p->literal);
    *p = (struct pattern){0};
}

static void replace_literal(const struct text *wanted, const char *content, const char *text, size_t length,
                            struct text *out)
{
    const char *end = text + length, *found;
    size_t size = strlen(content);
    while (text < end && (found = memmem(text, (size_t)(end - text), wanted->data, wanted->length))) {
        text_add(out, text, (size_t)(found - text));
        text_add(out, content, size);
        text = found + wanted->length;
    }
    text_add(out, text, (size_t)(end - text));
}

static lorac_status replace_matches(const struct regex *regex, struct regex_match *match, const char *content,
                                    const char *text, size_t length, struct text *out, lorac_error *err)
{
    struct regex_scan scan;
    size_t done = 0, start, end;
    bool found = true;
    TRY(regex_scan_begin(&scan, regex, match, text, length, err));
    lorac_status status = regex_scan_next(&scan, &found, &start, &end, err);
    for (; status == LORAC_OK && found; status = regex_scan_next(&scan, &found, &start, &end, err)) {
        text_add(out, text + done, start - done);
        text_puts(out, content);
        done = end;
    }
    regex_scan_end(&scan);
    text_add(out, text + done, length - done);
    return status;
}

lorac_status pattern_replace(const struct pattern *p, struct regex_match *match, const char *content, const char *text,
                             size_t length, struct text *out, lorac_error *err)
{
    if (p->regex) return replace_matches(p->regex, match, content, text, length, out, err);
    replace_literal(&p->literal, content, text, length, out);
    return LORAC_OK;
}
