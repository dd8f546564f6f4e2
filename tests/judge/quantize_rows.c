/* quantize_rows.c — numbers to ggml's blocks, for tools/judge_gguf_quantize.py.
 *
 * usage: quantize_rows TYPE < f32 > blocks     (as many numbers as whole blocks) */
#include "quant/quantize_ggml.h"

#include <stdio.h>
#include <string.h>

enum { CHUNK = 64 * QUANT_BLOCK };

static const struct quant_format *format_named(const char *name)
{
    for (size_t t = 0; t < QUANT_TYPES; t++)
        if (quant_formats[t].ggml_type != QUANT_NO_GGML && strcmp(quant_formats[t].name, name) == 0)
            return &quant_formats[t];
    return NULL;
}

int main(int argc, char **argv)
{
    static float x[CHUNK];
    static uint8_t blocks[4 * CHUNK];
    size_t n;
    const struct quant_format *f = argc == 2 ? format_named(argv[1]) : NULL;
    if (!f) return fprintf(stderr, "usage: quantize_rows TYPE < f32 > blocks\n"), 2;
    while ((n = fread(x, sizeof *x, CHUNK, stdin)) > 0) {
        size_t bytes = n / f->block * f->block_bytes;
        if (n % f->block || !quantize_ggml(quant_type_of(f), x, NULL, n, blocks))
            return fprintf(stderr, "%s: not written, or a part of a block\n", f->name), 1;
        if (fwrite(blocks, 1, bytes, stdout) != bytes) return perror("blocks"), 1;
    }
    return 0;
}
