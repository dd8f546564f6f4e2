/* generate.c — the loop: forward, sample, text, until a stop. */
#include "infer/sampler.h"

#include "base/os.h"

#include <math.h>
#include <string.h>

struct generating {
    struct lorac_session *session;
    const lorac_tokenizer *tokenizer;
    lorac_generate_options options;
    lorac_generate_fn on_token;
    void *user;
    struct sampling sampling;
    lorac_detokenizer *stream;
    lorac_token_logprob *top;
    struct text held; /* text that may still become a stop string */
    bool found_stop;
};

void lorac_generate_options_init(lorac_generate_options *options)
{
    *options = (lorac_generate_options){.struct_size = sizeof *options, .max_tokens = 100};
    lorac_sampler_init(&options->sampler);
}

/* ---- stop strings --------------------------------------------------------------------------- */

/* Cuts the held text before the first stop string, if one is there. */
static void cut_at_stop(struct generating *g)
{
    size_t first = g->held.length;
    for (size_t i = 0; i < g->options.stop_count; i++) {
        size_t length = strlen(g->options.stop[i]);
        const char *at =
            length && g->held.data ? memmem(g->held.data, g->held.length, g->options.stop[i], length) : NULL;
        if (at && (size_t)(at - g->held.data) < first) first = (size_t)(at - g->held.data);
    }
    g->found_stop = first < g->held.length;
    g->held.length = first;
}

/* How much of the held text's end could be the beginning of a stop string. */
static size_t undecided(const struct generating *g)
{
    size_t most = 0;
    for (size_t i = 0; i < g->options.stop_count; i++) {
        size_t n = strlen(g->options.stop[i]);
        if (n > g->held.length) n = g->held.length;
        for (; n > most; n--)
            if (!memcmp(g->held.data + g->held.length - n, g->options.stop[i], n)) most = n;
    }
    return most;
}

/* ---- one token ------------------------------------------------------------------------------ */

static lorac_status add_text(struct generating *g, int32_t id, bool last, lorac_error *err)
{
    const char *piece;
    size_t length;
    if (!g->stream) return LORAC_OK;
    if (id >= 0) {
        TRY(lorac_detokenizer_push(g->stream, id, &piece, &length, err));
        text_add(&g->held, piece, length);
    }
    if (last) {
        TRY(lorac_detokenizer_flush(g->stream, &piece, &length, err));
        text_add(&g->held, piece, length);
    }
    cut_at_stop(g);
    return g->held.failed ? fail_memory(err, "text", g->held.length) : LORAC_OK;
}

/* Reports the token with the text that is certain; true: the callback wants to stop. */
static bool report(struct generating *g, lorac_generated *token, bool all)
{
    size_t certain = all || g->found_stop ? g->held.length : g->held.length - undecided(g);
    token->text = g->held.data ? g->held.data : "";
    token->text_length = certain;
    bool stop = g->on_token && g->on_token(g->user, token);
    if (certain) memmove(g->held.data, g->held.data + certain, g->held.length - certain);
    g->held.length -= certain;
    return stop;
}

static bool is_stop(const struct generating *g, int32_t id)
{
    return !g->options.ignore_eos && g->tokenizer && lorac_tokenizer_is_stop(g->tokenizer, id);
}

/* Draws, reports and appends one token; *done: the text ends here. */
static lorac_status one(struct generating *g, size_t index, lorac_generate_result *result, bool *done, lorac_error *err)
{
    const float *logits = lorac_session_logits(g->session, 0);
    size_t vocab = g->sampling.vocab;
    double lse = log_sum_exp(logits, vocab);
    if (!isfinite(lse)) return fail(err, LORAC_NOT_FINITE, NULL, "the model's logits are not finite");
    int32_t id = sample(&g->sampling, logits, lse, &g->options.sampler, index);
    likeliest(logits, vocab, lse, g->top, g->options.logprobs);
    lorac_generated token = {.struct_size = sizeof token,
                             .token = id,
                             .is_stop = is_stop(g, id),
                             .logprob = (float)((double)logits[id] - lse),
                             .top = g->top,
                             .top_count = g->options.logprobs};
    bool last = token.is_stop || index + 1 == g->options.max_tokens;
    TRY(add_text(g, token.is_stop ? -1 : id, last, err));
    bool stopped = report(g, &token, last);
    if (!token.is_stop) {
        TRY(lorac_session_append(g->session, &id, 1, err));
        result->tokens++;
    }
    result->stopped = token.is_stop || stopped || g->found_stop;
    *done = result->stopped || last;
    return LORAC_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static lorac_status prepare(struct generating *g, lorac_error *err)
{
    struct memory *m = &g->session->model->runtime->memory;
    size_t vocab = g->session->model->config.vocab;
    TRY(sampler_check(&g->options.sampler, err));
    if (g->options.logprobs > vocab)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "%zu alternatives of a vocabulary of %zu", g->options.logprobs,
                    vocab);
    if (!g->session->count)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "there is no prompt: a generation needs one token at least");
    if (g->options.max_tokens > g->session->options.max_tokens - g->session->count)
        g->options.max_tokens = g->session->options.max_tokens - g->session->count;
    g->held.memory = m;
    g->top = mem_array(m, g->options.logprobs + 1, sizeof *g->top);
    if (!g->top) return fail_memory(err, "log-probabilities", g->options.logprobs);
    TRY(sampling_create(m, vocab, &g->sampling, err));
    return g->tokenizer ? lorac_detokenizer_create(g->tokenizer, 1, &g->stream, err) : LORAC_OK;
}

static lorac_status loop(struct generating *g, lorac_generate_result *result, lorac_error *err)
{
    double start = os_seconds();
    result->prompt_tokens = g->session->count;
    if (g->session->cache.tokens == g->session->count) /* computed already: its last token once more */
        cache_truncate(&g->session->cache, g->session->count - 1);
    TRY(lorac_sessions_forward(&g->session, 1, err));
    double decode = os_seconds();
    result->prefill_seconds = decode - start;
    bool done = !g->options.max_tokens;
    for (size_t i = 0; !done; i++) {
        if (i) TRY(lorac_sessions_forward(&g->session, 1, err));
        TRY(one(g, i, result, &done, err));
    }
    result->decode_seconds = os_seconds() - decode;
    return LORAC_OK;
}

lorac_status lorac_generate(lorac_session *session, const lorac_tokenizer *tokenizer,
                            const lorac_generate_options *options, lorac_generate_fn on_token, void *user,
                            lorac_generate_result *result, lorac_error *err)
{
    struct generating g = {.session = session, .tokenizer = tokenizer, .on_token = on_token, .user = user};
    lorac_generate_result full = {.struct_size = sizeof full};
    lorac_generate_options_init(&g.options);
    if (options)
        memcpy(&g.options, options, options->struct_size < sizeof g.options ? options->struct_size : sizeof g.options);
    lorac_status status = prepare(&g, err);
    if (status == LORAC_OK) status = loop(&g, &full, err);
    mem_free(&session->model->runtime->memory, g.top);
    text_free(&g.held);
    sampling_free(&g.sampling);
    lorac_detokenizer_free(g.stream);
    if (result) {
        size_t size = result->struct_size && result->struct_size < sizeof full ? result->struct_size : sizeof full;
        full.struct_size = size;
        memcpy(result, &full, size);
    }
    return status;
}
