/* session.c — a session's life: tokens, cache, memory. */
#include "infer/session.h"

#include "infer/forward.h"

#include <string.h>

void lorac_session_options_init(lorac_session_options *options)
{
    *options = (lorac_session_options){.struct_size = sizeof *options, .prefill_tokens = 512};
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void set_options(struct lorac_session *s, const lorac_session_options *options)
{
    lorac_session_options_init(&s->options);
    if (options) memcpy(&s->options, options, smaller(options->struct_size, sizeof s->options));
    if (!s->options.max_tokens) s->options.max_tokens = smaller(s->model->config.context, SESSION_TOKENS);
    if (!s->options.prefill_tokens) s->options.prefill_tokens = 512;
    s->options.prefill_tokens = smaller(s->options.prefill_tokens, s->options.max_tokens);
    s->precision = s->options.precision == LORAC_EXACT ? PRECISION_EXACT : PRECISION_FAST;
    s->most_logits = s->options.all_logits ? s->options.prefill_tokens : 1;
}

lorac_status session_make_exec(struct lorac_session *s, size_t rank, lorac_error *err)
{
    struct lorac_model *m = s->model;
    size_t rows = s->batch.max_rows, most = s->most_logits < SESSION_BATCH ? SESSION_BATCH : s->most_logits;
    size_t stack, gradients, terms = rows * (GROUP_LINEARS * rank + 16) * sizeof(float);
    TRY(forward_plan(m, rows, most, s->precision, &stack, &gradients, err));
    exec_free(&s->exec);
    TRY(exec_create(&m->runtime->memory, m->runtime->backend, m->config.layers, stack + terms, gradients, &s->exec,
                    err));
    s->exec.precision = s->precision;
    s->exec.int8 = s->precision == PRECISION_FAST;
    s->exec.stream.priority = POOL_HIGH;
    s->rank = rank;
    return LORAC_OK;
}

static enum kv_type kv_type(const struct lorac_session *s)
{
    if (s->precision == PRECISION_EXACT) return KV_F32;
    return s->options.kv_bits == 8 ? KV_Q8 : KV_BF16;
}

static lorac_status check_options(const struct lorac_session *s, lorac_error *err)
{
    const lorac_session_options *o = &s->options;
    if (o->max_tokens > SESSION_TOKENS)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "a session of %zu tokens: at most %d", o->max_tokens,
                    SESSION_TOKENS);
    if (o->kv_bits && o->kv_bits != 8)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "keys and values of %d bits: 8, or 0 for the precision's own",
                    o->kv_bits);
    if (o->kv_bits && s->precision == PRECISION_EXACT)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "keys and values of 8 bits are not exact: use fast precision");
    return LORAC_OK;
}

static lorac_status reserve(struct lorac_session *s, lorac_error *err)
{
    struct lorac_model *m = s->model;
    struct memory *memory = &m->runtime->memory;
    struct backend *b = m->runtime->backend;
    size_t rows = s->options.prefill_tokens < SESSION_BATCH ? SESSION_BATCH : s->options.prefill_tokens;
    s->tokens = mem_array(memory, s->options.max_tokens, sizeof *s->tokens);
    s->logits = mem_array(memory, s->most_logits, m->config.vocab * sizeof *s->logits);
    s->picks_host = mem_array(memory, rows, sizeof *s->picks_host);
    if (!s->tokens || !s->logits || !s->picks_host)
        return fail_memory(err, "a session", s->options.max_tokens * sizeof *s->tokens);
    size_t windows[MAX_LAYERS];
    for (size_t i = 0; i < m->config.layers; i++) windows[i] = config_attention(&m->config, i).window;
    struct kv_shape shape = {.type = kv_type(s),
                             .layers = m->config.layers,
                             .kv_heads = m->config.kv_heads,
                             .head_dim = m->config.head_dim,
                             .windows = windows,
                             .rows = s->options.prefill_tokens};
    TRY(cache_create(b, memory, shape, s->options.max_tokens, &s->cache, err));
    TRY(batch_create(m, b, rows, SESSION_BATCH, &s->batch, err));
    TRY(b->kernels->buffer_create(b, rows * sizeof(int32_t), &s->picks, err));
    return session_make_exec(s, s->set ? s->set->rank : 0, err);
}

lorac_status lorac_session_create(lorac_model *model, lorac_adapter_set *set, const lorac_session_options *options,
                                  lorac_session **session, lorac_error *err)
{
    struct lorac_session *s = mem_alloc(&model->runtime->memory, sizeof *s);
    if (!s) return fail_memory(err, "a session", sizeof *s);
    s->model = model;
    lorac_model_retain(model);
    lorac_session_set_adapters(s, set);
    set_options(s, options);
    lorac_status status = check_options(s, err);
    if (status == LORAC_OK) status = reserve(s, err);
    if (status == LORAC_OK)
        *session = s;
    else
        lorac_session_free(s);
    return status;
}

void lorac_session_free(lorac_session *s)
{
    if (!s) return;
    struct lorac_model *model = s->model;
    struct memory *memory = &model->runtime->memory;
    cache_free(&s->cache);
    exec_free(&s->exec);
    batch_free(&s->batch);
    model->runtime->backend->kernels->buffer_free(model->runtime->backend, s->picks);
    lorac_adapter_set_release(s->set);
    mem_free(memory, s->tokens);
    mem_free(memory, s->logits);
    mem_free(memory, s->picks_host);
    mem_free(memory, s);
    lorac_model_release(model);
}

void lorac_session_set_adapters(lorac_session *s, lorac_adapter_set *set)
{
    if (set) lorac_adapter_set_retain(set);
    lorac_adapter_set_release(s->set);
    s->set = set;
    cache_truncate(&s->cache, 0);
    s->logit_rows = 0;
}

lorac_status lorac_session_append(lorac_session *s, const int32_t *ids, size_t count, lorac_error *err)
{
    if (count > s->options.max_tokens - s->count)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "%zu tokens after %zu are more than the session's %zu", count,
                    s->count, s->options.max_tokens);
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= s->model->config.vocab)
            return fail(err, LORAC_INVALID_ARGUMENT, NULL, "token %d is not in the model's vocabulary of %zu", ids[i],
                        s->model->config.vocab);
    memcpy(s->tokens + s->count, ids, count * sizeof *ids);
    s->count += count;
    return LORAC_OK;
}

lorac_status lorac_session_truncate(lorac_session *s, size_t tokens, lorac_error *err)
{
    if (tokens > s->count)
        return fail(err, LORAC_INVALID_ARGUMENT, NULL, "the session holds %zu tokens, not %zu", s->count, tokens);
    s->count = tokens;
    cache_truncate(&s->cache, tokens);
    s->logit_rows = 0;
    return LORAC_OK;
}

size_t lorac_session_length(const lorac_session *s)
{
    return s->count;
}

const float *lorac_session_logits(const lorac_session *s, size_t row)
{
    if (row >= s->logit_rows) return NULL;
    return s->logits + (s->logit_rows - 1 - row) * s->model->config.vocab;
}
