/* template_parse.c — tokens to statements.
 *
 * Owns: the tags set, if, for, macro, call, filter, with, generation, print, break, continue; chat_template itself.
 * Refuses: template inheritance and inclusion (extends, include, import, block), autoescape, and every unknown tag. */
#include "text/template_impl.h"

#include <string.h>

static struct node *parse_statement(struct parser *p);

static bool expect_block_end(struct parser *p)
{
    if (token_at(p, 0)->kind != T_BLOCK_END) return parse_unexpected(p, "'%}'");
    p->at++;
    return true;
}

/* Whether the tag at hand is one of `ends` (NULL-terminated): 1 + its number, or 0. */
static int ends_here(struct parser *p, const char *const *ends)
{
    for (int i = 0; ends && ends[i]; i++)
        if (token_at(p, 1)->kind == T_NAME && str_is(token_at(p, 1)->text, ends[i])) return i + 1;
    return 0;
}

static struct node *parse_data(struct parser *p)
{
    struct token *t = token_at(p, 0);
    struct node *n = node_new(p, t->kind == T_DATA ? N_DATA : N_PRINT, t->line);
    p->at++;
    if (!n) return NULL;
    if (n->kind == N_DATA) return n->text = t->text, n;
    if (!(n->a = parse_tuple(p, 0))) return NULL;
    if (token_at(p, 0)->kind != T_PRINT_END) return parse_unexpected(p, "'}}'"), NULL;
    p->at++;
    return node_join(p, n);
}

/* Statements until "{% END", whose two tokens are taken; *which: the number of the end in `ends`. */
static bool parse_until(struct parser *p, const char *const *ends, int *which, struct node **body)
{
    unsigned opened = token_at(p, 0)->line;
    for (;;) {
        struct token *t = token_at(p, 0);
        if (t->kind == T_END) {
            if (!ends) return true;
            p->host.line = opened;
            return host_fail(&p->host, LORAC_FORMAT, "the block that begins here has no {%% %s %%}", ends[0]);
        }
        if (t->kind == T_BLOCK_BEGIN) {
            int end = ends_here(p, ends);
            p->at += end ? 2 : 1;
            if (end) return *which = end - 1, true;
        }
        struct node *n = t->kind == T_BLOCK_BEGIN ? parse_statement(p) : parse_data(p);
        if (!n) return false;
        *body = n;
        body = &n->next;
    }
}

/* A body of one end: "... %} body {% end". */
static bool parse_block(struct parser *p, const char *end, struct node **body)
{
    int which;
    const char *ends[] = {end, NULL};
    skip_op(p, OP_COLON);
    return expect_block_end(p) && parse_until(p, ends, &which, body);
}

static bool can_assign(struct parser *p, const struct node *n)
{
    p->host.line = n->line;
    if (n->kind == N_NAME && n->symbol == SYMBOL_LOOP)
        return host_fail(&p->host, LORAC_FORMAT, "'loop' cannot be assigned to");
    if (n->kind == N_NAME || n->kind == N_NS_TARGET) return true;
    if (n->kind != N_TUPLE) return host_fail(&p->host, LORAC_FORMAT, "only names can be assigned to");
    for (const struct node *i = n->list; i; i = i->next)
        if (!can_assign(p, i)) return false;
    return true;
}

static struct node *parse_target(struct parser *p, int flags)
{
    struct node *n = parse_tuple(p, EXPR_NAMES_ONLY | flags);
    return n && can_assign(p, n) ? n : NULL;
}

static struct node *parse_set(struct parser *p, struct node *n)
{
    if (!(n->a = parse_target(p, EXPR_ATTRIBUTES))) return NULL;
    if (skip_op(p, OP_ASSIGN)) return (n->b = parse_tuple(p, 0)) ? n : NULL;
    n->kind = N_SET_BLOCK;
    if (token_is(p, OP_PIPE) && !(n->b = parse_filters(p, node_new(p, N_INPUT, n->line)))) return NULL;
    return parse_block(p, "endset", &n->list) ? n : NULL;
}

static struct node *parse_if(struct parser *p, struct node *n)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    int which = 1;
    for (struct node **last = &n->list; which; last = &(*last)->next) {
        struct node *branch = node_new(p, N_BRANCH, token_at(p, 0)->line);
        if (!branch) return NULL;
        bool is_else = which == 2;
        if (!is_else && !(branch->a = parse_tuple(p, EXPR_NO_IF))) return NULL;
        skip_op(p, OP_COLON);
        if (!expect_block_end(p)) return NULL;
        static const char *const last_end[] = {"endif", NULL};
        if (!parse_until(p, is_else ? last_end : ends, &which, &branch->list)) return NULL;
        if (!(*last = node_join(p, branch))) return NULL;
    }
    return n;
}

