/* tokenizer_gguf.h — how the byte-level tokenizers of GGUF files cut text into words, by the name in
 * tokenizer.ggml.pre (tokenizer_gguf_splits.c). */
#ifndef TEXT_TOKENIZER_GGUF_H
#define TEXT_TOKENIZER_GGUF_H

#include "file/gguf.h"
#include "text/tokenizer.h"

enum { GGUF_SPLIT_STEPS = 6 };
enum gguf_words {
    WORDS_OF_BYTES,      /* spelled in the byte alphabet */
    WORDS_OF_CHARACTERS, /* as they are, what lies between them dropped */
    NO_WORDS,            /* the whole text, its spaces as marks, like Gemma's */
};
struct gguf_split {
    const char *names; /* separated by blanks; the first is the one that is written */
    const char *patterns[GGUF_SPLIT_STEPS];
    bool ignore_merges, adds_bos; /* adds_bos: where the file does not say */
    enum gguf_words words;
};
/* lorac's own key: a space goes before a text even if that begins with one, as llama.cpp does in any case. Where it is
 * missing, a GGUF is read as transformers reads it. */
#define GGUF_ALWAYS_SPACE "lorac.tokenizer.always_space_prefix"

const struct gguf_split *gguf_split_named(const char *name); /* NULL: unknown */
const struct gguf_split *gguf_split_of(const struct pretokenizer *p, bool ignore_merges);

/* The tokenizer as metadata of the draft, which names the architecture already; `rows`: of the model's embedding, which
 * the tokens are filled up to. What comes is read back: a tokenizer that would cut texts otherwise is refused. */
struct gguf_draft;
lorac_status tokenizer_to_gguf(const struct lorac_tokenizer *t, size_t rows, struct gguf_draft *d, lorac_error *err);

#endif
