/* tokenizer.h — text to token ids and back, and chat templates.
 *
 * A tokenizer comes from a GGUF file's metadata, a tokenizer.json, a tokenizer.model (SentencePiece, tiktoken), a
 * tekken.json, or a folder that holds one (with its tokenizer_config.json, chat_template.jinja,
 * special_tokens_map.json). It is immutable: any thread may use it.
 * All text is UTF-8; malformed bytes in the input count as U+FFFD. */
#ifndef LORAC_TOKENIZER_H
#define LORAC_TOKENIZER_H

#include <lorac/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lorac_tokenizer lorac_tokenizer;

LORAC_API lorac_status lorac_tokenizer_open(lorac_runtime *runtime, const char *path, lorac_tokenizer **tokenizer,
                                            lorac_error *err);
LORAC_API void lorac_tokenizer_close(lorac_tokenizer *tokenizer);

typedef struct lorac_tokenizer_info {
    size_t struct_size;
    size_t vocab_size;         /* ids are 0 .. vocab_size-1, added tokens included */
    int32_t bos, eos, unknown; /* -1 where there is none */
    int adds_bos, adds_eos;    /* what the post-processor adds */
    const char *chat_template; /* borrowed; NULL where there is none */
} lorac_tokenizer_info;
LORAC_API void lorac_tokenizer_get_info(const lorac_tokenizer *tokenizer, lorac_tokenizer_info *info);

/* Special (added) tokens written in the text are recognised. With `add_special`, what the post-processor
 * adds is added (BOS, EOS). *ids (count) is released with lorac_free; it is not NULL even for no tokens. */
LORAC_API lorac_status lorac_tokenizer_encode(const lorac_tokenizer *tokenizer, const char *text, size_t length,
                                              int add_special, int32_t **ids, size_t *count, lorac_error *err);

/* *text (length, NUL-terminated) is released with lorac_free. Nothing is stripped. With `skip_special`,
 * special tokens give no text. An id out of range is an error that names it. */
LORAC_API lorac_status lorac_tokenizer_decode(const lorac_tokenizer *tokenizer, const int32_t *ids, size_t count,
                                              int skip_special, char **text, size_t *length, lorac_error *err);

/* True for the tokens that end a generation: EOS, and the template's end of turn where the files name one. */
LORAC_API int lorac_tokenizer_is_stop(const lorac_tokenizer *tokenizer, int32_t id);

/* Streaming: push ids one at a time; what comes back never cuts a character, and all pieces together are
 * the decoded text. Thread rule: one thread at a time. */
typedef struct lorac_detokenizer lorac_detokenizer;
LORAC_API lorac_status lorac_detokenizer_create(const lorac_tokenizer *tokenizer, int skip_special,
                                                lorac_detokenizer **stream, lorac_error *err);
LORAC_API void lorac_detokenizer_free(lorac_detokenizer *stream);
/* *text (length) is borrowed until the next call on this stream; it may be empty. */
LORAC_API lorac_status lorac_detokenizer_push(lorac_detokenizer *stream, int32_t id, const char **text, size_t *length,
                                              lorac_error *err);
/* What is still held back (an unfinished character becomes U+FFFD); the stream is then as new. */
LORAC_API lorac_status lorac_detokenizer_flush(lorac_detokenizer *stream, const char **text, size_t *length,
                                               lorac_error *err);

/* Renders the tokenizer's chat template. `chat_json` is a list of messages, or an object with "messages" and
 * optionally "tools", "documents", "add_generation_prompt" and further variables of the template; the member
 * "add_generation_prompt" wins over the argument. *text is released with lorac_free. */
LORAC_API lorac_status lorac_chat_render(const lorac_tokenizer *tokenizer, const char *chat_json, size_t length,
                                         int add_generation_prompt, char **text, size_t *text_length, lorac_error *err);

#ifdef __cplusplus
}
#endif
#endif