static struct node *parse_for(struct parser *p, struct node *n)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    int which;
    if (!(n->a = parse_target(p, EXPR_UNTIL_IN))) return NULL;
    if (!skip_name(p, "in")) return parse_unexpected(p, "'in'"), NULL;
    if (!(n->b = parse_tuple(p, EXPR_NO_IF | EXPR_UNTIL_RECURSIVE))) return NULL;
    if (skip_name(p, "if") && !(n->c = parse_expression(p))) return NULL;
    if (skip_name(p, "recursive")) n->op = OP_POW;
    skip_op(p, OP_COLON);
    if (!expect_block_end(p) || !parse_until(p, ends, &which, &n->list)) return NULL;
    if (which == 1 && !parse_block(p, "endfor", &n->other)) return NULL;
    return n;
}

static bool parse_name_token(struct parser *p, struct node *n)
{
    struct token *t = token_at(p, 0);
    if (t->kind != T_NAME) return parse_unexpected(p, "a name");
    p->at++;
    n->text = t->text;
    return (n->symbol = parse_symbol(p, t->text)) >= 0;
}

/* "(a, b=1)" */
static bool parse_parameters(struct parser *p, struct node **last)
{
    bool defaults = false;
    if (!expect_op(p, OP_LPAREN, "'('")) return false;
    for (size_t count = 0; !skip_op(p, OP_RPAREN); count++) {
        if (count && !expect_op(p, OP_COMMA, "',' or ')'")) return false;
        struct node *n = node_new(p, N_PARAMETER, token_at(p, 0)->line);
        if (!n || !parse_name_token(p, n)) return false;
        if (skip_op(p, OP_ASSIGN)) {
            defaults = true;
            if (!(n->a = parse_expression(p))) return false;
        } else if (defaults) {
            return parse_unexpected(p, "a default: the parameter before has one");
        }
        if (count >= CALL_ARGUMENTS) return parse_unexpected(p, "fewer parameters");
        if (!(*last = node_join(p, n))) return false;
        last = &n->next;
    }
    return true;
}

/* What a macro's body uses decides what it may be called with. */
static bool parse_macro_body(struct parser *p, struct node *n, const char *end)
{
    int outer = p->uses;
    p->uses = 0;
    if (!parse_block(p, end, &n->list)) return false;
    n->uses = p->uses;
    p->uses |= outer; /* what a macro inside uses counts too, as in the reference */
    return true;
}

static struct node *parse_macro(struct parser *p, struct node *n)
{
    return parse_name_token(p, n) && parse_parameters(p, &n->parameters) && parse_macro_body(p, n, "endmacro") ? n
                                                                                                               : NULL;
}

static struct node *parse_call_block(struct parser *p, struct node *n)
{
    struct node *caller = node_new(p, N_MACRO, n->line);
    if (!caller || (token_is(p, OP_LPAREN) && !parse_parameters(p, &caller->parameters))) return NULL;
    if (!(n->a = parse_expression(p))) return NULL;
    if (n->a->kind != N_CALL) return parse_unexpected(p, "a call after 'call'"), NULL;
    if (!parse_macro_body(p, caller, "endcall")) return NULL;
    n->b = node_join(p, caller);
    return n->b ? n : NULL;
}

static struct node *parse_filter_block(struct parser *p, struct node *n)
{
    n->a = parse_filters(p, parse_filter(p, node_new(p, N_INPUT, n->line)));
    return n->a && parse_block(p, "endfilter", &n->list) ? n : NULL;
}

static struct node *parse_with(struct parser *p, struct node *n)
{
    for (struct node **last = &n->parameters; token_at(p, 0)->kind != T_BLOCK_END; last = &(*last)->next) {
        if (n->parameters && !expect_op(p, OP_COMMA, "',' or '%}'")) return NULL;
        struct node *set = node_new(p, N_SET, token_at(p, 0)->line);
        if (!set || !(set->a = parse_target(p, 0)) || !expect_op(p, OP_ASSIGN, "'='")) return NULL;
        if (!(set->b = parse_expression(p)) || !(*last = node_join(p, set))) return NULL;
    }
    return parse_block(p, "endwith", &n->list) ? n : NULL;
}

static struct node *parse_generation(struct parser *p, struct node *n)
{
    p->marks = true;
    return parse_macro_body(p, n, "endgeneration") ? n : NULL;
}

