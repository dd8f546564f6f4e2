/* generate.c — `lorac generate`: one prompt, one continuation. */
#include "common.h"
#include "json_out.h"
#include "prompt.h"
#include "signals.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct generate {
    struct common common;
    struct sampling sampling;
    struct prompt prompt;
    struct text_list stop;
    size_t max_tokens, logprobs, prompt_logprobs, prefill;
    bool ignore_eos;
    int verbose, kv_bits;
};

static const struct option option_table[] = {
    SECTION("Prompt"),
    OPTION(TEXT, struct generate, prompt.text, "prompt", .aliases = "-p", .value = "TEXT", .fallback = "hello",
           .help = "what to answer or continue; - reads standard input"),
    OPTION(TEXT, struct generate, prompt.ids, "prompt-tokens", .value = "IDS",
           .help = "token ids in place of --prompt, such as 1,2,3"),
    OPTION(FLAG, struct generate, prompt.raw, "raw", .aliases = "ignore-chat-template",
           .help = "continue the prompt as it is, without the chat template"),
    OPTION(TEXT, struct generate, prompt.system, "system-prompt", .value = "TEXT", .help = "the system message"),
    OPTION(TEXT, struct generate, prompt.response, "prefill-response", .value = "TEXT",
           .help = "how the answer begins"),
    OPTION(TEXT, struct generate, prompt.variables, "chat-template-config", .value = "JSON",
           .help = "further variables of the chat template, such as '{\"enable_thinking\":false}'"),
    SECTION("Generation"),
    OPTION(COUNT, struct generate, max_tokens, "max-tokens", .aliases = "-m", .value = "N", .fallback = "100",
           .help = "most tokens to generate"),
    SAMPLING_OPTIONS(struct generate, NULL),
    OPTION(LIST, struct generate, stop, "stop", .value = "TEXT", .help = "end before this text; may be repeated"),
    OPTION(FLAG, struct generate, ignore_eos, "ignore-eos", .help = "go on after the end of the text"),
    OPTION(COUNT, struct generate, prefill, "prefill-step-size", .value = "N", .fallback = "512",
           .help = "most prompt tokens to compute at once"),
    KV_OPTION(struct generate),
    REFUSED("extra-eos-token", "TOKEN", NULL, "use --stop with the token's text"),
    REFUSED("min-tokens-to-keep", "N", "1", "min-p always keeps at least the likeliest token"),
    REFUSED("use-default-chat-template", NULL, "false", "lorac uses the model's own chat template, or none"),
    REFUSED("image", "FILE", NULL, "lorac runs models of text only"),
    REFUSED("prompt-cache-file", "FILE", NULL, "prompt caches are not stored on disk"),
    REFUSED("quantize-activations", NULL, "false", "--precision fast does so where it is safe"),
    REFUSED("kv-group-size", "N", "64", "--kv-bits 8 has a scale per 32 values"),
    REFUSED("quantized-kv-start", "N", "5000", "--kv-bits 8 holds from the first token"),
    REFUSED("draft-model", "PATH", NULL, "speculative decoding is not part of lorac"),
    REFUSED("num-draft-tokens", "N", "3", "speculative decoding is not part of lorac"),
    SECTION("Model"),
    MODEL_OPTIONS(struct generate),
    ADAPTER_OPTION(struct generate),
    SECTION("Output"),
    JSON_OPTION(struct generate),
    OPTION(COUNT, struct generate, logprobs, "logprobs", .value = "N",
           .help = "with --json: the N likeliest tokens at each generated one"),
    OPTION(COUNT, struct generate, prompt_logprobs, "prompt-logprobs", .value = "N",
           .help = "with --json: the log-probabilities of the prompt's tokens and the N likeliest at each"),
    OPTION(CHOICE, struct generate, verbose, "verbose", .value = "BOOL", .choices = "True|False|T|F|true|false",
           .fallback = "True", .help = "False leaves out the speeds"),
    OPTIONS_END,
};

/* ---- what comes out -------------------------------------------------------------------------- */

struct output {
    bool json;
    json_t *tokens, *logprobs;
    char *text;
    size_t length, capacity, draws; /* draws: tokens that were drawn, a stop token included */
    bool failed;
};

static json_t *logprob_entry(int32_t token, float logprob, const lorac_token_logprob *top, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            list, json_pack("{s:i,s:o}", "token", (int)top[i].token, "logprob", json_float(top[i].logprob)));
    return json_pack("{s:i,s:o,s:o}", "token", (int)token, "logprob", json_float(logprob), "top", list);
}

