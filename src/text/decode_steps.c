/* decode_steps.c — the steps that tokenizer files name: what each makes of a token. */
#include "text/decode_chain.h"

#include "base/reader.h"
#include "text/utf8.h"
#include <string.h>

static const struct decoder_step *step_of(const struct decoder_run *run, size_t step)
{
    return (const struct decoder_step *)run->decoder->steps.items + step;
}

/* The run's scratch, empty; valid until the next step takes it, so it is given on at once. */
static struct text *fresh(struct decoder_run *run)
{
    run->scratch.length = 0;
    return &run->scratch;
}

/* Steps nest, and each may want the scratch: what is given on moves out of it first. */
static lorac_status give_scratch(struct decoder_run *run, size_t step, bool begins, bool ends, lorac_error *err)
{
    struct text made = run->scratch;
    run->scratch = (struct text){.memory = made.memory};
    struct decoder_piece piece = {made.data ? made.data : "", made.length, begins, ends};
    lorac_status status =
        made.failed ? fail_memory(err, "text", made.length) : decoder_give_piece(run, step, piece, err);
    text_free(&run->scratch);
    run->scratch = made;
    return status;
}

static bool begins_with(const char *text, size_t length, const char *start)
{
    size_t wanted = strlen(start);
    return length >= wanted && !memcmp(text, start, wanted);
}

/* text with every `from` (not empty) replaced by `to`. */
static void replace_all(struct text *out, const char *text, size_t length, const char *from, const char *to)
{
    size_t wanted = strlen(from);
    for (size_t at = 0; at < length;) {
        bool here = wanted && begins_with(text + at, length - at, from);
        if (here)
            text_puts(out, to);
        else
            text_add(out, text + at, 1);
        at += here ? wanted : 1;
    }
}

/* ---- ByteLevel, Fuse, no decoder --------------------------------------------------------- */

/* All tokens become one, which goes on in parts. */
static lorac_status give_part(struct decoder_run *run, size_t step, const char *text, size_t length, lorac_error *err)
{
    struct decoder_piece part = {text, length, .begins = !run->states[step].seen++};
    return decoder_give_piece(run, step, part, err);
}

static lorac_status finish_fused(struct decoder_run *run, size_t step, lorac_error *err)
{
    return decoder_give_piece(run, step, (struct decoder_piece){"", 0, !run->states[step].seen, true}, err);
}

static lorac_status push_fuse(struct decoder_run *run, size_t step, struct decoder_piece p, lorac_error *err)
{
    return give_part(run, step, p.text, p.length, err);
}

/* held: raw bytes that may still become a character. */
static lorac_status push_bytes(struct decoder_run *run, size_t step, struct decoder_piece p, lorac_error *err)
{
    struct text *held = &run->states[step].held, *out = fresh(run);
    byte_level_read(&run->decoder->alphabet, held, p.text, p.length);
    size_t open = utf8_mend_open(out, held->data, held->length);
    if (open) memmove(held->data, held->data + held->length - open, open);
    held->length = open;
    return give_scratch(run, step, !run->states[step].seen++, false, err);
}

static lorac_status finish_bytes(struct decoder_run *run, size_t step, lorac_error *err)
{
    if (run->states[step].held.length) TRY(give_part(run, step, "\xEF\xBF\xBD", 3, err));
    return finish_fused(run, step, err);
}

static lorac_status push_join(struct decoder_run *run, size_t step, struct decoder_piece p, lorac_error *err)
{
    if (run->states[step].seen++) TRY(decoder_give(run, step, " ", 1, err));
    return decoder_give(run, step, p.text, p.length, err);
}

