/* pretokenize.c — text to words. See pretokenize.h. */
#include "text/pretokenize.h"

#include <string.h>
#include "text/scripts.h"

enum { MAX_STEPS = 64 };

const char pattern_gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const char pattern_llama3[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
                              " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char pattern_qwen2[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
                             " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

void pretokenizer_init(struct pretokenizer *p, struct memory *m)
{
    *p = (struct pretokenizer){.steps = {.memory = m, .size = sizeof(struct split_step)}};
    byte_alphabet_init(&p->alphabet);
}

void pretokenizer_free(struct pretokenizer *p)
{
    struct split_step *steps = p->steps.items;
    for (size_t i = 0; i < p->steps.count; i++) {
        regex_free(steps[i].regex);
        mem_free(p->steps.memory, steps[i].pattern);
    }
    list_free(&p->steps);
}

lorac_status pretokenizer_add(struct pretokenizer *p, const char *pattern, size_t length, bool literal,
                              struct split_step step, const char *file, lorac_error *err)
{
    if (p->steps.count == MAX_STEPS)
        return fail(err, LORAC_UNSUPPORTED, file, "the pre-tokenizer has more than %d steps", MAX_STEPS);
    struct memory *m = p->steps.memory;
    if (pattern) TRY(regex_compile(m, pattern, length, literal, file, &step.regex, err));
    step.pattern = pattern ? mem_text(m, pattern, length) : NULL;
    struct split_step *added = !pattern || step.pattern ? list_add(&p->steps) : NULL;
    if (added) return *added = step, LORAC_OK;
    regex_free(step.regex);
    mem_free(m, step.pattern);
    return fail_memory(err, "the pre-tokenizer", sizeof step);
}

lorac_status pretokenizer_stay_spelled(struct pretokenizer *p, const char *file, lorac_error *err)
{
    if (p->byte_level) TRY(pretokenizer_add(p, NULL, 0, false, (struct split_step){.spell = true}, file, err));
    p->byte_level = p->spelled = false;
    return LORAC_OK;
}

/* ---- cutting ----------------------------------------------------------------------------- */

struct run {
    const struct pretokenizer *pretokenizer;
    struct regex_match *match;
    word_fn word;
    void *context;
    bool first;        /* nothing of the whole text came before */
    struct text bytes; /* of a spelled word */
};

/* Spans of one piece, matches and what lies between them, on their way to the next step. */
struct spans {
    struct run *run;
    size_t step;
    const char *text;
    size_t begin, end; /* what waits for the span after it */
    bool waiting, matched;
};

static lorac_status cut(struct run *run, size_t step, const char *text, size_t length, lorac_error *err);

static lorac_status pass_on(struct spans *s, lorac_error *err)
{
    if (!s->waiting || s->begin == s->end) return LORAC_OK;
    return cut(s->run, s->step + 1, s->text + s->begin, s->end - s->begin, err);
}

/* Whether a span joins the one before it: a bit for each of (neither is a match, only the one before, only this, both).
 */
static const uint8_t joins[] = {[SPLIT_ISOLATED] = 0x0,
                                [SPLIT_REMOVED] = 0x0,
                                [SPLIT_MERGED_WITH_PREVIOUS] = 0x4,
                                [SPLIT_MERGED_WITH_NEXT] = 0x2,
                                [SPLIT_CONTIGUOUS] = 0x9};

static lorac_status add_span(struct spans *s, bool matched, size_t begin, size_t end, lorac_error *err)
{
    const struct split_step *step = (const struct split_step *)s->run->pretokenizer->steps.items + s->step;
    matched = matched != step->invert;
    bool join = joins[step->behaviour] >> (matched * 2 + s->matched) & 1;
    s->matched = matched;
    if (join && s->waiting) {
        s->end = end;
        return LORAC_OK;
    }
    TRY(pass_on(s, err));
    s->waiting = !(matched && step->behaviour == SPLIT_REMOVED);
    s->begin = begin;
    s->end = end;
    return LORAC_OK;
}

static lorac_status cut_at_matches(struct run *run, const struct regex *regex, size_t step, const char *text,
                                   size_t length, lorac_error *err)
{
    struct regex_scan scan;
    struct spans spans = {.run = run, .step = step, .text = text};
    size_t done = 0, start, end;
    bool found = true;
    TRY(regex_scan_begin(&scan, regex, run->match, text, length, err));
    lorac_status status = regex_scan_next(&scan, &found, &start, &end, err);
    while (status == LORAC_OK && found) {
        if (done < start) status = add_span(&spans, false, done, start, err);
        if (status == LORAC_OK) status = add_span(&spans, true, start, end, err);
        done = end;
        if (status == LORAC_OK) status = regex_scan_next(&scan, &found, &start, &end, err);
    }
    regex_scan_end(&scan);
    if (status == LORAC_OK && done < length) status = add_span(&spans, false, done, length, err);
    return status == LORAC_OK ? pass_on(&spans, err) : status;
}

/* Goes on with a changed copy of the piece. */
static lorac_status cut_copy(struct run *run, size_t step, bool space, bool spell, const char *text, size_t length,
                             lorac_error *err)
{
    struct text copy = {.memory = run->pretokenizer->steps.memory};
    const struct split_step *s = (const struct split_step *)run->pretokenizer->steps.items + step;
    if (space) text_puts(&copy, " ");
    if (spell)
        byte_level_spell(&run->pretokenizer->alphabet, &copy, (const uint8_t *)text, length);
    else
        text_add(&copy, text, length);
    lorac_status status = copy.failed ? fail_memory(err, "text", length) : LORAC_OK;
    if (status == LORAC_OK)
        status = s->regex ? cut_at_matches(run, s->regex, step, copy.data, copy.length, err)
                          : cut(run, step + 1, copy.data, copy.length, err);
    text_free(&copy);
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

/* What comes before the first character with a script is dropped, as in the reference. */
static lorac_status cut_at_scripts(struct run *run, size_t step, const char *text, size_t length, lorac_error *err)
{
    unsigned script = 0;
    for (size_t at = script_change(text, length, 0, &script), end; at < length; at = end) {
        end = script_change(text, length, at, &script);
        TRY(cut(run, step + 1, text + at, end - at, err));
    }
    return LORAC_OK;
}

static lorac_status give_word(struct run *run, const char *text, size_t length, lorac_error *err)
{
    run->first = false;
    if (!run->pretokenizer->spelled) return run->word(run->context, text, length, err);
    run->bytes.length = 0;
    byte_level_read(&run->pretokenizer->alphabet, &run->bytes, text, length);
    if (run->bytes.failed) return fail_memory(err, "text", length);
    return run->word(run->context, run->bytes.data, run->bytes.length, err);
}

static lorac_status cut(struct run *run, size_t step, const char *text, size_t length, lorac_error *err)
{
    if (step == run->pretokenizer->steps.count) return give_word(run, text, length, err);
    const struct split_step *s = (const struct split_step *)run->pretokenizer->steps.items + step;
    if (*s->metaspace.mark) return cut_at_marks(run, step, text, length, err);
    if (s->scripts) return cut_at_scripts(run, step, text, length, err);
    bool space = s->prefix_space && text[0] != ' ';
    if (space || s->spell) return cut_copy(run, step, space, s->spell, text, length, err);
    if (!s->regex) return cut(run, step + 1, text, length, err);
    return cut_at_matches(run, s->regex, step, text, length, err);
}

lorac_status pretokenize(const struct pretokenizer *p, struct regex_match *match, bool first, const char *text,
                         size_t length, word_fn word, void *context, lorac_error *err)
{
    struct run run = {p, match, word, context, first, {.memory = p->steps.memory}};
    lorac_status status = length ? cut(&run, 0, text, length, err) : LORAC_OK;
    text_free(&run.bytes);
    return status;
}