static void keep_text(struct output *out, const char *text, size_t length)
{
    if (out->length + length > out->capacity) {
        size_t capacity = 2 * (out->length + length) + 256;
        char *grown = realloc(out->text, capacity);
        if (!grown) {
            out->failed = true;
            return;
        }
        out->text = grown;
        out->capacity = capacity;
    }
    if (length) memcpy(out->text + out->length, text, length);
    out->length += length;
}

static int on_token(void *user, const lorac_generated *token)
{
    struct output *out = user;
    out->draws++;
    if (!out->json) {
        fwrite(token->text, 1, token->text_length, stdout);
        fflush(stdout);
    } else {
        keep_text(out, token->text, token->text_length);
        if (!token->is_stop) {
            json_array_append_new(out->tokens, json_integer(token->token));
            json_array_append_new(out->logprobs,
                                  logprob_entry(token->token, token->logprob, token->top, token->top_count));
        }
    }
    return interrupted() || out->failed || ferror(stdout);
}

/* ---- log-probabilities of the prompt --------------------------------------------------------- */

/* Entries for the tokens that positions first .. first+count-1 predict, from a forward that kept all logits. */
static lorac_status append_prompt_logprobs(const struct engine *e, lorac_session *session, const struct token_list *ids,
                                           size_t first, size_t count, size_t top_count, lorac_token_logprob *top,
                                           json_t *list, lorac_error *err)
{
    for (size_t i = first; i < first + count && i + 1 < ids->count; i++) {
        float logprob;
        const float *logits = lorac_session_logits(session, first + count - 1 - i);
        lorac_status failed = lorac_logprobs(e->model, logits, ids->items[i + 1], &logprob, top, top_count, err);
        if (failed) return failed;
        json_array_append_new(list, logprob_entry(ids->items[i + 1], logprob, top, top_count));
    }
    return LORAC_OK;
}

/* In a session of its own, in chunks whose logits fit the memory: [null, {…}, …], or NULL after a failure. */
static json_t *prompt_logprobs(const struct engine *e, const struct generate *g, const struct token_list *ids,
                               lorac_error *err)
{
    enum { CHUNK = 64 };
    lorac_session_options options;
    lorac_session *session = NULL;
    lorac_model_info info = {.struct_size = sizeof info};
    lorac_model_get_info(e->model, &info);
    size_t top_count = g->prompt_logprobs < info.vocab_size ? g->prompt_logprobs : info.vocab_size;
    lorac_token_logprob *top = calloc(top_count + 1, sizeof *top);
    json_t *list = json_array();
    lorac_session_options_init(&options);
    options.precision = (lorac_precision)g->common.precision;
    options.kv_bits = g->kv_bits ? 8 : 0;
    options.max_tokens = options.expected_tokens = ids->count;
    options.prefill_tokens = CHUNK;
    options.all_logits = 1;

    lorac_status failed = lorac_session_create(e->model, e->set, &options, &session, err);
    json_array_append_new(list, json_null());
    for (size_t at = 0; at < ids->count && !failed && !interrupted(); at += CHUNK) {
        size_t count = ids->count - at < CHUNK ? ids->count - at : CHUNK;
        failed = lorac_session_append(session, ids->items + at, count, err);
        if (!failed) failed = lorac_sessions_forward(&session, 1, err);
        if (!failed) failed = append_prompt_logprobs(e, session, ids, at, count, top_count, top, list, err);
    }
    lorac_session_free(session);
    free(top);
    if (!failed) return list;
    json_decref(list);
    return NULL;
}

/* ---- the run ------------------------------------------------------------------------------- */

static double per_second(size_t tokens, double seconds)
{
    return seconds > 0 ? (double)tokens / seconds : 0;
}