/* {% print a, b %} prints one after the other. */
static struct node *parse_print(struct parser *p, struct node *n)
{
    for (struct node **last = &n->list; token_at(p, 0)->kind != T_BLOCK_END; last = &(*last)->next) {
        if (n->list && !expect_op(p, OP_COMMA, "',' or '%}'")) return NULL;
        struct node *print = node_new(p, N_PRINT, n->line);
        if (!print || !(print->a = parse_expression(p)) || !(*last = node_join(p, print))) return NULL;
    }
    return n;
}

static struct node *parse_plain(struct parser *p, struct node *n)
{
    return n;
}

static const struct {
    const char *name;
    enum node_kind kind;
    struct node *(*parse)(struct parser *p, struct node *n);
} tags[] = {
    {"set", N_SET, parse_set},
    {"if", N_IF, parse_if},
    {"for", N_FOR, parse_for},
    {"macro", N_MACRO, parse_macro},
    {"call", N_CALL_BLOCK, parse_call_block},
    {"filter", N_FILTER_BLOCK, parse_filter_block},
    {"with", N_WITH, parse_with},
    {"generation", N_GENERATION, parse_generation},
    {"print", N_SEQUENCE, parse_print},
    {"break", N_BREAK, parse_plain},
    {"continue", N_CONTINUE, parse_plain},
};

static struct node *parse_tag(struct parser *p, struct token *t)
{
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (!str_is(t->text, tags[i].name)) continue;
        struct node *n = node_new(p, tags[i].kind, t->line);
        n = n ? tags[i].parse(p, n) : NULL;
        return n && expect_block_end(p) ? node_join(p, n) : NULL;
    }
    p->host.line = t->line;
    return host_fail(&p->host, LORAC_UNSUPPORTED, "lorac does not know the tag '%.*s' (here)", STR_ARG(t->text)), NULL;
}

/* A statement after "{%", with the "%}" at its end. */
static struct node *parse_statement(struct parser *p)
{
    struct token *t = token_at(p, 0);
    if (t->kind != T_NAME) return parse_unexpected(p, "a tag's name"), NULL;
    p->at++;
    struct node *n = NULL;
    if (++p->depth <= PARSE_DEPTH)
        n = parse_tag(p, t);
    else
        host_fail(&p->host, LORAC_UNSUPPORTED, "it nests deeper than %d levels", PARSE_DEPTH);
    p->depth--;
    return n;
}

/* ---- the template ------------------------------------------------------------------------ */

static bool parse_source(struct parser *p, struct str source, struct chat_template *t)
{
    static const struct str fixed[SYMBOLS_FIXED] = {{"loop", 4}, {"caller", 6}, {"varargs", 7}, {"kwargs", 6}};
    if (source.length > SOURCE_LIMIT)
        return host_fail(&p->host, LORAC_UNSUPPORTED, "it has more than %zu bytes", SOURCE_LIMIT);
    for (int i = 0; i < SYMBOLS_FIXED; i++)
        if (parse_symbol(p, fixed[i]) < 0) return false;
    if (!template_lex(p, source) || !parse_until(p, NULL, NULL, &t->body) || !check_applied(p, t->body) ||
        !resolve_names(p, t->body, &t->hidden))
        return false;
    t->marks = p->marks;
    t->symbol_count = p->symbols.count;
    t->symbols = host_array(&p->host, t->symbol_count, sizeof *t->symbols);
    if (t->symbols) memcpy(t->symbols, p->symbols.items, t->symbol_count * sizeof *t->symbols);
    return t->symbols;
}

lorac_status template_parse(struct memory *m, const char *source, size_t length, const char *name,
                            struct chat_template **result, lorac_error *err)
{
    struct chat_template *t = mem_alloc(m, sizeof *t);
    if (!t) return fail_memory(err, "a chat template", sizeof *t);
    if (!name) name = "chat template";
    t->memory = m;
    t->name = mem_text(m, name, strlen(name));
    struct parser p = {.host = {.arena = {.memory = m}, .name = name, .err = err, .line = 1},
                       .tokens = {.memory = m, .size = sizeof(struct token)},
                       .symbols = {.memory = m, .size = sizeof(struct str)}};
    bool ok = t->name ? parse_source(&p, (struct str){source, length}, t)
                      : host_fail(&p.host, LORAC_OUT_OF_MEMORY, "no memory for its name");
    t->arena = p.host.arena;
    list_free(&p.tokens);
    list_free(&p.symbols);
    if (ok) return *result = t, LORAC_OK;
    template_free(t);
    return p.host.status;
}

bool template_marks(const struct chat_template *t)
{
    return t->marks;
}

void template_free(struct chat_template *t)
{
    if (!t) return;
    arena_free(&t->arena);
    mem_free(t->memory, t->name);
    mem_free(t->memory, t);
}
