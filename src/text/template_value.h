/* template_value.h — the template interpreter's limits, memory and errors, values and calls; template_impl.h alone
 * includes it. */
#ifndef TEXT_TEMPLATE_VALUE_H
#define TEXT_TEMPLATE_VALUE_H

#include "base/reader.h"
#include "text/template.h"

/* ---- limits ------------------------------------------------------------------------------ */

enum {
    PARSE_DEPTH = 200,     /* nested brackets, blocks and operator chains */
    EVAL_DEPTH = 600,      /* nested evaluations, macro calls included */
    VALUE_DEPTH = 600,     /* nested containers that are compared, printed or converted */
    RANGE_LIMIT = 100000,  /* items of a range(): the reference's sandbox has the same */
    STEP_LIMIT = 10000000, /* evaluations, and 64 bytes of text or 8 items handled */
    CLOCK_STEPS = 1 << 16, /* from one look at the clock to the next */
    CALL_ARGUMENTS = 64,   /* arguments of one call */
};
#define TIME_LIMIT   30.0 /* seconds */
#define SOURCE_LIMIT ((size_t)1 << 20)
#define OUTPUT_LIMIT ((size_t)64 << 20)
#define ARENA_LIMIT  ((size_t)256 << 20)

/* ---- arena and errors -------------------------------------------------------------------- */

struct chunk;
struct arena {
    struct memory *memory;
    struct chunk *chunks;
    char *at, *end; /* what is free of the newest chunk; never written before */
    size_t used;
};
void arena_free(struct arena *a);

/* What parsing and rendering have in common: where memory comes from and where errors go. */
struct host {
    struct arena arena;
    const char *name; /* of the template */
    unsigned line;    /* of the tag at work */
    lorac_error *err;
    lorac_status status; /* of the first failure */
};
void *host_take(struct host *h, size_t bytes); /* zeroed, 16-byte aligned; NULL after setting the error */
void *host_array(struct host *h, size_t count, size_t size);
/* Always false. The sentence follows "NAME: line N: ". */
bool host_fail(struct host *h, lorac_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- values ------------------------------------------------------------------------------ */

struct str {
    const char *at; /* well-formed UTF-8, not NUL-terminated */
    size_t length;  /* bytes */
};
#define STR(literal) ((struct str){literal, sizeof(literal) - 1})
#define STR_ARG(s)   (int)((s).length < 200 ? (s).length : 200), (s).at /* for %.*s */

enum value_kind {
    V_ABSENT, /* an argument that was not given */
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_STR,
    V_LIST,
    V_TUPLE,
    V_VIEW,     /* dict.items() and the like: has a length, but no items by number */
    V_ITERATOR, /* what generators of the reference become: passes once over its items */
    V_RANGE,
    V_DICT,
    V_NAMESPACE,
    V_LOOP,
    V_MACRO,
    V_FUNCTION, /* a global, or a method with its object */
};

struct value {
    enum value_kind kind;
    bool safe; /* a string marked by |safe or |escape: `+` escapes what is added to it */
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct str text; /* of V_UNDEFINED: the sentence that says what is missing */
        struct items *items;
        struct range *range;
        struct dict *dict; /* also of V_NAMESPACE */
        struct loop *loop;
        struct macro *macro;
        struct bound *bound;
    };
};
struct items {
    size_t count;
    struct value *at;
    size_t next;      /* V_ITERATOR: the first item not yet taken */
    const char *type; /* V_VIEW: "dict_items" ...; V_TUPLE: GROUP or NULL */
};
#define GROUP "group" /* what groupby gives: a tuple whose items are also .grouper and .list */
struct range {
    int64_t start, stop, step;
    size_t count;
};
struct pair {
    struct value key, value;
};
struct dict {
    size_t count, capacity;
    struct pair *at; /* in order of insertion */
};
struct loop {
    struct items *items;
    size_t index;            /* from 0 */
    int depth;               /* from 0, of a recursive loop */
    struct value changed;    /* the last arguments of loop.changed, a tuple */
    const struct node *node; /* set if the loop is recursive */
    struct scope *scope;     /* of the loop's statement */
};
struct macro {
    const struct node *node;
    struct scope *scope; /* where it was defined */
};

/* A scope is a list of bindings, the newest first. */
struct binding {
    int symbol;
    struct value value;
    struct binding *next;
};
struct scope {
    struct scope *parent;
    struct binding *first;
};

/* ---- calls ------------------------------------------------------------------------------- */

struct keyword {
    struct str name;
    struct value value;
};
struct call {
    const struct function *function;
    struct value self; /* the object of a method, the input of a filter or test */
    size_t count, keyword_count;
    struct value *arguments;
    struct keyword *keywords;
    struct value arg[5]; /* what the function's parameters got; V_ABSENT where nothing was given */
};
struct render;
typedef bool (*function_body)(struct render *r, struct call *c, struct value *result);
struct function {
    const char *name;
    function_body body;
    int required;           /* how many parameters must be given */
    const char *parameters; /* names with a space between, '/' before them if they cannot be named in a call; NULL: the
                               body reads arguments and keywords itself */
};
struct bound {
    const struct function *function;
    struct value self;
};

#endif
