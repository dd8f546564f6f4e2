/* fuzz_split.c — any bytes as the parts of a split GGUF model: opened from each of them, it opens or is refused; what
 * opened can be walked to the last byte of every part.
 *
 * The bytes: how many parts (one byte, 1 to 4), the size of each but the last (two bytes, little-endian), the parts. */
#include "file/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_PARTS = 4 };
static char folder[64];
static volatile unsigned sink; /* keeps the reads */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void end(void)
{
    struct memory m = {0};
    os_remove_tree(&m, folder, NULL);
}

static void prepare(void)
{
    const char *place = getenv("TMPDIR");
    if (*folder) return;
    snprintf(folder, sizeof folder, "%.40s/lorac-fuzz-XXXXXX", place ? place : "/tmp");
    if (!mkdtemp(folder)) abort();
    atexit(end);
}

static void spell(char path[128], size_t part, size_t parts)
{
    snprintf(path, 128, "%s/m-%05zu-of-%05zu.gguf", folder, part + 1, parts);
}

static void write_part(size_t part, size_t parts, const uint8_t *bytes, size_t size)
{
    char path[128];
    spell(path, part, parts);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, size, f) != size || fclose(f)) abort();
}

static void open_from(size_t part, size_t parts)
{
    struct memory m = {.limit = 64u << 20};
    struct gguf g;
    char path[128];
    lorac_error err = {0};
    spell(path, part, parts);
    if (gguf_open(&m, path, false, &g, &err) == LORAC_OK) {
        for (size_t i = 0; i < g.tensor_count; i++)
            for (size_t k = 0; k < g.tensors[i].bytes; k++) sink += g.tensors[i].data[k];
        gguf_close(&g);
    } else if (!*err.message)
        abort();
    if (m.used) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t parts = size ? 1 + (data[0] - 1u) % MOST_PARTS : 0, at = 1 + 2 * (parts - 1);
    if (!parts || size < at) return 0;
    prepare();
    for (size_t i = 0; i < parts; i++) {
        size_t wanted = i + 1 < parts ? data[1 + 2 * i] | (size_t)data[2 + 2 * i] << 8 : SIZE_MAX;
        size_t length = wanted < size - at ? wanted : size - at;
        write_part(i, parts, data + at, length);
        at += length;
    }
    for (size_t i = 0; i < parts; i++) open_from(i, parts);
    for (size_t i = 0; i < parts; i++) {
        char path[128];
        spell(path, i, parts);
        unlink(path);
    }
    return 0;
}
