/* dataset_mask.c — which tokens of a chat are targets.
 *
 *   all        every token              last       those of the last message
 *   assistant  what the template marks as generated; without marks, those of the assistant's messages
 * A message that says "train": false is none. A message lies between the chat's beginning before it (for an assistant
 * with the header that asks for its answer) and the beginning that ends with it, both counted in tokens, as in mlx-lm.
 * Some templates render a beginning otherwise than the whole (they drop earlier thoughts, or write the tools at the
 * last question). Then the message's content is looked for: it is rendered once more with a mark on it. */
#include "text/dataset_mask.h"

#include <string.h>

struct masking {
    struct memory *memory;
    struct chat_templates *templates;
    json_t *chat, *messages; /* without "train" */
    struct text text;        /* the rendered chat */
    struct list spans;       /* struct text_span */
    size_t *ends;            /* of each id in the text, or NULL where the ids do not spell it */
    struct masked *out;
    lorac_error *err;
};

/* ---- text ----------------------------------------------------------------------------------- */

static size_t common_length(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t n = 0;
    while (n < a_length && n < b_length && a[n] == b[n]) n++;
    return n;
}

static size_t common_text(const struct text *a, const struct text *b)
{
    return common_length(a->data, a->length, b->data, b->length);
}

static bool begins_with(const struct text *whole, const struct text *part)
{
    return common_text(whole, part) == part->length;
}

static const json_t *message_at(const struct masking *m, size_t i)
{
    return json_array_get(m->messages, i);
}

static bool is_assistant(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role && !strcmp(role, "assistant");
}

/* The chat with its first `count` messages; message `marked` has MARK before or after its content. */
#define MARK     "\u2042lorac\u2042"
#define UNMARKED SIZE_MAX
static json_t *beginning(const struct masking *m, size_t count, size_t marked, bool mark_end)
{
    json_t *part = json_copy(m->chat), *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *message = json_copy(json_array_get(m->messages, i));
        const char *content = json_string_value(json_object_get(message, "content"));
        if (i == marked)
            json_object_set_new(
                message, "content",
                json_sprintf("%s%s%s", mark_end ? "" : MARK, content ? content : "", mark_end ? MARK : ""));
        json_array_append_new(list, message);
    }
    json_object_set_new(part, "messages", list);
    return part;
}

static lorac_status render_beginning(struct masking *m, size_t count, size_t marked, bool mark_end, bool prompt,
                                     struct text *out)
{
    *out = (struct text){.memory = m->memory};
    json_t *part = beginning(m, count, marked, mark_end);
    lorac_status status = chat_render(m->templates, part, prompt, out, NULL, m->err);
    json_decref(part);
    if (status != LORAC_OK) text_free(out);
    return status;
}

static lorac_status encode_text(struct masking *m, const struct text *text, size_t length, size_t *count, int32_t **ids)
{
    return lorac_tokenizer_encode(m->templates->tokenizer, text->data ? text->data : "", length, 0, ids, count, m->err);
}

static lorac_status tokens_in(struct masking *m, const struct text *text, size_t *tokens)
{
    int32_t *ids;
    TRY(encode_text(m, text, text->length, tokens, &ids));
    lorac_free(ids);
    return LORAC_OK;
}

/* ---- places in the text as tokens ----------------------------------------------------------- */

/* Where each id ends, from the text that the ids spell. */
static lorac_status find_ends(struct masking *m)
{
    lorac_detokenizer *stream;
    const char *piece;
    size_t n, at = 0, i = 0, open = 0;
    bool same = true;
    if (!(m->ends = mem_array(m->memory, m->out->count + 1, sizeof *m->ends)))
        return fail_memory(m->err, "the places of tokens", m->out->count);
    TRY(lorac_detokenizer_create(m->templates->tokenizer, 0, &stream, m->err));
    for (; same && i < m->out->count; i++) {
        if (lorac_detokenizer_push(stream, m->out->ids[i], &piece, &n, m->err)) break;
        same = m->text.length - at >= n && !memcmp(m->text.data + at, piece, n);
        at += n;
        if (n) /* ids of one character all reach to its end */
            for (; open <= i; open++) m->ends[open] = at;
    }
    lorac_detokenizer_free(stream);
    if (same && i == m->out->count && at == m->text.length) return LORAC_OK;
    mem_free(m->memory, m->ends);
    m->ends = NULL;
    return LORAC_OK;
}

