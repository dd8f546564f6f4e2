/* forward.c — pending tokens of several sessions become one ragged batch; long input is cut into several.
 *
 * The first session lends its memory. Each batch takes from every session, in order, what fits. */
#include "infer/forward.h"

#include "model/decoder.h"

#include <string.h>

/* Hidden rows → logits of the picked ones, (picks, vocab); NULL where a cut of a long input picks none. all: every row
 * is picked. */
static struct tensor *run(const struct lorac_model *m, struct exec *e, struct batch *batch, struct buf picks,
                          size_t count, bool all)
{
    struct tensor *x = decoder_forward(m, e, batch);
    if (!count) return NULL;
    struct tensor *in = exec_tensor(e, count, x->width, x->number);
    e->k->gather_rows(&e->stream, in->data, x->data, x->number, picks, count, x->width);
    return op_head(e, in, &m->head, !all); /* a whole prompt's logits are asked for to be looked at: not in int8 */
}

lorac_status forward_plan(const struct lorac_model *m, size_t rows, size_t picks, enum precision precision,
                          size_t *stack, size_t *gradients, lorac_error *err)
{
    struct memory *memory = &m->runtime->memory;
    struct backend *null;
    struct exec e = {0};
    struct batch batch = {0};
    TRY(backend_null_create(memory, &null, err));
    lorac_status status = batch_create(m, null, rows, 1, &batch, err);
    if (status == LORAC_OK) status = exec_create(memory, null, m->config.layers, 0, 0, &e, err);
    if (status == LORAC_OK) {
        e.precision = precision;
        e.int8 = precision == PRECISION_FAST;
        batch_add_blank(&batch, rows);
        batch_upload(&batch, &e.stream);
        run(m, &e, &batch, (struct buf){0}, picks, false);
        *stack = e.stack.high;
        *gradients = e.gradients.high;
    }
    exec_free(&e);
    batch_free(&batch);
    backend_free(null);
    return status;
}

/* ---- one batch ------------------------------------------------------------------------------ */

/* What rotary scalings take for the sequence's length. */
static size_t session_length(const struct lorac_session *s)
{
    return s->count > s->options.expected_tokens ? s->count : s->options.expected_tokens;
}

struct share {                /* what a session has in the batch */
    size_t row, rows, picked; /* picked: its first pick */
};

static size_t pending(const struct lorac_session *s)
{
    return s->count - s->cache.tokens;
}

/* Fills the batch; returns the number of picks: the last row of a session that ends here, or all its rows. */
static size_t fill(struct lorac_session *lead, lorac_session *const *sessions, size_t count, struct share *shares,
                   int32_t *picks)
{
    size_t n = 0;
    batch_clear(&lead->batch);
    for (size_t i = 0; i < count; i++) {
        struct lorac_session *s = sessions[i];
        size_t room = lead->batch.max_rows - lead->batch.rows, left = count - i - 1, rows = pending(s);
        room = room > left ? room - left : 0; /* one row at least for each that follows */
        if (rows > room) rows = room;
        if (rows > s->options.prefill_tokens) rows = s->options.prefill_tokens;
        shares[i] = (struct share){lead->batch.rows, rows, n};
        if (!rows) continue;
        batch_add(&lead->batch, s->tokens + s->cache.tokens, rows, s->cache.tokens, session_length(s), &s->cache,
                  s->set && s->set->table.begin ? &s->set->table : NULL);
        size_t wanted = s->options.all_logits ? rows : rows == pending(s);
        for (size_t k = rows - wanted; k < rows; k++) picks[n++] = (int32_t)(shares[i].row + k);
    }
    return n;
}

static void keep_logits(struct lorac_session *s, struct exec *e, const struct tensor *logits, const struct share *share,
                        bool ends)
{
    size_t vocab = s->model->config.vocab, rows = s->options.all_logits ? share->rows : ends;
    if (!rows) return;
    e->k->readback(&e->stream, s->logits, buf_at(logits->data, share->picked * vocab),
                   rows * vocab * sizeof *s->logits);
    s->logit_rows = rows;
}

