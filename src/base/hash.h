/* hash.h — SHA-256 (libcrypto), for content hashes of adapters, data, bases and checkpoints. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/error.h"

struct hash {
    void *state;
};
enum { HASH_BYTES = 32, HASH_TEXT = 65 };

lorac_status hash_begin(struct hash *h, lorac_error *err);
void hash_add(struct hash *h, const void *bytes, size_t size);
void hash_end(struct hash *h, uint8_t digest[HASH_BYTES]); /* also frees */
lorac_status hash_bytes(const void *bytes, size_t size, uint8_t digest[HASH_BYTES], lorac_error *err);
void hash_text(const uint8_t digest[HASH_BYTES], char text[HASH_TEXT]); /* lower-case hexadecimal */

#endif