/* The number of ids before a place: those that end there or before; with `over`, also one that only begins before. */
static lorac_status tokens_before(struct masking *m, size_t place, bool over, size_t *tokens)
{
    *tokens = 0;
    if (m->ends) {
        while (*tokens < m->out->count && m->ends[*tokens] <= place) ++*tokens;
        size_t reached = *tokens ? m->ends[*tokens - 1] : 0;
        if (over && *tokens < m->out->count && reached < place) ++*tokens;
        while (over && *tokens < m->out->count && *tokens && m->ends[*tokens] == m->ends[*tokens - 1]) ++*tokens;
        return LORAC_OK;
    }
    int32_t *ids;
    size_t count;
    TRY(encode_text(m, &m->text, place, &count, &ids));
    while (*tokens < count && *tokens < m->out->count && ids[*tokens] == m->out->ids[*tokens]) ++*tokens;
    if (over && *tokens < count && *tokens < m->out->count) ++*tokens;
    lorac_free(ids);
    return LORAC_OK;
}

/* ---- messages ------------------------------------------------------------------------------- */

struct extent {
    size_t from, to; /* tokens */
};

static lorac_status not_found(struct masking *m, size_t i)
{
    return fail(m->err, LORAC_UNSUPPORTED, NULL,
                "the tokens of message %zu cannot be found: the chat template renders it differently when more "
                "messages follow (--train-on last needs the last one only; a template with generation marks works)",
                i + 1);
}

/* Where the content of message `i` begins or ends in `base`, which renders the first `count` messages. */
static lorac_status find_content(struct masking *m, const struct text *base, size_t count, size_t i, bool end,
                                 size_t *place)
{
    struct text marked;
    const size_t mark = sizeof MARK - 1;
    const json_t *content = json_object_get(message_at(m, i), "content");
    if (content && !json_is_string(content)) return not_found(m, i);
    TRY(render_beginning(m, count, i, end, false, &marked));
    *place = common_text(base, &marked);
    bool found = marked.length == base->length + mark && !memcmp(marked.data + *place, MARK, mark) &&
                 !memcmp(marked.data + *place + mark, base->data + *place, base->length - *place);
    text_free(&marked);
    return found ? LORAC_OK : not_found(m, i);
}

/* The header that asks for an answer may be longer than the one that a chat shows: what is common counts, up to the
 * content at the latest. */
static lorac_status begin_in_text(struct masking *m, const struct text *asked, size_t i, size_t *place)
{
    struct text before;
    size_t content, n = json_array_size(m->messages);
    TRY(render_beginning(m, i, UNMARKED, false, false, &before));
    bool stable = begins_with(&m->text, &before);
    text_free(&before);
    if (!stable) return find_content(m, &m->text, n, i, false, place);
    *place = common_text(&m->text, asked);
    if (find_content(m, &m->text, n, i, false, &content) == LORAC_OK && content < *place) *place = content;
    return LORAC_OK;
}

static lorac_status find_begin(struct masking *m, size_t i, size_t *token)
{
    struct text asked;
    size_t place = 0;
    *token = 0;
    if (!i) return LORAC_OK;
    TRY(render_beginning(m, i, UNMARKED, false, is_assistant(message_at(m, i)), &asked));
    lorac_status status;
    if (begins_with(&m->text, &asked)) {
        status = tokens_in(m, &asked, token);
    } else {
        status = begin_in_text(m, &asked, i, &place);
        if (status == LORAC_OK) status = tokens_before(m, place, false, token);
    }
    text_free(&asked);
    return status;
}

/* After the content stands what stands there when the chat ends with the message. */
static lorac_status end_in_text(struct masking *m, const struct text *ended, size_t i, size_t *place)
{
    size_t inside;
    TRY(find_content(m, ended, i + 1, i, true, &inside));
    TRY(find_content(m, &m->text, json_array_size(m->messages), i, true, place));
    size_t tail = ended->length - inside;
    if (m->text.length - *place < tail || memcmp(m->text.data + *place, ended->data + inside, tail))
        return not_found(m, i);
    *place += tail;
    return LORAC_OK;
}

static lorac_status find_end(struct masking *m, size_t i, size_t *token)
{
    struct text ended;
    size_t place = 0;
    *token = m->out->count;
    if (i + 1 == json_array_size(m->messages)) return LORAC_OK;
    TRY(render_beginning(m, i + 1, UNMARKED, false, false, &ended));
    lorac_status status;
    if (begins_with(&m->text, &ended)) {
        status = tokens_in(m, &ended, token);
    } else {
        status = end_in_text(m, &ended, i, &place);
        if (status == LORAC_OK) status = tokens_before(m, place, true, token);
    }
    text_free(&ended);
    return status;
}

