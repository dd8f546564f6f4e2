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
    const char *names; /* separated by blanks */
    const char *patterns[GGUF_SPLIT_STEPS];
    bool ignore_merges, adds_bos; /* adds_bos: where the file does not say */
    enum gguf_words words;
};
const struct gguf_split *gguf_split_named(const char *name); /* NULL: unknown */

#endif
