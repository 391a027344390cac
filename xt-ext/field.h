/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the match and the target share: names of services, what of them one comparison of mark bits
 * can express, and where in the mark our field is. libc only; each extension carries its own copy,
 * and says in xtables' manner what is said here in an error text.
 */
#ifndef XT_FIELD_H
#define XT_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pinhole/abi.h"

#define FIELD_ERROR 320

/* Looked at in place of PH_CONF_FILE, unless the program runs with more rights than its caller. */
#define FIELD_CONF_VARIABLE "PINHOLED_CONF"

/* One bit for each enum ph_service. */
typedef uint16_t services_t;

/* PH_SVC_NONE for a word that names none. The word need not end at len. */
enum ph_service field_service(const char *word, size_t len);
const char *field_service_name(enum ph_service svc);

/* NAME[,NAME...]; false, with an error of FIELD_ERROR bytes, for anything else. */
bool field_services(const char *list, services_t *out, char *error);

/*
 * The comparison `mark & *bits == *value` that is true of flows with this flag
 * (PH_MARK_F_PINHOLE or PH_MARK_F_CONTROL) and one of these services, whatever the other flag, and
 * of no other; services 0 is any service, later ones included, and PH_SVC_NFS is not for
 * PH_MARK_F_PINHOLE. False when there is none: `bits` can leave out only whole bits of the service
 * number.
 */
bool field_compare(
    uint32_t mask, unsigned int flag, services_t services, uint32_t *value, uint32_t *bits);

/*
 * The mark-mask of the installed configuration, PH_MARK_MASK_DEFAULT where that is silent or is not
 * there; false, with an error of FIELD_ERROR bytes, when it cannot be told.
 */
bool field_default_mask(uint32_t *mask, char *error);

/* The same of a configuration's text; path is for the error. */
bool field_mask_in(const char *text, const char *path, uint32_t *mask, char *error);

#endif
