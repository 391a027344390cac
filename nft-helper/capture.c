// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Link layers: Ethernet and Linux "cooked" frames with any stack of VLAN tags, BSD loopback, and
 * none at all. Each is a few bytes in front of an ethertype or address family; whatever else is
 * found there, or too little of it, is a frame without an IP packet.
 */
#include "capture.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cursor.h"

/* DLT_RAW of OpenBSD, which libpcap has no name for elsewhere. */
#define LINK_RAW_OPENBSD   14

#define ETHERTYPE_IPV4     0x0800
#define ETHERTYPE_IPV6     0x86dd
#define ETHERTYPE_8021Q    0x8100
#define ETHERTYPE_8021AD   0x88a8
#define ETHERTYPE_QINQ_OLD 0x9100

/* Past this, whatever the file says, is no time: engine time plus any timeout must not wrap. */
#define TIME_MAX (UINT64_MAX / 4)

struct capture_file {
	pcap_t *pcap;
	bool (*strip)(struct cursor *frame);
	uint32_t frames;
};

/* c stands behind an ethertype: moves over VLAN tags, says whether IP follows. */
static bool ethertype(struct cursor *c, uint16_t type)
{
	while (type == ETHERTYPE_8021Q || type == ETHERTYPE_8021AD || type == ETHERTYPE_QINQ_OLD)
		if (!cursor_skip(c, 2) || !cursor_be16(c, &type))
			return false;
	return type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6;
}

static bool strip_ethernet(struct cursor *c)
{
	uint16_t type;

	return cursor_skip(c, 12) && cursor_be16(c, &type) && ethertype(c, type);
}

static bool strip_cooked(struct cursor *c)
{
	uint16_t type;

	return cursor_skip(c, 14) && cursor_be16(c, &type) && ethertype(c, type);
}

static bool strip_cooked2(struct cursor *c)
{
	uint16_t type;

	return cursor_be16(c, &type) && cursor_skip(c, 18) && ethertype(c, type);
}

/* An address family in the byte order of whoever wrote the file (DLT_NULL) or of the net. */
static bool strip_loopback(struct cursor *c)
{
	uint32_t family;

	if (!cursor_be32(c, &family))
		return false;
	if (family > 0xffff)
		family = __builtin_bswap32(family);
	switch (family) {
	case 2:  /* AF_INET everywhere */
	case 10: /* AF_INET6 of Linux */
	case 24: /* NetBSD, OpenBSD */
	case 28: /* FreeBSD */
	case 30: /* macOS */
		return true;
	default:
		return false;
	}
}

static bool strip_nothing(struct cursor *c)
{
	(void)c;
	return true;
}

static bool (*strip_of(int link))(struct cursor *frame)
{
	switch (link) {
	case DLT_EN10MB:
		return strip_ethernet;
	case DLT_LINUX_SLL:
		return strip_cooked;
	case DLT_LINUX_SLL2:
		return strip_cooked2;
	case DLT_NULL:
	case DLT_LOOP:
		return strip_loopback;
	case DLT_RAW:
	case LINK_RAW_OPENBSD:
	case DLT_IPV4:
	case DLT_IPV6:
		return strip_nothing;
	default:
		return NULL;
	}
}

int capture_open(struct capture_file **out, const char *path, char *error)
{
	struct capture_file *f = calloc(1, sizeof(*f));
	char why[PCAP_ERRBUF_SIZE] = "out of memory";
	FILE *stream = NULL;
	int ret = -ENOMEM;

	if (!f)
		goto out;
	stream = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
	if (!stream) {
		ret = -errno;
		(void)snprintf(why, sizeof(why), "%s", strerror(errno));
		goto out;
	}
	f->pcap = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!f->pcap) {
		ret = -EINVAL;
		goto out;
	}
	stream = NULL; /* pcap_close() closes it, unless it is stdin */
	f->strip = strip_of(pcap_datalink(f->pcap));
	if (!f->strip) {
		ret = -EOPNOTSUPP;
		(void)snprintf(
		    why, sizeof(why), "link type %d is not supported", pcap_datalink(f->pcap));
		goto out;
	}
	*out = f;
	return 0;
out:
	(void)snprintf(error, CAPTURE_ERROR, "%s", why);
	if (stream && stream != stdin)
		(void)fclose(stream);
	capture_close(f);
	return ret;
}

/* ns since 1970; tv_usec counts nanoseconds, as asked for, and may be anything in a broken file. */
static uint64_t time_of(const struct timeval *tv)
{
	uint64_t seconds = tv->tv_sec > 0 ? (uint64_t)tv->tv_sec : 0;
	uint64_t ns = tv->tv_usec > 0 ? (uint64_t)tv->tv_usec : 0;

	if (seconds > TIME_MAX / 1000000000 || ns >= 1000000000)
		return TIME_MAX;
	return seconds * 1000000000 + ns;
}

int capture_next(struct capture_file *f, struct capture_packet *out, char *error)
{
	struct pcap_pkthdr *header;
	const u_char *bytes;
	struct cursor c;

	for (;;) {
		int got = pcap_next_ex(f->pcap, &header, &bytes);

		if (got == PCAP_ERROR_BREAK)
			return 0;
		if (got != 1) {
			(void)snprintf(error, CAPTURE_ERROR, "behind frame %u: %s", f->frames,
			    pcap_geterr(f->pcap));
			return -EBADMSG;
		}
		f->frames++;
		c = cursor_of(bytes, header->caplen);
		if (f->strip(&c))
			break;
	}
	*out = (struct capture_packet){
		.l3 = c.at,
		.len = c.left,
		.time = time_of(&header->ts),
		.frame = f->frames,
	};
	return 1;
}

uint32_t capture_frames(const struct capture_file *f)
{
	return f->frames;
}

void capture_close(struct capture_file *f)
{
	if (!f)
		return;
	if (f->pcap)
		pcap_close(f->pcap);
	free(f);
}
