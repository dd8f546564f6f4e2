/* decode_chain.c — passing tokens through the steps. See decode_chain.h. */
#include "text/decode_chain.h"

/* ---- the steps --------------------------------------------------------------------------- */

void decoder_init(struct decoder *d, struct memory *m)
{
    *d = (struct decoder){.memory = m, .steps = {.memory = m, .size = sizeof(struct decoder_step)}};
    byte_alphabet_init(&d->alphabet);
}

void decoder_free(struct decoder *d)
{
    struct decoder_step *steps = d->steps.items;
    for (size_t i = 0; i < d->steps.count; i++) {
        pattern_free(&steps[i].pattern);
        mem_free(d->memory, steps[i].content);
        mem_free(d->memory, steps[i].marker);
        mem_free(d->memory, steps[i].delimiter);
    }
    list_free(&d->steps);
}

struct decoder_step *decoder_add(struct decoder *d, const struct decoder_kind *kind, lorac_error *err)
{
    struct decoder_step *step = list_add(&d->steps);
    if (step)
        step->kind = kind;
    else
        fail_memory(err, "the decoder", sizeof *step);
    return step;
}

/* ---- a run ------------------------------------------------------------------------------- */

lorac_status decoder_run_init(struct decoder_run *run, const struct decoder *d, lorac_error *err)
{
    struct memory *m = d->memory;
    *run = (struct decoder_run){.decoder = d, .scratch = {.memory = m}, .out = {.memory = m}};
    run->states = mem_array(m, d->steps.count, sizeof *run->states);
    if (!run->states) return fail_memory(err, "the decoder", d->steps.count * sizeof *run->states);
    for (size_t i = 0; i < d->steps.count; i++) run->states[i].gathered.memory = run->states[i].held.memory = m;
    lorac_status status = regex_match_create(&run->match, err);
    if (status != LORAC_OK) decoder_run_free(run);
    return status;
}

void decoder_run_free(struct decoder_run *run)
{
    for (size_t i = 0; run->states && i < run->decoder->steps.count; i++) {
        text_free(&run->states[i].gathered);
        text_free(&run->states[i].held);
    }
    if (run->decoder) mem_free(run->decoder->memory, run->states);
    regex_match_free(run->match);
    text_free(&run->scratch);
    text_free(&run->out);
    *run = (struct decoder_run){0};
}

/* ---- passing on -------------------------------------------------------------------------- */

static lorac_status enter(struct decoder_run *run, size_t step, struct decoder_piece piece, lorac_error *err)
{
    if (step == run->decoder->steps.count) return text_add(&run->out, piece.text, piece.length), LORAC_OK;
    const struct decoder_kind *kind = ((const struct decoder_step *)run->decoder->steps.items)[step].kind;
    struct text *gathered = &run->states[step].gathered;
    if (kind->takes_parts || (piece.begins && piece.ends)) return kind->push(run, step, piece, err);
    if (piece.begins) gathered->length = 0;
    text_add(gathered, piece.text, piece.length);
    if (!piece.ends) return LORAC_OK;
    struct decoder_piece whole = {gathered->data ? gathered->data : "", gathered->length, true, true};
    return kind->push(run, step, whole, err);
}

lorac_status decoder_give_piece(struct decoder_run *run, size_t step, struct decoder_piece piece, lorac_error *err)
{
    return enter(run, step + 1, piece, err);
}

lorac_status decoder_give(struct decoder_run *run, size_t step, const char *text, size_t length, lorac_error *err)
{
    return enter(run, step + 1, (struct decoder_piece){text, length, true, true}, err);
}

static lorac_status check(const struct decoder_run *run, lorac_error *err)
{
    bool failed = run->out.failed || run->scratch.failed;
    for (size_t i = 0; i < run->decoder->steps.count; i++)
        failed |= run->states[i].gathered.failed || run->states[i].held.failed;
    return failed ? fail_memory(err, "text", run->out.length) : LORAC_OK;
}

lorac_status decoder_push(struct decoder_run *run, const char *token, size_t length, lorac_error *err)
{
    TRY(enter(run, 0, (struct decoder_piece){token, length, true, true}, err));
    return check(run, err);
}

lorac_status decoder_finish(struct decoder_run *run, lorac_error *err)
{
    const struct decoder_step *steps = run->decoder->steps.items;
    for (size_t i = 0; i < run->decoder->steps.count; i++) {
        struct decoder_state *s = &run->states[i];
        if (steps[i].kind->finish) TRY(steps[i].kind->finish(run, i, err));
        s->gathered.length = s->held.length = s->seen = 0;
        s->open = false;
    }
    return check(run, err);
}
