/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The words that nft(8) takes for its own wherever they stand, so that nothing can have such a
 * name. */
#ifndef NFT_WORDS_H
#define NFT_WORDS_H

#include <stdbool.h>

bool nft_word(const char *word);

#endif
