/* tokenize.c — `lorac tokenize`: text to ids, ids to text, chats to both. */
#include "common.h"
#include "json_out.h"

#include <stdlib.h>
#include <string.h>

struct tokenize {
    struct common common;
    const char *text, *chat, *tokens, *lines, *token_lines;
    bool special;
};

static const struct option option_table[] = {
    SECTION("Input (one of these)"),
    OPTION(TEXT, struct tokenize, text, "text", .value = "S", .help = "the text to encode"),
    OPTION(TEXT, struct tokenize, chat, "chat", .value = "FILE",
           .help = "a JSON list of messages, or an object with messages, tools …, to render and encode"),
    OPTION(TEXT, struct tokenize, tokens, "tokens", .value = "IDS", .help = "ids to decode, such as 1,2,3"),
    OPTION(TEXT, struct tokenize, lines, "lines", .value = "FILE",
           .help = "one JSON string a line; prints one object a line"),
    OPTION(TEXT, struct tokenize, token_lines, "token-lines", .value = "FILE",
           .help = "one JSON list of ids a line to decode; prints one object a line"),
    SECTION("Tokenizer (the model's)"),
    OPTION(TEXT, struct tokenize, common.tokenizer, "tokenizer", .value = "PATH",
           .help = "a tokenizer.json, tokenizer.model, tekken.json or GGUF file, or a folder, in place of --model"),
    OPTION(FLAG, struct tokenize, special, "special", .help = "add what the post-processor adds, such as BOS"),
    MODEL_OPTIONS(struct tokenize),
    SECTION("Output"),
    JSON_OPTION(struct tokenize),
    OPTIONS_END,
};

static void print_ids(const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) printf("%s%d", i ? "," : "", (int)ids[i]);
    putchar('\n');
}

/* Prints {"tokens":[…]}, with `rendered` in front when it is given. Takes over neither. */
static int encode(const struct tokenize *t, const lorac_tokenizer *tokenizer, const char *text, size_t length,
                  const char *rendered)
{
    lorac_error err;
    int32_t *ids;
    size_t count;
    if (lorac_tokenizer_encode(tokenizer, text, length, t->special, &ids, &count, &err))
        return fail_error(t->common.json, &err);
    if (t->common.json) {
        json_t *object = json_object();
        if (rendered) json_object_set_new(object, "text", json_text(rendered, length));
        json_object_set_new(object, "tokens", json_ids(ids, count));
        json_print_line(stdout, object);
    } else {
        if (rendered) printf("%s\n", rendered);
        print_ids(ids, count);
    }
    lorac_free(ids);
    return 0;
}

static int encode_chat(const struct tokenize *t, const lorac_tokenizer *tokenizer)
{
    lorac_error err;
    size_t length, rendered_length;
    char *chat = read_whole(t->common.json, t->chat, &length), *rendered;
    int status;
    if (!chat) return 1;
    lorac_status failed = lorac_chat_render(tokenizer, chat, length, 1, &rendered, &rendered_length, &err);
    free(chat);
    if (failed) return fail_error(t->common.json, &err);
    status = encode(t, tokenizer, rendered, rendered_length, rendered);
    lorac_free(rendered);
    return status;
}

static int decode(const struct tokenize *t, const lorac_tokenizer *tokenizer, const int32_t *ids, size_t count)
{
    lorac_error err;
    size_t length;
    char *text;
    if (lorac_tokenizer_decode(tokenizer, ids, count, 0, &text, &length, &err)) return fail_error(t->common.json, &err);
    if (t->common.json)
        json_print_line(stdout, json_pack("{s:o}", "text", json_text(text, length)));
    else
        printf("%s\n", text);
    lorac_free(text);
    return 0;
}

static int decode_option(const struct tokenize *t, const lorac_tokenizer *tokenizer)
{
    size_t count;
    int32_t *ids = parse_ids(t->common.json, "tokens", t->tokens, &count);
    int status = ids ? decode(t, tokenizer, ids, count) : 2;
    free(ids);
    return status;
}

