/* error.h — filling a lorac_error. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <lorac/status.h>
#include <stdbool.h>

/* Writes `status`, `file` (NULL allowed) and the formatted sentence into *err (NULL allowed); returns `status`.
 * With a file the message becomes "FILE: sentence". */
lorac_status fail(lorac_error *err, lorac_status status, const char *file, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The two failures that every layer has. */
lorac_status fail_memory(lorac_error *err, const char *what, size_t bytes);
lorac_status fail_errno(lorac_error *err, const char *file, const char *verb); /* "FILE: cannot VERB: No such file" */

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        lorac_status try_status_ = (call);                                                                             \
        if (try_status_ != LORAC_OK) return try_status_;                                                               \
    } while (0)

#endif