/* With `marked`, the marks that reach into the message are part of it. */
static lorac_status set_message(struct masking *m, size_t i, uint8_t target, bool marked)
{
    struct extent e;
    TRY(find_begin(m, i, &e.from));
    TRY(find_end(m, i, &e.to));
    while (marked && e.from && m->out->mask[e.from - 1]) e.from--;
    while (marked && e.to < m->out->count && m->out->mask[e.to]) e.to++;
    for (size_t k = e.from; k < e.to && k < m->out->count; k++) m->out->mask[k] = target;
    return LORAC_OK;
}

/* ---- rules ---------------------------------------------------------------------------------- */

static lorac_status set_marked(struct masking *m)
{
    const struct text_span *spans = m->spans.items;
    for (size_t i = 0; i < m->spans.count; i++) {
        struct extent e;
        TRY(tokens_before(m, spans[i].from, false, &e.from));
        TRY(tokens_before(m, spans[i].to, true, &e.to));
        for (size_t k = e.from; k < e.to; k++) m->out->mask[k] = 1;
    }
    return LORAC_OK;
}

static bool is_trained(const json_t *chat, size_t i)
{
    const json_t *message = json_array_get(json_object_get(chat, "messages"), i);
    return !json_is_false(json_object_get(message, "train"));
}

static lorac_status set_targets(struct masking *m, const json_t *chat, lorac_train_on train_on)
{
    const struct chat_template *template;
    size_t n = json_array_size(m->messages);
    TRY(chat_template_for(m->templates, json_object_get(m->chat, "tools"), &template, m->err));
    bool marked = train_on == LORAC_TRAIN_ON_ASSISTANT && template_marks(template);
    if (train_on == LORAC_TRAIN_ON_ALL) memset(m->out->mask, 1, m->out->count);
    if (train_on == LORAC_TRAIN_ON_LAST) return is_trained(chat, n - 1) ? set_message(m, n - 1, 1, false) : LORAC_OK;
    if (marked) TRY(set_marked(m));
    for (size_t i = 0; i < n; i++) {
        bool trained = is_trained(chat, i), sets = train_on == LORAC_TRAIN_ON_ASSISTANT && !marked;
        if (sets ? trained && is_assistant(message_at(m, i)) : !trained) TRY(set_message(m, i, sets, marked));
    }
    return LORAC_OK;
}

/* The chat as the template sees it: "train" is ours. */
static lorac_status copy_chat(struct masking *m, json_t *chat)
{
    const json_t *messages = json_object_get(chat, "messages");
    m->chat = json_copy(chat);
    m->messages = json_array();
    for (size_t i = 0; m->chat && i < json_array_size(messages); i++) {
        json_t *message = json_copy(json_array_get(messages, i));
        json_object_del(message, "train");
        if (json_array_append_new(m->messages, message)) return fail_memory(m->err, "a chat", 0);
    }
    if (!m->chat || !m->messages || json_object_set(m->chat, "messages", m->messages))
        return fail_memory(m->err, "a chat", 0);
    return LORAC_OK;
}

static lorac_status mask(struct masking *m, json_t *chat, lorac_train_on train_on)
{
    TRY(copy_chat(m, chat));
    TRY(chat_render(m->templates, m->chat, false, &m->text, &m->spans, m->err));
    TRY(encode_text(m, &m->text, m->text.length, &m->out->count, &m->out->ids));
    if (!(m->out->mask = mem_alloc(m->memory, m->out->count + 1))) return fail_memory(m->err, "a mask", m->out->count);
    memset(m->out->mask, 0, m->out->count + 1);
    if (train_on != LORAC_TRAIN_ON_ALL) TRY(find_ends(m));
    return set_targets(m, chat, train_on);
}

lorac_status mask_chat(struct chat_templates *t, json_t *chat, lorac_train_on train_on, struct masked *result,
                       lorac_error *err)
{
    struct memory *memory = t->tokenizer->memory;
    struct masking m = {.memory = memory,
                        .templates = t,
                        .text = {.memory = memory},
                        .spans = {.memory = memory, .size = sizeof(struct text_span)},
                        .out = result,
                        .err = err};
    *result = (struct masked){0};
    lorac_status status = mask(&m, chat, train_on);
    json_decref(m.chat);
    json_decref(m.messages);
    text_free(&m.text);
    list_free(&m.spans);
    mem_free(memory, m.ends);
    if (status == LORAC_OK) return LORAC_OK;
    lorac_free(result->ids);
    mem_free(memory, result->mask);
    *result = (struct masked){0};
    return status;
}