/* ---- ByteFallback ------------------------------------------------------------------------ */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* "<0xE6>": its byte, -1: another token. A plus sign is taken for a zero, as in the reference. */
static int byte_of(const char *text, size_t length)
{
    if (length != 6 || memcmp(text, "<0x", 3) || text[5] != '>') return -1;
    int high = text[3] == '+' ? 0 : hex(text[3]), low = hex(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* A run of bytes that is not text as a whole becomes one U+FFFD for each. */
static lorac_status give_bytes(struct decoder_run *run, size_t step, lorac_error *err)
{
    struct text *held = &run->states[step].held;
    if (!held->length) return LORAC_OK;
    if (utf8_is_valid(held->data, held->length))
        TRY(decoder_give(run, step, held->data, held->length, err));
    else
        for (size_t i = 0; i < held->length; i++) TRY(decoder_give(run, step, "\xEF\xBF\xBD", 3, err));
    held->length = 0;
    return LORAC_OK;
}

static lorac_status push_fallback(struct decoder_run *run, size_t step, struct decoder_piece p, lorac_error *err)
{
    int byte = byte_of(p.text, p.length);
    if (byte >= 0) return text_add(&run->states[step].held, (const char[]){(char)byte}, 1), LORAC_OK;
    TRY(give_bytes(run, step, err));
    return decoder_give(run, step, p.text, p.length, err);
}

/* ---- Replace, Strip ---------------------------------------------------------------------- */

static lorac_status push_replace(struct decoder_run *run, size_t step, struct decoder_piece p, lorac_error *err)
{
    const struct decoder_step *s = step_of(run, step);
    struct text *out = fresh(run);
    TRY(pattern_replace(&s->pattern, run->match, s->content, p.text, p.length, out, err));
    return give_scratch(run, step, true, true, err);
}

/* Drops up to `start` markers at the token's start, `seen` so far. */
static void strip_start(const struct decoder_step *s, struct decoder_state *state, struct decoder_piece *p)
{
    size_t marker = strlen(s->marker);
    if (p->begins) state->open = true, state->seen = 0, state->held.length = 0;
    while (state->open && p->length) {
        state->open = state->seen < s->start && begins_with(p->text, p->length, s->marker);
        if (!state->open) return;
        p->text += marker;
        p->length -= marker;
        state->seen++;
    }
}

/* Gives out the token but for the last `stop` markers, which are held until it goes on or ends. */
static lorac_status push_strip(struct decoder_run *run, size_t step, struct decoder_piece p, lorac_error *err)
{
    const struct decoder_step *s = step_of(run, step);
    struct decoder_state *state = &run->states[step];
    bool begins = p.begins;
    size_t marker = strlen(s->marker), kept = 0;
    strip_start(s, state, &p);
    text_add(&state->held, p.text, p.length);
    size_t length = state->held.length;
    while (kept < s->stop && length >= marker && !memcmp(state->held.data + length - marker, s->marker, marker))
        length -= marker, kept++;
    TRY(decoder_give_piece(run, step, (struct decoder_piece){length ? state->held.data : "", length, begins, p.ends},
                           err));
    if (kept) memmove(state->held.data, state->held.data + length, kept * marker);
    state->held.length = p.ends ? 0 : kept * marker;
    return LORAC_OK;
}

/* ---- Metaspace, WordPiece, BPEDecoder, CTC ------------------------------------------------ */

static lorac_status push_metaspace(struct decoder_run *run, size_t step, struct decoder_piece p, lorac_error *err)
{
    const struct decoder_step *s = step_of(run, step);
    bool drops = !run->states[step].seen++ && s->drops_first;
    replace_all(fresh(run), p.text, p.length, s->marker, drops ? "" : " ");
    return give_scratch(run, step, true, true, err);
}

/* English as it is written: no space before a full stop, a suffix joined to its word. */
static void clean_up(struct text *text)
{
    static const char *const pairs[][2] = {{" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
                                           {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
                                           {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct text before = *text;
        *text = (struct text){.memory = before.memory, .failed = before.failed};
        replace_all(text, before.data, before.length, pairs[i][0], pairs[i][1]);
        text_free(&before);
    }
}

static lorac_status push_word_piece(struct decoder_run *run, size_t step, struct decoder_piece p, lorac_error *err)
{
    const struct decoder_step *s = step_of(run, step);
    bool first = !run->states[step].seen++, continues = !first && begins_with(p.text, p.length, s->marker);
    size_t cut = continues ? strlen(s->marker) : 0;
    struct text *out = fresh(run);
    if (!first && !continues) text_puts(out, " ");
    text_add(out, p.text + cut, p.length - cut);
    if (s->cleanup) clean_up(out);
    return give_scratch(run, step, true, true, err);
}

/* The suffix that ends a word becomes a space, but not at the end of the text: a token waits for the next. */
static lorac_status give_word(struct decoder_run *run, size_t step, const char *space, lorac_error *err)
{
    struct decoder_state *state = &run->states[step];
    if (!state->open) return LORAC_OK;
    state->open = false;
    replace_all(fresh(run), state->held.data, state->held.length, step_of(run, step)->marker, space);
    state->held.length = 0;
    return give_scratch(run, step, true, true, err);
}

static lorac_status push_suffixed(struct decoder_run *run, size_t step, struct decoder_piece p, lorac_error *err)
{
    TRY(give_word(run, step, " ", err));
    run->states[step].open = true;
    text_add(&run->states[step].held, p.text, p.length);
    return LORAC_OK;
}

static lorac_status finish_suffixed(struct decoder_run *run, size_t step, lorac_error *err)
{
    return give_word(run, step, "", err);
}

/* held: the token before, since a token that repeats is dropped. */
static lorac_status push_ctc(struct decoder_run *run, size_t step, struct decoder_piece p, lorac_error *err)
{
    const struct decoder_step *s = step_of(run, step);
    struct decoder_state *state = &run->states[step];
    bool repeats =
        state->open && state->held.length == p.length && (!p.length || !memcmp(state->held.data, p.text, p.length));
    state->open = true;
    if (repeats) return LORAC_OK;
    state->held.length = 0;
    text_add(&state->held, p.text, p.length);

    struct text *out = fresh(run);
    replace_all(out, p.text, p.length, s->marker, "");
    if (s->cleanup) {
        clean_up(out);
        struct text words = {.memory = out->memory};
        replace_all(&words, out->data, out->length, s->delimiter, " ");
        text_free(out);
        *out = words;
    }
    return out->length || out->failed ? give_scratch(run, step, true, true, err) : LORAC_OK;
}

/* ---- the table --------------------------------------------------------------------------- */

const struct decoder_kind decoder_join = {"", false, push_join, NULL};

const struct decoder_kind *decoder_kind_named(const char *type)
{
    static const struct decoder_kind kinds[] = {
        {"ByteLevel", false, push_bytes, finish_bytes},
        {"ByteFallback", false, push_fallback, give_bytes},
        {"Fuse", true, push_fuse, finish_fused},
        {"Replace", false, push_replace, NULL},
        {"Strip", true, push_strip, NULL},
        {"Metaspace", false, push_metaspace, NULL},
        {"WordPiece", false, push_word_piece, NULL},
        {"BPEDecoder", false, push_suffixed, finish_suffixed},
        {"CTC", false, push_ctc, NULL},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].type, type)) return &kinds[i];
    return NULL;
}
