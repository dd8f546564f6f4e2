/* unicode_compatibility.h — characters that decompose for compatibility, but not to the reference: made by
 * tools/character_table.py from tokenizers 0.23.3. Do not edit; included by normalize_forms.c alone. */
/* clang-format off */
static const struct code_range incompatible_ranges[] = {
    {0x32FF, 0x32FF}, {0xA7F2, 0xA7F4}, {0xAB69, 0xAB69}, {0x10781, 0x10785}, {0x10787, 0x107B0},
    {0x107B2, 0x107BA}, {0x11938, 0x11938}, {0x1E030, 0x1E06D}, {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9},
};
/* clang-format on */
