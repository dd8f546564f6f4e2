/* tokenizer_gguf_splits.c — the expressions behind the names in tokenizer.ggml.pre, as the models' own tokenizer.json
 * files have them. A piece is cut at the matches of the first; what comes out, at those of the second; and so on.
 *
 * "default" and "smollm" are cut as transformers cuts them when it reads a GGUF: SmolLM's digits are not taken apart
 * beforehand (the vocabulary has no merges of them). */
#include "text/tokenizer_gguf.h"

#include <string.h>

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES       "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORDS        "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SYMBOLS      " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define QWEN2        CONTRACTIONS "|" WORDS "|\\p{N}|" SYMBOLS "|" SPACES
#define LLAMA3       CONTRACTIONS "|" WORDS "|\\p{N}{1,3}|" SYMBOLS "|" SPACES
#define UPPER        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(after)                                                                                                   \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" after "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" after
#define REST  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
#define GPT4O CASED(CONTRACTIONS "?") "|\\p{N}{1,3}" REST
#define GPT2  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define DEEPSEEK3_WORDS                                                                                                \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"                  \
    "| ?[\\p{P}\\p{S}]+"
#define DEEPSEEK3    DEEPSEEK3_WORDS "[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
#define KANA_AND_HAN "[一-龥぀-ゟ゠-ヿ]+"
#define CJK          "[一-龥ࠀ-一가-퟿]+"
#define BLOOM        " ?[^(\\s|.,!?…。，、।۔،)]+"