static void print_result(const struct generate *g, const struct token_list *ids, struct output *out, json_t *of_prompt,
                         const lorac_generate_result *r)
{
    double prefill = per_second(r->prompt_tokens, r->prefill_seconds);
    double decode = per_second(out->draws ? out->draws - 1 : 0, r->decode_seconds); /* the first is the prefill's */
    if (out->json) {
        json_t *object =
            json_pack("{s:o,s:O,s:o,s:O,s:s,s:o,s:o}", "prompt_tokens", json_ids(ids->items, ids->count), "tokens",
                      out->tokens, "text", json_text(out->text ? out->text : "", out->length), "logprobs",
                      out->logprobs, "finish_reason", r->stopped ? "stop" : "length", "prefill_tokens_per_second",
                      json_number(prefill), "decode_tokens_per_second", json_number(decode));
        if (of_prompt) json_object_set(object, "prompt_logprobs", of_prompt);
        json_print_line(stdout, object);
        return;
    }
    putchar('\n');
    if (g->verbose % 2) return;
    fprintf(stderr, "prompt: %zu tokens, %.1f tokens/s; generated: %zu tokens, %.1f tokens/s\n", r->prompt_tokens,
            prefill, r->tokens, decode);
}

static uint64_t seed_from_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void set_options(const struct arguments *a, const struct generate *g, lorac_generate_options *options)
{
    lorac_generate_options_init(options);
    options->max_tokens = g->max_tokens;
    options->ignore_eos = g->ignore_eos;
    options->logprobs = g->logprobs;
    options->stop = g->stop.items;
    options->stop_count = g->stop.count;
    sampling_get(&g->sampling, &options->sampler);
    if (!option_origin(a, "seed")) options->sampler.seed = seed_from_clock();
}

static int generate(const struct arguments *a, const struct engine *e, const struct token_list *ids)
{
    const struct generate *g = a->values;
    struct output out = {.json = g->common.json, .tokens = json_array(), .logprobs = json_array()};
    lorac_session_options session_options;
    lorac_generate_options generate_options;
    lorac_generate_result result = {.struct_size = sizeof result};
    lorac_session *session = NULL;
    lorac_error err;
    json_t *of_prompt = NULL;
    lorac_status failed = LORAC_OK;
    int status = 0;

    set_options(a, g, &generate_options);
    lorac_session_options_init(&session_options);
    session_options.precision = (lorac_precision)g->common.precision;
    session_options.kv_bits = g->kv_bits ? 8 : 0;
    session_options.prefill_tokens = g->prefill;
    session_options.max_tokens = prompt_room(e->model, ids->count, g->max_tokens);
    if (option_origin(a, "prompt-logprobs") && !(of_prompt = prompt_logprobs(e, g, ids, &err))) failed = err.status;
    if (!failed) failed = lorac_session_create(e->model, e->set, &session_options, &session, &err);
    if (!failed) failed = lorac_session_append(session, ids->items, ids->count, &err);
    if (!failed) failed = lorac_generate(session, e->tokenizer, &generate_options, on_token, &out, &result, &err);

    if (interrupted())
        status = fail_interrupted(g->common.json, "interrupted");
    else if (failed)
        status = fail_error(g->common.json, &err);
    else if (out.failed)
        status = fail_status(g->common.json, LORAC_OUT_OF_MEMORY, "", "out of memory");
    else
        print_result(g, ids, &out, of_prompt, &result);
    lorac_session_free(session);
    json_decref(of_prompt);
    json_decref(out.tokens);
    json_decref(out.logprobs);
    free(out.text);
    return status;
}

static int run(struct arguments *a)
{
    const struct generate *g = a->values;
    struct token_list ids = {0};
    struct engine e;
    bool by_ids = g->prompt.ids != NULL;
    if (by_ids && option_origin(a, "prompt"))
        return fail_usage(g->common.json, "give --prompt or --prompt-tokens, not both");
    if ((option_origin(a, "logprobs") || option_origin(a, "prompt-logprobs")) && !g->common.json)
        return fail_usage(false, "--logprobs and --prompt-logprobs need --json");
    signals_install();
    int status = engine_open(&e, &g->common, by_ids ? OPEN_MODEL | OPEN_ADAPTERS : OPEN_ALL);
    if (!status && by_ids) engine_try_tokenizer(&e, &g->common);
    if (!status) status = prompt_encode(&g->prompt, e.tokenizer, g->common.json, &ids);
    if (!status) status = generate(a, &e, &ids);
    free(ids.items);
    engine_close(&e);
    return status;
}

const struct command command_generate = {
    .name = "generate",
    .summary = "answer or continue a prompt",
    .examples = "  lorac generate --prompt \"Why is the sky blue?\"\n"
                "  lorac generate --raw --prompt \"Once upon a time\" --temp 0.8 --top-p 0.95 --seed 7\n"
                "  lorac generate --adapter-path adapters:0.5 --prompt - --json < prompt.txt\n",
    .options = option_table,
    .values_size = sizeof(struct generate),
    .run = run,
};
