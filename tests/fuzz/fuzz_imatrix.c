/* fuzz_imatrix.c — any bytes as an imatrix: no crash, no leak, no more memory than the bytes justify; what was accepted
 * is found by name, finite and not negative. */
#include "file/imatrix.h"

#include <math.h>
#include <stdlib.h>

static void ask(const struct imatrix *im)
{
    const struct imatrix_entry *entries = im->entries.items;
    for (size_t i = 0; i < im->entries.count; i++) {
        const float *found;
        lorac_status status = imatrix_find(im, entries[i].name, entries[i].cols, &found, NULL);
        if (status != LORAC_OK && status != LORAC_MISMATCH) abort(); /* of two of a name the first is found */
        for (size_t k = 0; k < entries[i].cols; k++)
            if (!(entries[i].importance[k] >= 0 && isfinite(entries[i].importance[k]))) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory m = {.limit = 64 * size + 65536};
    struct imatrix im;
    lorac_error err = {.message = ""};
    lorac_status status = imatrix_open_bytes(&m, data, size, &im, &err);
    if (status == LORAC_OUT_OF_MEMORY) abort();
    if (status == LORAC_OK) {
        ask(&im);
        imatrix_close(&im);
    } else if (!*err.message) {
        abort();
    }
    if (m.used) abort();
    return 0;
}
