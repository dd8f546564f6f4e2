/* normalize.c — running the steps, and those that need no table of characters. See normalize.h. */
#include "text/normalize.h"

#include "base/reader.h"
#include <string.h>

/* ---- the list ---------------------------------------------------------------------------- */

void normalizer_init(struct normalizer *n, struct memory *m)
{
    *n = (struct normalizer){m, {.memory = m, .size = sizeof(struct normalizer_step)}};
}

void normalizer_free(struct normalizer *n)
{
    struct normalizer_step *steps = n->steps.items;
    for (size_t i = 0; i < n->steps.count; i++) {
        pattern_free(&steps[i].pattern);
        charsmap_free(steps[i].charsmap);
        mem_free(n->memory, steps[i].content);
    }
    list_free(&n->steps);
}

struct normalizer_step *normalizer_add(struct normalizer *n, normalize_fn apply, lorac_error *err)
{
    struct normalizer_step *step = list_add(&n->steps);
    if (step)
        step->apply = apply;
    else
        fail_memory(err, "the normalizer", sizeof *step);
    return step;
}

lorac_status normalize(const struct normalizer *n, struct regex_match *match, struct text *buffer, const char **text,
                       size_t *length, lorac_error *err)
{
    const struct normalizer_step *steps = n->steps.items;
    for (size_t i = 0; i < n->steps.count; i++) {
        struct text out = {.memory = buffer->memory};
        lorac_status status = steps[i].apply(&steps[i], match, *text, *length, &out, err);
        if (status == LORAC_OK && out.failed) status = fail_memory(err, "normalised text", *length);
        if (status != LORAC_OK) return text_free(&out), status;
        text_free(buffer);
        *buffer = out;
        *text = out.data ? out.data : "";
        *length = out.length;
    }
    return LORAC_OK;
}

/* ---- steps ------------------------------------------------------------------------------- */

lorac_status normalize_replace(const struct normalizer_step *step, struct regex_match *match, const char *text,
                               size_t length, struct text *out, lorac_error *err)
{
    return pattern_replace(&step->pattern, match, step->content, text, length, out, err);
}

lorac_status normalize_prepend(const struct normalizer_step *step, struct regex_match *match, const char *text,
                               size_t length, struct text *out, lorac_error *err)
{
    if (length) text_puts(out, step->content);
    text_add(out, text, length);
    return LORAC_OK;
}

bool is_white_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
           c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

lorac_status normalize_strip(const struct normalizer_step *step, struct regex_match *match, const char *text,
                             size_t length, struct text *out, lorac_error *err)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t first = length, last = 0, size; /* the text that stays */
    for (size_t at = 0; at < length; at += size) {
        uint32_t code = 0;
        size = utf8_decode(p + at, length - at, &code);
        if (!size) size = 1;
        if (is_white_space(code)) continue;
        if (first == length) first = at;
        last = at + size;
    }
    if (!step->left) first = 0;
    if (!step->right) last = length;
    if (first < last) text_add(out, text + first, last - first);
    return LORAC_OK;
}

lorac_status normalize_byte_level(const struct normalizer_step *step, struct regex_match *match, const char *text,
                                  size_t length, struct text *out, lorac_error *err)
{
    struct byte_alphabet alphabet;
    byte_alphabet_init(&alphabet);
    byte_level_spell(&alphabet, out, (const uint8_t *)text, length);
    return LORAC_OK;
}

static bool ends_in_mark(const char *text, size_t length)
{
    return length >= 3 && !memcmp(text + length - 3, "\xE2\x96\x81", 3);
}

lorac_status normalize_spaces(const struct normalizer_step *step, struct regex_match *match, const char *text,
                              size_t length, struct text *out, lorac_error *err)
{
    static const char mark[] = "\xE2\x96\x81";
    size_t at = 0;
    while (step->trim && length && text[length - 1] == ' ') length--;
    while (step->trim_marks && length && (text[length - 1] == ' ' || ends_in_mark(text, length)))
        length -= text[length - 1] == ' ' ? 1 : 3;
    while (step->trim && at < length && text[at] == ' ') at++;
    bool marked = (step->escape && at < length && text[at] == ' ') || (length - at >= 3 && !memcmp(text + at, mark, 3));
    if (step->mark_again && marked) text_puts(out, mark);
    for (size_t end; at < length; at = end) {
        for (end = at; end < length && text[end] != ' ';) end++;
        text_add(out, text + at, end - at);
        if (end == length) break;
        text_puts(out, step->escape ? mark : " ");
        for (end++; step->trim && end < length && text[end] == ' ';) end++;
    }
    return LORAC_OK;
}
