/* pretokenize.c — text to words. See pretokenize.h. */
#include "text/pretokenize.h"

#include "base/reader.h"
#include <string.h>

const char pattern_gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const char pattern_llama3[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
                              " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char pattern_qwen2[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
                             " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

lorac_status pretokenizer_add(struct pretokenizer *p, const char *pattern, size_t length, bool literal,
                              struct split_step step, const char *file, lorac_error *err)
{
    if (pattern) TRY(regex_compile(p->steps.memory, pattern, length, literal, file, &step.regex, err));
    struct split_step *added = list_add(&p->steps);
    if (added)
        *added = step;
    else
        regex_free(step.regex);
    return added ? LORAC_OK : fail_memory(err, "the pre-tokenizer", sizeof step);
}

void pretokenizer_free(struct pretokenizer *p)
{
    struct split_step *steps = p->steps.items;
    for (size_t i = 0; i < p->steps.count; i++) regex_free(steps[i].regex);
    list_free(&p->steps);
}

/* ---- cutting ----------------------------------------------------------------------------- */

struct run {
    const struct pretokenizer *pretokenizer;
    struct regex_match *match;
    word_fn word;
    void *context;
    bool first; /* nothing of the whole text came before */
};

static lorac_status cut(struct run *run, size_t step, const char *text, size_t length, lorac_error *err);

static lorac_status pass_on(struct run *run, size_t step, bool matched, const char *text, size_t length,
                            lorac_error *err)
{
    const struct split_step *s = (const struct split_step *)run->pretokenizer->steps.items + step;
    bool removed = s->behaviour == SPLIT_REMOVED && matched != s->invert;
    return !length || removed ? LORAC_OK : cut(run, step + 1, text, length, err);
}

/* After an empty match the search goes on one character later; the cut stays where the match was. */
static lorac_status cut_at_matches(struct run *run, size_t step, const char *text, size_t length, lorac_error *err)
{
    const struct regex *regex = ((const struct split_step *)run->pretokenizer->steps.items)[step].regex;
    size_t done = 0, start, end;
    bool found;
    for (size_t at = 0; at < length; at = end) {
        TRY(regex_find(regex, run->match, text, length, at, &found, &start, &end, err));
        if (!found) break;
        TRY(pass_on(run, step, false, text + done, start - done, err));
        TRY(pass_on(run, step, true, text + start, end - start, err));
        done = end;
        if (start == end && end < length) end += utf8_length((const uint8_t *)text + end, length - end);
    }
    return pass_on(run, step, false, text + done, length - done, err);
}

static lorac_status cut_with_space(struct run *run, size_t step, const char *text, size_t length, lorac_error *err)
{
    struct text spaced = {.memory = run->pretokenizer->steps.memory};
    text_puts(&spaced, " ");
    text_add(&spaced, text, length);
    lorac_status status = spaced.failed ? fail_memory(err, "text", length) : LORAC_OK;
    if (status == LORAC_OK) status = cut(run, step, spaced.data, spaced.length, err);
    text_free(&spaced);
    return status;
}

static lorac_status cut_at_marks(struct run *run, size_t step, const char *text, size_t length, lorac_error *err)
{
    const struct metaspace *m = &((const struct split_step *)run->pretokenizer->steps.items)[step].metaspace;
    struct text marked = {.memory = run->pretokenizer->steps.memory};
    metaspace_mark(m, run->first, text, length, &marked);
    lorac_status status = marked.failed ? fail_memory(err, "text", length) : LORAC_OK;
    for (size_t at = 0, end; at < marked.length && status == LORAC_OK; at = end) {
        end = m->split ? metaspace_word_end(m, marked.data, marked.length, at) : marked.length;
        status = cut(run, step + 1, marked.data + at, end - at, err);
    }
    text_free(&marked);
    return status;
}

static lorac_status cut(struct run *run, size_t step, const char *text, size_t length, lorac_error *err)
{
    if (step == run->pretokenizer->steps.count) {
        run->first = false;
        return run->word(run->context, text, length, err);
    }
    const struct split_step *s = (const struct split_step *)run->pretokenizer->steps.items + step;
    if (*s->metaspace.mark) return cut_at_marks(run, step, text, length, err);
    if (s->prefix_space && text[0] != ' ') return cut_with_space(run, step, text, length, err);
    if (!s->regex) return cut(run, step + 1, text, length, err);
    return cut_at_matches(run, step, text, length, err);
}

lorac_status pretokenize(const struct pretokenizer *p, struct regex_match *match, bool first, const char *text,
                         size_t length, word_fn word, void *context, lorac_error *err)
{
    struct run run = {p, match, word, context, first};
    return length ? cut(&run, 0, text, length, err) : LORAC_OK;
}
