/* replay.c — runs a fuzz target over a corpus without libFuzzer: each file as it is, cut at 32 places,
 * and with 64 single bits flipped, all at places that depend on its content alone. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1); /* an exact block, so that a sanitizer sees one byte too far */
    if (!copy) abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static uint64_t next(uint64_t *state) /* SplitMix64 */
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void run_damaged(uint8_t *data, size_t size)
{
    uint64_t state = size;
    run(data, size);
    if (!size) return;
    for (int i = 0; i < 32; i++) run(data, next(&state) % size);
    for (int i = 0; i < 64; i++) {
        size_t at = next(&state) % size;
        uint8_t bit = (uint8_t)(1u << (next(&state) % 8));
        data[at] ^= bit;
        run(data, size);
        data[at] ^= bit;
    }
}

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return 1;
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    uint8_t *data = malloc((size_t)size + 1);
    int bad = !data || fread(data, 1, (size_t)size, f) != (size_t)size;
    fclose(f);
    if (!bad) run_damaged(data, (size_t)size);
    free(data);
    return bad;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (!folder) return fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]), 2;
    int files = 0, bad = 0;
    for (struct dirent *e; (e = readdir(folder));) {
        char path[4096];
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        bad += run_file(path);
        files++;
    }
    closedir(folder);
    printf("%d corpus files, each with 97 variants\n", files);
    return bad || !files;
}
