/* hash.c — SHA-256 through libcrypto's EVP. See hash.h. */
#include "base/hash.h"

#include <openssl/evp.h>
#include <string.h>

lorac_status hash_begin(struct hash *h, lorac_error *err)
{
    h->state = EVP_MD_CTX_new();
    if (!h->state) return fail_memory(err, "a hash", 0);
    if (EVP_DigestInit_ex(h->state, EVP_sha256(), NULL) == 1) return LORAC_OK;
    EVP_MD_CTX_free(h->state);
    h->state = NULL;
    return fail(err, LORAC_UNSUPPORTED, NULL, "libcrypto refuses SHA-256");
}

void hash_add(struct hash *h, const void *bytes, size_t size)
{
    if (size) EVP_DigestUpdate(h->state, bytes, size); /* cannot fail after a successful init */
}

void hash_end(struct hash *h, uint8_t digest[HASH_BYTES])
{
    EVP_DigestFinal_ex(h->state, digest, NULL);
    EVP_MD_CTX_free(h->state);
    h->state = NULL;
}

lorac_status hash_bytes(const void *bytes, size_t size, uint8_t digest[HASH_BYTES], lorac_error *err)
{
    struct hash h;
    TRY(hash_begin(&h, err));
    hash_add(&h, bytes, size);
    hash_end(&h, digest);
    return LORAC_OK;
}

void hash_text(const uint8_t digest[HASH_BYTES], char text[HASH_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HASH_BYTES; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[HASH_TEXT - 1] = 0;
}
