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
#define DEEPSEEK3                                                                                                      \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"                  \
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
#define KANA_AND_HAN "[一-龥぀-ゟ゠-ヿ]+"
#define CJK          "[一-龥ࠀ-一가-퟿]+"
#define BLOOM        " ?[^(\\s|.,!?…。，、।۔،)]+"

/* The formatter does not settle on where these strings break. */
/* clang-format off */
static const struct gguf_split splits[] = {
    {"smollm gpt-2 phi-2 default jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe gigachat "
     "jais "
     "mpt olmo a.x-4.0 mellum modern-bert exaone4 trillion granite-docling",
     {GPT2},
     false,
     false},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", {LLAMA3}, true, true},
    {"dbrx smaug-bpe glm4 chatglm-bpe", {LLAMA3}, false, false},
    {"qwen2 deepseek-r1-qwen megrez kormo f2llmv2 stablelm2 hunyuan solar-open grok-2", {QWEN2}, false, false},
    {"qwen35",
     {CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES},
     false,
     false},
    {"tekken", {CASED("") "|\\p{N}" REST}, true, true},
    {"gpt-4o llama4 kanana2 talkie minimax-m2", {GPT4O}, false, false},
    {"granite-embed-multi-97m", {GPT4O}, true, false},
    {"minicpm5", {"\\p{N}{1,3}", CONTRACTIONS "|" WORDS "|\\p{N}+|" SYMBOLS "|" SPACES}, true, false},
    /* clang-format off */
    {"deepseek-llm",
     {"[\r\n]",
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
      "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", CJK, "\\p{N}+"},
     false,
     false},
    /* clang-format on */
    {"deepseek-coder", {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, "\\p{N}"}, false, false},
    {"deepseek-v3 hunyuan-dense joyai-llm hy_v4", {"\\p{N}{1,3}", KANA_AND_HAN, DEEPSEEK3}, false, false},
    {"youtu",
     {"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|" KANA_AND_HAN,
      CASED(CONTRACTIONS "?") "|\\p{N}" REST},
     true,
     false},
    {"falcon", {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"}, false, false},
    {"starcoder refact command-r codeshell exaone minerva-7b mellum2", {"\\p{N}", GPT2}, false, false},
    {"poro-chat bloom gpt3-finnish", {BLOOM}, false, false},
    {"viking", {BLOOM, "\\p{N}"}, false, false},
    {"chameleon",
     {"<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", "([\\t\\n]|    |  )", "\\p{N}",
      "[\\p{P}!-/:-@\\[-`{-~]", GPT2},
     false,
     true},
    {"kimi-k2",
     {"[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"
      "&&[^"
      "\\p{Han}]]+" CONTRACTIONS
      "?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+[\\p{Ll}\\p{Lm}\\p{"
      "Lo}\\p{M}&&[^\\p{Han}]]*" CONTRACTIONS "?|\\p{N}{1,3}|" SYMBOLS "|" SPACES},
     false,
     false},
    {"tiny_aya cohere2moe", {"\\d{1,3}(?=(?:\\d{3})*\\b)", GPT4O}, false, false},
    {"superbpe", {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"}, false, false},
    {"bailingmoe bailingmoe2 llada-moe",
     {"'(?i:[sdmt]|ll|ve|re)|" WORDS "|\\p{N}|" SYMBOLS "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"},
     false,
     false},
    {"seed-coder", {CONTRACTIONS "|" WORDS "|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" SPACES}, false, false},
    {"ufakzeka", {WORDS "|\\p{N}|" SYMBOLS "|" SPACES}, false, false},
    {"laguna", {"[^\\n]+|[\\n]+", QWEN2}, false, false},
    {"exaone-moe",
     {CONTRACTIONS
      "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]"
      "|\\s+(?!\\S)|\\s+"},
     false,
     false},
};
/* clang-format on */

const struct gguf_split *gguf_split_named(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof splits / sizeof *splits && length; i++)
        for (const char *at = splits[i].names; (at = strstr(at, name)); at++)
            if ((at == splits[i].names || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return &splits[i];
    return NULL;
}
