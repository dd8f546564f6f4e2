/* split_words.c — the words that pre-tokenizers cut texts into, for tools/fuzz_regex.py.
 *
 * A line of standard input is {"pre_tokenizer": part of a tokenizer.json, "texts": [text, …]}; a line of standard
 * output is {"words": [[word, …], …]} or {"status": what failed}. */
#include "base/json.h"
#include "text/pretokenize.h"
#include "text/regex.h"

#include <stdio.h>
#include <stdlib.h>

static lorac_status add_word(void *words, const char *word, size_t length, lorac_error *err)
{
    if (json_array_append_new(words, json_stringn(word, length)))
        return fail(err, LORAC_FORMAT, NULL, "a word is not UTF-8");
    return LORAC_OK;
}

static lorac_status split_texts(const struct pretokenizer *p, struct regex_match *match, const json_t *texts,
                                json_t *lists, lorac_error *err)
{
    lorac_status status = LORAC_OK;
    for (size_t i = 0; i < json_array_size(texts) && status == LORAC_OK; i++) {
        const json_t *text = json_array_get(texts, i);
        json_t *words = json_array();
        json_array_append_new(lists, words);
        status = pretokenize(p, match, true, json_string_value(text), json_string_length(text), add_word, words, err);
    }
    return status;
}

static void answer(struct memory *m, struct regex_match *match, const json_t *row)
{
    struct pretokenizer p;
    struct text line = {.memory = m};
    json_t *lists = json_array();
    lorac_error err;
    pretokenizer_init(&p, m);
    lorac_status status = pretokenizer_read(&p, json_object_get(row, "pre_tokenizer"), "pattern", &err);
    if (!status) status = split_texts(&p, match, json_object_get(row, "texts"), lists, &err);
    json_t *object = status ? json_pack("{s:i}", "status", (int)status) : json_pack("{s:O}", "words", lists);
    json_print(&line, object, (struct json_style){.compact = true});
    printf("%s\n", line.failed ? "{\"status\":0}" : line.data);
    fflush(stdout);
    text_free(&line);
    json_decref(object);
    json_decref(lists);
    pretokenizer_free(&p);
}

int main(void)
{
    struct memory m = {0};
    struct regex_match *match;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    lorac_error err;
    if (regex_match_create(&match, &err)) return fprintf(stderr, "%s\n", err.message), 1;
    while ((length = getline(&line, &capacity, stdin)) > 0) {
        json_t *row = NULL;
        if (json_read(&m, line, (size_t)length, "input", &row, &err)) return fprintf(stderr, "%s\n", err.message), 1;
        answer(&m, match, row);
        json_decref(row);
    }
    free(line);
    regex_match_free(match);
    return m.used != 0;
}
