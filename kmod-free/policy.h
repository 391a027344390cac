/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the administrator allows: plain values that the configuration fills in, and the judgement on
 * one request. Policy never looks at packets and never changes a table.
 */
#ifndef POLICY_H
#define POLICY_H

#include "pinhole/abi.h"
#include "reason.h"
#include "tuple.h"

#define POLICY_PORTS    16
#define POLICY_PROGRAMS 32
#define POLICY_NEVER    64
#define POLICY_PEERS    64
#define NSEC_PER_SEC    1000000000ull

#define PROGRAM_NFS     100003u

enum admit {
	ADMIT_RELATED, /* the daemon creates the expected flow in conntrack, under its master */
	ADMIT_MARK,    /* the kernel alone marks the expected flow */
};

enum tls_mode {
	TLS_CLOSED, /* a session that goes to TLS opens nothing more */
	TLS_WINDOW, /* it opens the server's passive range for the client while it lives */
};

struct service_policy {
	uint64_t ttl; /* ns that an unused pinhole stays open */
	uint16_t ports[POLICY_PORTS];
	uint16_t min_port, max_port;   /* announced ports below or above are refused */
	uint16_t max_source;           /* of an expected flow's source port */
	uint16_t window_lo, window_hi; /* TLS_WINDOW: both inclusive */
	enum tls_mode tls;
	uint8_t n_ports;
	bool enabled;
	/* Services with mappings (sunrpc): */
	uint64_t linger;      /* ns that mappings stay open after the last flow of their hosts */
	uint64_t mapping_ttl; /* ns that they are remembered after that */
	uint32_t programs[POLICY_PROGRAMS]; /* RPC programs that may be opened */
	uint16_t never[POLICY_NEVER];       /* ports that no announcement opens; ascending */
	uint8_t n_programs, n_never;
	bool local_rpcbind; /* for the adapter: ask the rpcbind of this host */
	bool callbacks;     /* the server may ask the rpcbind of a client that holds locks on it */
	/* Services of one-way flows (bfd): */
	uint8_t min_ttl;     /* hop limit that a packet to a control port needs; 0: any */
	uint8_t far_min_ttl; /* the same for far_port, where peers may be several hops away */
	uint16_t far_port;   /* or 0 */
	uint8_t n_peers;     /* 0: whoever is spoken to */
	bool echo;           /* packets that come back to their sender */
	struct prefix peers[POLICY_PEERS];
};

struct policy {
	struct service_policy service[PH_SVC_MAX];
	uint32_t max_sessions, max_sessions_client;
	uint32_t max_pinholes, max_pinholes_client, max_pinholes_session;
	enum admit admit;
};

/* The defaults of pinholed.conf(5). */
void policy_defaults(struct policy *p);

/* The service whose control port this is, or PH_SVC_NONE. */
enum ph_service policy_service_of(const struct policy *p, uint16_t port);

/* The hop limit that a packet to this control port needs; 0: any. */
uint8_t policy_min_ttl(const struct policy *p, enum ph_service svc, uint16_t port);

/* May flows of this service come from there? */
bool policy_peer_allowed(const struct policy *p, enum ph_service svc, const struct addr *peer);

/* "mountd" for 100005; NULL for programs that have no name here. And back; 0 when unknown. */
const char *policy_program_name(uint32_t program);
uint32_t policy_program_number(const char *name);

bool policy_program_allowed(const struct policy *p, enum ph_service svc, uint32_t program);

/*
 * May `port`, announced by one end of the session with `peer` as the flow's destination, be opened?
 * announced is FAMILY_NONE when the protocol names no address. REASON_ANNOUNCED, or the refusal.
 */
enum reason policy_judge(const struct policy *p, enum ph_service svc, uint32_t port,
    const struct addr *announced, const struct addr *peer);

#endif
