/* template_unicode.c — characters as Python's str sees them: space, case, printable, lines. */
#include "text/template_impl.h"

#include <string.h>
#include <utf8proc.h>

uint32_t str_next(struct str s, size_t *at)
{
    uint32_t code = 0xFFFD;
    size_t n = utf8_decode((const uint8_t *)s.at + *at, s.length - *at, &code);
    *at += n ? n : 1;
    return code;
}

size_t str_characters(struct str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.length; i++) count += ((uint8_t)s.at[i] & 0xC0) != 0x80;
    return count;
}

size_t str_offset(struct str s, size_t character)
{
    size_t at = 0;
    for (; at < s.length; at++)
        if (((uint8_t)s.at[at] & 0xC0) != 0x80 && !character--) break;
    return at;
}

/* str.isspace: bidirectional class WS, B or S, or category Zs. */
bool is_space(uint32_t c)
{
    if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F);
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

/* str.isprintable: everything but the categories C and Z, and the space. */
bool is_printable(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return c == ' ' || (category != UTF8PROC_CATEGORY_CN && category < UTF8PROC_CATEGORY_ZS);
}

static bool is_upper(uint32_t c)
{
    return utf8proc_isupper((utf8proc_int32_t)c);
}
static bool is_lower(uint32_t c)
{
    return utf8proc_islower((utf8proc_int32_t)c);
}

bool is_cased(uint32_t c)
{
    return is_upper(c) || is_lower(c) || utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_LT;
}

bool is_alphabetic(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND;
}

static bool is_among(uint32_t c, const uint32_t (*ranges)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    return false;
}

bool is_digit(uint32_t c)
{
    static const uint32_t digits[][2] = {
        {0xB2, 0xB3},     {0xB9, 0xB9},       {0x1369, 0x1371},   {0x19DA, 0x19DA},   {0x2070, 0x2070},
        {0x2074, 0x2079}, {0x2080, 0x2089},   {0x2460, 0x2468},   {0x2474, 0x247C},   {0x2488, 0x2490},
        {0x24EA, 0x24EA}, {0x24F5, 0x24FD},   {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},
        {0x278A, 0x2792}, {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A}, {0x1F100, 0x1F10A},
    };
    return is_decimal(c) || is_among(c, digits, sizeof digits / sizeof *digits);
}

