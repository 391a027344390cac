/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets from a pcap or pcapng file, from the network header on: the only user of libpcap. Link
 * layers are taken off here, frames without an IP packet are counted and passed over. What the
 * bytes mean is packet_decode()'s business.
 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <stddef.h>
#include <stdint.h>

struct capture_file;

struct capture_packet {
	const uint8_t *l3; /* borrowed until the next call */
	size_t len;        /* as captured: may be less than the headers say */
	uint64_t time;     /* ns since 1970, as the file has it: may go back */
	uint32_t frame;    /* from 1, counted over all frames as other programs do */
};

#define CAPTURE_ERROR 512

/* "-" is standard input. On failure -errno and one line in error[CAPTURE_ERROR]. */
int capture_open(struct capture_file **out, const char *path, char *error);

/* 1 with *out, 0 at the end of the file, or -errno with a line in error[CAPTURE_ERROR]. */
int capture_next(struct capture_file *f, struct capture_packet *out, char *error);

/* Frames so far, with or without an IP packet. */
uint32_t capture_frames(const struct capture_file *f);

void capture_close(struct capture_file *f);

#endif