static lorac_status step(struct lorac_session *lead, lorac_session *const *sessions, size_t count, lorac_error *err)
{
    struct share shares[SESSION_BATCH];
    struct exec *e = &lead->exec;
    int32_t *picks = lead->picks_host;
    for (size_t i = 0; i < count; i++) TRY(cache_reserve(&sessions[i]->cache, sessions[i]->count, err));
    size_t n = fill(lead, sessions, count, shares, picks);
    struct buf where = {lead->picks, 0};
    exec_reset(e);
    e->k->begin(&e->stream);
    batch_upload(&lead->batch, &e->stream);
    e->k->upload(&e->stream, where, picks, n * sizeof *picks);
    struct tensor *logits = run(lead->model, e, &lead->batch, where, n, lead->options.all_logits);
    if (!e->k->wait(&e->stream))
        return e->failed ? fail_memory(err, "a forward", e->stack.high) : fail(err, LORAC_CANCELLED, NULL, "cancelled");
    for (size_t i = 0; i < count; i++) {
        struct lorac_session *s = sessions[i];
        keep_logits(s, e, logits, &shares[i], shares[i].rows == pending(s));
        s->cache.tokens += shares[i].rows;
    }
    return LORAC_OK;
}

/* ---- the call ------------------------------------------------------------------------------- */

static lorac_status check(lorac_session *const *sessions, size_t count, lorac_error *err)
{
    if (!count || count > SESSION_BATCH)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "a forward takes 1 to %d sessions, not %zu", SESSION_BATCH,
                    count);
    for (size_t i = 0; i < count; i++) {
        if (!pending(sessions[i]))
            return fail(err, LORAC_INVALID_ARGUMENT, NULL, "session %zu has no new token to compute", i);
        if (sessions[i]->model != sessions[0]->model || sessions[i]->precision != sessions[0]->precision ||
            sessions[i]->options.all_logits != sessions[0]->options.all_logits)
            return fail(err, LORAC_MISMATCH, NULL,
                        "the sessions of a forward have one model, one precision and one all_logits");
    }
    return LORAC_OK;
}

/* A sequence that grows beyond the context from which on its rotary angles are others is computed anew. */
static void forget_short_angles(struct lorac_session *s)
{
    const struct rope_config *r = &s->model->config.rope[ROPE_FULL];
    if (s->options.expected_tokens) return; /* the angles were these from the start */
    bool beyond = r->scaling == ROPE_LONG && (double)session_length(s) > r->original_context;
    if (beyond && (double)s->cache.tokens <= r->original_context) cache_truncate(&s->cache, 0);
}

/* Terms need room for (rows, rank); a set of a higher rank than any before makes the stack grow once. */
static lorac_status make_room(struct lorac_session *lead, lorac_session *const *sessions, size_t count,
                              lorac_error *err)
{
    size_t rank = 0;
    for (size_t i = 0; i < count; i++)
        if (sessions[i]->set && sessions[i]->set->rank > rank) rank = sessions[i]->set->rank;
    return rank > lead->rank ? session_make_exec(lead, rank, err) : LORAC_OK;
}

lorac_status lorac_sessions_forward(lorac_session *const *sessions, size_t count, lorac_error *err)
{
    TRY(check(sessions, count, err));
    TRY(make_room(sessions[0], sessions, count, err));
    for (size_t i = 0; i < count; i++) {
        forget_short_angles(sessions[i]);
        sessions[i]->logit_rows = 0;
    }
    for (;;) {
        lorac_session *active[SESSION_BATCH];
        size_t n = 0;
        for (size_t i = 0; i < count; i++)
            if (pending(sessions[i])) active[n++] = sessions[i];
        if (!n) return LORAC_OK;
        TRY(step(sessions[0], active, n, err));
    }
}