/* The formatter does not settle on where these strings break. */
/* clang-format off */
static const struct gguf_split splits[] = {
    {"gpt-2 smollm phi-2 default jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe gigachat "
     "jais "
     "mpt olmo a.x-4.0 mellum modern-bert exaone4 trillion granite-docling",
     .patterns = {GPT2}},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
     .patterns = {LLAMA3}, .ignore_merges = true, .adds_bos = true},
    {"jais-2",
     .patterns = {CONTRACTIONS "|" WORDS "|\\p{N}{1,3}|" SYMBOLS
      "|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}"}},
    {"dbrx smaug-bpe chatglm-bpe", .patterns = {LLAMA3}},
    {"glm4 glm5", .patterns = {LLAMA3}, .ignore_merges = true},
    {"qwen2 deepseek-r1-qwen megrez kormo f2llmv2 stablelm2 hunyuan solar-open grok-2", .patterns = {QWEN2}},
    {"qwen35",
     .patterns = {CONTRACTIONS
      "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES}},
    {"tekken", .patterns = {CASED("") "|\\p{N}" REST}, .ignore_merges = true, .adds_bos = true},
    {"gpt-4o llama4 kanana2 talkie minimax-m2", .patterns = {GPT4O}},
    {"granite-embed-multi-97m", .patterns = {GPT4O}, .ignore_merges = true},
    {"minicpm5",
     .patterns = {"\\p{N}{1,3}", CONTRACTIONS "|" WORDS "|\\p{N}+|" SYMBOLS "|" SPACES},
     .ignore_merges = true},
    {"deepseek-llm",
     .patterns = {"[\r\n]",
      "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-"
      "Ἕἠ-"
      "ὅὈ-"
      "Ὅὐ-ὗὙὛὝὟ-"
      "\xE1\xBD\xBDᾀ-ᾴᾶ-ᾼ\xE1\xBE\xBEῂ-ῄῆ-ῌῐ-\xE1\xBF\x93ῖ-\xE1\xBF\x9Bῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\xE2\x84\xA6ℨ\xE2\x84\xAA-ℭℯ-"
      "ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-"
      "ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-"
      "𑣟𞤀-"
      "𞥃]"
      "+",
      "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", CJK, "\\p{N}+"}},
    {"deepseek-coder", .patterns = {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, "\\p{N}"}},
    {"deepseek-v3 hunyuan-dense joyai-llm hy_v4", .patterns = {"\\p{N}{1,3}", KANA_AND_HAN, DEEPSEEK3}},
    {"spark2_5",
     .patterns = {"\\p{N}{1,3}", KANA_AND_HAN, DEEPSEEK3_WORDS "|[\r\n]|\\s+(?!\\S)|\\s+", "\\p{N}"}},
    {"afmoe",
     .patterns = {"\\p{N}{1,3}(?=(?:\\p{N}{3})*(?!\\p{N}))",
      "[一-鿿㐀-䶿\xEF\xA4\x80-\xEF\xAB\xBF぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-\xED\x9E\xAFᄀ-ᇿ]+", DEEPSEEK3}},
    {"youtu",
     .patterns = {"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" KANA_AND_HAN,
      CASED(CONTRACTIONS "?") "|\\p{N}" REST}, .ignore_merges = true},
    {"falcon", .patterns = {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {"starcoder refact command-r codeshell exaone minerva-7b mellum2", .patterns = {"\\p{N}", GPT2}},
    {"poro-chat bloom gpt3-finnish", .patterns = {BLOOM}},
    {"viking", .patterns = {BLOOM, "\\p{N}"}},
    {"chameleon",
     .patterns = {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", "\\p{N}",
      "[\\p{P}!-/:-@\\[-`{-~]", GPT2}, .adds_bos = true},
    {"kimi-k2",
     .patterns = {"[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"
      "&&[^"
      "\\p{Han}]]+" CONTRACTIONS
      "?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+[\\p{Ll}\\p{Lm}\\p{"
      "Lo}\\p{M}&&[^\\p{Han}]]*" CONTRACTIONS "?|\\p{N}{1,3}|" SYMBOLS "|" SPACES}},
    {"tiny_aya cohere2moe", .patterns = {"\\d{1,3}(?=(?:\\d{3})*\\b)", GPT4O}},
    {"superbpe", .patterns = {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"}},
    {"bailingmoe bailingmoe2 llada-moe",
     .patterns = {"'(?i:[sdmt]|ll|ve|re)|" WORDS "|\\p{N}|" SYMBOLS "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
    {"seed-coder", .patterns = {CONTRACTIONS "|" WORDS "|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" SPACES}},
    {"ufakzeka", .patterns = {WORDS "|\\p{N}|" SYMBOLS "|" SPACES}},
    {"laguna", .patterns = {"[^\\n]+|[\\n]+", QWEN2}},
    {"exaone-moe",
     .patterns = {CONTRACTIONS
      "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]"
      "|\\s+(?!\\S)|\\s+"}},
    {"whitespace", .patterns = {"\\S+"}, .words = WORDS_OF_CHARACTERS},
    {"gemma4 granite-embed-multi-311m sarvam-moe", .patterns = {NULL}, .words = NO_WORDS},
};
/* clang-format on */

/* ---- by what cuts the words ----------------------------------------------------------------- */

/* The next byte of an expression; ends of line may be written as they are or as escapes. */
static char next_byte(const char **at)
{
    static const char ends[] = "r\rn\n";
    const char *s = *at, *end = s[0] == '\\' && s[1] ? strchr(ends, s[1]) : NULL;
    *at += end ? 2 : 1;
    return end && (end - ends) % 2 == 0 ? end[1] : s[0];
}

/* Digits as tokenizer.json's kind of that name has them. A run of them cut as one gives the same tokens where the
 * vocabulary merges none, which reading back proves. */
static bool same_pattern(const char *table, const char *own)
{
    if (!strncmp(table, "\\p{N}", 5) && strlen(table) <= 6 && !strcmp(own, "\\p{!digit}")) return true;
    while (*table && *own)
        if (next_byte(&table) != next_byte(&own)) return false;
    return *table == *own;
}

/* Cuts alone count; a single expression, which leaves nothing between its matches, may drop that. */
static bool is_cut(const struct split_step *s, bool single)
{
    bool drops = single && s->behaviour == SPLIT_REMOVED && s->invert;
    return s->regex && (drops || (s->behaviour == SPLIT_ISOLATED && !s->invert)) && !s->prefix_space && !s->spell &&
           !*s->metaspace.mark && !s->scripts;
}

static bool is_idle(const struct split_step *s)
{
    return !s->regex && !s->prefix_space && !s->spell && !*s->metaspace.mark && !s->scripts;
}

static bool cuts_as(const struct gguf_split *split, const struct pretokenizer *p)
{
    const struct split_step *steps = p->steps.items;
    size_t count = 0, at = 0;
    while (count < GGUF_SPLIT_STEPS && split->patterns[count]) count++;
    for (size_t i = 0; i < p->steps.count; i++) {
        if (is_idle(&steps[i])) continue;
        if (at == count || !is_cut(&steps[i], count == 1) || !same_pattern(split->patterns[at++], steps[i].pattern))
            return false;
    }
    return at == count && !p->spelled && split->words == WORDS_OF_BYTES;
}

const struct gguf_split *gguf_split_of(const struct pretokenizer *p, bool ignore_merges)
{
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (splits[i].ignore_merges == ignore_merges && cuts_as(&splits[i], p)) return &splits[i];
    return NULL;
}

const struct gguf_split *gguf_split_named(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof splits / sizeof *splits && length; i++)
        for (const char *at = splits[i].names; (at = strstr(at, name)); at++)
            if ((at == splits[i].names || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return &splits[i];
    return NULL;
}