/* ---- lines of JSON ----------------------------------------------------------------------- */

enum { NOT_THIS = -1 }; /* the line holds something else */
typedef int (*line_fn)(const struct tokenize *t, const lorac_tokenizer *tokenizer, const json_t *value);

static int encode_line(const struct tokenize *t, const lorac_tokenizer *tokenizer, const json_t *value)
{
    if (!json_is_string(value)) return NOT_THIS;
    return encode(t, tokenizer, json_string_value(value), json_string_length(value), NULL);
}

static bool read_ids(const json_t *list, int32_t *ids)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t id = json_integer_value(json_array_get(list, i));
        if (!json_is_integer(json_array_get(list, i)) || id < 0 || id > INT32_MAX) return false;
        ids[i] = (int32_t)id;
    }
    return true;
}

static int decode_line(const struct tokenize *t, const lorac_tokenizer *tokenizer, const json_t *value)
{
    size_t count = json_array_size(value);
    if (!json_is_array(value)) return NOT_THIS;
    int32_t *ids = malloc((count + 1) * sizeof *ids);
    if (!ids) return fail_status(t->common.json, LORAC_OUT_OF_MEMORY, "", "out of memory");
    int status = read_ids(value, ids) ? decode(t, tokenizer, ids, count) : NOT_THIS;
    free(ids);
    return status;
}

static int each_line(const struct tokenize *t, const lorac_tokenizer *tokenizer, const char *file, line_fn fn,
                     const char *expected)
{
    size_t length, number = 0;
    char *all = read_whole(t->common.json, file, &length);
    int status = all ? 0 : 1;
    for (char *line = all, *end; line && !status && line < all + length; line = end + 1) {
        end = memchr(line, '\n', (size_t)(all + length - line));
        if (!end) end = all + length;
        number++;
        if (strspn(line, " \t\r") >= (size_t)(end - line)) continue;
        json_error_t bad;
        json_t *value = json_loadb(line, (size_t)(end - line), JSON_DECODE_ANY | JSON_ALLOW_NUL, &bad);
        status = fn(t, tokenizer, value);
        if (status == NOT_THIS)
            status = fail_status(t->common.json, LORAC_FORMAT, file, "%s:%zu: expected %s%s%s", file, number, expected,
                                 value ? "" : ": ", value ? "" : bad.text);
        json_decref(value);
    }
    free(all);
    return status;
}

static int run(struct arguments *a)
{
    const struct tokenize *t = a->values;
    struct engine e;
    int given = !!t->text + !!t->chat + !!t->tokens + !!t->lines + !!t->token_lines, status;
    if (given != 1)
        return fail_usage(t->common.json, "give one of --text, --chat, --tokens, --lines and --token-lines");
    status = engine_open(&e, &t->common, OPEN_TOKENIZER);
    if (!status) {
        if (t->text)
            status = encode(t, e.tokenizer, t->text, strlen(t->text), NULL);
        else if (t->chat)
            status = encode_chat(t, e.tokenizer);
        else if (t->tokens)
            status = decode_option(t, e.tokenizer);
        else if (t->lines)
            status = each_line(t, e.tokenizer, t->lines, encode_line, "a JSON string");
        else
            status = each_line(t, e.tokenizer, t->token_lines, decode_line, "a JSON list of token ids");
    }
    engine_close(&e);
    return status;
}

const struct command command_tokenize = {
    .name = "tokenize",
    .summary = "turn text into token ids and back, or render a chat",
    .examples = "  lorac tokenize --text \"Good morning.\" --json\n"
                "  lorac tokenize --tokens 14229,5738,30\n"
                "  lorac tokenize --chat messages.json --tokenizer tokenizer.json --json\n",
    .options = option_table,
    .values_size = sizeof(struct tokenize),
    .run = run,
};
