/* chat.c — `lorac chat`: a conversation in the terminal.
 *
 * The whole history goes through the chat template at each turn; what the session already holds of it is
 * kept, the rest is computed. */
#include "common.h"
#include "json_out.h"
#include "prompt.h"
#include "signals.h"
#include "terminal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct chat {
    struct common common;
    struct sampling sampling;
    const char *system;
    size_t max_tokens, prefill;
    int kv_bits;
};

static const struct option option_table[] = {
    SECTION("Conversation"),
    OPTION(TEXT, struct chat, system, "system-prompt", .value = "TEXT", .help = "the system message"),
    SECTION("Generation"),
    OPTION(COUNT, struct chat, max_tokens, "max-tokens", .aliases = "-m", .value = "N", .fallback = "256",
           .help = "most tokens of an answer"),
    SAMPLING_OPTIONS(struct chat, "0"),
    OPTION(COUNT, struct chat, prefill, "prefill-step-size", .value = "N", .fallback = "512",
           .help = "most prompt tokens to compute at once"),
    KV_OPTION(struct chat),
    REFUSED("pipeline", NULL, "false", "lorac runs on one machine"),
    SECTION("Model"),
    MODEL_OPTIONS(struct chat),
    ADAPTER_OPTION(struct chat),
    OPTIONS_END,
};

struct conversation {
    const struct chat *chat;
    struct engine engine;
    lorac_session *session;
    json_t *messages;
    struct token_list held; /* what the session holds, as far as known */
    char *answer;           /* the answer being written */
    size_t length;
    struct terminal terminal;
};

static void conversation_reset(struct conversation *c)
{
    json_array_clear(c->messages);
    if (c->chat->system) messages_add(c->messages, "system", c->chat->system, strlen(c->chat->system));
}

static int on_token(void *user, const lorac_generated *token)
{
    struct conversation *c = user;
    fwrite(token->text, 1, token->text_length, stdout);
    fflush(stdout);
    char *grown = realloc(c->answer, c->length + token->text_length + 1);
    int32_t *held = realloc(c->held.items, (c->held.count + 1) * sizeof *held);
    if (grown) c->answer = grown;
    if (held) c->held.items = held;
    if (!grown || !held) return 1;
    memcpy(c->answer + c->length, token->text, token->text_length);
    c->length += token->text_length;
    if (!token->is_stop) c->held.items[c->held.count++] = token->token;
    return interrupted() || ferror(stdout);
}

/* Keeps the tokens that the session and the new prompt share; at least one is left to compute. */
static lorac_status session_continue(struct conversation *c, struct token_list *ids, lorac_error *err)
{
    size_t held = lorac_session_length(c->session), same = 0;
    if (held > c->held.count) held = c->held.count;
    while (same < held && same + 1 < ids->count && ids->items[same] == c->held.items[same]) same++;
    lorac_status failed = lorac_session_truncate(c->session, same, err);
    if (!failed) failed = lorac_session_append(c->session, ids->items + same, ids->count - same, err);
    if (failed) same = 0;
    free(c->held.items);
    c->held = *ids;
    *ids = (struct token_list){0};
    if (failed) c->held.count = 0;
    return failed;
}

/* Answers the last message. Exit statuses as everywhere. */
static int answer(struct conversation *c)
{
    lorac_error err;
    lorac_generate_options generate_options;
    lorac_generate_result result = {.struct_size = sizeof result};
    struct token_list ids = {0};
    int status = chat_encode(c->engine.tokenizer, c->messages, NULL, NULL, false, &ids);
    if (status) return status;
    lorac_generate_options_init(&generate_options);
    generate_options.max_tokens = c->chat->max_tokens;
    sampling_get(&c->chat->sampling, &generate_options.sampler);
    c->length = 0;
    lorac_status failed = session_continue(c, &ids, &err);
    free(ids.items);
    if (!failed)
        failed = lorac_generate(c->session, c->engine.tokenizer, &generate_options, on_token, c, &result, &err);
    putchar('\n');
    messages_add(c->messages, "assistant", c->answer ? c->answer : "", c->length);
    return failed ? fail_error(false, &err) : 0;
}

static void print_help(void)
{
    fputs("/reset  forget the conversation\n/help   this text\n/quit   leave (as does the end of the input)\n", stderr);
}

/* Whether the conversation goes on. */
static bool handle_line(struct conversation *c, char *line)
{
    size_t length = strcspn(line, "\r\n");
    line[length] = 0;
    if (!strcmp(line, "/quit") || !strcmp(line, "/exit") || !strcmp(line, "q")) return false;
    if (!strcmp(line, "/reset") || !strcmp(line, "r")) {
        conversation_reset(c);
        fputs("The conversation starts anew.\n", stderr);
    } else if (line[0] == '/')
        print_help();
    else if (length) {
        messages_add(c->messages, "user", line, length);
        if (answer(c) == 1) {
            conversation_reset(c);
            fputs("The conversation starts anew.\n", stderr);
        }
        interruption_clear();
    }
    return true;
}

static int converse(struct conversation *c)
{
    char *line = NULL;
    size_t capacity = 0;
    bool prompt = isatty(STDIN_FILENO);
    if (prompt) fputs("A conversation. /help lists the commands, Ctrl-C ends an answer.\n", stderr);
    for (;;) {
        if (prompt)
            fprintf(stderr, "%s>%s ", terminal_colour(&c->terminal, COLOUR_BOLD),
                    terminal_colour(&c->terminal, COLOUR_NONE));
        if (getline(&line, &capacity, stdin) < 0 || interrupted() || !handle_line(c, line)) break;
    }
    free(line);
    if (prompt) fputc('\n', stderr);
    return interrupted() ? 130 : 0;
}

static int run(struct arguments *a)
{
    struct conversation c = {.chat = a->values, .messages = json_array()};
    lorac_session_options session_options;
    lorac_error err;
    signals_install();
    terminal_open(&c.terminal, stderr);
    conversation_reset(&c);
    int status = engine_open(&c.engine, &c.chat->common, OPEN_ALL);
    lorac_session_options_init(&session_options);
    session_options.precision = (lorac_precision)c.chat->common.precision;
    session_options.prefill_tokens = c.chat->prefill;
    session_options.kv_bits = c.chat->kv_bits ? 8 : 0;
    if (!status && lorac_session_create(c.engine.model, c.engine.set, &session_options, &c.session, &err))
        status = fail_error(false, &err);
    if (!status) status = converse(&c);
    lorac_session_free(c.session);
    json_decref(c.messages);
    free(c.held.items);
    free(c.answer);
    engine_close(&c.engine);
    return status;
}

const struct command command_chat = {
    .name = "chat",
    .summary = "talk with a model in the terminal",
    .examples = "  lorac chat\n  lorac chat --adapter-path adapters --system-prompt \"Answer in one sentence.\"\n",
    .options = option_table,
    .values_size = sizeof(struct chat),
    .run = run,
};
