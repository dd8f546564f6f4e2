/* error.c — filling a lorac_error; names of statuses. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"ok",          "invalid_argument", "out_of_memory", "io",        "format",
                                    "unsupported", "not_found",        "mismatch",      "cancelled", "not_finite"};

const char *lorac_status_name(lorac_status status)
{
    return (size_t)status < sizeof names / sizeof *names ? names[status] : "unknown";
}

const char *lorac_version(void)
{
    return LORAC_VERSION;
}

lorac_status fail(lorac_error *err, lorac_status status, const char *file, const char *format, ...)
{
    if (!err) return status;
    char sentence[1020]; /* with the file it fits the message */
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    err->status = status;
    snprintf(err->file, sizeof err->file, "%s", file ? file : "");
    snprintf(err->message, sizeof err->message, "%s%s%s", err->file, *err->file ? ": " : "", sentence);
    return status;
}

lorac_status fail_memory(lorac_error *err, const char *what, size_t bytes)
{
    return fail(err, LORAC_OUT_OF_MEMORY, NULL, "no memory for %s (%zu bytes)", what, bytes);
}

/* glibc's strerror_r returns the text, which need not stand in the buffer; POSIX's returns a number. */
static const char *describe(int number, char *buffer, size_t size)
{
    snprintf(buffer, size, "error %d", number);
#if defined(__GLIBC__)
    return strerror_r(number, buffer, size);
#else
    return strerror_r(number, buffer, size) == 0 ? buffer : "unknown error";
#endif
}

lorac_status fail_errno(lorac_error *err, const char *file, const char *verb)
{
    int number = errno;
    char reason[128];
    lorac_status status = number == ENOMEM ? LORAC_OUT_OF_MEMORY : number == ENOENT ? LORAC_NOT_FOUND : LORAC_IO;
    return fail(err, status, file, "cannot %s: %s", verb, describe(number, reason, sizeof reason));
}
