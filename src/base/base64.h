/* base64.h — base64 to bytes (RFC 4648, the standard alphabet; padding may be missing). */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/memory.h"
#include <stdint.h>

bool base64_read(const char *coded, size_t length, struct text *bytes); /* appends; false: not base64 */

#endif
