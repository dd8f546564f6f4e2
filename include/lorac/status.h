/* status.h — what every fallible call of lorac returns, and the error that explains it.
 *
 * Every fallible function returns a lorac_status and takes an optional `lorac_error *` as its last
 * argument: NULL is allowed; on success it is left alone. An error names the file or the argument,
 * what was expected and what was found. Thread rule: a lorac_error belongs to the caller. */
#ifndef LORAC_STATUS_H
#define LORAC_STATUS_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define LORAC_API __declspec(dllexport)
#else
#define LORAC_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lorac_status {
    LORAC_OK = 0,
    LORAC_INVALID_ARGUMENT, /* the caller asked for something that makes no sense */
    LORAC_OUT_OF_MEMORY,    /* the system or the byte budget refused */
    LORAC_IO,               /* a file could not be opened, read or written */
    LORAC_FORMAT,           /* a file's content is damaged or is not what it claims to be */
    LORAC_UNSUPPORTED,      /* well formed, but lorac does not compute it */
    LORAC_NOT_FOUND,        /* a file, tensor or name is missing */
    LORAC_MISMATCH,         /* two things that must fit do not: adapter and base, data and checkpoint */
    LORAC_CANCELLED,        /* the caller's callback or cancel flag stopped the work */
    LORAC_NOT_FINITE        /* a loss became NaN or infinite */
} lorac_status;

typedef struct lorac_error {
    lorac_status status;
    char file[512];     /* the file concerned, or "" */
    char message[1536]; /* one sentence for people; it contains the file's name where there is one */
} lorac_error;

/* A short name for a status, such as "format"; never NULL. This is the `kind` of the command's JSON errors. */
LORAC_API const char *lorac_status_name(lorac_status status);

/* The library's version, "major.minor.patch". */
LORAC_API const char *lorac_version(void);

/* Frees memory that a lorac function returned through a plain pointer (text, ids). NULL is allowed. */
LORAC_API void lorac_free(void *pointer);

#ifdef __cplusplus
}
#endif
#endif
