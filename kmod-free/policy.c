// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Defaults and judgement. The order of the checks is the order in which an administrator would want
 * to hear of them: what is no port at all, what is somebody else's address, what is never opened.
 */
#include "policy.h"

#include <string.h>

void policy_defaults(struct policy *p)
{
	memset(p, 0, sizeof(*p));
	p->max_sessions = 16384;
	p->max_sessions_client = 1024;
	p->max_pinholes = 65536;
	p->max_pinholes_client = 4096;
	p->max_pinholes_session = 256;
	p->admit = ADMIT_RELATED;
	p->service[PH_SVC_FTP] = (struct service_policy){
		.enabled = true,
		.ports = { 21 },
		.n_ports = 1,
		.min_port = 1024,
		.max_port = UINT16_MAX,
		.max_source = UINT16_MAX,
		.ttl = 60 * NSEC_PER_SEC,
		.tls = TLS_CLOSED,
		.window_lo = 32768,
		.window_hi = 60999,
	};
	/*
	 * mountd and statd really sit on privileged ports, so what is never opened is named
	 * instead: what strangers want to reach on a server.
	 */
	p->service[PH_SVC_SUNRPC] = (struct service_policy){
		.enabled = true,
		.ports = { 111 },
		.n_ports = 1,
		.min_port = 1,
		.max_port = UINT16_MAX,
		.max_source = UINT16_MAX,
		.ttl = 300 * NSEC_PER_SEC,
		.linger = 30 * NSEC_PER_SEC,
		.mapping_ttl = 3600 * NSEC_PER_SEC,
		.programs = { 100003, 100005, 100011, 100021, 100024, 100227 },
		.n_programs = 6,
		.never = { 20, 21, 22, 23, 25, 53, 80, 88, 110, 111, 123, 135, 137, 138, 139, 143,
		    161, 179, 389, 443, 445, 465, 512, 513, 514, 587, 623, 631, 636, 873, 993, 995,
		    1433, 1521, 2375, 2376, 2379, 3128, 3260, 3306, 3389, 5432, 5900, 6379, 6443,
		    8080, 8443, 9200, 10250, 11211, 27017 },
		.n_never = 51,
		.callbacks = true,
		.local_rpcbind = true,
	};
	/* Single hop, and multihop (RFC 5881, 5883). */
	p->service[PH_SVC_BFD] = (struct service_policy){
		.enabled = true,
		.ports = { 3784, 4784 },
		.n_ports = 2,
		.min_port = 1,
		.max_port = UINT16_MAX,
		.max_source = UINT16_MAX,
		.ttl = 60 * NSEC_PER_SEC,
		.min_ttl = 255,
		.far_port = 4784,
		.echo = true,
	};
	p->service[PH_SVC_TFTP] = (struct service_policy){
		.enabled = true,
		.ports = { 69 },
		.n_ports = 1,
		.min_port = 1024,
		.max_port = UINT16_MAX,
		.max_source = UINT16_MAX,
		.ttl = 30 * NSEC_PER_SEC,
	};
	/*
	 * Off: 514 is also syslog. The ports are those that rcmd(3) and rshd take, which trust each
	 * other for sitting on ports that only root can have.
	 */
	p->service[PH_SVC_RSH] = (struct service_policy){
		.ports = { 514 },
		.n_ports = 1,
		.min_port = 512,
		.max_port = 1023,
		.max_source = 1023,
		.ttl = 60 * NSEC_PER_SEC,
	};
	p->service[PH_SVC_REXEC] = (struct service_policy){
		.ports = { 512 },
		.n_ports = 1,
		.min_port = 1024,
		.max_port = UINT16_MAX,
		.max_source = UINT16_MAX,
		.ttl = 60 * NSEC_PER_SEC,
	};
	p->service[PH_SVC_NFS] = (struct service_policy){
		.enabled = true,
		.ports = { 2049 },
		.n_ports = 1,
	};
}

static const struct {
	uint32_t number;
	const char *name;
} programs[] = {
	{ 100000, "portmapper" },
	{ 100003, "nfs" },
	{ 100005, "mountd" },
	{ 100011, "rquotad" },
	{ 100021, "nlockmgr" },
	{ 100024, "status" },
	{ 100227, "nfs_acl" },
};

#define PROGRAMS (sizeof(programs) / sizeof(programs[0]))

const char *policy_program_name(uint32_t program)
{
	for (size_t i = 0; i < PROGRAMS; i++)
		if (programs[i].number == program)
			return programs[i].name;
	return NULL;
}

uint32_t policy_program_number(const char *name)
{
	for (size_t i = 0; i < PROGRAMS; i++)
		if (strcmp(programs[i].name, name) == 0)
			return programs[i].number;
	return 0;
}

bool policy_program_allowed(const struct policy *p, enum ph_service svc, uint32_t program)
{
	const struct service_policy *s = &p->service[svc];

	for (unsigned int i = 0; i < s->n_programs; i++)
		if (s->programs[i] == program)
			return true;
	return false;
}

static bool never_opened(const struct service_policy *s, uint16_t port)
{
	for (unsigned int i = 0; i < s->n_never; i++)
		if (s->never[i] == port)
			return true;
	return false;
}

enum ph_service policy_service_of(const struct policy *p, uint16_t port)
{
	for (int svc = PH_SVC_NONE + 1; svc < PH_SVC_MAX; svc++) {
		const struct service_policy *s = &p->service[svc];

		for (unsigned int i = 0; s->enabled && i < s->n_ports; i++)
			if (s->ports[i] == port)
				return (enum ph_service)svc;
	}
	return PH_SVC_NONE;
}

uint8_t policy_min_ttl(const struct policy *p, enum ph_service svc, uint16_t port)
{
	const struct service_policy *s = &p->service[svc];

	return port == s->far_port ? s->far_min_ttl : s->min_ttl;
}

bool policy_peer_allowed(const struct policy *p, enum ph_service svc, const struct addr *peer)
{
	const struct service_policy *s = &p->service[svc];

	for (unsigned int i = 0; i < s->n_peers; i++)
		if (addr_within(peer, &s->peers[i]))
			return true;
	return s->n_peers == 0;
}

enum reason policy_judge(const struct policy *p, enum ph_service svc, uint32_t port,
    const struct addr *announced, const struct addr *peer)
{
	if (port == 0)
		return REASON_PORT_ZERO;
	if (port > UINT16_MAX)
		return REASON_PORT_RANGE;
	if (announced->family != FAMILY_NONE) {
		if (announced->family != peer->family)
			return REASON_FAMILY;
		/* RFC 2577 section 3: never for the sake of a third host. */
		if (!addr_equal(announced, peer))
			return REASON_ADDRESS;
	}
	if (port < p->service[svc].min_port)
		return REASON_PORT_RESERVED;
	if (port > p->service[svc].max_port)
		return REASON_PORT_HIGH;
	if (never_opened(&p->service[svc], (uint16_t)port))
		return REASON_PORT_NEVER;
	return REASON_ANNOUNCED;
}
