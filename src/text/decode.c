/* decode.c — ids to text, at once or streamed: tokens go through the decoder's steps (decode_chain.h). */
#include "text/tokenizer.h"

struct lorac_detokenizer {
    const struct lorac_tokenizer *tokenizer;
    bool skip_special;
    struct decoder_run run;
};

/* A token's text: its bytes, or what the normaliser made of them. */
static const char *text_of(const struct lorac_tokenizer *t, int32_t id, size_t *length)
{
    const struct token *token = &t->vocab.tokens[id];
    const struct added_token *items = t->normalized.items.items;
    for (size_t i = 0; token->flags & TOKEN_RESPELLED && i < t->normalized.items.count; i++)
        if (items[i].id == id) return *length = items[i].length, t->normalized.bytes.data + items[i].offset;
    *length = token->flags & TOKEN_RESPELLED ? 0 : token->length;
    return vocab_bytes(&t->vocab, token);
}

static lorac_status push(const struct lorac_tokenizer *t, bool skip_special, int32_t id, struct decoder_run *run,
                         lorac_error *err)
{
    if (id < 0 || (size_t)id >= t->vocab.count)
        return fail(err, LORAC_INVALID_ARGUMENT, t->path, "token id %d is not in the vocabulary of %zu tokens", id,
                    t->vocab.count);
    const struct token *token = &t->vocab.tokens[id];
    if (!token->flags || (skip_special && token->flags & TOKEN_SPECIAL)) return LORAC_OK;
    size_t length;
    const char *text = text_of(t, id, &length);
    return decoder_push(run, text, length, err);
}

lorac_status lorac_tokenizer_decode(const lorac_tokenizer *t, const int32_t *ids, size_t count, int skip_special,
                                    char **text, size_t *length, lorac_error *err)
{
    struct decoder_run run;
    TRY(decoder_run_init(&run, &t->decoder, err));
    lorac_status status = LORAC_OK;
    for (size_t i = 0; i < count && status == LORAC_OK; i++) status = push(t, skip_special, ids[i], &run, err);
    if (status == LORAC_OK) status = decoder_finish(&run, err);
    *length = run.out.length;
    if (status == LORAC_OK && !(*text = text_release(&run.out))) status = fail_memory(err, "text", *length);
    decoder_run_free(&run);
    return status;
}

/* ---- streaming --------------------------------------------------------------------------- */

lorac_status lorac_detokenizer_create(const lorac_tokenizer *tokenizer, int skip_special, lorac_detokenizer **stream,
                                      lorac_error *err)
{
    struct lorac_detokenizer *d = mem_alloc(tokenizer->memory, sizeof *d);
    if (!d) return fail_memory(err, "a detokenizer", sizeof *d);
    d->tokenizer = tokenizer;
    d->skip_special = skip_special;
    lorac_status status = decoder_run_init(&d->run, &tokenizer->decoder, err);
    if (status != LORAC_OK)
        mem_free(tokenizer->memory, d);
    else
        *stream = d;
    return status;
}

void lorac_detokenizer_free(lorac_detokenizer *d)
{
    if (!d) return;
    decoder_run_free(&d->run);
    mem_free(d->tokenizer->memory, d);
}

static void give(const struct lorac_detokenizer *d, const char **text, size_t *length)
{
    *text = d->run.out.data ? d->run.out.data : "";
    *length = d->run.out.length;
}

lorac_status lorac_detokenizer_push(lorac_detokenizer *d, int32_t id, const char **text, size_t *length,
                                    lorac_error *err)
{
    d->run.out.length = 0;
    TRY(push(d->tokenizer, d->skip_special, id, &d->run, err));
    give(d, text, length);
    return LORAC_OK;
}

lorac_status lorac_detokenizer_flush(lorac_detokenizer *d, const char **text, size_t *length, lorac_error *err)
{
    d->run.out.length = 0;
    TRY(decoder_finish(&d->run, err));
    give(d, text, length);
    return LORAC_OK;
}