bool is_numeric(uint32_t c)
{
    static const uint32_t han[] = {
        0x3405,  0x3483,  0x382A,  0x3B4D,  0x4E00,  0x4E03,  0x4E07,  0x4E09,  0x4E5D,  0x4E8C,  0x4E94,  0x4E96,
        0x4EBF,  0x4EC0,  0x4EDF,  0x4EE8,  0x4F0D,  0x4F70,  0x5104,  0x5146,  0x5169,  0x516B,  0x516D,  0x5341,
        0x5343,  0x5344,  0x5345,  0x534C,  0x53C1,  0x53C2,  0x53C3,  0x53C4,  0x56DB,  0x58F1,  0x58F9,  0x5E7A,
        0x5EFE,  0x5EFF,  0x5F0C,  0x5F0D,  0x5F0E,  0x5F10,  0x62FE,  0x634C,  0x67D2,  0x6F06,  0x7396,  0x767E,
        0x8086,  0x842C,  0x8CAE,  0x8CB3,  0x8D30,  0x9621,  0x9646,  0x964C,  0x9678,  0x96F6,  0xF96B,  0xF973,
        0xF978,  0xF9B2,  0xF9D1,  0xF9D3,  0xF9FD,  0x20001, 0x20064, 0x200E2, 0x20121, 0x2092A, 0x20983, 0x2098C,
        0x2099C, 0x20AEA, 0x20AFD, 0x20B19, 0x22390, 0x22998, 0x23B1B, 0x2626D, 0x2F890};
    for (size_t i = 0; i < sizeof han / sizeof *han; i++)
        if (c == han[i]) return true;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

bool is_alphanumeric(uint32_t c)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return is_alphabetic(c) || (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

bool is_word_character(uint32_t c)
{
    return c == '_' || is_alphanumeric(c);
}

/* Unicode's XID_Start: letters and numbers that are letters, and a few more; without what NFKC makes something else. */
static bool begins_identifier(uint32_t c)
{
    static const uint32_t more[][2] = {{'_', '_'}, {0x1885, 0x1886}, {0x2118, 0x2118}, {0x212E, 0x212E}};
    static const uint32_t less[][2] = {{0x37A, 0x37A},   {0xE33, 0xE33},   {0xEB3, 0xEB3},   {0x2E2F, 0x2E2F},
                                       {0xFC5E, 0xFC63}, {0xFDFA, 0xFDFB}, {0xFE70, 0xFE70}, {0xFE72, 0xFE72},
                                       {0xFE74, 0xFE74}, {0xFE76, 0xFE76}, {0xFE78, 0xFE78}, {0xFE7A, 0xFE7A},
                                       {0xFE7C, 0xFE7C}, {0xFE7E, 0xFE7E}, {0xFF9E, 0xFF9F}};
    if (is_among(c, more, sizeof more / sizeof *more)) return true;
    bool letter = is_alphabetic(c) || utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_NL;
    return letter && !is_among(c, less, sizeof less / sizeof *less);
}

/* XID_Continue: also marks, digits and connecting punctuation. */
static bool continues_identifier(uint32_t c)
{
    static const uint32_t more[][2] = {{0xB7, 0xB7},     {0x387, 0x387},   {0xE33, 0xE33},  {0xEB3, 0xEB3},
                                       {0x1369, 0x1371}, {0x19DA, 0x19DA}, {0xFF9E, 0xFF9F}};
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return begins_identifier(c) || category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_PC ||
           is_among(c, more, sizeof more / sizeof *more);
}

bool is_identifier(struct str s)
{
    size_t at = 0;
    if (!s.length || !begins_identifier(str_next(s, &at))) return false;
    while (at < s.length)
        if (!continues_identifier(str_next(s, &at))) return false;
    return true;
}

static bool is_one_of(struct str s, size_t from, size_t to, const struct str *characters)
{
    size_t at = from, hit;
    uint32_t code = str_next(s, &at);
    return characters ? str_find(*characters, str_slice(s, from, to), 0, &hit) : is_space(code);
}

/* Without leading and trailing characters of a set; NULL: white space. */
struct str str_strip(struct str s, const struct str *characters, bool left, bool right)
{
    size_t from = 0, to = s.length;
    while (left && from < to) {
        size_t next = from;
        str_next(s, &next);
        if (!is_one_of(s, from, next, characters)) break;
        from = next;
    }
    while (right && from < to) {
        size_t last = to - 1;
        while (last > from && ((uint8_t)s.at[last] & 0xC0) == 0x80) last--;
        if (!is_one_of(s, last, to, characters)) break;
        to = last;
    }
    return str_slice(s, from, to);
}

/* Where a line ends; the boundaries are those of str.splitlines. */
size_t str_line(struct str s, size_t from, size_t *next)
{
    for (size_t at = from; at < s.length;) {
        size_t end = at;
        uint32_t c = str_next(s, &at);
        if (!((c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029)) continue;
        if (c == '\r' && at < s.length && s.at[at] == '\n') at++;
        return *next = at, end;
    }
    return *next = s.length, s.length;
}

/* ---- case -------------------------------------------------------------------------------- */

/* Letters that become several (Unicode's SpecialCasing, the unconditional ones of Latin). */
static const struct {
    uint32_t code;
    const char *upper, *title;
} special[] = {
    {0xDF, "SS", "Ss"},
    {0x149, "\u02BCN", "\u02BCN"},
    {0x1F0, "J\u030C", "J\u030C"},
    {0xFB00, "FF", "Ff"},
    {0xFB01, "FI", "Fi"},
    {0xFB02, "FL", "Fl"},
    {0xFB03, "FFI", "Ffi"},
    {0xFB04, "FFL", "Ffl"},
    {0xFB05, "ST", "St"},
    {0xFB06, "ST", "St"},
    {0x587, "\u0535\u0552", "\u0535\u0582"},
};

static void add_code(struct text *t, uint32_t code)
{
    char bytes[4];
    text_add(t, bytes, utf8_encode(code, bytes));
}

static void add_upper(struct text *t, uint32_t c, bool title)
{
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (special[i].code == c) return text_puts(t, title ? special[i].title : special[i].upper);
    add_code(t, (uint32_t)(title ? utf8proc_totitle((utf8proc_int32_t)c) : utf8proc_toupper((utf8proc_int32_t)c)));
}

/* Whether a sigma at `at` ends a word: a letter with case before it and none after. */
static bool is_final_sigma(struct str s, size_t at, size_t next, bool after_letter)
{
    return after_letter && !(next < s.length && is_cased(str_next(s, &next)));
}

static void add_lower(struct text *t, struct str s, size_t at, size_t next, bool after_letter)
{
    size_t i = at;
    uint32_t c = str_next(s, &i);
    if (c == 0x3A3)
        add_code(t, is_final_sigma(s, at, next, after_letter) ? 0x3C2 : 0x3C3);
    else if (c == 0x130)
        text_puts(t, "i\u0307");
    else
        add_code(t, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

static void add_folded(struct text *t, uint32_t c)
{
    utf8proc_int32_t codes[4];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, codes, 4, UTF8PROC_CASEFOLD, &boundary);
    for (utf8proc_ssize_t i = 0; i < n && i < 4; i++) add_code(t, (uint32_t)codes[i]);
}

void print_case(struct text *t, struct str s, enum letter_case to)
{
    bool after_letter = false;
    for (size_t at = 0; at < s.length;) {
        size_t from = at;
        uint32_t c = str_next(s, &at);
        bool first = to == CASE_TITLE ? !after_letter : to == CASE_CAPITAL && !from;
        bool upper = to == CASE_UPPER || (to == CASE_SWAP && is_lower(c));
        if (to == CASE_FOLD)
            add_folded(t, c);
        else if (first || upper)
            add_upper(t, c, first);
        else if (to == CASE_SWAP && !is_upper(c))
            add_code(t, c);
        else
            add_lower(t, s, from, at, after_letter);
        after_letter = is_cased(c);
    }
}

bool str_has_case(struct str s, enum letter_case wanted)
{
    bool any = false, after_letter = false;
    for (size_t at = 0; at < s.length;) {
        uint32_t c = str_next(s, &at);
        bool lower = wanted == CASE_LOWER || (wanted == CASE_TITLE && after_letter);
        after_letter = is_cased(c);
        if (!is_cased(c)) continue;
        if (lower ? !is_lower(c) : is_lower(c) || (wanted == CASE_UPPER && !is_upper(c))) return false;
        any = true;
    }
    return any;
}
