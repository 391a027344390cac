/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hash tables whose keys strangers choose: uthash's tables with SipHash-1-3 (Aumasson and
 * Bernstein, "SipHash: a fast short-input PRF", 2012). uthash's own functions have no secret key,
 * so a peer could aim at one bucket; and by default it ends the process when memory is out, which
 * is not for a library to decide. An element that could not be added has hh.tbl == NULL.
 */
#ifndef HASH_H
#define HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define HASH_KEY_LEN 16

uint64_t hash_sip13(const uint8_t key[HASH_KEY_LEN], const void *data, size_t len);

#endif
